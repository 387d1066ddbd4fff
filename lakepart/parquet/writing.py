"""Tables to one Parquet file: hashed on the way, the same bytes for the same rows however they were cut up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import TracebackType
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from lakepart.parquet.schemas import meaning_of
from lakepart.parquet.statistics import file_statistics

ROW_GROUP_ROWS = 1_048_576
ROW_GROUP_BYTES = 64 * 1024 * 1024  # in memory, before encoding: what a reader holds at once
_WHOLE_BYTES = 32 * 1024 * 1024  # up to here a file is encoded in memory and written in one call
_GRANULE_ROWS = 8_192  # row groups end at multiples of this, so that the way rows arrive does not matter
_SINK_BYTES = 4 * 1024 * 1024
_SAMPLE_ROWS = 64
_SAMPLED_SHARE = 16
_TRAILER_BYTES = 8  # footer length and magic number at the very end


class Sink(Protocol):
    """Where the bytes of one new file go; leaving the block cleanly keeps them."""

    def write(self, data: bytes | memoryview, /) -> Any:
        """Take all of ``data``."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What was written.

    ``checksum`` is the SHA-256 of the file. ``data_digest`` is that of what the bytes before the footer mean and of
    their own SHA-256: equal rows in equal order have equal digests, whatever the key-value metadata and the names of
    columns, while the same numbers of another type or column have others. ``statistics`` maps columns to
    ``[min, max, nulls]`` in JSON values.
    """

    size_bytes: int
    row_count: int
    row_groups: int
    checksum: str
    data_digest: str
    footer_bytes: int
    statistics: Mapping[str, Any] = field(default_factory=dict)


def write_file(
    open_sink: Callable[[], Any],
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    *,
    metadata: Mapping[str, str],
    row_group_rows: int = ROW_GROUP_ROWS,
) -> FileFacts:
    """Write tables as one Parquet file: zstd, field ids of ``schema``, key-value ``metadata`` in the footer.

    Parameters
    ----------
    open_sink
        Gives the context manager whose ``write`` takes the bytes, in order.
    tables
        The rows; each table has the columns of ``schema`` in its order.
    schema
        Types and Parquet field ids.
    metadata
        Key-value metadata of the footer.
    row_group_rows
        A row group has no more rows than this, and about 64 MiB in memory.

    Returns
    -------
    FileFacts
        Sizes, digests and statistics.

    Notes
    -----
    A small file is one call of ``write``; of a larger one, one row group is held in memory. Many threads may write
    at once: encoding, compressing and hashing run outside the interpreter lock.
    """
    held, rest, size_bytes = _hold(iter(tables))
    if rest is None and size_bytes <= _WHOLE_BYTES and sum(table.num_rows for table in held) <= row_group_rows:
        return _write_whole(open_sink, _contiguous(held, schema), schema, metadata)
    groups = _row_groups(granules(chain(let_go(held), rest or ())), schema, row_group_rows)
    return _write_stream(open_sink, groups, schema, metadata)


def _hold(tables: Iterator[pa.Table]) -> tuple[list[pa.Table], Iterator[pa.Table] | None, int]:
    held: list[pa.Table] = []
    size_bytes = 0
    for table in tables:
        held.append(table)
        size_bytes += table.nbytes
        if size_bytes > _WHOLE_BYTES:
            return held, tables, size_bytes
    return held, None, size_bytes


def _contiguous(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """Give one table of one chunk a column, in ``schema`` with its field ids; the list holds its tables no longer."""
    if not tables:
        return schema.empty_table()
    # the encoder ends pages at chunk borders too, so chunks would show in the bytes
    return pa.Table.from_arrays(joined(tables).columns, schema=schema)


def let_go(tables: list[pa.Table]) -> Iterator[pa.Table]:
    """Give the tables of a list, which then holds them no longer."""
    while tables:
        yield tables.pop(0)


def joined(tables: list[pa.Table]) -> pa.Table:
    """Make one table, of one chunk a column, of the tables of a list, which holds them no longer.

    Column by column, so that all rows are never there twice.
    """
    whole = pa.concat_tables(let_go(tables))
    schema, columns = whole.schema, whole.columns
    del whole
    columns.reverse()
    return pa.Table.from_arrays([_in_one(columns.pop()) for _ in schema], schema=schema)


def _in_one(column: pa.ChunkedArray) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def granules(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Cut a stream of tables anew, every ``_GRANULE_ROWS`` rows from its start."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        offset = 0
        while table.num_rows - offset >= _GRANULE_ROWS - rows:
            taken = _GRANULE_ROWS - rows
            yield pa.concat_tables([*waiting, table.slice(offset, taken)])
            waiting, rows, offset = [], 0, offset + taken
        if offset < table.num_rows:
            waiting.append(table.slice(offset))
            rows += table.num_rows - offset
    if waiting:
        yield pa.concat_tables(waiting)


def _row_groups(cut: Iterable[pa.Table], schema: pa.Schema, most_rows: int) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows = size_bytes = 0
    for granule in cut:
        if held and (rows + granule.num_rows > most_rows or size_bytes >= ROW_GROUP_BYTES):
            yield _contiguous(held, schema)
            rows = size_bytes = 0
        held.append(granule)
        rows += granule.num_rows
        size_bytes += granule.nbytes
    if held:
        yield _contiguous(held, schema)


def _write_whole(
    open_sink: Callable[[], Any], table: pa.Table, schema: pa.Schema, metadata: Mapping[str, str]
) -> FileFacts:
    buffer = pa.BufferOutputStream()
    footer = _encode(buffer, iter((table,)) if table.num_rows else iter(()), schema, metadata)
    data = memoryview(buffer.getvalue())
    footer_bytes = _footer_bytes(data)
    digest = hashlib.sha256(data[:-footer_bytes])
    data_digest = _data_digest(schema, digest)
    digest.update(data[-footer_bytes:])
    with open_sink() as sink:
        sink.write(data)
    return FileFacts(
        size_bytes=len(data),
        row_count=footer.num_rows,
        row_groups=footer.num_row_groups,
        checksum=digest.hexdigest(),
        data_digest=data_digest,
        footer_bytes=footer_bytes,
        statistics=file_statistics(schema, footer),
    )


def _write_stream(
    open_sink: Callable[[], Any], groups: Iterator[pa.Table], schema: pa.Schema, metadata: Mapping[str, str]
) -> FileFacts:
    with open_sink() as sink:
        hashing = _HashingFile(sink)
        output = pa.BufferedOutputStream(pa.PythonFile(hashing, mode="w"), _SINK_BYTES)
        footer = _encode(output, groups, schema, metadata, before_footer=hashing.hold_back)
        output.flush()
        data_digest, footer_bytes = hashing.finish(schema)
    return FileFacts(
        size_bytes=hashing.size_bytes,
        row_count=footer.num_rows,
        row_groups=footer.num_row_groups,
        checksum=hashing.digest.hexdigest(),
        data_digest=data_digest,
        footer_bytes=footer_bytes,
        statistics=file_statistics(schema, footer),
    )


def _data_digest(schema: pa.Schema, pages: Any) -> str:
    """Identify rows by what their columns are and the digest of their pages, where all of these have been hashed."""
    return hashlib.sha256(meaning_of(schema) + pages.digest()).hexdigest()


def _encode(
    output: Any,
    groups: Iterator[pa.Table],
    schema: pa.Schema,
    metadata: Mapping[str, str],
    before_footer: Callable[[], None] | None = None,
) -> Any:
    """Write row groups and footer; gives the footer's metadata."""
    group = next(groups, None)
    collected: list[Any] = []
    writer = pq.ParquetWriter(
        output,
        schema,
        compression="zstd",
        use_dictionary=_repetitive_columns(group) if group is not None else False,
        metadata_collector=collected,
    )
    with writer:
        while group is not None:
            writer.write_table(group, row_group_size=group.num_rows)
            del group  # before the next is made
            group = next(groups, None)
        if before_footer is not None:
            before_footer()
        writer.add_key_value_metadata(dict(metadata))
    return collected[0]


def _repetitive_columns(table: pa.Table) -> list[str]:
    """Name the columns that a dictionary makes smaller: by a sample of rows, so that equal rows decide equally.

    A dictionary for mostly distinct values costs a third of the encoding and makes the file larger. The sample is
    one run of rows: where sorted rows make it look repetitive, the dictionary is what pyarrow would have tried too.
    """
    sample = max(_SAMPLE_ROWS, table.num_rows // _SAMPLED_SHARE)
    table = table.slice(max(0, (table.num_rows - sample) // 2), sample)
    chosen = []
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if pa.types.is_nested(column.type):
            chosen += _leaf_paths(name, column.type)
        elif not pa.types.is_null(column.type) and 2 * len(column.chunk(0).unique()) <= len(column):
            chosen.append(name)
    return chosen


def _leaf_paths(path: str, data_type: pa.DataType) -> list[str]:
    """Name the Parquet columns of a nested one."""
    if pa.types.is_map(data_type):
        entry = f"{path}.key_value"
        return _leaf_paths(f"{entry}.key", data_type.key_type) + _leaf_paths(f"{entry}.value", data_type.item_type)
    if pa.types.is_struct(data_type):
        return [leaf for child in data_type for leaf in _leaf_paths(f"{path}.{child.name}", child.type)]
    if pa.types.is_nested(data_type):
        return _leaf_paths(f"{path}.list.element", data_type.value_type)
    return [path]


def _footer_bytes(end: memoryview | bytes) -> int:
    """Give the length of everything after the data, from the last bytes of a file."""
    return int.from_bytes(end[-_TRAILER_BYTES:-4], "little") + _TRAILER_BYTES


class _HashingFile:
    """Hashes what passes; keeps the file's end back until it is clear where the footer begins."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._held: list[bytes] | None = None
        self.digest = hashlib.sha256()
        self.size_bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        with memoryview(data) as view:
            self.size_bytes += len(view)
            self._sink.write(view)
            if self._held is None:
                self.digest.update(view)
            else:
                self._held.append(bytes(view))
            return len(view)

    def hold_back(self) -> None:
        self._held = []

    def finish(self, schema: pa.Schema) -> tuple[str, int]:
        """Give the digest of the data and the length of the footer; ``digest`` is the file's from here on."""
        end = b"".join(self._held or ())
        footer_bytes = _footer_bytes(end)
        self.digest.update(end[:-footer_bytes])
        data_digest = _data_digest(schema, self.digest)
        self.digest.update(end[-footer_bytes:])
        return data_digest, footer_bytes

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Do nothing: the sink decides when bytes are durable."""

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Leave the sink open: its own block closes it."""
