"""What differs between two views of the lake, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.intervals import IntegerArray
from lakepart.model.known_keys import KnownKeys
from lakepart.planning.definitions import still_the_same


class Held(NamedTuple):
    """What one partition holds in one view."""

    key: str
    content_id: str | None
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PartitionChange:
    """One partition before and after; ``change`` is ``added``, ``removed``, ``changed`` or ``same``."""

    asset: str
    ordinal: int
    change: str
    before: Held | None
    after: Held | None

    @property
    def key(self) -> str:
        """Its key, the later one where it was renamed."""
        named = self.after or self.before
        return "" if named is None else named.key

    @property
    def rows(self) -> tuple[int, int]:
        """Rows before and after; none where it is missing."""
        return 0 if self.before is None else self.before.rows, 0 if self.after is None else self.after.rows

    @property
    def bytes(self) -> tuple[int, int]:
        """Bytes before and after; none where it is missing."""
        return 0 if self.before is None else self.before.bytes, 0 if self.after is None else self.after.bytes


def compare(asset: str, before: Mapping[int, Held], after: Mapping[int, Held]) -> Iterator[PartitionChange]:
    """Compare every partition that is there before or after, in order."""
    for ordinal in sorted(before.keys() | after.keys()):
        old, new = before.get(ordinal), after.get(ordinal)
        if old is None:
            change = "added"
        elif new is None:
            change = "removed"
        else:
            change = "same" if old.content_id == new.content_id else "changed"
        yield PartitionChange(asset, ordinal, change, old, new)


def compare_apart(
    asset: str, before: Mapping[int, Held], after: Mapping[int, Held], others: frozenset[int]
) -> list[PartitionChange]:
    """Compare where the ordinals of ``others`` stand for one partition before and for another after."""
    apart = others & before.keys() & after.keys()
    gone = {ordinal: before[ordinal] for ordinal in apart}
    kept = {ordinal: held for ordinal, held in before.items() if ordinal not in apart}
    return [*compare(asset, gone, {}), *compare(asset, kept, after)]


def other_partitions(
    before: Sequence[DefinitionRecord],
    after: Sequence[DefinitionRecord],
    known: Mapping[str, KnownKeys],
    ordinals: IntegerArray,
) -> frozenset[int]:
    """Give the ordinals that stand for different partitions under the last of two lists of definitions.

    One list begins with all of the other: an asset has one line of definitions.
    """
    if len(before) == len(after):
        return frozenset()
    shorter, longer = sorted((before, after), key=len)
    for since, same in still_the_same(longer, known, ordinals):
        if since == shorter[-1].began:
            return frozenset(ordinals[~same].tolist())
    return frozenset(np.asarray(ordinals).tolist())  # the rows were written anew in between
