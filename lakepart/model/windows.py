"""The time a partition covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import total_ordering

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.instants import to_microseconds


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Time from ``start`` (included) to ``end`` (excluded); half-open, so neighbours meet without overlap.

    Windows compare by instant. Two datetimes of one zone would compare by their wall clocks, and the hour that
    repeats when summer time ends would be empty.

    Parameters
    ----------
    start, end
        Aware datetimes, in the definition's zone.

    Raises
    ------
    InvalidInputError
        An end without time zone, or ``start`` is not before ``end``.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if to_microseconds(self.start, name="start") >= to_microseconds(self.end, name="end"):
            raise InvalidInputError(
                f"Empty window: start {self.start.isoformat()} is not before end {self.end.isoformat()}.",
                hint="end is excluded; for one day, pass the next day's midnight.",
                code=ErrorCode.EMPTY_WINDOW,
            )

    @property
    def duration(self) -> timedelta:
        """The time that really passes: 25 hours on the day summer time ends."""
        return self.end.astimezone(UTC) - self.start.astimezone(UTC)

    def __contains__(self, instant: datetime) -> bool:
        start_us, end_us = self._bounds()
        return start_us <= to_microseconds(instant) < end_us

    def __eq__(self, other: object) -> bool:
        return self._bounds() == other._bounds() if isinstance(other, Window) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._bounds() < other._bounds() if isinstance(other, Window) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._bounds())

    def _bounds(self) -> tuple[int, int]:
        return to_microseconds(self.start), to_microseconds(self.end)
