"""Daily, weekly, monthly, quarterly and yearly partitions: whole calendar days of a zone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

import numpy as np

from lakepart.model.intervals import IntegerArray
from lakepart.model.labels import day_number, day_of_number, parse_days
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.zones import (
    DAY_US,
    clock_around,
    clock_for,
    get_clock,
    in_pieces,
    skipped_days,
    year_of,
)

_KEY_LENGTH = len("2013-01-31")
_FIRST_SUNDAY = 3  # 1970-01-04


@dataclass(frozen=True, slots=True, repr=False, init=False)
class CalendarDefinition(TimeDefinition):
    """Windows of whole calendar days; a position counts periods from the one that holds 1970-01-01."""

    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys at many positions; vectorised."""
        keys: list[str] = np.datetime_as_string(self._first_days(positions).astype("datetime64[D]")).tolist()
        return keys

    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the starts of the windows at many positions, in UTC microseconds; vectorised."""
        if not positions.size:
            return np.empty(0, dtype=np.int64)
        local_us = self._first_days(positions) * DAY_US
        return clock_for(self.tz, local_us).first_instant_of_each(local_us)

    def positions_of_dates(self, days: IntegerArray) -> IntegerArray:
        """Give the position of the window that each local calendar day (days since 1970) lies in; vectorised."""
        # Beyond four-digit years NumPy's calendar would still count, but nothing there is a partition.
        return self._periods(np.clip(days.astype(np.int64), -1_000_000, 10_000_000))

    @abstractmethod
    def _periods(self, days: IntegerArray) -> IntegerArray:
        """Give the period of each day."""

    @abstractmethod
    def _period(self, day: int) -> int:
        """Give the period of a day."""

    @abstractmethod
    def _first_days(self, periods: IntegerArray) -> IntegerArray:
        """Give the first day of each period."""

    @abstractmethod
    def _first_day(self, period: int) -> int:
        """Give the first day of a period."""

    def _start_us(self, position: int) -> int:
        local_us = self._first_day(position) * DAY_US
        return clock_around(self.tz, local_us).first_instant_of(local_us)

    def _unclipped_position(self, utc_us: int) -> int:
        return self._period(clock_around(self.tz, utc_us).local_at(utc_us) // DAY_US)

    def _positions_of_instants(self, utc_us: IntegerArray, smallest: int, greatest: int) -> IntegerArray:
        clock = get_clock(self.tz, year_of(smallest), year_of(greatest))
        positions = np.empty(utc_us.shape, dtype=np.int64)
        for piece in in_pieces(utc_us):
            positions[piece] = self._periods(clock.local_at_each(utc_us[piece]) // DAY_US)
        return positions

    def _key(self, position: int) -> str:
        return day_of_number(self._first_day(position)).isoformat()

    def _parse_key(self, key: str) -> int | None:
        days = parse_days(key) if len(key) == _KEY_LENGTH else None
        if days is None:
            return None
        period = self._period(days.start)
        return period if self._first_day(period) == days.start else None

    def _first_from_day(self, day: int) -> int:
        period = self._period(day)
        return period if self._first_day(period) == day else period + 1


class Daily(CalendarDefinition):
    """A partition a day, from midnight to midnight of a zone; keys like ``2013-01-31``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters. A day that a zone left out when it
    changed sides of the date line (Apia, 2011-12-30) is no partition.

    Examples
    --------
    >>> days = Daily("2013-01-01", tz="America/New_York", by="time_hour")
    >>> days.window_at(days.position_of("2013-03-10")).duration
    datetime.timedelta(seconds=82800)
    """

    __slots__ = ()
    name: ClassVar[str] = "daily"

    def _periods(self, days: IntegerArray) -> IntegerArray:
        return days

    def _period(self, day: int) -> int:
        return day

    def _first_days(self, periods: IntegerArray) -> IntegerArray:
        return periods

    def _first_day(self, period: int) -> int:
        return period

    def _empty_positions(self, first: int, stop: int) -> list[int]:
        return list(skipped_days(self.tz, day_of_number(first).year, day_of_number(stop).year))


class Weekly(CalendarDefinition):
    """A partition a week, from Sunday to Sunday as in Dagster; keys are the Sunday's date.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters.

    Examples
    --------
    >>> Weekly("2024-01-01")
    Weekly('2024-01-07')
    """

    __slots__ = ()
    name: ClassVar[str] = "weekly"
    key_shape: ClassVar[str] = "2013-01-27"

    def _periods(self, days: IntegerArray) -> IntegerArray:
        return (days - _FIRST_SUNDAY) // 7

    def _period(self, day: int) -> int:
        return (day - _FIRST_SUNDAY) // 7

    def _first_days(self, periods: IntegerArray) -> IntegerArray:
        return periods * 7 + _FIRST_SUNDAY

    def _first_day(self, period: int) -> int:
        return period * 7 + _FIRST_SUNDAY


class _OfMonths(CalendarDefinition):
    """Periods of a whole number of months."""

    __slots__ = ()
    months: ClassVar[int]
    key_shape: ClassVar[str] = "2013-01-01"

    def _periods(self, days: IntegerArray) -> IntegerArray:
        return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) // self.months

    def _period(self, day: int) -> int:
        first = day_of_number(day)
        return (12 * (first.year - 1970) + first.month - 1) // self.months

    def _first_days(self, periods: IntegerArray) -> IntegerArray:
        return (periods * self.months).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)

    def _first_day(self, period: int) -> int:
        years, months = divmod(period * self.months, 12)
        return day_number(date(1970 + years, months + 1, 1))


class Monthly(_OfMonths):
    """A partition a month; keys are its first day, like ``2013-01-01``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters.

    Examples
    --------
    >>> Monthly("2024-01-15", end="2024-12-31")
    Monthly('2024-02-01', end='2024-12-01')
    """

    __slots__ = ()
    name: ClassVar[str] = "monthly"
    months: ClassVar[int] = 1


class Quarterly(_OfMonths):
    """A partition a quarter, from January, April, July and October; keys are its first day.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters.

    Examples
    --------
    >>> Quarterly("2013-02-01").start
    '2013-04-01'
    """

    __slots__ = ()
    name: ClassVar[str] = "quarterly"
    months: ClassVar[int] = 3


class Yearly(_OfMonths):
    """A partition a year; keys are its first day, like ``2013-01-01``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters.

    Examples
    --------
    >>> Yearly("2013-01-01", end="2016-01-01").keys_at(Yearly("2013-01-01", end="2016-01-01").universe.to_array())
    ['2013-01-01', '2014-01-01', '2015-01-01']
    """

    __slots__ = ()
    name: ClassVar[str] = "yearly"
    months: ClassVar[int] = 12
