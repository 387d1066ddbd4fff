"""Plans that change rows inside partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

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


class UpsertedPartition(NamedTuple):
    """A partition that new rows go to; ``content_id`` is what it holds now, None if it is missing.

    ``rows`` come: ``rows_updated`` to keys that are there, ``rows_inserted`` to others. ``keys_digest`` tells them from
    other rows.
    """

    key: str
    ordinal: int
    content_id: str | None
    rows: int
    rows_updated: int
    rows_inserted: int
    keys_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpsertPlan:
    """Which rows are replaced by those of their keys, which come new, and what that costs.

    Attributes
    ----------
    on
        The columns that make the key.
    partitions
        Those that rows go to; what they hold must still be there when the plan is carried out.
    affected
        The files with rows that are replaced.
    files_read, files_skipped
        Files that were looked into, and those left out because their statistics say that they hold none of the keys.
    size_bytes
        Of the new rows, in memory.
    new_columns
        Columns that the asset gets, or that get another type.
    data
        The rows, where they can be read once more; those of a stream are given again to carry the plan out.
    """

    asset: str
    asset_id: int
    revision: int
    snapshot: int
    branch_id: int
    on: tuple[str, ...]
    partitions: tuple[UpsertedPartition, ...]
    affected: tuple[AffectedFile, ...]
    files_read: int
    files_skipped: int
    size_bytes: int
    new_columns: tuple[str, ...] = ()
    on_schema_change: str | None = None
    data: Any = field(default=None, compare=False, repr=False)

    @property
    def rows(self) -> int:
        """How many rows come."""
        return sum(one.rows for one in self.partitions)

    @property
    def rows_updated(self) -> int:
        """How many of them have a key that is there."""
        return sum(one.rows_updated for one in self.partitions)

    @property
    def rows_inserted(self) -> int:
        """How many of them have a key that is not there."""
        return sum(one.rows_inserted for one in self.partitions)

    @property
    def rows_matched(self) -> int:
        """How many rows are replaced; more than are updated where a key is there several times."""
        return sum(file.rows_matched for file in self.affected)

    @property
    def rows_rewritten(self) -> int:
        """How many rows stay as they are, in files that are written again."""
        return sum(file.rows - file.rows_matched for file in self.affected)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {
            "asset": self.asset,
            "snapshot": self.snapshot,
            "on": list(self.on),
            "partitions": [
                {name: value for name, value in one._asdict().items() if name != "keys_digest"}
                for one in self.partitions
            ],
            "rows": self.rows,
            "rows_updated": self.rows_updated,
            "rows_inserted": self.rows_inserted,
            "rows_matched": self.rows_matched,
            "rows_rewritten": self.rows_rewritten,
            "size_bytes": self.size_bytes,
            "bytes_read": sum(file.size_bytes for file in self.affected),
            "files_rewritten": len(self.affected),
            "files_read": self.files_read,
            "files_skipped": self.files_skipped,
            "new_columns": list(self.new_columns),
        }

    def __str__(self) -> str:
        new = [one.key for one in self.partitions if one.content_id is None]
        lines = [
            f"Upsert {count_of(self.rows, 'row')} on {', '.join(self.on)} into "
            f"{count_of(len(self.partitions), 'partition')} of {self.asset} "
            f"({list_some(one.key for one in self.partitions)}), from snapshot {self.snapshot}:",
            f"  {self.rows_updated:,} updated, {self.rows_inserted:,} inserted, "
            f"{format_bytes(self.size_bytes)} in memory",
            f"  looked into {count_of(self.files_read, 'file')}, skipped {self.files_skipped:,} by statistics",
        ]
        if self.affected:
            tiers = ", ".join(dict.fromkeys(file.tier for file in self.affected))
            lines.append(
                f"  write {count_of(len(self.affected), 'file')} again on {tiers}: "
                f"{count_of(self.rows_rewritten, 'row')} that stay, of "
                f"{format_bytes(sum(file.size_bytes for file in self.affected))}"
            )
        if new:
            lines.append(f"  {count_of(len(new), 'partition')} will be new: {list_some(new)}")
        if self.new_columns:
            lines.append(f"  columns that are new or get another type: {list_some(self.new_columns)}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropPlan:
    """Which partitions become missing.

    Attributes
    ----------
    partitions
        ``(key, ordinal, content id, rows, bytes)`` of each; the content must still be there when the plan is carried
        out.
    """

    asset: str
    asset_id: int
    revision: int
    snapshot: int
    branch_id: int
    partitions: tuple[tuple[str, int, str, int, int], ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to drop."""
        return not self.partitions

    @property
    def rows(self) -> int:
        """How many rows go."""
        return sum(rows for _, _, _, rows, _ in self.partitions)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        names = ("key", "ordinal", "content_id", "rows", "size_bytes")
        return {
            "asset": self.asset,
            "snapshot": self.snapshot,
            "partitions": [dict(zip(names, one, strict=True)) for one in self.partitions],
            "rows": self.rows,
            "size_bytes": sum(size for *_, size in self.partitions),
        }

    def __str__(self) -> str:
        if self.is_empty:
            return f"Nothing to drop from {self.asset}: none of the partitions is there."
        return (
            f"Drop {count_of(len(self.partitions), 'partition')} of {self.asset} "
            f"({list_some(key for key, *_ in self.partitions)}), from snapshot {self.snapshot}: "
            f"{count_of(self.rows, 'row')}, {format_bytes(sum(size for *_, size in self.partitions))}. "
            "Older snapshots keep them until vacuum forgets those."
        )
