"""What two dimensions suggest when no mapping is given."""

from __future__ import annotations

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.definitions import Dynamic, Static, TimeDefinition, Unpartitioned
from lakepart.model.key_mappings import AllPartitions, Identity, same_windows
from lakepart.model.mapping_base import CHOICES, PartitionMapping
from lakepart.model.time_mappings import TimeOverlap


def suggest_for_one(downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> PartitionMapping | None:
    """Choose the mapping that two definitions of one dimension suggest, or None where they suggest nothing."""
    if isinstance(downstream, Unpartitioned) or isinstance(upstream, Unpartitioned):
        return AllPartitions()
    if isinstance(downstream, TimeDefinition) and isinstance(upstream, TimeDefinition):
        if same_windows(downstream, upstream) and downstream.exclude == upstream.exclude:
            return Identity()
        return TimeOverlap() if downstream.tz == upstream.tz else None
    if isinstance(downstream, Static) and isinstance(upstream, Static):
        return Identity() if downstream.keys == upstream.keys else None
    if isinstance(downstream, Dynamic) and isinstance(upstream, Dynamic):
        return Identity() if downstream.dimension == upstream.dimension else None
    return None


def nothing_suggested(downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> InvalidInputError:
    """Say that a mapping is needed, and show the choices."""
    return InvalidInputError(
        f"Which partitions of {upstream!r} make one of {downstream!r} is not evident: say it with a mapping.",
        hint=f"lakepart.Input(asset, mapping=…): {CHOICES}",
        code=ErrorCode.DEFINITION_MISMATCH,
    )
