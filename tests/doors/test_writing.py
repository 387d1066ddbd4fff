"""Writing in all its ways: what goes in, which partitions it reaches, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path, PurePosixPath

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.testing import copied, files_of, frozen_lake, memory_lake, query_catalog, stray_files

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
KEYED = lp.Static(["a", "b", "c"])


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    return frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)


@pytest.fixture
def lake(template, place) -> lp.Lake:
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days", partitions=DAYS)


@pytest.fixture
def keyed(lake) -> lp.Asset:
    return lake.asset("keyed", partitions=KEYED)


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def values(*numbers: int) -> pa.Table:
    return pa.table({"x": pa.array(numbers, pa.int64())})


def key_of(day: int) -> str:
    return f"2024-01-{day:02d}"


def rows_by_key(lake: lp.Lake, asset: str) -> dict[str, list[int]]:
    """Read the current files of every partition with bare pyarrow and SQL: key to the values of ``x``, in order."""
    statement = (
        "SELECT key, tier.root, copy.path FROM version JOIN asset USING (asset_id) "
        "LEFT JOIN version_file USING (version_id) LEFT JOIN copy USING (file_id) LEFT JOIN tier ON tier.name = tier "
        f"WHERE ended IS NULL AND branch_id = 0 AND asset.name = '{asset}' ORDER BY ordinal, position"
    )
    found: dict[str, list[int]] = {}
    files = files_of(lake)
    for key, root, path in query_catalog(lake, statement):
        rows = [] if path is None else pq.ParquetFile(BytesIO(files[f"{root}/{path}"])).read()["x"].to_pylist()
        found.setdefault(key, []).extend(rows)
    return found


def assert_nothing_changed(lake: lp.Lake, before: dict[str, bytes]) -> None:
    assert files_of(lake) == before
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]
    assert stray_files(lake) == set()


# What goes in

ROWS = frame((1, 10), (2, 20), (2, 21))
INPUTS = {
    "a pandas frame": ROWS.to_pandas,
    "a table": lambda: ROWS,
    "a table of many chunks": lambda: pa.concat_tables([ROWS.slice(0, 1), ROWS.slice(1, 2)]),
    "a slice of a table": lambda: pa.concat_tables([frame((9, 0)), ROWS]).combine_chunks().slice(1),
    "a record batch": lambda: ROWS.combine_chunks().to_batches()[0],
    "a record batch reader": lambda: pa.RecordBatchReader.from_batches(ROWS.schema, ROWS.to_batches(max_chunksize=1)),
    "a dataset": lambda: ds.dataset(ROWS),
    "a polars frame": lambda: pl.from_arrow(ROWS),
    "a generator of batches": lambda: (batch for batch in ROWS.to_batches(max_chunksize=1)),
    "a generator of pandas frames": lambda: (ROWS.slice(at, 1).to_pandas() for at in range(3)),
    "a generator with an empty frame first": lambda: iter([ROWS.slice(0, 0), ROWS]),
    "a mapping": lambda: {key_of(1): ROWS.slice(0, 1), key_of(2): ROWS.slice(1).to_pandas()},
    "a list of pairs": lambda: [(key_of(1), ROWS.slice(0, 1)), (key_of(2), ROWS.slice(1))],
    "a generator of pairs": lambda: ((key_of(day), rows) for day, rows in ((2, ROWS.slice(1)), (1, ROWS.slice(0, 1)))),
    "a mapping of generators": lambda: {key_of(1): iter([ROWS.slice(0, 1)]), key_of(2): iter([ROWS.slice(1)])},
}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("kind", INPUTS)
def test_rows_of_any_kind_reach_their_partitions(lake, days, kind) -> None:
    commit = days.write(INPUTS[kind]())

    assert rows_by_key(lake, "days") == {key_of(1): [10], key_of(2): [20, 21]}
    assert (commit.snapshot, commit.partitions, commit.rows) == (1, 2, 3)
    assert commit.files == len(days.files())
    assert commit.bytes == sum(Path(path).stat().st_size for path in days.files()["path"])


@pytest.mark.in_a_folder
@pytest.mark.parametrize("kind", INPUTS)
def test_rows_of_any_kind_are_written_to_the_selection_that_names_them(lake, days, kind) -> None:
    days[key_of(1) : key_of(3)].write(INPUTS[kind]())

    assert rows_by_key(lake, "days") == {key_of(1): [10], key_of(2): [20, 21], key_of(3): []}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("kind", [kind for kind in INPUTS if "pairs" not in kind and "mapping" not in kind])
def test_rows_of_any_kind_are_the_content_of_one_partition(lake, keyed, kind) -> None:
    keyed.write(INPUTS[kind](), "b")

    assert rows_by_key(lake, "keyed") == {"b": [10, 20, 21]}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("data", [3, "rows", None, [1, 2], ..., {"x": [1, 2]}, {"2024-01-01": 5}], ids=repr)
def test_what_is_no_frame_is_refused(lake, days, data) -> None:
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError):
        days.write(data)

    assert_nothing_changed(lake, before)


def test_an_iterator_that_fails_half_way_leaves_nothing(lake, days) -> None:
    days.write(frame((1, 1)))
    before = files_of(lake)

    def broken():
        yield frame((2, 2))
        yield frame((3, 3))
        raise ZeroDivisionError("the source is gone")

    with pytest.raises(ZeroDivisionError):
        days.write(broken())

    assert_nothing_changed(lake, before)


def test_an_unpartitioned_asset_is_written_whole(lake) -> None:
    totals = lake.asset("totals", partitions=lp.Unpartitioned())

    totals.write(values(1, 2))
    totals.write(values(3), if_exists="append")

    assert rows_by_key(lake, "totals") == {"all": [1, 2, 3]}
    with pytest.raises(lp.AlreadyExistsError, match="already: all"):
        totals.write(values(4))


def test_a_lake_in_memory_takes_and_gives_rows(tmp_path) -> None:
    asset = memory_lake(tmp_path, at=NOW).asset("days", partitions=DAYS)

    asset.write(frame((1, 1), (2, 2)))

    assert asset.to_pandas()["x"].tolist() == [1, 2]


# Large, empty and strange


def test_many_rows_in_no_order_keep_the_order_they_had_within_their_partitions(lake, days) -> None:
    count = 200_000
    numbers = pa.array(range(count), pa.int64())
    offsets = [(number * 7919) % 400 for number in range(count)]
    dates = pa.array([19_723 + offset for offset in offsets], pa.int32()).cast(pa.date32())

    days.write(pa.table({"day": dates, "x": numbers}))

    assert len(days) == 400
    first = days["2024-01-01"].to_arrow()["x"].to_pylist()
    assert first == [number for number in range(count) if (number * 7919) % 400 == 0]


def test_a_stream_in_no_order_becomes_one_version_a_partition(lake, days) -> None:
    def stream():
        for number in range(60):
            yield frame((1 + number % 5, number))

    days.write(stream())

    assert rows_by_key(lake, "days") == {key_of(1 + day): list(range(day, 60, 5)) for day in range(5)}


STRANGE = [
    "..",
    ".",
    "/",
    "a/b",
    "A",
    "a",
    "🦆",
    "naïve ключ",
    "x" * 300,
    "%41",
    "a=b",
    "tab\t",
    "\\",
    "con",
    " ",
    "a|b",
]


def test_every_key_gets_a_place_of_its_own_inside_the_assets_folder(lake) -> None:
    asset = lake.asset("strange", partitions=lp.Static(STRANGE))

    asset.write({key: values(number) for number, key in enumerate(STRANGE)})

    assert rows_by_key(lake, "strange") == {key: [number] for number, key in enumerate(STRANGE)}
    paths = [PurePosixPath(path) for path in files_of(lake) if path.startswith("hot/")]
    assert all(path.parent.parent == PurePosixPath("hot/strange") for path in paths)
    assert len({path.parent for path in paths}) == len(STRANGE)
    assert asset["🦆"].to_pandas()["x"].tolist() == [STRANGE.index("🦆")]
    assert [one.keys for one in asset[["A", "a"]]] == [["A"], ["a"]]


@pytest.mark.in_a_folder
def test_static_partitions_are_routed_by_any_column_that_names_them(lake) -> None:
    asset = lake.asset("carriers", partitions=lp.Static(["UA", "ключ", "3"], by="carrier"))

    asset.write(pa.table({"carrier": ["ключ", "UA", "ключ"], "x": [1, 2, 3]}))

    assert rows_by_key(lake, "carriers") == {"UA": [2], "ключ": [1, 3]}
    with pytest.raises(lp.PartitionKeyError, match="'DL'"):
        asset.write(pa.table({"carrier": ["DL"], "x": [1]}))


@pytest.mark.in_a_folder
def test_an_empty_frame_names_no_partition(lake, days) -> None:
    with pytest.raises(lp.InvalidInputError, match="names no partition") as caught:
        days.write(frame())

    assert caught.value.code == "empty-frame"
    with pytest.raises(lp.InvalidInputError, match="names no partition"):
        days.write({})
    with pytest.raises(lp.InvalidInputError, match="gave no frame"):
        days.write(iter([]))


def test_no_rows_for_a_named_partition_mean_that_it_is_known_to_be_empty(lake, days) -> None:
    days.write(frame((1, 1)))

    days.write(frame(), key_of(1))
    days[[key_of(2), key_of(3)]].write(pd.DataFrame())

    assert rows_by_key(lake, "days") == {key_of(1): [], key_of(2): [], key_of(3): []}
    assert days.status()["state"].tolist()[:4] == ["empty", "empty", "empty", "missing"]


def test_only_windows_that_have_elapsed_become_known_to_be_empty(lake, days) -> None:
    days[key_of(8) : key_of(12)].write(frame((9, 9), (11, 11)))

    assert rows_by_key(lake, "days") == {key_of(8): [], key_of(9): [9], key_of(11): [11]}


@pytest.mark.in_a_folder
def test_a_single_partition_is_known_to_be_empty_when_the_caller_says_so_even_before_it_ends(lake, days) -> None:
    days.write(frame(), key_of(20))

    assert rows_by_key(lake, "days") == {key_of(20): []}


def test_partitions_without_rows_are_kept_or_refused_as_asked(lake, days) -> None:
    days.write(frame((1, 1), (2, 2)))

    days[key_of(1) : key_of(2)].write(frame((1, 10)), no_rows="keep")
    assert rows_by_key(lake, "days") == {key_of(1): [10], key_of(2): [2]}

    before = files_of(lake)
    with pytest.raises(lp.InvalidInputError, match=f"no rows for 1 partition of 'days': {key_of(2)}"):
        days[key_of(1) : key_of(2)].write(frame((1, 100)), no_rows="error")
    assert_nothing_changed(lake, before)
    with pytest.raises(lp.InvalidInputError, match="'empty', 'keep', 'error'"):
        days[key_of(1)].write(frame((1, 1)), no_rows="drop")


# Days that are not 24 hours long, and zones


@pytest.mark.in_a_folder
def test_rows_of_a_day_when_clocks_change_belong_to_that_day(lake) -> None:
    new_york = lp.Daily("2024-03-01", by="at", tz="America/New_York")
    asset = lake.asset("local", partitions=new_york)
    spring = [datetime(2024, 3, 10, 4, 59, tzinfo=UTC) + timedelta(hours=hour) for hour in range(25)]

    asset.write(pa.table({"at": pa.array(spring, pa.timestamp("us", "UTC")), "x": list(range(25))}))

    assert rows_by_key(lake, "local") == {"2024-03-09": [0], "2024-03-10": list(range(1, 24)), "2024-03-11": [24]}


@pytest.mark.in_a_folder
def test_both_hours_that_a_clock_shows_twice_are_partitions(lake) -> None:
    asset = lake.asset("hours", partitions=lp.Hourly("2024-11-03", by="at", tz="America/New_York"))
    instants = [datetime(2024, 11, 3, hour, 30, tzinfo=UTC) for hour in (4, 5, 6, 7)]

    asset.write(pa.table({"at": pa.array(instants, pa.timestamp("us", "UTC")), "x": [0, 1, 2, 3]}))

    assert rows_by_key(lake, "hours") == {
        "2024-11-03-00:00": [0],
        "2024-11-03-01:00": [1],
        "2024-11-03-01:00-0500": [2],
        "2024-11-03-02:00": [3],
    }


@pytest.mark.in_a_folder
def test_instants_in_any_zone_are_routed_by_the_zone_of_the_definition(lake) -> None:
    asset = lake.asset("kolkata", partitions=lp.Daily("2024-01-01", by="at", tz="Asia/Kolkata"))
    tokyo = pd.DataFrame(
        {"at": pd.to_datetime(["2024-01-02T03:29:59+09:00", "2024-01-02T03:30:00+09:00"]), "x": [1, 2]}
    )

    asset.write(tokyo)

    assert rows_by_key(lake, "kolkata") == {"2024-01-01": [1], "2024-01-02": [2]}


@pytest.mark.in_a_folder
def test_naive_instants_are_utc_where_the_definition_is_and_refused_elsewhere(lake) -> None:
    naive = pd.DataFrame({"at": pd.to_datetime(["2024-01-02"]), "x": [1]})

    lake.asset("utc", partitions=lp.Daily("2024-01-01", by="at")).write(naive)

    assert rows_by_key(lake, "utc") == {"2024-01-02": [1]}
    with pytest.raises(lp.InvalidInputError, match="tz_localize"):
        lake.asset("paris", partitions=lp.Daily("2024-01-01", by="at", tz="Europe/Paris")).write(naive)


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("definition", "keys"),
    [
        (lp.Hourly("2024-01-01", by="at"), ["2024-01-31-23:00", "2024-02-01-00:00"]),
        (lp.Weekly("2024-01-01", by="at"), ["2024-01-28"]),
        (lp.Monthly("2024-01-01", by="at"), ["2024-01-01", "2024-02-01"]),
        (lp.Quarterly("2024-01-01", by="at"), ["2024-01-01"]),
        (lp.Yearly("2024-01-01", by="at"), ["2024-01-01"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_grain_routes_rows_to_the_window_they_lie_in(lake, definition, keys) -> None:
    asset = lake.asset("any", partitions=definition)

    asset.write(pd.DataFrame({"at": pd.to_datetime(["2024-01-31T23:59", "2024-02-01T00:00"]), "x": [1, 2]}))

    assert list(rows_by_key(lake, "any")) == asset.keys == keys


# Partitions that exist


@pytest.mark.parametrize("streamed", [False, True], ids=["in memory", "a stream"])
def test_routed_rows_never_replace_unless_told_to(lake, days, streamed) -> None:
    days.write(frame((1, 1), (2, 2)))
    before = files_of(lake)
    rows = frame((2, 20), (3, 30))

    with pytest.raises(lp.AlreadyExistsError, match=key_of(2)) as caught:
        days.write(iter(rows.to_batches()) if streamed else rows)

    assert caught.value.context["existing"] == [key_of(2)]
    assert 'if_exists="replace"' in str(caught.value)
    assert_nothing_changed(lake, before)


@pytest.mark.parametrize(
    ("if_exists", "second"), [("replace", [20]), ("append", [2, 20]), ("error", None), (None, None)]
)
def test_routed_rows_and_partitions_that_exist(lake, days, if_exists, second) -> None:
    days.write(frame((1, 1), (2, 2)))

    if second is None:
        with pytest.raises(lp.AlreadyExistsError):
            days.write(frame((2, 20), (3, 30)), if_exists=if_exists)
    else:
        days.write(frame((2, 20), (3, 30)), if_exists=if_exists)

        assert rows_by_key(lake, "days") == {key_of(1): [1], key_of(2): second, key_of(3): [30]}


@pytest.mark.parametrize(
    ("if_exists", "first"), [("replace", [10]), ("append", [1, 10]), ("error", None), (None, [10])]
)
@pytest.mark.parametrize("way", ["key", "mapping"])
def test_named_partitions_that_exist_are_replaced_unless_told_otherwise(lake, keyed, way, if_exists, first) -> None:
    keyed.write(values(1), "a")
    arguments = (values(10), "a") if way == "key" else ({"a": values(10), "b": values(20)},)

    if first is None:
        with pytest.raises(lp.AlreadyExistsError, match="a"):
            keyed.write(*arguments, if_exists=if_exists)
        assert rows_by_key(lake, "keyed") == {"a": [1]}
    else:
        keyed.write(*arguments, if_exists=if_exists)
        assert rows_by_key(lake, "keyed")["a"] == first


@pytest.mark.in_a_folder
def test_another_if_exists_is_refused(days) -> None:
    with pytest.raises(lp.InvalidInputError, match="'error', 'replace', 'append'"):
        days.write(frame((1, 1)), if_exists="overwrite")


def test_appending_adds_rows_after_those_that_are_there(lake, days, keyed) -> None:
    days.append(frame((1, 1), (2, 2)))
    days.append(frame((2, 20), (3, 30)))
    days.append(frame((3, 31)), key_of(3))
    keyed.append({"a": values(1)})
    keyed.append(iter([("a", values(2)), ("b", values(3))]))

    assert rows_by_key(lake, "days") == {key_of(1): [1], key_of(2): [2, 20], key_of(3): [30, 31]}
    assert rows_by_key(lake, "keyed") == {"a": [1, 2], "b": [3]}
    assert lake.snapshots()["operation"].tolist() == ["append"] * 5 + ["create"]


def test_appending_to_what_is_known_to_be_empty_fills_it(lake, days) -> None:
    days.write(frame(), key_of(1))

    days.append(frame((1, 1)))

    assert rows_by_key(lake, "days") == {key_of(1): [1]}


def test_appending_nothing_is_refused(lake, days) -> None:
    days.write(frame((1, 1)))

    with pytest.raises(lp.InvalidInputError, match="has no rows"):
        days.append(frame(), key_of(1))
    with pytest.raises(lp.InvalidInputError, match="has no rows"):
        days.append(frame())

    assert rows_by_key(lake, "days") == {key_of(1): [1]}


def test_rows_of_another_partition_are_refused_however_the_partition_was_named(lake, days) -> None:
    days.write(frame((1, 1)))
    before = files_of(lake)
    mixed = frame((1, 5), (2, 6))

    for write in (
        lambda: days.write(mixed, key_of(1)),
        lambda: days.append(mixed, key_of(1)),
        lambda: days[key_of(1)].write(mixed),
        lambda: days.write({key_of(1): mixed}),
        lambda: days[key_of(1)].write({key_of(2): frame((2, 6))}),
    ):
        with pytest.raises(lp.PartitionKeyError, match=f"'{key_of(2)}'") as caught:
            write()
        assert caught.value.code == "foreign-rows"
        assert caught.value.context["foreign"] == [key_of(2)]

    assert_nothing_changed(lake, before)


def test_a_partition_is_given_once(lake, keyed) -> None:
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError, match="'a' of 'keyed' was given twice"):
        keyed.write([("a", values(1)), ("b", values(2)), ("a", values(3))])

    assert_nothing_changed(lake, before)


@pytest.mark.in_a_folder
def test_one_frame_cannot_be_several_partitions_that_no_column_tells_apart(keyed) -> None:
    with pytest.raises(lp.InvalidInputError, match="names no column"):
        keyed[["a", "b"]].write(values(1))
    with pytest.raises(lp.InvalidInputError, match="names no column"):
        keyed.write(values(1))


@pytest.mark.in_a_folder
def test_a_key_that_names_several_partitions_is_no_key_to_write(days) -> None:
    with pytest.raises(lp.InvalidInputError, match="names 31 partitions"):
        days.write(frame((1, 1)), "2024-01")


@pytest.mark.in_a_folder
@pytest.mark.parametrize("item", [slice(None), slice("2024-01-01", None), slice(None, "2024-01-03")], ids=str)
def test_an_open_end_does_not_say_what_to_write(days, item) -> None:
    with pytest.raises(lp.InvalidInputError, match="open end"):
        days[item].write(frame((1, 1)))


# What a write is based on


def test_a_write_that_expects_a_commit_succeeds_as_long_as_its_partitions_hold(lake, days) -> None:
    commit = days.write(frame((1, 1), (2, 2)))
    days.write(frame((3, 3)))

    days.write(frame((1, 10)), key_of(1), expected=commit)
    days[key_of(2)].write(frame((2, 20)), expected=commit.snapshot)
    days.write(frame((4, 40)), key_of(4), expected=commit)

    assert rows_by_key(lake, "days") == {key_of(1): [10], key_of(2): [20], key_of(3): [3], key_of(4): [40]}


@pytest.mark.parametrize("change", ["replaced", "appeared", "appended"])
def test_a_write_that_expects_a_commit_loses_to_newer_content(lake, days, change) -> None:
    commit = days.write(frame((1, 1)))
    key, rows = {
        "replaced": (key_of(1), frame((1, 5))),
        "appeared": (key_of(2), frame((2, 5))),
        "appended": (key_of(1), frame((1, 5))),
    }[change]
    days.write(rows, key, if_exists="append" if change == "appended" else "replace")
    before = files_of(lake)

    with pytest.raises(lp.ConflictError, match=key) as caught:
        days.write(frame((int(key[-2:]), 9)), key, expected=commit)

    assert [conflict["key"] for conflict in caught.value.context["conflicts"]] == [key]
    assert caught.value.retryable
    assert_nothing_changed(lake, before)


def test_equal_content_again_is_what_was_expected(lake, days) -> None:
    commit = days.write(frame((1, 1)))
    days.write(frame((1, 1)), key_of(1))

    days.write(frame((1, 2)), key_of(1), expected=commit)

    assert rows_by_key(lake, "days") == {key_of(1): [2]}


def test_a_commit_that_never_was_cannot_be_expected(lake, days) -> None:
    days.write(frame((1, 1)))
    branch = lake.create_branch("draft").asset("days")
    on_branch = branch.write(frame((2, 2)))

    with pytest.raises(lp.SnapshotNotFoundError, match="no snapshot 9999"):
        days.write(frame((1, 2)), key_of(1), expected=9999)
    with pytest.raises(lp.SnapshotNotFoundError, match="'draft'"):
        days.write(frame((1, 2)), key_of(1), expected=on_branch)

    assert rows_by_key(lake, "days") == {key_of(1): [1]}


# What a commit says


def test_a_commit_keeps_its_message_metadata_and_code_version(lake, days) -> None:
    days.write(frame((1, 1)), message="first load — élan", metadata={"run": [1, {"a": None}]}, code_version="7")

    snapshot = lake.snapshots().iloc[0]
    assert (snapshot["message"], snapshot["metadata"]) == ("first load — élan", {"run": [1, {"a": None}]})
    assert days.status()["code_version"].tolist()[0] == "7"
    stored = query_catalog(lake, "SELECT message, metadata FROM snapshot WHERE snapshot = 1")
    assert [(message, json.loads(metadata)) for message, metadata in stored] == [
        ("first load — élan", {"run": [1, {"a": None}]})
    ]


@pytest.mark.in_a_folder
def test_metadata_that_is_not_json_is_refused(lake, days) -> None:
    with pytest.raises(lp.InvalidInputError, match="JSON"):
        days.write(frame((1, 1)), metadata={"at": NOW})

    assert days.keys == []


def test_every_file_says_what_it_is(lake, days) -> None:
    days.write(frame((1, 1)), code_version="7")

    (data,) = [data for name, data in files_of(lake).items() if name.startswith("hot/")]
    metadata = pq.ParquetFile(BytesIO(data)).metadata.metadata
    assert metadata[b"lakepart.asset"] == b"days"
    assert metadata[b"lakepart.key"] == key_of(1).encode()
    assert metadata[b"lakepart.code_version"] == b"7"
    tokens = query_catalog(lake, "SELECT token FROM snapshot WHERE snapshot = 1")
    assert tokens == [(metadata[b"lakepart.token"].decode(),)]


# The schema


def test_a_column_of_nulls_stays_undecided_until_it_is_typed(lake, keyed) -> None:
    keyed.write(pa.table({"x": pa.array([1]), "note": pa.nulls(1)}), "a")
    assert keyed.schema.field("note").type == pa.null()

    keyed.write(pa.table({"x": pa.array([2]), "note": pa.array(["why"])}), "b")
    keyed.write(pa.table({"x": pa.array([3]), "note": pa.nulls(1)}), "c")

    assert keyed.schema.field("note").type == pa.string()
    assert keyed.to_arrow()["note"].to_pylist() == [None, "why", None]
    with pytest.raises(lp.SchemaMismatchError, match="note"):
        keyed.write(pa.table({"x": pa.array([4]), "note": pa.array([1.5])}), "a")


def test_a_null_column_that_gets_its_type_in_the_middle_of_a_write_is_refused_with_the_way_out(lake, keyed) -> None:
    pairs = [
        ("a", pa.table({"x": pa.array([1]), "note": pa.nulls(1)})),
        ("b", pa.table({"x": pa.array([2]), "note": pa.array(["why"])})),
    ]
    before = files_of(lake)

    with pytest.raises(lp.SchemaMismatchError, match=r"'note'.*only from the frame of 'b'") as caught:
        keyed.write(pairs)

    assert_nothing_changed(lake, before)
    assert "first" in str(caught.value.hint)
    keyed.write(reversed(pairs))
    assert keyed.to_arrow()["note"].to_pylist() == [None, "why"]


@pytest.mark.in_a_folder
def test_columns_may_come_in_another_order_and_in_a_narrower_type(keyed) -> None:
    keyed.write(pa.table({"x": pa.array([1], pa.int64()), "y": ["p"]}), "a")

    keyed.write(pa.table({"y": ["q"], "x": pa.array([2], pa.int32())}), "b")

    assert keyed.schema == pa.schema({"x": pa.int64(), "y": pa.string()})
    assert keyed.to_arrow(columns=["x", "y"]).to_pylist() == [{"x": 1, "y": "p"}, {"x": 2, "y": "q"}]


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (pa.table({"x": pa.array([1], pa.int64())}), ["'y'"]),
        (pa.table({"x": pa.array([1], pa.int64()), "y": ["q"], "z": [1]}), ["'z'"]),
        (pa.table({"x": ["one"], "y": ["q"]}), ["'x'", "int64", "string"]),
    ],
    ids=["a column is missing", "a column more", "another type"],
)
def test_a_frame_of_another_schema_is_explained_column_by_column(lake, keyed, other, words) -> None:
    keyed.write(pa.table({"x": pa.array([1], pa.int64()), "y": ["p"]}), "a")
    before = files_of(lake)

    with pytest.raises(lp.SchemaMismatchError) as caught:
        keyed.write(other, "b")

    assert all(word in str(caught.value) for word in words)
    assert_nothing_changed(lake, before)


@pytest.mark.in_a_folder
def test_a_column_named_as_the_key_is_refused(keyed) -> None:
    with pytest.raises(lp.SchemaMismatchError, match="'partition'"):
        keyed.write(pa.table({"partition": ["a"]}), "a")


@pytest.mark.in_a_folder
def test_an_asset_without_rows_has_no_columns_and_gets_them_with_the_first(keyed) -> None:
    assert keyed.schema == pa.schema([])

    keyed.write(values(1), "a")

    assert keyed.schema == pa.schema({"x": pa.int64()})


# Declaring


def test_declaring_the_same_again_changes_nothing_and_another_way_is_an_error_that_shows_both(lake, days) -> None:
    lake.asset("days", partitions=lp.Daily("2024-01-01", by="day"))

    with pytest.raises(lp.AlreadyExistsError) as caught:
        lake.asset("days", partitions=lp.Weekly("2024-01-01", by="day"))

    assert "Daily(" in str(caught.value)
    assert "Weekly(" in str(caught.value)
    assert [asset.name for asset in lake.assets()] == ["days"]


@pytest.mark.in_a_folder
def test_options_belong_to_a_declaration(lake, days) -> None:
    with pytest.raises(lp.InvalidInputError, match="partitions="):
        lake.asset("days", complete_after=timedelta(hours=1))
    with pytest.raises(lp.InvalidInputError, match="no partitions definition"):
        lake.asset("other", partitions="daily")

    described = lake.asset("told", partitions=DAYS, description="what it is")
    assert (described.description, days.description) == ("what it is", "")
    assert "told" in repr(described)


@pytest.mark.in_a_folder
def test_an_unknown_asset_is_named_with_close_ones(lake, days) -> None:
    with pytest.raises(lp.AssetNotFoundError, match="did you mean 'days'"):
        lake.asset("day")


def test_a_read_only_handle_and_the_past_refuse_to_write(lake, days) -> None:
    days.write(frame((1, 1)))
    reader = lp.connect(lake.url, read_only=True)

    for view, why in ((reader, "read-only"), (lake.at(1), "snapshot 1 is read-only")):
        for act in (
            lambda view=view: view.asset("days").write(frame((2, 2))),
            lambda view=view: view.asset("days")[key_of(2)].write(frame((2, 2))),
            lambda view=view: view.asset("days").append(frame((2, 2))),
            lambda view=view: view.asset("days").write({key_of(2): frame((2, 2))}),
            lambda view=view: view.asset("days").mark_stale("no"),
            lambda view=view: view.asset("days").rollback(to=0),
            lambda view=view: view.asset("more", partitions=DAYS),
        ):
            with pytest.raises(lp.StateError, match=why) as caught:
                act()
            assert caught.value.code == "read-only"

    assert rows_by_key(lake, "days") == {key_of(1): [1]}
    reader.close()
