"""Starting: what ``import lakepart`` adds to ``import pyarrow``, and how soon the command line helps."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, difference_s, take_turns
from benchmarks.workbench import Workbench

IMPORT = Budget(80.0, " ms", peer="beyond import pyarrow")
HELP = Budget(300.0, " ms")
_HELP = "import sys; sys.argv = ['lakepart', '--help']; from lakepart.cli import main; main()"


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time new interpreters."""
    timings = take_turns(
        {
            "lakepart": _python("-c", "import pyarrow, lakepart"),
            "pyarrow": _python("-c", "import pyarrow"),
            "connect": _python("-c", "import pyarrow, lakepart; lakepart.connect"),
            "help": _python("-c", _HELP),
        },
        repetitions=bench.repetitions(15),
        warm_up=not bench.quick,
    )
    yield Figure.within(
        IMPORT,
        "import",
        "import lakepart",
        1000 * difference_s(timings["lakepart"], timings["pyarrow"]),
        timings={name: timings[name] for name in ("lakepart", "pyarrow")},
    )
    yield Figure(
        "import",
        "import lakepart and look up connect, which loads the engine",
        1000 * difference_s(timings["connect"], timings["pyarrow"]),
        " ms",
        timings={"connect": timings["connect"]},
        note="beyond import pyarrow",
    )
    yield Figure.within(
        HELP, "import", "lakepart --help", 1000 * timings["help"].median_s, timings={"help": timings["help"]}
    )


def _python(*arguments: str) -> Task:
    command = [sys.executable, *arguments]
    return Task(lambda _: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))
