"""The oracle here is zoneinfo, asked instant by instant, and Python's own calendar."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.definitions import (
    Daily,
    Hourly,
    Monthly,
    Quarterly,
    TimeDefinition,
    Weekly,
    Yearly,
    definition_from_dict,
)

GRAINS = [Hourly, Daily, Weekly, Monthly, Quarterly, Yearly]
ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Europe/London",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Antarctica/Troll",
    "Asia/Pyongyang",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START, END = date(1968, 1, 1), date(2060, 1, 1)
definitions = st.builds(
    lambda grain, zone, bounded: grain(START, tz=zone, end=END if bounded else None),
    st.sampled_from(GRAINS),
    st.sampled_from(ZONES),
    st.booleans(),
)
instants = st.datetimes(datetime(1970, 1, 1), datetime(2058, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def position_of_instant(definition: TimeDefinition, instant: datetime) -> int:
    return int(definition.positions_of_instants(np.array([microseconds(instant)]))[0])


@given(definitions, instants)
@example(Daily(START, tz="Pacific/Apia"), datetime(2011, 12, 30, 9, 59, 59, tzinfo=UTC))
@example(Daily(START, tz="Pacific/Apia"), datetime(2011, 12, 30, 10, 0, tzinfo=UTC))
@example(Hourly(START, tz="Australia/Lord_Howe"), datetime(2024, 4, 6, 14, 59, tzinfo=UTC))
@example(Hourly(START, tz="Australia/Lord_Howe"), datetime(2024, 10, 5, 15, 45, tzinfo=UTC))
@example(Daily(START, tz="America/St_Johns"), datetime(2005, 10, 30, 2, 45, tzinfo=UTC))
def test_every_instant_lies_in_the_window_of_its_position(definition, instant) -> None:
    position = position_of_instant(definition, instant)

    assert instant in definition.window_at(position)


@given(definitions, instants)
def test_windows_tile_the_time(definition, instant) -> None:
    around = [
        *(definition.universe & definition.universe.clip(0, position_of_instant(definition, instant) + 1)).tail(4)
    ]

    windows = [definition.window_at(position) for position in around]

    assert all(left.end.timestamp() == right.start.timestamp() for left, right in pairwise(windows))


@given(definitions, instants)
def test_keys_ordinals_and_positions_lead_to_each_other(definition, instant) -> None:
    position = position_of_instant(definition, instant)

    key, ordinal = definition.key_at(position), definition.ordinal_at(position)

    assert definition.position_of(key) == position
    assert definition.position_at(ordinal) == position
    assert definition.key_of_ordinal(ordinal) == key
    assert ordinal == microseconds(definition.window_at(position).start)


@given(definitions, st.lists(instants, min_size=1, max_size=30))
def test_arrays_and_single_positions_agree(definition, many) -> None:
    positions = definition.positions_of_instants(np.array([microseconds(one) for one in many]))

    ordinals = definition.ordinals_at(positions)

    assert positions.tolist() == [position_of_instant(definition, one) for one in many]
    assert definition.keys_at(positions) == [definition.key_at(one) for one in positions.tolist()]
    assert ordinals.tolist() == [definition.ordinal_at(one) for one in positions.tolist()]
    assert definition.positions_at(ordinals).tolist() == positions.tolist()


@given(definitions, instants, instants)
def test_positions_rise_with_time(definition, left, right) -> None:
    ordered = sorted([left, right])

    assert position_of_instant(definition, ordered[0]) <= position_of_instant(definition, ordered[1])


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone not in {"America/St_Johns", "Pacific/Kwajalein"}])
def test_a_daily_key_is_the_local_date(zone) -> None:
    definition = Daily(START, tz=zone)
    many = [datetime(2011, 12, 25, tzinfo=UTC) + timedelta(minutes=95 * step) for step in range(200)]

    keys = definition.keys_at(definition.positions_of_instants(np.array([microseconds(one) for one in many])))

    assert keys == [one.astimezone(ZoneInfo(zone)).date().isoformat() for one in many]


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", datetime(2024, 3, 10, tzinfo=UTC)),
        ("America/New_York", datetime(2024, 11, 3, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 4, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, tzinfo=UTC)),
        ("America/St_Johns", datetime(2005, 10, 30, tzinfo=UTC)),
        ("America/St_Johns", datetime(2005, 4, 3, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2024, 10, 27, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(1985, 12, 31, tzinfo=UTC)),  # 15 minutes later from then on
        ("Asia/Pyongyang", datetime(2015, 8, 14, tzinfo=UTC)),  # half an hour earlier
        ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 2, 18, tzinfo=UTC)),
    ],
)
def test_hourly_windows_begin_exactly_when_the_clock_shows_a_full_hour(zone, day) -> None:
    definition = Hourly(date(1980, 1, 1), tz=zone)
    minutes = [day - timedelta(hours=20) + timedelta(minutes=minute) for minute in range(60 * 60)]
    strikes = [one for one in minutes if one.astimezone(ZoneInfo(zone)).minute == 0]

    positions = definition.starting_in(minutes[0], minutes[-1]).to_array()

    assert definition.ordinals_at(positions).tolist() == [microseconds(one) for one in strikes]
    assert len(set(definition.keys_at(positions))) == len(strikes)
    assert [key[:16] for key in definition.keys_at(positions)] == [
        one.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d-%H:%M") for one in strikes
    ]


def test_hours_of_lord_howe_are_counted_without_a_gap_for_millennia() -> None:
    definition = Hourly("2000-01-01", tz="Australia/Lord_Howe")
    year = definition.label("2031").to_array()
    far = definition.label("9001-06-01").to_array()

    assert len(year) == 365 * 24 - 1  # the hour that half of is skipped; the one half of which repeats is one window
    assert definition.label("2030").last + 1 == definition.label("2031").first
    assert definition.keys_at(far)[0] == "9001-06-01-00:00"
    assert definition.position_of("9001-06-01-00:00") == far[0]


def test_the_second_of_a_repeated_hour_has_its_offset_in_its_key() -> None:
    definition = Hourly("2024-01-01", tz="America/New_York")

    keys = definition.keys_at(definition.label("2024-11-03").to_array())

    assert keys[:4] == ["2024-11-03-00:00", "2024-11-03-01:00", "2024-11-03-01:00-0500", "2024-11-03-02:00"]
    assert len(keys) == 25


def test_an_hour_that_the_clock_leaves_out_is_no_partition() -> None:
    definition = Hourly("2024-01-01", tz="America/New_York")

    assert len(definition.label("2024-03-10")) == 23
    with pytest.raises(PartitionKeyError, match="'2024-03-10-02:00' is not a key"):
        definition.position_of("2024-03-10-02:00")


def test_a_day_that_never_was_is_no_partition() -> None:
    definition = Daily("2011-12-01", tz="Pacific/Apia")

    assert definition.keys_at(definition.label("2011-12").to_array())[-3:] == ["2011-12-28", "2011-12-29", "2011-12-31"]
    with pytest.raises(PartitionKeyError, match=r"No daily window starts in '2011-12-30'.*before it is '2011-12-29'"):
        definition.label("2011-12-30")
    with pytest.raises(PartitionKeyError, match="'2011-12-30' is not a key"):
        definition.position_of("2011-12-30")


@pytest.mark.parametrize(
    ("definition", "first", "last"),
    [
        (Monthly("2024-01-15", end="2024-12-31"), "2024-02-01", "2024-11-01"),
        (Weekly("2024-01-01", end="2024-02-01"), "2024-01-07", "2024-01-21"),
        (Quarterly("2013-01-01", end="2014-01-01"), "2013-01-01", "2013-10-01"),
        (Yearly("2013-01-01", end="2016"), "2013-01-01", "2015-01-01"),
        (Daily(date(2013, 1, 1), end=date(2014, 1, 1), tz="Asia/Tokyo"), "2013-01-01", "2013-12-31"),
        (Daily("2013-01-01 07:00", end="2013-02"), "2013-01-02", "2013-01-31"),
        (Hourly("2013-01-01T00:30", end="2013-01-01T03:30"), "2013-01-01-01:00", "2013-01-01-02:00"),
        (Daily(datetime(2013, 1, 1, tzinfo=UTC), tz="America/New_York"), "2013-01-01", "9998-12-31"),
        (Daily("2011-12-30", end="2012-01-01", tz="Pacific/Apia"), "2011-12-31", "2011-12-31"),
        (
            Hourly("2024-11-03-01:00-0500", end="2024-11-03-02:00", tz="America/New_York"),
            "2024-11-03-01:00-0500",
            "2024-11-03-01:00-0500",
        ),
        (
            Daily(datetime(2024, 11, 3, 0, 30, tzinfo=timezone(timedelta(hours=5))), end="2024-11-05"),
            "2024-11-03",
            "2024-11-04",
        ),
    ],
    ids=str,
)
def test_windows_reach_from_the_next_start_to_the_last_full_one(definition, first, last) -> None:
    assert definition.key_at(definition.universe.first) == first == definition.start
    assert definition.key_at(definition.universe.last) == last


@given(definitions)
def test_a_definition_survives_every_form_it_is_kept_in(definition) -> None:
    shown = eval(repr(definition))  # noqa: S307 - the promise of the repr

    assert shown == definition
    assert definition_from_dict(definition.to_dict()) == definition
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert hash(shown) == hash(definition)
    assert shown.universe == definition.universe


def test_definitions_differ_by_grain_zone_column_and_dimension() -> None:
    base = Daily("2012-01-01")
    others = [
        Daily("2012-01-02"),
        Weekly("2012-01-01"),
        Daily("2012-01-01", end="2013-01-01"),
        Daily("2012-01-01", tz="Asia/Tokyo"),
        Daily("2012-01-01", by="t"),
        Daily("2012-01-01", dimension="day"),
    ]

    assert len({base, *others}) == 7
    assert base == Daily(date(2012, 1, 1)) == Daily(datetime(2012, 1, 1))  # noqa: DTZ001 - wall time


def test_the_dictionary_form_stays_as_it_was_released() -> None:
    definition = Daily("2013-01-01", by="time_hour", tz="America/New_York")

    assert definition.to_dict() == {
        "version": 1,
        "kind": "daily",
        "start": "2013-01-01",
        "end": None,
        "by": "time_hour",
        "tz": "America/New_York",
        "dimension": "partition",
    }


def test_only_windows_that_ended_have_elapsed() -> None:
    definition = Daily("2013-01-01", tz="America/New_York", end="2014-01-01")
    midnight = datetime(2013, 1, 3, tzinfo=ZoneInfo("America/New_York"))

    assert definition.keys_at(definition.elapsed(midnight).to_array()) == ["2013-01-01", "2013-01-02"]
    assert len(definition.elapsed(midnight - timedelta(microseconds=1))) == 1
    assert not definition.elapsed(datetime(2000, 1, 1, tzinfo=UTC))
    assert definition.elapsed(datetime(2500, 1, 1, tzinfo=UTC)) == definition.universe


def test_windows_that_start_between_two_instants_are_half_open() -> None:
    definition = Hourly("2013-01-01")
    start = datetime(2013, 1, 1, 5, tzinfo=UTC)

    found = definition.starting_in(start, start + timedelta(hours=2))

    assert definition.keys_at(found.to_array()) == ["2013-01-01-05:00", "2013-01-01-06:00"]
    assert len(definition.starting_in(start + timedelta(microseconds=1), start + timedelta(hours=2))) == 1
    assert not definition.starting_in(start, start)
    assert not definition.starting_in(datetime(1999, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidInputError, match="reversed"):
        definition.starting_in(start, start - timedelta(hours=1))
    with pytest.raises(InvalidInputError, match="no time zone"):
        definition.starting_in(datetime(2013, 1, 1), start)  # noqa: DTZ001 - naive on purpose


def test_instants_outside_the_definition_get_positions_outside_the_universe() -> None:
    for definition in (grain("2013-01-01", end="2020-01-05", tz="Europe/London") for grain in GRAINS):
        whole = np.iinfo(np.int64)  # its smallest is NumPy's "not a time"
        outside = np.array(
            [whole.min, microseconds(EPOCH), definition.ordinal_at(definition.universe.first) - 1, whole.max]
        )
        end_us = microseconds(definition.window_at(definition.universe.last).end)

        positions = definition.positions_of_instants(np.append(outside, [end_us, end_us - 1]))

        assert definition.universe.contains_each(positions).tolist() == [False] * 5 + [True]


@pytest.mark.parametrize("utc_us", [np.iinfo(np.int64).min + 1, np.iinfo(np.int64).max], ids=["first", "last"])
@pytest.mark.parametrize("tz", ["America/New_York", "Asia/Tokyo"])
def test_the_first_and_the_last_of_all_instants_lie_in_no_window_west_or_east(tz, utc_us) -> None:
    definition = Daily("1800-01-01", tz=tz)

    positions = definition.positions_of_instants(np.array([utc_us]))

    assert not definition.universe.contains_each(positions).any()


def test_a_midnight_that_clocks_skip_by_seconds_is_the_first_instant_of_its_day() -> None:
    zone = ZoneInfo("Asia/Aden")
    change = datetime(1949, 12, 31, 21, 0, 6, tzinfo=UTC)  # from +02:59:54 to +03:00
    assert (change - timedelta(seconds=1)).astimezone(zone).isoformat()[:19] == "1949-12-31T23:59:59"
    assert change.astimezone(zone).isoformat()[:19] == "1950-01-01T00:00:06"

    definition = Daily("1949-12-01", tz="Asia/Aden")

    assert definition.window_at(definition.position_of("1950-01-01")).start == change
    assert definition.keys_at(np.array([30, 31, 32])) == ["1949-12-31", "1950-01-01", "1950-01-02"]


def test_a_stray_instant_does_not_disturb_the_others() -> None:
    definition = Daily("2013-01-01", tz="America/New_York")
    fine = microseconds(datetime(2013, 7, 1, 12, tzinfo=UTC))

    positions = definition.positions_of_instants(np.array([fine, microseconds(datetime(9000, 1, 1, tzinfo=UTC))]))

    assert definition.keys_at(positions) == ["2013-07-01", "8999-12-31"]


@pytest.mark.parametrize("grain", [Daily, Weekly, Monthly, Quarterly, Yearly])
def test_calendar_days_lead_to_their_window(grain) -> None:
    definition = grain("2010-01-01", tz="America/New_York", end="2030-01-01")
    days = [date(2013, 1, 5), date(2016, 2, 29), date(2029, 6, 30)]

    positions = definition.positions_of_dates(np.array([(day - EPOCH.date()).days for day in days]))

    for day, position in zip(days, positions.tolist(), strict=True):
        noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo("America/New_York"))
        assert noon in definition.window_at(position)
    strange = definition.positions_of_dates(np.array([-(2**62), 2**62]))
    assert not definition.universe.contains_each(strange).any()


def test_a_date_that_never_was_leads_to_no_window() -> None:
    definition = Daily("2011-12-01", tz="Pacific/Apia")
    days = [date(2011, 12, 29), date(2011, 12, 30), date(2011, 12, 31)]

    positions = definition.positions_of_dates(np.array([(day - EPOCH.date()).days for day in days]))

    assert definition.universe.contains_each(positions).tolist() == [True, False, True]
    assert definition.keys_at(positions[[0, 2]]) == ["2011-12-29", "2011-12-31"]


def test_days_do_not_say_the_hour() -> None:
    with pytest.raises(InvalidInputError, match="Dates do not say the partition"):
        Hourly("2013-01-01").positions_of_dates(np.array([0]))


def test_nothing_in_gives_nothing_out() -> None:
    nothing = np.array([], dtype=np.int64)

    for definition in (grain("2013-01-01") for grain in GRAINS):
        assert definition.positions_of_instants(nothing).tolist() == []
        assert definition.ordinals_at(nothing).tolist() == []
        assert definition.keys_at(nothing) == []


def test_a_million_instants_in_order_get_positions_in_order() -> None:
    definition = Daily("2013-01-01", tz="America/New_York")
    utc_us = np.arange(1_000_000, dtype=np.int64) * 200_000_000 + 1_400_000_000_000_000

    positions = definition.positions_of_instants(utc_us)

    assert positions.dtype == np.int64
    assert set(np.diff(positions).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Daily("2013-02-30"), "is no date"),
        (lambda: Daily("yesterday"), "start 'yesterday' is no date"),
        (lambda: Daily(5), "start 5 is no date"),  # type: ignore[arg-type]
        (lambda: Daily("2013-01-01", end="2013-13"), "end '2013-13' is no date"),
        (lambda: Daily("2013-01-01", end="2013-01-01"), "No daily window lies between"),
        (lambda: Daily("2013-01-01", end="2012-01-01"), "No daily window lies between"),
        (lambda: Monthly("2013-01-02", end="2013-02-28"), "No monthly window lies between"),
        (lambda: Daily("2011-12-30", end="2011-12-31", tz="Pacific/Apia"), "No daily window lies between"),
        (lambda: Daily("0500-01-01"), "outside the years 1000 to 9998"),
        (lambda: Daily("2013-01-01", tz="Mars"), "'Mars' is not a time zone"),
        (lambda: Daily("2013-01-01", by=""), "by is ''"),
        (lambda: Daily("2013-01-01", by=["t"]), "by is"),  # type: ignore[arg-type]
        (lambda: Daily("2013-01-01", dimension="a/b"), "dimension"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(make, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("definition", "key", "hint"),
    [
        (Daily("2013-01-01"), "2013-13-01", "that is the first"),
        (Daily("2013-01-01"), "2013-1-5", "did you mean '2013-01-05'"),
        (Daily("2013-01-01"), "20130105", "did you mean '2013-01-05'"),
        (Weekly("2013-01-01"), "2013-01-16", "did you mean '2013-01-13'"),
        (Monthly("2013-01-01"), "2013-02", "did you mean '2013-02-01'"),
        (Hourly("2013-01-01"), "2013-01-05 07:00", "did you mean '2013-01-05-07:00'"),
        (Hourly("2013-01-01"), "2013-01-05-07:30", "did you mean '2013-01-05-07:00'"),
        (Hourly("2013-01-01"), "2013-01-05-24:00", "did you mean '2013-01-05-23:00'"),
        (Hourly("2013-01-01"), "2013-01-05-07:00+0000", "did you mean '2013-01-05-07:00'"),
        (Daily("2013-01-01"), "٢٠١٣-٠١-٠٥", "that is the first"),
        (Daily("2013-01-01"), "", "that is the first"),
        (Daily("2013-01-01"), 5, "that is the first"),
    ],
)
def test_a_text_that_is_no_key_is_met_with_what_keys_look_like(definition, key, hint) -> None:
    with pytest.raises(PartitionKeyError, match=f"keys look like '.*Hint: {hint}") as caught:
        definition.position_of(key)

    assert caught.value.context == {"key": key}


@pytest.mark.parametrize("key", ["2012-12-31", "2014-01-01", "1013-01-01", "9999-12-31"])
def test_a_key_outside_the_definition_is_met_with_its_reach(key) -> None:
    definition = Daily("2013-01-01", end="2014-01-01")

    with pytest.raises(PartitionKeyError, match="keys run from '2013-01-01' to '2013-12-31'") as caught:
        definition.position_of(key)

    assert caught.value.code == ErrorCode.OUT_OF_RANGE


@pytest.mark.parametrize("key", ["2012-12-31-23:00", "2013-01-02-00:00", "2013-10-27-01:00+0000"])
def test_an_hour_outside_the_definition_is_met_with_its_reach(key) -> None:
    definition = Hourly("2013-01-01", end="2013-01-02", tz="Europe/London")

    with pytest.raises(PartitionKeyError, match="'2013-01-01-00:00' to '2013-01-01-23:00'"):
        definition.position_of(key)


def test_a_label_within_a_window_is_told_from_one_before_the_first() -> None:
    definition = Weekly("2013-01-07", end="2013-02-01", weekday="monday")

    with pytest.raises(
        PartitionKeyError, match=r"No weekly window starts in '2013-01-23T05'.*before it is '2013-01-21'"
    ):
        definition.label("2013-01-23T05")
    with pytest.raises(PartitionKeyError, match="'2013-01-05' lies outside the partitions") as caught:
        definition.label("2013-01-05")

    assert caught.value.code == ErrorCode.OUT_OF_RANGE


def test_a_start_in_the_second_of_a_repeated_hour_is_told_by_its_fold() -> None:
    start = datetime(2024, 11, 3, 1, 0, fold=1)  # noqa: DTZ001 - wall time

    assert Hourly(start, tz="America/New_York").start == "2024-11-03-01:00-0500"
    assert Hourly(start.replace(fold=0), tz="America/New_York").start == "2024-11-03-01:00"


def test_a_time_of_day_that_never_is_starts_nothing() -> None:
    for text in ("2013-01-01 25:00", "2013-01-01 07:61", "2013-01 07:00", "2013-01-01x07:00"):
        with pytest.raises(InvalidInputError, match="is no date"):
            Hourly(text)
    assert Hourly("2013-01-01 07:00Z").start == Hourly("2013-01-01T09:00:00+02:00").start == "2013-01-01-07:00"


def test_the_last_year_of_the_calendar_has_no_months_to_select() -> None:
    with pytest.raises(PartitionKeyError, match="'9999-12' is not a key"):
        Daily("2013-01-01").label("9999-12")


def test_positions_and_ordinals_of_no_partition_are_refused() -> None:
    definition = Daily("2013-01-01", end="2014-01-01")

    for call in (definition.key_at, definition.ordinal_at, definition.window_at):
        with pytest.raises(InvalidInputError, match="is no partition of"):
            call(definition.universe.last + 1)
    for ordinal in (definition.ordinal_at(definition.universe.first) + 1, 2**62, -(2**62)):
        with pytest.raises(InvalidInputError, match="has the ordinal"):
            definition.position_at(ordinal)


def test_a_definition_describes_itself_in_a_line() -> None:
    assert Daily("2013-01-01", by="t", tz="Asia/Tokyo").describe() == "daily by t in Asia/Tokyo, from 2013-01-01 on"
    assert Yearly("2013", end="2015").describe() == "yearly in UTC, from 2013-01-01 to 2015-01-01 (excluded)"


@pytest.mark.parametrize("start", ["2500-12-31", "2501-01-01", "2502-01-01", "2600-01-01", "2901-01-01", "9998-12-31"])
def test_definitions_begin_where_they_are_told_also_beyond_the_years_that_are_tabled(start: str) -> None:
    days = Daily(start, tz="America/New_York")

    assert days.start == days.key_at(0) == start
    assert days.universe.last - days.universe.first == (date(9999, 1, 1) - date.fromisoformat(start)).days - 1
    assert days.position_at(days.ordinal_at(0)) == 0


@pytest.mark.parametrize("fmt", ["%y-%m-%d", "%d.%m.%y"])
def test_years_of_two_digits_are_refused_as_long_as_there_is_no_end_to_tell_them_apart(fmt) -> None:
    with pytest.raises(InvalidInputError, match="does not say which window it is"):
        Daily("2013-01-01", fmt=fmt)
    assert Daily("2013-01-01", end="2014-01-01", fmt=fmt).key_at(0) in {"13-01-01", "01.01.13"}


@pytest.mark.parametrize("label", ["2013-01-16", "2013-01-23", "2013-01-27"])
def test_a_day_within_a_week_ends_a_slice_wherever_the_week_lies(label) -> None:
    weeks = Weekly("2013-01-07", end="2013-02-01", weekday="monday")

    assert weeks.slice(None, label).last == (1 if label == "2013-01-16" else 2)


def test_the_last_day_there_is_lies_outside_partitions_that_end_before_it() -> None:
    with pytest.raises(PartitionKeyError, match="lies outside"):
        Weekly("9990-01-01", weekday="monday").label("9999-12-31")
