"""An open catalog: consistent reads, and writes that follow one another."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from lakepart.catalog.backends import LOCK_WAIT_S, Backend, driver_of, original
from lakepart.catalog.failures import busy_for_too_long, damaged, read_only_handle
from lakepart.catalog.filling import LATEST_MIGRATION, fill_first_rows, make_tables
from lakepart.catalog.locations import Location, backend_for
from lakepart.errors import CatalogError, ErrorCode, InvalidInputError, LakepartError
from lakepart.model.instants import to_microseconds
from lakepart.model.records import TierRecord

__all__ = ["Connection", "Database"]

_open_databases: weakref.WeakSet[Database] = weakref.WeakSet()


def _close_idle_connections() -> None:
    for database in list(_open_databases):
        database.close()


# SQLite counts its file locks per process, and a child would inherit the count without the locks; what two processes
# send to a server through one socket, it takes for the words of one.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle_connections)


def _let_go(engine: Engine, pid: int) -> None:
    """Close what a lake that nobody closed has left open, in the process that opened it."""
    if pid == os.getpid():
        engine.dispose()


class Database:
    """One catalog, shared by the threads of a process; processes forked from it open it anew.

    Attributes
    ----------
    backend
        Where it is kept.
    lake_id
        The identity of the lake this catalog belongs to.
    tiers
        Its tiers as they were when it was opened, hottest first.
    """

    def __init__(
        self,
        location: Location | Backend,
        *,
        clock: Callable[[], datetime],
        read_only: bool = False,
        lock_wait_s: float = LOCK_WAIT_S,
    ) -> None:
        if not isinstance(location, Backend):
            location = backend_for(location, read_only=read_only, lock_wait_s=lock_wait_s)
        self.backend = location
        self.where = self.backend.where
        self.read_only = self.backend.read_only
        self.lock_wait_s = self.backend.lock_wait_s
        self.lake_id = ""
        self.tiers: tuple[TierRecord, ...] = ()
        self._clock = clock
        self._inherited: list[Engine] = []
        self._attach()
        _open_databases.add(self)

    @classmethod
    def create(
        cls,
        location: Location,
        *,
        lake_id: str,
        clock: Callable[[], datetime],
        tiers: Sequence[TierRecord],
    ) -> Self:
        """Make a new, empty catalog and open it.

        It appears whole or not at all.

        Raises
        ------
        AlreadyExistsError
            Something is at ``location`` already.
        StorageError
            The folder or the database cannot be written, or its disk is full.
        """
        created_at_us = to_microseconds(clock())

        def fill(connection: Connection) -> None:
            make_tables(connection)
            fill_first_rows(connection, lake_id=lake_id, created_at_us=created_at_us, tiers=tiers)

        backend = backend_for(location, read_only=False, lock_wait_s=LOCK_WAIT_S)
        backend.create(fill)
        return cls.open(backend, clock=clock)

    @classmethod
    def open(
        cls,
        location: Location | Backend,
        *,
        clock: Callable[[], datetime],
        read_only: bool = False,
    ) -> Self:
        """Open the catalog at ``location``; one of an older release is migrated where nobody shares it with that.

        Raises
        ------
        LakeNotFoundError
            Nothing is there.
        CatalogError
            It is no catalog (``not-a-catalog``), a newer lakepart made it (``catalog-too-new``), or it is one of an
            older release that somebody has to migrate first (``catalog-too-old``).

        Notes
        -----
        Costs one query.
        """
        database = cls(location, clock=clock, read_only=read_only)
        try:
            database.backend.require_present()
            database._identify()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def engine(self) -> Engine:
        """The connections of this process; a forked child gets its own."""
        if self._pid != os.getpid():
            # A child may not use its parent's connections, nor even close them: they are kept unused.
            self._inherited.append(self._engine)
            self._attach()
        return self._engine

    @property
    def path(self) -> Path:
        """The file of an SQLite catalog."""
        return Path(self.where)

    def close(self) -> None:
        """Close idle connections; a later use opens new ones."""
        if self._pid == os.getpid():
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now_us(self) -> int:
        """Give the time by the clock of whoever opened the catalog."""
        return to_microseconds(self._clock())

    def shared_us(self, connection: Connection) -> int:
        """Give the time by the database's clock, which is the same for all machines that use it."""
        return self.now_us() + self.backend.skew_us(connection)

    def earliest_us(self, connection: Connection) -> int:
        """Give the time by the clock that is behind, ours or the database's: by neither is anything older than that."""
        return self.now_us() + min(0, self.backend.skew_us(connection))

    def latest_us(self, connection: Connection) -> int:
        """Give the time by the clock that is ahead: what is noted with it looks older than it is to nobody."""
        return self.now_us() + max(0, self.backend.skew_us(connection))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the catalog to the end, whatever others commit meanwhile."""
        with self._translated(), closing(_Checkout(self)) as checkout:
            try:
                yield checkout.begin(write=False)
            finally:
                checkout.end()

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Give a connection that holds the write lock; a clean exit commits, an exception undoes everything.

        What is committed, other processes see at once. Without ``durable`` a loss of power may undo it, up to the
        next durable commit: right for what matters only as long as this process lives, or would be found out again.

        Raises
        ------
        CatalogError
            ``catalog-busy``: others held the lock for a minute. ``catalog-unreachable``: the database hung up; nothing
            was changed unless ``context["outcome"]`` says that this is unknown.
        """
        if self.read_only:
            raise read_only_handle(self.where)
        with self._translated(), closing(_Checkout(self)) as checkout:
            # Threads of one process queue here, so that only one of them competes with other processes.
            with self._one_writer():
                try:
                    connection = checkout.begin(write=True, durable=durable)
                    yield connection
                    self._commit(connection)
                finally:  # an interrupt may come before the first row, and after the last
                    checkout.end(durable=durable)
            self.backend.tend(checkout.driver)

    def find_migration(self) -> str:
        """Give the number of the newest migration that the catalog has had."""
        with self._ours(), self.reading() as connection:
            return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one())

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """Look at a database that may not hold a catalog."""
        try:
            yield
        except LakepartError as error:
            none_of_ours = self.backend.is_none_of_ours(error.__cause__ or error)
            if none_of_ours is None:
                raise
            raise none_of_ours from error

    def _attach(self) -> None:
        self._pid = os.getpid()
        self._writer = threading.Lock()
        self._engine = self.backend.new_engine()
        weakref.finalize(self, _let_go, self._engine, self._pid)

    def _begin(self, connection: Connection, *, write: bool, durable: bool = True) -> None:
        self.backend.begin(driver_of(connection), write=write, durable=durable)

    def _commit(self, connection: Connection) -> None:
        """Make a transaction last; a failure here leaves open whether it did."""
        try:
            self.backend.commit(driver_of(connection))
        except self.backend.errors as error:
            raise self._unknown(error) from error

    def _unknown(self, error: Exception) -> LakepartError:
        translated = self.backend.translate(error)
        translated.context["outcome"] = "unknown"
        return translated

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if not self._writer.acquire(timeout=self.lock_wait_s):
            waited = TimeoutError("other threads of this process hold the write lock")
            raise busy_for_too_long(self.where, waited, self.lock_wait_s) from waited
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise self.backend.translate(original(error)) from error
        except self.backend.errors as error:
            raise self.backend.translate(error) from error
        except UnicodeEncodeError as error:  # nor for text that is none
            raise InvalidInputError(
                f"The text {error.object!r} cannot be kept in a catalog: it holds a lone surrogate at {error.start}, "
                "which UTF-8 has not.",
                hint="text.encode('utf-8', 'replace').decode() is the same text without it.",
                context={"catalog": self.where},
            ) from error
        except UnicodeDecodeError as error:  # text of a damaged file; the driver has no error of its own for it
            raise damaged(self.where, error) from error

    def _identify(self) -> None:
        """Check that this is a catalog of a version we know, and read which lake it belongs to."""
        with self._ours():
            migration, self.lake_id, self.tiers = self._read_identity()
        if migration != LATEST_MIGRATION:
            from lakepart.catalog.migrations import require_known, upgrade

            pending = require_known(migration, self.where)
            if self.read_only:
                raise read_only_handle(self.where)
            if not self.backend.migrates_by_itself:
                raise too_old(self.where, migration, pending)
            upgrade(self)
            _, self.lake_id, self.tiers = self._read_identity()

    def _read_identity(self) -> tuple[str, str, tuple[TierRecord, ...]]:
        with self.reading() as connection:
            rows = connection.exec_driver_sql(
                "SELECT alembic_version.version_num, lake.lake_id, tier.name, tier.root, tier.storage_class, tier.rank"
                " FROM lake JOIN alembic_version ON 1 = 1 JOIN tier ON 1 = 1 ORDER BY tier.rank, tier.name"
            ).all()
        if not rows or any(None in row[:4] for row in rows):  # a damaged page can give NULL where none may be
            raise CatalogError(
                f"{self.where} is a lakepart catalog without an identity or without tiers.",
                hint="it was damaged, or made by something else; restore it from a backup.",
                code=ErrorCode.NOT_A_CATALOG,
                context={"catalog": self.where},
            )
        return rows[0][0], rows[0][1], tuple(TierRecord(*row[2:]) for row in rows)


class _Checkout:
    """A connection of the pool for one transaction; a new one where the server has hung up on it meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._backend = database.backend
        self._take()

    def begin(self, *, write: bool, durable: bool = True) -> Connection:
        """Begin, once more where the first word to the server finds nobody there: nothing was lost yet."""
        try:
            self._database._begin(self.connection, write=write, durable=durable)
        except self._backend.errors:
            if not self._backend.is_lost(self.driver):
                raise
            self.end()
            self.close()
            self._database.engine.dispose()  # its other connections are as old
            self._take()
            self._database._begin(self.connection, write=write, durable=durable)
        return self.connection

    def end(self, *, durable: bool = True) -> None:
        """Undo what was not committed, and leave the connection as the next one wants it."""
        try:
            self._backend.roll_back(self.driver)
        except BaseException:  # an interrupt: whoever comes next would be given the answer to this
            self.connection.invalidate()
            raise
        if self._backend.is_lost(self.driver):
            self.connection.invalidate()
        else:
            self._backend.settle(self.driver, durable=durable)

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    def _take(self) -> None:
        self.connection = self._database.engine.connect()
        self.driver = driver_of(self.connection)


def too_old(where: str, found: str, pending: Sequence[str]) -> CatalogError:
    """Give the error for a catalog that somebody has to migrate first."""
    return CatalogError(
        f"Catalog {where} is of an older lakepart: its migration is {found!r}, and this release needs {pending[-1]!r}.",
        hint="`lakepart catalog migrate` brings it up to date; the release that made it keeps working meanwhile.",
        code=ErrorCode.CATALOG_TOO_OLD,
        context={"catalog": where, "found": found, "pending": list(pending)},
    )
