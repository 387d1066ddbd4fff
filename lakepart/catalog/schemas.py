"""The schemas of assets, and from which snapshot on each was valid.

A schema is never changed: its row stays for good, because files were written under it. The present one is the row of
``asset``; only a view of the past asks which one was valid then.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import BIG, asset, asset_schema, head, schema


def note_schema(connection: Connection, asset_id: int, began: int, arrow_schema: bytes) -> int:
    """Give an asset another schema from a snapshot on; whoever prepared a commit under the old one will notice."""
    schema_id = int(connection.execute(_NEXT_ID).scalar_one()) - 1
    connection.execute(insert(schema).values(schema_id=schema_id, asset_id=asset_id, arrow_schema=arrow_schema))
    connection.execute(insert(asset_schema).values(asset_id=asset_id, began=began, schema_id=schema_id))
    connection.execute(
        update(asset).where(asset.c.asset_id == asset_id).values(schema_id=schema_id, revision=asset.c.revision + 1)
    )
    return schema_id


def schema_id_at(connection: Connection, asset_id: int, at: int) -> int | None:
    """Give the schema that an asset had at a snapshot; None if it had none yet."""
    found: int | None = connection.execute(_AT, {"asset": asset_id, "at": at}).scalar_one_or_none()
    return found


def load_schemas(connection: Connection, schema_ids: Iterable[int]) -> dict[int, bytes]:
    """Give the Arrow IPC form of some schemas, by id."""
    return dict(_BY_IDS.rows(connection, {"ids": to_json(sorted(schema_ids))}))


def find_schema_id(connection: Connection, asset_id: int, arrow_schema: bytes) -> int | None:
    """Give the newest of an asset's schemas that has this form, or None."""
    parameters = {"asset": asset_id, "arrow_schema": arrow_schema}
    found: int | None = connection.execute(_BY_FORM, parameters).scalar_one_or_none()
    return found


# Made once: making a statement costs more than carrying it out.
_NEXT_ID = update(head).values(next_id=head.c.next_id + 1).returning(head.c.next_id)
_AT: Select[Any] = (
    select(asset_schema.c.schema_id)
    .where(
        asset_schema.c.asset_id == bindparam("asset", type_=BIG),
        asset_schema.c.began <= bindparam("at", type_=BIG),
    )
    .order_by(asset_schema.c.began.desc())
    .limit(1)
)
_BY_IDS = Statement(select(schema.c.schema_id, schema.c.arrow_schema).where(in_json(schema.c.schema_id, "ids")))
_BY_FORM: Select[Any] = (
    select(schema.c.schema_id)
    .where(
        schema.c.asset_id == bindparam("asset", type_=BIG),
        schema.c.arrow_schema == bindparam("arrow_schema", type_=schema.c.arrow_schema.type),
    )
    .order_by(schema.c.schema_id.desc())
    .limit(1)
)
