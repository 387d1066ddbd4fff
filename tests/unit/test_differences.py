import math

import pyarrow as pa
import pytest

from lakepart.errors import InvalidInputError
from lakepart.parquet.differences import DuplicateRowsError, difference_schema, row_differences
from lakepart.planning.diff import Held, compare, compare_apart


def held(content):
    return Held("k", content, 1, 10)


def rows(before, after, on):
    result = difference_schema(after.schema, on, ["change"])
    return row_differences(before, after, on, result).to_pylist()


def test_partitions_are_compared_by_content():
    found = compare("a", {1: held("x"), 2: held("x"), 3: held("x")}, {2: held("x"), 3: held("y"), 4: held("x")})

    assert [(one.ordinal, one.change) for one in found] == [(1, "removed"), (2, "same"), (3, "changed"), (4, "added")]


def test_ordinals_that_stand_for_other_partitions_are_not_compared():
    found = compare_apart("a", {1: held("x"), 2: held("x")}, {1: held("x"), 2: held("x")}, frozenset({2}))

    assert [(one.ordinal, one.change) for one in found] == [(2, "removed"), (1, "same"), (2, "added")]


def test_nulls_in_key_columns_are_equal_to_themselves():
    before = pa.table({"k": pa.array([None, 1], pa.int64()), "x": [1, 2]})
    after = pa.table({"k": pa.array([1, None], pa.int64()), "x": [2, 3]})

    assert rows(before, after, ["k"]) == [{"change": "changed", "k": None, "x_before": 1, "x_after": 3}]


def test_nan_is_equal_to_itself_and_to_no_number():
    before = pa.table({"k": [1, 2, 3], "x": [math.nan, math.nan, None]})
    after = pa.table({"k": [1, 2, 3], "x": [math.nan, 1.0, None]})

    assert [row["k"] for row in rows(before, after, ["k"])] == [2]


def test_nested_values_are_compared_whole():
    before = pa.table({"k": [1, 2], "x": [[1], [2]]})
    after = pa.table({"k": [1, 2], "x": [[1], [3]]})

    assert [row["k"] for row in rows(before, after, ["k"])] == [2]


@pytest.mark.parametrize("twice", ["before", "after"])
def test_duplicates_are_refused_with_an_example(twice):
    tables = {"before": pa.table({"k": [1]}), "after": pa.table({"k": [1]}), twice: pa.table({"k": [1, 7, 7]})}

    with pytest.raises(DuplicateRowsError) as caught:
        rows(tables["before"], tables["after"], ["k"])

    assert (caught.value.side, caught.value.example) == (twice, {"k": 7})


@pytest.mark.parametrize(
    ("on", "match"), [([], "no column"), (["n"], "plain values"), (["change"], "would be called 'change'")], ids=str
)
def test_columns_that_cannot_tell_rows_apart_are_refused(on, match):
    schema = pa.schema({"k": pa.int64(), "n": pa.list_(pa.int64()), "change": pa.string()})

    with pytest.raises(InvalidInputError, match=match):
        difference_schema(schema, on, ["change"])
