"""Sizes that people give: bytes, or text such as ``128 MB``."""

from __future__ import annotations

import re

from lakepart.errors import InvalidInputError

_UNITS = {"": 1} | {
    f"{letter}{end}": base**power
    for power, letter in enumerate("kmgt", start=1)
    for end, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_UNITS["b"] = 1
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII)
_MOST = 1 << 50  # a petabyte in one file is a slip of the pen


def parse_size(given: int | str, name: str) -> int:
    """Give a size in bytes; ``kB``, ``MB``, ``GB`` are powers of 1000, ``KiB``, ``MiB``, ``GiB`` of 1024.

    Parameters
    ----------
    given
        Bytes, or text.
    name
        What is said, for the message.

    Raises
    ------
    InvalidInputError
        It is no size, or not between one byte and a petabyte.
    """
    size: float | None = None
    if isinstance(given, int) and not isinstance(given, bool):
        size = given
    elif isinstance(given, str):
        match = _SIZE.fullmatch(given.strip().lower())
        if match is not None and match[2] in _UNITS:
            size = float(match[1]) * _UNITS[match[2]]
    if size is None or not 1 <= size <= _MOST:
        raise InvalidInputError(
            f"{name}={given!r} is no size: bytes as a whole number, or text, from one byte to a petabyte.",
            hint='for example 128_000_000, or "128 MB".',
        )
    return int(size)
