from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.windows import Window

NEW_YORK = ZoneInfo("America/New_York")
REPEATED = Window(datetime(2024, 11, 3, 1, tzinfo=NEW_YORK), datetime(2024, 11, 3, 1, fold=1, tzinfo=NEW_YORK))


def test_the_first_of_a_repeated_hour_is_a_window_of_an_hour() -> None:
    assert REPEATED.duration == timedelta(hours=1)
    assert datetime(2024, 11, 3, 5, 30, tzinfo=UTC) in REPEATED
    assert datetime(2024, 11, 3, 6, tzinfo=UTC) not in REPEATED


def test_the_day_summer_time_begins_has_23_hours() -> None:
    day = Window(datetime(2024, 3, 10, tzinfo=NEW_YORK), datetime(2024, 3, 11, tzinfo=NEW_YORK))

    assert day.duration == timedelta(hours=23)


def test_windows_compare_by_instant_whatever_their_zone() -> None:
    in_utc = Window(REPEATED.start.astimezone(UTC), REPEATED.end.astimezone(UTC))
    second = Window(REPEATED.end, datetime(2024, 11, 3, 2, tzinfo=NEW_YORK))

    assert in_utc == REPEATED
    assert hash(in_utc) == hash(REPEATED)
    assert second != REPEATED
    assert sorted([second, REPEATED]) == [REPEATED, second]
    assert REPEATED != "a window"
    with pytest.raises(TypeError):
        _ = REPEATED < "a window"


def test_a_window_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(REPEATED)) == REPEATED


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="Empty window") as caught:
        Window(REPEATED.end, REPEATED.end)

    assert caught.value.code == ErrorCode.EMPTY_WINDOW


def test_naive_ends_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"start 2024-01-01T00:00:00 has no time zone") as caught:
        Window(datetime(2024, 1, 1), datetime(2024, 1, 2))  # noqa: DTZ001 - naive on purpose

    assert caught.value.code == ErrorCode.NAIVE_TIMESTAMP


def test_microseconds_and_instants_convert_exactly() -> None:
    instant = datetime(2262, 4, 12, 1, 2, 3, 456789, tzinfo=UTC)

    assert from_microseconds(to_microseconds(instant)) == instant
    assert to_microseconds(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)) == -1


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="as_of is '2013', a str"):
        to_microseconds("2013", name="as_of")  # type: ignore[arg-type]
