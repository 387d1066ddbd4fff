"""Types as people write them on a command line, and as schemas print them."""

from __future__ import annotations

import re

import pyarrow as pa

from lakepart.errors import InvalidInputError

_WITH_ZONE = re.compile(r"timestamp\[(s|ms|us|ns), *(?:tz=)?([^\]]+)\]")
_DECIMAL = re.compile(r"decimal(?:128|256)?\((\d+), *(-?\d+)\)")
_LIST = re.compile(r"list<(?:element: *|item: *)?(.+)>")
_DIGITS_OF_128 = 38


def parse_type(text: str) -> pa.DataType:
    """Read the name of a type: ``int64``, ``string``, ``timestamp[us, UTC]``, ``decimal(12, 2)``, ``list<int64>``.

    Raises
    ------
    InvalidInputError
        There is no such type.
    """
    name = text.strip()
    try:
        if match := _WITH_ZONE.fullmatch(name):
            return pa.timestamp(match[1], tz=match[2].strip())
        if match := _DECIMAL.fullmatch(name):
            digits, scale = int(match[1]), int(match[2])
            return pa.decimal128(digits, scale) if digits <= _DIGITS_OF_128 else pa.decimal256(digits, scale)
        if match := _LIST.fullmatch(name):
            return pa.list_(parse_type(match[1]))
        return pa.type_for_alias("timestamp[us]" if name == "timestamp" else name)
    except (ValueError, pa.ArrowInvalid) as error:
        raise InvalidInputError(
            f"{text!r} is no type of a column.",
            hint="for example int64, float64, string, bool, date32, timestamp[us, UTC], decimal(12, 2), list<string>.",
        ) from error
