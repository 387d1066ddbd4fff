"""The clocks of time zones: where their offsets change, and what that does to days and hours.

``zoneinfo`` answers one instant at a time and does not tell its transitions. They are found here by asking it for the
offset at every midnight (UTC) of a year and halving the days on which it changed; a year costs a fifth of a
millisecond, once. Offsets of all later years repeat those of a year with the same calendar, since beyond its table
(2037, or 2087 where the clocks follow the moon) every zone follows one rule that speaks of months and weekdays only.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from lakepart.errors import InvalidInputError, did_you_mean
from lakepart.model.instants import EPOCH, from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray

DAY_US = 86_400_000_000
SECOND_US = 1_000_000
FIRST_YEAR, LAST_YEAR = 999, 9998  # what partitions may reach, and the year before

_BEGINNING = -(2**62)  # before any instant, and far enough from the end of int64 to be added to
_NO_TRANSITION_BEFORE = 1830  # the oldest in the time zone database is of 1835
_RULES_ONLY_FROM = 2100
_ELEMENTS_AT_A_TIME = 1 << 16  # fits the processor's cache: 3× faster than the whole array at once
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Transition:
    """From ``at_us`` on, local time is UTC + ``offset_us``."""

    at_us: int
    offset_us: int


@lru_cache(maxsize=256)
def get_zone(name: str) -> ZoneInfo:
    """Give the zone of an IANA name.

    Raises
    ------
    InvalidInputError
        There is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"{name!r} is not a time zone: IANA names look like 'America/New_York'.",
            hint=did_you_mean(str(name), available_timezones()),
        ) from error


def offset_us(name: str, utc_us: int) -> int:
    """Give local time minus UTC, in microseconds, at an instant."""
    offset = from_microseconds(utc_us).astimezone(get_zone(name)).utcoffset()
    return (offset or timedelta()) // _MICROSECOND


@lru_cache(maxsize=65_536)
def transitions_of_year(name: str, year: int) -> tuple[Transition, ...]:
    """Give the offset changes of a zone within a year of UTC, in order."""
    if year < _NO_TRANSITION_BEFORE or name == "UTC":
        return ()
    model = model_year(year)
    if model != year:
        shift = start_of_year_us(year) - start_of_year_us(model)
        return tuple(Transition(one.at_us + shift, one.offset_us) for one in transitions_of_year(name, model))
    found: list[Transition] = []
    before = offset_us(name, start_of_year_us(year))
    for day_us in range(start_of_year_us(year), start_of_year_us(year + 1), DAY_US):
        after = offset_us(name, day_us + DAY_US)
        if after != before:  # no zone ever changed twice within three days
            found.append(Transition(_change_within(name, day_us, day_us + DAY_US), after))
            before = after
    return tuple(found)


@lru_cache(maxsize=16_384)
def model_year(year: int) -> int:
    """Give the year itself, or beyond all tables the first year there with the same weekdays and length."""
    if year <= _RULES_ONLY_FROM:
        return year
    weekday = date(year, 1, 1).weekday()
    return next(
        model
        for model in range(_RULES_ONLY_FROM + 1, _RULES_ONLY_FROM + 29)
        if isleap(model) == isleap(year) and date(model, 1, 1).weekday() == weekday
    )


def start_of_year_us(year: int) -> int:
    """Give the instant (UTC) at which a year begins."""
    return (date(year, 1, 1) - EPOCH.date()).days * DAY_US


def year_of(utc_us: int) -> int:
    """Give the year (UTC) of an instant; instants beyond the calendar give its first or last year."""
    if utc_us < start_of_year_us(FIRST_YEAR + 1):
        return FIRST_YEAR
    return LAST_YEAR if utc_us >= start_of_year_us(LAST_YEAR) else from_microseconds(utc_us).year


class LocalClock:
    """The local time of one zone over some years, made for arrays.

    Local time jumps: it leaves out times in spring and repeats some in autumn. Where it repeats, this clock stands
    still just before the time it had reached until that is passed for good, so it never runs backwards, and a window
    begins at the first instant that shows its start or, where that time is left out, at the next one there is.

    Parameters
    ----------
    name
        The zone.
    first_year, last_year
        Years (UTC) of the instants it will be asked for; both included.
    """

    __slots__ = ("_entries", "_floors", "_offsets", "_starts", "entries", "floors", "offsets", "starts")

    def __init__(self, name: str, first_year: int, last_year: int) -> None:
        first_year, last_year = max(first_year - 1, FIRST_YEAR), min(last_year + 1, LAST_YEAR)
        starts, offsets, floors, entries = [_BEGINNING], [offset_us(name, start_of_year_us(first_year))], [], []
        for year in range(first_year, last_year + 1):
            for transition in transitions_of_year(name, year):
                starts.append(transition.at_us)
                offsets.append(transition.offset_us)
        floors.append(_BEGINNING)
        entries.append(_BEGINNING)
        for start, before, after in zip(starts[1:], offsets, offsets[1:], strict=False):
            floors.append(max(floors[-1], start + before - 1))
            entries.append(max(floors[-1], start + after))
        self._starts, self._offsets, self._floors, self._entries = starts, offsets, floors, entries
        self.starts, self.offsets = np.array(starts, dtype=np.int64), np.array(offsets, dtype=np.int64)
        self.floors, self.entries = np.array(floors, dtype=np.int64), np.array(entries, dtype=np.int64)

    def local_at(self, utc_us: int) -> int:
        """Give the local time, in microseconds since 1970-01-01 00:00 local, that the clock shows at an instant."""
        index = bisect_right(self._starts, utc_us) - 1
        return max(utc_us + self._offsets[index], self._floors[index])

    def first_instant_of(self, local_us: int) -> int:
        """Give the first instant at which the clock shows ``local_us`` or more."""
        index = bisect_right(self._entries, local_us) - 1
        instant = local_us - self._offsets[index]
        return min(instant, self._starts[index + 1]) if index + 1 < len(self._starts) else instant

    def local_at_each(self, utc_us: IntegerArray) -> IntegerArray:
        """Do :meth:`local_at` for an array."""
        if len(self._starts) == 1:
            return utc_us + self._offsets[0]
        index = np.searchsorted(self.starts, utc_us, side="right") - 1
        local: IntegerArray = np.maximum(utc_us + self.offsets[index], self.floors[index])
        return local

    def first_instant_of_each(self, local_us: IntegerArray) -> IntegerArray:
        """Do :meth:`first_instant_of` for an array."""
        index = np.searchsorted(self.entries, local_us, side="right") - 1
        following = np.append(self.starts[1:], np.int64(2**62))
        instants: IntegerArray = np.minimum(local_us - self.offsets[index], following[index])
        return instants


@lru_cache(maxsize=512)
def get_clock(name: str, first_year: int, last_year: int) -> LocalClock:
    """Give the clock of a zone for the years (UTC) from ``first_year`` to ``last_year``, both included."""
    get_zone(name)
    return LocalClock(name, first_year, last_year)


def clock_around(name: str, utc_us: int) -> LocalClock:
    """Give the clock of a zone for the year of an instant, or of a local time in microseconds."""
    year = year_of(utc_us)
    return get_clock(name, year, year)


def clock_for(name: str, utc_us: IntegerArray) -> LocalClock:
    """Give the clock of a zone for all years of an array of instants (not empty)."""
    return get_clock(name, year_of(int(utc_us.min())), year_of(int(utc_us.max())))


def in_pieces(utc_us: IntegerArray) -> list[slice]:
    """Cut an array into pieces that stay in the processor's cache."""
    return [slice(at, at + _ELEMENTS_AT_A_TIME) for at in range(0, utc_us.size, _ELEMENTS_AT_A_TIME)]


@lru_cache(maxsize=256)
def skipped_days(name: str, first_year: int, last_year: int) -> tuple[int, ...]:
    """Give the calendar days (since 1970) that a zone left out when it changed sides of the date line.

    Only a change by about a day can do that, and its effect lasts, so the offset at each new year shows the few years
    that must be looked at closely.
    """
    first_year, last_year = max(first_year, _NO_TRANSITION_BEFORE), min(last_year, _RULES_ONLY_FROM)
    skipped: list[int] = []
    after = offset_us(name, start_of_year_us(first_year))
    for year in range(first_year, last_year + 1):
        before, after = after, offset_us(name, start_of_year_us(year + 1))
        if after - before < DAY_US // 2:
            continue
        for transition in transitions_of_year(name, year):
            left = transition.at_us + offset_us(name, transition.at_us - 1)
            entered = transition.at_us + transition.offset_us
            skipped += range(-(-left // DAY_US), entered // DAY_US)
    return tuple(skipped)


def wall_time_us(wall: datetime) -> int:
    """Count the microseconds from 1970-01-01 00:00 to a naive datetime on the same clock."""
    return to_microseconds(wall.replace(tzinfo=UTC))


def _change_within(name: str, start_us: int, end_us: int) -> int:
    before = offset_us(name, start_us)
    while end_us - start_us > SECOND_US:
        middle = start_us + (end_us - start_us) // (2 * SECOND_US) * SECOND_US
        if offset_us(name, middle) == before:
            start_us = middle
        else:
            end_us = middle
    return end_us
