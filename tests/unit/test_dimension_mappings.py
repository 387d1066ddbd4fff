"""Mappings of several dimensions, against the product of what each part of a key needs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError
from lakepart.model.definitions import Daily, Hourly, Multi, Static, Unpartitioned, Weekly
from lakepart.model.mappings import (
    AllPartitions,
    CustomMapping,
    FromDimension,
    Identity,
    KeyMap,
    LastPartition,
    PerDimension,
    TimeOverlap,
    infer_mapping,
    mapping_from_dict,
)
from lakepart.model.partition_sets import PartitionSet

NOW = datetime(2014, 6, 1, 12, tzinfo=UTC)
DAYS = Daily("2013-01-01", end="2013-01-15")
CARRIERS = Static(["UA", "AA", "DL"])
FLIGHTS = Multi(day=DAYS, carrier=CARRIERS)
GRID = Multi(line=Static(["AA", "UA", "XX"]), week=Weekly("2013-01-01", end="2013-02-01"), place=Static(["x", "y"]))

# the asset, the input, the mapping, and for each of the input's dimensions the asset's and how the two are mapped
CASES = [
    (FLIGHTS, FLIGHTS, Identity(), {"day": ("day", Identity()), "carrier": ("carrier", Identity())}),
    (
        FLIGHTS,
        Multi(carrier=CARRIERS, day=Daily("2013-01-03", end="2013-01-12")),
        PerDimension({"day": ("day", TimeOverlap(-2, 1)), "carrier": "carrier"}),
        {"day": ("day", TimeOverlap(-2, 1)), "carrier": ("carrier", Identity())},
    ),
    (
        FLIGHTS,
        GRID,
        PerDimension({"week": "day", "line": ("carrier", KeyMap({"UA": ["UA", "XX"], "DL": ["AA", "no"]}))}),
        {"week": ("day", TimeOverlap()), "line": ("carrier", KeyMap({"UA": ["UA", "XX"], "DL": ["AA", "no"]}))},
    ),
    (FLIGHTS, GRID, PerDimension({"week": "day"}), {"week": ("day", TimeOverlap())}),
    (FLIGHTS, DAYS, FromDimension("day"), {"partition": ("day", Identity())}),
    (
        FLIGHTS,
        Daily("2013-01-05"),
        FromDimension("day", TimeOverlap(lookback=3)),
        {"partition": ("day", TimeOverlap(-3))},
    ),
    (CARRIERS, FLIGHTS, FromDimension("carrier"), {"carrier": ("partition", Identity())}),
    (
        FLIGHTS,
        Static(["delta", "united"]),
        FromDimension("carrier", KeyMap({"DL": ["delta"], "UA": ["united", "gone"]})),
        {"partition": ("carrier", KeyMap({"DL": ["delta"], "UA": ["united", "gone"]}))},
    ),
    (
        Static(["delta", "others"]),
        FLIGHTS,
        FromDimension("carrier", KeyMap({"delta": ["DL"], "others": ["AA", "UA"]})),
        {"carrier": ("partition", KeyMap({"delta": ["DL"], "others": ["AA", "UA"]}))},
    ),
    (
        Daily("2012-12-28", end="2013-01-20"),
        FLIGHTS,
        FromDimension("day", TimeOverlap(-1, -1)),
        {"day": ("partition", TimeOverlap(-1, -1))},
    ),
]
IDS = [repr(mapping) for _, _, mapping, _ in CASES]


def one_of(definition, key: str) -> PartitionSet:
    return PartitionSet.from_keys(definition, [key])


def needed_of(made, source, links, key: str) -> tuple[set[str], set[str]]:
    """Map each part of one key for itself; give the product, and the parts that do not exist."""
    parts, needed, lacking = made.parts_of(key), [], set()
    own = {one.dimension: one for one in made.dimensions}
    for dimension in source.dimensions:
        if dimension.dimension not in links:
            needed.append(PartitionSet.everything(dimension).keys)
            continue
        name, mapping = links[dimension.dimension]
        mapped = mapping.upstream(one_of(own[name], parts[name]), dimension, NOW)
        needed.append(mapped.partitions.keys)
        lacking |= set(mapped.nonexistent)
    return {"|".join(chosen) for chosen in product(*needed)}, lacking


@pytest.mark.parametrize(("made", "source", "mapping", "links"), CASES, ids=IDS)
@given(data=st.data())
def test_each_dimension_is_mapped_for_itself(made, source, mapping, links, data) -> None:
    keys = PartitionSet.everything(made).keys
    chosen = data.draw(st.lists(st.sampled_from(keys), max_size=8))
    asked = data.draw(st.lists(st.sampled_from(PartitionSet.everything(source).last(200, NOW).keys), max_size=4))

    mapped = mapping.upstream(PartitionSet.from_keys(made, chosen), source, NOW)
    back = mapping.downstream(PartitionSet.from_keys(source, asked), made, NOW)

    needed = {key: needed_of(made, source, links, key) for key in keys}
    assert set(mapped.partitions.keys) == set().union(*(needed[key][0] for key in chosen))
    assert {key for first, last in mapped.nonexistent for key in (first, last)} <= {
        key for one in chosen for run in needed[one][1] for key in run
    }
    assert bool(mapped.nonexistent) == any(needed[key][1] for key in chosen)
    assert set(back.keys) == {key for key in keys if not needed[key][0].isdisjoint(asked)}


def test_what_does_not_exist_is_named_with_its_dimension() -> None:
    source = Multi(day=Daily("2013-01-03"), carrier=Static(["UA", "AA"]))
    mapping = PerDimension({"day": ("day", TimeOverlap(lookback=1)), "carrier": ("carrier", Identity())})

    mapped = mapping.upstream(PartitionSet.parse(FLIGHTS, "2013-01-02..2013-01-05|{UA,DL}"), source, NOW)

    assert mapped.partitions.to_text() == "2013-01-03..2013-01-05|UA"
    assert mapped.nonexistent_text == "day 2013-01-01..2013-01-02; carrier DL"


def test_a_rectangle_of_a_year_is_mapped_as_one() -> None:
    made = Multi(hour=Hourly("2013-01-01"), carrier=CARRIERS)
    source = Multi(day=Daily("2013-01-01"), carrier=CARRIERS)
    mapping = PerDimension({"day": ("hour", TimeOverlap()), "carrier": "carrier"})

    mapped = mapping.upstream(PartitionSet.parse(made, "2013-01-01-00:00..2013-12-31-23:00|UA"), source, NOW)

    assert mapped.partitions.to_text() == "2013-01-01..2013-12-31|UA"


@pytest.mark.parametrize(
    ("downstream", "upstream", "mapping"),
    [
        (FLIGHTS, FLIGHTS, Identity()),
        (FLIGHTS, Multi(carrier=CARRIERS, day=Daily("2010-01-01")), Identity()),
        (
            Multi(day=Weekly("2013-01-01"), carrier=CARRIERS),
            FLIGHTS,
            PerDimension({"day": "day", "carrier": "carrier"}),
        ),
        (FLIGHTS, DAYS, FromDimension("day")),
        (CARRIERS, FLIGHTS, FromDimension("carrier")),
        (FLIGHTS, Unpartitioned(), AllPartitions()),
        (Unpartitioned(), FLIGHTS, AllPartitions()),
    ],
    ids=str,
)
def test_definitions_of_several_dimensions_suggest_a_mapping(downstream, upstream, mapping) -> None:
    assert infer_mapping(downstream, upstream) == mapping


@pytest.mark.parametrize(
    ("downstream", "upstream"),
    [
        (FLIGHTS, GRID),
        (FLIGHTS, Weekly("2013-01-01")),
        (Multi(start=DAYS, end=DAYS), DAYS),
        (FLIGHTS, Multi(day=DAYS, carrier=Static(["UA"]))),
    ],
    ids=str,
)
def test_what_several_dimensions_do_not_say_is_asked_for(downstream, upstream) -> None:
    with pytest.raises(InvalidInputError, match=r"is not evident.*FromDimension\(name\) or PerDimension"):
        infer_mapping(downstream, upstream)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerDimension({}), "no dictionary from dimensions"),
        (lambda: PerDimension({"a": "day", "b": "day"}), "uses 'day' for more than one dimension"),
        (lambda: PerDimension({"day": ("day", "identity")}), "'identity' is no mapping of a dimension"),
        (lambda: PerDimension({"day": ("day", FromDimension("x"))}), "is for several dimensions, not for one"),
        (lambda: FromDimension("day", TimeOverlap(nonexistent="skip")), "counts for all dimensions"),
        (lambda: FromDimension(""), "the name of a dimension is needed"),
        (lambda: FromDimension("day").check(DAYS, DAYS), "one must have several dimensions"),
        (lambda: FromDimension("dya").check(FLIGHTS, DAYS), "there is no dimension 'dya', only day, carrier"),
        (lambda: FromDimension("carrier").check(FLIGHTS, DAYS), "is not evident"),
        (lambda: PerDimension({"x": "day"}).check(FLIGHTS, FLIGHTS), "the input has no dimension 'x'"),
        (lambda: PerDimension({"day": "x"}).check(FLIGHTS, FLIGHTS), "the asset has no dimension 'x'"),
        (lambda: Identity().check(FLIGHTS, DAYS), "both must have the same dimensions"),
    ],
)
def test_dimensions_that_do_not_fit_are_refused(make, message) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


@pytest.mark.parametrize(
    ("mapping", "looks_back", "follows_clock"),
    [
        (FromDimension("day", TimeOverlap(-1, -1)), False, False),
        (FromDimension("day", LastPartition(), nonexistent="skip"), False, True),
        (PerDimension({"day": ("day", TimeOverlap(-1, -1)), "carrier": "carrier"}), True, False),
        (PerDimension({"day": ("other", TimeOverlap(-1, -1))}), False, False),
        (PerDimension({"day": ("day", LastPartition()), "carrier": ("carrier", KeyMap({"a": "b"}))}), False, True),
    ],
    ids=repr,
)
def test_a_mapping_of_dimensions_survives_the_catalog(mapping, looks_back, follows_clock) -> None:
    stored = json.loads(json.dumps(mapping.to_dict(), sort_keys=True))

    assert mapping_from_dict(stored) == mapping
    assert (mapping.looks_back, mapping.follows_clock) == (looks_back, follows_clock)
    assert mapping.skips_nonexistent == ("skip" in repr(mapping))


def test_a_function_within_is_taken_from_those_at_hand() -> None:
    stored = FromDimension("carrier", CustomMapping("lower", lambda key: key.lower())).to_dict()

    mapping = mapping_from_dict(stored, {"lower": lambda key: key.lower()})

    carriers = mapping.upstream(PartitionSet.parse(FLIGHTS, "2013-01-02|AA"), Static(["aa"]), NOW)
    assert carriers.partitions.keys == ["aa"]
