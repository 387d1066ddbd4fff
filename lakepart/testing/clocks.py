"""A clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakepart.errors import ErrorCode, InvalidInputError


class FrozenClock:
    """A clock that shows ``at`` until it is told to advance; calling it gives an aware UTC datetime.

    Examples
    --------
    >>> clock = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
    >>> clock.advance(timedelta(hours=1))
    >>> clock().isoformat()
    '2026-01-31T01:00:00+00:00'
    """

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise InvalidInputError(
                f"The instant {at.isoformat()} has no zone: a clock shows one instant for everybody.",
                hint="give it one, as in at.replace(tzinfo=datetime.UTC).",
                code=ErrorCode.NAIVE_TIMESTAMP,
            )
        self._now = at.astimezone(UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self._now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._now!r})"

    def advance(self, by: timedelta) -> None:
        """Move the clock; a negative ``by`` sets it back, as operators of real clocks do."""
        self._now += by
