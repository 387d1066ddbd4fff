"""Commands that change what an asset is: how it is cut, its columns, its options."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import Apply, AssetName, Json, LakeAddress, opened, split
from lakepart.cli.output import carry_out, tell_commit
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.model.definition_base import PartitionsDefinition

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="What changes in the definition: kind, start, end, by, tz, keys and others. A VALUE that is JSON is read "
        "as such.",
    ),
]

_DEFAULTS = {"end": None, "by": None, "tz": "UTC", "dimension": "partition"}


def alter(
    where: LakeAddress = None,
    asset: AssetName = None,
    changes: Changes = None,
    complete_after: Annotated[
        str | None, typer.Option("--complete-after", metavar="DURATION", help="How long data may still arrive.")
    ] = None,
    description: Annotated[str | None, typer.Option("--description", metavar="TEXT", help="What it is.")] = None,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="COLUMN=TYPE", help="A new column, such as tip=float64.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option("--drop", metavar="COLUMN", help="Read no more.")] = None,
    rename: Annotated[list[str] | None, typer.Option("--rename", metavar="OLD=NEW", help="Called otherwise.")] = None,
    widen: Annotated[
        list[str] | None, typer.Option("--widen", metavar="COLUMN=TYPE", help="Grown, such as n=int64.")
    ] = None,
    nullable: Annotated[
        list[str] | None, typer.Option("--nullable", metavar="COLUMN", help="May hold nulls from now on.")
    ] = None,
    order: Annotated[
        list[str] | None, typer.Option("--order", metavar="COLUMN", help="Comes first; several in their order.")
    ] = None,
    on_schema_change: Annotated[
        str | None,
        typer.Option("--on-schema-change", metavar="error|add|widen", help="What writes of other columns do."),
    ] = None,
    sort_by: Annotated[
        list[str] | None,
        typer.Option("--sort-by", metavar="COLUMN", help="Of new files' rows; several in their order, '' for none."),
    ] = None,
    target_file_size: Annotated[
        str | None,
        typer.Option("--target-file-size", metavar="SIZE", help="What compact merges small files to; 0: never."),
    ] = None,
    retention: Annotated[
        str | None,
        typer.Option(
            "--retention", metavar="DURATION", help="How long vacuum keeps replaced versions of it; or default."
        ),
    ] = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Change how an asset is cut, or its columns, without touching its rows.

    What would leave committed partitions without a place is refused. Old files are read with the new columns. Prints
    the plan, and does it with --apply.
    """
    from lakepart.model.policies import parse_duration
    from lakepart.parquet.type_names import parse_type

    address, (name,) = split(where, asset, least=1)
    with opened(address, read_only=not apply) as lake:
        found = lake.asset(name)
        plan = found.plan_alter(
            partitions=_changed(found.partitions, changes) if changes else None,
            complete_after=None if complete_after is None else parse_duration(complete_after),
            description=description,
            on_schema_change=on_schema_change,
            sort_by=None if sort_by is None else [column for column in sort_by if column],
            target_file_size=0 if target_file_size == "0" else target_file_size,
            retention=retention,
            add={column: parse_type(name) for column, name in _texts("--add", add)},
            drop=drop or (),
            rename=dict(_texts("--rename", rename)),
            widen={column: parse_type(name) for column, name in _texts("--widen", widen)},
            nullable=nullable or (),
            order=order or (),
        )
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=plan.is_empty,
            describe=asdict,
            tell=tell_commit,
        )


def repartition(
    where: LakeAddress = None,
    asset: AssetName = None,
    changes: Changes = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Cut an asset otherwise by writing all its rows anew, in one snapshot.

    Prints the plan, and does it with --apply.
    """
    address, (name,) = split(where, asset, least=1)
    with opened(address, read_only=not apply) as lake:
        found = lake.asset(name)
        plan = found.plan_repartition(_changed(found.partitions, changes or ()))
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=plan.is_empty,
            describe=asdict,
            tell=tell_commit,
        )


def _changed(definition: PartitionsDefinition, changes: Sequence[str]) -> PartitionsDefinition:
    """Give the definition with some of its stable form replaced; another kind keeps what both have."""
    from lakepart.model.definitions import definition_from_dict

    given = dict(_pair(text) for text in changes)
    now = definition.to_dict()
    if given.get("kind", now["kind"]) == now["kind"]:
        return definition_from_dict({**now, **given})
    kept = {name: now[name] for name in (*_DEFAULTS, "version", "start") if name in now}
    return definition_from_dict({**_DEFAULTS, **kept, **given})


def _texts(option: str, given: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise InvalidInputError(f"{option} {text!r} is not NAME=VALUE.", hint="for example --add tip=float64")
        yield name, value


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidInputError(f"--set {text!r} is not NAME=VALUE.", hint="for example --set end=2014-01-01")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value
