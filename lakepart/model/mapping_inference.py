"""What two definitions suggest when no mapping is given."""

from __future__ import annotations

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.definitions import Static, TimeDefinition, Unpartitioned
from lakepart.model.key_mappings import AllPartitions, Identity, same_windows
from lakepart.model.mapping_base import CHOICES, PartitionMapping
from lakepart.model.time_mappings import TimeOverlap


def infer_mapping(downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> PartitionMapping:
    """Choose the mapping that two definitions suggest.

    Equal windows or equal keys: the same key. Two grains of one zone: shared time. One side unpartitioned: everything.

    Raises
    ------
    InvalidInputError
        The definitions suggest none; the message shows the choices.
    """
    if isinstance(downstream, TimeDefinition) and isinstance(upstream, TimeDefinition):
        if downstream.tz == upstream.tz:
            same = same_windows(downstream, upstream) and downstream.exclude == upstream.exclude
            return Identity() if same else TimeOverlap()
    elif isinstance(downstream, Static) and isinstance(upstream, Static):
        if downstream.keys == upstream.keys:
            return Identity()
    elif isinstance(downstream, Unpartitioned) or isinstance(upstream, Unpartitioned):
        return AllPartitions()
    raise InvalidInputError(
        f"Which partitions of {upstream!r} make one of {downstream!r} is not evident: say it with a mapping.",
        hint=f"lakepart.Input(asset, mapping=…): {CHOICES}",
        code=ErrorCode.DEFINITION_MISMATCH,
    )
