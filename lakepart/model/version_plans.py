"""Plans that make other versions current: rolling back, and publishing a branch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lakepart.model.plans import count_of, list_some


@dataclass(frozen=True, slots=True)
class RestoredPartition:
    """One partition that gets the content of an older version, or without ``source_version_id`` becomes missing.

    ``expected`` is the content it must still hold when the plan is carried out.
    """

    asset_id: int
    asset: str
    key: str
    ordinal: int
    source_version_id: int | None
    expected: str | None
    rows_before: int
    rows_after: int

    @property
    def change(self) -> str:
        """``restore`` or ``remove``."""
        return "remove" if self.source_version_id is None else "restore"


@dataclass(frozen=True, slots=True)
class MovedPartition:
    """A partition that somebody changed meanwhile: which commit did, whose and when."""

    asset: str
    key: str
    snapshot: int | None
    author: str | None
    at_us: int | None

    def __str__(self) -> str:
        who = "" if self.snapshot is None else f" (snapshot {self.snapshot} by {self.author})"
        return f"{self.key!r} of {self.asset!r}{who}"


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """Which partitions get which older contents: those of snapshot ``to``, or from before the commit ``undoes``.

    ``moved`` are partitions of an undone commit that others have changed since: they make the plan fail, unless
    ``on_conflict`` is ``"skip"``; then they stay as they are.
    """

    snapshot: int
    branch_id: int
    partitions: tuple[RestoredPartition, ...]
    revisions: Mapping[int, int]
    to: int | None = None
    undoes: int | None = None
    moved: tuple[MovedPartition, ...] = ()
    on_conflict: str = "fail"

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        values = asdict(self)
        for one, partition in zip(values["partitions"], self.partitions, strict=True):
            one["change"] = partition.change
        return values

    @property
    def target(self) -> str:
        """What it takes the lake back to, in words."""
        return f"to snapshot {self.to}" if self.undoes is None else f"of what snapshot {self.undoes} changed"

    def __str__(self) -> str:
        lines = [f"Roll back {count_of(len(self.partitions), 'partition')} {self.target}:"]
        if not self.partitions:
            lines = [
                f"Nothing to roll back: everything is as it was at snapshot {self.to}."
                if self.undoes is None
                else f"Nothing of what snapshot {self.undoes} changed is left to roll back."
            ]
        lines += _by_asset((one.asset, one.change, one.key) for one in self.partitions)
        if self.moved:
            ends = "stay as they are" if self.on_conflict == "skip" else "so nothing will be rolled back"
            lines.append(f"  changed since, {ends}: {list_some(map(str, self.moved))}")
        return "\n".join(lines)


def _by_asset(named: Iterable[tuple[str, str, str]]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for asset, change, key in named:
        groups.setdefault((asset, change), []).append(key)
    return [
        f"  {asset}: {change} {count_of(len(keys), 'partition')} ({list_some(keys, 3)})"
        for (asset, change), keys in groups.items()
    ]
