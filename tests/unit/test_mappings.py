from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definitions import Daily, Hourly, Monthly, Quarterly, Static, Unpartitioned, Weekly, Yearly
from lakepart.model.mappings import AllPartitions, Identity, TimeOverlap, infer_mapping, mapping_from_dict
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.selectors import select

ZONE = "America/New_York"
DAYS = Daily("2013-01-01", end="2014-01-01", tz=ZONE)
GRAINS = [Hourly, Daily, Weekly, Monthly, Quarterly, Yearly]


def chosen(definition, item) -> PartitionSet:
    return select(definition, item)[0]


@pytest.mark.parametrize(
    ("downstream", "upstream", "mapping"),
    [
        (DAYS, Daily("2010-01-01", tz=ZONE, by="t"), Identity()),
        (DAYS, Hourly("2013-01-01", tz=ZONE), TimeOverlap()),
        (Static(["a", "b"]), Static(["a", "b"], by="x"), Identity()),
        (Unpartitioned(), DAYS, AllPartitions()),
        (DAYS, Unpartitioned(), AllPartitions()),
        (Static(["a"]), Unpartitioned(), AllPartitions()),
        (Unpartitioned(), Unpartitioned(), AllPartitions()),
    ],
    ids=str,
)
def test_two_definitions_suggest_a_mapping(downstream, upstream, mapping) -> None:
    assert infer_mapping(downstream, upstream) == mapping


@pytest.mark.parametrize(
    ("downstream", "upstream"),
    [(DAYS, Daily("2013-01-01")), (DAYS, Static(["a"])), (Static(["a"]), DAYS), (Static(["a"]), Static(["a", "b"]))],
    ids=str,
)
def test_where_nothing_is_evident_the_choices_are_shown(downstream, upstream) -> None:
    with pytest.raises(InvalidInputError, match=r"Identity\(\) .* TimeOverlap\(\) .* AllPartitions\(\)") as caught:
        infer_mapping(downstream, upstream)

    assert caught.value.code == ErrorCode.DEFINITION_MISMATCH


def test_the_same_key_is_found_wherever_the_input_begins() -> None:
    later = Daily("2013-01-03", tz=ZONE)

    assert Identity().upstream(chosen(DAYS, slice("2013-01-01", "2013-01-05")), later).keys == [
        "2013-01-03",
        "2013-01-04",
        "2013-01-05",
    ]
    assert not Identity().upstream(chosen(DAYS, "2013-01-01"), later)


def test_the_same_hour_is_found_though_hours_are_counted_from_the_start() -> None:
    zone = "Australia/Lord_Howe"
    made = chosen(Hourly("2020-01-01", tz=zone), "2024-06-01")

    assert Identity().upstream(made, Hourly("1990-01-01", tz=zone)).keys == made.keys


def test_the_same_key_is_found_in_lists_whatever_their_order() -> None:
    made = chosen(Static(["a", "b", "c"]), ["a", "c"])

    assert Identity().upstream(made, Static(["c", "d", "a"])).keys == ["c", "a"]


@given(st.sampled_from(GRAINS), st.sampled_from(GRAINS), st.integers(0, 8000), st.integers(1, 40))
def test_overlapping_windows_are_those_that_share_time(made_by, input_by, first, count) -> None:
    made_definition = made_by("2013-01-01", end="2015-02-01", tz=ZONE)
    input_definition = input_by("2013-03-01", end="2015-01-01", tz=ZONE)
    first %= len(made_definition.universe)
    start = made_definition.universe.first + first
    made = PartitionSet(made_definition, made_definition.universe.clip(start, start + count))

    found = TimeOverlap().upstream(made, input_definition)

    covered = [window for window in made.windows() if window]
    start_s, end_s = covered[0].start.timestamp(), covered[-1].end.timestamp()
    around = [*found.intervals, found.intervals.first - 1, found.intervals.last + 1] if found else []
    for position in around:
        if position in input_definition.universe:
            window = input_definition.window_at(position)
            shares = window.start.timestamp() < end_s and window.end.timestamp() > start_s
            assert shares == (position in found.intervals)
    if not found:
        universe = input_definition.universe
        assert (
            input_definition.window_at(universe.first).start.timestamp() >= end_s
            or input_definition.window_at(universe.last).end.timestamp() <= start_s
        )


def test_partitions_that_do_not_touch_map_each_for_itself() -> None:
    made = chosen(DAYS, ["2013-01-02", "2013-03-31"])

    assert TimeOverlap().upstream(made, Monthly("2013-01-01", tz=ZONE)).keys == ["2013-01-01", "2013-03-01"]
    assert TimeOverlap().upstream(chosen(DAYS, "2013-03-10"), Hourly("2013-01-01", tz=ZONE)).to_text() == (
        "2013-03-10-00:00..2013-03-10-23:00"
    )


def test_windows_of_another_zone_overlap_by_instant_when_asked_to() -> None:
    made = chosen(DAYS, "2013-01-02")

    assert TimeOverlap().upstream(made, Daily("2013-01-01")).keys == ["2013-01-02", "2013-01-03"]


def test_everything_is_needed_for_something_and_nothing_for_nothing() -> None:
    regions = Static(["eu", "us"])

    assert AllPartitions().upstream(chosen(DAYS, "2013-01-01"), regions).keys == ["eu", "us"]
    assert not AllPartitions().upstream(PartitionSet.empty(DAYS), regions)


def test_the_single_partition_is_made_from_the_single_partition() -> None:
    assert Identity().upstream(PartitionSet.everything(Unpartitioned()), Unpartitioned()).keys == ["all"]


@pytest.mark.parametrize("mapping", [Identity(), TimeOverlap()])
def test_a_mapping_that_does_not_fit_is_refused(mapping) -> None:
    with pytest.raises(InvalidInputError, match="does not fit"):
        mapping.upstream(chosen(DAYS, "2013-01-01"), Static(["a"]))


@pytest.mark.parametrize("mapping", [Identity(), TimeOverlap(), AllPartitions()])
def test_a_mapping_survives_the_catalog(mapping) -> None:
    assert mapping_from_dict(mapping.to_dict()) == mapping


@pytest.mark.parametrize("data", [{"version": 1, "kind": "lunar"}, {"version": 2, "kind": "identity"}, {}])
def test_a_mapping_of_another_form_is_refused(data) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read: this lakepart knows identity, time-overlap, all"):
        mapping_from_dict(data)
