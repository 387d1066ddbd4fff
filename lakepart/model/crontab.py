"""Cron expressions: the days and the times of day that one names.

The expressions are read by croniter, the reader that Dagster uses too, so that the same text means the same in both.
What it names is kept as a set of times of the day and a set of days, for arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lakepart.errors import ErrorCode, InvalidInputError

DAYS_OF_CYCLE = 146_097  # 400 years: the calendar and its weekdays repeat after them
MINUTES_OF_DAY = 1_440

_FIRST_WEEKDAY = 4  # 1970-01-01 was a Thursday; Sunday is 0
_LAST = "l"

BooleanArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CronExpression:
    """What a cron expression of five fields names.

    Attributes
    ----------
    text
        The expression, its fields parted by one space.
    times
        Minutes of the day, ascending.
    every_hour
        Whether its hour field is ``*``: it then names times by the hour, whatever hours a day has.
    month_days, months, weekdays, ordinal_weekdays
        The other fields: numbers, ``"*"`` alone for any, ``"l"`` for the last; and which of the month's, by weekday.
    """

    text: str
    times: tuple[int, ...]
    every_hour: bool
    month_days: tuple[Any, ...] = ("*",)
    months: tuple[Any, ...] = ("*",)
    weekdays: tuple[Any, ...] = ("*",)
    ordinal_weekdays: tuple[tuple[int, tuple[Any, ...]], ...] = ()

    @cached_property
    def every_day(self) -> bool:
        """Whether it names every day."""
        return self.month_days == self.months == self.weekdays == ("*",)

    @cached_property
    def every_week(self) -> bool:
        """Whether it names one day of each week."""
        every_date = self.month_days == self.months == ("*",)
        return every_date and len(self.weekdays) == 1 and self.weekdays != ("*",) and not self.ordinal_weekdays

    def names_as(self, other: CronExpression) -> bool:
        """Answer whether another expression names the same times of the same days, however it is written."""
        if (self.times, self.every_hour) != (other.times, other.every_hour):
            return False
        return self.text == other.text or np.array_equal(self.days, other.days)

    @cached_property
    def days(self) -> BooleanArray:
        """For each day of 400 years from 1970-01-01 on, whether it is named."""
        calendar = _calendar()
        named = np.full(DAYS_OF_CYCLE, fill_value=True)
        if self.months != ("*",):
            named &= np.isin(calendar.months, self.months)
        by_day, by_weekday = self.month_days != ("*",), self.weekdays != ("*",)
        if by_day and by_weekday:  # as cron has always had it: one of the two is enough
            return named & (self._by_day() | self._by_weekday())
        if by_day:
            return named & self._by_day()
        return named & self._by_weekday() if by_weekday else named

    def _by_day(self) -> BooleanArray:
        calendar = _calendar()
        numbers = [day for day in self.month_days if day != _LAST]
        named: BooleanArray = np.isin(calendar.days, numbers)
        return named | (calendar.days == calendar.lengths) if _LAST in self.month_days else named

    def _by_weekday(self) -> BooleanArray:
        calendar = _calendar()
        ordinals = dict(self.ordinal_weekdays)
        named: BooleanArray = np.isin(calendar.weekdays, [day for day in self.weekdays if day not in ordinals])
        for weekday, which in ordinals.items():
            in_order = np.isin((calendar.days - 1) // 7 + 1, [number for number in which if number != _LAST])
            if _LAST in which:
                in_order |= calendar.days + 7 > calendar.lengths
            named |= (calendar.weekdays == weekday) & in_order
        return named


def cron_of(
    minutes: Sequence[int],
    hours: Sequence[int] | None = None,
    *,
    day: int | None = None,
    months: Sequence[int] | None = None,
    weekday: int | None = None,
) -> CronExpression:
    """Make an expression of plain numbers; None stands for ``*``."""
    fields = (minutes, hours, day, months, weekday)
    return CronExpression(
        text=" ".join(map(_field_text, fields)),
        times=tuple(60 * hour + minute for hour in (range(24) if hours is None else hours) for minute in minutes),
        every_hour=hours is None,
        month_days=("*",) if day is None else (day,),
        months=("*",) if months is None else tuple(months),
        weekdays=("*",) if weekday is None else (weekday,),
    )


_DRAWN_BY_LOT = re.compile(r"(?:^|[\s,])([rh](?:\([^)]*\))?(?:/\d+)?)(?=[\s,]|$)", re.IGNORECASE)


@lru_cache(maxsize=256)
def parse_cron(expression: str) -> CronExpression:
    """Read a cron expression of five fields: minute, hour, day of month, month, day of week (0 is Sunday).

    Raises
    ------
    InvalidInputError
        It is no such expression.
    """
    from croniter import croniter  # needed, and costly to import, only where somebody writes an expression

    text = " ".join(expression.split()) if isinstance(expression, str) else ""
    if drawn := _DRAWN_BY_LOT.search(text):
        raise _not_cron(expression, f"{drawn[1]!r} is drawn anew by every process")
    try:
        fields, ordinal_weekdays = croniter.expand(text)
    except (ValueError, KeyError, TypeError) as error:
        raise _not_cron(expression, str(error)) from error
    if len(fields) != 5:
        raise _not_cron(expression, f"it has {len(fields)} fields")
    minutes = range(60) if fields[0] == ["*"] else fields[0]
    hours = range(24) if fields[1] == ["*"] else fields[1]
    return CronExpression(
        text=text,
        times=tuple(sorted({60 * hour + minute for hour in hours for minute in minutes})),
        every_hour=fields[1] == ["*"],
        month_days=tuple(fields[2]),
        months=tuple(fields[3]),
        weekdays=tuple(fields[4]),
        ordinal_weekdays=tuple((day, tuple(which)) for day, which in sorted(ordinal_weekdays.items())),
    )


def _field_text(field: int | Sequence[int] | None) -> str:
    if field is None:
        return "*"
    return str(field) if isinstance(field, int) else ",".join(map(str, field))


def _not_cron(expression: object, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{expression!r} is no cron expression: {why}.",
        hint="it has five fields, minute, hour, day of month, month and day of week: '0 6 * * 1' is Mondays at 06:00.",
        code=ErrorCode.INVALID_INPUT,
    )


@dataclass(frozen=True, slots=True)
class _Calendar:
    """For each day of the cycle: month, day of the month, length of the month, weekday."""

    months: npt.NDArray[np.int64]
    days: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    weekdays: npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def _calendar() -> _Calendar:
    days = np.arange(DAYS_OF_CYCLE).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    first_days = months.astype("datetime64[D]")
    return _Calendar(
        months=months.astype(np.int64) % 12 + 1,
        days=(days - first_days).astype(np.int64) + 1,
        lengths=((months + 1).astype("datetime64[D]") - first_days).astype(np.int64),
        weekdays=(np.arange(DAYS_OF_CYCLE) + _FIRST_WEEKDAY) % 7,
    )
