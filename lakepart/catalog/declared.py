"""What no commit brings and manifests carry all the same: tiers, assets, schemas, keys, branches, marks.

Each of its rows says after which snapshot it was written last (``changed``, or ``began`` where rows never change). The
manifest of snapshot ``n`` carries those written after ``n - 1`` or later, so that all manifests together, each
overruling those before it, have every row as it was at the newest. A table of tags or of pins joins them by having
the column.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, Select, Table, bindparam, exists, or_, select

from lakepart.catalog.tables import BIG, asset_definition, asset_schema, metadata, version

_SINCE: Mapping[Table, Column[Any]] = {
    table: table.c.changed if "changed" in table.c else table.c.began
    for table in metadata.sorted_tables  # what is referred to comes first
    if "changed" in table.c or table in (asset_definition, asset_schema)
}
DECLARED = tuple(table.name for table in _SINCE)


def declared_since(connection: Connection, after: int) -> Iterator[tuple[str, Any]]:
    """Give ``(table, row)`` of what was written after snapshot ``after`` or later, what is referred to first.

    Then come ``("marked", [version_id, mark])`` of the versions that were marked.
    """
    some = connection.execute(_ANY, {"after": after}).mappings().one()
    for table, statement in _ROWS.items():
        if some[table.name]:
            for row in connection.execute(statement, {"after": after}).mappings():
                yield table.name, plain_row(table, row)
    if some["marked"]:
        for marked in connection.execute(_MARKED, {"after": after}):
            yield "marked", [*marked]


def plain_row(table: Table, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Give a row as JSON values: bytes as base64 text."""
    return {
        column.name: _to_text(row[column.name]) if isinstance(column.type, LargeBinary) else row[column.name]
        for column in table.c
        if column.name in row
    }


def row_from_plain(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Undo :func:`plain_row`; values of columns that this release does not know are left out."""
    return {
        column.name: base64.b64decode(row[column.name]) if isinstance(column.type, LargeBinary) else row[column.name]
        for column in table.c
        if column.name in row
    }


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


# Made once: making a statement costs more than carrying it out.
_AFTER = bindparam("after", type_=BIG)
_IS_MARKED = (version.c.marked.is_not(None), version.c.marked >= _AFTER)
_EACH = {
    **{table.name: exists().where(since >= _AFTER).correlate(None) for table, since in _SINCE.items()},
    "marked": exists().where(*_IS_MARKED).correlate(None),
}
_ANY: Any = select(*(there.label(name) for name, there in _EACH.items()))
ANYTHING_DECLARED = or_(*_EACH.values())  # whether declared_since(connection, after) would give anything
_ROWS: Mapping[Table, Select[Any]] = {
    table: select(table).where(since >= _AFTER).order_by(since, *table.primary_key.columns)  # by the index of ``since``
    for table, since in _SINCE.items()
}
_MARKED: Select[Any] = (
    select(version.c.version_id, version.c.stale_mark).where(*_IS_MARKED).order_by(version.c.version_id)
)
