"""Objects in any filesystem that fsspec knows: memory, object stores, remote disks."""

from __future__ import annotations

import inspect
import io
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO, Self

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.memory import MemoryFileSystem

from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError, LakepartError, StorageError
from lakepart.model.archives import ARCHIVE_CLASSES, ONLINE
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import OnBytes, Store, StoredObject, check_path, check_prefix
from lakepart.storage.drivers import driver_of
from lakepart.storage.failures import already_exists, not_found, spooling, translate
from lakepart.storage.native import NativeFilesystem, native_azure, native_gcs
from lakepart.storage.sent import SentSink

_SPOOL_BYTES = 64 << 20
_CHUNK_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 20
_MODIFIED_KEYS = ("LastModified", "last_modified", "modified", "updated", "mtime", "created")
_STRIPES = tuple(threading.Lock() for _ in range(256))


class FsspecStore:
    """A store over an fsspec filesystem.

    Parameters
    ----------
    place
        A URL that fsspec understands (``memory://lake``), or a filesystem object.
    root
        A folder below it.
    storage_options
        Passed to the filesystem that the URL names; never shown.

    Notes
    -----
    New bytes are gathered in memory, beyond 64 MiB in a temporary local file, and sent when the sink's block is left:
    so an exception leaves nothing, and every object appears whole. Creation is exclusive among all writers where the
    driver lets the store decide it (see ``drivers``), and among the threads of one process elsewhere, by looking first:
    fsspec promises no more. A send whose answer is lost is settled by comparing what is there.
    """

    def __init__(
        self,
        place: str | fsspec.AbstractFileSystem,
        root: str = "",
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(place, str):
            self._filesystem, base = _filesystem_of(place, storage_options)
        else:
            self._filesystem, base = place, ""
        below = "/".join(part for part in (base.rstrip("/"), check_prefix(root.strip("/"))) if part)
        if not base and root.startswith("/"):
            below = f"/{below}"  # the filesystem's own root, not its working directory
        self._root = self._filesystem._strip_protocol(below).rstrip("/")
        protocols = self._filesystem.protocol
        self._protocols = {protocols} if isinstance(protocols, str) else set(protocols)
        self._takes_mode = "mode" in inspect.signature(self._filesystem.pipe_file).parameters
        self._is_in_memory = "memory" in self._protocols
        self._decides_creation = any(driver_of(protocol).decides_creation for protocol in self._protocols)

    @classmethod
    def in_memory(cls) -> Self:
        """Give an empty store of its own in this process's memory, which ends with it."""
        filesystem = MemoryFileSystem(skip_instance_cache=True)
        filesystem.store = {}  # fsspec's own is one for the whole process
        filesystem.pseudo_dirs = [""]
        return cls(filesystem, "lake")

    @property
    def root(self) -> str:
        """The folder as a URL, without secrets."""
        return without_secrets(self._filesystem.unstrip_protocol(self._root))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def open_new(self, path: str, *, whole: bool = False) -> FsspecSink:  # noqa: ARG002 - always whole
        """See :meth:`lakepart.storage.base.Store.open_new`."""
        check_path(path)
        if not self._decides_creation and self._exists(path):
            raise already_exists(self._shown(path))
        return FsspecSink(self, path)

    def put_new(self, path: str, data: bytes) -> None:
        """See :meth:`lakepart.storage.base.Store.put_new`."""
        with _Spool() as spool:
            spool.write(data)
            try:
                self.send(check_path(path), spool)
            except AlreadyExistsError:
                if not self._holds(path, spool):
                    raise

    def copy_from(self, source: Store, source_path: str, path: str, *, on_bytes: OnBytes) -> bool:  # noqa: ARG002
        """Give False: what fsspec copies by itself takes the place of what is there."""
        check_path(path)
        return False

    def stored_checksum(self, path: str) -> None:
        """Give None: fsspec tells no checksums of one kind."""
        if self.stat(path) is None:
            raise not_found(self._shown(path))

    def make_durable(self, paths: Iterable[str]) -> None:
        """Check the paths: a filesystem behind fsspec keeps what it has accepted, folders included."""
        for path in paths:
            check_path(path)

    def open_read(self, path: str) -> BinaryIO:
        """See :meth:`lakepart.storage.base.Store.open_read`."""
        if self._is_in_memory:  # fsspec would give every reader the same file, with one position
            return io.BytesIO(self.read_bytes(path))
        with self.translated("read", path):
            found = self._filesystem.open(self._place(path), "rb")
        return io.BufferedReader(_Reading(self, path, found), _BUFFER_BYTES)

    def read_bytes(self, path: str) -> bytes:
        """See :meth:`lakepart.storage.base.Store.read_bytes`."""
        with self.translated("read", path):
            return bytes(self._filesystem.cat_file(self._place(path)))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See :meth:`lakepart.storage.base.Store.read_ranges`; side by side where the driver can."""
        place = self._place(path)
        starts, stops = [start for start, _ in ranges], [stop for _, stop in ranges]
        # they open what is read from its beginning so that it cannot be sought in, and seek there then
        asked = {"seekable": True} if isinstance(self._filesystem, ArrowFSWrapper) else {}
        with self.translated("read", path):
            return [
                bytes(one)
                for one in self._filesystem.cat_ranges([place] * len(starts), starts, stops, on_error="raise", **asked)
            ]

    def os_path(self, path: str) -> None:
        """Give None: other programs cannot open what fsspec reaches."""
        check_path(path)

    def native_filesystem(self) -> NativeFilesystem | None:
        """See :meth:`lakepart.storage.base.Store.native_filesystem`; Google's and Azure's stores have one."""
        options = self._filesystem.storage_options
        if "gs" in self._protocols:
            return native_gcs(self._root, options)
        return native_azure(self._root, options) if "abfs" in self._protocols else None

    def stat(self, path: str) -> StoredObject | None:
        """See :meth:`lakepart.storage.base.Store.stat`."""
        place = self._place(path)
        with self.translated("look at", path):
            self._filesystem.invalidate_cache()
            try:
                facts = self._filesystem.info(place)
            except (FileNotFoundError, NotADirectoryError):
                return None
        return _describe(path, facts) if facts["type"] == "file" else None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See :meth:`lakepart.storage.base.Store.list`; the whole listing is held in memory."""
        folder = check_prefix(prefix)
        top = f"{self._root}/{folder}" if folder else self._root
        with self.translated("list", folder):
            self._filesystem.invalidate_cache()
            try:
                found = self._filesystem.find(top, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return
        below = f"{top}/"
        skipped = len(self._root) + 1
        for name in sorted(found):
            if name.startswith(below) and found[name]["type"] == "file":
                yield _describe(name[skipped:], found[name])

    def delete(self, path: str) -> bool:
        """See :meth:`lakepart.storage.base.Store.delete`."""
        if self.stat(path) is None:
            return False
        with self.translated("delete", path):
            try:
                self._filesystem.rm_file(self._place(path))
            except FileNotFoundError:
                return False
        return True

    def send(self, path: str, spool: _Spool) -> None:
        """Make the object ``path`` from a spool; whatever fails, it is there whole or not at all."""
        if self._decides_creation:
            with self.translated("write", path):
                self._send_and_settle(path, spool)
            return
        with _STRIPES[hash((self._filesystem, self._root, path)) % len(_STRIPES)], self.translated("write", path):
            if self._exists(path):
                raise already_exists(self._shown(path))
            self._send_and_settle(path, spool)

    def _send_and_settle(self, path: str, spool: _Spool) -> None:
        try:
            self._send_making_folders(path, spool)
        except Exception as error:
            if self._arrived(path, spool):
                return
            if _is_refused_creation(error):
                raise already_exists(self._shown(path)) from error
            if not self._decides_creation:  # nobody else made it since we looked: a torn object is ours
                with suppress(LakepartError):  # the error under way says more; `check` names what is left over
                    self.delete(path)
            raise

    def _arrived(self, path: str, spool: _Spool) -> bool:
        try:
            return self._holds(path, spool)
        except LakepartError:  # the store cannot say, so the first error stands
            return False

    def _send_making_folders(self, path: str, spool: _Spool) -> None:
        try:
            self._send(path, spool)
        except FileNotFoundError:
            self._filesystem.makedirs(self._place(path).rpartition("/")[0], exist_ok=True)
            self._send(path, spool)

    def _send(self, path: str, spool: _Spool) -> None:
        creation = {"mode": "create"} if self._takes_mode or self._decides_creation else {}
        if spool.name is None:
            self._filesystem.pipe_file(self._place(path), spool.getvalue(), **creation)
        else:
            self._filesystem.put_file(spool.name, self._place(path), **creation)

    def _holds(self, path: str, spool: _Spool) -> bool:
        """Whether the object is there with exactly the spool's bytes: then some send of ours arrived."""
        found = self.stat(path)
        if found is None or found.size_bytes != spool.size_bytes:
            return False
        with self.open_read(path) as theirs:
            return all(theirs.read(len(chunk)) == chunk for chunk in spool.chunks())

    def _exists(self, path: str) -> bool:
        return self.stat(path) is not None

    def _place(self, path: str) -> str:
        return f"{self._root}/{check_path(path)}"

    def _shown(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextmanager
    def translated(self, action: str, path: str) -> Iterator[None]:
        """Run a block; what the driver raises in it comes out as a lakepart error naming ``action`` and the object."""
        try:
            yield
        except LakepartError:
            raise
        except (IsADirectoryError, NotADirectoryError) as error:
            shown = self._shown(path)
            raise (not_found(shown) if action == "read" else translate(error, action, shown)) from error
        except OSError as error:
            if action == "read" and error.errno is None and self.stat(path) is None:  # of folders, Arrow has no number
                raise not_found(self._shown(path)) from error
            raise translate(error, action, self._shown(path)) from error
        except Exception as error:  # drivers raise their libraries' own errors too: no credentials, timeouts, protocols
            raise StorageError(
                f"Cannot {action} {self._shown(path)!r}: {type(error).__name__}.", context={"path": self._shown(path)}
            ) from error


class _Reading(io.RawIOBase):
    """A file of the driver's, whose errors are lakepart's."""

    def __init__(self, store: FsspecStore, path: str, file: Any) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._store.translated("read", self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._store.translated("read", self._path):
            self._file.seek(offset, whence)
        return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class FsspecSink(SentSink):
    """The bytes of one new object; see :class:`lakepart.storage.base.Sink`."""

    def __init__(self, store: FsspecStore, path: str) -> None:
        self._store = store
        self._path = path
        self._spool = _Spool()
        self._failed = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all of ``data``; returns its length in bytes."""
        self._failed = True
        length = self._spool.write(data)
        self._failed = False
        return length

    def tell(self) -> int:
        """Count the bytes taken so far."""
        return self._spool.size_bytes

    @property
    def closed(self) -> bool:  # type: ignore[override]
        """Whether the block was left."""
        return self._spool.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        with self._spool:
            if kind is not None:
                return
            if self._failed:  # somebody caught the failed write: the bytes are torn
                raise StorageError(f"Cannot write {self._path!r}: an earlier write to it failed.")
            self._store.send(self._path, self._spool)


class _Spool:
    """Bytes on their way: in memory, and beyond 64 MiB in a temporary local file that has a name."""

    def __init__(self) -> None:
        self._memory = io.BytesIO()
        self._file: Any = None
        self.size_bytes = 0

    @property
    def name(self) -> str | None:
        """The local file's name, None as long as the bytes are in memory."""
        return None if self._file is None else str(self._file.name)

    @property
    def closed(self) -> bool:
        return self._memory.closed

    def write(self, data: bytes | bytearray | memoryview) -> int:
        length = memoryview(data).nbytes
        with spooling():
            if self._file is None and self.size_bytes + length > _SPOOL_BYTES:
                self._file = tempfile.NamedTemporaryFile(prefix="lakepart-")  # noqa: SIM115 - lives as long as the spool
                self._file.write(self._memory.getbuffer())
                self._memory = io.BytesIO()
            (self._file or self._memory).write(data)
            if self._file is not None:
                self._file.flush()  # others read it by its name
        self.size_bytes += length
        return length

    def getvalue(self) -> bytes:
        return self._memory.getvalue()

    def chunks(self) -> Iterator[bytes]:
        """Give all bytes again, from the start."""
        source = self._file or self._memory
        source.seek(0)
        with spooling():
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        if self._file is not None:
            self._file.close()


def _filesystem_of(url: str, storage_options: Mapping[str, Any] | None) -> tuple[fsspec.AbstractFileSystem, str]:
    try:
        filesystem, root = url_to_fs(url, **dict(storage_options or {}))
    except (ImportError, ValueError, TypeError) as error:
        raise InvalidInputError(
            f"No store can be opened at {without_secrets(url)!r}: {type(error).__name__}.",
            hint="a folder, or a URL whose fsspec driver is installed (s3://bucket/lake, memory://lake).",
            code=ErrorCode.UNSUPPORTED,
            context={"url": without_secrets(url)},
        ) from error
    except Exception as error:  # some drivers connect at once, and raise their libraries' own errors
        shown = without_secrets(url)
        if isinstance(error, OSError) and error.errno is not None:
            raise translate(error, "reach", shown) from error
        raise StorageError(
            f"Cannot reach {shown!r}: {type(error).__name__}.",
            hint="the cause of this error says what its driver misses; storage_options are given to it.",
            context={"path": shown},
        ) from error
    return filesystem, root


def _is_refused_creation(error: BaseException | None) -> bool:
    """Whether a conditional write found its path taken; s3fs says so as FileExistsError on some servers only."""
    while error is not None:
        if isinstance(error, FileExistsError):
            return True
        answer = getattr(error, "response", None)
        if isinstance(answer, dict) and answer.get("Error", {}).get("Code") == "PreconditionFailed":
            return True
        error = error.__cause__
    return False


def _describe(path: str, facts: Mapping[str, Any]) -> StoredObject:
    storage_class = facts.get("StorageClass")  # of S3 only, and without the restore, which tells more
    availability = None if storage_class in {*ARCHIVE_CLASSES, "INTELLIGENT_TIERING"} else ONLINE
    return StoredObject(path, int(facts["size"]), _modified_at(facts), storage_class, availability)


def _modified_at(facts: Mapping[str, Any]) -> datetime:
    for key in _MODIFIED_KEYS:
        value = facts.get(key)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, tz=UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return datetime.now(tz=UTC)  # unknown: nothing may take it for old
