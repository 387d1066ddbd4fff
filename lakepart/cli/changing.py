"""Commands that make a lake, look after it, and take changes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

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
from lakepart.cli.exits import ExitCode
from lakepart.cli.output import carry_out, print_frame, print_json, say, summarise, tell_commit
from lakepart.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

    from lakepart.lake import Tier
    from lakepart.selection import PartitionVerbs


def init(
    url: Annotated[str, typer.Argument(metavar="LAKE", help="A folder, made if absent, or an fsspec URL.")],
    catalog: Annotated[
        str | None, typer.Option("--catalog", metavar="URL", help="sqlite:////path/to/catalog.db; inside by default.")
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
    as_json: Json = False,
) -> None:
    """Compare the catalog with what is stored.

    Exits with 5 if anything is found, harmless or not.
    """
    import pandas as pd

    address, _ = split(where, least=0)
    with opened(address) as lake:
        findings = lake.check(checksums=checksums)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        if findings:
            rows = [(finding.severity, finding.kind, finding.text) for finding in findings]
            print_frame(pd.DataFrame(rows, columns=["severity", "kind", "finding"]), as_json=False, everything=True)
        say(summarise(findings))
    if findings:
        raise typer.Exit(ExitCode.NOT_DONE)


def vacuum(
    where: LakeAddress = None,
    retention: Annotated[
        str, typer.Option("--retention", metavar="DURATION", help="Keep replaced versions this long.")
    ] = "7d",
    grace: Annotated[
        str, typer.Option("--grace", metavar="DURATION", help="Keep bytes this long after their last use.")
    ] = "24h",
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Delete bytes that nothing needs.

    Versions that were replaced long ago are forgotten first. Prints the plan, and does it with --apply.
    """
    from lakepart.model.policies import parse_duration

    address, _ = split(where, least=0)
    with opened(address, read_only=not apply) as lake:
        plan = lake.plan_vacuum(retention=parse_duration(retention), grace=parse_duration(grace))
        carry_out(
            plan,
            lambda: lake.apply(plan),
            apply=apply,
            as_json=as_json,
            is_empty=not (plan.versions or plan.files),
            describe=asdict,
        )


def rollback(
    to: Annotated[int, typer.Option("--to", metavar="SNAPSHOT", help="Whose contents to make current again.")],
    where: LakeAddress = None,
    asset: MaybeAssetName = None,
    partitions: Partitions = None,
    last: Last = None,
    since: Since = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Kept with the commit.")] = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Make older contents current again, as a new snapshot.

    Prints what would change, and does it with --apply.
    """
    address, rest = split(where, asset, partitions, least=0)
    with opened(address, read_only=not apply) as lake:
        lake.at(to)  # an unknown snapshot is refused before anything is compared
        chosen: dict[str, PartitionVerbs]
        if rest:
            chosen = {rest[0]: select(lake.asset(rest[0]), rest[1:], last, since)}
        else:
            chosen = {asset.name: asset for asset in lake.assets()}
        plan = _plan_rollback(chosen, to)
        act = chosen[rest[0]].rollback if rest else lake.rollback
        carry_out(
            plan,
            lambda: act(to, message=message),
            apply=apply,
            as_json=as_json,
            is_empty=plan.changes.empty,
            describe=asdict,
            tell=tell_commit,
        )


@dataclass(frozen=True, slots=True)
class _Rollback:
    """Partitions whose content differs from what it was at a snapshot."""

    to: int
    changes: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        from lakepart.display.tables import records

        return {"to": self.to, "changes": records(self.changes)}

    def __str__(self) -> str:
        from lakepart.model.plans import count_of, list_some

        if self.changes.empty:
            return f"Nothing to roll back: everything is as it was at snapshot {self.to}."
        lines = [f"Roll back {count_of(len(self.changes), 'partition')} to snapshot {self.to}:"]
        for (asset, change), found in self.changes.groupby(["asset", "change"], sort=False):
            lines.append(f"  {asset}: {change} {count_of(len(found), 'partition')} ({list_some(found['key'], 3)})")
        return "\n".join(lines)


def _plan_rollback(selections: Mapping[str, PartitionVerbs], to: int) -> _Rollback:
    import pandas as pd

    changes = [_changes(name, selection, to) for name, selection in selections.items()]
    columns = ["asset", "key", "change", "rows_before", "rows_after"]
    return _Rollback(to, pd.concat(changes, ignore_index=True) if changes else pd.DataFrame(columns=columns))


def _changes(asset: str, selection: PartitionVerbs, to: int) -> pd.DataFrame:
    versions = selection.history()
    ended = versions["ended"]
    then = versions[(versions["snapshot"] <= to) & (ended.isna() | (ended > to))]
    both = versions[ended.isna()].merge(then, on="key", how="outer", suffixes=("_before", "_after"), sort=True)
    differing = both[both["content_before"].fillna("") != both["content_after"].fillna("")]
    change = differing["snapshot_after"].isna().map({True: "remove", False: "restore"})
    return differing.assign(asset=asset, change=change)[["asset", "key", "change", "rows_before", "rows_after"]]


def _tier(text: str) -> Tier:
    from lakepart.lake import Tier

    name, equals, root = text.partition("=")
    if not equals or not root:
        raise InvalidInputError(
            f"--tier {text!r} is not NAME=ROOT.", hint="for example --tier hot=hot --tier cold=/mnt/cold"
        )
    return Tier(name, root)
