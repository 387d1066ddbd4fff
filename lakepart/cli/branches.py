"""Commands for branches: list, create, diff, refresh, publish, discard."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakepart.cli.arguments import Apply, Everything, Json, LakeAddress, Message, Name, opened, split
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
    on_conflict: Annotated[
        str,
        typer.Option("--on-conflict", metavar="fail|drop|theirs|ours", help="Where main has changed underneath."),
    ] = "fail",
    message: Message = None,
    apply: Apply = False,
    as_json: Json = False,
) -> None:
    """Make everything written on a branch current on main, in one commit."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=not apply) as lake:
        plan = lake.branch(rest[0]).plan_publish(on_conflict)
        carry_out(
            plan,
            lambda: lake.apply(plan, message=message),
            apply=apply,
            as_json=as_json,
            is_empty=not (plan.partitions or plan.conflicts),
            describe=asdict,
            tell=tell_commit,
        )


def refresh(
    where: LakeAddress = None,
    name: Name = None,
    as_json: Json = False,
) -> None:
    """Let a branch see main as it is now; what was written on the branch stays."""
    address, rest = split(where, name, least=1)
    with opened(address, read_only=False) as lake:
        refreshed = lake.branch(rest[0]).refresh()
        fork = int(lake.branches().set_index("name")["fork"][refreshed.name])
    if as_json:
        print_json({"name": refreshed.name, "fork": fork})
    else:
        say(f"Branch {refreshed.name} sees main as of snapshot {fork}.")


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
            _Discard(branch.name, branch.diff()),
            branch.discard,
            apply=apply,
            as_json=as_json,
            is_empty=False,
            describe=lambda _: {"discarded": branch.name},
            tell=lambda _: f"Branch {branch.name} is discarded.",
        )


@dataclass(frozen=True, slots=True)
class _Discard:
    """What goes with a branch."""

    branch: str
    changes: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        from lakepart.display.tables import records

        return {"branch": self.branch, "changes": records(self.changes)}

    def __str__(self) -> str:
        from lakepart.model.plans import count_of, list_some

        if self.changes.empty:
            return f"Discard branch {self.branch}: nothing was written on it."
        lines = [f"Discard branch {self.branch}: {count_of(len(self.changes), 'partition')}"]
        for (asset, change), found in self.changes.groupby(["asset", "change"], sort=False):
            lines.append(f"  {asset}: {count_of(len(found), 'partition')} {change} ({list_some(found['key'], 3)})")
        return "\n".join(lines)
