"""Plans that change rows inside partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lakepart.model.plans import count_of, format_bytes, list_some


@dataclass(frozen=True, slots=True)
class AffectedFile:
    """A file with rows that go, and how many: the others are written again, to the tier they lie on."""

    ordinal: int
    file_id: int
    tier: str
    rows: int
    size_bytes: int
    rows_matched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletePlan:
    """Which rows go, and what that costs.

    Attributes
    ----------
    filter
        As it was given: the rows for which it is true.
    partitions
        ``(key, ordinal, content id, rows that go, rows that stay)`` of each partition that changes; the content must
        still be there when the plan is carried out.
    affected
        The files with rows that go.
    files_read, files_skipped
        Files that were looked into, and those left out because their statistics say that no row can match.
    """

    asset: str
    asset_id: int
    revision: int
    snapshot: int
    branch_id: int
    filter: Any = field(compare=False)
    partitions: tuple[tuple[str, int, str, int, int], ...]
    affected: tuple[AffectedFile, ...]
    files_read: int
    files_skipped: int

    @property
    def is_empty(self) -> bool:
        """Whether no row matches."""
        return not self.partitions

    @property
    def rows(self) -> int:
        """How many rows go."""
        return sum(file.rows_matched for file in self.affected)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        names = ("key", "ordinal", "content_id", "rows_deleted", "rows_kept")
        return {
            "asset": self.asset,
            "snapshot": self.snapshot,
            "filter": str(self.filter),
            "partitions": [dict(zip(names, one, strict=True)) for one in self.partitions],
            "rows": self.rows,
            "rows_rewritten": sum(file.rows - file.rows_matched for file in self.affected),
            "bytes_read": sum(file.size_bytes for file in self.affected),
            "files_rewritten": len(self.affected),
            "files_read": self.files_read,
            "files_skipped": self.files_skipped,
        }

    def __str__(self) -> str:
        looked = f"looked into {count_of(self.files_read, 'file')}, skipped {self.files_skipped:,} by statistics"
        if self.is_empty:
            return f"Nothing to delete from {self.asset}: no row matches ({looked})."
        stay = sum(file.rows - file.rows_matched for file in self.affected)
        tiers: Mapping[str, None] = dict.fromkeys(file.tier for file in self.affected)
        emptied = [key for key, _, _, _, kept in self.partitions if not kept]
        lines = [
            f"Delete {count_of(self.rows, 'row')} of {self.asset} in {count_of(len(self.partitions), 'partition')} "
            f"({list_some(key for key, *_ in self.partitions)}), from snapshot {self.snapshot}:",
            f"  filter: {self.filter}",
            f"  {looked}",
            f"  write {count_of(len(self.affected), 'file')} again on {', '.join(tiers)}: {count_of(stay, 'row')} that "
            f"stay, of {format_bytes(sum(file.size_bytes for file in self.affected))}",
        ]
        if emptied:
            lines.append(f"  {count_of(len(emptied), 'partition')} will be known to be empty: {list_some(emptied)}")
        return "\n".join(lines)
