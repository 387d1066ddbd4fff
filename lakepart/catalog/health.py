"""How healthy the database of a catalog is: what it is set to, what one may do there, and which bugs it has."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from lakepart.catalog import migrations
from lakepart.catalog.database import Database
from lakepart.catalog.sqlite import SqliteBackend
from lakepart.model.diagnoses import NOTICE, OK, PROBLEM, Diagnosis
from lakepart.model.plans import count_of, format_bytes, list_some

_LONG_LOG = 64_000_000
_SKEW_S = 2.0
_LONG_SKEW_S = 300.0  # by then a living writer looks dead to others
_SHORT_MS = 30_000
_OLDEST_SERVER = 120_000
_TABLES = ("head", "asset", "version", "file", "copy", "snapshot", "intent")
_CHANGING = ("INSERT", "UPDATE", "DELETE")


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Tell whether a release of SQLite has the WAL-reset bug (https://sqlite.org/wal.html#walresetbug).

    It came with 3.7.0 and went with 3.51.3; 3.44.6 and 3.50.7 have the mending, too.
    """
    mended = (3, 44, 6) <= version < (3, 45) or (3, 50, 7) <= version < (3, 51)
    return (3, 7) <= version < (3, 51, 3) and not mended


def examine_sqlite_release(*, is_used: bool) -> Diagnosis:
    """Say which SQLite Python is linked with, and whether it may damage a catalog that ``is_used``."""
    release = sqlite3.sqlite_version
    if not has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Diagnosis("sqlite", OK, f"SQLite {release}.")
    return Diagnosis(
        "sqlite",
        PROBLEM if is_used else NOTICE,
        f"SQLite {release} has the WAL-reset bug: very rarely, a commit that meets a checkpoint of another process at "
        "the wrong moment is lost or damages the catalog.",
        "use a Python linked with SQLite 3.51.3 or newer (or 3.50.7, 3.44.6), or a catalog in PostgreSQL; until then, "
        "back the catalog up.",
    )


def examine_migrations(database: Database) -> Diagnosis:
    """Say whether a catalog is of this release; one of a newer release is refused with CatalogError."""
    plan = migrations.plan(database)
    if plan.is_empty:
        return Diagnosis("catalog", OK, f"{plan.catalog} is at migration {plan.found}, the newest.")
    lacking = list_some(f"{number} ({purpose})" for number, purpose in plan.pending)
    text = (
        f"{plan.catalog} is at migration {plan.found} and lacks {count_of(len(plan.pending), 'migration')}: {lacking}."
    )
    if database.backend.migrates_by_itself:
        return Diagnosis("catalog", NOTICE, text, "the next connect that may write brings it up to date.")
    return Diagnosis("catalog", PROBLEM, text, "`lakepart catalog migrate` brings it up to date.")


def examine_database(database: Database) -> Iterator[Diagnosis]:
    """Look at the database itself; changes nothing."""
    if isinstance(database.backend, SqliteBackend):
        yield from _sqlite(database, database.backend.path)
        return
    with database.reading() as connection:
        yield from _clock(database.backend.skew_us(connection) / 1e6)
        yield from _server(connection)
        yield from _role(connection, read_only=database.read_only)
        yield from _session(connection)


def _sqlite(database: Database, path: Path) -> Iterator[Diagnosis]:
    with database.reading() as connection:
        mode, synchronous = (
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("journal_mode", "synchronous")
        )
    if mode != "wal":
        yield Diagnosis(
            "journal",
            PROBLEM,
            f"The journal mode is {mode}, not wal: readers and writers wait for each other.",
            "PRAGMA journal_mode=WAL sets it back, while nobody else has the catalog open.",
        )
    elif synchronous < 2 and not database.read_only:
        yield Diagnosis("journal", PROBLEM, "Commits are not synced: a loss of power undoes them.", None)
    else:
        yield Diagnosis("journal", OK, "Journal mode wal, every commit synced.")
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > _LONG_LOG:
        text = f"The write-ahead log has grown to {format_bytes(size)}: some reader keeps it from being folded back."
        yield Diagnosis("journal", NOTICE, text, "end what has been reading for very long.")
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    if not writable and not database.read_only:
        text = f"{path} or its folder is not writable by this user, who can only read."
        yield Diagnosis("rights", PROBLEM, text, "connect with read_only=True, or ask for the right to write.")


def _clock(skew_s: float) -> Iterator[Diagnosis]:
    if abs(skew_s) <= _SKEW_S:
        yield Diagnosis("clock", OK, f"This machine and the database differ by {abs(skew_s):.1f} s.")
        return
    text = f"The database's clock differs from this machine's by {skew_s:+.1f} s."
    severity = PROBLEM if abs(skew_s) > _LONG_SKEW_S else NOTICE
    yield Diagnosis("clock", severity, text, "set the clocks by NTP: snapshots and grace periods go by them.")


def _server(connection: Connection) -> Iterator[Diagnosis]:
    release, number = _settings(connection, "server_version", "server_version_num")
    if int(number) < _OLDEST_SERVER:
        yield Diagnosis("postgresql", NOTICE, f"PostgreSQL {release} gets no mending any more.", "upgrade the server.")
    else:
        yield Diagnosis("postgresql", OK, f"PostgreSQL {release}.")
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
        text = "The server is a standby: it can be read, and lags behind."
        yield Diagnosis("postgresql", NOTICE, text, "writers connect to the primary.")
    lazy = [
        name for name, value in zip(_DURABILITY, _settings(connection, *_DURABILITY), strict=True) if value == "off"
    ]
    if lazy:
        text = f"{' and '.join(lazy)} {'is' if len(lazy) == 1 else 'are'} off: a crash of the server undoes commits."
        yield Diagnosis("durability", PROBLEM, text, f"set {', '.join(lazy)} to on.")
    else:
        yield Diagnosis("durability", OK, "Commits are synced before they are answered.")


def _role(connection: Connection, *, read_only: bool) -> Iterator[Diagnosis]:
    role = connection.exec_driver_sql("SELECT current_user").scalar_one()
    lacking = {
        right: [table for table in _TABLES if not _may(connection, table, right)] for right in ("SELECT", *_CHANGING)
    }
    if lacking["SELECT"]:
        text = f"Role {role!r} may not read {list_some(lacking['SELECT'])}."
        yield Diagnosis("rights", PROBLEM, text, "GRANT SELECT ON ALL TABLES IN SCHEMA … lets it read.")
    elif all(len(lacking[right]) == len(_TABLES) for right in _CHANGING):
        text = f"Role {role!r} has SELECT only: it reads, and can write nothing."
        hint = None if read_only else "connect with read_only=True, or by another role to write."
        yield Diagnosis("rights", OK if read_only else NOTICE, text, hint)
    elif any(lacking.values()):
        named = "; ".join(f"{right} on {list_some(tables)}" for right, tables in lacking.items() if tables)
        text = f"Role {role!r} may not do all that writers do: it lacks {named}."
        yield Diagnosis(
            "rights", NOTICE if read_only else PROBLEM, text, "docs/postgresql.md lists what each role needs."
        )
    else:
        yield Diagnosis("rights", OK, f"Role {role!r} may read and write.")


def _session(connection: Connection) -> Iterator[Diagnosis]:
    isolation, reads_only, timeout = _settings(
        connection, "default_transaction_isolation", "default_transaction_read_only", "statement_timeout"
    )
    text = (
        f"Sessions begin {isolation}{', read-only' if reads_only == 'on' else ''}; lakepart says for each transaction."
    )
    yield Diagnosis("isolation", OK, text)
    limited = 0 < _milliseconds(connection, "statement_timeout") < _SHORT_MS
    yield Diagnosis(
        "timeouts",
        NOTICE if limited else OK,
        f"statement_timeout is {timeout}." if timeout != "0" else "No statement_timeout.",
        "long listings and vacuum may need more: ?statement_timeout=2min in the address." if limited else None,
    )
    driver = connection.connection.driver_connection
    told = None if driver is None else driver.info.backend_pid
    if told != connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one():
        yield Diagnosis("pooling", OK, "A pooler stands between: each transaction may get another session.")
    else:
        yield Diagnosis("pooling", OK, "No pooler stands between.")


_DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


def _settings(connection: Connection, *names: str) -> list[str]:
    listed = ", ".join(f"current_setting('{name}')" for name in names)
    return [str(value) for value in connection.exec_driver_sql(f"SELECT {listed}").one()]


def _milliseconds(connection: Connection, name: str) -> int:
    found = connection.exec_driver_sql(f"SELECT setting FROM pg_settings WHERE name = '{name}'")
    return int(found.scalar_one())


def _may(connection: Connection, table: str, right: str) -> bool:
    found = connection.exec_driver_sql(f"SELECT has_table_privilege('{table}', '{right}')")
    return bool(found.scalar_one())
