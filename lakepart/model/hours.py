"""Counting the full hours that a zone's clocks strike.

A clock strikes at every instant whose local time is a full hour. Mostly that is once an hour; where the offset changes
by a part of an hour (Lord Howe Island, twice a year) the time between two strikes is longer or shorter, and where local
time repeats, so do its strikes. The n-th strike is found by arithmetic within the span between two offset changes; the
strikes gained or lost at changes are summed up a year at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache

import numpy as np

from lakepart.model.intervals import IntegerArray
from lakepart.model.zones import FIRST_YEAR, LAST_YEAR, get_clock, model_year, offset_us, transitions_of_year, year_of

HOUR_US = 3_600_000_000


class HourClock:
    """The strikes of one zone over some years, numbered in order without a gap.

    Parameters
    ----------
    name
        The zone.
    origin_year
        Numbers agree between clocks of the same zone and origin; not after ``first_year``.
    first_year, last_year
        Years (UTC) of the instants it will be asked for; both included.
    """

    __slots__ = ("_first_numbers", "_offsets", "_shifts", "_starts", "first_numbers", "offsets", "shifts", "starts")

    def __init__(self, name: str, origin_year: int, first_year: int, last_year: int) -> None:
        clock = get_clock(name, first_year, last_year)
        starts: list[int] = clock.starts.tolist()
        offsets: list[int] = clock.offsets.tolist()
        drift = _drift_before(name, origin_year)[max(first_year - 1, FIRST_YEAR) - origin_year]
        shifts, first_numbers = [drift - offsets[0] // HOUR_US], [starts[0] // HOUR_US]
        for start, before, after in zip(starts[1:], offsets, offsets[1:], strict=False):
            drift += _strikes_gained(start, before, after)
            shifts.append(drift - after // HOUR_US)
            first_numbers.append(-(-(start + after) // HOUR_US) + shifts[-1])
        self._starts, self._offsets, self._shifts, self._first_numbers = starts, offsets, shifts, first_numbers
        self.starts, self.offsets = clock.starts, clock.offsets
        self.shifts, self.first_numbers = np.array(shifts, dtype=np.int64), np.array(first_numbers, dtype=np.int64)

    def number_at(self, utc_us: int) -> int:
        """Give the number of the last strike at or before an instant."""
        index = bisect_right(self._starts, utc_us) - 1
        return (utc_us + self._offsets[index]) // HOUR_US + self._shifts[index]

    def instant_of(self, number: int) -> int:
        """Give the instant of a strike."""
        index = bisect_right(self._first_numbers, number) - 1
        return (number - self._shifts[index]) * HOUR_US - self._offsets[index]

    def number_at_each(self, utc_us: IntegerArray) -> IntegerArray:
        """Do :meth:`number_at` for an array."""
        if len(self._starts) == 1:
            unchanging: IntegerArray = (utc_us + self._offsets[0]) // HOUR_US + self._shifts[0]
            return unchanging
        index = np.searchsorted(self.starts, utc_us, side="right") - 1
        numbers: IntegerArray = (utc_us + self.offsets[index]) // HOUR_US + self.shifts[index]
        return numbers

    def instant_of_each(self, numbers: IntegerArray) -> IntegerArray:
        """Do :meth:`instant_of` for an array."""
        index = np.searchsorted(self.first_numbers, numbers, side="right") - 1
        instants: IntegerArray = (numbers - self.shifts[index]) * HOUR_US - self.offsets[index]
        return instants


@lru_cache(maxsize=512)
def get_hour_clock(name: str, origin_year: int, first_year: int, last_year: int) -> HourClock:
    """Give the clock of a zone for the years (UTC) from ``first_year`` to ``last_year``, both included."""
    return HourClock(name, origin_year, first_year, last_year)


def year_of_number(name: str, origin_year: int, number: int) -> int:
    """Give the year (UTC) of a strike, or a neighbouring one."""
    drifts = _drift_before(name, origin_year)
    year = max(year_of(number * HOUR_US), origin_year + 1)
    for _ in range(2):  # what the drift moves the guess by has itself too little drift to matter
        year = max(year_of((number - drifts[year - origin_year]) * HOUR_US), origin_year + 1)
    return year


@lru_cache(maxsize=64)
def _drift_before(name: str, origin_year: int) -> tuple[int, ...]:
    """Give, for each year from the origin on, the strikes gained before it by changes of parts of an hour."""
    drifts, drift = [], 0
    for year in range(origin_year, LAST_YEAR + 2):
        drifts.append(drift)
        drift += _gained_in(name, model_year(year))
    return tuple(drifts)


@lru_cache(maxsize=16_384)
def _gained_in(name: str, year: int) -> int:
    return sum(
        _strikes_gained(one.at_us, offset_us(name, one.at_us - 1), one.offset_us)
        for one in transitions_of_year(name, year)
    )


def _strikes_gained(start_us: int, before_us: int, after_us: int) -> int:
    """Count how many strikes more than with changes of whole hours come before ``start_us``."""
    hours = after_us // HOUR_US - before_us // HOUR_US
    return -(-(start_us + before_us) // HOUR_US) + (-(start_us + after_us) // HOUR_US) + hours
