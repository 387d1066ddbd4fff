"""Statements that the driver carries out itself.

SQLAlchemy says them in the words of each database, once in a process. What every write and every read asks is then
handed to the driver as it is: to go through SQLAlchemy each time costs more than the database's own work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ClauseElement, Connection, Table, bindparam, insert

from lakepart.catalog.backends import driver_of


class _Words(NamedTuple):
    """What the driver is told: where it wants values in order, ``order`` names them; some are always the same."""

    text: str
    order: Sequence[str] | None
    constants: Mapping[str, Any]


class Statement:
    """One statement, for any database; rows are the driver's plain tuples.

    Listeners for SQLAlchemy's ``before_cursor_execute`` hear of it as of any other.
    """

    def __init__(self, made: ClauseElement) -> None:
        self._made = made
        self._words: dict[str, _Words] = {}  # by the database's name

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Give all rows."""
        return list(self.cursor(connection, parameters).fetchall())

    def row(self, connection: Connection, parameters: Mapping[str, Any]) -> Any:
        """Give the only row, or None."""
        found = self.rows(connection, parameters)
        return found[0] if found else None

    def run(self, connection: Connection, *parameters: Mapping[str, Any]) -> int:
        """Carry it out once for each of ``parameters``; gives how many rows were concerned."""
        return int(self.cursor(connection, *parameters).rowcount)

    def cursor(self, connection: Connection, *parameters: Mapping[str, Any]) -> Any:
        """Give the driver's cursor, for rows that are better taken by and by."""
        words = self._words.get(connection.dialect.name) or self._say(connection)
        named = [{**words.constants, **one} for one in parameters]
        values: list[Any] = (
            named if words.order is None else [tuple(one[name] for name in words.order) for one in named]
        )
        many = len(values) != 1
        cursor = driver_of(connection).cursor()
        given = values if many else values[0]
        for listener in connection.dispatch.before_cursor_execute:
            listener(connection, cursor, words.text, given, None, many)
        (cursor.executemany if many else cursor.execute)(words.text, given)
        return cursor

    def _say(self, connection: Connection) -> _Words:
        said: Any = self._made.compile(dialect=connection.dialect)
        order = said.positiontup if said.positional else None
        words = self._words[connection.dialect.name] = _Words(str(said), order, said.params)
        return words


def insert_into(table: Table, *, without: Collection[str] = ()) -> Statement:
    """Give what fills every column of a table ``without`` some."""
    filled = (column for column in table.c if column.name not in without)
    return Statement(insert(table).values({column: bindparam(column.name, type_=column.type) for column in filled}))
