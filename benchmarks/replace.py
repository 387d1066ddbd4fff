"""Replacing one partition: beside a bare write of the same rows, and among more and more others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pyarrow as pa
import pyarrow.parquet as pq

import lakepart as lp
from benchmarks import synthetic
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, difference_s, ratio, take_turns
from benchmarks.workbench import Workbench

OVERHEAD = Budget(6.0, " ms", peer="beyond twice a bare write_table of the same rows")
FLAT = Budget(1.25, "×", peer="of replacing one among the fewest")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time replacing one day of orders by its own rows."""
    orders = bench.orders_lake.asset("orders")
    key = orders.keys[len(orders.keys) // 2]
    rows = orders[key].to_arrow()
    with bench.scratch() as folder:
        names = (folder / f"{number}.parquet" for number in count())
        timings = take_turns(
            {
                "lakepart": Task(lambda _: orders.write(rows, key)),
                "pyarrow": Task(lambda path: pq.write_table(rows, path, compression="zstd"), lambda: next(names)),
            },
            repetitions=bench.repetitions(60),
        )
    bare = timings["pyarrow"]
    twice = type(bare)(tuple(2 * seconds for seconds in bare.seconds))
    yield Figure.within(
        OVERHEAD,
        "replace",
        f"replace one of {len(orders.keys):,} partitions ({rows.num_rows} rows, every file synced)",
        1000 * difference_s(timings["lakepart"], twice),
        timings=timings,
    )


def measure_flatness(bench: Workbench) -> Iterator[Figure]:
    """Time the same replacement in lakes of more and more partitions."""
    rows = pa.table({"x": range(600), "y": [0.5] * 600}, schema=synthetic.SCHEMA)
    lakes = {size: lp.connect(path) for size, path in bench.catalogs.items()}
    tasks = {f"{size:,}": Task(_replacing(lake, size, rows)) for size, lake in lakes.items()}
    timings = take_turns(tasks, repetitions=bench.repetitions(40))
    for lake in lakes.values():
        lake.close()
    fewest, *more = timings
    for size in more:
        yield Figure.within(
            FLAT,
            "flat",
            f"replace one among {size} partitions, beside one among {fewest}",
            ratio(timings[size], timings[fewest]),
            timings={size: timings[size], fewest: timings[fewest]},
        )


def _replacing(lake: lp.Lake, size: int, rows: pa.Table) -> Callable[[object], object]:
    asset = lake.asset(synthetic.ASSET)
    key = synthetic.range_of(size // 2, 1).start
    return lambda _: asset.write(rows, key)
