"""Which input partitions a partition is made from, and back, against plain comparison of keys and windows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, StateError
from lakepart.model.definitions import Cron, Daily, Hourly, Monthly, Quarterly, Static, Unpartitioned, Weekly, Yearly
from lakepart.model.inputs import Input
from lakepart.model.mappings import (
    AllPartitions,
    CustomMapping,
    Identity,
    KeyMap,
    LastPartition,
    PerDimension,
    SpecificPartitions,
    TimeOverlap,
    infer_mapping,
    mapping_from_dict,
)
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.selectors import select

ZONE = "America/New_York"
DAYS = Daily("2013-01-01", end="2014-01-01", tz=ZONE)
ZONES = [ZONE, "Australia/Lord_Howe", "UTC"]
NOW = datetime(2014, 6, 1, 12, tzinfo=UTC)


def chosen(definition, item) -> PartitionSet:
    return select(definition, item)[0]


def first_letter(key: str) -> str:
    return key[0]


# What two definitions suggest


@pytest.mark.parametrize(
    ("downstream", "upstream", "mapping"),
    [
        (DAYS, Daily("2010-01-01", tz=ZONE, by="t"), Identity()),
        (DAYS, Hourly("2013-01-01", tz=ZONE), TimeOverlap()),
        (DAYS, Daily("2013-01-01", tz=ZONE, hour=6), TimeOverlap()),
        (DAYS, Daily("2013-01-01", tz=ZONE, exclude=["0 0 * * 6"]), TimeOverlap()),
        (Cron("0 0 * * *", "2013-01-01"), Daily("2013-01-01", fmt="%d.%m.%Y"), Identity()),
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
    with pytest.raises(InvalidInputError, match=r"Identity\(\) .* TimeOverlap\(\) .* KeyMap\(") as caught:
        infer_mapping(downstream, upstream)

    assert caught.value.code == ErrorCode.DEFINITION_MISMATCH


# Time

WEEKDAYS = partial(Daily, exclude=["0 0 * * 6,0"])
SHORT = [
    Hourly,
    partial(Hourly, every=6, minute=30),
    partial(Hourly, exclude=["0 22-23 * * *"]),
    Daily,
    WEEKDAYS,
    partial(Daily, hour=6),
    partial(Weekly, weekday="tuesday"),
]
LONG = [
    WEEKDAYS,
    Weekly,
    Monthly,
    partial(Monthly, day=15),
    Quarterly,
    Yearly,
    partial(Cron, "30 4 1,10 * *"),
]
PAIRS = [(made_by, input_by) for some in (SHORT, LONG) for made_by in some for input_by in some]


@dataclass(frozen=True)
class Windows:
    """Every window of some time, listed: what a mapping must have compared."""

    keys: list[str]
    starts: Any
    ends: Any

    def touching(self, start: float, end: float) -> set[str]:
        return {self.keys[at] for at in np.flatnonzero((self.starts < end) & (self.ends > start))}

    def runs(self, runs) -> set[str]:
        spans = [(self.keys.index(first), self.keys.index(last)) for first, last in runs]
        return {key for first, last in spans for key in self.keys[first : last + 1]}


@lru_cache
def windows_of(grain, zone, *, short: bool) -> Windows:
    start, end = ("2012-10-01", "2013-05-01") if short else ("2004-01-01", "2024-01-01")
    everything = PartitionSet.everything(grain(start, end=end, tz=zone))
    windows = list(everything.windows())
    starts, ends = ([getattr(one, side).timestamp() for one in windows] for side in ("start", "end"))
    return Windows(everything.keys, np.array(starts), np.array(ends))


def some_of(windows: Windows, draw, grain, zone, *, short: bool) -> tuple[Any, int]:
    """Draw a definition of some of these windows, so far from the outermost that no offset leads beyond them."""
    inner = ("2012-12-01", "2013-03-01") if short else ("2010-01-01", "2017-01-01")
    low, high = np.searchsorted(windows.starts, [datetime.fromisoformat(f"{one}T00:00Z").timestamp() for one in inner])
    first = draw(st.integers(int(low), int(high) - 3))
    stop = draw(st.integers(first + 2, min(first + 60, int(high))))
    return grain(windows.keys[first], end=windows.keys[stop], tz=zone), first


@given(
    st.sampled_from(PAIRS),
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.integers(-4, 4),
    st.integers(0, 4),
    st.data(),
)
@settings(max_examples=200)
def test_time_is_mapped_as_if_every_window_were_compared(pair, made_zone, input_zone, offset, width, data) -> None:
    (made_by, input_by), short = pair, all(one in SHORT for one in pair)
    made_windows, input_windows = (
        windows_of(made_by, made_zone, short=short),
        windows_of(input_by, input_zone, short=short),
    )
    made_definition, first = some_of(made_windows, data.draw, made_by, made_zone, short=short)
    input_definition, _ = some_of(input_windows, data.draw, input_by, input_zone, short=short)
    mapping = TimeOverlap(offset, min(offset + width, 4))
    keys, exists = PartitionSet.everything(made_definition).keys, set(PartitionSet.everything(input_definition).keys)
    made = PartitionSet.from_keys(made_definition, data.draw(st.lists(st.sampled_from(keys), max_size=8)))
    asked = data.draw(st.lists(st.sampled_from(sorted(exists)), max_size=8))

    mapped = mapping.upstream(made, input_definition, NOW)
    back = mapping.downstream(PartitionSet.from_keys(input_definition, asked), made_definition, NOW)

    needed = {}
    for at, key in enumerate(keys, start=first):
        start, end = made_windows.starts[at + mapping.start_offset], made_windows.ends[at + mapping.end_offset]
        needed[key] = input_windows.touching(start, end)
    every = set().union(*(needed[key] for key in made))
    assert set(mapped.partitions.keys) == every & exists
    assert input_windows.runs(mapped.nonexistent) == every - exists
    assert set(back.keys) == {key for key, keys in needed.items() if not keys.isdisjoint(asked)}


@given(st.lists(st.integers(0, 364), min_size=1, max_size=12), st.integers(-40, 40), st.integers(0, 9))
def test_back_and_forth_agree_on_every_pair(positions, offset, width) -> None:
    input_definition = Weekly("2013-03-01", end="2013-09-01", tz=ZONE)
    mapping = TimeOverlap(offset, offset + width)
    days = PartitionSet.from_keys(DAYS, [DAYS.key_at(one) for one in positions])

    weeks = PartitionSet.everything(input_definition)
    forth = {
        (day, week) for day in days for week in mapping.upstream(one_of(days, day), input_definition, NOW).partitions
    }

    back = {(day, week) for week in weeks for day in mapping.downstream(one_of(weeks, week), DAYS, NOW) if day in days}
    assert forth == back


def one_of(partitions: PartitionSet, key: str) -> PartitionSet:
    return PartitionSet.from_keys(partitions.definition, [key])


def test_partitions_that_do_not_touch_map_each_for_itself() -> None:
    made = chosen(DAYS, ["2013-01-02", "2013-03-31"])

    months = TimeOverlap().upstream(made, Monthly("2013-01-01", tz=ZONE), NOW)
    hours = TimeOverlap().upstream(chosen(DAYS, "2013-03-10"), Hourly("2013-01-01", tz=ZONE), NOW)

    assert months.partitions.keys == ["2013-01-01", "2013-03-01"]
    assert hours.partitions.to_text() == "2013-03-10-00:00..2013-03-10-23:00"
    assert len(hours.partitions) == 23


def test_a_lookback_counts_windows_of_the_partitions_own_grain() -> None:
    mapping = TimeOverlap(lookback=6)

    mapped = mapping.upstream(chosen(DAYS, "2013-01-10"), Hourly("2013-01-05", tz=ZONE), NOW)

    assert mapping == TimeOverlap(-6, 0)
    assert mapped.partitions.to_text() == "2013-01-05-00:00..2013-01-10-23:00"
    assert mapped.nonexistent_text == "2013-01-04-00:00..2013-01-04-23:00"


def test_windows_of_another_zone_overlap_by_instant_when_asked_to() -> None:
    made = chosen(DAYS, "2013-01-02")

    assert TimeOverlap().upstream(made, Daily("2013-01-01"), NOW).partitions.keys == ["2013-01-02", "2013-01-03"]


def test_what_lies_beyond_both_ends_is_named_in_runs_however_much_it_is() -> None:
    hours = Hourly("2013-06-01", end="2013-06-02", tz=ZONE)

    mapped = TimeOverlap().upstream(PartitionSet.everything(DAYS), hours, NOW)

    assert len(mapped.partitions) == 24
    assert mapped.nonexistent == (
        ("2013-01-01-00:00", "2013-05-31-23:00"),
        ("2013-06-02-00:00", "2013-12-31-23:00"),
    )


def test_excluded_windows_of_the_input_are_not_needed_and_those_of_the_asset_are_not_counted() -> None:
    friday_and_monday = chosen(WEEKDAYS("2013-01-01"), slice("2013-01-04", "2013-01-07"))
    monday = chosen(WEEKDAYS("2013-01-01"), "2013-01-07")
    days, weekdays = Daily("2012-12-01"), WEEKDAYS("2013-01-01")

    assert TimeOverlap().upstream(friday_and_monday, days, NOW).partitions.keys == ["2013-01-04", "2013-01-07"]
    assert TimeOverlap(-1, -1).upstream(monday, days, NOW).partitions.keys == ["2013-01-04"]
    assert TimeOverlap(-1).upstream(monday, days, NOW).partitions.to_text() == "2013-01-04..2013-01-07"
    assert not TimeOverlap().upstream(chosen(days, "2013-01-05"), weekdays, NOW).partitions
    assert not TimeOverlap().upstream(chosen(days, "2013-01-05"), weekdays, NOW).nonexistent
    assert Identity().upstream(chosen(days, "2013-01-05"), weekdays, NOW).nonexistent_text == "2013-01-05"
    assert TimeOverlap().downstream(chosen(days, "2013-01-05"), weekdays, NOW).keys == []
    assert TimeOverlap(-1).downstream(chosen(days, "2013-01-05"), weekdays, NOW).keys == ["2013-01-07"]


def test_time_without_end_is_mapped_without_end() -> None:
    everything = PartitionSet.everything(Hourly("2013-01-01"))

    mapped = TimeOverlap(-1, 1).upstream(everything, Daily("2012-01-01"), NOW)

    assert mapped.partitions.first_key == "2012-12-31"
    assert not mapped.nonexistent
    assert (
        not mapped.partitions
        - TimeOverlap().upstream(everything, Daily("2012-01-01"), NOW).partitions
        - chosen(Daily("2012-01-01"), "2012-12-31")
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start_offset": 1}, "start_offset=1 lies after end_offset=0"),
        ({"lookback": -1}, "lookback is 0 or more windows before the own"),
        ({"lookback": 2, "start_offset": -1}, "another way to write start_offset"),
        ({"start_offset": 1.5}, "start_offset=1.5 is no number of windows"),
        ({"end_offset": True}, "end_offset=True is no number of windows"),
        ({"start_offset": -(10**7)}, "whole numbers up to 100,000"),
        ({"nonexistent": "clip"}, "nonexistent='clip' is not one of 'error', 'skip'"),
    ],
    ids=str,
)
def test_offsets_that_mean_no_time_are_refused(arguments, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TimeOverlap(**arguments)


# Keys


def test_the_same_key_is_found_wherever_the_input_begins_and_the_others_are_named() -> None:
    later = Daily("2013-01-03", end="2013-01-05", tz=ZONE)

    mapped = Identity().upstream(chosen(DAYS, slice("2013-01-01", "2013-01-05")), later, NOW)

    assert mapped.partitions.keys == ["2013-01-03", "2013-01-04"]
    assert mapped.nonexistent == (("2013-01-01", "2013-01-02"), ("2013-01-05", "2013-01-05"))
    assert mapped.nonexistent_text == "2013-01-01..2013-01-02,2013-01-05"


def test_the_same_hour_is_found_though_hours_are_counted_from_the_start() -> None:
    zone = "Australia/Lord_Howe"
    made = chosen(Hourly("2020-01-01", tz=zone), "2024-06-01")

    assert Identity().upstream(made, Hourly("1990-01-01", tz=zone), NOW).partitions.keys == made.keys


def test_the_same_key_is_found_in_lists_whatever_their_order() -> None:
    made = chosen(Static(["a", "b", "c"]), ["a", "b", "c"])

    mapped = Identity().upstream(made, Static(["c", "d", "a"]), NOW)

    assert mapped.partitions.keys == ["c", "a"]
    assert mapped.nonexistent == (("b", "b"),)
    assert Identity().downstream(mapped.partitions, made.definition, NOW).keys == ["a", "c"]


def test_the_single_partition_is_made_from_the_single_partition() -> None:
    whole = PartitionSet.everything(Unpartitioned())

    assert Identity().upstream(whole, Unpartitioned(), NOW).partitions.keys == ["all"]


def test_everything_is_needed_for_something_and_nothing_for_nothing() -> None:
    regions = Static(["eu", "us"])

    assert AllPartitions().upstream(chosen(DAYS, "2013-01-01"), regions, NOW).partitions.keys == ["eu", "us"]
    assert not AllPartitions().upstream(PartitionSet.empty(DAYS), regions, NOW).partitions
    assert AllPartitions().downstream(chosen(regions, "eu"), DAYS, NOW) == PartitionSet.everything(DAYS)
    assert not AllPartitions().downstream(PartitionSet.empty(regions), DAYS, NOW)


def test_the_last_partition_is_the_last_that_has_elapsed() -> None:
    endless, mapping = Daily("2013-01-01", tz=ZONE), LastPartition()
    whole = PartitionSet.everything(Unpartitioned())
    midnight = datetime(2013, 3, 2, 5, tzinfo=UTC)  # of March 2 in New York

    before = mapping.upstream(whole, endless, midnight.replace(hour=4, minute=59))
    after = mapping.upstream(whole, endless, midnight)

    assert (before.partitions.keys, after.partitions.keys) == (["2013-02-28"], ["2013-03-01"])
    assert mapping.downstream(after.partitions, Unpartitioned(), midnight).keys == ["all"]
    assert not mapping.downstream(before.partitions, Unpartitioned(), midnight)
    assert not mapping.upstream(whole, endless, datetime(2012, 1, 1, tzinfo=UTC)).partitions
    assert mapping.upstream(whole, Static(["b", "a"]), midnight).partitions.keys == ["a"]
    with pytest.raises(InvalidInputError, match=r"as_of .* has no time zone"):
        mapping.upstream(whole, endless, datetime(2013, 3, 2))  # noqa: DTZ001 - naive on purpose


def test_named_partitions_are_needed_by_every_partition() -> None:
    mapping, regions = SpecificPartitions(["us", "mars", "eu", "us"]), Static(["eu", "us", "asia"])

    mapped = mapping.upstream(chosen(DAYS, "2013-01-01"), regions, NOW)

    assert mapped.partitions.keys == ["eu", "us"]
    assert mapped.nonexistent == (("mars", "mars"),)
    assert mapping.downstream(chosen(regions, "eu"), DAYS, NOW) == PartitionSet.everything(DAYS)
    assert not mapping.downstream(chosen(regions, "asia"), DAYS, NOW)
    assert not mapping.upstream(PartitionSet.empty(DAYS), regions, NOW).partitions


def test_a_dictionary_goes_from_own_keys_to_input_keys() -> None:
    zones, regions = Static(["emea", "americas", "apac"]), Static(["eu", "africa", "us"])
    mapping = KeyMap({"emea": ["eu", "africa"], "americas": "us", "apac": ["jp"]})

    mapped = mapping.upstream(chosen(zones, ["emea", "apac"]), regions, NOW)

    assert mapped.partitions.keys == ["eu", "africa"]
    assert mapped.nonexistent == (("jp", "jp"),)
    assert mapping.downstream(chosen(regions, ["africa", "us"]), zones, NOW).keys == ["emea", "americas"]
    assert KeyMap.from_upstream({"eu": "emea", "us": ["americas"], "africa": ["emea"], "jp": "apac"}) == mapping


def test_a_dictionary_written_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"'eu' is no key of the first.*KeyMap.from_upstream"):
        KeyMap({"eu": "emea"}).check(Static(["emea"]), Static(["eu"]))


def test_a_function_names_the_input_keys() -> None:
    words, letters = Static(["apple", "avocado", "banana"]), Static(["a", "c"])
    mapping = CustomMapping("letter", first_letter)

    mapped = mapping.upstream(PartitionSet.everything(words), letters, NOW)

    assert mapped.partitions.keys == ["a"]
    assert mapped.nonexistent == (("b", "b"),)
    assert mapping.downstream(chosen(letters, "a"), words, NOW).keys == ["apple", "avocado"]


@pytest.mark.parametrize("given", [3, ["a", 4], None])
def test_a_function_that_names_no_keys_is_refused(given) -> None:
    mapping = CustomMapping("bad", lambda _: given)

    with pytest.raises(InvalidInputError, match=r"Mapping 'bad' gave .* for 'a': it gives an input key, or several"):
        mapping.upstream(PartitionSet.everything(Static(["a"])), Static(["a"]), NOW)


def test_a_function_that_is_nowhere_to_be_found_is_named() -> None:
    mapping = mapping_from_dict(CustomMapping("lost", "no_such_module:lost").to_dict())

    with pytest.raises(StateError, match=r"'lost' is not at hand.* no_such_module:lost cannot be imported"):
        mapping.upstream(PartitionSet.everything(Static(["a"])), Static(["a"]), NOW)


def test_a_function_without_a_name_is_taken_from_those_at_hand() -> None:
    stored = CustomMapping("upper", lambda key: key.upper()).to_dict()

    mapping = mapping_from_dict(stored, {"upper": lambda key: key.upper()})

    assert mapping.upstream(PartitionSet.everything(Static(["a"])), Static(["A"]), NOW).partitions.keys == ["A"]
    with pytest.raises(StateError, match="'upper' is not at hand"):
        mapping_from_dict(stored).upstream(PartitionSet.everything(Static(["a"])), Static(["A"]), NOW)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SpecificPartitions("eu"), InvalidInputError, "keys are a list of texts"),
        (lambda: SpecificPartitions([]), InvalidInputError, "names no partition"),
        (lambda: SpecificPartitions([1]), PartitionKeyError, "keys are text"),
        (lambda: KeyMap({}), InvalidInputError, "no dictionary"),
        (lambda: KeyMap({"a": [""]}), PartitionKeyError, "is empty"),
        (lambda: CustomMapping("", first_letter), InvalidInputError, "the name is a text"),
        (lambda: CustomMapping("x", 3), InvalidInputError, "a function of a key"),
        (lambda: Identity(nonexistent="no"), InvalidInputError, "is not one of 'error', 'skip'"),
        (lambda: Input("flights", mapping="identity"), InvalidInputError, "is no mapping"),
        (lambda: Input("no/../name"), InvalidInputError, "name"),
    ],
    ids=[
        "text",
        "none",
        "number",
        "no dict",
        "empty key",
        "no name",
        "no function",
        "policy",
        "no mapping",
        "no asset",
    ],
)
def test_a_mapping_that_means_nothing_is_refused(make, error, message) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("mapping", [Identity(), TimeOverlap()])
def test_a_mapping_that_does_not_fit_is_refused(mapping) -> None:
    for ask in (mapping.upstream, mapping.downstream):
        with pytest.raises(InvalidInputError, match="does not fit"):
            ask(chosen(DAYS, "2013-01-01"), Static(["a"]), NOW)
    with pytest.raises(InvalidInputError, match="does not fit"):
        mapping.check(Static(["a"]), DAYS)


# All of them

MAPPINGS = [
    (Identity(), "the same key"),
    (Identity(nonexistent="skip"), "the same key"),
    (TimeOverlap(), "windows that share time"),
    (
        TimeOverlap(lookback=6),
        "windows that share time from the start of the window 6 before to the end of the own window",
    ),
    (TimeOverlap(-1, -1, nonexistent="skip"), "windows that share time with the one 1 before"),
    (AllPartitions(), "all partitions"),
    (LastPartition(), "the last partition"),
    (SpecificPartitions(["a", "b"], nonexistent="skip"), "the partitions a, b"),
    (KeyMap({"a": ["x", "y"], "b": "z"}, nonexistent="skip"), "a dictionary of keys (a: x + y, b: z)"),
    (CustomMapping("letter", first_letter), f"what {__name__}:first_letter names (letter)"),
]


@pytest.mark.parametrize(("mapping", "words"), MAPPINGS, ids=repr)
def test_a_mapping_survives_the_catalog_and_says_what_it_means(mapping, words) -> None:
    stored = json.dumps(mapping.to_dict(), sort_keys=True)

    assert mapping_from_dict(json.loads(stored)) == mapping
    assert mapping.describe() == words
    assert mapping.skips_nonexistent == ('"skip"' in stored)
    assert hash(mapping) == hash(mapping_from_dict(json.loads(stored)))


@pytest.mark.parametrize("mapping", [one for one, _ in MAPPINGS if not isinstance(one, CustomMapping)], ids=repr)
def test_a_mapping_prints_as_it_is_written(mapping) -> None:
    names = (AllPartitions, Identity, KeyMap, LastPartition, SpecificPartitions, TimeOverlap)

    assert eval(repr(mapping), {one.__name__: one for one in names}) == mapping  # noqa: S307 - of our own text


def test_mappings_are_written_in_the_form_of_the_first_release() -> None:
    assert Identity().to_dict() == {"version": 1, "kind": "identity"}
    assert TimeOverlap().to_dict() == {"version": 1, "kind": "time-overlap"}
    assert TimeOverlap(-6, nonexistent="skip").to_dict() == {
        "version": 1,
        "kind": "time-overlap",
        "start_offset": -6,
        "nonexistent": "skip",
    }
    assert KeyMap({"a": "x"}).to_dict() == {"version": 1, "kind": "key-map", "needs": {"a": ["x"]}}


@pytest.mark.parametrize("data", [{"version": 1, "kind": "lunar"}, {"version": 2, "kind": "identity"}, {}])
def test_a_mapping_of_another_form_is_refused(data) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read: this lakepart knows identity, time-overlap, all"):
        mapping_from_dict(data)


@pytest.mark.parametrize("given", ["flights", Input("flights"), Input("flights", mapping=TimeOverlap(-1))], ids=str)
def test_an_input_is_recorded_by_name_or_with_its_mapping(given) -> None:
    recorded = json.loads(json.dumps(Input.of(given).to_recorded()))

    assert Input.from_recorded(recorded) == Input.of(given)
    assert isinstance(recorded, str) == (Input.of(given).mapping is None)


@pytest.mark.parametrize(
    ("mapping", "looks_back"),
    [(TimeOverlap(-1, -1), True), (TimeOverlap(-7, -2), True), (TimeOverlap(lookback=3), False), (Identity(), False)],
    ids=repr,
)
def test_only_windows_that_end_before_the_own_look_back(mapping, looks_back) -> None:
    assert mapping.looks_back is looks_back


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpecificPartitions(None),
        lambda: SpecificPartitions([1]),
        lambda: KeyMap({"a": None}),
        lambda: KeyMap({1: "a", "b": "c"}),
        lambda: KeyMap.from_upstream(None),
        lambda: PerDimension({"a": 5}),
        lambda: PerDimension({"a": ("a", None, 1)}),
        lambda: Identity(nonexistent=[]),
        lambda: Static(None),
        lambda: Daily("2013-01-01", tz=["UTC"]),
    ],
)
def test_arguments_of_other_types_are_refused_as_such(make) -> None:
    with pytest.raises(InvalidInputError):
        make()


def test_messages_about_thousands_of_keys_stay_readable() -> None:
    many = [f"key-{number}" for number in range(5_000)]
    mapping = KeyMap({"a": many, "b": "x" * 10_000})

    assert len(repr(mapping)) < 1_000
    assert (
        len(
            SpecificPartitions(many)
            .upstream(PartitionSet.everything(Static(["a"])), Static(["z"]), NOW)
            .nonexistent_text
        )
        < 400
    )
    assert len(repr(Daily("2013-01-01", exclude=[f"2014-01-{day:02}" for day in range(1, 32)]))) < 400


def test_a_key_among_many_is_looked_up_without_looking_for_those_like_it(monkeypatch) -> None:
    many = Static([f"key-{number}" for number in range(3_000)])
    others = PartitionSet.everything(Static([f"other-{number}" for number in range(3_000)]))
    monkeypatch.setattr("lakepart.errors.get_close_matches", None)

    mapped = Identity().upstream(others, many, NOW)

    assert len(mapped.nonexistent) == 3_000
    assert "other-1" not in PartitionSet.everything(many)
    with pytest.raises(PartitionKeyError, match=r"known: 'key-0', .*…"):
        many.position_of("key-x")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Weekly("2013-01-01"), Cron("0 0 * * SUN", "2013-01-01")),
        (Daily("2013-01-01"), Cron("@daily", "2013-01-01")),
        (Daily("2013-01-01"), Daily("2013-01-01", tz="Etc/UTC")),
    ],
)
def test_windows_are_the_same_however_they_are_written(left, right) -> None:
    assert infer_mapping(left, right) == Identity()
    assert Identity().misfit(left, right) is None
