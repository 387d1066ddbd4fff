"""Whatever holds a table comes in as one Arrow table or a stream, in stored types, or is refused in words."""

from __future__ import annotations

import decimal
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError
from lakepart.parquet.frames import open_frame
from lakepart.parquet.schemas import reconcile

ROWS = [{"x": 1, "s": "a"}, {"x": 2, "s": "b"}, {"x": 3, "s": None}]
TABLE = pa.table({"x": pa.array([1, 2, 3], pa.int64()), "s": ["a", "b", None]})


def rows_of(data: Any) -> list[dict[str, Any]]:
    return [row for table in open_frame(data).tables() for row in table.to_pylist()]


class Capsule:
    """Speaks the Arrow stream interface and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)


def generator() -> Iterator[Any]:
    yield TABLE.slice(0, 1)
    yield TABLE.slice(1, 1).to_batches()[0]
    yield TABLE.slice(2).to_pandas(types_mapper=pd.ArrowDtype)


@pytest.mark.parametrize(
    "data",
    [
        TABLE,
        TABLE.to_batches()[0],
        TABLE.to_reader(),
        TABLE.to_pandas(types_mapper=pd.ArrowDtype),
        ds.dataset(TABLE),
        pl.from_arrow(TABLE),
        Capsule(TABLE),
        [TABLE.slice(0, 2), TABLE.slice(2)],
        generator(),
    ],
    ids=lambda data: type(data).__name__,
)
def test_everything_that_holds_rows_gives_the_same_rows(data: Any) -> None:
    frame = open_frame(data)

    rows = [row for table in frame.tables() for row in table.to_pylist()]

    assert rows == ROWS
    assert frame.schema.equals(pa.schema({"x": pa.int64(), "s": pa.string()}))
    assert frame.schema.metadata is None


def test_data_in_memory_is_known_whole_and_a_stream_is_not() -> None:
    assert open_frame(TABLE).row_count == 3
    assert open_frame(pl.from_arrow(TABLE)).table is not None
    assert open_frame(TABLE.to_reader()).table is None
    assert open_frame(TABLE.to_reader()).row_count is None


def test_a_stream_is_read_no_further_than_asked() -> None:
    taken = []

    def endless() -> Iterator[pa.Table]:
        while True:
            taken.append(1)
            yield TABLE

    frame = open_frame(endless())
    next(frame.batches)

    assert len(taken) == 1


def test_the_batches_of_a_table_are_its_rows_too() -> None:
    assert [row for batch in open_frame(TABLE).batches for row in batch.to_pylist()] == ROWS


def test_casting_a_frame_keeps_table_and_stream_apart() -> None:
    reconciled = reconcile(None, TABLE.schema)

    assert open_frame(TABLE).cast(reconciled).table is not None
    assert open_frame(TABLE.to_reader()).cast(reconciled).table is None
    assert [
        row for table in open_frame(TABLE.to_reader()).cast(reconciled).tables() for row in table.to_pylist()
    ] == ROWS


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (pa.array(["a"], pa.large_string()), pa.string()),
        (pa.array(["a"], pa.string_view()), pa.string()),
        (pa.array([b"a"], pa.large_binary()), pa.binary()),
        (pa.array([b"a"], pa.binary_view()), pa.binary()),
        (pa.array([["a"]], pa.large_list(pa.string_view())), pa.list_(pa.string())),
        (pa.array([[1], None, [], [2, 3]], pa.list_view(pa.int32())), pa.list_(pa.int32())),
        (pa.array([["z"], ["a"], None, ["b"]], pa.list_view(pa.string_view())).slice(1), pa.list_(pa.string())),
        (
            pa.array([{"k": [1]}, None], pa.struct([("k", pa.list_view(pa.int8()))])),
            pa.struct([("k", pa.list_(pa.int8()))]),
        ),
        (pa.array([[1]], pa.large_list_view(pa.int32())), pa.list_(pa.int32())),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), pa.list_(pa.int32(), 2)),
        (pa.array([{"k": "v"}], pa.struct([("k", pa.large_string())])), pa.struct([("k", pa.string())])),
        (pa.array([[("k", 1)]], pa.map_(pa.large_string(), pa.int8())), pa.map_(pa.string(), pa.int8())),
        (pa.array(["a"]).dictionary_encode(), pa.string()),
        (pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["a"], pa.string_view())), pa.string()),
        (pa.RunEndEncodedArray.from_arrays([1], ["a"]), pa.string()),
        (pa.array([0], pa.timestamp("ns")), pa.timestamp("us")),
        (pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("s", "UTC")), pa.timestamp("us", "UTC")),
        (pa.array([date(2013, 1, 1)], pa.date64()), pa.date32()),
        (pa.array([time(1)], pa.time64("ns")), pa.time64("us")),
        (pa.array([time(1)], pa.time32("s")), pa.time32("ms")),
        (pa.array([5], pa.duration("ms")), pa.duration("us")),
        (pa.array([decimal.Decimal("1.5")], pa.decimal64(5, 1)), pa.decimal128(5, 1)),
        (pa.nulls(1), pa.null()),
        (pa.array([True]), pa.bool_()),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_types_that_mean_the_same_are_stored_as_one(given: pa.Array, stored: pa.DataType) -> None:
    frame = open_frame(pa.table({"c": given}))

    assert frame.table is not None
    assert frame.schema.field("c").type.equals(stored)
    assert frame.table["c"].to_pylist() == given.to_pylist()


def test_nanoseconds_that_would_be_lost_are_refused_with_their_row() -> None:
    instants = pd.to_datetime(["2013-01-01T00:00:00.000000000", "2013-01-01T00:00:00.000000001"])

    with pytest.raises(SchemaMismatchError, match=r"'t'.*00:00:00\.000000001.*row 1.*Hint:.*dt\.floor") as caught:
        open_frame(pd.DataFrame({"t": instants}))

    assert caught.value.context["row"] == 1


@pytest.mark.parametrize(
    "data_type", [pa.bool8(), pa.month_day_nano_interval(), pa.dense_union([pa.field("a", pa.int8())])]
)
def test_types_without_a_counterpart_are_refused_by_name(data_type: pa.DataType) -> None:
    reader = pa.RecordBatchReader.from_batches(pa.schema({"odd": data_type}), iter(()))

    with pytest.raises(SchemaMismatchError, match="'odd'"):
        open_frame(reader)


def test_an_unnamed_pandas_index_is_refused_with_both_ways_out() -> None:
    filtered = pd.DataFrame({"x": [1, 2, 3]})[lambda frame: frame.x > 1].set_index(pd.Index(["p", "q"]))

    with pytest.raises(InvalidInputError, match=r"unnamed Index.*reset_index.*rename_axis") as caught:
        open_frame(filtered)

    assert caught.value.code is ErrorCode.UNNAMED_INDEX


def test_named_pandas_indexes_are_kept_as_columns() -> None:
    single = pd.DataFrame({"x": [1]}, index=pd.Index(["p"], name="key"))
    several = pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([("p", 2)], names=["key", "n"]))

    assert rows_of(single) == [{"x": 1, "key": "p"}]
    assert rows_of(several) == [{"x": 1, "key": "p", "n": 2}]


def test_a_partly_named_multi_index_is_refused() -> None:
    partly = pd.DataFrame({"x": [1]}, index=pd.MultiIndex.from_tuples([("p", 2)], names=["key", None]))

    with pytest.raises(InvalidInputError, match="unnamed MultiIndex"):
        open_frame(partly)


def test_missing_values_of_pandas_become_nulls() -> None:
    assert rows_of(pd.DataFrame({"f": [1.5, float("nan")], "s": ["a", None]})) == [
        {"f": 1.5, "s": "a"},
        {"f": None, "s": None},
    ]


def test_column_names_are_text_and_unique() -> None:
    with pytest.raises(InvalidInputError, match=r"column name 0 \(int\)"):
        open_frame(pd.DataFrame([[1]]))
    with pytest.raises(InvalidInputError, match="several columns named 'x'"):
        open_frame(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"]))
    with pytest.raises(InvalidInputError, match="several columns named 'x'"):
        open_frame(pd.DataFrame({"x": [1]}, index=pd.Index([2], name="x")))


def test_a_pandas_column_of_mixed_types_is_refused_by_name() -> None:
    with pytest.raises(SchemaMismatchError, match="mixed"):
        open_frame(pd.DataFrame({"mixed": [1, "a"]}))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"2013-01-01": TABLE}, "mapping"),
        ("flights.parquet", "builtins.str"),
        (None, "NoneType"),
        (pd.Series([1]), "to_frame"),
        (pl.LazyFrame({"x": [1]}), "collect"),
        (pl.Series([1]), "to_frame"),
        ([("2013-01-01", TABLE)], "builtins.tuple"),
        ([1], "builtins.int"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_holds_no_rows_is_refused_by_its_type(data: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        open_frame(data)


def test_an_iterator_without_frames_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="gave no frame") as caught:
        open_frame(iter(()))

    assert caught.value.code is ErrorCode.EMPTY_FRAME


def test_a_dataset_of_files_streams_their_rows(tmp_path: Any) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet")
    pq.write_table(TABLE, tmp_path / "b.parquet")

    assert rows_of(ds.dataset(tmp_path)) == ROWS + ROWS


def test_a_later_frame_of_another_type_is_refused_when_it_comes() -> None:
    frame = open_frame(iter([TABLE, pa.table({"x": ["text"], "s": ["a"]})]))
    tables = frame.cast(reconcile(None, frame.schema)).tables()

    next(tables)

    with pytest.raises(SchemaMismatchError, match="column 'x': the asset has int64, the frame has string"):
        next(tables)


def test_a_later_frame_may_have_nulls_and_another_order_of_columns() -> None:
    frame = open_frame(iter([TABLE, pa.table({"s": pa.nulls(1), "x": pa.array([4], pa.int8())})]))
    cast = frame.cast(reconcile(None, frame.schema))

    assert [row for table in cast.tables() for row in table.to_pylist()] == [*ROWS, {"x": 4, "s": None}]


def test_a_column_that_gets_its_type_in_a_later_frame_is_refused_unless_the_asset_knows_it() -> None:
    def frames() -> Iterator[pa.Table]:
        yield pa.table({"x": pa.nulls(1)})
        yield pa.table({"x": ["a"]})

    undecided = open_frame(frames())
    known = open_frame(frames())

    with pytest.raises(SchemaMismatchError, match="all null in the frame's first part"):
        list(undecided.cast(reconcile(None, undecided.schema)).tables())
    stored = reconcile(None, pa.schema({"x": pa.string()})).schema
    assert [table["x"][0].as_py() for table in known.cast(reconcile(stored, known.schema)).tables()] == [None, "a"]
