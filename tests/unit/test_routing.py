"""Every row finds its partition or is refused; rows come partition by partition however they arrived."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, StateError, StorageError
from lakepart.model.definitions import Daily, Hourly, Static, Unpartitioned
from lakepart.parquet.frames import Frame, open_frame
from lakepart.parquet.routing import positions, route
from lakepart.parquet.runs import spilling

OPEN_FILES = Path("/proc/self/fd")
DAILY = Daily("2013-01-01", end="2013-03-01", by="day")
FIRST = date(2013, 1, 1)


def table_of(days: list[int]) -> pa.Table:
    """Rows on the given days after the first, numbered in the order they come."""
    return pa.table(
        {"day": pa.array([FIRST + timedelta(days=day) for day in days], pa.date32()), "row": range(len(days))},
        schema=pa.schema({"day": pa.date32(), "row": pa.int64()}),
    )


def stream_of(table: pa.Table, rows: int = 2) -> Frame:
    return open_frame(iter(table.slice(start, rows) for start in range(0, table.num_rows, rows)))


def routed(frame: Frame, **options: Any) -> list[tuple[str, list[int]]]:
    return [
        (DAILY.key_at(position), [row for table in tables for row in table["row"].to_pylist()])
        for position, tables in route(frame, DAILY, **options)
    ]


def expected(days: list[int]) -> list[tuple[str, list[int]]]:
    return [
        (str(FIRST + timedelta(days=day)), [row for row, other in enumerate(days) if other == day])
        for day in sorted(set(days))
    ]


def open_files_in(folder: Path) -> int:
    opened = (str(one.readlink()) for one in OPEN_FILES.iterdir() if one.is_symlink())
    return sum(name.startswith(f"{folder}/") for name in opened)


@pytest.mark.parametrize("days", [[0, 0, 1, 5], [3, 0, 3, 1, 0], [7], []])
def test_a_table_comes_partition_by_partition_in_the_order_of_its_rows(days: list[int]) -> None:
    assert routed(open_frame(table_of(days))) == expected(days)


def test_pieces_of_a_table_can_be_taken_in_any_order() -> None:
    pieces = list(route(open_frame(table_of([3, 0, 3, 1])), DAILY))

    rows = {
        position: [row for table in tables for row in table["row"].to_pylist()] for position, tables in pieces[::-1]
    }

    assert list(rows.values()) == [[0, 2], [3], [1]]


def test_a_sorted_table_is_sliced_and_not_copied() -> None:
    table = table_of([0, 0, 1])

    (_, first), _ = route(open_frame(table), DAILY)

    assert next(first)["row"].chunk(0).buffers()[1].address == table["row"].chunk(0).buffers()[1].address


@given(st.lists(st.integers(0, 58), max_size=40), st.integers(1, 7), st.sampled_from([1, 60, 10_000]))
@settings(max_examples=60, deadline=None)
def test_a_stream_keeps_every_row_once_and_in_order_whatever_the_buffer(
    days: list[int], rows: int, buffer: int
) -> None:
    table = table_of(days)
    frame = Frame(table.schema, iter(table.to_batches(max_chunksize=rows)), None, None)

    pieces = routed(frame, buffer_bytes=buffer)

    gathered: dict[str, list[int]] = {}
    for key, found in pieces:
        gathered.setdefault(key, []).extend(found)
    assert dict(sorted(gathered.items())) == dict(expected(days))
    if days == sorted(days) or buffer == 10_000:
        assert pieces == expected(days)


def test_a_sorted_stream_goes_straight_through() -> None:
    taken = []

    def batches() -> Iterator[pa.Table]:
        for day in range(6):
            taken.append(day)
            yield table_of([day]).to_batches()[0]

    frame = Frame(table_of([]).schema, batches(), None, None)
    pieces = route(frame, DAILY, buffer_bytes=1)

    _, tables = next(pieces)
    list(tables)

    assert taken == [0, 1]


def test_an_unsorted_stream_longer_than_the_buffer_is_sorted_on_disk_and_leaves_nothing(tmp_path: Path) -> None:
    days = [int(day) for day in np.random.default_rng(5).integers(0, 50, 400)]
    pieces = route(stream_of(table_of(days), rows=10), DAILY, buffer_bytes=500, spill_directory=str(tmp_path))

    gathered = []
    files_meanwhile = 0
    for position, tables in pieces:
        files_meanwhile = max(files_meanwhile, open_files_in(tmp_path))
        assert list(tmp_path.iterdir()) == []  # they have no name, so that a killed process leaves none
        gathered.append((DAILY.key_at(position), [row for table in tables for row in table["row"].to_pylist()]))

    assert gathered == expected(days)
    assert files_meanwhile > 3
    assert open_files_in(tmp_path) == 0


def test_more_runs_than_may_be_open_are_merged_on_the_way(tmp_path: Path) -> None:
    days = [int(day) for day in np.random.default_rng(6).integers(0, 50, 600)]

    assert routed(stream_of(table_of(days), rows=4), buffer_bytes=1, spill_directory=str(tmp_path)) == expected(days)


def test_leaving_a_stream_early_closes_its_files(tmp_path: Path) -> None:
    pieces = route(stream_of(table_of([5, 1] * 50)), DAILY, buffer_bytes=100, spill_directory=str(tmp_path))

    next(pieces)
    pieces.close()  # type: ignore[attr-defined]

    assert open_files_in(tmp_path) == 0


def test_a_stream_that_stops_being_sorted_gives_a_partition_again() -> None:
    days = [0, 0, 1, 1, 2, 2, 1, 0]

    pieces = routed(stream_of(table_of(days)), buffer_bytes=30)

    assert [key for key, _ in pieces] == [f"2013-01-0{day}" for day in (1, 2, 3, 1, 2)]
    assert sorted(row for _, rows in pieces for row in rows) == list(range(8))


def test_a_stream_of_sorted_batches_that_starts_again_is_sorted_from_there() -> None:
    days = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]

    pieces = routed(stream_of(table_of(days)), buffer_bytes=30)

    assert [key for key, _ in pieces] == [f"2013-01-0{day}" for day in (1, 2, 3, 4, 1, 2, 3, 4)]
    assert dict(pieces)["2013-01-01"] == [4, 8]


def test_asking_for_the_next_piece_of_a_stream_too_early_is_refused() -> None:
    pieces = route(stream_of(table_of([0, 0, 0, 1])), DAILY)

    next(pieces)

    with pytest.raises(StateError, match="before all rows of the one before were taken"):
        next(pieces)


def test_a_spill_directory_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    frame = stream_of(table_of([3, 2, 1, 0] * 10))

    with pytest.raises(StorageError, match="nowhere"):
        list(route(frame, DAILY, buffer_bytes=1, spill_directory=str(tmp_path / "nowhere")))


def test_a_full_local_disk_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught, spilling(str(tmp_path)):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert caught.value.code is ErrorCode.DISK_FULL


def test_instants_are_cut_at_local_midnight() -> None:
    definition = Daily("2013-01-01", by="t", tz="America/New_York")
    instants = [datetime(2013, 7, 5, 3, 59, tzinfo=UTC), datetime(2013, 7, 5, 4, tzinfo=UTC)]
    table = pa.table({"t": pa.array(instants, pa.timestamp("us", "UTC"))})

    assert [definition.key_at(int(position)) for position in positions(table, definition)] == [
        "2013-07-04",
        "2013-07-05",
    ]


def test_instants_are_the_same_whatever_the_zone_of_the_column() -> None:
    definition = Hourly("2013-01-01", by="t", tz="Asia/Kolkata")
    instants = [datetime(2013, 7, 5, 3, 31, tzinfo=UTC)]
    tables = [pa.table({"t": pa.array(instants, pa.timestamp("us", zone))}) for zone in ("UTC", "Australia/Lord_Howe")]

    keys = {definition.key_at(int(positions(table, definition)[0])) for table in tables}

    assert keys == {instants[0].astimezone(ZoneInfo("Asia/Kolkata")).strftime("%Y-%m-%d-%H:00")}


def test_naive_timestamps_count_as_utc_in_utc() -> None:
    table = pa.table({"day": pa.array([datetime(2013, 1, 2, 23)], pa.timestamp("us"))})  # noqa: DTZ001 - naive is meant

    assert DAILY.key_at(int(positions(table, DAILY)[0])) == "2013-01-02"


def test_static_keys_are_found_by_their_text() -> None:
    definition = Static(["30", "20", "10"], by="zone")
    batch = pa.record_batch({"zone": pa.array([10, 30, 10], pa.int16())})

    assert positions(batch, definition).tolist() == [2, 0, 2]


def test_static_keys_are_found_across_chunks() -> None:
    definition = Static(["a", "b"], by="zone")
    table = pa.table({"zone": pa.chunked_array([["b"], [], ["a", "b"]], pa.string())})

    assert positions(table, definition).tolist() == [1, 0, 1]


def test_rows_of_an_unpartitioned_asset_are_all_in_one() -> None:
    assert positions(table_of([3, 4]), Unpartitioned()).tolist() == [0, 0]


def test_without_a_column_rows_cannot_find_their_partitions() -> None:
    with pytest.raises(InvalidInputError, match="names no column"):
        positions(table_of([1]), Daily("2013-01-01"))


def test_nulls_are_refused_with_their_number_and_the_first_row() -> None:
    table = pa.table({"day": pa.chunked_array([[FIRST], [None, FIRST, None]], pa.date32())})

    with pytest.raises(InvalidInputError, match=r"null in 2 of 4 rows, first in row 11") as caught:
        positions(table, DAILY, first_row=10)

    assert caught.value.code is ErrorCode.NULL_PARTITION_VALUE


def test_a_column_of_nothing_but_nulls_is_refused_as_nulls() -> None:
    with pytest.raises(InvalidInputError) as caught:
        positions(pa.table({"day": pa.nulls(2)}), DAILY)

    assert caught.value.code is ErrorCode.NULL_PARTITION_VALUE


@pytest.mark.parametrize(("day", "text"), [(-1, "2012-12-31"), (59, "2013-03-01")])
def test_rows_outside_the_definition_are_refused_with_value_row_and_range(day: int, text: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"{text} in row 1 and 1 more rows.*2013-01-01.*2013-02-28") as caught:
        route(open_frame(table_of([0, day, day])), DAILY)

    assert caught.value.code is ErrorCode.OUT_OF_RANGE


def test_a_row_of_a_stream_is_named_by_its_number_in_the_stream() -> None:
    with pytest.raises(InvalidInputError, match=r"row 4\b"):
        routed(stream_of(table_of([0, 1, 2, 3, 99])))


def test_an_unknown_static_key_is_named_with_its_row_and_close_ones() -> None:
    definition = Static(["europe", "asia"], by="region")
    table = pa.table({"region": ["asia", "euorpe"]})

    with pytest.raises(PartitionKeyError, match=r"'euorpe' in row 1.*did you mean 'europe'"):
        positions(table, definition)
