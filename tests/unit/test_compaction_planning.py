"""Which files become one, and how sizes are said."""

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.model.records import DataFile
from lakepart.model.sizes import parse_size
from lakepart.parquet import sorting
from lakepart.parquet.sorting import check_sort_columns, in_order
from lakepart.planning.compaction import find_runs, plan_partitions


def files(*sizes, tiers="h"):
    tiers = tiers * len(sizes) if len(tiers) == 1 else tiers
    return [
        DataFile(number, tier, f"{number}.parquet", size, 10, 1, "sum", 1)
        for number, (size, tier) in enumerate(zip(sizes, tiers, strict=True))
    ]


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ((), []),
        ((10,), []),
        ((10, 10), [(0, 1)]),
        ((10, 90, 10, 10), [(2, 3)]),  # neighbours only: rows keep their order
        ((50, 50, 1), [(0, 1)]),  # no larger than the target
        ((40, 40, 40, 40, 40), [(0, 1), (2, 3)]),
        ((74, 26), [(0, 1)]),
        ((75, 1), []),  # nearly large enough: not written again for a small one
        ((60, 60, 60), []),
        ((200, 1, 1, 200), [(1, 2)]),
    ],
)
def test_neighbouring_small_files_become_one_up_to_the_target(sizes, runs):
    assert [tuple(file.file_id for file in run) for run in find_runs(files(*sizes), 100)] == runs


def test_files_of_several_tiers_stay_apart():
    found = find_runs(files(1, 1, 1, 1, 1, tiers="hhcch"), 100)

    assert [[file.tier for file in run] for run in found] == [["h", "h"], ["c", "c"]]


def test_every_partition_is_planned_or_left_out_with_the_reason():
    partitions = [
        ("a", 1, files(1, 1)),
        ("b", 2, files(1)),
        ("c", 3, []),
        ("d", 4, files(90, 90)),
        ("e", 5, files(1, 1, tiers="o")),
        ("f", 6, files(1, 1, 1, 1, tiers="oohh")),
    ]

    planned, left_out = plan_partitions(partitions, 100, offline={"o"})

    assert [(one.key, one.files, [run.file_ids for run in one.runs]) for one in planned] == [
        ("a", 2, [(0, 1)]),
        ("f", 4, [(2, 3)]),
    ]
    assert left_out == {
        "one file already": ["b"],
        "known to be empty": ["c"],
        "no small files side by side": ["d"],
        "on o, which is offline": ["e", "f"],
    }


@pytest.mark.parametrize(
    ("given", "size"),
    [(1, 1), (10**9, 10**9), ("7", 7), ("7 B", 7), ("128 MB", 128_000_000), ("128MiB", 2**27), (" 2 k ", 2000)],
)
def test_sizes_are_bytes_or_text(given, size):
    assert parse_size(given, "size") == size


@pytest.mark.parametrize("given", [0, -1, True, 1.5, None, "", "MB", "1 XB", "-1 MB", "1e3", "0", "9999 TB", "١ MB"])
def test_what_is_no_size_is_refused(given):
    with pytest.raises(lp.InvalidInputError, match="is no size"):
        parse_size(given, "target_file_size")


def test_rows_are_sorted_stably_with_nulls_last_however_they_were_cut():
    table = pa.table({"a": [2, None, 1, 2, 1], "b": ["x", "y", "z", None, "v"], "n": range(5)})

    for size in (1, 2, 5):
        batches = [table.slice(start, size) for start in range(0, 5, size)]
        assert pa.concat_tables(in_order(batches, ["a"]))["n"].to_pylist() == [2, 4, 0, 3, 1]
        assert pa.concat_tables(in_order(batches, ["a", "b"]))["n"].to_pylist() == [4, 2, 0, 3, 1]


def test_long_input_is_sorted_in_stretches_so_that_memory_stays_flat(monkeypatch):
    monkeypatch.setattr(sorting, "STRETCH_BYTES", 8 * 8192 * 2)
    table = pa.table({"a": pa.array(range(40_000, 0, -1), pa.int64())})

    found = list(in_order([table], ["a"]))

    assert [part.num_rows for part in found] == [16_384, 16_384, 7_232]
    assert all(part["a"].to_pylist() == sorted(part["a"].to_pylist()) for part in found)
    assert sorted(pa.concat_tables(found)["a"].to_pylist()) == list(range(1, 40_001))


@pytest.mark.parametrize(("by", "message"), [(["b"], "no such column"), (["l"], "list<"), (["a", "a"], "twice")])
def test_rows_cannot_be_sorted_by_every_column(by, message):
    schema = pa.schema({"a": pa.int64(), "l": pa.list_(pa.int64()), "nothing": pa.null()})
    check_sort_columns(["a", "nothing"], schema)

    with pytest.raises(lp.InvalidInputError, match=message):
        check_sort_columns(by, schema)
