"""Many processes writing one table at once: who fails, what is lost, commits a second, and the longest wait."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Iterator
from datetime import date, timedelta
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import pyarrow as pa

from benchmarks.contenders import Contender, Lakepart
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Timing
from benchmarks.workbench import Workbench

SQLITE = Budget(300.0, " commits/s", at_most=False)
POSTGRESQL = Budget(500.0, " commits/s", at_most=False)
FIRST_DAY = date(2020, 1, 1)


def measure(bench: Workbench) -> Iterator[Figure]:
    """Let processes that are ready commit: each to partitions of its own, then all of them to one."""
    processes, writes = (2, 3) if bench.quick else (8, 50)
    for what, appends in {"disjoint replaces": False, "appends to one partition": True}.items():
        for place in range(len(bench.contenders("day"))):
            races = []
            for _ in range(bench.repetitions(3)):
                contender = bench.contenders("day")[place]
                races.append(_race(contender, processes, writes, appends=appends))
            yield _figure(contender, f"{processes} processes × {writes} {what}", races, appends=appends)


class _Race(NamedTuple):
    """The seconds from the first process's first write to the last one's last and of the longest write, and counts."""

    commits: int
    elapsed_s: float
    longest_s: float
    refused: int
    lost: int


def _figure(contender: Contender, what: str, races: list[_Race], *, appends: bool) -> Figure:
    refused, lost = max(race.refused for race in races), max(race.lost for race in races)
    if isinstance(contender, Lakepart) and (refused or lost):
        raise AssertionError(f"{contender.name}: {refused} writes failed, {lost} were lost")
    done = statistics.median((race.commits - race.refused) / race.elapsed_s for race in races)
    outcome = "none failed, none lost" if not (refused or lost) else f"up to {refused} refused, {lost} lost"
    budget = None
    if isinstance(contender, Lakepart) and not appends:
        budget = SQLITE if contender.catalog is None else POSTGRESQL
    return Figure(
        "writers",
        f"{what}, {contender.name}: {outcome}",
        done,
        SQLITE.unit,
        budget,
        timings={
            "all": Timing(tuple(race.elapsed_s for race in races)),
            "longest write": Timing(tuple(race.longest_s for race in races)),
        },
        note=f"the longest write took {max(race.longest_s for race in races):.2f} s",
    )


def _race(contender: Contender, processes: int, writes: int, *, appends: bool) -> _Race:
    contender.load(_rows_of(processes * writes))
    context = multiprocessing.get_context("forkserver")  # nothing inherited but imports: as strangers would
    context.set_forkserver_preload(["__main__", "benchmarks.contenders", "pandas"])
    barrier, told = context.Barrier(processes), context.SimpleQueue()
    started = [
        context.Process(target=_work, args=(contender, appends, barrier, told, number, processes, writes))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    failed = [process.exitcode for process in started if process.exitcode != 0]
    if failed:
        raise AssertionError(f"{len(failed)} of {processes} writers of {contender.name} failed")
    began, ended, longest, refused = zip(*(told.get() for _ in started), strict=True)
    commits = processes * writes
    warm = 1 + processes
    lost = warm + commits - sum(refused) - contender.count_rows()
    return _Race(commits, max(ended) - min(began), max(longest), sum(refused), lost)


def _work(
    contender: Contender,
    appends: bool,
    barrier: Barrier,
    told: SimpleQueue[tuple[float, float, float, int]],
    number: int,
    processes: int,
    writes: int,
) -> None:
    warm = processes * writes + 1 + number
    for _ in range(20):  # everything is imported and connected before the clock runs
        try:
            contender.replace(_rows_of(warm), _day(warm))
            break
        except contender.refusals:
            time.sleep(0.1 * (number + 1))
    barrier.wait()
    began = last = time.time()
    longest, refused = 0.0, 0
    for turn in range(number * writes, (number + 1) * writes):
        try:
            if appends:
                contender.append(_rows_of(processes * writes))
            else:
                contender.replace(_rows_of(turn), _day(turn))
        except contender.refusals:
            refused += 1
        now = time.time()
        longest, last = max(longest, now - last), now
    told.put((began, last, longest, refused))


def _rows_of(number: int) -> pa.Table:
    return pa.table({"day": [_day(number)], "x": [number]})


def _day(number: int) -> date:
    return FIRST_DAY + timedelta(days=number)
