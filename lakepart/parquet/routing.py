"""Which partition each row belongs to, and rows in the order of their partitions, in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, StateError
from lakepart.model.definitions import OneDimensional, PartitionsDefinition, TimeDefinition
from lakepart.parquet.casting import cast_column
from lakepart.parquet.frames import Frame
from lakepart.parquet.runs import MemoryRun, Piece, Positions, SpilledRun, merge
from lakepart.parquet.schemas import check_partition_column

BUFFER_BYTES = 128 * 1024 * 1024  # sorting needs it about twice
_RUN_BYTES = 512 * 1024 * 1024  # a table in memory is sorted in parts of this size, so that 32-bit offsets suffice
_MOST_RUNS = 64  # open files and held batches while merging

_Routed = tuple[pa.Table, Positions]


def positions(data: Any, definition: PartitionsDefinition, *, first_row: int = 0) -> Positions:
    """Give the position of each row's partition.

    Parameters
    ----------
    data
        A table or record batch in stored types.
    definition
        How the asset is cut; its ``by`` names the column that decides.
    first_row
        The number of the first row in messages, for parts of a stream.

    Raises
    ------
    InvalidInputError
        Code ``null-partition-value`` (how many, and the first row), ``out-of-range`` (a row before the first or after
        the last partition), ``invalid-input`` if the definition has no ``by``; and those of
        :func:`lakepart.parquet.schemas.check_partition_column`.
    PartitionKeyError
        A value is no key of a static definition, or can be no key at all.
    """
    if definition.kind == "single":
        return np.zeros(data.num_rows, dtype=np.int64)
    if definition.unsaid:
        raise InvalidInputError(
            f"Rows cannot find their partitions: {definition!r} names no column"
            f"{'' if len(definition.dimensions) == 1 else f' for {definition.unsaid[0].dimension!r}'}.",
            hint="declare the partitions with by=…, or name the partition to write.",
        )
    check_partition_column(definition, data.schema)
    found = [_positions_in(data, one, first_row) for one in definition.dimensions]
    return definition.positions_of_coordinates(found)


def _positions_in(data: Any, definition: OneDimensional, first_row: int) -> Positions:
    column = data.column(definition.by)
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise InvalidInputError(
            f"Column {definition.by!r} is null in {column.null_count:,} of {len(column):,} rows, first in row "
            f"{first_row + row:,}; a row needs a value there to find its partition.",
            hint="drop these rows or fill them in.",
            code=ErrorCode.NULL_PARTITION_VALUE,
            context={"column": definition.by, "rows": column.null_count, "first_row": first_row + row},
        )
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    if definition.kind != "time":
        return _positions_of_keys(column, definition, first_row)
    found = _positions_in_time(column, definition)
    _check_inside(found, column, definition, first_row)
    return found


def route(
    frame: Frame,
    definition: PartitionsDefinition,
    *,
    buffer_bytes: int = BUFFER_BYTES,
    spill_directory: str | None = None,
) -> Iterator[Piece]:
    """Give the rows partition by partition, in ascending position; within one, in the order they came.

    Parameters
    ----------
    frame
        The rows. Of a table in memory nothing is copied but what is asked for.
    definition
        How the asset is cut.
    buffer_bytes
        How much of a stream is held to sort it; sorting needs about twice as much.
    spill_directory
        Where an unsorted stream longer than that is kept meanwhile, in files that are gone afterwards; the system's
        temporary directory by default.

    Yields
    ------
    tuple[int, Iterator[pyarrow.Table]]
        A position and its rows. Of a table in memory, pieces may be consumed at any time, by any thread. Of a stream,
        each must be consumed before the next is asked for (StateError otherwise). A position comes once, unless a
        stream was sorted for longer than the buffer and then stopped being so: what follows is sorted for itself.

    Raises
    ------
    InvalidInputError
        Those of :func:`positions`: of a table before the first piece, of a stream when the row is met.
    StorageError
        The local disk failed while rows were kept there.
    """
    if frame.table is not None:
        return merge(_memory_runs(frame.table, positions(frame.table, definition)))
    routed = _routed(frame.batches, definition)
    return _consumed_in_order(_route_stream(routed, frame.schema, buffer_bytes, spill_directory))


def _memory_runs(table: pa.Table, found: Positions) -> list[MemoryRun]:
    if not table.num_rows:
        return []
    parts = 1 if bool(np.all(found[:-1] <= found[1:])) else -(-table.nbytes // _RUN_BYTES) or 1
    rows = -(-table.num_rows // parts)
    return [
        MemoryRun(table.slice(offset, rows), found[offset : offset + rows]) for offset in range(0, table.num_rows, rows)
    ]


def _routed(batches: Iterable[pa.RecordBatch], definition: PartitionsDefinition) -> Iterator[_Routed]:
    first_row = 0
    for batch in batches:
        if batch.num_rows:
            yield pa.Table.from_batches([batch]), positions(batch, definition, first_row=first_row)
            first_row += batch.num_rows


def _route_stream(
    routed: Iterator[_Routed], schema: pa.Schema, buffer_bytes: int, spill_directory: str | None
) -> Iterator[Piece]:
    held, is_whole = _fill(routed, buffer_bytes)
    if is_whole:
        yield from merge(_joined(held))
        return
    ordered = _OrderedPrefix(chain(_drained(held), routed))
    yield from _pieces(ordered)
    yield from _sort_on_disk(ordered.rest(), schema, buffer_bytes, spill_directory)


def _fill(routed: Iterator[_Routed], buffer_bytes: int) -> tuple[list[_Routed], bool]:
    """Take tables up to the buffer's size, and say whether that was all."""
    held: list[_Routed] = []
    size_bytes = 0
    for table, found in routed:
        held.append((table, found))
        size_bytes += table.nbytes
        if size_bytes >= buffer_bytes:
            return held, False
    return held, True


def _joined(held: list[_Routed]) -> list[MemoryRun]:
    """Make runs of what is held, and hold it no longer."""
    if not held:
        return []
    table = pa.concat_tables([table for table, _ in held])
    found = np.concatenate([found for _, found in held])
    held.clear()
    return _memory_runs(table, found)


def _drained(held: list[_Routed]) -> Iterator[_Routed]:
    held.reverse()
    while held:
        yield held.pop()


class _OrderedPrefix:
    """The tables of a stream up to the first that breaks the order; what is left comes from ``rest``."""

    def __init__(self, routed: Iterator[_Routed]) -> None:
        self._routed = routed
        self._breaking: list[_Routed] = []

    def __iter__(self) -> Iterator[tuple[int, pa.Table]]:
        highest: int | None = None
        for table, found in self._routed:
            if not np.all(found[:-1] <= found[1:]) or (highest is not None and found[0] < highest):
                self._breaking.append((table, found))
                return
            highest = int(found[-1])
            run = MemoryRun(table, found)
            for index, position in enumerate(run.positions.tolist()):
                for part in run.tables_at(index):
                    yield position, part

    def rest(self) -> Iterator[_Routed]:
        return chain(_drained(self._breaking), self._routed)


def _pieces(parts: Iterable[tuple[int, pa.Table]]) -> Iterator[Piece]:
    """Join neighbouring parts of one position; holds one part."""
    remaining = iter(parts)
    following = next(remaining, None)

    def of_position(position: int) -> Iterator[pa.Table]:
        nonlocal following
        while following is not None and following[0] == position:
            table = following[1]
            following = None
            yield table
            following = next(remaining, None)

    while following is not None:
        position = following[0]
        yield position, of_position(position)


def _sort_on_disk(
    routed: Iterator[_Routed], schema: pa.Schema, buffer_bytes: int, spill_directory: str | None
) -> Iterator[Piece]:
    held, is_whole = _fill(routed, buffer_bytes)
    if is_whole:
        yield from merge(_joined(held))
        return
    spilled: list[SpilledRun] = []
    try:
        while not is_whole:
            spilled.append(SpilledRun(spill_directory, schema, merge(_joined(held))))
            if len(spilled) == _MOST_RUNS:
                merged = SpilledRun(spill_directory, schema, merge(spilled))
                _close(spilled)
                spilled.append(merged)
            held, is_whole = _fill(routed, buffer_bytes)
        yield from merge([*spilled, *_joined(held)])
    finally:
        _close(spilled)


def _close(runs: list[SpilledRun]) -> None:
    for run in runs:
        run.close()
    runs.clear()


def _consumed_in_order(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Refuse to go on while a piece has rows left: they would be lost."""
    for position, tables in pieces:
        guarded = _Consumed(tables)
        yield position, guarded
        if not guarded.done:
            raise StateError(
                "The next partition of a stream was asked for before all rows of the one before were taken.",
                hint="consume each piece before the next, or route a table.",
            )


class _Consumed:
    """An iterator that knows whether it was taken to its end."""

    __slots__ = ("_tables", "done")

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self.done = False

    def __iter__(self) -> Iterator[pa.Table]:
        return self

    def __next__(self) -> pa.Table:
        try:
            return next(self._tables)
        except StopIteration:
            self.done = True
            raise


def _positions_in_time(column: Any, definition: OneDimensional) -> Positions:
    if pa.types.is_date(column.type):
        days = cast_column(column, pa.date32(), str(definition.by)).cast(pa.int32())
        return definition.positions_of_dates(_numpy(days))
    instants = cast_column(column, pa.timestamp("us", tz=column.type.tz), str(definition.by))
    return definition.positions_of_instants(_numpy(instants.cast(pa.int64())))


def _numpy(column: Any) -> Positions:
    values = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.int64)


def _check_inside(found: Positions, column: Any, definition: OneDimensional, first_row: int) -> None:
    low, high = definition.universe.ranges[0]
    if low <= int(found.min()) and int(found.max()) < high:
        return
    inside = (found >= low) & (found < high)
    outside = np.flatnonzero(~inside)
    row = int(outside[0])
    first = repr(definition.key_at(low))
    endless = isinstance(definition, TimeDefinition) and definition.end is None
    raise InvalidInputError(
        f"Column {definition.by!r} has the value {column[row].cast(pa.string()).as_py()} in row {first_row + row:,}"
        f"{f' and {len(outside) - 1:,} more rows' if len(outside) > 1 else ''}, outside the partitions "
        f"{f'from {first} on' if endless else f'{first} to {definition.key_at(high - 1)!r}'}.",
        hint="filter these rows out, or declare the partitions with an earlier start or a later end.",
        code=ErrorCode.OUT_OF_RANGE,
        context={"column": definition.by, "rows": len(outside), "first_row": first_row + row},
    )


def _positions_of_keys(column: Any, definition: OneDimensional, first_row: int) -> Positions:
    chunked = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    encoded = chunked.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    keys = encoded.dictionary.cast(pa.string()).to_pylist()
    lookup = np.empty(len(keys), dtype=np.int64)
    definition.admit([key for key in keys if key and "\0" not in key])  # what can be no key is refused below, by row
    for index, key in enumerate(keys):
        try:
            lookup[index] = definition.position_of(key)
        except PartitionKeyError as error:
            row = pc.index(encoded.indices, pa.scalar(index, encoded.indices.type)).as_py()
            raise PartitionKeyError(
                f"Column {definition.by!r} has the value {key!r} in row {first_row + row:,}: {error.message}",
                hint=error.hint,
                context={"column": definition.by, "key": key, "first_row": first_row + row},
            ) from error
    found: Positions = lookup[_numpy(encoded.indices)]
    return found
