"""Ranges of the integers that the catalog keeps for partitions, and what lies in them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from lakepart.model.intervals import IntegerArray

# Low and high, both ends included; for several dimensions perhaps followed by conditions on the ordinal's bits, four
# numbers each: shift, mask, and the least and greatest that (ordinal >> shift) & mask may be.
OrdinalRange = tuple[int, ...]

_CONDITION = 4


def is_within(ordinal: int, wanted: OrdinalRange) -> bool:
    """Answer whether an ordinal lies in a range.

    Examples
    --------
    >>> is_within(8, (2, 9)), is_within(8, (2, 9, 0, 1, 1, 1))
    (True, False)
    """
    low, high, *conditions = wanted
    return low <= ordinal <= high and all(
        least <= (ordinal >> shift) & mask <= greatest
        for shift, mask, least, greatest in zip(*[iter(conditions)] * _CONDITION, strict=True)
    )


def ordinals_within(ordinals: IntegerArray, ranges: Iterable[OrdinalRange]) -> IntegerArray:
    """Keep those of ascending ordinals that lie in disjoint ranges, in ascending order.

    Examples
    --------
    >>> ordinals_within(np.array([1, 2, 3, 8, 9]), [(2, 3), (8, 9, 0, 1, 1, 1)]).tolist()
    [2, 3, 9]
    """
    found = [ordinals[:0]]
    for low, high, *conditions in ranges:
        start, stop = np.searchsorted(ordinals, low), np.searchsorted(ordinals, high, side="right")
        within = ordinals[start:stop]
        for at in range(0, len(conditions), _CONDITION):
            shift, mask, least, greatest = conditions[at : at + _CONDITION]
            numbers = (within >> shift) & mask
            within = within[(numbers >= least) & (numbers <= greatest)]
        found.append(within)
    kept: IntegerArray = np.sort(np.concatenate(found))
    return kept
