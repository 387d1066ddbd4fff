"""What must hold between the rows of a catalog, whatever storage holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, or_, select, true

from lakepart.catalog.tables import asset, branch, copy, file, head, schema, snapshot, tag, version, version_file

_NAMED = 20  # rows named of each rule


def find_unsound(connection: Connection, *, thorough: bool = False) -> Iterator[tuple[str, str]]:
    """Give ``(what, sentence)`` of every rule that rows break; at most twenty rows are named of each.

    Pages of an SQLite database are looked at first, and with ``thorough`` every index against its table.

    Notes
    -----
    Costs a pass over every table: for ``check`` and ``rebuild``, not for every day's work.
    """
    if connection.dialect.name == "sqlite":
        pragma = "integrity_check" if thorough else "quick_check"
        for (found,) in connection.exec_driver_sql(f"PRAGMA {pragma}({_NAMED})"):
            if found != "ok":
                yield "database", f"SQLite finds its file damaged: {found}."
    for rule, statement in _RULES.items():
        for row in connection.execute(statement.limit(_NAMED)):
            subject, *values = row
            yield f"{rule} {subject}", _SENTENCES[rule].format(subject, *values)
    if connection.dialect.name == "sqlite":
        for table, row_id, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(_NAMED):
            yield f"{table} {row_id}", f"Row {row_id} of table {table} refers to a row of {parent} that is not there."


_held = (
    select(
        version_file.c.version_id,
        func.count().label("files"),
        func.sum(file.c.row_count).label("rows"),
        func.sum(file.c.size_bytes).label("bytes"),
    )
    .select_from(version_file.join(file, file.c.file_id == version_file.c.file_id))
    .group_by(version_file.c.version_id)
    .subquery()
)
_partition = (version.c.asset_id, version.c.branch_id, version.c.ordinal)
_time = (version.c.began, version.c.version_id)
_in_order = select(
    version.c.version_id,
    version.c.began,
    func.lag(version.c.version_id).over(partition_by=_partition, order_by=_time).label("before"),
    func.lag(func.coalesce(version.c.ended, 2**62)).over(partition_by=_partition, order_by=_time).label("before_ended"),
).subquery()
_snapshots = select(
    snapshot.c.snapshot,
    snapshot.c.at_us,
    func.lag(snapshot.c.snapshot).over(order_by=snapshot.c.snapshot).label("before"),
    func.lag(snapshot.c.at_us).over(order_by=snapshot.c.snapshot).label("before_us"),
).subquery()
_greatest_version = select(func.coalesce(func.max(version.c.version_id), 0)).scalar_subquery()
_greatest_file = select(func.coalesce(func.max(file.c.file_id), 0)).scalar_subquery()
_greatest = {
    column.table.name: select(func.coalesce(func.max(column), 0)).scalar_subquery()
    for column in (asset.c.asset_id, schema.c.schema_id, branch.c.branch_id, tag.c.tag_id)
}
_RULES: Mapping[str, Select[Any]] = {
    "version": select(
        version.c.version_id,
        version.c.key,
        version.c.file_count,
        version.c.row_count,
        version.c.size_bytes,
        func.coalesce(_held.c.files, 0),
        func.coalesce(_held.c.rows, 0),
        func.coalesce(_held.c.bytes, 0),
    )
    .select_from(version.outerjoin(_held, _held.c.version_id == version.c.version_id))
    .where(
        or_(
            version.c.file_count != func.coalesce(_held.c.files, 0),
            version.c.row_count != func.coalesce(_held.c.rows, 0),
            version.c.size_bytes != func.coalesce(_held.c.bytes, 0),
        )
    ),
    "time of version": select(version.c.version_id, version.c.key, version.c.began, version.c.ended, head.c.snapshot)
    .select_from(version.join(head, true()))
    .where(
        or_(version.c.ended <= version.c.began, version.c.began > head.c.snapshot, version.c.ended > head.c.snapshot)
    ),
    "overlap of version": select(
        _in_order.c.version_id, _in_order.c.began, _in_order.c.before, _in_order.c.before_ended
    ).where(_in_order.c.before_ended > _in_order.c.began),
    "file": select(file.c.file_id, file.c.row_count).where(
        ~exists().where(copy.c.file_id == file.c.file_id),
    ),
    "live copy of file": select(file.c.file_id, func.min(version_file.c.version_id))
    .select_from(file.join(version_file, version_file.c.file_id == file.c.file_id))
    .where(~exists().where(and_(copy.c.file_id == file.c.file_id, copy.c.state == "live")))
    .group_by(file.c.file_id),
    "snapshot": select(_snapshots.c.snapshot, _snapshots.c.before).where(
        or_(_snapshots.c.snapshot != _snapshots.c.before + 1, _snapshots.c.at_us <= _snapshots.c.before_us)
    ),
    "head": select(head.c.snapshot, head.c.next_version_id, head.c.next_file_id, head.c.next_id).where(
        or_(
            head.c.snapshot != select(func.max(snapshot.c.snapshot)).scalar_subquery(),
            head.c.next_version_id <= _greatest_version,
            head.c.next_file_id <= _greatest_file,
            *(head.c.next_id <= greatest for greatest in _greatest.values()),
        )
    ),
}
_SENTENCES = {
    "version": "Version {0} of partition {1!r} says {2} files, {3} rows and {4} bytes, and its files hold {5}, {6} "
    "and {7}.",
    "time of version": "Version {0} of partition {1!r} began with snapshot {2} and ended with {3}; the newest is {4}.",
    "overlap of version": "Version {0} began with snapshot {1}, before version {2} of its partition ended ({3}).",
    "file": "File {0} ({1} rows) has no copy on any tier.",
    "live copy of file": "File {0} of version {1} has no live copy on any tier.",
    "snapshot": "Snapshot {0} does not follow on snapshot {1} in number and time.",
    "head": "The head (snapshot {0}, next ids {1}, {2}, {3}) is behind the rows.",
}
