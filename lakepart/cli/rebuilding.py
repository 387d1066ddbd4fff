"""The command that recovers a lost catalog."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from lakepart.cli.arguments import Apply, Json, LakeAddress, split
from lakepart.cli.output import carry_out


def rebuild(
    where: LakeAddress = None,
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="URL", help="Where it is to be; in the lake's folder by default.")
    ] = None,
    to: Annotated[
        int | None, typer.Option("--to", metavar="SNAPSHOT", help="Whose state to recover; the newest by default.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Set a catalog aside that can be read; one that cannot always is.")
    ] = False,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Make a lost catalog anew from the manifests and the data on storage.

    Prints the plan, and does it with --apply.
    """
    from lakepart.catalogs import apply_rebuild, plan_rebuild

    address, _ = split(where, least=0)
    url = address if address is not None else os.environ["LAKEPART_URL"]
    catalog = catalog or os.environ.get("LAKEPART_CATALOG")
    plan = plan_rebuild(url, catalog=catalog, to=to, replace=replace)
    carry_out(
        plan,
        lambda: apply_rebuild(url, plan, catalog=catalog),
        apply=apply,
        as_json=as_json,
        is_empty=False,
        describe=asdict,
    )
