"""Schedules: at which minutes of the wall clock windows begin, in any year, by arithmetic.

A schedule knows nothing of time zones: its minutes are counted from 1970-01-01 00:00 on one and the same clock, as if
that were never set forward or back. What a zone makes of it is in :mod:`lakepart.model.ticks`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np

from lakepart.model.crontab import DAYS_OF_CYCLE, MINUTES_OF_DAY, CronExpression
from lakepart.model.intervals import IntegerArray

MINUTES_OF_CYCLE = DAYS_OF_CYCLE * MINUTES_OF_DAY
_MINUTES_OF_WEEK = 7 * MINUTES_OF_DAY


class Schedule(ABC):
    """An endless series of minutes, each with a number: 0 is the first from 1970 on, -1 the one before it."""

    per_cycle: int  # how many there are in 400 years

    @abstractmethod
    def count_through(self, minute: int) -> int:
        """Give the number of the first scheduled minute after ``minute``: how many there are through it since 1970."""

    @abstractmethod
    def minute_of(self, number: int) -> int:
        """Give the scheduled minute with this number."""

    @abstractmethod
    def count_through_each(self, minutes: IntegerArray) -> IntegerArray:
        """Do :meth:`count_through` for an array."""

    @abstractmethod
    def minute_of_each(self, numbers: IntegerArray) -> IntegerArray:
        """Do :meth:`minute_of` for an array."""


class EvenSchedule(Schedule):
    """One minute every ``step`` minutes; ``phase`` is the first of them from 1970 on."""

    __slots__ = ("per_cycle", "phase", "step")

    def __init__(self, step: int, phase: int) -> None:
        self.step, self.phase = step, phase
        self.per_cycle = MINUTES_OF_CYCLE // step

    def count_through(self, minute: int) -> int:
        """Give the number of the first scheduled minute after ``minute``."""
        return (minute - self.phase) // self.step + 1

    def minute_of(self, number: int) -> int:
        """Give the scheduled minute with this number."""
        return number * self.step + self.phase

    def count_through_each(self, minutes: IntegerArray) -> IntegerArray:
        """Do :meth:`count_through` for an array."""
        return (minutes - self.phase) // self.step + 1

    def minute_of_each(self, numbers: IntegerArray) -> IntegerArray:
        """Do :meth:`minute_of` for an array."""
        return numbers * self.step + self.phase


class _CalendarSchedule(Schedule):
    """Some times on some days, from tables of the 400 years after which the calendar repeats.

    Parameters
    ----------
    kinds
        For each day of the cycle, an index of ``times``.
    times
        The minutes of the day that are scheduled on days of each kind, ascending.
    """

    __slots__ = ("_before", "_kinds", "_listed", "_through", "per_cycle")

    def __init__(self, kinds: IntegerArray, times: Sequence[Sequence[int]]) -> None:
        counts = np.array([len(listed) for listed in times], dtype=np.int64)
        self._kinds = kinds
        self._before = np.concatenate(([0], np.cumsum(counts[kinds])))
        self._listed = np.zeros((len(times), max(int(counts.max()), 1)), dtype=np.int64)
        self._through = np.zeros((len(times), MINUTES_OF_DAY), dtype=np.int64)
        for kind, listed in enumerate(times):
            self._listed[kind, : len(listed)] = listed
            self._through[kind] = np.searchsorted(listed, np.arange(MINUTES_OF_DAY), side="right")
        self.per_cycle = int(self._before[-1])

    def count_through(self, minute: int) -> int:
        day, minute = divmod(minute, MINUTES_OF_DAY)
        cycle, day = divmod(day, DAYS_OF_CYCLE)
        return cycle * self.per_cycle + int(self._before[day]) + int(self._through[self._kinds[day], minute])

    def minute_of(self, number: int) -> int:
        cycle, rest = divmod(number, self.per_cycle)
        day = int(np.searchsorted(self._before, rest, side="right")) - 1
        time = int(self._listed[self._kinds[day], rest - int(self._before[day])])
        return (cycle * DAYS_OF_CYCLE + day) * MINUTES_OF_DAY + time

    def count_through_each(self, minutes: IntegerArray) -> IntegerArray:
        days = minutes // MINUTES_OF_DAY
        cycles = days // DAYS_OF_CYCLE
        in_cycle = days - cycles * DAYS_OF_CYCLE
        through: IntegerArray = self._through[self._kinds[in_cycle], minutes - days * MINUTES_OF_DAY]
        before: IntegerArray = self._before[in_cycle]
        return cycles * self.per_cycle + before + through

    def minute_of_each(self, numbers: IntegerArray) -> IntegerArray:
        cycles = numbers // self.per_cycle
        rests = numbers - cycles * self.per_cycle
        days = np.searchsorted(self._before, rests, side="right") - 1
        times: IntegerArray = self._listed[self._kinds[days], rests - self._before[days]]
        return (cycles * DAYS_OF_CYCLE + days) * MINUTES_OF_DAY + times


class _ThinnedSchedule(Schedule):
    """Another schedule without a few of its minutes, given by number, ascending."""

    __slots__ = ("_gone", "_of", "_shifts", "per_cycle")

    def __init__(self, of: Schedule, gone: IntegerArray) -> None:
        self._of, self._gone = of, gone
        self._shifts = gone - np.arange(gone.size)
        self.per_cycle = of.per_cycle

    def count_through(self, minute: int) -> int:
        count = self._of.count_through(minute)
        return count - int(np.searchsorted(self._gone, count, side="left"))

    def minute_of(self, number: int) -> int:
        return self._of.minute_of(number + int(np.searchsorted(self._shifts, number, side="right")))

    def count_through_each(self, minutes: IntegerArray) -> IntegerArray:
        counts = self._of.count_through_each(minutes)
        return counts - np.searchsorted(self._gone, counts, side="left")

    def minute_of_each(self, numbers: IntegerArray) -> IntegerArray:
        return self._of.minute_of_each(numbers + np.searchsorted(self._shifts, numbers, side="right"))


@lru_cache(maxsize=256)
def schedule_of(cron: CronExpression, excluded: tuple[CronExpression, ...] = ()) -> Schedule | None:
    """Give the schedule of a cron expression without the minutes that others name; None where nothing is left."""
    even = None if excluded else _even(cron)
    if even is not None:
        return even
    # Days are of the same kind where the same expressions name them.
    named = np.stack([one.days for one in (cron, *excluded)])
    which, kinds = np.unique(named, axis=1, return_inverse=True)
    times = [_times_left(cron, excluded, named_by) for named_by in which.T]
    return _CalendarSchedule(kinds.reshape(-1), times) if any(times) else None


def thinned(schedule: Schedule, gone: Iterable[int]) -> Schedule:
    """Give a schedule without these of its numbers."""
    numbers = np.unique(np.fromiter(gone, dtype=np.int64))
    return _ThinnedSchedule(schedule, numbers) if numbers.size else schedule


def _even(cron: CronExpression) -> EvenSchedule | None:
    """Give the schedule of an expression whose minutes are equally far apart, of a day or of a week."""
    if cron.every_day:
        steps = set(np.diff([*cron.times, cron.times[0] + MINUTES_OF_DAY]).tolist())
        return EvenSchedule(steps.pop(), cron.times[0]) if len(steps) == 1 else None
    if len(cron.times) == 1 and cron.every_week:
        return EvenSchedule(_MINUTES_OF_WEEK, int(np.argmax(cron.days)) * MINUTES_OF_DAY + cron.times[0])
    return None


def _times_left(cron: CronExpression, others: Sequence[CronExpression], named_by: Sequence[bool]) -> list[int]:
    if not named_by[0]:
        return []
    gone = {time for other, names in zip(others, named_by[1:], strict=True) if names for time in other.times}
    return [time for time in cron.times if time not in gone]
