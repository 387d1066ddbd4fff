"""Archives of object stores: whether bytes can be read now, and how long restoring them takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})  # their bytes must be restored before they are read
_FLEXIBLE = {"Expedited": 5 / 60, "Standard": 5.0, "Bulk": 12.0}
_DEEP = {"Standard": 12.0, "Bulk": 48.0}

RESTORE_HOURS: Mapping[str, Mapping[str, float]] = {
    "GLACIER": _FLEXIBLE,
    "DEEP_ARCHIVE": _DEEP,
    "ARCHIVE_ACCESS": _FLEXIBLE,  # the archives of INTELLIGENT_TIERING
    "DEEP_ARCHIVE_ACCESS": _DEEP,
}
"""At most how many hours a restore takes, by archive and speed, the fastest first: "Archive retrieval options" of the
Amazon S3 user guide. ``Expedited`` without provisioned capacity is no promise, and meant for up to 250 MB."""

FOR_GOOD = frozenset({"ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"})  # what they give back stays online, so without days
SPEEDS = ("Expedited", "Standard", "Bulk")  # the fastest first


class AvailabilityState(StrEnum):
    """Whether an object's bytes can be had."""

    ONLINE = "online"
    OFFLINE = "offline"
    RESTORING = "restoring"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an object's bytes can be had, in which archive it lies if any, and until when a restored copy stays."""

    state: AvailabilityState
    archive: str | None = None
    until: datetime | None = None

    @property
    def is_readable(self) -> bool:
        """Whether a read would be answered with bytes."""
        return self.state in {AvailabilityState.ONLINE, AvailabilityState.RESTORED}

    def __str__(self) -> str:
        return f"{self.state} until {self.until.isoformat()}" if self.until else str(self.state)


ONLINE = Availability(AvailabilityState.ONLINE)


def hours_by_speed(archives: Iterable[str]) -> dict[str, float]:
    """Give the speeds that all of some archives have, the cheapest first, and after how many hours all are restored."""
    known = [RESTORE_HOURS[archive] for archive in set(archives) & RESTORE_HOURS.keys()]
    return {
        speed: max(hours[speed] for hours in known)
        for speed in reversed(SPEEDS)
        if known and all(speed in hours for hours in known)
    }


def format_hours(hours: float) -> str:
    """Write how long a restore takes: ``5 minutes``, ``12 hours``."""
    return f"{hours * 60:.0f} minutes" if hours < 1 else f"{hours:.0f} hours"


def is_archived(error: BaseException | None) -> bool:
    """Whether a client's error means that an object lies in an archive: of boto3, of s3fs and pandas, or of Arrow.

    The first is the cause of the second; Arrow says it in words only (code 136 of its AWS library).
    """
    while error is not None:
        answer = getattr(error, "response", None)
        if isinstance(answer, dict) and answer.get("Error", {}).get("Code") in _CODES:
            return True
        if isinstance(error, OSError) and all(word in str(error) for word in _ARROW_SAYS):
            return True
        error = error.__cause__
    return False


_CODES = frozenset({"InvalidObjectState", "ObjectNotInActiveTierError"})
_ARROW_SAYS = ("AWS Error", "storage class")
