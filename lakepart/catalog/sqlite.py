"""How SQLite is opened, locked and kept small for many processes at once.

Writers take the write lock at the start of their transaction, so that no lock is ever upgraded half-way; the
write-ahead log is folded back outside of transactions, by one process at a time.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from filelock import FileLock, Timeout

from lakepart.catalog.failures import is_busy

T = TypeVar("T")

LOCK_WAIT_S = 60.0
LOG_LIMIT_BYTES = 4 * 1024 * 1024  # beyond this, the write-ahead log is folded back after a commit
_LOG_KEPT_BYTES = 1024 * 1024
_FIRST_PAUSE_S = 0.0005
_LONGEST_PAUSE_S = 0.02
_SETTINGS = f"""
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=ON;
PRAGMA wal_autocheckpoint=0;
PRAGMA journal_size_limit={_LOG_KEPT_BYTES};
"""
_DRIVER_WAIT_S = 0.02  # longer waits are ours: the driver's own steps are not random, so the unlucky stay unlucky


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait for others: growing random pauses, so that nobody stays unlucky, and not for ever."""

    draw: Callable[[], float]  # a random number from 0 to 1
    wait_s: float

    def until_free(self, action: Callable[[], T]) -> T:
        """Do ``action``, again as long as another connection is in its way."""
        deadline = time.monotonic() + self.wait_s
        longest = _FIRST_PAUSE_S
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(self.draw() * longest)
            longest = min(2 * longest, _LONGEST_PAUSE_S)


def open_connection(path: Path, *, read_only: bool, patience: Patience) -> sqlite3.Connection:
    """Open ``path``, which must exist; where nothing may be written beside it, for reading only."""
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    if read_only or not writable:
        mode = "mode=ro"
        if not writable and not _log_of(path).exists():
            # Without a log nobody is writing, and SQLite could not make the shared memory it wants beside one.
            mode = "mode=ro&immutable=1"
        return _connect(path, mode)
    connection = _connect(path, "mode=rw")
    patience.until_free(lambda: connection.executescript(_SETTINGS))
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(path))}?{mode}",
        uri=True,
        timeout=_DRIVER_WAIT_S,
        isolation_level=None,  # BEGIN is ours to say
        check_same_thread=False,  # the pool hands a connection to one thread at a time
    )


def begin(connection: sqlite3.Connection, *, write: bool, patience: Patience) -> None:
    """Begin a transaction once it can be had.

    A read fixes its snapshot here, so that whatever SQLite has to wait for happens here too.
    """

    def attempt() -> None:
        try:
            if write:
                connection.execute("BEGIN IMMEDIATE")
            else:
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    patience.until_free(attempt)


@contextmanager
def syncing(connection: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """Sync the log at the commits within, or leave that to the next one who does: the log keeps its order."""
    if durable:
        yield
        return
    connection.execute("PRAGMA synchronous=NORMAL")
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous=FULL")


def fold_log(path: Path, connection: sqlite3.Connection) -> None:
    """Copy the write-ahead log into the database if it has grown, unless another process is at it."""
    try:
        if _log_of(path).stat().st_size <= LOG_LIMIT_BYTES:
            return
    except FileNotFoundError:
        return
    try:
        with FileLock(f"{path}-checkpoint.lock", timeout=0):
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except Timeout:
        return  # somebody else is doing it


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")
