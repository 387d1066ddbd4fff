"""Status: what is there, what is missing, what is stale and why — one row per partition, from the catalog alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from lakepart.catalog.lookups import get_snapshot
from lakepart.catalog.reading import find_versions, find_work, tiers_of
from lakepart.engine.context import LakeContext, View
from lakepart.engine.judging import Judge
from lakepart.model.instants import from_microseconds
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord, VersionRecord
from lakepart.planning.staleness import Reason, StaleKind
from lakepart.planning.status import PartitionStatus

if TYPE_CHECKING:
    import pandas as pd


def as_of_now(context: LakeContext, view: View, as_of: datetime | None) -> datetime:
    """Give the instant that bounds what is expected: the caller's, a past view's own, or now."""
    if as_of is not None:
        return as_of
    if view.snapshot is None:
        return context.clock()
    with context.database.reading() as connection:
        return from_microseconds(get_snapshot(connection, view.snapshot).at_us)


def partition_statuses(
    context: LakeContext, view: View, asset: AssetRecord, partitions: PartitionSet, *, explicit: bool, as_of: datetime
) -> list[PartitionStatus]:
    """Judge every partition that was named, or that is committed or expected by ``as_of``, in order."""
    ranges = tuple(partitions.ordinal_ranges())
    with context.database.reading() as connection:
        scope = view.scope(asset)
        versions = find_versions(connection, scope, ranges)
        work = {found.ordinal: found for found in find_work(connection, asset.asset_id, view.branch.branch_id, ranges)}
        reasons = Judge(connection, view).judge(asset, versions, ranges)
        alone: dict[str, tuple[str, ...]] = {}  # one tuple for all partitions of a tier
        tiers: dict[int, tuple[str, ...]] = {}
        for ordinal, tier, _, _ in tiers_of(connection, scope, ranges):
            tiers[ordinal] = (*tiers[ordinal], tier) if ordinal in tiers else alone.setdefault(tier, (tier,))
    by_ordinal = {version.ordinal: version for version in versions}
    expected = partitions if explicit else partitions.elapsed(as_of)
    statuses = []
    for key, ordinal in _all_rows(expected, versions):
        version = by_ordinal.get(ordinal)
        given = tuple(reasons.get(ordinal, ()))
        worked = work.get(ordinal)
        if (
            worked is not None
            and worked.state == "failed"
            and version is not None
            and version.written_at_us > worked.at_us
        ):
            worked = None  # newer content has answered that failure
        statuses.append(
            PartitionStatus(
                key=key,
                ordinal=ordinal,
                data=_data_state(version, given),
                work=None if worked is None else worked.state,
                reasons=given,
                error=None if worked is None else worked.error,
                version=version,
                tiers=tiers.get(ordinal, ()),
            )
        )
    return statuses


def status_frame(statuses: Sequence[PartitionStatus]) -> pd.DataFrame:
    """Give statuses as a frame for people, one row per partition, in order."""
    import pandas as pd

    versions = [status.version for status in statuses]
    missing = np.array([version is None for version in versions], dtype=bool)
    rows, sizes, files, began, written = (
        np.array([_NOTHING if version is None else _integers(version) for version in versions], dtype=np.int64)
        .reshape(-1, len(_NOTHING))
        .T
    )
    columns: dict[str, Any] = {
        "key": [status.key for status in statuses],
        "state": [status.state for status in statuses],
        "data": [status.data for status in statuses],
        "work": [status.work for status in statuses],
        "reasons": ["; ".join(map(str, status.reasons)) if status.reasons else "" for status in statuses],
        "rows": pd.arrays.IntegerArray(rows.copy(), missing.copy()),
        "bytes": pd.arrays.IntegerArray(sizes.copy(), missing.copy()),
        "files": pd.arrays.IntegerArray(files.copy(), missing.copy()),
        "tier": ["+".join(status.tiers) for status in statuses],
        "snapshot": pd.arrays.IntegerArray(began.copy(), missing.copy()),
        "written_at": pd.DatetimeIndex(np.where(missing, np.iinfo(np.int64).min, written).view("M8[us]"), tz="UTC"),
        "code_version": [None if version is None else version.code_version for version in versions],
        "error": [status.error for status in statuses],
    }
    return pd.DataFrame(columns)


def _all_rows(expected: PartitionSet, versions: Iterable[VersionRecord]) -> list[tuple[str, int]]:
    rows = dict(zip(expected.ordinals.tolist(), expected.keys, strict=True))
    rows |= {version.ordinal: version.key for version in versions}
    return [(key, ordinal) for ordinal, key in sorted(rows.items())]


def _data_state(version: VersionRecord | None, reasons: Sequence[Reason]) -> str:
    if version is None:
        return "missing"
    if reasons and any(reason.kind is not StaleKind.UPSTREAM for reason in reasons):
        return "stale"
    return "empty" if version.row_count == 0 else "fresh"


_integers = attrgetter("row_count", "size_bytes", "file_count", "began", "written_at_us")
_NOTHING = (0, 0, 0, 0, 0)
