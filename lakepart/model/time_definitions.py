"""Partitions cut by time: what all grains share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, TypedDict

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.crontab import CronExpression
from lakepart.model.definition_base import FORMAT_VERSION, OneDimensional, PartitionsDefinition, check_column
from lakepart.model.exclusions import (
    Calendar,
    Exclusion,
    check_exclusions,
    describe_exclusions,
    to_plain,
)
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.key_formats import DATE, DATE_TIME, KeyFormat, check_format
from lakepart.model.labels import parse_moment
from lakepart.model.names import check_dimension_name
from lakepart.model.reprs import repr_some
from lakepart.model.time_labels import LabelledByTime
from lakepart.model.window_series import WindowSeries
from lakepart.model.windows import Window
from lakepart.model.zones import (
    FIRST_YEAR,
    LAST_YEAR,
    get_zone,
    start_of_year_us,
    wall_time_us,
)

Label = str | date
Moment = str | date | datetime

_DIGITS = re.compile(r"[0-9]+")
_TRIED_KEYS = 500


class TimeOptions(TypedDict, total=False):
    """What every time definition takes; :class:`TimeDefinition` says what it means."""

    end: Moment | None
    by: str | None
    tz: str
    dimension: str
    fmt: str | None
    end_offset: int
    exclude: Iterable[str | date | Calendar | Iterable[date]]


@dataclass(frozen=True, slots=True, repr=False, init=False)
class TimeDefinition(LabelledByTime):
    """Partitions cut by time: neighbouring windows that tile the time from the first to the end.

    Every instant belongs to exactly one window, unless that is excluded. A window begins where the zone's clocks show
    its start. Where they leave that time out, it begins at the next one they show. Where they show it twice, windows
    by the hour or minute begin at both; others at the second, as in Dagster, but those of a single time of day at the
    first unless that is between 01:00 and 03:59.

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
    fmt
        How the start of a window is written as its key, as ``strftime`` has it; different for every window. By
        default ``%Y-%m-%d``, and ``%Y-%m-%d-%H:%M`` where a day can have several windows.
    end_offset
        How many windows more (or, below zero, fewer) are expected than have fully elapsed.
    exclude
        Windows to leave out, by their start: cron expressions, dates (all windows that begin on that day), texts like
        ``2024-12-25T06:00``, iterables of dates, and named ones (:class:`~lakepart.model.exclusions.Calendar`). They
        stay gaps: the window before one does not grow.

    Attributes
    ----------
    start, end
        As keys: where the first window really begins, and where the last one ends.
    cron
        The schedule of the windows' starts, as a cron expression.

    Raises
    ------
    InvalidInputError
        An unknown zone, something that is no date, years outside 1000 to 9998, no window between start and end, a
        format that writes two windows alike, an expression that excludes nothing, or exclusions
        that leave nothing.

    Notes
    -----
    Keys, windows and order follow from one another by arithmetic; nothing is listed.
    """

    start: str
    fmt: str
    end_offset: int
    exclude: tuple[Exclusion, ...]
    cron: str
    _own: tuple[tuple[str, Any], ...] = field(compare=False)
    _expression: CronExpression = field(compare=False)

    own_arguments: ClassVar[Mapping[str, Any]] = {}  # what the grain takes beside TimeOptions, with the defaults

    def _set_up(
        self,
        start: Moment,
        expression: CronExpression,
        own: Mapping[str, Any],
        *,
        end: Moment | None = None,
        by: str | None = None,
        tz: str = "UTC",
        dimension: str = "partition",
        fmt: str | None = None,
        end_offset: int = 0,
        exclude: Iterable[str | date | Calendar | Iterable[date]] = (),
    ) -> None:
        get_zone(tz)
        if not isinstance(end_offset, int) or isinstance(end_offset, bool):
            raise InvalidInputError(f"end_offset={end_offset!r} is no whole number of windows.")
        settled = {
            "by": check_column(by),
            "dimension": check_dimension_name(dimension),
            "tz": tz,
            "cron": expression.text,
            "_expression": expression,
            "end_offset": end_offset,
            "exclude": check_exclusions(exclude, expression),
            "fmt": check_format(fmt, default=_default_format(expression), example=datetime(2024, 5, 6, tzinfo=UTC)),
            "_own": tuple((name, value) for name, value in own.items() if value != self.own_arguments[name]),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_keys", KeyFormat(self.fmt, tz, repeats=expression.every_hour))
        start_us = self._parse_bound(start, name="start")
        end_us = self._end_of_time() if end is None else self._parse_bound(end, name="end")
        series = WindowSeries(expression, self.exclude, tz, start_us, end_us)
        if not series.count:
            raise InvalidInputError(
                f"No {self.name} window lies between start {start!r} and end {end!r}.",
                hint="end is excluded, and no window reaches beyond it.",
                code=ErrorCode.EMPTY_WINDOW,
            )
        object.__setattr__(self, "_series", series)
        object.__setattr__(self, "start", self._bound_text(series.start_of(0)))
        object.__setattr__(self, "end", None if end is None else self._bound_text(series.end_of(series.count - 1)))
        if self.fmt != _default_format(expression):
            self._check_keys_differ()

    @property
    def own(self) -> Mapping[str, Any]:
        """What the grain takes beside :class:`TimeOptions`: all of it, defaults included."""
        return {**self.own_arguments, **dict(self._own)}

    @property
    def has_whole_days(self) -> bool:
        """Whether every window begins at midnight, so that a date says in which window it lies."""
        return self._expression.times == (0,)

    def key_at(self, position: int) -> str:
        """Give the key at a position."""
        self._check_position(position)
        return self._key(position)

    def ordinal_at(self, position: int) -> int:
        """Give the start of the window at a position, in UTC microseconds."""
        self._check_position(position)
        return self._series.start_of(position)

    def position_at(self, ordinal: int) -> int:
        """Give the position of the window that starts at an instant, in UTC microseconds.

        Raises
        ------
        InvalidInputError
            No window starts then.
        """
        position = self._series.last_at(ordinal)
        if not 0 <= position < self._series.count or self._series.start_of(position) != ordinal:
            raise InvalidInputError(
                f"No partition of {self!r} has the ordinal {ordinal}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"ordinal": ordinal},
            )
        return position

    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys at many positions, also of windows before the first or after the last; vectorised."""
        return self._keys.format_each(self.ordinals_at(positions))

    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the starts of the windows at many positions, in UTC microseconds, as :meth:`keys_at`; vectorised."""
        return self._series.starts_of(positions)

    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the positions of the windows that start at many instants; vectorised.

        For another instant it is that of the last window to start before it, as if there were windows before the
        first and after the last.
        """
        return self._series.positions_of_starts(ordinals)

    def window_at(self, position: int) -> Window:
        """Give the window at a position, in the definition's zone."""
        self._check_position(position)
        zone = get_zone(self.tz)
        return Window(
            from_microseconds(self._series.start_of(position)).astimezone(zone),
            from_microseconds(self._series.end_of(position)).astimezone(zone),
        )

    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the instants (UTC microseconds) at which the windows of many ordinals end; vectorised."""
        return self._series.ends_of(ordinals)

    def elapsed(self, as_of: datetime) -> Intervals:
        """Give the partitions expected at an instant: those whose windows had ended, moved by ``end_offset``."""
        under_way = self._series.start_of_window_at(to_microseconds(as_of, name="as_of"))
        return self._series.before(self._series.first_from(under_way) + self.end_offset)

    def starting_in(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows start at or after ``start`` and before ``end``."""
        start_us, end_us = to_microseconds(start, name="start"), to_microseconds(end, name="end")
        if start_us > end_us:
            raise InvalidInputError(
                f"between({start.isoformat()}, {end.isoformat()}) is reversed: start comes before end.",
                code=ErrorCode.INVALID_SELECTION,
            )
        return self._series.before(self._series.first_from(end_us)) - self._series.before(
            self._series.first_from(start_us)
        )

    def overlapping(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows share time with the time from ``start`` to ``end`` (excluded)."""
        first = self._series.first_from(self._series.start_of_window_at(to_microseconds(start, name="start")))
        return self._series.before(self._series.first_from(to_microseconds(end, name="end"))) - self._series.before(
            first
        )

    def positions_of_instants(self, utc_us: IntegerArray) -> IntegerArray:
        """Give the position of the window that each instant (UTC microseconds) lies in; vectorised.

        An instant in no window gives a position outside the universe.

        Notes
        -----
        Time: a binary search over the zone's offset changes and one integer division for each element.
        """
        return self._series.positions_of_instants(utc_us)

    def positions_of_dates(self, days: IntegerArray) -> IntegerArray:
        """Give the position of the window that each local calendar day (days since 1970) lies in; vectorised."""
        if not self.has_whole_days:
            return OneDimensional.positions_of_dates(self, days)
        return self._series.positions_of_dates(days)

    def begins_as(self, other: TimeDefinition) -> bool:
        """Say whether the windows of both would begin at the same instants, were none excluded and all in range."""
        return self._series.begins_as(other._series)

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps."""
        plain = {
            "version": FORMAT_VERSION,
            "kind": self.name,
            "start": self.start,
            "end": self.end,
            "by": self.by,
            "tz": self.tz,
            "dimension": self.dimension,
        }
        return {**plain, **dict(self._own), **self._given_options()}

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        own = ", ".join(f"{name} {value}" for name, value in self._own)
        parts = [
            f"{self.name}{f' ({own})' if own else ''}{'' if self.by is None else f' by {self.by}'} in {self.tz}",
            f"from {self.start} on" if self.end is None else f"from {self.start} to {self.end} (excluded)",
            describe_exclusions(self.exclude),
            f"{self.end_offset:+d} windows" if self.end_offset else "",
        ]
        return ", ".join(part for part in parts if part)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.to_dict(),)

    def _arguments(self) -> list[str]:
        own = [f"{name}={value!r}" for name, value in self._own]
        options = [f"{name}={getattr(self, name)!r}" for name in self._given_options() if name != "exclude"]
        given = [
            repr(self.start),
            *own,
            *([f"end={self.end!r}"] if self.end is not None else []),
            *([f"tz={self.tz!r}"] if self.tz != "UTC" else []),
            *options,
            *([f"exclude={repr_some(self.exclude)}"] if self.exclude else []),
        ]
        return [*given, *OneDimensional._arguments(self)]

    def _given_options(self) -> dict[str, Any]:
        """Give the later options that differ from their defaults, in their stable form."""
        default = _default_format(self._expression)
        options = {"fmt": self.fmt, "end_offset": self.end_offset, "exclude": to_plain(self.exclude)}
        return {name: value for name, value in options.items() if value not in (default, 0, [])}

    def _parse_bound(self, given: Moment, *, name: str) -> int:
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
        return self._first_instant_of(wall_time_us(moment))

    def _bound_text(self, utc_us: int) -> str:
        """Write a bound so that it reads back, as a date where it is a day's beginning and windows are not shorter."""
        by_day = KeyFormat(DATE, self.tz, repeats=False).format(utc_us)
        if _default_format(self._expression) == DATE and self._parse_bound(by_day, name="bound") == utc_us:
            return by_day
        return KeyFormat(DATE_TIME, self.tz, repeats=True).format(utc_us)

    def _end_of_time(self) -> int:
        return self._first_instant_of(start_of_year_us(LAST_YEAR + 1))

    def _check_keys_differ(self) -> None:
        """Refuse a format that does not read back as the window it was written for."""
        near = np.arange(min(self._series.count, _TRIED_KEYS))
        far, farther = (
            np.linspace(0, count - 1, _TRIED_KEYS).astype(np.int64)
            for count in (self._count_of_years(50), self._series.count)
        )
        positions = np.unique(np.concatenate((near, far, farther)))
        for position, key in zip(positions.tolist(), self.keys_at(positions), strict=True):
            if self._find(key) != position:
                raise InvalidInputError(
                    f"fmt={self.fmt!r} writes the {self.name} window that begins at "
                    f"{from_microseconds(self._series.start_of(position)).astimezone(get_zone(self.tz))} as {key!r}, "
                    "which does not say which window it is.",
                    hint=f"the default is {DATE!r}, or {DATE_TIME!r} where a day has several windows.",
                )

    def _count_of_years(self, years: int) -> int:
        end = from_microseconds(self._series.start_of(0)) + timedelta(days=366 * years)
        return min(max(self._series.last_at(to_microseconds(end)), 1), self._series.count)


def _default_format(cron: CronExpression) -> str:
    return DATE_TIME if len(cron.times) > 1 else DATE


def _rebuild(plain: Mapping[str, Any]) -> PartitionsDefinition:
    from lakepart.model.definitions import definition_from_dict

    return definition_from_dict(plain)
