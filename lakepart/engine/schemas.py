"""The schemas of assets, looked up once: what a schema id stands for never changes."""

from __future__ import annotations

import pyarrow as pa

from lakepart.catalog.lookups import get_schema
from lakepart.engine.context import LakeContext
from lakepart.model.records import AssetRecord
from lakepart.parquet.schemas import deserialise


def stored_schema(context: LakeContext, asset: AssetRecord) -> pa.Schema | None:
    """Give the schema the asset's first write fixed, or None before it."""
    if asset.schema_id is None:
        return None
    known: pa.Schema | None = context.schemas.get(asset.schema_id)
    if known is None:
        with context.database.reading() as connection:
            known = deserialise(get_schema(connection, asset.schema_id).arrow_schema)
        context.schemas[asset.schema_id] = known
    return known
