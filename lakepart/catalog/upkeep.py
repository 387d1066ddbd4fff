"""What vacuum and check need: forgetting old versions, then deleting the bytes that nothing refers to any more.

Deletion comes last and in two steps. :func:`begin_deletion` marks copies, which no read, commit or move counts on from
then on; once their bytes are gone, :func:`delete_copies` removes the rows. A crash between the two is carried on by
the next vacuum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, exists, func, or_, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import (
    branch,
    copy,
    file,
    head,
    intent,
    move,
    move_file,
    snapshot,
    tag,
    version,
    version_file,
    version_input,
)
from lakepart.model.catalog_records import CopyRecord, CopyState
from lakepart.model.records import MAIN_BRANCH_ID

_COPY_COLUMNS = (
    copy.c.file_id,
    copy.c.tier,
    copy.c.path,
    copy.c.state,
    copy.c.owned,
    copy.c.since_us,
    file.c.size_bytes,
    file.c.row_count,
    file.c.checksum,
)
_COPIES: Select[Any] = select(*_COPY_COLUMNS).select_from(copy.join(file, file.c.file_id == copy.c.file_id))


def count_forgettable(connection: Connection, ended_before_us: int) -> int:
    """Say how many versions :func:`forget_versions` would forget."""
    counted = select(func.count()).select_from(version).where(forgettable(ended_before_us))
    return int(connection.execute(counted).scalar_one())


def forget_versions(database: Database, ended_before_us: int) -> int:
    """Forget versions that ended before an instant, and those of branches that were closed before it.

    Kept whatever their age: current versions of main and of open branches, what open branches see of main at their
    fork, and what tagged snapshots and transactions under way show. Files that no version holds any more are retired
    as of now. Gives the number of versions.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        listed = select(version.c.version_id, version.c.ended, branch.c.state).select_from(
            version.join(branch, branch.c.branch_id == version.c.branch_id)
        )
        forgotten = connection.execute(listed.where(forgettable(ended_before_us))).all()
        if not forgotten:
            return 0
        ids = {"ids": to_json([row.version_id for row in forgotten])}
        held = select(version_file.c.file_id).where(in_json(version_file.c.version_id, "ids")).distinct()
        file_ids = list(connection.execute(held, ids).scalars())
        for table in (version_input, version_file, version):
            connection.execute(delete(table).where(in_json(table.c.version_id, "ids")), ids)
        connection.execute(_RETIRE, {"ids": to_json(file_ids), "at": now_us})
        whole_from = max((row.ended for row in forgotten if row.ended is not None and row.state == "open"), default=0)
        connection.execute(update(head).where(head.c.horizon < whole_from).values(horizon=whole_from))
        return len(forgotten)


def list_deletable(connection: Connection, retired_before_us: int) -> list[CopyRecord]:
    """Give the copies whose bytes may go: retired before an instant, ours, not about to be moved onto."""
    statement = _COPIES.where(_deletable(retired_before_us)).order_by(copy.c.tier, copy.c.path)
    return [_from_row(row) for row in connection.execute(statement)]


def begin_deletion(database: Database, copies: Iterable[CopyRecord], *, retired_before_us: int) -> list[CopyRecord]:
    """Mark copies as being deleted; gives those that still may be, the others have come to life meanwhile."""
    with database.writing() as connection:
        free = {(one.file_id, one.tier) for one in list_deletable(connection, retired_before_us)}
        granted = [one for one in copies if (one.file_id, one.tier) in free]
        if granted:
            connection.execute(_MARK, [{"of": one.file_id, "on": one.tier} for one in granted])
        return granted


def delete_copies(database: Database, copies: Sequence[CopyRecord]) -> None:
    """Remove the rows of copies whose bytes are gone, and of files that have no copy left."""
    if not copies:
        return
    with database.writing() as connection:
        connection.execute(_DELETE, [{"of": one.file_id, "on": one.tier} for one in copies])
        ids = {"ids": to_json(sorted({one.file_id for one in copies}))}
        gone = select(file.c.file_id).where(
            in_json(file.c.file_id, "ids"),
            ~exists().where(copy.c.file_id == file.c.file_id),
            ~exists().where(version_file.c.file_id == file.c.file_id),
        )
        file_ids = {"ids": to_json(list(connection.execute(gone, ids).scalars()))}
        connection.execute(delete(move_file).where(in_json(move_file.c.file_id, "ids")), file_ids)
        connection.execute(delete(file).where(in_json(file.c.file_id, "ids")), file_ids)


def iter_copies(connection: Connection) -> Iterator[CopyRecord]:
    """Give every copy the catalog knows, by tier and path, without holding them all."""
    rows = connection.execution_options(yield_per=1000).execute(_COPIES.order_by(copy.c.tier, copy.c.path))
    for row in rows:
        yield _from_row(row)


def _from_row(row: Sequence[Any]) -> CopyRecord:
    file_id, tier, path, state, owned, *rest = row
    return CopyRecord(file_id, tier, path, CopyState(state), bool(owned), *rest)


def forgettable(ended_before_us: int) -> ColumnElement[bool]:
    """Say of a version that nothing needs it any more, if it ended before an instant."""
    last = select(func.max(snapshot.c.snapshot)).where(snapshot.c.at_us < ended_before_us).scalar_subquery()
    closed = branch.alias("closed")
    forked = branch.alias("forked")
    seen_by_a_branch = exists().where(
        forked.c.state == "open",
        forked.c.branch_id != MAIN_BRANCH_ID,
        version.c.branch_id == MAIN_BRANCH_ID,
        version.c.began <= forked.c.fork,
        version.c.ended > forked.c.fork,
    )
    tagged = exists().where(
        tag.c.deleted == 0,
        version.c.branch_id == MAIN_BRANCH_ID,
        version.c.began <= tag.c.snapshot,
        version.c.ended > tag.c.snapshot,
    )
    of_a_closed_branch = exists().where(
        closed.c.branch_id == version.c.branch_id,
        closed.c.state != "open",
        closed.c.closed_at_us < ended_before_us,
    )
    leased = exists().where(version.c.began <= intent.c.snapshot, version.c.ended > intent.c.snapshot)
    replaced = and_(version.c.ended.is_not(None), version.c.ended <= last, ~seen_by_a_branch, ~tagged, ~leased)
    return or_(replaced, of_a_closed_branch)


def _deletable(retired_before_us: int) -> ColumnElement[bool]:
    other = copy.alias("other")
    elsewhere = exists().where(other.c.file_id == copy.c.file_id, other.c.state == CopyState.LIVE.value)
    unused = ~exists().where(version_file.c.file_id == copy.c.file_id)
    moving = exists().where(
        move_file.c.file_id == copy.c.file_id, move_file.c.move_id == move.c.move_id, move.c.closed_at_us.is_(None)
    )
    retired = and_(copy.c.state == CopyState.RETIRED.value, copy.c.since_us < retired_before_us)
    return and_(
        copy.c.state != CopyState.LIVE.value,
        copy.c.owned == 1,
        or_(copy.c.state == CopyState.DELETING.value, and_(retired, or_(unused, elsewhere), ~moving)),
    )


_RETIRE = (
    update(copy)
    .where(
        in_json(copy.c.file_id, "ids"),
        copy.c.state == CopyState.LIVE.value,
        ~exists().where(version_file.c.file_id == copy.c.file_id),
    )
    .values(state=CopyState.RETIRED.value, since_us=bindparam("at"))
)
_ONE = and_(copy.c.file_id == bindparam("of"), copy.c.tier == bindparam("on"))
_MARK = update(copy).where(_ONE).values(state=CopyState.DELETING.value)
_DELETE = delete(copy).where(_ONE, copy.c.state == CopyState.DELETING.value)
