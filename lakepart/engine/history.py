"""The past: what happened, and making old contents current again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import list_definitions
from lakepart.catalog.lookups import get_asset, list_snapshots
from lakepart.catalog.reading import commit_sizes, history, inputs_of
from lakepart.engine.context import LakeContext, View
from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import (
    AssetRecord,
    InputRecord,
    SnapshotRecord,
    VersionRecord,
)
from lakepart.planning.definitions import still_the_same
from lakepart.planning.history import trace

if TYPE_CHECKING:
    import pandas as pd


def history_frame(context: LakeContext, view: View, asset: AssetRecord, partitions: PartitionSet) -> pd.DataFrame:
    """Give every version of the partitions that the view sees, newest first, by their keys of now.

    What was committed before the rows were repartitioned is in the history of a view of then.
    """
    import pandas as pd

    view.require_committed("history")
    with context.database.reading() as connection:
        view = view.look(connection)
        found = history(connection, asset.asset_id, partitions.ordinal_ranges(), view.branch)
        definitions = list_definitions(connection, asset.asset_id, view.branch, view.snapshot)
        inputs = inputs_of(connection, [version.version_id for version, _ in found])
        horizon = get_asset(connection, asset.asset_id).horizon
    if len(definitions) > 1:
        found = _of_these_partitions(asset, definitions, found)
    key_of = partitions.definition.key_of_ordinal if len(definitions) > 1 else None
    steps = trace([version for version, _ in found], view.branch, view.snapshot, horizon)
    found = [(version, snapshot) for version, snapshot in found if version.version_id in steps]
    traced = [steps[version.version_id] for version, _ in found]
    return pd.DataFrame(
        {
            "key": [version.key if key_of is None else key_of(version.ordinal) for version, _ in found],
            "snapshot": [version.began for version, _ in found],
            "ended": pd.array([step.ended for step in traced], dtype="Int64"),
            "at": pd.to_datetime([snapshot.at_us for _, snapshot in found], unit="us", utc=True),
            "operation": [snapshot.operation for _, snapshot in found],
            "author": [snapshot.author for _, snapshot in found],
            "message": [snapshot.message for _, snapshot in found],
            "rows": [version.row_count for version, _ in found],
            "bytes": [version.size_bytes for version, _ in found],
            "files": [version.file_count for version, _ in found],
            "rows_before": pd.array([step.rows_before for step in traced], dtype="Int64"),
            "bytes_before": pd.array([step.bytes_before for step in traced], dtype="Int64"),
            "code_version": [version.code_version for version, _ in found],
            "content": [None if version.content_id is None else version.content_id[:12] for version, _ in found],
            "inputs": [_lineage(inputs.get(version.version_id, ())) for version, _ in found],
            "metadata": [dict(snapshot.metadata) for _, snapshot in found],
        }
    )


def _lineage(inputs: Iterable[InputRecord]) -> dict[str, dict[str, Any]]:
    return {one.name: {"asset": one.asset, "partitions": one.selection, "snapshot": one.snapshot} for one in inputs}


def lake_history_frame(context: LakeContext, view: View, limit: int) -> pd.DataFrame:
    """Give what the newest ``limit`` commits that the view sees did to each asset, newest first."""
    import pandas as pd

    with context.database.reading() as connection:
        snapshots = {one.snapshot: one for one in _visible_snapshots(connection, view, after=-1, limit=limit)}
        sizes = commit_sizes(connection, min(snapshots, default=0))
    found = [(snapshots[one.snapshot], one) for one in sizes if one.snapshot in snapshots]
    return pd.DataFrame(
        {
            "snapshot": [snapshot.snapshot for snapshot, _ in found],
            "at": pd.to_datetime([snapshot.at_us for snapshot, _ in found], unit="us", utc=True),
            "operation": [snapshot.operation for snapshot, _ in found],
            "author": [snapshot.author for snapshot, _ in found],
            "message": [snapshot.message for snapshot, _ in found],
            "asset": [one.asset for _, one in found],
            "partitions": [one.partitions for _, one in found],
            "rows_before": [one.rows_before for _, one in found],
            "rows_after": [one.rows_after for _, one in found],
            "bytes_before": [one.bytes_before for _, one in found],
            "bytes_after": [one.bytes_after for _, one in found],
            "metadata": [dict(snapshot.metadata) for snapshot, _ in found],
        }
    )


def _of_these_partitions(
    asset: AssetRecord,
    definitions: Sequence[DefinitionRecord],
    found: list[tuple[VersionRecord, SnapshotRecord]],
) -> list[tuple[VersionRecord, SnapshotRecord]]:
    """Leave out versions whose ordinal stood for another partition when they were made."""
    began = np.array([version.began for version, _ in found], dtype=np.int64)
    kept = np.zeros(len(found), dtype=np.bool_)
    ordinals = np.array([version.ordinal for version, _ in found], dtype=np.int64)
    before = np.iinfo(np.int64).max
    for since, same in still_the_same(definitions, asset.keys, ordinals):
        kept |= same & (began >= since) & (began < before)
        before = since
    return [one for one, keep in zip(found, kept.tolist(), strict=True) if keep]


def snapshots_frame(context: LakeContext, view: View, *, after: int, limit: int | None) -> pd.DataFrame:
    """Give the commits that the view sees, newest first."""
    import pandas as pd

    with context.database.reading() as connection:
        found = _visible_snapshots(connection, view, after=after, limit=limit)
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


def _visible_snapshots(connection: Connection, view: View, *, after: int, limit: int | None) -> list[SnapshotRecord]:
    last = view.snapshot
    found = list_snapshots(
        connection, branch=view.look(connection).branch, after=after, limit=limit if last is None else None
    )
    return found if last is None else [snapshot for snapshot in found if snapshot.snapshot <= last][:limit]
