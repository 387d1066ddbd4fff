"""Making and opening lakes: from an address to a context.

The catalog is made first and appears whole; the lake's ``lake.json`` follows. A process that dies in between leaves a
catalog that says which lake it is, and the next ``connect`` writes what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from uuid import uuid4

from lakepart.catalog.database import Database
from lakepart.catalog.locations import SQLITE, Location, is_postgresql
from lakepart.catalog.lookups import get_head
from lakepart.engine.access import Access, StorageOptions
from lakepart.engine.context import Clock, LakeContext, new_id
from lakepart.errors import (
    AlreadyExistsError,
    CatalogError,
    ErrorCode,
    InvalidInputError,
    LakeNotFoundError,
    NotFoundError,
    StorageError,
)
from lakepart.model.archives import ARCHIVE_CLASSES
from lakepart.model.names import check_tier_name
from lakepart.model.records import TierRecord
from lakepart.storage.addresses import check_roots, has_secrets, is_local, join_url, local_path, without_secrets
from lakepart.storage.base import Store
from lakepart.storage.credentials import CredentialsSource, name_of
from lakepart.storage.locations import is_network_filesystem
from lakepart.storage.probing import overwrites

IDENTITY_PATH = "_lakepart/lake.json"
FORMAT = 1
CATALOG_FILE = "catalog.db"
DEFAULT_TIERS = (TierRecord("hot", "hot", rank=0), TierRecord("cold", "cold", rank=1))


def system_clock() -> datetime:
    """Give the time now, aware, in UTC."""
    return datetime.now(UTC)


def absolute_address(url: str) -> str:
    """Make a local address absolute, so that a handle means the same lake in a process that works elsewhere."""
    return local_path(url) if is_local(url) else url


def absolute_catalog(catalog: Location | None) -> Location | None:
    """Make the path of a SQLite catalog absolute."""
    if not isinstance(catalog, str) or not catalog.startswith(SQLITE):
        return catalog
    return SQLITE + local_path(catalog.removeprefix(SQLITE))


def create_lake(
    url: str,
    *,
    catalog: Location | None,
    tiers: Sequence[TierRecord] | None,
    storage_options: StorageOptions,
    credentials: CredentialsSource = None,
    clock: Clock = system_clock,
) -> LakeContext:
    """Make a lake and open it; AlreadyExistsError if there is one."""
    chosen = tuple(tiers) if tiers else DEFAULT_TIERS
    _check_tiers(url, chosen)
    location = catalog_location(url, catalog)
    access = Access(url, storage_options, credentials)
    access.require_abilities(chosen)
    root = access.open_root()
    stores = access.open_tiers(chosen, root)
    if root.stat(IDENTITY_PATH) is not None:
        raise AlreadyExistsError(
            f"There is a lake at {without_secrets(url)!r} already.",
            hint="connect to it, or choose another place.",
            context={"url": without_secrets(url)},
        )
    if not is_local(url):
        _require_creation(root, without_secrets(url))
    for tier in chosen:
        if not is_local(tier.root) and join_url(url, tier.root) == tier.root:  # elsewhere than the lake's own folder
            _try_out(stores[tier.name])
    if is_local(url):
        make_folder(Path(local_path(url)))
    if isinstance(location, Path):
        make_folder(location.parent)
    database = Database.create(location, lake_id=uuid4().hex, clock=clock, tiers=chosen)
    context = LakeContext(url, catalog, database, root, chosen, stores, clock, new_id, credentials=name_of(credentials))
    _identify(context)
    return context


def _require_creation(root: Store, address: str) -> None:
    """Refuse a place for a lake's own folder that overwrites.

    There names are given by counting: ``lake.json``, a manifest for each snapshot. Names of data files are unique, so
    tiers do not depend on it.
    """
    if overwrites(root, f"_lakepart/probe-{new_id()}"):
        raise StorageError(
            f"The store at {address!r} overwrites what is there although it is asked to create only (If-None-Match): "
            "two lakes could be made in one place, and take each other's commits for their own. Nothing was made.",
            hint="use a release of this store that keeps conditional writes; or let the lake's own folder be on a disk "
            "or in another store, and put only tiers here.",
            code=ErrorCode.UNSUPPORTED,
            context={"url": address},
        )


def _try_out(store: Store) -> None:
    """Let a typing error in the address of a tier, or a right that is missing, be found before it is recorded."""
    store.put_new(path := f"probe-{new_id()}", b"probe")
    store.delete(path)


def open_lake(
    url: str,
    *,
    catalog: Location | None,
    read_only: bool,
    storage_options: StorageOptions,
    credentials: CredentialsSource = None,
    clock: Clock = system_clock,
) -> LakeContext:
    """Open the lake at ``url``; LakeNotFoundError if there is none."""
    location = catalog_location(url, catalog)
    if catalog is None and Path(local_path(url)).is_file():
        raise LakeNotFoundError(
            f"{without_secrets(url)!r} is a file, and a lake is a folder.", hint="name the lake's folder."
        )
    if isinstance(location, Path) and not location.exists():
        raise LakeNotFoundError(
            f"There is no lake at {without_secrets(url)!r}: no catalog {str(location)!r}.",
            hint="lakepart.create makes a new lake; check the address for typing errors.",
            context={"url": without_secrets(url), "catalog": str(location)},
        )
    database = Database.open(location, clock=clock, read_only=read_only)
    try:
        access = Access(url, storage_options, credentials)
        if not read_only:
            access.require_abilities(database.tiers)
        root = access.open_root()
        stores = access.open_tiers(database.tiers, root)
        context = LakeContext(
            url,
            catalog,
            database,
            root,
            database.tiers,
            stores,
            clock,
            new_id,
            read_only,
            credentials=name_of(credentials),
        )
        _identify(context)
    except BaseException:
        database.close()
        raise
    return context


def _identify(context: LakeContext) -> None:
    """Compare the identity on storage with the catalog's; write it where it is missing."""
    lake_id = context.database.lake_id
    try:
        found_format, found_id = read_identity(context.root, context.address)
    except NotFoundError:
        _require_new(context)
        if not context.read_only:
            context.root.put_new(IDENTITY_PATH, json.dumps({"format": FORMAT, "lake_id": lake_id}).encode())
        return
    if found_format > FORMAT:
        raise CatalogError(
            f"The lake at {context.address!r} has format {found_format}, made by a newer lakepart than this one.",
            hint="upgrade lakepart.",
            code=ErrorCode.CATALOG_TOO_NEW,
        )
    if found_id != lake_id:
        raise CatalogError(
            f"The catalog is of lake {lake_id}, but {context.address!r} holds lake {found_id}.",
            hint="name the catalog that belongs to this lake.",
            code=ErrorCode.WRONG_CATALOG,
            context={"catalog_lake": lake_id, "storage_lake": found_id},
        )


def _require_new(context: LakeContext) -> None:
    """Refuse a lake whose catalog is elsewhere and has commits: what they wrote is not at this address."""
    if context.catalog is None:
        return
    with context.database.reading() as connection:
        commits = get_head(connection).snapshot
    if commits:
        raise LakeNotFoundError(
            f"There is no lake at {context.address!r}: it has no {IDENTITY_PATH}, and its catalog {commits} commits.",
            hint="check the address for typing errors; the data are where the lake was created.",
            context={"url": context.address, "catalog": context.database.where},
        )


def read_identity(root: Store, address: str) -> tuple[int, str]:
    """Give format and identity of the lake whose folder is ``root``; NotFoundError where they are not written."""
    return identity_from(root.read_bytes(IDENTITY_PATH), address)


def identity_from(data: bytes, address: str) -> tuple[int, str]:
    """Read the format and the lake's id from the bytes of its ``lake.json``."""
    try:
        identity = json.loads(data)
        return int(identity["format"]), str(identity["lake_id"])
    except (ValueError, TypeError, KeyError) as error:
        raise CatalogError(
            f"{IDENTITY_PATH} of {address!r} does not say which lake this is.",
            hint="restore the file from a backup.",
            code=ErrorCode.WRONG_CATALOG,
        ) from error


def catalog_location(url: str, catalog: Location | None) -> Location:
    """Say where the catalog of the lake at ``url`` is; SQLite's place is given as a path."""
    if catalog is None:
        if not is_local(url):
            raise InvalidInputError(
                f"A lake at {without_secrets(url)!r} needs a catalog: a database cannot lie in an object store.",
                hint='catalog="postgresql://host/database" suits a team, "sqlite:////path/to/catalog.db" one machine.',
            )
        location = Path(local_path(url)) / CATALOG_FILE
    elif isinstance(catalog, str) and catalog.startswith(SQLITE):
        location = Path(catalog.removeprefix(SQLITE))
    elif not isinstance(catalog, str) or is_postgresql(catalog):
        return catalog
    else:
        scheme = catalog.partition(":")[0]
        raise InvalidInputError(
            f"A catalog in {scheme!r} is not supported.",
            hint='catalog="sqlite:////path/to/catalog.db" names a SQLite file, "postgresql://…" a PostgreSQL database.',
            code=ErrorCode.UNSUPPORTED,
        )
    if is_network_filesystem(str(location)):
        raise CatalogError(
            f"The catalog {str(location)!r} would lie on a network file system, where SQLite can lose commits.",
            hint="put the catalog on a local disk, or in PostgreSQL (catalog=…); the data may stay where they are.",
            code=ErrorCode.UNSUPPORTED,
        )
    return location


def _check_tiers(url: str, tiers: Sequence[TierRecord]) -> None:
    names = [check_tier_name(tier.name) for tier in tiers]
    if len(set(names)) < len(names):
        raise InvalidInputError(f"Tier names must differ, and {names} do not.")
    hottest = min(tiers, key=attrgetter("rank"))
    if hottest.storage_class in ARCHIVE_CLASSES:
        raise InvalidInputError(
            f"Tier {hottest.name!r} is the first, so new files go there, and what lies in class "
            f"{hottest.storage_class!r} cannot be read at once.",
            hint="list a tier of another class before it; archive classes are for the colder ones.",
            code=ErrorCode.UNSUPPORTED,
        )
    for tier in tiers:
        if has_secrets(tier.root):
            raise InvalidInputError(
                f"The address of tier {tier.name!r} has a password or a query, and would be recorded with it.",
                hint="give secrets by storage_options or credentials, which are never stored.",
            )
    check_roots({tier.name: join_url(url, tier.root) for tier in tiers})


def make_folder(folder: Path) -> None:
    """Make a folder that is to hold a lake or a catalog."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StorageError(
            f"{str(folder)!r} cannot be a folder: a file is in the way.", hint="choose another path."
        ) from error
    except OSError as error:
        raise StorageError(
            f"The folder {str(folder)!r} cannot be made: {error.strerror}.",
            hint="choose a place you may write to.",
            code=ErrorCode.PERMISSION,
        ) from error
