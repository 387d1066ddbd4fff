"""How connections to a catalog in PostgreSQL are made: from an address, an engine, or whatever gives connections.

One schema of one database holds one lake. Its name is said in every transaction and never in the session, so that
nothing depends on which of a pooler's connections serves which transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine

from lakepart.errors import ErrorCode, InvalidInputError

DEFAULT_SCHEMA = "lakepart"
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_DURATION = re.compile(r"[0-9]{1,9}(ms|s|min|h)")
_SECRETS = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
_CONNECTING = {"connect_timeout": "10", "fallback_application_name": "lakepart", "client_encoding": "utf8"}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a catalog is and how to get there.

    Attributes
    ----------
    where
        The place as it may be shown.
    portable
        The address without secrets, for another process that has its own; None where there is no address.
    """

    where: str
    schema: str
    connect: Callable[[], Any] = field(repr=False)
    portable: str | None = None
    statement_timeout: str | None = None


def source_of(location: str | Engine | Callable[[], Any]) -> Source:
    """Say how ``location`` is reached; nothing is connected to yet."""
    if isinstance(location, Engine):
        return _from_engine(location)
    if callable(location):
        name = getattr(location, "__qualname__", type(location).__name__)
        return Source(f"postgresql (by {name})", DEFAULT_SCHEMA, lambda: _prepared(location()))
    return _from_address(location)


def _from_address(address: str) -> Source:
    parameters, own = _parse(address)
    schema = own.get("schema", DEFAULT_SCHEMA)
    _check_schema(schema)
    conninfo = make_conninfo(**{**_CONNECTING, **parameters})
    timeout = own.get("statement_timeout")
    if timeout is not None and not _DURATION.fullmatch(timeout):
        raise InvalidInputError(
            f"statement_timeout={timeout!r} is no duration of PostgreSQL.", hint="for example 30s, 500ms or 2min."
        )
    return Source(
        where=_shown(parameters, schema),
        schema=schema,
        connect=lambda: psycopg.connect(conninfo, autocommit=True, prepare_threshold=None),
        portable=_portable(parameters, own),
        statement_timeout=timeout,
    )


def portable(address: str) -> str:
    """Give an address without its secrets, that another process can use with its own."""
    return _portable(*_parse(address))


def _parse(address: str) -> tuple[dict[str, str], dict[str, str]]:
    """Give what libpq is to be told, and what we add to that: ``schema`` and ``statement_timeout``."""
    rest = address.partition("://")[2]
    before, _, query = rest.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    own = {name: value for name, value in pairs if name in {"schema", "statement_timeout"}}
    others = urlencode([pair for pair in pairs if pair[0] not in own], quote_via=quote)
    try:
        found = conninfo_to_dict(f"postgresql://{before}?{others}" if others else f"postgresql://{before}")
    except psycopg.Error:
        raise InvalidInputError(  # without its cause, which may quote the password
            "The address of the catalog is not one that PostgreSQL understands.",
            hint="postgresql://user@host:5432/database?schema=lakepart; special characters are percent-encoded.",
            context={"scheme": "postgresql"},
        ) from None
    return {name: str(value) for name, value in found.items() if value is not None}, own


def _portable(parameters: Mapping[str, str], own: Mapping[str, str]) -> str:
    shared = {name: value for name, value in parameters.items() if name not in _SECRETS and name != "dbname"}
    query = urlencode({**shared, **own}, quote_via=quote)
    return f"postgresql:///{quote(parameters.get('dbname', ''), safe='')}{'?' if query else ''}{query}"


def _shown(parameters: Mapping[str, str], schema: str) -> str:
    host, port = parameters.get("host", ""), parameters.get("port", "")
    socket = host.startswith("/")
    place = "" if socket else host + (f":{port}" if port else "")
    return f"postgresql://{place}/{parameters.get('dbname', '')}?schema={schema}"


def _from_engine(engine: Engine) -> Source:
    if (engine.dialect.name, engine.dialect.driver) != ("postgresql", "psycopg"):
        raise InvalidInputError(
            f"An engine of {engine.dialect.name}+{engine.dialect.driver} cannot hold a catalog.",
            hint='give one of "postgresql+psycopg://", or a path for SQLite.',
            code=ErrorCode.UNSUPPORTED,
        )
    translated: Mapping[str | None, str] = engine.get_execution_options().get("schema_translate_map") or {}
    schema = translated.get(None, DEFAULT_SCHEMA)
    _check_schema(schema)

    def connect() -> Any:
        proxied = engine.raw_connection()
        driver = proxied.driver_connection
        proxied.detach()  # the catalog keeps its connections in a state that others need not expect
        return _prepared(driver)

    url = urlsplit(engine.url.render_as_string())
    host = url.netloc.rpartition("@")[2]
    return Source(f"postgresql://{host}{url.path}?schema={schema}", schema, connect)


def _prepared(driver: Any) -> Any:
    if not isinstance(driver, psycopg.Connection):
        raise InvalidInputError(
            f"A catalog cannot use a connection of type {type(driver).__module__}.{type(driver).__qualname__}.",
            hint="give connections of psycopg 3: psycopg.connect(…).",
            code=ErrorCode.UNSUPPORTED,
        )
    driver.rollback()
    driver.autocommit = True  # BEGIN is ours to say
    driver.prepare_threshold = None  # a pooler may give the next transaction to another session
    return driver


def _check_schema(name: str) -> None:
    if not _SCHEMA_NAME.fullmatch(name) or name.lower().startswith("pg_"):
        raise InvalidInputError(
            f"{name!r} cannot be the PostgreSQL schema of a lake: letters, digits and _, at most 63, not pg_….",
            hint="for example ?schema=lakepart.",
            context={"schema": name},
        )
