"""What the catalog answers about versions and their files: one statement each, whatever the number of partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, literal, or_, select, text, union_all

from lakepart.catalog.encoding import from_json, to_json
from lakepart.catalog.lookups import SNAPSHOT_COLUMNS, snapshot_from_row
from lakepart.catalog.scopes import (
    Form,
    Ranges,
    Scope,
    Shape,
    form_of,
    in_json,
    parameters_of,
    range_parameters,
    seen,
    shape_of,
    within,
)
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import (
    BIG,
    SHOWN_WORK,
    asset,
    backfill,
    backfill_target,
    copy,
    file,
    snapshot,
    tier,
    version,
    version_file,
    version_input,
)
from lakepart.errors import CorruptionError
from lakepart.model.catalog_records import CommitSize, CopyState, WorkRecord
from lakepart.model.records import MAIN_BRANCH_ID, BranchRecord, DataFile, InputRecord, SnapshotRecord, VersionRecord
from lakepart.model.states import TargetState

_BATCH_ROWS = 1000
VERSION_FIELDS = tuple(field.name for field in fields(VersionRecord))


def find_versions(connection: Connection, scope: Scope, ranges: Ranges) -> list[VersionRecord]:
    """Give the visible versions, in the order of their ordinals."""
    return [
        VersionRecord(*row)
        for row in _rows(connection, _versions(shape_of(scope, ranges), VERSION_FIELDS), scope, ranges)
    ]


def find_version_columns(
    connection: Connection, scope: Scope, ranges: Ranges, columns: Sequence[str] = VERSION_FIELDS
) -> dict[str, list[Any]]:
    """Give fields of the visible versions as lists of equal length: for many partitions, far cheaper than records."""
    cursor = _versions(shape_of(scope, ranges), tuple(columns)).cursor(connection, parameters_of(scope, ranges))
    return dict(zip(columns, _columns(cursor, len(columns)), strict=True))


def contents(connection: Connection, scope: Scope, ranges: Ranges) -> list[tuple[int, str]]:
    """Give ``(ordinal, content id)`` of the visible versions, in the order of their ordinals."""
    return _rows(connection, _versions(shape_of(scope, ranges), ("ordinal", "content_id")), scope, ranges)


def find_files(
    connection: Connection, scope: Scope, ranges: Ranges, *, statistics: bool = False
) -> list[tuple[int, DataFile]]:
    """Give ``(ordinal, file)`` of the visible versions, each file by the copy to open: a live one, the hottest first.

    Raises
    ------
    CorruptionError
        A version's file has no copy left.
    """
    found: list[tuple[int, DataFile]] = []
    last: tuple[int, int] | None = None
    best: tuple[bool, int] = (True, 0)
    for row in _rows(connection, _files(shape_of(scope, ranges), statistics), scope, ranges):
        ordinal, position, state, rank, *values = row
        if state is None:
            raise CorruptionError(
                f"File {values[0]} of the partition with ordinal {ordinal} has no copy on any tier.",
                hint="check names what is lost; an older snapshot or a backup may have it.",
                context={"file_id": values[0], "ordinal": ordinal},
            )
        standing = (state != CopyState.LIVE, rank)
        if (ordinal, position) == last:
            if standing >= best:
                continue
            found.pop()
        last, best = (ordinal, position), standing
        if statistics:
            values[-1] = from_json(values[-1])
        found.append((ordinal, DataFile(*values)))
    return found


def find_inputs(connection: Connection, scope: Scope, ranges: Ranges) -> list[tuple[int, InputRecord]]:
    """Give ``(ordinal, input)`` of the visible versions, in the order of their ordinals and the inputs' names."""
    rows = _rows(connection, _inputs(shape_of(scope, ranges)), scope, ranges)
    return [
        (ordinal, InputRecord(name, of, _mapping(mapping), selection, at, digest))
        for ordinal, name, of, mapping, selection, at, digest in rows
    ]


def tiers_of(connection: Connection, scope: Scope, ranges: Ranges) -> tuple[list[int], list[str]]:
    """Give ordinals, in order, and the tiers of their files' live copies; known-empty partitions have none."""
    ordinals, names = _columns(_tiers(shape_of(scope, ranges)).cursor(connection, parameters_of(scope, ranges)), 2)
    return ordinals, names


def find_work(connection: Connection, asset_id: int, branch_id: int, ranges: Ranges) -> list[WorkRecord]:
    """Give, per partition, the newest work that runs or failed; whether newer content outdates it is the caller's."""
    if not ranges:
        return []
    rows = connection.execute(
        _work(form_of(ranges)), {"asset": asset_id, "branch": branch_id, **range_parameters(ranges)}
    ).all()
    newest = {
        row.ordinal: WorkRecord(
            row.ordinal, row.key, TargetState(row.state), row.changed_us, row.error, row.name, row.heartbeat_us
        )
        for row in rows
    }
    return list(newest.values())


def history(
    connection: Connection, asset_id: int, ranges: Ranges, branch: BranchRecord
) -> list[tuple[VersionRecord, SnapshotRecord]]:
    """Give every version that ``branch`` has seen in ``ranges``, with the snapshot that made it, newest first."""
    if not ranges:
        return []
    width = len(VERSION_FIELDS)
    parameters = {
        "asset": asset_id,
        "branch": branch.branch_id,
        "fork": branch.fork,
        "main": MAIN_BRANCH_ID,
        **range_parameters(ranges),
    }
    rows = connection.execute(_history(form_of(ranges)), parameters).all()
    return [(VersionRecord(*row[:width]), snapshot_from_row(row[width:])) for row in rows]


def inputs_of(connection: Connection, version_ids: Sequence[int]) -> dict[int, list[InputRecord]]:
    """Give what each of these versions was made from, by version id; those made from nothing are left out."""
    found: dict[int, list[InputRecord]] = {}
    for version_id, name, of, mapping, selection, at, digest in connection.execute(
        _INPUTS_OF, {"ids": to_json(version_ids)}
    ):
        found.setdefault(version_id, []).append(InputRecord(name, of, _mapping(mapping), selection, at, digest))
    return found


def commit_sizes(connection: Connection, since: int) -> list[CommitSize]:
    """Give what each commit from ``since`` on did to each asset, newest first."""
    return [CommitSize(*row) for row in connection.execute(_SIZES, {"since": since})]


def touched_by(connection: Connection, branch_id: int, snapshot: int) -> dict[int, list[int]]:
    """Give the ordinals that one commit on a branch began or ended versions of, in order, by asset id."""
    found: dict[int, list[int]] = {}
    for asset_id, ordinal in connection.execute(_TOUCHED_BY, {"branch": branch_id, "at": snapshot}):
        found.setdefault(asset_id, []).append(ordinal)
    return found


def branch_changes(connection: Connection, branch_id: int) -> list[tuple[VersionRecord, str | None]]:
    """Give what a branch changed, as ``(version, main's content id when the branch first wrote the key)``."""
    statement = (
        select(*(version.c[name] for name in VERSION_FIELDS), version.c.base_content_id)
        .where(version.c.branch_id == branch_id, version.c.ended.is_(None))
        .order_by(version.c.asset_id, version.c.ordinal)
    )
    return [(VersionRecord(*row[:-1]), row[-1]) for row in connection.execute(statement)]


def _rows(connection: Connection, statement: Statement, scope: Scope, ranges: Ranges) -> list[Any]:
    return statement.rows(connection, parameters_of(scope, ranges))


def _columns(cursor: Any, width: int) -> list[list[Any]]:
    columns: list[list[Any]] = [[] for _ in range(width)]
    # In small batches: rows that die young spare the garbage collector as much time as the query takes.
    while batch := cursor.fetchmany(_BATCH_ROWS):
        for values, more in zip(columns, zip(*batch, strict=True), strict=True):
            values.extend(more)
    return columns


@lru_cache(maxsize=256)
def _mapping(text: str) -> Mapping[str, Any]:
    mapping: Mapping[str, Any] = from_json(text)
    return mapping


@cache
def _versions(shape: Shape, columns: tuple[str, ...]) -> Statement:
    visible = seen(shape)
    return Statement(
        select(*(visible.columns[name] for name in columns))
        .select_from(visible.source)
        .where(visible.where)
        .order_by(visible.columns.ordinal)
    )


@cache
def _files(shape: Shape, statistics: bool) -> Statement:
    visible = seen(shape)
    source = (
        visible.source.join(version_file, version_file.c.version_id == visible.columns.version_id)
        .join(file, file.c.file_id == version_file.c.file_id)
        .outerjoin(copy, and_(copy.c.file_id == file.c.file_id, copy.c.state != CopyState.DELETING))
        .outerjoin(tier, tier.c.name == copy.c.tier)
    )
    columns = [
        visible.columns.ordinal,
        version_file.c.position,
        copy.c.state,
        tier.c.rank,
        file.c.file_id,
        copy.c.tier,
        copy.c.path,
        file.c.size_bytes,
        file.c.row_count,
        file.c.row_groups,
        file.c.checksum,
        file.c.schema_id,
        file.c.footer_bytes,
    ]
    if statistics:
        columns.append(file.c.statistics)
    return Statement(
        select(*columns)
        .select_from(source)
        .where(visible.where)
        .order_by(visible.columns.ordinal, version_file.c.position)
    )


@cache
def _inputs(shape: Shape) -> Statement:
    visible = seen(shape)
    source = visible.source.join(version_input, version_input.c.version_id == visible.columns.version_id).join(
        asset, asset.c.asset_id == version_input.c.input_asset_id
    )
    return Statement(
        select(
            visible.columns.ordinal,
            version_input.c.name,
            asset.c.name,
            version_input.c.mapping,
            version_input.c.selection,
            version_input.c.snapshot,
            version_input.c.digest,
        )
        .select_from(source)
        .where(visible.where)
        .order_by(visible.columns.ordinal, version_input.c.name)
    )


@cache
def _tiers(shape: Shape) -> Statement:
    visible = seen(shape)
    source = visible.source.join(version_file, version_file.c.version_id == visible.columns.version_id).join(
        copy, and_(copy.c.file_id == version_file.c.file_id, copy.c.state == CopyState.LIVE)
    )
    return Statement(
        select(visible.columns.ordinal, copy.c.tier)
        .select_from(source)
        .where(visible.where)
        .order_by(visible.columns.ordinal)
    )


@cache
def _work(form: Form) -> Select[Any]:
    source, in_ranges = within(backfill_target, backfill_target.c.ordinal, form)
    return (
        select(
            backfill_target.c.ordinal,
            backfill_target.c.key,
            backfill_target.c.state,
            backfill_target.c.changed_us,
            (backfill_target.c.error_type + ": " + backfill_target.c.error_message).label("error"),
            backfill.c.name,
            backfill.c.heartbeat_us,
        )
        .select_from(source.join(backfill, backfill.c.backfill_id == backfill_target.c.backfill_id))
        .where(
            backfill_target.c.asset_id == bindparam("asset", type_=BIG),
            backfill_target.c.branch_id == bindparam("branch", type_=BIG),
            text(
                f"backfill_target.{SHOWN_WORK}"
            ),  # as the partial index says it, so that the database sees that it fits
            in_ranges,
        )
        .order_by(backfill_target.c.ordinal, backfill_target.c.changed_us)
    )


@cache
def _history(form: Form) -> Select[Any]:
    source, in_ranges = within(version, version.c.ordinal, form)
    of, main, fork = (bindparam(name, type_=BIG) for name in ("branch", "main", "fork"))
    # As a list of two, the branches are part of the index lookup; as alternatives, the ranges would not be.
    in_sight = and_(version.c.branch_id.in_([of, main]), or_(version.c.branch_id == of, version.c.began <= fork))
    every = union_all(
        *(
            select(*(version.c[name] for name in VERSION_FIELDS))
            .select_from(source)
            .where(version.c.asset_id == bindparam("asset", type_=BIG), in_sight, in_ranges, time)
            for time in (version.c.ended.is_(None), version.c.ended.is_not(None))
        )
    ).subquery("every")
    return (
        select(*every.c, *SNAPSHOT_COLUMNS)
        .select_from(every.join(snapshot, snapshot.c.snapshot == every.c.began))
        .order_by(every.c.began.desc(), every.c.ordinal)
    )


_INPUTS_OF: Select[Any] = (
    select(
        version_input.c.version_id,
        version_input.c.name,
        asset.c.name,
        version_input.c.mapping,
        version_input.c.selection,
        version_input.c.snapshot,
        version_input.c.digest,
    )
    .select_from(version_input.join(asset, asset.c.asset_id == version_input.c.input_asset_id))
    .where(in_json(version_input.c.version_id, "ids"))
    .order_by(version_input.c.version_id, version_input.c.name)
)
_TOUCHED_BY: Select[Any] = (
    select(version.c.asset_id, version.c.ordinal)
    .distinct()
    .where(
        version.c.branch_id == bindparam("branch", type_=BIG),
        or_(version.c.began == bindparam("at", type_=BIG), version.c.ended == bindparam("at", type_=BIG)),
    )
    .order_by(version.c.asset_id, version.c.ordinal)
)
_touched = union_all(
    *(
        select(
            time.label("snapshot"),
            version.c.asset_id,
            version.c.branch_id,
            version.c.ordinal,
            *(
                (version.c[size] if when == of else literal(0, BIG)).label(f"{size}_{when}")
                for size in ("row_count", "size_bytes")
                for when in ("before", "after")
            ),
        ).where(time >= bindparam("since", type_=BIG))
        for time, of in ((version.c.began, "after"), (version.c.ended, "before"))
    )
).subquery("touched")
_SIZES: Select[Any] = (
    select(
        _touched.c.snapshot,
        asset.c.name,
        func.count(_touched.c.ordinal.distinct()),
        *(
            func.sum(_touched.c[f"{size}_{when}"])
            for size in ("row_count", "size_bytes")
            for when in ("before", "after")
        ),
    )
    .select_from(
        _touched.join(asset, asset.c.asset_id == _touched.c.asset_id).join(
            snapshot, and_(snapshot.c.snapshot == _touched.c.snapshot, snapshot.c.branch_id == _touched.c.branch_id)
        )
    )
    .group_by(_touched.c.snapshot, asset.c.name)
    .order_by(_touched.c.snapshot.desc(), asset.c.name)
)
