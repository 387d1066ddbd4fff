"""Partition keys, and the folder names that hold them without ever meeting or leaving their place.

A folder name keeps the case of its key. On a file system that ignores case, ``partition=A`` and ``partition=a`` are
one folder, and so are folders within it; that is harmless, because file names are unique and the catalog, not the
folder, says whose a file is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from lakepart.errors import InvalidInputError, PartitionKeyError

LONGEST_SEGMENT_BYTES = 255

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_ENCODED = [chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in range(256)]
# An encoded key never holds '%~', since '%' is always followed by two hexadecimal digits.
_CUT = "%~"
_DIGEST_LENGTH = 32
_TORN_ESCAPE = re.compile(r"%[0-9A-F]?\Z")


def check_key(key: object) -> str:
    """Give ``key`` back if it can be a partition key: any text except the empty one and NUL.

    Raises
    ------
    PartitionKeyError
        The key is no text, empty, holds NUL, or cannot be written as UTF-8 (lone surrogates).
    """
    if not isinstance(key, str):
        raise PartitionKeyError(f"The partition key {key!r} is a {type(key).__name__}: keys are text.")
    text = str(key)
    if not text:
        raise PartitionKeyError("A partition key is empty: keys have at least one character.")
    if "\0" in text:
        raise PartitionKeyError(f"The partition key {text!r} holds NUL: every other character is allowed.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PartitionKeyError(
            f"The partition key {text!r} cannot be written as UTF-8: it holds a lone surrogate at {error.start}."
        ) from error
    return text


def check_keys(keys: object, what: str) -> list[str]:
    """Give keys back as a list, one text as a list of one.

    Raises
    ------
    InvalidInputError
        ``keys`` is neither a text nor several.
    PartitionKeyError
        One of them can be no key.
    """
    if isinstance(keys, str):
        return [check_key(keys)]
    if not isinstance(keys, Iterable):
        raise InvalidInputError(f"{what} is given {keys!r}, a {type(keys).__name__}: keys are a list of texts.")
    return [check_key(key) for key in keys]


def encode_segment(dimension: str, key: str) -> str:
    """Name the folder of a partition: ``dimension=key``, at most 255 bytes, ASCII, one for one.

    Bytes outside ``A–Z a–z 0–9 _ . -`` are percent-encoded, as is a dot at the end (Windows drops it). What is longer
    than a folder name may be is cut and closed with ``%~`` and a digest of the whole key.

    Examples
    --------
    >>> encode_segment("partition", "2013-01-05")
    'partition=2013-01-05'
    >>> encode_segment("region", "a/b")
    'region=a%2Fb'
    """
    content = check_key(key).encode()
    encoded = "".join([_ENCODED[byte] for byte in content])
    if encoded.endswith("."):
        encoded = f"{encoded[:-1]}%2E"
    segment = f"{dimension}={encoded}"
    if len(segment) <= LONGEST_SEGMENT_BYTES:
        return segment
    cut = segment[: LONGEST_SEGMENT_BYTES - len(_CUT) - _DIGEST_LENGTH]
    return f"{_TORN_ESCAPE.sub('', cut)}{_CUT}{hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]}"


def decode_segment(segment: str) -> tuple[str, str | None]:
    """Give the dimension and the key that a folder name was made from; None for a key that was cut.

    Raises
    ------
    InvalidInputError
        The name was not made by :func:`encode_segment`.
    """
    dimension, equals, encoded = segment.partition("=")
    if not dimension or not equals or not encoded:
        raise InvalidInputError(f"The folder name {segment!r} is not of the form 'dimension=key'.")
    if _CUT in encoded:
        return dimension, None
    try:
        key = unquote_to_bytes(encoded).decode()
        made = encode_segment(dimension, key)
    except (UnicodeDecodeError, PartitionKeyError) as error:
        raise InvalidInputError(f"The folder name {segment!r} encodes no partition key.") from error
    if made != segment:
        raise InvalidInputError(f"The folder name {segment!r} is not how a lake writes the key {key!r}: {made!r}.")
    return dimension, key
