"""The command that deletes rows."""

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
    Partitions,
    Since,
    opened,
    select,
    split,
)
from lakepart.cli.output import carry_out
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.model.records import RowChanges

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


def _tell(done: RowChanges) -> str:
    from lakepart.model.plans import count_of

    return f"Snapshot {done.snapshot}: {count_of(done.rows_matched, 'row')} deleted."


def _comparison(text: str) -> tuple[str, str, Any]:
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"--where {text!r} is not COLUMN OP VALUE.", hint="for example --where 'delay > 60'")
    column, operator, value = match.groups()
    try:
        return column, operator, json.loads(value)
    except json.JSONDecodeError:
        return column, operator, value
