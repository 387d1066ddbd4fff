"""What vacuum and check need: deleting the bytes that nothing refers to any more.

Deletion comes last and in two steps. :func:`begin_deletion` marks copies, which no read, commit or move counts on from
then on; once their bytes are gone, :func:`delete_copies` removes the rows. A crash between the two is carried on by
the next vacuum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    tuple_,
    union,
    update,
)

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import BIG, TEXT, copy, file, move, move_file, tier, version_file
from lakepart.model.catalog_records import CopyRecord, CopyState

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
    file.c.row_groups,
    file.c.schema_id,
)
_COPIES: Select[Any] = select(*_COPY_COLUMNS).select_from(copy.join(file, file.c.file_id == copy.c.file_id))


def list_deletable(connection: Connection, retired_before_us: int) -> list[CopyRecord]:
    """Give the copies whose bytes may go: retired before an instant, ours, not about to be moved onto."""
    statement = _COPIES.where(_deletable(retired_before_us)).order_by(copy.c.tier, copy.c.path)
    return [_from_row(row) for row in connection.execute(statement)]


def begin_deletion(database: Database, copies: Sequence[CopyRecord], *, retired_before_us: int) -> list[CopyRecord]:
    """Mark copies as being deleted; gives those that still may be, the others have come to life meanwhile."""
    of_files = select(copy.c.file_id, copy.c.tier).where(
        in_json(copy.c.file_id, "files"), _deletable(retired_before_us)
    )
    with database.writing() as connection:
        rows = connection.execute(of_files, {"files": to_json(sorted({one.file_id for one in copies}))})
        free = {(file_id, tier) for file_id, tier in rows}
        granted = [one for one in copies if (one.file_id, one.tier) in free]
        if granted:
            now_us = database.latest_us(connection)
            connection.execute(_MARK, [{"of": one.file_id, "on": one.tier, "now": now_us} for one in granted])
        return granted


def begin_leftover_deletion(
    database: Database, on_tier: str, paths: Sequence[str]
) -> tuple[list[str], list[CopyRecord]]:
    """Say which objects without a row may be deleted: the paths that nothing can come to need, and copies by now.

    An object may be what a move that was given up has copied, and the next move there would take it for its own. Such
    a one gets a row, as a copy that is being deleted, which moves do not count on.
    """
    with database.writing() as connection:
        now_us = database.latest_us(connection)
        found = {"paths": to_json(sorted(paths)), "tier": on_tier}
        taken = set(connection.execute(_TAKEN, found).scalars())
        copies = [
            CopyRecord(file_id, on_tier, path, CopyState.DELETING, True, now_us, *rest)
            for file_id, path, *rest in connection.execute(_LYING_ELSEWHERE, found)
            if path not in taken
        ]
        if copies:
            adopted = [{"of": one.file_id, "on": on_tier, "at": one.path, "now": now_us} for one in copies]
            connection.execute(_ADOPT, adopted)
        elsewhere = {one.path for one in copies}
        return [path for path in paths if path not in taken and path not in elsewhere], copies


def known_among(connection: Connection, on_tier: str, paths: Sequence[str]) -> set[str]:
    """Give those of the paths on a tier that rows speak of: copies, and those that open moves are making."""
    return set(connection.execute(_TAKEN, {"paths": to_json(sorted(paths)), "tier": on_tier}).scalars())


def arriving_among(connection: Connection, on_tier: str, paths: Iterable[str]) -> set[str]:
    """Give those of the paths on a tier that open moves are making."""
    return set(connection.execute(_ARRIVING, {"paths": to_json(sorted(paths)), "tier": on_tier}).scalars())


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


def iter_copies(database: Database) -> Iterator[CopyRecord]:
    """Give every copy the catalog knows, by tier and path, a thousand from one transaction: it may take long."""
    tier_name, path = "", ""
    while True:
        with database.reading() as connection:
            rows = connection.execute(_NEXT_COPIES, {"tier": tier_name, "path": path}).all()
        if not rows:
            return
        for row in rows:
            yield _from_row(row)
        _, tier_name, path, *_ = rows[-1]


def copies_of_files(connection: Connection, file_ids: Sequence[int]) -> list[CopyRecord]:
    """Give the copies of some files as they are now, by tier and path."""
    return [_from_row(row) for row in connection.execute(_COPIES_OF_FILES, {"files": to_json(sorted(file_ids))})]


def give_up_copy(database: Database, bad: CopyRecord, instead: CopyRecord | None) -> bool:
    """Mark a copy whose bytes are gone or changed as being deleted; False where that cannot be.

    A live one is given up only for another that was retired and whose bytes are known to be whole: readers open that
    from now on. One that was retired is given up where nothing counts on it.
    """
    with database.writing() as connection:
        now_us = database.latest_us(connection)
        if connection.execute(_BEING_MOVED, {"of": bad.file_id}).first() is not None:
            return False
        if instead is not None:
            one = {"of": instead.file_id, "on": instead.tier}
            if not connection.execute(_REVIVE, {**one, "at": now_us}).rowcount:
                return False
        elif not connection.execute(_IS_SPARE, {"of": bad.file_id, "on": bad.tier}).scalar_one():
            return False
        connection.execute(_MARK, [{"of": bad.file_id, "on": bad.tier, "now": now_us}])
        return True


def _from_row(row: Sequence[Any]) -> CopyRecord:
    file_id, tier, path, state, owned, *rest = row
    return CopyRecord(file_id, tier, path, CopyState(state), bool(owned), *rest)


def _deletable(retired_before_us: int) -> ColumnElement[bool]:
    other = copy.alias("other")
    elsewhere = exists().where(other.c.file_id == copy.c.file_id, other.c.state == CopyState.LIVE.value)
    unused = ~exists().where(version_file.c.file_id == copy.c.file_id)
    moving = exists().where(
        move_file.c.file_id == copy.c.file_id, move_file.c.move_id == move.c.move_id, move.c.closed_at_us.is_(None)
    )
    retired = and_(copy.c.state == CopyState.RETIRED.value, or_(unused, elsewhere), ~moving)
    given_up = copy.c.state == CopyState.DELETING.value  # by somebody who has died since, for that is long ago
    return and_(copy.c.owned == 1, copy.c.since_us < retired_before_us, or_(given_up, retired))


_ONE = and_(copy.c.file_id == bindparam("of"), copy.c.tier == bindparam("on"))
_BY_PLACE = _COPIES.order_by(copy.c.tier, copy.c.path)
_NEXT_COPIES = _BY_PLACE.where(
    tuple_(copy.c.tier, copy.c.path) > tuple_(bindparam("tier", type_=TEXT), bindparam("path", type_=TEXT))
).limit(1000)
_COPIES_OF_FILES = _BY_PLACE.where(in_json(copy.c.file_id, "files"))
_BEING_MOVED: Select[Any] = select(move.c.move_id).where(
    move_file.c.file_id == bindparam("of"), move_file.c.move_id == move.c.move_id, move.c.closed_at_us.is_(None)
)
_REVIVE = (
    update(copy)
    .where(_ONE, copy.c.state == CopyState.RETIRED.value)
    .values(state=CopyState.LIVE.value, since_us=bindparam("at"))
)
_other = copy.alias("spare_for")
_IS_SPARE: Select[Any] = select(
    exists().where(
        _ONE,
        copy.c.state == CopyState.RETIRED.value,
        or_(
            ~exists().where(version_file.c.file_id == copy.c.file_id),
            exists().where(_other.c.file_id == copy.c.file_id, _other.c.state == CopyState.LIVE.value),
        ),
    )
)
_MARK = update(copy).where(_ONE).values(state=CopyState.DELETING.value, since_us=bindparam("now", type_=BIG))
_ON_TIER = copy.c.tier == bindparam("tier", type_=TEXT)
_ARRIVING = select(move_file.c.path).where(
    move_file.c.move_id == move.c.move_id,
    move.c.closed_at_us.is_(None),
    move.c.to_tier == bindparam("tier", type_=TEXT),
    in_json(move_file.c.path, "paths"),
)
_TAKEN = union(select(copy.c.path).where(_ON_TIER, in_json(copy.c.path, "paths")), _ARRIVING)
_OTHER_TIERS = select(tier.c.name).where(tier.c.name != bindparam("tier", type_=TEXT))
_LYING_ELSEWHERE: Select[Any] = (
    select(
        copy.c.file_id,
        copy.c.path,
        file.c.size_bytes,
        file.c.row_count,
        file.c.checksum,
        file.c.row_groups,
        file.c.schema_id,
    )
    .select_from(copy.join(file, file.c.file_id == copy.c.file_id))
    .where(copy.c.tier.in_(_OTHER_TIERS), in_json(copy.c.path, "paths"), copy.c.owned == 1)
    .group_by(copy.c.file_id, copy.c.path, file.c.file_id)
)
_ADOPT = insert(copy).values(
    file_id=bindparam("of"),
    tier=bindparam("on"),
    path=bindparam("at"),
    state=CopyState.DELETING.value,
    owned=1,
    since_us=bindparam("now", type_=BIG),
)
_DELETE = delete(copy).where(_ONE, copy.c.state == CopyState.DELETING.value)
