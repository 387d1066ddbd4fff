"""A change of columns meets writers at every one of their effects: rows are never read under another column."""

import itertools
from contextlib import suppress
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, meet_everywhere, query_catalog

DAYS = lp.Daily("2024-01-01", by="day")
LOST = (lp.ConflictError, lp.SchemaMismatchError)


def frame(*pairs, column="value", **more):
    days = [date(2024, 1, day) for day, _ in pairs]
    values = pa.array([value for _, value in pairs], pa.int32())
    return pa.table({"day": pa.array(days, pa.date32()), column: values, **more})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 6, 1, tzinfo=UTC))
    lake.asset("numbers", partitions=DAYS).write(frame((1, 1), (2, 2)))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


def losing(action):
    def act(lake):
        with suppress(*LOST):
            action(lake.asset("numbers"))

    return act


def assert_sound(lake, at):
    assert [str(found) for found in lake.check(checksums=True)] == [], at
    numbers = [number for (number,) in query_catalog(lake.url, "SELECT snapshot FROM snapshot ORDER BY snapshot")]
    assert numbers == list(range(len(numbers))), at


CHANGES = {
    "add": lambda asset: asset.alter(add={"tip": pa.int8()}),
    "rename": lambda asset: asset.alter(rename={"value": "number"}),
    "exchange": lambda asset: asset.alter(drop=["value"], add={"value": pa.int32()}),
    "widen": lambda asset: asset.alter(widen={"value": pa.int64()}),
}
WRITES = {
    "append": lambda asset: asset.append(frame((2, 20))),
    "replace": lambda asset: asset.write(frame((2, 20)), "2024-01-02"),
    "add": lambda asset: asset.append(frame((2, 20), note=["x"]), on_schema_change="add"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_writer_meets_a_change_of_columns_and_its_rows_keep_their_column_or_it_loses(make, change, write):
    written = {"append": [1, 2, 20], "replace": [1, 20], "add": [1, 2, 20]}[write]
    outcomes = set()
    pairs = [(WRITES[write], CHANGES[change]), (CHANGES[change], WRITES[write])]
    for action, other in pairs if change == "rename" else pairs[:1]:
        for met in meet_everywhere(make, losing(action), losing(other)):
            asset = met.lake.asset("numbers")
            table = asset.to_arrow()
            column = "number" if "number" in table.column_names else "value"
            values = table[column].to_pylist()
            new = [20 if value == 20 else None for value in written]
            possible = [[1, 2], written]
            if change == "exchange":
                possible += [[None, None], new, [None] * len(written)]
            if {"number", "value"} <= set(table.column_names):
                assert table["value"].to_pylist() == new, met.at  # it came after: a column of the old name is a new one
                possible = [[1, 2, None]]
            assert values in possible, met.at
            outcomes.add(table.num_rows == len(written))
            assert_sound(met.lake, met.at)

    assert True in outcomes


def test_two_writers_that_add_columns_of_their_own_never_share_a_field(make):
    def add(name, day):
        return lambda asset: asset.append(frame((day, day), **{name: [name]}), on_schema_change="add")

    outcomes = set()
    for met in meet_everywhere(make, losing(add("x", 3)), losing(add("y", 4))):
        table = met.lake.asset("numbers").to_arrow()
        for name in {"x", "y"} & set(table.column_names):
            assert set(table[name].to_pylist()) == {None, name}, met.at
        outcomes.add(tuple(sorted({"x", "y"} & set(table.column_names))))
        assert_sound(met.lake, met.at)

    assert outcomes >= {("y",), ("x", "y")}


def test_two_writers_that_add_the_same_column_both_win(make):
    def add(day):
        return lambda lake: lake.asset("numbers").append(frame((day, day), note=["x"]), on_schema_change="add")

    for met in meet_everywhere(make, add(3), add(4)):
        assert met.lake.asset("numbers").to_arrow()["note"].to_pylist() == [None, None, "x", "x"], met.at
        assert_sound(met.lake, met.at)


def test_a_backfill_meets_a_change_of_columns_and_ends_with_rows_under_the_right_ones(make):
    def compute(part):
        return frame((int(part.key[-2:]), 7))

    def backfill(lake):
        with suppress(lp.BackfillError):  # what it makes after the change has no column of the new name
            lake.asset("numbers")["2024-01-03":"2024-01-04"].backfill(compute, inputs={}, progress=False)

    made = set()
    for met in meet_everywhere(make, backfill, losing(CHANGES["rename"])):
        asset = met.lake.asset("numbers")
        column = "number" if "number" in asset.schema.names else "value"
        values = asset.to_arrow()[column].to_pylist()
        assert values[:2] == [1, 2], met.at
        assert set(values[2:]) <= {7}, met.at
        made.add(len(values))
        assert [str(found) for found in met.lake.check() if found.severity != "leftover"] == [], met.at

    assert made >= {2, 4}


def test_a_reader_sees_the_columns_of_one_moment(make):
    lake = make()
    original, turns = type(lake._home.context.database).reading, itertools.count()
    for turn in range(4):
        lake = make()
        asset = lake.asset("numbers")
        turns = itertools.count()

        def reading(database, turn=turn, turns=turns, lake=lake):
            if next(turns) == turn:
                type(database).reading = original
                other = lp.connect(lake.url).asset("numbers")
                other.alter(widen={"value": pa.int64()}, rename={"value": "number"})
                other.write(pa.table({"day": [date(2024, 1, 1)], "number": [2**40]}), "2024-01-01")
            return original(database)

        type(lake._home.context.database).reading = reading
        try:
            table = asset.to_arrow()
        finally:
            type(lake._home.context.database).reading = original

        found = {name: table[name].to_pylist() for name in table.column_names if name != "day"}
        assert found in ({"value": [1, 2]}, {"number": [2**40, 2]})
