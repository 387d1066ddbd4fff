"""Commands for branches: list, create, diff, publish, discard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import Apply, Everything, Json, LakeAddress, Name, opened, split
from lakepart.cli.output import carry_out, print_frame, print_json, say, tell_commit

if TYPE_CHECKING:
    import pandas as pd


def list_branches(
    where: LakeAddress = None,
    as_json: Json = False,
) -> None:
    """List the open branches."""
    address, _ = split(where, least=0)
    with opened(address) as lake:
        print_frame(lake.branches(), as_json=as_json, everything=True, nothing="no open branches")


def create(
    where: LakeAddress = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Make a branch of main as it is now."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=False) as lake:
        made = lake.create_branch(rest[0]).name
    if as_json:
        print_json({"name": made})
    else:
        say(f"Made branch {made}.")


def diff(
    where: LakeAddress = None,
    name: Name = None,
    everything: Everything = False,
    as_json: Json = False,
) -> None:
    """Compare a branch with main at the fork, partition by partition."""
    address, rest = split(where, name, least=1)
    with opened(address) as lake:
        frame = lake.branch(rest[0]).diff()
    print_frame(frame, as_json=as_json, everything=everything, nothing="nothing was written on it")


def publish(
    where: LakeAddress = None,
    name: Name = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Kept with the commit.")] = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Make everything written on a branch current on main, in one commit."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=not apply) as lake:
        branch = lake.branch(rest[0])
        plan = _BranchPlan("Publish", branch.name, branch.diff())
        carry_out(
            plan,
            lambda: branch.publish(message=message),
            apply=apply,
            as_json=as_json,
            is_empty=plan.changes.empty,
            describe=asdict,
            tell=tell_commit,
        )


def discard(
    where: LakeAddress = None,
    name: Name = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Close a branch and drop what was written on it."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=not apply) as lake:
        branch = lake.branch(rest[0])
        carry_out(
            _BranchPlan("Discard", branch.name, branch.diff()),
            branch.discard,
            apply=apply,
            as_json=as_json,
            is_empty=False,
            describe=lambda _: {"discarded": branch.name},
            tell=lambda _: f"Branch {branch.name} is discarded.",
        )


@dataclass(frozen=True, slots=True)
class _BranchPlan:
    """What becomes of the partitions written on a branch."""

    verb: str
    branch: str
    changes: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        from lakepart.display.tables import records

        return {"verb": self.verb.lower(), "branch": self.branch, "changes": records(self.changes)}

    def __str__(self) -> str:
        from lakepart.model.plans import count_of, list_some

        if self.changes.empty:
            return f"{self.verb} branch {self.branch}: nothing was written on it."
        lines = [f"{self.verb} branch {self.branch}: {count_of(len(self.changes), 'partition')}"]
        for (asset, change), found in self.changes.groupby(["asset", "change"], sort=False):
            lines.append(f"  {asset}: {count_of(len(found), 'partition')} {change} ({list_some(found['key'], 3)})")
        conflicts = self.changes.loc[self.changes["conflict"], "key"]
        if len(conflicts):
            lines.append(f"  in conflict with main: {list_some(conflicts)}")
        return "\n".join(lines)
