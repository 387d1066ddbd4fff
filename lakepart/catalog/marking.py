"""What people say of versions by hand."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import bindparam, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import current_branch
from lakepart.catalog.reading import find_version_columns
from lakepart.catalog.scopes import Ranges, Scope, in_json
from lakepart.catalog.tables import BIG, TEXT, head, version


def mark_stale(database: Database, scope: Scope, ranges: Ranges, *, reason: str) -> int:
    """Mark the current versions of some partitions as stale; gives how many were. A rewrite ends the mark.

    On a branch only its own versions are marked: those of main are not the branch's to mark.

    Raises
    ------
    StateError
        The branch was published or discarded.
    """
    with database.writing() as connection:
        scope = replace(scope, branch=current_branch(connection, scope.branch))
        shown = find_version_columns(connection, scope, ranges, ("version_id",))["version_id"]
        parameters = {"versions": to_json(shown), "branch": scope.branch.branch_id, "reason": reason}
        return connection.execute(_MARK, parameters).rowcount


_MARK = (
    update(version)
    .where(in_json(version.c.version_id, "versions"), version.c.branch_id == bindparam("branch", type_=BIG))
    .values(stale_mark=bindparam("reason", type_=TEXT), marked=select(head.c.snapshot).scalar_subquery())
)
