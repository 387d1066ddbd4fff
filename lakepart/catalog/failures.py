"""The errors of a catalog, and which of them SQLite means."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from errno import EACCES, ENOSPC, EPERM, EROFS

from lakepart.errors import CatalogError, ErrorCode, LakepartError, StateError, StorageError

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT}
_UNWRITABLE = {sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def primary_code(error: BaseException | None) -> int:
    """Give SQLite's primary result code, 0 where there is none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Say whether another connection holds what this one wanted: the one failure that waiting cures."""
    return primary_code(error) in _BUSY


def disk_full(where: str, error: BaseException) -> LakepartError:
    """Give the error for a disk without room."""
    return StorageError(
        f"The disk of catalog {where} is full: {error}.",
        hint="free some space and try again; nothing was changed.",
        code=ErrorCode.DISK_FULL,
        context={"catalog": where},
    )


def unwritable(where: str, error: BaseException) -> LakepartError:
    """Give the error for a catalog that may be read only."""
    return StorageError(
        f"Catalog {where} cannot be written: {error}.",
        hint="check who owns the folder and the file; reading needs only the right to read.",
        code=ErrorCode.PERMISSION,
        context={"catalog": where},
    )


def not_a_catalog(where: str, error: BaseException) -> LakepartError:
    """Give the error for a database that is something else."""
    return CatalogError(
        f"{where} is not a lakepart catalog: {error}.",
        hint="name the folder of a lake, or its catalog file.",
        code=ErrorCode.NOT_A_CATALOG,
        context={"catalog": where},
    )


def cannot_open(where: str, error: BaseException) -> LakepartError:
    """Give the error for a file that cannot be opened."""
    return StorageError(
        f"Catalog {where} cannot be opened: {error}.",
        hint="check that the file is there and may be read.",
        code=ErrorCode.PERMISSION,
        context={"catalog": where},
    )


def damaged(where: str, error: BaseException) -> LakepartError:
    """Give the error for a database whose pages are broken."""
    return CatalogError(
        f"Catalog {where} is damaged: {error}.",
        hint="restore it from a backup.",
        context={"catalog": where},
    )


def _busy(where: str, error: BaseException) -> LakepartError:
    return busy_for_too_long(where, error, 0)


def busy_for_too_long(where: str, error: BaseException, waited_s: float) -> LakepartError:
    """Give the error for a lock that was not to be had."""
    return CatalogError(
        f"Catalog {where} was busy for {waited_s:.0f} s: {error}.",
        hint="another process holds its write lock; the same call may succeed if made again.",
        code=ErrorCode.CATALOG_BUSY,
        context={"catalog": where, "waited_s": waited_s},
    )


_BY_CODE: dict[int, Callable[[str, BaseException], LakepartError]] = {
    sqlite3.SQLITE_FULL: disk_full,
    sqlite3.SQLITE_IOERR_SHMSIZE: disk_full,  # the memory that processes share has no room as a file
    sqlite3.SQLITE_READONLY: unwritable,
    sqlite3.SQLITE_NOTADB: not_a_catalog,
    sqlite3.SQLITE_CANTOPEN: cannot_open,
    **dict.fromkeys(_UNWRITABLE, unwritable),
    **dict.fromkeys(_DAMAGED, damaged),
    **dict.fromkeys(_BUSY, _busy),
}


def translate(error: BaseException, where: str, *, read_only: bool = False) -> LakepartError:
    """Give lakepart's error for a driver's ``error``; the caller raises it ``from`` the original."""
    code = primary_code(error)
    if read_only and code == sqlite3.SQLITE_READONLY:
        return read_only_handle(where)
    for known in (getattr(error, "sqlite_errorcode", 0), code):
        if known in _BY_CODE:
            return _BY_CODE[known](where, error)
    return CatalogError(f"Catalog {where} failed: {error}.", context={"catalog": where})


def read_only_handle(where: str) -> LakepartError:
    """Give the error for a write through a handle that was opened for reading."""
    return StateError(
        f"Catalog {where} was opened for reading only.",
        hint="connect without read_only=True.",
        code=ErrorCode.READ_ONLY,
        context={"catalog": where},
    )


def translate_os_error(error: OSError, where: str) -> LakepartError:
    """Give lakepart's error for a failed file operation beside the catalog."""
    if error.errno == ENOSPC:
        return disk_full(where, error)
    if error.errno in {EACCES, EPERM, EROFS}:
        return unwritable(where, error)
    return cannot_open(where, error)
