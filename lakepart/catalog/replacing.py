"""A catalog file that takes the place of a lost or damaged one: whole at once, and nothing is destroyed for it."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from lakepart.catalog.database import sync_folder, translate_os_error
from lakepart.errors import AlreadyExistsError, CatalogError, ErrorCode

_BUILDING = ".rebuilding"
_PARTS = ("", "-wal", "-shm")  # a log that is left beside a new file would be taken for its own


def judge(path: Path) -> str:
    """Say whether the catalog at ``path`` is ``"readable"``, ``"unreadable"`` or ``"absent"``; changes nothing."""
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
def building_beside(path: Path) -> Iterator[Path]:
    """Give the path to build a catalog at; what was left there by a process that died is removed before.

    Raises
    ------
    CatalogError
        ``catalog-busy``: another process is rebuilding it.
    """
    try:
        with FileLock(f"{path}-rebuild.lock", timeout=0):
            for left in path.parent.glob(f"{_escape(path.name)}.*{_BUILDING}*"):
                left.unlink()
            building = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_BUILDING}")
            try:
                yield building
            finally:
                for part in _PARTS:
                    with suppress(FileNotFoundError):
                        Path(f"{building}{part}").unlink()
    except Timeout as error:
        raise CatalogError(
            f"Another process is rebuilding {path}.", hint="wait for it.", code=ErrorCode.CATALOG_BUSY
        ) from error
    except OSError as error:
        raise translate_os_error(error, path) from error


def put_in_place(building: Path, path: Path, *, now: datetime) -> list[str]:
    """Let a finished catalog stand at ``path``; gives where the files that were there have gone.

    Raises
    ------
    AlreadyExistsError
        Somebody else has put a catalog there meanwhile.
    """
    _sync_file(building)
    set_aside = []
    for part in _PARTS:
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
    sync_folder(path.parent)
    return set_aside


def _escape(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
