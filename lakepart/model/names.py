"""The rules that names of assets, branches, tags, tiers and dimensions keep."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.instants import is_instant

MOST_SEGMENTS = 8
LONGEST_SEGMENT = 64

_SEGMENT = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_SEGMENT}}}")
_SEGMENT_RULE = f"1 to {LONGEST_SEGMENT} characters of A–Z, a–z, 0–9, '_', '.' and '-', not '.' or '..'"


def check_asset_name(name: object) -> str:
    """Give ``name`` back if it can name an asset: 1 to 8 segments joined by ``/``.

    Raises
    ------
    InvalidInputError
        The name breaks the rule, which the message states.

    Examples
    --------
    >>> check_asset_name("sales/orders")
    'sales/orders'
    """
    text = _check_text("asset", name)
    segments = text.split("/")
    if len(segments) > MOST_SEGMENTS:
        raise _broken("asset", text, f"it has {len(segments)} segments, at most {MOST_SEGMENTS} are allowed")
    for segment in segments:
        _check_segment("asset", text, segment)
    return text


def check_branch_name(name: object) -> str:
    """Give ``name`` back if it can name a branch: one segment, and not ``main``.

    Raises
    ------
    InvalidInputError
        The name breaks the rule, which the message states.
    """
    text = _check_single("branch", name)
    if text == "main":
        raise _broken("branch", text, "main is the lake itself, not a branch of it")
    return text


def check_tier_name(name: object) -> str:
    """Give ``name`` back if it can name a tier: one segment.

    Raises
    ------
    InvalidInputError
        The name breaks the rule, which the message states.
    """
    return _check_single("tier", name)


def check_tag_name(name: object) -> str:
    """Give ``name`` back if it can name a tag: one segment that nobody takes for a number or an instant.

    Raises
    ------
    InvalidInputError
        The name breaks the rule, which the message states.
    """
    text = _check_single("tag", name)
    if text.isdecimal() or is_instant(text):
        raise _broken("tag", text, "at() takes it for a snapshot's number or an instant")
    return text


def check_dimension_name(name: object) -> str:
    """Give ``name`` back if it can name a dimension: one segment (it stands in the folder ``dimension=key``).

    Raises
    ------
    InvalidInputError
        The name breaks the rule, which the message states.
    """
    text = _check_text("dimension", name)
    if not _SEGMENT.fullmatch(text) or text in {".", ".."}:
        raise _broken("dimension", text, f"a dimension is {_SEGMENT_RULE}")
    return text


def _check_single(kind: str, name: object) -> str:
    text = _check_text(kind, name)
    _check_segment(kind, text, text)
    return text


def _check_text(kind: str, name: object) -> str:
    if not isinstance(name, str):
        raise InvalidInputError(
            f"The {kind} name {name!r} is a {type(name).__name__}: names are text.", code=ErrorCode.INVALID_NAME
        )
    return str(name)


def _check_segment(kind: str, name: str, segment: str) -> None:
    if segment.startswith("_"):
        raise _broken(kind, name, f"{segment!r} begins with '_', which is kept for the lake's own folders")
    if not _SEGMENT.fullmatch(segment) or segment in {".", ".."}:
        raise _broken(kind, name, f"{segment!r} is not {_SEGMENT_RULE}")


def _broken(kind: str, name: str, rule: str) -> InvalidInputError:
    article = "an" if kind[0] in "aeiou" else "a"
    return InvalidInputError(
        f"{name!r} cannot be {article} {kind} name: {rule}.",
        code=ErrorCode.INVALID_NAME,
        context={"kind": kind, "name": name},
    )


def names_in(given: Sequence[str]) -> tuple[str, ...]:
    """Take one name for a list of one: the letters of a text are nobody's columns."""
    return (given,) if isinstance(given, str) else tuple(given)
