"""Which input partitions a partition is made from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import FORMAT_VERSION, PartitionsDefinition
from lakepart.model.definitions import Static, TimeDefinition, Unpartitioned
from lakepart.model.intervals import Intervals, Range
from lakepart.model.partition_sets import PartitionSet


@dataclass(frozen=True, slots=True)
class PartitionMapping(ABC):
    """Tells, for some partitions of an asset, the partitions of one of its inputs that they are made from."""

    name: ClassVar[str]

    @abstractmethod
    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition) -> PartitionSet:
        """Give the input partitions that ``downstream`` is made from.

        Only partitions that the input's definition has are given; where it begins later or ends sooner, there are
        fewer of them, or none.

        Parameters
        ----------
        downstream
            Partitions of the asset that is made.
        upstream
            The definition of the input.

        Raises
        ------
        InvalidInputError
            The mapping does not fit the two definitions.
        """

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; :func:`mapping_from_dict` reads it back."""
        return {"version": FORMAT_VERSION, "kind": self.name}


@dataclass(frozen=True, slots=True)
class Identity(PartitionMapping):
    """The input partition of the same key.

    Examples
    --------
    >>> from lakepart.model.definitions import Daily
    >>> two_days = PartitionSet.parse(Daily("2013-01-01"), "2013-01-01..2013-01-02")
    >>> Identity().upstream(two_days, Daily("2013-01-02")).keys
    ['2013-01-02']
    """

    name: ClassVar[str] = "identity"

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition) -> PartitionSet:
        """Give the input partitions of the same keys."""
        made = downstream.definition
        if isinstance(made, TimeDefinition) and isinstance(upstream, TimeDefinition) and _same_windows(made, upstream):
            return _overlapping(made, downstream.intervals, upstream)
        if isinstance(made, Static) and isinstance(upstream, Static):
            common = set(upstream.keys)
            return PartitionSet.from_keys(upstream, [key for key in downstream if key in common])
        if isinstance(made, Unpartitioned) and isinstance(upstream, Unpartitioned):
            return PartitionSet(upstream, downstream.intervals)
        raise _unfit(self, made, upstream, "both must have the same windows, or both be lists of keys")


@dataclass(frozen=True, slots=True)
class TimeOverlap(PartitionMapping):
    """The input partitions whose windows share time with the window.

    Examples
    --------
    >>> from lakepart.model.definitions import Daily, Monthly
    >>> january = PartitionSet.parse(Monthly("2013-01-01"), "2013-01-01")
    >>> TimeOverlap().upstream(january, Daily("2013-01-01")).to_text()
    '2013-01-01..2013-01-31'
    """

    name: ClassVar[str] = "time-overlap"

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition) -> PartitionSet:
        """Give the input partitions whose windows share time with those of ``downstream``."""
        made = downstream.definition
        if not isinstance(made, TimeDefinition) or not isinstance(upstream, TimeDefinition):
            raise _unfit(self, made, upstream, "both must be cut by time")
        return _overlapping(made, downstream.intervals, upstream)


@dataclass(frozen=True, slots=True)
class AllPartitions(PartitionMapping):
    """Every input partition, whatever the partition."""

    name: ClassVar[str] = "all"

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition) -> PartitionSet:
        """Give every input partition; none where ``downstream`` is empty."""
        return PartitionSet.everything(upstream) if downstream else PartitionSet.empty(upstream)


_KINDS: dict[str, type[PartitionMapping]] = {one.name: one for one in (Identity, TimeOverlap, AllPartitions)}


def mapping_from_dict(data: Mapping[str, Any]) -> PartitionMapping:
    """Read what ``to_dict`` of a mapping gave.

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
    return _KINDS[kind]()


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
            return Identity() if _same_windows(downstream, upstream) else TimeOverlap()
    elif isinstance(downstream, Static) and isinstance(upstream, Static):
        if downstream.keys == upstream.keys:
            return Identity()
    elif isinstance(downstream, Unpartitioned) or isinstance(upstream, Unpartitioned):
        return AllPartitions()
    raise InvalidInputError(
        f"Which partitions of {upstream!r} make one of {downstream!r} is not evident: say it with a mapping.",
        hint="Identity() for the same key, TimeOverlap() for shared time, AllPartitions() for everything.",
        code=ErrorCode.DEFINITION_MISMATCH,
    )


def _same_windows(left: TimeDefinition, right: TimeDefinition) -> bool:
    return left.name == right.name and left.tz == right.tz


def _overlapping(made: TimeDefinition, intervals: Intervals, upstream: TimeDefinition) -> PartitionSet:
    found: list[Range] = []
    for start, stop in intervals.ranges:
        found += upstream.overlapping(made.window_at(start).start, made.window_at(stop - 1).end).ranges
    return PartitionSet(upstream, Intervals.of(found))


def _unfit(
    mapping: PartitionMapping, downstream: PartitionsDefinition, upstream: PartitionsDefinition, rule: str
) -> InvalidInputError:
    return InvalidInputError(
        f"{mapping!r} does not fit {downstream!r} made from {upstream!r}: {rule}.",
        hint="Identity() for the same key, TimeOverlap() for shared time, AllPartitions() for everything.",
        code=ErrorCode.DEFINITION_MISMATCH,
    )
