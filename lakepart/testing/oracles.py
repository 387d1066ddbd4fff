"""Judges that look at a lake by other means than the library does: the plain files, and the databases' own drivers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from os import PathLike
from pathlib import Path
from typing import Any

from lakepart.catalog.locations import is_postgresql
from lakepart.lake import Lake

_CATALOG_FILES = {"catalog.db", "catalog.db-wal", "catalog.db-shm", "catalog.db-checkpoint.lock"}
_CATALOG_FILES = {
    "catalog.db",
    "catalog.db-wal",
    "catalog.db-shm",
    "catalog.db-checkpoint.lock",
    "catalog.db-rebuild.lock",
}


def query_catalog(where: str | PathLike[str] | Lake, statement: str) -> list[tuple[Any, ...]]:
    """Ask the catalog of a lake, or of the local lake in a folder, without the library."""
    catalog = where._home.context.catalog if isinstance(where, Lake) else None
    if isinstance(catalog, str) and is_postgresql(catalog):
        return query_postgresql(catalog, statement)
    with closing(sqlite3.connect(f"file:{_folder_of(where) / 'catalog.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def query_postgresql(address: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the catalog at an address whose last parameter is the schema, without the library."""
    import psycopg

    plain, _, schema = address.partition("&schema=")
    with psycopg.connect(plain, autocommit=True, options=f"-c search_path={schema}") as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def files_of(folder: str | PathLike[str]) -> dict[str, bytes]:
    """Give every file of the local lake in ``folder`` with its bytes, except the catalog's."""
    root = Path(folder)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if name not in _CATALOG_FILES}


def stray_files(where: str | PathLike[str] | Lake) -> set[str]:
    """Name the files of a local lake that its catalog has no row for: what crashes leave behind."""
    return set(files_of(_folder_of(where))) - set(_explained(where))


def _folder_of(where: str | PathLike[str] | Lake) -> Path:
    return Path(where.url if isinstance(where, Lake) else where)


def _explained(where: str | PathLike[str] | Lake) -> Iterator[str]:
    yield "_lakepart/lake.json"
    for (number,) in query_catalog(where, "SELECT snapshot FROM snapshot"):
        yield f"_lakepart/commits/{number:012d}.json"
    for checkpoint in (_folder_of(where) / "_lakepart/commits").glob("*.checkpoint.jsonl.gz"):
        yield f"_lakepart/commits/{checkpoint.name}"
    for (number,) in query_catalog(where, "SELECT tag_id FROM tag"):
        yield f"_lakepart/tags/{number:012d}.json"
    for root, path in query_catalog(where, "SELECT root, path FROM copy JOIN tier ON tier.name = copy.tier"):
        yield f"{root}/{path}"
