"""A series of windows: from positions to instants and back, with gaps where windows are excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

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
_LIKE_ALL_LATER = 2128  # by then, every zone has had one year of each kind that is to come


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
        self._tz, self._cron, self._excluded = tz, cron, excluded
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

    def positions_in(self, other: WindowSeries, positions: Intervals) -> Intervals:
        """Give the positions that another series gives to those of these windows that it has too.

        Those of two schedules, or of clocks that differ, count as different throughout.
        """
        shared = other._without(self._excluded) if self.begins_as(other) else None
        if shared is None:
            return Intervals()
        wanted = Intervals.of(
            (shared.first_from(self.start_of(start)), shared.last_at(self.start_of(stop - 1)) + 1)
            for start, stop in positions.ranges
        )
        runs = (shared._runs_in(other, start, stop) for start, stop in (wanted & shared.before(shared.count)).ranges)
        return Intervals.of(chain.from_iterable(runs))

    def begins_as(self, other: WindowSeries) -> bool:
        """Say whether the windows of both would begin at the same instants, were none excluded."""
        if not self._cron.names_as(other._cron):
            return False
        if self._tz == other._tz:
            return True
        year = year_of(max(self.start_of(0), other.start_of(0)))
        mine, theirs = (get_clock(tz, min(year, _LIKE_ALL_LATER), _LIKE_ALL_LATER) for tz in (self._tz, other._tz))
        return np.array_equal(mine.starts, theirs.starts) and np.array_equal(mine.offsets, theirs.offsets)

    def _without(self, excluded: Iterable[Exclusion]) -> WindowSeries | None:
        """Give the same series with more exclusions; None where nothing is left of its schedule."""
        every = tuple(dict.fromkeys((*self._excluded, *excluded)))
        if len(every) == len(self._excluded):
            return self
        if schedule_without(self._cron, every) is None:
            return None
        return WindowSeries(self._cron, every, self._tz, self.start_of(0), self.end_of(self.count - 1))

    def _runs_in(self, other: WindowSeries, start: int, stop: int) -> Iterator[Range]:
        """Give the positions that another series, which has all of these windows and perhaps more, gives to some."""
        first, last = (other.last_at(self.start_of(position)) for position in (start, stop - 1))
        if last - first == stop - 1 - start:
            yield first, last + 1
            return
        middle = (start + stop) // 2
        yield from self._runs_in(other, start, middle)
        yield from self._runs_in(other, middle, stop)

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
