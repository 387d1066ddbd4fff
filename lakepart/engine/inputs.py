"""Inputs of what is being made: which assets, by which mappings, and which of their partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakepart.catalog.database import Connection
from lakepart.catalog.lookups import asset_not_found, find_asset
from lakepart.engine.context import View
from lakepart.engine.home import Home
from lakepart.errors import ErrorCode, InvalidInputError, PartitionNotFoundError
from lakepart.model.custom_mappings import KeyFunction
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.inputs import Input
from lakepart.model.mappings import CustomMapping, Mapped, PartitionMapping, infer_mapping, mapping_from_dict
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord


@dataclass(frozen=True, slots=True)
class MappedInput:
    """One input of a producer: the parameter that receives it, the asset as declared, and the mapping to use."""

    name: str
    asset: AssetRecord
    mapping: PartitionMapping

    @property
    def definition(self) -> PartitionsDefinition:
        """How the input asset is cut."""
        return self.asset.partitions

    def map(self, partitions: PartitionSet, as_of: datetime) -> Mapped:
        """Give the input partitions that ``partitions`` are made from."""
        return self.mapping.upstream(partitions, self.definition, as_of)

    def needed(self, partitions: PartitionSet, as_of: datetime) -> Mapped:
        """Give the same; refuse what does not exist unless the mapping skips that.

        Raises
        ------
        PartitionNotFoundError
            Needed partitions do not exist in the input's definition.
        """
        mapped = self.map(partitions, as_of)
        if mapped.nonexistent and not self.mapping.skips_nonexistent:
            raise PartitionNotFoundError(
                f"Input {self.name!r} of {partitions.to_text()} needs {mapped.nonexistent_text} of asset "
                f"{self.asset.name!r}, which has no such partitions: {self.definition.describe()}.",
                hint=f'{type(self.mapping).__name__}(…, nonexistent="skip") as its mapping reads what exists.',
                context={"input": self.name, "asset": self.asset.name, "nonexistent": mapped.nonexistent_text},
            )
        return mapped

    def describe(self, definition: PartitionsDefinition) -> str:
        """Say in one line which partitions are meant, and where the windows of two zones are compared, which zones."""
        here, there = getattr(definition, "tz", None), getattr(self.definition, "tz", None)
        zones = "" if here is None or there is None or here == there else f"; {here} windows against {there} windows"
        return f"{self.mapping.describe()}{zones}"

    def to_dict(self) -> dict[str, Any]:
        """Give the form that plans hold; :func:`planned_inputs` reads it back."""
        return {"asset": self.asset.name, "mapping": self.mapping.to_dict()}


def choose_inputs(
    connection: Connection, view: View, asset: AssetRecord, inputs: Mapping[str, str | Input]
) -> tuple[MappedInput, ...]:
    """Find the input assets, each with the mapping that was given or that the two definitions suggest.

    Raises
    ------
    AssetNotFoundError
        An input is not declared.
    InvalidInputError
        The definitions suggest no mapping, the one given does not fit them, or an asset would need its own partitions
        other than earlier ones.
    """
    definition = asset.partitions
    chosen = []
    for name, given in inputs.items():
        wanted = Input.of(given)
        upstream = find_asset(connection, wanted.asset)
        if upstream is None:
            raise asset_not_found(connection, wanted.asset)
        upstream = view.define(connection, upstream)
        if upstream.asset_id == asset.asset_id and (wanted.mapping is None or not wanted.mapping.looks_back):
            raise InvalidInputError(
                f"Asset {asset.name!r} cannot be its own input {name!r}: its partitions would depend on each other.",
                hint="a mapping that only looks back is possible: "
                f"Input({asset.name!r}, mapping=TimeOverlap(-1, -1)) reads the window before.",
                code=ErrorCode.UNSUPPORTED,
            )
        upstream_definition = upstream.partitions
        mapping = wanted.mapping or infer_mapping(definition, upstream_definition)
        mapping.check(definition, upstream_definition)
        chosen.append(MappedInput(name, upstream, mapping))
    return tuple(chosen)


def planned_inputs(
    connection: Connection, view: View, planned: Mapping[str, Any], functions: Mapping[str, KeyFunction]
) -> tuple[MappedInput, ...]:
    """Read the inputs of a plan back, with their assets as the view has them now."""
    found = []
    for name, one in planned.items():
        upstream = find_asset(connection, one["asset"])
        if upstream is None:
            raise AssertionError(f"input asset {one['asset']!r} was checked when the plan was made")
        mapping = mapping_from_dict(one["mapping"], functions)
        found.append(MappedInput(name, view.define(connection, upstream), mapping))
    return tuple(found)


def producer_inputs(
    connection: Connection, view: View, asset: AssetRecord, functions: Mapping[str, KeyFunction]
) -> tuple[MappedInput, ...]:
    """Find the inputs of an asset's registered producer; none where it has no producer."""
    recorded = {} if asset.producer is None else asset.producer.inputs
    inputs = {name: Input.from_recorded(one, functions) for name, one in recorded.items()}
    return choose_inputs(connection, view, asset, inputs)


def remember_functions(home: Home, inputs: Iterable[MappedInput]) -> None:
    """Keep the functions of custom mappings with the handle: not every one can be imported again."""
    for one in inputs:
        for mapping in (one.mapping, *one.mapping.inner):
            if isinstance(mapping, CustomMapping) and mapping.function is not None:
                home.mapping_functions[mapping.name] = mapping.function
