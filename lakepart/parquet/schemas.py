"""Schemas of assets: fixed by the first write, kept by field id, checked column by column ever after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pyarrow as pa

from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError, did_you_mean
from lakepart.model.definitions import OneDimensional, PartitionsDefinition, TimeDefinition
from lakepart.parquet.casting import cast_column

_FIELD_ID = b"PARQUET:field_id"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How a frame fits an asset.

    Attributes
    ----------
    schema
        What the rows are written as; every field has its Parquet field id.
    changed
        Whether the asset has no such schema yet: it is the first, or a column that was all null got its type.
    cast
        Makes a table or record batch fit ``schema``: columns in its order and of its types. SchemaMismatchError if
        one does not, with the column and the value.
    """

    schema: pa.Schema
    changed: bool
    cast: Callable[[Any], Any]


def reconcile(stored: pa.Schema | None, incoming: pa.Schema) -> Reconciled:
    """Find how a frame of schema ``incoming`` is written to an asset of schema ``stored`` (None: not written yet).

    The order of columns may differ. Integers of any width, floats up to the asset's width, decimals, and timestamps
    of any zone are cast where every value fits; a column of nulls fits any type, and an asset's column that was all
    null so far takes the first type it meets.

    Raises
    ------
    SchemaMismatchError
        Columns are missing, unknown or of another kind; the message goes through them one by one.
    """
    if stored is None:
        schema = assign_field_ids(incoming)
        return Reconciled(schema, changed=True, cast=_Caster(schema))
    _check_fits(stored, incoming)
    fields = [
        incoming.field(field.name).with_metadata(field.metadata) if _gets_type(field, incoming) else field
        for field in stored
    ]
    changed = any(_gets_type(field, incoming) for field in stored)
    schema = assign_field_ids(pa.schema(fields)) if changed else stored
    return Reconciled(schema, changed=changed, cast=_Caster(schema))


def assign_field_ids(schema: pa.Schema) -> pa.Schema:
    """Give every field, nested ones too, a Parquet field id; those that have one keep it, the others get new ones."""
    taken = max((identifier for field in schema for identifier in _identifiers(field)), default=0)
    numbers = count(taken + 1)
    return pa.schema([_numbered(field, numbers) for field in schema])


def plain(schema: pa.Schema) -> pa.Schema:
    """Give the schema without metadata and field ids, as readers see it."""
    return pa.schema([pa.field(field.name, _rebuilt(field.type, _unnumbered)) for field in schema])


def serialise(schema: pa.Schema) -> bytes:
    """Give the Arrow IPC form, field ids included."""
    return bytes(schema.serialize().to_pybytes())


def deserialise(data: bytes) -> pa.Schema:
    """Read what :func:`serialise` wrote."""
    return pa.ipc.read_schema(pa.BufferReader(data))


def fingerprint(schema: pa.Schema) -> str:
    """Give 16 hex characters that equal schemas share, field ids included."""
    return hashlib.sha256(serialise(schema)).hexdigest()[:16]


def check_partition_column(definition: PartitionsDefinition, schema: pa.Schema) -> None:
    """Refuse a schema whose rows cannot find their partitions: no such column, or not of a fitting type.

    A column that is all null so far passes; its rows are refused when they are routed.

    Raises
    ------
    InvalidInputError
        Codes ``unknown-column``, ``naive-timestamp`` or ``schema-mismatch``.
    """
    for dimension in definition.dimensions:
        if dimension.by is not None:
            _check_column_of(dimension, dimension.by, schema)


def _check_column_of(definition: OneDimensional, name: str, schema: pa.Schema) -> None:
    if name not in schema.names:
        raise InvalidInputError(
            f"The frame has no column {name!r}, by which its rows are partitioned.",
            hint=did_you_mean(name, schema.names),
            code=ErrorCode.UNKNOWN_COLUMN,
            context={"column": name},
        )
    data_type = schema.field(name).type
    if pa.types.is_null(data_type):
        return
    if isinstance(definition, TimeDefinition):
        _check_time_column(definition, name, data_type)
    elif not _has_key_text(data_type):
        raise SchemaMismatchError(
            f"Column {name!r} has the type {data_type}; partition keys are made of text, integers, dates or booleans.",
            hint=f"convert it, for example df[{name!r}] = df[{name!r}].astype('string').",
            context={"column": name, "type": str(data_type)},
        )


def _check_time_column(definition: TimeDefinition, name: str, data_type: pa.DataType) -> None:
    if pa.types.is_timestamp(data_type):
        if data_type.tz is None and definition.tz != "UTC":
            raise _naive_timestamps(name, definition.tz)
        return
    if pa.types.is_date(data_type) and definition.has_whole_days:
        return
    wanted = "timestamps or dates" if definition.has_whole_days else "timestamps"
    raise SchemaMismatchError(
        f"Column {name!r} has the type {data_type}; {type(definition).__name__} partitions are found by {wanted}.",
        hint=f"convert it, for example df[{name!r}] = pd.to_datetime(df[{name!r}], utc=True).",
        context={"column": name, "type": str(data_type)},
    )


def _naive_timestamps(name: str, tz: str) -> InvalidInputError:
    return InvalidInputError(
        f"Column {name!r} has timestamps without a time zone, but the partitions are cut in {tz}.",
        hint=f"df[{name!r}].dt.tz_localize({tz!r}) if they are local times, .dt.tz_localize('UTC') if they are UTC.",
        code=ErrorCode.NAIVE_TIMESTAMP,
        context={"column": name, "tz": tz},
    )


def _has_key_text(data_type: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(data_type)
        or types.is_integer(data_type)
        or types.is_date(data_type)
        or types.is_boolean(data_type)
    )


class _Caster:
    """Casts tables and batches to one schema; remembers which schemas were found to fit."""

    __slots__ = ("_checked", "_schema")

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._checked: pa.Schema | None = None

    def __call__(self, data: Any) -> Any:
        if data.schema.equals(self._schema):
            return data
        if self._checked is None or not data.schema.equals(self._checked):
            _check_fits(self._schema, data.schema)
            _check_typed(self._schema, data.schema)
            self._checked = data.schema
        columns = [cast_column(data.column(field.name), field.type, field.name) for field in self._schema]
        return type(data).from_arrays(columns, schema=self._schema)


def _check_fits(stored: pa.Schema, incoming: pa.Schema) -> None:
    problems = [
        f"column {name!r}: the asset has {stored.field(name).type}, the frame has {incoming.field(name).type}"
        for name in stored.names
        if name in incoming.names and not _is_castable(incoming.field(name).type, stored.field(name).type)
    ]
    missing = [name for name in stored.names if name not in incoming.names]
    extra = [name for name in incoming.names if name not in stored.names]
    problems += [f"column {name!r} of the asset is missing from the frame" for name in missing]
    problems += [f"column {name!r} of the frame is not in the asset" for name in extra]
    if not problems:
        return
    hint = "convert the columns to the asset's types."
    if missing or extra:
        guess = did_you_mean(extra[0], missing) if missing and extra else None
        hint = guess or "drop columns the asset does not have, and add missing ones (all null will do)."
    raise SchemaMismatchError(
        f"The frame does not fit the asset's schema: {'; '.join(problems)}.",
        hint=hint,
        context={"problems": problems, "missing": missing, "extra": extra},
    )


def _check_typed(stored: pa.Schema, incoming: pa.Schema) -> None:
    for field in stored:
        if _gets_type(field, incoming):
            raise SchemaMismatchError(
                f"Column {field.name!r} was all null in the frame's first part and has the type "
                f"{incoming.field(field.name).type} in a later one; by then files were written without a type.",
                hint="let the first part have the column's type, or write that part later.",
                context={"column": field.name},
            )


def _gets_type(field: pa.Field, incoming: pa.Schema) -> bool:
    return pa.types.is_null(field.type) and not pa.types.is_null(incoming.field(field.name).type)


def _is_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Tell whether values of ``source`` mean the same as ``target``; whether each fits is seen when casting."""
    types = pa.types
    if source.equals(target) or types.is_null(source) or types.is_null(target):
        return True
    if types.is_floating(source) and types.is_floating(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_integer(source) and types.is_floating(target):
        return True  # pandas turns integers into floats wherever one is missing; exact ones fit
    if types.is_timestamp(source) and types.is_timestamp(target):
        return (source.tz is None) == (target.tz is None)
    if types.is_struct(source) and types.is_struct(target):
        return [child.name for child in source] == [child.name for child in target] and all(
            _is_castable(one.type, other.type) for one, other in zip(source, target, strict=True)
        )
    if types.is_map(source) and types.is_map(target):
        return _is_castable(source.key_type, target.key_type) and _is_castable(source.item_type, target.item_type)
    if types.is_list(source) and types.is_list(target):
        return _is_castable(source.value_type, target.value_type)
    same_kind = (types.is_integer, types.is_decimal, types.is_date, types.is_time, types.is_duration)
    return any(is_kind(source) and is_kind(target) for is_kind in same_kind)


def _identifiers(field: pa.Field) -> Iterator[int]:
    if field.metadata and _FIELD_ID in field.metadata:
        yield int(field.metadata[_FIELD_ID])
    for child in _children(field.type):
        yield from _identifiers(child)


def _numbered(field: pa.Field, numbers: Iterator[int]) -> pa.Field:
    kept = (field.metadata or {}).get(_FIELD_ID)
    identifier = kept if kept is not None else str(next(numbers)).encode()
    nested = _rebuilt(field.type, lambda child: _numbered(child, numbers))
    return pa.field(field.name, nested, metadata={_FIELD_ID: identifier})


def _unnumbered(field: pa.Field) -> pa.Field:
    return pa.field(field.name, _rebuilt(field.type, _unnumbered), nullable=field.nullable)


def _children(data_type: pa.DataType) -> list[pa.Field]:
    return (
        [data_type.field(i) for i in range(data_type.num_fields)]
        if not pa.types.is_map(data_type)
        else [
            data_type.key_field,
            data_type.item_field,
        ]
    )


def _rebuilt(data_type: pa.DataType, change: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    types = pa.types
    if types.is_struct(data_type):
        return pa.struct([change(child) for child in data_type])
    if types.is_map(data_type):
        key = change(data_type.key_field)
        return pa.map_(key.with_nullable(False), change(data_type.item_field))
    if types.is_fixed_size_list(data_type):
        return pa.list_(change(data_type.value_field), data_type.list_size)
    if types.is_list(data_type):
        return pa.list_(change(data_type.value_field))
    return data_type
