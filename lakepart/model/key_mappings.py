"""Mappings by key: the same one, all, the last, named ones, and dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from lakepart.errors import InvalidInputError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.instants import to_microseconds
from lakepart.model.keys import check_key, check_keys
from lakepart.model.mapped_boxes import Links, dimensions_of, map_upstream
from lakepart.model.mapping_base import (
    KeyRun,
    Mapped,
    PartitionMapping,
    ReachingMapping,
    check_nonexistent,
    map_keys,
    nonexistent_argument,
)
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.reprs import repr_some
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.time_spans import sharing, spans_of


@dataclass(frozen=True, slots=True, repr=False)
class Identity(ReachingMapping):
    """The input partition of the same key; between partitions cut by time, that of the same window.

    Parameters
    ----------
    nonexistent
        ``"error"`` (default) fails the run of a partition whose key the input does not have; ``"skip"`` gives it
        nothing.

    Examples
    --------
    >>> from datetime import UTC
    >>> from lakepart.model.definitions import Daily
    >>> two_days = PartitionSet.parse(Daily("2013-01-01"), "2013-01-01..2013-01-02")
    >>> mapped = Identity().upstream(two_days, Daily("2013-01-02"), datetime(2013, 6, 1, tzinfo=UTC))
    >>> mapped.partitions.keys, mapped.nonexistent
    (['2013-01-02'], (('2013-01-01', '2013-01-01'),))
    """

    kind: ClassVar[str] = "identity"

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
        """Give the input partitions of the same keys."""
        made = downstream.definition
        self.check(made, upstream)
        if len(made.dimensions) > 1:
            return map_upstream(_same(upstream), downstream, upstream, as_of)
        if not isinstance(made, TimeDefinition) or not isinstance(upstream, TimeDefinition):
            return map_keys(downstream, upstream)
        found, _ = sharing(upstream, spans_of(downstream))
        covered, _ = sharing(made, spans_of(found))
        return Mapped(found, _runs(downstream - covered))

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give the partitions of the same keys."""
        return self.upstream(upstream, downstream, as_of).partitions

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:
        """Ask for the same windows, or for keys in a list on both sides."""
        own, theirs = dimensions_of(downstream), dimensions_of(upstream)
        if len(own) > 1 or len(theirs) > 1:
            same = own.keys() == theirs.keys() and not any(self.misfit(own[name], theirs[name]) for name in own)
            return None if same else "both must have the same dimensions"
        by_time = isinstance(downstream, TimeDefinition) or isinstance(upstream, TimeDefinition)
        listed = {downstream.kind, upstream.kind} <= {"static", "dynamic"}
        fits = same_windows(downstream, upstream) if by_time else listed or downstream.kind == upstream.kind
        return None if fits else "both must have the same windows, or both be lists of keys"

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return "the same key"


@dataclass(frozen=True, slots=True, repr=False)
class AllPartitions(PartitionMapping):
    """Every input partition that is committed, whatever the partition."""

    kind: ClassVar[str] = "all"

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:  # noqa: ARG002
        """Give every input partition; none where ``downstream`` is empty."""
        return Mapped(_all_if(downstream, upstream))

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:  # noqa: ARG002
        """Give every partition; none where ``upstream`` is empty."""
        return _all_if(upstream, downstream)

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return "all partitions"


@dataclass(frozen=True, slots=True, repr=False)
class LastPartition(PartitionMapping):
    """The input's last partition as of the instant of asking, whatever the partition.

    Of partitions cut by time that is the last whose window has elapsed, so it moves with the clock, and a version made
    from an earlier one is stale; of others it is the last in order.

    Examples
    --------
    >>> from datetime import UTC
    >>> from lakepart.model.definitions import Daily, Unpartitioned
    >>> whole = PartitionSet.everything(Unpartitioned())
    >>> LastPartition().upstream(whole, Daily("2013-01-01"), datetime(2013, 6, 1, 12, tzinfo=UTC)).partitions.keys
    ['2013-05-31']
    """

    kind: ClassVar[str] = "last"

    @property
    def follows_clock(self) -> bool:
        """It does, where the input is cut by time."""
        return True

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:
        """Give the last input partition as of ``as_of``; none where none has elapsed or ``downstream`` is empty."""
        to_microseconds(as_of, name="as_of")
        return Mapped(_all_if(downstream, upstream).last(1, as_of))

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:
        """Give every partition where ``upstream`` holds the last as of ``as_of``, else none."""
        to_microseconds(as_of, name="as_of")
        return _all_if(upstream & PartitionSet.everything(upstream.definition).last(1, as_of), downstream)

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return "the last partition"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class SpecificPartitions(ReachingMapping):
    """The input partitions that are named, whatever the partition.

    Parameters
    ----------
    keys
        Their keys, at least one.
    nonexistent
        ``"error"`` (default) fails every run while the input does not have one of them; ``"skip"`` gives those it has.

    Examples
    --------
    >>> SpecificPartitions(["eu", "us"])
    SpecificPartitions(['eu', 'us'])
    """

    keys: tuple[str, ...]

    kind: ClassVar[str] = "specific"

    def __init__(self, keys: Iterable[str], *, nonexistent: str = "error") -> None:
        if isinstance(keys, str):
            raise InvalidInputError(
                f"SpecificPartitions({keys!r}): keys are a list of texts.", hint=f"SpecificPartitions([{keys!r}])"
            )
        listed = tuple(dict.fromkeys(check_keys(keys, "SpecificPartitions")))
        if not listed:
            raise InvalidInputError("SpecificPartitions([]) names no partition: at least one key is needed.")
        check_nonexistent(nonexistent)
        object.__setattr__(self, "keys", listed)
        object.__setattr__(self, "nonexistent", nonexistent)

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """Its keys."""
        return self.keys

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:  # noqa: ARG002
        """Give the named input partitions; none where ``downstream`` is empty."""
        return map_keys(self.keys if downstream else (), upstream)

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:  # noqa: ARG002
        """Give every partition where ``upstream`` holds a named one, else none."""
        held = any(key in upstream for key in self.keys)
        return PartitionSet.everything(downstream) if held else PartitionSet.empty(downstream)

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        return f"the partitions {list_some(self.keys)}"

    def parameters(self) -> dict[str, Any]:
        """Give what the mapping is made with, as JSON values."""
        return {"keys": list(self.keys), **ReachingMapping.parameters(self)}

    def __repr__(self) -> str:
        return f"SpecificPartitions({repr_some(self.keys)}{nonexistent_argument(self)})"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class KeyMap(ReachingMapping):
    """The input partitions that a dictionary names for the partition: from **own key to input key**, one or several.

    Parameters
    ----------
    needs
        ``{key: input key}`` or ``{key: [input keys]}``. A partition that is not in it needs no input partition.
    nonexistent
        ``"error"`` (default) fails the run of a partition for which an input key is named that the input does not
        have; ``"skip"`` gives those it has.

    Notes
    -----
    Dagster's ``StaticPartitionMapping`` is written the other way round, from input key to own keys:
    :meth:`from_upstream` takes that.

    Examples
    --------
    >>> KeyMap({"emea": ["africa", "eu"], "us": "americas"})
    KeyMap({'emea': ['africa', 'eu'], 'us': ['americas']})
    >>> KeyMap.from_upstream({"eu": "emea", "africa": "emea", "americas": ["us"]})
    KeyMap({'emea': ['africa', 'eu'], 'us': ['americas']})
    """

    needs: tuple[tuple[str, tuple[str, ...]], ...]

    kind: ClassVar[str] = "key-map"

    def __init__(self, needs: Mapping[str, str | Iterable[str]], *, nonexistent: str = "error") -> None:
        _check_dictionary("KeyMap", needs, "keys to input keys", 'KeyMap({"emea": ["eu", "africa"]})')
        named = {
            check_key(key): tuple(sorted(set(check_keys(wanted, f"KeyMap[{key!r}]")))) for key, wanted in needs.items()
        }
        pairs = tuple(sorted(named.items()))
        check_nonexistent(nonexistent)
        object.__setattr__(self, "needs", pairs)
        object.__setattr__(self, "nonexistent", nonexistent)

    @classmethod
    def from_upstream(cls, feeds: Mapping[str, str | Iterable[str]], *, nonexistent: str = "error") -> Self:
        """Make the mapping from ``{input key: own key}`` or ``{input key: [own keys]}``, as Dagster writes it."""
        example = 'KeyMap.from_upstream({"eu": "emea", "africa": "emea"})'
        _check_dictionary("KeyMap.from_upstream", feeds, "input keys to own keys", example)
        needs: dict[str, list[str]] = {}
        for upstream_key, keys in feeds.items():
            for key in check_keys(keys, f"KeyMap.from_upstream[{upstream_key!r}]"):
                needs.setdefault(key, []).append(upstream_key)
        return cls(needs, nonexistent=nonexistent)

    @property
    def named_inputs(self) -> tuple[str, ...]:
        """The input keys of its dictionary, each once."""
        return tuple(dict.fromkeys(one for _, wanted in self.needs for one in wanted))

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:  # noqa: ARG002
        """Give the input partitions that are named for those of ``downstream``."""
        return map_keys((one for key, wanted in self.needs if key in downstream for one in wanted), upstream)

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:  # noqa: ARG002
        """Give the partitions for which any of ``upstream`` is named."""
        found = [key for key, wanted in self.needs if any(one in upstream for one in wanted)]
        return map_keys(found, downstream).partitions

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:  # noqa: ARG002
        """Ask for keys that the asset itself has; those of the input are a matter of ``nonexistent``."""
        everything = PartitionSet.everything(downstream)
        unknown = [repr(key) for key, _ in self.needs if key not in everything]
        if not unknown:
            return None
        return (
            f"{list_some(unknown)} is no key of the first, and a key map goes from its keys to those of the second "
            "(KeyMap.from_upstream takes the other direction)"
        )

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        pairs = (f"{key}: {' + '.join(wanted)}" for key, wanted in self.needs)
        return f"a dictionary of keys ({list_some(pairs, 3)})"

    def parameters(self) -> dict[str, Any]:
        """Give what the mapping is made with, as JSON values."""
        return {"needs": {key: list(wanted) for key, wanted in self.needs}, **ReachingMapping.parameters(self)}

    def __repr__(self) -> str:
        needs = {key: list(wanted) for key, wanted in self.needs}
        return f"KeyMap({repr_some(needs)}{nonexistent_argument(self)})"


def same_windows(left: PartitionsDefinition, right: PartitionsDefinition) -> bool:
    """Answer whether two definitions cut time into the same windows, wherever each begins, ends or leaves some out."""
    if not isinstance(left, TimeDefinition) or not isinstance(right, TimeDefinition):
        return False
    return left.begins_as(right)


def _same(definition: PartitionsDefinition) -> Links:
    return {one.dimension: (one.dimension, Identity()) for one in definition.dimensions}


def _all_if(some: PartitionSet, definition: PartitionsDefinition) -> PartitionSet:
    return PartitionSet.everything(definition) if some else PartitionSet.empty(definition)


def _runs(partitions: PartitionSet) -> tuple[KeyRun, ...]:
    definition = partitions.definition
    return tuple((definition.key_at(first), definition.key_at(stop - 1)) for first, stop in partitions.intervals.ranges)


def _check_dictionary(what: str, given: object, between: str, example: str) -> None:
    if not isinstance(given, Mapping) or not given:
        raise InvalidInputError(f"{what}({given!r}) is no dictionary from {between}.", hint=example)
