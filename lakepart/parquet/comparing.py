"""Comparisons of columns of numbers with numbers that their type may not have, said in values that it has.

Arrow brings both sides to one type first, which rounds numbers or fails over those it cannot round; so 5.5 among
integers, or 2**53 + 1 among floats, would find other rows than those that compare so, or an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import pyarrow as pa

ANY_VALUE = "is any value"
_Neighbours = tuple[int | float | None, int | float | None]


def exactly(operator: str, value: Any, data_type: pa.DataType) -> tuple[str, Any]:
    """Give a comparison that holds for the same values of the column, with one of them where there was a number.

    What holds for none of them is ``in []``; what holds for all is :data:`ANY_VALUE`. Anything but a number among
    numbers stays as it is, and so does a float among floats: where these are narrower, it means the one next to it.
    """
    number = _number(value)
    is_integer = pa.types.is_integer(data_type)
    if number is None or not (is_integer or (pa.types.is_floating(data_type) and isinstance(number, int))):
        return operator, value
    low, high = _among_integers(number, data_type) if is_integer else _among_floats(int(number), data_type)
    if low is not None and low == high:
        return operator, pa.scalar(low, data_type)
    if operator == "!=":
        return ANY_VALUE, None
    nearest = {"<": low, "<=": low, ">": high, ">=": high}.get(operator)
    return ("in", []) if nearest is None else (f"{operator[0]}=", pa.scalar(nearest, data_type))


def possible(values: Iterable[Any], data_type: pa.DataType) -> list[Any]:
    """Leave out numbers that no value of the column equals."""
    compared = (exactly("==", value, data_type) for value in values)
    return [value for operator, value in compared if operator == "=="]


def _number(value: Any) -> int | float | None:
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    return int(value) if isinstance(value, Integral) else float(value)


def _among_integers(number: int | float, data_type: pa.DataType) -> _Neighbours:
    """Give the largest integer of the type up to a number, and the smallest from it on; None where there is none."""
    limits = np.iinfo(data_type.to_pandas_dtype())
    least, most = int(limits.min), int(limits.max)
    if isinstance(number, float) and not math.isfinite(number):
        return (most if number > 0 else None), (least if number < 0 else None)
    low, high = math.floor(number), math.ceil(number)
    return (min(low, most) if low >= least else None), (max(high, least) if high <= most else None)


def _among_floats(number: int, data_type: pa.DataType) -> _Neighbours:
    """Give the largest float of the type up to a number, and the smallest from it on."""
    kind = data_type.to_pandas_dtype()
    try:
        rounded = float(number)
    except OverflowError:
        rounded = math.inf if number > 0 else -math.inf
    with np.errstate(over="ignore"):
        near = kind(rounded)
    below, above = (float(np.nextafter(near, kind(end))) for end in (-math.inf, math.inf))
    low, high = float(near), float(near)  # Python compares integers and floats exactly
    return (low if low <= number else below), (high if high >= number else above)
