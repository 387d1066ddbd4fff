"""One data file opened for reading, and what Arrow and the stores raise on the way in words that name it."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lakepart.errors import CorruptionError, ErrorCode, NotFoundError, StorageError
from lakepart.parquet.fitting import Fit
from lakepart.parquet.remote import Remote, RemoteFile, chunks_of, fetched, first_stretch, stretch_of


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


class RemoteParquet(pq.ParquetFile):  # type: ignore[misc]
    """A file whose pages are fetched before they are read."""

    def __init__(self, remote: RemoteFile, metadata: Any) -> None:
        super().__init__(pa.PythonFile(remote, mode="r"), metadata=metadata, pre_buffer=False)
        self.remote = remote

    def read(self, columns: Sequence[str], **options: Any) -> pa.Table:
        """Read all row groups."""
        return self.read_row_groups(range(self.num_row_groups), columns, **options)

    def read_row_groups(self, groups: Sequence[int], columns: Sequence[str], **options: Any) -> pa.Table:
        """Read row groups, fetched with one request where they lie together."""
        self.remote.fetch([stretch_of(chunk) for chunk in chunks_of(self.metadata, groups, columns)])
        return super().read_row_groups(list(groups), columns, **options)


def fetch_whole(source: Source, *, whole: bool = False) -> bytes | None:
    """Fetch all of a file that costs one request so: one that is short, or wanted ``whole`` and not long.

    None where it is longer, or a local one.
    """
    remote = source.open
    if isinstance(remote, str):
        return None
    stretch = first_stretch(remote, whole=whole)
    if stretch != (0, remote.size_bytes):
        return None
    return fetched(remote, [stretch])[0] if remote.size_bytes else b""


@contextmanager
def opened(source: Source, held: bytes | None = None, metadata: Any = None) -> Iterator[pq.ParquetFile]:
    """Open a file, of which ``held`` is all where it is here already; a footer that is known is not read again."""
    # without the read-ahead meant for object stores: what is asked of them is asked by RemoteFile, in larger pieces
    if held is not None:
        with pa.BufferReader(held) as file:
            yield pq.ParquetFile(file, metadata=metadata, pre_buffer=False)
    elif isinstance(source.open, str):
        with pa.OSFile(source.open, "rb") as file:
            yield pq.ParquetFile(file, metadata=metadata, pre_buffer=False)
    else:
        with closing(RemoteFile(source.open)) as remote:
            yield RemoteParquet(remote, metadata)


@contextmanager
def translated(source: Source) -> Iterator[None]:
    """Run a block; what is raised in it because of the file comes out as a lakepart error that names it."""
    try:
        yield
    except (FileNotFoundError, NotFoundError) as error:
        raise CorruptionError(
            f"Data file {source.name!r} is missing.",
            hint="restore it from a copy; check() finds all that are missing.",
            context={"file": source.name},
        ) from error
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, UnicodeDecodeError) as error:
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
