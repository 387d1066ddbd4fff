"""The command that looks for what will make trouble."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lakepart.cli.arguments import Json, LakeAddress
from lakepart.cli.exits import ExitCode
from lakepart.cli.output import print_frame, print_json, say


def doctor(
    where: LakeAddress = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            "--catalog", metavar="URL", help="Its catalog, where that is not inside; LAKEPART_CATALOG by default."
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Try nothing out by writing, and miss no right to write.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look for what will make trouble: releases with known bugs, settings, rights, clocks, room, stores.

    Without a lake, the machine alone is looked at. Exits with 5 if there is a problem.
    """
    import pandas as pd

    from lakepart.catalogs import doctor as examine
    from lakepart.model.diagnoses import OK, PROBLEM
    from lakepart.model.plans import count_of

    found = examine(where, catalog=catalog or os.environ.get("LAKEPART_CATALOG"), read_only=read_only)
    problems = sum(one.severity == PROBLEM for one in found)
    if as_json:
        print_json([one.to_dict() for one in found])
    else:
        rows = [(one.severity, one.subject, one.text) for one in found]
        print_frame(pd.DataFrame(rows, columns=["severity", "subject", "finding"]), as_json=False, everything=True)
        for one in found:
            if one.severity != OK:  # the table cuts long sentences
                say(str(one))
        say(f"{count_of(problems, 'problem')}." if problems else "No problem.")
    if problems:
        raise typer.Exit(ExitCode.NOT_DONE)
