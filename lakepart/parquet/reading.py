"""Parquet files to tables: an explicit list of files, read side by side, each judged by its own footer."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lakepart.errors import (
    CorruptionError,
    InvalidInputError,
    SchemaMismatchError,
)
from lakepart.parquet.casting import cast_column
from lakepart.parquet.filters import Filter, check_columns, compile_filter
from lakepart.parquet.opening import Source, fetch_whole, opened, translated
from lakepart.parquet.remote import chunks_of, first_stretch
from lakepart.parquet.schemas import plain
from lakepart.parquet.statistics import Statistics, row_group_statistics

T = TypeVar("T")
R = TypeVar("R")

_LOCAL_THREADS = 8  # at most, and not more than there are cores: local files come from memory mostly
_REMOTE_THREADS = 64  # these wait for the network, and a store has as many connections
BATCH_ROWS = 65_536
_WHOLE_BYTES = 32 << 20  # decoded; up to here a file of a stream is read in one go
_THREADED_BYTES = 4 << 20  # decoded; more of a file is shared among the cores
_OPENED_BYTES = 64 << 20  # of files of a stream that are opened ahead, as they are stored
_AHEAD_BYTES = 64 << 20  # of rows of a stream that are read ahead, decoded
_FETCHED_BYTES = 256 << 20  # of files of a table that are fetched at once, as they are stored
_TEXT_BYTES = 16  # taken for the width of what has none


@dataclass(frozen=True, slots=True)
class Footer:
    """What a file says of itself; ``metadata`` are its own key-value pairs, those of Arrow left out."""

    row_count: int
    row_groups: int
    metadata: Mapping[str, str]
    schema: pa.Schema


def read_files(
    sources: Sequence[Source],
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    filter: Any = None,  # noqa: A002 - the public word
    threads: int | None = None,
) -> pa.Table:
    """Read files into one table, in their order.

    Parameters
    ----------
    sources
        The files; nothing else is looked at.
    schema
        What the rows look like, columns of ``constants`` included. Files of an older schema are brought to it.
    columns
        Which columns to give, in this order; all by default.
    filter
        Which rows to give: see :func:`lakepart.parquet.filters.compile_filter`. Row groups that cannot hold one are
        not read.
    threads
        How many files are read at once; chosen by the cores and by where the files are unless given.

    Raises
    ------
    InvalidInputError
        A column of ``columns`` or ``filter`` does not exist, or the filter does not fit.
    CorruptionError
        A file is missing, torn, or no Parquet file of these columns; it is named.
    StorageError
        The disk or object store failed.
    """
    plan = _plan(schema, columns, filter)
    if not sources:
        return plan.output.empty_table()
    if len(sources) == 1:
        return _read_source(sources[0], plan, use_threads=True)
    workers = _workers(sources, threads)
    with _readers(workers) as pool:
        read = partial(_read_source, plan=plan, use_threads=len(sources) < workers)
        tables = _ahead(pool, read, sources, partial(_stored_bytes, plan=plan), len(sources), _FETCHED_BYTES)
        return pa.concat_tables(list(tables))


def iter_batches(
    sources: Sequence[Source],
    schema: pa.Schema,
    *,
    columns: Sequence[str] | None = None,
    filter: Any = None,  # noqa: A002 - the public word
    batch_rows: int = BATCH_ROWS,
    threads: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Read files batch by batch, in their order; the parameters and errors of :func:`read_files`.

    Arguments are checked at the call, files are opened as batches are asked for. At most ``threads`` files are opened
    ahead, and 64 MiB of rows read ahead, decoded; a file of more than 32 MiB is read one row group at a time. Batches
    have up to ``batch_rows`` rows, and end where a file ends.
    """
    plan = _plan(schema, columns, filter)
    return _iter_batches(sources, plan, batch_rows, _workers(sources, threads))


def output_schema(schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Schema:
    """Give the schema of what :func:`read_files` and :func:`iter_batches` give."""
    return _plan(schema, columns, None).output


def read_footer(source: Source) -> Footer:
    """Read what a file says of itself: its last bytes only.

    Raises
    ------
    CorruptionError
        The file is missing, torn or no Parquet file.
    StorageError
        The disk or object store failed.
    """
    with translated(source), opened(source, fetch_whole(source)) as file:
        metadata = file.metadata
        pairs = (metadata.metadata or {}).items()
        return Footer(
            row_count=metadata.num_rows,
            row_groups=metadata.num_row_groups,
            metadata={key.decode(): value.decode() for key, value in pairs if key != b"ARROW:schema"},
            schema=file.schema_arrow,
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to read of each file: the columns that are needed, the rows that are wanted, what is given."""

    needed: pa.Schema
    output: pa.Schema
    filter: Filter | None
    share: float  # of all columns

    @property
    def whole_files(self) -> bool:
        """Whether all of each file is read."""
        return self.share == 1 and (self.filter is None or not self.filter.alternatives)

    @property
    def row_bytes(self) -> int:
        """How large a row is, about."""
        return sum(_width(field.type) for field in self.needed)


def _plan(schema: pa.Schema, columns: Sequence[str] | None, given: Any) -> _Plan:
    whole = plain(schema)
    compiled = compile_filter(given, whole)
    if columns is None:
        return _Plan(whole, whole, compiled, share=1)
    if isinstance(columns, str):
        raise InvalidInputError(f"columns={columns!r} is one name.", hint=f"columns=[{columns!r}]")
    names = list(columns)
    if not names:
        raise InvalidInputError("columns=[] asks for rows without columns.", hint="count_rows() counts rows.")
    check_columns(names, whole)
    if len(set(names)) < len(names):
        raise InvalidInputError(f"columns={names!r} names a column twice.")
    output = pa.schema([whole.field(name) for name in names])
    read = [*names, *(name for name in (compiled.columns if compiled else ()) if name not in names)]
    return _Plan(pa.schema([whole.field(name) for name in read]), output, compiled, len(read) / len(whole))


def _width(data_type: pa.DataType) -> int:
    try:
        return -(-int(data_type.bit_width) // 8)
    except ValueError:  # as many as there are
        return _TEXT_BYTES


def _read_source(source: Source, plan: _Plan, *, use_threads: bool) -> pa.Table:
    """Read the wanted rows of one file."""
    with translated(source), opened(source, fetch_whole(source, whole=plan.whole_files)) as file:
        return _read_groups(source, plan, file, _wanted_groups(source, file, plan), use_threads=use_threads)


def _read_groups(
    source: Source, plan: _Plan, file: pq.ParquetFile, groups: list[int] | None, *, use_threads: bool
) -> pa.Table:
    names = _names_in(source, plan)
    if groups is None:
        table = file.read(columns=names, use_threads=use_threads)
    elif groups:
        table = file.read_row_groups(groups, columns=names, use_threads=use_threads)
    else:
        return plan.output.empty_table()
    return _finished(source, plan, table)


def _names_in(source: Source, plan: _Plan) -> list[str]:
    """Give what the file calls the columns that are needed of it."""
    names = [name for name in plan.needed.names if name not in source.constants]
    if source.fit is None:
        return names
    return [found for name in names if (found := source.fit.source_of(name)) is not None]


def _iter_batches(sources: Sequence[Source], plan: _Plan, batch_rows: int, threads: int) -> Iterator[pa.RecordBatch]:
    with _readers(threads) as pool:
        opening = partial(_pieces, plan=plan)
        files = _ahead(pool, opening, sources, partial(_first_bytes, plan=plan), threads, _OPENED_BYTES)
        pieces = chain.from_iterable(files)
        tables = _ahead(pool, partial(_read_piece, plan=plan), pieces, attrgetter("size_bytes"), threads, _AHEAD_BYTES)
        for table in tables:
            yield from _batches(table, batch_rows)
            del table  # before the next is waited for


@contextmanager
def _readers(threads: int) -> Iterator[Executor]:
    """Give threads that read. Whoever stops early does not wait for them: a store that is silent would hold it up."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lakepart-read")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ahead(
    pool: Executor,
    work: Callable[[T], R],
    items: Iterable[T],
    bytes_of: Callable[[T], int],
    most: int,
    most_bytes: int,
) -> Iterator[R]:
    """Give what ``work`` makes of items, in order, while it goes on with those that follow: so many, and so large."""
    waiting: deque[tuple[int, Future[R]]] = deque()
    held_bytes = 0
    for item in items:
        size_bytes = bytes_of(item)
        while waiting and (len(waiting) >= most or held_bytes + size_bytes > most_bytes):
            yield waiting[0][1].result()
            held_bytes -= waiting.popleft()[0]
        waiting.append((size_bytes, pool.submit(work, item)))
        held_bytes += size_bytes
        del item  # what is done with it is given back
    while waiting:
        yield waiting.popleft()[1].result()


@dataclass(frozen=True, slots=True)
class _Piece:
    """Row groups of one file that are read together: all that are wanted, or one of a large file.

    ``held`` is the file where all of it has come already.
    """

    source: Source
    metadata: Any
    groups: list[int]
    size_bytes: int
    held: bytes | None


def _pieces(source: Source, plan: _Plan) -> list[_Piece]:
    """Open a file and say what is read of it."""
    with translated(source):
        held = fetch_whole(source, whole=plan.whole_files)
        with opened(source, held) as file:
            groups = _wanted_groups(source, file, plan)
            chosen = range(file.num_row_groups) if groups is None else groups
            sizes = [_decoded_bytes(source, plan, file.metadata, group) for group in chosen]
            pieces = [([group], size) for group, size in zip(chosen, sizes, strict=True)]
            if sum(sizes) <= _WHOLE_BYTES:
                pieces = [(list(chosen), sum(sizes))]
            return [_Piece(source, file.metadata, some, size, held) for some, size in pieces]


def _read_piece(piece: _Piece, plan: _Plan) -> pa.Table:
    source = piece.source
    with translated(source), opened(source, piece.held, piece.metadata) as file:
        return _read_groups(source, plan, file, piece.groups, use_threads=piece.size_bytes > _THREADED_BYTES)


def _first_bytes(source: Source, plan: _Plan) -> int:
    """Give how much is held of a file that is opened."""
    if isinstance(source.open, str):
        return 0
    start, stop = first_stretch(source.open, whole=plan.whole_files)
    return stop - start


def _stored_bytes(source: Source, plan: _Plan) -> int:
    """Give how much is held of a file while it is read, about."""
    return 0 if isinstance(source.open, str) else int(source.open.size_bytes * plan.share)


def _workers(sources: Sequence[Source], asked: int | None) -> int:
    if asked is not None:
        return asked
    if all(isinstance(source.open, str) for source in sources):
        return min(_LOCAL_THREADS, os.cpu_count() or 1)
    return _REMOTE_THREADS


def _batches(table: pa.Table, batch_rows: int) -> Iterator[pa.RecordBatch]:
    return (batch for batch in table.to_batches(max_chunksize=batch_rows) if batch.num_rows)


def _wanted_groups(source: Source, file: pq.ParquetFile, plan: _Plan) -> list[int] | None:
    """Choose the row groups that can hold a wanted row; None for all."""
    if plan.filter is None or not plan.filter.alternatives:
        return None
    metadata, schema = file.metadata, file.schema_arrow
    if source.fit is not None:
        comparable = _names_in(source, plan)
    else:
        comparable = [
            name
            for name in plan.filter.columns
            if name in schema.names and schema.field(name).type.equals(plan.needed.field(name).type)
        ]

    def can_hold(group: int) -> bool:
        found: Statistics = row_group_statistics(schema, metadata, group, comparable)
        return plan.filter is None or plan.filter.can_hold(source.fit.statistics(found) if source.fit else found)

    chosen = [group for group in range(metadata.num_row_groups) if can_hold(group)]
    return None if len(chosen) == metadata.num_row_groups else chosen


def _decoded_bytes(source: Source, plan: _Plan, metadata: Any, group: int) -> int:
    """Give how large a row group is in memory, about: more than encoded where values repeat."""
    row_group = metadata.row_group(group)
    if plan.share == 1:
        encoded = row_group.total_byte_size
    else:
        chunks = chunks_of(metadata, [group], _names_in(source, plan))
        encoded = sum(chunk.total_uncompressed_size for chunk in chunks)
    return int(max(encoded, row_group.num_rows * plan.row_bytes))


def _finished(source: Source, plan: _Plan, table: pa.Table) -> pa.Table:
    """Bring what was read to the schema, add constants, and keep the wanted rows and columns."""
    if source.fit is not None or not table.schema.equals(plan.needed):
        table = _fitted(source, plan, table)
    if plan.filter is not None:
        table = table.filter(plan.filter.expression)
    if table.num_columns > len(plan.output):
        table = table.select(plan.output.names)
    return pa.Table.from_arrays(table.columns, schema=plan.output) if table.num_columns else table


def _fitted(source: Source, plan: _Plan, table: pa.Table) -> pa.Table:
    columns = []
    for wanted in plan.needed:
        if wanted.name in source.constants:
            constant = pa.scalar(source.constants[wanted.name], wanted.type)
            columns.append(pa.repeat(constant, table.num_rows))
            continue
        name = wanted.name if source.fit is None else source.fit.source_of(wanted.name)
        if name is not None and name not in table.schema.names:
            raise CorruptionError(
                f"Data file {source.name!r} has no column {wanted.name!r}.",
                hint="it is not what was written; check() tells more.",
                context={"file": source.name, "column": wanted.name},
            )
        try:
            if source.fit is not None:
                columns.append(source.fit.column(wanted.name, table))
            else:
                columns.append(cast_column(table.column(wanted.name), wanted.type, wanted.name))
        except SchemaMismatchError as error:
            raise CorruptionError(
                f"Data file {source.name!r} does not have the asset's types: {error.message}",
                hint="it is not what was written; check() tells more.",
                context={"file": source.name, "column": wanted.name},
            ) from error
    return pa.Table.from_arrays(columns, schema=plan.needed)
