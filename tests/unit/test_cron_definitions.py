"""The oracles here are croniter, asked tick by tick, and zoneinfo, asked minute by minute."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from croniter import croniter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError, PartitionKeyError
from lakepart.model.crontab import parse_cron
from lakepart.model.definitions import (
    Calendar,
    Cron,
    Daily,
    Hourly,
    Minutely,
    Monthly,
    Quarterly,
    TimeDefinition,
    Weekly,
    Yearly,
    definition_from_dict,
)
from lakepart.model.grains import plainest_grain

ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Havana",
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Dublin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Australia/Adelaide",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Antarctica/Troll",
    "America/Caracas",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    lists = st.lists(numbers, min_size=1, max_size=3).map(lambda listed: ",".join(map(str, listed)))
    return st.one_of(st.just("*"), numbers.map(str), lists, ranges, st.integers(2, 12).map(lambda step: f"*/{step}"))


expressions = st.tuples(
    field(0, 59),
    field(0, 23),
    st.one_of(st.just("*"), field(1, 28), st.sampled_from(["L", "31", "1,L"])),
    st.one_of(st.just("*"), field(1, 12)),
    st.one_of(st.just("*"), field(0, 6), st.sampled_from(["mon-fri", "7", "fri#2", "L5", "0,6"])),
).filter(lambda fields: fields[2] == "*" or not {"#", "L"} & set(fields[4]))  # croniter has no rule for both
expressions = expressions.map(" ".join).filter(lambda text: parse_cron(text).days.any())  # not: on February 31


@settings(max_examples=60)
@given(expressions, st.datetimes(datetime(1975, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001 - wall time
@example("0 0 29 2 *", datetime(2097, 1, 1))  # noqa: DTZ001 - 2100 is no leap year
@example("0 12 1-7 * 1", datetime(2024, 1, 1))  # noqa: DTZ001
@example("0 0 * * L5", datetime(2024, 1, 1))  # noqa: DTZ001 - the fourth Friday is a week before the last of May
@example("0 0 * * fri#1", datetime(2024, 1, 1))  # noqa: DTZ001 - one weekday, and not every week
def test_windows_begin_when_croniter_says(expression, start) -> None:
    start = start.replace(second=0, microsecond=0)
    ticks = croniter(expression, start - MINUTE)
    expected = [ticks.get_next(datetime) for _ in range(12)]

    definition = plainest_grain(expression, start)

    starts = definition.ordinals_at(np.arange(12))
    assert starts.tolist() == [(one.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) for one in expected]
    assert definition.positions_at(starts).tolist() == list(range(12))
    assert definition.positions_of_instants(starts + 59_999_999).tolist() == list(range(12))
    assert [definition.ordinal_at(position) for position in range(3)] == starts[:3].tolist()


def starts_by_the_minute(expression: str, zone: str, start: datetime, days: int, repeated: str) -> list[datetime]:
    """Find the starts of windows by looking at the clock each minute."""
    tz = ZoneInfo(zone)
    instants = [start + step * MINUTE for step in range(-1440, (days + 1) * 1440)]
    walls = [instant.astimezone(tz).replace(tzinfo=None) for instant in instants]
    shown: dict[datetime, list[datetime]] = {}
    for wall, instant in zip(walls, instants, strict=True):
        shown.setdefault(wall, []).append(instant)
    ticks = croniter(expression, walls[0] - MINUTE)
    found: set[datetime] = set()
    while (wall := ticks.get_next(datetime)) < walls[-1]:
        times = shown.get(wall, [])
        if not times and repeated != "both":  # left out: the next that is shown
            times = [next(instant for later, instant in zip(walls, instants, strict=True) if later > wall)]
        found.update({"both": times, "first": times[:1], "second": times[-1:]}[repeated])
    return sorted(instant for instant in found if start <= instant < start + timedelta(days=days))


@pytest.mark.parametrize(
    ("expression", "repeated"),
    [
        ("0 * * * *", "both"),
        ("*/15 * * * *", "both"),
        ("45 * * * *", "both"),
        ("30 0 * * *", "first"),
        ("15 2 * * *", "second"),
        ("0 */2 * * *", "second"),
        ("0 0,12 * * *", "second"),
        ("0 0 * * *", "first"),
    ],
)
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", datetime(2024, 3, 9, tzinfo=UTC)),
        ("America/New_York", datetime(2024, 11, 2, tzinfo=UTC)),
        ("America/Sao_Paulo", datetime(2018, 11, 3, tzinfo=UTC)),  # a midnight that never was
        ("America/Havana", datetime(2024, 11, 2, tzinfo=UTC)),  # a midnight that came twice
        ("America/St_Johns", datetime(2005, 10, 29, tzinfo=UTC)),  # at 00:01
        ("Australia/Lord_Howe", datetime(2024, 4, 6, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, tzinfo=UTC)),
        ("Antarctica/Troll", datetime(2024, 3, 30, tzinfo=UTC)),
        ("Pacific/Chatham", datetime(2024, 9, 28, tzinfo=UTC)),
        ("America/Caracas", datetime(2016, 4, 30, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(1985, 12, 31, tzinfo=UTC)),
        ("Pacific/Apia", datetime(2011, 12, 29, tzinfo=UTC)),  # a day that never was
    ],
)
def test_clock_changes_move_skip_and_repeat_starts_as_promised(expression, repeated, zone, day) -> None:
    definition = plainest_grain(expression, day, tz=zone)

    found = definition.starting_in(day, day + timedelta(days=3)).to_array()

    starts = [EPOCH + timedelta(microseconds=one) for one in definition.ordinals_at(found).tolist()]
    assert starts == starts_by_the_minute(expression, zone, day, 3, repeated)


def test_a_day_that_begins_at_three_begins_at_the_second_three_of_two() -> None:
    day = datetime(2024, 10, 26, tzinfo=UTC)
    definition = Daily(day, hour=3, tz="Europe/Helsinki")

    found = definition.starting_in(day, day + timedelta(days=3)).to_array()

    starts = [EPOCH + timedelta(microseconds=one) for one in definition.ordinals_at(found).tolist()]
    assert starts == starts_by_the_minute("0 3 * * *", "Europe/Helsinki", day, 3, "second")


zones = st.sampled_from(ZONES)
hours, minutes = st.integers(0, 23), st.sampled_from([0, 7, 30])
crons = ["0 9-17 * * 1-5", "*/7 3 * * *", "0 0 L * *", "30 1,2,3 1-7 * 0"]
exclusions: list[list[str | date | Calendar]] = [
    ["0 0 * * 6,0"],
    ["2024-01-01", date(2024, 3, 10)],
    ["0 0 1 * *", Calendar("skipped", ["2011-12-30", "2011-12-29"])],
]
START = st.just(date(2001, 1, 1))
definitions = st.one_of(
    st.builds(Minutely, START, every=st.sampled_from([1, 5, 15, 30]), tz=zones),
    st.builds(Hourly, START, every=st.sampled_from([1, 2, 6, 12]), minute=minutes, tz=zones),
    st.builds(Daily, START, hour=hours, minute=minutes, tz=zones),
    st.builds(Weekly, START, weekday=st.integers(0, 6), hour=hours, tz=zones),
    st.builds(Monthly, START, day=st.integers(1, 28), hour=hours, tz=zones),
    st.builds(Cron, st.sampled_from(crons), START, tz=zones),
    st.builds(Daily, START, exclude=st.sampled_from(exclusions), tz=zones),
)
instants = st.datetimes(datetime(2001, 2, 5), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(definitions, instants)
def test_windows_tile_time_without_gap_or_overlap_but_for_what_is_excluded(definition, instant) -> None:
    last = definition.starting_in(datetime(2001, 1, 1, tzinfo=UTC), instant).last
    windows = [definition.window_at(position) for position in range(max(last - 5, 0), last + 3)]

    for left, right in pairwise(windows):
        if definition.exclude:
            assert left.end.timestamp() <= right.start.timestamp()
        else:
            assert left.end.timestamp() == right.start.timestamp()
    utc_us = np.array([(instant - EPOCH) // timedelta(microseconds=1)])
    (position,) = definition.positions_of_instants(utc_us).tolist()
    holding = [window for window in windows if instant in window]
    assert holding == ([definition.window_at(position)] if position in definition.universe else [])


@given(definitions, st.integers(0, 20_000))
def test_keys_ordinals_and_positions_lead_to_each_other(definition, position) -> None:
    key, ordinal = definition.key_at(position), definition.ordinal_at(position)

    assert definition.position_of(key) == definition.position_at(ordinal) == position
    assert definition.keys_at(np.array([position])) == [key]
    assert definition.window_at(position).start.timestamp() * 10**6 == ordinal
    assert definition.window_ends_of(np.array([ordinal])) == definition.window_at(position).end.timestamp() * 10**6


@given(definitions)
def test_a_definition_survives_every_form_it_is_kept_in(definition) -> None:
    shown = eval(repr(definition))  # noqa: S307 - the promise of the repr

    assert shown == definition
    assert definition_from_dict(definition.to_dict()) == definition
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert len(pickle.dumps(definition)) < 1_000
    assert definition.start in definition.describe()


@pytest.mark.parametrize(
    ("definition", "keys"),
    [
        (Minutely("2024-01-01", every=20), ["2024-01-01-00:00", "2024-01-01-00:20", "2024-01-01-00:40"]),
        (Hourly("2024-01-01 01:00", every=8, minute=30), ["2024-01-01-08:30", "2024-01-01-16:30", "2024-01-02-00:30"]),
        (Daily("2024-01-01", hour=6), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (Daily("2024-01-01 07:00", hour=6), ["2024-01-02", "2024-01-03", "2024-01-04"]),
        (Weekly("2024-01-01", weekday="Monday"), ["2024-01-01", "2024-01-08", "2024-01-15"]),
        (Weekly("2024-01-01", weekday=6), ["2024-01-06", "2024-01-13", "2024-01-20"]),
        (Monthly("2024-01-01", day=15), ["2024-01-15", "2024-02-15", "2024-03-15"]),
        (Quarterly("2024-01-01", month=2), ["2024-02-01", "2024-05-01", "2024-08-01"]),
        (Yearly("2024-01-01", month=4, day=6), ["2024-04-06", "2025-04-06", "2026-04-06"]),
        (Cron("0 0 L * *", "2024-01-01"), ["2024-01-31", "2024-02-29", "2024-03-31"]),
        (Cron("@weekly", "2024-01-01"), ["2024-01-07", "2024-01-14", "2024-01-21"]),
        (Daily("2024-01-04", exclude=["0 0 * * 6,0"]), ["2024-01-04", "2024-01-05", "2024-01-08"]),
        (Daily("2024-01-01", exclude=[date(2024, 1, 2), "2024-01-04"]), ["2024-01-01", "2024-01-03", "2024-01-05"]),
        (
            Hourly("2024-01-01", exclude="2024-01-01T01:00"),
            ["2024-01-01-00:00", "2024-01-01-02:00", "2024-01-01-03:00"],
        ),
        (Daily("2024-01-01", exclude=[{date(2024, 1, 1): "New Year"}]), ["2024-01-02", "2024-01-03", "2024-01-04"]),
        (Daily("2024-01-01", fmt="%d.%m.%Y"), ["01.01.2024", "02.01.2024", "03.01.2024"]),
        (Monthly("2024-01-01", fmt="%Y-%m"), ["2024-01", "2024-02", "2024-03"]),
        (Weekly("2024-01-01", weekday="monday", fmt="%G-W%V"), ["2024-W01", "2024-W02", "2024-W03"]),
        (Daily("2024-01-01", fmt="%G-W%V-%a"), ["2024-W01-Mon", "2024-W01-Tue", "2024-W01-Wed"]),
        (Yearly("2024-01-01", fmt="%Y"), ["2024", "2025", "2026"]),
        (Hourly("2024-01-01", fmt="%Y%m%dT%H"), ["20240101T00", "20240101T01", "20240101T02"]),
    ],
    ids=repr,
)
def test_keys_are_the_starts_of_windows_in_the_format(definition, keys) -> None:
    assert definition.keys_at(np.arange(3)) == keys
    assert [definition.position_of(key) for key in keys] == [0, 1, 2]


def test_the_second_of_a_repeated_time_is_told_apart_in_any_format() -> None:
    offset = Hourly("2024-11-03", tz="America/New_York", fmt="%Y-%m-%d %H:%M%z")
    plain = Minutely("2024-11-03", tz="America/New_York", every=30, fmt="%Y%m%d%H%M")

    assert offset.keys_at(np.arange(1, 3)) == ["2024-11-03 01:00-0400", "2024-11-03 01:00-0500"]
    assert plain.keys_at(np.arange(2, 6)) == ["202411030100", "202411030130", "202411030100-0500", "202411030130-0500"]
    assert [plain.position_of(key) for key in plain.keys_at(np.arange(8))] == list(range(8))


def test_an_excluded_window_is_a_gap_that_belongs_to_no_partition() -> None:
    days = Daily("2024-01-01", end="2024-01-15", exclude=["0 0 * * 6,0"], tz="America/New_York")
    friday = days.window_at(days.position_of("2024-01-05"))

    assert friday.end == datetime(2024, 1, 6, tzinfo=ZoneInfo("America/New_York"))
    saturday_us = (datetime(2024, 1, 6, 12, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    assert days.positions_of_instants(np.array([saturday_us]))[0] not in days.universe
    assert days.positions_of_dates(np.array([19_727, 19_728, 19_729])).tolist() == [4, -1, -1]  # from 2024-01-05 on
    assert days.keys_at(days.slice("2024-01-05", "2024-01-09").to_array()) == ["2024-01-05", "2024-01-08", "2024-01-09"]
    assert days.keys_at(days.slice("2024-01-06", "2024-01-08").to_array()) == ["2024-01-08"]
    assert days.overlapping(friday.end, friday.end + timedelta(days=1)).ranges == ()
    with pytest.raises(PartitionKeyError, match=r"'2024-01-06' is excluded from .*the next partition is '2024-01-08'"):
        days.position_of("2024-01-06")
    with pytest.raises(PartitionKeyError, match="'2024-01-06' is excluded"):
        days.label("2024-01-06")


def test_instants_before_and_after_a_definition_with_gaps_lie_in_no_partition() -> None:
    days = Daily("2024-01-01", end="2024-01-15", exclude=["0 0 * * 6,0"])
    noons = [datetime(2023, 12, day, 12, tzinfo=UTC) for day in (1, 29, 31)]
    noons += [datetime(2024, month, day, 12, tzinfo=UTC) for month, day in ((1, 15), (1, 16), (6, 3))]

    positions = days.positions_of_instants(np.array([(noon - EPOCH) // timedelta(microseconds=1) for noon in noons]))

    assert days.universe.contains_each(positions).tolist() == [False] * 6


def test_a_time_between_windows_is_not_taken_for_the_excluded_one_that_follows() -> None:
    hours = Hourly("2024-01-01", exclude="2024-01-06T02:00")

    with pytest.raises(PartitionKeyError, match="'2024-01-06-01:30' is not a key"):
        hours.position_of("2024-01-06-01:30")


def test_one_excluded_day_is_named_and_several_are_counted() -> None:
    assert "except 2024-01-02" in Daily("2024-01-01", exclude=["2024-01-02"]).describe()
    assert "except 2 days" in Daily("2024-01-01", exclude=["2024-01-02", "2024-01-04"]).describe()


def test_end_offset_moves_what_is_expected_and_not_what_is_allowed() -> None:
    noon = datetime(2024, 1, 10, 12, tzinfo=UTC)
    for end_offset, last in ((0, "2024-01-09"), (1, "2024-01-10"), (3, "2024-01-12"), (-2, "2024-01-07")):
        days = Daily("2024-01-01", end_offset=end_offset)

        assert days.key_at(days.elapsed(noon).last) == last
        assert days.position_of("2024-02-01") == 31
    bounded = Daily("2024-01-01", end="2024-01-10", end_offset=3)
    assert bounded.key_at(bounded.elapsed(noon).last) == "2024-01-09"
    assert not Daily("2024-01-01", end_offset=-20).elapsed(noon)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cron("0 0 * *", "2024-01-01"), "'0 0 \\* \\*' is no cron expression"),
        (lambda: Cron("0 0 * * * *", "2024-01-01"), "it has 6 fields"),
        (lambda: Cron("61 0 * * *", "2024-01-01"), "is no cron expression"),
        (lambda: Cron(5, "2024-01-01"), "5 is no cron expression"),  # type: ignore[arg-type]
        (lambda: Cron("0 0 31 2 *", "2024-01-01"), "it names no day of any year"),
        (lambda: Minutely("2024-01-01", every=7), "do not fill 60 minutes evenly.*every is one of 1, 2, 3"),
        (lambda: Hourly("2024-01-01", every=24), "do not fill 24 hours evenly"),
        (lambda: Hourly("2024-01-01", minute=60), "minute=60 is no whole number from 0 to 59"),
        (lambda: Daily("2024-01-01", hour=24), "hour=24 is no whole number from 0 to 23"),
        (lambda: Daily("2024-01-01", hour=True), "hour=True is no whole number"),
        (lambda: Weekly("2024-01-01", weekday="someday"), "weekday='someday' is no day of the week"),
        (lambda: Monthly("2024-01-01", day=31), r"day=31 is no whole number from 1 to 28.*0 0 L \* \*"),
        (lambda: Daily("2024-01-01", end_offset=1.5), "end_offset=1.5 is no whole number"),  # type: ignore[arg-type]
        (lambda: Daily("2024-01-01", fmt="%Y-%m"), "writes the daily window .* as '2024-01', which does not say"),
        (lambda: Hourly("2024-01-01", fmt="%Y-%m-%d"), "does not say which window"),
        (lambda: Daily("2024-01-01", fmt="day"), "fmt='day' is no format of keys"),
        (lambda: Daily("2024-01-01", fmt=""), "fmt='' is no format of keys"),
        (lambda: Daily("2024-01-01", fmt="%d"), "does not say which window"),
        (lambda: Daily("2024-01-01", exclude=["0 0 * * *"]), "Nothing is left"),
        (lambda: Daily("2024-01-01", exclude=["0 9 * * 6"]), "excludes nothing: it names none of the times"),
        (lambda: Weekly("2024-01-01", weekday="monday", exclude=["0 0 * * 6"]), "excludes nothing"),
        (lambda: Daily("2024-01-01", exclude=[5]), "5 cannot be excluded"),
        (lambda: Daily("2024-01-01", exclude=["Saturday"]), "'Saturday' cannot be excluded"),
        (lambda: Daily("2024-01-01", exclude=["3000-01-01"]), "single days lie in the years 1000 to 2100"),
        (lambda: Daily("2024-01-01", exclude=["0999-12-31"]), "single days lie in the years 1000 to 2100"),
        (lambda: Hourly("2024-01-01", exclude=[datetime(2024, 1, 1, 0, 0, 30)]), "by the full minute"),  # noqa: DTZ001
        (lambda: Daily("2024-01-01", exclude=[datetime(2024, 1, 1, tzinfo=UTC)]), "on the clocks of their zone"),
        (lambda: Daily("2024-01-01", end="2024-01-03", exclude=["2024-01-01", "2024-01-02"]), "No daily window lies"),
        (lambda: Calendar("", []), "A calendar is called ''"),
        (lambda: definition_from_dict({**Daily("2024-01-01").to_dict(), "moon": 1}), "'moon', which this lakepart"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(make, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("label", "first", "count"),
    [
        ("2024", "2024-01-01-00:00", 366 * 24),
        ("2024-Q1", "2024-01-01-00:00", 91 * 24 - 1),
        ("2024-W10", "2024-03-04-00:00", 7 * 24 - 1),
        ("2024-03", "2024-03-01-00:00", 31 * 24 - 1),
        ("2024-03-10", "2024-03-10-00:00", 23),
        ("2024-03-10T03", "2024-03-10-03:00", 1),
        ("2024-03-10T03:00", "2024-03-10-03:00", 1),
        ("2024-11-03T01", "2024-11-03-01:00", 2),
    ],
)
def test_a_part_of_a_date_means_the_windows_that_start_in_it(label, first, count) -> None:
    hours = Hourly("2020-01-01", tz="America/New_York")

    found = hours.label(label)

    assert (hours.key_at(found.first), len(found)) == (first, count)


@pytest.mark.parametrize("label", ["2024-W54", "2024-W00", "2024-Q5", "2024-03-10T24", "2024-03-10T", "2024-03T05"])
def test_what_is_no_part_of_a_date_is_no_label(label) -> None:
    with pytest.raises(PartitionKeyError, match="is not a key"):
        Hourly("2020-01-01").label(label)


def test_a_key_of_the_format_comes_before_a_part_of_a_date() -> None:
    months = Monthly("2023-01-01", fmt="%Y%m")

    assert months.keys_at(months.label("202401").to_array()) == ["202401"]
    assert months.keys_at(months.label("2024-Q1").to_array()) == ["202401", "202402", "202403"]


def test_a_million_windows_cost_as_much_as_a_few() -> None:
    hours = Hourly("1900-01-01", end="2014-02-01", tz="America/New_York")

    assert len(hours.universe) > 1_000_000
    assert len(hours.universe.ranges) == 1
    assert len(Daily("2000-01-01", exclude=["0 0 * * 6,0"]).universe.ranges) == 1


def test_windows_far_in_the_future_follow_the_same_rules() -> None:
    for make in (Minutely, Hourly, Daily, Weekly):
        definition: TimeDefinition = make("2024-01-01", tz="America/New_York")
        for label in ("2501-03", "2900-11", "9998-12"):
            found = definition.label(label)
            window = definition.window_at(found.first)
            assert window.start.astimezone(ZoneInfo("America/New_York")).strftime("%Y-%m") == label
            assert definition.position_of(definition.key_at(found.last)) == found.last


@pytest.mark.parametrize("expression", ["R R * * *", "0 R(8-20) * * *", "H * * * *", "0 0 * * r", "5,R 0 * * *"])
def test_fields_that_every_process_draws_anew_are_refused(expression) -> None:
    with pytest.raises(InvalidInputError, match="is drawn anew by every process"):
        Cron(expression, "2013-01-01")


def test_names_of_months_and_days_are_no_lots() -> None:
    assert Cron("0 0 1 MAR,APR *", "2013-01-01", end="2014-01-01").universe.last == 0
    assert Cron("0 0 * * THU,FRI", "2013-01-01").start == "2013-01-03"
