"""The first load: all orders in one write, every file synced, beside sorting and writing them barely."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import lakepart as lp
from benchmarks import data
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
from benchmarks.workbench import Workbench

BUDGET = Budget(1.1, "×", peer="a bare sort and write, one thread, nothing synced")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time loads of new lakes."""
    orders = bench.orders

    def load(lake: lp.Lake) -> None:
        lake.asset("orders", partitions=data.definition()).write(orders)

    def clean_up(lake: lp.Lake) -> None:
        lake.close()
        shutil.rmtree(lake.url)

    timings = take_turns(
        {
            "lakepart": Task(load, lambda: lp.create(bench.new_folder()), clean_up),
            "pyarrow": Task(lambda folder: _write_barely(orders, folder), bench.new_folder, shutil.rmtree),
        },
        repetitions=bench.repetitions(5),
        warm_up=False,
    )
    days = len(pc.unique(orders[data.BY]))
    yield Figure.within(
        BUDGET,
        "load",
        f"first load of {orders.num_rows:,} rows into {days:,} days",
        ratio(timings["lakepart"], timings["pyarrow"]),
        timings=timings,
    )


def _write_barely(orders: pa.Table, folder: Path) -> None:
    ordered = orders.take(pc.sort_indices(orders, sort_keys=[(data.BY, "ascending")])).combine_chunks()
    days = ordered[data.BY].cast(pa.int32()).to_numpy()
    borders = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for start, stop in pairwise(borders):
        day = folder / f"{data.BY}={ordered[data.BY][start]}"
        day.mkdir(parents=True)
        pq.write_table(ordered.slice(start, stop - start), day / "0.parquet", compression="zstd")
