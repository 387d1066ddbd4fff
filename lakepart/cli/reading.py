"""Commands that only look."""

from __future__ import annotations

from typing import Annotated

import typer

from lakepart.cli.arguments import (
    AsOf,
    AssetName,
    At,
    Everything,
    Json,
    LakeAddress,
    Last,
    MaybeAssetName,
    OnBranch,
    Partitions,
    Since,
    maybe_instant,
    moment,
    opened,
    select,
    split,
    viewed,
)
from lakepart.cli.output import print_frame, print_json, say
from lakepart.errors import InvalidInputError


def assets(
    where: LakeAddress = None,
    branch: OnBranch = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """List the assets and how each is cut into partitions."""
    import pandas as pd

    address, _ = split(where, least=0)
    with viewed(address, branch, at) as lake:
        rows = [(asset.name, asset.partitions.describe(), asset.description) for asset in lake.assets()]
    frame = pd.DataFrame(rows, columns=["asset", "partitions", "description"])
    print_frame(frame, as_json=as_json, everything=True, nothing="no assets yet")


def status(
    where: LakeAddress = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    as_of: AsOf = None,
    branch: OnBranch = None,
    at: At = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Say what is fresh, stale and why, missing or failed."""
    address, rest = split(where, asset, partitions, least=0)
    with viewed(address, branch, at) as lake:
        if not rest:
            print_frame(lake.status(maybe_instant(as_of)), as_json=as_json, everything=True, nothing="no assets yet")
            return
        instant = maybe_instant(as_of)
        frame = select(lake.asset(rest[0]), rest[1:], last, since, instant).status(instant)
    if as_json:
        print_frame(frame, as_json=True)
        return
    shown = frame.drop(columns=["data", "work", "files", "snapshot", "code_version"])
    shown = shown.loc[:, (shown.notna() & (shown != "")).any()]
    print_frame(shown, as_json=False, everything=everything, nothing="no partitions")
    counts = ", ".join(f"{count:,} {state}" for state, count in frame["state"].value_counts().items())
    say(f"{len(frame):,} in all" + (f": {counts}" if counts else ""))


def keys(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    branch: OnBranch = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """List partition keys; with --json, their windows too."""
    address, rest = split(where, asset, partitions, least=1)
    with viewed(address, branch, at) as lake:
        selection = select(lake.asset(rest[0]), rest[1:], last, since)
        found = selection.keys
        windows = selection.windows if as_json else []
    if as_json:
        bounds = [(None, None) if window is None else (window.start, window.end) for window in windows]
        rows = [{"key": key, "start": start, "end": end} for key, (start, end) in zip(found, bounds, strict=True)]
        print_json(rows)
    else:
        for key in found:
            say(key)


def head(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many.")] = 5,
    branch: OnBranch = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Show the first rows."""
    address, rest = split(where, asset, partitions, least=1)
    with viewed(address, branch, at) as lake:
        frame = select(lake.asset(rest[0]), rest[1:], last, since).head(rows)
    if as_json:
        print_frame(frame, as_json=True)
    else:
        say(frame.to_string(index=False, line_width=_width()))


def files(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    branch: OnBranch = None,
    at: At = None,
    availability: Annotated[
        bool, typer.Option("--availability", help="Look at each file in its store: online, offline, restored until.")
    ] = False,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the data files: their tier, size and path."""
    address, rest = split(where, asset, partitions, least=1)
    with viewed(address, branch, at) as lake:
        frame = select(lake.asset(rest[0]), rest[1:], last, since).files(availability=availability)
    shown = frame if as_json else frame.drop(columns=["checksum"])
    print_frame(shown, as_json=as_json, everything=everything, nothing="no files")


def history(
    where: LakeAddress = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    branch: OnBranch = None,
    at: At = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List every version: who made it, when and why. Without an asset, what the last 100 commits did to each."""
    address, rest = split(where, asset, partitions, least=0)
    with viewed(address, branch, at) as lake:
        frame = select(lake.asset(rest[0]), rest[1:], last, since).history() if rest else lake.history()
    shown = frame if as_json else frame.drop(columns=["inputs", "metadata", "content", "bytes_before"], errors="ignore")
    print_frame(shown, as_json=as_json, everything=everything, nothing="nothing was ever written")


def explain(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    branch: OnBranch = None,
    at: At = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Say why each partition is as it is."""
    address, rest = split(where, asset, partitions, least=1)
    with viewed(address, branch, at) as lake:
        frame = select(lake.asset(rest[0]), rest[1:], last, since).explain()
    print_frame(frame, as_json=as_json, everything=everything, nothing="no partitions")


def snapshots(
    where: LakeAddress = None,
    since: Annotated[int | None, typer.Option("--since", metavar="SNAPSHOT", help="Only those after it.")] = None,
    branch: OnBranch = None,
    at: At = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """List the commits, newest first."""
    address, _ = split(where, least=0)
    with viewed(address, branch, at) as lake:
        frame = lake.snapshots() if since is None else lake.changes(since)
    shown = frame if as_json else frame.drop(columns=["metadata", "author", "files"])
    print_frame(shown, as_json=as_json, everything=everything, nothing="no commits")


def diff(
    where: LakeAddress = None,
    before: Annotated[
        str | None, typer.Argument(metavar="A", show_default=False, help="A snapshot, instant, tag or branch.")
    ] = None,
    after: Annotated[str | None, typer.Argument(metavar="B", show_default=False, help="Another; main is now.")] = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    rows: Annotated[bool, typer.Option("--rows", help="Compare the rows of one asset.")] = False,
    on: Annotated[
        str | None, typer.Option("--on", metavar="COLUMNS", help="What tells rows apart, with commas.")
    ] = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Compare two snapshots, instants, tags or branches, partition by partition or row by row."""
    address, rest = split(where, before, after, asset, partitions, least=2)
    with opened(address) as lake:
        a, b, *named = rest
        if named:
            chosen = select(lake.asset(named[0]), named[1:])
            frame = chosen.diff(moment(a), moment(b), rows=rows, on=(on or "").split(",") if rows else ())
        elif rows:
            raise InvalidInputError("--rows compares the rows of one asset.", hint="name it after A and B.")
        else:
            frame = lake.diff(moment(a), moment(b))
    print_frame(frame, as_json=as_json, everything=everything, nothing="no differences")


def _width() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((200, 24)).columns
