"""Mappings between partitions of several dimensions, dimension by dimension."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from lakepart.errors import InvalidInputError
from lakepart.model.definition_base import OneDimensional, PartitionsDefinition
from lakepart.model.mapped_boxes import Links, dimensions_of, map_downstream, map_upstream
from lakepart.model.mapping_base import (
    Mapped,
    PartitionMapping,
    ReachingMapping,
    check_nonexistent,
    nonexistent_argument,
)
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.single_inference import nothing_suggested, suggest_for_one


@dataclass(frozen=True, slots=True, init=False, repr=False)
class PerDimension(ReachingMapping):
    """The input partitions given by a mapping for each of the input's dimensions, from one of the asset's.

    Parameters
    ----------
    dimensions
        ``{input dimension: own dimension}`` or ``{input dimension: (own dimension, mapping)}``; without a mapping,
        what the two dimensions suggest. Of an input dimension that is not named, everything is needed. An own
        dimension is used once at most.
    nonexistent
        ``"error"`` (default) fails the run of a partition that needs a key which a dimension of the input does not
        have; ``"skip"`` gives it what exists. It counts for all dimensions.

    Notes
    -----
    Dagster calls it ``MultiPartitionMapping``, for two dimensions.

    Examples
    --------
    >>> from lakepart.model.time_mappings import TimeOverlap
    >>> PerDimension({"day": ("day", TimeOverlap(lookback=6)), "carrier": "carrier"})
    PerDimension({'carrier': 'carrier', 'day': ('day', TimeOverlap(start_offset=-6))})
    """

    dimensions: tuple[tuple[str, str, PartitionMapping | None], ...]

    kind: ClassVar[str] = "per-dimension"

    def __init__(
        self,
        dimensions: Mapping[str, str | tuple[str, PartitionMapping | None]],
        *,
        nonexistent: str = "error",
    ) -> None:
        if not isinstance(dimensions, Mapping) or not dimensions:
            raise InvalidInputError(
                f"PerDimension({dimensions!r}) is no dictionary from dimensions of the input to own ones.",
                hint='PerDimension({"day": ("day", TimeOverlap(lookback=6))})',
            )
        listed = []
        for name, given in sorted(dimensions.items()):
            if not isinstance(given, str) and not (isinstance(given, tuple) and len(given) == 2):
                raise InvalidInputError(
                    f"PerDimension has {given!r} for {name!r}: an own dimension, or (own dimension, mapping).",
                    hint='PerDimension({"day": ("day", TimeOverlap(lookback=6))})',
                )
            own, mapping = (given, None) if isinstance(given, str) else given
            check_inner(mapping)
            listed.append((name, own, mapping))
        used = [own for _, own, _ in listed]
        twice = sorted({own for own in used if used.count(own) > 1})
        if twice:
            raise InvalidInputError(
                f"PerDimension uses {', '.join(map(repr, twice))} for more than one dimension of the input.",
                hint="a CustomMapping can say how one depends on the other.",
            )
        check_nonexistent(nonexistent)
        object.__setattr__(self, "dimensions", tuple(listed))
        object.__setattr__(self, "nonexistent", nonexistent)

    @property
    def looks_back(self) -> bool:
        """Whether a dimension is mapped to an earlier part of itself."""
        return any(name == own and mapping is not None and mapping.looks_back for name, own, mapping in self.dimensions)

    @property
    def inner(self) -> tuple[PartitionMapping, ...]:
        """The mappings of its dimensions, where they were given."""
        return tuple(mapping for _, _, mapping in self.dimensions if mapping is not None)

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
        """Give the input partitions of ``downstream``, dimension by dimension."""
        return map_upstream(self._links(downstream.definition, upstream), downstream, upstream, as_of)

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give the partitions made from any of ``upstream``, dimension by dimension."""
        return map_downstream(self._links(downstream, upstream.definition), upstream, downstream, as_of)

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:
        """Ask for dimensions of these names that each mapping fits."""
        own, theirs = dimensions_of(downstream), dimensions_of(upstream)
        for name, own_name, mapping in self.dimensions:
            if name not in theirs:
                return f"the input has no dimension {name!r}, only {', '.join(theirs)}"
            if own_name not in own:
                return f"the asset has no dimension {own_name!r}, only {', '.join(own)}"
            settled(mapping, own[own_name], theirs[name])
        return None

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        parts = [
            f"{name} by {own}: {'what they suggest' if mapping is None else mapping.describe()}"
            for name, own, mapping in self.dimensions
        ]
        return f"dimension by dimension ({'; '.join(parts)})"

    def parameters(self) -> dict[str, Any]:
        """Give what the mapping is made with, as JSON values."""
        dimensions = {
            name: [own, None if mapping is None else mapping.to_dict()] for name, own, mapping in self.dimensions
        }
        return {"dimensions": dimensions, **ReachingMapping.parameters(self)}

    def _links(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> Links:
        self.check(downstream, upstream)
        own, theirs = dimensions_of(downstream), dimensions_of(upstream)
        return {name: (one, settled(mapping, own[one], theirs[name])) for name, one, mapping in self.dimensions}

    def __repr__(self) -> str:
        given = {name: own if mapping is None else (own, mapping) for name, own, mapping in self.dimensions}
        return f"PerDimension({given!r}{nonexistent_argument(self)})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class FromDimension(ReachingMapping):
    """Between partitions of several dimensions and those of one: by one of the several, whatever the others are.

    Parameters
    ----------
    dimension
        The dimension, of the asset or of the input, that corresponds to the other's only one.
    mapping
        How the two correspond; what they suggest by default.
    nonexistent
        As for the other mappings; it counts for the dimension.

    Notes
    -----
    Dagster calls it ``MultiToSingleDimensionPartitionMapping``, and allows equal dimensions only.

    Examples
    --------
    >>> FromDimension("day")
    FromDimension('day')
    """

    dimension: str
    mapping: PartitionMapping | None

    kind: ClassVar[str] = "from-dimension"

    def __init__(self, dimension: str, mapping: PartitionMapping | None = None, *, nonexistent: str = "error") -> None:
        if not isinstance(dimension, str) or not dimension:
            raise InvalidInputError(f"FromDimension({dimension!r}): the name of a dimension is needed.")
        check_inner(mapping)
        check_nonexistent(nonexistent)
        object.__setattr__(self, "dimension", dimension)
        object.__setattr__(self, "mapping", mapping)
        object.__setattr__(self, "nonexistent", nonexistent)

    @property
    def inner(self) -> tuple[PartitionMapping, ...]:
        """The mapping of its dimension, where it was given."""
        return () if self.mapping is None else (self.mapping,)

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
        """Give the input partitions that correspond to ``downstream`` in the dimension."""
        return map_upstream(self._links(downstream.definition, upstream), downstream, upstream, as_of)

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give the partitions that correspond to ``upstream`` in the dimension."""
        return map_downstream(self._links(downstream, upstream.definition), upstream, downstream, as_of)

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:
        """Ask for several dimensions on one side, this one among them, and for one on the other."""
        sides = sorted((downstream.dimensions, upstream.dimensions), key=len)
        if len(sides[0]) != 1 or len(sides[1]) == 1:
            return "one must have several dimensions and the other a single one"
        named = [one for one in sides[1] if one.dimension == self.dimension]
        if not named:
            return f"there is no dimension {self.dimension!r}, only {', '.join(one.dimension for one in sides[1])}"
        if len(downstream.dimensions) == 1:
            settled(self.mapping, sides[0][0], named[0])
        else:
            settled(self.mapping, named[0], sides[0][0])
        return None

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return (
            f"by dimension {self.dimension}: {'what it suggests' if self.mapping is None else self.mapping.describe()}"
        )

    def parameters(self) -> dict[str, Any]:
        """Give what the mapping is made with, as JSON values."""
        inner = {} if self.mapping is None else {"mapping": self.mapping.to_dict()}
        return {"dimension": self.dimension, **inner, **ReachingMapping.parameters(self)}

    def _links(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> Links:
        self.check(downstream, upstream)
        own, theirs = dimensions_of(downstream), dimensions_of(upstream)
        own_name = self.dimension if len(own) > 1 else next(iter(own))
        name = self.dimension if len(theirs) > 1 else next(iter(theirs))
        return {name: (own_name, settled(self.mapping, own[own_name], theirs[name]))}

    def __repr__(self) -> str:
        inner = "" if self.mapping is None else f", {self.mapping!r}"
        return f"FromDimension({self.dimension!r}{inner}{nonexistent_argument(self)})"


def check_inner(mapping: object) -> None:
    """Refuse what cannot be the mapping of one dimension."""
    if mapping is not None and not isinstance(mapping, PartitionMapping):
        raise InvalidInputError(
            f"{mapping!r} is no mapping of a dimension.", hint="for example TimeOverlap(lookback=6)."
        )
    if isinstance(mapping, PerDimension | FromDimension):
        raise InvalidInputError(f"{mapping!r} is for several dimensions, not for one of them.")
    if mapping is not None and mapping.skips_nonexistent:
        raise InvalidInputError(
            f'nonexistent="skip" of {mapping!r} counts for all dimensions.', hint="give it to the outer mapping."
        )


def settled(mapping: PartitionMapping | None, own: OneDimensional, theirs: OneDimensional) -> PartitionMapping:
    """Give the mapping of one dimension, or what the two suggest; it must fit them."""
    chosen = mapping or suggest_for_one(own, theirs)
    if chosen is None:
        raise nothing_suggested(own, theirs)
    chosen.check(own, theirs)
    return chosen
