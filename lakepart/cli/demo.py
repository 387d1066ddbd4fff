"""The demo: the main job on real data, told step by step."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from lakepart.cli.arguments import Json
from lakepart.cli.output import print_json
from lakepart.errors import AlreadyExistsError, InvalidInputError


def demo(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder for the lake: new, or one that the demo made.")
    ] = Path("demo-lake"),
    keep: Annotated[bool, typer.Option("--keep", help="Keep what is there, and do what is left to do.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Clear what the demo made there, and begin again.")] = False,
    as_json: Json = False,
) -> None:
    """Show the main job on a year of real flights.

    Makes a lake, fills it, computes from it, changes the logic, reprocesses a month on a branch, publishes it, and
    moves old days to a cold tier; in well under a minute. A demo that was interrupted goes on where it stopped.
    """
    if keep and fresh:
        raise InvalidInputError("--keep and --fresh exclude each other.", hint="choose one.")
    from lakepart.cli.demo_folder import DemoState, clear, examine, mark
    from lakepart.cli.demo_steps import tell_demo, tell_what_next
    from lakepart.cli.demo_telling import Teller

    teller = Teller(shown=not as_json)
    state = examine(path)
    if state is DemoState.FINISHED and not (keep or fresh):
        raise AlreadyExistsError(
            f"There is a finished demo in {str(path)!r}.",
            hint="--keep keeps it as it is, --fresh clears it and begins again.",
        )
    changes = not (keep and state is DemoState.FINISHED)
    if not changes:
        teller.title(f"The demo in {path} is complete: nothing was left to do, and nothing was changed.")
    else:
        if state is DemoState.CLEARING or (fresh and state is not DemoState.NOTHING):
            clear(path)
        elif state is DemoState.BEGUN:
            teller.title(f"There is an unfinished demo in {path}: what is done is kept, the rest is done now.")
        began = time.monotonic()
        try:
            mark(path, DemoState.BEGUN)
            tell_demo(path, teller)
            mark(path, DemoState.FINISHED)
        except KeyboardInterrupt:
            command = f"lakepart demo {quote(str(path))} --keep"
            sys.stderr.write(f"\nStopped; the lake is sound. This goes on from here: {command}\n")
            raise
        teller.title(f"Done in {time.monotonic() - began:.0f} s.")
    tell_what_next(path, teller)
    if as_json:
        print_json({"path": str(path.resolve()), "changed": changes, **teller.facts})
