"""How structured values become text in a row, and instants integers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def to_json(value: Any) -> str:
    """Write a value the same way every time: equal values give equal text."""
    return "{}" if value == {} else _encode(value)


def from_json(text: str) -> Any:
    """Read what :func:`to_json` wrote."""
    return json.loads(text)


def to_us(instant: datetime) -> int:
    """Give UTC microseconds since 1970 of an aware instant, exactly."""
    return (instant - _EPOCH) // _MICROSECOND
