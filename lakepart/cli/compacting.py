"""The command that merges small files."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from lakepart.cli.arguments import (
    Apply,
    Json,
    LakeAddress,
    Last,
    MaybeAssetName,
    Partitions,
    Since,
    opened,
    select,
    split,
)
from lakepart.cli.output import carry_out
from lakepart.errors import InvalidInputError


def compact(
    where: LakeAddress = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    target_file_size: Annotated[
        str | None,
        typer.Option("--target-file-size", metavar="SIZE", help="How large a file may become; as the asset says."),
    ] = None,
    sort_by: Annotated[
        list[str] | None,
        typer.Option("--sort-by", metavar="COLUMN", help="Of the rows of each new file; as the asset says."),
    ] = None,
    last: Last = None,
    since: Since = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Files written side by side.")] = 1,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Kept with the commits.")] = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Merge small files into larger ones, with the same rows.

    Without an asset, those of all assets that set target_file_size. Prints the plan, and does it with --apply.
    """
    address, rest = split(where, asset, partitions, least=0)
    if not rest and (target_file_size is not None or sort_by or last is not None or since is not None):
        raise InvalidInputError(
            "Which asset is to be compacted that way is not said.", hint="name it after the lake, or leave options out."
        )
    with opened(address, read_only=not apply) as lake:
        if rest:
            chosen = select(lake.asset(rest[0]), rest[1:], last, since)
            plan = chosen.plan_compact(target_file_size=target_file_size, sort_by=sort_by)
        else:
            plan = lake.plan_compact()
        carry_out(
            plan,
            lambda: lake.apply(plan, workers=workers, message=message, progress=not as_json),
            apply=apply,
            as_json=as_json,
            is_empty=plan.is_empty,
            describe=asdict,
        )
