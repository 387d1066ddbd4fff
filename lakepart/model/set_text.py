"""The written form of a set of partitions: ``first..last`` and single keys, joined by commas.

Catalog rows and plans hold it, so it must read back the same for any key. Inside a key ``%``, ``,`` and ``*`` are
percent-encoded, and so are the dots of a key in which they could be taken for ``..``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lakepart.errors import ErrorCode, InvalidInputError

_SPECIAL = re.compile(r"[%,*]")
_SPECIAL_AND_DOT = re.compile(r"[%,*.]")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")
_WELL_FORMED = re.compile(r"(?:[^%,*]|%[0-9A-F]{2})+")


def format_runs(runs: Iterable[tuple[str, str]]) -> str:
    """Write runs of keys, each given as its first and last key."""
    return ",".join(_escape(first) if first == last else f"{_escape(first)}..{_escape(last)}" for first, last in runs)


def parse_runs(text: str) -> Iterator[tuple[str, str]]:
    """Read what :func:`format_runs` wrote; a single key is first and last at once.

    Raises
    ------
    InvalidInputError
        The text has another form.
    """
    if not text:
        return
    for run in text.split(","):
        first, dots, last = run.partition("..")
        if not dots:
            last = first
        if not _WELL_FORMED.fullmatch(first) or not _WELL_FORMED.fullmatch(last) or ".." in last:
            raise InvalidInputError(
                f"{run!r} in {text!r} is neither a key nor a range 'first..last'.",
                hint="in keys, write % as %25, a comma as %2C, * as %2A, and .. as %2E%2E.",
                code=ErrorCode.INVALID_SELECTION,
            )
        yield _unescape(first), _unescape(last)


def _escape(key: str) -> str:
    ambiguous = ".." in key or key.startswith(".") or key.endswith(".")
    return (_SPECIAL_AND_DOT if ambiguous else _SPECIAL).sub(lambda found: f"%{ord(found[0]):02X}", key)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
