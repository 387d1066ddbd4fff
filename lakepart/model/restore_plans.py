"""What a restore asks for: files in archives that are to be readable for some days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from lakepart.model.archives import format_hours, hours_by_speed
from lakepart.model.plans import count_of, format_bytes, list_some


@dataclass(frozen=True, slots=True)
class RestoreFile:
    """One file to restore: its partition's key, where its bytes are, how many, and in which archive."""

    key: str
    tier: str
    path: str
    size_bytes: int
    archive: str


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """Files to ask for, for how many days and at which speed; and those for which nothing need be asked.

    Attributes
    ----------
    files
        The files to ask for: those that are offline, and those whose restored copy would end too early.
    restoring
        How many files are being restored already.
    readable
        How many files can be read long enough already.
    readable_until
        When the first of their restored copies ends; None where none ends.
    """

    asset: str
    snapshot: int
    days: int
    speed: str
    files: tuple[RestoreFile, ...]
    restoring: int = 0
    readable: int = 0
    readable_until: datetime | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes that will be restored, and paid for."""
        return sum(file.size_bytes for file in self.files)

    @property
    def keys(self) -> tuple[str, ...]:
        """The partitions of the files to ask for, in order."""
        return tuple(dict.fromkeys(file.key for file in self.files))

    @property
    def hours(self) -> float | None:
        """After how many hours, at most, all that is asked for can be read; None where nothing is."""
        return hours_by_speed(file.archive for file in self.files).get(self.speed)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        until = None if self.readable_until is None else self.readable_until.isoformat()
        values: Mapping[str, Any] = asdict(self)
        return {**values, "readable_until": until, "hours": self.hours}

    def __str__(self) -> str:
        lines = [f"Nothing to restore of {self.asset}."]
        if self.files:
            lines = [
                f"Restore {count_of(len(self.keys), 'partition')} of {self.asset}, "
                f"{count_of(len(self.files), 'file')}, {format_bytes(self.size_bytes)}, for "
                f"{count_of(self.days, 'day')} by speed {self.speed}: {list_some(self.keys)}"
            ]
            if self.hours is not None:
                lines.append(f"  readable after at most {format_hours(self.hours)}")
        lines += restore_remarks(self.restoring, self.readable, self.readable_until)
        return "\n".join(lines)


def restore_remarks(restoring: int, readable: int, until: datetime | None) -> list[str]:
    """Say for which files nothing need be asked."""
    remarks = []
    if restoring:
        remarks.append(f"  being restored already: {count_of(restoring, 'file')}")
    if readable:
        ends = f", the first until {until.isoformat()}" if until else ""
        remarks.append(f"  readable already: {count_of(readable, 'file')}{ends}")
    return remarks
