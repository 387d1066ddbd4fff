"""Reading in all its ways: what is selected, what comes back, and what is opened for it."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake, reopened, with_stores

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
COMMITTED = [1, 2, 3, 5, 6]


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def key_of(day: int) -> str:
    return f"2024-01-{day:02d}"


def keys_of(*days: int) -> list[str]:
    return [key_of(day) for day in days]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """Five of nine elapsed days, ten rows each, the fourth missing and the sixth empty; and an asset without ``by``."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    days = lake.asset("days", partitions=DAYS)
    days.write(frame(*((day, 10 * day + number) for day in COMMITTED[:-1] for number in range(10))))
    days.write(frame(), key_of(6))
    keyed = lake.asset("keyed", partitions=lp.Static(["b", "a", "ключ"]))
    keyed.write({"a": pa.table({"x": [1]}), "b": pa.table({"x": [2, 3]})})
    lake.asset("totals", partitions=lp.Unpartitioned()).write(pa.table({"x": [7]}))
    return lake


@pytest.fixture
def lake(template, place) -> lp.Lake:
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days")


@pytest.fixture
def keyed(lake) -> lp.Asset:
    return lake.asset("keyed")


class CountingStore:
    """A store that, like an object store, has no paths others could open, and counts what is opened."""

    def __init__(self, store):
        self._store = store
        self.opened = Counter()

    def __getattr__(self, name):
        return getattr(self._store, name)

    def os_path(self, path):
        return None

    def read_ranges(self, path, ranges):
        self.opened[path] += 1
        return self._store.read_ranges(path, ranges)


@pytest.fixture
def counted(lake) -> tuple[lp.Asset, Counter]:
    store = CountingStore(lake._home.context.stores["hot"])
    return with_stores(lake, {"hot": store}).asset("days"), store.opened


# What comes back


def test_every_way_to_read_gives_the_same_rows(days) -> None:
    selection = days[key_of(2) : key_of(3)]
    expected = list(range(20, 40))

    assert selection.to_arrow()["x"].to_pylist() == expected
    assert selection.to_pandas()["x"].tolist() == expected
    assert selection.to_polars()["x"].to_list() == expected
    assert [x for batch in selection.to_batches() for x in batch["x"].to_pylist()] == expected
    assert selection.resolve().to_arrow()["x"].to_pylist() == expected
    assert selection.head(20)["x"].tolist() == expected
    assert selection.count_rows() == 20
    assert len(days.to_arrow()) == 40


def test_a_dataset_gives_the_same_rows(days) -> None:
    assert days[key_of(2) : key_of(3)].dataset().to_table()["x"].to_pylist() == list(range(20, 40))


def test_frames_have_plain_indexes_and_the_types_that_were_written(days) -> None:
    found = days[key_of(1)].to_pandas()

    assert found.index.equals(pd.RangeIndex(10))
    assert found.dtypes.astype(str).to_dict()["x"] == "int64"
    assert isinstance(days.to_polars(), pl.DataFrame)
    assert days.to_arrow().schema == days.schema == pa.schema({"day": pa.date32(), "x": pa.int64()})


def test_a_known_empty_partition_is_read_as_no_rows(days) -> None:
    table = days[key_of(6)].to_arrow()

    assert (table.num_rows, table.schema) == (0, days.schema)
    assert list(days[key_of(6)].to_batches()) == [] or all(not len(batch) for batch in days[key_of(6)].to_batches())
    assert days[key_of(6)].head().columns.tolist() == ["day", "x"]


def test_an_asset_without_partitions_is_read_as_nothing(lake) -> None:
    empty = lake.asset("new", partitions=DAYS)

    assert (empty.keys, len(empty), bool(empty), empty.count_rows()) == ([], 0, False, 0)
    assert empty.to_arrow().num_rows == empty.head().shape[0] == 0
    assert empty.files().empty
    with pytest.raises(lp.PartitionNotFoundError, match="no committed partition"):
        empty.latest()


@pytest.mark.parametrize(("rows", "found"), [(0, 0), (1, 1), (15, 15), (1_000, 40)])
def test_head_gives_as_many_rows_as_asked_for_where_there_are_so_many(days, rows, found) -> None:
    assert days.head(rows)["x"].tolist() == days.to_pandas()["x"].tolist()[:found]


@pytest.mark.parametrize(("rows", "files"), [(0, 0), (1, 1), (10, 1), (11, 2), (1_000, 4)])
def test_head_opens_no_more_files_than_it_needs(counted, rows, files) -> None:
    asset, opened = counted

    asset.head(rows)

    assert len(opened) == files


@pytest.mark.in_a_folder
def test_head_takes_no_negative_number(days) -> None:
    with pytest.raises(lp.InvalidInputError, match=r"head\(-1\)"):
        days.head(-1)


def test_columns_come_in_the_order_asked_for_and_unknown_ones_are_named_with_close_ones(days) -> None:
    assert days.to_arrow(columns=["x", "day"]).column_names == ["x", "day"]
    assert days.to_arrow(columns=["x"]).column_names == ["x"]
    with pytest.raises(lp.InvalidInputError, match="did you mean 'day'") as caught:
        days.to_arrow(columns=["dayy"])
    assert caught.value.code == "unknown-column"


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ([("x", ">=", 52)], list(range(52, 60))),
        ([("x", ">", 17), ("x", "<", 21)], [18, 19, 20]),
        ([[("x", "=", 10)], [("x", "==", 59)]], [10, 59]),
        ([("x", "in", [11, 33, 99])], [11, 33]),
        (pc.field("x") < 12, [10, 11]),
        ([("day", "=", date(2024, 1, 2))], list(range(20, 30))),
        ([("x", "<", 0)], []),
    ],
    ids=str,
)
def test_filters_keep_the_rows_that_match_in_every_way_to_read(days, condition, found) -> None:
    assert days.to_arrow(filter=condition)["x"].to_pylist() == found
    assert days.to_pandas(columns=["x"], filter=condition)["x"].tolist() == found
    assert [x for batch in days.to_batches(filter=condition) for x in batch["x"].to_pylist()] == found
    assert days.to_arrow(columns=["day"], filter=condition).column_names == ["day"]


@pytest.mark.parametrize(
    ("condition", "days_opened"),
    [
        ([("day", "=", date(2024, 1, 2))], [2]),
        ([("day", ">", date(2024, 1, 2))], [3, 5]),
        ([("x", ">=", 52)], [5]),
        ([("x", "in", [11, 33])], [1, 3]),
        ([[("x", "=", 10)], [("x", "=", 59)]], [1, 5]),
        ([("x", "<", 0)], []),
        (None, [1, 2, 3, 5]),
    ],
    ids=str,
)
def test_only_files_that_can_hold_a_match_are_opened(counted, condition, days_opened) -> None:
    asset, opened = counted

    plan = asset.plan_read(filter=condition)
    asset.to_arrow(filter=condition)

    assert sorted({path.split("/")[1] for path in opened}) == [f"partition={key_of(day)}" for day in days_opened]
    assert set(opened.values()) <= {1}
    assert (plan.files, plan.files + plan.pruned_files) == (len(days_opened), 4)


def test_planning_and_counting_open_nothing(counted) -> None:
    asset, opened = counted

    plan = asset[key_of(1) : key_of(4)].plan_read()
    asset.count_rows()
    asset.files()

    assert not opened
    assert (plan.keys, plan.missing, plan.rows, plan.tiers) == (
        tuple(keys_of(1, 2, 3)),
        (key_of(4),),
        30,
        {"hot": 3},
    )


# The key as a column


def test_the_key_is_added_where_rows_do_not_say_which_partition_they_are_of(keyed, days, lake) -> None:
    assert keyed.to_arrow().to_pylist() == [
        {"x": 2, "partition": "b"},
        {"x": 3, "partition": "b"},
        {"x": 1, "partition": "a"},
    ]
    assert keyed[["a", "b"]].to_pandas()["partition"].tolist() == ["b", "b", "a"]
    assert keyed["a"].to_arrow().column_names == ["x"]
    assert days.to_arrow().column_names == ["day", "x"]
    assert lake.asset("totals").to_arrow().to_pylist() == [{"x": 7}]


def test_the_key_is_added_under_the_name_asked_for(keyed, days) -> None:
    assert keyed["a"].to_pandas(key_column="key").to_dict("list") == {"x": [1], "key": ["a"]}
    assert set(days[key_of(1)].to_arrow(key_column="key")["key"].to_pylist()) == {key_of(1)}
    assert keyed.to_arrow(columns=["key"], key_column="key")["key"].to_pylist() == ["b", "b", "a"]
    with pytest.raises(lp.InvalidInputError, match="is a column of 'days' already"):
        days.to_arrow(key_column="x")


def test_the_key_is_named_as_the_dimension(lake) -> None:
    asset = lake.asset("named", partitions=lp.Static(["a", "b"], dimension="carrier"))
    asset.write({"a": pa.table({"x": [1]}), "b": pa.table({"x": [2]})})

    assert asset.to_arrow().column_names == ["x", "carrier"]


# What is missing


@pytest.mark.parametrize(
    "read",
    [
        lambda selection, **options: selection.to_arrow(**options),
        lambda selection, **options: selection.to_pandas(**options),
        lambda selection, **options: selection.to_polars(**options),
        lambda selection, **options: list(selection.to_batches(**options)),
        lambda selection, **options: selection.count_rows(**options),
        lambda selection, **options: selection.resolve().to_arrow(**options),
    ],
    ids=["arrow", "pandas", "polars", "batches", "count", "resolved"],
)
def test_missing_partitions_are_an_error_before_a_file_is_opened_or_skipped_with_a_warning(counted, read) -> None:
    asset, opened = counted
    selection = asset[key_of(3) : key_of(5)]

    with pytest.raises(lp.PartitionNotFoundError, match=f"1 partition of 'days' is missing .*{key_of(4)}") as caught:
        read(selection)
    assert caught.value.context["missing"] == [key_of(4)]
    assert not opened

    with pytest.warns(lp.PartialReadWarning, match=key_of(4)) as warned:
        read(selection, missing="skip")
    assert [warning.filename for warning in warned] == [__file__]


def test_a_dataset_leaves_out_what_is_missing_only_where_that_is_asked_for(days) -> None:
    selection = days[key_of(3) : key_of(5)]

    with pytest.raises(lp.PartitionNotFoundError, match=key_of(4)):
        selection.dataset()
    with pytest.warns(lp.PartialReadWarning, match=key_of(4)) as warned:
        dataset = selection.dataset(missing="skip")

    assert dataset.count_rows() == 20
    assert [warning.filename for warning in warned] == [__file__]


@pytest.mark.in_a_folder
def test_another_way_to_treat_missing_partitions_is_refused(days) -> None:
    with pytest.raises(lp.InvalidInputError, match="'error', 'skip'"):
        days[key_of(1)].to_arrow(missing="ignore")


def test_head_does_not_pass_over_missing_partitions(days) -> None:
    with pytest.raises(lp.PartitionNotFoundError, match=key_of(4)):
        days[key_of(4)].head()


def test_open_ends_mean_what_is_committed(days) -> None:
    assert days[key_of(2) :].keys == keys_of(2, 3, 5, 6)
    assert days[: key_of(4)].keys == keys_of(1, 2, 3)
    assert days[:].keys == days.keys == keys_of(*COMMITTED)
    assert days[key_of(4) :].to_arrow().num_rows == 10


# What is selected


@pytest.mark.in_a_folder
def test_named_partitions_are_selected_whether_they_are_there_or_not(days) -> None:
    assert days[key_of(4)].keys == [key_of(4)]
    assert days[[key_of(9), key_of(2)]].keys == keys_of(2, 9)
    assert days[key_of(3) : key_of(5)].keys == keys_of(3, 4, 5)
    assert days["2024-01"].keys == keys_of(*range(1, 32))
    assert len(days["2024"]) == 366
    assert days[date(2024, 1, 2)].keys == [key_of(2)]
    assert days["2024-01":"2024-02-01"].keys[-1] == "2024-02-01"


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("item", "hint"),
    [
        (3, "last"),
        (slice(None, None, 2), "step"),
        (slice(-3, None), "last"),
        (datetime(2024, 1, 2, tzinfo=UTC), "between"),
        (slice(key_of(5), key_of(2)), ""),
        ("2023-12-31", ""),
        ("nonsense", "2024"),
        ((key_of(1), "UA"), ""),
        ({"day": key_of(1)}, ""),
        (None, ""),
    ],
    ids=str,
)
def test_what_is_no_label_is_refused_with_the_way_out(days, item, hint) -> None:
    with pytest.raises(lp.InvalidInputError) as caught:
        days[item]

    assert hint in str(caught.value)


@pytest.mark.in_a_folder
def test_selections_know_their_keys_windows_and_members(days, keyed) -> None:
    selection = days[key_of(1) : key_of(3)]

    assert (len(selection), bool(selection), key_of(2) in selection, key_of(4) in selection) == (3, True, True, False)
    assert [window.start.day for window in selection.windows] == [1, 2, 3]
    assert selection.windows[-1].end == datetime(2024, 1, 4, tzinfo=UTC)
    assert [one.keys for one in selection] == [[key] for key in keys_of(1, 2, 3)]
    assert (key_of(5) in days, key_of(4) in days, 7 in selection) == (True, False, False)
    assert keyed.windows == [None, None]
    assert repr(selection) == "<Selection days 2024-01-01..2024-01-03>"


@pytest.mark.in_a_folder
def test_selections_combine_like_sets(days) -> None:
    left, right = days[key_of(1) : key_of(4)], days[key_of(3) : key_of(6)]

    assert (left & right).keys == keys_of(3, 4)
    assert (left | right).keys == keys_of(1, 2, 3, 4, 5, 6)
    assert (left - right).keys == keys_of(1, 2)
    assert (left - left).keys == []
    assert not left - left
    assert repr(left - left) == "<Selection days of nothing>"


@pytest.mark.in_a_folder
def test_open_ends_stay_open_in_a_union_and_close_in_an_intersection(days) -> None:
    named, open_ended = days[key_of(4)], days[key_of(3) :]

    assert (named | open_ended).keys == keys_of(3, 5, 6)
    assert (open_ended - days[key_of(5)]).keys == keys_of(3, 6)
    assert (named & open_ended).keys == [key_of(4)]
    assert (days[:] & days["2024-01-04":"2024-01-05"]).keys == keys_of(4, 5)


@pytest.mark.in_a_folder
def test_only_selections_of_one_asset_in_one_view_combine(lake, days, keyed) -> None:
    here = days[key_of(1)]

    for other in (keyed["a"], lake.at(1).asset("days")[key_of(1)], {key_of(1)}, key_of(1)):
        with pytest.raises(lp.InvalidInputError, match=r"combine|selection"):
            here | other
        with pytest.raises(lp.InvalidInputError, match=r"combine|selection"):
            here & other


def test_selections_from_two_handles_of_one_lake_combine(lake, days) -> None:
    other = reopened(lake).asset("days")[key_of(2)]

    assert (days[key_of(1)] | other).keys == keys_of(1, 2)


@pytest.mark.in_a_folder
def test_latest_are_the_newest_committed_and_last_the_newest_that_elapsed(lake, days) -> None:
    assert days.latest().keys == [key_of(6)]
    assert days.latest(2).keys == keys_of(5, 6)
    assert days.latest(99).keys == keys_of(*COMMITTED)
    assert days.last(2).keys == keys_of(8, 9)
    assert days.last(2, as_of=datetime(2024, 1, 5, tzinfo=UTC)).keys == keys_of(3, 4)
    clock_of(lake).advance(timedelta(hours=12))
    assert days.last(1).keys == [key_of(10)]
    for count in (0, -1):
        with pytest.raises(lp.InvalidInputError):
            days.latest(count)
        with pytest.raises(lp.InvalidInputError):
            days.last(count)


@pytest.mark.in_a_folder
def test_between_is_half_open_and_wants_aware_instants(days) -> None:
    start, end = datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 4, tzinfo=UTC)

    assert days.between(start, end).keys == keys_of(2, 3)
    assert days.between(start + timedelta(microseconds=1), end + timedelta(microseconds=1)).keys == keys_of(3, 4)
    for bad in ((start.replace(tzinfo=None), end), (end, start)):
        with pytest.raises(lp.InvalidInputError):
            days.between(*bad)


@pytest.mark.in_a_folder
def test_between_goes_by_the_zone_of_the_instants(lake) -> None:
    local = lake.asset("local", partitions=lp.Daily("2024-03-01", tz="America/New_York"))
    start = datetime(2024, 3, 10, 5, tzinfo=UTC)

    assert local.between(start, start + timedelta(hours=23)).keys == ["2024-03-10"]
    assert local.between(start, start + timedelta(hours=23, seconds=1)).keys == ["2024-03-10", "2024-03-11"]


@pytest.mark.in_a_folder
def test_older_than_are_the_committed_whose_windows_ended_so_long_ago(days) -> None:
    assert days.older_than(timedelta(days=7, hours=12)).keys == keys_of(1, 2)
    assert days.older_than(timedelta(0)).keys == keys_of(*COMMITTED)
    assert days.older_than(timedelta(days=1), as_of=datetime(2024, 1, 4, tzinfo=UTC)).keys == keys_of(1, 2)
    assert days.older_than(timedelta(days=300)).keys == []
    for age in (timedelta(days=-1), timedelta.max):
        with pytest.raises(lp.InvalidInputError, match="no age"):
            days.older_than(age)


def test_missing_are_the_elapsed_that_are_not_there_fixed_at_the_call(lake, days) -> None:
    missing = days.missing()
    days.write(frame((4, 1)))

    assert missing.keys == keys_of(4, 7, 8, 9)
    assert days.missing(as_of=datetime(2024, 1, 8, tzinfo=UTC)).keys == [key_of(7)]
    assert days.stale().keys == days.failed().keys == []


def test_partitions_are_found_by_tier(days) -> None:
    days[key_of(1) : key_of(2)].demote("cold", progress=False)

    assert days.in_tier("cold").keys == keys_of(1, 2)
    assert days.in_tier("hot").keys == keys_of(3, 5)
    with pytest.raises(lp.InvalidInputError, match="no tier 'warm'"):
        days.in_tier("warm")


@pytest.mark.in_a_folder
@pytest.mark.parametrize(("count", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (99, [5])])
def test_batches_of_partitions_are_full_but_for_the_last(days, count, sizes) -> None:
    batches = list(days.batched(count))

    assert [len(batch) for batch in batches] == sizes
    assert [key for batch in batches for key in batch.keys] == days.keys


@pytest.mark.in_a_folder
def test_a_batch_of_partitions_is_not_empty(days) -> None:
    with pytest.raises(lp.InvalidInputError, match="at least 1"):
        list(days.batched(0))


@pytest.mark.in_a_folder
def test_partitions_come_in_the_order_of_the_definition(keyed) -> None:
    assert keyed.keys == ["b", "a"]
    assert keyed[["a", "b"]].keys == ["b", "a"]
    assert keyed["b":"ключ"].keys == ["b", "a", "ключ"]


# Handles


def test_handles_travel_to_other_processes(lake, days) -> None:
    selection = days[key_of(1) : key_of(2)]

    for handle in (lake, days, selection, lake.at(1), lake.at(1).asset("days")[key_of(1)]):
        again = pickle.loads(pickle.dumps(handle))
        assert repr(again) == repr(handle)
    assert pickle.loads(pickle.dumps(selection)).to_arrow().equals(selection.to_arrow())
    assert pickle.loads(pickle.dumps(lake.at(0).asset("days"))).keys == []


def test_what_was_resolved_stays_what_it_was(days) -> None:
    resolved = days[key_of(1) : key_of(2)].resolve()
    days.write(frame((1, -1)), key_of(1))
    days[key_of(2)].demote("cold", progress=False)

    assert resolved.to_arrow()["x"].to_pylist() == list(range(10, 30))
    assert (resolved.keys, resolved.snapshot, len(resolved)) == (tuple(keys_of(1, 2)), 4, 2)
    assert repr(resolved) == "<days 2024-01-01..2024-01-02 at snapshot 4>"


def test_files_are_listed_with_what_any_program_needs(days) -> None:
    files = days[key_of(1) : key_of(2)].files()

    assert files["key"].tolist() == keys_of(1, 2)
    assert files["tier"].tolist() == ["hot", "hot"]
    assert files["rows"].tolist() == [10, 10]
    for path, rows in zip(files["path"], files["rows"], strict=True):
        assert len(pd.read_parquet(path)) == rows  # from S3 through s3fs
