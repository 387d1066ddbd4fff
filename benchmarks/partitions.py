"""What partitions cost by arithmetic alone: sets of a million, listing keys, and finding the partitions of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import lakepart as lp
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
from benchmarks.workbench import Workbench
from lakepart.model.partition_sets import PartitionSet

ALGEBRA = Budget(1.0, " ms", peer="on 1,000,000 hourly keys")
LISTING = Budget(0.5, " s", peer="130,000 hourly keys")
ROUTING = Budget(2.0, "×", peer="of Arrow's floor_temporal in the same zone")
ZONE = "America/New_York"
ROWS, ROWS_QUICKLY = 10_000_000, 100_000
OFTEN = 100


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time the algebra of large sets, listing, and routing ten million timestamps in a zone with summer time."""
    yield from _algebra(bench)
    yield _listing(bench)
    yield from _routing(bench)


def _algebra(bench: Workbench) -> Iterator[Figure]:
    hours = lp.Hourly("1900-01-01", end="2014-02-01", tz=ZONE)
    every = PartitionSet.everything(hours)
    some = PartitionSet(hours, hours.slice("1950", "1990"))
    assert len(every) >= 1_000_000
    operations: dict[str, Callable[[], object]] = {
        "len": lambda: len(every),
        "in": lambda: "1985-06-01-07:00" in every,
        "&": lambda: every & some,
        "|": lambda: every | some,
        "-": lambda: every - some,
        "first and last": lambda: (every.first_key, every.last_key),
    }
    timings = take_turns(
        {name: Task(_often(operation)) for name, operation in operations.items()}, repetitions=bench.repetitions(20)
    )
    slowest = max(timings, key=lambda name: timings[name].median_s)
    yield Figure.within(
        ALGEBRA,
        "partitions",
        f"the slowest of {', '.join(operations)}",
        1000 * timings[slowest].median_s / OFTEN,
        timings=timings,
        note=slowest,
    )


def _listing(bench: Workbench) -> Figure:
    hours = lp.Hourly("2000-01-01", tz=ZONE)
    positions = np.arange(130_000)
    timings = take_turns({"keys": Task(lambda _: hours.keys_at(positions))}, repetitions=bench.repetitions(10))
    return Figure.within(LISTING, "partitions", "list 130,000 hourly keys", timings["keys"].median_s, timings=timings)


def _routing(bench: Workbench) -> Iterator[Figure]:
    rows = ROWS_QUICKLY if bench.quick else ROWS
    begin_us, end_us = (int(np.datetime64(day, "us").astype(np.int64)) for day in ("2013-01-02", "2024-01-01"))
    instants = np.random.default_rng(7).integers(begin_us, end_us, rows)
    column = pa.array(instants, type=pa.timestamp("us", tz=ZONE))
    definitions = {
        "daily": lp.Daily("2013-01-01", tz=ZONE),
        "weekdays": lp.Daily("2013-01-01", tz=ZONE, exclude=["0 0 * * 6,0"]),
        "hourly": lp.Hourly("2013-01-01", tz=ZONE),
    }
    tasks = {"arrow": Task(lambda _: pc.floor_temporal(column, unit="day"))}
    tasks |= {name: Task(_positions(definition, instants)) for name, definition in definitions.items()}
    timings = take_turns(tasks, repetitions=bench.repetitions(5))
    for name in definitions:
        yield Figure.within(
            ROUTING,
            "partitions",
            f"assign {rows:,} timestamps to {name} partitions",
            ratio(timings[name], timings["arrow"]),
            timings={name: timings[name], "arrow": timings["arrow"]},
        )


def _often(operation: Callable[[], object]) -> Callable[[object], None]:
    def run(_: object) -> None:
        for _number in range(OFTEN):
            operation()

    return run


def _positions(definition: lp.PartitionsDefinition, instants: np.ndarray) -> Callable[[object], object]:
    return lambda _: definition.positions_of_instants(instants)
