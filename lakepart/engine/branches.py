"""Branches: comparing them with main, publishing and discarding them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lakepart.catalog.committing import publish
from lakepart.catalog.declaring import discard
from lakepart.catalog.lookups import get_asset, list_branches
from lakepart.catalog.reading import branch_changes, contents, find_versions
from lakepart.catalog.scopes import Scope
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.manifests import write_manifests
from lakepart.errors import ConflictError, StateError
from lakepart.model.records import MAIN, MAIN_BRANCH_ID, BranchRecord, Commit, VersionRecord

if TYPE_CHECKING:
    import pandas as pd

AssetChanges = tuple[str, Sequence[VersionRecord], Sequence[VersionRecord], frozenset[int]]


def publish_branch(context: LakeContext, branch: BranchRecord, *, message: str | None) -> Commit:
    """Make the branch's versions main's in one guarded commit, and close the branch."""
    require_writable(context, View(branch), "publish")
    with context.database.reading() as connection:
        if not branch_changes(connection, branch.branch_id):
            raise StateError(
                f"Branch {branch.name!r} has nothing to publish: nothing was written on it.",
                hint="write on the branch, or discard it.",
            )
    try:
        record = publish(
            context.database,
            branch.branch_id,
            token=context.new_id(),
            author=context.author,
            message=message or f"publish branch {branch.name}",
            metadata={"branch": branch.name},
        )
    except ConflictError as error:
        raise ConflictError(
            error.message,
            hint="write those partitions again on a new branch, made from main as it is now, or discard this one.",
            code=error.code,
            context=error.context,
        ) from error
    write_manifests(context)
    return record


def discard_branch(context: LakeContext, branch: BranchRecord) -> None:
    """Close the branch without publishing it."""
    require_writable(context, View(branch), "discard")
    discard(context.database, branch.branch_id)


def branches_frame(context: LakeContext) -> pd.DataFrame:
    """Give one row per open branch."""
    import pandas as pd

    with context.database.reading() as connection:
        branches = [branch for branch in list_branches(connection) if branch.branch_id != MAIN_BRANCH_ID]
        written = [len(branch_changes(connection, branch.branch_id)) for branch in branches]
    return pd.DataFrame(
        {
            "name": [branch.name for branch in branches],
            "fork": [branch.fork for branch in branches],
            "partitions": written,
        }
    )


def diff_frame(context: LakeContext, branch: BranchRecord) -> pd.DataFrame:
    """Compare the branch with main at its fork, one row per partition that the branch wrote."""
    by_asset: dict[int, list[tuple[VersionRecord, str | None]]] = {}
    compared: list[AssetChanges] = []
    with context.database.reading() as connection:
        for version, base in branch_changes(connection, branch.branch_id):
            by_asset.setdefault(version.asset_id, []).append((version, base))
        for asset_id, changes in by_asset.items():
            ordinals = sorted(version.ordinal for version, _ in changes)
            ranges = [(ordinal, ordinal) for ordinal in ordinals]
            before = find_versions(connection, Scope(asset_id, MAIN, branch.fork), ranges)
            now = dict(contents(connection, Scope(asset_id, MAIN), ranges))
            moved = frozenset(version.ordinal for version, base in changes if now.get(version.ordinal) != base)
            after = [version for version, _ in changes if version.content_id is not None]
            compared.append((get_asset(connection, asset_id).name, before, after, moved))
    return diff_changes(compared)


def diff_changes(compared: Iterable[AssetChanges]) -> pd.DataFrame:
    """Compare versions before and after, per asset and partition; the set names partitions in conflict."""
    import pandas as pd

    rows = []
    for asset, before, after, conflicts in compared:
        old = {version.ordinal: version for version in before}
        new = {version.ordinal: version for version in after}
        rows += [
            _compare(asset, old.get(ordinal), new.get(ordinal), conflict=ordinal in conflicts)
            for ordinal in sorted(old.keys() | new.keys())
        ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.astype({"rows_delta": "int64", "bytes_delta": "int64", "conflict": "bool"})


_COLUMNS = (
    "asset",
    "key",
    "change",
    "rows_before",
    "rows_after",
    "rows_delta",
    "bytes_before",
    "bytes_after",
    "bytes_delta",
    "conflict",
)


def _compare(asset: str, old: VersionRecord | None, new: VersionRecord | None, *, conflict: bool) -> tuple[object, ...]:
    if old is None:
        change = "added"
    elif new is None:
        change = "removed"
    else:
        change = "same" if old.content_id == new.content_id else "changed"
    rows = [0 if version is None else version.row_count for version in (old, new)]
    sizes = [0 if version is None else version.size_bytes for version in (old, new)]
    named = new or old
    key = "" if named is None else named.key
    return asset, key, change, *rows, rows[1] - rows[0], *sizes, sizes[1] - sizes[0], conflict
