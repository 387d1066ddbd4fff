"""A catalog that takes the place of a lost or damaged one: whole at once, and nothing is destroyed for it.

It is built in an SQLite file. One that is to be in PostgreSQL is copied there, where no catalog may be.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from filelock import FileLock, Timeout

from lakepart.catalog.backends import LOCK_WAIT_S
from lakepart.catalog.copying import copy_catalog
from lakepart.catalog.database import Database
from lakepart.catalog.failures import translate_os_error
from lakepart.catalog.locations import Location, backend_for
from lakepart.catalog.sqlite import PARTS, sync
from lakepart.errors import AlreadyExistsError, CatalogError, ErrorCode, LakeNotFoundError

_BUILDING = ".rebuilding"


def name_of(location: Location) -> str:
    """Name the place of a catalog without secrets."""
    return backend_for(location, read_only=True, lock_wait_s=LOCK_WAIT_S).where


def judge(location: Location) -> str:
    """Say whether the catalog there is ``"readable"``, ``"unreadable"`` or ``"absent"``; changes nothing."""
    if isinstance(location, Path):
        return _judge_file(location)
    try:
        with Database.open(location, clock=lambda: datetime.now(UTC), read_only=True):
            return "readable"
    except LakeNotFoundError:
        return "absent"


def _judge_file(path: Path) -> str:
    if not path.exists():
        return "absent"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
            connection.execute("SELECT lake_id FROM lake").fetchone()
    except sqlite3.DatabaseError:
        return "unreadable"
    return "readable" if sound else "unreadable"


@contextmanager
def building_for(location: Location) -> Iterator[Path]:
    """Give the file to build a catalog in; what was left there by a process that died is removed before.

    Raises
    ------
    CatalogError
        ``catalog-busy``: another process is rebuilding it.
    """
    if not isinstance(location, Path):
        with TemporaryDirectory(prefix="lakepart-") as folder:
            yield Path(folder, "catalog.db")
        return
    path = location
    try:
        with FileLock(f"{path}-rebuild.lock", timeout=0):
            for left in path.parent.glob(f"{_escape(path.name)}.*{_BUILDING}*"):
                left.unlink()
            building = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_BUILDING}")
            try:
                yield building
            finally:
                for part in PARTS:
                    with suppress(FileNotFoundError):
                        Path(f"{building}{part}").unlink()
    except Timeout as error:
        raise CatalogError(
            f"Another process is rebuilding {path}.", hint="wait for it.", code=ErrorCode.CATALOG_BUSY
        ) from error
    except OSError as error:
        raise translate_os_error(error, str(path)) from error


def put_in_place(building: Path, location: Location, *, now: datetime) -> list[str]:
    """Let a finished catalog stand at its place; gives where the files that were there have gone.

    Raises
    ------
    AlreadyExistsError
        Somebody else has put a catalog there meanwhile.
    """
    if not isinstance(location, Path):
        with Database.open(building, clock=lambda: now) as database:
            copy_catalog(database, location)
        return []
    path = location
    sync(building)
    set_aside = []
    for part in PARTS:  # a log that is left beside a new file would be taken for its own
        there = Path(f"{path}{part}")
        if there.exists():
            kept = Path(f"{path}.set-aside-{now:%Y%m%dT%H%M%S%f}{part}")
            there.rename(kept)
            set_aside.append(str(kept))
    try:
        os.link(building, path)
    except FileExistsError as error:
        raise AlreadyExistsError(
            f"A catalog appeared at {path} while this one was built.",
            hint="connect to it.",
            context={"catalog": str(path)},
        ) from error
    sync(path.parent)
    return set_aside


def _escape(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
