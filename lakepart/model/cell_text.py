"""The written form of partitions of one definition, with its keys."""

from __future__ import annotations

import numpy as np

from lakepart.errors import InvalidInputError
from lakepart.model.cells import Cells, Rows, boxes, product, union
from lakepart.model.definition_base import OneDimensional, PartitionsDefinition
from lakepart.model.intervals import Intervals, Range
from lakepart.model.set_text import OPEN_END, Runs, format_boxes, format_runs, parse_boxes, parse_runs


def write_cells(definition: PartitionsDefinition, cells: Cells) -> str:
    """Write partitions, equal ones always the same: ``"*"`` for everything, ``""`` for nothing."""
    if cells == definition.everything:
        return "*"
    if isinstance(cells, Intervals):
        return format_runs(_runs_of(definition.dimensions[0], cells))
    return format_boxes(
        [
            None if part == one.universe else _runs_of(one, part)
            for one, part in zip(definition.dimensions, box, strict=True)
        ]
        for box in boxes(cells)
    )


def read_cells(definition: PartitionsDefinition, text: str) -> Cells:
    """Read what :func:`write_cells` wrote.

    Raises
    ------
    PartitionKeyError
        A key names no partition.
    InvalidInputError
        The text has another form.
    """
    if text == "*":
        return definition.everything
    if isinstance(definition, OneDimensional):
        return _read_runs(definition, parse_runs(text))
    found = [
        product([_read_runs(one, runs) for one, runs in zip(definition.dimensions, box, strict=True)])
        for box in parse_boxes(text, len(definition.dimensions))
    ]
    return union(found) if found else Rows()


def _runs_of(dimension: OneDimensional, intervals: Intervals) -> Runs:
    """Give the first and last key of each run; the last is the open end where it has none yet."""
    bounds = np.array(intervals.ranges, dtype=np.int64).reshape(-1, 2)
    is_open = bool(intervals) and dimension.open_end_of(intervals)
    lasts = bounds[:, 1] - 1
    named = dimension.keys_at(lasts[:-1] if is_open else lasts)
    return list(zip(dimension.keys_at(bounds[:, 0]), [*named, OPEN_END] if is_open else named, strict=True))


def _read_runs(dimension: OneDimensional, runs: Runs | None) -> Intervals:
    if runs is None:
        return dimension.universe
    ranges: list[Range] = []
    for first, last in runs:
        start = dimension.position_of(first)
        end = dimension.universe.last if last is OPEN_END else start if first == last else dimension.position_of(last)
        if start > end:
            raise InvalidInputError(f"The range {first!r}..{last!r} is reversed: {last!r} comes first.")
        ranges.append((start, end + 1))
    return Intervals.of(ranges)
