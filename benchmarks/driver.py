"""Backfills: how fast orders that cost nothing themselves are driven, and how fast many are planned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pyarrow as pa

import lakepart as lp
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, take_turns
from benchmarks.workbench import Workbench

DRIVE = Budget(300.0, " orders/s", at_most=False)
PLAN = Budget(1.0, " s")
WORKERS = 4
HOURS = lp.Hourly("2000-01-01", end="2006-01-01")
ROW = pa.table({"x": [1]})


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time backfills of new lakes, and plans of one that has nothing yet."""
    count, many = (40, 500) if bench.quick else (1_000, 50_000)
    producer = lp.producer("trivial", partitions=HOURS, code_version="1")(_make_row)

    def open_lake() -> lp.Lake:
        lake = lp.create(bench.new_folder())
        lake.register(producer)
        return lake

    def run(lake: lp.Lake) -> None:
        _first(lake, count).backfill(workers=WORKERS, progress=False)

    def clean_up(lake: lp.Lake) -> None:
        lake.close()
        shutil.rmtree(lake.url)

    timings = take_turns(
        {
            "drive": Task(run, open_lake, clean_up),
            "plan": Task(lambda lake: _first(lake, many).plan_backfill(), open_lake, clean_up),
        },
        repetitions=bench.repetitions(3),
        warm_up=False,
    )
    drive, plan = timings["drive"], timings["plan"]
    yield Figure.within(
        DRIVE, "backfill", f"{count:,} trivial orders on {WORKERS} threads", count / drive.median_s, timings=timings
    )
    yield Figure.within(PLAN, "backfill", f"plan a backfill of {many:,} partitions", plan.median_s, timings=timings)


def _make_row(_: object) -> pa.Table:
    return ROW


def _first(lake: lp.Lake, count: int) -> lp.Selection:
    first = HOURS.universe.first
    return lake.asset("trivial")[HOURS.key_at(first) : HOURS.key_at(first + count - 1)]
