"""Changing how assets of several dimensions and of dynamic keys are cut."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import date

import pandas as pd
import pytest

import lakepart as lp


@pytest.fixture
def lake(tmp_path) -> Iterator[lp.Lake]:
    with lp.create(tmp_path / "lake") as lake:
        yield lake


def cut(start: str = "2024-01-01", carriers: tuple[str, ...] = ("UA", "AA"), **options: str) -> lp.Multi:
    return lp.Multi(day=lp.Daily(start, by="day", **options), carrier=lp.Static(carriers, by="carrier"))


def rows(*cells: tuple[int, str, int]) -> pd.DataFrame:
    return pd.DataFrame([(date(2024, 1, day), *rest) for day, *rest in cells], columns=["day", "carrier", "x"])


def by_key(asset: lp.Asset) -> dict[str, list[int]]:
    frame = asset[:].to_pandas(key_column="_key")
    return {key: found["x"].tolist() for key, found in frame.groupby("_key", sort=False)}


CELLS = rows((1, "UA", 1), (1, "AA", 2), (2, "UA", 3))


def test_dimensions_grow_and_every_cell_stays_where_it_is(lake) -> None:
    flights = lake.asset("flights", partitions=cut())
    flights.write(CELLS)

    flights.alter(partitions=cut("2023-12-01", ("UA", "AA", "B6")))
    flights.write(rows((1, "B6", 4)))

    assert flights.keys == ["2024-01-01|UA", "2024-01-01|AA", "2024-01-01|B6", "2024-01-02|UA"]
    assert by_key(flights) == {"2024-01-01|UA": [1], "2024-01-01|AA": [2], "2024-01-01|B6": [4], "2024-01-02|UA": [3]}
    assert flights[:, "AA"].to_pandas()["x"].tolist() == [2]
    assert lake.at(1).asset("flights").partitions == cut()
    assert lake.at(1).asset("flights")["2024-01-01"].keys == ["2024-01-01|UA", "2024-01-01|AA"]
    assert lake.check() == []


def test_a_change_that_would_orphan_a_cell_is_refused_and_names_it(lake) -> None:
    flights = lake.asset("flights", partitions=cut())
    flights.write(CELLS)

    for after in (
        cut("2024-01-02"),
        cut(carriers=("UA",)),
        cut(carriers=("AA", "UA")),
        lp.Daily("2024-01-01", by="day"),
        lp.Multi(carrier=lp.Static(["UA", "AA"], by="carrier"), day=lp.Daily("2024-01-01", by="day")),
        lp.Multi(day=lp.Daily("2024-01-01", by="day"), carrier=lp.Dynamic(by="carrier")),
    ):
        with pytest.raises(lp.StateError, match=r"would orphan .*2024-01-01") as caught:
            flights.alter(partitions=after)
        assert caught.value.code == "would-orphan"
    assert flights.partitions == cut()
    assert by_key(flights)["2024-01-01|AA"] == [2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (lp.Static(["UA", "AA"], by="carrier"), lp.Dynamic(by="carrier")),
        (lp.Daily("2024-01-01", by="day"), cut()),
        (cut(), lp.Daily("2024-01-01", by="day")),
        (cut(), lp.Multi(carrier=lp.Static(["UA", "AA"], by="carrier"), day=lp.Daily("2024-01-01", by="day"))),
        (lp.Dynamic(by="carrier"), lp.Dynamic(by="carrier", dimension="who")),
    ],
    ids=repr,
)
def test_the_kind_of_cut_changes_while_nothing_is_committed_and_not_afterwards(lake, before, after) -> None:
    empty, full = (lake.asset(name, partitions=before) for name in ("empty", "full"))
    full.write(CELLS)

    empty.alter(partitions=after)
    with pytest.raises(lp.StateError, match="would orphan") as caught:
        full.alter(partitions=after)

    empty.write(CELLS)
    assert empty.partitions == after
    assert (caught.value.code, full.partitions) == ("would-orphan", before)
    assert ("another asset" if after.is_dynamic else "repartition(") in caught.value.hint
    assert lake.check() == []


def test_keys_that_were_added_are_not_forgotten_by_calling_their_dimension_otherwise(lake) -> None:
    customers = lake.asset("customers", partitions=lp.Dynamic(by="carrier", dimension="carrier"))
    customers.add_keys(["UA", "B6"])

    with pytest.raises(lp.StateError, match=r"would forget 2 keys of the dynamic dimension 'carrier' \(UA, B6\)"):
        customers.alter(partitions=lp.Dynamic(by="carrier"))

    assert customers.missing().keys == ["UA", "B6"]


def test_days_are_cut_into_cells_and_cells_into_months(lake) -> None:
    flights = lake.asset("flights", partitions=lp.Daily("2024-01-01", by="day"))
    flights.write(CELLS)

    plan = flights.plan_repartition(cut())
    lake.apply(plan, progress=False)

    assert by_key(flights) == {"2024-01-01|UA": [1], "2024-01-01|AA": [2], "2024-01-02|UA": [3]}
    flights.repartition(lp.Monthly("2024-01-01", by="day"))
    assert by_key(flights) == {"2024-01-01": [1, 2, 3]}
    assert by_key(lake.at(1).asset("flights")) == {"2024-01-01": [1, 2], "2024-01-02": [3]}
    assert list(by_key(lake.at(2).asset("flights"))) == ["2024-01-01|UA", "2024-01-01|AA", "2024-01-02|UA"]
    assert lake.check() == []


def test_rows_without_a_place_in_a_dimension_are_named_before_anything_is_written(lake) -> None:
    flights = lake.asset("flights", partitions=lp.Daily("2024-01-01", by="day"))
    flights.write(CELLS)

    with pytest.raises(lp.StateError, match=r"'2024-01-01'.*'AA'"):
        flights.repartition(cut(carriers=("UA",)))
    assert lake.snapshots()["snapshot"].tolist()[0] == 1


def test_dynamic_keys_become_a_list_and_views_of_the_past_keep_them(lake) -> None:
    customers = lake.asset("customers", partitions=lp.Dynamic(by="carrier"))
    customers.write(CELLS)

    customers.repartition(lp.Static(["AA", "UA"], by="carrier"))

    assert by_key(customers) == {"AA": [2], "UA": [1, 3]}
    assert by_key(lake.at(1).asset("customers")) == {"UA": [1, 3], "AA": [2]}
    assert customers["UA"].history()["snapshot"].tolist() == [2]
    with pytest.raises(lp.InvalidInputError, match="its keys are not known beforehand"):
        customers.repartition(lp.Dynamic(by="carrier"))


def test_an_asset_of_dynamic_keys_changes_its_options_and_keeps_its_keys(lake) -> None:
    customers = lake.asset("customers", partitions=lp.Dynamic(by="carrier"))
    customers.write(CELLS)

    customers.alter(description="who flies")
    customers.write(rows((3, "B6", 5)))

    assert customers.description == "who flies"
    assert by_key(customers) == {"UA": [1, 3], "AA": [2], "B6": [5]}
    assert len(customers.history()) == 3


def test_selections_of_dynamic_keys_outlive_an_alter_and_list_none_of_the_keys_to_come(lake) -> None:
    visits = lake.asset("visits", partitions=lp.Multi(day=lp.Daily("2024-01-01", by="day"), who=lp.Dynamic(by="who")))
    visits.write(pd.DataFrame({"day": [date(2024, 1, day) for day in (1, 2, 3)], "who": ["mia", "zoe", "mia"]}))
    closed, opened, named = visits["2024-01-01":"2024-01-02"], visits["2024-01-02":], visits["2024-01-01", "mia"]

    visits.alter(partitions=lp.Multi(day=lp.Daily("2023-12-01", by="day"), who=lp.Dynamic(by="who")))
    visits.write(pd.DataFrame({"day": [date(2024, 1, 2)], "who": ["new"]}))

    assert closed.to_pandas()["who"].tolist() == ["mia", "zoe", "new"]
    assert opened.keys == ["2024-01-02|zoe", "2024-01-02|new", "2024-01-03|mia"]
    assert named.keys == ["2024-01-01|mia"]
    assert [pickle.loads(pickle.dumps(one)).keys for one in (closed, opened, named)] == [
        one.keys for one in (closed, opened, named)
    ]


def test_an_option_of_an_asset_of_millions_of_expected_partitions_changes_without_listing_them(lake) -> None:
    cells = lp.Multi(minute=lp.Minutely("2013-01-01"), key=lp.Static([f"k{number}" for number in range(3_000)]))
    asset = lake.asset("cells", partitions=cells)

    plan = asset.plan_alter(description="hello")
    lake.apply(plan)

    assert (plan.appearing, plan.vanishing) == (("", 0), ("", 0))
    assert asset.partitions == cells
