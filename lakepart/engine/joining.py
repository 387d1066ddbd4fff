"""Writes that become part of a transaction instead of a commit of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from lakepart.engine.context import LakeContext, View
from lakepart.engine.staging import Stager
from lakepart.errors import InvalidInputError
from lakepart.model.records import AssetRecord, Change


def require_no_details(message: str | None, metadata: Mapping[str, Any]) -> None:
    """Refuse what only a whole commit has."""
    if message is not None or metadata:
        raise InvalidInputError(
            "message= and metadata= are of the whole commit, so a write inside a transaction has none.",
            hint='lake.transaction("why", metadata={…}).',
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
    must_be_new: bool = False,
) -> None:
    """Make changes part of the view's transaction; a failure leaves it as it was."""
    transaction = view.transaction
    if transaction is None:
        raise AssertionError("the caller has looked")
    with context.database.reading() as connection:
        scope = view.look(connection).scope(asset)
        transaction.add(connection, scope, changes, new_schema=new_schema, stager=stager, must_be_new=must_be_new)
