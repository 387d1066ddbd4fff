"""Storing and loading partitions by key, for pipelines that have a place for an IO manager and for those without."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, overload

import pyarrow as pa

from lakepart.asset import Asset
from lakepart.catalog.lookups import get_head
from lakepart.engine.commit import write_partitions
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.lake_view import LakeView
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import Commit
from lakepart.selection import PartitionVerbs, Selection

if TYPE_CHECKING:
    import pandas as pd

Loaded = TypeVar("Loaded")
Keys = str | Iterable[str] | None

_KEY_COLUMN = "__lakepart_key__"


class IOManager:
    """Stores the output of a task under its partition keys and loads the inputs of the next one.

    Keys are exact partition keys: one, or several in any order, with or without gaps. What is stored replaces those
    partitions, and no others, in one commit; what is loaded comes in the order of the asset's definition.

    Parameters
    ----------
    lake
        An open lake; or a branch, or (to load from) the lake at a snapshot.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> import lakepart as lp
    >>> lake = lp.create(mkdtemp() + "/lake")
    >>> squares = lake.asset("squares", partitions=lp.Static(["2", "3"], by="n"))
    >>> io = lp.IOManager(lake)
    >>> io.save("squares", ["2", "3"], pa.table({"n": ["2", "3"], "square": [4, 9]})).partitions
    2
    >>> io.load("squares", "3", pa.Table)["square"].to_pylist()
    [9]
    """

    def __init__(self, lake: LakeView) -> None:
        self._lake = lake

    def save(
        self,
        asset: str,
        keys: Keys,
        data: Any,
        *,
        code_version: str | None = None,
        inputs: Mapping[str, PartitionVerbs] | None = None,
        metadata: Mapping[str, Any] | None = None,
        message: str | None = None,
    ) -> Commit:
        """Make ``data`` the whole content of the partitions ``keys``, in one commit.

        Parameters
        ----------
        asset
            Name of a declared asset.
        keys
            A partition key or several; None for an unpartitioned asset, or where ``data`` names its partitions.
        data
            Rows of these partitions, split by the definition's ``by`` column: a row of any other partition is an
            error, and a partition that has elapsed and has no rows is recorded as known to be empty. Or
            ``{key: frame}`` with exactly these keys; without ``by``, several partitions come only in this way.
        code_version
            Version of the logic that made the rows.
        inputs
            What they were made from, ``{"name": selection}``: the partitions turn stale when it changes. Selections
            of :meth:`select` say what was really read, whatever was committed meanwhile.
        metadata, message
            Kept with the commit; ``metadata`` must be JSON.

        Raises
        ------
        AssetNotFoundError
            No such asset; close names are suggested.
        PartitionKeyError
            A key is none of the asset's, or rows belong to a partition that is not among ``keys``.
        InvalidInputError
            No keys where there must be some, keys that the mapping lacks, or a frame that cannot be split.
        SchemaMismatchError
            The rows do not fit the asset's schema.
        """
        target = self._lake.asset(asset)
        details: dict[str, Any] = {
            "code_version": code_version,
            "inputs": inputs,
            "metadata": metadata,
            "message": message,
        }
        if keys is None and target.partitions.kind != "single":
            if not isinstance(data, Mapping):
                raise InvalidInputError(
                    f"Asset {asset!r} is partitioned, so a frame without keys does not say what it replaces.",
                    hint="name the keys, or give {key: frame, …}.",
                )
            return target.write(data, **details)
        definition = target._for_writing()
        wanted = (
            PartitionSet.everything(definition) if keys is None else PartitionSet.from_keys(definition, _listed(keys))
        )
        if not wanted:
            raise InvalidInputError(
                f"No key is given to store {asset!r} under.", hint="name at least one.", code=ErrorCode.EMPTY_FRAME
            )
        if isinstance(data, Mapping):
            _check_complete(asset, wanted, data)
        home, record = target._home, target._record()
        return write_partitions(
            home.context,
            home.view,
            record,
            wanted,
            data,
            no_rows="empty",
            details=target._details(wanted, inputs, code_version, message, metadata, None, None),
        )

    def select(self, asset: str, keys: Keys = None) -> Selection:
        """Select partitions as they are now: to be read, and then to be named in the ``inputs=`` of a save.

        Parameters
        ----------
        asset
            Name of a declared asset.
        keys
            A partition key or several; None means every committed partition, or the one of an unpartitioned asset.
        """
        source = self._lake.asset(asset)
        whole = keys is None and source.partitions.kind != "single"
        return _fixed(source[:] if whole else source[_partitions(source, keys)])

    @overload
    def load(
        self, asset: str, keys: Keys = None, *, columns: Sequence[str] | None = None, missing: str = "error"
    ) -> pd.DataFrame: ...

    @overload
    def load(
        self,
        asset: str,
        keys: Keys,
        as_type: type[Loaded],
        *,
        columns: Sequence[str] | None = None,
        missing: str = "error",
    ) -> Loaded: ...

    def load(
        self,
        asset: str,
        keys: Keys = None,
        as_type: Any = None,
        *,
        columns: Sequence[str] | None = None,
        missing: str = "error",
    ) -> Any:
        """Load partitions as one frame, in the order of the definition; or as one frame per key.

        Parameters
        ----------
        asset
            Name of a declared asset.
        keys
            A partition key or several; None means every committed partition, or the one of an unpartitioned asset.
        as_type
            ``pandas.DataFrame`` (default), ``pyarrow.Table``, ``polars.DataFrame``; ``dict[str, T]`` with one of these
            for a frame per key; or :class:`~lakepart.Selection`, which reads nothing yet.
        columns
            Columns to read, in this order; all by default.
        missing
            What to do when a partition that was named is not there: ``"error"`` (default), before a byte is read, or
            ``"skip"``, with a :class:`~lakepart.PartialReadWarning` that names it.

        Raises
        ------
        AssetNotFoundError, PartitionKeyError, PartitionNotFoundError
            There is no such asset, key or content.
        InvalidInputError
            A type or a column that does not exist.
        """
        return read_as(self.select(asset, keys), as_type, columns=columns, missing=missing)

    def __repr__(self) -> str:
        return f"<IOManager of {self._lake!r}>"


def read_as(
    selection: Selection, as_type: Any = None, *, columns: Sequence[str] | None = None, missing: str = "error"
) -> Any:
    """Read a selection into ``as_type``; types and parameters as :meth:`IOManager.load`."""
    wanted = _Wanted.of(as_type)
    if wanted.kind == "selection":
        if columns is not None or missing != "error":
            raise InvalidInputError(
                "A Selection reads nothing yet, so columns= and missing= have nothing to act on.",
                hint="give them to its own verbs: selection.to_arrow(columns, missing=…).",
            )
        return selection
    if not wanted.per_key:
        return _converted(wanted.kind, selection.to_arrow(columns, missing=missing))
    return {key: _converted(wanted.kind, table) for key, table in _by_key(selection, columns, missing)}


def nothing_as(as_type: Any = None) -> Any:
    """Give what loading none of an asset's partitions gives where it has no columns yet: a frame without any."""
    wanted = _Wanted.of(as_type)
    return {} if wanted.per_key else _converted(wanted.kind, pa.table({}))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a type annotation asks for: which kind of frame, and whether one per key."""

    kind: str
    per_key: bool = False

    @classmethod
    def of(cls, as_type: Any) -> _Wanted:
        if as_type is None or as_type is Any:
            return cls("pandas")
        if as_type is Selection:
            return cls("selection")
        if as_type is dict:
            return cls("pandas", per_key=True)
        if isinstance(get_origin(as_type), type) and issubclass(get_origin(as_type), Mapping):
            key, value = get_args(as_type)
            inner = cls.of(value)
            if key in {str, Any} and not inner.per_key and inner.kind != "selection":
                return cls(inner.kind, per_key=True)
        elif isinstance(as_type, type):  # by name, so that nobody imports pandas or Polars to be compared with
            kind = _FRAMES.get((as_type.__module__.partition(".")[0], as_type.__name__))
            if kind is not None:
                return cls(kind)
        raise InvalidInputError(
            f"Partitions cannot be loaded as {as_type!r}.",
            hint="pandas.DataFrame, pyarrow.Table, polars.DataFrame, dict[str, one of these] or lakepart.Selection.",
            code=ErrorCode.UNSUPPORTED,
        )


_FRAMES = {("pandas", "DataFrame"): "pandas", ("pyarrow", "Table"): "arrow", ("polars", "DataFrame"): "polars"}


def _converted(kind: str, table: pa.Table) -> Any:
    if kind == "arrow":
        return table
    if kind == "pandas":
        return table.to_pandas()
    import polars as pl  # whoever names its type has it

    return pl.from_arrow(table)


def _by_key(selection: Selection, columns: Sequence[str] | None, missing: str) -> Iterable[tuple[str, pa.Table]]:
    """Read everything at once and cut it where the next partition begins."""
    # A column of our own, dropped again: else rows of a definition without `by` would say their key where there are
    # several partitions, and not where there is one.
    named = None if columns is None else [*columns, _KEY_COLUMN]
    resolved = selection.resolve()
    table = resolved.to_arrow(named, missing=missing, key_column=_KEY_COLUMN)
    counted = table.column(_KEY_COLUMN).value_counts().to_pylist()
    row_counts = {one["values"]: one["counts"] for one in counted}
    rows, start = table.drop_columns([_KEY_COLUMN]), 0
    for key in resolved.keys:  # those known to be empty have no rows to be counted
        stop = start + row_counts.get(key, 0)
        yield key, rows.slice(start, stop - start)
        start = stop


def _partitions(asset: Asset, keys: Keys) -> PartitionSet:
    if keys is None:
        return PartitionSet.everything(asset.partitions)
    return PartitionSet.from_keys(asset.partitions, _listed(keys))


def _listed(keys: str | Iterable[str]) -> Iterable[str]:
    return [keys] if isinstance(keys, str) else keys


def _fixed(selection: Selection) -> Selection:
    """Fix a selection to the present snapshot: what is read and what is noted of it are then the same."""
    home = selection._home
    if home.view.snapshot is not None:
        return selection
    with home.context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
    # not lake.at(snapshot), which refuses a number that was given to another branch's commit
    there = home.in_view(home.view.at(snapshot))
    return Selection(there, selection._asset, selection._partitions, explicit=selection._explicit)


def _check_complete(asset: str, wanted: PartitionSet, frames: Mapping[str, Any]) -> None:
    lacking = [key for key in wanted if key not in frames]
    if lacking:
        raise InvalidInputError(
            f"{count_of(len(lacking), 'partition')} of {asset!r} to be stored "
            f"{'is' if len(lacking) == 1 else 'are'} not in the mapping: {list_some(lacking)}.",
            hint="give a frame without rows for a partition that is known to be empty.",
            context={"asset": asset, "lacking": lacking},
        )
