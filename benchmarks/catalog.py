"""What the catalog alone answers, among a thousand to a million partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import lakepart as lp
from benchmarks import data, synthetic
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
from benchmarks.replace import beside_peers
from benchmarks.workbench import Workbench

PLAN = Budget(5.0, " ms", peer="with the lake opened afresh")
PLAN_GROWTH = Budget(2.0, "×", peer="of itself at a tenth of the partitions")
STATUS = Budget(1.0, " µs", peer="a partition")
PLANNED = 30


def measure_planning(bench: Workbench) -> Iterator[Figure]:
    """Time opening a lake and planning to read thirty partitions, in a process that has done so before."""
    tasks = {f"{size:,}": Task(_planning(path, size)) for size, path in bench.catalogs.items()}
    timings = take_turns(tasks, repetitions=bench.repetitions(60))
    for size, timing in timings.items():
        yield Figure.within(
            PLAN,
            "plan",
            f"plan reading {PLANNED} of {size} partitions",
            1000 * timing.median_s,
            timings={size: timing},
        )
    yield from _plan_in_postgresql(bench)
    yield from _plan_beside_peers(bench)
    *_, many, most = timings
    yield Figure.within(
        PLAN_GROWTH,
        "plan",
        f"plan {PLANNED} of {most} partitions, beside {many}",
        ratio(timings[most], timings[many]),
        timings={many: timings[many], most: timings[most]},
    )


def _plan_in_postgresql(bench: Workbench) -> Iterator[Figure]:
    """Time the same with copies of the smaller catalogs in PostgreSQL."""
    tasks = {}
    for size, path in list(bench.catalogs.items())[:2]:
        address = f"{bench.postgresql}&schema=plan_{size}"
        lp.copy_catalog(path, address)
        tasks[f"{size:,}"] = Task(_planning(path, size, address))
    bare = {"psycopg": Task(lambda _: _connect_and_ask(bench.postgresql, f"plan_{size}"))}
    timings = take_turns({**bare, **tasks}, repetitions=bench.repetitions(60))
    floor = timings.pop("psycopg")
    for size, timing in timings.items():
        work = f"plan reading {PLANNED} of {size} partitions, catalog in PostgreSQL"
        both = {size: timing, "psycopg": floor}
        yield Figure.within(PLAN, "plan", work, 1000 * timing.median_s, timings=both)
        yield Figure("plan", f"{work}, beside a connection and one query", ratio(timing, floor), "×", timings=both)


def _connect_and_ask(address: str, schema: str) -> None:
    """Do with the driver alone what nobody can do without: connect, and ask for some rows."""
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f'SELECT * FROM "{schema}".version LIMIT {PLANNED}').fetchall()


def _plan_beside_peers(bench: Workbench) -> Iterator[Figure]:
    """Time the same of the orders, by everybody in turns."""
    first = data.FIRST_DAY + timedelta(days=10)
    last = first + timedelta(days=PLANNED - 1)
    tasks = {one.name: Task(lambda _, one=one: one.plan(first, last)) for one in bench.loaded_contenders}
    timings = take_turns(tasks, repetitions=bench.repetitions(20))
    yield from beside_peers("plan", f"plan reading {PLANNED} days of orders", bench.loaded_contenders, timings)


def measure_status(bench: Workbench) -> Iterator[Figure]:
    """Time the status of every partition, as the frame that people see."""
    for size, path in list(bench.catalogs.items())[:2]:
        with lp.connect(path) as lake:
            selection = lake.asset(synthetic.ASSET)[synthetic.range_of(0, size)]
            timings = take_turns({"status": Task(_status_of(selection))}, repetitions=bench.repetitions(5))
        yield Figure.within(
            STATUS,
            "status",
            f"status of {size:,} partitions, each",
            1e6 * timings["status"].median_s / size,
            timings=timings,
        )


def _planning(path: Path, size: int, catalog: str | None = None) -> Callable[[object], None]:
    chosen = synthetic.range_of(size // 2, PLANNED)

    def plan(_: object) -> None:
        with lp.connect(path, catalog=catalog) as lake:
            planned = lake.asset(synthetic.ASSET)[chosen].plan_read()
        assert planned.files == PLANNED

    return plan


def _status_of(selection: lp.Selection) -> Callable[[object], object]:
    return lambda _: selection.status()
