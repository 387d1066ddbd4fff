"""The demo: the main job on real data, told step by step."""

from __future__ import annotations

import sys
import time
from shlex import quote
from typing import Annotated

import typer

from lakepart.cli.arguments import Json
from lakepart.cli.output import print_json
from lakepart.errors import AlreadyExistsError, InvalidInputError


def demo(
    lake: Annotated[
        str, typer.Argument(metavar="LAKE", help="A folder or URL for the lake: new, or where the demo made one.")
    ] = "demo-lake",
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog",
            metavar="URL",
            envvar="LAKEPART_CATALOG",
            help="Where its catalog is to be, if not in its folder.",
        ),
    ] = None,
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
    from lakepart.cli.demo_folder import DemoState
    from lakepart.cli.demo_marks import clear, examine, mark
    from lakepart.cli.demo_steps import tell_demo, tell_what_next
    from lakepart.cli.demo_telling import Teller
    from lakepart.storage.addresses import is_local, local_path, without_secrets

    shown = without_secrets(lake)
    teller = Teller(shown=not as_json)
    state = examine(lake)
    if state is DemoState.FINISHED and not (keep or fresh):
        raise AlreadyExistsError(
            f"There is a finished demo in {shown!r}.",
            hint="--keep keeps it as it is, --fresh clears it and begins again.",
        )
    changes = not (keep and state is DemoState.FINISHED)
    if not changes:
        teller.title(f"The demo in {shown} is complete: nothing was left to do, and nothing was changed.")
    else:
        if state is DemoState.CLEARING or (fresh and state is not DemoState.NOTHING):
            clear(lake, catalog)
        elif state is DemoState.BEGUN:
            teller.title(f"There is an unfinished demo in {shown}: what is done is kept, the rest is done now.")
        began = time.monotonic()
        try:
            mark(lake, DemoState.BEGUN)
            tell_demo(lake, catalog, teller)
            mark(lake, DemoState.FINISHED)
        except KeyboardInterrupt:
            where = quote(shown) if catalog is None else f"{quote(shown)} --catalog …"
            command = f"lakepart demo {where} --keep"
            sys.stderr.write(f"\nStopped; the lake is sound. This goes on from here: {command}\n")
            raise
        teller.title(f"Done in {time.monotonic() - began:.0f} s.")
    tell_what_next(lake, catalog, teller)
    if as_json:
        print_json({"path": local_path(lake) if is_local(lake) else shown, "changed": changes, **teller.facts})
