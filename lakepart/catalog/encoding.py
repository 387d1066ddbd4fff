"""How structured values become text in a row, and instants integers."""

from __future__ import annotations

import json
from typing import Any

from lakepart.errors import CorruptionError

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def to_json(value: Any) -> str:
    """Write a value the same way every time: equal values give equal text."""
    return "{}" if value == {} else _encode(value)


def from_json(text: str) -> Any:
    """Read what :func:`to_json` wrote."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, TypeError) as error:  # a damaged page can give NULL where none may be
        raise CorruptionError(
            f"The catalog holds {text and text[:80]!r} where a structured value must be: {error}.",
            hint="restore the catalog from a backup, or rebuild it.",
        ) from error
