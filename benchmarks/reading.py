"""Reading: thirty days with all columns, and one column of everything, beside ``pyarrow.dataset`` on the same files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
from benchmarks.workbench import Workbench

BUDGET = Budget(1.0, "×", peer="pyarrow.dataset on the same files")
COLUMN = "o_totalprice"
DAYS = 30


def measure_days(bench: Workbench) -> Iterator[Figure]:
    """Time reading thirty neighbouring days, catalog query included."""
    asset = bench.orders_lake.asset("orders")
    keys = asset.keys
    first = min(100, len(keys) - DAYS)
    days = asset[keys[first] : keys[first + DAYS - 1]]
    paths = list(days.files()["path"])
    timings = take_turns(
        {
            "lakepart": Task(lambda _: days.to_arrow()),
            "pyarrow": Task(lambda _: _dataset(paths).to_table()),
        },
        repetitions=bench.repetitions(60),
    )
    yield Figure.within(
        BUDGET,
        "read",
        f"read {len(paths)} daily partitions, all columns",
        ratio(timings["lakepart"], timings["pyarrow"]),
        timings=timings,
    )


def measure_column(bench: Workbench) -> Iterator[Figure]:
    """Time reading one column of every partition, catalog query included."""
    asset = bench.orders_lake.asset("orders")
    paths = list(asset.files()["path"])
    timings = take_turns(
        {
            "lakepart": Task(lambda _: asset.to_arrow(columns=[COLUMN])),
            "pyarrow": Task(lambda _: _dataset(paths).to_table(columns=[COLUMN])),
        },
        repetitions=bench.repetitions(11),
    )
    yield Figure.within(
        BUDGET,
        "scan",
        f"scan one column of {len(paths):,} partitions",
        ratio(timings["lakepart"], timings["pyarrow"]),
        timings=timings,
    )


def _dataset(paths: list[str]) -> Any:
    import pyarrow.dataset as ds

    return ds.dataset(paths, format="parquet")
