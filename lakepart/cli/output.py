"""What the commands print: tables and lines for people, JSON for programs, plans before deeds."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import typer

from lakepart.cli.exits import ExitCode

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from lakepart.engine.check import Finding
    from lakepart.model.records import Commit

_WIDE = 10_000


class Plan(Protocol):
    """What every plan of the library can do."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""


def console() -> Console:
    """Give the console for stdout; where that is no terminal, lines are as wide as they must be."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDE)


def say(text: str = "") -> None:
    """Print a line as it stands."""
    sys.stdout.write(f"{text}\n")


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    from lakepart.display.tables import plain

    say(json.dumps(plain(value), ensure_ascii=False, indent=2))


def print_frame(frame: pd.DataFrame, *, as_json: bool, everything: bool = False, nothing: str = "nothing") -> None:
    """Print a frame's rows: as a table, cut unless ``everything`` is wanted, or as JSON records."""
    from lakepart.display import tables

    if as_json:
        print_json(tables.records(frame))
    elif frame.empty:
        say(f"({nothing})")
    else:
        tables.print_frame(console(), frame, most=None if everything else tables.MOST_ROWS)
        if len(frame) > tables.MOST_ROWS and not everything:
            say("--all shows every row, --json gives them as data")


def carry_out(
    plan: Plan,
    act: Callable[[], Any],
    *,
    apply: bool,
    as_json: bool,
    is_empty: bool,
    describe: Callable[[Any], Mapping[str, Any]],
    tell: Callable[[Any], str] = str,
) -> None:
    """Print a plan and, with ``--apply``, do it and print what was done; exits with 5 when a plan is left undone."""
    if not apply:
        if as_json:
            print_json({"applied": False, "plan": plan.to_dict()})
        else:
            say(str(plan))
            if not is_empty:
                say("Nothing is changed yet: --apply does it.")
        raise typer.Exit(ExitCode.DONE if is_empty else ExitCode.NOT_DONE)
    if not as_json:
        say(str(plan))
    done = act()
    if as_json:
        print_json({"applied": True, "plan": plan.to_dict(), "result": describe(done)})
    else:
        say(tell(done))


def tell_commit(commit: Commit) -> str:
    """Say what a commit did."""
    from lakepart.model.plans import count_of, format_bytes

    return (
        f"Snapshot {commit.snapshot}: {count_of(commit.partitions, 'partition')} with {count_of(commit.rows, 'row')}, "
        f"{format_bytes(commit.bytes)}."
    )


def summarise(findings: Sequence[Finding]) -> str:
    """Say what the findings of a check amount to."""
    from lakepart.model.plans import count_of

    left = [finding for finding in findings if not finding.fixed]
    mended = f" Mended: {count_of(len(findings) - len(left), 'finding')}." if len(left) < len(findings) else ""
    damage = sum(finding.severity == "damage" for finding in left)
    if damage:
        return f"Damaged: {count_of(damage, 'finding')} of lost or changed data.{mended}"
    if left:
        return f"Sound: {count_of(len(left), 'finding')}, none of it damage.{mended}"
    if findings:
        return f"Sound.{mended}"
    return "Sound: nothing found."
