"""Objects as files under one folder of a local (or locally mounted) filesystem, made to survive a loss of power."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from lakepart.errors import AlreadyExistsError, StorageError
from lakepart.storage.base import TEMPORARY_SUFFIX, OnBytes, Store, StoredObject, check_path, check_prefix
from lakepart.storage.failures import already_exists, not_found, translate, translated
from lakepart.storage.native import NativeFilesystem

_CREATE_TRIES = 50
_SYNC_THREADS = 16
_AT_REST_NS = 2_000_000_000  # the coarsest clock, that of FAT, has steps of two seconds
_NO_HARD_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}


class LocalStore:
    """A store whose objects are the regular files under the folder ``root``.

    The root is made by the first write; it may be a symbolic link. Nothing below it is reached through a symbolic
    link: such a path is refused, so that no write or delete can touch what belongs to somebody else.

    Parameters
    ----------
    root
        A folder; relative to the working directory of now, ``~`` is the home folder.

    Notes
    -----
    A file is synced when its sink's block is left, by the thread that wrote it, so many threads overlap their waits.
    Folders are synced by :meth:`make_durable`: a new name survives a loss of power only with its folder
    (``fsync(2)``); one in which nothing came or went since this store synced it is not synced again.
    Linux reports a failed write-back once, so a file whose sync failed is removed, never synced again.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root).expanduser().absolute()
        self._synced: dict[str, tuple[int, int]] = {}  # folders, as they were

    @property
    def root(self) -> str:
        """The folder, absolute."""
        return str(self._root)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def open_new(self, path: str, *, whole: bool = False) -> LocalSink:
        """See :meth:`lakepart.storage.base.Store.open_new`."""
        place = self._locate(path)
        if not whole:
            return LocalSink(self._create(place), place, on_discard=self._remove_empty_folders)
        with translated("write", place):
            if Path(place).exists():
                raise already_exists(place)
        unfinished = f"{place.rpartition('/')[0]}/.{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        return LocalSink(self._create(unfinished), place, unfinished=unfinished, on_discard=self._remove_empty_folders)

    def put_new(self, path: str, data: bytes) -> None:
        """See :meth:`lakepart.storage.base.Store.put_new`."""
        try:
            with self.open_new(path, whole=True) as sink:
                sink.write(data)
        except AlreadyExistsError:
            found = self.stat(path)
            if found is None or found.size_bytes != len(data) or self.read_bytes(path) != data:
                raise
            _sync(self._locate(path))
        self.make_durable([path])

    def copy_from(self, source: Store, source_path: str, path: str, *, on_bytes: OnBytes) -> bool:  # noqa: ARG002
        """Give False: bytes that are copied here come by here."""
        check_path(path)
        return False

    def stored_checksum(self, path: str) -> None:
        """Give None: a disk keeps no checksums that it would tell."""
        if self.stat(path) is None:
            raise not_found(self._locate(path))

    def make_durable(self, paths: Iterable[str]) -> None:
        """See :meth:`lakepart.storage.base.Store.make_durable`."""
        folders: set[str] = set()
        for path in paths:
            parent = check_path(path).rpartition("/")[0]
            while parent not in folders:
                folders.add(parent)
                parent = parent.rpartition("/")[0]
        places = [f"{self.root}/{folder}" if folder else self.root for folder in folders]
        if len(places) < _SYNC_THREADS:
            for place in places:
                self._sync_folder(place)
            return
        with ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="lakepart-sync") as pool:
            for _ in pool.map(self._sync_folder, places):
                pass

    def open_read(self, path: str) -> BinaryIO:
        """See :meth:`lakepart.storage.base.Store.open_read`."""
        place = self._locate(path)
        try:
            return open(place, "rb", opener=_open_here)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise not_found(place) from error
        except OSError as error:
            raise translate(error, "read", place) from error

    def read_bytes(self, path: str) -> bytes:
        """See :meth:`lakepart.storage.base.Store.read_bytes`."""
        with self.open_read(path) as file, translated("read", path):
            return file.read()

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See :meth:`lakepart.storage.base.Store.read_ranges`."""
        with self.open_read(path) as file, translated("read", path):
            return [os.pread(file.fileno(), stop - start, start) for start, stop in ranges]

    def os_path(self, path: str) -> str:
        """See :meth:`lakepart.storage.base.Store.os_path`; the file need not exist."""
        return self._locate(path)

    def native_filesystem(self) -> NativeFilesystem:
        """See :meth:`lakepart.storage.base.Store.native_filesystem`."""
        return NativeFilesystem("LocalFileSystem", {}, str(self.root))

    def stat(self, path: str) -> StoredObject | None:
        """See :meth:`lakepart.storage.base.Store.stat`."""
        place = self._locate(path)
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise translate(error, "look at", place) from error
        return _describe(path, found) if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See :meth:`lakepart.storage.base.Store.list`. Symbolic links and special files are no objects."""
        folder = check_prefix(prefix)
        return self._walk(self._locate(folder) if folder else self.root, f"{folder}/" if folder else "")

    def delete(self, path: str) -> bool:
        """See :meth:`lakepart.storage.base.Store.delete`."""
        if self.stat(path) is None:
            return False
        place = self._locate(path)
        with translated("delete", place):
            try:
                Path(place).unlink()
            except FileNotFoundError:
                return False
        self._remove_empty_folders(place)
        return True

    def _locate(self, path: str) -> str:
        """Give the absolute place of ``path``, refusing to go through a symbolic link below the root."""
        check_path(path)
        place = self.root
        for segment in path.split("/"):
            place = f"{place}/{segment}"
            try:
                mode = os.lstat(place).st_mode
            except OSError:  # absent, unreadable or too long: whoever uses the place learns it and says so
                break
            if stat.S_ISLNK(mode):
                link = OSError(errno.ELOOP, f"{place!r} is a symbolic link")
                raise translate(link, "reach", f"{self.root}/{path}")
        return f"{self.root}/{path}"

    def _create(self, place: str) -> io.FileIO:
        """Make the file, exclusively, and the folders above it; a folder may vanish meanwhile (:meth:`delete`)."""
        with translated("write", place):
            for _ in range(_CREATE_TRIES):
                with contextlib.suppress(FileNotFoundError):
                    return io.FileIO(place, "x", opener=_open_here)
                with contextlib.suppress(FileNotFoundError):
                    self._make_folder(Path(place).parent)
        raise StorageError(
            f"Cannot write {place!r}: its folder was removed {_CREATE_TRIES} times while it was being made.",
            hint="something else deletes folders inside the lake; stop it.",
            context={"path": place},
        )

    def _make_folder(self, folder: Path) -> None:
        root_is_new = not self._root.exists()
        new = [made for made in (self._root, *self._root.parents) if not made.exists()] if root_is_new else []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            in_the_way = error.filename or str(folder)
            if not os.path.lexists(in_the_way) or Path(in_the_way).is_dir():
                # another thread removed the folder, or made it again, while it was being looked at
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder)) from error
            # a file, or a link to nowhere: not the name that was asked for
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        for made in new:
            _sync(str(made.parent))

    def _sync_folder(self, place: str) -> None:
        """Sync a folder, unless it is as it was when it was synced before: whoever changes it, its time shows that.

        Two changes within one step of the file system's clock look the same, so only a folder at rest is remembered.
        """
        with translated("sync", place):
            found = Path(place).stat()  # first: what comes meanwhile is not as it was
        seen = (found.st_ino, found.st_ctime_ns)
        if self._synced.get(place) == seen:
            return
        _sync(place)
        if time.time_ns() - found.st_ctime_ns > _AT_REST_NS:
            self._synced[place] = seen

    def _remove_empty_folders(self, place: str) -> None:
        for folder in Path(place).parents:
            if folder == self._root:
                return
            try:
                folder.rmdir()
            except OSError:  # not empty, gone already or not ours to remove: an empty folder harms nobody
                return

    def _walk(self, place: str, relative: str) -> Iterator[StoredObject]:
        with translated("list", place):
            try:
                with os.scandir(place) as scan:
                    # A folder sorts as "name/", so that whole paths come out in order.
                    entries = sorted((f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name, e) for e in scan)
            except (FileNotFoundError, NotADirectoryError):
                return
        for name, entry in entries:
            if name.endswith("/"):
                yield from self._walk(entry.path, relative + name)
            elif entry.is_file(follow_symlinks=False):
                with translated("list", entry.path):
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:  # deleted since
                        continue
                yield _describe(relative + name, found)


class LocalSink:
    """The bytes of one new file; see :class:`lakepart.storage.base.Sink`.

    Written to ``place`` itself, or to ``unfinished`` beside it and then linked to ``place`` in one step.
    """

    def __init__(
        self, file: io.FileIO, place: str, *, unfinished: str | None = None, on_discard: Callable[[str], None]
    ) -> None:
        self._file = file
        self._place = place
        self._unfinished = unfinished
        self._on_discard = on_discard
        self._size_bytes = 0
        self._failure: OSError | None = None

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all of ``data``; returns its length in bytes."""
        rest = memoryview(data).cast("B")
        length = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self._failure = error
            raise translate(error, "write", self._place) from error
        self._size_bytes += length
        return length

    def tell(self) -> int:
        """Count the bytes taken so far."""
        return self._size_bytes

    def flush(self) -> None:
        """Do nothing: leaving the block syncs."""

    @property
    def stores_at_once(self) -> bool:
        """True: what is read back is what the disk was given."""
        return True

    @property
    def checksum(self) -> None:
        """None: a disk keeps no checksums."""

    def read_back(self) -> BinaryIO:
        """See :meth:`lakepart.storage.base.Sink.read_back`."""
        try:
            return open(self._unfinished or self._place, "rb", opener=_open_here)
        except OSError as error:
            raise translate(error, "read", self._place) from error

    def writable(self) -> bool:
        """Whether bytes can still be written."""
        return not self.closed

    @property
    def closed(self) -> bool:
        """Whether the block was left."""
        return self._file.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        finished = False
        try:
            with translated("write", self._place):
                try:
                    if kind is None and self._failure is None:
                        os.fsync(self._file.fileno())
                finally:
                    self._file.close()  # the last chance of a network filesystem to say that bytes are lost
                if kind is None:
                    if self._failure is not None:  # somebody caught the failed write: the file is still torn
                        raise self._failure
                    self._publish()
                finished = True
        finally:
            if kind is not None or not finished:
                self._discard()

    def _publish(self) -> None:
        if self._unfinished is None:
            return
        try:
            os.link(self._unfinished, self._place, follow_symlinks=False)
        except FileExistsError:
            if not Path(self._unfinished).samefile(self._place):  # NFS may answer its own repeated link so
                raise
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            self._claim_and_rename(self._unfinished)
            return
        with contextlib.suppress(OSError):  # the object is there; `check` names the second name as a leftover
            Path(self._unfinished).unlink()

    def _claim_and_rename(self, unfinished: str) -> None:
        """Publish where the filesystem has no hard links: still exclusive, but empty for an instant."""
        io.FileIO(self._place, "x", opener=_open_here).close()
        try:
            Path(unfinished).rename(self._place)
        except OSError:
            Path(self._place).unlink()
            raise

    def _discard(self) -> None:
        torn = self._unfinished or self._place
        with contextlib.suppress(OSError):  # the error under way says more; `check` names what is left over
            Path(torn).unlink()
        self._on_discard(torn)


def _open_here(place: str, flags: int) -> int:
    """Open ``place`` itself, never what a symbolic link of that name points to."""
    return os.open(place, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)


def _sync(place: str) -> None:
    """Sync a file or folder that is written already."""
    with translated("sync", place):
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some network filesystems have no sync for folders
                raise
        finally:
            os.close(descriptor)


def _describe(path: str, found: os.stat_result) -> StoredObject:
    return StoredObject(path, found.st_size, datetime.fromtimestamp(found.st_mtime, tz=UTC))
