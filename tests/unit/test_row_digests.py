"""The digest of rows: the same for the same rows in any order and any pieces, another for any other rows."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakepart.parquet.digests import RowDigest

ROWS = 60
STRUCT = pa.struct({"a": pa.int64(), "b": pa.string()})
COLUMNS = {
    "int8": [pa.scalar(n, pa.int8()) for n in range(ROWS)],
    "uint64": [pa.scalar(2**63 + n, pa.uint64()) for n in range(ROWS)],
    "half": [pa.scalar(np.float16(n / 4), pa.float16()) for n in range(ROWS)],
    "float": [pa.scalar(n / 3, pa.float32()) for n in range(ROWS)],
    "double": [pa.scalar(-n / 3) for n in range(ROWS)],
    "text": [pa.scalar("ä" * (n % 13) + str(n)) for n in range(ROWS)],
    "large text": [pa.scalar("x" * n, pa.large_string()) for n in range(ROWS)],
    "bytes": [pa.scalar(b"\0" * n) for n in range(ROWS)],
    "five bytes": [pa.scalar(b"%05d" % n, pa.binary(5)) for n in range(ROWS)],
    "decimal": [pa.scalar(Decimal(n) / 100, pa.decimal128(20, 2)) for n in range(ROWS)],
    "long decimal": [pa.scalar(Decimal(n) / 100, pa.decimal256(50, 2)) for n in range(ROWS)],
    "date": [pa.scalar(date(2020, 1, 1) + timedelta(n)) for n in range(ROWS)],
    "instant": [pa.scalar(datetime(2020, 1, 1, n % 24, n, tzinfo=UTC)) for n in range(ROWS)],
    "time": [pa.scalar(time(1, n), pa.time32("ms")) for n in range(ROWS)],
    "duration": [pa.scalar(timedelta(n)) for n in range(ROWS)],
    "list": [pa.scalar([None, *range(n)], pa.list_(pa.int32())) for n in range(ROWS)],
    "pair": [pa.scalar([n, None], pa.list_(pa.int32(), 2)) for n in range(ROWS)],
    "struct": [pa.scalar({"a": n if n % 3 else None, "b": f"{n}"}, STRUCT) for n in range(ROWS)],
    "map": [pa.scalar([("k", n), ("l", None)], pa.map_(pa.string(), pa.int32())) for n in range(ROWS)],
    "deep": [pa.scalar([{"a": [n, 1]}, None]) for n in range(ROWS)],
}


def column_of(name):
    return pa.array([None if n % 7 == 3 else one.as_py() for n, one in enumerate(COLUMNS[name])], COLUMNS[name][0].type)


def digest(*tables):
    found = RowDigest()
    for table in tables:
        found.add(table)
    return found.value


@pytest.mark.parametrize("name", COLUMNS)
def test_it_is_the_same_in_any_order_and_any_pieces_and_another_for_every_value(name):
    table = pa.table({"v": column_of(name), "n": range(ROWS)})
    shuffled = table.take(np.random.default_rng(7).permutation(ROWS))

    assert digest(shuffled) == digest(table) == digest(table.slice(31), table.slice(0, 1), table.slice(1, 30))
    each = [digest(pa.table({"v": column_of(name).slice(n, 1)})) for n in range(ROWS)]
    assert len(set(each)) == ROWS - column_of(name).null_count + 1


def test_it_is_the_same_after_parquet_has_held_the_rows(tmp_path):
    table = pa.table({name: column_of(name) for name in COLUMNS})
    nan = pa.array(np.array([0x7FF8000000000001, 0x7FF8000000000000, 0], "u8").view("f8").repeat(ROWS // 3))
    table = table.append_column("nan", nan).append_column("nothing", pa.nulls(ROWS))

    pq.write_table(table, tmp_path / "rows.parquet")

    found = RowDigest()
    for batch in pq.ParquetFile(tmp_path / "rows.parquet").iter_batches(7):
        found.add(batch)
    assert found.value == digest(table)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": [0.0]}, {"a": [-0.0]}),
        ({"a": [1], "b": [2]}, {"a": [2], "b": [1]}),
        ({"a": ["ab", "c"]}, {"a": ["a", "bc"]}),
        ({"a": ["12345678", ""]}, {"a": ["12345678\0", ""]}),
        ({"a": [[1], [2]]}, {"a": [[1, 2], []]}),
        ({"a": [[1, 2]]}, {"a": [[2, 1]]}),
        ({"a": pa.array([""])}, {"a": pa.array([None], pa.string())}),
        ({"a": pa.array([0])}, {"a": pa.array([None], pa.int64())}),
        ({"a": [1, 1]}, {"a": [1, 1, 1, 1]}),
        ({"a": [1, 2], "b": [3, 4]}, {"a": [1, 2], "b": [4, 3]}),
        ({"a": [True, False]}, {"a": [True, True]}),
    ],
)
def test_rows_that_are_nearly_the_same_have_another(one, other):
    assert digest(pa.table(one))[1] != digest(pa.table(other))[1]


def test_what_lies_under_a_null_does_not_matter():
    hidden = pa.Array.from_buffers(pa.int64(), 2, [pa.py_buffer(b"\x02"), pa.py_buffer(np.array([77, 5]))])

    assert digest(pa.table({"a": hidden})) == digest(pa.table({"a": pa.array([None, 5])}))


def test_no_rows_have_a_digest_too():
    assert digest(pa.table({"a": pa.array([], pa.int64())})) == digest() == (0, "0" * 32)
