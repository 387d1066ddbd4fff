"""The one command: measures, prints a table, and writes JSON if asked to."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import catalog, driver, importing, load, partitions, reading, replace, s3, s3_clients, tiering, writers
from benchmarks.figures import Figure
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.report import print_report, write_json
from benchmarks.workbench import Workbench

ROWS: dict[str, Callable[[Workbench], Iterator[Figure]]] = {
    "load": load.measure,
    "replace": replace.measure,
    "read": reading.measure_days,
    "scan": reading.measure_column,
    "plan": catalog.measure_planning,
    "status": catalog.measure_status,
    "flat": replace.measure_flatness,
    "writers": writers.measure,
    "backfill": driver.measure,
    "move": tiering.measure,
    "s3": s3.measure,
    "clients": s3_clients.measure,
    "partitions": partitions.measure,
    "import": importing.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for."""
    options = _parse(arguments)
    console = Console(stderr=True)
    folder = Path(tempfile.mkdtemp(prefix="lakepart-bench-", dir=options.folder))
    about: dict[str, Any] = {
        "began_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "versions": describe_versions(),
        "machine": describe_machine(folder),
    }
    bench = Workbench(folder, options.cache, quick=options.quick, given_orders=options.orders)
    figures: list[Figure] = []
    try:
        for row in options.rows:
            with console.status(f"measuring {row} …"):
                figures += ROWS[row](bench)
    finally:
        bench.close()
    print_report(figures, Console(width=None if sys.stdout.isatty() else 160))
    if options.json is not None:
        write_json(options.json, figures, about)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure lakepart beside bare pyarrow, in one run, against its budgets.",
        epilog="example: python -m benchmarks --rows load,read --json figures.json",
    )
    parser.add_argument("--rows", type=_rows, default=list(ROWS), help=f"some of {','.join(ROWS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a little made-up data: shows that it runs, no more")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write versions, machine and figures there")
    parser.add_argument("--folder", type=Path, help="where lakes are made and removed: the disk that is measured")
    parser.add_argument("--orders", type=Path, metavar="PATH", help="TPC-H orders as Parquet, made before")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "lakepart-bench-tpch-sf1",
        help="where orders are kept between runs; made with tpchgen-cli",
    )
    return parser.parse_args(arguments)


def _rows(text: str) -> list[str]:
    rows = text.split(",")
    unknown = [row for row in rows if row not in ROWS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return rows


if __name__ == "__main__":
    main()
