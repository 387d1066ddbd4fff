"""Commands for tiers: plan, apply, demote, promote, restore, report."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lakepart.cli.arguments import (
    Apply,
    AsOf,
    AssetName,
    Json,
    LakeAddress,
    Last,
    Partitions,
    Since,
    maybe_instant,
    opened,
    select,
    split,
)
from lakepart.cli.output import carry_out, print_frame
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    from lakepart.asset import Asset
    from lakepart.lake import Lake
    from lakepart.model.plans import TieringPlan
    from lakepart.model.policies import TieringPolicy
    from lakepart.selection import PartitionVerbs

PolicyFile = Annotated[str | None, typer.Option("--policy", metavar="FILE", help="TOML with [[rule]] tables.")]
OlderThan = Annotated[
    str | None,
    typer.Option("--older-than", metavar="DURATION", help="Only windows that ended this long ago: 12h, 180d, 4w."),
]
MoveWorkers = Annotated[int, typer.Option("--workers", "-w", min=1, help="Files copied side by side.")]
MaxBandwidth = Annotated[
    str | None, typer.Option("--max-bandwidth", metavar="SIZE", help="Bytes a second through this machine: 50MB.")
]
MaxRequests = Annotated[float | None, typer.Option("--max-requests", metavar="NUMBER", help="Requests a second to S3.")]


class Limits(NamedTuple):
    """The options of a move, as ``lake.apply`` takes them."""

    workers: int
    max_bandwidth: str | None
    max_requests: float | None


def plan(
    where: LakeAddress = None,
    policy: PolicyFile = None,
    older_than: OlderThan = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIER", help="Where --older-than sends them.")] = None,
    as_of: AsOf = None,
    as_json: Json = False,
) -> None:
    """Say what a policy would move.

    Exits with 5 if that is anything.
    """
    apply(where, policy, older_than, to, as_of, apply=False, as_json=as_json)


def apply(
    where: LakeAddress = None,
    policy: PolicyFile = None,
    older_than: OlderThan = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIER", help="Where --older-than sends them.")] = None,
    as_of: AsOf = None,
    workers: MoveWorkers = 8,
    max_bandwidth: MaxBandwidth = None,
    max_requests: MaxRequests = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Move what a policy says.

    Prints the plan, and does it with --apply.
    """
    address, _ = split(where, least=0)
    chosen = _policy(policy, older_than, to)
    limits = Limits(workers, max_bandwidth, max_requests)
    with opened(address, read_only=not apply) as lake:
        _carry_out(lake, lake.plan_tiering(chosen, maybe_instant(as_of)), limits, apply=apply, as_json=as_json)


def demote(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    to: Annotated[str, typer.Option("--to", metavar="TIER", help="The colder tier.")] = "cold",
    older_than: OlderThan = None,
    as_of: AsOf = None,
    workers: MoveWorkers = 8,
    max_bandwidth: MaxBandwidth = None,
    max_requests: MaxRequests = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Move partitions to a colder tier.

    Prints the plan, and does it with --apply.
    """
    address, rest = split(where, asset, partitions, least=1)
    limits = Limits(workers, max_bandwidth, max_requests)
    with opened(address, read_only=not apply) as lake:
        instant = maybe_instant(as_of)
        chosen = select(lake.asset(rest[0]), rest[1:], last, since, instant)
        moved = _older(lake.asset(rest[0]), chosen, older_than, instant)
        _carry_out(lake, moved.plan_demote(to), limits, apply=apply, as_json=as_json)


def promote(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIER", help="The hottest by default.")] = None,
    workers: MoveWorkers = 8,
    max_bandwidth: MaxBandwidth = None,
    max_requests: MaxRequests = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Move partitions to a hotter tier.

    Prints the plan, and does it with --apply.
    """
    address, rest = split(where, asset, partitions, least=1)
    limits = Limits(workers, max_bandwidth, max_requests)
    with opened(address, read_only=not apply) as lake:
        moved = select(lake.asset(rest[0]), rest[1:], last, since)
        _carry_out(lake, moved.plan_promote(to), limits, apply=apply, as_json=as_json)


def restore(
    where: LakeAddress = None,
    asset: AssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    days: Annotated[int, typer.Option("--days", min=1, help="For how many days they are to be readable.")] = 3,
    speed: Annotated[str, typer.Option("--speed", help="Bulk, Standard or Expedited.")] = "Bulk",
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Ask that archived files be readable for some days.

    Prints the plan, and does it with --apply. Looks at every file in its store.
    """
    address, rest = split(where, asset, partitions, least=1)
    with opened(address, read_only=not apply) as lake:
        plan = select(lake.asset(rest[0]), rest[1:], last, since).plan_restore(days=days, speed=speed)
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=not plan.files,
            describe=asdict,
        )


def report(
    where: LakeAddress = None,
    as_json: Json = False,
) -> None:
    """Say how much of each asset lies on which tier."""
    address, _ = split(where, least=0)
    with opened(address) as lake:
        print_frame(lake.tier_report(), as_json=as_json, everything=True, nothing="no files yet")


def _policy(policy: str | None, older_than: str | None, to: str | None) -> TieringPolicy:
    from lakepart.model.policies import AgeRule, TieringPolicy, parse_duration

    if policy is not None and older_than is None and to is None:
        return TieringPolicy.from_toml(policy)
    if policy is None and older_than is not None and to is not None:
        return TieringPolicy(AgeRule(to, parse_duration(older_than)))
    raise InvalidInputError(
        "What to move is not clear.", hint="give either --policy FILE, or --older-than 180d with --to cold."
    )


def _older(asset: Asset, chosen: PartitionVerbs, older_than: str | None, as_of: datetime | None) -> PartitionVerbs:
    from lakepart.model.policies import parse_duration
    from lakepart.selection import Selection

    if older_than is None:
        return chosen
    old = asset.older_than(parse_duration(older_than), as_of)
    return old & chosen if isinstance(chosen, Selection) else old


def _carry_out(lake: Lake, plan: TieringPlan, limits: Limits, *, apply: bool, as_json: bool) -> None:
    carry_out(
        plan,
        lambda: lake.apply(plan, **limits._asdict(), progress=not as_json),
        apply=apply,
        as_json=as_json,
        is_empty=not plan.moves,
        describe=asdict,
    )
