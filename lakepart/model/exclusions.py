"""What a time definition leaves out: windows that begin at times a cron expression names, or on given days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeGuard

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.crontab import CronExpression, parse_cron
from lakepart.model.labels import WallSpan, parse_date, parse_span, parse_wall_time
from lakepart.model.reprs import repr_some
from lakepart.model.schedules import Schedule, schedule_of, thinned

_DATE_TIME = "%Y-%m-%dT%H:%M"
_LAST_YEAR = 2100  # beyond it, years are counted as those 400 years before


@dataclass(frozen=True, slots=True)
class Calendar:
    """A named list of days, such as the holidays of an exchange, for a definition's ``exclude``.

    Parameters
    ----------
    name
        What it is called where the definition is shown.
    days
        Dates, or texts like ``2024-12-25``, in any order.

    Raises
    ------
    InvalidInputError
        Something is no date, or lies beyond the year 2100.

    Examples
    --------
    >>> Calendar("closed", [date(2024, 12, 25), "2024-01-01"]).days
    ('2024-01-01', '2024-12-25')
    """

    name: str
    days: tuple[str, ...]

    def __init__(self, name: str, days: Iterable[date | str]) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"A calendar is called {name!r}: its name is a text.", code=ErrorCode.INVALID_NAME)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "days", tuple(sorted({_day_text(day) for day in days})))

    def __repr__(self) -> str:
        return f"Calendar({self.name!r}, {repr_some(self.days)})"


Exclusion = str | Calendar  # a cron expression, a date or a minute as text, or a calendar


def check_exclusions(given: Any, cron: CronExpression) -> tuple[Exclusion, ...]:
    """Bring what a definition excludes into one form: expressions, days and minutes, calendars, each once.

    Raises
    ------
    InvalidInputError
        Something is neither an expression, a date nor an iterable of dates, or an expression names none of the times
        at which windows begin.
    """
    items = list(_flattened([given] if isinstance(given, str | date | Calendar) else given))
    crons = [item for item in dict.fromkeys(items) if is_cron(item)]
    for text in crons:
        _check_meets(parse_cron(text), cron)
    texts = sorted({item for item in items if isinstance(item, str) and not is_cron(item)})
    calendars = [item for item in dict.fromkeys(items) if isinstance(item, Calendar)]
    return (*crons, *texts, *calendars)


def schedule_without(cron: CronExpression, exclusions: Iterable[Exclusion]) -> Schedule | None:
    """Give the schedule of an expression without what is excluded; None where nothing is left."""
    items = list(exclusions)
    schedule = schedule_of(cron, tuple(parse_cron(item) for item in items if is_cron(item)))
    if schedule is None:
        return None
    return thinned(schedule, (number for span in _spans(items) for number in _numbers_in(schedule, span)))


def to_plain(exclusions: Iterable[Exclusion]) -> list[Any]:
    """Give the form the catalog keeps."""
    return [
        {"calendar": item.name, "days": list(item.days)} if isinstance(item, Calendar) else item for item in exclusions
    ]


def from_plain(items: Iterable[Any]) -> list[Exclusion]:
    """Read what :func:`to_plain` gave."""
    return [Calendar(item["calendar"], item["days"]) if isinstance(item, Mapping) else item for item in items]


def describe_exclusions(exclusions: Iterable[Exclusion]) -> str:
    """Say in a few words what is excluded."""
    items = list(exclusions)
    days = sum(isinstance(item, str) and not is_cron(item) for item in items)
    said = [f"{item!r}" for item in items if is_cron(item)]
    said += [f"{days:,} days"] if days > 1 else [item for item in items if isinstance(item, str) and not is_cron(item)]
    said += [f"{item.name} ({len(item.days):,} days)" for item in items if isinstance(item, Calendar)]
    return f"except {', '.join(said)}" if said else ""


def _flattened(given: Any) -> Iterator[Exclusion]:
    if not isinstance(given, Iterable):
        raise _no_exclusion(given)
    for item in given:
        if isinstance(item, Calendar):
            yield item
        elif isinstance(item, str | date):
            yield item if is_cron(item) else _moment_text(item)
        elif isinstance(item, Iterable):
            yield from map(_day_text, item)
        else:
            raise _no_exclusion(item)


def is_cron(item: object) -> TypeGuard[str]:
    """Say whether a text is meant as a cron expression."""
    return isinstance(item, str) and (item.startswith("@") or len(item.split()) > 2)


def _moment_text(item: str | date) -> str:
    """Write a day, or a minute on the clocks of the definition's zone."""
    wall = parse_wall_time(item) if isinstance(item, str) else item
    if not isinstance(wall, datetime):
        return _day_text(item)
    if wall.tzinfo is not None or wall.second or wall.microsecond:
        raise InvalidInputError(
            f"{item!r} cannot be excluded: windows are excluded by the full minute on the clocks of their zone.",
            hint="write 2024-12-25T06:00, without an offset.",
        )
    _check_year(wall, item)
    return wall.strftime(_DATE_TIME)


def _day_text(item: object) -> str:
    day = parse_date(item) if isinstance(item, str) else item
    if isinstance(day, datetime) or not isinstance(day, date):
        raise _no_exclusion(item)
    _check_year(day, item)
    return day.isoformat()


def _check_year(day: date, item: object) -> None:
    if not 1000 <= day.year <= _LAST_YEAR:
        raise InvalidInputError(
            f"{item!r} cannot be excluded: single days lie in the years 1000 to {_LAST_YEAR}.",
            hint="a cron expression excludes days of every year.",
            code=ErrorCode.OUT_OF_RANGE,
        )


def _no_exclusion(item: object) -> InvalidInputError:
    return InvalidInputError(
        f"{item!r} cannot be excluded: exclude takes cron expressions, dates, and iterables of dates.",
        hint="for example exclude=['0 0 * * 6,0', date(2024, 12, 25), Calendar('NYSE', days)].",
    )


def _check_meets(excluded: CronExpression, cron: CronExpression) -> None:
    times = set(excluded.times) & set(cron.times)
    if times and (excluded.days & cron.days).any():
        return
    hour, minute = divmod(cron.times[0], 60)
    raise InvalidInputError(
        f"exclude {excluded.text!r} excludes nothing: it names none of the times at which windows begin "
        f"({cron.text!r}).",
        hint=f"windows are excluded by their start: {minute} {hour} or * * in the first two fields meets it.",
    )


def _spans(items: Iterable[Exclusion]) -> Iterator[WallSpan]:
    listed = (item.days if isinstance(item, Calendar) else () if is_cron(item) else (item,) for item in items)
    return (span for texts in listed for text in texts if (span := parse_span(text)) is not None)


def _numbers_in(schedule: Schedule, span: WallSpan) -> range:
    return range(schedule.count_through(span.start - 1), schedule.count_through(span.stop - 1))
