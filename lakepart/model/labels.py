"""Dates and parts of dates as people write them: ``2013``, ``2013-Q1``, ``2013-01``, ``2013-01-05``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from lakepart.errors import ErrorCode, InvalidInputError

_PARTIAL_DATE = re.compile(r"(?P<year>[0-9]{4})(?:-Q(?P<quarter>[1-4])|-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?")
_TIME = re.compile(
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?"
    r"(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2}(?::?[0-9]{2})?)?"
)
_DATE_LENGTH = len("2013-01-05")
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Calendar days since 1970, ``stop`` excluded, that a label stands for."""

    start: int
    stop: int


def parse_days(text: str) -> DaySpan | None:
    """Read a date or a part of one; None for anything else, days that no calendar has included."""
    found = _PARTIAL_DATE.fullmatch(text)
    if found is None:
        return None
    year, month, months, day = int(found["year"]), 1, 12, found["day"]
    if found["quarter"]:
        month, months = 3 * int(found["quarter"]) - 2, 3
    elif found["month"]:
        month, months = int(found["month"]), 1
    try:
        if day:
            start = day_number(date(year, month, int(day)))
            return DaySpan(start, start + 1)
        first_of_next = date(year + (month + months > 12), (month + months - 1) % 12 + 1, 1)
        return DaySpan(day_number(date(year, month, 1)), day_number(first_of_next))
    except ValueError:
        return None


def parse_wall_time(text: str) -> datetime | None:
    """Read ``2013-01-05 07:00``, also with ``T`` or ``-`` between, seconds, a UTC offset; None for all else."""
    found = _TIME.fullmatch(text[_DATE_LENGTH + 1 :])
    days = parse_days(text[:_DATE_LENGTH])
    if found is None or days is None or days.stop != days.start + 1 or text[_DATE_LENGTH] not in "T -":
        return None
    try:
        wall = datetime.combine(day_of_number(days.start), datetime.min.time()).replace(
            hour=int(found["hour"]), minute=int(found["minute"]), second=int(found["second"] or 0)
        )
        return wall.replace(tzinfo=_parse_offset(found["offset"])) if found["offset"] else wall
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
        days = parse_days(given)
        if days is not None:
            return datetime.combine(day_of_number(days.start), datetime.min.time())
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


def day_of_number(number: int) -> date:
    """Give the date of a count of days since 1970-01-01."""
    return date.fromordinal(number + _EPOCH_DAY)


def _parse_offset(text: str) -> tzinfo:
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:] or 0))
    return timezone(-size if text[0] == "-" else size)
