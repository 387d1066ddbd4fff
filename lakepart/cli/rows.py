"""The commands that change rows, and drop partitions."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import (
    Apply,
    AssetName,
    Json,
    LakeAddress,
    Last,
    Message,
    Partitions,
    Since,
    opened,
    select,
    split,
)
from lakepart.cli.output import carry_out
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.model.records import Commit, RowChanges

_COMPARISON = re.compile(r"\s*(.+?)\s*(==|!=|<=|>=|=|<|>|\bnot in\b|\bin\b)\s*(.+?)\s*", re.DOTALL)


def delete(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help="COLUMN OP VALUE of the rows; several must all hold."),
    ] = None,
    last: Last = None,
    since: Since = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Delete the rows for which a filter is true.

    OP is ==, !=, <, <=, >, >=, in or not in; a VALUE that is JSON is read as such. Prints the plan, and does it with
    --apply.
    """
    address, (name, *rest) = split(where, asset, partitions, least=1)
    with opened(address, read_only=not apply) as lake:
        chosen = select(lake.asset(name), rest, last, since)
        plan = chosen.plan_delete([_comparison(text) for text in conditions or ()])
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=plan.is_empty,
            describe=asdict,
            tell=_tell,
        )


def upsert(
    where: LakeAddress = None,
    asset: AssetName = None,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", show_default=False, help="Parquet: a file, or a folder of files."),
    ] = None,
    on: Annotated[
        str | None, typer.Option("--on", metavar="COLUMNS", help="The columns that make the key, with commas.")
    ] = None,
    on_schema_change: Annotated[
        str | None,
        typer.Option("--on-schema-change", metavar="WHAT", help="error, add or widen; as the asset says by default."),
    ] = None,
    message: Message = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Write rows that replace those of their keys, and come new where there are none.

    Prints the plan, and does it with --apply.
    """
    from lakepart.parquet.datasets import open_parquet
    from lakepart.storage.addresses import without_secrets

    address, (name, path) = split(where, asset, file, least=2)
    columns = [column.strip() for column in (on or "").split(",") if column.strip()]
    with opened(address, read_only=not apply) as lake:
        plan = lake.asset(name).plan_upsert(
            open_parquet(path, without_secrets(path)), columns, on_schema_change=on_schema_change
        )
        carry_out(
            plan,
            lambda: lake.apply(plan, message=message),
            apply=apply,
            as_json=as_json,
            is_empty=False,
            describe=asdict,
            tell=_tell_upsert,
        )


def drop(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    message: Message = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Let partitions become missing; older snapshots keep them until vacuum forgets those.

    The partitions are named, or '*' for all. Prints the plan, and does it with --apply.
    """
    from lakepart.selection import Selection

    address, (name, *rest) = split(where, asset, partitions, least=1)
    if not rest and last is None and since is None:
        raise InvalidInputError("Which partitions are dropped is said.", hint="for example 2013-03, or '*' for all.")
    with opened(address, read_only=not apply) as lake:
        handle = lake.asset(name)
        chosen = select(handle, rest, last, since)
        plan = (chosen if isinstance(chosen, Selection) else handle[:]).plan_drop()
        carry_out(
            plan,
            lambda: lake.apply(plan, message=message),
            apply=apply,
            as_json=as_json,
            is_empty=plan.is_empty,
            describe=asdict,
            tell=_tell_drop,
        )


def _tell(done: RowChanges) -> str:
    from lakepart.model.plans import count_of

    return f"Snapshot {done.snapshot}: {count_of(done.rows_matched, 'row')} deleted."


def _tell_drop(done: Commit) -> str:
    from lakepart.model.plans import count_of

    return f"Snapshot {done.snapshot}: {count_of(done.partitions, 'partition')} dropped."


def _tell_upsert(done: RowChanges) -> str:
    return f"Snapshot {done.snapshot}: {done.rows_updated:,} updated, {done.rows_inserted:,} inserted."


def _comparison(text: str) -> tuple[str, str, Any]:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"--where {text!r} is not COLUMN OP VALUE.", hint="for example --where 'delay > 60'")
    column, operator, value = match.groups()
    try:
        return column, operator, json.loads(value)
    except json.JSONDecodeError:
        return column, operator, value
