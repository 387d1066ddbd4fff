"""How SQLite is opened, locked and kept small for many processes at once.

Writers take the write lock at the start of their transaction, so that no lock is ever upgraded half-way; the
write-ahead log is folded back outside of transactions, by one process at a time.
"""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from lakepart.catalog.backends import driver_of, original
from lakepart.catalog.failures import busy_for_too_long, is_busy, not_a_catalog, translate, translate_os_error
from lakepart.errors import AlreadyExistsError, LakeNotFoundError, LakepartError

T = TypeVar("T")

PARTS = ("", "-wal", "-shm")  # the files of one catalog: itself, its log, and the memory that processes share
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
# A statement is compiled once in a process, not once for every lake that is opened.
_DIALECT = create_engine("sqlite://").dialect
_compiled_statements: dict[Any, Any] = {}
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


class SqliteBackend:
    """A catalog in an SQLite file."""

    errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    migrates_by_itself = True

    def __init__(self, path: Path, *, read_only: bool, lock_wait_s: float) -> None:
        self.path = path
        self.where = str(path)
        self._log = _log_of(path)
        self.read_only = read_only
        self.lock_wait_s = lock_wait_s
        self._patience = Patience(random.Random().random, lock_wait_s)  # noqa: S311 - pauses, not secrets

    def create(self, fill: Callable[[Connection], None]) -> None:
        """Make the file under a temporary name and link it into place."""
        temporary = self.path.with_name(f"{self.path.name}.{secrets.token_hex(8)}.new")
        try:
            temporary.touch(exist_ok=False)
            try:
                _make(temporary, fill)
                os.link(temporary, self.path)
            finally:
                for part in PARTS:  # without room SQLite cannot clear its log away
                    Path(f"{temporary}{part}").unlink(missing_ok=True)
            sync(self.path.parent)
        except FileExistsError as error:
            raise AlreadyExistsError(
                f"There is a catalog at {self.where} already.",
                hint="connect to it, or choose another place.",
                context={"catalog": self.where},
            ) from error
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise translate(original(error), self.where) from error
        except OSError as error:
            raise translate_os_error(error, self.where) from error

    def require_present(self) -> None:
        """Refuse to open what is no file: SQLite would make one."""
        if not self.path.is_file():
            exists = self.path.exists()
            raise LakeNotFoundError(
                f"{self.where} is not a catalog file." if exists else f"There is no catalog at {self.where}.",
                hint="create makes a new lake; check the address for typing errors.",
                context={"catalog": self.where},
            )

    def new_engine(self) -> Engine:
        """Give connections for this process."""
        pool = QueuePool(
            self._connect,
            pool_size=8,
            max_overflow=-1,
            reset_on_return=None,  # every transaction is ended by the catalog
        )
        engine = Engine(
            pool, _DIALECT, make_url("sqlite://"), execution_options={"compiled_cache": _compiled_statements}
        )
        event.listen(engine, "handle_error", _stay_connected)
        return engine

    def _connect(self) -> Any:
        return open_connection(self.path, read_only=self.read_only, patience=self._patience)

    def begin(self, driver: sqlite3.Connection, *, write: bool, durable: bool) -> None:
        """Begin a transaction; without ``durable`` the next commit that is syncs the log: it keeps its order."""
        if not durable:
            driver.execute("PRAGMA synchronous=NORMAL")
        begin(driver, write=write, patience=self._patience)

    def commit(self, driver: sqlite3.Connection) -> None:
        """Make a transaction last."""
        driver.execute("COMMIT")

    def roll_back(self, driver: sqlite3.Connection) -> None:
        """Undo what is left of a transaction."""
        if driver.in_transaction:
            driver.execute("ROLLBACK")

    def is_lost(self, driver: sqlite3.Connection) -> bool:  # noqa: ARG002 - a file does not hang up
        """Say that a connection to a file stays."""
        return False

    def settle(self, driver: sqlite3.Connection, *, durable: bool) -> None:
        """Sync the log at the commits to come."""
        if not durable:
            driver.execute("PRAGMA synchronous=FULL")

    def tend(self, driver: sqlite3.Connection) -> None:
        """Copy the write-ahead log into the database if it has grown, unless another process is at it."""
        try:
            if self._log.stat().st_size <= LOG_LIMIT_BYTES:
                return
        except FileNotFoundError:
            return
        try:
            with FileLock(f"{self.path}-checkpoint.lock", timeout=0):
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except Timeout:
            return  # somebody else is doing it

    def skew_us(self, connection: Connection) -> int:  # noqa: ARG002 - nobody need be asked
        """Say zero: the database goes by this machine's clock."""
        return 0

    def translate(self, error: BaseException) -> LakepartError:
        """Give lakepart's error for one of SQLite."""
        if isinstance(error, sqlite3.Error) and is_busy(error):
            return busy_for_too_long(self.where, error, self.lock_wait_s)
        return translate(error, self.where, read_only=self.read_only)

    def is_none_of_ours(self, error: BaseException) -> LakepartError | None:
        """Give the error for a database without our tables."""
        if "no such table" in str(error) or "no such column" in str(error):
            return not_a_catalog(self.where, error)
        return None


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


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _make(path: Path, fill: Callable[[Connection], None]) -> None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None))
    try:
        with engine.connect() as connection:
            driver = driver_of(connection)
            driver.execute("PRAGMA journal_mode=WAL")
            driver.execute("BEGIN IMMEDIATE")
            fill(connection)
            driver.execute("COMMIT")
    finally:
        engine.dispose()  # closing the last connection folds the log back: the file is whole by itself
    sync(path)


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stay_connected(context: ExceptionContext) -> None:
    """Keep SQLAlchemy from dropping a connection that was interrupted: its transaction is to be rolled back."""
    context.is_disconnect = False
