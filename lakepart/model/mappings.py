"""Which input partitions a partition is made from: every mapping, reading one back, and choosing one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.custom_mappings import CustomMapping, KeyFunction
from lakepart.model.definition_base import FORMAT_VERSION, PartitionsDefinition
from lakepart.model.definitions import Static, TimeDefinition, Unpartitioned
from lakepart.model.key_mappings import (
    AllPartitions,
    Identity,
    KeyMap,
    LastPartition,
    SpecificPartitions,
    same_windows,
)
from lakepart.model.mapping_base import CHOICES, Mapped, PartitionMapping
from lakepart.model.time_mappings import TimeOverlap

__all__ = [
    "AllPartitions",
    "CustomMapping",
    "Identity",
    "KeyMap",
    "LastPartition",
    "Mapped",
    "PartitionMapping",
    "SpecificPartitions",
    "TimeOverlap",
    "infer_mapping",
    "mapping_from_dict",
]

_KINDS: dict[str, type[PartitionMapping]] = {
    one.kind: one
    for one in (Identity, TimeOverlap, AllPartitions, LastPartition, SpecificPartitions, KeyMap, CustomMapping)
}
_FRAME = frozenset({"version", "kind"})


def mapping_from_dict(data: Mapping[str, Any], functions: Mapping[str, KeyFunction] | None = None) -> PartitionMapping:
    """Read what ``to_dict`` of a mapping gave.

    Parameters
    ----------
    data
        The form that the catalog keeps.
    functions
        Functions of custom mappings that are at hand, by the mapping's name; others are imported when needed.

    Raises
    ------
    InvalidInputError
        The form is of a newer lakepart, or of none.
    """
    version, kind = data.get("version"), data.get("kind")
    if version != FORMAT_VERSION or kind not in _KINDS:
        raise InvalidInputError(
            f"The partition mapping {kind!r} of version {version!r} cannot be read: "
            f"this lakepart knows {', '.join(_KINDS)} of version {FORMAT_VERSION}.",
            code=ErrorCode.UNSUPPORTED,
        )
    mapping = _KINDS[kind].from_parameters({name: value for name, value in data.items() if name not in _FRAME})
    return mapping.with_function((functions or {}).get(mapping.name)) if isinstance(mapping, CustomMapping) else mapping


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
