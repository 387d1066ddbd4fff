"""Partitions cut by time: what all grains share."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, NoReturn

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.definition_base import FORMAT_VERSION, PartitionsDefinition, check_column
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals, Range
from lakepart.model.labels import DaySpan, day_number, parse_days, parse_moment
from lakepart.model.names import check_dimension_name
from lakepart.model.windows import Window
from lakepart.model.zones import (
    FIRST_YEAR,
    LAST_YEAR,
    clock_around,
    get_zone,
    start_of_year_us,
    wall_time_us,
)

Label = str | date

_DIGITS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, repr=False, init=False)
class TimeDefinition(PartitionsDefinition):
    """Partitions cut by time: neighbouring windows that tile the time from the first to the end.

    Every instant belongs to exactly one window. A window begins at the first instant at which the zone's clocks show
    its start; where they leave that time out, at the next one they show.

    Parameters
    ----------
    start
        The first window is the next to begin at or after this. Text, a date or a naive datetime is read on the clocks
        of ``tz``.
    end
        No window reaches beyond this. None: there is no end.
    by
        The column whose instant (or date) says to which partition a row belongs.
    tz
        The IANA zone whose days, weeks, ... are meant.
    dimension
        What the key is called, in folder names and as a column.

    Attributes
    ----------
    start, end
        As keys: where the first window really begins, and where the last one ends.

    Raises
    ------
    InvalidInputError
        An unknown zone, something that is no date, years outside 1000 to 9998, or no window between start and end.
    """

    start: str
    end: str | None
    tz: str
    _universe: Intervals = field(init=False, compare=False)
    _bounds_us: Range = field(init=False, compare=False)

    kind: ClassVar[str] = "time"
    key_shape: ClassVar[str] = "2013-01-31"

    def __init__(
        self,
        start: str | date | datetime,
        *,
        end: str | date | datetime | None = None,
        by: str | None = None,
        tz: str = "UTC",
        dimension: str = "partition",
    ) -> None:
        get_zone(tz)
        object.__setattr__(self, "by", check_column(by))
        object.__setattr__(self, "dimension", check_dimension_name(dimension))
        object.__setattr__(self, "tz", tz)
        start_us = self._parse_bound(start, name="start")
        end_us = self._end_of_time() if end is None else self._parse_bound(end, name="end")
        # The bounds clip instants and, for hours, fix the first number; so they are set to the first window's start
        # before any position is kept.
        object.__setattr__(self, "_bounds_us", (start_us, max(start_us, end_us)))
        start_us = self._start_us(self._first_from(start_us))
        object.__setattr__(self, "_bounds_us", (start_us, max(start_us, end_us)))
        first, stop = self._position_of_instant(start_us), self._position_of_instant(end_us)
        universe = Intervals.of([(first, stop)]) - Intervals.from_positions(self._empty_positions(first, stop))
        if not universe:
            raise InvalidInputError(
                f"No {self.name} window lies between start {start!r} and end {end!r}.",
                hint="end is excluded, and no window reaches beyond it.",
                code=ErrorCode.EMPTY_WINDOW,
            )
        stop = universe.last + 1
        object.__setattr__(self, "_universe", universe)
        object.__setattr__(self, "_bounds_us", (self._start_us(universe.first), self._start_us(stop)))
        object.__setattr__(self, "start", self._key(universe.first))
        object.__setattr__(self, "end", None if end is None else self._key(stop))

    @property
    def universe(self) -> Intervals:
        """All positions that are partitions; without an end they reach to the end of the year 9998."""
        return self._universe

    def position_of(self, key: str) -> int:
        """Give the position of a key.

        Raises
        ------
        PartitionKeyError
            No partition has this key.
        """
        position = self._parse_key(key) if isinstance(key, str) else None
        if position is None:
            self._refuse_key(key)
        if position not in self._universe:
            self._refuse_empty(key, (position, position + 1))
        return position

    def key_at(self, position: int) -> str:
        """Give the key at a position."""
        self._check_position(position)
        return self._key(position)

    def ordinal_at(self, position: int) -> int:
        """Give the start of the window at a position, in UTC microseconds."""
        self._check_position(position)
        return self._start_us(position)

    def position_at(self, ordinal: int) -> int:
        """Give the position of the window that starts at an instant, in UTC microseconds.

        Raises
        ------
        InvalidInputError
            No window starts then.
        """
        position = self._position_of_instant(ordinal)
        if position not in self._universe or self._start_us(position) != ordinal:
            raise InvalidInputError(
                f"No partition of {self!r} has the ordinal {ordinal}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"ordinal": ordinal},
            )
        return position

    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the positions of the windows that start at many instants; vectorised."""
        return self.positions_of_instants(ordinals)

    def window_at(self, position: int) -> Window:
        """Give the window at a position, in the definition's zone."""
        self._check_position(position)
        zone = get_zone(self.tz)
        return Window(
            from_microseconds(self._start_us(position)).astimezone(zone),
            from_microseconds(self._start_us(position + 1)).astimezone(zone),
        )

    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the instants (UTC microseconds) at which the windows of many ordinals end; vectorised."""
        return self.ordinals_at(self.positions_at(ordinals) + 1)

    def elapsed(self, as_of: datetime) -> Intervals:
        """Give the partitions whose windows ended at or before ``as_of``."""
        return self._before(self._position_of_instant(to_microseconds(as_of, name="as_of")))

    def starting_in(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows start at or after ``start`` and before ``end``."""
        start_us, end_us = to_microseconds(start, name="start"), to_microseconds(end, name="end")
        if start_us > end_us:
            raise InvalidInputError(
                f"between({start.isoformat()}, {end.isoformat()}) is reversed: start comes before end.",
                code=ErrorCode.INVALID_SELECTION,
            )
        return self._before(self._first_from(end_us)) - self._before(self._first_from(start_us))

    def overlapping(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows share time with the time from ``start`` to ``end`` (excluded)."""
        first = self._position_of_instant(to_microseconds(start, name="start"))
        return self._before(self._first_from(to_microseconds(end, name="end"))) - self._before(first)

    def label(self, label: Label) -> Intervals:
        """Give the partitions that a label stands for: one key, or all windows that start within a part of a date."""
        found = self._label_range(label)
        matched = Intervals.of([found]) & self._universe
        if not matched:
            self._refuse_empty(str(label), found)
        return matched

    def slice(self, start: Label | None, stop: Label | None) -> Intervals:
        """Give the partitions from the first that ``start`` stands for to the last that ``stop`` stands for."""
        outer = (self._universe.first, self._universe.last + 1)
        first = outer if start is None else self._label_range(start)
        last = outer if stop is None else self._label_range(stop)
        for label, found in ((start, first), (stop, last)):
            if not self._reaches(found):
                self._refuse_empty(str(label), found)
        if first[0] > last[1] or (first[0] == last[1] and last[0] < last[1]):
            raise InvalidInputError(
                f"The slice {str(start)!r}:{str(stop)!r} is reversed: its first label lies after its last.",
                code=ErrorCode.INVALID_SELECTION,
            )
        matched = Intervals.of([(first[0], last[1])]) & self._universe
        if not matched:
            self._refuse_empty(f"{start}:{stop}", (first[0], last[1]))
        return matched

    def positions_of_instants(self, utc_us: IntegerArray) -> IntegerArray:
        """Give the position of the window that each instant (UTC microseconds) lies in; vectorised.

        An instant before the first or after the last window gives a position outside the universe.

        Notes
        -----
        Time: a binary search over the zone's offset changes and one integer division for each element.
        """
        if not utc_us.size:
            return np.empty(0, dtype=np.int64)
        # Beyond the windows no clock need be right: positions there only have to lie outside, and grow with time.
        return self._positions_of_instants(utc_us, self._clip(int(utc_us.min())), self._clip(int(utc_us.max())))

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps."""
        return {
            "version": FORMAT_VERSION,
            "kind": self.name,
            "start": self.start,
            "end": self.end,
            "by": self.by,
            "tz": self.tz,
            "dimension": self.dimension,
        }

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        reach = f"from {self.start} on" if self.end is None else f"from {self.start} to {self.end} (excluded)"
        return f"{self.name}{'' if self.by is None else f' by {self.by}'} in {self.tz}, {reach}"

    @abstractmethod
    def _start_us(self, position: int) -> int:
        """Give the instant at which the window at a position starts; any position near the universe."""

    @abstractmethod
    def _unclipped_position(self, utc_us: int) -> int:
        """Give the position of the window that an instant lies in."""

    @abstractmethod
    def _positions_of_instants(self, utc_us: IntegerArray, smallest: int, greatest: int) -> IntegerArray:
        """Do :meth:`_unclipped_position` for an array; exact from ``smallest`` to ``greatest``."""

    @abstractmethod
    def _key(self, position: int) -> str:
        """Give the key at any position near the universe."""

    @abstractmethod
    def _parse_key(self, key: str) -> int | None:
        """Give the position of a well-formed key, in the universe or not; None for any other text."""

    @abstractmethod
    def _first_from_day(self, day: int) -> int:
        """Give the position of the first window that starts on or after a calendar day (since 1970)."""

    def _empty_positions(self, first: int, stop: int) -> list[int]:  # noqa: ARG002 - daily alone has any
        """List positions whose window is empty, because its days never were."""
        return []

    def _arguments(self) -> list[str]:
        given = [repr(self.start)]
        if self.end is not None:
            given.append(f"end={self.end!r}")
        if self.tz != "UTC":
            given.append(f"tz={self.tz!r}")
        return [*given, *PartitionsDefinition._arguments(self)]

    def _position_of_instant(self, utc_us: int) -> int:
        return self._unclipped_position(self._clip(utc_us))

    def _clip(self, utc_us: int) -> int:
        """Move an instant beyond the windows to just before the first or to the end of the last."""
        start_us, end_us = self._bounds_us
        return min(max(utc_us, start_us - 1), end_us)

    def _first_from(self, utc_us: int) -> int:
        position = self._position_of_instant(utc_us)
        return position if self._start_us(position) >= utc_us else position + 1

    def _before(self, position: int) -> Intervals:
        return self._universe.clip(self._universe.first, position) if position > self._universe.first else Intervals()

    def _parse_bound(self, given: str | date | datetime, *, name: str) -> int:
        moment = parse_moment(given, name=name)
        if not FIRST_YEAR < moment.year <= LAST_YEAR:
            raise InvalidInputError(
                f"{name} {given!r} lies outside the years {FIRST_YEAR + 1} to {LAST_YEAR}.",
                code=ErrorCode.OUT_OF_RANGE,
            )
        if moment.utcoffset() is not None:
            return to_microseconds(moment)
        if moment.fold:
            return to_microseconds(moment.replace(tzinfo=get_zone(self.tz)))
        local_us = wall_time_us(moment)
        return clock_around(self.tz, local_us).first_instant_of(local_us)

    def _end_of_time(self) -> int:
        local_us = start_of_year_us(LAST_YEAR + 1)
        return clock_around(self.tz, local_us).first_instant_of(local_us)

    def _label_range(self, label: Label) -> Range:
        """Give the half-open range of positions a label stands for, clipped to nothing."""
        if isinstance(label, datetime) or not isinstance(label, (str, date)):
            raise InvalidInputError(
                f"{label!r}, a {type(label).__name__}, is no label: labels are texts and dates.",
                hint="asset.between(start, end) takes aware datetimes, end excluded.",
                code=ErrorCode.INVALID_SELECTION,
            )
        if isinstance(label, date):
            days: DaySpan | None = DaySpan(day_number(label), day_number(label) + 1)
        else:
            position = self._parse_key(label)
            if position is not None:
                return position, position + 1
            days = parse_days(label)
        if days is None:
            self._refuse_key(str(label))
        return self._first_from_day(days.start), self._first_from_day(days.stop)

    def _reaches(self, found: Range) -> bool:
        """Answer whether a range of positions touches the span of the universe, even between two windows of it."""
        start, stop = self._universe.first, self._universe.last + 1
        return found[0] < stop and found[1] > start if found[0] < found[1] else start < found[0] <= stop

    def _refuse_key(self, key: object) -> NoReturn:
        meant = self._guess_key(key) if isinstance(key, str) else None
        raise PartitionKeyError(
            f"{key!r} is not a key of {self.describe()}: {self.name} keys look like {self.key_shape!r}.",
            hint=f"the first is {self.start!r}." if meant is None else f"did you mean {meant!r}?",
            context={"key": key},
        )

    def _refuse_empty(self, label: str, found: Range) -> NoReturn:
        if self._reaches(found):
            before = max(found[0] - 1, self._universe.first)
            raise PartitionKeyError(
                f"No {self.name} window starts in {label!r}.",
                hint=f"the one before it is {self._key(before)!r}.",
                context={"label": label},
            )
        last = "on" if self.end is None else f"to {self._key(self._universe.last)!r}"
        raise PartitionKeyError(
            f"{label!r} lies outside the partitions: keys run from {self.start!r} {last}.",
            code=ErrorCode.OUT_OF_RANGE,
            context={"label": label, "first": self.start, "end": self.end},
        )

    def _guess_key(self, text: str) -> str | None:
        """Find the key that was probably meant: zeros or separators are missing, or it is a day within a window."""
        digits = "".join(part.zfill(2) for part in _DIGITS.findall(text))
        days = parse_days(f"{digits[:4]}-{digits[4:6] or '01'}-{digits[6:8] or '01'}")
        if days is None:
            return None
        hour = int(digits[8:10] or 0)
        first, stop = self._first_from_day(days.start), self._first_from_day(days.start + 1)
        position = min(first + hour, stop - 1) if first < stop else stop - 1
        return self._key(position) if position in self._universe else None
