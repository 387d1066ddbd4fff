"""Which database the address of a catalog means."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from lakepart.catalog.backends import Backend
from lakepart.catalog.sqlite import SqliteBackend
from lakepart.errors import ErrorCode, InvalidInputError

SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://", "postgresql+psycopg://")

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


def is_postgresql(text: str) -> bool:
    """Say whether an address is one of PostgreSQL."""
    return text.startswith(_POSTGRESQL)


def _postgresql(source: Any, *, read_only: bool, lock_wait_s: float) -> Backend:
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
