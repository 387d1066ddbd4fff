"""What S3 says of an object's availability, in a HEAD and in a listing.

The class alone never decides: a restored object keeps it, and Intelligent-Tiering archives objects of a class that is
otherwise online. Of a class that is not known here nothing is guessed: a read asks for the bytes, and is answered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lakepart.model.archives import ARCHIVE_CLASSES, ONLINE, Availability, AvailabilityState

_ONLINE_CLASSES = {"STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "EXPRESS_ONEZONE"}
_RESTORE = re.compile(r'ongoing-request="(?P<running>true|false)"(?:, expiry-date="(?P<until>[^"]+)")?')


def availability_of_head(head: Mapping[str, Any]) -> Availability | None:
    """Read a HEAD; None where its class is not known."""
    storage_class = head.get("StorageClass", "STANDARD")
    archive = head.get("ArchiveStatus") or (storage_class if storage_class in ARCHIVE_CLASSES else None)
    said = _RESTORE.fullmatch(head.get("Restore", ""))
    if archive is None:
        return ONLINE if storage_class in {*_ONLINE_CLASSES, "INTELLIGENT_TIERING"} else None
    if said is None:
        return Availability(AvailabilityState.OFFLINE, archive)
    until = parsedate_to_datetime(said["until"]) if said["until"] else None
    return _restored(archive, running=said["running"] == "true", until=until)


def availability_of_listed(listed: Mapping[str, Any]) -> Availability | None:
    """Read an entry of a listing; None where it does not tell.

    That is an archive class without a restore, since not every server lists restores, and Intelligent-Tiering.
    """
    storage_class, restore = listed.get("StorageClass", "STANDARD"), listed.get("RestoreStatus")
    if restore is not None:
        return _restored(
            storage_class, running=restore.get("IsRestoreInProgress", False), until=restore.get("RestoreExpiryDate")
        )
    return ONLINE if storage_class in _ONLINE_CLASSES else None


def _restored(archive: str, *, running: bool, until: datetime | None) -> Availability:
    if running:
        return Availability(AvailabilityState.RESTORING, archive)
    return Availability(AvailabilityState.RESTORED, archive, until.astimezone(UTC) if until else None)
