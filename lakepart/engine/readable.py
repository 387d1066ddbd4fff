"""The read verbs, shared by the selections people hold and the resolved ones that workers are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakepart.engine.read import (
    ReadOptions,
    Resolved,
    Stores,
    count_rows,
    open_dataset,
    read_batches,
    read_table,
)
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.windows import Window

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Readable(ABC):
    """Whatever resolves to committed files can be read in these ways.

    Filters are pyarrow expressions or lists such as ``[("dep_delay", ">", 60)]`` (a list of lists is an *or* of
    *ands*). Every read resolves once, against one snapshot, and opens only the files that can hold a match.
    """

    @abstractmethod
    def _resolve(self, *, statistics: bool = False) -> Resolved:
        """Find versions and files; with the files' column statistics, where a filter may leave files out."""

    @abstractmethod
    def _stores(self) -> Stores:
        """Give the stores by tier that the files are read from."""

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002 - the public word
        *,
        missing: str = "error",
        offline: str = "error",
        key_column: str | None = None,
    ) -> pa.Table:
        """Read into one Arrow table, partitions in order.

        Parameters
        ----------
        columns
            Columns to read, in this order; all by default.
        filter
            Rows to keep: ``[("column", "op", value), …]`` or a pyarrow expression.
        missing
            What to do when a partition that was named is not there: ``"error"`` (default), before a byte is read, or
            ``"skip"``, with a :class:`~lakepart.PartialReadWarning` that names it.
        offline
            What to do when a partition has files that must be restored before they can be read: ``"error"`` (default),
            before a byte is read, or ``"skip"`` the whole partition, with a warning that names it; to skip, every file
            is looked at, a request each.
        key_column
            Name of an added column with the partition key. By default one is added, named as the dimension, only
            where the rows themselves do not say (a definition without ``by``, read over several partitions).

        Raises
        ------
        PartitionNotFoundError
            A key, list or closed range names partitions that are missing.
        OfflineDataError
            Files must be restored first; partitions, bytes and how long that takes are named.
        InvalidInputError
            A column does not exist; close names are suggested.
        CorruptionError
            A file is gone or is not what was written.

        Notes
        -----
        Costs four catalog queries; opens each file once and lists nothing. Files on a tier of an archive class are
        looked at first, a request each.
        """
        return read_table(
            self._stores(),
            self._resolve(statistics=filter is not None),
            ReadOptions(columns, filter, missing, key_column, offline),
        )

    def to_pandas(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002 - the public word
        *,
        missing: str = "error",
        offline: str = "error",
        key_column: str | None = None,
    ) -> pd.DataFrame:
        """Read into a pandas frame with a plain ``0..n-1`` index; parameters and errors as :meth:`to_arrow`."""
        frame: pd.DataFrame = self.to_arrow(
            columns, filter, missing=missing, offline=offline, key_column=key_column
        ).to_pandas()
        return frame

    def to_polars(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002 - the public word
        *,
        missing: str = "error",
        offline: str = "error",
        key_column: str | None = None,
    ) -> pl.DataFrame:
        """Read into a Polars frame (Polars must be installed); parameters and errors as :meth:`to_arrow`."""
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise InvalidInputError(
                "to_polars() needs Polars, which is not installed.", hint="pip install polars"
            ) from error
        table = self.to_arrow(columns, filter, missing=missing, offline=offline, key_column=key_column)
        wide = [field.name for field in table.schema if pa.types.is_decimal256(field.type)]
        if wide:
            raise InvalidInputError(
                f"Column {wide[0]!r} has decimals of more than 38 digits, which Polars has not.",
                hint="leave the column out, or read with to_arrow().",
                code=ErrorCode.UNSUPPORTED,
                context={"columns": wide},
            )
        frame = pl.from_arrow(table)
        return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()

    def to_batches(
        self,
        columns: Sequence[str] | None = None,
        filter: Any = None,  # noqa: A002 - the public word
        *,
        missing: str = "error",
        offline: str = "error",
        key_column: str | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Read batch by batch, partitions in order; memory stays flat whatever the size."""
        return read_batches(
            self._stores(),
            self._resolve(statistics=filter is not None),
            ReadOptions(columns, filter, missing, key_column, offline),
        )

    def dataset(self, *, missing: str = "error", offline: str = "error") -> Any:
        """Give a ``pyarrow.dataset.Dataset`` of exactly these files, for engines that take one.

        In S3 Arrow's own client reads them, as the tier's options say, with the credentials of this moment: it asks for
        no new ones when they expire, so make the dataset when it is needed. Where it is pickled, they are in it.

        Parameters
        ----------
        missing, offline
            As in :meth:`to_arrow`.

        Raises
        ------
        PartitionNotFoundError
            A key, list or closed range names partitions that are missing.
        InvalidInputError
            Code ``unsupported``: Arrow cannot open a tier's store by itself, or not with its options.

        Notes
        -----
        No file is opened but those that were written before a column was renamed or something nested changed: they are
        read into memory. Each file has its partition's key as an expression where rows do not say it, and its size, so
        that a scan makes no HEAD and no LIST.
        """
        return open_dataset(self._stores(), self._resolve(), ReadOptions(missing=missing, offline=offline))

    def count_rows(self, *, missing: str = "error") -> int:
        """Count rows from the catalog; opens no file."""
        return count_rows(self._resolve(), ReadOptions(missing=missing))

    def head(self, rows: int = 5) -> pd.DataFrame:
        """Read the first rows into pandas; opens no more files than it needs."""
        if rows < 0:
            raise InvalidInputError(f"head({rows}) is no number of rows: it is at least 0.")
        resolved = self._resolve()
        held = [0, *accumulate(file.row_count for _, file in resolved.files)]
        needed = tuple(file for file, before in zip(resolved.files, held, strict=False) if before < rows)
        resolved = replace(resolved, files=needed)  # readers open files ahead
        threads = 1 if len(needed) == 1 else None  # of a large one the first row group is enough
        taken: list[pa.RecordBatch] = []
        wanted = rows
        for batch in read_batches(self._stores(), resolved, ReadOptions(), threads=threads):
            taken.append(batch.slice(0, wanted))
            wanted -= taken[-1].num_rows
            if wanted <= 0:
                break
        table = pa.Table.from_batches(taken) if taken else read_table(self._stores(), resolved, ReadOptions())
        frame: pd.DataFrame = table.to_pandas()
        return frame


class ResolvedSelection(Readable):
    """Partitions fixed to the files of one snapshot: what a producer is given to read.

    It holds no connection and asks the catalog nothing.

    Attributes
    ----------
    keys
        The committed partition keys, in order.
    """

    def __init__(self, resolved: Resolved, stores: Stores) -> None:
        self._resolved = resolved
        self._stores_by_tier = stores

    def _resolve(self, *, statistics: bool = False) -> Resolved:  # noqa: ARG002 - they were resolved, or not, when it was made
        return self._resolved

    def _stores(self) -> Stores:
        return self._stores_by_tier

    @property
    def keys(self) -> tuple[str, ...]:
        """The committed partition keys, in order."""
        return self._resolved.keys

    @property
    def snapshot(self) -> int:
        """The snapshot these files belong to."""
        return self._resolved.snapshot

    def __len__(self) -> int:
        return len(self._resolved.versions)

    def __repr__(self) -> str:
        return f"<{self._resolved.asset.name} {self._resolved.partitions.to_text()} at snapshot {self.snapshot}>"


class Part:
    """The partitions one call of a producer makes: usually one, several when ``batch`` is above one.

    Attributes
    ----------
    keys
        Their keys, in order.
    """

    def __init__(self, definition: PartitionsDefinition, keys: Sequence[str]) -> None:
        self._definition = definition
        self.keys = tuple(keys)

    @property
    def key(self) -> str:
        """The key, where there is exactly one."""
        if len(self.keys) != 1:
            raise InvalidInputError(f"This part has {len(self.keys)} partitions, not one.", hint="use part.keys.")
        return self.keys[0]

    @property
    def dimensions(self) -> dict[str, str]:
        """The key's part in each dimension, by its name, where there is exactly one partition."""
        return self._definition.parts_of(self.key)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The time windows of the partitions; empty where partitions are not cut by time, or in more than one way."""
        windows = (self._definition.window_at(self._definition.position_of(key)) for key in self.keys)
        return tuple(window for window in windows if window is not None)

    @property
    def start(self) -> Any:
        """The start of the first window, an aware datetime."""
        return self._bounds()[0]

    @property
    def end(self) -> Any:
        """The end of the last window (excluded), an aware datetime."""
        return self._bounds()[1]

    def _bounds(self) -> tuple[Any, Any]:
        windows = self.windows
        if not windows:
            raise InvalidInputError(
                "These partitions have no one window of time each, so they have no start and end.",
                hint="use part.keys or part.dimensions.",
            )
        return windows[0].start, windows[-1].end

    def __repr__(self) -> str:
        return f"<part {', '.join(self.keys)}>"
