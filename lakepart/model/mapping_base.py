"""What every mapping from the partitions of an asset to those of an input can answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import FORMAT_VERSION, PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.set_text import format_runs

CHOICES = (
    "Identity() for the same key, TimeOverlap() for shared time, AllPartitions() for everything, LastPartition(), "
    "SpecificPartitions([...]), KeyMap({...}), FromDimension(name) or PerDimension({...}) for several dimensions, "
    "CustomMapping(name, function)."
)
KeyRun = tuple[str, str]
_SHOWN_RUNS = 20


@dataclass(frozen=True, slots=True)
class Mapped:
    """The input partitions that some partitions are made from.

    Attributes
    ----------
    partitions
        Those that the input's definition has, whether they hold data or not.
    nonexistent
        Those it does not have, because it begins later, ends sooner or does not list them: runs of keys, each given as
        its first and last, so that a million in a row are one.
    by_dimension
        Where the input has several dimensions and is mapped by them: those runs, which are of keys of one dimension
        each, by the dimension's name.
    """

    partitions: PartitionSet
    nonexistent: tuple[KeyRun, ...] = ()
    by_dimension: tuple[tuple[str, tuple[KeyRun, ...]], ...] = ()

    @property
    def nonexistent_text(self) -> str:
        """What does not exist, as ``"2012-12-30..2012-12-31"``, of many runs the first; empty where all exist."""
        if self.by_dimension:
            return "; ".join(f"{name} {_some_runs(runs)}" for name, runs in self.by_dimension)
        return _some_runs(self.nonexistent)


@dataclass(frozen=True, slots=True, repr=False)
class PartitionMapping(ABC):
    """Tells which partitions of an input a partition of an asset is made from, and the other way round.

    A partition ``p`` is in ``downstream`` of ``{q}`` exactly where ``q`` is in ``upstream`` of ``{p}``, and a set is
    mapped to what its partitions, each for itself, are mapped to.
    """

    kind: ClassVar[str]

    @abstractmethod
    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
        """Give the input partitions that ``downstream`` is made from.

        Parameters
        ----------
        downstream
            Partitions of the asset that is made.
        upstream
            The definition of the input.
        as_of
            The instant at which the question is asked; it matters to mappings that follow the clock.

        Raises
        ------
        InvalidInputError
            The mapping does not fit the two definitions, or ``as_of`` is naive.
        """

    @abstractmethod
    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give the partitions that are made from any of ``upstream``; the inverse of :meth:`upstream`.

        Raises
        ------
        InvalidInputError
            The mapping does not fit the two definitions, or ``as_of`` is naive.
        """

    @abstractmethod
    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""

    def check(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> None:
        """Refuse two definitions that the mapping does not fit.

        Raises
        ------
        InvalidInputError
            It does not fit.
        """
        if rule := self.misfit(downstream, upstream):
            raise InvalidInputError(
                f"{self!r} does not fit {downstream!r} made from {upstream!r}: {rule}.",
                hint=CHOICES,
                code=ErrorCode.DEFINITION_MISMATCH,
            )

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:  # noqa: ARG002
        """Give the rule that two definitions break, or None where the mapping fits them."""
        return None

    @property
    def follows_clock(self) -> bool:
        """Whether the answer changes as time passes."""
        return any(one.follows_clock for one in self.inner)

    @property
    def inner(self) -> tuple[PartitionMapping, ...]:
        """The mappings that it is made of."""
        return ()

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The input keys that it names itself, so that they must go on being called so."""
        return ()

    @property
    def looks_back(self) -> bool:
        """Whether, within one asset, a partition needs none but strictly earlier ones."""
        return False

    @property
    def skips_nonexistent(self) -> bool:
        """Whether needed partitions that the input's definition does not have are left out, instead of an error."""
        return False

    def parameters(self) -> dict[str, Any]:
        """Give what differs from a mapping made without arguments, as JSON values."""
        return {}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Make the mapping that gave these :meth:`parameters`."""
        return cls(**parameters)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.parameters().items())})"

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; ``mapping_from_dict`` reads it back."""
        return {"version": FORMAT_VERSION, "kind": self.kind, **self.parameters()}


@dataclass(frozen=True, slots=True, repr=False)
class ReachingMapping(PartitionMapping):
    """A mapping that can need partitions which the input's definition does not have.

    Parameters
    ----------
    nonexistent
        What then happens to the run that needs them: ``"error"`` fails it, naming them; ``"skip"`` gives it what
        exists.
    """

    nonexistent: str = field(default="error", kw_only=True)

    def __post_init__(self) -> None:
        check_nonexistent(self.nonexistent)

    @property
    def skips_nonexistent(self) -> bool:
        """Whether ``nonexistent`` is ``"skip"``."""
        return self.nonexistent == "skip"

    def parameters(self) -> dict[str, Any]:
        """Give what differs from a mapping made without arguments, as JSON values."""
        return {} if self.nonexistent == "error" else {"nonexistent": self.nonexistent}


def _some_runs(runs: Sequence[KeyRun]) -> str:
    shown = format_runs(runs[:_SHOWN_RUNS])
    return shown if len(runs) <= _SHOWN_RUNS else f"{shown},… {len(runs) - _SHOWN_RUNS:,} more"


def check_nonexistent(nonexistent: object) -> None:
    """Refuse what is not one of the ways to treat partitions that do not exist."""
    if nonexistent not in ("error", "skip"):
        raise InvalidInputError(f"nonexistent={nonexistent!r} is not one of 'error', 'skip'.")


def nonexistent_argument(mapping: ReachingMapping) -> str:
    """Write the argument ``nonexistent`` after others, where it is not the default."""
    return "" if mapping.nonexistent == "error" else f", nonexistent={mapping.nonexistent!r}"


def map_keys(keys: Iterable[str], definition: PartitionsDefinition) -> Mapped:
    """Sort keys into those a definition has and those it does not, each of them a run of its own."""
    found: list[str] = []
    absent: list[str] = []
    for key in dict.fromkeys(keys):
        (absent if definition.find_position(key) is None else found).append(key)
    return Mapped(PartitionSet.from_keys(definition, found), tuple((key, key) for key in absent))
