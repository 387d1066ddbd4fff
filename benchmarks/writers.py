"""Many processes writing one lake at once: nobody fails, nothing is lost, and how many commits a second."""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa

import lakepart as lp
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Timing
from benchmarks.workbench import Workbench

BUDGET = Budget(300.0, " commits/s", at_most=False)
HOURS = lp.Hourly("2020-01-01", end="2021-01-01")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Let processes that are ready write partitions of their own, one commit each."""
    processes, writes = (2, 5) if bench.quick else (8, 50)
    taken = []
    for _ in range(bench.repetitions(3)):
        folder = bench.new_folder()
        with lp.create(folder) as lake:
            asset = lake.asset("hours", partitions=HOURS)
            _write(asset, processes * writes)  # the first write fixes the schema
            taken.append(_race(folder, processes, writes))
            found = len(asset.keys)
        shutil.rmtree(folder)
        if found != processes * writes + 1:
            raise AssertionError(f"{processes * writes} partitions were written, {found - 1} are there")
    timing = Timing(tuple(taken))
    yield Figure.within(
        BUDGET,
        "writers",
        f"{processes} processes × {writes} disjoint replaces, none failed, none lost",
        processes * writes / timing.median_s,
        timings={"all": timing},
    )


def _race(folder: Path, processes: int, writes: int) -> float:
    """Give the seconds from the first process's first write to the last one's last."""
    context = multiprocessing.get_context("spawn")  # nothing inherited: as strangers would
    barrier, spans = context.Barrier(processes), context.SimpleQueue()
    started = [
        context.Process(target=_work, args=(folder, barrier, spans, number * writes, writes))
        for number in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    failed = [process.exitcode for process in started if process.exitcode != 0]
    if failed:
        raise AssertionError(f"{len(failed)} of {processes} writers failed")
    began, ended = zip(*(spans.get() for _ in started), strict=True)
    return float(max(ended) - min(began))


def _work(folder: Path, barrier: Barrier, spans: SimpleQueue[tuple[float, float]], first: int, count: int) -> None:
    with lp.connect(folder) as lake:
        asset = lake.asset("hours")
        _write(asset, first)  # everything is imported and connected before the clock runs
        barrier.wait()
        began = time.time()
        for number in range(first, first + count):
            _write(asset, number)
        spans.put((began, time.time()))


def _write(asset: lp.Asset, number: int) -> None:
    asset.write(pa.table({"x": [number]}), HOURS.key_at(HOURS.universe.first + number))
