"""A series of windows: from positions to instants and back, with gaps where windows are excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.crontab import CronExpression
from lakepart.model.exclusions import Exclusion, schedule_without
from lakepart.model.intervals import IntegerArray, Intervals, Range
from lakepart.model.reprs import repr_some
from lakepart.model.ticks import Repeated, Ticks
from lakepart.model.zones import DAY_US, get_clock, year_of

_FARTHEST_US = 2**61  # beyond any calendar, and far enough from the end of int64 to be added to
_LOOKED_UP_AT_LEAST = 1_000_000
_HOURS_OF_CHANGE = range(1, 4)


class WindowSeries:
    """Windows from one tick of a schedule to the next; the position of the first at or after ``start_us`` is 0.

    Excluded windows have no position, and the windows before them do not grow. Positions before the first and after
    the last window mean those that would be there.

    Parameters
    ----------
    cron
        When windows begin.
    exclusions
        Which of them are left out.
    tz
        On whose clocks.
    start_us, end_us
        No window begins before or ends after these (UTC microseconds).

    Attributes
    ----------
    count
        How many windows there are; perhaps none.

    Raises
    ------
    InvalidInputError
        Nothing is scheduled, or nothing is left.
    """

    def __init__(
        self, cron: CronExpression, exclusions: Iterable[Exclusion], tz: str, start_us: int, end_us: int
    ) -> None:
        excluded = tuple(exclusions)
        kept, repeated = schedule_without(cron, excluded), _what_repeats(cron)
        every = schedule_without(cron, ()) if excluded else kept
        if kept is None or every is None:
            raise InvalidInputError(
                f"Nothing is left of {cron.text!r}"
                f"{f' without {repr_some(excluded)}' if excluded else ': it names no day of any year'}.",
                code=ErrorCode.EMPTY_WINDOW,
            )
        self._tz = tz
        self._kept = Ticks(kept, tz, repeated, start_us)
        self._every = Ticks(every, tz, repeated, start_us) if excluded else self._kept
        self.count = max(self._kept.first_from(self.start_of_window_at(end_us)), 0)

    def start_of(self, position: int) -> int:
        """Give the start of a window."""
        return self._kept.instant_of(position)

    def end_of(self, position: int) -> int:
        """Give the end of a window."""
        return self._every.instant_of(self._every.number_at(self._kept.instant_of(position)) + 1)

    def last_at(self, utc_us: int) -> int:
        """Give the position of the last window to begin at or before an instant."""
        return self._kept.number_at(utc_us)

    def first_from(self, utc_us: int) -> int:
        """Give the position of the first window to begin at or after an instant."""
        return self._kept.first_from(utc_us)

    def start_of_window_at(self, utc_us: int) -> int:
        """Give the start of the window an instant lies in, be it excluded or not."""
        return self._every.instant_of(self._every.number_at(utc_us))

    def excluded_from(self, utc_us: int) -> int | None:
        """Give the start of the first window to begin at or after an instant, if that is excluded."""
        start_us = self._every.instant_of(self._every.first_from(utc_us))
        return None if self._kept.instant_of(self._kept.number_at(start_us)) == start_us else start_us

    def before(self, position: int) -> Intervals:
        """Give the positions there are before one."""
        return Intervals.of([(0, min(position, self.count))])

    def starts_of(self, positions: IntegerArray) -> IntegerArray:
        """Give the starts of many windows; vectorised."""
        return self._kept.instant_of_each(positions) if positions.size else np.empty(0, dtype=np.int64)

    def ends_of(self, starts_us: IntegerArray) -> IntegerArray:
        """Give the ends of the windows that begin at many instants; vectorised."""
        if not starts_us.size:
            return np.empty(0, dtype=np.int64)
        return self._every.instant_of_each(self._every.number_at_each(starts_us) + 1)

    def positions_of_starts(self, starts_us: IntegerArray) -> IntegerArray:
        """Give the positions of the windows that begin at many instants; vectorised."""
        return self._kept.number_at_each(starts_us) if starts_us.size else np.empty(0, dtype=np.int64)

    def positions_of_instants(self, utc_us: IntegerArray) -> IntegerArray:
        """Give the position of the window each instant lies in, one that does not exist if in none; vectorised."""
        if not utc_us.size:
            return np.empty(0, dtype=np.int64)
        if not -_FARTHEST_US < int(utc_us.min()) <= int(utc_us.max()) < _FARTHEST_US:
            utc_us = np.clip(utc_us, -_FARTHEST_US, _FARTHEST_US)
        numbers = self._every.number_at_each(utc_us)
        if self._every is self._kept:
            return numbers
        first, last = (self._every.number_at(self.start_of(position)) for position in (0, self.count - 1))
        return _looked_up(numbers, (first - 1, last + 1), self._positions_of_numbers)

    def positions_of_dates(self, days: IntegerArray) -> IntegerArray:
        """Give the position of the window each calendar day (since 1970) lies in, where all begin at midnight."""
        first, last = self.start_of(0) // DAY_US - 1, self.end_of(self.count - 1) // DAY_US + 1
        return _looked_up(days.astype(np.int64), (first, last), self._positions_of_midnights)

    def _positions_of_numbers(self, numbers: IntegerArray) -> IntegerArray:
        """Find positions by the numbers that windows have among all, the excluded ones too."""
        starts = self._every.instant_of_each(numbers)
        positions = self._kept.number_at_each(starts)
        return np.where(self._kept.instant_of_each(positions) == starts, positions, -1)

    def _positions_of_midnights(self, days: IntegerArray) -> IntegerArray:
        walls = days * DAY_US
        clock = get_clock(self._tz, year_of(int(walls.min())), year_of(int(walls.max())))
        positions = self.positions_of_instants(clock.first_instant_of_each(walls))
        starts = self.starts_of(positions)
        # The first instant after a day that never was is another day's.
        return np.where(starts + clock.offset_of_each(starts) < walls + DAY_US, positions, -1)


def _looked_up(values: IntegerArray, within: Range, find: Callable[[IntegerArray], IntegerArray]) -> IntegerArray:
    """Find each value once, however often it comes; what lies outside ``within`` counts as its next end."""
    if not values.size:
        return np.empty(0, dtype=np.int64)
    clipped = np.clip(values, *within)
    low, high = int(clipped.min()), int(clipped.max())
    if high - low <= max(values.size, _LOOKED_UP_AT_LEAST):
        return find(np.arange(low, high + 1))[clipped - low]
    unique, which = np.unique(clipped, return_inverse=True)
    return find(unique)[which]


def _what_repeats(cron: CronExpression) -> Repeated:
    """Say which of two equal wall times a window begins at, as Dagster has it."""
    if cron.every_hour:
        return Repeated.BOTH
    if len(cron.times) == 1 and cron.times[0] // 60 not in _HOURS_OF_CHANGE:
        return Repeated.FIRST
    return Repeated.SECOND
