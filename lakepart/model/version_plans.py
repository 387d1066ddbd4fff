"""Plans that make other versions current: rolling back, and publishing a branch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lakepart.model.instants import from_microseconds
from lakepart.model.plans import by_whom, count_of, list_some


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

    @property
    def at(self) -> str | None:
        """When that commit was, in UTC to the second."""
        return None if self.at_us is None else from_microseconds(self.at_us).isoformat(timespec="seconds")

    def to_context(self) -> dict[str, Any]:
        """Give what ``context["conflicts"]`` of an error says of it."""
        return asdict(self) | {"at": self.at}

    def __str__(self) -> str:
        who = "" if self.snapshot is None else f" {by_whom(self.to_context())}"
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


@dataclass(frozen=True, slots=True)
class PublishedPartition:
    """One partition written on a branch, what main must hold when it is published, and which of its inputs moved.

    ``expected`` is main's content id, None for missing; ``moved_inputs`` names inputs that hold other content on main
    than they had when the partition was made: once published it is stale.
    """

    asset: str
    key: str
    version_id: int
    change: str
    rows: int
    expected: str | None
    moved_inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What publishing a branch makes current on main, what main has changed underneath, and what becomes of that.

    ``conflicts`` and ``conflicting`` go together: who changed the partition on main, and what the branch has of it.
    ``on_conflict`` decides: ``"fail"`` publishes nothing, ``"drop"`` publishes the rest and leaves these on the
    branch, ``"theirs"`` keeps main's content and gives the branch's up, ``"ours"`` replaces main's.
    """

    snapshot: int
    branch: str
    branch_id: int
    partitions: tuple[PublishedPartition, ...]
    conflicting: tuple[PublishedPartition, ...] = ()
    conflicts: tuple[MovedPartition, ...] = ()
    on_conflict: str = "fail"

    @property
    def published(self) -> tuple[PublishedPartition, ...]:
        """What becomes current on main."""
        return self.partitions + (self.conflicting if self.on_conflict == "ours" else ())

    @property
    def stays_open(self) -> bool:
        """Whether the branch lives on, with the partitions in conflict."""
        return self.on_conflict == "drop" and bool(self.conflicts)

    @property
    def stale(self) -> tuple[PublishedPartition, ...]:
        """What will be stale once it is published, because inputs have moved on main."""
        return tuple(one for one in self.published if one.moved_inputs)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if not (self.partitions or self.conflicts):
            return f"Publish branch {self.branch}: nothing was written on it."
        lines = [f"Publish branch {self.branch}: {count_of(len(self.published), 'partition')}"]
        lines += _by_asset((one.asset, one.change, one.key) for one in self.published)
        if self.conflicts:
            ends = _ENDS[self.on_conflict]
            lines.append(f"  in conflict with main, {ends}: {list_some(map(str, self.conflicts))}")
        if self.stale:
            lines.append(f"  stale then, for inputs moved on main: {list_some(one.key for one in self.stale)}")
        return "\n".join(lines)


_ENDS = {
    "fail": "so nothing will be published",
    "drop": "left out, they stay on the branch",
    "theirs": "main's content stays, the branch's is given up",
    "ours": "main's content is replaced",
}
ON_CONFLICT = tuple(_ENDS)


def _by_asset(named: Iterable[tuple[str, str, str]]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for asset, change, key in named:
        groups.setdefault((asset, change), []).append(key)
    return [
        f"  {asset}: {change} {count_of(len(keys), 'partition')} ({list_some(keys, 3)})"
        for (asset, change), keys in groups.items()
    ]
