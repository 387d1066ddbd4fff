"""Commands for the catalog as a whole: migrate, copy, back up, restore."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lakepart.cli.arguments import ADDRESS, Apply, Json, LakeAddress
from lakepart.cli.output import carry_out, print_json, say
from lakepart.errors import InvalidInputError
from lakepart.model.catalog_plans import CatalogCopy

Catalog = Annotated[
    str | None,
    typer.Option(
        "--catalog", metavar="URL", help="Its catalog, where that is not inside; LAKEPART_CATALOG by default."
    ),
]


def migrate(where: LakeAddress = None, catalog: Catalog = None, apply: Apply = False, as_json: Json = False) -> None:
    """Bring a catalog in PostgreSQL up to date.

    Prints the plan, and does it with --apply. The release before goes on working.
    """
    from lakepart.catalogs import migrate_catalog, plan_migration

    address, place = _address(where), _catalog(catalog)
    plan = plan_migration(address, catalog=place)
    carry_out(
        plan,
        lambda: migrate_catalog(address, catalog=place),
        apply=apply,
        as_json=as_json,
        is_empty=plan.is_empty,
        describe=lambda done: done.to_dict(),
        tell=lambda _: "The catalog is up to date.",
    )


def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="A catalog's URL or file, or a lake's folder.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="A URL or file where no catalog is.")],
    as_json: Json = False,
) -> None:
    """Copy a catalog into another database."""
    from lakepart.catalogs import copy_catalog

    _tell(copy_catalog(source, target), as_json=as_json)
    if not as_json:
        say("Both are of the same lake now: let nobody write by the old one.")


def backup(
    where: Annotated[str, typer.Argument(metavar="LAKE", help="Its folder or URL.")],
    to: Annotated[str, typer.Argument(metavar="FILE", help="A new SQLite file.")],
    catalog: Catalog = None,
    as_json: Json = False,
) -> None:
    """Copy the catalog into a file while others go on working."""
    from lakepart.catalogs import backup_catalog

    _tell(backup_catalog(where, to, catalog=_catalog(catalog)), as_json=as_json)


def restore(
    where: Annotated[str, typer.Argument(metavar="LAKE", help="Its folder or URL.")],
    source: Annotated[str, typer.Argument(metavar="FILE", help="What backup wrote.")],
    catalog: Catalog = None,
    set_aside_later: Annotated[
        bool, typer.Option("--set-aside-later", help="Give up what was committed after the backup.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put a backup where the lake has lost its catalog."""
    from lakepart.catalogs import restore_catalog

    _tell(restore_catalog(where, source, catalog=_catalog(catalog), set_aside_later=set_aside_later), as_json=as_json)


def _tell(copied: CatalogCopy, *, as_json: bool) -> None:
    if as_json:
        print_json(copied.to_dict())
    else:
        say(str(copied))


def _address(where: str | None) -> str:
    address = where or os.environ.get(ADDRESS)
    if address is None:
        raise InvalidInputError("No lake is named.", hint=f"give its folder or URL first, or set {ADDRESS}.")
    return address


def _catalog(given: str | None) -> str | None:
    return given or os.environ.get("LAKEPART_CATALOG")
