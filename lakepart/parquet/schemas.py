"""Schemas of assets: fixed by the first write, kept by field id, checked column by column ever after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import CorruptionError, ErrorCode, InvalidInputError, SchemaMismatchError, did_you_mean
from lakepart.model.definitions import OneDimensional, PartitionsDefinition, TimeDefinition
from lakepart.parquet.casting import cast_column
from lakepart.parquet.merging import merge_schemas

_FIELD_ID = b"PARQUET:field_id"
_LAST_FIELD_ID = b"lakepart.last_field_id"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How a frame fits an asset.

    Attributes
    ----------
    schema
        What the rows are written as; every field has its Parquet field id.
    changed
        Whether the asset has no such schema yet: it is the first, a column that was all null got its type, or one was
        added or has grown.
    cast
        Makes a table or record batch fit ``schema``: columns in its order and of its types. SchemaMismatchError if
        one does not, with the column and the value.
    """

    schema: pa.Schema
    changed: bool
    cast: Callable[[Any], Any]


def reconcile(stored: pa.Schema | None, incoming: pa.Schema, on_schema_change: str = "error") -> Reconciled:
    """Find how a frame of schema ``incoming`` is written to an asset of schema ``stored`` (None: not written yet).

    The order of columns may differ. Integers of any width, floats up to the asset's width, decimals, and timestamps
    of any zone are cast where every value fits; a column of nulls fits any type, and an asset's column that was all
    null so far takes the first type it meets.

    Parameters
    ----------
    on_schema_change
        ``"error"``: that is all. ``"add"``: columns the asset does not have are added to it, those the frame does not
        have are null. ``"widen"``: moreover, a column grows to the type that holds both.

    Raises
    ------
    SchemaMismatchError
        Columns are missing, unknown or of another kind; the message goes through them one by one.
    """
    if stored is None:
        schema = assign_field_ids(incoming)
        return Reconciled(schema, changed=True, cast=_Caster(schema, on_schema_change))
    merged = pa.schema(merge_schemas(stored, incoming, on_schema_change), metadata=stored.metadata)
    changed = not merged.equals(stored)
    schema = assign_field_ids(merged) if changed else stored
    return Reconciled(schema, changed=changed, cast=_Caster(schema, on_schema_change))


def assign_field_ids(schema: pa.Schema) -> pa.Schema:
    """Give every field, nested ones too, a Parquet field id; those that have one keep it, the others get new ones.

    An id that was given once is never given again, whatever became of its field: :func:`last_field_id` knows.
    """
    taken = last_field_id(schema)
    numbers = count(taken + 1)
    return with_last_field_id([_numbered(field, numbers) for field in schema], taken)


def last_field_id(schema: pa.Schema) -> int:
    """Give the highest id that a field of this asset has, or ever had."""
    noted = int((schema.metadata or {}).get(_LAST_FIELD_ID, 0))
    return max(noted, *identifiers_of(schema), 0)


def with_last_field_id(fields: list[pa.Field], taken: int) -> pa.Schema:
    """Make a schema that remembers the highest id ever given, where none of its fields has it any more."""
    schema = pa.schema(fields)
    if max(identifiers_of(schema), default=0) >= taken:
        return schema
    return schema.with_metadata({_LAST_FIELD_ID: str(taken).encode()})


def identifiers_of(schema: pa.Schema) -> list[int]:
    """Give the field ids of a schema, nested ones too."""
    return [identifier for field in schema for identifier in _identifiers(field)]


def identifier_of(field: pa.Field) -> int | None:
    """Give the field id of one field, or None if it has none yet."""
    kept = (field.metadata or {}).get(_FIELD_ID)
    return None if kept is None else int(kept)


def plain(schema: pa.Schema) -> pa.Schema:
    """Give the schema without metadata and field ids, as readers see it."""
    return pa.schema([_unnumbered(field) for field in schema])


def gives_types_only(before: pa.Schema, after: pa.Schema) -> bool:
    """Tell whether two schemas differ in nothing but types of columns that were all null."""
    return before.names == after.names and all(
        old.equals(new) or pa.types.is_null(old.type) for old, new in zip(before, after, strict=True)
    )


def serialise(schema: pa.Schema) -> bytes:
    """Give the Arrow IPC form, field ids included."""
    return bytes(schema.serialize().to_pybytes())


def deserialise(data: bytes) -> pa.Schema:
    """Read what :func:`serialise` wrote."""
    try:
        return pa.ipc.read_schema(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:  # Arrow has no error of its own for bytes that are no schema
        raise CorruptionError(
            f"A schema in the catalog cannot be read: {error}.",
            hint="restore the catalog from a backup, or rebuild it.",
        ) from error


def fingerprint(schema: pa.Schema) -> str:
    """Give 16 hex characters that equal schemas share, field ids included."""
    return hashlib.sha256(serialise(schema)).hexdigest()[:16]


def meaning_of(schema: pa.Schema) -> bytes:
    """Say what stored values mean: the field id and type of each column, fields inside it too, in their order.

    Names and whether there may be nulls are left out: a column that is renamed or loosened means what it meant.
    """
    return _meaning_of_serialised(serialise(schema))  # schemas that differ in field ids alone are equal to a cache


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

    __slots__ = ("_checked", "_on_schema_change", "_schema")

    def __init__(self, schema: pa.Schema, on_schema_change: str) -> None:
        self._schema = schema
        self._on_schema_change = on_schema_change
        self._checked: pa.Schema | None = None

    def __call__(self, data: Any) -> Any:
        if not data.schema.equals(self._schema):
            data = self._cast(data)
        for field in self._schema:
            if not field.nullable:
                _check_filled(field.name, data.column(field.name))
        return data

    def _cast(self, data: Any) -> Any:
        if self._checked is None or not data.schema.equals(self._checked):
            _check_settled(self._schema, merge_schemas(self._schema, data.schema, self._on_schema_change))
            self._checked = data.schema
        names = set(data.schema.names)
        columns = [
            cast_column(data.column(field.name), field.type, field.name)
            if field.name in names
            else pa.nulls(data.num_rows, field.type)
            for field in self._schema
        ]
        return type(data).from_arrays(columns, schema=self._schema)


def _check_settled(schema: pa.Schema, merged: list[pa.Field]) -> None:
    """Refuse what would change the schema once files were written under it."""
    changed = [field for field in merged if field.name not in schema.names or field != schema.field(field.name)]
    for field in changed:
        before = schema.field(field.name).type if field.name in schema.names else None
        was = "not" if before is None else "all null" if pa.types.is_null(before) else f"of type {before}"
        raise SchemaMismatchError(
            f"Column {field.name!r} was {was} in the frame's first part and has the type {field.type} in a later one; "
            f"by then files were written without {'it' if before is None else 'a type'}.",
            hint="let the first part have the column's type, or write that part later.",
            context={"column": field.name},
        )


def _check_filled(name: str, column: Any) -> None:
    if not column.null_count:
        return
    row = pc.index(pc.is_null(column), True).as_py()
    raise SchemaMismatchError(
        f"Column {name!r} is null in {column.null_count:,} of {len(column):,} rows, first in row {row:,}; it was "
        "declared without nulls.",
        hint=f"fill the values in, or allow nulls: asset.alter(nullable=[{name!r}]).",
        context={"column": name, "rows": column.null_count, "first_row": row},
    )


@lru_cache(maxsize=256)
def _meaning_of_serialised(data: bytes) -> bytes:
    return json.dumps([_meaning(field) for field in deserialise(data)], separators=(",", ":")).encode()


def _meaning(field: pa.Field) -> list[Any]:
    kind = str(field.type).partition("<")[0] if pa.types.is_nested(field.type) else str(field.type)
    return [identifier_of(field), kind, *(_meaning(child) for child in children_of(field.type))]


def _identifiers(field: pa.Field) -> Iterator[int]:
    if field.metadata and _FIELD_ID in field.metadata:
        yield int(field.metadata[_FIELD_ID])
    for child in children_of(field.type):
        yield from _identifiers(child)


def _numbered(field: pa.Field, numbers: Iterator[int]) -> pa.Field:
    kept = (field.metadata or {}).get(_FIELD_ID)
    identifier = kept if kept is not None else str(next(numbers)).encode()
    nested = rebuilt(field.type, lambda child: _numbered(child, numbers))
    return pa.field(field.name, nested, nullable=field.nullable, metadata={_FIELD_ID: identifier})


def _unnumbered(field: pa.Field) -> pa.Field:
    return pa.field(field.name, rebuilt(field.type, _unnumbered), nullable=field.nullable)


def children_of(data_type: pa.DataType) -> list[pa.Field]:
    """Give the fields inside a nested type."""
    return (
        [data_type.field(i) for i in range(data_type.num_fields)]
        if not pa.types.is_map(data_type)
        else [
            data_type.key_field,
            data_type.item_field,
        ]
    )


def rebuilt(data_type: pa.DataType, change: Callable[[pa.Field], pa.Field]) -> pa.DataType:
    """Give a nested type with each of its fields changed; any other type as it is."""
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
