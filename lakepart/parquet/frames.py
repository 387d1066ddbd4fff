"""The door for rows: whatever holds a table becomes one Arrow table or a stream of batches, in stored types."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa

from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError
from lakepart.parquet.casting import canonical_type, cast_column
from lakepart.parquet.schemas import Reconciled

_TAKEN = (
    "a pandas or polars DataFrame, a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, "
    "anything with __arrow_c_stream__, or an iterator of these"
)
_READAHEAD_BATCHES = 4  # pyarrow's own default holds sixteen batches of several files at once


@dataclass(slots=True)
class Frame:
    """Rows on their way in, in stored types.

    Attributes
    ----------
    schema
        Names and types; without metadata.
    batches
        The rows, once. Those of an iterator may differ from ``schema`` from batch to batch;
        ``Reconciled.cast`` makes them fit, or says why they do not.
    table
        All rows at once, if they are in memory already.
    row_count
        How many rows, if that is known before they were read.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    table: pa.Table | None
    row_count: int | None

    def cast(self, reconciled: Reconciled) -> Frame:
        """Give the same rows in the asset's schema; of a stream, each batch as it comes."""
        if self.table is not None:
            return _of_table(reconciled.cast(self.table))
        return Frame(reconciled.schema, (reconciled.cast(batch) for batch in self.batches), None, self.row_count)

    def tables(self) -> Iterator[pa.Table]:
        """Give the rows as tables, once: the one in memory, or each batch of the stream."""
        if self.table is not None:
            return iter((self.table,))
        return (pa.Table.from_batches([batch]) for batch in self.batches)


def open_frame(data: Any) -> Frame:
    """Open anything that holds rows.

    Parameters
    ----------
    data
        A pandas or polars DataFrame, a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, anything with
        ``__arrow_c_stream__``, or an iterator, generator, list or tuple of these. A pandas index with names is kept
        as columns; an unnamed one is dropped if it merely counts the rows and refused otherwise.

    Returns
    -------
    Frame
        The rows; nothing but the schema and at most one batch of a stream was read.

    Raises
    ------
    InvalidInputError
        ``data`` holds no rows that lakepart can read, has two columns of one name, or an unnamed index.
    SchemaMismatchError
        A column has no counterpart in Parquet, or a timestamp has nanoseconds that would be lost.
    """
    if _is_from("pandas", "DataFrame", data):
        return _of_table(_stored_table(_of_pandas(data)))
    if isinstance(data, pa.Table):
        return _of_table(_stored_table(data))
    if isinstance(data, pa.RecordBatch):
        return _of_table(_stored_table(pa.Table.from_batches([data])))
    if isinstance(data, pa.RecordBatchReader):
        return _of_stream(data.schema, data)
    if _is_from("pyarrow.dataset", "Dataset", data):
        scanner = data.scanner(batch_readahead=_READAHEAD_BATCHES, fragment_readahead=1)
        return _of_stream(data.schema, scanner.to_batches(), row_count=None)
    if _is_from("polars", "DataFrame", data):
        return _of_table(_stored_table(pa.table(data)))
    if hasattr(data, "__arrow_c_stream__"):
        return _of_capsule(data)
    if isinstance(data, Iterator | list | tuple):
        return _of_iterator(iter(data))
    raise _not_a_frame(data)


def _of_table(table: pa.Table) -> Frame:
    return Frame(table.schema, iter(table.to_batches()), table, table.num_rows)


def _of_stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch], row_count: int | None = None) -> Frame:
    stored = _stored_schema(schema)
    return Frame(stored, (_stored_batch(batch) for batch in batches), None, row_count)


def _of_capsule(data: Any) -> Frame:
    try:
        reader = pa.RecordBatchReader.from_stream(data)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError) as error:  # a column rather than a table
        raise InvalidInputError(
            f"The {type(data).__name__} is a stream of one column, not of a table: {error}",
            hint="make it a frame with named columns, such as series.to_frame().",
        ) from error
    return _of_stream(reader.schema, reader)


def _of_iterator(frames: Iterator[Any]) -> Frame:
    first = next(frames, None)
    if first is None:
        raise InvalidInputError(
            "The iterator gave no frame, so there are no columns to write.",
            hint="give at least one frame; it may be without rows.",
            code=ErrorCode.EMPTY_FRAME,
        )
    opened = _open_item(first)
    rest = (batch for data in frames for batch in _open_item(data).batches)
    return Frame(opened.schema, chain(opened.batches, rest), None, None)


def _open_item(data: Any) -> Frame:
    if isinstance(data, Iterator | list | tuple):
        raise _not_a_frame(data)
    return open_frame(data)


def _of_pandas(data: Any) -> pa.Table:
    _check_names([*data.columns])
    index_names = list(data.index.names)
    unnamed = [name for name in index_names if name is None]
    counts_rows = len(index_names) == 1 and _is_from("pandas", "RangeIndex", data.index)
    if unnamed and not counts_rows:
        raise InvalidInputError(
            f"The DataFrame has an unnamed {type(data.index).__name__}, which may or may not be data.",
            hint="df.reset_index(drop=True) drops it; df.rename_axis('name') keeps it as a column.",
            code=ErrorCode.UNNAMED_INDEX,
        )
    if not unnamed:
        _check_names([*index_names, *data.columns])
    try:
        return pa.Table.from_pandas(data, preserve_index=not unnamed)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise SchemaMismatchError(
            f"The DataFrame has a column whose values are of no one type: {'; '.join(map(str, error.args))}.",
            hint="give the column one type, for example df['x'] = df['x'].astype('string').",
        ) from error


def _stored_table(table: pa.Table) -> pa.Table:
    schema = _stored_schema(table.schema)
    columns = [cast_column(table.column(i), field.type, field.name) for i, field in enumerate(schema)]
    return pa.Table.from_arrays(columns, schema=schema) if columns else table.replace_schema_metadata(None)


def _stored_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    schema = _stored_schema(batch.schema)
    columns = [cast_column(batch.column(i), field.type, field.name) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema) if columns else batch


def _stored_schema(schema: pa.Schema) -> pa.Schema:
    _check_names(schema.names)
    return pa.schema([pa.field(field.name, canonical_type(field.type, field.name)) for field in schema])


def _check_names(names: list[Any]) -> None:
    for name in names:
        if not isinstance(name, str):
            raise InvalidInputError(
                f"The frame has the column name {name!r} ({type(name).__name__}); column names are text.",
                hint="df.columns = df.columns.map(str) makes them so.",
            )
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if repeated:
        raise InvalidInputError(
            f"The frame has several columns named {', '.join(map(repr, repeated))}.",
            hint="rename or drop all but one; a named pandas index counts as a column.",
            context={"columns": repeated},
        )


def _is_from(module: str, name: str, data: Any) -> bool:
    """Tell whether ``data`` is of a class of ``module`` without importing it: who has one has imported it."""
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None)
    return isinstance(kind, type) and isinstance(data, kind)


def _not_a_frame(data: Any) -> InvalidInputError:
    hint = f"give {_TAKEN}."
    if isinstance(data, Mapping):
        hint = "a mapping of partition keys to frames is written to several partitions; here one frame is needed."
    elif hasattr(data, "collect"):
        hint = "collect() it first."
    elif type(data).__name__ == "Series":
        hint = "to_frame() makes a frame of it."
    return InvalidInputError(f"A {type(data).__module__}.{type(data).__name__} holds no rows to write.", hint=hint)
