"""What lakepart asks of a place that holds bytes: the store protocol, its values, and the rule for paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import BinaryIO, Protocol, runtime_checkable

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.archives import ONLINE, Availability
from lakepart.storage.native import NativeFilesystem

TEMPORARY_SUFFIX = ".tmp"
OnBytes = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One stored object: its path under the store's root, its size, and when it was last written (aware, UTC).

    ``availability`` is None where that was not said: a listing may not tell it of an archive, and :meth:`Store.stat`
    only of a class that it does not know.
    """

    path: str
    size_bytes: int
    modified_at: datetime
    storage_class: str | None = None
    availability: Availability | None = ONLINE


@dataclass(frozen=True, slots=True)
class StoredChecksum:
    """A SHA-256 (hex) that a store has computed itself: of an object's bytes, or of the SHA-256s of its parts.

    ``part_sizes`` are those of the parts, in bytes; none where it is that of the whole.
    """

    sha256: str
    part_sizes: tuple[int, ...] = ()


class Sink(Protocol):
    """Where the bytes of one new object go: a context manager and a writable binary file for one thread.

    Leaving the block cleanly makes the bytes durable under the object's path. Leaving it by an exception leaves
    nothing. Until the block is left nothing is promised, and closing is not a way out of it: there is no ``close``.
    """

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all of ``data``; returns its length in bytes."""
        ...

    def tell(self) -> int:
        """Count the bytes taken so far."""
        ...

    def flush(self) -> None:
        """Do nothing: only leaving the block makes bytes durable."""
        ...

    @property
    def stores_at_once(self) -> bool:
        """Whether bytes are stored as they are taken; otherwise they are sent, and gone from here."""
        ...

    def read_back(self) -> BinaryIO:
        """Open the bytes taken so far as they are stored, not durable yet; only where :attr:`stores_at_once`."""
        ...

    @property
    def checksum(self) -> StoredChecksum | None:
        """What :meth:`Store.stored_checksum` should say of the bytes that were sent; None where it says nothing."""
        ...

    def writable(self) -> bool:
        """Tell that bytes can be written, as programs that take binary files ask."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the block was left."""
        ...

    def __enter__(self) -> Sink: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@runtime_checkable
class Store(Protocol):
    """Bytes under relative paths. Knows nothing of partitions, Parquet or SQL.

    Paths are relative, separated by ``/``, and cannot leave the root (:func:`check_path`). Objects are immutable: they
    are made once, read, and deleted. All methods may be called by many threads at once.

    Every method raises ``InvalidInputError`` for a path outside the rule and ``StorageError`` where the disk or object
    store fails: code ``disk-full`` for no space left, ``permission`` for no right, ``storage`` for the rest.
    """

    @property
    def root(self) -> str:
        """Where the objects are: a folder, or a URL without secrets."""
        ...

    def open_new(self, path: str, *, whole: bool = False) -> Sink:
        """Open a sink for the new object ``path``; the folders above it are made.

        Parameters
        ----------
        path
            The object to make. Only one of several makers of the same path can succeed.
        whole
            Whether the path may appear only with all its bytes. Otherwise a process that is killed may leave a part
            of them under ``path``, which costs less and is right where the name is unique and nobody reads it yet.

        Raises
        ------
        AlreadyExistsError
            If ``path`` is taken: here, or at the latest when the sink's block is left.
        """
        ...

    def put_new(self, path: str, data: bytes) -> None:
        """Store ``data`` as the new object ``path``, whole or not at all, durable with the folders above it.

        The same call again finds its own bytes and succeeds, so a retry after a lost answer is never a conflict.

        Raises
        ------
        AlreadyExistsError
            If ``path`` holds other bytes.
        """
        ...

    def copy_from(self, source: Store, source_path: str, path: str, *, on_bytes: OnBytes) -> bool:
        """Copy an object of ``source`` to the new object ``path`` without its bytes coming here, if that can be done.

        The object appears whole and is not proven: look at :meth:`stored_checksum` before anything refers to it.

        Parameters
        ----------
        source, source_path
            What to copy, as it stands now: if it is replaced meanwhile, nothing is made.
        path
            The object to make, with the metadata and tags of its source, and this store's own class and encryption.
        on_bytes
            Called with the bytes copied since it was last called; what it raises gives the copy up.

        Returns
        -------
        Whether it was done; False where these two stores cannot, and nothing was asked or changed.

        Raises
        ------
        AlreadyExistsError
            If ``path`` is taken, perhaps by an earlier try whose answer was lost.
        NotFoundError
            If there is no source.
        OfflineDataError
            If the source must be restored first.
        """
        ...

    def stored_checksum(self, path: str) -> StoredChecksum | None:
        """Give the checksum that the store itself computed of an object and keeps; NotFoundError if there is none.

        None where it keeps none that can be compared. Costs one request and no bytes, and nothing need be readable.
        One that is equal proves the bytes; one that differs need not disprove them, since stores differ in what they
        keep: then only the bytes themselves decide.
        """
        ...

    def make_durable(self, paths: Iterable[str]) -> None:
        """Make the names of objects written by :meth:`open_new` survive a loss of power.

        The folders above ``paths`` are synced up to the root, each once per call. A no-op for object stores.
        """
        ...

    def open_read(self, path: str) -> BinaryIO:
        """Open an object as a seekable binary file; NotFoundError if there is none."""
        ...

    def read_bytes(self, path: str) -> bytes:
        """Read a whole object; NotFoundError if there is none."""
        ...

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Read stretches ``[start, stop)`` of an object, none empty; NotFoundError if there is none.

        What lies beyond the object's end is left out. Where a request costs a journey, they are asked for side by side.
        """
        ...

    def os_path(self, path: str) -> str | None:
        """Name the file that any program may open for this object, or None where there is no such file."""
        ...

    def native_filesystem(self) -> NativeFilesystem | None:
        """Say how Arrow opens the objects by itself, or None where it cannot.

        Raises
        ------
        InvalidInputError
            Code ``unsupported``: Arrow could, but not with the options that this store was opened with.
        """
        ...

    def stat(self, path: str) -> StoredObject | None:
        """Describe an object, or None if there is none. A folder is no object."""
        ...

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """Walk all objects below the folder ``prefix`` (everything by default), ordered by path.

        Temporary objects are among them (:func:`is_temporary`). An absent folder is empty.
        """
        ...

    def delete(self, path: str) -> bool:
        """Delete an object; False if there was none. Folders that this empties go too, the root does not."""
        ...


@runtime_checkable
class Archive(Protocol):
    """A store that may hold objects whose bytes must be restored before they can be read."""

    def restore(self, path: str, *, days: int | None, speed: str) -> bool:
        """Ask for an archived object to be readable for some days; it will be, hours later.

        Parameters
        ----------
        path
            The object.
        days
            For how many days, counted from when it is readable, or from now where it is already; None for an archive
            that gives objects back for good.
        speed
            One of the archive's :data:`~lakepart.model.archives.RESTORE_HOURS`.

        Returns
        -------
        False where a restore runs already that is as fast, or there is nothing to restore any more.
        """
        ...


def check_path(path: str) -> str:
    """Give ``path`` back if it is relative, normal and cannot leave a store's root; InvalidInputError otherwise."""
    if not isinstance(path, str):
        raise _bad_path(path, f"a path is a str, not {type(path).__name__}")
    if not path:
        raise _bad_path(path, "a path is not empty")
    if "\0" in path:
        raise _bad_path(path, "a path has no NUL")
    for segment in path.split("/"):
        if segment in {"", ".", ".."}:
            raise _bad_path(path, "a path is relative to the store's root and has no empty, '.' or '..' segment")
    return path


def is_path(text: str) -> bool:
    """Whether a store could have an object of that path."""
    try:
        check_path(text)
    except InvalidInputError:
        return False
    return True


def check_prefix(prefix: str) -> str:
    """Give the folder that ``list`` is asked for without a closing slash; ``""`` is the root."""
    return check_path(prefix.removesuffix("/")) if prefix else ""


def is_temporary(path: str) -> bool:
    """Whether ``path`` is named as the unfinished form of another object, left behind if its writer died."""
    name = path.rpartition("/")[2]
    return name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)


def _bad_path(path: object, rule: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path!r} is no path in a store: {rule}.",
        code=ErrorCode.INVALID_NAME,
        context={"path": path},
    )
