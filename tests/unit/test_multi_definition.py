from __future__ import annotations

import pickle
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError, PartitionKeyError
from lakepart.model.definitions import (
    Cron,
    Daily,
    Dynamic,
    Hourly,
    Minutely,
    Monthly,
    Multi,
    Static,
    Unpartitioned,
    Weekly,
    declaration_of,
    definition_from_dict,
)
from lakepart.model.known_keys import KnownKey, KnownKeys
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.selectors import select

CARRIERS = ["UA", "AA", "DL", "B6"]
BOTH = Multi(
    day=Daily("2013-01-01", end="2013-01-11", by="time_hour", tz="America/New_York"),
    carrier=Static(CARRIERS, by="carrier"),
)
DAYS = [f"2013-01-{day:02d}" for day in range(1, 11)]
KEYS = [f"{day}|{carrier}" for day in DAYS for carrier in CARRIERS]
ENDLESS = Multi(day=Daily("2013-01-01", by="time_hour"), carrier=Static(CARRIERS, by="carrier"))
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=6)
subsets = st.frozensets(st.sampled_from(KEYS))


def holds(ordinal: int, given) -> bool:
    low, high, *conditions = given
    groups = [conditions[at : at + 4] for at in range(0, len(conditions), 4)]
    return low <= ordinal <= high and all(
        least <= (ordinal >> shift) & mask <= greatest for shift, mask, least, greatest in groups
    )


def test_keys_positions_and_ordinals_follow_the_order_of_the_dimensions() -> None:
    everything = PartitionSet.everything(BOTH)

    assert everything.keys == KEYS
    assert list(everything) == KEYS
    assert list(reversed(everything)) == KEYS[::-1]
    assert everything.positions.tolist() == [BOTH.position_of(key) for key in KEYS]
    assert [BOTH.key_at(at) for at in everything.positions.tolist()] == KEYS
    ordinals = everything.ordinals.tolist()
    assert ordinals == sorted(set(ordinals)) == [BOTH.ordinal_at(at) for at in everything.positions.tolist()]
    assert [BOTH.position_at(one) for one in ordinals] == everything.positions.tolist()
    assert BOTH.positions_at(everything.ordinals).tolist() == everything.positions.tolist()


@pytest.mark.parametrize(
    "first",
    [
        Hourly("2024-10-26", end="2024-11-06", tz="America/New_York"),
        Hourly("1937-06-30", end="1937-07-03", tz="Europe/Amsterdam"),
        Minutely("2024-04-06", end="2024-04-08", every=15, tz="Australia/Lord_Howe"),
        Minutely("1937-06-30T23:00", end="1937-07-01T03:00", tz="Europe/Amsterdam"),
        Daily("2011-12-20", end="2012-01-10", tz="Pacific/Apia"),
        Daily("1993-08-10", end="1993-09-01", tz="Pacific/Kwajalein"),
        Daily("1994-12-20", end="1995-01-10", tz="Pacific/Kiritimati"),
        Daily("1955-12-20", end="1956-03-01", tz="Antarctica/McMurdo"),
        Daily("1993-12-01", end="1995-01-10", tz="Antarctica/Vostok"),
        Daily("2018-10-20", end="2018-11-20", tz="America/Sao_Paulo"),
        Weekly("1973-01-01", end="2040-01-01", tz="Africa/Cairo"),
        Monthly("1890-01-01", end="2040-01-01", tz="Asia/Manila"),
        Cron("30 6 * * 1-5", start="2024-01-01", end="2024-12-31", tz="Asia/Kathmandu"),
        Daily("2024-01-01", end="2024-12-31", exclude=["0 0 * * 6", "2024-05-01"], tz="America/St_Johns"),
    ],
    ids=lambda one: f"{one.name}-{one.tz}",
)
def test_ordinals_keep_the_order_of_windows_and_read_back_in_any_zone(first) -> None:
    definition = Multi(when=first, what=Static(["a", "b"]))
    everything = PartitionSet.everything(definition)

    ordinals = everything.ordinals

    assert np.all(np.diff(ordinals) > 0)
    assert definition.positions_at(ordinals).tolist() == everything.positions.tolist()


@pytest.mark.parametrize(
    "tz",
    ["UTC", "Pacific/Apia", "Antarctica/Casey", "America/Juneau", "Europe/Dublin", "Pacific/Kanton", "Asia/Tehran"],
)
def test_whole_days_of_a_century_are_told_apart_by_their_day(tz) -> None:
    definition = Multi(what=Static(["a"]), day=Daily("1973-01-01", end="2073-01-01", tz=tz))
    everything = PartitionSet.everything(definition)

    assert np.all(np.diff(everything.ordinals) >= 1)
    assert np.array_equal(definition.positions_at(everything.ordinals), everything.positions)


@given(subsets, subsets)
def test_sets_text_ordinals_and_ranges_are_those_of_sets_of_keys(left, right) -> None:
    found, other = PartitionSet.from_keys(BOTH, left), PartitionSet.from_keys(BOTH, right)

    assert set(found & other) == left & right
    assert set(found | other) == left | right
    assert set(found - other) == left - right
    assert set(~found) == set(KEYS) - left
    assert [key for key in KEYS if key in found] == found.keys == sorted(left, key=KEYS.index)
    assert PartitionSet.parse(BOTH, found.to_text()) == found
    assert PartitionSet.from_ordinals(BOTH, found.ordinals) == found
    assert pickle.loads(pickle.dumps(found)) == found
    ranges = found.ordinal_ranges()
    for key in KEYS:
        ordinal = BOTH.ordinal_at(BOTH.position_of(key))
        assert sum(holds(ordinal, one) for one in ranges) == (key in left), "in one range if a member, else in none"


def test_the_text_form_stays_as_it_was_released() -> None:
    def text(*item) -> str:
        return select(BOTH, item if len(item) > 1 else item[0])[0].to_text()

    assert text("2013-01") == "*"
    assert text(slice("2013-01-02", "2013-01-04"), "UA") == "2013-01-02..2013-01-04|UA"
    assert text(slice(None), ["UA", "DL"]) == "*|{UA,DL}"
    assert text(["2013-01-02", "2013-01-05"], ["UA", "AA", "B6"]) == "{2013-01-02,2013-01-05}|{UA..AA,B6}"
    assert text([("2013-01-02", "UA"), {"carrier": "AA"}]) == "{2013-01-01,2013-01-03..2013-01-10}|AA,2013-01-02|UA..AA"
    assert text("2013-01-05|UA") == "2013-01-05|UA"
    assert PartitionSet.empty(BOTH).to_text() == ""


def test_rows_that_are_whole_in_the_innermost_dimension_alone_are_in_one_range_with_the_last_of_them() -> None:
    cube = Multi(day=Daily("2013-01-01", end="2013-01-05"), carrier=Static(CARRIERS), place=Static(["x", "y"]))
    chosen = select(cube, (slice("2013-01-02", "2013-01-04"), ["UA", "AA"], slice(None)))[0]

    (found,) = chosen.ordinal_ranges()

    everything = PartitionSet.everything(cube)
    members = [key for key in everything.keys if holds(cube.ordinal_at(cube.position_of(key)), found)]
    assert members == chosen.keys
    assert len(members) == 3 * 2 * 2


@given(st.lists(texts, min_size=2, max_size=8, unique=True), st.data())
def test_keys_and_texts_read_back_whatever_their_parts_are_made_of(keys, data) -> None:
    definition = Multi(one=Static(keys), two=Static(keys[::-1]))
    everything = PartitionSet.everything(definition)
    found = PartitionSet.from_keys(definition, data.draw(st.lists(st.sampled_from(everything.keys))))

    assert len(set(everything.keys)) == len(keys) ** 2
    assert [definition.position_of(key) for key in everything.keys] == everything.positions.tolist()
    assert PartitionSet.parse(definition, found.to_text()) == found
    for key in found:
        parts = definition.parts_of(key)
        assert (parts["one"] in keys, parts["two"] in keys) == (True, True)
        assert definition.key_of(parts) == key


def test_parts_with_bars_and_percent_signs_are_written_so_that_they_read_back() -> None:
    definition = Multi(one=Static(["a|b", "5%", "{x},*"]), two=Static(["z"]))

    assert PartitionSet.everything(definition).keys == ["a%7Cb|z", "5%25|z", "{x},*|z"]
    assert select(definition, ("{x},*", "z"))[0].to_text() == "%7Bx%7D%2C%2A|*"
    with pytest.raises(PartitionKeyError, match="would be written '5%25"):
        definition.position_of("5%|z")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("2013-01-05", "it has not 2 parts"),
        ("2013-01-05|UA|x", "it has not 2 parts"),
        ("2013-01-05|XX", "'XX' is not a key"),
        ("2014-01-05|UA", "lies outside"),
    ],
)
def test_a_key_that_is_none_is_refused_with_the_part_that_is_wrong(key, message) -> None:
    with pytest.raises(PartitionKeyError, match=message):
        BOTH.position_of(key)
    assert key not in PartitionSet.everything(BOTH)


@pytest.mark.parametrize(
    "definition",
    [
        BOTH,
        ENDLESS,
        Multi(a=Static(["x"]), day=Daily("2013-01-01"), b=Dynamic(by="b")),
        Multi(made=Daily("2013-01-01", by="made"), seen=Hourly("2013-01-01", end="2030-01-01", by="seen")),
    ],
    ids=repr,
)
def test_a_definition_reads_back_from_its_stable_form_its_repr_and_a_pickle(definition) -> None:
    back = definition_from_dict(definition.to_dict())

    assert back == definition
    assert hash(back) == hash(definition)
    assert back.to_dict() == definition.to_dict()
    assert repr(back) == repr(definition)
    assert eval(repr(definition)) == definition  # noqa: S307 - what the test is about
    assert pickle.loads(pickle.dumps(definition)) == definition
    assert len(pickle.dumps(definition)) < 2_500


def test_the_stable_form_stays_as_it_was_released() -> None:
    assert ENDLESS.to_dict() == {
        "version": 1,
        "kind": "multi",
        "dimensions": [
            {
                "version": 1,
                "kind": "daily",
                "start": "2013-01-01",
                "end": None,
                "by": "time_hour",
                "tz": "UTC",
                "dimension": "day",
            },
            {"version": 1, "kind": "static", "keys": CARRIERS, "by": "carrier", "dimension": "carrier"},
        ],
        "bits": [[22, 86_400_000_000, 62_135_640_000_000_000], [12]],
    }
    assert ENDLESS.ordinal_at(ENDLESS.position_of("2013-01-05|DL")) == 734_872 * 4096 + 2


@pytest.mark.parametrize(
    ("first", "unit_us"),
    [
        (Daily("1973-01-01"), 86_400_000_000),
        (Daily("1972-12-31"), 1_000_000),
        (Weekly("2013-01-01", tz="Asia/Tokyo"), 86_400_000_000),
        (Hourly("1973-01-01"), 60_000_000),
        (Hourly("1937-01-01", tz="Europe/Amsterdam"), 1_000_000),
        (Cron("30 6 * * *", start="2013-01-01"), 60_000_000),
    ],
    ids=str,
)
def test_time_is_numbered_by_days_minutes_or_seconds_as_its_windows_and_the_clocks_allow(first, unit_us) -> None:
    assert Multi(when=first, what=Static(["a"])).to_dict()["bits"][0][1] == unit_us


def test_bits_that_were_settled_outlive_keys_that_come_later_and_are_no_part_of_the_declaration() -> None:
    data = ENDLESS.to_dict()
    data["dimensions"][1]["keys"] = [*CARRIERS, *(f"X{number}" for number in range(2_000))]

    grown = definition_from_dict(data)

    assert grown.ordinal_at(grown.position_of("2013-01-05|DL")) == ENDLESS.ordinal_at(
        ENDLESS.position_of("2013-01-05|DL")
    )
    assert "bits" not in declaration_of(data)
    data["dimensions"][1]["keys"] += [f"Y{number}" for number in range(4_000)]
    with pytest.raises(InvalidInputError, match=r"'carrier'.* has outgrown what was set apart"):
        definition_from_dict(data)


def test_a_definition_that_changes_can_keep_the_ordinals_it_gave() -> None:
    many = Static([*CARRIERS, *(f"X{number}" for number in range(5_000))], by="carrier")
    fresh = Multi(day=Daily("2012-01-01", by="time_hour"), carrier=Static([*CARRIERS, "WN"], by="carrier"))
    before = Multi(day=Daily("2013-01-01", by="time_hour"), carrier=many)

    kept = fresh.keeping_ordinals_of(before)

    key = "2013-01-05|DL"
    assert kept == fresh
    assert kept.ordinal_at(kept.position_of(key)) == before.ordinal_at(before.position_of(key))
    assert fresh.ordinal_at(fresh.position_of(key)) != before.ordinal_at(before.position_of(key))
    assert fresh.keeping_ordinals_of(Multi(carrier=many, day=Daily("2013-01-01"))) is fresh
    with pytest.raises(InvalidInputError, match="has outgrown"):
        before.keeping_ordinals_of(ENDLESS)
    assert Daily("2012-01-01").keeping_ordinals_of(Daily("2013-01-01")) == Daily("2012-01-01")


def test_a_dimension_is_not_cut_finer_than_its_ordinals_tell_apart() -> None:
    hours = Multi(day=Hourly("2013-01-01", end="2014-01-01", by="time_hour"), carrier=Static(CARRIERS, by="carrier"))

    with pytest.raises(InvalidInputError, match=r"'day'.* has outgrown .* of 86400 seconds each"):
        hours.keeping_ordinals_of(ENDLESS)


def test_a_long_list_of_keys_may_grow_to_four_times_its_length() -> None:
    many = Static([f"k{number}" for number in range(3_000)])

    assert Multi(day=Daily("2013-01-01"), key=many).to_dict()["bits"][1] == [14]


def test_dimensions_that_have_no_room_to_grow_get_the_bits_they_need() -> None:
    short, long = Static(["x", "y"]), Static([f"k{number}" for number in range(5)])
    hours = Multi(hour=Hourly("2013-01-01"), one=short, two=long, three=long)

    assert hours.to_dict()["bits"][1:] == [[1], [3], [3]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Multi(day=Daily("2013-01-01")), "has 1 dimension: it needs two"),
        (Multi, "has 0 dimensions"),
        (lambda: Multi(day=Daily("2013-01-01"), all=Unpartitioned()), "Dimension 'all' is Unpartitioned"),
        (lambda: Multi(day=Daily("2013-01-01"), both=BOTH), "Dimension 'both' is Multi"),
        (lambda: Multi(a=Daily("2013-01-01", by="t"), b=Monthly("2013-01-01", by="t")), "Column 't' decides in more"),
        (lambda: Multi(a=Static(["x"], by="b"), b=Static(["y"], by="c")), "'b' has the name of a column"),
        (lambda: Multi(**{"a/b": Static(["x"]), "c": Static(["y"])}), "cannot be a dimension name"),
        (
            lambda: Multi(a=Minutely("2013-01-01"), b=Hourly("2013-01-01")),
            r"need 66 bits .* and 63 is the most: a 33, b 33",
        ),
    ],
)
def test_what_cannot_be_dimensions_is_refused_with_the_reason(make, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_two_endless_time_dimensions_of_whole_days_leave_room_for_keys() -> None:
    definition = Multi(made=Daily("2013-01-01"), seen=Daily("2013-01-01"), who=Static(["a"] * 0 + ["a", "b"]))

    assert definition.to_dict()["bits"][2] == [12]
    assert definition.time_dimensions == definition.dimensions[:2]


def test_a_window_is_that_of_the_only_time_and_elapsed_means_every_window() -> None:
    two = Multi(made=Daily("2013-01-01"), seen=Monthly("2013-01-01"))
    as_of = datetime(2013, 2, 3, tzinfo=UTC)

    assert BOTH.window_at(BOTH.position_of("2013-01-05|AA")).start == datetime(2013, 1, 5, 5, tzinfo=UTC)
    assert two.window_at(0) is None
    elapsed = PartitionSet.everything(two).elapsed(as_of)
    assert elapsed.to_text() == "2013-01-01..2013-02-02|2013-01-01"
    ends = two.window_ends_of(PartitionSet.from_keys(two, ["2013-02-02|2013-01-01"]).ordinals)
    assert ends.tolist() == [int(datetime(2013, 2, 3, tzinfo=UTC).timestamp()) * 1_000_000]
    with pytest.raises(InvalidInputError, match="which time is meant: made or seen"):
        elapsed.between(as_of, as_of)


def test_between_restricts_the_only_time() -> None:
    found = PartitionSet.everything(ENDLESS).between(datetime(2013, 1, 5, tzinfo=UTC), datetime(2013, 1, 7, tzinfo=UTC))

    assert found.to_text() == "2013-01-05..2013-01-06|*"


def test_whole_inner_dimensions_are_one_range_and_others_a_row_with_a_condition() -> None:
    def ranges(*item):
        return select(ENDLESS, item)[0].ordinal_ranges()

    assert [len(one) for one in ranges(slice("2013-01", "2013-03"))] == [2]
    assert [len(one) for one in ranges(slice(None), "UA")] == [6]
    assert [len(one) for one in ranges(slice("2014", None), ["AA", "B6"])] == [6, 6]
    assert [len(one) for one in ranges("2013-01-05", "AA")] == [2]
    swapped = Multi(carrier=Static(CARRIERS), day=Daily("2013-01-01"))
    assert [len(one) for one in select(swapped, ("UA", slice("2014", "2015")))[0].ordinal_ranges()] == [2]


@pytest.mark.parametrize(
    ("item", "text", "explicit"),
    [
        (("2013-01-05", "UA"), "2013-01-05|UA", True),
        (("2013-01-05",), "2013-01-05|*", False),
        ("2013-01-05", "2013-01-05|*", False),
        (date(2013, 1, 5), "2013-01-05|*", False),
        (slice("2013-01-05", "2013-01-06"), "2013-01-05..2013-01-06|*", False),
        ((slice("2013-01-05", None), "UA"), "2013-01-05..2013-01-10|UA", False),
        ((slice("2013-01-05", "2013-01-06"), slice("UA", "DL")), "2013-01-05..2013-01-06|UA..DL", True),
        ({"carrier": ["UA", "B6"]}, "*|{UA,B6}", False),
        ({"carrier": "UA", "day": "2013-01-02"}, "2013-01-02|UA", True),
        ("2013-01-05|UA", "2013-01-05|UA", True),
        (["2013-01-05|UA", ("2013-01-06", "UA")], "2013-01-05..2013-01-06|UA", True),
        (["2013-01-05|UA", {"day": "2013-01-06"}], "2013-01-05|UA,2013-01-06|*", False),
        ([], "", True),
        (slice(None), "*", False),
    ],
)
def test_what_stands_in_brackets_selects_in_every_dimension(item, text, explicit) -> None:
    partitions, named = select(BOTH, item)

    assert (partitions.to_text(), named) == (text, explicit)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("2013-01-05", "UA", "x"), "it has 3 items, and there are 2 dimensions: day, carrier"),
        ((), "it has 0 items"),
        ({"carier": "UA"}, r"no dimension 'carier'.*\n*.*did you mean 'carrier'"),
        (("2013-01-05", ("UA", "AA")), "here stands one dimension, 'carrier'"),
        (("2013-01-05", "XX"), "'XX' is not a key"),
        (3, "The number 3"),
        ((slice("2013-01-05", "2013-01-02"), "UA"), "reversed"),
        ((slice(None, None, 2), "UA"), "The step 2"),
    ],
)
def test_what_selects_nothing_is_refused(item, message) -> None:
    with pytest.raises(InvalidInputError, match=f"(?s){message}"):
        select(BOTH, item)


def test_a_dynamic_dimension_is_endless_and_its_new_keys_keep_their_ordinals() -> None:
    known = KnownKeys((KnownKey(0, "x", 5), KnownKey(1, "y"), KnownKey(7, "z", 5)))
    declared = Multi(day=Daily("2013-01-01", end="2013-01-03"), who=Dynamic(by="who"))
    definition = declared.knowing({"who": known})

    assert definition == declared
    assert select(definition, (slice(None), slice("y", None)))[0].to_text() == "*|y..*"
    assert select(definition, ("2013-01-01", slice("x", "z")))[0].keys == [
        "2013-01-01|x",
        "2013-01-01|y",
        "2013-01-01|z",
    ]
    assert PartitionSet.everything(definition).expected(datetime(2013, 2, 1, tzinfo=UTC)).keys == [
        f"{day}|{who}" for day in ("2013-01-01", "2013-01-02") for who in ("x", "z")
    ]
    ordinals = PartitionSet.from_keys(definition, ["2013-01-02|z"]).ordinals
    assert definition.dynamic_ids(ordinals)["who"].tolist() == [7]
    shift, mask = definition.bits_of("who")
    assert (int(ordinals[0]) >> shift) & mask == 7


def test_a_million_partitions_in_two_dimensions_cost_as_much_as_one() -> None:
    definition = Multi(hour=Hourly("2013-01-01"), carrier=Static([f"c{number}" for number in range(50)]))
    large = select(definition, (slice("2013", "2015"), slice("c1", "c40")))[0]
    other = select(definition, (slice("2014", "2016"), ["c3", "c49"]))[0]
    key = large.last_key
    assert len(large) > 1_000_000

    united = large | other

    # Text and ranges tell how much is held: runs of each dimension, never the cells.
    assert len((large & other).to_text()) < 200
    assert len((large - other).to_text()) < 400
    assert len(united.to_text()) < 400
    assert len(united.ordinal_ranges()) < 10
    assert key in united
    assert len(large.last(1000)) == 1000


@given(subsets, st.integers(1, 12))
def test_splits_and_batches_are_contiguous_and_lose_nothing(keys, count) -> None:
    found = PartitionSet.from_keys(BOTH, keys)
    ordered = sorted(keys, key=KEYS.index)

    batches = [one.keys for one in found.batched(count)]
    splits = [one.keys for one in found.split(count)]

    assert batches == [ordered[at : at + count] for at in range(0, len(ordered), count)]
    assert [key for one in splits for key in one] == ordered
    assert len(splits) == min(count, len(ordered))
    assert max(map(len, splits), default=0) - min(map(len, splits), default=0) <= 1
