"""What changes of rows become: a commit of their own, or a part of the transaction that they are made in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import Any

import pyarrow as pa

from lakepart.catalog.committing import commit
from lakepart.catalog.intents import open_intent
from lakepart.catalog.lookups import get_head
from lakepart.engine.commit import make_stager, undone_on_failure
from lakepart.engine.context import LakeContext, View
from lakepart.engine.dynamic_keys import written_keys
from lakepart.engine.joining import discarded_on_failure, join, require_no_details
from lakepart.engine.manifests import write_manifests
from lakepart.engine.staged import StagedRowChanges
from lakepart.engine.staging import Stager
from lakepart.errors import ConflictError, ErrorCode
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.records import AssetGuard, AssetRecord, Change, Commit, CommitRequest, RowChanges
from lakepart.parquet.schemas import serialise

_TRIES = 5


@dataclass(slots=True)
class RowWriter:
    """Where the new files of one change of rows go, and how it ends."""

    context: LakeContext
    view: View
    asset: AssetRecord
    operation: str
    intent_id: str
    stager: Stager
    message: str | None
    metadata: Mapping[str, Any]
    record: Commit | None = field(default=None, init=False)

    def finish(
        self,
        changes: Sequence[Change],
        spent: Mapping[str, int],
        *,
        said: Mapping[str, Any],
        new_schema: pa.Schema | None = None,
    ) -> RowChanges:
        """Publish the changes, or make them part of the transaction; ``said`` is kept with a commit of their own."""
        context, view, asset = self.context, self.view, self.asset
        if view.transaction is not None:
            join(context, view, asset, changes, new_schema=new_schema, stager=self.stager)
            return StagedRowChanges(view.transaction, changes, spent)
        record = commit(
            context.database,
            CommitRequest(
                token=self.intent_id,
                operation=self.operation,
                changes=tuple(changes),
                assets=(
                    AssetGuard(asset.asset_id, asset.revision, None if new_schema is None else serialise(new_schema)),
                ),
                branch_id=view.branch.branch_id,
                intent_id=self.intent_id,
                author=context.author,
                message=self.message,
                metadata={**said, **spent, **self.metadata},
                written_keys=written_keys(asset, changes),
            ),
        )
        self.record = record
        return RowChanges(*(getattr(record, one.name) for one in fields(Commit)), **spent)


@contextmanager
def changing_rows(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    definition: PartitionsDefinition,
    schema: pa.Schema,
    operation: str,
    *,
    code_version: str | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Iterator[RowWriter]:
    """Give what one change of rows is written with; its files are deleted where it fails."""
    transaction, kept = view.transaction, dict(metadata or {})
    if transaction is None:
        intent_id = context.new_id()
        stager = make_stager(context, asset, definition, schema, intent_id, code_version)
        with undone_on_failure(context, stager, intent_id):
            open_intent(context.database, intent_id, operation)
            writer = RowWriter(context, view, asset, operation, intent_id, stager, message, kept)
            yield writer
        write_manifests(context, writer.record)
        return
    require_no_details(message, kept)
    transaction.require_columns(asset.asset_id, schema)
    intent_id, series = transaction.intent_id, transaction.next_series()
    stager = make_stager(context, asset, definition, schema, intent_id, code_version, series=series)
    with discarded_on_failure(stager):
        yield RowWriter(context, view, asset, operation, intent_id, stager, None, {})


def decided_again(change: Callable[[], RowChanges]) -> RowChanges:
    """Make a change of rows; again, from its decision on, where the same rows came to lie in other files meanwhile.

    Who compacts changes no content, so there is nothing that the caller would have to look at.
    """
    for _ in range(_TRIES - 1):
        try:
            return change()
        except ConflictError as error:
            if error.code is not ErrorCode.FILES_CHANGED:
                raise
    return change()


def no_changes(context: LakeContext, view: View, spent: Mapping[str, int]) -> RowChanges:
    """Give what a change of no rows is: no commit, and the newest snapshot."""
    if view.transaction is not None:
        return StagedRowChanges(view.transaction, (), spent)
    with context.database.reading() as connection:
        head = get_head(connection)
    return RowChanges(head.snapshot, head.at_us, 0, 0, 0, 0, **spent)
