"""Mapping sets of partitions of several dimensions box by box."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lakepart.model.cells import boxes, product, union
from lakepart.model.definition_base import OneDimensional, PartitionsDefinition
from lakepart.model.mapping_base import KeyRun, Mapped, PartitionMapping
from lakepart.model.partition_sets import PartitionSet

Links = Mapping[str, tuple[str, PartitionMapping]]  # by dimension of the input: that of the asset, and the mapping


def map_upstream(links: Links, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
    """Map each box of partitions dimension by dimension; of an input's dimension without a link, everything."""
    made = downstream.definition
    found = []
    lacking: dict[str, dict[KeyRun, None]] = {}
    for box in boxes(downstream.cells):
        sides = {one.dimension: PartitionSet(one, part) for one, part in zip(made.dimensions, box, strict=True)}
        needed = []
        for dimension in upstream.dimensions:
            if dimension.dimension not in links:
                needed.append(dimension.universe)
                continue
            own, mapping = links[dimension.dimension]
            mapped = mapping.upstream(sides[own], dimension, as_of)
            needed.append(mapped.partitions.intervals)
            lacking.setdefault(dimension.dimension, {}).update(dict.fromkeys(mapped.nonexistent))
        found.append(product(needed))
    return Mapped(
        PartitionSet(upstream, union(found)) if found else PartitionSet.empty(upstream),
        tuple(run for runs in lacking.values() for run in runs),
        tuple((name, tuple(runs)) for name, runs in lacking.items() if runs and len(upstream.dimensions) > 1),
    )


def map_downstream(
    links: Links, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime
) -> PartitionSet:
    """Map each box of input partitions back; of a dimension that nothing is linked to, everything."""
    feeding = {own: (name, mapping) for name, (own, mapping) in links.items()}
    found = []
    for box in boxes(upstream.cells):
        sides = {
            one.dimension: PartitionSet(one, part)
            for one, part in zip(upstream.definition.dimensions, box, strict=True)
        }
        made = []
        for dimension in downstream.dimensions:
            if dimension.dimension in feeding:
                name, mapping = feeding[dimension.dimension]
                made.append(mapping.downstream(sides[name], dimension, as_of).intervals)
            else:
                made.append(dimension.universe)
        found.append(product(made))
    return PartitionSet(downstream, union(found)) if found else PartitionSet.empty(downstream)


def dimensions_of(definition: PartitionsDefinition) -> dict[str, OneDimensional]:
    """Give the dimensions of a definition by name."""
    return {one.dimension: one for one in definition.dimensions}
