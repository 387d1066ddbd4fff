"""Which input partitions a partition is made from: every mapping, and reading one back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.custom_mappings import CustomMapping, KeyFunction
from lakepart.model.definition_base import FORMAT_VERSION
from lakepart.model.dimension_mappings import FromDimension, PerDimension
from lakepart.model.key_mappings import AllPartitions, Identity, KeyMap, LastPartition, SpecificPartitions
from lakepart.model.mapping_base import Mapped, PartitionMapping
from lakepart.model.mapping_inference import infer_mapping
from lakepart.model.time_mappings import TimeOverlap

__all__ = [
    "AllPartitions",
    "CustomMapping",
    "FromDimension",
    "Identity",
    "KeyMap",
    "LastPartition",
    "Mapped",
    "PartitionMapping",
    "PerDimension",
    "SpecificPartitions",
    "TimeOverlap",
    "infer_mapping",
    "mapping_from_dict",
]

_KINDS: dict[str, type[PartitionMapping]] = {
    one.kind: one
    for one in (
        Identity,
        TimeOverlap,
        AllPartitions,
        LastPartition,
        SpecificPartitions,
        KeyMap,
        CustomMapping,
        FromDimension,
        PerDimension,
    )
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
    parameters = {name: value for name, value in data.items() if name not in _FRAME}
    if kind == FromDimension.kind and "mapping" in parameters:
        parameters["mapping"] = mapping_from_dict(parameters["mapping"], functions)
    if kind == PerDimension.kind:
        parameters["dimensions"] = {
            name: (own, None if inner is None else mapping_from_dict(inner, functions))
            for name, (own, inner) in parameters["dimensions"].items()
        }
    mapping = _KINDS[kind].from_parameters(parameters)
    return mapping.with_function((functions or {}).get(mapping.name)) if isinstance(mapping, CustomMapping) else mapping
