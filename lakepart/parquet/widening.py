"""Which types grow into which: every value of the narrower one is a value of the wider, and means the same."""

from __future__ import annotations

import pyarrow as pa

_MOST_DIGITS = 76  # of a decimal256
_DIGITS_OF_128 = 38


def is_widening(source: pa.DataType, target: pa.DataType) -> bool:
    """Tell whether a column of ``source`` may become one of ``target`` while its files stay what they are.

    Integers grow in width (unsigned ones also into wider signed ones), floats too; decimals in digits before and
    after the point; dates into timestamps without a zone; nested types in what they hold.
    """
    types = pa.types
    if source.equals(target) or types.is_null(source):
        return True
    if types.is_struct(source) and types.is_struct(target):
        return [child.name for child in source] == [child.name for child in target] and all(
            is_widening(one.type, other.type) for one, other in zip(source, target, strict=True)
        )
    if types.is_map(source) and types.is_map(target):
        return is_widening(source.key_type, target.key_type) and is_widening(source.item_type, target.item_type)
    if _same_lists(source, target):
        return is_widening(source.value_type, target.value_type)
    return not types.is_nested(source) and common_type(source, target) == target


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Give the narrowest type that both flat types grow into; None if there is none."""
    types = pa.types
    if one.equals(other):
        return one
    if types.is_integer(one) and types.is_integer(other):
        return _common_integer(one, other)
    if types.is_floating(one) and types.is_floating(other):
        return max(one, other, key=lambda data_type: data_type.bit_width)
    if types.is_decimal(one) and types.is_decimal(other):
        return _common_decimal(one, other)
    if {one, other} == {pa.date32(), pa.timestamp("us")}:
        return pa.timestamp("us")
    return None


def _common_integer(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    signed = [pa.types.is_signed_integer(data_type) for data_type in (one, other)]
    if all(signed) or not any(signed):
        return max(one, other, key=lambda data_type: data_type.bit_width)
    unsigned = other if signed[0] else one
    width = max((other if signed[1] else one).bit_width, 2 * unsigned.bit_width)
    return {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}.get(width)


def _common_decimal(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    scale = max(one.scale, other.scale)
    digits = max(one.precision - one.scale, other.precision - other.scale) + scale
    if digits > _MOST_DIGITS:
        return None
    is_wide = digits > _DIGITS_OF_128 or pa.types.is_decimal256(one) or pa.types.is_decimal256(other)
    return pa.decimal256(digits, scale) if is_wide else pa.decimal128(digits, scale)


def _same_lists(one: pa.DataType, other: pa.DataType) -> bool:
    types = pa.types
    if types.is_fixed_size_list(one) and types.is_fixed_size_list(other):
        return bool(one.list_size == other.list_size)
    return bool(types.is_list(one) and types.is_list(other))
