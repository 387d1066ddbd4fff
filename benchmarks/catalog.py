"""What the catalog alone answers, among a thousand to a million partitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import lakepart as lp
from benchmarks import synthetic
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
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
    *_, many, most = timings
    yield Figure.within(
        PLAN_GROWTH,
        "plan",
        f"plan {PLANNED} of {most} partitions, beside {many}",
        ratio(timings[most], timings[many]),
        timings={many: timings[many], most: timings[most]},
    )


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


def _planning(path: Path, size: int) -> Callable[[object], None]:
    chosen = synthetic.range_of(size // 2, PLANNED)

    def plan(_: object) -> None:
        with lp.connect(path) as lake:
            planned = lake.asset(synthetic.ASSET)[chosen].plan_read()
        assert planned.files == PLANNED

    return plan


def _status_of(selection: lp.Selection) -> Callable[[object], object]:
    return lambda _: selection.status()
