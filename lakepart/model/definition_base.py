"""What every way of cutting an asset into partitions can answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.instants import to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.windows import Window

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, repr=False)
class PartitionsDefinition(ABC):
    """How an asset is cut: keys, their order and, for time, their windows, all by arithmetic and none by listing.

    A **position** is an integer in the definition's own order, good in memory only. An **ordinal** is the integer the
    catalog keeps for good: the window's start in UTC microseconds, the index at declaration, or 0.

    Attributes
    ----------
    by
        The column whose value says to which partition a row belongs; None if rows do not say.
    dimension
        What the key is called, in folder names and as a column: ``partition`` unless named.
    """

    by: str | None = field(default=None, kw_only=True)
    dimension: str = field(default="partition", kw_only=True)

    kind: ClassVar[str]  # "time", "static" or "single"
    name: ClassVar[str]  # "daily", "static", ...: what the dictionary form calls "kind"

    @property
    @abstractmethod
    def universe(self) -> Intervals:
        """All positions that are partitions; time without an end reaches to the end of the year 9998."""

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

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; :func:`definition_from_dict` reads it back."""

    @abstractmethod
    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""

    @property
    def example_key(self) -> str:
        """The first key, to show what keys look like."""
        return self.key_at(self.universe.first)

    def key_of_ordinal(self, ordinal: int) -> str:
        """Give the key of an ordinal.

        Raises
        ------
        InvalidInputError
            No partition has this ordinal.
        """
        return self.key_at(self.position_at(ordinal))

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _arguments(self) -> list[str]:
        """Show the constructor's arguments that differ from their defaults; subclasses put theirs first."""
        given = [f"by={self.by!r}"] if self.by is not None else []
        return [*given, f"dimension={self.dimension!r}"] if self.dimension != "partition" else given

    def _check_position(self, position: int) -> None:
        if position not in self.universe:
            raise InvalidInputError(
                f"Position {position} is no partition of {self!r}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"position": position},
            )


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
