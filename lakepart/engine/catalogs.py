"""A catalog as a whole: brought up to date, copied to another database, backed up and restored."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from lakepart.catalog import copying, migrations
from lakepart.catalog.database import Database
from lakepart.catalog.locations import SQLITE, Location
from lakepart.catalog.lookups import get_head
from lakepart.engine.access import Access, StorageOptions
from lakepart.engine.manifests import list_spans, set_aside
from lakepart.engine.opening import (
    CATALOG_FILE,
    FORMAT,
    IDENTITY_PATH,
    catalog_location,
    make_folder,
    read_identity,
    system_clock,
)
from lakepart.engine.tags import stored_tags
from lakepart.errors import CatalogError, ErrorCode, LakeNotFoundError, NotFoundError, StateError
from lakepart.model.catalog_plans import CatalogCopy, MigrationPlan
from lakepart.model.plans import count_of
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import Store
from lakepart.storage.credentials import CredentialsSource


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
    url: str,
    catalog: Location | None,
    source: str | os.PathLike[str],
    storage_options: StorageOptions = None,
    credentials: CredentialsSource = None,
    *,
    set_aside_later: bool = False,
) -> CatalogCopy:
    """Copy a backup to where the lake at ``url`` has lost its catalog, and write its identity where that is gone."""
    root = Access(url, storage_options, credentials).open_root()
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
        later = _require_newest(database, root, set_aside_later=set_aside_later)
        if isinstance(location, Path):
            make_folder(location.parent)
        copied = copying.copy_catalog(database, location)
        if found is None:
            root.put_new(IDENTITY_PATH, json.dumps({"format": FORMAT, "lake_id": database.lake_id}).encode())
        return replace(copied, set_aside=tuple(set_aside(root, later, system_clock())))


def _require_newest(database: Database, root: Store, *, set_aside_later: bool) -> list[str]:
    """Refuse a backup that storage knows later commits than, unless told otherwise; gives what tells of those."""
    with database.reading() as connection:
        newest = get_head(connection).snapshot
    spans = [span for span in list_spans(root) if span.last > newest]
    if spans and not set_aside_later:
        last = max(span.last for span in spans)
        raise StateError(
            f"The backup ends with snapshot {newest}, and storage has manifests of commits up to {last}: restoring it "
            f"would lose {count_of(last - newest, 'commit')}. Nothing was changed.",
            hint="rebuild recovers them without a backup; set_aside_later=True (--set-aside-later) gives them up.",
            context={"snapshot": newest, "newest": last},
        )
    tags = [path for path, values in stored_tags(root) if values is not None and values["snapshot"] > newest]
    return [*(span.path for span in spans), *tags]


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
