"""Diff: partitions and rows that differ between snapshots, instants, tags and branches."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import event

import lakepart as lp
from lakepart.testing import clock_of, frozen_lake

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"
COLUMNS = ["asset", "key", "change", "rows_before", "rows_after", "rows_delta"]


def frame(*rows: tuple[str, int | None]) -> pa.Table:
    return pa.table({"sku": [sku for sku, _ in rows], "price": pa.array([price for _, price in rows], pa.int64())})


@pytest.fixture
def lake(tmp_path) -> lp.Lake:
    """Snapshot 1 has two days; 2 changes the first, 3 adds the third, 4 takes the second away."""
    lake = frozen_lake(tmp_path / "lake", at=NOW)
    days = lake.asset("days", partitions=lp.Daily("2024-01-01"))
    days.write({FIRST: frame(("a", 1), ("b", 2)), SECOND: frame(("a", 1))})
    clock_of(lake).advance(timedelta(hours=1))
    days.write(frame(("a", 1), ("b", 3), ("c", 9)), FIRST)
    days.write(frame(("z", 1)), THIRD)
    days[SECOND].rollback(to=0)
    return lake


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days")


@contextmanager
def counted(lake):
    statements = []

    def note(connection, cursor, statement, *_):
        statements.append(statement)

    engine = lake._home.context.database.engine
    event.listen(engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine, "before_cursor_execute", note)


def test_what_was_added_removed_and_changed_is_listed_with_its_sizes(lake) -> None:
    diff = lake.diff(1, 4)

    assert diff[COLUMNS].values.tolist() == [
        ["days", FIRST, "changed", 2, 3, 1],
        ["days", SECOND, "removed", 1, 0, -1],
        ["days", THIRD, "added", 0, 1, 1],
    ]
    assert (diff["bytes_after"] - diff["bytes_before"] == diff["bytes_delta"]).all()
    assert diff.columns.tolist()[-3:] == ["bytes_before", "bytes_after", "bytes_delta"]


def test_after_is_now_by_default_and_before_may_be_the_later_one(lake) -> None:
    pd.testing.assert_frame_equal(lake.diff(1), lake.diff(1, 4))

    assert lake.diff(4, 1)["change"].tolist() == ["changed", "added", "removed"]


def test_equal_content_is_no_difference(lake, days) -> None:
    days.write(frame(("z", 1)), THIRD)

    diff = lake.diff(4)

    assert diff.empty
    assert str(diff["rows_delta"].dtype) == "int64"


@pytest.mark.parametrize("name", ["snapshot", "instant", "text", "tag", "handle", "branch"])
def test_everything_that_names_a_view_can_be_compared(lake, days, name) -> None:
    lake.tag("loaded", at=1)
    lake.create_branch("old").rollback(to=1)
    before = {
        "snapshot": 1,
        "instant": NOW + timedelta(minutes=1),
        "text": "2024-01-10T12:30Z",
        "tag": "loaded",
        "handle": lake.at(1),
        "branch": "old",
    }[name]

    assert lake.diff(before, "main")["change"].tolist() == ["changed", "removed", "added"]
    assert days[FIRST].diff(before)["key"].tolist() == [FIRST]


def test_a_branch_is_compared_with_main_as_it_is_now(lake, days) -> None:
    draft = lake.create_branch("draft")
    draft.asset("days").write(frame(("q", 1)), "2024-01-05")
    days.write(frame(("q", 2)), "2024-01-06")

    assert lake.diff("main", "draft")[["key", "change"]].values.tolist() == [
        ["2024-01-05", "added"],
        ["2024-01-06", "removed"],
    ]
    assert draft.asset("days").diff(lake)["key"].tolist() == ["2024-01-05", "2024-01-06"]


def test_names_of_nothing_or_of_two_things_are_refused(lake, tmp_path) -> None:
    lake.tag("loaded", at=1)
    lake.tag("both")
    lake.create_branch("both")

    with pytest.raises(lp.NotFoundError, match=r"no tag and no open branch 'laoded'.*did you mean 'loaded'"):
        lake.diff("laoded")
    with pytest.raises(lp.InvalidInputError, match="a tag and a branch"):
        lake.diff("both")
    with pytest.raises(lp.InvalidInputError, match="another lake"):
        lake.diff(lp.create(tmp_path / "other"))
    with pytest.raises(lp.SnapshotNotFoundError):
        lake.diff(99)


def test_a_selection_is_compared_alone(days) -> None:
    assert days[SECOND:THIRD].diff(1)["key"].tolist() == [SECOND, THIRD]
    assert days[SECOND:THIRD].diff(1, 3)["key"].tolist() == [THIRD]


def test_a_renamed_partition_is_the_same_one(lake) -> None:
    regions = lake.asset("regions", partitions=lp.Static(["eu", "us"]))
    before = regions.write({"eu": frame(("a", 1)), "us": frame(("a", 1))})
    regions.rename_key("eu", "emea")

    assert regions.diff(before.snapshot).empty
    regions.write(frame(("a", 2)), "emea")
    assert regions.diff(before.snapshot)[["key", "change"]].values.tolist() == [["emea", "changed"]]


def test_partitions_of_before_a_rewrite_are_none_of_those_after(lake) -> None:
    sales = lake.asset("sales", partitions=lp.Daily("2024-01-01", by="day"))
    when = pa.array([date(2024, 1, day) for day in (1, 2)], pa.date32())
    before = sales.write(pa.table({"day": when}))
    sales.repartition(lp.Monthly("2024-01-01", by="day"))

    diff = lake.diff(before.snapshot)

    assert sorted(diff[["key", "change"]].values.tolist()) == [
        [FIRST, "added"],  # the month's key is that of its first day
        [FIRST, "removed"],
        [SECOND, "removed"],
    ]


def test_rows_that_differ_are_told_apart_by_key_columns(days) -> None:
    rows = days.diff(1, rows=True, on=["sku"])

    assert rows.columns.tolist() == ["key", "change", "sku", "price_before", "price_after"]
    assert sorted(rows.fillna(-1).values.tolist()) == [
        [FIRST, "added", "c", -1, 9],
        [FIRST, "changed", "b", 2, 3],
        [SECOND, "removed", "a", 1, -1],
        [THIRD, "added", "z", -1, 1],
    ]
    assert rows["price_before"].dtype == "Int64"


def test_rows_are_compared_null_by_null(days) -> None:
    first = days.write(frame(("a", None), ("b", None), ("c", 1)), "2024-01-07")
    days.write(frame(("c", None), ("b", 2), ("a", None)), "2024-01-07")

    rows = days.diff(first.snapshot, rows=True, on=["sku"])

    assert rows[["sku", "change"]].values.tolist() in (
        [["b", "changed"], ["c", "changed"]],
        [["c", "changed"], ["b", "changed"]],
    )


def test_rows_that_cannot_be_told_apart_are_refused_by_name(lake, days) -> None:
    before = lake.snapshots()["snapshot"][0]
    days.write(frame(("a", 1), ("a", 2)), "2024-01-07")

    with pytest.raises(lp.InvalidInputError, match=r"partition '2024-01-07'.*'sku': 'a'.*more than once after"):
        days.diff(before, rows=True, on=["sku"])
    assert len(days.diff(before, rows=True, on=["sku", "price"])) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rows": True}, "names no column"),
        ({"rows": True, "on": ["skv"]}, "skv"),
        ({"on": ["sku"]}, "rows=True"),
    ],
    ids=str,
)
def test_key_columns_are_checked(days, options, match) -> None:
    with pytest.raises(lp.InvalidInputError, match=match):
        days.diff(1, **options)


def test_no_rows_differ_where_no_partition_does(days) -> None:
    rows = days.diff(4, rows=True, on=["sku"])

    assert rows.empty
    assert rows.columns.tolist() == ["key", "change", "sku", "price_before", "price_after"]


def test_comparing_takes_the_same_queries_for_one_partition_as_for_many(lake, days) -> None:
    taken = []
    for count in (1, 25):
        before = lake.snapshots()["snapshot"][0]
        days.write({f"2024-02-{day:02}": frame(("a", day + count)) for day in range(1, count + 1)})
        with counted(lake) as statements:
            assert len(days.diff(before)) == count
        taken.append(len(statements))

    assert taken[0] == taken[1] <= 14


def test_rows_are_compared_by_columns_whatever_these_are_called_then_and_now(days) -> None:
    before = days.write(frame(("a", 1), ("b", 2)), "2024-01-04")
    days.alter(rename={"price": "cost"})
    after = days.write(frame(("a", 1), ("b", 5)).rename_columns(["sku", "cost"]), "2024-01-04")

    forth = days["2024-01-04"].diff(before.snapshot, rows=True, on=["sku"])
    back = days["2024-01-04"].diff(after.snapshot, before.snapshot, rows=True, on=["sku"])

    assert forth.to_dict("records") == [
        {"key": "2024-01-04", "change": "changed", "sku": "b", "cost_before": 2, "cost_after": 5}
    ]
    assert back.to_dict("records") == [
        {"key": "2024-01-04", "change": "changed", "sku": "b", "price_before": 5, "price_after": 2}
    ]
