"""The first write fixes the schema; every later frame fits it, is cast without loss, or is refused column by column."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError
from lakepart.model.definitions import Daily, Hourly, PartitionsDefinition, Static, Unpartitioned
from lakepart.parquet.schemas import (
    assign_field_ids,
    check_partition_column,
    deserialise,
    fingerprint,
    plain,
    reconcile,
    serialise,
)

NESTED = pa.schema(
    {"a": pa.int64(), "l": pa.list_(pa.struct([("k", pa.string())])), "m": pa.map_(pa.string(), pa.int8())}
)


def identifier(field: pa.Field) -> int:
    return int(field.metadata[b"PARQUET:field_id"])


def identifiers(schema: pa.Schema) -> dict[str, int]:
    return {field.name: identifier(field) for field in schema}


def test_every_field_gets_an_id_of_its_own_nested_ones_too() -> None:
    schema = assign_field_ids(NESTED)

    element = schema.field("l").type.value_field
    entry = schema.field("m").type
    fields = [*schema, element, element.type.field("k"), entry.key_field, entry.item_field]
    assert sorted(identifier(field) for field in fields) == list(range(1, 8))
    assert identifiers(schema) == {"a": 1, "l": 2, "m": 5}


def test_ids_once_given_stay() -> None:
    schema = assign_field_ids(NESTED)

    assert assign_field_ids(schema).equals(schema, check_metadata=True)
    assert identifiers(assign_field_ids(schema.append(pa.field("new", pa.int8()))))["new"] == 8


def test_a_schema_survives_its_bytes_with_ids() -> None:
    schema = assign_field_ids(NESTED)

    assert deserialise(serialise(schema)).equals(schema, check_metadata=True)
    assert fingerprint(schema) == fingerprint(deserialise(serialise(schema)))
    assert fingerprint(schema) != fingerprint(assign_field_ids(pa.schema({"a": pa.int32()})))


def test_a_plain_schema_has_no_trace_of_ids() -> None:
    assert plain(assign_field_ids(NESTED)).equals(NESTED, check_metadata=True)


def test_the_first_frame_decides() -> None:
    reconciled = reconcile(None, pa.schema({"x": pa.int64()}))

    assert reconciled.changed
    assert identifiers(reconciled.schema) == {"x": 1}


def test_an_equal_frame_changes_nothing_and_is_not_copied() -> None:
    stored = reconcile(None, pa.schema({"x": pa.int64()})).schema
    table = pa.table({"x": [1, 2]})

    reconciled = reconcile(stored, table.schema)

    assert not reconciled.changed
    assert reconciled.cast(table) is table


def test_columns_may_come_in_another_order() -> None:
    stored = reconcile(None, pa.schema({"x": pa.int64(), "y": pa.string()})).schema
    table = pa.table({"y": ["a"], "x": [1]})

    assert reconcile(stored, table.schema).cast(table).equals(pa.table({"x": [1], "y": ["a"]}))


def test_a_column_of_nulls_stays_undecided_until_it_gets_a_type_and_keeps_its_id() -> None:
    first = reconcile(None, pa.schema({"x": pa.null(), "y": pa.int64()})).schema

    still = reconcile(first, pa.schema({"x": pa.null(), "y": pa.int64()}))
    typed = reconcile(first, pa.schema({"x": pa.list_(pa.string()), "y": pa.int64()}))

    assert not still.changed
    assert typed.changed
    assert identifiers(typed.schema) == {"x": 1, "y": 2}
    assert identifier(typed.schema.field("x").type.value_field) == 3
    assert not reconcile(typed.schema, pa.schema({"x": pa.null(), "y": pa.int64()})).changed


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (pa.int64(), pa.array([1], pa.int32())),
        (pa.int64(), pa.array([1], pa.uint64())),
        (pa.int8(), pa.array([127], pa.int64())),
        (pa.float64(), pa.array([1.5], pa.float32())),
        (pa.float64(), pa.array([2**53], pa.int64())),
        (pa.decimal128(12, 2), pa.array([Decimal("1.50")], pa.decimal128(5, 1))),
        (pa.timestamp("us", "UTC"), pa.array([datetime(2013, 1, 1, tzinfo=UTC)], pa.timestamp("us", "Asia/Tokyo"))),
        (pa.list_(pa.int64()), pa.array([[1], None], pa.list_(pa.int8()))),
        (pa.struct([("k", pa.int64())]), pa.array([{"k": 1}, None], pa.struct([("k", pa.int8())]))),
        (pa.map_(pa.string(), pa.int64()), pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8()))),
        (pa.string(), pa.nulls(1)),
        (pa.struct([("k", pa.int64())]), pa.nulls(1)),
    ],
    ids=str,
)
def test_what_means_the_same_is_cast(stored: pa.DataType, given: pa.Array) -> None:
    schema = reconcile(None, pa.schema({"c": stored})).schema
    batch = pa.record_batch({"c": given})

    cast = reconcile(schema, batch.schema).cast(batch)

    assert isinstance(cast, pa.RecordBatch)
    assert cast.schema.equals(schema)
    assert cast["c"].to_pylist() == given.to_pylist()


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (pa.int64(), pa.float64()),
        (pa.float32(), pa.float64()),
        (pa.string(), pa.int64()),
        (pa.string(), pa.binary()),
        (pa.bool_(), pa.int8()),
        (pa.timestamp("us", "UTC"), pa.timestamp("us")),
        (pa.timestamp("us"), pa.date32()),
        (pa.list_(pa.int64()), pa.list_(pa.string())),
        (pa.list_(pa.int64()), pa.int64()),
        (pa.struct([("k", pa.int64())]), pa.struct([("q", pa.int64())])),
    ],
    ids=str,
)
def test_another_kind_is_refused_with_both_types(stored: pa.DataType, given: pa.DataType) -> None:
    schema = reconcile(None, pa.schema({"c": stored})).schema

    with pytest.raises(SchemaMismatchError) as caught:
        reconcile(schema, pa.schema({"c": given}))

    assert f"column 'c': the asset has {stored}, the frame has {given}" in caught.value.message


def test_every_column_that_does_not_fit_is_told_at_once() -> None:
    stored = reconcile(None, pa.schema({"carrier": pa.string(), "delay": pa.int64()})).schema

    with pytest.raises(SchemaMismatchError) as caught:
        reconcile(stored, pa.schema({"delay": pa.string(), "carier": pa.string()}))

    assert "column 'delay': the asset has int64, the frame has string" in caught.value.message
    assert "column 'carrier' of the asset is missing from the frame" in caught.value.message
    assert "column 'carier' of the frame is not in the asset" in caught.value.message
    assert caught.value.hint == "did you mean 'carrier'?"


def test_a_value_that_does_not_fit_is_named_with_its_column_and_row() -> None:
    stored = reconcile(None, pa.schema({"small": pa.int8()})).schema
    table = pa.table({"small": pa.chunked_array([[1, 2, 3], [4, 500, 600]])})

    with pytest.raises(SchemaMismatchError, match=r"Column 'small' holds 500 in row 4.*int8") as caught:
        reconcile(stored, table.schema).cast(table)

    assert caught.value.context == {"column": "small", "row": 4, "type": "int8"}


DAILY = Daily("2013-01-01", by="t", tz="America/New_York")


@pytest.mark.parametrize(
    ("definition", "data_type"),
    [
        (DAILY, pa.timestamp("us", "UTC")),
        (DAILY, pa.date32()),
        (DAILY, pa.null()),
        (Daily("2013-01-01", by="t"), pa.timestamp("us")),
        (Hourly("2013-01-01", by="t"), pa.timestamp("us", "Asia/Tokyo")),
        (Static(["a"], by="t"), pa.string()),
        (Static(["1"], by="t"), pa.int32()),
        (Daily("2013-01-01"), pa.float64()),
        (Unpartitioned(), pa.float64()),
    ],
    ids=str,
)
def test_a_fitting_partition_column_passes(definition: PartitionsDefinition, data_type: pa.DataType) -> None:
    check_partition_column(definition, pa.schema({"t": data_type}))


@pytest.mark.parametrize(
    ("definition", "data_type"),
    [
        (DAILY, pa.string()),
        (DAILY, pa.int64()),
        (Hourly("2013-01-01", by="t"), pa.date32()),
        (Static(["a"], by="t"), pa.float64()),
        (Static(["a"], by="t"), pa.timestamp("us")),
    ],
    ids=str,
)
def test_a_partition_column_of_the_wrong_type_is_refused(
    definition: PartitionsDefinition, data_type: pa.DataType
) -> None:
    with pytest.raises(SchemaMismatchError, match=r"Column 't'.*Hint: convert it"):
        check_partition_column(definition, pa.schema({"t": data_type}))


def test_naive_timestamps_are_refused_where_the_zone_decides_and_told_how_to_localise() -> None:
    with pytest.raises(InvalidInputError, match=r"America/New_York.*tz_localize\('America/New_York'\)") as caught:
        check_partition_column(DAILY, pa.schema({"t": pa.timestamp("us")}))

    assert caught.value.code is ErrorCode.NAIVE_TIMESTAMP


def test_a_missing_partition_column_is_refused_with_close_names() -> None:
    definition = Daily("2013-01-01", by="time_hour")

    with pytest.raises(InvalidInputError, match="did you mean 'time_huor'") as caught:
        check_partition_column(definition, pa.schema({"time_huor": pa.date32(), "x": pa.int8()}))

    assert caught.value.code is ErrorCode.UNKNOWN_COLUMN


def test_an_integer_that_no_double_can_hold_is_refused_and_named() -> None:
    reconciled = reconcile(assign_field_ids(pa.schema({"x": pa.float64()})), pa.schema({"x": pa.int64()}))

    with pytest.raises(SchemaMismatchError, match="9007199254740993"):
        reconciled.cast(pa.table({"x": pa.array([1, 2**53 + 1], pa.int64())}))
