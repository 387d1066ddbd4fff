"""The past: what happened, and making old contents current again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lakepart.catalog.committing import commit
from lakepart.catalog.lookups import list_snapshots, visible_snapshot
from lakepart.catalog.reading import find_versions, history
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.manifests import write_manifests
from lakepart.errors import StateError
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    VersionRecord,
)

if TYPE_CHECKING:
    import pandas as pd


def history_frame(context: LakeContext, view: View, asset: AssetRecord, partitions: PartitionSet) -> pd.DataFrame:
    """Give every version of the partitions that the view sees, newest first."""
    import pandas as pd

    with context.database.reading() as connection:
        found = history(connection, asset.asset_id, partitions.ordinal_ranges(), view.branch)
    if view.snapshot is not None:
        found = [(version, snapshot) for version, snapshot in found if version.began <= view.snapshot]
    return pd.DataFrame(
        {
            "key": [version.key for version, _ in found],
            "snapshot": [version.began for version, _ in found],
            "ended": pd.array([version.ended for version, _ in found], dtype="Int64"),
            "at": pd.to_datetime([snapshot.at_us for _, snapshot in found], unit="us", utc=True),
            "operation": [snapshot.operation for _, snapshot in found],
            "author": [snapshot.author for _, snapshot in found],
            "message": [snapshot.message for _, snapshot in found],
            "rows": [version.row_count for version, _ in found],
            "bytes": [version.size_bytes for version, _ in found],
            "files": [version.file_count for version, _ in found],
            "code_version": [version.code_version for version, _ in found],
            "content": [None if version.content_id is None else version.content_id[:12] for version, _ in found],
        }
    )


def snapshots_frame(context: LakeContext, view: View, *, after: int, limit: int | None) -> pd.DataFrame:
    """Give the commits that the view sees, newest first."""
    import pandas as pd

    last = view.snapshot
    with context.database.reading() as connection:
        found = list_snapshots(connection, branch=view.branch, after=after, limit=limit if last is None else None)
    if last is not None:
        found = [snapshot for snapshot in found if snapshot.snapshot <= last][:limit]
    return pd.DataFrame(
        {
            "snapshot": [snapshot.snapshot for snapshot in found],
            "at": pd.to_datetime([snapshot.at_us for snapshot in found], unit="us", utc=True),
            "operation": [snapshot.operation for snapshot in found],
            "author": [snapshot.author for snapshot in found],
            "message": [snapshot.message for snapshot in found],
            "partitions": [snapshot.partitions for snapshot in found],
            "rows": [snapshot.rows for snapshot in found],
            "bytes": [snapshot.bytes for snapshot in found],
            "files": [snapshot.files for snapshot in found],
            "metadata": [dict(snapshot.metadata) for snapshot in found],
        }
    )


def rollback(
    context: LakeContext,
    view: View,
    selections: Sequence[tuple[AssetRecord, PartitionSet]],
    *,
    to: int,
    message: str | None = None,
) -> Commit:
    """Make the contents of snapshot ``to`` current again, as a new snapshot; what was missing then becomes missing.

    Guarded by what is current when it begins: a commit that lands meanwhile makes it fail with ConflictError.
    """
    require_writable(context, view, "roll back")
    changes: list[Change] = []
    with context.database.reading() as connection:
        then = view.at(visible_snapshot(connection, view.branch, number=to).snapshot)
        for asset, partitions in selections:
            ranges = partitions.ordinal_ranges()
            old = find_versions(connection, then.scope(asset), ranges)
            new = find_versions(connection, view.scope(asset), ranges)
            changes += _changes_back(asset, old, new)
    if not changes:
        raise StateError(
            f"Nothing to roll back: the selected partitions hold what they held at snapshot {to}.",
            hint="history() lists older contents.",
        )
    request = CommitRequest(
        token=context.new_id(),
        operation="rollback",
        changes=tuple(changes),
        assets=tuple(AssetGuard(asset.asset_id, asset.revision) for asset, _ in selections),
        branch_id=view.branch.branch_id,
        author=context.author,
        message=message or f"rollback to snapshot {to}",
        metadata={"rollback_to": to},
    )
    record = commit(context.database, request)
    write_manifests(context)
    return record


def _changes_back(asset: AssetRecord, old: Iterable[VersionRecord], new: Iterable[VersionRecord]) -> list[Change]:
    current = {version.ordinal: version for version in new}
    changes = []
    for version in old:
        now = current.pop(version.ordinal, None)
        if now is not None and now.content_id == version.content_id:
            continue
        changes.append(_change(asset, version, ChangeKind.REINSTATE, now, source_version_id=version.version_id))
    return changes + [_change(asset, version, ChangeKind.REMOVE, version) for version in current.values()]


def _change(
    asset: AssetRecord, version: VersionRecord, kind: ChangeKind, now: VersionRecord | None, **details: Any
) -> Change:
    return Change(
        asset_id=asset.asset_id,
        key=version.key,
        ordinal=version.ordinal,
        kind=kind,
        expected=None if now is None else now.content_id,
        **details,
    )
