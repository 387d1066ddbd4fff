"""Sets of partitions of one definition: what a selection holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.intervals import IntegerArray, Intervals, Range
from lakepart.model.set_text import format_runs, parse_runs
from lakepart.model.windows import Window

_KEYS_AT_A_TIME = 4096


@dataclass(frozen=True, slots=True, repr=False)
class PartitionSet:
    """Some partitions of one definition, in its order. Holds ranges, so a million in a row cost as much as one.

    Parameters
    ----------
    definition
        What the partitions are partitions of.
    intervals
        Their positions, all within the definition's universe.

    Raises
    ------
    InvalidInputError
        A position outside the universe.

    Examples
    --------
    >>> from lakepart.model.definitions import Daily
    >>> january = PartitionSet.parse(Daily("2013-01-01"), "2013-01-01..2013-01-31")
    >>> len(january), "2013-01-05" in january, january.last(2).to_text()
    (31, True, '2013-01-30..2013-01-31')
    """

    definition: PartitionsDefinition
    intervals: Intervals

    def __post_init__(self) -> None:
        outside = self.intervals - self.definition.universe
        if outside:
            raise InvalidInputError(
                f"Position {outside.first} is no partition of {self.definition!r}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"positions": len(outside)},
            )

    @classmethod
    def everything(cls, definition: PartitionsDefinition) -> PartitionSet:
        """All partitions of a definition; time without an end reaches to the end of the year 9998."""
        return cls(definition, definition.universe)

    @classmethod
    def empty(cls, definition: PartitionsDefinition) -> PartitionSet:
        """No partition of a definition."""
        return cls(definition, Intervals())

    @classmethod
    def from_keys(cls, definition: PartitionsDefinition, keys: Iterable[str]) -> PartitionSet:
        """Collect keys, in any order.

        Raises
        ------
        PartitionKeyError
            A key names no partition.
        """
        return cls(definition, Intervals.from_positions([definition.position_of(key) for key in keys]))

    @classmethod
    def from_ordinals(cls, definition: PartitionsDefinition, ordinals: Iterable[int] | IntegerArray) -> PartitionSet:
        """Collect partitions by the ordinals the catalog keeps, in any order; vectorised.

        Raises
        ------
        InvalidInputError
            An ordinal of no partition.
        """
        given = ordinals if isinstance(ordinals, np.ndarray) else np.fromiter(ordinals, dtype=np.int64)
        return cls(definition, Intervals.from_positions(definition.positions_at(given)))

    @classmethod
    def parse(cls, definition: PartitionsDefinition, text: str) -> PartitionSet:
        """Read the form that :meth:`to_text` writes.

        Raises
        ------
        PartitionKeyError
            A key names no partition.
        InvalidInputError
            The text has another form.
        """
        if text == "*":
            return cls.everything(definition)
        ranges = []
        for first, last in parse_runs(text):
            start = definition.position_of(first)
            stop = start + 1 if first == last else definition.position_of(last) + 1
            if start >= stop:
                raise InvalidInputError(f"The range {first!r}..{last!r} is reversed: {last!r} comes first.")
            ranges.append((start, stop))
        return cls(definition, Intervals.of(ranges) & definition.universe)

    def to_text(self) -> str:
        """Write the set as ``"2013-01-01..2013-03-31,2013-05-02"``; ``"*"`` for everything, ``""`` for nothing."""
        if self.intervals == self.definition.universe:
            return "*"
        firsts, lasts = self._ends_of_runs()
        return format_runs(zip(self.definition.keys_at(firsts), self.definition.keys_at(lasts), strict=True))

    def __and__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, self.intervals & self._same(other).intervals)

    def __or__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, self.intervals | self._same(other).intervals)

    def __sub__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, self.intervals - self._same(other).intervals)

    def __invert__(self) -> PartitionSet:
        return PartitionSet(self.definition, self.definition.universe - self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def __bool__(self) -> bool:
        return bool(self.intervals)

    def __iter__(self) -> Iterator[str]:
        for start, stop in self.intervals.ranges:
            for at in range(start, stop, _KEYS_AT_A_TIME):
                yield from self.definition.keys_at(
                    np.arange(at, min(at + _KEYS_AT_A_TIME, stop), dtype=np.int64),
                )

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        try:
            return self.definition.position_of(key) in self.intervals
        except PartitionKeyError:
            return False

    def __repr__(self) -> str:
        return f"<PartitionSet: {len(self):,} of {self.definition!r}>"

    @property
    def keys(self) -> list[str]:
        """All keys, in the definition's order."""
        return self.definition.keys_at(self.intervals.to_array())

    @property
    def positions(self) -> IntegerArray:
        """All positions, ascending."""
        return self.intervals.to_array()

    @property
    def ordinals(self) -> IntegerArray:
        """All ordinals, ascending."""
        return self.definition.ordinals_at(self.intervals.to_array())

    @property
    def first_key(self) -> str:
        """The first key in order.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self._key(self.intervals.first)

    @property
    def last_key(self) -> str:
        """The last key in order.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self._key(self.intervals.last)

    def windows(self) -> Iterator[Window | None]:
        """Give the window of each partition in order; None for each where partitions are not cut by time."""
        return map(self.definition.window_at, self.intervals)

    def ordinal_ranges(self) -> list[Range]:
        """Give the fewest ranges of ordinals, both ends included, that hold these partitions and no other."""
        firsts, lasts = self._ends_of_runs()
        low, high = self.definition.ordinals_at(firsts).tolist(), self.definition.ordinals_at(lasts).tolist()
        return list(zip(low, high, strict=True))

    def key_of_ordinal(self, ordinal: int) -> str:
        """Give the key of an ordinal.

        Raises
        ------
        InvalidInputError
            No partition of the definition has this ordinal.
        """
        return self.definition.key_of_ordinal(ordinal)

    def contains_ordinal(self, ordinal: int) -> bool:
        """Answer whether the partition with this ordinal is a member."""
        try:
            return self.definition.position_at(ordinal) in self.intervals
        except InvalidInputError:
            return False

    def elapsed(self, as_of: datetime) -> PartitionSet:
        """Keep the partitions whose windows ended at or before ``as_of``; all where there are no windows."""
        return PartitionSet(self.definition, self.intervals & self.definition.elapsed(as_of))

    def between(self, start: datetime, end: datetime) -> PartitionSet:
        """Keep the partitions whose windows start at or after ``start`` and before ``end``.

        Raises
        ------
        InvalidInputError
            Partitions are not cut by time, an instant is naive, or ``start`` is after ``end``.
        """
        return PartitionSet(self.definition, self.intervals & self.definition.starting_in(start, end))

    def last(self, count: int, as_of: datetime | None = None) -> PartitionSet:
        """Keep the last ``count`` in order; with ``as_of``, the last whose windows ended at or before it.

        Raises
        ------
        InvalidInputError
            ``count`` is no whole number above zero, or ``as_of`` is naive.
        """
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InvalidInputError(f"last({count!r}): how many is a whole number, 1 or more.")
        found = self if as_of is None else self.elapsed(as_of)
        return PartitionSet(self.definition, found.intervals.tail(count))

    def _key(self, position: int) -> str:
        return self.definition.key_at(position)

    def _same(self, other: PartitionSet) -> PartitionSet:
        if not isinstance(other, PartitionSet):
            raise InvalidInputError(
                f"Partitions can be combined with partitions, not with a {type(other).__name__}.",
                code=ErrorCode.INVALID_SELECTION,
            )
        if other.definition != self.definition:
            raise InvalidInputError(
                f"Partitions of two definitions cannot be combined: {self.definition!r} and {other.definition!r}.",
                code=ErrorCode.DEFINITION_MISMATCH,
            )
        return other

    def _ends_of_runs(self) -> tuple[IntegerArray, IntegerArray]:
        """Give the first and last positions of runs; a calendar day that never was does not end one."""
        gaps = [(left[1], right[0]) for left, right in pairwise(self.definition.universe.ranges)]
        runs = self.intervals.ranges
        if gaps:
            inner = Intervals.of(gap for gap in gaps if gap[0] - 1 in self.intervals and gap[1] in self.intervals)
            runs = (self.intervals | inner).ranges
        bounds = np.array(runs, dtype=np.int64).reshape(-1, 2)
        return bounds[:, 0], bounds[:, 1] - 1
