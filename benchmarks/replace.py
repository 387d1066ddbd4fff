"""Replacing one partition: beside a bare write of the same rows and beside peers, and among more and more others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import lakepart as lp
from benchmarks import data, synthetic
from benchmarks.contenders import Contender, Lakepart
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, Timing, difference_s, ratio, take_turns
from benchmarks.workbench import Workbench

OVERHEAD = Budget(6.0, " ms", peer="beyond twice a bare write_table of the same rows")
FLAT = Budget(1.25, "×", peer="of replacing one among the fewest")


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time replacing one day of orders by its own rows, by everybody in turns."""
    days = pc.unique(bench.orders[data.BY]).sort()
    day = days[len(days) // 2].as_py()
    rows = bench.orders.filter(pc.equal(bench.orders[data.BY], day))
    with bench.scratch() as folder:
        names = (folder / f"{number}.parquet" for number in count())
        bare = Task(lambda path: pq.write_table(rows, path, compression="zstd"), lambda: next(names))
        tasks = {one.name: Task(lambda _, one=one: one.replace(rows, day)) for one in bench.loaded_contenders}
        timings = take_turns({"pyarrow": bare, **tasks}, repetitions=bench.repetitions(30))
    twice = Timing(tuple(2 * seconds for seconds in timings["pyarrow"].seconds))
    work = f"replace one of {len(days):,} partitions ({rows.num_rows} rows)"
    for one in bench.loaded_contenders:
        if isinstance(one, Lakepart):
            beyond_ms = 1000 * difference_s(timings[one.name], twice)
            both = {one.name: timings[one.name], "pyarrow": timings["pyarrow"]}
            yield Figure.within(OVERHEAD, "replace", f"{work}, every file synced, {one.name}", beyond_ms, timings=both)
    yield from beside_peers("replace", work, bench.loaded_contenders, timings)


def beside_peers(row: str, work: str, contenders: list[Contender], timings: dict[str, Timing]) -> Iterator[Figure]:
    """Say how many times as long as lakepart on SQLite each peer takes."""
    ours, *others = contenders
    for one in others:
        if not isinstance(one, Lakepart):
            both = {name: timings[name] for name in (one.name, ours.name)}
            yield Figure(row, f"{work}, {one.name} beside {ours.name}", ratio(*both.values()), "×", timings=both)


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
