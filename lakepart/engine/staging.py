"""Puts rows under new file names, durably, before any catalog row speaks of them.

A stager knows one asset's schema, one store and one name prefix; it never touches the catalog, so that a worker on
another machine can use it as well as the process that commits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, count, islice
from typing import Any

import pyarrow as pa

from lakepart.errors import LakepartError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.keys import encode_segment
from lakepart.model.records import NewFile
from lakepart.parquet.sorting import check_sort_columns, in_order
from lakepart.parquet.writing import let_go, write_file
from lakepart.storage.base import Store

WRITER_THREADS = 16  # files are synced while others are being encoded
_HELD_BYTES = 64 * 1024 * 1024  # a partition up to this size is handed to a thread whole
_QUEUED_BYTES = 256 * 1024 * 1024

Piece = tuple[int, Iterable[pa.Table]]


@dataclass(slots=True)
class Stager:
    """Writes the data files of one asset; ``paths`` lists what it has begun, for cleaning up."""

    store: Store
    tier: str
    asset: str
    definition: PartitionsDefinition
    schema: pa.Schema
    name_prefix: str
    metadata: Mapping[str, str]
    threads: int = WRITER_THREADS
    sort_by: tuple[str, ...] = ()  # within each file
    paths: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _others: list[Stager] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_sort_columns(self.sort_by, self.schema)

    def on(self, store: Store, tier: str) -> Stager:
        """Give what writes to another tier for the same commit, under names that none of this one's files has."""
        known = next((one for one in (self, *self._others) if one.tier == tier), None)
        if known is None:
            known = replace(self, store=store, tier=tier, paths=[], _others=[])
            self._others.append(known)
        return known

    def stage(self, pieces: Iterable[Piece]) -> dict[int, list[NewFile]]:
        """Write every piece and sync it; gives the new files by position, in the order the pieces came.

        Pieces small enough to hold are encoded and synced side by side, the last by the calling thread, so that one
        piece needs no other; a larger one streams through alone, so that memory stays flat whatever comes.
        """
        staged: dict[int, list[NewFile]] = {}
        queued: deque[tuple[int, int, Future[NewFile | None]]] = deque()
        queued_bytes = 0
        last: tuple[int, int, list[pa.Table]] | None = None

        def settle_oldest() -> None:
            nonlocal queued_bytes
            position, size_bytes, future = queued.popleft()
            queued_bytes -= size_bytes
            keep(position, future.result())

        def keep(position: int, file: NewFile | None) -> None:
            files = staged.setdefault(position, [])
            if file is not None:
                files.append(file)

        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for position, tables in pieces:
                    staged.setdefault(position, [])
                    held, rest, size_bytes = _hold(in_order(tables, self.sort_by) if self.sort_by else tables)
                    if last is not None:
                        queued.append((*last[:2], pool.submit(self._write, last[0], last[2])))
                        last = None
                    if rest is not None:
                        while queued:  # a partition's files keep the order of its rows
                            settle_oldest()
                        keep(position, self._write(position, chain(let_go(held), rest)))
                        continue
                    last = (position, size_bytes, held)
                    queued_bytes += size_bytes
                    while queued and (queued_bytes > _QUEUED_BYTES or len(queued) > 8 * self.threads):
                        settle_oldest()
                written = None if last is None else self._write(last[0], last[2])
                while queued:
                    settle_oldest()
                if last is not None:
                    keep(last[0], written)
            except BaseException:
                for _, _, future in queued:
                    future.cancel()
                raise
        self.store.make_durable(file.path for files in staged.values() for file in files)
        return staged

    def discard(self, *, but: Collection[str] = ()) -> None:
        """Delete what was written, ``but`` some paths, side by side.

        When one cannot be deleted, the rest stays as well: a store that is down would let the caller wait for each, and
        vacuum knows all of them by their names.
        """
        doomed = [(one.store, path) for one in (self, *self._others) for path in one.paths if path not in but]
        with (
            suppress(LakepartError),  # the failure that led here is the one to report
            ThreadPoolExecutor(self.threads, thread_name_prefix="lakepart-discard") as pool,
        ):
            list(pool.map(lambda one: one[0].delete(one[1]), doomed))

    def _write(self, position: int, tables: Iterable[pa.Table]) -> NewFile | None:
        filled = (table for table in tables if table.num_rows)
        first = list(islice(filled, 1))
        if not first:
            return None
        key = self.definition.key_at(position)
        folder = "/".join(encode_segment(name, part) for name, part in self.definition.parts_of(key).items())
        path = f"{self.asset}/{folder}/{self.name_prefix}-{next(self._numbers)}.parquet"
        self.paths.append(path)
        facts = write_file(
            partial(self.store.open_new, path),
            chain(let_go(first), filled),
            self.schema,
            metadata={**self.metadata, "lakepart.asset": self.asset, "lakepart.key": key},
        )
        return NewFile(
            tier=self.tier,
            path=path,
            size_bytes=facts.size_bytes,
            row_count=facts.row_count,
            row_groups=facts.row_groups,
            checksum=facts.checksum,
            data_digest=facts.data_digest,
            footer_bytes=facts.footer_bytes,
            statistics=facts.statistics,
        )


def _hold(tables: Iterable[pa.Table]) -> tuple[list[pa.Table], Iterator[pa.Table] | None, int]:
    """Take tables up to the held size; gives them, what remains (None: nothing), and their bytes."""
    remaining = iter(tables)
    held: list[pa.Table] = []
    size_bytes = 0
    for table in remaining:
        held.append(table)
        size_bytes += _size_of(table)
        if size_bytes > _HELD_BYTES:
            return held, remaining, size_bytes
    return held, None, size_bytes


def _size_of(table: pa.Table) -> int:
    size: Any = table.nbytes  # of the slice, not of the buffers it shares
    return int(size)
