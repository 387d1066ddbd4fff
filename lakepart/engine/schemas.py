"""The schemas of assets, looked up once: what a schema id stands for never changes."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from lakepart.catalog.database import Connection
from lakepart.catalog.schemas import load_schemas
from lakepart.engine.context import LakeContext
from lakepart.model.records import AssetRecord, SchemaRecord
from lakepart.parquet.schemas import deserialise


def stored_schema(context: LakeContext, asset: AssetRecord) -> pa.Schema | None:
    """Give the schema of the asset as it was looked up, or None if it has none yet."""
    if asset.schema_id is None:
        return None
    if asset.schema_id not in context.schemas:
        with context.database.reading() as connection:
            schemas_by_id(context, connection, [asset.schema_id])
    schema: pa.Schema = context.schemas[asset.schema_id]
    return schema


def remember(context: LakeContext, schema: SchemaRecord) -> None:
    """Keep a schema that was found on the way, so that nobody need ask for it."""
    if schema.schema_id not in context.schemas:
        context.schemas[schema.schema_id] = deserialise(schema.arrow_schema)


def schemas_by_id(context: LakeContext, connection: Connection, schema_ids: Iterable[int]) -> dict[int, pa.Schema]:
    """Give schemas by id; asks the catalog, once, only for those that were not looked up before."""
    wanted = set(schema_ids)
    unknown = wanted - context.schemas.keys()
    if unknown:
        found = load_schemas(connection, unknown)
        context.schemas.update({schema_id: deserialise(form) for schema_id, form in found.items()})
    return {schema_id: context.schemas[schema_id] for schema_id in wanted}
