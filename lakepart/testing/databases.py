"""A catalog whose user dies, or is interrupted, at one of its transactions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

from lakepart.catalog.database import Connection, Database
from lakepart.testing.effects import Effects


class CrashingDatabase(Database):
    """A catalog of which each committed transaction is an effect; the dead neither write nor read.

    A crash ``"before"`` leaves the transaction undone, one ``"after"`` leaves it done with nobody told.
    """

    effects: Effects

    @classmethod
    def around(cls, database: Database, effects: Effects, *, clock: Callable[[], datetime]) -> Self:
        """Give the same catalog through connections of its own, with its transactions counted by ``effects``."""
        crashing = cls(database.backend, clock=clock)
        crashing.lake_id, crashing.tiers = database.lake_id, database.tiers
        crashing.effects = effects
        return crashing

    def _begin(self, connection: Connection, *, write: bool, durable: bool = True) -> None:
        self.effects.check_alive()
        if write:
            self.effects.approach()
        super()._begin(connection, write=write, durable=durable)

    def _commit(self, connection: Connection) -> None:
        with self.effects.effect("commit to the catalog", approached=True):
            super()._commit(connection)
