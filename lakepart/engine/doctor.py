"""Doctor: what of this machine, the catalog's database and the stores will make trouble, before it does.

Nothing is changed: no catalog is migrated, and a store is tried out with an object that is deleted at once. What
``check`` does, comparing the catalog with what is stored, is not done here.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lakepart.catalog.database import Database
from lakepart.catalog.health import examine_database, examine_migrations, examine_sqlite_release
from lakepart.catalog.locations import Location
from lakepart.catalog.lookups import list_snapshots
from lakepart.engine.access import StorageOptions
from lakepart.engine.context import LakeContext
from lakepart.engine.opening import (
    IDENTITY_PATH,
    catalog_location,
    open_lake,
    read_identity,
    system_clock,
)
from lakepart.errors import LakeNotFoundError, LakepartError, NotFoundError
from lakepart.model.diagnoses import NOTICE, OK, PROBLEM, Diagnosis
from lakepart.model.instants import from_microseconds
from lakepart.storage.addresses import join_url, without_secrets
from lakepart.storage.base import Store
from lakepart.storage.credentials import CredentialsSource
from lakepart.storage.drivers import shortcomings
from lakepart.storage.locations import is_network_filesystem
from lakepart.storage.probing import disk_room, probe_store

_PACKAGES = {"pyarrow": None, "fsspec": None, "sqlalchemy": None, "psycopg": "a catalog in PostgreSQL needs it"}
_AHEAD = timedelta(minutes=1)


def examine_machine(*, uses_sqlite: bool = True) -> Iterator[Diagnosis]:
    """Say which releases are at work, and which of them are known for losing data."""
    system = f"{platform.system()} {platform.release()}"
    yield Diagnosis("python", OK, f"Python {platform.python_version()} on {system}, lakepart {_release('lakepart')}.")
    for name, needed_for in _PACKAGES.items():
        release = _release(name)
        if release is not None:
            yield Diagnosis(name, OK, f"{name} {release}.")
        elif needed_for is not None:
            yield Diagnosis(name, OK, f"{name} is not installed; {needed_for}.")
    yield examine_sqlite_release(is_used=uses_sqlite)


def examine_address(
    url: str,
    *,
    catalog: Location | None,
    read_only: bool,
    storage_options: StorageOptions,
    credentials: CredentialsSource = None,
) -> list[Diagnosis]:
    """Look at the lake at ``url`` as far as it can be opened; what keeps it from that is a problem, too.

    Raises
    ------
    LakeNotFoundError
        There is none.
    """
    uses_sqlite = True
    try:
        location = catalog_location(url, catalog)
        uses_sqlite = isinstance(location, Path)
        if isinstance(location, Path) and not location.exists():
            raise LakeNotFoundError(
                f"There is no lake at {without_secrets(url)!r}: no catalog {str(location)!r}.",
                hint="check the address for typing errors.",
                context={"url": without_secrets(url)},
            )
        found = list(examine_machine(uses_sqlite=uses_sqlite))
        with Database(location, clock=system_clock, read_only=read_only) as database:
            migrated = examine_migrations(database)
            found += [migrated, *examine_database(database)]
    except NotFoundError:
        raise
    except LakepartError as error:
        return [*examine_machine(uses_sqlite=uses_sqlite), Diagnosis("catalog", PROBLEM, error.message, error.hint)]
    if migrated.severity != OK:
        return found
    try:  # read-only, so that nothing is written but what tries the stores out
        context = open_lake(
            url, catalog=catalog, read_only=True, storage_options=storage_options, credentials=credentials
        )
    except NotFoundError:
        raise
    except LakepartError as error:
        return [*found, Diagnosis("lake", PROBLEM, error.message, error.hint)]
    with context.database:
        return [*found, *_storage(context, probing=not read_only)]


def examine_lake(context: LakeContext) -> list[Diagnosis]:
    """Look at a lake that is open."""
    database = context.database
    found = list(examine_machine(uses_sqlite=database.backend.migrates_by_itself))
    try:
        found += [examine_migrations(database), *examine_database(database)]
    except LakepartError as error:
        return [*found, Diagnosis("catalog", PROBLEM, error.message, error.hint)]
    return [*found, *_storage(context, probing=not context.read_only)]


def _storage(context: LakeContext, *, probing: bool) -> Iterator[Diagnosis]:
    yield _identity(context)
    yield from _time(context)
    if context.database.backend.migrates_by_itself:
        yield from _disk(context.database.where, "catalog")
    places: list[tuple[str, str, Store, str | None]] = [("lake", context.url, context.root, None)]
    for tier in context.tiers:
        store = context.stores[tier.name]
        places.append((f"tier {tier.name}", join_url(context.url, tier.root), store, tier.storage_class))
    for subject, address, store, storage_class in places:
        for missing in shortcomings(address):
            yield Diagnosis(subject, NOTICE, f"Its driver does not promise all: {missing}.", "docs/stores.md")
        path = f"_lakepart/probe-{context.new_id()}"
        local = store.os_path(path)
        if local is not None and subject != "lake":
            yield from _disk(local, subject)
        now = datetime.now(UTC)
        yield from probe_store(store, subject, path, now, writing=probing, storage_class=storage_class)


def _identity(context: LakeContext) -> Diagnosis:
    try:
        _, lake_id = read_identity(context.root, context.address)
    except NotFoundError:
        text = f"{IDENTITY_PATH} is missing, so nothing tells which catalog belongs here."
        return Diagnosis("lake", NOTICE, text, "the next connect that may write puts it back.")
    except LakepartError as error:
        return Diagnosis("lake", PROBLEM, error.message, error.hint)
    if lake_id != context.database.lake_id:
        text = f"The catalog is of lake {context.database.lake_id}, and the folder of lake {lake_id}."
        return Diagnosis("lake", PROBLEM, text, "name the catalog that belongs to this lake.")
    return Diagnosis("lake", OK, f"{context.address} is lake {lake_id}, as the catalog says.")


def _time(context: LakeContext) -> Iterator[Diagnosis]:
    with context.database.reading() as connection:
        newest = list_snapshots(connection, limit=1)[0]
    ahead = from_microseconds(newest.at_us) - context.clock()
    if ahead > _AHEAD:
        text = f"Snapshot {newest.snapshot} was committed {ahead.total_seconds():.0f} s from now."
        yield Diagnosis("clock", NOTICE, text, "this machine's clock is behind, or that of who committed was ahead.")


def _disk(place: str, subject: str) -> Iterator[Diagnosis]:
    room = disk_room(place, subject)
    if room is not None:
        yield room
    if is_network_filesystem(place):
        severity = PROBLEM if subject == "catalog" else OK
        text = f"{without_secrets(place)} is on a network file system."
        yield Diagnosis(subject, severity, text, "put the catalog on a local disk." if severity == PROBLEM else None)


def _release(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
