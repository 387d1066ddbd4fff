"""From an address to a store, and what kind of disk a path lies on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lakepart.errors import InvalidInputError
from lakepart.storage.addresses import is_local, is_s3, local_path
from lakepart.storage.base import Store
from lakepart.storage.credentials import EXPIRES_AT, TierCredentials, laid_over
from lakepart.storage.local import LocalStore
from lakepart.storage.pacing import Pace

_NETWORK_FILESYSTEMS = {"nfs", "cifs", "smb", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs", "lustre"}
_MOUNTS = Path("/proc/self/mountinfo")


def open_store(
    url: str,
    storage_options: Mapping[str, Any] | None = None,
    *,
    storage_class: str | None = None,
    credentials: TierCredentials | None = None,
    beside: Iterable[Store] = (),
) -> Store:
    """Open the store at a folder or URL; nothing is read or made yet.

    Parameters
    ----------
    url
        A path, a ``file://`` URL, ``s3://bucket/prefix``, or any URL whose fsspec driver is installed.
    storage_options
        For S3 or the fsspec driver, in fsspec's convention; a local folder takes none.
    storage_class
        With which new objects are made in S3; elsewhere it is only a word in the catalog.
    credentials
        Go before ``storage_options``. S3 asks for them when it needs them; other drivers are given them once, here; a
        local folder needs none.
    beside
        Other stores of the same lake: in S3 those with the same options share one connection, unless credentials are
        asked for.

    Raises
    ------
    InvalidInputError
        If no driver takes the URL, or options are given for a local folder.
    """
    if is_s3(url):
        from lakepart.storage.s3 import S3Store

        store = S3Store(url, storage_options, storage_class=storage_class, credentials=credentials)
        for other in beside:
            if isinstance(other, S3Store):
                store.share_connection(other)
        return store
    if not is_local(url):
        from lakepart.storage.anyfs import FsspecStore

        asked = {} if credentials is None else credentials.ask()
        asked.pop(EXPIRES_AT, None)
        return FsspecStore(url, storage_options=laid_over(storage_options or {}, asked))
    if storage_options:
        raise InvalidInputError(
            f"Storage options {sorted(storage_options)} are given for the local folder {url!r}, which takes none.",
            hint="leave storage_options out.",
            context={"url": url},
        )
    return LocalStore(local_path(url))


def paced(store: Store, pace: Pace) -> Store:
    """Give the same store, asked no more often than a pace lets through; requests are counted to S3 only."""
    from lakepart.storage.s3 import S3Store

    return store.paced(pace) if isinstance(store, S3Store) else store


def is_network_filesystem(path: str) -> bool:
    """Whether a local path (or the nearest folder above it that exists) is on a filesystem mounted from elsewhere.

    SQLite's locks and shared memory cannot be trusted there (https://sqlite.org/wal.html). False where the system
    has no ``/proc/self/mountinfo``.
    """
    if not _MOUNTS.exists():
        return False
    return _filesystem_kind(str(Path(local_path(path)).resolve()), _MOUNTS.read_text("utf-8", "surrogateescape")) in (
        _NETWORK_FILESYSTEMS
    )


def _filesystem_kind(path: str, mounts: str) -> str:
    """Find the kind of the mount that holds ``path``: the longest mount point above it, of equal ones the last."""
    kind, longest = "", -1
    for line in mounts.splitlines():
        mounted, _, described = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), mounted.split(" ")[4])
        below = point.rstrip("/") + "/"
        if (path == point or path.startswith(below)) and len(point) >= longest:
            kind, longest = described.split(" ")[0].lower(), len(point)
    return "nfs" if kind.startswith("nfs") else "smb" if kind.startswith("smb") else kind
