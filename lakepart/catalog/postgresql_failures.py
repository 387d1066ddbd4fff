"""Which of lakepart's errors PostgreSQL means."""

from __future__ import annotations

import psycopg
from psycopg import errors

from lakepart.catalog.failures import busy_for_too_long, damaged, disk_full, read_only_handle, unwritable
from lakepart.errors import CatalogError, ErrorCode, InvalidInputError, LakeNotFoundError, LakepartError

_BUSY = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.TooManyConnections,
)
_LOST = (errors.IdleInTransactionSessionTimeout, psycopg.InterfaceError)
_NO_TEXT = (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire)


def translate(error: BaseException, where: str, *, read_only: bool, lock_wait_s: float) -> LakepartError:
    """Give lakepart's error for a driver's ``error``; the caller raises it ``from`` the original."""
    if isinstance(error, _BUSY):
        return busy_for_too_long(where, error, lock_wait_s)
    if isinstance(error, errors.DiskFull):
        return disk_full(where, error)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return read_only_handle(where) if read_only else unwritable(where, error)
    if isinstance(error, errors.InsufficientPrivilege):
        return _not_allowed(where, error)
    if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
        return damaged(where, error)
    if isinstance(error, _NO_TEXT) or (isinstance(error, psycopg.DataError) and "NUL" in str(error)):
        return InvalidInputError(
            f"A text cannot be kept in a PostgreSQL catalog: {_first_line(error)}.",
            hint="leave the character NUL out of names, messages and keys.",
            context={"catalog": where},
        )
    if is_loss(error):
        return unreachable(where, error)
    return CatalogError(f"Catalog {where} failed: {_first_line(error)}.", context={"catalog": where})


def is_loss(error: BaseException) -> bool:
    """Say whether nobody answers any more, or never did."""
    if isinstance(error, _LOST):
        return True
    state = getattr(error, "sqlstate", None)
    if state is None:  # said by the driver, not by the server
        return isinstance(error, psycopg.OperationalError)
    return str(state).startswith(("08", "57P"))


def unreachable(where: str, error: BaseException) -> LakepartError:
    """Give the error for a server that does not answer."""
    return CatalogError(
        f"Catalog {where} cannot be reached: {_first_line(error)}.",
        hint="the same call may succeed if made again; check address, network and credentials.",
        code=ErrorCode.CATALOG_UNREACHABLE,
        context={"catalog": where},
    )


def no_catalog(where: str, error: BaseException) -> LakepartError | None:
    """Give the error for a place without our tables, if that is what ``error`` means."""
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        return LakeNotFoundError(
            f"There is no catalog at {where}.",
            hint="create makes a new lake; check the address, and that your role has USAGE on the schema.",
            context={"catalog": where},
        )
    if isinstance(error, errors.UndefinedColumn):
        return CatalogError(
            f"{where} has tables, but is no lakepart catalog: {_first_line(error)}.",
            hint="name the schema of a lake: ?schema=….",
            code=ErrorCode.NOT_A_CATALOG,
            context={"catalog": where},
        )
    return None


def _not_allowed(where: str, error: BaseException) -> LakepartError:
    refused = unwritable(where, _FirstLine(_first_line(error)))
    refused.hint = "your role lacks a right: docs/postgresql.md lists what readers, writers and migrators need."
    return refused


class _FirstLine(Exception):  # noqa: N818 - a text to show, never raised
    """What the server said, without its excerpt of the statement."""


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
