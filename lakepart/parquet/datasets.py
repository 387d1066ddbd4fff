"""Data files as a ``pyarrow.dataset.Dataset``, for engines that open files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from lakepart.errors import ErrorCode, InvalidInputError, NotFoundError, OfflineDataError
from lakepart.model.archives import is_archived
from lakepart.parquet.reading import Source, read_files
from lakepart.parquet.schemas import plain


def open_parquet(path: str) -> Any:
    """Open somebody's Parquet file, or a folder of files, as a ``pyarrow.dataset.Dataset``.

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
        raise NotFoundError(f"There is no file {path!r}.", context={"path": path}) from error
    except (pa.ArrowInvalid, OSError) as error:
        if is_archived(error):
            raise OfflineDataError(
                f"{path!r} is archived and must be restored before it can be read.",
                hint="ask for it where it is stored; that takes hours.",
                context={"path": path},
            ) from error
        raise InvalidInputError(f"{path!r} cannot be read as Parquet: {error}.", context={"path": path}) from error


def to_dataset(sources: Sequence[Source], schema: pa.Schema, *, filesystem: Any = None) -> Any:
    """Give a ``pyarrow.dataset.Dataset`` of exactly these files.

    Parameters
    ----------
    sources
        The files; ``constants`` become partition expressions, so filters on them prune files.
    schema
        What the rows look like, columns of ``constants`` included.
    filesystem
        The pyarrow filesystem in which the paths are; the local one by default.

    Notes
    -----
    A dataset goes by names: files in which a column is called otherwise than now are read when this is called.

    Raises
    ------
    InvalidInputError
        Code ``unsupported``: a source is not a path. Arrow's own threads would have to call back into Python, and they
        go on when a program ends.
    """
    import pyarrow.dataset as ds
    from pyarrow.fs import LocalFileSystem

    for source in sources:
        if not isinstance(source.open, str):
            raise InvalidInputError(
                f"A dataset opens its files by path, and {source.name!r} has none.",
                hint="read it as a table or as batches.",
                code=ErrorCode.UNSUPPORTED,
            )
    whole = plain(schema)
    file_format = ds.ParquetFileFormat()
    filesystem = filesystem if filesystem is not None else LocalFileSystem()

    def of_files(run: Sequence[Source]) -> Any:
        fragments = [
            file_format.make_fragment(source.open, filesystem, partition_expression=_constant_expression(source, whole))
            for source in run
        ]
        return ds.FileSystemDataset(fragments, whole, file_format, filesystem=filesystem)

    runs = [(by_name, list(run)) for by_name, run in groupby(sources, key=_is_by_name)]
    if all(by_name for by_name, _ in runs):
        return of_files(sources)
    parts = [
        of_files(run) if by_name else ds.InMemoryDataset(read_files(run, schema), schema=whole) for by_name, run in runs
    ]
    return ds.UnionDataset(whole, parts)


def _is_by_name(source: Source) -> bool:
    return source.fit is None or source.fit.is_by_name


def _constant_expression(source: Source, schema: pa.Schema) -> Any:
    import pyarrow.compute as pc

    expression = None
    for name, value in source.constants.items():
        term = pc.field(name) == pa.scalar(value, schema.field(name).type)
        expression = term if expression is None else expression & term
    return expression
