"""The grains of time definitions: minutes to years, and any cron expression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Unpack

from lakepart.errors import InvalidInputError
from lakepart.model.crontab import MINUTES_OF_DAY, cron_of, parse_cron
from lakepart.model.time_definitions import Moment, TimeDefinition, TimeOptions

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class Minutely(TimeDefinition):
    """A partition a minute, or every so many minutes of an hour; keys like ``2013-01-31-07:15``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters, and :class:`Hourly` for
    what happens when clocks are changed.

    Parameters
    ----------
    every
        How many minutes long a window is: a divisor of 60.

    Examples
    --------
    >>> quarters = Minutely("2024-01-01", every=15)
    >>> quarters.keys_at(quarters.label("2024-01-01T07").to_array())
    ['2024-01-01-07:00', '2024-01-01-07:15', '2024-01-01-07:30', '2024-01-01-07:45']
    """

    __slots__ = ()
    name: ClassVar[str] = "minutely"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"every": 1})

    def __init__(self, start: Moment, *, every: int = 1, **options: Unpack[TimeOptions]) -> None:
        _check_divides("Minutely", every, 60, "minutes")
        self._set_up(start, cron_of(range(0, 60, every)), {"every": every}, **options)


class Hourly(TimeDefinition):
    """A partition an hour, or every so many hours of a day; keys like ``2013-01-31-07:00``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters. The second of a repeated
    hour has its UTC offset in its key, ``2024-11-03-01:00-0500``; an hour that the clocks leave out is no partition.
    Where they jump by a part of an hour (Lord Howe Island) the window of the jump is longer or shorter.

    Parameters
    ----------
    every
        How many hours long a window is: a divisor of 24. Windows begin at multiples of it since midnight.
    minute
        At which minute of the hour windows begin.

    Examples
    --------
    >>> hours = Hourly("2024-11-03-00:00", tz="America/New_York")
    >>> hours.keys_at(hours.label("2024-11-03").to_array())[:3]
    ['2024-11-03-00:00', '2024-11-03-01:00', '2024-11-03-01:00-0500']
    >>> Hourly("2024-01-01", every=6).keys_at(Hourly("2024-01-01", every=6).label("2024-01-01").to_array())
    ['2024-01-01-00:00', '2024-01-01-06:00', '2024-01-01-12:00', '2024-01-01-18:00']
    """

    __slots__ = ()
    name: ClassVar[str] = "hourly"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"every": 1, "minute": 0})

    def __init__(self, start: Moment, *, every: int = 1, minute: int = 0, **options: Unpack[TimeOptions]) -> None:
        _check_divides("Hourly", every, 24, "hours")
        _check_number("minute", minute, 0, 59)
        cron = cron_of([minute], None if every == 1 else range(0, 24, every))
        self._set_up(start, cron, {"every": every, "minute": minute}, **options)


class Daily(TimeDefinition):
    """A partition a day, from midnight to midnight of a zone unless told otherwise; keys like ``2013-01-31``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters. A day that a zone left out
    when it changed sides of the date line (Apia, 2011-12-30) is no partition.

    Parameters
    ----------
    hour, minute
        The time of day at which windows begin.

    Examples
    --------
    >>> days = Daily("2013-01-01", tz="America/New_York", by="time_hour")
    >>> days.window_at(days.position_of("2013-03-10")).duration
    datetime.timedelta(seconds=82800)
    >>> business = Daily("2024-01-01", end="2024-02-01", exclude=["0 0 * * 6,0", "2024-01-01"])
    >>> business.start, len(business.universe)
    ('2024-01-02', 22)
    """

    __slots__ = ()
    name: ClassVar[str] = "daily"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"hour": 0, "minute": 0})

    def __init__(self, start: Moment, *, hour: int = 0, minute: int = 0, **options: Unpack[TimeOptions]) -> None:
        _check_time(hour, minute)
        self._set_up(start, cron_of([minute], [hour]), {"hour": hour, "minute": minute}, **options)


class Weekly(TimeDefinition):
    """A partition a week, from Sunday to Sunday as in Dagster unless told otherwise; keys are its first day.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters.

    Parameters
    ----------
    weekday
        The day on which windows begin: its English name, or its number in cron (0 is Sunday).
    hour, minute
        The time of day at which windows begin.

    Examples
    --------
    >>> Weekly("2024-01-01")
    Weekly('2024-01-07')
    >>> Weekly("2024-01-01", weekday="monday", fmt="%G-W%V").example_key
    '2024-W01'
    """

    __slots__ = ()
    name: ClassVar[str] = "weekly"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"weekday": "sunday", "hour": 0, "minute": 0})

    def __init__(
        self,
        start: Moment,
        *,
        weekday: int | str = "sunday",
        hour: int = 0,
        minute: int = 0,
        **options: Unpack[TimeOptions],
    ) -> None:
        _check_time(hour, minute)
        number = _weekday_number(weekday)
        own = {"weekday": WEEKDAYS[number], "hour": hour, "minute": minute}
        self._set_up(start, cron_of([minute], [hour], weekday=number), own, **options)


class Monthly(TimeDefinition):
    """A partition a month; keys are its first day, like ``2013-01-01``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters.

    Parameters
    ----------
    day
        The day of the month on which windows begin, 1 to 28; ``Cron("0 0 L * *", …)`` begins on the last.
    hour, minute
        The time of day at which windows begin.

    Examples
    --------
    >>> Monthly("2024-01-15", end="2024-12-31")
    Monthly('2024-02-01', end='2024-12-01')
    """

    __slots__ = ()
    name: ClassVar[str] = "monthly"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"day": 1, "hour": 0, "minute": 0})

    def __init__(
        self, start: Moment, *, day: int = 1, hour: int = 0, minute: int = 0, **options: Unpack[TimeOptions]
    ) -> None:
        _check_time(hour, minute)
        own = {"day": _check_day(day), "hour": hour, "minute": minute}
        self._set_up(start, cron_of([minute], [hour], day=day), own, **options)


class _OfMonths(TimeDefinition):
    """What the grains that begin in certain months of the year share: they are one rule with another step."""

    __slots__ = ()
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"month": 1, "day": 1, "hour": 0, "minute": 0})
    months_each: ClassVar[int]

    def __init__(
        self,
        start: Moment,
        *,
        month: int = 1,
        day: int = 1,
        hour: int = 0,
        minute: int = 0,
        **options: Unpack[TimeOptions],
    ) -> None:
        _check_time(hour, minute)
        _check_number("month", month, 1, self.months_each)
        own = {"month": month, "day": _check_day(day), "hour": hour, "minute": minute}
        cron = cron_of([minute], [hour], day=day, months=range(month, 13, self.months_each))
        self._set_up(start, cron, own, **options)


class Quarterly(_OfMonths):
    """A partition a quarter, from January, April, July and October unless told otherwise; keys are its first day.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters.

    Parameters
    ----------
    month
        The first month of the year in which a window begins: 1, 2 or 3.
    day
        The day of that month, 1 to 28.
    hour, minute
        The time of day at which windows begin.

    Examples
    --------
    >>> Quarterly("2013-02-01").start
    '2013-04-01'
    """

    __slots__ = ()
    name: ClassVar[str] = "quarterly"
    months_each: ClassVar[int] = 3


class Yearly(_OfMonths):
    """A partition a year; keys are its first day, like ``2013-01-01``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters.

    Parameters
    ----------
    month, day
        The day of the year on which windows begin; the day of the month is 1 to 28.
    hour, minute
        The time of day at which windows begin.

    Examples
    --------
    >>> fiscal = Yearly("2013-01-01", end="2016-12-31", month=4)
    >>> fiscal.keys_at(fiscal.universe.to_array())
    ['2013-04-01', '2014-04-01', '2015-04-01']
    """

    __slots__ = ()
    name: ClassVar[str] = "yearly"
    months_each: ClassVar[int] = 12


class Cron(TimeDefinition):
    """A partition from each time that a cron expression names to the next.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the other parameters.

    Parameters
    ----------
    expression
        Five fields: minute, hour, day of the month, month, day of the week (0 is Sunday), as croniter reads them.

    Examples
    --------
    >>> opening = Cron("30 9 * * 1-5", "2024-01-01", end="2024-01-10", tz="America/New_York")
    >>> opening.keys_at(opening.universe.to_array())
    ['2024-01-01', '2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-08']
    """

    __slots__ = ()
    name: ClassVar[str] = "cron"
    own_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({"expression": None})

    def __init__(self, expression: str, start: Moment, **options: Unpack[TimeOptions]) -> None:
        cron = parse_cron(expression)
        self._set_up(start, cron, {"expression": cron.text}, **options)

    def _arguments(self) -> list[str]:
        start, expression, *others = super()._arguments()
        return [expression.removeprefix("expression="), start, *others]


GRAINS: tuple[type[TimeDefinition], ...] = (Minutely, Hourly, Daily, Weekly, Monthly, Quarterly, Yearly, Cron)


def plainest_grain(expression: str, start: Moment, **options: Unpack[TimeOptions]) -> TimeDefinition:
    """Give the definition whose windows begin as a cron expression says: a grain that has it, or :class:`Cron`.

    Examples
    --------
    >>> plainest_grain("0 7 * * 1", "2024-01-01")
    Weekly('2024-01-01-07:00', weekday='monday', hour=7)
    """
    cron = parse_cron(expression)
    hour, minute = divmod(cron.times[0], 60)
    once = {"hour": hour, "minute": minute}
    if len(cron.times) > 1:
        if cron.every_day and (every := _step(cron.times)) is not None:
            if every % 60 == 0:
                return Hourly(start, every=every // 60, minute=minute, **options)
            if cron.every_hour and minute == 0:
                return Minutely(start, every=every, **options)
    elif cron.every_day:
        return Daily(start, **once, **options)
    elif cron.every_week:
        return Weekly(start, weekday=cron.weekdays[0], **once, **options)
    elif cron.weekdays == ("*",) and cron.month_days[1:] == () and cron.month_days[0] in range(1, 29):
        own = {"day": cron.month_days[0], **once}
        if cron.months == ("*",):
            return Monthly(start, **own, **options)
        if len(cron.months) == 1:
            return Yearly(start, month=cron.months[0], **own, **options)
        if cron.months == tuple(range(cron.months[0], 13, 3)) and cron.months[0] <= 3:
            return Quarterly(start, month=cron.months[0], **own, **options)
    return Cron(expression, start, **options)


def _step(times: Sequence[int]) -> int | None:
    """Give the minutes from one time of day to the next where they are the same all day long."""
    steps = {later - earlier for earlier, later in pairwise([*times, times[0] + MINUTES_OF_DAY])}
    return steps.pop() if len(steps) == 1 else None


def _check_time(hour: int, minute: int) -> None:
    _check_number("hour", hour, 0, 23)
    _check_number("minute", minute, 0, 59)


def _check_day(day: int) -> int:
    _check_number("day", day, 1, 28, hint="for the last day of months, Cron('0 0 L * *', …).")
    return day


def _check_number(name: str, value: int, low: int, high: int, *, hint: str | None = None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInputError(f"{name}={value!r} is no whole number from {low} to {high}.", hint=hint)


def _check_divides(kind: str, every: int, whole: int, unit: str) -> None:
    if not isinstance(every, int) or isinstance(every, bool) or not 0 < every < whole or whole % every:
        divisors = ", ".join(str(one) for one in range(1, whole) if whole % one == 0)
        raise InvalidInputError(
            f"{kind}(every={every!r}): windows of so many {unit} do not fill {whole} {unit} evenly.",
            hint=f"every is one of {divisors}; Cron(…) takes any schedule.",
        )


def _weekday_number(weekday: int | str) -> int:
    if isinstance(weekday, str) and weekday.lower() in WEEKDAYS:
        return WEEKDAYS.index(weekday.lower())
    if not isinstance(weekday, str):
        _check_number("weekday", weekday, 0, 6, hint="0 is Sunday.")
        return weekday
    raise InvalidInputError(f"weekday={weekday!r} is no day of the week.", hint=f"one of {', '.join(WEEKDAYS)}.")
