"""What can be asked of some partitions of one asset: what they are, hold and were."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from lakepart.display.html import selection_html
from lakepart.engine import diff as diffs
from lakepart.engine import history as histories
from lakepart.engine.explain import explain_frame
from lakepart.engine.home import Home
from lakepart.engine.read import ReadOptions, Resolved, Stores, files_frame, plan_read, resolve
from lakepart.engine.readable import Readable, ResolvedSelection
from lakepart.engine.status import (
    as_of_now,
    committed_partitions,
    partition_statuses,
    read_statuses,
    status_frame,
)
from lakepart.errors import InvalidInputError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import ReadPlan
from lakepart.model.records import AssetRecord
from lakepart.model.windows import Window
from lakepart.planning.definitions import follow
from lakepart.planning.status import Statuses

if TYPE_CHECKING:
    import pandas as pd


class PartitionView(Readable):
    """Some partitions of one asset, to be read and looked at."""

    def __init__(self, home: Home, asset: str, partitions: PartitionSet, *, explicit: bool) -> None:
        self._home = home
        self._asset = asset
        self._chosen = _keyless(partitions)
        self._explicit = explicit

    # What it is

    @property
    def partitions(self) -> PartitionsDefinition:
        """How the asset is cut into partitions."""
        return self._partitions.definition

    @property
    def keys(self) -> list[str]:
        """The partition keys, in order: those that were named, or the committed ones where an end is open."""
        return self._listed().keys

    @property
    def windows(self) -> list[Window | None]:
        """The time that each of :attr:`keys` covers; None where partitions are not cut by time."""
        return list(self._listed().windows())

    def __len__(self) -> int:
        return len(self._listed())

    def __bool__(self) -> bool:
        return len(self) > 0

    def __contains__(self, key: object) -> bool:
        return key in self._listed()

    # Reading

    def _resolve(self, *, statistics: bool = False) -> Resolved:
        home = self._home
        return resolve(
            home.context,
            home.view,
            self._record(),
            self._partitions,
            explicit=self._explicit,
            statistics=statistics,
        )

    def _stores(self) -> Stores:
        return self._home.context.stores

    def resolve(self) -> ResolvedSelection:
        """Fix the selection to the files of the present snapshot: plain data that a worker can read from."""
        return ResolvedSelection(self._resolve(), self._stores())

    def plan_read(self, columns: Sequence[str] | None = None, filter: Any = None) -> ReadPlan:  # noqa: A002
        """Say what a read would open: files, bytes, tiers, and partitions that are missing or may be offline."""
        return plan_read(self._resolve(statistics=filter is not None), ReadOptions(columns, filter))

    def files(self, *, availability: bool = False) -> pd.DataFrame:
        """Give the data files, one row each: key, path, tier, rows, bytes, checksum; paths any program can open.

        With ``availability`` every file is looked at in its store, a request each, and a last column says whether it
        can be read: ``online``, ``offline``, ``restoring``, or ``restored until`` an instant.
        """
        return files_frame(self._stores(), self._resolve(), availability=availability)

    # Status and history

    def status(self, as_of: datetime | None = None) -> pd.DataFrame:
        """Give one row per partition: what is there and whether it still is what a new run would make.

        Parameters
        ----------
        as_of
            The instant up to which partitions are expected; now by default. Named partitions are always listed.

        Returns
        -------
        A frame with ``key, state, data, work, reasons, rows, bytes, files, tier, snapshot, written_at, code_version,
        error``, in the order of the definition. ``data`` is ``missing``, ``empty``, ``fresh`` or ``stale``; ``work`` is
        ``running``, ``failed`` or none; ``state`` is the one word to show.

        Notes
        -----
        Asks the catalog alone: a handful of queries, whatever the number of partitions.
        """
        return status_frame(self._statuses(as_of))

    def history(self) -> pd.DataFrame:
        """Give every version of these partitions that this view has seen, newest first: who made it, when and why.

        Returns
        -------
        A frame with ``key``; ``snapshot`` and ``ended``, the commits that made it and that replaced or removed it;
        ``at, operation, author, message`` of the commit that made it; its ``rows, bytes, files``; ``rows_before,
        bytes_before``, what it took the place of (0 where the partition was missing, null where vacuum may have
        forgotten it); ``code_version``; ``content``, equal where the content is; ``inputs``, by name what it was made
        from (``asset, partitions, snapshot``); and the commit's ``metadata``.
        """
        return histories.history_frame(self._home.context, self._home.view, self._record(), self._partitions)

    def diff(self, a: Any, b: Any = None, *, rows: bool = False, on: Sequence[str] = ()) -> pd.DataFrame:
        """Compare these partitions in two views: one row per partition that differs, or the rows that do.

        Parameters
        ----------
        a, b
            Before and after: a snapshot number, an instant, a tag, an open branch (``"main"`` too), or a handle such
            as ``lake.at(12)``. Without ``b``, after is what this handle shows.
        rows
            Whether to compare rows, which reads the partitions that differ, one after another.
        on
            The columns that tell rows apart, where rows are compared.

        Returns
        -------
        A frame with ``asset, key, change, rows_before, rows_after, rows_delta, bytes_before, bytes_after,
        bytes_delta``; ``change`` is ``added``, ``removed`` or ``changed``. Of rows: ``key, change``, the columns
        ``on``, and every other column as ``NAME_before`` and ``NAME_after``, null where there is no such row.

        Raises
        ------
        InvalidInputError
            Rows cannot be told apart by ``on``: the partition and an example are named.
        SnapshotNotFoundError, NotFoundError
            There is no such snapshot, tag or branch.
        StateError
            Some of these partitions were cut otherwise in one of the views.

        Notes
        -----
        Asks the catalog a handful of queries, whatever the number of partitions. Rows: two reads of each partition
        that differs, one partition in memory at a time, and the rows that differ.
        """
        home, record, partitions = self._home, self._record(), self._partitions
        before = diffs.view_of(home, a)
        after = home.view if b is None else diffs.view_of(home, b)
        if rows:
            return diffs.diff_rows(home, before, after, record, partitions, list(on))
        if on:
            raise InvalidInputError(f"on={list(on)!r} tells rows apart.", hint="compare rows with rows=True.")
        return diffs.changes_frame(diffs.diff_partitions(home, before, after, record, partitions))

    def explain(self, as_of: datetime | None = None) -> pd.DataFrame:
        """Say why each partition is as it is: one row per reason and per input it was made from.

        What its producer needs of an input whose definition has no such partition is said too (``nonexistent``). With
        an open end, partitions are expected up to ``as_of`` (now by default).
        """
        home, record = self._home, self._record()
        instant = as_of_now(home.context, home.view, as_of)
        statuses = partition_statuses(
            home.context, home.view, record, self._partitions, explicit=self._explicit, as_of=instant
        )
        return explain_frame(home, record, self._partitions, statuses, instant)

    # Shared

    @property
    def _partitions(self) -> PartitionSet:
        """What was chosen, with the keys that the catalog has by now where it keeps them."""
        if not self._chosen.definition.is_dynamic:
            return self._chosen
        known = self._record().partitions  # first, since it may find what was chosen in another definition
        return self._chosen.under(known)

    def _listed(self) -> PartitionSet:
        return self._partitions if self._explicit else self._committed()

    def _record(self) -> AssetRecord:
        """Look the asset up; where it is cut otherwise now, go on with the same partitions of the new definition."""
        record = self._home.record(self._asset)
        if record.definition != self._chosen.definition.to_dict():
            before = self._chosen.definition.knowing(record.keys)
            chosen = self._chosen.under(before)
            self._chosen = _keyless(follow(self._asset, chosen, record.partitions, explicit=self._explicit))
        return record

    def _committed(self) -> PartitionSet:
        home = self._home
        return committed_partitions(home.context, home.view, self._record(), self._partitions)

    def _statuses(self, as_of: datetime | None) -> Statuses:
        home = self._home
        return read_statuses(
            home.context,
            home.view,
            self._record(),
            self._partitions,
            explicit=self._explicit,
            as_of=as_of_now(home.context, home.view, as_of),
        )

    def _repr_html_(self) -> str:
        if self._home.view.transaction is not None:  # it has no status
            return f"<code>{escape(repr(self))}</code>"
        return selection_html(self._title(), self.partitions.describe(), status_frame(self._statuses(None)))

    def _title(self) -> str:
        view = self._home.view
        where = "" if view.branch.name == "main" else f" on branch {view.branch.name}"
        when = "" if view.snapshot is None else f" at snapshot {view.snapshot}"
        if view.transaction is not None:
            when = f" in a transaction{when}"
        return f"{self._asset}{where}{when}"


def _keyless(partitions: PartitionSet) -> PartitionSet:
    """Leave out the keys of dynamic dimensions: those of then would be pickled, and soon be out of date."""
    return partitions.under(partitions.definition.knowing({}))
