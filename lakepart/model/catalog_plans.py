"""Frozen descriptions of what is done to a catalog as a whole: migrated, or copied elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lakepart.model.plans import count_of


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What a catalog lacks to be one of this release.

    Attributes
    ----------
    catalog
        Where it is, without secrets.
    found
        The migration it is at.
    pending
        Number and purpose of each migration to come, in order.
    """

    catalog: str
    found: str
    pending: tuple[tuple[str, str], ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not self.pending

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.is_empty:
            return f"Catalog {self.catalog} is up to date: migration {self.found}."
        steps = "\n".join(f"  {number}  {purpose}" for number, purpose in self.pending)
        return f"{count_of(len(self.pending), 'migration')} of catalog {self.catalog}, from {self.found} on:\n{steps}"


@dataclass(frozen=True, slots=True)
class CatalogCopy:
    """A catalog that was copied, row for row.

    Attributes
    ----------
    source, target
        From where to where, without secrets.
    lake_id
        The lake it is of.
    rows
        The number of rows by table.
    digest
        Of every row in order, equal for source and target.
    set_aside
        Where the manifests and tags of later snapshots have gone, if a backup was restored without those.
    """

    source: str
    target: str
    lake_id: str
    rows: Mapping[str, int]
    digest: str
    set_aside: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "rows": dict(self.rows)}

    def __str__(self) -> str:
        rows = count_of(sum(self.rows.values()), "row")
        copied = f"Copied {rows} of {len(self.rows)} tables from {self.source} to {self.target}, and found them equal."
        return "\n".join([copied, *(f"Set aside: {path}" for path in self.set_aside)])
