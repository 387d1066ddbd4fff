"""Data files as a ``pyarrow.dataset.Dataset``, for engines that open files themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa

from lakepart.errors import ErrorCode, InvalidInputError, NotFoundError, OfflineDataError
from lakepart.model.archives import is_archived
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import read_files
from lakepart.parquet.schemas import plain


def open_parquet(path: str, shown: str) -> Any:
    """Open somebody's Parquet file, or a folder of files, as a ``pyarrow.dataset.Dataset``.

    Errors name it as ``shown``, since an address may hold secrets.

    Raises
    ------
    NotFoundError
        There is none.
    OfflineDataError
        It lies in an archive.
    InvalidInputError
        It is not Parquet.
    """
    import pyarrow.dataset as ds

    try:
        return ds.dataset(path, format="parquet")
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no file {shown!r}.", context={"path": shown}) from error
    except (pa.ArrowInvalid, OSError) as error:
        if is_archived(error):
            raise OfflineDataError(
                f"{shown!r} is archived and must be restored before it can be read.",
                hint="ask for it where it is stored; that takes hours.",
                context={"path": shown},
            ) from error
        said = str(error).replace(path, shown)
        raise InvalidInputError(f"{shown!r} cannot be read as Parquet: {said}.", context={"path": shown}) from error


@dataclass(frozen=True, slots=True)
class NativeFile:
    """A file where Arrow opens it by itself: a filesystem of :func:`open_filesystem`, a path in it, and its size."""

    filesystem: Any
    path: str
    size_bytes: int


def open_filesystem(kind: str, arguments: Mapping[str, Any]) -> Any:
    """Open a filesystem of ``pyarrow.fs``, by the name of its class.

    Raises
    ------
    InvalidInputError
        Code ``unsupported``: this pyarrow has no such filesystem, or one without these arguments.
    """
    import pyarrow.fs

    try:
        return getattr(pyarrow.fs, kind)(**arguments)
    except (AttributeError, TypeError, NotImplementedError, ImportError, pa.ArrowInvalid) as error:
        raise InvalidInputError(
            # without what it says: arguments are secret
            f"Arrow {pa.__version__} opens no {kind} as this tier needs it: {type(error).__name__}.",
            hint="read it as a table or as batches.",
            code=ErrorCode.UNSUPPORTED,
        ) from error


def to_dataset(sources: Sequence[Source], files: Sequence[NativeFile], schema: pa.Schema) -> Any:
    """Give a ``pyarrow.dataset.Dataset`` of exactly these files.

    Parameters
    ----------
    sources
        The files; ``constants`` become partition expressions, so filters on them prune files.
    files
        Where Arrow opens each. It must do so without calling back into Python: its own threads go on when a program
        ends.
    schema
        What the rows look like, columns of ``constants`` included.

    Notes
    -----
    A dataset goes by names: files in which a column is called otherwise than now are read when this is called.
    """
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    whole = plain(schema)
    file_format = ds.ParquetFileFormat()

    def of_run(filesystem: Any, run: Sequence[tuple[Source, NativeFile]]) -> Any:
        if filesystem is None:
            return ds.InMemoryDataset(read_files([source for source, _ in run], schema), schema=whole)
        fragments = [
            file_format.make_fragment(
                file.path,
                filesystem,
                partition_expression=_constant_expression(source, whole),
                file_size=file.size_bytes,  # or it would be asked for
            )
            for source, file in run
        ]
        return ds.FileSystemDataset(fragments, whole, file_format, filesystem=filesystem)

    runs = groupby(zip(sources, files, strict=True), key=_filesystem_of)
    parts = [of_run(filesystem, list(run)) for filesystem, run in runs] or [of_run(LocalFileSystem(), [])]
    return parts[0] if len(parts) == 1 else ds.UnionDataset(whole, parts)


def _filesystem_of(pair: tuple[Source, NativeFile]) -> Any:
    """Give where Arrow reads a file; None where its columns are not found by their names."""
    source, file = pair
    return file.filesystem if source.fit is None or source.fit.is_by_name else None


def _constant_expression(source: Source, schema: pa.Schema) -> Any:
    import pyarrow.compute as pc

    expression = None
    for name, value in source.constants.items():
        term = pc.field(name) == pa.scalar(value, schema.field(name).type)
        expression = term if expression is None else expression & term
    return expression
