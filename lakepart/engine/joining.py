"""Writes that become part of a transaction instead of a commit of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from lakepart.engine.context import LakeContext, View
from lakepart.engine.schemas import stored_schema
from lakepart.engine.staging import Stager
from lakepart.engine.uncommitted import Uncommitted
from lakepart.errors import InvalidInputError, StateError
from lakepart.model.records import AssetRecord, Change
from lakepart.parquet.schemas import gives_types_only


def require_no_details(message: str | None, metadata: Mapping[str, Any]) -> None:
    """Refuse what only a whole commit has."""
    if message is not None or metadata:
        raise InvalidInputError(
            "message= and metadata= are of the whole commit, so a write inside a transaction has none.",
            hint='lake.transaction("why", metadata={…}).',
        )


def require_its_columns(context: LakeContext, transaction: Uncommitted, asset: AssetRecord, schema: pa.Schema) -> None:
    """Refuse columns that differ from those under which the transaction has written the asset already."""
    before = stored_schema(context, asset)
    if before is not None and transaction.has_written(asset.asset_id) and not gives_types_only(before, schema):
        raise StateError(
            f"This transaction wrote {asset.name!r} already, under the columns it had, and this frame changes them.",
            hint="write that frame first, or change the columns with alter(…) before the block.",
        )


@contextmanager
def discarded_on_failure(stager: Stager) -> Iterator[None]:
    """Delete the files of a write that failed, so that the transaction is as it was."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        stager.discard()
        raise


def join(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    changes: Sequence[Change],
    *,
    new_schema: pa.Schema | None = None,
    stager: Stager | None = None,
) -> None:
    """Make changes part of the view's transaction; a failure leaves it as it was."""
    transaction = view.transaction
    if transaction is None:
        raise AssertionError("the caller has looked")
    with context.database.reading() as connection:
        transaction.add(connection, view.look(connection).scope(asset), changes, new_schema, stager)
    if new_schema is not None:
        context.schemas[transaction.schema_id_of(asset.asset_id)] = new_schema  # of this transaction's own context
