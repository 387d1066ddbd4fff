"""Timing: what is compared is run in turns, so that a busy machine slows both sides alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds of each repetition, in the order in which they were run."""

    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    @property
    def quartiles_s(self) -> tuple[float, float]:
        """The bounds of the middle half."""
        if len(self.seconds) < 2:
            return self.seconds[0], self.seconds[0]
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third


@dataclass(frozen=True, slots=True)
class Task:
    """Work to be timed: ``run`` is given what ``prepare`` made; making it and cleaning it up is not timed."""

    run: Callable[[Any], Any]
    prepare: Callable[[], Any] = lambda: None
    clean_up: Callable[[Any], None] = lambda _: None


def take_turns(tasks: Mapping[str, Task], *, repetitions: int, warm_up: bool = True) -> dict[str, Timing]:
    """Run every task ``repetitions`` times, in turns, in every other round backwards."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    if warm_up:
        for task in tasks.values():
            _time(task)
    for number in range(repetitions):
        names = list(tasks) if number % 2 == 0 else list(tasks)[::-1]
        for name in names:
            seconds[name].append(_time(tasks[name]))
    return {name: Timing(tuple(taken)) for name, taken in seconds.items()}


def ratio(ours: Timing, theirs: Timing) -> float:
    """Give the median of the rounds' ratios: each compares neighbours in time."""
    return statistics.median(mine / other for mine, other in zip(ours.seconds, theirs.seconds, strict=True))


def difference_s(ours: Timing, theirs: Timing) -> float:
    """Give the median of the rounds' differences."""
    return statistics.median(mine - other for mine, other in zip(ours.seconds, theirs.seconds, strict=True))


def _time(task: Task) -> float:
    prepared = task.prepare()
    gc.collect()
    began = time.perf_counter()
    result = task.run(prepared)
    elapsed_s = time.perf_counter() - began
    del result
    task.clean_up(prepared)
    return elapsed_s
