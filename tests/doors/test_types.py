"""What each type becomes in Parquet, and back: the table of docs/types.md, row by row, and generated schemas."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

import lakepart as lp
from lakepart.parquet.frames import open_frame
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import iter_batches, read_files
from lakepart.parquet.schemas import plain, reconcile
from lakepart.parquet.writing import write_file
from lakepart.testing import files_of, frozen_lake

DAY, NOON = date(2024, 1, 2), datetime(2024, 1, 2, 12, tzinfo=UTC)
ONE = UUID(int=1)

# name in the docs: the column, its stored type, what Parquet calls it, and what pandas and Polars call it
ROWS = {
    "int8 … int64": (pa.array([1, None], pa.int8()), "int8", "INT32 Int(bitWidth=8, isSigned=true)", "float64", "Int8"),
    "uint8 … uint64": (
        pa.array([2**64 - 1, None], pa.uint64()),
        "uint64",
        "INT64 Int(bitWidth=64, isSigned=false)",
        "float64",
        "UInt64",
    ),
    "float16": (pa.array([0.5, None], pa.float16()), "halffloat", "FIXED_LEN_BYTE_ARRAY Float16", "float16", "Float16"),
    "float32, float64": (pa.array([0.5, None], pa.float32()), "float", "FLOAT None", "float32", "Float32"),
    "bool": (pa.array([True, None]), "bool", "BOOLEAN None", "object", "Boolean"),
    "string": (pa.array(["Ω", None]), "string", "BYTE_ARRAY String", "str", "String"),
    "large_string": (pa.array(["Ω", None], pa.large_string()), "string", "BYTE_ARRAY String", "str", "String"),
    "string_view": (pa.array(["Ω", None], pa.string_view()), "string", "BYTE_ARRAY String", "str", "String"),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), "string", "BYTE_ARRAY String", "str", "String"),
    "run-end encoded": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"])),
        "string",
        "BYTE_ARRAY String",
        "str",
        "String",
    ),
    "binary, large_binary, binary_view": (
        pa.array([b"a", None], pa.large_binary()),
        "binary",
        "BYTE_ARRAY None",
        "object",
        "Binary",
    ),
    "binary(n)": (
        pa.array([b"ab", None], pa.binary(2)),
        "fixed_size_binary[2]",
        "FIXED_LEN_BYTE_ARRAY None",
        "object",
        "Binary",
    ),
    "decimal32, decimal64, decimal128": (
        pa.array([Decimal("1.5"), None], pa.decimal32(4, 1)),
        "decimal128(4, 1)",
        "FIXED_LEN_BYTE_ARRAY Decimal(precision=4, scale=1)",
        "object",
        "Decimal(precision=4, scale=1)",
    ),
    "decimal256": (
        pa.array([Decimal("1.5"), None], pa.decimal256(50, 1)),
        "decimal256(50, 1)",
        "FIXED_LEN_BYTE_ARRAY Decimal(precision=50, scale=1)",
        "object",
        None,
    ),
    "date32, date64": (pa.array([DAY, None], pa.date64()), "date32[day]", "INT32 Date", "object", "Date"),
    "timestamp": (
        pa.array([datetime(2024, 1, 2), None], pa.timestamp("s")),  # noqa: DTZ001 - it has no zone
        "timestamp[us]",
        "INT64 Timestamp(isAdjustedToUTC=false, timeUnit=microseconds",
        "datetime64[us]",
        "Datetime(time_unit='us', time_zone=None)",
    ),
    "timestamp with a zone": (
        pa.array([NOON, None], pa.timestamp("ns", "Asia/Tokyo")),
        "timestamp[us, tz=Asia/Tokyo]",
        "INT64 Timestamp(isAdjustedToUTC=true, timeUnit=microseconds",
        "datetime64[us, Asia/Tokyo]",
        "Datetime(time_unit='us', time_zone='Asia/Tokyo')",
    ),
    "duration": (
        pa.array([timedelta(1), None], pa.duration("ms")),
        "duration[us]",
        "INT64 None",
        "timedelta64[us]",
        "Duration(time_unit='us')",
    ),
    "time32": (pa.array([time(1), None], pa.time32("s")), "time32[ms]", "INT32 Time(", "object", "Time"),
    "time64": (pa.array([time(1), None], pa.time64("ns")), "time64[us]", "INT64 Time(", "object", "Time"),
    "list, large_list, list_view": (
        pa.array([[1], None], pa.large_list(pa.int64())),
        "list<element: int64>",
        "INT64 None",
        "object",
        "List(Int64)",
    ),
    "fixed_size_list": (
        pa.array([[1, 2], None], pa.list_(pa.int64(), 2)),
        "fixed_size_list<element: int64>[2]",
        "INT64 None",
        "object",
        "Array(Int64, shape=(2,))",
    ),
    "struct": (pa.array([{"x": 1}, None]), "struct<x: int64>", "INT64 None", "object", "Struct({'x': Int64})"),
    "map": (
        pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "map<string, int64>",
        "BYTE_ARRAY String",
        "object",
        None,
    ),
    "null": (pa.nulls(2), "null", "INT32 Null", "object", "Null"),
    "arrow.uuid": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([ONE.bytes, None], pa.binary(16))),
        "fixed_size_binary[16]",
        "FIXED_LEN_BYTE_ARRAY None",
        "object",
        "Binary",
    ),
    "arrow.json": (
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a": 1}', None])),
        "string",
        "BYTE_ARRAY String",
        "str",
        "String",
    ),
}


class _Celsius(pa.ExtensionType):
    def __init__(self):
        super().__init__(pa.float64(), "lakepart.tests.celsius")

    def __arrow_ext_serialize__(self):
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type, serialized):
        return cls()


REFUSED = {
    "union": pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
    "month interval": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "struct without fields": pa.array([{}], pa.struct([])),
    "other extension types": pa.ExtensionArray.from_storage(_Celsius(), pa.array([1.5])),
}
TABLE = Path(__file__).parents[2] / "docs" / "types.md"


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return frozen_lake(tmp_path_factory.mktemp("types") / "lake")


@pytest.mark.parametrize("name", ROWS)
def test_a_type_becomes_what_the_table_says(lake, name):
    column, stored, parquet, in_pandas, in_polars = ROWS[name]
    asset = lake.asset(re.sub("[^a-z0-9]+", "-", name).strip("-"), partitions=lp.Unpartitioned())

    asset.write(pa.table({"c": column}))

    values = (column.storage if isinstance(column, pa.ExtensionArray) else column).to_pylist()
    leaf = pq.ParquetFile(asset.files()["path"][0]).schema.column(0)
    assert asset.to_arrow()["c"].to_pylist() == values
    assert str(asset.schema.field("c").type) == stored
    assert f"{leaf.physical_type} {leaf.logical_type}".startswith(parquet)
    assert str(asset.to_pandas()["c"].dtype) == in_pandas
    if in_polars is not None:
        assert str(asset.to_polars()["c"].dtype) == in_polars
    assert f"| {name} |" in TABLE.read_text()


def test_decimals_that_polars_has_not_are_refused_by_name(lake):
    asset = lake.asset("wide", partitions=lp.Unpartitioned())
    asset.write(pa.table({"c": pa.array([Decimal("1.5")], pa.decimal256(50, 1)), "d": [1]}))

    with pytest.raises(lp.InvalidInputError, match="'c' has decimals of more than 38 digits"):
        asset.to_polars()

    assert asset.to_polars(columns=["d"])["d"].to_list() == [1]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_before_a_byte_with_the_column_and_a_way_out(lake, name):
    asset = lake.asset("refused", partitions=lp.Unpartitioned())
    before = files_of(lake.url)

    with pytest.raises(lp.SchemaMismatchError, match=r"Column 'c' has the (extension )?type") as caught:
        asset.write(pa.table({"c": REFUSED[name]}))

    assert caught.value.hint
    assert files_of(lake.url) == before
    assert f"| {name} |" in TABLE.read_text()


# Generated schemas

FLAT = st.sampled_from(
    [
        (pa.int8(), st.integers(-128, 127)),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
        (pa.float64(), st.floats(allow_nan=False)),
        (pa.float32(), st.floats(width=32, allow_nan=False)),
        (pa.bool_(), st.booleans()),
        (pa.string(), st.text(max_size=8)),
        (pa.large_string(), st.text(max_size=8)),
        (pa.binary(), st.binary(max_size=8)),
        (pa.decimal128(8, 2), st.decimals(-999_999, 999_999, places=2)),
        (pa.date32(), st.dates()),
        (pa.timestamp("us"), st.datetimes()),
        (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
        (pa.duration("us"), st.timedeltas(timedelta(-1000), timedelta(1000))),
        (pa.time64("us"), st.times()),
    ]
)


def nested(inner):
    return st.one_of(
        inner.map(lambda one: (pa.list_(one[0]), st.lists(st.none() | one[1], max_size=3))),
        inner.map(lambda one: (pa.large_list(one[0]), st.lists(one[1], max_size=3))),
        st.tuples(inner, inner).map(
            lambda two: (
                pa.struct([("x", two[0][0]), ("y", two[1][0])]),
                st.fixed_dictionaries({"x": st.none() | two[0][1], "y": st.none() | two[1][1]}),
            )
        ),
        inner.map(
            lambda one: (
                pa.map_(pa.string(), one[0]),
                st.dictionaries(st.text(max_size=3), st.none() | one[1], max_size=3).map(
                    lambda found: [*found.items()]
                ),
            )
        ),
    )


COLUMN = st.recursive(FLAT, nested, max_leaves=4)


@st.composite
def tables(draw):
    columns = draw(st.lists(COLUMN, min_size=1, max_size=4))
    count = draw(st.integers(0, 5))
    arrays = [
        pa.array(draw(st.lists(st.none() | values, min_size=count, max_size=count)), data_type)
        for data_type, values in columns
    ]
    return pa.table(dict(zip("abcd", arrays, strict=False)))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables())
def test_whatever_is_written_comes_back(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("file") / "a.parquet"
    frame = open_frame(table)
    reconciled = reconcile(None, frame.schema)

    write_file(lambda: path.open("xb"), frame.cast(reconciled).tables(), reconciled.schema, metadata={})

    read = read_files([Source("a", str(path))], reconciled.schema)
    assert read.schema.equals(plain(reconciled.schema))
    assert read.to_pylist() == table.to_pylist()
    batches = iter_batches([Source("a", str(path))], reconciled.schema, batch_rows=2)
    assert [row for batch in batches for row in batch.to_pylist()] == table.to_pylist()
    again = open_frame(read)
    assert reconcile(reconciled.schema, again.schema).changed is False
