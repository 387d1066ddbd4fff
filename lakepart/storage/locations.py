"""Addresses of lakes and tiers: which store an address means, how addresses join, and which may not be together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.storage.base import Store, check_path
from lakepart.storage.local import LocalStore

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL_SCHEMES = {"file", "local"}
_SAME_SCHEME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
_NETWORK_FILESYSTEMS = {"nfs", "cifs", "smb", "fuse.sshfs", "ceph", "glusterfs", "fuse.glusterfs", "lustre"}
_MOUNTS = Path("/proc/self/mountinfo")


def open_store(url: str, storage_options: Mapping[str, Any] | None = None) -> Store:
    """Open the store at a folder or URL; nothing is read or made yet.

    Parameters
    ----------
    url
        A path, a ``file://`` URL, or any URL whose fsspec driver is installed.
    storage_options
        For the fsspec driver; a local folder takes none.

    Raises
    ------
    InvalidInputError
        If no driver takes the URL, or options are given for a local folder.
    """
    if not is_local(url):
        from lakepart.storage.anyfs import FsspecStore

        return FsspecStore(url, storage_options=storage_options)
    if storage_options:
        raise InvalidInputError(
            f"Storage options {sorted(storage_options)} are given for the local folder {url!r}, which takes none.",
            hint="leave storage_options out.",
            context={"url": url},
        )
    return LocalStore(local_path(url))


def is_local(url: str) -> bool:
    """Whether an address is a folder of this machine: a path or a ``file://`` URL."""
    return _scheme_of(url) in {"", *_LOCAL_SCHEMES}


def local_path(url: str) -> str:
    """Give the absolute path of a local address; a ``file://`` URL is taken as fsspec does, without unquoting."""
    if not url:
        raise InvalidInputError("An empty text is no address of a lake.", hint="'.' is the working directory.")
    path = _SCHEME.sub("", url, count=1) if _scheme_of(url) else url
    return str(Path(path).expanduser().absolute())


def join_url(base: str, relative: str) -> str:
    """Give the address of ``relative`` under ``base``; an absolute ``relative`` (a path or URL) is its own address."""
    if _scheme_of(relative) or relative.startswith(("/", "~")):
        return relative
    return f"{base.rstrip('/')}/{check_path(relative)}"


def without_secrets(url: str) -> str:
    """Give the URL as it may be shown: no user, no password, no query (where signatures are), no fragment."""
    if not _scheme_of(url) or is_local(url):
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_roots(roots: Mapping[str, str]) -> None:
    """Check that no tier's root is, or lies in, another's; InvalidInputError names both.

    Parameters
    ----------
    roots
        Tier names and their absolute addresses. Local ones are compared where symbolic links lead to.
    """
    placed = sorted((_segments(url), name) for name, url in roots.items())
    for (outer, outer_name), (inner, inner_name) in pairwise(placed):
        if inner[: len(outer)] == outer:
            raise InvalidInputError(
                f"The root of tier {inner_name!r} ({without_secrets(roots[inner_name])}) lies in the root of tier "
                f"{outer_name!r} ({without_secrets(roots[outer_name])}): the roots of tiers may not nest.",
                hint="give every tier a folder of its own, side by side.",
                code=ErrorCode.INVALID_INPUT,
                context={"outer": outer_name, "inner": inner_name},
            )


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


def _segments(url: str) -> tuple[str, ...]:
    if is_local(url):
        return ("", *Path(local_path(url)).resolve().parts)
    parts = urlsplit(url)
    scheme = _SAME_SCHEME.get(parts.scheme.lower(), parts.scheme.lower())
    host = parts.netloc.rpartition("@")[2]
    return (scheme, host, *(segment for segment in parts.path.split("/") if segment))


def _scheme_of(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""
