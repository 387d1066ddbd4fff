"""How PostgreSQL is asked: reads that see one state, writes that follow one another, nothing kept in the session.

A read is one REPEATABLE READ transaction. A write first takes a lock that every writer of the lake takes and that ends
with the transaction: what it sees afterwards nobody else changes, as on SQLite. A lock of its own rather than that of
the head row, because rows that are locked are also written, and because those who wait for it are served in turn.
Whatever a transaction needs to be set is set within it, and no statement is prepared: so a pooler may give each
transaction another session.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from lakepart.catalog.backends import driver_of, original
from lakepart.catalog.postgresql_failures import no_catalog, translate
from lakepart.catalog.postgresql_source import source_of
from lakepart.errors import AlreadyExistsError, LakepartError

# A statement is compiled once in a process, not once for every lake that is opened.
_DIALECT = create_engine("postgresql+psycopg://").dialect
_compiled_statements: dict[Any, Any] = {}
_LOCK = 0x6C6B7074  # "lkpt": tells our advisory locks from those of other programs in the database
_MICROSECOND = timedelta(microseconds=1)
_CREATING = 0  # no schema has this id
# The statements say in which order to join: first the partitions asked for, then what belongs to them. They are short,
# so compiling them would cost more than it saves.
_PLANNING = ("join_collapse_limit TO 1", "jit TO off")


class PostgresqlBackend:
    """A catalog in one schema of a PostgreSQL database."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    migrates_by_itself = False

    def __init__(self, location: Any, *, read_only: bool, lock_wait_s: float) -> None:
        self._source = source_of(location)
        self.where = self._source.where
        self.read_only = read_only
        self.lock_wait_s = lock_wait_s
        wait_ms = max(1, int(lock_wait_s * 1000))
        settings = [f'search_path TO "{self._source.schema}"', f"lock_timeout TO {wait_ms}", *_PLANNING]
        if self._source.statement_timeout is not None:
            settings.append(f"statement_timeout TO '{self._source.statement_timeout}'")
        self._settings = "".join(f"SET LOCAL {setting};" for setting in settings)
        self._writing = (  # somebody who fell asleep holding the lock may not keep it
            f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;{self._settings}"
            f"SET LOCAL idle_in_transaction_session_timeout TO {max(1000, wait_ms)};"
        )
        self._lock = f"SELECT pg_advisory_xact_lock({_LOCK}, '{self._source.schema}'::regnamespace::oid::int4)"

    @property
    def portable(self) -> str | None:
        """The address without secrets, if there is an address."""
        return self._source.portable

    def create(self, fill: Callable[[Connection], None]) -> None:
        """Make schema and tables in one transaction; those who try at once follow one another."""
        schema = self._source.schema
        engine = self.new_engine()
        try:
            with engine.connect() as connection:
                driver = driver_of(connection)
                try:
                    driver.execute(f"{self._writing}SELECT pg_advisory_xact_lock({_LOCK}, {_CREATING})")
                    if _exists(driver, f"to_regclass('\"{schema}\".lake')"):
                        raise AlreadyExistsError(
                            f"There is a catalog at {self.where} already.",
                            hint="connect to it, or choose another schema: ?schema=….",
                            context={"catalog": self.where},
                        )
                    if not _exists(driver, f"to_regnamespace('\"{schema}\"')"):
                        driver.execute(f'CREATE SCHEMA "{schema}"')
                    fill(connection)
                    self.commit(driver)
                finally:
                    self.roll_back(driver)
        except (SQLAlchemyError, psycopg.Error) as error:
            raise self.translate(original(error)) from error
        finally:
            engine.dispose()

    def require_present(self) -> None:
        """Leave it to the first query to find out."""

    def new_engine(self) -> Engine:
        """Give connections for this process."""
        pool = QueuePool(
            self._source.connect,
            pool_size=8,
            max_overflow=-1,
            reset_on_return=None,  # every transaction is ended by the catalog
        )
        return Engine(
            pool,
            _DIALECT,
            make_url("postgresql+psycopg://"),
            execution_options={"compiled_cache": _compiled_statements},
        )

    def begin(self, driver: Any, *, write: bool, durable: bool) -> None:
        """Begin a transaction in one exchange with the server; without ``durable`` its commit is not waited for."""
        if not write:  # the first query fixes what is seen, so it is made here
            driver.execute(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;{self._settings}SELECT 1")
            return
        hasty = "" if durable else "SET LOCAL synchronous_commit TO off;"
        driver.execute(f"{self._writing}{hasty}{self._lock}")

    def commit(self, driver: Any) -> None:
        """Make a transaction last."""
        if driver.execute("COMMIT").statusmessage != "COMMIT":
            raise psycopg.errors.InFailedSqlTransaction("a statement of the transaction had failed")

    def roll_back(self, driver: Any) -> None:
        """Undo what is left of a transaction."""
        if driver.closed:
            return  # the server undoes what nobody can commit any more
        try:
            driver.rollback()
        except psycopg.OperationalError:
            driver.close()  # the same: it was lost on the way

    def is_lost(self, driver: Any) -> bool:
        """Say whether the server has hung up, or an interrupt has left the answer to somebody else's command."""
        return bool(driver.closed) or driver.pgconn.transaction_status == TransactionStatus.ACTIVE

    def settle(self, driver: Any, *, durable: bool) -> None:
        """Leave nothing to be set back: settings end with their transaction."""

    def tend(self, driver: Any) -> None:
        """Leave upkeep to the server."""

    def skew_us(self, connection: Connection) -> int:
        """Compare the server's clock with this machine's."""
        sent = datetime.now(UTC)
        at_server: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        received = datetime.now(UTC)
        if sent <= at_server <= received:
            return 0
        return (at_server - (received if at_server > received else sent)) // _MICROSECOND

    def translate(self, error: BaseException) -> LakepartError:
        """Give lakepart's error for one of PostgreSQL."""
        return translate(error, self.where, read_only=self.read_only, lock_wait_s=self.lock_wait_s)

    def is_none_of_ours(self, error: BaseException) -> LakepartError | None:
        """Give the error for a schema without our tables."""
        return no_catalog(self.where, original(error))


def _exists(driver: Any, what: str) -> bool:
    return driver.execute(f"SELECT {what} IS NOT NULL").fetchone()[0] is True
