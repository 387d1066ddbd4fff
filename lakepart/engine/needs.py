"""Which partitions of its inputs an asset's partitions are made from, and which partitions are made from these."""

from __future__ import annotations

from datetime import datetime

from lakepart.engine.home import Home
from lakepart.engine.inputs import producer_inputs
from lakepart.errors import InvalidInputError, StateError
from lakepart.model.mappings import AllPartitions
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import AssetRecord


def needed_inputs(
    home: Home, asset: AssetRecord, partitions: PartitionSet, as_of: datetime
) -> dict[str, tuple[str, PartitionSet, bool]]:
    """Give, by parameter name, the input asset, the partitions a run would be given, and whether each must be there."""
    if asset.producer is None:
        raise StateError(
            f"Asset {asset.name!r} has no producer, so nothing says what it is made from.",
            hint="register one: lake.register(producer).",
        )
    with home.context.database.reading() as connection:
        inputs = producer_inputs(connection, home.view.look(connection), asset, home.mapping_functions)
    return {
        one.name: (
            one.asset.name,
            one.needed(partitions, as_of).partitions,
            not isinstance(one.mapping, AllPartitions),
        )
        for one in inputs
    }


def partitions_needing(
    home: Home, asset: AssetRecord, partitions: PartitionSet, by: str, as_of: datetime
) -> PartitionSet:
    """Give the partitions of the asset ``by`` that are made from any of ``partitions``; of all, those that elapsed."""
    made = home.record(by)
    with home.context.database.reading() as connection:
        inputs = producer_inputs(connection, home.view.look(connection), made, home.mapping_functions)
    definition = made.partitions
    everything = PartitionSet.everything(definition)
    found = PartitionSet.empty(definition)
    for one in inputs:
        if one.asset.asset_id == asset.asset_id:
            found |= one.mapping.downstream(partitions, definition, as_of)
    if all(one.asset.asset_id != asset.asset_id for one in inputs):
        raise InvalidInputError(
            f"Asset {by!r} is not made from {asset.name!r}: "
            + (f"it is made from {list_some(one.asset.name for one in inputs)}." if inputs else "it has no inputs."),
        )
    return found.elapsed(as_of) if found == everything else found
