"""What people say of versions by hand."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import TEXT, head, version


def mark_stale(database: Database, *, asset_id: int, branch_id: int, ordinals: Sequence[int], reason: str) -> int:
    """Mark the current versions of some partitions as stale; gives how many were. A rewrite ends the mark."""
    statement = (
        update(version)
        .where(
            version.c.asset_id == asset_id,
            version.c.branch_id == branch_id,
            version.c.ended.is_(None),
            in_json(version.c.ordinal, "ordinals"),
        )
        .values(stale_mark=bindparam("reason", type_=TEXT), marked=select(head.c.snapshot).scalar_subquery())
    )
    with database.writing() as connection:
        return connection.execute(statement, {"ordinals": to_json(list(ordinals)), "reason": reason}).rowcount
