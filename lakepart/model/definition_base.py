"""What every way of cutting an asset into partitions can answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.cells import Cells, contains, first_position, product
from lakepart.model.instants import to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.known_keys import KnownKeys, Reserve
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.windows import Window

FORMAT_VERSION = 1
BooleanArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, repr=False)
class PartitionsDefinition(ABC):
    """How an asset is cut: keys, their order and, for time, their windows, all by arithmetic and none by listing.

    A **position** is an integer in the definition's own order, good in memory only. An **ordinal** is the integer the
    catalog keeps for good: the window's start in UTC microseconds, the index at declaration, the id allotted at first
    sight, or those of several dimensions packed into one.
    """

    kind: ClassVar[str]  # "time", "static", "dynamic", "single" or "multi"
    name: ClassVar[str]  # "daily", "static", ...: what the dictionary form calls "kind"

    @property
    @abstractmethod
    def dimensions(self) -> tuple[OneDimensional, ...]:
        """The dimensions in order; one that has but one is its own."""

    @abstractmethod
    def position_of(self, key: str) -> int:
        """Give the position of a key.

        Raises
        ------
        PartitionKeyError
            No partition has this key.
        """

    @abstractmethod
    def key_at(self, position: int) -> str:
        """Give the key at a position.

        Raises
        ------
        InvalidInputError
            The position lies outside the universe.
        """

    @abstractmethod
    def find_position(self, key: str) -> int | None:
        """Give the position of a key, or None where no partition has it; far cheaper than an error."""

    @abstractmethod
    def ordinal_at(self, position: int) -> int:
        """Give the ordinal at a position.

        Raises
        ------
        InvalidInputError
            The position lies outside the universe.
        """

    @abstractmethod
    def position_at(self, ordinal: int) -> int:
        """Give the position of an ordinal.

        Raises
        ------
        InvalidInputError
            No partition has this ordinal.
        """

    @abstractmethod
    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys at many positions of the universe, in their order; vectorised."""

    @abstractmethod
    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the ordinals at many positions of the universe; vectorised."""

    @abstractmethod
    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the positions of many ordinals, each of which must be a partition's; vectorised."""

    @abstractmethod
    def ordinal_ranges(self, cells: Cells) -> list[OrdinalRange]:
        """Give ranges of ordinals that hold these partitions and no other, each partition in one of them."""

    @abstractmethod
    def parts_of(self, key: str) -> dict[str, str]:
        """Give the part of a key in each dimension, by the dimension's name.

        Raises
        ------
        PartitionKeyError
            The key has not as many parts as there are dimensions.
        """

    @abstractmethod
    def coordinates_at(self, positions: IntegerArray) -> list[IntegerArray]:
        """Give the position in each dimension, of many positions; vectorised."""

    @abstractmethod
    def coordinates_of(self, ordinals: IntegerArray) -> list[IntegerArray]:
        """Give the position in each dimension, of many ordinals, be they partitions' or not; vectorised."""

    @abstractmethod
    def positions_of_coordinates(self, coordinates: Sequence[IntegerArray]) -> IntegerArray:
        """Give the positions that have these positions in each dimension; vectorised."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; :func:`definition_from_dict` reads it back."""

    @abstractmethod
    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""

    @abstractmethod
    def knowing(self, keys: Mapping[str, KnownKeys]) -> Self:
        """Give the same definition with the keys that the catalog has for its dynamic dimensions, by name."""

    @abstractmethod
    def admitting(self, reserve: Reserve) -> Self:
        """Give the same definition for one writer: keys that its dynamic dimensions do not know are reserved."""

    @abstractmethod
    def dynamic_ids(self, ordinals: IntegerArray) -> dict[str, IntegerArray]:
        """Give the ids that partitions have in each dynamic dimension, by its name."""

    @abstractmethod
    def window_at(self, position: int) -> Window | None:
        """Give the time that the partition at a position covers.

        None where partitions are not cut by time, or by time in more than one dimension.

        Raises
        ------
        InvalidInputError
            The position lies outside the universe.
        """

    @abstractmethod
    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray | None:
        """Give the instants (UTC microseconds) at which the last window of many ordinals ends, or None; vectorised."""

    def keeping_ordinals_of(self, before: PartitionsDefinition) -> PartitionsDefinition:  # noqa: ARG002
        """Give the same definition so that partitions of an earlier one keep their ordinals."""
        return self

    def admit(self, keys: Iterable[str]) -> None:  # noqa: B027 - most know their keys beforehand
        """Reserve those of the keys that are new, at once, where :meth:`admitting` allows it."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many positions each dimension has."""
        return tuple(dimension.universe.last + 1 for dimension in self.dimensions)

    @property
    def everything(self) -> Cells:
        """All partitions; time without an end reaches to the end of the year 9998."""
        return product([dimension.universe for dimension in self.dimensions])

    @property
    def is_dynamic(self) -> bool:
        """Whether keys are kept in the catalog, in any dimension."""
        return any(dimension.kind == "dynamic" for dimension in self.dimensions)

    @property
    def time_dimensions(self) -> tuple[OneDimensional, ...]:
        """The dimensions that are cut by time."""
        return tuple(dimension for dimension in self.dimensions if dimension.kind == "time")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns by which rows say where they belong."""
        return tuple(one.by for one in self.dimensions if one.by is not None)

    @property
    def unsaid(self) -> tuple[OneDimensional, ...]:
        """The dimensions of which rows do not say where they belong."""
        return tuple(one for one in self.dimensions if one.by is None and one.kind != "single")

    @property
    def example_key(self) -> str:
        """The first key, to show what keys look like."""
        return self.key_at(first_position(self.everything, self.sizes))

    def has_each(self, ordinals: IntegerArray) -> BooleanArray:
        """Say of each ordinal whether it is a partition's; vectorised."""
        return self._within_each(ordinals, [one.universe for one in self.dimensions])

    def names_each(self, ordinals: IntegerArray) -> BooleanArray:
        """Say of each ordinal whether it is that of a partition whose key is known; vectorised."""
        return self._within_each(ordinals, [one.keyed for one in self.dimensions])

    def _within_each(self, ordinals: IntegerArray, box: Sequence[Intervals]) -> BooleanArray:
        coordinates = self.coordinates_of(ordinals)
        inside = [positions.contains_each(at) for positions, at in zip(box, coordinates, strict=True)]
        there: BooleanArray = np.logical_and.reduce(inside)
        positions = self.positions_of_coordinates([at[there] for at in coordinates])
        there[there] = self.ordinals_at(positions) == ordinals[there]
        return there

    def key_of_ordinal(self, ordinal: int) -> str:
        """Give the key of an ordinal.

        Raises
        ------
        InvalidInputError
            No partition has this ordinal.
        """
        return self.key_at(self.position_at(ordinal))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    @abstractmethod
    def _arguments(self) -> list[str]:
        """Show the constructor's arguments."""

    def _check_position(self, position: int) -> None:
        if not contains(self.everything, position, self.sizes):
            raise InvalidInputError(
                f"Position {position} is no partition of {self!r}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"position": position},
            )


@dataclass(frozen=True, slots=True, repr=False)
class OneDimensional(PartitionsDefinition):
    """A definition with one dimension; its positions run from 0 on.

    Attributes
    ----------
    by
        The column whose value says to which partition a row belongs; None if rows do not say.
    dimension
        What the key is called, in folder names and as a column: ``partition`` unless named.
    """

    by: str | None = field(default=None, kw_only=True)
    dimension: str = field(default="partition", kw_only=True)

    @property
    @abstractmethod
    def universe(self) -> Intervals:
        """All positions, as one range; time without an end reaches to the end of the year 9998."""

    @property
    def keyed(self) -> Intervals:
        """The positions whose keys are known: all of them, unless keys have yet to come."""
        return self.universe

    @property
    def is_endless(self) -> bool:
        """Whether there are always more partitions to come."""
        return False

    @abstractmethod
    def positions_in(self, other: OneDimensional, positions: Intervals) -> Intervals:
        """Give the positions that another definition gives to those of these partitions that it has too.

        A window is the same partition where both cut time alike, a key where it has the same place. Costs a time in the
        number of ranges, and of exclusions that only one of the two has; nothing is listed.
        """

    @abstractmethod
    def label(self, label: str | date) -> Intervals:
        """Give the positions that one label in ``[]`` stands for.

        Raises
        ------
        PartitionKeyError
            It stands for no partition.
        InvalidInputError
            It is of a type that cannot be a label.
        """

    @abstractmethod
    def slice(self, start: str | date | None, stop: str | date | None) -> Intervals:
        """Give the positions from the first that ``start`` stands for to the last that ``stop`` stands for.

        Both ends are included; None leaves an end open.

        Raises
        ------
        PartitionKeyError
            An end lies outside the definition.
        InvalidInputError
            The ends are reversed, or nothing lies between them.
        """

    @property
    def dimensions(self) -> tuple[OneDimensional, ...]:
        """Itself."""
        return (self,)

    def ordinal_ranges(self, cells: Cells) -> list[OrdinalRange]:
        """Give the fewest ranges of ordinals, both ends included, that hold these partitions and no other."""
        bounds = np.array(self.only(cells).ranges, dtype=np.int64).reshape(-1, 2)
        low, high = self.ordinals_at(bounds[:, 0]).tolist(), self.ordinals_at(bounds[:, 1] - 1).tolist()
        return list(zip(low, high, strict=True))

    def only(self, cells: Cells) -> Intervals:
        """Give cells of this definition as the intervals that they are."""
        if not isinstance(cells, Intervals):
            raise AssertionError(f"cells of several dimensions are none of {self!r}")
        return cells

    def coordinates_at(self, positions: IntegerArray) -> list[IntegerArray]:
        """Give the positions back."""
        return [positions]

    def coordinates_of(self, ordinals: IntegerArray) -> list[IntegerArray]:
        """Give the positions of ordinals."""
        return [self.positions_at(ordinals)]

    def positions_of_coordinates(self, coordinates: Sequence[IntegerArray]) -> IntegerArray:
        """Give the only coordinates back."""
        return coordinates[0]

    def parts_of(self, key: str) -> dict[str, str]:
        """Give the key by the dimension's name."""
        return {self.dimension: key}

    def knowing(self, keys: Mapping[str, KnownKeys]) -> Self:  # noqa: ARG002 - dynamic dimensions have any
        """Give itself: its keys are in no catalog."""
        return self

    def admitting(self, reserve: Reserve) -> Self:  # noqa: ARG002
        """Give itself: it has no new keys."""
        return self

    def dynamic_ids(self, ordinals: IntegerArray) -> dict[str, IntegerArray]:  # noqa: ARG002
        """Give nothing: there are no ids."""
        return {}

    def named(self, dimension: str) -> Self:
        """Give the same definition with another name for its dimension."""
        return self._with(dimension=dimension)

    def open_end_of(self, intervals: Intervals) -> bool:  # noqa: ARG002
        """Answer whether the last member of some positions has no key yet, so that text leaves the end open."""
        return False

    def window_at(self, position: int) -> Window | None:
        """Give the time that the partition at a position covers; None where partitions are not cut by time.

        Raises
        ------
        InvalidInputError
            The position lies outside the universe.
        """
        self._check_position(position)
        return None

    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray | None:  # noqa: ARG002 - time alone has any
        """Give the instants (UTC microseconds) at which the windows of many ordinals end, or None; vectorised."""
        return None

    def elapsed(self, as_of: datetime) -> Intervals:
        """Give the partitions whose windows ended at or before ``as_of``; all of them where there are no windows."""
        to_microseconds(as_of, name="as_of")
        return self.universe

    def expected(self, as_of: datetime) -> Intervals:
        """Give the partitions that are missing if they are not there by ``as_of``: those that have elapsed."""
        return self.elapsed(as_of)

    def starting_in(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows start at or after ``start`` and before ``end``.

        Raises
        ------
        InvalidInputError
            Partitions are not cut by time, an instant is naive, or ``start`` is after ``end``.
        """
        raise InvalidInputError(
            f"between({start!r}, {end!r}) needs partitions with windows of time: this is {self!r}.",
            hint=f"choose by key, for example [{self.example_key!r}].",
        )

    def positions_of_instants(self, utc_us: IntegerArray) -> IntegerArray:
        """Give the position of the window that each instant (UTC microseconds) lies in; vectorised.

        An instant before the first or after the last window gives a position outside the universe.

        Raises
        ------
        InvalidInputError
            Partitions are not cut by time.
        """
        raise InvalidInputError(f"Instants do not say the partition ({utc_us.size:,} given): this is {self!r}.")

    def positions_of_dates(self, days: IntegerArray) -> IntegerArray:
        """Give the position of the window that each local calendar day (days since 1970) lies in; vectorised.

        A day before the first or after the last window gives a position outside the universe.

        Raises
        ------
        InvalidInputError
            Partitions are not cut by time, or are shorter than a day.
        """
        raise InvalidInputError(f"Dates do not say the partition ({days.size:,} given): this is {self!r}.")

    def _arguments(self) -> list[str]:
        """Show the constructor's arguments that differ from their defaults; subclasses put theirs first."""
        given = [f"by={self.by!r}"] if self.by is not None else []
        return [*given, f"dimension={self.dimension!r}"] if self.dimension != "partition" else given

    def _with(self, **changes: Any) -> Self:
        twin = object.__new__(type(self))
        for one in fields(self):
            object.__setattr__(twin, one.name, changes.get(one.name, getattr(self, one.name)))
        return twin


def check_column(by: object) -> str | None:
    """Give ``by`` back if it can name a column.

    Raises
    ------
    InvalidInputError
        It is neither None nor a non-empty text.
    """
    if by is None or (isinstance(by, str) and by):
        return by
    raise InvalidInputError(f"by is {by!r}: it names one column, or is None.")
