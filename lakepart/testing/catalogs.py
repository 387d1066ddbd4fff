"""A catalog to test against whose commits go unanswered."""

from __future__ import annotations

import sqlite3

from lakepart.catalog.database import Connection, Database


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
        connection.exec_driver_sql("ROLLBACK" if self.loses else "COMMIT")
        raise self._unknown(sqlite3.OperationalError("disk I/O error"))
