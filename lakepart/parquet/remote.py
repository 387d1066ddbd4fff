"""Parquet files behind a network: the stretches that a read needs are known from the footer, and asked for together."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from lakepart.errors import CorruptionError

Stretch = tuple[int, int]
Block = tuple[int, memoryview]  # where it begins, and its bytes

_WHOLE_BYTES = 1 << 20  # a file of this size is asked for at once: shorter than one more journey
_FOOTER_BYTES = 64 << 10  # as many as Arrow looks at, wherever the footer begins
_GAP_BYTES = 1 << 20  # so many bytes are rather read in vain than left out by one more request
_MOST_BYTES = 8 << 20  # of one request; more are asked for side by side


@dataclass(frozen=True, slots=True)
class Remote:
    """One file, and how to get stretches ``[start, stop)`` of it.

    Attributes
    ----------
    name
        What messages call it.
    read
        Gives the bytes of several stretches, in their order.
    size_bytes, footer_bytes
        As the catalog knows them: neither is asked of the store.
    """

    name: str
    read: Callable[[Sequence[Stretch]], Sequence[bytes]]
    size_bytes: int
    footer_bytes: int


class RemoteFile:
    """A binary file that serves what was fetched, for Arrow to read from.

    Notes
    -----
    Nothing is asked for before the first read. The footer is the first; then those of the columns and row groups that
    are read, neighbours together and none longer than 8 MiB.
    """

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._blocks: list[Block] = []  # in order
        self._at = 0
        self.closed = False

    def fetch(self, stretches: Sequence[Stretch]) -> None:
        """Fetch stretches, unless they are here, and let go of everything else.

        A damaged footer may speak of bytes that the file has not: that is a CorruptionError before any are asked for.
        """
        if any(not 0 <= start <= stop <= self._size for start, stop in stretches):
            raise CorruptionError(
                f"{self._remote.name!r} is damaged: its footer speaks of bytes outside the {self._size} that it has.",
                hint="restore it from a copy; check() finds all that are damaged.",
                context={"file": self._remote.name},
            )
        if any(self._find(*stretch) is None for stretch in stretches):
            self._fetch(coalesced(stretches))

    def read(self, size_bytes: int = -1) -> memoryview | bytes:
        """Give the next bytes."""
        stop = self._size if size_bytes < 0 else min(self._at + size_bytes, self._size)
        if stop <= self._at:
            return b""
        if not self._blocks:
            self._fetch([first_stretch(self._remote)])
        found = self._find(self._at, stop)
        if found is None:
            ((_, found),) = self._read([(self._at, stop)])
        self._at = stop
        return found

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Give where the next byte is read from."""
        return self._at

    def close(self) -> None:
        """Let go of everything."""
        self.closed = True
        self._blocks = []

    @property
    def _size(self) -> int:
        return self._remote.size_bytes

    def _fetch(self, stretches: Sequence[Stretch]) -> None:
        self._blocks = []  # before others take their place: both together would be twice the memory
        self._blocks = self._read(stretches)

    def _read(self, stretches: Sequence[Stretch]) -> list[Block]:
        found = fetched(self._remote, stretches)
        return [(start, memoryview(block)) for (start, _), block in zip(stretches, found, strict=True)]

    def _find(self, start: int, stop: int) -> memoryview | bytes | None:
        """Give bytes that are held, from one block or from several that follow on one another."""
        found: list[memoryview] = []
        first = max(bisect_right(self._blocks, start, key=itemgetter(0)) - 1, 0)
        for begins, block in self._blocks[first:]:
            if start >= stop or not begins <= start < begins + len(block):
                break
            found.append(block[start - begins : stop - begins])
            start = begins + len(block)
        if start < stop or not found:
            return None
        return found[0] if len(found) == 1 else b"".join(found)


def coalesced(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Give the requests that cover stretches: small gaps are read along, and none is longer than it should be."""
    runs: list[Stretch] = []
    for start, stop in sorted(stretches):
        if runs and start - runs[-1][1] <= _GAP_BYTES:
            runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
        else:
            runs.append((start, stop))
    return [(at, min(at + _MOST_BYTES, stop)) for start, stop in runs for at in range(start, stop, _MOST_BYTES)]


def first_stretch(remote: Remote, *, whole: bool = False) -> Stretch:
    """Give what is asked for first: the footer, or all of a file that is short, or wanted ``whole`` and not long."""
    size_bytes = remote.size_bytes
    if size_bytes <= (_MOST_BYTES if whole else _WHOLE_BYTES):
        return 0, size_bytes
    return size_bytes - max(remote.footer_bytes, _FOOTER_BYTES), size_bytes


def fetched(remote: Remote, stretches: Sequence[Stretch]) -> Sequence[bytes]:
    """Ask for stretches; CorruptionError where the file ends before them."""
    found = remote.read(stretches)
    for (start, stop), block in zip(stretches, found, strict=True):
        if len(block) != stop - start:
            raise CorruptionError(
                f"{remote.name!r} ends before byte {stop}: the catalog says that it has {remote.size_bytes}.",
                hint="restore it from a copy; check() finds all that are damaged.",
                context={"file": remote.name},
            )
    return found


def chunks_of(metadata: Any, groups: Iterable[int], columns: Sequence[str]) -> Iterator[Any]:
    """Give the metadata of what ``columns`` have in row groups."""
    inside = tuple(f"{name}." for name in columns)  # a nested column has its parts behind a dot
    for group in groups:
        row_group = metadata.row_group(group)
        for number in range(row_group.num_columns):
            chunk = row_group.column(number)
            path = chunk.path_in_schema
            if path in columns or path.startswith(inside):
                yield chunk


def stretch_of(chunk: Any) -> Stretch:
    """Give where a column's pages in a row group are."""
    start = chunk.data_page_offset
    if chunk.has_dictionary_page:
        start = min(start, chunk.dictionary_page_offset)
    return start, start + chunk.total_compressed_size
