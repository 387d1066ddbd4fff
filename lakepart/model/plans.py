"""Frozen descriptions of an operation, made before anything happens and carried out as they stand.

A plan is plain data: it prints, it compares, it becomes JSON through ``to_dict`` and it names the catalog state
(``snapshot``) it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

_SHOWN_KEYS = 5


def format_bytes(size_bytes: float) -> str:
    """Write a size for people: ``1.4 MB``; powers of 1000."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(size_bytes) < 1000 or unit == "TB":
            return f"{size_bytes:,.0f} {unit}" if unit == "B" else f"{size_bytes:,.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError("unreachable: the last unit always returns")


def list_some(names: Iterable[str], most: int = _SHOWN_KEYS) -> str:
    """Name the first few and count the rest: ``a, b, c and 12 more``."""
    listed = list(names)
    if len(listed) <= most:
        return ", ".join(listed)
    return f"{', '.join(listed[:most])} and {len(listed) - most:,} more"


def count_of(count: int, noun: str) -> str:
    """Write ``1 partition`` or ``2 partitions``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def by_whom(commit: Mapping[str, Any]) -> str:
    """Write which commit it was, whose and when: ``(snapshot 7 by ann at 2024-06-01T00:00:00+00:00)``."""
    return f"(snapshot {commit['snapshot']} by {commit['author']} at {commit['at']})"


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """Which files a read opens, and which partitions it asked for in vain.

    ``offline`` are the partitions with files on a tier of an archive class: some may have been restored.
    """

    asset: str
    snapshot: int
    keys: tuple[str, ...]
    missing: tuple[str, ...]
    files: int
    pruned_files: int
    rows: int
    bytes: int
    tiers: Mapping[str, int]
    offline: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        tiers = ", ".join(f"{tier} {count_of(files, 'file')}" for tier, files in self.tiers.items()) or "nothing"
        lines = [
            f"Read {self.asset} at snapshot {self.snapshot}: {count_of(len(self.keys), 'partition')}, "
            f"{count_of(self.files, 'file')}, {format_bytes(self.bytes)} ({tiers})"
        ]
        if self.pruned_files:
            lines.append(f"  skipped by the filter: {count_of(self.pruned_files, 'file')}")
        if self.missing:
            lines.append(f"  missing: {list_some(self.missing)}")
        if self.offline:
            lines.append(f"  to be restored first, unless they are: {list_some(self.offline)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class MoveFile:
    """One file of a move: where its bytes are now, how many, and their checksum."""

    file_id: int
    tier: str
    path: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Move:
    """One partition whose files go to another tier together."""

    asset_id: int
    asset: str
    key: str
    ordinal: int
    to_tier: str
    files: tuple[MoveFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes that will be copied."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class TieringPlan:
    """Partitions to move, the tier each goes to, and why."""

    snapshot: int
    moves: tuple[Move, ...]
    reason: str = ""

    @property
    def size_bytes(self) -> int:
        """Bytes that will be copied."""
        return sum(move.size_bytes for move in self.moves)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if not self.moves:
            return f"Nothing to move{f' ({self.reason})' if self.reason else ''}."
        lines = [
            f"Move {count_of(len(self.moves), 'partition')}, {format_bytes(self.size_bytes)}"
            f"{f' ({self.reason})' if self.reason else ''}, from snapshot {self.snapshot}:"
        ]
        groups: dict[tuple[str, str, str], list[Move]] = {}
        for move in self.moves:
            for tier in sorted({file.tier for file in move.files}):
                groups.setdefault((move.asset, tier, move.to_tier), []).append(move)
        for (asset, source, target), moves in groups.items():
            files = [file for move in moves for file in move.files if file.tier == source]
            lines.append(
                f"  {asset}: {source} → {target}  {moves[0].key} … {moves[-1].key}  "
                f"{count_of(len(moves), 'partition')}, {count_of(len(files), 'file')}, "
                f"{format_bytes(sum(file.size_bytes for file in files))}"
            )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Target:
    """One partition a backfill will compute: why, in which order of work, and what it must still find there."""

    key: str
    ordinal: int
    order_number: int
    reason: str
    expected: str | None


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """Which partitions will be computed and why, in which orders, and how they will be published.

    ``inputs`` holds the asset and the mapping of each input, ``nonexistent`` the partitions that the targets need of
    it and that its definition does not have, ``offline`` those that must be restored first. What follows the clock is
    as of ``as_of_us``. ``audits`` says which checks run before results are published, and ``checks`` has them.
    """

    name: str
    asset: str
    asset_id: int
    branch_id: int
    snapshot: int
    selection: str
    targets: tuple[Target, ...]
    publish: str
    code_version: str | None
    inputs: Mapping[str, Any]
    function: str | None
    batch: int = 1
    retries: int = 2
    timeout_s: float | None = None
    on_error: str = "continue"
    nonexistent: Mapping[str, str] = field(default_factory=dict)
    offline: Mapping[str, str] = field(default_factory=dict)
    as_of_us: int | None = None
    estimated_rows: int | None = None
    estimated_bytes: int | None = None
    audits: tuple[Mapping[str, Any], ...] = ()
    checks: tuple[Any, ...] = field(default=(), compare=False, repr=False)

    @property
    def order_count(self) -> int:
        """How many orders of work the targets are bundled into."""
        return len({target.order_number for target in self.targets})

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {name: value for name, value in asdict(replace(self, checks=())).items() if name != "checks"}

    def _without(self, name: str, keys: str) -> str:
        skips = self.inputs[name]["mapping"].get("nonexistent") == "skip"
        asset = self.inputs[name]["asset"]
        ends = "they are skipped" if skips else "orders that need them will fail"
        return f"needed of {asset} but nonexistent there: {keys}; {ends}"

    def __str__(self) -> str:
        if not self.targets:
            return f"Nothing to backfill in {self.asset} ({self.selection})."
        reasons: dict[str, list[str]] = {}
        for target in self.targets:
            reasons.setdefault(target.reason, []).append(target.key)
        lines = [
            f"Backfill {self.name}: {count_of(len(self.targets), 'partition')} of {self.asset} in "
            f"{count_of(self.order_count, 'order')}, published {self.publish}, from snapshot {self.snapshot}:"
        ]
        lines += [
            f"  {reason}: {count_of(len(keys), 'partition')} ({list_some(keys, 3)})" for reason, keys in reasons.items()
        ]
        lines += [f"  {self._without(name, keys)}" for name, keys in self.nonexistent.items()]
        lines += [
            f"  needed of {self.inputs[name]['asset']} but offline: {keys}; restore them first"
            for name, keys in self.offline.items()
        ]
        if self.audits:
            lines.append(f"  audited before they are published: {list_some(one['name'] for one in self.audits)}")
        if self.estimated_rows is not None and self.estimated_bytes is not None:
            lines.append(
                f"  estimated from history: {self.estimated_rows:,} rows, {format_bytes(self.estimated_bytes)}"
            )
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class VacuumPlan:
    """Old versions to forget and bytes to delete.

    ``files`` lists ``(tier, path, size_bytes, why)``. A version that ended before ``forget_before_us`` is no longer
    kept, and bytes that nothing has needed since before ``dead_before_us`` go. The newest ``keep_last`` versions of a
    partition stay, of which what it holds now is one.

    Attributes
    ----------
    at_us
        When it was made, by the clock of its maker.
    forget_before_us_of
        What stands instead of ``forget_before_us`` for assets that have a retention of their own, by name.
    versions_of
        ``versions`` by the name of their asset.
    """

    snapshot: int
    forget_before_us: int
    dead_before_us: int
    versions: int
    files: tuple[tuple[str, str, int, str], ...]
    keep_last: int = 1
    at_us: int = 0
    forget_before_us_of: Mapping[str, int] = field(default_factory=dict)
    versions_of: Mapping[str, int] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes that will be freed."""
        return sum(size for _, _, size, _ in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if not (self.versions or self.files):
            return "Nothing to vacuum."
        lines = [
            f"Vacuum: forget {count_of(self.versions, 'old version')}, delete {count_of(len(self.files), 'file')} "
            f"({format_bytes(self.size_bytes)}), from snapshot {self.snapshot}{':' if self.files else '.'}"
        ]
        lines += [f"  {asset}: {count_of(versions, 'old version')}" for asset, versions in self.versions_of.items()]
        if self.versions:
            lines.append("  files that only those versions hold go after the grace period")
        reasons: dict[str, int] = {}
        for _, _, _, why in self.files:
            reasons[why] = reasons.get(why, 0) + 1
        lines += [f"  {why}: {count_of(files, 'file')}" for why, files in reasons.items()]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class RebuildPlan:
    """From which manifests a lost catalog would be made anew, and which state of the lake that gives.

    Attributes
    ----------
    snapshot
        The snapshot whose state is recovered; 0 where nothing can be.
    newest
        The highest snapshot that any manifest is of.
    pieces
        The manifests and checkpoints to read, in order.
    missing
        The first snapshot that no manifest is of though later ones are, if it is in the way.
    damaged
        ``(path, why)`` of manifests and checkpoints that cannot be read.
    existing
        What is in the catalog's place: ``"absent"``, ``"unreadable"`` or ``"readable"``.
    horizon, next_ids
        What manifests say of what was forgotten: from where on the past is whole, and which ids are free.
    """

    address: str
    catalog: str
    lake_id: str
    created_at_us: int
    snapshot: int
    newest: int
    pieces: tuple[str, ...]
    missing: int | None
    damaged: tuple[tuple[str, str], ...]
    existing: str
    horizon: int
    next_ids: Mapping[str, int]
    replace: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"Rebuild the catalog {self.catalog} of lake {self.lake_id} as of snapshot {self.snapshot}, "
            f"from {count_of(len(self.pieces), 'manifest')}."
        ]
        if self.missing is not None:
            lines.append(
                f"  the manifest of snapshot {self.missing} is missing or damaged: {self.snapshot} is the newest "
                f"state before the gap, {self.newest} the newest manifest"
            )
        lines += [f"  cannot be read: {path} ({why})" for path, why in self.damaged]
        if self.newest > self.snapshot:
            lines.append("  manifests of later snapshots are set aside")
        if self.existing == "unreadable":
            lines.append("  the unreadable catalog that is there is set aside")
        if self.existing == "readable":
            lines.append(f"  there is a catalog that can be read, which is {'set aside' if self.replace else 'kept'}")
        return "\n".join(lines)
