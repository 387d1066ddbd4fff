"""Status: what is there, what is missing, what is stale and why — one row per partition, from the catalog alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from lakepart.catalog.lookups import get_snapshot
from lakepart.catalog.reading import find_version_columns, find_work, tiers_of
from lakepart.engine.context import LakeContext, View
from lakepart.engine.judging import Judge
from lakepart.model.instants import from_microseconds
from lakepart.model.intervals import IntegerArray
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord, VersionRecord
from lakepart.planning.status import PartitionStatus, Statuses, gather_statuses

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = (
    "key",
    "ordinal",
    "row_count",
    "size_bytes",
    "file_count",
    "began",
    "code_version",
    "written_at_us",
    "stale_mark",
)


def as_of_now(context: LakeContext, view: View, as_of: datetime | None) -> datetime:
    """Give the instant that bounds what is expected: the caller's, a past view's own, or now."""
    if as_of is not None:
        return as_of
    if view.snapshot is None:
        return context.clock()
    with context.database.reading() as connection:
        return from_microseconds(get_snapshot(connection, view.snapshot).at_us)


def committed_partitions(
    context: LakeContext, view: View, asset: AssetRecord, partitions: PartitionSet
) -> PartitionSet:
    """Keep the partitions that are there."""
    ranges = partitions.ordinal_ranges()
    with context.database.reading() as connection:
        view = view.look(connection)
        scope = view.scope(asset)
        found = find_version_columns(connection, scope, ranges, ("ordinal",))["ordinal"]
        if view.transaction is not None:
            view.transaction.note_read(asset.asset_id, ranges)
            own = view.transaction.versions(connection, scope, ranges)
            found = sorted({at for at in (*found, *own) if at not in own or own[at] is not None})
    return PartitionSet.from_ordinals(partitions.definition, found)


def read_statuses(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    partitions: PartitionSet,
    *,
    explicit: bool,
    as_of: datetime,
    columns: Sequence[str] = _SHOWN,
) -> Statuses:
    """Judge every partition that was named, or that is committed or expected by ``as_of``, in order."""
    view.require_committed("status")
    ranges = tuple(partitions.ordinal_ranges())
    with context.database.reading() as connection:
        view = view.look(connection)
        scope = view.scope(asset)
        versions = find_version_columns(connection, scope, ranges, columns)
        work = find_work(connection, asset.asset_id, view.branch.branch_id, ranges)
        reasons = Judge(connection, view, as_of).judge(asset, versions, ranges)
        tiers = tiers_of(connection, scope, ranges)
    return gather_statuses(partitions if explicit else partitions.expected(as_of), versions, reasons, work, tiers)


def partition_statuses(
    context: LakeContext, view: View, asset: AssetRecord, partitions: PartitionSet, *, explicit: bool, as_of: datetime
) -> list[PartitionStatus]:
    """Give the same as objects that hold the whole version: for who looks at every partition anyway."""
    every = tuple(field.name for field in fields(VersionRecord))
    return read_statuses(context, view, asset, partitions, explicit=explicit, as_of=as_of, columns=every).to_objects()


def status_frame(statuses: Statuses) -> pd.DataFrame:
    """Give statuses as a frame for people, one row per partition, in order."""
    import pandas as pd

    versions, rows = statuses.versions, statuses.rows
    missing = np.full(len(statuses), fill_value=True)
    missing[rows] = False

    def integers(name: str) -> IntegerArray:
        values = np.zeros(len(statuses), dtype=np.int64)
        values[rows] = versions[name]
        return values

    def figures(name: str) -> Any:
        return pd.arrays.IntegerArray(integers(name), missing.copy())

    reasons = np.full(len(statuses), "", dtype=object)
    for row, given in statuses.reasons.items():
        reasons[row] = "; ".join(map(str, given))
    code_versions = np.full(len(statuses), None, dtype=object)
    code_versions[rows] = versions["code_version"]
    written_at_us = np.where(missing, np.iinfo(np.int64).min, integers("written_at_us"))
    tiers = {names: "+".join(names) for names in set(statuses.tiers)}
    columns: dict[str, Any] = {
        "key": statuses.keys,
        "state": statuses.states,
        "data": statuses.data,
        "work": statuses.work,
        "reasons": reasons,
        "rows": figures("row_count"),
        "bytes": figures("size_bytes"),
        "files": figures("file_count"),
        "tier": [tiers[names] for names in statuses.tiers],
        "snapshot": figures("began"),
        "written_at": pd.DatetimeIndex(written_at_us.view("M8[us]"), tz="UTC"),
        "code_version": code_versions,
        "error": statuses.errors,
    }
    return pd.DataFrame(columns)
