"""Partitions cut by time: what all grains share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar, NoReturn, TypedDict

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.crontab import CronExpression
from lakepart.model.definition_base import FORMAT_VERSION, PartitionsDefinition, check_column
from lakepart.model.exclusions import (
    Calendar,
    Exclusion,
    check_exclusions,
    describe_exclusions,
    schedule_without,
    to_plain,
)
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals, Range
from lakepart.model.key_formats import DATE, DATE_TIME, KeyFormat, check_format
from lakepart.model.labels import WallSpan, parse_moment, parse_span, span_of_day
from lakepart.model.names import check_dimension_name
from lakepart.model.ticks import MINUTE_US, Repeated, Ticks
from lakepart.model.windows import Window
from lakepart.model.zones import (
    DAY_US,
    FIRST_YEAR,
    LAST_YEAR,
    clock_around,
    get_clock,
    get_zone,
    start_of_year_us,
    wall_time_us,
    year_of,
)

Label = str | date
Moment = str | date | datetime

_DIGITS = re.compile(r"[0-9]+")
_FARTHEST_US = 2**61  # beyond any calendar, and far enough from the end of int64 to be added to
_TRIED_KEYS = 500
_HOURS_OF_CHANGE = range(1, 4)


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
class TimeDefinition(PartitionsDefinition):
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
        format that writes two windows alike, or exclusions that exclude nothing or everything.

    Notes
    -----
    Keys, windows and order follow from one another by arithmetic; nothing is listed.
    """

    start: str
    end: str | None
    tz: str
    fmt: str
    end_offset: int
    exclude: tuple[Exclusion, ...]
    cron: str
    _own: tuple[tuple[str, Any], ...] = field(compare=False)
    _expression: CronExpression = field(compare=False)
    _keys: KeyFormat = field(compare=False)
    _ticks: Ticks = field(compare=False)  # of the partitions
    _windows: Ticks = field(compare=False)  # the same, or with the excluded ones among them
    _count: int = field(compare=False)

    kind: ClassVar[str] = "time"
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
        self._set_windows(start_us)
        count = self._ticks.first_from(self._windows.instant_of(self._windows.number_at(end_us)))
        if count <= 0:
            raise InvalidInputError(
                f"No {self.name} window lies between start {start!r} and end {end!r}.",
                hint="end is excluded, and no window reaches beyond it.",
                code=ErrorCode.EMPTY_WINDOW,
            )
        object.__setattr__(self, "_count", count)
        object.__setattr__(self, "start", self._bound_text(self._ticks.instant_of(0)))
        object.__setattr__(self, "end", None if end is None else self._bound_text(self._end_us(count - 1)))
        if self.fmt != _default_format(expression):
            self._check_keys_differ()

    def _set_windows(self, start_us: int) -> None:
        expression = self._expression
        kept = schedule_without(expression, self.exclude)
        if kept is None:
            raise InvalidInputError(
                f"Nothing is left of {expression.text!r}"
                f"{f' without {list(self.exclude)!r}' if self.exclude else ': it names no day of any year'}.",
                code=ErrorCode.EMPTY_WINDOW,
            )
        repeated = _what_repeats(expression)
        ticks = Ticks(kept, self.tz, repeated, start_us)
        every = schedule_without(expression, ()) if self.exclude else None
        object.__setattr__(self, "_ticks", ticks)
        object.__setattr__(self, "_windows", ticks if every is None else Ticks(every, self.tz, repeated, start_us))

    @property
    def universe(self) -> Intervals:
        """All positions, from 0 on; without an end they reach to the end of the year 9998."""
        return Intervals(((0, self._count),))

    @property
    def own(self) -> Mapping[str, Any]:
        """What the grain takes beside :class:`TimeOptions`: all of it, defaults included."""
        return {**self.own_arguments, **dict(self._own)}

    @property
    def has_whole_days(self) -> bool:
        """Whether every window begins at midnight, so that a date says in which window it lies."""
        return self._expression.times == (0,)

    def position_of(self, key: str) -> int:
        """Give the position of a key.

        Raises
        ------
        PartitionKeyError
            No partition has this key.
        """
        position = self._find(key) if isinstance(key, str) else None
        if position is None:
            self._refuse_key(key)
        if not 0 <= position < self._count:
            self._refuse_empty(key, (position, position + 1))
        return position

    def key_at(self, position: int) -> str:
        """Give the key at a position."""
        self._check_position(position)
        return self._key(position)

    def ordinal_at(self, position: int) -> int:
        """Give the start of the window at a position, in UTC microseconds."""
        self._check_position(position)
        return self._ticks.instant_of(position)

    def position_at(self, ordinal: int) -> int:
        """Give the position of the window that starts at an instant, in UTC microseconds.

        Raises
        ------
        InvalidInputError
            No window starts then.
        """
        position = self._ticks.number_at(ordinal)
        if not 0 <= position < self._count or self._ticks.instant_of(position) != ordinal:
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
        return self._ticks.instant_of_each(positions) if positions.size else np.empty(0, dtype=np.int64)

    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the positions of the windows that start at many instants; vectorised."""
        return self._ticks.number_at_each(ordinals) if ordinals.size else np.empty(0, dtype=np.int64)

    def window_at(self, position: int) -> Window:
        """Give the window at a position, in the definition's zone."""
        self._check_position(position)
        zone = get_zone(self.tz)
        return Window(
            from_microseconds(self._ticks.instant_of(position)).astimezone(zone),
            from_microseconds(self._end_us(position)).astimezone(zone),
        )

    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the instants (UTC microseconds) at which the windows of many ordinals end; vectorised."""
        if not ordinals.size:
            return np.empty(0, dtype=np.int64)
        return self._windows.instant_of_each(self._windows.number_at_each(ordinals) + 1)

    def elapsed(self, as_of: datetime) -> Intervals:
        """Give the partitions expected at an instant: those whose windows had ended, moved by ``end_offset``."""
        under_way = self._start_of_window(to_microseconds(as_of, name="as_of"))
        return self._before(self._ticks.first_from(under_way) + self.end_offset)

    def starting_in(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows start at or after ``start`` and before ``end``."""
        start_us, end_us = to_microseconds(start, name="start"), to_microseconds(end, name="end")
        if start_us > end_us:
            raise InvalidInputError(
                f"between({start.isoformat()}, {end.isoformat()}) is reversed: start comes before end.",
                code=ErrorCode.INVALID_SELECTION,
            )
        return self._before(self._ticks.first_from(end_us)) - self._before(self._ticks.first_from(start_us))

    def overlapping(self, start: datetime, end: datetime) -> Intervals:
        """Give the partitions whose windows share time with the time from ``start`` to ``end`` (excluded)."""
        first = self._ticks.first_from(self._start_of_window(to_microseconds(start, name="start")))
        return self._before(self._ticks.first_from(to_microseconds(end, name="end"))) - self._before(first)

    def label(self, label: Label) -> Intervals:
        """Give the partitions that a label stands for: one key, or all windows that start within a part of a date."""
        found = self._label_range(label)
        matched = Intervals.of([found]) & self.universe
        if not matched:
            self._refuse_empty(str(label), found)
        return matched

    def slice(self, start: Label | None, stop: Label | None) -> Intervals:
        """Give the partitions from the first that ``start`` stands for to the last that ``stop`` stands for."""
        outer = (0, self._count)
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
        matched = Intervals.of([(first[0], last[1])]) & self.universe
        if not matched:
            self._refuse_empty(f"{start}:{stop}", (first[0], last[1]))
        return matched

    def positions_of_instants(self, utc_us: IntegerArray) -> IntegerArray:
        """Give the position of the window that each instant (UTC microseconds) lies in; vectorised.

        An instant in no window gives a position outside the universe.

        Notes
        -----
        Time: a binary search over the zone's offset changes and one integer division for each element.
        """
        if not utc_us.size:
            return np.empty(0, dtype=np.int64)
        if not -_FARTHEST_US < int(utc_us.min()) <= int(utc_us.max()) < _FARTHEST_US:
            utc_us = np.clip(utc_us, -_FARTHEST_US, _FARTHEST_US)
        numbers = self._windows.number_at_each(utc_us)
        if self._windows is self._ticks:
            return numbers
        return self._looked_up(numbers, self._window_range(), self._positions_of_windows)

    def positions_of_dates(self, days: IntegerArray) -> IntegerArray:
        """Give the position of the window that each local calendar day (days since 1970) lies in; vectorised."""
        if not self.has_whole_days:
            return PartitionsDefinition.positions_of_dates(self, days)
        first_day, last_day = self._ticks.instant_of(0) // DAY_US - 1, self._end_us(self._count - 1) // DAY_US + 1
        return self._looked_up(days.astype(np.int64), (first_day, last_day), self._positions_of_midnights)

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
            *([f"exclude={list(self.exclude)!r}"] if self.exclude else []),
        ]
        return [*given, *PartitionsDefinition._arguments(self)]

    def _given_options(self) -> dict[str, Any]:
        """Give the later options that differ from their defaults, in their stable form."""
        default = _default_format(self._expression)
        options = {"fmt": self.fmt, "end_offset": self.end_offset, "exclude": to_plain(self.exclude)}
        return {name: value for name, value in options.items() if value not in (default, 0, [])}

    def _key(self, position: int) -> str:
        return self._keys.format(self._ticks.instant_of(position))

    def _find(self, key: str) -> int | None:
        """Give the position of a well-formed key, in the universe or not; None for any other text."""
        moment_us = self._keys.parse(key)
        if moment_us is None:
            return None
        position = self._ticks.first_from(moment_us)
        return None if 0 <= position < self._count and self._key(position) != key else position

    def _end_us(self, position: int) -> int:
        return self._windows.instant_of(self._windows.number_at(self._ticks.instant_of(position)) + 1)

    def _start_of_window(self, utc_us: int) -> int:
        """Give the start of the window an instant lies in, be it excluded or not."""
        return self._windows.instant_of(self._windows.number_at(utc_us))

    def _before(self, position: int) -> Intervals:
        return Intervals.of([(0, min(position, self._count))])

    def _window_range(self) -> Range:
        """Give the numbers, among all windows, of the last before the first partition and the first after the last."""
        first, last = (self._ticks.instant_of(position) for position in (0, self._count - 1))
        return self._windows.number_at(first) - 1, self._windows.number_at(last) + 1

    def _positions_of_windows(self, numbers: IntegerArray) -> IntegerArray:
        starts = self._windows.instant_of_each(numbers)
        positions = self._ticks.number_at_each(starts)
        return np.where(self._ticks.instant_of_each(positions) == starts, positions, -1)

    def _positions_of_midnights(self, days: IntegerArray) -> IntegerArray:
        walls = days * DAY_US
        clock = get_clock(self.tz, year_of(int(walls.min())), year_of(int(walls.max())))
        positions = self.positions_of_instants(clock.first_instant_of_each(walls))
        starts = self.ordinals_at(positions)
        # The first instant after a day that never was is another day's.
        return np.where(starts + clock.offset_of_each(starts) < walls + DAY_US, positions, -1)

    @staticmethod
    def _looked_up(values: IntegerArray, within: Range, find: Any) -> IntegerArray:
        """Find each value once, however often it comes; what lies outside ``within`` counts as its next end."""
        if not values.size:
            return np.empty(0, dtype=np.int64)
        clipped = np.clip(values, *within)
        low, high = int(clipped.min()), int(clipped.max())
        if high - low <= max(values.size, 1_000_000):
            found: IntegerArray = find(np.arange(low, high + 1))[clipped - low]
            return found
        unique, which = np.unique(clipped, return_inverse=True)
        return find(unique)[which]  # type: ignore[no-any-return]

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

    def _first_instant_of(self, wall_us: int) -> int:
        return clock_around(self.tz, wall_us).first_instant_of(wall_us)

    def _end_of_time(self) -> int:
        return self._first_instant_of(start_of_year_us(LAST_YEAR + 1))

    def _label_range(self, label: Label) -> Range:
        """Give the half-open range of positions a label stands for, clipped to nothing."""
        if isinstance(label, datetime) or not isinstance(label, (str, date)):
            raise InvalidInputError(
                f"{label!r}, a {type(label).__name__}, is no label: labels are texts and dates.",
                hint="asset.between(start, end) takes aware datetimes, end excluded.",
                code=ErrorCode.INVALID_SELECTION,
            )
        if isinstance(label, date):
            span: WallSpan | None = span_of_day(label)
        else:
            position = self._find(label)
            if position is not None:
                return position, position + 1
            span = parse_span(label)
        if span is None:
            self._refuse_key(str(label))
        return self._first_from(span.start), self._first_from(span.stop)

    def _first_from(self, minute: int) -> int:
        """Give the position of the first window to begin once clocks show a minute since 1970, or a later one."""
        return self._ticks.first_from(self._first_instant_of(minute * MINUTE_US))

    def _reaches(self, found: Range) -> bool:
        """Answer whether a range of positions touches the universe, even between two windows of it."""
        return found[0] < self._count and found[1] > 0 if found[0] < found[1] else 0 < found[0] <= self._count

    def _refuse_key(self, key: object) -> NoReturn:
        if isinstance(key, str) and self._is_excluded(key):
            raise PartitionKeyError(
                f"{key!r} is excluded from {self.describe()}.",
                hint=f"the next partition is {self._key(self._ticks.first_from(self._keys.parse(key) or 0))!r}.",
                context={"key": key},
            )
        meant = self._guess_key(key) if isinstance(key, str) else None
        raise PartitionKeyError(
            f"{key!r} is not a key of {self.describe()}: {self.name} keys look like {self.example_key!r}.",
            hint="that is the first; .keys lists those that are there."
            if meant is None
            else f"did you mean {meant!r}?",
            context={"key": key},
        )

    def _is_excluded(self, key: str) -> bool:
        moment_us = self._keys.parse(key)
        if self._windows is self._ticks or moment_us is None:
            return False
        start_us = self._windows.instant_of(self._windows.first_from(moment_us))
        return self._keys.format(start_us) == key and self._ticks.number_at(start_us) == self._ticks.number_at(
            start_us - 1
        )

    def _refuse_empty(self, label: str, found: Range) -> NoReturn:
        if self._reaches(found):
            if self._is_excluded(label):
                self._refuse_key(label)
            before = max(found[0] - 1, 0)
            raise PartitionKeyError(
                f"No {self.name} window starts in {label!r}.",
                hint=f"the one before it is {self._key(before)!r}.",
                context={"label": label},
            )
        last = "on" if self.end is None else f"to {self._key(self._count - 1)!r}"
        raise PartitionKeyError(
            f"{label!r} lies outside the partitions: keys run from {self.example_key!r} {last}.",
            code=ErrorCode.OUT_OF_RANGE,
            context={"label": label, "first": self.example_key, "end": self.end},
        )

    def _guess_key(self, text: str) -> str | None:
        """Find the key that was probably meant: zeros or separators are missing, or it is a time within a window."""
        digits = "".join(part.zfill(2) for part in _DIGITS.findall(text) if part.isascii())
        span = parse_span(f"{digits[:4]}-{digits[4:6] or '01'}-{digits[6:8] or '01'}")
        if span is None:
            return None
        hour, minute = int(digits[8:10] or 0), int(digits[10:12] or 0)
        wall_us = (span.start + min(60 * hour + minute, span.stop - span.start - 1)) * MINUTE_US
        position = self._ticks.number_at(self._first_instant_of(wall_us))
        return self._key(position) if 0 <= position < self._count else None

    def _check_keys_differ(self) -> None:
        """Refuse a format that does not read back as the window it was written for."""
        near = np.arange(min(self._count, _TRIED_KEYS))
        far = np.linspace(0, self._count_of_years(50) - 1, _TRIED_KEYS).astype(np.int64)
        positions = np.unique(np.concatenate((near, far)))
        for position, key in zip(positions.tolist(), self.keys_at(positions), strict=True):
            if self._find(key) != position:
                raise InvalidInputError(
                    f"fmt={self.fmt!r} writes the {self.name} window that begins at "
                    f"{from_microseconds(self._ticks.instant_of(position)).astimezone(get_zone(self.tz))} as {key!r}, "
                    "which does not say which window it is.",
                    hint=f"the default is {DATE!r}, or {DATE_TIME!r} where a day has several windows.",
                )

    def _count_of_years(self, years: int) -> int:
        end = from_microseconds(self._ticks.instant_of(0)) + timedelta(days=366 * years)
        return min(max(self._ticks.number_at(to_microseconds(end)), 1), self._count)


def _default_format(cron: CronExpression) -> str:
    return DATE_TIME if len(cron.times) > 1 else DATE


def _what_repeats(cron: CronExpression) -> Repeated:
    """Say which of two equal wall times a window begins at, as Dagster has it."""
    if cron.every_hour:
        return Repeated.BOTH
    if len(cron.times) == 1 and cron.times[0] // 60 not in _HOURS_OF_CHANGE:
        return Repeated.FIRST
    return Repeated.SECOND


def _rebuild(plain: Mapping[str, Any]) -> PartitionsDefinition:
    from lakepart.model.definitions import definition_from_dict

    return definition_from_dict(plain)
