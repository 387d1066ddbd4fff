"""What the catalog answers about the lake itself: its head, tiers, assets, schemas, branches and snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select, true

from lakepart.catalog.encoding import from_json
from lakepart.catalog.partition_keys import load_keys
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import BIG, TEXT, asset, branch, head, schema, snapshot, tag, version
from lakepart.errors import (
    AssetNotFoundError,
    BranchNotFoundError,
    NotFoundError,
    SnapshotNotFoundError,
    StateError,
    did_you_mean,
)
from lakepart.model.catalog_records import AssetState, HeadRecord
from lakepart.model.definitions import has_dynamic_keys
from lakepart.model.instants import from_microseconds
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetRecord,
    BranchRecord,
    ProducerRecord,
    SchemaRecord,
    SnapshotRecord,
)

SNAPSHOT_COLUMNS = (
    snapshot.c.snapshot,
    snapshot.c.at_us,
    snapshot.c.branch_id,
    snapshot.c.operation,
    snapshot.c.author,
    snapshot.c.message,
    snapshot.c.metadata,
    snapshot.c.partitions,
    snapshot.c.rows,
    snapshot.c.bytes,
    snapshot.c.files,
)
_ASSET_COLUMNS = (
    asset.c.asset_id,
    asset.c.name,
    asset.c.definition,
    asset.c.revision,
    asset.c.schema_id,
    asset.c.options,
    asset.c.producer_code_version,
    asset.c.producer_inputs,
    asset.c.producer_function,
    asset.c.horizon,
)
_BRANCH_COLUMNS = (branch.c.branch_id, branch.c.name, branch.c.fork, branch.c.state)
_HEAD_COLUMNS = (head.c.snapshot, head.c.at_us, head.c.horizon)

_HEAD: Select[Any] = select(*_HEAD_COLUMNS)
_ASSET_BY_NAME = Statement(select(*_ASSET_COLUMNS).where(asset.c.name == bindparam("name", type_=TEXT)))
_ASSET_BY_ID: Select[Any] = select(*_ASSET_COLUMNS).where(asset.c.asset_id == bindparam("asset", type_=BIG))
_ASSET_STATE = Statement(
    select(*_HEAD_COLUMNS, schema.c.arrow_schema, *_ASSET_COLUMNS)
    .select_from(asset.outerjoin(schema, schema.c.schema_id == asset.c.schema_id).join(head, true()))
    .where(asset.c.name == bindparam("name", type_=TEXT))
)
_CLOSED: Select[Any] = (
    select(branch.c.closed_at_us, branch.c.published_as, snapshot.c.author)
    .select_from(branch.outerjoin(snapshot, snapshot.c.snapshot == branch.c.published_as))
    .where(branch.c.branch_id == bindparam("branch", type_=BIG))
)
_SCHEMA: Select[Any] = select(schema.c.schema_id, schema.c.asset_id, schema.c.arrow_schema).where(
    schema.c.schema_id == bindparam("schema", type_=BIG)
)


def get_head(connection: Connection) -> HeadRecord:
    """Give the newest snapshot."""
    return HeadRecord(*connection.execute(_HEAD).one())


def find_asset(connection: Connection, name: str) -> AssetRecord | None:
    """Give the asset of that name, or None."""
    row = _ASSET_BY_NAME.row(connection, {"name": name})
    return None if row is None else _asset_from_row(connection, row)


def find_asset_state(connection: Connection, name: str) -> AssetState | None:
    """Give the asset of that name with its schema and the lake's head in one statement, or None."""
    row = _ASSET_STATE.row(connection, {"name": name})
    if row is None:
        return None
    found = _asset_from_row(connection, row[4:])
    fields = None if found.schema_id is None else SchemaRecord(found.schema_id, found.asset_id, row[3])
    return AssetState(found, fields, HeadRecord(*row[:3]))


def get_asset(connection: Connection, asset_id: int) -> AssetRecord:
    """Give the asset with that id; AssetNotFoundError if there is none."""
    row = connection.execute(_ASSET_BY_ID, {"asset": asset_id}).one_or_none()
    if row is None:
        raise AssetNotFoundError(f"There is no asset with id {asset_id}.", context={"asset_id": asset_id})
    return _asset_from_row(connection, row)


def list_assets(connection: Connection) -> list[AssetRecord]:
    """Give every asset, by name."""
    rows = connection.execute(select(*_ASSET_COLUMNS).order_by(asset.c.name)).all()
    return [_asset_from_row(connection, row) for row in rows]


def get_schema(connection: Connection, schema_id: int) -> SchemaRecord:
    """Give the schema with that id; NotFoundError if there is none."""
    row = connection.execute(_SCHEMA, {"schema": schema_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no schema with id {schema_id}.", context={"schema_id": schema_id})
    return SchemaRecord(*row)


def find_branch(connection: Connection, name: str) -> BranchRecord | None:
    """Give the open branch of that name, or the last closed one, or None."""
    statement = (
        select(*_BRANCH_COLUMNS)
        .where(branch.c.name == name)
        .order_by((branch.c.state == "open").desc(), branch.c.branch_id.desc())
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else BranchRecord(*row)


def get_branch(connection: Connection, branch_id: int) -> BranchRecord:
    """Give the branch with that id; BranchNotFoundError if there is none."""
    row = connection.execute(select(*_BRANCH_COLUMNS).where(branch.c.branch_id == branch_id)).one_or_none()
    if row is None:
        raise BranchNotFoundError(f"There is no branch with id {branch_id}.", context={"branch_id": branch_id})
    return BranchRecord(*row)


def current_branch(connection: Connection, known: BranchRecord) -> BranchRecord:
    """Give an open branch as it is now, wherever its fork has moved to; that of main is known and costs no query.

    Raises
    ------
    StateError
        The branch was published or discarded.
    """
    if known.branch_id == MAIN_BRANCH_ID:
        return known
    found = get_branch(connection, known.branch_id)
    require_open(connection, found, "read")
    return found


def require_open(connection: Connection, found: BranchRecord, what: str) -> None:
    """Refuse what only an open branch can be; the error says what became of it."""
    if found.state == "open":
        return
    closed_at_us, number, author = connection.execute(_CLOSED, {"branch": found.branch_id}).one()
    published = "" if number is None else f" as snapshot {number} by {author}"
    raise StateError(
        f"Branch {found.name!r} cannot be {what}: it was {found.state}{published} at "
        f"{from_microseconds(closed_at_us).isoformat(timespec='seconds')}.",
        hint="create another branch." if number is None else "what it held is on main; create another branch.",
        context={"branch": found.name, "state": found.state, "closed_at_us": closed_at_us, "published_as": number},
    )


def list_branches(connection: Connection, *, state: str | None = "open") -> list[BranchRecord]:
    """Give the branches in ``state`` (None: all), main first, then as they were created."""
    statement = select(*_BRANCH_COLUMNS).order_by(branch.c.branch_id)
    if state is not None:
        statement = statement.where(branch.c.state == state)
    return [BranchRecord(*row) for row in connection.execute(statement)]


def get_snapshot(connection: Connection, number: int) -> SnapshotRecord:
    """Give the snapshot of that number; SnapshotNotFoundError if there is none."""
    row = connection.execute(select(*SNAPSHOT_COLUMNS).where(snapshot.c.snapshot == number)).one_or_none()
    if row is None:
        newest = get_head(connection).snapshot
        raise SnapshotNotFoundError(
            f"There is no snapshot {number}: the newest is {newest}.",
            hint="snapshots() lists them.",
            context={"snapshot": number, "newest": newest},
        )
    return snapshot_from_row(row)


def snapshot_at(connection: Connection, at_us: int, branch: BranchRecord | None = None) -> SnapshotRecord:
    """Give the last snapshot at or before an instant, of those that ``branch`` sees (None: of any).

    Raises
    ------
    SnapshotNotFoundError
        The lake is younger than that.
    """
    statement = select(*SNAPSHOT_COLUMNS).where(snapshot.c.at_us <= at_us)
    if branch is not None:
        statement = statement.where(_seen_by(branch))
    row = connection.execute(statement.order_by(snapshot.c.at_us.desc()).limit(1)).one_or_none()
    if row is None:
        created = connection.execute(select(snapshot.c.at_us).where(snapshot.c.snapshot == 0)).scalar_one()
        raise SnapshotNotFoundError(
            f"There is no snapshot as old as {from_microseconds(at_us)}: the lake was created at "
            f"{from_microseconds(created)}.",
            hint="snapshots() lists what can be named.",
            context={"at_us": at_us, "created_at_us": created},
        )
    return snapshot_from_row(row)


def visible_snapshot(
    connection: Connection,
    branch: BranchRecord,
    *,
    number: int | None = None,
    at_us: int | None = None,
    whole: bool = True,
    of_all_assets: bool = False,
) -> SnapshotRecord:
    """Give the snapshot to travel to, by number or instant; it must be ``branch``'s to see, and whole of some asset.

    Parameters
    ----------
    whole
        False where the caller finds out by itself whether what it looks for was kept.

    Raises
    ------
    SnapshotNotFoundError
        There is none, it belongs to another branch, or vacuum has forgotten versions it needs.
    """
    if number is None:
        found = snapshot_at(connection, 0 if at_us is None else at_us, branch)
    else:
        found = get_snapshot(connection, number)
        own = found.branch_id == branch.branch_id
        inherited = found.branch_id == MAIN_BRANCH_ID and number <= branch.fork
        if not (own or inherited):
            owner = get_branch(connection, found.branch_id)
            raise SnapshotNotFoundError(
                f"Snapshot {number} was made on branch {owner.name!r}; branch {branch.name!r} does not see it.",
                hint="snapshots() of this branch lists what it sees.",
                context={"snapshot": number, "branch": branch.name, "made_on": owner.name},
            )
    horizon = get_head(connection).horizon
    if (
        whole
        and found.snapshot < horizon
        and not is_kept_by_a_tag(connection, branch, found.snapshot)
        and (of_all_assets or not _shows_a_whole_asset(connection, found.snapshot))
    ):
        raise SnapshotNotFoundError(
            f"Snapshot {found.snapshot} can no longer be read: vacuum has forgotten versions from before {horizon}.",
            hint=f"snapshots from {horizon} on are whole, and those that have a tag.",
            context={"snapshot": found.snapshot, "horizon": horizon},
        )
    return found


def require_whole(connection: Connection, asset_id: int, seen_by: BranchRecord, number: int) -> None:
    """Refuse to look at a snapshot that may lack versions of an asset: how long they are kept differs between assets.

    Raises
    ------
    SnapshotNotFoundError
        Vacuum has forgotten versions of the asset from after that snapshot, which no tag keeps.
    """
    found = get_asset(connection, asset_id)
    if number < found.horizon and not is_kept_by_a_tag(connection, seen_by, number):
        raise SnapshotNotFoundError(
            f"Snapshot {number} of asset {found.name!r} can no longer be read: vacuum has forgotten versions from "
            f"before {found.horizon}.",
            hint=f"snapshots from {found.horizon} on are whole, and those that have a tag.",
            context={"asset": found.name, "snapshot": number, "horizon": found.horizon},
        )


def list_snapshots(
    connection: Connection, *, branch: BranchRecord | None = None, after: int = -1, limit: int | None = None
) -> list[SnapshotRecord]:
    """Give the snapshots that ``branch`` sees (None: all) with a number above ``after``, newest first."""
    statement = select(*SNAPSHOT_COLUMNS).where(snapshot.c.snapshot > after).order_by(snapshot.c.snapshot.desc())
    if branch is not None:
        statement = statement.where(_seen_by(branch))
    return [snapshot_from_row(row) for row in connection.execute(statement.limit(limit))]


def commit_tokens(connection: Connection) -> dict[int, str]:
    """Give the token of every commit, by snapshot: what tells it from any other that was given the same number."""
    return {row[0]: row[1] for row in connection.execute(select(snapshot.c.snapshot, snapshot.c.token))}


def snapshot_from_row(row: Sequence[Any]) -> SnapshotRecord:
    """Make a record of :data:`SNAPSHOT_COLUMNS`."""
    number, at_us, branch_id, operation, author, message, metadata, *counts = row
    return SnapshotRecord(number, at_us, branch_id, operation, author, message, from_json(metadata), *counts)


def asset_not_found(connection: Connection, name: str) -> AssetNotFoundError:
    """Give the error for an unknown asset, with close names."""
    return AssetNotFoundError(
        f"There is no asset {name!r}.",
        hint=did_you_mean(name, connection.execute(select(asset.c.name)).scalars()),
        context={"asset": name},
    )


def is_kept_by_a_tag(connection: Connection, seen_by: BranchRecord, number: int) -> bool:
    """Say whether a tag keeps what a branch shows of a snapshot whole: it does so for main, and for no other branch."""
    if seen_by.branch_id != MAIN_BRANCH_ID:
        return False
    tagged = select(tag.c.tag_id).where(tag.c.snapshot == number, tag.c.deleted == 0).limit(1)
    return connection.execute(tagged).first() is not None


def _shows_a_whole_asset(connection: Connection, number: int) -> bool:
    """Say whether there is an asset whose versions were kept for longer, and that had some at a snapshot."""
    kept = select(asset.c.asset_id).where(
        asset.c.horizon <= number,
        version.c.asset_id == asset.c.asset_id,
        version.c.began <= number,
        or_(version.c.ended.is_(None), version.c.ended > number),
    )
    return connection.execute(kept.limit(1)).first() is not None


def _seen_by(of: BranchRecord) -> Any:
    own = snapshot.c.branch_id == of.branch_id
    if of.branch_id == MAIN_BRANCH_ID:
        return own
    return own | ((snapshot.c.branch_id == MAIN_BRANCH_ID) & (snapshot.c.snapshot <= of.fork))


def _asset_from_row(connection: Connection, row: Sequence[Any]) -> AssetRecord:
    asset_id, name, text, revision, schema_id, options, code_version, inputs, function, horizon = row
    definition = from_json(text)
    keys = load_keys(connection, asset_id) if has_dynamic_keys(definition) else {}
    producer = None if inputs is None else ProducerRecord(code_version, from_json(inputs), function)
    return AssetRecord(asset_id, name, definition, revision, schema_id, from_json(options), producer, keys, horizon)
