"""Numbered migrations of the catalog; run by itself on SQLite when a lake made by an older release is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from lakepart.errors import CatalogError, ErrorCode
from lakepart.model.catalog_plans import MigrationPlan

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

    from lakepart.catalog.database import Database


def require_known(found: str, where: str) -> list[str]:
    """Give the migrations that a catalog at migration ``found`` lacks, in their order.

    Raises
    ------
    CatalogError
        ``catalog-too-new``: this release does not know the migration ``found``.
    """
    known = [revision.revision for revision in scripts().walk_revisions()]
    if found not in known:
        raise CatalogError(
            f"Catalog {where} was made by a newer lakepart: its migration is {found!r}, the newest known {known[0]!r}.",
            hint="upgrade lakepart.",
            code=ErrorCode.CATALOG_TOO_NEW,
            context={"catalog": where, "found": found, "known": known[0]},
        )
    return known[: known.index(found)][::-1]


def plan(database: Database) -> MigrationPlan:
    """Say what a catalog lacks, whatever release made it."""
    found = database.find_migration()
    purposes = {revision.revision: revision.doc for revision in scripts().walk_revisions()}
    pending = tuple((number, purposes[number].rstrip(".")) for number in require_known(found, database.where))
    return MigrationPlan(database.where, found, pending)


def upgrade(database: Database) -> None:
    """Bring a catalog to the newest migration, while nobody else writes to it."""
    with database.writing() as connection:
        run(connection)


def run(connection: Connection, *, to: str = "head") -> None:
    """Apply the migrations up to ``to`` that ``connection``'s database lacks, within the transaction it is in."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    if not connection.in_transaction():
        connection.begin()  # in SQLAlchemy's eyes too: Alembic commits what it believes to have begun itself
    directory = scripts()

    def missing(found: tuple[str, ...], _: object) -> list[Any]:
        return list(directory._upgrade_revs(to, found))  # what Alembic's own upgrade command gives its runner

    context = MigrationContext.configure(
        connection, opts={"fn": missing, "transactional_ddl": False, "script": directory}
    )
    with Operations.context(context):
        context.run_migrations()


def scripts() -> ScriptDirectory:
    """Give the migrations as Alembic sees them."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(__file__).parent))
