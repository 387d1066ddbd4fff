"""Where the lists of two definitions differ: their texts show only the beginnings of long ones."""

from __future__ import annotations

from collections.abc import Iterator

from lakepart.model.definitions import PartitionsDefinition, Static, TimeDefinition
from lakepart.model.plans import count_of, list_some


def listed_differences(declared: PartitionsDefinition, given: PartitionsDefinition) -> list[str]:
    """Name the keys and exclusions that only one of two definitions has, dimension by dimension.

    Examples
    --------
    >>> listed_differences(Static(["eu", "us"]), Static(["us", "ap"]))
    ["1 key is only in the first ('eu')", "1 key is only in the second ('ap')"]
    >>> listed_differences(Static(["eu", "us"]), Static(["us", "eu"]))
    ["'eu' and 'us' have changed places"]
    """
    names = {one.dimension: one for one in given.dimensions}
    return [
        difference
        for one in declared.dimensions
        if one.dimension in names
        for difference in _of_dimension(one, names[one.dimension])
    ]


def _of_dimension(declared: PartitionsDefinition, given: PartitionsDefinition) -> Iterator[str]:
    if isinstance(declared, Static) and isinstance(given, Static):
        yield from _of_lists("key", declared.keys, given.keys)
        moved = [repr(one) for one, other in zip(declared.keys, given.keys, strict=False) if one != other]
        if moved and set(declared.keys) == set(given.keys):
            yield f"{list_some(moved) if len(moved) > 2 else ' and '.join(moved)} have changed places"
    if isinstance(declared, TimeDefinition) and isinstance(given, TimeDefinition):
        yield from _of_lists("exclusion", declared.exclude, given.exclude)


def _of_lists(what: str, declared: tuple[object, ...], given: tuple[object, ...]) -> Iterator[str]:
    for place, one, other in (("first", declared, given), ("second", given, declared)):
        others = set(other)
        if only := [item for item in one if item not in others]:
            are = "is" if len(only) == 1 else "are"
            yield f"{count_of(len(only), what)} {are} only in the {place} ({list_some(map(repr, only))})"
