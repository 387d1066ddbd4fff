"""How values show themselves where they hold more than anyone wants to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

_SHOWN = 20
_SHOWN_CHARACTERS = 500


def repr_some(values: Collection[object]) -> str:
    """Give the ``repr`` of a list or a dictionary, of which only the beginning is shown where it is long.

    Examples
    --------
    >>> repr_some(("eu", "us")), repr_some({"emea": ["eu"]})
    ("['eu', 'us']", "{'emea': ['eu']}")
    >>> repr_some(range(2_000)).endswith("18, 19, … 1,980 more]")
    True
    """
    if isinstance(values, Mapping):
        opening, closing = "{}"
        shown = [f"{_repr(key)}: {_repr(value)}" for key, value in islice(values.items(), _SHOWN)]
    else:
        opening, closing = "[]"
        shown = [_repr(value) for value in islice(values, _SHOWN)]
    if len(values) > _SHOWN:
        shown.append(f"… {len(values) - _SHOWN:,} more")
    return f"{opening}{', '.join(shown)}{closing}"


def repr_text(text: str) -> str:
    """Give the ``repr`` of a text, of which only the beginning is shown where it is long.

    Examples
    --------
    >>> repr_text("eu"), len(repr_text("x" * 5_000)) < 600
    ("'eu'", True)
    """
    if len(text) <= _SHOWN_CHARACTERS:
        return repr(text)
    return f"{text[:_SHOWN_CHARACTERS]!r} (and {len(text) - _SHOWN_CHARACTERS:,} more characters)"


def _repr(value: object) -> str:
    if isinstance(value, str):
        return repr_text(value)
    return repr_some(value) if isinstance(value, (list, tuple, set, frozenset)) else repr(value)
