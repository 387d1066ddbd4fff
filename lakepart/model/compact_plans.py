"""Plans that merge small files: the same rows in fewer files."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lakepart.model.plans import count_of, format_bytes, list_some

DEFAULT_TARGET_BYTES = 128_000_000


@dataclass(frozen=True, slots=True)
class FileRun:
    """Neighbouring files of one partition, on one tier, that become one file there."""

    tier: str
    file_ids: tuple[int, ...]
    size_bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class PartitionRuns:
    """One partition: how many files it has, and which of them become one."""

    key: str
    ordinal: int
    files: int
    runs: tuple[FileRun, ...]


@dataclass(frozen=True, slots=True)
class AssetRuns:
    """What is compacted of one asset, up to which size, sorted by what; and why other partitions are left out.

    ``left_out`` lists ``(reason, keys)``.
    """

    asset: str
    asset_id: int
    target_bytes: int
    sort_by: tuple[str, ...]
    partitions: tuple[PartitionRuns, ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def runs(self) -> list[FileRun]:
        """All runs of all partitions."""
        return [run for one in self.partitions for run in one.runs]


@dataclass(frozen=True, slots=True)
class CompactPlan:
    """Which files become one, asset by asset; the rows and what is said of them stay.

    Attributes
    ----------
    snapshot
        The catalog state it was made from. Partitions that have other files by the time it is carried out are skipped.
    assets
        What is merged of each, and why other partitions are left out.
    """

    snapshot: int
    assets: tuple[AssetRuns, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to gain."""
        return not self.partitions

    @property
    def partitions(self) -> int:
        """How many partitions get fewer files."""
        return sum(len(asset.partitions) for asset in self.assets)

    @property
    def files_before(self) -> int:
        """Files that are merged."""
        return sum(len(run.file_ids) for asset in self.assets for run in asset.runs)

    @property
    def files_after(self) -> int:
        """Files they become."""
        return sum(len(asset.runs) for asset in self.assets)

    @property
    def size_bytes(self) -> int:
        """Bytes that are read; what is written is about as much, or less."""
        return sum(run.size_bytes for asset in self.assets for run in asset.runs)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        totals = ("partitions", "files_before", "files_after", "size_bytes")
        return asdict(self) | {name: getattr(self, name) for name in totals}

    def __str__(self) -> str:
        if self.is_empty:
            lines = ["Nothing to compact."]
        else:
            lines = [
                f"Compact {count_of(self.partitions, 'partition')}: {count_of(self.files_before, 'file')} "
                f"({format_bytes(self.size_bytes)}) into {self.files_after:,}, from snapshot {self.snapshot}:"
            ]
        for asset in self.assets:
            lines += _lines_of(asset)
        return "\n".join(lines)


def _lines_of(asset: AssetRuns) -> list[str]:
    lines = []
    if asset.partitions:
        merged = sum(len(run.file_ids) for run in asset.runs)
        tiers = ", ".join(sorted({run.tier for run in asset.runs}))
        order = f", sorted by {', '.join(asset.sort_by)}" if asset.sort_by else ""
        lines.append(
            f"  {asset.asset}: {list_some(one.key for one in asset.partitions)}: {merged:,} of "
            f"{count_of(sum(one.files for one in asset.partitions), 'file')} into {len(asset.runs):,} on {tiers}, "
            f"each up to {format_bytes(asset.target_bytes)}{order}"
        )
    lines += [
        f"  {asset.asset}: left out, {reason}: {count_of(len(keys), 'partition')} ({list_some(keys, 3)})"
        for reason, keys in asset.left_out
    ]
    return lines
