"""Judges that look at a lake by other means than the library does: the plain files, and SQLite's own driver."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

_CATALOG_FILES = {
    "catalog.db",
    "catalog.db-wal",
    "catalog.db-shm",
    "catalog.db-checkpoint.lock",
    "catalog.db-rebuild.lock",
}


def query_catalog(folder: str | PathLike[str], statement: str) -> list[tuple[Any, ...]]:
    """Ask the catalog of the local lake in ``folder``, without the library."""
    with closing(sqlite3.connect(f"file:{Path(folder, 'catalog.db')}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def files_of(folder: str | PathLike[str]) -> dict[str, bytes]:
    """Give every file of the local lake in ``folder`` with its bytes, except the catalog's."""
    root = Path(folder)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if name not in _CATALOG_FILES}


def stray_files(folder: str | PathLike[str]) -> set[str]:
    """Name the files of the local lake in ``folder`` that its catalog has no row for: what crashes leave behind."""
    return set(files_of(folder)) - set(_explained(folder))


def _explained(folder: str | PathLike[str]) -> Iterator[str]:
    yield "_lakepart/lake.json"
    for (number,) in query_catalog(folder, "SELECT snapshot FROM snapshot"):
        yield f"_lakepart/commits/{number:012d}.json"
    for checkpoint in Path(folder, "_lakepart/commits").glob("*.checkpoint.jsonl.gz"):
        yield f"_lakepart/commits/{checkpoint.name}"
    for (number,) in query_catalog(folder, "SELECT tag_id FROM tag"):
        yield f"_lakepart/tags/{number:012d}.json"
    for root, path in query_catalog(folder, "SELECT root, path FROM copy JOIN tier ON tier.name = copy.tier"):
        yield f"{root}/{path}"
