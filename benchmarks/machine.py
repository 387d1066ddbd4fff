"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "lakepart",
    "pyarrow",
    "pandas",
    "numpy",
    "sqlalchemy",
    "boto3",
    "tpchgen-cli",
    "deltalake",
    "pyiceberg",
    "awswrangler",
    "s3fs",
    "obstore",
)
_CPU_MODEL = Path("/proc/cpuinfo")


def describe_machine(folder: Path) -> dict[str, Any]:
    """Describe the machine, how busy it is with other work, and the file system under ``folder``."""
    return {
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "memory_bytes": _memory_bytes(),
        "file_system": _file_system(folder),
    }


def describe_versions() -> dict[str, str | None]:
    """Give the versions of Python, SQLite and the packages that matter; None for those that are not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions


def _cpu_model() -> str:
    if _CPU_MODEL.exists():
        for line in _CPU_MODEL.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _file_system(folder: Path) -> str | None:
    """Name the kind of the mount that holds ``folder``: a sync costs nothing on tmpfs, and much on a slow disk."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return None
    best, kind = -1, None
    for line in mounts.read_text().splitlines():
        _, point, found, *_ = line.split(" ")
        if len(point) > best and folder.resolve().is_relative_to(point):
            best, kind = len(point), found
    return kind
