"""Moving partitions to another local tier, beside copying the same files and hashing the copies."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path

import lakepart as lp
from benchmarks import data
from benchmarks.figures import Budget, Figure
from benchmarks.measure import Task, ratio, take_turns
from benchmarks.workbench import Workbench

BUDGET = Budget(0.8, "×", at_most=False, peer="the speed of cp and a checksum of each copy")
_CHUNK_BYTES = 8 * 1024 * 1024


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time moving all orders there and back, in large files and in small ones."""
    for definition in (lp.Yearly("1992-01-01", by=data.BY), lp.Monthly("1992-01-01", by=data.BY)):
        with lp.create(bench.new_folder()) as lake:
            asset = lake.asset("orders", partitions=definition)
            asset.write(bench.orders)
            yield _measure(bench, lake, asset)


def _measure(bench: Workbench, lake: lp.Lake, asset: lp.Asset) -> Figure:
    files = asset.files()
    moves = cycle([partial(asset.demote, "cold", progress=False), partial(asset.promote, "hot", progress=False)])
    timings = take_turns(
        {
            "lakepart": Task(lambda move: move(), lambda: next(moves), lambda _: _delete_old_copies(lake)),
            "cp": Task(
                lambda pair: _copy_and_hash(*pair),
                lambda: ([Path(path) for path in asset.files()["path"]], bench.new_folder()),
                lambda pair: shutil.rmtree(pair[1]),
            ),
        },
        repetitions=bench.repetitions(9),
        warm_up=not bench.quick,
    )
    return Figure.within(
        BUDGET,
        "move",
        f"move {len(files)} files of {files['bytes'].mean() / 1e6:.1f} MB between local tiers",
        ratio(timings["cp"], timings["lakepart"]),
        timings=timings,
    )


def _delete_old_copies(lake: lp.Lake) -> None:
    lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)


def _copy_and_hash(paths: list[Path], folder: Path) -> list[str]:
    digests = []
    for number, path in enumerate(paths):
        copied = folder / str(number) / path.name
        copied.parent.mkdir(parents=True)
        shutil.copyfile(path, copied)
        digest = hashlib.sha256()
        with copied.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        digests.append(digest.hexdigest())
    return digests
