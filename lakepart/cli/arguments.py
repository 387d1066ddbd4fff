"""What the commands take: addresses, partitions, instants, and the options they share."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Annotated

import typer

from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.asset import Asset
    from lakepart.lake import Lake
    from lakepart.lake_view import LakeView
    from lakepart.selection import Selection

ADDRESS = "LAKEPART_URL"

LakeAddress = Annotated[
    str | None,
    typer.Argument(metavar="LAKE", show_default=False, help=f"Its folder or URL; left out where {ADDRESS} is set."),
]
AssetName = Annotated[str | None, typer.Argument(metavar="ASSET", show_default=False, help="The asset's name.")]
MaybeAssetName = Annotated[
    str | None, typer.Argument(metavar="ASSET", show_default=False, help="The asset's name; the lake without one.")
]
Partitions = Annotated[
    str | None,
    typer.Argument(
        metavar="PARTITIONS",
        show_default=False,
        help="2013-03-08, 2013-03, 2013-01..2013-03, 2013-06.., or several with commas; all by default.",
    ),
]
Last = Annotated[
    str | None,
    typer.Option("--last", metavar="N|DURATION", help="The last 30 that have elapsed, or those that ended within 30d."),
]
Since = Annotated[str | None, typer.Option("--since", metavar="LABEL", help="From 2013-01-01, or 2013-01, on.")]
Name = Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, help="Its name.")]
Json = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do what the plan says; without it, nothing is changed.")]
Message = Annotated[str | None, typer.Option("--message", "-m", help="Kept with the commit.")]
Everything = Annotated[bool, typer.Option("--all", help="Show every row.")]
OnBranch = Annotated[str | None, typer.Option("--branch", metavar="NAME", help="Look at this branch.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="SNAPSHOT", help="Look at this snapshot or tag, or as of this instant.")
]
AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="INSTANT", help="As if it were this instant; a date begins in UTC."),
]


def split(*words: str | None, least: int) -> tuple[str | None, list[str]]:
    """Tell the lake's address from what follows it; None where LAKEPART_URL names the lake.

    The first of the words a command takes is the address. Where the variable is set it may be left out: then the
    first word is an address only if it looks like one (``./lake``, ``lake/``, ``/data/lake``, ``s3://…``: no asset is
    called so) or if as many words are given as the command takes.
    """
    given = [word for word in words if word is not None]
    address: str | None = None
    if ADDRESS not in os.environ or len(given) == len(words) or (given and _is_address(given[0])):
        if not given:
            raise InvalidInputError("No lake is named.", hint=f"give its folder or URL first, or set {ADDRESS}.")
        address, given = given[0], given[1:]
    if len(given) < least:
        raise InvalidInputError(
            f"A name is missing after the lake {address or os.environ[ADDRESS]!r}.",
            hint="--help shows what follows it."
            if address is None
            else f"the lake comes first, unless {ADDRESS} is set.",
        )
    return address, given


@contextmanager
def opened(address: str | None, *, read_only: bool = True) -> Iterator[Lake]:
    """Open the lake for the length of one command."""
    from lakepart.lake import connect

    with connect(address, read_only=read_only) as lake:
        yield lake


@contextmanager
def viewed(address: str | None, branch: str | None, at: str | None) -> Iterator[LakeView]:
    """Open the lake read-only, as a branch or an instant shows it."""
    with opened(address) as lake:
        view: LakeView = lake if branch is None else lake.branch(branch)
        yield view if at is None else view.at(moment(at))


def select(
    asset: Asset,
    texts: Sequence[str],
    last: str | None = None,
    since: str | None = None,
    as_of: datetime | None = None,
) -> Asset | Selection:
    """Give the partitions that the text names, of the last ones, and since a label; all of the asset without these."""
    chosen: list[Selection] = []
    if texts and texts[0] != "*":
        chosen.append(asset.select(texts[0]))
    if last is not None:
        chosen.append(asset.last(_count_or_age(last), as_of))
    if since is not None:
        chosen.append(asset[_only_label(since) :])
    return reduce(and_, chosen) if chosen else asset


def instant(text: str) -> datetime:
    """Read an instant; a bare date is its beginning in UTC."""
    from lakepart.model.instants import parse_instant

    try:
        day = date.fromisoformat(text)
    except ValueError:
        return parse_instant(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def moment(text: str) -> int | str | datetime:
    """Read what ``at`` takes: a snapshot's number, a tag, or an instant (a bare date is its beginning in UTC)."""
    from lakepart.model.instants import is_instant

    if text.isdecimal():
        return int(text)
    return instant(text) if is_instant(text) else text


def maybe_instant(text: str | None) -> datetime | None:
    """Read an instant where one is given."""
    return None if text is None else instant(text)


def _count_or_age(text: str) -> int | timedelta:
    from lakepart.model.policies import parse_duration

    return int(text) if text.isdecimal() else parse_duration(text)


def _is_address(word: str) -> bool:
    return "://" in word or word.startswith((".", "/", "~")) or word.endswith("/")


def _only_label(text: str) -> str:
    from lakepart.model.set_text import parse_runs

    runs = parse_runs(text)
    if len(runs) != 1 or runs[0][0] != runs[0][1]:
        raise InvalidInputError(f"{text!r} is not one label to begin from.", hint="for example 2013-06.")
    return runs[0][0]
