"""Stores to test against: one in memory, one whose process dies, one whose disk fills."""

from __future__ import annotations

import errno
import io
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import BinaryIO, Self

from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.base import TEMPORARY_SUFFIX, Sink, Store, StoredObject
from lakepart.storage.failures import translate
from lakepart.storage.s3 import S3Store
from lakepart.testing.effects import Crash, Effects


def memory_store() -> Store:
    """Give an empty store in this process's memory, apart from all others."""
    return FsspecStore.in_memory()


class CrashingStore:
    """A store whose user dies at one of its effects: each finished object, put, sync of folders, and deletion.

    A crash ``"before"`` a sink's block is left, or anywhere inside the block, leaves half of the bytes: under the path
    itself, or under a temporary name where the object was to appear whole. In S3, where no object appears by halves,
    it leaves an object in parts that nobody completes. Reads are no effects, but the dead do not read either.
    """

    def __init__(self, store: Store, effects: Effects) -> None:
        self._store = store
        self._effects = effects

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"

    @property
    def root(self) -> str:
        """Where the objects are."""
        return self._store.root

    def open_new(self, path: str, *, whole: bool = False) -> Sink:
        """Open a sink that is torn by a crash."""
        self._effects.check_alive()
        return _CrashingSink(self._store, path, whole=whole, effects=self._effects)

    def put_new(self, path: str, data: bytes) -> None:
        """Put an object; a crash before it leaves half of the bytes under a temporary name, and nothing in S3."""
        try:
            with self._effects.effect(f"put {path}"):
                self._store.put_new(path, data)
        except Crash:
            if not isinstance(self._store, S3Store) and self._store.stat(path) is None:
                _leave_temporary(self._store, path, data)
            raise

    def make_durable(self, paths: Iterable[str]) -> None:
        """Sync folders, an effect even where the store has nothing to sync."""
        durable = list(paths)
        with self._effects.effect(f"make {len(durable)} names durable"):
            self._store.make_durable(durable)

    def open_read(self, path: str) -> BinaryIO:
        """Open an object, if alive."""
        self._effects.check_alive()
        return self._store.open_read(path)

    def read_bytes(self, path: str) -> bytes:
        """Read an object, if alive."""
        self._effects.check_alive()
        return self._store.read_bytes(path)

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Read stretches of an object, if alive."""
        self._effects.check_alive()
        return self._store.read_ranges(path, ranges)

    def os_path(self, path: str) -> str | None:
        """Name the file of an object, if alive."""
        self._effects.check_alive()
        return self._store.os_path(path)

    def stat(self, path: str) -> StoredObject | None:
        """Describe an object, if alive."""
        self._effects.check_alive()
        return self._store.stat(path)

    def delete(self, path: str) -> bool:
        """Delete an object."""
        with self._effects.effect(f"delete {path}"):
            return self._store.delete(path)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Walk objects, if alive."""
        self._effects.check_alive()
        return self._store.list(prefix)


class FullDiskStore:
    """A store on a disk of ``capacity_bytes``: what does not fit raises StorageError with the code ``disk-full``.

    What the store held before is not counted; what is deleted or discarded through it is free again.
    """

    def __init__(self, store: Store, capacity_bytes: int) -> None:
        self._store = store
        self._free_bytes = capacity_bytes
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"

    @property
    def free_bytes(self) -> int:
        """Bytes that still fit."""
        return self._free_bytes

    def take(self, size_bytes: int, path: str) -> None:
        """Use up space, or raise StorageError and use none."""
        with self._lock:
            if size_bytes > self._free_bytes:
                raise translate(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "write", path)
            self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Free space."""
        with self._lock:
            self._free_bytes += size_bytes

    @property
    def root(self) -> str:
        """Where the objects are."""
        return self._store.root

    def open_new(self, path: str, *, whole: bool = False) -> Sink:
        """Open a sink that takes what fits."""
        return _BoundedSink(self._store.open_new(path, whole=whole), path, self)

    def put_new(self, path: str, data: bytes) -> None:
        """Put an object that fits; bytes that stand already take no space again."""
        before = self._store.stat(path)
        if before is None:
            self.take(len(data), path)
        try:
            self._store.put_new(path, data)
        except BaseException:
            if before is None:
                self.give_back(len(data))
            raise

    def make_durable(self, paths: Iterable[str]) -> None:
        """Sync folders."""
        self._store.make_durable(paths)

    def open_read(self, path: str) -> BinaryIO:
        """Open an object."""
        return self._store.open_read(path)

    def read_bytes(self, path: str) -> bytes:
        """Read an object."""
        return self._store.read_bytes(path)

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Read stretches of an object."""
        return self._store.read_ranges(path, ranges)

    def os_path(self, path: str) -> str | None:
        """Name the file of an object."""
        return self._store.os_path(path)

    def stat(self, path: str) -> StoredObject | None:
        """Describe an object."""
        return self._store.stat(path)

    def delete(self, path: str) -> bool:
        """Delete an object and free its space."""
        found = self._store.stat(path)
        deleted = self._store.delete(path)
        if deleted and found is not None:
            self.give_back(found.size_bytes)
        return deleted

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Walk objects."""
        return self._store.list(prefix)


class _WrappedSink:
    """What two kinds of sink have in common: they pass on to another one."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size_bytes = 0

    def tell(self) -> int:
        return self._size_bytes

    def flush(self) -> None:
        self._sink.flush()

    @property
    def stores_at_once(self) -> bool:
        return self._sink.stores_at_once

    def read_back(self) -> BinaryIO:
        return self._sink.read_back()

    def writable(self) -> bool:
        return self._sink.writable()

    @property
    def closed(self) -> bool:
        return self._sink.closed

    def __enter__(self) -> Self:
        return self


class _CrashingSink(_WrappedSink):
    """Holds all bytes back until the block is left, so that it can stop half-way."""

    def __init__(self, store: Store, path: str, *, whole: bool, effects: Effects) -> None:
        super().__init__(store.open_new(path, whole=whole))
        self._store = store
        self._path = path
        self._whole = whole
        self._effects = effects
        self._held = bytearray()

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        self._effects.check_alive()
        self._held += memoryview(data).cast("B")
        length = len(self._held) - self._size_bytes
        self._size_bytes = len(self._held)
        return length

    def read_back(self) -> BinaryIO:
        self._effects.check_alive()
        return io.BytesIO(self._held)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if kind is not None:
            if self._effects.crashed:
                self._tear()
            else:
                self._sink.__exit__(kind, error, trace)
            return
        try:
            with self._effects.effect(f"write {self._path}"), self._sink:
                self._sink.write(self._held)
        except BaseException as failure:
            if not self._sink.closed:
                if self._effects.crashed:
                    self._tear()
                else:
                    self._sink.__exit__(type(failure), failure, failure.__traceback__)
            raise

    def _tear(self) -> None:
        if not self._whole and not isinstance(self._store, S3Store):
            with self._sink:
                self._sink.write(_half(self._held))
            return
        self._sink.__exit__(Crash, Crash("torn"), None)
        if isinstance(self._store, S3Store):
            _leave_upload(self._store, self._path, self._held)
        else:
            _leave_temporary(self._store, self._path, self._held)


class _BoundedSink(_WrappedSink):
    def __init__(self, sink: Sink, path: str, disk: FullDiskStore) -> None:
        super().__init__(sink)
        self._path = path
        self._disk = disk
        self._failure: Exception | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        try:
            self._disk.take(memoryview(data).nbytes, self._path)
        except Exception as error:
            self._failure = error
            raise
        self._size_bytes += memoryview(data).nbytes
        return self._sink.write(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        failure = error or self._failure
        try:
            self._sink.__exit__(type(failure) if failure else None, failure, trace)
            if kind is None and self._failure is not None:
                raise self._failure
        except BaseException:
            self._disk.give_back(self._size_bytes)
            raise
        if kind is not None:
            self._disk.give_back(self._size_bytes)


def _leave_temporary(store: Store, path: str, data: bytes | bytearray) -> None:
    folder, slash, _ = path.rpartition("/")
    with store.open_new(f"{folder}{slash}.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}") as torn:
        torn.write(_half(data))


def _leave_upload(store: S3Store, path: str, data: bytes | bytearray) -> None:
    upload_id = store._bucket.begin_parts(path)
    store._bucket.call("upload_part", path, UploadId=upload_id, PartNumber=1, Body=_half(data))


def _half(data: bytes | bytearray) -> bytes:
    return bytes(data[: len(data) // 2])
