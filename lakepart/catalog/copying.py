"""A catalog copied into another database, row for row: from one consistent read, into one that is made for it.

The copy appears whole or not at all, and only after it was read back and found equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Select, Table, insert, select

from lakepart.catalog.backends import LOCK_WAIT_S
from lakepart.catalog.database import Database
from lakepart.catalog.filling import make_tables
from lakepart.catalog.locations import Location, backend_for
from lakepart.catalog.tables import metadata
from lakepart.errors import CorruptionError
from lakepart.model.catalog_plans import CatalogCopy

_AT_ONCE = 5_000


def copy_catalog(source: Database, target: Location) -> CatalogCopy:
    """Copy a catalog of the newest migration, while others go on using it, to where none is yet.

    Raises
    ------
    AlreadyExistsError
        There is a catalog at ``target``.
    CorruptionError
        What was written differs from what was read; nothing is left of it.
    InvalidInputError
        A text holds the character NUL, which PostgreSQL cannot keep.

    Notes
    -----
    Reads every row once and the copy's once more; holds a few thousand at a time.
    """
    backend = backend_for(target, read_only=False, lock_wait_s=LOCK_WAIT_S)
    counts: dict[str, int] = {}
    digest = sha256()

    with source.reading() as reading:

        def fill(writing: Connection) -> None:
            make_tables(writing)
            for table in metadata.sorted_tables:
                read, written = sha256(), sha256()
                counts[table.name] = 0
                for rows in _batches(reading, table):
                    _note(read, rows)
                    counts[table.name] += len(rows)
                    writing.execute(insert(table), [dict(row._mapping) for row in rows])
                for rows in _batches(writing, table):
                    _note(written, rows)
                if read.digest() != written.digest():
                    raise CorruptionError(
                        f"Table {table.name!r} of the copy at {backend.where} differs from what was read.",
                        hint="nothing was left there; report this with the versions of both databases.",
                        context={"table": table.name},
                    )
                digest.update(read.digest())

        backend.create(fill)
    return CatalogCopy(source.where, backend.where, source.lake_id, counts, digest.hexdigest())


def _batches(connection: Connection, table: Table) -> Iterator[list[Any]]:
    """Give the rows in the order of their primary keys, which both databases agree on: numbers, and texts by bytes."""
    statement: Select[Any] = select(table).order_by(*table.primary_key).execution_options(yield_per=_AT_ONCE)
    yield from map(list, connection.execute(statement).partitions())


def _note(digest: Any, rows: list[Any]) -> None:
    for row in rows:
        digest.update(repr(tuple(row)).encode())
