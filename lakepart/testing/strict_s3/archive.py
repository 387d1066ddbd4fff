"""Archive classes: which objects can be read at an instant, how long restores take, when restored copies end.

Sources: RestoreObject and "Restoring an archived object" of the S3 API reference and user guide. Restores take the
longest of the times that are given there for their class and speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from lakepart.testing.strict_s3.refusals import Refused, invalid_argument

TAKES_CLASSES = {
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
}  # EXPRESS_ONEZONE is for directory buckets, others are set by services of their own
_FLEXIBLE = {"Expedited": timedelta(minutes=5), "Standard": timedelta(hours=5), "Bulk": timedelta(hours=12)}
_DEEP = {"Standard": timedelta(hours=12), "Bulk": timedelta(hours=48)}
_TAKES = {"GLACIER": _FLEXIBLE, "DEEP_ARCHIVE": _DEEP, "ARCHIVE_ACCESS": _FLEXIBLE, "DEEP_ARCHIVE_ACCESS": _DEEP}


@dataclass(frozen=True, slots=True)
class Restoration:
    """A restore that was asked for: when it is done, and when its copy ends (None: it stays)."""

    done_at: datetime
    expires_at: datetime | None


@dataclass(slots=True)
class Placement:
    """In which class an object lies, in which archive of Intelligent-Tiering, and its restore."""

    storage_class: str = "STANDARD"
    archive_status: str | None = None
    restoration: Restoration | None = None

    @property
    def archive(self) -> str | None:
        """The archive whose rules hold."""
        return self.archive_status or (self.storage_class if self.storage_class in _TAKES else None)

    def at(self, now: datetime) -> Placement:
        """Let time pass: copies end, and what Intelligent-Tiering has restored is no longer archived."""
        found = self.restoration
        if found is None or now < found.done_at:
            return self
        if found.expires_at is None:
            return Placement(self.storage_class)
        return self if now < found.expires_at else Placement(self.storage_class)

    def is_readable(self, now: datetime) -> bool:
        """Whether the bytes can be had."""
        return self.archive is None or (self.restoration is not None and now >= self.restoration.done_at)

    def require_readable(self, now: datetime) -> None:
        """Refuse a GET, or a part copied from here, as long as the object is archived."""
        if not self.is_readable(now):
            tier = {} if self.archive_status is None else {"AccessTier": self.archive_status}
            raise Refused(
                403,
                "InvalidObjectState",
                "The operation is not valid for the object's storage class",
                StorageClass=self.storage_class,
                **tier,
            )

    def restore(self, now: datetime, days: int | None, speed: str) -> tuple[Placement, int]:
        """Ask for a restore; gives the placement from now on and the answer's status."""
        if self.archive is None:
            raise Refused(403, "InvalidObjectState", "Restore is not allowed for the object's current storage class")
        times = _TAKES[self.archive]
        if speed not in times:
            raise invalid_argument("Retrieval option is not supported by this storage class")
        if self.archive_status is not None and days is not None:
            raise invalid_argument("Days must not be specified for the archive tiers of INTELLIGENT_TIERING")
        if self.archive_status is None and days is None:
            raise Refused(400, "MalformedXML", "The XML you provided was not well-formed: Days is missing")
        if days is not None and days < 1:
            raise invalid_argument("restoration days should be at least 1")
        found = self.restoration
        if found is not None and now >= found.done_at and days is not None:
            return Placement(self.storage_class, None, Restoration(found.done_at, _ends(now, days))), 200
        done_at = now + times[speed]
        if found is not None and done_at >= found.done_at:  # only a faster one is taken in its place
            raise Refused(409, "RestoreAlreadyInProgress", "Object restore is already in progress")
        ends = None if days is None else _ends(done_at, days)
        return Placement(self.storage_class, self.archive_status, Restoration(done_at, ends)), 202

    def headers(self, now: datetime) -> dict[str, Any]:
        """Say in a HEAD where the object lies; STANDARD is not said."""
        said: dict[str, Any] = {} if self.storage_class == "STANDARD" else {"StorageClass": self.storage_class}
        if self.archive_status is not None:
            said["ArchiveStatus"] = self.archive_status
        if self.restoration is not None and now < self.restoration.done_at:
            said["Restore"] = 'ongoing-request="true"'
        elif self.restoration is not None and self.restoration.expires_at is not None:
            expires = format_datetime(self.restoration.expires_at, usegmt=True)
            said["Restore"] = f'ongoing-request="false", expiry-date="{expires}"'
        return said

    def listed(self, now: datetime) -> dict[str, Any]:
        """Say the restore in a listing that asks for it."""
        if self.restoration is None:
            return {}
        running = now < self.restoration.done_at
        ends = {} if running else {"RestoreExpiryDate": self.restoration.expires_at}
        return {"RestoreStatus": {"IsRestoreInProgress": running, **ends}}


def _ends(start: datetime, days: int) -> datetime:
    """Add days and go on to the next midnight, UTC."""
    after = start.astimezone(UTC) + timedelta(days=days)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == after else midnight + timedelta(days=1)
