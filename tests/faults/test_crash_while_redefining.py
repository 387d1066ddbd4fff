"""A process that dies anywhere while an asset is cut otherwise: it is cut in the old way or in the new, whole."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import crash_everywhere, effects_of, frozen_lake

pytestmark = pytest.mark.parametrize("when", ["before", "after"])

DAYS = lp.Daily("2024-01-01", by="day")
MONTHS = lp.Monthly("2024-01-01", by="day")


def table(*pairs):
    days = [date(2024, 1, 1) + timedelta(days=day - 1) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    lake.asset("numbers", partitions=DAYS).write(table((1, 1)))
    lake.asset("days", partitions=DAYS).write(table((1, 1), (2, 2), (31, 31), (40, 40)))
    lake.asset("letters", partitions=lp.Static(["a", "b"])).write(table((1, 1)), "a")
    return lake


def repartition(lake):
    lake.asset("days").repartition(MONTHS)


def test_a_crash_while_altering_changes_all_or_nothing(survives, when):
    assert survives(lambda lake: lake.asset("days").alter(partitions=lp.Daily("2023-01-01", by="day")), when) >= 3


def test_a_crash_while_changing_columns_changes_all_or_nothing(survives, when):
    def change(lake):
        lake.asset("days").alter(add={"tip": pa.int8()}, widen={"day": pa.timestamp("us")}, order=["value"])

    assert survives(change, when) >= 3


def test_a_crash_while_a_write_adds_a_column_harms_nothing(survives, when):
    def write(lake):
        more = table((1, 1)).append_column("tip", [["x"]])
        lake.asset("days").append(more, on_schema_change="add")

    assert survives(write, when) >= 5


def test_a_crash_while_renaming_a_key_changes_all_or_nothing(survives, when):
    assert survives(lambda lake: lake.asset("letters").rename_key("a", "z"), when) >= 3


def test_a_crash_while_repartitioning_harms_no_version_and_can_be_done_again(survives, when):
    assert survives(repartition, when) >= 7


def test_after_a_crash_definition_and_partitions_are_both_old_or_both_new(make, rows_of, when):
    expected = {"old": (DAYS, ["2024-01-01", "2024-01-02", "2024-01-31", "2024-02-09"])}
    expected["new"] = (MONTHS, ["2024-01-01", "2024-02-01"])
    rows, states = rows_of(make()), set()

    for crashed in crash_everywhere(make, repartition, when=when):
        asset = crashed.lake.asset("days")
        states.add("new" if asset.partitions == MONTHS else "old")
        assert (asset.partitions, asset.keys) in expected.values(), crashed.at
        assert rows_of(crashed.lake) == rows, crashed.at
        past = crashed.lake.at(3).asset("days")
        assert (past.partitions, past.keys) == expected["old"], crashed.at
        assert past.count_rows() == 4, crashed.at
        crashed.lake.close()

    assert states == {"old", "new"}


def test_a_rewrite_has_the_effects_it_is_known_for(make, when):
    kinds = [name.split()[0] for name in effects_of(make(), repartition)]

    assert kinds == ["commit", "write", "write", "make", "commit", "put", "commit"]
