"""What a commit did, as plain values: enough, one after another, to rebuild a lost catalog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Select,
    Table,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)

from lakepart.catalog.database import Database
from lakepart.catalog.declared import ANYTHING_DECLARED, declared_since
from lakepart.catalog.encoding import from_json
from lakepart.catalog.lookups import SNAPSHOT_COLUMNS, snapshot_from_row
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import (
    BIG,
    branch,
    copy,
    file,
    head,
    lake,
    snapshot,
    version,
    version_file,
    version_input,
)

MANIFEST_FORMAT = 2  # 1 had "assets" instead of "declared", and neither "horizon" nor "created_at_us"


def unmanifested(connection: Connection, *, own: int | None = None, before_us: int = 0) -> list[int]:
    """Give the snapshots whose manifest is not known to be written, oldest first; with ``own``, it and those before."""
    if own is None:
        return list(connection.execute(_UNMANIFESTED).scalars())
    return [number for (number,) in _OWN_UNMANIFESTED.rows(connection, {"number": own, "before": before_us})]


def mark_manifested(database: Database, snapshots: Iterable[int]) -> None:
    """Note that these snapshots' manifests are written and synced; where the note is lost, they are written again."""
    with database.writing(durable=False) as connection:
        _MARK.run(connection, *({"number": number} for number in snapshots))


def manifest_of(connection: Connection, number: int) -> dict[str, Any]:
    """Give the manifest of a snapshot; moves and later commits do not alter what it says of the commit.

    Files are listed by the commit that brought them and referred to by id later on, so manifests are read in order.
    What was declared since the manifest before it is there as it is now (:mod:`~lakepart.catalog.declared`).
    """
    lake_id, created_at_us, horizon, previous, token, branch_name, fork, published, inputs, declared, *columns = (
        _SNAPSHOT.row(connection, {"number": number, "after": number - 1})
    )
    taken = snapshot_from_row(columns)
    contents = _contents(connection, number)
    if inputs:
        for found in connection.execute(_VERSION_INPUTS, {"number": number}).mappings():
            row = dict(found)
            contents.versions[row.pop("version_id")]["inputs"].append({**row, "mapping": from_json(row["mapping"])})
    rows_by_table: dict[str, list[Any]] = {}
    if declared:
        for table, row in declared_since(connection, number - 1):
            rows_by_table.setdefault(table, []).append(row)
    return {
        **_header((lake_id, created_at_us, horizon, previous)),
        "snapshot": {
            "snapshot": taken.snapshot,
            "token": token,
            "at_us": taken.at_us,
            "operation": taken.operation,
            "author": taken.author,
            "message": taken.message,
            "metadata": dict(taken.metadata),
            "partitions": taken.partitions,
            "rows": taken.rows,
            "bytes": taken.bytes,
            "files": taken.files,
        },
        "branch": {"branch_id": taken.branch_id, "name": branch_name, "fork": fork},
        "publishes_branch": published,
        "ended": contents.ended,
        "versions": list(contents.versions.values()),
        "files": [contents.files[file_id] for file_id in sorted(contents.files)],
        "declared": rows_by_table,
    }


class _Contents(NamedTuple):
    """What one commit did to partitions: versions it began, and the files it brought, by id; versions it ended."""

    versions: dict[int, dict[str, Any]]
    files: dict[int, dict[str, Any]]
    ended: list[int]


def _contents(connection: Connection, number: int) -> _Contents:
    contents = _Contents({}, {}, [])
    for row in _CONTENTS.rows(connection, {"number": number}):
        version_id, began, held, of_version, of_file = row[0], row[1], row[2], row[3:_FILE_AT], row[_FILE_AT:]
        if began != number:
            contents.ended.append(version_id)
            continue
        made = contents.versions.get(version_id)
        if made is None:
            made = dict(zip(_VERSION_NAMES, of_version, strict=True)) | {"files": [], "inputs": []}
            contents.versions[version_id] = made
        if held is not None:
            made["files"].append(held)
        if of_file[0] is not None:
            brought = dict(zip(_FILE_NAMES, of_file, strict=True))
            contents.files[of_file[0]] = {**brought, "statistics": from_json(brought["statistics"])}
    return contents


def _header(values: Sequence[Any]) -> dict[str, Any]:
    """Say whose manifest it is: which lake's, made when, from where on its past is whole, and after which commit."""
    lake_id, created_at_us, horizon, previous = values
    return {
        "format": MANIFEST_FORMAT,
        "lake_id": lake_id,
        "created_at_us": created_at_us,
        "horizon": horizon,
        "previous": previous,
    }


def _whole(table: Table, *, without: Collection[str] = ()) -> list[Any]:
    return [column for column in table.c if column.name not in without]


_LATER = {"ended", "marked"}  # what is said of a version after the commit that made it


def checkpoint_of(connection: Connection, first: int, last: int) -> Iterator[tuple[str, Any]]:
    """Give what the manifests of snapshots ``first`` to ``last`` say together, as ``(what, value)``.

    What vacuum has forgotten since is left out. Nothing is held: a checkpoint may be far larger than memory.

    Yields
    ------
    First ``("header", …)``; then what :func:`~lakepart.catalog.declared.declared_since` gives; then
    ``("ended", [version_id, snapshot])`` of versions from before ``first``; then rows by the name of their table, in an
    order that lets them be inserted.
    """
    header, next_ids = connection.execute(_HEADER, {"number": first}).one(), connection.execute(_NEXT_IDS).one()
    yield "header", {**_header(header), "first": first, "last": last, "next_ids": next_ids._asdict()}
    yield from declared_since(connection, first - 1)
    streamed, span = connection.execution_options(yield_per=1000), {"first": first, "last": last}
    for row in streamed.execute(_SPAN_ENDED, span):
        yield "ended", [*row]
    for table, statement in _SPANS.items():
        for found in streamed.execute(statement, span).mappings():
            yield table, dict(found)


# Made once: making a statement costs more than carrying it out.
_NUMBER = bindparam("number", type_=BIG)
_MADE = version.c.began == _NUMBER
_preceding = snapshot.alias("preceding")
_PREVIOUS = select(_preceding.c.token).where(_preceding.c.snapshot == _NUMBER - 1)
_HEADER_COLUMNS = (lake.c.lake_id, lake.c.created_at_us, head.c.horizon, _PREVIOUS.scalar_subquery())
_UNMANIFESTED: Select[Any] = (
    select(snapshot.c.snapshot)
    .where(snapshot.c.manifested == literal_column("0"))  # as the partial index says it, so that it is used
    .order_by(snapshot.c.snapshot)
)
_OWN_UNMANIFESTED = Statement(
    _UNMANIFESTED.where(or_(snapshot.c.snapshot == _NUMBER, snapshot.c.at_us < bindparam("before", type_=BIG)))
)
_MARK = Statement(update(snapshot).where(snapshot.c.snapshot == _NUMBER).values(manifested=1))
_published = branch.alias("published")
_PUBLISHED = select(_published.c.branch_id).where(_published.c.published_as == _NUMBER)
_SNAPSHOT = Statement(
    select(
        *_HEADER_COLUMNS,
        snapshot.c.token,
        branch.c.name,
        branch.c.fork,
        _PUBLISHED.scalar_subquery(),
        exists().where(version_input.c.version_id == version.c.version_id, _MADE).label("inputs"),
        ANYTHING_DECLARED.label("declared"),
        *SNAPSHOT_COLUMNS,
    )
    .select_from(
        snapshot.join(branch, branch.c.branch_id == snapshot.c.branch_id).join(lake, true()).join(head, true())
    )
    .where(snapshot.c.snapshot == _NUMBER)
)
_NEXT_IDS: Select[Any] = select(
    head.c.next_version_id.label("version"), head.c.next_file_id.label("file"), head.c.next_id.label("other")
)
_HEADER: Select[Any] = select(*_HEADER_COLUMNS).select_from(lake.join(head, true()))
_VERSION_INPUTS: Select[Any] = (
    select(*_whole(version_input))
    .where(version_input.c.version_id.in_(select(version.c.version_id).where(_MADE)))
    .order_by(version_input.c.version_id, version_input.c.name)
)
# A file's path is the same on every tier, wherever it may lie by now.
_PATH = select(func.min(copy.c.path)).where(copy.c.file_id == file.c.file_id).scalar_subquery().label("path")
_VERSION_COLUMNS, _FILE_COLUMNS = _whole(version, without=_LATER), [*_whole(file), _PATH]
_VERSION_NAMES, _FILE_NAMES = ([column.name for column in of] for of in (_VERSION_COLUMNS, _FILE_COLUMNS))
_FILE_AT = 3 + len(_VERSION_COLUMNS)
_CONTENTS = Statement(
    select(version.c.version_id, version.c.began, version_file.c.file_id, *_VERSION_COLUMNS, *_FILE_COLUMNS)
    .select_from(
        version.outerjoin(version_file, and_(version_file.c.version_id == version.c.version_id, _MADE)).outerjoin(
            file, and_(file.c.file_id == version_file.c.file_id, file.c.began == _NUMBER)
        )
    )
    .where(or_(_MADE, version.c.ended == _NUMBER))
    .order_by(version.c.version_id, version_file.c.position)
)

# Of the snapshots of a checkpoint. A version that a later one ended was current at the last of these.
_FIRST, _LAST = bindparam("first", type_=BIG), bindparam("last", type_=BIG)
_BEGAN = version.c.began.between(_FIRST, _LAST)
_SPANS: Mapping[str, Select[Any]] = {
    "snapshot": select(*_whole(snapshot, without={"manifested"}))
    .where(snapshot.c.snapshot.between(_FIRST, _LAST))
    .order_by(snapshot.c.snapshot),
    "file": select(file, _PATH)
    .where(file.c.began.between(_FIRST, _LAST), exists().where(version_file.c.file_id == file.c.file_id))
    .order_by(file.c.file_id),
    "version": select(
        *_whole(version, without=_LATER), case((version.c.ended <= _LAST, version.c.ended)).label("ended")
    )
    .where(_BEGAN)
    .order_by(version.c.version_id),
    "version_file": select(version_file)
    .join(version, version.c.version_id == version_file.c.version_id)
    .where(_BEGAN)
    .order_by(version_file.c.version_id, version_file.c.position),
    "version_input": select(version_input)
    .join(version, version.c.version_id == version_input.c.version_id)
    .where(_BEGAN)
    .order_by(version_input.c.version_id, version_input.c.name),
}
_SPAN_ENDED: Select[Any] = (
    select(version.c.version_id, version.c.ended)
    .where(version.c.ended.is_not(None), version.c.ended.between(_FIRST, _LAST), version.c.began < _FIRST)
    .order_by(version.c.version_id)
)
