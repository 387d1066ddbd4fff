"""Parquet files to tables: an explicit list of files, read side by side, each judged by its own footer."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakepart.errors import (
    CorruptionError,
    ErrorCode,
    InvalidInputError,
    NotFoundError,
    SchemaMismatchError,
    StorageError,
)
from lakepart.parquet.casting import cast_column
from lakepart.parquet.filters import Filter, check_columns, compile_filter
from lakepart.parquet.fitting import Fit
from lakepart.parquet.remote import Remote, RemoteFile
from lakepart.parquet.schemas import plain
from lakepart.parquet.statistics import Statistics, row_group_statistics

_LOCAL_THREADS = 8  # at most, and not more than there are cores: local files come from memory mostly
_REMOTE_THREADS = 16  # these wait for the network
BATCH_ROWS = 65_536
_WHOLE_BYTES = 32 * 1024 * 1024  # decoded; up to here a file of a stream is read ahead in one go


@dataclass(frozen=True, slots=True)
class Source:
    """One data file to read.

    Attributes
    ----------
    name
        What messages call it.
    open
        The path of a local file, or how to reach one behind a network.
    constants
        Columns that are not in the file and have one value in all its rows.
    fit
        How the file's columns become those of the schema; None where it was written under that very schema.
    """

    name: str
    open: str | Remote
    constants: Mapping[str, Any] = field(default_factory=dict)
    fit: Fit | None = None


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
    with ThreadPoolExecutor(workers, thread_name_prefix="lakepart-read") as pool:
        use_threads = len(sources) < workers
        futures = [pool.submit(_read_source, source, plan, use_threads=use_threads) for source in sources]
        try:
            return pa.concat_tables([future.result() for future in futures])
        except BaseException:
            _cancel(futures)
            raise


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

    Arguments are checked at the call, files are opened as batches are asked for. At most ``threads`` files are read
    ahead, each up to 32 MiB decoded; a larger file is read one row group at a time. Batches have up to
    ``batch_rows`` rows, and end where a file ends.
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
    with _translated(source), _opened(source) as file:
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


def _plan(schema: pa.Schema, columns: Sequence[str] | None, given: Any) -> _Plan:
    whole = plain(schema)
    compiled = compile_filter(given, whole)
    if columns is None:
        return _Plan(whole, whole, compiled)
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
    return _Plan(pa.schema([whole.field(name) for name in read]), output, compiled)


def _read_source(source: Source, plan: _Plan, *, use_threads: bool) -> pa.Table:
    """Read the wanted rows of one file."""
    with _translated(source), _opened(source) as file:
        return _read_groups(source, plan, file, _wanted_groups(source, file, plan), use_threads=use_threads)


class _RemoteParquet(pq.ParquetFile):  # type: ignore[misc]
    """A file whose pages are fetched before they are read."""

    def __init__(self, remote: RemoteFile) -> None:
        super().__init__(pa.PythonFile(remote, mode="r"), pre_buffer=False)
        self._remote = remote

    def read(self, columns: Sequence[str], **options: Any) -> pa.Table:
        return self.read_row_groups(range(self.num_row_groups), columns, **options)

    def read_row_groups(self, groups: Sequence[int], columns: Sequence[str], **options: Any) -> pa.Table:
        self._remote.fetch_columns(self.metadata, groups, columns)
        return super().read_row_groups(list(groups), columns, **options)


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
    waiting: deque[tuple[Source, Future[pa.Table | None]]] = deque()
    remaining = iter(sources)
    with ThreadPoolExecutor(threads, thread_name_prefix="lakepart-read") as pool:
        try:
            for source in remaining:
                waiting.append((source, pool.submit(_read_if_small, source, plan)))
                if len(waiting) >= threads:
                    yield from _batches_of(*waiting.popleft(), plan, batch_rows)
            while waiting:
                yield from _batches_of(*waiting.popleft(), plan, batch_rows)
        finally:
            _cancel([future for _, future in waiting])


def _read_if_small(source: Source, plan: _Plan) -> pa.Table | None:
    with _translated(source), _opened(source) as file:
        groups = _wanted_groups(source, file, plan)
        if _decoded_bytes(file, groups) > _WHOLE_BYTES:
            return None
        return _read_groups(source, plan, file, groups, use_threads=False)


def _batches_of(
    source: Source, future: Future[pa.Table | None], plan: _Plan, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    table = future.result()
    if table is not None:
        yield from _batches(table, batch_rows)
        return
    with _translated(source), _opened(source) as file:
        groups = _wanted_groups(source, file, plan)
        for group in range(file.num_row_groups) if groups is None else groups:
            yield from _batches(_read_groups(source, plan, file, [group], use_threads=True), batch_rows)


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


def _decoded_bytes(file: pq.ParquetFile, groups: list[int] | None) -> int:
    metadata = file.metadata
    chosen = range(metadata.num_row_groups) if groups is None else groups
    return sum(metadata.row_group(group).total_byte_size for group in chosen)


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


@contextmanager
def _opened(source: Source) -> Iterator[pq.ParquetFile]:
    if isinstance(source.open, str):
        # without the read-ahead meant for object stores: files are small and the kernel reads ahead itself
        with pa.OSFile(source.open, "rb") as file:
            yield pq.ParquetFile(file, pre_buffer=False)
        return
    with closing(RemoteFile(source.open)) as remote:
        yield _RemoteParquet(remote)


@contextmanager
def _translated(source: Source) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise CorruptionError(
            f"Data file {source.name!r} is missing.",
            hint="restore it from a copy; check() finds all that are missing.",
            context={"file": source.name},
        ) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError) as error:
        raise _torn(source, error) from error
    except OSError as error:
        if error.errno is None:  # Arrow's own: bytes that cannot be decoded
            raise _torn(source, error) from error
        denied = error.errno in {errno.EACCES, errno.EPERM}
        raise StorageError(
            f"Data file {source.name!r} cannot be read: {error.strerror or error}.",
            hint="look at the rights of the file." if denied else "look at the disk.",
            code=ErrorCode.PERMISSION if denied else ErrorCode.STORAGE,
            context={"file": source.name},
        ) from error


def _torn(source: Source, error: Exception) -> CorruptionError:
    return CorruptionError(
        f"Data file {source.name!r} is damaged or no Parquet file: {str(error).splitlines()[0]}",
        hint="restore it from a copy; check() finds all that are damaged.",
        context={"file": source.name},
    )


def _cancel(futures: Sequence[Future[Any]]) -> None:
    for future in futures:
        future.cancel()
