"""Tags: names for snapshots of main. Making or deleting one is no commit, so no manifest speaks of it.

Storage learns of a tag after the catalog did: :func:`list_unnoted` gives what it has yet to learn or to forget.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.declaring import next_id
from lakepart.catalog.lookups import list_snapshots, visible_snapshot
from lakepart.catalog.tables import TEXT, tag
from lakepart.errors import AlreadyExistsError, ErrorCode, NotFoundError, did_you_mean
from lakepart.model.records import MAIN, Tag


def create_tag(
    database: Database, name: str, *, snapshot: int | None = None, author: str | None = None, message: str | None = None
) -> Tag:
    """Name a snapshot of main (None: the newest); the same name for the same snapshot again changes nothing.

    Raises
    ------
    AlreadyExistsError
        The name stands for another snapshot.
    SnapshotNotFoundError
        There is no such snapshot of main, or it can no longer be read whole.
    """
    with database.writing() as connection:
        if snapshot is None:
            (newest,) = list_snapshots(connection, branch=MAIN, limit=1)
            snapshot = newest.snapshot
        else:
            snapshot = visible_snapshot(connection, MAIN, number=snapshot, of_all_assets=True).snapshot
        found = find_tag(connection, name)
        if found is not None and found.snapshot == snapshot:
            return found
        if found is not None:
            raise AlreadyExistsError(
                f"Tag {name!r} stands for snapshot {found.snapshot} already, so it cannot stand for {snapshot}.",
                hint=f"delete_tag({name!r}) frees the name.",
                context={"tag": name, "snapshot": found.snapshot},
            )
        made = Tag(next_id(connection), name, snapshot, message, author, database.now_us())
        columns = {field: getattr(made, field) for field in _FIELDS}
        connection.execute(insert(tag).values(**columns, deleted=0, noted=0))
        return made


def delete_tag(database: Database, name: str) -> Tag:
    """Take a name back; what only the tag kept is vacuum's from now on.

    Raises
    ------
    NotFoundError
        There is no such tag (``tag-not-found``).
    """
    with database.writing() as connection:
        found = get_tag(connection, name)
        connection.execute(update(tag).where(tag.c.tag_id == found.tag_id).values(deleted=1, noted=0))
        return found


def find_tag(connection: Connection, name: str) -> Tag | None:
    """Give the tag of that name, or None."""
    row = connection.execute(_BY_NAME, {"name": name}).one_or_none()
    return None if row is None else Tag(*row)


def get_tag(connection: Connection, name: str) -> Tag:
    """Give the tag of that name; NotFoundError suggests close names."""
    found = find_tag(connection, name)
    if found is None:
        raise NotFoundError(
            f"There is no tag {name!r}.",
            hint=did_you_mean(name, [one.name for one in list_tags(connection)])
            or 'tags are made by lake.tag(name); an instant looks like "2026-01-31T00:00Z".',
            code=ErrorCode.TAG_NOT_FOUND,
            context={"tag": name},
        )
    return found


def list_tags(connection: Connection) -> list[Tag]:
    """Give every tag, newest snapshot first."""
    return [Tag(*row) for row in connection.execute(_LIVE.order_by(tag.c.snapshot.desc(), tag.c.name))]


def list_noted(connection: Connection) -> list[Tag]:
    """Give the tags that storage knows of, by id."""
    return [Tag(*row) for row in connection.execute(_LIVE.where(tag.c.noted == 1).order_by(tag.c.tag_id))]


def list_unnoted(connection: Connection) -> list[tuple[Tag, bool]]:
    """Give ``(tag, deleted)`` of what storage has yet to learn, or to forget."""
    rows = connection.execute(select(*_COLUMNS, tag.c.deleted).where(tag.c.noted == 0).order_by(tag.c.tag_id))
    return [(Tag(*row[:-1]), bool(row[-1])) for row in rows]


def note_tag(database: Database, tag_id: int, *, deleted: bool) -> bool:
    """Say that storage has learnt of a tag, or forgotten it; False if somebody deleted it meanwhile."""
    this = tag.c.tag_id == tag_id
    with database.writing(durable=False) as connection:
        if deleted:
            connection.execute(delete(tag).where(this))
            return True
        noted = connection.execute(update(tag).where(this, tag.c.deleted == 0).values(noted=1))
        return bool(noted.rowcount)


_FIELDS = ("tag_id", "name", "snapshot", "message", "author", "at_us")
_COLUMNS = tuple(tag.c[name] for name in _FIELDS)
_LIVE: Select[Any] = select(*_COLUMNS).where(tag.c.deleted == 0)
_BY_NAME: Select[Any] = _LIVE.where(tag.c.name == bindparam("name", type_=TEXT))
