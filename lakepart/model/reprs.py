"""How values show themselves where they hold more than anyone wants to read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

_SHOWN = 20


def repr_some(values: Collection[object] | Mapping[str, object]) -> str:
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
        shown = [f"{key!r}: {value!r}" for key, value in islice(values.items(), _SHOWN)]
    else:
        opening, closing = "[]"
        shown = [repr(value) for value in islice(values, _SHOWN)]
    if len(values) > _SHOWN:
        shown.append(f"… {len(values) - _SHOWN:,} more")
    return f"{opening}{', '.join(shown)}{closing}"
