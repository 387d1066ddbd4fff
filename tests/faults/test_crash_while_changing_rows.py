"""A process that dies anywhere while rows are deleted or upserted: all of them are changed, or none."""

from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import effects_of, frozen_lake

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


def frame_of(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame_of((1, 1), (1, 5), (2, 2)))
    numbers.append(frame_of((1, 7)))
    return lake


def test_a_crash_while_deleting_rows_deletes_all_or_none(survives, when):
    def delete(lake):
        lake.asset("numbers").delete([("value", "in", [2, 5])])

    assert survives(delete, when) >= 5


def test_a_crash_while_upserting_replaces_all_or_none(survives, when):
    def upsert(lake):
        lake.asset("numbers").upsert(frame_of((1, 5), (2, 20), (5, 5)), on=["value"])

    assert survives(upsert, when) >= 6


def test_a_crash_in_a_block_that_changes_rows_changes_all_or_none(survives, when):
    def block(lake):
        with lake.transaction() as tx:
            numbers = tx.asset("numbers")
            numbers.upsert(frame_of((1, 5), (3, 30)), on=["value"])
            numbers.delete([("value", "==", 5)])
            numbers["2024-01-03"].drop()

    assert survives(block, when) >= 6


def test_rows_are_put_in_place_before_the_catalog_speaks_of_them(make, when):
    kinds = [
        name.split()[0] for name in effects_of(make(), lambda lake: lake.asset("numbers").delete([("value", "==", 5)]))
    ]

    assert kinds == ["commit", "write", "make", "commit", "put", "commit"]
