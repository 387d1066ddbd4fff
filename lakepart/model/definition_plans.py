"""Frozen descriptions of how an asset will be cut otherwise: without touching its rows, or by writing them anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lakepart.model.definitions import definition_from_dict
from lakepart.model.plans import count_of, format_bytes, list_some


@dataclass(frozen=True, slots=True, kw_only=True)
class _DefinitionPlan:
    asset: str
    asset_id: int
    revision: int
    snapshot: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    refused: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def _definitions(self) -> list[str]:
        return [f"  {definition_from_dict(self.before)!r}", f"  → {definition_from_dict(self.after)!r}"]

    def _notes(self) -> list[str]:
        return [*(f"  refused: {reason}" for reason in self.refused), *(f"  note: {remark}" for remark in self.remarks)]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlterPlan(_DefinitionPlan):
    """What changes in an asset's declaration; its rows stay where they are.

    Attributes
    ----------
    appearing, vanishing
        Partitions that are expected from now on, and no longer, up to the instant of the plan; as text and counted.
    columns
        What changes in the schema, as sentences.
    schema_after
        The schema from then on, in the Arrow IPC form as base64; None where it stays.
    renamed
        ``(old, new)`` names of columns.
    refused
        Why it cannot be applied; empty where it can.
    remarks
        What to look at afterwards.
    """

    options_before: Mapping[str, Any]
    options_after: Mapping[str, Any]
    appearing: tuple[str, int]
    vanishing: tuple[str, int]
    columns: tuple[str, ...] = ()
    schema_after: str | None = None
    renamed: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        redefined = self.before != self.after or self.options_before != self.options_after
        return not redefined and self.schema_after is None

    def __str__(self) -> str:
        if self.is_empty:
            return f"Nothing to alter in {self.asset}."
        lines = [f"Alter {self.asset}, from snapshot {self.snapshot}:"]
        if self.before != self.after:
            lines += self._definitions()
        for name in sorted({*self.options_before, *self.options_after}):
            old, new = self.options_before.get(name), self.options_after.get(name)
            if old != new:
                lines.append(f"  {name}: {old!r} → {new!r}")
        lines += [f"  {sentence}" for sentence in self.columns]
        for one, several, (text, count) in (("appears", "appear", self.appearing), ("goes", "go", self.vanishing)):
            if count:
                what = one if count == 1 else several
                lines.append(f"  {count_of(count, 'partition')} {what}: {_shortened(text)}")
        return "\n".join([*lines, *self._notes()])


@dataclass(frozen=True, slots=True, kw_only=True)
class RepartitionPlan(_DefinitionPlan):
    """Which rows go from which partition to which, when an asset is cut otherwise and its rows are written anew.

    Attributes
    ----------
    contents
        ``(key, ordinal, content id)`` of every committed partition: what must still be there.
    routes
        ``(old key, new key, rows)``, by old and then by new partition.
    known_empty
        New partitions without rows whose whole window is known to have none.
    files, rows, size_bytes
        What is read; about as many bytes are written.
    refused
        Why it cannot be applied; empty where it can.
    remarks
        What to look at afterwards.
    """

    contents: tuple[tuple[str, int, str], ...]
    routes: tuple[tuple[str, str, int], ...]
    known_empty: tuple[str, ...]
    files: int
    rows: int
    size_bytes: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return self.before == self.after

    def __str__(self) -> str:
        if self.is_empty:
            return f"Nothing to repartition: {self.asset} is cut that way already."
        filled = Counter(new for _, new, _ in self.routes)
        lines = [f"Repartition {self.asset}, from snapshot {self.snapshot}:", *self._definitions()]
        lines.append(
            f"  read {count_of(len(self.contents), 'partition')}, {count_of(self.files, 'file')}, "
            f"{count_of(self.rows, 'row')}, {format_bytes(self.size_bytes)}; "
            f"write {count_of(len(filled), 'partition')}, about {format_bytes(self.size_bytes)}"
        )
        lines += [
            f"  {new}: from {count_of(count, 'partition')}" for new, count in list(filled.items())[:_SHOWN_PARTITIONS]
        ]
        if len(filled) > _SHOWN_PARTITIONS:
            lines.append(f"  … and {count_of(len(filled) - _SHOWN_PARTITIONS, 'partition')} more")
        if self.known_empty:
            lines.append(
                f"  {count_of(len(self.known_empty), 'partition')} known to be empty: {list_some(self.known_empty)}"
            )
        return "\n".join([*lines, *self._notes()])


_SHOWN_PARTITIONS = 5
_SHOWN_CHARACTERS = 160


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
