"""How a command ends: exit codes, and errors in words or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from lakepart.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorCode,
    InvalidInputError,
    LakepartError,
    NotFoundError,
    StateError,
)


class ExitCode(IntEnum):
    """What the exit code of ``lakepart`` says."""

    DONE = 0
    FAILED = 1
    WRONG_CALL = 2
    NOT_FOUND = 3
    CONFLICT = 4
    NOT_DONE = 5
    INTERRUPTED = 130
    TERMINATED = 143


def code_of(error: LakepartError) -> ExitCode:
    """Give the exit code that says what to do about an error."""
    if isinstance(error, InvalidInputError):
        return ExitCode.WRONG_CALL
    if isinstance(error, NotFoundError):
        return ExitCode.NOT_FOUND
    if isinstance(error, ConflictError | AlreadyExistsError | StateError) or error.code is ErrorCode.CATALOG_BUSY:
        return ExitCode.CONFLICT
    return ExitCode.FAILED


def report_error(error: LakepartError, *, as_json: bool) -> ExitCode:
    """Say on stderr what went wrong; gives the exit code."""
    details = {
        "code": error.code.value,
        "type": type(error).__name__,
        "context": error.context,
        "retryable": error.retryable,
    }
    report(error.message, error.hint, details, as_json=as_json, notes=getattr(error, "__notes__", ()))
    return code_of(error)


def report(
    message: str, hint: str | None, details: dict[str, Any], *, as_json: bool, notes: Iterable[str] = ()
) -> None:
    """Write one error to stderr."""
    if as_json:
        text = json.dumps({"error": {"message": message, "hint": hint, **details}}, default=str, ensure_ascii=False)
    else:
        text = f"error: {message}" + (f"\nhint: {hint}" if hint else "")
        text += "".join(f"\n{note}" for note in notes)
    sys.stderr.write(f"{text}\n")
