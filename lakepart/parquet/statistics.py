"""Smallest, largest and number of nulls of each column, as JSON values that compare like the column does.

Timestamps, durations and times are integers of their unit, dates are days since 1970, decimals are text; floats that
are not finite, long texts, bytes and nested columns have no bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import pyarrow as pa

Bounds = Sequence[Any]  # [smallest, largest, nulls]; None where unknown
_MOST_CHARACTERS = 64


def file_statistics(schema: pa.Schema, metadata: Any) -> dict[str, list[Any]]:
    """Give ``{column: [min, max, nulls]}`` over all row groups of a Parquet footer; nested columns are left out."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    found = {}
    for leaf, name, decode in _flat_columns(schema):
        found[name] = _over_groups([group.column(leaf) for group in groups], decode)
    return found


def row_group_statistics(schema: pa.Schema, metadata: Any, index: int, names: Collection[str]) -> dict[str, list[Any]]:
    """Give the same of one row group and the named columns; ``schema`` is the file's own."""
    group = metadata.row_group(index)
    return {
        name: _over_groups([group.column(leaf)], decode)
        for leaf, name, decode in _flat_columns(schema)
        if name in names
    }


def to_statistic(value: Any, data_type: pa.DataType) -> Any:
    """Bring a scalar of a column's type to the form in which bounds of that column are kept; None if it has none."""
    types = pa.types
    scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value, data_type)
    if types.is_timestamp(data_type) or types.is_duration(data_type) or types.is_time64(data_type):
        return scalar.cast(pa.int64()).as_py()
    if types.is_date32(data_type) or types.is_time32(data_type):
        return scalar.cast(pa.int32()).as_py()
    return scalar.as_py()


def from_statistic(bound: Any, data_type: pa.DataType) -> Any:
    """Bring a kept bound to the form of :func:`to_statistic`."""
    return Decimal(bound) if pa.types.is_decimal(data_type) and bound is not None else bound


def count_leaves(data_type: pa.DataType) -> int:
    """Count the Parquet columns that a field of this type becomes."""
    if pa.types.is_map(data_type):
        return count_leaves(data_type.key_type) + count_leaves(data_type.item_type)
    if data_type.num_fields == 0:
        return 1
    return sum(count_leaves(data_type.field(i).type) for i in range(data_type.num_fields))


@lru_cache(maxsize=256)
def _flat_columns(schema: pa.Schema) -> tuple[tuple[int, str, Callable[[Any, str], Any]], ...]:
    columns = []
    leaf = 0
    for field in schema:
        if not pa.types.is_nested(field.type):
            columns.append((leaf, field.name, _decoder(field.type)))
        leaf += count_leaves(field.type)
    return tuple(columns)


def _over_groups(chunks: Sequence[Any], decode: Callable[[Any, str], Any]) -> list[Any]:
    nulls: int | None = 0
    smallest: list[Any] = []
    largest: list[Any] = []
    for chunk in chunks:
        found = chunk.statistics
        if found is None:
            nulls = None
            smallest.append(None)
            largest.append(None)
            continue
        nulls = nulls + found.null_count if nulls is not None and found.has_null_count else None
        if not found.has_min_max and found.has_null_count and found.null_count == chunk.num_values:
            continue  # only nulls: it bounds nothing
        smallest.append(decode(found, "min") if found.has_min_max else None)
        largest.append(decode(found, "max") if found.has_min_max else None)
    unknown = not smallest or None in smallest or None in largest
    return [None, None, nulls] if unknown else [_pick(min, smallest), _pick(max, largest), nulls]


def _pick(choose: Callable[[Sequence[Any]], Any], values: Sequence[Any]) -> Any:
    if len(values) == 1:
        return values[0]
    return str(choose([Decimal(value) for value in values])) if _is_decimal_text(values) else choose(values)


def _is_decimal_text(values: Sequence[Any]) -> bool:
    return isinstance(values[0], _DecimalText)


class _DecimalText(str):
    """A decimal as text, which must not be compared as text."""

    __slots__ = ()


def _decoder(data_type: pa.DataType) -> Callable[[Any, str], Any]:
    types = pa.types
    if types.is_floating(data_type):
        return _finite
    if types.is_string(data_type):
        return _short_text
    if types.is_decimal(data_type):
        return _decimal_text
    if types.is_binary(data_type) or types.is_fixed_size_binary(data_type) or types.is_null(data_type):
        return _nothing
    if types.is_unsigned_integer(data_type):
        return _value
    return _raw


def _raw(found: Any, end: str) -> Any:
    return found.min_raw if end == "min" else found.max_raw


def _value(found: Any, end: str) -> Any:
    return found.min if end == "min" else found.max


def _finite(found: Any, end: str) -> Any:
    value = _raw(found, end)
    return value if isinstance(value, float) and math.isfinite(value) else None


def _short_text(found: Any, end: str) -> Any:
    value = _raw(found, end)
    try:
        text = value.decode()
    except UnicodeDecodeError:  # a foreign file may have cut the text inside a character
        return None
    return text if len(text) <= _MOST_CHARACTERS else None


def _decimal_text(found: Any, end: str) -> Any:
    return _DecimalText(_value(found, end))


def _nothing(_found: Any, _end: str) -> Any:
    return None


def has_unknown_bounds(bounds: Bounds | None) -> bool:
    """Tell whether nothing is known of the smallest and largest value."""
    return bounds is None or bounds[0] is None or bounds[1] is None


Statistics = Mapping[str, Bounds]
