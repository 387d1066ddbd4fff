"""What a commit did, as plain values: enough, one after another, to rebuild a lost catalog."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

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
from lakepart.catalog.declared import declared_since
from lakepart.catalog.encoding import from_json
from lakepart.catalog.lookups import SNAPSHOT_COLUMNS, snapshot_from_row
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
    return list(connection.execute(_OWN_UNMANIFESTED, {"number": own, "before": before_us}).scalars())


def mark_manifested(database: Database, snapshots: Iterable[int]) -> None:
    """Note that these snapshots' manifests are written and synced; where the note is lost, they are written again."""
    with database.writing(durable=False) as connection:
        connection.execute(_MARK, [{"number": number} for number in snapshots])


def manifest_of(connection: Connection, number: int) -> dict[str, Any]:
    """Give the manifest of a snapshot; moves and later commits do not alter what it says of the commit.

    Files are listed by the commit that brought them and referred to by id later on, so manifests are read in order.
    What was declared since the manifest before it is there as it is now (:mod:`~lakepart.catalog.declared`).
    """
    at = {"number": number}
    versions = [dict(row) for row in connection.execute(_VERSIONS, at).mappings()]
    of_version = {row["version_id"]: row for row in versions}
    for row in versions:
        row["files"], row["inputs"] = [], []
    for version_id, file_id in connection.execute(_VERSION_FILES, at):
        of_version[version_id]["files"].append(file_id)
    for found in connection.execute(_VERSION_INPUTS, at).mappings():
        row = dict(found)
        of_version[row.pop("version_id")]["inputs"].append({**row, "mapping": from_json(row["mapping"])})
    lake_id, created_at_us, horizon, previous, token, branch_name, fork, published, *columns = connection.execute(
        _SNAPSHOT, at
    ).one()
    taken = snapshot_from_row(columns)
    declared: dict[str, list[Any]] = {}
    for table, row in declared_since(connection, number - 1):
        declared.setdefault(table, []).append(row)
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
        "ended": list(connection.execute(_ENDED, at).scalars()),
        "versions": versions,
        "files": [
            {**row, "statistics": from_json(row["statistics"])} for row in connection.execute(_FILES, at).mappings()
        ],
        "declared": declared,
    }


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
    yield "header", {**_header(connection.execute(_HEADER, {"number": first}).one()), "first": first, "last": last}
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
_BROUGHT = and_(
    file.c.file_id.in_(
        select(version_file.c.file_id).join(version, version.c.version_id == version_file.c.version_id).where(_MADE)
    ),
    file.c.began == _NUMBER,
)

_preceding = snapshot.alias("preceding")
_PREVIOUS = select(_preceding.c.token).where(_preceding.c.snapshot == _NUMBER - 1)
_HEADER_COLUMNS = (lake.c.lake_id, lake.c.created_at_us, head.c.horizon, _PREVIOUS.scalar_subquery())
_UNMANIFESTED: Select[Any] = (
    select(snapshot.c.snapshot)
    .where(snapshot.c.manifested == literal_column("0"))  # as the partial index says it, so that it is used
    .order_by(snapshot.c.snapshot)
)
_OWN_UNMANIFESTED = _UNMANIFESTED.where(
    or_(snapshot.c.snapshot == _NUMBER, snapshot.c.at_us < bindparam("before", type_=BIG))
)
_MARK = update(snapshot).where(snapshot.c.snapshot == _NUMBER).values(manifested=1)
_published = branch.alias("published")
_PUBLISHED = select(_published.c.branch_id).where(_published.c.published_as == _NUMBER)
_SNAPSHOT: Select[Any] = (
    select(
        *_HEADER_COLUMNS,
        snapshot.c.token,
        branch.c.name,
        branch.c.fork,
        _PUBLISHED.scalar_subquery(),
        *SNAPSHOT_COLUMNS,
    )
    .select_from(
        snapshot.join(branch, branch.c.branch_id == snapshot.c.branch_id).join(lake, true()).join(head, true())
    )
    .where(snapshot.c.snapshot == _NUMBER)
)
_HEADER: Select[Any] = select(*_HEADER_COLUMNS).select_from(lake.join(head, true()))
_VERSIONS: Select[Any] = select(*_whole(version, without=_LATER)).where(_MADE).order_by(version.c.version_id)
_VERSION_FILES: Select[Any] = (
    select(version_file.c.version_id, version_file.c.file_id)
    .join(version, version.c.version_id == version_file.c.version_id)
    .where(_MADE)
    .order_by(version_file.c.version_id, version_file.c.position)
)
_VERSION_INPUTS: Select[Any] = (
    select(*_whole(version_input))
    .where(version_input.c.version_id.in_(select(version.c.version_id).where(_MADE)))
    .order_by(version_input.c.version_id, version_input.c.name)
)
_ENDED: Select[Any] = select(version.c.version_id).where(version.c.ended == _NUMBER).order_by(version.c.version_id)
# A file's path is the same on every tier, wherever it may lie by now.
_FILES: Select[Any] = (
    select(file, select(func.min(copy.c.path)).where(copy.c.file_id == file.c.file_id).scalar_subquery().label("path"))
    .where(_BROUGHT)
    .order_by(file.c.file_id)
)

# Of the snapshots of a checkpoint. A version that a later one ended was current at the last of these.
_FIRST, _LAST = bindparam("first", type_=BIG), bindparam("last", type_=BIG)
_BEGAN = version.c.began.between(_FIRST, _LAST)
_PATH = select(func.min(copy.c.path)).where(copy.c.file_id == file.c.file_id).scalar_subquery().label("path")
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
