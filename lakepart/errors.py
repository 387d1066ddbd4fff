"""Every error lakepart raises, sorted by what the caller does next.

::

    LakepartError
    ├── InvalidInputError      fix the call                        (also ValueError)
    │   ├── SchemaMismatchError    fix the frame or the schema
    │   └── PartitionKeyError      fix the key
    ├── NotFoundError          name something that exists          (also LookupError)
    │   ├── LakeNotFoundError
    │   ├── AssetNotFoundError
    │   ├── PartitionNotFoundError
    │   ├── SnapshotNotFoundError
    │   └── BranchNotFoundError
    ├── AlreadyExistsError     choose another name, or say that replacing is meant
    ├── StateError             do something else first
    ├── ConflictError          read again and retry: somebody else committed (retryable)
    ├── OfflineDataError       restore the data first
    ├── StorageError           look at the disk or the object store
    ├── CatalogError           look at the catalog database
    ├── CorruptionError        restore the damaged bytes; ``check`` names them
    ├── AuditError             mend what the audits found
    └── BackfillError          look at the failed orders it names

A message says what failed, the value and the rule; the hint says the way out. An error changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, ClassVar


class ErrorCode(StrEnum):
    """Stable, kebab-case names of what went wrong; safe to compare and to log."""

    INVALID_INPUT = "invalid-input"
    EMPTY_FRAME = "empty-frame"
    EMPTY_WINDOW = "empty-window"
    INVALID_NAME = "invalid-name"
    INVALID_KEY = "invalid-key"
    INVALID_SELECTION = "invalid-selection"
    DEFINITION_MISMATCH = "definition-mismatch"
    FOREIGN_ROWS = "foreign-rows"
    NAIVE_TIMESTAMP = "naive-timestamp"
    NULL_PARTITION_VALUE = "null-partition-value"
    OUT_OF_RANGE = "out-of-range"
    BELOW_SAFE_MINIMUM = "below-safe-minimum"
    SCHEMA_MISMATCH = "schema-mismatch"
    NULL_KEY = "null-key"
    DUPLICATE_KEYS = "duplicate-keys"
    UNKNOWN_COLUMN = "unknown-column"
    UNNAMED_INDEX = "unnamed-index"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not-found"
    LAKE_NOT_FOUND = "lake-not-found"
    ASSET_NOT_FOUND = "asset-not-found"
    PARTITION_NOT_FOUND = "partition-not-found"
    SNAPSHOT_NOT_FOUND = "snapshot-not-found"
    BRANCH_NOT_FOUND = "branch-not-found"
    TAG_NOT_FOUND = "tag-not-found"
    ALREADY_EXISTS = "already-exists"
    STATE = "state"
    READ_ONLY = "read-only"
    WOULD_ORPHAN = "would-orphan"
    CONFLICT = "conflict"
    FILES_CHANGED = "files-changed"
    ASSET_CHANGED = "asset-changed"
    OFFLINE_DATA = "offline-data"
    STORAGE = "storage"
    STORAGE_UNREACHABLE = "storage-unreachable"
    DISK_FULL = "disk-full"
    PERMISSION = "permission"
    CATALOG = "catalog"
    CATALOG_BUSY = "catalog-busy"
    CATALOG_TOO_NEW = "catalog-too-new"
    CATALOG_TOO_OLD = "catalog-too-old"
    CATALOG_UNREACHABLE = "catalog-unreachable"
    NOT_A_CATALOG = "not-a-catalog"
    WRONG_CATALOG = "wrong-catalog"
    INTENT_EXPIRED = "intent-expired"
    CORRUPTION = "corruption"
    AUDIT_FAILED = "audit-failed"
    BACKFILL = "backfill"
    ORDER_TIMEOUT = "order-timeout"
    NO_RESULT = "no-result"


_CURED_BY_WAITING = {ErrorCode.CATALOG_BUSY, ErrorCode.CATALOG_UNREACHABLE, ErrorCode.STORAGE_UNREACHABLE}


class LakepartError(Exception):
    """Base of every error lakepart raises.

    Parameters
    ----------
    message
        What failed, the value, the rule.
    hint
        The way out, one sentence; shown after ``Hint:``.
    code
        A stable name; defaults to the class's own.
    context
        The values named in the message, for programs.

    Attributes
    ----------
    retryable
        Whether the same call may succeed if made again.
    """

    default_code: ClassVar[ErrorCode] = ErrorCode.INVALID_INPUT
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        code: ErrorCode | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or self.default_code
        self.context = dict(context or {})
        if self.code in _CURED_BY_WAITING:
            self.retryable = True

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "?", "!", ":", ";")) else "."
        return f"{self.message}{stop} Hint: {self.hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.__dict__)


def _rebuild(kind: type[LakepartError], message: str, state: dict[str, Any]) -> LakepartError:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class InvalidInputError(LakepartError, ValueError):
    """An argument breaks a rule: fix the call."""


class SchemaMismatchError(InvalidInputError):
    """A frame does not fit the asset's schema: fix the frame."""

    default_code = ErrorCode.SCHEMA_MISMATCH


class PartitionKeyError(InvalidInputError):
    """A key or label names no partition of the definition: fix the key."""

    default_code = ErrorCode.INVALID_KEY


class NotFoundError(LakepartError, LookupError):
    """What was named does not exist."""

    default_code = ErrorCode.NOT_FOUND


class LakeNotFoundError(NotFoundError):
    """No lake is there; ``create`` makes one."""

    default_code = ErrorCode.LAKE_NOT_FOUND


class AssetNotFoundError(NotFoundError):
    """The lake has no asset of that name."""

    default_code = ErrorCode.ASSET_NOT_FOUND


class PartitionNotFoundError(NotFoundError):
    """Partitions that were asked for are missing."""

    default_code = ErrorCode.PARTITION_NOT_FOUND


class SnapshotNotFoundError(NotFoundError):
    """The lake has no such snapshot, or this branch does not see it."""

    default_code = ErrorCode.SNAPSHOT_NOT_FOUND


class BranchNotFoundError(NotFoundError):
    """The lake has no open branch of that name."""

    default_code = ErrorCode.BRANCH_NOT_FOUND


class AlreadyExistsError(LakepartError):
    """What was to be made is there already."""

    default_code = ErrorCode.ALREADY_EXISTS


class StateError(LakepartError):
    """The call does not fit the present state: do something else first."""

    default_code = ErrorCode.STATE


class ConflictError(LakepartError):
    """Somebody else committed what this call was based on; ``context`` says who, what and when."""

    default_code = ErrorCode.CONFLICT
    retryable = True


class OfflineDataError(LakepartError):
    """Files lie in storage that must be restored before it can be read.

    Of a read, ``context`` has the ``asset``, its ``partitions`` with such files and which of them are ``restoring``,
    the ``tiers``, the number of ``files``, their ``bytes``, and ``restore_hours``: by speed, after how many hours at
    most all of them can be read.
    """

    default_code = ErrorCode.OFFLINE_DATA


class StorageError(LakepartError):
    """The disk or object store failed."""

    default_code = ErrorCode.STORAGE


class CatalogError(LakepartError):
    """The catalog database failed, or is not one of ours."""

    default_code = ErrorCode.CATALOG


class CorruptionError(LakepartError):
    """Bytes are missing or are not what the catalog says was written."""

    default_code = ErrorCode.CORRUPTION


class AuditError(LakepartError):
    """Audits found something in what was about to be published; ``context["audits"]`` has every outcome."""

    default_code = ErrorCode.AUDIT_FAILED


class BackfillError(LakepartError):
    """At least one order of a backfill failed; ``backfill`` is its handle."""

    default_code = ErrorCode.BACKFILL

    def __init__(self, message: str, *, backfill: Any = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.backfill = backfill


_MOST_COMPARED = 2_000  # looking for a close name among more takes longer than anybody waits for an error
_LONGEST_NAME = 200


def did_you_mean(name: str, choices: Iterable[str]) -> str | None:
    """Give a hint that names the closest of ``choices``, or lists a few, or None where there are none."""
    known = sorted(set(choices))
    if not known:
        return None
    close = get_close_matches(name[:_LONGEST_NAME], known, n=3, cutoff=0.6) if len(known) <= _MOST_COMPARED else []
    if close:
        return "did you mean " + " or ".join(repr(choice) for choice in close) + "?"
    listed = ", ".join(repr(choice) for choice in known[:8])
    return f"known: {listed}{', …' if len(known) > 8 else ''}."
