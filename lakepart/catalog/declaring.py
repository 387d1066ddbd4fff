"""Declarations: assets, their options and producers, and branches. None of them makes a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, insert, update

from lakepart.catalog.database import Database
from lakepart.catalog.definitions import note_definition
from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import find_asset, find_branch, get_asset, get_branch, get_head, require_open
from lakepart.catalog.schemas import note_schema
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import asset, branch, head, version
from lakepart.errors import AlreadyExistsError, ErrorCode, SnapshotNotFoundError, StateError
from lakepart.model.definitions import declaration_of
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetRecord,
    BranchRecord,
    NewDefinition,
    ProducerRecord,
    Redefinition,
)


def declare_asset(
    database: Database,
    name: str,
    definition: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    arrow_schema: bytes | None = None,
) -> AssetRecord:
    """Declare an asset; the same again changes nothing, whatever schema it has got since.

    Raises
    ------
    AlreadyExistsError
        It was declared with another definition or other options (``definition-mismatch``).
    """
    options = options or {}
    with database.writing() as connection:
        found = find_asset(connection, name)
        if found is None:
            asset_id = next_id(connection)
            connection.execute(
                insert(asset).values(
                    asset_id=asset_id,
                    name=name,
                    definition=to_json(definition),
                    revision=1,
                    options=to_json(options),
                    created_at_us=database.now_us(),
                )
            )
            new = NewDefinition(definition, options, Redefinition.DECLARED)
            snapshot = get_head(connection).snapshot
            note_definition(connection, asset_id, snapshot, new)
            if arrow_schema is not None:
                note_schema(connection, asset_id, snapshot, arrow_schema)
            return get_asset(connection, asset_id)
    cuts = declaration_of(found.definition), declaration_of(definition)
    for what, stored, wanted in (("definition", *cuts), ("options", found.options, options)):
        if to_json(stored) != to_json(wanted):
            raise AlreadyExistsError(
                f"Asset {name!r} was declared with another {what}: {to_json(stored)}, not {to_json(wanted)}.",
                hint="leave the declaration out to use the asset as it is, or change it with asset.alter(…).",
                code=ErrorCode.DEFINITION_MISMATCH,
                context={"asset": name, what: stored},
            )
    return found


def register_producer(database: Database, asset_id: int, producer: ProducerRecord | None) -> AssetRecord:
    """Say what makes an asset from here on (None: nothing does); commits under way are not disturbed."""
    with database.writing() as connection:
        connection.execute(
            update(asset)
            .where(asset.c.asset_id == asset_id)
            .values(
                producer_code_version=None if producer is None else producer.code_version,
                producer_inputs=None if producer is None else to_json(producer.inputs),
                producer_function=None if producer is None else producer.function,
            )
        )
        return get_asset(connection, asset_id)


def create_branch(database: Database, name: str, *, fork: int | None = None) -> BranchRecord:
    """Open a branch that falls through to main as of ``fork`` (None: now).

    Raises
    ------
    AlreadyExistsError
        An open branch has that name.
    SnapshotNotFoundError
        There is no such snapshot, or it can no longer be read whole.
    """
    with database.writing() as connection:
        return make_branch(connection, name, fork=fork, at_us=database.now_us())


def make_branch(connection: Connection, name: str, *, at_us: int, fork: int | None = None) -> BranchRecord:
    """Open a branch as :func:`create_branch` does, within the transaction of whoever needs it."""
    found = find_branch(connection, name)
    if found is not None and (found.state == "open" or found.branch_id == MAIN_BRANCH_ID):
        raise AlreadyExistsError(
            f"There is an open branch {name!r} already.",
            hint="use it, publish or discard it, or choose another name.",
            context={"branch": name},
        )
    newest = get_head(connection)
    fork = newest.snapshot if fork is None else fork
    if not newest.horizon <= fork <= newest.snapshot:
        raise SnapshotNotFoundError(
            f"A branch cannot fork from snapshot {fork}: {newest.horizon} to {newest.snapshot} are whole.",
            hint="leave the snapshot out to fork from the newest.",
            context={"snapshot": fork, "horizon": newest.horizon, "newest": newest.snapshot},
        )
    branch_id = next_id(connection)
    connection.execute(
        insert(branch).values(branch_id=branch_id, name=name, fork=fork, state="open", created_at_us=at_us)
    )
    return BranchRecord(branch_id, name, fork)


def discard(database: Database, branch_id: int) -> None:
    """Close a branch without publishing it; discarding it again changes nothing.

    Raises
    ------
    StateError
        It is main, or was published.
    """
    with database.writing() as connection:
        found = get_branch(connection, branch_id)
        if found.state == "discarded":
            return
        require_closable(connection, found, "discarded")
        at_us = max(database.latest_us(connection), get_head(connection).at_us)
        close_branch(connection, found, state="discarded", at_us=at_us)


def require_closable(connection: Connection, found: BranchRecord, what: str) -> None:
    """Refuse what only an open branch beside main can be."""
    if found.branch_id == MAIN_BRANCH_ID:
        raise StateError(f"Branch 'main' cannot be {what}.", context={"branch": found.name})
    require_open(connection, found, what)


def close_branch(
    connection: Connection, found: BranchRecord, *, state: str, at_us: int, published_as: int | None = None
) -> None:
    """Close an open branch for good."""
    connection.execute(
        update(branch)
        .where(branch.c.branch_id == found.branch_id)
        .values(state=state, closed_at_us=at_us, published_as=published_as)
    )


def refresh(database: Database, branch_id: int, *, require: Callable[[Connection, BranchRecord], None]) -> BranchRecord:
    """Let an open branch fall through to main as it is now.

    Parameters
    ----------
    require
        Asked once nobody else can commit any more; what it raises, the refresh fails with.
    """
    with database.writing() as connection:
        found = get_branch(connection, branch_id)
        require_closable(connection, found, "refreshed")
        require(connection, found)
        move_fork(connection, branch_id, get_head(connection).snapshot)
        return get_branch(connection, branch_id)


def move_fork(connection: Connection, branch_id: int, fork: int) -> None:
    """Let a branch fall through to main as of another snapshot."""
    connection.execute(update(branch).where(branch.c.branch_id == branch_id).values(fork=fork))


def leave_published(connection: Connection, branch_id: int, version_ids: Sequence[int], snapshot: int) -> None:
    """Let an open branch find on main what was published of it: its own versions end, and its fork moves there."""
    connection.execute(
        update(version).where(in_json(version.c.version_id, "ids")).values(ended=snapshot),
        {"ids": to_json(version_ids)},
    )
    move_fork(connection, branch_id, snapshot)


def next_id(connection: Connection, count: int = 1) -> int:
    """Give the next id of assets, schemas, branches, tags, backfills and moves: the first of ``count``."""
    taken = update(head).values(next_id=head.c.next_id + count).returning(head.c.next_id)
    return int(connection.execute(taken).scalar_one()) - count
