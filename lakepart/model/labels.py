"""Dates and parts of dates as people write them: ``2013``, ``2013-Q1``, ``2013-W05``, ``2013-01-05T03``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.crontab import MINUTES_OF_DAY

_PARTIAL_DATE = re.compile(
    r"(?P<year>[0-9]{4})"
    r"(?:-Q(?P<quarter>[1-4])|-W(?P<week>[0-9]{2})|-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?"
)
_PARTIAL_TIME = re.compile(r"(?P<hour>[01][0-9]|2[0-3])(?::(?P<minute>[0-5][0-9]))?")
_TIME = re.compile(
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?)?"
)
_DATE_LENGTH = len("2013-01-05")
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class WallSpan:
    """Minutes of the wall clock since 1970-01-01 00:00, ``stop`` excluded, that a label stands for."""

    start: int
    stop: int


def parse_span(text: str) -> WallSpan | None:
    """Read a date or a part of one, down to the minute; None for anything else, days that no calendar has included."""
    days, separator, time = text.partition("T")
    span = _span_of_days(days)
    if not separator or span is None:
        return span
    found = _PARTIAL_TIME.fullmatch(time)
    if found is None or span.stop - span.start != MINUTES_OF_DAY:
        return None
    hour = span.start + 60 * int(found["hour"])
    if found["minute"] is None:
        return WallSpan(hour, hour + 60)
    minute = hour + int(found["minute"])
    return WallSpan(minute, minute + 1)


def span_of_day(day: date) -> WallSpan:
    """Give the minutes of a calendar day."""
    start = day_number(day) * MINUTES_OF_DAY
    return WallSpan(start, start + MINUTES_OF_DAY)


def parse_wall_time(text: str) -> datetime | None:
    """Read ``2013-01-05 07:00``, also with ``T`` or ``-`` between, seconds, a UTC offset; None for all else."""
    found = _TIME.fullmatch(text[_DATE_LENGTH + 1 :])
    day = parse_date(text[:_DATE_LENGTH])
    if found is None or day is None or text[_DATE_LENGTH] not in "T -":
        return None
    try:
        wall = datetime.combine(day, datetime.min.time()).replace(
            hour=int(found["hour"]), minute=int(found["minute"]), second=int(found["second"] or 0)
        )
        return wall.replace(tzinfo=_parse_offset(found["offset"])) if found["offset"] else wall
    except ValueError:
        return None


def parse_date(text: str) -> date | None:
    """Read ``2013-01-05``; None for anything else."""
    found = _PARTIAL_DATE.fullmatch(text)
    if found is None or found["day"] is None:
        return None
    try:
        return date(int(found["year"]), int(found["month"]), int(found["day"]))
    except ValueError:
        return None


def parse_moment(given: object, *, name: str) -> datetime:
    """Read where a definition starts or ends: a datetime, a date, or one of them as text.

    Without an offset the result is naive: the time on the clocks of the definition's zone.

    Raises
    ------
    InvalidInputError
        It is none of these.
    """
    if isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day)  # noqa: DTZ001 - wall time of the definition's zone
    if isinstance(given, str):
        span = parse_span(given)
        if span is not None:
            return datetime(1970, 1, 1) + timedelta(minutes=span.start)  # noqa: DTZ001 - as above
        wall = parse_wall_time(given)
        if wall is not None:
            return wall
    raise InvalidInputError(
        f"{name} {given!r} is no date: it looks like '2013-01-05' or '2013-01-05 07:00', or is a date or datetime.",
        code=ErrorCode.INVALID_INPUT,
    )


def day_number(day: date) -> int:
    """Count the days from 1970-01-01 to a date."""
    return day.toordinal() - _EPOCH_DAY


def _span_of_days(text: str) -> WallSpan | None:
    found = _PARTIAL_DATE.fullmatch(text)
    if found is None:
        return None
    try:
        if found["day"]:
            return span_of_day(date(int(found["year"]), int(found["month"]), int(found["day"])))
        first, last = _first_and_last(found)
    except ValueError:
        return None
    return WallSpan(day_number(first) * MINUTES_OF_DAY, (day_number(last) + 1) * MINUTES_OF_DAY)


def _first_and_last(found: re.Match[str]) -> tuple[date, date]:
    year = int(found["year"])
    if found["week"]:
        first = date.fromisocalendar(year, int(found["week"]), 1)
        return first, first + timedelta(days=6)
    month, months = 1, 12
    if found["quarter"]:
        month, months = 3 * int(found["quarter"]) - 2, 3
    elif found["month"]:
        month, months = int(found["month"]), 1
    beyond = month + months
    return date(year, month, 1), date(year + (beyond > 12), (beyond - 1) % 12 + 1, 1) - timedelta(days=1)


def _parse_offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:] or 0))
    return timezone(-size if text[0] == "-" else size)
