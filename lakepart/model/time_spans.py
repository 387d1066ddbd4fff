"""Time that partitions cover, and partitions that share time with it, by arithmetic on positions.

Positions here may lie outside the universe, before its first window or after its last: offsets and the keys of
partitions that do not exist need them. Spans are half-open, in UTC microseconds, one a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lakepart.model.intervals import IntegerArray, Intervals, Range
from lakepart.model.mapping_base import KeyRun
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.zones import DAY_US, FIRST_YEAR, LAST_YEAR, start_of_year_us

Spans = npt.NDArray[np.int64]

# No partition lies beyond these; a day on either side leaves room for zones.
_EARLIEST_US = start_of_year_us(FIRST_YEAR + 1) - DAY_US
_LATEST_US = start_of_year_us(LAST_YEAR + 1) + DAY_US


def spans_of(partitions: PartitionSet, start_offset: int = 0, end_offset: int = 0) -> Spans:
    """Give the time that partitions cover, each from the start of its window to its end.

    With offsets, the start is that of the window ``start_offset`` further, the end that of the one ``end_offset``
    further. The time of excluded windows between two belongs to a span only where both windows are of one partition's.

    Notes
    -----
    Costs a time in the number of runs in a row; in the number of partitions, vectorised, where windows are excluded.
    """
    definition = _time(partitions)
    runs: IntegerArray = np.array(partitions.intervals.ranges, dtype=np.int64).reshape(-1, 2)
    first, last = runs[:, 0] + start_offset, runs[:, 1] - 1 + end_offset
    if start_offset == end_offset and definition.exclude:  # with other offsets, the spans of neighbours overlap
        first = last = partitions.positions + start_offset
    starts, ends = definition.ordinals_at(first), definition.window_ends_of(definition.ordinals_at(last))
    spans = np.clip(np.stack((starts, ends), axis=1), _EARLIEST_US, _LATEST_US)
    return spans[spans[:, 0] < spans[:, 1]]


def positions_sharing(definition: TimeDefinition, spans: Spans) -> list[Range]:
    """Give the positions, in the universe or not, of the windows that share time with each span; maybe none."""
    first = definition.positions_at(spans[:, 0])
    first = first + (definition.window_ends_of(definition.ordinals_at(first)) <= spans[:, 0])
    stop = np.maximum(first, definition.positions_at(spans[:, 1] - 1) + 1)
    return list(zip(first.tolist(), stop.tolist(), strict=True))


def sharing(definition: TimeDefinition, spans: Spans) -> tuple[PartitionSet, tuple[KeyRun, ...]]:
    """Give the partitions whose windows share time with any of the spans, and the runs of keys that do not exist."""
    found = Intervals.of(positions_sharing(definition, spans))
    count = len(definition.universe)
    outside = found.clip(found.first, 0) if found and found.first < 0 else Intervals()
    if found and found.last >= count and definition.end is not None:
        outside |= found.clip(count, found.last + 1)
    return PartitionSet(definition, found & definition.universe), _keys_of(definition, outside.ranges)


def _keys_of(definition: TimeDefinition, runs: Sequence[Range]) -> tuple[KeyRun, ...]:
    bounds: IntegerArray = np.array(runs, dtype=np.int64).reshape(-1, 2)
    return tuple(zip(definition.keys_at(bounds[:, 0]), definition.keys_at(bounds[:, 1] - 1), strict=True))


def _time(partitions: PartitionSet) -> TimeDefinition:
    definition = partitions.definition
    if not isinstance(definition, TimeDefinition):
        raise AssertionError(f"{definition!r} has no windows")
    return definition
