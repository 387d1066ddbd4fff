"""A catalog as a whole: brought up to date, copied to another database, backed up and restored."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lakepart.catalog import copying, migrations
from lakepart.catalog.database import Database
from lakepart.catalog.locations import SQLITE, Location
from lakepart.engine.opening import (
    CATALOG_FILE,
    FORMAT,
    IDENTITY_PATH,
    StorageOptions,
    catalog_location,
    make_folder,
    read_identity,
    system_clock,
)
from lakepart.errors import CatalogError, ErrorCode, LakeNotFoundError, NotFoundError
from lakepart.model.catalog_plans import CatalogCopy, MigrationPlan
from lakepart.storage.addresses import without_secrets
from lakepart.storage.locations import open_store


def plan_migration(url: str, catalog: Location | None) -> MigrationPlan:
    """Say what the catalog of the lake at ``url`` lacks; changes nothing."""
    with _unopened(url, catalog) as database:
        return migrations.plan(database)


def apply_migration(url: str, catalog: Location | None, plan: MigrationPlan) -> MigrationPlan:
    """Bring a catalog up to date in one transaction; gives the plan that is left, an empty one."""
    with _unopened(url, catalog) as database:
        if not plan.is_empty:
            migrations.upgrade(database)
        return migrations.plan(database)


def copy(source: Location, target: Location) -> CatalogCopy:
    """Copy a catalog to where none is."""
    with Database.open(_place(source), clock=system_clock) as database:
        return copying.copy_catalog(database, _place(target))


def backup(url: str, catalog: Location | None, to: str | os.PathLike[str]) -> CatalogCopy:
    """Copy the catalog of the lake at ``url`` into a new SQLite file."""
    with Database.open(catalog_location(url, catalog), clock=system_clock) as database:
        return copying.copy_catalog(database, Path(to))


def restore(
    url: str, catalog: Location | None, source: str | os.PathLike[str], storage_options: StorageOptions = None
) -> CatalogCopy:
    """Copy a backup to where the lake at ``url`` has lost its catalog, and write its identity where that is gone."""
    root = open_store(url, storage_options)
    with Database.open(Path(source), clock=system_clock) as database:
        try:
            found: tuple[int, str] | None = read_identity(root, without_secrets(url))
        except NotFoundError:
            found = None
        if found is not None and found[1] != database.lake_id:
            raise CatalogError(
                f"The backup is of lake {database.lake_id}, but {without_secrets(url)!r} holds lake {found[1]}.",
                hint="name the backup that belongs to this lake.",
                code=ErrorCode.WRONG_CATALOG,
                context={"catalog_lake": database.lake_id, "storage_lake": found[1]},
            )
        location = catalog_location(url, catalog)
        if isinstance(location, Path):
            make_folder(location.parent)
        copied = copying.copy_catalog(database, location)
        if found is None:
            root.put_new(IDENTITY_PATH, json.dumps({"format": FORMAT, "lake_id": database.lake_id}).encode())
    return copied


def _unopened(url: str, catalog: Location | None) -> Database:
    location = catalog_location(url, catalog)
    if isinstance(location, Path) and not location.exists():
        raise LakeNotFoundError(
            f"There is no lake at {without_secrets(url)!r}: no catalog {str(location)!r}.",
            hint="check the address for typing errors.",
            context={"url": without_secrets(url)},
        )
    return Database(location, clock=system_clock)


def _place(catalog: Location) -> Location:
    """Take the folder of a lake for the catalog in it."""
    if not isinstance(catalog, str | os.PathLike):
        return catalog
    text = os.fspath(catalog).removeprefix(SQLITE)
    if "://" in text:
        return catalog
    return Path(text, CATALOG_FILE) if Path(text).is_dir() else Path(text)
