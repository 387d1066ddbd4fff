"""From cells of several dimensions to ranges of the integers that they are packed into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as combinations

import numpy as np

from lakepart.model.cells import Box, Cells, boxes, product
from lakepart.model.definition_base import OneDimensional
from lakepart.model.intervals import Intervals
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.packing import Packing


def packed_ranges(packing: Packing, dimensions: Sequence[OneDimensional], cells: Cells) -> Iterator[OrdinalRange]:
    """Give ranges of ordinals that hold these cells and no other, each cell in one of them.

    Rows that are whole in the inner dimensions are one range. A single row is ranges of its own; several equal ones are
    a range of all that lies between them, with conditions on the inner dimensions.
    """
    return _Ranges(packing, dimensions, packing.shifts, packing.masks).of(cells, 0, 0)


@dataclass(frozen=True, slots=True)
class _Ranges:
    packing: Packing
    dimensions: Sequence[OneDimensional]
    shifts: Sequence[int]
    masks: Sequence[int]

    def of(self, cells: Cells, depth: int, prefix: int) -> Iterator[OrdinalRange]:
        """Give the ranges of cells of the dimensions from ``depth`` on, whose ordinals begin with ``prefix``."""
        if isinstance(cells, Intervals):
            for start, stop in cells.ranges:
                yield tuple(prefix + end for end in self._numbers(depth, start, stop))
            return
        inner = product([one.universe for one in self.dimensions[depth + 1 :]])
        shift = self.shifts[depth]
        for start, stop, row in cells.runs:
            first, last = (prefix + (number << shift) for number in self._numbers(depth, start, stop))
            if row == inner:
                yield first, last + (1 << shift) - 1
            elif stop - start == 1:
                yield from self.of(row, depth + 1, first)
            else:
                for box in boxes(row):
                    yield from self._under_conditions(box, depth + 1, first, last)

    def _under_conditions(self, box: Box, depth: int, first: int, last: int) -> Iterator[OrdinalRange]:
        """Give, for each run of a box, the rows from ``first`` to ``last`` under conditions on the inner dimensions."""
        for ranges in combinations(*(intervals.ranges for intervals in box)):
            low, high = first, last
            conditions: list[int] = []
            for at, (start, stop) in enumerate(ranges, depth):
                shift, mask = self.shifts[at], self.masks[at]
                if (start, stop) == self.dimensions[at].universe.ranges[0]:
                    high += mask << shift
                    continue
                least, greatest = self._numbers(at, start, stop)
                low, high = low + (least << shift), high + (greatest << shift)
                conditions += [shift, mask, least, greatest]
            yield (low, high, *conditions)

    def _numbers(self, depth: int, start: int, stop: int) -> tuple[int, int]:
        ends = np.array([start, stop - 1], dtype=np.int64)
        least, greatest = self.packing.digits[depth].numbers_of(self.dimensions[depth], ends).tolist()
        return least, greatest
