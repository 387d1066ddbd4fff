"""A writer's note, made before any byte, that its files may be appearing: what keeps vacuum's hands off them.

A loss of power ends the writer too, so notes need not outlast it. A writer whose clock is behind the database's goes by
that one, so that it looks silent to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, case, delete, insert, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.lookups import get_head
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import BIG, TEXT, head, intent
from lakepart.errors import ErrorCode, StateError
from lakepart.model.catalog_records import IntentRecord


def open_intent(database: Database, intent_id: str, kind: str) -> None:
    """Note that a writer is about to make files named after ``intent_id``."""
    with database.writing(durable=False) as connection:
        now_us = database.latest_us(connection)
        _INSERT.run(connection, {"intent_id": intent_id, "kind": kind, "now": now_us, "snapshot": None})


def open_lease(database: Database, intent_id: str, kind: str) -> int:
    """Note a writer that also reads the newest snapshot, which is kept as long as the note is; gives its number."""
    with database.writing(durable=False) as connection:
        newest, now_us = get_head(connection).snapshot, database.latest_us(connection)
        _INSERT.run(connection, {"intent_id": intent_id, "kind": kind, "now": now_us, "snapshot": newest})
        return newest


def renew_intents(database: Database, intent_ids: Iterable[str]) -> set[str]:
    """Say that these writers are still at work; gives the ids that are gone, whose commits will be refused."""
    wanted = set(intent_ids)
    with database.writing(durable=False) as connection:
        now_us = database.latest_us(connection)
        for intent_id in wanted:
            _RENEW.run(connection, {"intent": intent_id, "now": now_us})
        found = connection.execute(select(intent.c.intent_id).where(intent.c.intent_id.in_(wanted))).scalars()
        return wanted - set(found)


def close_intent(database: Database, intent_id: str) -> bool:
    """Say that this writer is done; False where its commit had ended the intent already, or vacuum has.

    After True no commit of this writer can follow, so the files it has not committed may be deleted.
    """
    with database.writing() as connection:
        return end_intent(connection, intent_id)


def end_intent(connection: Connection, intent_id: str) -> bool:
    """Remove the note, within the transaction of a commit that needs it no longer; False if there was none."""
    return _DELETE.run(connection, {"intent": intent_id}) > 0


def list_intents(connection: Connection) -> list[IntentRecord]:
    """Give the writers at work, the earliest first."""
    columns = (intent.c.intent_id, intent.c.kind, intent.c.began_us, intent.c.renewed_us)
    return [IntentRecord(*row) for row in connection.execute(select(*columns).order_by(intent.c.began_us))]


def expire_intents(database: Database, before_us: int) -> list[str]:
    """Close the intents that were last renewed before an instant; gives their ids.

    A commit of theirs is refused from here on, so vacuum may delete what they left once this has returned.
    """
    with database.writing() as connection:
        removed = delete(intent).where(intent.c.renewed_us < before_us).returning(intent.c.intent_id)
        return sorted(connection.execute(removed).scalars())


def require_intent(connection: Connection, intent_id: str, *, ends: bool) -> None:
    """Refuse a commit whose intent is gone, for vacuum may be deleting its files; otherwise it may end with it."""
    found = end_intent(connection, intent_id) if ends else _FIND.row(connection, {"intent": intent_id}) is not None
    if not found:
        raise StateError(
            f"The intent {intent_id} of this write is gone: it was silent for longer than vacuum's grace period.",
            hint="write again; its files may have been deleted.",
            code=ErrorCode.INTENT_EXPIRED,
            context={"intent": intent_id},
        )


# Made once: making a statement costs more than carrying it out.
_OF_ID = intent.c.intent_id == bindparam("intent", type_=TEXT)
_FIND = Statement(select(intent.c.intent_id).where(_OF_ID))
# A writer whose clock was set back must not look as if it had been silent since then.
_NOW = bindparam("now", type_=BIG)
_HEAD_US = select(head.c.at_us).scalar_subquery()
_NOT_BEFORE_HEAD = case((_HEAD_US > _NOW, _HEAD_US), else_=_NOW)
_INSERT = Statement(
    insert(intent).values(
        intent_id=bindparam("intent_id", type_=TEXT),
        kind=bindparam("kind", type_=TEXT),
        began_us=_NOT_BEFORE_HEAD,
        renewed_us=_NOT_BEFORE_HEAD,
        snapshot=bindparam("snapshot", type_=BIG),
    )
)
_RENEW = Statement(update(intent).where(_OF_ID).values(renewed_us=_NOT_BEFORE_HEAD))
_DELETE = Statement(delete(intent).where(_OF_ID))
