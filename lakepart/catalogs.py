"""What is done to a lake's catalog as a whole: migrated, copied, backed up, restored, rebuilt, and looked at."""

from __future__ import annotations

import os
from typing import Any

from lakepart.catalog.locations import Location
from lakepart.engine import catalogs
from lakepart.engine import doctor as doctors
from lakepart.engine import rebuild as rebuilds
from lakepart.engine.access import StorageOptions
from lakepart.engine.opening import absolute_address, absolute_catalog
from lakepart.engine.rebuild import RebuildReport
from lakepart.model.catalog_plans import CatalogCopy, MigrationPlan
from lakepart.model.diagnoses import Diagnosis
from lakepart.model.plans import RebuildPlan
from lakepart.storage.credentials import CredentialsSource


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
    credentials: CredentialsSource = None,
    set_aside_later: bool = False,
) -> CatalogCopy:
    """Put a backup in the place of a lake's catalog that is lost, in the same database or another.

    What was committed after the backup is not in it, but :func:`rebuild` recovers it from storage.

    Parameters
    ----------
    url, catalog
        As for :func:`lakepart.connect`.
    source
        What :func:`backup_catalog` wrote.
    storage_options, credentials
        As for :func:`lakepart.connect`; never stored.
    set_aside_later
        Give up what was committed after the backup: its manifests and tags are set aside, its files are vacuum's.

    Raises
    ------
    StateError
        Storage knows of later commits than the backup, and ``set_aside_later`` was not said.
    AlreadyExistsError
        The lake has a catalog there.
    CatalogError
        The backup is of another lake (``wrong-catalog``).
    """
    address = absolute_address(os.fspath(url))
    return catalogs.restore(
        address, absolute_catalog(catalog), source, storage_options, credentials, set_aside_later=set_aside_later
    )


def plan_rebuild(
    url: str | os.PathLike[str],
    *,
    catalog: Location | None = None,
    to: int | None = None,
    replace: bool = False,
    storage_options: StorageOptions = None,
    credentials: CredentialsSource = None,
) -> RebuildPlan:
    """Say what :func:`rebuild` would recover, and what is in its way; parameters as there. Changes nothing."""
    return rebuilds.plan_rebuild(
        absolute_address(os.fspath(url)),
        catalog=absolute_catalog(catalog),
        to=to,
        replace=replace,
        storage_options=storage_options,
        credentials=credentials,
    )


def rebuild(
    url: str | os.PathLike[str],
    *,
    catalog: Location | None = None,
    to: int | None = None,
    replace: bool = False,
    storage_options: StorageOptions = None,
    credentials: CredentialsSource = None,
) -> RebuildReport:
    """Make a lost catalog anew from the manifests and the data on storage.

    Assets with their definitions, schemas and producers, keys, branches, tiers, versions with their history, lineage
    and marks are as they were after the last commit whose manifest was written. Backfills and work under way are not
    recovered. Files that no manifest speaks of are named and never adopted.

    Parameters
    ----------
    url
        The lake's folder or URL.
    catalog
        Where the catalog is to be; as for :func:`lakepart.create`.
    to
        The snapshot whose state to recover; the newest by default.
    replace
        Whether a catalog that can be read is set aside, too. One that cannot be read always is. Nothing is deleted.
    storage_options, credentials
        As for :func:`lakepart.connect`; never stored.

    Raises
    ------
    LakeNotFoundError
        There are no manifests.
    AlreadyExistsError
        There is a catalog, and it can be read. In PostgreSQL no catalog is set aside: rename its schema.
    CorruptionError
        A manifest is missing or damaged; the message names the state before the gap.
    CatalogError
        A manifest is of another lake, or was made by a newer lakepart.

    Notes
    -----
    Reads every checkpoint and the manifests since, and lists every tier once; of files that lie on several tiers, the
    bytes of one copy each, or of more where that is damaged. The new catalog appears whole or not at all.
    """
    reached_by: dict[str, Any] = {"catalog": catalog, "storage_options": storage_options, "credentials": credentials}
    return apply_rebuild(url, plan_rebuild(url, to=to, replace=replace, **reached_by), **reached_by)


def apply_rebuild(
    url: str | os.PathLike[str],
    plan: RebuildPlan,
    *,
    catalog: Location | None = None,
    storage_options: StorageOptions = None,
    credentials: CredentialsSource = None,
) -> RebuildReport:
    """Carry out exactly what :func:`plan_rebuild` said of the same ``url`` and ``catalog``."""
    return rebuilds.apply_rebuild(
        absolute_address(os.fspath(url)),
        plan,
        catalog=absolute_catalog(catalog),
        storage_options=storage_options,
        credentials=credentials,
    )


def doctor(
    url: str | os.PathLike[str] | None = None,
    *,
    catalog: Location | None = None,
    read_only: bool = False,
    storage_options: StorageOptions = None,
    credentials: CredentialsSource = None,
) -> list[Diagnosis]:
    """Look for what will make trouble: releases with known bugs, settings, rights, clocks, room, stores.

    Parameters
    ----------
    url
        The lake's folder or URL; ``LAKEPART_URL`` by default, and without that the machine alone is looked at.
    catalog
        As for :func:`lakepart.connect`.
    read_only
        Whether you mean to read only: nothing is written to try the stores out, and rights to write are not missed.
    storage_options, credentials
        As for :func:`lakepart.connect`; never stored.

    Returns
    -------
    What was looked at, each with ``subject``, ``severity`` (``ok``, ``notice``, ``problem``), a sentence and a hint.
    A lake that cannot be opened is a problem with the reason.

    Raises
    ------
    LakeNotFoundError
        There is none.

    Notes
    -----
    Writes an object of five bytes to each tier and deletes it, in S3 by some 20 requests, which show each right that is
    missing; a dozen queries. Nothing else is changed, and no catalog is migrated. Whether the data are whole is what
    :meth:`Lake.check <lakepart.Lake.check>` says.

    Examples
    --------
    ::

        [str(one) for one in lp.doctor("lake/") if one.severity == "problem"]
    """
    chosen = url if url is not None else os.environ.get("LAKEPART_URL")
    if chosen is None:
        return list(doctors.examine_machine())
    return doctors.examine_address(
        absolute_address(os.fspath(chosen)),
        catalog=absolute_catalog(catalog or os.environ.get("LAKEPART_CATALOG")),
        read_only=read_only,
        storage_options=storage_options,
        credentials=credentials,
    )
