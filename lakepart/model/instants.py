"""Instants: aware datetimes for people, UTC microseconds since 1970 for arithmetic and the catalog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def is_instant(text: str) -> bool:
    """Say whether a text has the form of a date or an instant in ISO 8601."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def parse_instant(instant: str | datetime) -> datetime:
    """Read an ISO 8601 instant with its offset, such as ``2026-01-31T00:00Z``; an aware datetime is given back.

    Raises
    ------
    InvalidInputError
        It is no instant, or has no time zone.
    """
    try:
        found = instant if isinstance(instant, datetime) else datetime.fromisoformat(instant)
    except ValueError as error:
        raise InvalidInputError(
            f"{instant!r} is not an instant in ISO 8601 form.", hint="write 2026-01-31T00:00Z."
        ) from error
    to_microseconds(found)
    return found
