"""Branches: listing them, comparing them with main, and discarding them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from lakepart.catalog.declaring import discard
from lakepart.catalog.lookups import current_branch, get_asset, list_branches
from lakepart.catalog.reading import branch_changes, contents, find_versions
from lakepart.catalog.scopes import Scope
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.diff import changes_frame
from lakepart.model.records import MAIN, MAIN_BRANCH_ID, BranchRecord, VersionRecord
from lakepart.planning.diff import Held, PartitionChange, compare

if TYPE_CHECKING:
    import pandas as pd

AssetChanges = tuple[str, Sequence[VersionRecord], Sequence[VersionRecord], frozenset[int]]


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
        branch = current_branch(connection, branch)
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

    changes: list[PartitionChange] = []
    conflicts: list[bool] = []
    for asset, before, after, moved in compared:
        found = list(compare(asset, _held(before), _held(after)))
        changes += found
        conflicts += [one.ordinal in moved for one in found]
    return changes_frame(changes).assign(conflict=pd.Series(conflicts, dtype="bool"))


def _held(versions: Iterable[VersionRecord]) -> dict[int, Held]:
    return {one.ordinal: Held(one.key, one.content_id, one.row_count, one.size_bytes) for one in versions}
