"""The time a partition covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import total_ordering

from lakepart.errors import ErrorCode, InvalidInputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(instant: datetime, *, name: str = "instant") -> int:
    """Count the microseconds from 1970 (UTC) to an aware datetime.

    Raises
    ------
    InvalidInputError
        ``instant`` is no datetime, or has no time zone.
    """
    if not isinstance(instant, datetime):
        raise InvalidInputError(f"{name} is {instant!r}, a {type(instant).__name__}: an aware datetime is needed.")
    if instant.utcoffset() is None:
        raise InvalidInputError(
            f"{name} {instant.isoformat()} has no time zone: instants are aware.",
            hint="datetime(..., tzinfo=ZoneInfo('America/New_York')) or datetime(..., tzinfo=UTC).",
            code=ErrorCode.NAIVE_TIMESTAMP,
        )
    return (instant - EPOCH) // _MICROSECOND


def from_microseconds(utc_us: int) -> datetime:
    """Give the UTC datetime of a count of microseconds since 1970."""
    return EPOCH + timedelta(microseconds=utc_us)


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
