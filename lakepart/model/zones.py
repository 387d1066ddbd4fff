"""The clocks of time zones: where their offsets change, and what that does to days and hours.

``zoneinfo`` answers one instant at a time and does not tell its transitions. They are found here by asking it for the
offset every few days of a year and halving the time in which it changed; a year costs less than a tenth of a
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
import numpy.typing as npt

from lakepart.errors import InvalidInputError, did_you_mean
from lakepart.model.instants import EPOCH, from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray

BooleanArray = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000
SECOND_US = 1_000_000
FIRST_YEAR, LAST_YEAR = 999, 9998  # what partitions may reach, and the year before

_NO_TRANSITION_BEFORE = 1830  # the oldest in the time zone database is of 1835
_SETTLED_FROM = 1970
_RULES_ONLY_FROM = 2100
_ELEMENTS_AT_A_TIME = 1 << 16  # fits the processor's cache: 3× faster than the whole array at once
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Transition:
    """From ``at_us`` on, local time is UTC + ``offset_us``."""

    at_us: int
    offset_us: int


def get_zone(name: str) -> ZoneInfo:
    """Give the zone of an IANA name.

    Raises
    ------
    InvalidInputError
        There is no such zone.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{name!r} is not a time zone: IANA names are texts like 'America/New_York'.")
    return _zone(name)


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"{name!r} is not a time zone: IANA names look like 'America/New_York'.",
            hint=did_you_mean(name, available_timezones()),
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
    # No zone ever changed twice within three days, and none since 1970 within six.
    step_us = DAY_US if year < _SETTLED_FROM else 6 * DAY_US
    end_us = start_of_year_us(year + 1)
    for at_us in range(start_of_year_us(year), end_us, step_us):
        until_us = min(at_us + step_us, end_us)
        after = offset_us(name, until_us)
        if after != before:
            found.append(Transition(_change_within(name, at_us, until_us), after))
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
    """The clocks of one zone over some years: spans of one offset each, and the first instant to show a wall time.

    Parameters
    ----------
    name
        The zone.
    first_year, last_year
        Years (UTC) of the instants it knows; both included.

    Attributes
    ----------
    starts, offsets
        When each span begins (the first: the first year), and local time minus UTC in it.
    reached
        The latest wall time that was shown before each span.
    end_us
        The end of the last year.
    """

    def __init__(self, name: str, first_year: int, last_year: int) -> None:
        starts = [start_of_year_us(first_year)]
        offsets = [offset_us(name, starts[0])]
        for year in range(first_year, last_year + 1):
            for transition in transitions_of_year(name, year):
                starts.append(transition.at_us)
                offsets.append(transition.offset_us)
        reached = [starts[0] + offsets[0]]
        for start, before in zip(starts[1:], offsets, strict=False):
            reached.append(max(reached[-1], start + before))
        self._starts, self._offsets = starts, offsets
        self._entries = [
            max(wall, start + offset) for wall, start, offset in zip(reached, starts, offsets, strict=True)
        ]
        self.starts, self.offsets, self.reached = (np.array(one, dtype=np.int64) for one in (starts, offsets, reached))
        self.end_us = start_of_year_us(last_year + 1)

    def first_instant_of(self, wall_us: int) -> int:
        """Give the first instant at which the clock shows ``wall_us`` or more, of those it knows."""
        span = max(bisect_right(self._entries, wall_us) - 1, 0)
        instant = wall_us - self._offsets[span]
        return min(instant, self._starts[span + 1]) if span + 1 < len(self._starts) else instant

    def first_instant_of_each(self, walls_us: IntegerArray) -> IntegerArray:
        """Do :meth:`first_instant_of` for an array."""
        span = np.maximum(np.searchsorted(self._entries, walls_us, side="right") - 1, 0)
        following = np.append(self.starts[1:], np.int64(2**62))
        instants: IntegerArray = np.minimum(walls_us - self.offsets[span], following[span])
        return instants

    def offset_of_each(self, utc_us: IntegerArray) -> IntegerArray:
        """Give local time minus UTC at each instant."""
        offsets: IntegerArray = self.offsets[self._spans_of(utc_us)]
        return offsets

    def is_repeat_each(self, utc_us: IntegerArray) -> BooleanArray:
        """Say of each instant whether its wall time was shown before."""
        span = self._spans_of(utc_us)
        repeats: BooleanArray = utc_us + self.offsets[span] < self.reached[span]
        return repeats

    def _spans_of(self, utc_us: IntegerArray) -> IntegerArray:
        spans: IntegerArray = np.maximum(np.searchsorted(self.starts, utc_us, side="right") - 1, 0)
        return spans


@lru_cache(maxsize=512)
def get_clock(name: str, first_year: int, last_year: int) -> LocalClock:
    """Give the clock of a zone for the years (UTC) from ``first_year`` to ``last_year``, both included."""
    get_zone(name)
    return LocalClock(name, first_year, last_year)


def clock_around(name: str, utc_us: int) -> LocalClock:
    """Give the clock of a zone for the year of an instant, or of a wall time in microseconds, and its neighbours."""
    year = year_of(utc_us)
    return get_clock(name, max(year - 1, FIRST_YEAR), min(year + 1, LAST_YEAR))


def in_pieces(utc_us: IntegerArray) -> list[slice]:
    """Cut an array into pieces that stay in the processor's cache."""
    return [slice(at, at + _ELEMENTS_AT_A_TIME) for at in range(0, utc_us.size, _ELEMENTS_AT_A_TIME)]


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
