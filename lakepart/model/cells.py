"""Sets of cells of a grid: for one dimension plain intervals, for several the intervals of each row.

A row is what a set holds at one coordinate of the first dimension. Neighbouring coordinates with equal rows are kept as
one run, so a rectangle costs as much as its edges, and equal sets have equal runs. Nothing here lists cells unless it
says so.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, TypeAlias

import numpy as np

from lakepart.errors import InvalidInputError
from lakepart.model.intervals import IntegerArray, Intervals, Range

CELLS_AT_A_TIME = 4096

Box: TypeAlias = tuple[Intervals, ...]
Run: TypeAlias = "tuple[int, int, Cells]"
Cells: TypeAlias = "Intervals | Rows"


@dataclass(frozen=True, slots=True)
class Rows:
    """Cells of a grid of two or more dimensions.

    Every operation costs a time in the number of runs, never in the number of cells.

    Parameters
    ----------
    runs
        ``(start, stop, row)``: at the coordinates from ``start`` to ``stop`` (excluded) of the first dimension, the
        cells ``row`` of the others. In order, none empty, neighbours that touch different: :meth:`of` sees to it.

    Examples
    --------
    >>> left, right = (product([Intervals(((0, 9),)), Intervals((one,))]) for one in ((0, 2), (1, 5)))
    >>> (left | right).runs
    ((0, 9, Intervals(ranges=((0, 5),))),)
    >>> len(left & right)
    9
    """

    runs: tuple[Run, ...] = ()

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Rows:
        """Join runs that come in order: empty ones go, and neighbours with equal rows become one."""
        joined: list[Run] = []
        for start, stop, row in runs:
            if not row:
                continue
            if joined and joined[-1][1] == start and (joined[-1][2] is row or joined[-1][2] == row):
                joined[-1] = (joined[-1][0], stop, joined[-1][2])
            else:
                joined.append((start, stop, row))
        return cls(tuple(joined))

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __len__(self) -> int:
        return sum((stop - start) * len(row) for start, stop, row in self.runs)

    def __and__(self, other: Rows) -> Rows:
        return self._combined(other, operator.and_, keep_left=False, keep_right=False)

    def __or__(self, other: Rows) -> Rows:
        return self._combined(other, operator.or_, keep_left=True, keep_right=True)

    def __sub__(self, other: Rows) -> Rows:
        return self._combined(other, operator.sub, keep_left=True, keep_right=False)

    def row_at(self, coordinate: int) -> Cells | None:
        """Give the cells at a coordinate of the first dimension; None where there are none."""
        low, high = 0, len(self.runs)
        while low < high:
            middle = (low + high) // 2
            start, stop, row = self.runs[middle]
            if coordinate < start:
                high = middle
            elif coordinate >= stop:
                low = middle + 1
            else:
                return row
        return None

    def _combined(
        self, other: Rows, combine: Callable[[Any, Any], Cells], *, keep_left: bool, keep_right: bool
    ) -> Rows:
        known: dict[tuple[int, int], Cells] = {}  # by identity: runs far apart share their rows

        def parts() -> Iterator[Run]:
            for start, stop, left, right in _side_by_side(self.runs, other.runs):
                if left is None or right is None:
                    row = left if left is not None else right
                    if row is not None and (keep_left if right is None else keep_right):
                        yield start, stop, row
                    continue
                pair = (id(left), id(right))
                if pair not in known:
                    known[pair] = combine(left, right)
                yield start, stop, known[pair]

        return Rows.of(parts())


def product(box: Sequence[Intervals]) -> Cells:
    """Give the cells whose every coordinate lies in the intervals of its dimension."""
    cells: Cells = box[-1]
    for intervals in reversed(box[:-1]):
        cells = Rows.of((start, stop, cells) for start, stop in intervals.ranges)
    return cells


def boxes(cells: Cells) -> Iterator[Box]:
    """Cut cells into disjoint boxes, the same for equal sets: coordinates with equal rows belong to one box."""
    if isinstance(cells, Intervals):
        if cells:
            yield (cells,)
        return
    by_row: dict[Cells, list[Range]] = {}
    for start, stop, row in cells.runs:
        by_row.setdefault(row, []).append((start, stop))
    for row, ranges in by_row.items():
        outer = Intervals.of(ranges)
        for inner in boxes(row):
            yield (outer, *inner)


def union(several: Sequence[Cells]) -> Cells:
    """Unite one or more sets, two by two, so that each is gone through a few times only."""
    while len(several) > 1:
        several = [
            operator.or_(several[at], several[at + 1]) if at + 1 < len(several) else several[at]
            for at in range(0, len(several), 2)
        ]
    return several[0]


def contains(cells: Cells, position: int, sizes: Sequence[int]) -> bool:
    """Answer whether the cell at a row-major position is a member."""
    if isinstance(cells, Intervals):
        return position in cells
    coordinate, rest = divmod(position, prod(sizes[1:]))
    row = cells.row_at(coordinate)
    return row is not None and contains(row, rest, sizes[1:])


def at_positions(positions: Intervals, sizes: Sequence[int]) -> Cells:
    """Give the cells at row-major positions of a grid of these sizes."""
    if len(sizes) == 1:
        return positions
    width = prod(sizes[1:])
    pieces: list[tuple[int, int, Range]] = []
    for start, stop in positions.ranges:
        (first, from_column), (last, to_column) = divmod(start, width), divmod(stop, width)
        if first == last:
            pieces.append((first, first + 1, (from_column, to_column)))
            continue
        if from_column:
            pieces.append((first, first + 1, (from_column, width)))
            first += 1
        if first < last:
            pieces.append((first, last, (0, width)))
        if to_column:
            pieces.append((last, last + 1, (0, to_column)))
    return Rows.of(_gathered(pieces, sizes[1:]))


def chunks_of_positions(cells: Cells, sizes: Sequence[int], *, newest_first: bool = False) -> Iterator[IntegerArray]:
    """List row-major positions in order, some thousands at a time; ``newest_first`` from the last to the first."""
    if isinstance(cells, Intervals):
        for start, stop in reversed(cells.ranges) if newest_first else cells.ranges:
            found = range(start, stop, CELLS_AT_A_TIME)
            for at in reversed(found) if newest_first else found:
                chunk = np.arange(at, min(at + CELLS_AT_A_TIME, stop), dtype=np.int64)
                yield chunk[::-1] if newest_first else chunk
        return
    width = prod(sizes[1:])
    for start, stop, row in reversed(cells.runs) if newest_first else cells.runs:
        count = len(row)
        if count > CELLS_AT_A_TIME:
            for coordinate in reversed(range(start, stop)) if newest_first else range(start, stop):
                for chunk in chunks_of_positions(row, sizes[1:], newest_first=newest_first):
                    yield chunk + coordinate * width
            continue
        inner = np.concatenate(list(chunks_of_positions(row, sizes[1:])))
        found = range(start, stop, CELLS_AT_A_TIME // count)
        for at in reversed(found) if newest_first else found:
            outer = np.arange(at, min(at + found.step, stop), dtype=np.int64) * width
            chunk = np.add.outer(outer, inner).ravel()
            yield chunk[::-1] if newest_first else chunk


def take(cells: Cells, count: int) -> tuple[Cells, Cells]:
    """Give the first ``count`` cells in order, and the others."""
    first = next(parts(cells, (count,)))
    return first, operator.sub(cells, first)


def tail(cells: Cells, count: int) -> Cells:
    """Give the last ``count`` cells in order."""
    return cells.tail(count) if isinstance(cells, Intervals) else take(cells, max(len(cells) - count, 0))[1]


def parts(cells: Cells, counts: Iterable[int]) -> Iterator[Cells]:
    """Cut cells in order into parts of so many each; what is left after the last count is not given."""
    if isinstance(cells, Intervals):
        yield from _parts_of_intervals(cells, counts)
    else:
        yield from _parts_of_rows(cells, counts)


def first_position(cells: Cells, sizes: Sequence[int]) -> int:
    """Give the row-major position of the first cell.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    return _end_position(cells, sizes, at=0)


def last_position(cells: Cells, sizes: Sequence[int]) -> int:
    """Give the row-major position of the last cell.

    Raises
    ------
    InvalidInputError
        There is none.
    """
    return _end_position(cells, sizes, at=-1)


def _end_position(cells: Cells, sizes: Sequence[int], *, at: int) -> int:
    if isinstance(cells, Intervals):
        return cells.first if at == 0 else cells.last
    if not cells:
        raise InvalidInputError("An empty set of cells has no first or last member.")
    start, stop, row = cells.runs[at]
    return (start if at == 0 else stop - 1) * prod(sizes[1:]) + _end_position(row, sizes[1:], at=at)


def _parts_of_intervals(cells: Intervals, counts: Iterable[int]) -> Iterator[Intervals]:
    left = list(reversed(cells.ranges))
    for count in counts:
        taken: list[Range] = []
        while count and left:
            start, stop = left.pop()
            middle = min(start + count, stop)
            taken.append((start, middle))
            count -= middle - start  # noqa: PLW2901 - what is still to be taken
            if middle < stop:
                left.append((middle, stop))
        yield Intervals(tuple(taken))


def _parts_of_rows(cells: Rows, counts: Iterable[int]) -> Iterator[Rows]:
    left = list(reversed(cells.runs))
    for count in counts:
        taken: list[Run] = []
        while count and left:
            start, stop, row = left.pop()
            size = len(row)
            middle = min(start + count // size, stop)
            if middle == start:
                head, rest = take(row, count)
                taken.append((start, start + 1, head))
                count = 0  # noqa: PLW2901
                if start + 1 < stop:
                    left.append((start + 1, stop, row))
                left.append((start, start + 1, rest))
                continue
            taken.append((start, middle, row))
            count -= (middle - start) * size  # noqa: PLW2901
            if middle < stop:
                left.append((middle, stop, row))
        yield Rows.of(taken)


def _gathered(pieces: Sequence[tuple[int, int, Range]], sizes: Sequence[int]) -> Iterator[Run]:
    """Make one row of all pieces at the same coordinate; pieces come in order."""
    known: dict[tuple[Range, ...], Cells] = {}

    def row_of(ranges: tuple[Range, ...]) -> Cells:
        if ranges not in known:
            known[ranges] = at_positions(Intervals(ranges), sizes)
        return known[ranges]

    at = 0
    while at < len(pieces):
        start, stop, _ = pieces[at]
        end = at + 1
        while end < len(pieces) and pieces[end][0] == start:
            end += 1
        yield start, stop, row_of(tuple(piece[2] for piece in pieces[at:end]))
        at = end


def _side_by_side(left: Sequence[Run], right: Sequence[Run]) -> Iterator[tuple[int, int, Cells | None, Cells | None]]:
    """Cut two sequences of runs at each other's ends."""
    ends = sorted({end for start, stop, _ in (*left, *right) for end in (start, stop)})
    at_left = at_right = 0
    for start, stop in pairwise(ends):
        while at_left < len(left) and left[at_left][1] <= start:
            at_left += 1
        while at_right < len(right) and right[at_right][1] <= start:
            at_right += 1
        yield (
            start,
            stop,
            left[at_left][2] if at_left < len(left) and left[at_left][0] <= start else None,
            right[at_right][2] if at_right < len(right) and right[at_right][0] <= start else None,
        )
