"""Rows grouped by position: in memory, or sorted on local disk; several such runs merge into one order."""

from __future__ import annotations

import errno
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lakepart.errors import ErrorCode, StorageError

Positions = npt.NDArray[np.int64]
Piece = tuple[int, Iterator[pa.Table]]

_BLOCK_ROWS = 65_536  # gathering rows costs much less in blocks than partition by partition
_MOST_CHUNKS = 64
_SPILL_BYTES = 1024 * 1024  # what merging holds of each run


class Run(Protocol):
    """Rows grouped by ascending position."""

    @property
    def positions(self) -> Positions:
        """The distinct positions, ascending."""
        ...

    def tables_at(self, index: int) -> Iterator[pa.Table]:
        """Give the rows of ``positions[index]`` in the order they came."""
        ...


class MemoryRun:
    """A table in memory, sorted by an index; rows are gathered when asked for, by any thread in any order."""

    def __init__(self, table: pa.Table, positions: Positions) -> None:
        ordered = bool(np.all(positions[:-1] <= positions[1:]))
        self._order = None if ordered else stable_order(positions)
        # gathering from some chunks costs no more than from one, and joining them needs their memory again
        self._table = table if ordered or _chunks(table) <= _MOST_CHUNKS else table.combine_chunks()
        in_order = positions if self._order is None else positions[self._order]
        starts = np.flatnonzero(np.diff(in_order)) + 1
        self._starts = np.concatenate(([0], starts, [len(in_order)])) if len(in_order) else np.zeros(1, np.int64)
        self.positions: Positions = in_order[self._starts[:-1]]
        self._blocks = _blocks(self._starts)
        self._held: tuple[int, pa.Table] | None = None
        self._lock = Lock()

    def tables_at(self, index: int) -> Iterator[pa.Table]:
        """Give the rows of ``positions[index]``, gathered as they are taken."""
        start, stop = int(self._starts[index]), int(self._starts[index + 1])
        if self._order is None:
            yield self._gather(start, stop)
        elif stop - start >= _BLOCK_ROWS:
            for offset in range(start, stop, _BLOCK_ROWS):
                yield self._gather(offset, min(offset + _BLOCK_ROWS, stop))
        else:
            block_start, block = self._block_of(index)
            yield block.slice(start - block_start, stop - start)

    def _block_of(self, index: int) -> tuple[int, pa.Table]:
        block = bisect_right(self._blocks, index) - 1
        first, after = self._blocks[block], self._blocks[block + 1]
        start, stop = int(self._starts[first]), int(self._starts[after])
        with self._lock:
            if self._held is None or self._held[0] != start:
                self._held = (start, self._gather(start, stop))
            return self._held

    def _gather(self, start: int, stop: int) -> pa.Table:
        if self._order is None:
            return self._table.slice(start, stop - start)
        return self._table.take(pa.array(self._order[start:stop]))


class SpilledRun:
    """A sorted run in an Arrow file on local disk, of which one small batch is held at a time.

    The file has no name, so that the system removes it with the process, however that ends. ``folder`` is where; the
    system's temporary folder if None.
    """

    def __init__(self, folder: str | None, schema: pa.Schema, pieces: Iterable[Piece]) -> None:
        positions: list[int] = []
        starts: list[int] = [0]
        batch_starts: list[int] = [0]
        options = pa.ipc.IpcWriteOptions(compression="lz4" if pa.Codec.is_available("lz4") else None)
        with spilling(folder):
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the run
            try:
                with pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema, options=options) as out:
                    for table in _batched(pieces, positions, starts):
                        out.write_table(table)
                        batch_starts.append(batch_starts[-1] + table.num_rows)
                self._file.flush()
            except BaseException:
                with suppress(OSError):  # what is left to be written finds no room either
                    self._file.close()
                raise
        self.positions: Positions = np.array(positions, dtype=np.int64)
        self._starts = starts
        self._batch_starts = np.array(batch_starts)
        self._reader = pa.ipc.open_file(pa.PythonFile(self._file, "r"))
        self._held: tuple[int, pa.Table] | None = None

    def tables_at(self, index: int) -> Iterator[pa.Table]:
        """Give the rows of ``positions[index]``, read as they are taken."""
        start, stop = self._starts[index], self._starts[index + 1]
        while start < stop:
            number = int(np.searchsorted(self._batch_starts, start, side="right")) - 1
            first, after = int(self._batch_starts[number]), int(self._batch_starts[number + 1])
            taken = min(stop, after) - start
            yield self._batch(number).slice(start - first, taken)
            start += taken

    def close(self) -> None:
        """Let go of the file, which is gone then."""
        self._held = None
        self._file.close()

    def _batch(self, number: int) -> pa.Table:
        if self._held is None or self._held[0] != number:
            self._held = (number, pa.Table.from_batches([self._reader.get_batch(number)]))
        return self._held[1]


def merge(runs: Sequence[Run]) -> Iterator[Piece]:
    """Go through all positions of several runs in ascending order; of one position, run by run."""
    if not runs:
        return
    for position in np.unique(np.concatenate([run.positions for run in runs])).tolist():
        yield position, _tables_of(runs, position)


def _tables_of(runs: Sequence[Run], position: int) -> Iterator[pa.Table]:
    for run in runs:
        index = int(np.searchsorted(run.positions, position))
        if index < len(run.positions) and run.positions[index] == position:
            yield from run.tables_at(index)


def stable_order(positions: Positions) -> npt.NDArray[np.int64]:
    """Give the row numbers that sort ``positions`` and keep equal ones in order."""
    low, high = int(positions.min()), int(positions.max())
    if high - low < 2**16:
        positions = (positions - low).astype(np.uint16)  # numpy sorts 16-bit numbers by radix, ten times as fast
    return np.argsort(positions, kind="stable")


@contextmanager
def spilling(folder: str | None) -> Iterator[None]:
    """Translate failures of the local disk that unsorted rows are kept on meanwhile."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        raise StorageError(
            f"Sorting the rows by partition failed on the local disk at {folder or tempfile.tempdir!r}: {error}",
            hint="free space there, set TMPDIR to a larger disk, or give the rows in the order of their partitions.",
            code=ErrorCode.DISK_FULL if full else ErrorCode.STORAGE,
        ) from error


def _chunks(table: pa.Table) -> int:
    return max((column.num_chunks for column in table.columns), default=0)


def _blocks(starts: npt.NDArray[Any]) -> list[int]:
    """Group neighbouring partitions into blocks of about ``_BLOCK_ROWS``; gives where each begins, and the end."""
    blocks = [0]
    for index in range(1, len(starts) - 1):
        if starts[index + 1] - starts[blocks[-1]] > _BLOCK_ROWS:
            blocks.append(index)
    blocks.append(len(starts) - 1)
    return blocks


def _batched(pieces: Iterable[Piece], positions: list[int], starts: list[int]) -> Iterator[pa.Table]:
    """Join pieces to tables of about ``_SPILL_BYTES``, noting which position begins at which row."""
    held: list[pa.Table] = []
    size_bytes = 0
    for position, tables in pieces:
        positions.append(position)
        starts.append(starts[-1])
        for table in tables:
            for part in _split(table):
                starts[-1] += part.num_rows
                held.append(part)
                size_bytes += part.nbytes
                if size_bytes >= _SPILL_BYTES:
                    yield pa.concat_tables(held).combine_chunks()
                    held, size_bytes = [], 0
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _split(table: pa.Table) -> Iterator[pa.Table]:
    rows = max(1, table.num_rows * _SPILL_BYTES // max(table.nbytes, 1))
    return (table.slice(offset, rows) for offset in range(0, table.num_rows, rows))
