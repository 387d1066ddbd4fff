"""What becomes of partitions when an asset is cut otherwise: decided by comparing two definitions, ordinal by ordinal.

A partition is the same one if the catalog's ordinal stands for the same key and the same window in both. No kind of
change is told apart from another: whatever leaves every committed partition what it is needs no rewrite.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lakepart.errors import ConflictError, ErrorCode, StateError
from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.cells import boxes, product, union
from lakepart.model.definitions import OneDimensional, PartitionsDefinition, TimeDefinition, definition_from_dict
from lakepart.model.instants import from_microseconds
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.known_keys import KnownKeys
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import by_whom, count_of, list_some
from lakepart.model.records import Redefinition

BooleanArray = npt.NDArray[np.bool_]


def same_partitions(
    before: PartitionsDefinition,
    after: PartitionsDefinition,
    ordinals: IntegerArray,
    keys: Sequence[str] | None = None,
) -> BooleanArray:
    """Say of each ordinal whether it stands for the same partition in both definitions; vectorised.

    Parameters
    ----------
    keys
        The keys that ``after`` must give the ordinals. Without them, windows are compared, and keys only where
        partitions are not cut by time: equal windows have equal keys, unless they are written in another way.
    """
    same = (before.names_each if keys is None else before.has_each)(ordinals) & after.names_each(ordinals)
    chosen = ordinals[same]
    if not chosen.size:
        return same
    ends, new_ends = before.window_ends_of(chosen), after.window_ends_of(chosen)
    by_time = ends is not None and new_ends is not None
    agree = np.asarray(ends == new_ends) if by_time else np.full(chosen.size, ends is new_ends)
    if keys is not None or before.kind != "time":
        wanted = before.keys_at(before.positions_at(chosen)) if keys is None else np.array(keys, dtype=object)[same]
        found = after.keys_at(after.positions_at(chosen))
        agree &= np.fromiter((one == other for one, other in zip(wanted, found, strict=True)), dtype=np.bool_)
    same[same] = agree
    return same


def orphans(
    before: PartitionsDefinition, after: PartitionsDefinition, ordinals: Sequence[int], keys: Sequence[str]
) -> list[str]:
    """Name the committed partitions, given by ordinal and key, that would be none of ``after``, in order."""
    fitting = same_partitions(before, after, np.array(ordinals, dtype=np.int64), keys)
    return [keys[row] for row in np.flatnonzero(~fitting).tolist()]


def with_columns_renamed(
    definition: PartitionsDefinition, names: Mapping[str, str], known: Mapping[str, KnownKeys]
) -> PartitionsDefinition:
    """Give a definition that finds rows by columns which are called otherwise now; ``known`` are its dynamic keys."""
    if not names.keys() & set(definition.columns):
        return definition

    def changed(form: Mapping[str, Any]) -> dict[str, Any]:
        found = {**form, "by": names.get(form["by"], form["by"])} if form.get("by") else dict(form)
        return found | ({"dimensions": [changed(one) for one in form["dimensions"]]} if "dimensions" in form else {})

    return definition_from_dict(changed(definition.to_dict())).knowing(known)


def compare_expected(
    before: PartitionsDefinition, after: PartitionsDefinition, as_of_us: int
) -> tuple[PartitionSet, PartitionSet]:
    """Give the partitions that come to be expected by an instant, and those that no longer are."""
    return _beyond(after, before, as_of_us), _beyond(before, after, as_of_us)


def follow(
    asset: str, partitions: PartitionSet, definition: PartitionsDefinition, *, explicit: bool = True
) -> PartitionSet:
    """Find, in the definition of now, the partitions that were selected in an older one.

    What reaches into partitions that have yet to come goes on to do so, and where partitions were not named one by one
    (``explicit``), all of a dimension are all of it. Nothing is listed.

    Raises
    ------
    StateError
        Some are no longer partitions, or are others now.
    """
    before = partitions.definition
    if before == definition:
        return partitions
    if not explicit and partitions == PartitionSet.everything(before):
        return PartitionSet.everything(definition)
    pairs = _paired(before, definition)
    found = [
        [_followed(old, new, positions, explicit=explicit) for (old, new), positions in zip(pairs, box, strict=False)]
        for box in boxes(partitions.cells)
    ]
    if not all(box and all(box) for box in found):
        raise StateError(
            f"Asset {asset!r} was cut as {before!r} when this selection was made; now it is {definition!r}.",
            hint=f"select again: lake.asset({asset!r})[…].",
            context={"asset": asset},
        )
    return PartitionSet(definition, union([product(box) for box in found])) if found else PartitionSet.empty(definition)


def still_the_same(
    definitions: Sequence[DefinitionRecord], known: Mapping[str, KnownKeys], ordinals: IntegerArray
) -> Iterator[tuple[int, BooleanArray]]:
    """Give for each definition, newest first, where it began and which ordinals stand for what they stand for now.

    ``known`` are the keys of dynamic dimensions. A renamed partition is the same one. Beyond a rewrite of the rows
    there is none.
    """
    same = np.full(ordinals.size, fill_value=True)
    for index in reversed(range(len(definitions))):
        record = definitions[index]
        yield record.began, same
        if index == 0 or record.change is Redefinition.REPARTITIONED:
            return
        if record.change is not Redefinition.RENAMED:
            pair = (definitions[index - 1], record)
            older, newer = (definition_from_dict(one.definition).knowing(known) for one in pair)
            same = same & same_partitions(older, newer, ordinals)


def known_windows(
    before: PartitionsDefinition, after: PartitionsDefinition, ordinals: IntegerArray, written_at_us: IntegerArray
) -> PartitionSet:
    """Give the windows of ``after`` whose rows are all known from the committed windows of ``before``.

    What has no rows there is known to be empty. A window is known as far as it had passed when it was written. Nothing
    is known where one of the two is not cut by time, or another column says where rows belong.
    """
    if not isinstance(before, TimeDefinition) or not isinstance(after, TimeDefinition) or before.by != after.by:
        return PartitionSet.empty(after)
    ends = before.window_ends_of(ordinals)
    spans = zip(ordinals.tolist(), np.minimum(ends, written_at_us).tolist(), strict=True)
    found = Intervals()
    for start_us, end_us in Intervals.of(spans).ranges:
        inside = after.starting_in(from_microseconds(start_us), from_microseconds(end_us))
        found |= Intervals.of(_that_end_by(after, inside, end_us))
    return PartitionSet(after, found)


def require_fitting(
    asset: str,
    before: PartitionsDefinition,
    after: PartitionsDefinition,
    partitions: Mapping[int, str],
    winner: Mapping[str, Any],
) -> None:
    """Refuse work that was prepared under another definition and whose partitions are none of the one of now.

    ``winner`` is the commit that cut the asset otherwise: its ``snapshot``, ``author`` and time (``at``).

    Raises
    ------
    ConflictError
        Naming them, as a commit names those that somebody else wrote.
    """
    gone = orphans(before, after, list(partitions), list(partitions.values()))
    if before.columns != after.columns:
        gone = list(partitions.values())
    if gone:
        raise ConflictError(
            f"Asset {asset!r} was cut otherwise meanwhile {by_whom(winner)}: {count_of(len(gone), 'partition')} to be "
            f"written {'is' if len(gone) == 1 else 'are'} gone ({list_some(gone)}).",
            hint=f"it was {before!r} and is {after!r} now; begin again.",
            code=ErrorCode.ASSET_CHANGED,
            context={"asset": asset, "conflicts": [{"asset": asset, "key": key, **winner} for key in gone]},
        )


def _that_end_by(definition: TimeDefinition, positions: Intervals, end_us: int) -> Iterable[tuple[int, int]]:
    for start, stop in positions.ranges:
        last = definition.ordinals_at(np.array([stop - 1], dtype=np.int64))
        ends = definition.window_ends_of(last)
        yield start, stop if int(ends[0]) <= end_us else stop - 1


def _beyond(one: PartitionsDefinition, other: PartitionsDefinition, as_of_us: int) -> PartitionSet:
    """Give the elapsed partitions of one definition that are none of the elapsed ones of another."""
    as_of = from_microseconds(as_of_us)
    elapsed = PartitionSet.everything(one).elapsed(as_of)
    shared = [theirs.positions_in(mine, theirs.elapsed(as_of)) for theirs, mine in _paired(other, one)]
    return elapsed - PartitionSet(one, product(shared)) if shared else elapsed


def _paired(
    before: PartitionsDefinition, after: PartitionsDefinition
) -> Sequence[tuple[OneDimensional, OneDimensional]]:
    """Give the dimensions of two definitions side by side; none where they have others."""
    old, new = before.dimensions, after.dimensions
    if len(old) != len(new) or (len(old) > 1 and [one.dimension for one in old] != [one.dimension for one in new]):
        return ()
    return list(zip(old, new, strict=True))


def _followed(before: OneDimensional, after: OneDimensional, positions: Intervals, *, explicit: bool) -> Intervals:
    """Find some positions of one dimension in its definition of now; nothing where any of them is gone."""
    if positions == before.universe and not explicit:
        return after.universe
    closed = positions
    is_open = before.is_endless and positions.last == before.universe.last
    if is_open:
        first, _ = positions.ranges[-1]
        closed = Intervals((*positions.ranges[:-1], (first, first + 1)))
    found = before.positions_in(after, closed)
    if len(found) != len(closed):
        return Intervals()
    return found | Intervals(((found.last, after.universe.last + 1),)) if is_open else found
