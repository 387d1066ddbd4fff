"""Keys of rows: whether rows elsewhere have one of them, and whether a file can hold such a row.

Keys are equal as values are: NaN is one value, 0.0 and -0.0 are one, instants are compared whatever their zones were
when they came. A null is no value, so it is no part of a key.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.parquet.filters import check_columns
from lakepart.parquet.statistics import Bounds, Statistics, from_statistic, has_unknown_bounds, to_statistic

_EXAMPLES = 3


def check_key_columns(on: Any, schema: pa.Schema) -> tuple[str, ...]:
    """Give the names of the columns that make the key.

    Raises
    ------
    InvalidInputError
        There are none, one is no column, comes twice, or is of a type that cannot be compared.
    """
    names = (on,) if isinstance(on, str) else tuple(on)
    if not names or len(set(names)) < len(names):
        raise InvalidInputError(f"on={on!r} does not name key columns.", hint='on=["flight", "time_hour"], each once.')
    check_columns(names, schema)
    for name in names:
        data_type = schema.field(name).type
        if pa.types.is_nested(data_type) or pa.types.is_null(data_type):
            raise InvalidInputError(
                f"Column {name!r} is {data_type}, which cannot be part of a key.",
                hint="choose columns of text, numbers, dates or instants.",
                context={"column": name, "type": str(data_type)},
            )
    return names


@dataclass(slots=True)
class KeyIndex:
    """The distinct keys of some rows.

    Attributes
    ----------
    names
        The columns that make a key.
    size
        How many keys there are.
    """

    names: tuple[str, ...]
    size: int
    _values: list[pa.Array]  # the distinct values of each column
    _combinations: list[pa.Array]  # for each column but the first, the distinct pairs of what came before and it
    _ordered: list[list[Any] | None] = field(default_factory=list)

    def find(self, table: pa.Table) -> pa.Array:
        """Give for each row the number of its key, or null if it has none of these keys."""
        codes = _codes(table.column(self.names[0]), self._values[0])
        for name, values, pairs in zip(self.names[1:], self._values[1:], self._combinations, strict=True):
            codes = _combined(codes, _codes(table.column(name), values), len(values))
            codes = pc.index_in(codes, value_set=pairs).cast(pa.int64())
        return codes

    def can_be_in(self, statistics: Statistics) -> bool:
        """Tell whether a file with these statistics can hold a row of one of the keys."""
        if not self._ordered:
            self._ordered = [_in_order(values) for values in self._values]
        return all(
            _any_between(ordered, statistics.get(name), values.type)
            for name, values, ordered in zip(self.names, self._values, self._ordered, strict=True)
        )


def index_keys(table: pa.Table, names: Sequence[str], *, of: str) -> KeyIndex:
    """Index the keys of a table; ``of`` says in messages which rows these are.

    Raises
    ------
    InvalidInputError
        Codes ``null-key`` (how many, and the first row) or ``duplicate-keys`` (how many, and examples).
    """
    for name in names:
        _check_filled(table.column(name), name, of)
    values = [_comparable(table.column(name)).unique() for name in names]
    codes = _codes(table.column(names[0]), values[0])
    combinations = []
    for name, distinct in zip(names[1:], values[1:], strict=True):
        codes = _combined(codes, _codes(table.column(name), distinct), len(distinct))
        pairs = codes.unique()
        codes = pc.index_in(codes, value_set=pairs).cast(pa.int64())
        combinations.append(pairs)
    size = len(combinations[-1]) if combinations else len(values[0])
    if size < table.num_rows:
        raise _duplicates(table, names, codes, of)
    return KeyIndex(tuple(names), size, values, combinations)


def digest_of_keys(table: pa.Table) -> str:
    """Identify the keys of some rows, in their order, whatever batches they came in."""
    plain = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.itercolumns()
    ]
    digest = sha256()
    for batch in pa.table(plain, names=table.column_names).combine_chunks().to_batches():
        digest.update(batch.serialize())
    return digest.hexdigest()


def _comparable(column: Any) -> Any:
    """Give values of which equal ones have equal bits."""
    data_type = column.type
    if pa.types.is_float16(data_type):
        column = column.cast(pa.float32())
    if pa.types.is_floating(data_type):
        column = pc.add(column, pa.scalar(0, column.type))  # -0.0 + 0.0 is 0.0
        return pc.if_else(pc.is_nan(column), pa.scalar(float("nan"), column.type), column)
    return column


def _codes(column: Any, values: pa.Array) -> pa.Array:
    """Give each value's place among ``values``; null where it is not there."""
    found = pc.index_in(_comparable(column), value_set=values).cast(pa.int64())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _combined(before: pa.Array, codes: pa.Array, count: int) -> pa.Array:
    return pc.add(pc.multiply(before, pa.scalar(count, pa.int64())), codes)


def _in_order(values: pa.Array) -> list[Any] | None:
    """Give the values in the form of statistics and in order; None where bounds say nothing of them."""
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        return None  # NaN lies within no bounds
    if pa.types.is_timestamp(values.type) or pa.types.is_duration(values.type) or pa.types.is_time64(values.type):
        return sorted(values.cast(pa.int64()).to_pylist())
    return sorted(to_statistic(value, values.type) for value in values)


def _any_between(ordered: list[Any] | None, bounds: Bounds | None, data_type: pa.DataType) -> bool:
    if ordered is None or bounds is None or has_unknown_bounds(bounds):
        return True
    low, high = (from_statistic(bound, data_type) for bound in bounds[:2])
    place = bisect_left(ordered, low)
    return place < len(ordered) and bool(ordered[place] <= high)


def _check_filled(column: Any, name: str, of: str) -> None:
    if not column.null_count:
        return
    row = pc.index(pc.is_null(column), True).as_py()
    raise InvalidInputError(
        f"Column {name!r} is null in {column.null_count:,} of {len(column):,} rows {of}, first in row {row:,}: "
        "a row without a key equals no other.",
        hint="fill the values in, or append rows without a key.",
        code=ErrorCode.NULL_KEY,
        context={"column": name, "rows": column.null_count, "first_row": row},
    )


def _duplicates(table: pa.Table, names: Sequence[str], codes: pa.Array, of: str) -> InvalidInputError:
    counted = pc.value_counts(codes)
    numbers, counts = counted.field(0), counted.field(1)
    repeated = numbers.filter(pc.greater(counts, 1))
    rows = [pc.index(codes, number).as_py() for number in repeated[:_EXAMPLES]]
    keys = [{name: table.column(name)[row].as_py() for name in names} for row in rows]
    shown = "; ".join(", ".join(f"{name}={value!r}" for name, value in key.items()) for key in keys)
    more = f"; and {len(repeated) - len(keys):,} more" if len(repeated) > len(keys) else ""
    return InvalidInputError(
        f"{len(repeated):,} {'key comes' if len(repeated) == 1 else 'keys come'} more than once {of}: {shown}{more}.",
        hint="keep one row of each key, for example df.drop_duplicates(subset=[…], keep='last').",
        code=ErrorCode.DUPLICATE_KEYS,
        context={"keys": keys, "duplicates": len(repeated)},
    )
