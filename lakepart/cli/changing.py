"""Commands that make a lake, look after it, and take changes back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lakepart.cli.arguments import (
    Apply,
    Json,
    LakeAddress,
    Last,
    MaybeAssetName,
    Message,
    Partitions,
    Since,
    moment,
    opened,
    select,
    split,
)
from lakepart.cli.exits import ExitCode
from lakepart.cli.output import carry_out, print_frame, print_json, say, summarise, tell_commit
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.lake import Tier


def init(
    url: Annotated[str, typer.Argument(metavar="LAKE", help="A folder, made if absent, or an fsspec URL.")],
    catalog: Annotated[
        str | None,
        typer.Option("--catalog", metavar="URL", help="postgresql://… or sqlite:////path; inside by default."),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option("--tier", metavar="NAME=ROOT", help="A tier, hottest first; hot and cold folders by default."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a lake."""
    from lakepart.lake import create

    with create(url, catalog=catalog, tiers=[_tier(text) for text in tier or ()] or None) as lake:
        made = lake.url
    if as_json:
        print_json({"url": made})
    else:
        say(f"Made a lake at {made}.")


def check(
    where: LakeAddress = None,
    checksums: Annotated[bool, typer.Option("--checksums", help="Read every byte, too.")] = False,
    footers: Annotated[bool, typer.Option("--footers", help="Read the end of every file, too.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the catalog with what is stored.

    Exits with 5 if anything is found, harmless or not, that --fix has not mended.
    """
    import pandas as pd

    address, _ = split(where, least=0)
    with opened(address, read_only=not fix) as lake:
        findings = lake.check(checksums=checksums, footers=footers, fix=fix)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        if findings:
            rows = [(one.severity, one.kind, one.text, "yes" if one.fixed else "") for one in findings]
            frame = pd.DataFrame(rows, columns=["severity", "kind", "finding", "fixed"])
            print_frame(frame if fix else frame.drop(columns="fixed"), as_json=False, everything=True)
        say(summarise(findings))
    if not all(finding.fixed for finding in findings):
        raise typer.Exit(ExitCode.NOT_DONE)


def vacuum(
    where: LakeAddress = None,
    retention: Annotated[
        str, typer.Option("--retention", metavar="DURATION", help="Keep replaced versions this long.")
    ] = "7d",
    keep_last: Annotated[
        int,
        typer.Option("--keep-last", metavar="N", help="Keep so many versions of each partition, whatever their age."),
    ] = 1,
    grace: Annotated[
        str, typer.Option("--grace", metavar="DURATION", help="Keep bytes this long after their last use.")
    ] = "24h",
    force: Annotated[
        bool, typer.Option("--force", help="Go below an hour: nobody else may be at work in the lake.")
    ] = False,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Delete bytes that nothing needs.

    Versions that were replaced long ago are forgotten first. Prints the plan, and does it with --apply.
    """
    address, _ = split(where, least=0)
    with opened(address, read_only=not apply) as lake:
        plan = lake.plan_vacuum(retention=retention, keep_last=keep_last, grace=grace, force=force)
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=not (plan.versions or plan.files),
            describe=asdict,
        )


def rollback(
    where: LakeAddress = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="SNAPSHOT", help="A snapshot, instant or tag to go back to.")
    ] = None,
    commit: Annotated[
        int | None, typer.Option("--commit", metavar="SNAPSHOT", help="Undo exactly what this commit changed.")
    ] = None,
    on_conflict: Annotated[
        str, typer.Option("--on-conflict", metavar="fail|skip", help="Where others changed it since, with --commit.")
    ] = "fail",
    last: Last = None,
    since: Since = None,
    message: Message = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Make older contents current again, as a new snapshot.

    Prints what would change, and does it with --apply.
    """
    address, rest = split(where, asset, partitions, least=0)
    if (to is None) == (commit is None) or (rest and to is None):
        raise InvalidInputError(
            "A rollback goes back to a snapshot, or undoes one commit of all assets.",
            hint="--to 12, or --commit 17 without an asset.",
        )
    with opened(address, read_only=not apply) as lake:
        if rest:
            chosen = select(lake.asset(rest[0]), rest[1:], last, since)
            plan = chosen.plan_rollback(moment(to or ""))
        else:
            plan = lake.plan_rollback(None if to is None else moment(to), commit=commit, on_conflict=on_conflict)
        carry_out(
            plan,
            lambda: lake.apply(plan, message=message),
            apply=apply,
            as_json=as_json,
            is_empty=not (plan.partitions or plan.moved),
            describe=asdict,
            tell=tell_commit,
        )


def _tier(text: str) -> Tier:
    from lakepart.lake import Tier

    name, equals, root = text.partition("=")
    if not equals or not root:
        raise InvalidInputError(
            f"--tier {text!r} is not NAME=ROOT.", hint="for example --tier hot=hot --tier cold=/mnt/cold"
        )
    return Tier(name, root)
