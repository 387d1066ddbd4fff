from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.definitions import Daily, Hourly, Monthly, Static, Unpartitioned, Weekly
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.selectors import select

DAYS = Daily("2013-01-01", end="2014-01-01", tz="America/New_York")
HOURS = Hourly("2024-11-01", end="2024-11-10", tz="America/New_York")
ALL_DAYS = [(date(2013, 1, 1) + timedelta(days=day)).isoformat() for day in range(365)]
ORDINALS = {key: DAYS.ordinal_at(DAYS.position_of(key)) for key in ALL_DAYS}
subsets = st.frozensets(st.sampled_from(ALL_DAYS[:40]))
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=6)


def days(keys: frozenset[str] | set[str] | list[str]) -> PartitionSet:
    return PartitionSet.from_keys(DAYS, keys)


@given(subsets, subsets)
def test_the_algebra_is_that_of_sets_of_keys(left, right) -> None:
    assert set(days(left) & days(right)) == left & right
    assert set(days(left) | days(right)) == left | right
    assert set(days(left) - days(right)) == left - right
    assert set(~days(left)) == set(ALL_DAYS) - left


@given(subsets)
def test_a_set_counts_orders_and_contains_its_keys(keys) -> None:
    found = days(keys)

    assert len(found) == len(keys)
    assert bool(found) == bool(keys)
    assert list(found) == found.keys == sorted(keys)
    assert all((key in found) == (key in keys) for key in ALL_DAYS[:50])
    if keys:
        assert (found.first_key, found.last_key) == (min(keys), max(keys))


@given(subsets)
@example(frozenset(ALL_DAYS))
def test_a_set_reads_back_from_text_and_from_ordinals(keys) -> None:
    found = days(keys)

    assert PartitionSet.parse(DAYS, found.to_text()) == found
    assert PartitionSet.from_ordinals(DAYS, found.ordinals) == found
    assert DAYS.keys_at(found.positions) == found.keys
    assert PartitionSet.from_ordinals(DAYS, found.ordinals.tolist()) == found
    assert pickle.loads(pickle.dumps(found)) == found


@given(subsets)
def test_ordinal_ranges_hold_these_partitions_and_no_other(keys) -> None:
    ranges = days(keys).ordinal_ranges()

    held = {key for key, ordinal in ORDINALS.items() for low, high in ranges if low <= ordinal <= high}
    assert held == keys
    assert [days(keys).key_of_ordinal(low) for low, _ in ranges] == [run.split("..")[0] for run in _runs(keys)]


def _runs(keys: frozenset[str]) -> list[str]:
    return [run for run in days(keys).to_text().split(",") if run]


@given(st.lists(texts, min_size=1, max_size=12, unique=True), st.data())
@example(["a", "a..b", ".", "..", "*", "%2C", ",", "a.", ".b"], None)
def test_the_text_form_reads_back_for_any_key(keys, data) -> None:
    definition = Static(keys)
    chosen = keys[::2] if data is None else data.draw(st.lists(st.sampled_from(keys), unique=True))
    found = PartitionSet.from_keys(definition, chosen)

    assert PartitionSet.parse(definition, found.to_text()) == found


def test_dots_at_the_ends_of_a_range_are_told_from_the_range() -> None:
    definition = Static(["a.", "b", ".c", "d"])
    found = PartitionSet.from_keys(definition, ["a.", "b", ".c"])

    assert found.to_text() == "a%2E..%2Ec"
    assert PartitionSet.parse(definition, found.to_text()) == found


def test_the_text_form_stays_as_it_was_released() -> None:
    quarter = select(DAYS, ["2013-01", "2013-02", "2013-03", "2013-05-02"])[0]

    assert quarter.to_text() == "2013-01-01..2013-03-31,2013-05-02"
    assert PartitionSet.everything(DAYS).to_text() == "*"
    assert PartitionSet.empty(DAYS).to_text() == ""
    assert (
        PartitionSet.from_keys(Static(["a", "x,y", "*", "c..d", "5%"]), ["x,y", "c..d"]).to_text() == "x%2Cy,c%2E%2Ed"
    )


def test_a_day_that_never_was_does_not_cut_a_range_in_two() -> None:
    definition = Daily("2011-12-01", end="2012-02-01", tz="Pacific/Apia")
    found = select(definition, slice("2011-12-28", "2012-01-02"))[0]

    assert found.keys == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01", "2012-01-02"]
    assert found.to_text() == "2011-12-28..2012-01-02"
    assert len(found.ordinal_ranges()) == 1
    assert PartitionSet.parse(definition, found.to_text()) == found
    assert [str(window.duration) for window in found.windows() if window] == ["1 day, 0:00:00"] * 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2013-01-01,", "neither a key nor a range"),
        ("2013-01-01..2013-01-05..2013-01-07", "neither a key nor a range"),
        ("..2013-01-05", "neither a key nor a range"),
        ("2013-01-01,*", "neither a key nor a range"),
        ("2013-01-01%", "neither a key nor a range"),
        ("2013-01-05..2013-01-01", "is reversed"),
        ("2013", "is not a key"),
        ("2012-01-01..2013-01-01", "outside"),
    ],
)
def test_text_of_another_form_is_refused(text, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        PartitionSet.parse(DAYS, text)


@pytest.mark.parametrize(
    ("item", "text", "explicit"),
    [
        ("2013-01-05", "2013-01-05", True),
        (date(2013, 1, 5), "2013-01-05", True),
        ("2013-02", "2013-02-01..2013-02-28", True),
        ("2013-Q4", "2013-10-01..2013-12-31", True),
        ("2013", "*", True),
        (
            ["2013-03", "2013-01-05", date(2013, 1, 6), "2013-01-05"],
            "2013-01-05..2013-01-06,2013-03-01..2013-03-31",
            True,
        ),
        ([], "", True),
        (slice(None), "*", False),
        (slice("2013-11", None), "2013-11-01..2013-12-31", False),
        (slice(None, "2013-01-03"), "2013-01-01..2013-01-03", False),
        (slice("2013-01", "2013-03"), "2013-01-01..2013-03-31", True),
        (slice("2013-03-15", "2013-03"), "2013-03-15..2013-03-31", True),
        (slice("2013-03", "2013-03-15"), "2013-03-01..2013-03-15", True),
        (slice(date(2013, 1, 1), date(2013, 1, 1)), "2013-01-01", True),
        (days(["2013-07-04"]), "2013-07-04", True),
    ],
    ids=str,
)
def test_what_stands_in_brackets_is_read_as_pandas_reads_labels(item, text, explicit) -> None:
    found, says = select(DAYS, item)

    assert found.to_text() == text
    assert says is explicit


def test_a_label_may_reach_beyond_the_definition_but_not_miss_it() -> None:
    since_march = Daily("2013-03-15", end="2014-02-01")

    assert select(since_march, "2013-03")[0].to_text() == "2013-03-15..2013-03-31"
    assert select(since_march, slice("2013", "2014"))[0].to_text() == "*"
    for item in ("2013-02", slice("2012", "2013"), slice("2013", "2015"), ["2013-03-15", "2015"]):
        with pytest.raises(PartitionKeyError, match="keys run from '2013-03-15' to '2014-01-31'"):
            select(since_march, item)


def test_a_day_selects_its_hours() -> None:
    assert len(select(HOURS, "2024-11-03")[0]) == 25
    assert len(select(HOURS, date(2024, 11, 4))[0]) == 24
    until_repeat = select(HOURS, slice("2024-11-03", "2024-11-03-01:00-0500"))[0]
    assert until_repeat.keys == ["2024-11-03-00:00", "2024-11-03-01:00", "2024-11-03-01:00-0500"]


def test_days_bound_a_slice_of_longer_windows_without_being_keys() -> None:
    weeks, months = Weekly("2013-01-01"), Monthly("2013-01-01")

    assert select(weeks, slice("2013-01-10", "2013-01-29"))[0].keys == [
        "2013-01-13",
        "2013-01-20",
        "2013-01-27",
    ]
    assert select(months, "2013-02")[0].keys == ["2013-02-01"]
    with pytest.raises(PartitionKeyError, match=r"No weekly window starts in '2013-01-10'.*before it is '2013-01-06'"):
        select(weeks, "2013-01-10")
    with pytest.raises(PartitionKeyError, match="No monthly window starts in '2013-01-10:2013-01-20'"):
        select(months, slice("2013-01-10", "2013-01-20"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (datetime(2013, 1, 5, tzinfo=UTC), r"datetime 2013-01-05T00:00:00\+00:00 .*asset\.between\(start, end\)"),
        (slice(datetime(2013, 1, 5, tzinfo=UTC), None), r"asset\.between\(start, end\)"),
        ([datetime(2013, 1, 5, tzinfo=UTC)], r"asset\.between\(start, end\)"),
        (-1, r"number -1 .*asset\.last\(n\)"),
        (slice(-30, None), r"number -30 .*asset\.last\(n\)"),
        (True, r"asset\.last\(n\)"),
        (np.datetime64("2013-01-05"), "labels are texts and dates"),
        (slice("2013-01", "2013-03", 2), "step 2"),
        (slice("2013-03", "2013-01"), "is reversed"),
        (slice("2013-01-02", "2013-01-01"), "is reversed"),
        (("2013-01-01", "UA"), r"tuple .*one dimension, 'partition'.*\[\['2013-01-01', …\]\]"),
        ({"partition": "2013-01-01"}, "dict .*one dimension"),
        (None, "labels are texts and dates"),
        (1.5, "labels are texts and dates"),
        (Ellipsis, "labels are texts and dates"),
        ("2013-1-5", "did you mean '2013-01-05'"),
    ],
    ids=str,
)
def test_anything_else_in_brackets_is_refused_with_the_way_out(item, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        select(DAYS, item)


def test_sets_of_two_definitions_do_not_mix() -> None:
    other = PartitionSet.everything(Daily("2013-01-01", end="2014-01-01"))

    for combine in (lambda: days([]) | other, lambda: days([]) & other, lambda: select(DAYS, other)):
        with pytest.raises(InvalidInputError, match="two definitions") as caught:
            combine()
        assert caught.value.code == ErrorCode.DEFINITION_MISMATCH
    with pytest.raises(InvalidInputError, match="not with a list"):
        days([]) | ["2013-01-01"]  # type: ignore[operator]


def test_positions_outside_the_definition_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="is no partition of") as caught:
        PartitionSet.from_ordinals(DAYS, [0])

    assert caught.value.code == ErrorCode.OUT_OF_RANGE


def test_what_is_no_key_is_no_member() -> None:
    assert "2013-13-01" not in days(["2013-01-01"])
    assert 5 not in days(["2013-01-01"])
    assert days(["2013-01-01"]).contains_ordinal(DAYS.ordinal_at(DAYS.universe.first))
    assert not days(["2013-01-01"]).contains_ordinal(7)


def test_the_clock_and_counts_narrow_a_set() -> None:
    everything = PartitionSet.everything(DAYS)
    noon = datetime(2013, 1, 10, 12, tzinfo=UTC)

    assert everything.elapsed(noon).last_key == "2013-01-09"
    assert everything.last(2, noon).keys == ["2013-01-08", "2013-01-09"]
    assert everything.last(2).keys == ["2013-12-30", "2013-12-31"]
    assert everything.last(1000) == everything
    assert everything.between(noon, noon + timedelta(days=2)).keys == ["2013-01-11", "2013-01-12"]
    for count in (0, -1, True, 1.5):
        with pytest.raises(InvalidInputError, match="whole number"):
            everything.last(count)  # type: ignore[arg-type]


def test_an_endless_definition_costs_nothing() -> None:
    endless = PartitionSet.everything(Hourly("2000-01-01"))

    assert len(endless) > 70_000_000
    assert len(endless - select(endless.definition, "2013")[0]) == len(endless) - 8760
    assert next(iter(endless)) == "2000-01-01-00:00"
    assert repr(endless) == f"<PartitionSet: {len(endless):,} of Hourly('2000-01-01-00:00')>"


def test_the_single_partition_is_selected_by_its_key() -> None:
    found, explicit = select(Unpartitioned(), "all")

    assert (found.keys, found.ordinals.tolist(), found.to_text(), explicit) == (["all"], [0], "*", True)
    assert list(found.windows()) == [None]
