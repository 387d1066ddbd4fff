"""The few Arrow types that lakepart stores, and casts to them that lose nothing or say which value would be lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import SchemaMismatchError

_PLAIN_EXTENSIONS = frozenset({"arrow.uuid", "arrow.json"})  # whose values mean the same without the label
_MOST_CHUNK_BYTES = 2**31 - 1  # what 32-bit offsets can address


def canonical_type(data_type: pa.DataType, name: str) -> pa.DataType:
    """Give the stored form of a column's type; SchemaMismatchError if there is none.

    Types that differ only in memory layout become one (``large_string`` and ``string_view`` are ``string``), a
    dictionary becomes its values, times become microseconds, and every nested field may be null. UUIDs are 16 bytes and
    JSON is text; what other extension types mean would be lost.
    """
    types = pa.types
    without_fields = types.is_struct(data_type) and data_type.num_fields == 0
    no_counterpart = types.is_union(data_type) or types.is_interval(data_type) or without_fields
    if isinstance(data_type, pa.BaseExtensionType):
        if data_type.extension_name in _PLAIN_EXTENSIONS:
            return canonical_type(data_type.storage_type, name)
        raise SchemaMismatchError(
            f"Column {name!r} has the extension type {data_type}, which lakepart does not know.",
            hint=f"give what it is stored as, {data_type.storage_type}: column.cast(column.type.storage_type).",
            context={"column": name, "type": str(data_type)},
        )
    if no_counterpart:
        raise SchemaMismatchError(
            f"Column {name!r} has the type {data_type}, which has no counterpart in Parquet.",
            hint="convert the column to text, numbers, dates or timestamps first.",
            context={"column": name, "type": str(data_type)},
        )
    if types.is_dictionary(data_type) or types.is_run_end_encoded(data_type):
        return canonical_type(data_type.value_type, name)
    if types.is_large_string(data_type) or types.is_string_view(data_type):
        return pa.string()
    if types.is_large_binary(data_type) or types.is_binary_view(data_type):
        return pa.binary()
    if types.is_timestamp(data_type):
        return pa.timestamp("us", tz=data_type.tz)
    if types.is_duration(data_type):
        return pa.duration("us")
    if types.is_time32(data_type):
        return pa.time32("ms")
    if types.is_time64(data_type):
        return pa.time64("us")
    if types.is_date64(data_type):
        return pa.date32()
    if types.is_decimal32(data_type) or types.is_decimal64(data_type):
        return pa.decimal128(data_type.precision, data_type.scale)
    if types.is_struct(data_type):
        return pa.struct([pa.field(child.name, canonical_type(child.type, name)) for child in data_type])
    if types.is_map(data_type):
        return pa.map_(canonical_type(data_type.key_type, name), canonical_type(data_type.item_type, name))
    if types.is_fixed_size_list(data_type):
        return pa.list_(pa.field("element", canonical_type(data_type.value_type, name)), data_type.list_size)
    if _is_list(data_type):
        return pa.list_(pa.field("element", canonical_type(data_type.value_type, name)))
    return data_type


def cast_column(column: Any, data_type: pa.DataType, name: str) -> Any:
    """Cast an array or chunked array; SchemaMismatchError names the column and the first value that does not fit."""
    if column.type.equals(data_type):
        return column
    try:
        return _cast(column, data_type)
    except pa.ArrowInvalid as error:
        row = _first_misfit(column, data_type)
        raise SchemaMismatchError(
            f"Column {name!r} holds {_text(column[row])} in row {row}, which does not fit {data_type} without loss.",
            hint=_hint(column.type, name),
            context={"column": name, "row": row, "type": str(data_type)},
        ) from error
    except pa.ArrowNotImplementedError as error:
        raise SchemaMismatchError(
            f"Column {name!r} of type {column.type} cannot be cast to {data_type}.",
            hint="convert the column before writing.",
            context={"column": name, "type": str(data_type)},
        ) from error


def _cast(column: Any, data_type: pa.DataType) -> Any:
    if isinstance(column, pa.ChunkedArray):
        pieces = [piece for chunk in column.chunks for piece in _cast_chunk(chunk, data_type)]
        return pa.chunked_array(pieces, type=data_type)
    return _cast_array(column, data_type)


def _cast_chunk(chunk: pa.Array, data_type: pa.DataType) -> list[pa.Array]:
    """Cast one chunk, in halves as long as its bytes are more than 32-bit offsets can address."""
    if len(chunk) > 1 and _size_bytes(chunk) > _MOST_CHUNK_BYTES:
        middle = len(chunk) // 2
        return _cast_chunk(chunk.slice(0, middle), data_type) + _cast_chunk(chunk.slice(middle), data_type)
    return [_cast_array(chunk, data_type)]


def _size_bytes(chunk: pa.Array) -> int:
    try:
        return int(chunk.nbytes)
    except pa.ArrowTypeError:  # pyarrow 21 cannot size views; one beyond 32-bit offsets then fails in the cast itself
        return 0


def _cast_array(array: pa.Array, data_type: pa.DataType) -> pa.Array:
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), data_type)
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    elif pa.types.is_dictionary(array.type):
        # the values first: there is no kernel that takes from views
        return _cast_array(array.dictionary, data_type).take(array.indices)
    if pa.types.is_struct(array.type) and pa.types.is_struct(data_type):
        found = {child.name: values for child, values in zip(array.type, array.flatten(), strict=True)}
        children = [
            _cast_array(found[field.name], field.type) if field.name in found else pa.nulls(len(array), field.type)
            for field in data_type
        ]
        return pa.StructArray.from_arrays(children, fields=list(data_type), mask=array.is_null())
    if _is_list(array.type) and pa.types.is_list(data_type):
        return rebuild_list(array, data_type, _cast_array(array.flatten(), data_type.value_type))
    if pa.types.is_map(array.type) and pa.types.is_map(data_type) and _holds_struct(data_type):
        keys, items = entries_of(array)
        return rebuild_map(
            array, data_type, _cast_array(keys, data_type.key_type), _cast_array(items, data_type.item_type)
        )
    if _holds_view(array.type):
        raise pa.ArrowNotImplementedError(f"list views inside {array.type}")
    return array.cast(data_type)


def rebuild_list(array: pa.Array, data_type: pa.DataType, values: pa.Array) -> pa.Array:
    """Put other values into a list: pyarrow's cast of a view makes an offsets buffer that is one too short."""
    return pa.ListArray.from_arrays(_offsets(array), values, type=data_type, mask=array.is_null())


def rebuild_map(array: pa.Array, data_type: pa.DataType, keys: pa.Array, items: pa.Array) -> pa.Array:
    """Put other keys and items, those of :func:`entries_of` cast, into a map."""
    return pa.MapArray.from_arrays(_offsets(array), keys, items, type=data_type, mask=array.is_null())


def entries_of(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Give the keys and items of a map, without those that its nulls may hide."""
    listed = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    keys, items = listed.flatten().flatten()
    return keys, items


def _offsets(array: pa.Array) -> pa.Array:
    if pa.types.is_map(array.type):
        array = array.cast(pa.list_(pa.struct([array.type.key_field, array.type.item_field])))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return pa.array(np.concatenate(([0], np.cumsum(lengths))), pa.int64()).cast(pa.int32())


def _first_misfit(column: Any, data_type: pa.DataType) -> int:
    """Find the first row whose cast fails by halving: the column is cast about twice more."""
    low, high = 0, len(column)  # the first failing row is in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            _cast(column.slice(low, middle - low), data_type)
        except pa.ArrowInvalid:
            high = middle
        else:
            low = middle
    return low


def _text(value: pa.Scalar) -> str:
    try:
        return str(value.cast(pa.string()).as_py())  # as_py() of nanoseconds would need pandas
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return repr(value.as_py())


def _hint(data_type: pa.DataType, name: str) -> str:
    if pa.types.is_timestamp(data_type) and data_type.unit == "ns":
        return f'lakepart stores microseconds; df[{name!r}].dt.floor("us") drops the rest.'
    return "change the value, or convert the column before writing."


def _holds_view(data_type: pa.DataType) -> bool:
    if pa.types.is_list_view(data_type) or pa.types.is_large_list_view(data_type):
        return True
    return any(_holds_view(data_type.field(i).type) for i in range(data_type.num_fields))


def _holds_struct(data_type: pa.DataType) -> bool:
    if pa.types.is_struct(data_type):
        return True
    return any(_holds_struct(data_type.field(i).type) for i in range(data_type.num_fields))


def _is_list(data_type: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_list(data_type)
        or types.is_large_list(data_type)
        or types.is_list_view(data_type)
        or types.is_large_list_view(data_type)
    )
