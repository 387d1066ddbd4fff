"""Ticks: the instants at which windows begin, when a schedule meets the clocks of a zone.

Between two changes of a zone's offset, the ticks are the schedule's minutes, shifted. A change that sets the clocks
forward leaves wall times out, and one that sets them back repeats some; :class:`Repeated` says what becomes of minutes
scheduled there. The n-th tick is found by arithmetic within the span between two changes; how many ticks the spans
hold is summed up once. Everything beyond the year 2500 is as 400 years before, where zones follow one rule and the
calendar repeats.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum
from functools import cached_property

import numpy as np

from lakepart.model.intervals import IntegerArray
from lakepart.model.schedules import MINUTES_OF_CYCLE, EvenSchedule, Schedule
from lakepart.model.zones import FIRST_YEAR, LocalClock, get_clock, in_pieces, start_of_year_us, year_of

MINUTE_US = 60_000_000
_FAR_YEAR = 2101  # from here on, years repeat after a cycle
_CYCLE_YEARS = 400
_CYCLE_US = MINUTES_OF_CYCLE * MINUTE_US
_NEAR_PAST = 1  # years before the first tick that the ordinary table holds


class Repeated(Enum):
    """What becomes of a scheduled time that clocks show twice; one that they leave out moves to the next they show.

    With BOTH, a time left out is no tick at all: a clock that strikes the hours goes on striking them.
    """

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class Ticks:
    """The ticks of a schedule in a zone, numbered in order: 0 is the first at or after an instant.

    Parameters
    ----------
    schedule
        Wall-clock minutes.
    zone
        The IANA name.
    repeated
        What becomes of wall-clock minutes that the zone's clocks show twice.
    from_us
        Where numbers begin, in UTC microseconds.
    """

    def __init__(self, schedule: Schedule, zone: str, repeated: Repeated, from_us: int) -> None:
        self._schedule, self._zone, self._repeated = schedule, zone, repeated
        self._first_year = min(max(year_of(from_us) - _NEAR_PAST, FIRST_YEAR), _FAR_YEAR - 1)
        self._from_us = from_us

    def number_at(self, utc_us: int) -> int:
        """Give the number of the last tick at or before an instant."""
        cycles, utc_us = _into_tables(utc_us)
        return self._table(utc_us).number_at(utc_us) + cycles * self._near.per_cycle

    def first_from(self, utc_us: int) -> int:
        """Give the number of the first tick at or after an instant."""
        return self.number_at(utc_us - 1) + 1

    def instant_of(self, number: int) -> int:
        """Give the instant of a tick."""
        cycles = max(number - self._near.number_of_repetition, 0) // self._near.per_cycle
        number -= cycles * self._near.per_cycle
        table = self._near if number >= self._near.first_number else self._whole
        return table.instant_of(number) + cycles * _CYCLE_US

    def number_at_each(self, utc_us: IntegerArray) -> IntegerArray:
        """Do :meth:`number_at` for an array; a large one costs a search among the offset changes and a division."""
        smallest, greatest = int(utc_us.min()), int(utc_us.max())
        if greatest < _LAST_TABLED_US:
            return self._table(smallest).number_at_each(utc_us, smallest, greatest)
        cycles = np.maximum(utc_us - _FAR_US, 0) // _CYCLE_US
        reduced = utc_us - cycles * _CYCLE_US
        numbers = self._table(smallest).number_at_each(reduced, int(reduced.min()), int(reduced.max()))
        beyond: IntegerArray = cycles * self._near.per_cycle
        return numbers + beyond

    def instant_of_each(self, numbers: IntegerArray) -> IntegerArray:
        """Do :meth:`instant_of` for an array."""
        near = self._near
        cycles = np.maximum(numbers - near.number_of_repetition, 0) // near.per_cycle
        reduced = numbers - cycles * near.per_cycle
        table = near if int(reduced.min()) >= near.first_number else self._whole
        beyond: IntegerArray = cycles * _CYCLE_US
        return table.instant_of_each(reduced) + beyond

    @cached_property
    def _near(self) -> _Table:
        table = _Table(self._schedule, get_clock(self._zone, self._first_year, _LAST_TABLED_YEAR), self._repeated)
        return table.renumbered(self._from_us)

    @cached_property
    def _whole(self) -> _Table:
        table = _Table(self._schedule, get_clock(self._zone, FIRST_YEAR, _LAST_TABLED_YEAR), self._repeated)
        return table.renumbered(self._from_us)

    def _table(self, utc_us: int) -> _Table:
        return self._near if utc_us >= self._near.from_us else self._whole


class _Table:
    """Ticks by the spans between offset changes, over some years.

    A span has its ticks at the scheduled minutes that its wall clock shows, and perhaps one more at its very beginning,
    for those that were left out just before it.
    """

    def __init__(self, schedule: Schedule, clock: LocalClock, repeated: Repeated) -> None:
        self._schedule = schedule
        starts, offsets, shown_before = clock.starts, clock.offsets, clock.reached
        self.from_us = int(starts[0])
        low = starts + offsets
        high = np.append(starts[1:], clock.end_us) + offsets
        shown_later = np.append(np.minimum.accumulate(low[::-1])[::-1][1:], high[-1])
        # Wall times that are left out before each span, and neither shown earlier nor to be shown again.
        gaps_end = np.minimum(low, shown_later) if repeated is Repeated.SECOND else low
        left_out = _minute_from(shown_before), _minute_from(gaps_end)
        if repeated is Repeated.FIRST:
            low = np.maximum(low, shown_before)
        elif repeated is Repeated.SECOND:
            high = np.minimum(high, shown_later)
        through_low, through_high = (schedule.count_through_each(_minute_from(walls) - 1) for walls in (low, high))
        through_high = np.maximum(through_high, through_low)
        extra = np.zeros(starts.size, dtype=np.int64)
        if repeated is not Repeated.BOTH:
            missed = schedule.count_through_each(left_out[1] - 1) > schedule.count_through_each(left_out[0] - 1)
            on_the_minute = schedule.count_through_each(low // MINUTE_US) > through_low
            extra[missed & ~(on_the_minute & (low % MINUTE_US == 0))] = 1
        counts = extra + through_high - through_low
        self._starts, self._offsets, self._extra = starts, offsets, extra
        self._low, self._high = through_low, through_high
        self._number(np.cumsum(counts) - counts)

    def renumbered(self, from_us: int) -> _Table:
        """Give the first tick at or after an instant the number 0."""
        cycles, tabled_us = _into_tables(from_us)
        self._number(self._first - (self.number_at(tabled_us - 1) + 1) - cycles * self.per_cycle)
        return self

    def _number(self, first: IntegerArray) -> None:
        self._first = first
        # What turns a count of scheduled minutes into the number of the last tick, and back.
        self._shift = first + self._extra - self._low - 1
        self._lists = tuple(
            values.tolist()
            for values in (self._starts, self._offsets, self._extra, self._low, self._high, self._first, self._shift)
        )
        self.first_number = int(first[0])

    @cached_property
    def number_of_repetition(self) -> int:
        """The number of the first tick of the cycle that repeats."""
        return self.number_at(_FAR_US - 1) + 1

    @cached_property
    def per_cycle(self) -> int:
        """How many ticks there are in a cycle."""
        return self.number_at(_LAST_TABLED_US - 1) - self.number_at(_FAR_US - 1)

    def number_at(self, utc_us: int) -> int:
        starts, offsets, _, lows, highs, _, shifts = self._lists
        span = max(bisect_right(starts, utc_us) - 1, 0)
        count = self._schedule.count_through((utc_us + offsets[span]) // MINUTE_US)
        return int(min(max(count, lows[span]), highs[span]) + shifts[span])

    def instant_of(self, number: int) -> int:
        starts, offsets, extras, _, _, firsts, shifts = self._lists
        span = max(bisect_right(firsts, number) - 1, 0)
        if extras[span] and number == firsts[span]:
            return int(starts[span])
        return self._schedule.minute_of(number - shifts[span] - 1) * MINUTE_US - int(offsets[span])

    def number_at_each(self, utc_us: IntegerArray, smallest: int, greatest: int) -> IntegerArray:
        from_span, to_span = (
            max(int(np.searchsorted(self._starts, bound, side="right")) - 1, 0) for bound in (smallest, greatest)
        )
        changes = self._starts[from_span + 1 : to_span + 1]
        numbers = np.empty(utc_us.shape, dtype=np.int64)
        for piece in in_pieces(utc_us):
            part = utc_us[piece]
            span = np.searchsorted(changes, part, side="right") + from_span if changes.size else from_span
            counts = _count_through(self._schedule, part + self._offsets[span])
            np.clip(counts, self._low[span], self._high[span], out=counts)
            np.add(counts, self._shift[span], out=numbers[piece])
        return numbers

    def instant_of_each(self, numbers: IntegerArray) -> IntegerArray:
        span = np.maximum(np.searchsorted(self._first, numbers, side="right") - 1, 0)
        is_extra = (self._extra[span] == 1) & (numbers == self._first[span])
        minutes = self._schedule.minute_of_each(numbers - self._shift[span] - 1)
        instants: IntegerArray = np.where(is_extra, self._starts[span], minutes * MINUTE_US - self._offsets[span])
        return instants


def _count_through(schedule: Schedule, wall_us: IntegerArray) -> IntegerArray:
    """Count scheduled minutes; one division where they are evenly apart, since divisions are what it costs."""
    if isinstance(schedule, EvenSchedule):
        return (wall_us - schedule.phase * MINUTE_US) // (schedule.step * MINUTE_US) + 1
    return schedule.count_through_each(wall_us // MINUTE_US)


def _minute_from(wall_us: IntegerArray) -> IntegerArray:
    """Give the first full minute at or after each wall time."""
    return -(-wall_us // MINUTE_US)


def _into_tables(utc_us: int) -> tuple[int, int]:
    """Give the whole cycles by which an instant lies beyond the tables, and the instant moved back by them."""
    if utc_us < _LAST_TABLED_US:
        return 0, utc_us
    cycles = (utc_us - _FAR_US) // _CYCLE_US
    return cycles, utc_us - cycles * _CYCLE_US


_FAR_US = start_of_year_us(_FAR_YEAR)
_LAST_TABLED_YEAR = _FAR_YEAR + _CYCLE_YEARS
_LAST_TABLED_US = start_of_year_us(_LAST_TABLED_YEAR)
