"""What is done to a lake's catalog as a whole: migrated, copied to another database, backed up, restored."""

from __future__ import annotations

import os

from lakepart.catalog.locations import Location
from lakepart.engine import catalogs
from lakepart.engine.opening import StorageOptions, absolute_address, absolute_catalog
from lakepart.model.catalog_plans import CatalogCopy, MigrationPlan


def plan_migration(url: str | os.PathLike[str], *, catalog: Location | None = None) -> MigrationPlan:
    """Say what a lake's catalog lacks to be one of this release.

    Parameters
    ----------
    url, catalog
        As for :func:`lakepart.connect`.

    Raises
    ------
    LakeNotFoundError
        There is none.
    CatalogError
        It is no catalog, or a newer lakepart made it.
    """
    return catalogs.plan_migration(absolute_address(os.fspath(url)), absolute_catalog(catalog))


def migrate_catalog(url: str | os.PathLike[str], *, catalog: Location | None = None) -> MigrationPlan:
    """Bring a lake's catalog up to date, in one transaction; gives what was done.

    Only a catalog in PostgreSQL needs to be asked: there other releases may be at work, and the one before this goes on
    working. One in SQLite is brought up to date when it is opened.

    Raises
    ------
    LakeNotFoundError
        There is none.
    CatalogError
        It is no catalog, a newer lakepart made it, or others kept it busy for a minute.
    StorageError
        Your role may not change tables (``permission``).
    """
    plan = plan_migration(url, catalog=catalog)
    catalogs.apply_migration(absolute_address(os.fspath(url)), absolute_catalog(catalog), plan)
    return plan


def copy_catalog(source: Location, target: Location) -> CatalogCopy:
    """Copy a catalog into another database, row for row, where none is yet.

    Readers and writers of the source are not disturbed, so stop its writers first: what they commit later is in the
    source alone. From then on use one of the two, by ``connect(url, catalog=target)``: they are of the same lake.

    Parameters
    ----------
    source, target
        ``postgresql://…``, the path of an SQLite file or ``sqlite:///path``; a lake's folder stands for the catalog in
        it. Engines and functions as for :func:`lakepart.connect`.

    Raises
    ------
    LakeNotFoundError
        There is no catalog at ``source``.
    AlreadyExistsError
        There is one at ``target``.
    CorruptionError
        What was written is not what was read; nothing is left of it.

    Notes
    -----
    One consistent read of the source; the copy is one transaction, read back and compared before it is committed.
    """
    return catalogs.copy(absolute_catalog(source) or source, absolute_catalog(target) or target)


def backup_catalog(
    url: str | os.PathLike[str], to: str | os.PathLike[str], *, catalog: Location | None = None
) -> CatalogCopy:
    """Copy a lake's catalog, in whatever database it is, into a new SQLite file, while others go on.

    Raises
    ------
    LakeNotFoundError
        There is no lake.
    AlreadyExistsError
        ``to`` exists.
    """
    return catalogs.backup(absolute_address(os.fspath(url)), absolute_catalog(catalog), to)


def restore_catalog(
    url: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    catalog: Location | None = None,
    storage_options: StorageOptions = None,
) -> CatalogCopy:
    """Put a backup in the place of a lake's catalog that is lost, in the same database or another.

    What was committed after the backup is not in it: ``check`` names the files of it as abandoned.

    Raises
    ------
    AlreadyExistsError
        The lake has a catalog there.
    CatalogError
        The backup is of another lake (``wrong-catalog``).
    """
    address = absolute_address(os.fspath(url))
    return catalogs.restore(address, absolute_catalog(catalog), source, storage_options)
