"""Transactions: several writes, to any assets and partitions, that become one commit or none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lakepart.catalog.intents import close_intent, open_lease
from lakepart.catalog.lookups import current_branch
from lakepart.engine.commit import commit_under_current_schema, undone_on_failure
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.dynamic_keys import written_keys
from lakepart.engine.home import Home
from lakepart.engine.manifests import write_manifests
from lakepart.engine.schemas import stored_schema
from lakepart.engine.uncommitted import Stage, Uncommitted
from lakepart.errors import LakepartError
from lakepart.model.records import AssetGuard, Change, CommitRequest
from lakepart.parquet.schemas import serialise


def prepare_transaction(home: Home) -> Home:
    """Give the lake in the view of a transaction that has not begun."""
    require_writable(home.context, home.view, "begin a transaction")
    context = replace(home.context, schemas=dict(home.context.schemas))  # those it adds are nobody else's
    block = Uncommitted(context.new_id(), schemas=context.schemas)
    return replace(home, context=context, view=View(home.view.branch, None, block))


def begin_transaction(home: Home) -> Home:
    """Begin: the block reads the newest snapshot from here on, which vacuum keeps until it ends."""
    transaction, database = transaction_of(home.view), home.context.database
    with database.reading() as connection:
        branch = current_branch(connection, home.view.branch)
    transaction.snapshot = open_lease(database, transaction.intent_id, "transaction")
    transaction.stage = Stage.OPEN
    return home.in_view(View(branch, transaction.snapshot, transaction))


def commit_transaction(home: Home, *, message: str | None, metadata: Mapping[str, Any]) -> None:
    """Publish everything that was written as one snapshot, or nothing; where nothing was written, no snapshot is made.

    Raises
    ------
    ConflictError
        Somebody committed to a partition that is guarded, or declared an asset anew; nothing is left.
    """
    context, view = home.context, home.view
    transaction = transaction_of(view)
    transaction.require_open()
    transaction.end(Stage.ABANDONED)  # until the commit has succeeded
    with undone_on_failure(context, transaction, transaction.intent_id):
        with context.database.reading() as connection:
            changes = transaction.guarded_changes(connection, view.look(connection).branch)
        if not changes:
            close_intent(context.database, transaction.intent_id)
            transaction.stage = Stage.COMMITTED
            return
        written = {change.asset_id: transaction.assets[change.asset_id] for change in changes}
        schemas = {asset_id: _schema_of(context, transaction, asset_id) for asset_id in written}
        request = CommitRequest(
            token=transaction.intent_id,
            operation="transaction",
            changes=changes,
            assets=tuple(
                AssetGuard(
                    asset_id, asset.revision, None if transaction.new_schema(asset_id) is None else schemas[asset_id]
                )
                for asset_id, asset in written.items()
            ),
            branch_id=view.branch.branch_id,
            intent_id=transaction.intent_id,
            author=context.author,
            message=message,
            metadata=metadata,
            written_keys=tuple(
                keys for asset_id, asset in written.items() for keys in written_keys(asset, _of(changes, asset_id))
            ),
        )
        based_on = {asset_id: (schemas[asset_id], asset.partitions) for asset_id, asset in written.items()}
        transaction.record = commit_under_current_schema(context, request, based_on)
    transaction.stage = Stage.COMMITTED
    transaction.discard_superseded()
    write_manifests(context, transaction.record)


def abandon_transaction(home: Home) -> None:
    """End without a commit: the files go, and where they cannot be deleted, vacuum knows them by their name."""
    transaction = transaction_of(home.view)
    if transaction.is_foreign:
        return
    transaction.end(Stage.ABANDONED)
    with suppress(LakepartError):  # the failure that led here is the one to report
        if close_intent(home.context.database, transaction.intent_id):
            transaction.discard()


def transaction_of(view: View) -> Uncommitted:
    """Give the transaction of a view that has one."""
    if view.transaction is None:
        raise AssertionError("this is no view of a transaction")
    return view.transaction


def _schema_of(context: LakeContext, transaction: Uncommitted, asset_id: int) -> bytes | None:
    new = transaction.new_schema(asset_id)
    schema = stored_schema(context, transaction.assets[asset_id]) if new is None else new
    return None if schema is None else serialise(schema)


def _of(changes: tuple[Change, ...], asset_id: int) -> list[Change]:
    return [change for change in changes if change.asset_id == asset_id]
