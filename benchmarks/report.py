"""What people and programs read of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.measure import Timing
from lakepart.testing.proxies import Traffic

_VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}
_TIMES = "times are medians, with the middle half in brackets"
_TRAFFIC = "; traffic is counted by a proxy in Python, which takes its part of the processor from everybody alike"


def print_report(figures: Sequence[Figure], console: Console) -> None:
    """Print one line per figure: budget, measured, met or not, and the spread behind it."""
    counted = any(figure.traffic for figure in figures)
    table = Table(title="lakepart against its budgets", caption=_TIMES + (_TRAFFIC if counted else ""))
    table.add_column("work")
    table.add_column("budget")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("times", no_wrap=True)
    if counted:
        table.add_column("traffic", no_wrap=True)
    for figure in figures:
        cells = (
            figure.work,
            "" if figure.budget is None else str(figure.budget),
            f"{_number(figure.measured)}{figure.unit}",
            _VERDICTS[figure.met],
            "\n".join(f"{name} {_spread(timing)}" for name, timing in figure.timings.items()),
            "\n".join(_counts(traffic) for traffic in figure.traffic.values()),
        )
        table.add_row(*cells[: len(table.columns)])
    console.print(table)
    judged = [figure for figure in figures if figure.met is not None]
    console.print(f"{sum(bool(figure.met) for figure in judged)} of {len(judged)} budgets met.")


def write_json(path: Path, figures: Sequence[Figure], about: dict[str, Any]) -> None:
    """Write every figure with all repetitions, and what they were measured on."""
    path.write_text(json.dumps({**about, "figures": [figure.to_dict() for figure in figures]}, indent=2) + "\n")


def _counts(traffic: Traffic) -> str:
    asked = ", ".join(f"{count:,} {method}" for method, count in traffic.requests.items() if count)
    return f"{asked}, {traffic.bytes_up / 1e6:.2f} MB up, {traffic.bytes_down / 1e6:.2f} down"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def _spread(timing: Timing) -> str:
    first, third = timing.quartiles_s
    unit, scale = ("s", 1.0) if timing.median_s >= 1 else ("ms", 1000.0)
    return f"{scale * timing.median_s:.3g} {unit} ({scale * first:.3g}–{scale * third:.3g})"
