"""What one order of a backfill reads, and when it may begin if it reads partitions that the same backfill makes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakepart.engine.context import LakeContext, View
from lakepart.engine.inputs import MappedInput, planned_inputs
from lakepart.engine.lineage import record_mapped
from lakepart.engine.offline import Located, look_at
from lakepart.engine.read import Resolved, resolve
from lakepart.errors import PartitionNotFoundError
from lakepart.model.custom_mappings import KeyFunction
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.mappings import AllPartitions
from lakepart.model.ordinal_ranges import OrdinalRange, is_within
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import AssetRecord, InputRecord


@dataclass(frozen=True, slots=True)
class OrderInputs:
    """The inputs of one order by parameter name, and for each of its partitions what is noted of having read them."""

    resolved: Mapping[str, Resolved]
    lineage: Mapping[int, tuple[InputRecord, ...]]


def read_inputs(
    context: LakeContext,
    view: View,
    planned: Mapping[str, Any],
    functions: Mapping[str, KeyFunction],
    definition: PartitionsDefinition,
    ordinals: Sequence[int],
    as_of: datetime,
) -> OrderInputs:
    """Fix the files of the input partitions that some partitions are made from; asks nothing where there are none.

    Raises
    ------
    PartitionNotFoundError
        Needed input partitions do not exist, and the mapping does not skip them.
    """
    resolved: dict[str, Resolved] = {}
    lineage: dict[int, list[InputRecord]] = {ordinal: [] for ordinal in ordinals}
    if not planned:
        return OrderInputs(resolved, dict.fromkeys(ordinals, ()))
    partitions = PartitionSet.from_ordinals(definition, ordinals)
    with context.database.reading() as connection:
        inputs = planned_inputs(connection, view.look(connection), planned, functions)
    for one in inputs:
        needed = one.needed(partitions, as_of)
        with context.database.reading() as connection:
            now = view.look(connection)
            for ordinal, records in lineage.items():
                mapped = one.map(PartitionSet.from_ordinals(definition, [ordinal]), as_of)
                records.append(record_mapped(connection, now, one.name, one.asset, one.mapping, mapped))
        bounded = not isinstance(one.mapping, AllPartitions)
        resolved[one.name] = resolve(context, view, one.asset, needed.partitions, explicit=bounded)
    return OrderInputs(resolved, {ordinal: tuple(records) for ordinal, records in lineage.items()})


def find_offline_inputs(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    inputs: Iterable[MappedInput],
    ordinals: Sequence[int],
    as_of: datetime,
) -> dict[str, tuple[str, list[Located]]]:
    """Find what partitions are made from and must be restored first: by input, its asset and those files.

    Asks nothing where no tier is offline. What the asset reads of its own and is about to be made anew is left out.
    """
    found: dict[str, tuple[str, list[Located]]] = {}
    if not context.offline_tiers or not ordinals:
        return found
    partitions = PartitionSet.from_ordinals(asset.partitions, ordinals)
    for one in inputs:
        needed = one.map(partitions, as_of).partitions
        if one.asset.asset_id == asset.asset_id:
            needed -= partitions
        resolved = resolve(context, view, one.asset, needed, explicit=False)
        suspects = [(key, file) for key, file in resolved.keyed_files if file.tier in context.offline_tiers]
        offline = [located for located in look_at(context.stores, suspects) if not located.is_readable]
        if offline:
            found[one.name] = one.asset.name, offline
    return found


@dataclass(slots=True)
class Turns:
    """Says which orders may begin, where partitions are made from earlier ones of the same asset.

    A partition waits for those it needs that the same backfill still has to make, and fails with them. As needs only
    look back, the earliest unfinished partition never waits.
    """

    asset: AssetRecord
    own: Sequence[MappedInput]
    everything: PartitionSet
    as_of: datetime
    _unfinished: list[int]
    _failed: list[int] = field(default_factory=list)
    _needed: dict[int, list[OrdinalRange]] = field(default_factory=dict)

    def may_begin(self, ordinals: Iterable[int]) -> bool:
        """Say whether none of the partitions that these need is still to be made."""
        return not any(_within(self._unfinished, one) for one in self._needs(ordinals))

    def refuse_failed(self, ordinals: Iterable[int]) -> None:
        """Refuse partitions that need one which failed.

        Raises
        ------
        PartitionNotFoundError
            They do.
        """
        failed = [one for needed in self._needs(ordinals) for one in _within(self._failed, needed)]
        if failed:
            keys = [self.everything.key_of_ordinal(one) for one in failed]
            raise PartitionNotFoundError(
                f"Asset {self.asset.name!r} reads {list_some(keys)} of its own here, which failed in this backfill.",
                hint="resume the backfill once that can be made.",
                context={"asset": self.asset.name, "failed": keys},
            )

    def finish(self, ordinals: Iterable[int], *, failed: bool = False) -> None:
        """Note that partitions are made, or have failed for good."""
        for ordinal in ordinals:
            del self._unfinished[bisect_left(self._unfinished, ordinal)]
            if failed:
                insort(self._failed, ordinal)

    def _needs(self, ordinals: Iterable[int]) -> Iterable[OrdinalRange]:
        for ordinal in ordinals:
            if ordinal not in self._needed:
                partition = PartitionSet.from_ordinals(self.everything.definition, [ordinal])
                self._needed[ordinal] = [
                    found for one in self.own for found in one.map(partition, self.as_of).partitions.ordinal_ranges()
                ]
            yield from self._needed[ordinal]


def _within(ordinals: list[int], wanted: OrdinalRange) -> list[int]:
    low, high, *_ = wanted
    found = ordinals[bisect_left(ordinals, low) : bisect_left(ordinals, high + 1)]
    return [ordinal for ordinal in found if is_within(ordinal, wanted)]
