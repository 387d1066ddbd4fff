"""What differs between the databases that a catalog may be kept in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from lakepart.errors import LakepartError

LOCK_WAIT_S = 60.0


@runtime_checkable
class Backend(Protocol):
    """One database as the catalog needs it: how it is reached, locked and committed to, and what its errors mean.

    Attributes
    ----------
    where
        The database as it may be shown: without secrets.
    errors
        What its driver raises.
    migrates_by_itself
        Whether opening a catalog of an older release migrates it; where several releases share one, somebody decides.
    """

    where: str
    read_only: bool
    lock_wait_s: float
    errors: tuple[type[Exception], ...]
    migrates_by_itself: bool

    def create(self, fill: Callable[[Connection], None]) -> None:
        """Make a catalog that holds what ``fill`` puts there, whole or not at all; AlreadyExistsError if one is."""

    def require_present(self) -> None:
        """Refuse at once what cannot be opened; LakeNotFoundError where nothing is."""

    def new_engine(self) -> Engine:
        """Give connections for this process."""

    def begin(self, driver: Any, *, write: bool, durable: bool) -> None:
        """Begin a transaction: a read fixes what it sees here, a write waits here until it is the only one."""

    def commit(self, driver: Any) -> None:
        """Make a transaction last; a failure leaves open whether it does."""

    def roll_back(self, driver: Any) -> None:
        """Undo what is left of a transaction, if anything is."""

    def is_lost(self, driver: Any) -> bool:
        """Say whether the connection can be used no more."""

    def settle(self, driver: Any, *, durable: bool) -> None:
        """Leave a connection as the next write expects it."""

    def tend(self, driver: Any) -> None:
        """Do what is due after a commit, outside of any transaction."""

    def skew_us(self, connection: Connection) -> int:
        """Say by how much the database's clock is ahead of this machine's; what the answer takes is nobody's error."""

    def translate(self, error: BaseException) -> LakepartError:
        """Give lakepart's error for a driver's; the caller raises it ``from`` that."""

    def is_none_of_ours(self, error: BaseException) -> LakepartError | None:
        """Give the error for a database without a catalog, if that is what a failed look at it means."""


def original(error: BaseException) -> BaseException:
    """Give the driver's error within SQLAlchemy's."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig
    return error


def driver_of(connection: Connection) -> Any:
    """Give the driver's own connection."""
    return connection.connection.driver_connection
