"""Which database the address of a catalog means."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from lakepart.catalog.backends import Backend
from lakepart.catalog.sqlite import SqliteBackend
from lakepart.errors import ErrorCode, InvalidInputError, StateError

SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")

_ELSEWHERE = "environment"

# A path, a URL, SQLAlchemy's engine, or what gives a new connection of the database's driver at each call.
Location = str | os.PathLike[str] | Engine | Callable[[], Any]


def backend_for(location: Location, *, read_only: bool, lock_wait_s: float) -> Backend:
    """Give the database at ``location``; nothing is opened yet."""
    if isinstance(location, Engine) or callable(location):
        return _postgresql(location, read_only=read_only, lock_wait_s=lock_wait_s)
    text = os.fspath(location)
    if text.startswith(_POSTGRESQL):
        return _postgresql(text, read_only=read_only, lock_wait_s=lock_wait_s)
    return SqliteBackend(_path_of(text), read_only=read_only, lock_wait_s=lock_wait_s)


def portable(location: Location | None) -> str | None:
    """Give a location as it may travel to another process: without secrets, for which that process has its own."""
    if location is None:
        return None
    if isinstance(location, Engine) or callable(location):
        return _ELSEWHERE
    text = os.fspath(location)
    if not is_postgresql(text):
        return text
    from lakepart.catalog.postgresql_source import portable

    return portable(text)


def at_home(travelled: str | None, here: str | None) -> str | None:
    """Give the location that :func:`portable` gave elsewhere, by the address known ``here`` if that is the same place.

    Raises
    ------
    StateError
        It was an engine or a function, and no address is known here.
    """
    if travelled == _ELSEWHERE:
        if here is None:
            raise StateError(
                "This lake was opened with an engine or a function for its catalog, and neither travels.",
                hint="set LAKEPART_CATALOG to the catalog's address where workers run, or open the lake there.",
            )
        return here
    if travelled is None or here is None or not (is_postgresql(travelled) and is_postgresql(here)):
        return travelled
    from lakepart.catalog.postgresql_source import source_of

    return here if source_of(here).where == source_of(travelled).where else travelled


def is_postgresql(text: str) -> bool:
    """Say whether an address is one of PostgreSQL."""
    return text.startswith(_POSTGRESQL)


def _postgresql(source: Any, *, read_only: bool, lock_wait_s: float) -> Backend:
    if find_spec("psycopg") is None:
        raise InvalidInputError(
            "A catalog in PostgreSQL needs psycopg, which is not installed.",
            hint="pip install 'lakepart[postgres]'.",
            code=ErrorCode.UNSUPPORTED,
        )
    from lakepart.catalog.postgresql import PostgresqlBackend  # imports the driver, which not everybody has

    return PostgresqlBackend(source, read_only=read_only, lock_wait_s=lock_wait_s)


def _path_of(text: str) -> Path:
    if text.startswith(SQLITE):
        return Path(text[len(SQLITE) :])
    scheme, separator, _ = text.partition("://")
    if separator:
        raise InvalidInputError(
            f"A catalog cannot be kept at a {scheme}:// address.",
            hint="give a path, sqlite:///path, or postgresql://host/database.",
            code=ErrorCode.UNSUPPORTED,
            context={"scheme": scheme},
        )
    return Path(text)
