"""Which partitions move to which tier."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import Move, MoveFile
from lakepart.model.policies import TieringPolicy
from lakepart.model.records import AssetRecord, DataFile

PartitionFiles = tuple[str, int, Sequence[DataFile]]  # key, ordinal, files


def plan_moves(
    asset: AssetRecord, partitions: Iterable[PartitionFiles], to_tier: str, *, from_tiers: frozenset[str]
) -> tuple[Move, ...]:
    """Choose the partitions that have files on one of ``from_tiers``, in order; those files move."""
    moves = []
    for key, ordinal, files in partitions:
        moving = tuple(
            MoveFile(file.file_id, file.tier, file.path, file.size_bytes, file.checksum)
            for file in files
            if file.tier in from_tiers
        )
        if moving:
            moves.append(Move(asset.asset_id, asset.name, key, ordinal, to_tier, moving))
    return tuple(moves)


def split_by_rule(
    policy: TieringPolicy, asset: str, definition: PartitionsDefinition, as_of: datetime
) -> list[tuple[str, PartitionSet]]:
    """Give, for each rule that covers the asset, the tier and the partitions it decides on: the first match wins."""
    undecided = PartitionSet.everything(definition)
    decided = []
    for rule in policy.rules:
        if definition.time_dimensions and rule.covers(asset):
            due = undecided.elapsed(as_of - rule.older_than)
            undecided -= due
            decided.append((rule.to, due))
    return decided
