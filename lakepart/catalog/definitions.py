"""How assets are cut, and were: each definition with the snapshot from which it was valid.

The present is the row of ``asset``; only a view of the past, or of a branch that main has left behind, asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, insert, or_, select, union_all, update

from lakepart.catalog.encoding import from_json, to_json
from lakepart.catalog.partition_keys import load_keys
from lakepart.catalog.schemas import schema_id_at
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import (
    BIG,
    asset,
    asset_definition,
    asset_schema,
    backfill_target,
    branch,
    move,
    snapshot,
    version,
)
from lakepart.errors import StateError
from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.definitions import has_dynamic_keys
from lakepart.model.instants import from_microseconds
from lakepart.model.plans import list_some
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetGuard,
    AssetRecord,
    BranchRecord,
    NewDefinition,
    Redefinition,
)
from lakepart.model.version_plans import MovedPartition


def as_seen(connection: Connection, found: AssetRecord, seen_by: BranchRecord, snapshot: int | None) -> AssetRecord:
    """Give an asset as it was defined at ``snapshot`` (None: now) of a branch, with the schema of then.

    Now means as main is cut now, unless main was repartitioned after the branch was made: then as it was before.
    """
    at = _seen_at(connection, found.asset_id, seen_by, snapshot)
    if at is None:
        return found
    then = definition_at(connection, found.asset_id, at)
    keys = load_keys(connection, found.asset_id) if has_dynamic_keys(then.definition) else {}
    schema_id = schema_id_at(connection, found.asset_id, at)
    return replace(found, definition=then.definition, options=then.options, keys=keys, schema_id=schema_id)


def is_left_behind(connection: Connection, asset_id: int, branch: BranchRecord) -> bool:
    """Say whether main was repartitioned after the branch was made, so that the branch goes on as main was before."""
    return _seen_at(connection, asset_id, branch, None) is not None


def definition_at(connection: Connection, asset_id: int, at: int) -> DefinitionRecord:
    """Give the definition at a snapshot; of an asset that was declared later, its first."""
    return _from_row(connection.execute(_AT, {"asset": asset_id, "at": at}).one())


def list_definitions(
    connection: Connection, asset_id: int, seen_by: BranchRecord, snapshot: int | None
) -> list[DefinitionRecord]:
    """Give every definition up to the one that :func:`as_seen` gives, oldest first."""
    at = _seen_at(connection, asset_id, seen_by, snapshot)
    found = [_from_row(row) for row in connection.execute(_ALL, {"asset": asset_id})]
    return found if at is None else [one for one in found if one.began <= at or one.change is Redefinition.DECLARED]


def note_definition(connection: Connection, asset_id: int, began: int, new: NewDefinition) -> None:
    """Note what is valid from a snapshot on."""
    connection.execute(
        insert(asset_definition).values(
            asset_id=asset_id,
            began=began,
            definition=to_json(new.definition),
            options=to_json(new.options),
            change=new.change.value,
        )
    )


def redefine(connection: Connection, guard: AssetGuard, new: NewDefinition, snapshot: int) -> None:
    """Cut an asset anew from a snapshot on; whoever prepared a commit under the old declaration will notice."""
    connection.execute(
        update(asset)
        .where(asset.c.asset_id == guard.asset_id)
        .values(definition=to_json(new.definition), options=to_json(new.options), revision=asset.c.revision + 1)
    )
    note_definition(connection, guard.asset_id, snapshot, new)


def require_same_cut(connection: Connection, writing: BranchRecord, asset_ids: Iterable[int]) -> None:
    """Refuse a commit to a branch that shows an asset as it was cut before main was repartitioned."""
    if writing.branch_id == MAIN_BRANCH_ID:
        return
    behind = select(asset.c.name).where(
        in_json(asset.c.asset_id, "ids"),
        asset.c.asset_id.in_(
            select(asset_definition.c.asset_id).where(
                asset_definition.c.change == Redefinition.REPARTITIONED.value, asset_definition.c.began > writing.fork
            )
        ),
    )
    names = list(connection.execute(behind, {"ids": to_json(sorted(asset_ids))}).scalars())
    if names:
        raise StateError(
            f"Branch {writing.name!r} cannot be written to: {list_some(map(repr, names))} was repartitioned on main "
            "after the branch was made.",
            hint="discard the branch, and make another one from main as it is now.",
            context={"branch": writing.name, "assets": names},
        )


def rename_work(connection: Connection, asset_id: int, ordinal: int, key: str) -> None:
    """Call a partition otherwise in what is noted of backfills and moves."""
    for table in (backfill_target, move):
        connection.execute(
            update(table).where(table.c.asset_id == asset_id, table.c.ordinal == ordinal).values(key=key)
        )


def versions_since(connection: Connection, asset_id: int, snapshot: int) -> dict[int, MovedPartition]:
    """Give by ordinal the partitions of an asset that were committed after ``snapshot``, on any branch."""
    rows = connection.execute(_SINCE, {"asset": asset_id, "at": snapshot})
    return {ordinal: MovedPartition(*moved) for ordinal, *moved in rows}


def last_change(connection: Connection, asset_id: int) -> dict[str, Any]:
    """Say whose commit changed an asset's definition or columns last, and when."""
    return _with_time(connection.execute(_LAST_CHANGE, {"asset": asset_id}).one())


def branches_with(connection: Connection, asset_id: int) -> list[dict[str, Any]]:
    """Give the open branches beside main on which an asset was written, and whose commit there was the last."""
    return [_with_time(row) for row in connection.execute(_WITH, {"asset": asset_id})]


def _seen_at(connection: Connection, asset_id: int, seen_by: BranchRecord, snapshot: int | None) -> int | None:
    if snapshot is not None or seen_by.branch_id == MAIN_BRANCH_ID:
        return snapshot
    left_behind = (
        select(asset_definition.c.began - 1)
        .where(
            asset_definition.c.asset_id == asset_id,
            asset_definition.c.began > seen_by.fork,
            asset_definition.c.change == Redefinition.REPARTITIONED.value,
        )
        .order_by(asset_definition.c.began)
        .limit(1)
    )
    at: int | None = connection.execute(left_behind).scalar_one_or_none()
    return at


def _with_time(row: Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "at": from_microseconds(row.at_us).isoformat(timespec="seconds")}


def _from_row(row: Sequence[Any]) -> DefinitionRecord:
    began, definition, options, change = row
    return DefinitionRecord(began, from_json(definition), from_json(options), Redefinition(change))


def _current(*where: ColumnElement[bool]) -> Any:
    return (version.c.asset_id == bindparam("asset", type_=BIG), version.c.ended.is_(None), *where)


_COLUMNS = (
    asset_definition.c.began,
    asset_definition.c.definition,
    asset_definition.c.options,
    asset_definition.c.change,
)
_OF_ASSET = asset_definition.c.asset_id == bindparam("asset", type_=BIG)
_ALL: Select[Any] = select(*_COLUMNS).where(_OF_ASSET).order_by(asset_definition.c.began)
_AT: Select[Any] = (
    select(*_COLUMNS)
    .where(
        _OF_ASSET,
        or_(
            asset_definition.c.began <= bindparam("at", type_=BIG),
            asset_definition.c.change == Redefinition.DECLARED.value,
        ),
    )
    .order_by(asset_definition.c.began.desc())
    .limit(1)
)
_OPEN = branch.join(version, version.c.branch_id == branch.c.branch_id)
_SINCE: Select[Any] = (
    select(version.c.ordinal, asset.c.name, version.c.key, snapshot.c.snapshot, snapshot.c.author, snapshot.c.at_us)
    .select_from(
        _OPEN.join(asset, asset.c.asset_id == version.c.asset_id).join(snapshot, snapshot.c.snapshot == version.c.began)
    )
    .where(
        *_current(version.c.began > bindparam("at", type_=BIG)),
        branch.c.state == "open",
        version.c.content_id.is_not(None),
    )
    .order_by(branch.c.branch_id, version.c.ordinal)
)
_LAST_CHANGE: Select[Any] = (
    select(snapshot.c.snapshot, snapshot.c.author, snapshot.c.at_us)
    .where(
        snapshot.c.snapshot.in_(
            union_all(
                *(
                    select(table.c.began).where(table.c.asset_id == bindparam("asset", type_=BIG))
                    for table in (asset_definition, asset_schema)
                )
            )
        )
    )
    .order_by(snapshot.c.snapshot.desc())
    .limit(1)
)
_LAST = (
    select(branch.c.name.label("branch"), func.max(version.c.began).label("began"))
    .select_from(_OPEN)
    .where(*_current(), branch.c.state == "open", branch.c.branch_id != MAIN_BRANCH_ID)
    .group_by(branch.c.name)
    .subquery()
)
_WITH: Select[Any] = (
    select(_LAST.c.branch, snapshot.c.snapshot, snapshot.c.author, snapshot.c.at_us)
    .select_from(_LAST.join(snapshot, snapshot.c.snapshot == _LAST.c.began))
    .order_by(_LAST.c.branch)
)
