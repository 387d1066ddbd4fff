"""Many processes writing one lake at once: nobody fails, nothing is lost, commits a second, and the longest wait."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa

import lakepart as lp
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Timing
from benchmarks.workbench import Workbench

BUDGET = Budget(300.0, " commits/s", at_most=False)
Write = Callable[[lp.Asset, int], None]
HOURS = lp.Hourly("2020-01-01", end="2021-01-01")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Let processes that are ready commit: each to partitions of its own, then all of them to one."""
    processes, writes = (2, 5) if bench.quick else (8, 50)
    races = {"disjoint replaces": (_replace, BUDGET), "appends to one partition": (_append, None)}
    for name, (write, budget) in races.items():
        taken, waits = [], []
        for _ in range(bench.repetitions(3)):
            folder = bench.new_folder()
            with lp.create(folder) as lake:
                asset = lake.asset("hours", partitions=HOURS)
                _replace(asset, processes * writes)  # the first write fixes the schema
                elapsed_s, longest_s = _race(folder, write, processes, writes)
                taken.append(elapsed_s)
                waits.append(longest_s)
                found = asset.count_rows()
            shutil.rmtree(folder)
            if found != processes * writes + 1:
                raise AssertionError(f"{processes * writes} rows were written, {found - 1} are there")
        timing = Timing(tuple(taken))
        what = f"{processes} processes × {writes} {name}, none failed, none lost"
        yield Figure(
            "writers",
            what,
            processes * writes / timing.median_s,
            BUDGET.unit,
            budget,
            timings={"all": timing, "longest write": Timing(tuple(waits))},
            note=f"the longest write took {max(waits):.2f} s",
        )


def _race(folder: Path, write: Write, processes: int, writes: int) -> tuple[float, float]:
    """Give the seconds from the first process's first write to the last one's last, and of the longest write."""
    context = multiprocessing.get_context("spawn")  # nothing inherited: as strangers would
    barrier, spans = context.Barrier(processes), context.SimpleQueue()
    started = [
        context.Process(target=_work, args=(folder, write, barrier, spans, number * writes, writes, processes * writes))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    failed = [process.exitcode for process in started if process.exitcode != 0]
    if failed:
        raise AssertionError(f"{len(failed)} of {processes} writers failed")
    began, ended, longest = zip(*(spans.get() for _ in started), strict=True)
    return float(max(ended) - min(began)), float(max(longest))


def _work(
    folder: Path,
    write: Write,
    barrier: Barrier,
    spans: SimpleQueue[tuple[float, float, float]],
    first: int,
    count: int,
    warm: int,
) -> None:
    with lp.connect(folder) as lake:
        asset = lake.asset("hours")
        _replace(asset, warm)  # everything is imported and connected before the clock runs
        barrier.wait()
        began = last = time.time()
        longest = 0.0
        for number in range(first, first + count):
            write(asset, number)
            now = time.time()
            longest, last = max(longest, now - last), now
        spans.put((began, last, longest))


def _replace(asset: lp.Asset, number: int) -> None:
    asset.write(pa.table({"x": [number]}), HOURS.key_at(HOURS.universe.first + number))


def _append(asset: lp.Asset, number: int) -> None:
    asset.append(pa.table({"x": [number]}), HOURS.key_at(HOURS.universe.first))
