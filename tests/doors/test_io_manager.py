"""The IO manager without any framework: partitions stored and loaded by key."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp

DAYS = ["2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04"]


def hours_of(*days: str, value: int = 0) -> pd.DataFrame:
    """Give two rows a day, the days in the order given."""
    stamps = [pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=hour) for day in days for hour in (3, 9)]
    return pd.DataFrame({"t": pd.Series(stamps, dtype="datetime64[us, UTC]"), "x": range(value, value + len(stamps))})


def rows_on_disk(lake: lp.Lake, asset: str) -> dict[str, int]:
    """Count rows per partition by what the files say, without reading through lakepart."""
    files = lake.asset(asset).files()
    counts = [pq.ParquetFile(path).metadata.num_rows for path in files["path"]]
    return pd.Series(counts, index=files["key"], dtype="int64").groupby(level=0).sum().to_dict()


@pytest.fixture
def lake(place):
    with lp.create(place.url, catalog=place.catalog) as lake:
        lake.asset("hours", partitions=lp.Daily("2013-01-01", by="t"))
        lake.asset("regions", partitions=lp.Static(["eu", "us", "asia"]))
        lake.asset("lookup", partitions=lp.Unpartitioned())
        yield lake


@pytest.fixture
def io(lake):
    return lp.IOManager(lake)


def test_one_frame_is_split_over_keys_with_gaps_in_one_commit(lake, io) -> None:
    commit = io.save("hours", ["2013-01-04", "2013-01-01"], hours_of("2013-01-04", "2013-01-01"))

    assert (commit.partitions, commit.rows) == (2, 4)
    assert rows_on_disk(lake, "hours") == {"2013-01-01": 2, "2013-01-04": 2}


def test_a_frame_per_key_is_stored_under_its_key(lake, io) -> None:
    frames = {day: hours_of(day, value=n) for n, day in enumerate(DAYS)}

    commit = io.save("hours", reversed(DAYS), frames)

    assert (commit.partitions, commit.rows) == (4, 8)
    assert rows_on_disk(lake, "hours") == dict.fromkeys(DAYS, 2)


def test_only_the_named_partitions_are_replaced(lake, io) -> None:
    io.save("hours", DAYS, hours_of(*DAYS))

    io.save("hours", "2013-01-02", hours_of("2013-01-02", value=100))

    loaded = io.load("hours", DAYS)
    assert loaded["x"].tolist() == [0, 1, 100, 101, 4, 5, 6, 7]


def test_a_row_of_a_partition_that_was_not_named_changes_nothing(lake, io) -> None:
    io.save("hours", DAYS[:2], hours_of(*DAYS[:2]))

    with pytest.raises(lp.PartitionKeyError, match="2013-01-03"):
        io.save("hours", DAYS[:2], hours_of(*DAYS[:3], value=50))

    assert io.load("hours", DAYS[:2])["x"].tolist() == [0, 1, 2, 3]
    assert rows_on_disk(lake, "hours") == {"2013-01-01": 2, "2013-01-02": 2}


def test_a_named_partition_without_rows_becomes_known_to_be_empty(lake, io) -> None:
    io.save("hours", DAYS[:2], hours_of("2013-01-01"))

    assert lake.asset("hours")[DAYS[:2]].status()["data"].tolist() == ["fresh", "empty"]
    assert len(io.load("hours", "2013-01-02")) == 0


@pytest.mark.in_a_folder
def test_a_mapping_must_have_every_key(io) -> None:
    with pytest.raises(lp.InvalidInputError, match=r"1 partition of 'hours' .* is not in the mapping: 2013-01-02"):
        io.save("hours", DAYS[:2], {"2013-01-01": hours_of("2013-01-01")})


@pytest.mark.in_a_folder
def test_a_mapping_may_not_have_other_keys(io) -> None:
    frames = {day: hours_of(day) for day in DAYS[:2]}

    with pytest.raises(lp.PartitionKeyError, match="2013-01-02"):
        io.save("hours", "2013-01-01", frames)


def test_a_mapping_names_its_partitions_itself(lake, io) -> None:
    io.save("hours", None, {day: hours_of(day) for day in DAYS[1:3]})

    assert rows_on_disk(lake, "hours") == {"2013-01-02": 2, "2013-01-03": 2}


@pytest.mark.in_a_folder
def test_a_frame_without_keys_is_refused_for_a_partitioned_asset(lake, io) -> None:
    with pytest.raises(lp.InvalidInputError, match="name the keys"):
        io.save("hours", None, hours_of("2013-01-01"))

    assert rows_on_disk(lake, "hours") == {}


@pytest.mark.in_a_folder
def test_no_keys_at_all_cannot_be_stored_under(io) -> None:
    with pytest.raises(lp.InvalidInputError, match="name at least one"):
        io.save("hours", [], hours_of("2013-01-01"))


@pytest.mark.in_a_folder
def test_without_a_column_that_says_so_several_partitions_come_as_a_mapping(lake, io) -> None:
    frame = pd.DataFrame({"x": [1, 2]})

    with pytest.raises(lp.InvalidInputError, match=r"write \{key: frame, …\}"):
        io.save("regions", ["eu", "us"], frame)

    io.save("regions", ["us", "eu"], {"us": frame, "eu": frame[:1]})
    assert rows_on_disk(lake, "regions") == {"eu": 1, "us": 2}


@pytest.mark.in_a_folder
def test_keys_are_keys_and_not_labels(io) -> None:
    with pytest.raises(lp.PartitionKeyError, match="2013-01"):
        io.save("hours", "2013-01", hours_of("2013-01-01"))


def test_an_unpartitioned_asset_needs_no_keys(io) -> None:
    io.save("lookup", None, pd.DataFrame({"x": [1, 2]}))
    io.save("lookup", None, pd.DataFrame({"x": [3]}))

    assert io.load("lookup")["x"].tolist() == [3]


def test_loading_an_unpartitioned_asset_that_was_never_written_is_an_error(io) -> None:
    with pytest.raises(lp.PartitionNotFoundError, match="all"):
        io.load("lookup")


def test_loaded_partitions_come_in_the_order_of_the_definition(io) -> None:
    io.save("regions", ["eu", "us", "asia"], {key: pd.DataFrame({"x": [key]}) for key in ("asia", "us", "eu")})

    assert io.load("regions", ["asia", "eu"])["x"].tolist() == ["eu", "asia"]
    assert list(io.load("regions", ["asia", "us", "eu"], dict[str, pd.DataFrame])) == ["eu", "us", "asia"]


def test_no_keys_load_everything_that_is_committed(io) -> None:
    io.save("hours", [DAYS[0], DAYS[3]], hours_of(DAYS[0], DAYS[3]))

    assert io.load("hours")["x"].tolist() == [0, 1, 2, 3]


def test_a_missing_partition_is_an_error_that_names_it(io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))

    with pytest.raises(lp.PartitionNotFoundError, match="2013-01-02"):
        io.load("hours", DAYS[:2])


def test_a_missing_partition_is_skipped_with_a_warning_where_that_is_asked_for(io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))

    with pytest.warns(lp.PartialReadWarning, match="2013-01-02"):
        loaded = io.load("hours", DAYS[:2], dict[str, pa.Table], missing="skip")

    assert {key: table.num_rows for key, table in loaded.items()} == {"2013-01-01": 2}


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("as_type", "rows"),
    [
        (pd.DataFrame, lambda frame: frame["x"].tolist()),
        (pa.Table, lambda table: table.column("x").to_pylist()),
        (pl.DataFrame, lambda frame: frame["x"].to_list()),
        (lp.Selection, lambda selection: selection.to_arrow().column("x").to_pylist()),
    ],
)
def test_frames_of_several_kinds_can_be_asked_for(io, as_type, rows) -> None:
    io.save("hours", DAYS, hours_of(*DAYS))

    loaded = io.load("hours", DAYS[1:3], as_type)

    assert isinstance(loaded, as_type)
    assert rows(loaded) == [2, 3, 4, 5]


@pytest.mark.in_a_folder
@pytest.mark.parametrize("frame_type", [pd.DataFrame, pa.Table, pl.DataFrame])
def test_a_frame_per_key_can_be_asked_for(io, frame_type) -> None:
    io.save("hours", DAYS[:3], hours_of(DAYS[0], DAYS[2]))  # nothing on the second

    loaded = io.load("hours", DAYS[:3], dict[str, frame_type])

    assert all(isinstance(frame, frame_type) for frame in loaded.values())
    assert {key: frame.shape for key, frame in loaded.items()} == {DAYS[0]: (2, 2), DAYS[1]: (0, 2), DAYS[2]: (2, 2)}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("keys", [["us"], ["us", "eu"]])
def test_a_frame_per_key_has_the_same_columns_for_one_key_and_for_two(io, keys) -> None:
    io.save("regions", keys, {key: pd.DataFrame({"x": [1], "y": [2]}) for key in keys})

    whole = io.load("regions", keys, dict[str, pa.Table])
    pruned = io.load("regions", keys, dict[str, pa.Table], columns=["y"])

    assert [table.column_names for table in whole.values()] == [["x", "y"]] * len(keys)
    assert [table.column_names for table in pruned.values()] == [["y"]] * len(keys)


def test_only_the_columns_asked_for_are_loaded(io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))

    assert list(io.load("hours", DAYS[0], columns=["x"]).columns) == ["x"]
    with pytest.raises(lp.InvalidInputError, match="'xx'"):
        io.load("hours", DAYS[0], columns=["xx"])


@pytest.mark.in_a_folder
@pytest.mark.parametrize("as_type", [list, dict[int, pd.DataFrame], dict[str, lp.Selection], list[pd.DataFrame], 3])
def test_a_type_that_cannot_be_loaded_is_refused_with_those_that_can(io, as_type) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))

    with pytest.raises(lp.InvalidInputError, match=r"pyarrow\.Table"):
        io.load("hours", DAYS[0], as_type)


@pytest.mark.in_a_folder
def test_a_selection_takes_no_columns_because_it_reads_nothing_yet(io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))

    with pytest.raises(lp.InvalidInputError, match="reads nothing"):
        io.load("hours", DAYS[0], lp.Selection, columns=["x"])


@pytest.mark.in_a_folder
def test_an_unknown_asset_is_named_with_close_ones(io) -> None:
    with pytest.raises(lp.AssetNotFoundError, match="'hours'"):
        io.load("hour", DAYS[0])


def test_what_was_made_from_changed_partitions_is_stale(lake, io) -> None:
    lake.asset("sums", partitions=lp.Daily("2013-01-01"))
    io.save("hours", DAYS, hours_of(*DAYS))
    read = io.select("hours", DAYS[:2])
    total = pd.DataFrame({"x": [read.to_pandas()["x"].sum()]})
    io.save("sums", DAYS[0], total, inputs={"hours": read}, code_version="1")
    assert lake.asset("sums")[DAYS[0]].status()["data"].tolist() == ["fresh"]

    io.save("hours", DAYS[3], hours_of(DAYS[3], value=9))
    assert lake.asset("sums")[DAYS[0]].status()["data"].tolist() == ["fresh"]

    io.save("hours", DAYS[1], hours_of(DAYS[1], value=9))
    status = lake.asset("sums")[DAYS[0]].status()
    assert status["data"].tolist() == ["stale"]
    assert status["reasons"].tolist() == ["input hours changed"]
    assert status["code_version"].tolist() == ["1"]


def test_a_change_between_reading_and_storing_is_seen(lake, io) -> None:
    lake.asset("sums", partitions=lp.Daily("2013-01-01"))
    io.save("hours", DAYS[0], hours_of(DAYS[0]))
    read = io.select("hours", DAYS[0])

    io.save("hours", DAYS[0], hours_of(DAYS[0], value=9))

    assert read.to_pandas()["x"].tolist() == [0, 1]  # what was selected, whatever came after
    io.save("sums", DAYS[0], pd.DataFrame({"x": [1]}), inputs={"hours": read})
    assert lake.asset("sums")[DAYS[0]].status()["data"].tolist() == ["stale"]


def test_a_selection_is_fixed_even_when_another_branch_committed_last(lake, io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))
    branch = lake.create_branch("other")
    lp.IOManager(branch).save("hours", DAYS[0], hours_of(DAYS[0], value=9))

    assert io.load("hours", DAYS[0])["x"].tolist() == [0, 1]
    assert lp.IOManager(branch).load("hours", DAYS[0])["x"].tolist() == [9, 10]


def test_the_past_can_be_loaded_and_not_written(lake, io) -> None:
    first = io.save("hours", DAYS[0], hours_of(DAYS[0]))
    io.save("hours", DAYS[0], hours_of(DAYS[0], value=9))
    past = lp.IOManager(lake.at(first.snapshot))

    assert past.load("hours", DAYS[0])["x"].tolist() == [0, 1]
    with pytest.raises(lp.StateError, match="read-only"):
        past.save("hours", DAYS[0], hours_of(DAYS[0]))


def test_what_a_save_says_of_itself_is_kept_with_its_commit(lake, io) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]), message="nightly", metadata={"run": "r1"}, code_version="3")

    newest = lake.snapshots(limit=1).iloc[0]
    assert newest["message"] == "nightly"
    assert lake.asset("hours")[DAYS[0]].status()["code_version"].tolist() == ["3"]


def test_a_window_that_has_not_ended_can_be_stored_and_is_early(lake, io) -> None:
    today = datetime.now(UTC).date()
    key, next_key = today.isoformat(), (today + timedelta(days=1)).isoformat()

    io.save("hours", [key, next_key], hours_of(key, next_key))

    assert len(io.load("hours", [key, next_key])) == 4
    assert lake.asset("hours")[next_key].status()["reasons"].str.startswith("early").all()


@pytest.mark.in_a_folder
def test_loading_imports_no_library_that_was_not_asked_for(io, lake) -> None:
    io.save("hours", DAYS[0], hours_of(DAYS[0]))
    code = (
        "import sys, pandas, lakepart as lp\n"
        "lp.IOManager(lp.connect(sys.argv[1])).load('hours', '2013-01-01', dict[str, pandas.DataFrame])\n"
        "print('polars' in sys.modules, 'dagster' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code, lake.url], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]
