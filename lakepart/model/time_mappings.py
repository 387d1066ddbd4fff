"""Mappings by time: the input partitions whose windows share time with a partition's own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, cast

from lakepart.errors import InvalidInputError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.intervals import Intervals
from lakepart.model.mapping_base import Mapped, ReachingMapping, check_nonexistent
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.time_spans import positions_sharing, sharing, spans_of

_MOST_WINDOWS = 100_000


@dataclass(frozen=True, slots=True, init=False, repr=False)
class TimeOverlap(ReachingMapping):
    """The input partitions whose windows share time with the window, or with one that is moved or widened by offsets.

    Parameters
    ----------
    start_offset, end_offset
        By how many windows of the partition's own definition the start and the end of the time are moved: with
        ``start_offset=-1``, time begins where the window before begins. Excluded windows are not counted.
    lookback
        Another way to write ``start_offset=-lookback``: so many windows before the partition's own, and that one.
    nonexistent
        ``"error"`` (default) fails the run of a partition that needs windows before the input's first or after its
        last; ``"skip"`` gives it those that exist. Windows that the input excludes are no partitions, so they are
        never needed.

    Raises
    ------
    InvalidInputError
        No whole numbers, both ``lookback`` and ``start_offset``, or a start after the end.

    Notes
    -----
    The two definitions may have different grains and zones: windows are compared as instants. Costs a time in the
    number of runs of partitions in a row; in the number of partitions, vectorised, where windows are excluded.

    Examples
    --------
    >>> from datetime import UTC
    >>> from lakepart.model.definitions import Daily, Monthly
    >>> february = PartitionSet.parse(Monthly("2013-01-01"), "2013-02-01")
    >>> now = datetime(2013, 6, 1, tzinfo=UTC)
    >>> TimeOverlap().upstream(february, Daily("2013-01-01"), now).partitions.to_text()
    '2013-02-01..2013-02-28'
    >>> TimeOverlap(lookback=2).upstream(february, Daily("2013-01-01"), now).nonexistent_text
    '2012-12-01..2012-12-31'
    """

    start_offset: int = 0
    end_offset: int = 0

    kind: ClassVar[str] = "time-overlap"

    def __init__(
        self, start_offset: int = 0, end_offset: int = 0, *, lookback: int = 0, nonexistent: str = "error"
    ) -> None:
        for name, value in (("start_offset", start_offset), ("end_offset", end_offset), ("lookback", lookback)):
            if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _MOST_WINDOWS:
                raise InvalidInputError(
                    f"{name}={value!r} is no number of windows: whole numbers up to {_MOST_WINDOWS:,}."
                )
        if lookback < 0 or (lookback and start_offset):
            raise InvalidInputError(
                f"lookback={lookback} with start_offset={start_offset}: lookback is 0 or more windows before the own, "
                "and another way to write start_offset.",
                hint="give one of them.",
            )
        start_offset = start_offset - lookback
        if start_offset > end_offset:
            raise InvalidInputError(
                f"start_offset={start_offset} lies after end_offset={end_offset}, so no time is meant.",
                hint="TimeOverlap(-1, -1) means the window before.",
            )
        check_nonexistent(nonexistent)
        object.__setattr__(self, "start_offset", start_offset)
        object.__setattr__(self, "end_offset", end_offset)
        object.__setattr__(self, "nonexistent", nonexistent)

    @property
    def looks_back(self) -> bool:
        """Whether only windows before the own are meant."""
        return self.end_offset < 0

    def upstream(self, downstream: PartitionSet, upstream: PartitionsDefinition, as_of: datetime) -> Mapped:  # noqa: ARG002
        """Give the input partitions whose windows share time with those of ``downstream``, moved by the offsets."""
        _, input_definition = self._definitions(downstream.definition, upstream)
        return Mapped(*sharing(input_definition, spans_of(downstream, self.start_offset, self.end_offset)))

    def downstream(self, upstream: PartitionSet, downstream: PartitionsDefinition, as_of: datetime) -> PartitionSet:  # noqa: ARG002
        """Give the partitions whose windows, moved by the offsets, share time with those of ``upstream``."""
        made, _ = self._definitions(downstream, upstream.definition)
        found = [
            (first - self.end_offset, stop - self.start_offset)
            for first, stop in positions_sharing(made, spans_of(upstream))
        ]
        return PartitionSet(made, Intervals.of(found) & made.universe)

    def misfit(self, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> str | None:
        """Ask that both are cut by time."""
        fits = isinstance(downstream, TimeDefinition) and isinstance(upstream, TimeDefinition)
        return None if fits else "both must be cut by time"

    def describe(self) -> str:
        """Say in one line for people which input partitions are needed."""
        if self.start_offset == self.end_offset == 0:
            return "windows that share time"
        if self.start_offset == self.end_offset:
            return f"windows that share time with the one {_away(self.start_offset)}"
        return (
            f"windows that share time from the start of {_window(self.start_offset)} "
            f"to the end of {_window(self.end_offset)}"
        )

    def parameters(self) -> dict[str, Any]:
        """Give what differs from a mapping made without arguments, as JSON values."""
        offsets = {"start_offset": self.start_offset, "end_offset": self.end_offset}
        return {**{name: value for name, value in offsets.items() if value}, **ReachingMapping.parameters(self)}

    def _definitions(
        self, downstream: PartitionsDefinition, upstream: PartitionsDefinition
    ) -> tuple[TimeDefinition, TimeDefinition]:
        self.check(downstream, upstream)
        return cast("TimeDefinition", downstream), cast("TimeDefinition", upstream)


def _window(offset: int) -> str:
    return "the own window" if offset == 0 else f"the window {_away(offset)}"


def _away(offset: int) -> str:
    return f"{abs(offset):,} {'before' if offset < 0 else 'after'}"
