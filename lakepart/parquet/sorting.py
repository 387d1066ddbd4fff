"""Rows in the order of some columns, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import ErrorCode, InvalidInputError, did_you_mean
from lakepart.parquet.writing import granules, joined

STRETCH_BYTES = 128 * 1024 * 1024  # in memory; sorting needs it about twice
_BLOCK_ROWS = 65_536


def check_sort_columns(by: Sequence[str], schema: pa.Schema) -> None:
    """Refuse columns that rows cannot be sorted by: not there, there twice, or nested.

    Raises
    ------
    InvalidInputError
        Naming the column.
    """
    for number, name in enumerate(by):
        if name not in schema.names:
            raise InvalidInputError(
                f"Rows cannot be sorted by {name!r}: there is no such column.",
                hint=did_you_mean(name, schema.names),
                code=ErrorCode.UNKNOWN_COLUMN,
                context={"column": name},
            )
        data_type = schema.field(name).type
        if pa.types.is_nested(data_type):
            raise InvalidInputError(
                f"Rows cannot be sorted by {name!r}: its type is {data_type}.",
                hint="sort by columns of numbers, text, times or booleans.",
                context={"column": name},
            )
        if name in by[:number]:
            raise InvalidInputError(f"sort_by={list(by)!r} names {name!r} twice.", context={"column": name})


def in_order(tables: Iterable[pa.Table], by: Sequence[str]) -> Iterator[pa.Table]:
    """Sort rows by columns, ascending, nulls last; rows that are equal there keep their order.

    Notes
    -----
    Up to 128 MiB of rows in memory are sorted as a whole; longer input in stretches of that, each for itself, so that
    memory stays flat. How the rows were cut into tables does not matter.
    """
    held: list[pa.Table] = []
    size_bytes = 0
    for granule in granules(tables):
        held.append(granule)
        size_bytes += granule.nbytes
        if size_bytes >= STRETCH_BYTES:
            yield from _sorted(held, by)
            size_bytes = 0
    if held:
        yield from _sorted(held, by)


def _sorted(held: list[pa.Table], by: Sequence[str]) -> Iterator[pa.Table]:
    """Give the rows of tables, which are held no longer, block by block: sorted, they are never there a second time."""
    table = joined(held)
    comparable = [name for name in by if not pa.types.is_null(table.schema.field(name).type)]
    if not comparable:
        yield table
        return
    keys = [(name, "ascending") for name in comparable]
    order = pc.sort_indices(table.select(comparable), sort_keys=keys)
    for start in range(0, table.num_rows, _BLOCK_ROWS):
        yield table.take(order.slice(start, _BLOCK_ROWS))
