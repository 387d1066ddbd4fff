"""Sets of integers kept as ranges, so that 100,000 positions in a row cost as much as one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lakepart.errors import InvalidInputError

Range = tuple[int, int]
IntegerArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Intervals:
    """A set of integers as sorted half-open ranges that neither overlap nor touch.

    Every operation costs a time in the number of ranges, never in the number of integers; only iterating does.

    Parameters
    ----------
    ranges
        Half-open ``(start, stop)`` pairs in canonical form; :meth:`of` brings any pairs into it.

    Examples
    --------
    >>> Intervals.of([(0, 5), (3, 8)]) - Intervals.of([(4, 5)])
    Intervals(ranges=((0, 4), (5, 8)))
    >>> len(Intervals.of([(0, 1_000_000)]))
    1000000
    """

    ranges: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        previous: int | None = None
        for start, stop in self.ranges:
            if start >= stop or (previous is not None and start <= previous):
                raise InvalidInputError(
                    f"Ranges {self.ranges!r} are not in order: each must be non-empty and begin after the one before.",
                    hint="Intervals.of(ranges) accepts ranges in any order.",
                )
            previous = stop

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> Intervals:
        """Unite ranges given in any order, overlapping, touching or empty."""
        merged: list[Range] = []
        for start, stop in sorted(one for one in ranges if one[0] < one[1]):
            if merged and start <= merged[-1][1]:
                if stop > merged[-1][1]:
                    merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        return cls(tuple(merged))

    @classmethod
    def from_positions(cls, positions: IntegerArray | Iterable[int]) -> Intervals:
        """Collect single integers, in any order and repeated or not."""
        given = positions if isinstance(positions, np.ndarray) else np.fromiter(positions, dtype=np.int64)
        if not given.size:
            return cls()
        unique = np.unique(given)
        breaks = np.flatnonzero(np.diff(unique) != 1)
        starts = unique[np.concatenate(([0], breaks + 1))].tolist()
        stops = (unique[np.concatenate((breaks, [unique.size - 1]))] + 1).tolist()
        return cls(tuple(zip(starts, stops, strict=True)))

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self.ranges)

    def __iter__(self) -> Iterator[int]:
        for start, stop in self.ranges:
            yield from range(start, stop)

    def __reversed__(self) -> Iterator[int]:
        for start, stop in reversed(self.ranges):
            yield from range(stop - 1, start - 1, -1)

    def __contains__(self, position: object) -> bool:
        if not isinstance(position, int):
            return False
        index = bisect_right(self.ranges, position, key=_start_of) - 1
        return index >= 0 and position < self.ranges[index][1]

    def __or__(self, other: Intervals) -> Intervals:
        return Intervals.of((*self.ranges, *other.ranges))

    def __and__(self, other: Intervals) -> Intervals:
        common: list[Range] = []
        left, right = 0, 0
        while left < len(self.ranges) and right < len(other.ranges):
            start = max(self.ranges[left][0], other.ranges[right][0])
            stop = min(self.ranges[left][1], other.ranges[right][1])
            if start < stop:
                common.append((start, stop))
            if self.ranges[left][1] < other.ranges[right][1]:
                left += 1
            else:
                right += 1
        return Intervals(tuple(common))

    def __sub__(self, other: Intervals) -> Intervals:
        kept: list[Range] = []
        holes, first = other.ranges, 0
        for start, stop in self.ranges:
            at = start
            while first < len(holes) and holes[first][1] <= at:
                first += 1
            index = first
            while index < len(holes) and holes[index][0] < stop:
                if at < holes[index][0]:
                    kept.append((at, holes[index][0]))
                at = holes[index][1]
                index += 1
            if at < stop:
                kept.append((at, stop))
        return Intervals(tuple(kept))

    @property
    def first(self) -> int:
        """The smallest member.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self._range_at(0)[0]

    @property
    def last(self) -> int:
        """The greatest member.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self._range_at(-1)[1] - 1

    def clip(self, start: int, stop: int) -> Intervals:
        """Keep the members from ``start`` to ``stop`` (excluded)."""
        return self & Intervals.of([(start, stop)])

    def tail(self, count: int) -> Intervals:
        """Keep the ``count`` greatest members."""
        kept: list[Range] = []
        for start, stop in reversed(self.ranges):
            if count <= 0:
                break
            kept.append((max(start, stop - count), stop))
            count -= stop - start
        return Intervals(tuple(reversed(kept)))

    def contains_each(self, positions: IntegerArray) -> npt.NDArray[np.bool_]:
        """Answer for every element of an array whether it is a member; vectorised."""
        if not self.ranges:
            return np.zeros(positions.shape, dtype=np.bool_)
        if len(self.ranges) == 1:
            start, stop = self.ranges[0]
            return (positions >= start) & (positions < stop)
        # Bounds in a row (start, stop, start, ...): a member lies after an odd number of them.
        bounds = np.array(self.ranges, dtype=np.int64).ravel()
        inside: npt.NDArray[np.bool_] = np.searchsorted(bounds, positions, side="right") % 2 == 1
        return inside

    def to_array(self) -> IntegerArray:
        """Give all members, ascending, as an array: as long as the set is."""
        if not self.ranges:
            return np.empty(0, dtype=np.int64)
        return np.concatenate([np.arange(start, stop, dtype=np.int64) for start, stop in self.ranges])

    def _range_at(self, index: int) -> Range:
        if not self.ranges:
            raise InvalidInputError("An empty set of positions has no first or last member.")
        return self.ranges[index]


def _start_of(one: Range) -> int:
    return one[0]
