"""What is known of one partition at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from lakepart.model.records import VersionRecord
from lakepart.planning.staleness import Reason


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition's two facts, data and work, and what they rest on."""

    key: str
    ordinal: int
    data: str
    work: str | None
    reasons: tuple[Reason, ...]
    error: str | None
    version: VersionRecord | None
    tiers: tuple[str, ...]

    @property
    def state(self) -> str:
        """The one word shown: running, failed, or what the data are."""
        return self.work or self.data
