"""Sets of partitions of one definition: what a selection holds."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.cell_text import read_cells, write_cells
from lakepart.model.cells import (
    Cells,
    Rows,
    at_positions,
    chunks_of_positions,
    contains,
    first_position,
    last_position,
    parts,
    product,
    tail,
)
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.windows import Window


@dataclass(frozen=True, slots=True, repr=False)
class PartitionSet:
    """Some partitions of one definition, in its order. Holds ranges, so a million in a row cost as much as one.

    Of several dimensions it holds rectangles, and any union of them: none of the operations lists their partitions,
    unless it says so.

    Parameters
    ----------
    definition
        What the partitions are partitions of.
    cells
        Their positions in each dimension, all within the definition's universe.

    Raises
    ------
    InvalidInputError
        A position outside the universe.

    Examples
    --------
    >>> from lakepart.model.definitions import Daily, Multi, Static
    >>> january = PartitionSet.parse(Daily("2013-01-01"), "2013-01-01..2013-01-31")
    >>> len(january), "2013-01-05" in january, january.last(2).to_text()
    (31, True, '2013-01-30..2013-01-31')
    >>> both = Multi(day=Daily("2013-01-01"), carrier=Static(["UA", "AA"]))
    >>> len(PartitionSet.parse(both, "2013-01-01..2013-01-31|UA") | PartitionSet.parse(both, "2013-01-31|*"))
    32
    """

    definition: PartitionsDefinition
    cells: Cells

    def __post_init__(self) -> None:
        outside = operator.sub(self.cells, self.definition.everything)
        if outside:
            raise InvalidInputError(
                f"Position {first_position(outside, self.definition.sizes)} is no partition of {self.definition!r}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"positions": len(outside)},
            )

    @classmethod
    def everything(cls, definition: PartitionsDefinition) -> PartitionSet:
        """All partitions of a definition; time without an end reaches to the end of the year 9998."""
        return cls(definition, definition.everything)

    @classmethod
    def empty(cls, definition: PartitionsDefinition) -> PartitionSet:
        """No partition of a definition."""
        return cls(definition, Intervals() if len(definition.dimensions) == 1 else Rows())

    @classmethod
    def from_keys(cls, definition: PartitionsDefinition, keys: Iterable[str]) -> PartitionSet:
        """Collect keys, in any order.

        Raises
        ------
        PartitionKeyError
            A key names no partition.
        """
        listed = list(keys)
        definition.admit(listed)
        return cls._at(definition, [definition.position_of(key) for key in listed])

    @classmethod
    def from_ordinals(cls, definition: PartitionsDefinition, ordinals: Iterable[int] | IntegerArray) -> PartitionSet:
        """Collect partitions by the ordinals the catalog keeps, in any order; vectorised.

        Raises
        ------
        InvalidInputError
            An ordinal of no partition.
        """
        given = ordinals if isinstance(ordinals, np.ndarray) else np.fromiter(ordinals, dtype=np.int64)
        return cls._at(definition, definition.positions_at(given))

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
        return cls(definition, read_cells(definition, text))

    def to_text(self) -> str:
        """Write the set as ``"2013-01-01..2013-03-31,2013-05-02"``; ``"*"`` for everything, ``""`` for nothing.

        In several dimensions a rectangle is ``"2013-01-01..2013-03-31|UA"`` or ``"*|{UA,AA}"``, and what is no
        rectangle the fewest that one dimension after another can be cut into. A run to the end of keys that have yet to
        come ends in ``..*``.
        """
        return write_cells(self.definition, self.cells)

    def under(self, definition: PartitionsDefinition) -> PartitionSet:
        """Give the same partitions under an equal definition, which may know more keys.

        Raises
        ------
        InvalidInputError
            The definition is another.
        """
        self._require_same(definition)
        return PartitionSet(definition, self.cells)

    def __and__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, operator.and_(self.cells, self._same(other).cells))

    def __or__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, operator.or_(self.cells, self._same(other).cells))

    def __sub__(self, other: PartitionSet) -> PartitionSet:
        return PartitionSet(self.definition, operator.sub(self.cells, self._same(other).cells))

    def __invert__(self) -> PartitionSet:
        return PartitionSet.everything(self.definition) - self

    def __len__(self) -> int:
        return len(self.cells)

    def __bool__(self) -> bool:
        return bool(self.cells)

    def __iter__(self) -> Iterator[str]:
        for positions in chunks_of_positions(self.cells, self.definition.sizes):
            yield from self.definition.keys_at(positions)

    def __reversed__(self) -> Iterator[str]:
        for positions in chunks_of_positions(self.cells, self.definition.sizes, newest_first=True):
            yield from self.definition.keys_at(positions)

    def __contains__(self, key: object) -> bool:
        position = self.definition.find_position(key) if isinstance(key, str) else None
        return position is not None and self.contains_position(position)

    def __repr__(self) -> str:
        return f"<PartitionSet: {len(self):,} of {self.definition!r}>"

    @property
    def intervals(self) -> Intervals:
        """The positions of a set of one dimension.

        Raises
        ------
        InvalidInputError
            There are several.
        """
        if not isinstance(self.cells, Intervals):
            raise InvalidInputError(
                f"Partitions of {self.definition!r} lie in several dimensions, so they are no intervals.",
                code=ErrorCode.UNSUPPORTED,
            )
        return self.cells

    @property
    def keys(self) -> list[str]:
        """All keys, in the definition's order."""
        return self.definition.keys_at(self.positions)

    @property
    def positions(self) -> IntegerArray:
        """All positions, ascending."""
        if isinstance(self.cells, Intervals):
            return self.cells.to_array()
        chunks = list(chunks_of_positions(self.cells, self.definition.sizes))
        return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)

    @property
    def ordinals(self) -> IntegerArray:
        """All ordinals, ascending."""
        return self.definition.ordinals_at(self.positions)

    @property
    def first_key(self) -> str:
        """The first key in order.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self.definition.key_at(first_position(self.cells, self.definition.sizes))

    @property
    def last_key(self) -> str:
        """The last key in order.

        Raises
        ------
        InvalidInputError
            The set is empty.
        """
        return self.definition.key_at(last_position(self.cells, self.definition.sizes))

    def windows(self) -> Iterator[Window | None]:
        """Give the window of each partition in order; None for each where partitions are not cut by time."""
        for positions in chunks_of_positions(self.cells, self.definition.sizes):
            yield from map(self.definition.window_at, positions.tolist())

    def ordinal_ranges(self) -> list[OrdinalRange]:
        """Give ranges of ordinals, both ends included, that hold these partitions and no other.

        In one dimension the fewest, each ``(low, high)``. In several, a range may be followed by conditions on the
        ordinal's bits: see :data:`~lakepart.model.ordinal_ranges.OrdinalRange`.
        """
        return self.definition.ordinal_ranges(self.cells)

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
            return self.contains_position(self.definition.position_at(ordinal))
        except InvalidInputError:
            return False

    def contains_position(self, position: int) -> bool:
        """Answer whether the partition at a position is a member."""
        return contains(self.cells, position, self.definition.sizes)

    def elapsed(self, as_of: datetime) -> PartitionSet:
        """Keep the partitions all whose windows ended at or before ``as_of``; all where there are no windows."""
        return self & self._box(*(one.elapsed(as_of) for one in self.definition.dimensions))

    def expected(self, as_of: datetime) -> PartitionSet:
        """Keep the partitions that are missing if they are not there: elapsed, and their dynamic keys were added."""
        return self & self._box(*(one.expected(as_of) for one in self.definition.dimensions))

    def between(self, start: datetime, end: datetime) -> PartitionSet:
        """Keep the partitions whose windows start at or after ``start`` and before ``end``.

        Raises
        ------
        InvalidInputError
            Partitions are not cut by time, or in several dimensions; an instant is naive, or ``start`` is after
            ``end``.
        """
        by_time = self.definition.time_dimensions
        if len(by_time) > 1:
            raise InvalidInputError(
                f"between({start.isoformat()}, {end.isoformat()}) does not say which time is meant: "
                f"{' or '.join(one.dimension for one in by_time)}.",
                hint=f"choose by key, for example [{{{by_time[0].dimension!r}: {by_time[0].example_key!r}}}].",
                code=ErrorCode.INVALID_SELECTION,
            )
        if not by_time:
            self.definition.dimensions[0].starting_in(start, end)
        return self & self._box(
            *(one.starting_in(start, end) if one in by_time else one.universe for one in self.definition.dimensions)
        )

    def last(self, count: int, as_of: datetime | None = None) -> PartitionSet:
        """Keep the last ``count`` in order; with ``as_of``, the last whose windows ended at or before it.

        Raises
        ------
        InvalidInputError
            ``count`` is no whole number above zero, or ``as_of`` is naive.
        """
        _check_count("last", count)
        found = self if as_of is None else self.elapsed(as_of)
        return PartitionSet(self.definition, tail(found.cells, count))

    def newest_first(self) -> Iterator[PartitionSet]:
        """Give the partitions one by one, the last first, without listing them."""
        for positions in chunks_of_positions(self.cells, self.definition.sizes, newest_first=True):
            for position in positions.tolist():
                yield self._at(self.definition, (position,))

    def batched(self, count: int) -> Iterator[PartitionSet]:
        """Cut the set, in order, into sets of ``count`` each; the last may be smaller.

        Raises
        ------
        InvalidInputError
            ``count`` is no whole number above zero.
        """
        _check_count("batched", count)
        for cells in parts(self.cells, repeat(count, -(-len(self) // count))):
            yield PartitionSet(self.definition, cells)

    def split(self, count: int) -> list[PartitionSet]:
        """Cut the set, in order, into ``count`` sets of nearly equal size; fewer where there are fewer partitions.

        Raises
        ------
        InvalidInputError
            ``count`` is no whole number above zero.
        """
        _check_count("split", count)
        size, larger = divmod(len(self), count)
        counts = [size + 1] * larger + [size] * (count - larger if size else 0)
        return [PartitionSet(self.definition, cells) for cells in parts(self.cells, counts)]

    @classmethod
    def _at(cls, definition: PartitionsDefinition, positions: IntegerArray | Iterable[int]) -> PartitionSet:
        return cls(definition, at_positions(Intervals.from_positions(positions), definition.sizes))

    def _box(self, *box: Intervals) -> PartitionSet:
        return PartitionSet(self.definition, product(box))

    def _same(self, other: PartitionSet) -> PartitionSet:
        if not isinstance(other, PartitionSet):
            raise InvalidInputError(
                f"Partitions can be combined with partitions, not with a {type(other).__name__}.",
                code=ErrorCode.INVALID_SELECTION,
            )
        self._require_same(other.definition)
        return other

    def _require_same(self, definition: PartitionsDefinition) -> None:
        if definition != self.definition:
            raise InvalidInputError(
                f"Partitions of two definitions cannot be combined: {self.definition!r} and {definition!r}.",
                code=ErrorCode.DEFINITION_MISMATCH,
            )


def _check_count(verb: str, count: object) -> None:
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidInputError(f"{verb}({count!r}): how many is a whole number, at least 1.")
