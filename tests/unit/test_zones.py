"""The oracle here is zoneinfo itself, asked one instant at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError
from lakepart.model.zones import (
    DAY_US,
    clock_around,
    get_clock,
    get_zone,
    transitions_of_year,
)

ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",  # summer time began at midnight
    "America/St_Johns",  # and here changed at 00:01
    "America/Havana",
    "Europe/London",
    "Africa/Casablanca",  # four changes a year
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # summer time is half an hour
    "Pacific/Apia",  # left out a day
    "Pacific/Kwajalein",  # repeated one and left one out
    "Antarctica/Troll",  # summer time is two hours
    "Asia/Pyongyang",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEFT_OUT_US = 1_710_037_800 * 10**6  # 2024-03-10 02:30 local, which New York's clocks left out
zones = st.sampled_from(ZONES)
instants = st.integers(-6 * 10**15, 6 * 10**15)  # 1779 to 2160
far_instants = st.integers(6 * 10**15, 25 * 10**16)  # to 9892


def shown(zone: str, utc_us: int) -> int:
    wall = (EPOCH + timedelta(microseconds=utc_us)).astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
    return (wall - EPOCH) // timedelta(microseconds=1)


@given(zones, instants | far_instants)
@example("America/New_York", LEFT_OUT_US)
@example("America/Sao_Paulo", 17_839 * DAY_US)  # 2018-11-04: a midnight that never was
@example("Pacific/Apia", 15_338 * DAY_US)  # 2011-12-30: a day that never was
@example("Pacific/Kwajalein", -93 * DAY_US)  # 1969-09-30: a day that was twice
def test_the_first_instant_of_a_wall_time_is_the_first_to_show_it_or_more(zone, wall_us) -> None:
    instant = clock_around(zone, wall_us).first_instant_of(wall_us)

    assert shown(zone, instant) >= wall_us
    assert all(shown(zone, instant - back) < wall_us for back in (1, 10**6, 10**9, 10**10))


@given(zones, st.lists(instants, min_size=1, max_size=20))
@example("America/New_York", [LEFT_OUT_US, LEFT_OUT_US + 4 * 3600 * 10**6])
def test_arrays_and_single_instants_agree(zone, values) -> None:
    array = np.array(values, dtype=np.int64)
    clock = get_clock(zone, 1778, 2161)

    assert clock.offset_of_each(array).tolist() == [shown(zone, one) - one for one in values]
    assert clock.first_instant_of_each(array).tolist() == [clock.first_instant_of(one) for one in values]


@given(zones, instants)
@example("America/New_York", 1_730_613_599_999_999)  # the last microsecond of the first 01:59 on 2024-11-03
@example("America/New_York", 1_730_613_600_000_000)
def test_an_instant_repeats_a_wall_time_where_python_says_it_is_the_second(zone, utc_us) -> None:
    if zone in {"America/St_Johns", "Pacific/Kwajalein"} and utc_us < 0:
        return  # offset changes that follow each other closely, which Python looks at one by one

    fold = (EPOCH + timedelta(microseconds=utc_us)).astimezone(ZoneInfo(zone)).fold

    assert get_clock(zone, 1778, 2161).is_repeat_each(np.array([utc_us])).tolist() == [bool(fold)]


@pytest.mark.parametrize(
    ("zone", "year", "changes"),
    [("America/New_York", 2013, 2), ("Asia/Kolkata", 2013, 0), ("Africa/Casablanca", 2013, 4), ("UTC", 2013, 0)],
)
def test_offset_changes_of_a_year_are_all_found(zone, year, changes) -> None:
    found = transitions_of_year(zone, year)

    assert len(found) == changes
    for one in found:
        assert shown(zone, one.at_us) - one.at_us == one.offset_us
        assert shown(zone, one.at_us - 1) - one.at_us + 1 != one.offset_us


@pytest.mark.parametrize("year", [2099, 2100, 2101, 2128, 2400, 5000, 9998])
def test_years_beyond_the_tables_follow_the_rules(year) -> None:
    (spring, autumn) = transitions_of_year("America/New_York", year)

    assert shown("America/New_York", spring.at_us - 1) + 1 + 3600 * 10**6 == shown("America/New_York", spring.at_us)
    assert shown("America/New_York", autumn.at_us - 1) + 1 - 3600 * 10**6 == shown("America/New_York", autumn.at_us)


@pytest.mark.parametrize("name", ["America/New_Yrok", "America", "../etc/passwd", "", "/etc/passwd", None, 5])
def test_what_is_no_zone_is_refused(name) -> None:
    with pytest.raises(InvalidInputError, match="is not a time zone"):
        get_zone(name)


def test_a_misspelt_zone_is_met_with_close_names() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'America/New_York'"):
        get_zone("America/New_Yrok")
