"""Instants at the doors: aware datetimes for people, UTC microseconds for the catalog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lakepart.errors import InvalidInputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant_us(instant: datetime) -> int:
    """Give UTC microseconds since 1970; a naive datetime is refused, for it names no instant."""
    return (require_aware(instant) - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Give an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=microseconds)


def require_aware(instant: datetime) -> datetime:
    """Give ``instant`` back if it has a time zone."""
    if instant.tzinfo is None:
        raise InvalidInputError(
            f"{instant.isoformat()} has no time zone, so it names no instant.",
            hint="use an aware datetime, for example datetime(2026, 1, 31, tzinfo=UTC).",
        )
    return instant


def parse_instant(instant: str | datetime) -> datetime:
    """Read an ISO 8601 instant with its offset (``2026-01-31T00:00Z``)."""
    if isinstance(instant, datetime):
        return require_aware(instant)
    try:
        return require_aware(datetime.fromisoformat(instant))
    except InvalidInputError:
        raise
    except ValueError as error:
        raise InvalidInputError(
            f"{instant!r} is not an instant in ISO 8601 form.", hint="write 2026-01-31T00:00Z."
        ) from error
