"""Catalogs to test against: one whose user dies around a transaction, one whose commits go unanswered."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Self

from sqlalchemy import Connection

from lakepart.catalog.database import Database
from lakepart.testing.effects import Effects


class CrashingDatabase(Database):
    """A catalog whose user dies before a writing transaction begins, or after it has committed.

    Between the two nothing can be seen from outside: a transaction that did not commit did not happen. Reads are no
    effects, but the dead do not read either.
    """

    effects: Effects

    @classmethod
    def open_with(cls, location: str | os.PathLike[str], *, clock: Callable[[], datetime], effects: Effects) -> Self:
        """Open a catalog whose writing transactions are counted by ``effects``."""
        database = cls.open(location, clock=clock)
        database.effects = effects
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Read, unless dead."""
        if hasattr(self, "effects"):  # not yet while it is being opened
            self.effects.check_alive()
        with super().reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Write, unless the crash comes first."""
        with self.effects.effect("transaction"), super().writing() as connection:
            yield connection


class UnansweredDatabase(Database):
    """A catalog that commits the next ``unanswered`` transactions, or loses them, and then says that it failed.

    Attributes
    ----------
    unanswered
        How many commits to come fail in this way.
    loses
        Whether such a commit is undone; else it happened.
    """

    unanswered = 0
    loses = False

    def _commit(self, connection: Connection) -> None:
        if self.unanswered == 0:
            super()._commit(connection)
            return
        self.unanswered -= 1
        if self.loses:
            self._end(connection, "ROLLBACK")
        else:
            self._end(connection, "COMMIT")
        raise self._unknown(sqlite3.OperationalError("disk I/O error"))
