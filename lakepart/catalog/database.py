"""An open catalog: consistent reads, and writes that follow one another."""

from __future__ import annotations

import os
import random
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, insert, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from lakepart.catalog import sqlite
from lakepart.catalog.failures import busy_for_too_long, is_busy, read_only_handle, translate
from lakepart.catalog.tables import FORMAT, branch, head, lake, metadata, snapshot, tier
from lakepart.errors import (
    AlreadyExistsError,
    CatalogError,
    ErrorCode,
    InvalidInputError,
    LakeNotFoundError,
    LakepartError,
)
from lakepart.model.instants import to_microseconds
from lakepart.model.records import MAIN, TierRecord

__all__ = ["Connection", "Database"]

LATEST_MIGRATION = "0007"
_SQLITE = "sqlite:///"

# A statement is compiled once in a process, not once for every lake that is opened.
_DIALECT = create_engine("sqlite://").dialect
_compiled_statements: dict[Any, Any] = {}

_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _close_idle_connections() -> None:
    for database in list(_open_databases):
        database.close()


# SQLite counts its file locks per process, and a child would inherit the count without the locks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle_connections)


class Database:
    """One catalog, shared by the threads of a process; processes forked from it open it anew.

    Attributes
    ----------
    lake_id
        The identity of the lake this catalog belongs to.
    tiers
        Its tiers as they were when it was opened, hottest first.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        read_only: bool = False,
        lock_wait_s: float = sqlite.LOCK_WAIT_S,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.lock_wait_s = lock_wait_s
        self.lake_id = ""
        self.tiers: tuple[TierRecord, ...] = ()
        self._clock = clock
        self._inherited: list[Engine] = []
        self._attach()
        _open_databases.add(self)

    @classmethod
    def create(
        cls,
        location: str | os.PathLike[str],
        *,
        lake_id: str,
        clock: Callable[[], datetime],
        tiers: Sequence[TierRecord],
    ) -> Self:
        """Make a new, empty catalog and open it.

        It appears whole or not at all: it is made under a temporary name and linked into place.

        Raises
        ------
        AlreadyExistsError
            Something is at ``location`` already.
        StorageError
            The folder cannot be written, or its disk is full.
        """
        path = _path_of(location)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
        try:
            temporary.touch(exist_ok=False)
            try:
                _fill(temporary, lake_id=lake_id, created_at_us=to_microseconds(clock()), tiers=tiers)
                os.link(temporary, path)
            finally:
                temporary.unlink()
            sync_folder(path.parent)
        except FileExistsError as error:
            raise AlreadyExistsError(
                f"There is a catalog at {path} already.",
                hint="connect to it, or choose another place.",
                context={"catalog": str(path)},
            ) from error
        except SQLAlchemyError as error:
            raise translate(_original(error), str(path)) from error
        except OSError as error:
            raise translate_os_error(error, path) from error
        return cls.open(path, clock=clock)

    @classmethod
    def open(
        cls,
        location: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime],
        read_only: bool = False,
    ) -> Self:
        """Open the catalog at ``location``; one of an older release is migrated.

        Raises
        ------
        LakeNotFoundError
            Nothing is there.
        CatalogError
            The file is no catalog (``not-a-catalog``), or a newer lakepart made it (``catalog-too-new``).

        Notes
        -----
        Costs one query.
        """
        path = _path_of(location)
        if not path.is_file():
            raise LakeNotFoundError(
                f"There is no catalog at {path}." if not path.exists() else f"{path} is not a catalog file.",
                hint="create makes a new lake; check the address for typing errors.",
                context={"catalog": str(path)},
            )
        database = cls(path, clock=clock, read_only=read_only)
        try:
            database._identify()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def engine(self) -> Engine:
        """The connections of this process; a forked child gets its own."""
        if self._pid != os.getpid():
            # SQLite forbids a child to use its parent's connections, and even to close them: they are kept unused.
            self._inherited.append(self._engine)
            self._attach()
        return self._engine

    def close(self) -> None:
        """Close idle connections; a later use opens new ones."""
        if self._pid == os.getpid():
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now_us(self) -> int:
        """Give the database's clock; SQLite has the clock of whoever opened it."""
        return to_microseconds(self._clock())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the catalog to the end, whatever others commit meanwhile."""
        with self._translated(), self.engine.connect() as connection:
            driver = _driver(connection)
            try:
                self._begin(connection, write=False)
                yield connection
            finally:
                _roll_back(driver)

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection that holds the write lock; a clean exit commits, an exception undoes everything.

        What is committed, other processes see at once. Without ``durable`` a loss of power may undo it, up to the
        next durable commit: right for what matters only as long as this process lives, or would be found out again.

        Raises
        ------
        CatalogError
            ``catalog-busy``: others held the lock for a minute.
        """
        if self.read_only:
            raise read_only_handle(str(self.path))
        with self._translated(), self.engine.connect() as connection:
            # Threads of one process queue here, so that only one of them competes with other processes.
            driver = _driver(connection)
            with self._one_writer(), sqlite.syncing(driver, durable=durable):
                try:
                    self._begin(connection, write=True)
                    yield connection
                    self._commit(connection)
                except BaseException:  # an interrupt may come before the first row, and after the last
                    _roll_back(driver)
                    raise
            sqlite.fold_log(self.path, driver)

    def _attach(self) -> None:
        self._pid = os.getpid()
        self._writer = threading.Lock()
        self._patience = sqlite.Patience(random.Random().random, self.lock_wait_s)  # noqa: S311 - pauses, not secrets
        pool = QueuePool(
            self._connect,
            pool_size=8,
            max_overflow=-1,
            reset_on_return=None,  # every transaction is ended here
        )
        self._engine = Engine(
            pool, _DIALECT, make_url("sqlite://"), execution_options={"compiled_cache": _compiled_statements}
        )
        event.listen(self._engine, "handle_error", _stay_connected)

    def _connect(self) -> Any:
        return sqlite.open_connection(self.path, read_only=self.read_only, patience=self._patience)

    def _begin(self, connection: Connection, *, write: bool) -> None:
        sqlite.begin(_driver(connection), write=write, patience=self._patience)

    def _commit(self, connection: Connection) -> None:
        """Make a transaction last; a failure here leaves open whether it did."""
        try:
            _driver(connection).execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unknown(error) from error

    def _unknown(self, error: sqlite3.Error) -> LakepartError:
        translated = self._error(error)
        translated.context["outcome"] = "unknown"
        return translated

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if not self._writer.acquire(timeout=self.lock_wait_s):
            waited = TimeoutError("other threads of this process hold the write lock")
            raise busy_for_too_long(str(self.path), waited, self.lock_wait_s) from waited
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self._error(_original(error)) from error
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _error(self, error: BaseException) -> LakepartError:
        if isinstance(error, sqlite3.Error) and is_busy(error):
            return busy_for_too_long(str(self.path), error, self.lock_wait_s)
        return translate(error, str(self.path), read_only=self.read_only)

    def _identify(self) -> None:
        """Check that this is a catalog of a version we know, and read which lake it belongs to."""
        try:
            found = self._read_identity()
        except CatalogError as error:
            if "no such table" not in str(error) and "no such column" not in str(error):
                raise
            raise CatalogError(
                f"{self.path} is a database, but not a lakepart catalog.",
                hint="name the folder of a lake, or its catalog file.",
                code=ErrorCode.NOT_A_CATALOG,
                context={"catalog": str(self.path)},
            ) from error
        migration, self.lake_id, self.tiers = found
        if migration != LATEST_MIGRATION:
            from lakepart.catalog.migrations import upgrade

            if self.read_only:
                raise read_only_handle(str(self.path))
            with self._translated():
                upgrade(self.engine, found=migration, where=str(self.path))
            _, self.lake_id, self.tiers = self._read_identity()

    def _read_identity(self) -> tuple[str, str, tuple[TierRecord, ...]]:
        with self.reading() as connection:
            rows = connection.exec_driver_sql(
                "SELECT alembic_version.version_num, lake.lake_id, tier.name, tier.root, tier.storage_class, tier.rank"
                " FROM lake JOIN alembic_version ON 1 = 1 JOIN tier ON 1 = 1 ORDER BY tier.rank, tier.name"
            ).all()
        if not rows:
            raise CatalogError(
                f"{self.path} is a lakepart catalog without an identity or without tiers.",
                hint="it was damaged, or made by something else; restore it from a backup.",
                code=ErrorCode.NOT_A_CATALOG,
                context={"catalog": str(self.path)},
            )
        return rows[0][0], rows[0][1], tuple(TierRecord(*row[2:]) for row in rows)


def translate_os_error(error: OSError, path: Path) -> Exception:
    """Give lakepart's error for a failed file operation beside the catalog."""
    from errno import EACCES, ENOSPC, EPERM, EROFS

    stand_in = sqlite3.OperationalError(error.strerror or str(error))
    if error.errno == ENOSPC:
        stand_in.sqlite_errorcode = sqlite3.SQLITE_FULL
    elif error.errno in {EACCES, EPERM, EROFS}:
        stand_in.sqlite_errorcode = sqlite3.SQLITE_READONLY
    else:
        stand_in.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return translate(stand_in, str(path))


def _fill(path: Path, *, lake_id: str, created_at_us: int, tiers: Sequence[TierRecord]) -> None:
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None))
    try:
        with engine.connect() as connection:
            driver = _driver(connection)
            driver.execute("PRAGMA journal_mode=WAL")
            driver.execute("BEGIN IMMEDIATE")
            metadata.create_all(connection, checkfirst=False)
            driver.execute(
                "CREATE TABLE alembic_version"
                " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
            driver.execute("INSERT INTO alembic_version VALUES (?)", (LATEST_MIGRATION,))
            fill_first_rows(connection, lake_id=lake_id, created_at_us=created_at_us, tiers=tiers)
            driver.execute("COMMIT")
    finally:
        engine.dispose()  # closing the last connection folds the log back: the file is whole by itself
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fill_first_rows(connection: Connection, *, lake_id: str, created_at_us: int, tiers: Sequence[TierRecord]) -> None:
    """Write what every catalog holds from the start: its identity, its tiers, main, and snapshot 0, the empty lake."""
    connection.execute(insert(lake).values(singleton=1, lake_id=lake_id, format=FORMAT, created_at_us=created_at_us))
    connection.execute(
        insert(head).values(
            singleton=1,
            snapshot=0,
            at_us=created_at_us,
            horizon=0,
            next_version_id=1,
            next_file_id=1,
            next_id=1,
        )
    )
    connection.execute(
        insert(tier),
        [{"name": one.name, "root": one.root, "storage_class": one.storage_class, "rank": one.rank} for one in tiers],
    )
    connection.execute(
        insert(branch).values(
            branch_id=MAIN.branch_id, name=MAIN.name, fork=0, state="open", created_at_us=created_at_us
        )
    )
    connection.execute(
        insert(snapshot).values(
            snapshot=0,
            at_us=created_at_us,
            branch_id=MAIN.branch_id,
            token=lake_id,
            operation="create",
            metadata="{}",
            partitions=0,
            rows=0,
            bytes=0,
            files=0,
            manifested=1,
        )
    )


def _path_of(location: str | os.PathLike[str]) -> Path:
    text = os.fspath(location)
    if text.startswith(_SQLITE):
        return Path(text[len(_SQLITE) :])
    scheme, separator, _ = text.partition("://")
    if separator:
        raise InvalidInputError(
            f"A catalog cannot be kept at a {scheme}:// address yet: only in an SQLite file.",
            hint="give a path, or sqlite:///path.",
            code=ErrorCode.UNSUPPORTED,
            context={"scheme": scheme},
        )
    return Path(text)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise CatalogError("The catalog's connection was lost.", hint="try again.")
    return driver


def _original(error: SQLAlchemyError) -> BaseException:
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _roll_back(driver: sqlite3.Connection) -> None:
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _stay_connected(context: ExceptionContext) -> None:
    """Keep SQLAlchemy from dropping a connection that was interrupted: its transaction is to be rolled back, here."""
    context.is_disconnect = False
