"""Selections: lazy descriptions of some partitions of one asset, and every verb that hangs on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from lakepart.backfill import Backfill
from lakepart.catalog.marking import mark_stale
from lakepart.display.html import selection_html
from lakepart.display.progress import backfill_bar, compact_bar, move_bar
from lakepart.engine import backfill as backfills
from lakepart.engine import compact as compactions
from lakepart.engine import diff as diffs
from lakepart.engine import history as histories
from lakepart.engine import move as moves
from lakepart.engine import rollback as rollbacks
from lakepart.engine.commit import Details, write_partitions
from lakepart.engine.context import require_writable
from lakepart.engine.delete import apply_delete, plan_delete
from lakepart.engine.drop import apply_drop, plan_drop
from lakepart.engine.explain import explain_frame
from lakepart.engine.home import Home
from lakepart.engine.idempotency import once, token_of
from lakepart.engine.lineage import expected_contents, record_selection
from lakepart.engine.needs import needed_inputs, partitions_needing
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
from lakepart.model.compact_plans import CompactPlan
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.inputs import Input
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import BackfillPlan, ReadPlan, TieringPlan
from lakepart.model.records import AssetRecord, Commit, RowChanges
from lakepart.model.row_plans import DeletePlan, DropPlan
from lakepart.model.version_plans import RollbackPlan
from lakepart.model.windows import Window
from lakepart.planning.definitions import follow
from lakepart.planning.status import Statuses

if TYPE_CHECKING:
    import pandas as pd


class PartitionVerbs(Readable):
    """Everything that can be asked of, or done to, some partitions of one asset."""

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

    def __iter__(self) -> Iterator[Selection]:
        return map(self._select, self._listed().batched(1))

    def __reversed__(self) -> Iterator[Selection]:
        """Give the partitions one by one, the last first."""
        return map(self._select, self._listed().newest_first())

    def batched(self, count: int) -> Iterator[Selection]:
        """Cut the selection into selections of ``count`` partitions each, in order; the last may be smaller."""
        return map(self._select, self._listed().batched(count))

    def split(self, count: int) -> list[Selection]:
        """Cut the selection, in order, into ``count`` of nearly equal size; fewer where there are fewer partitions."""
        return [self._select(part) for part in self._listed().split(count)]

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
        """Say what a read would open: files, bytes, tiers, and partitions that are missing."""
        return plan_read(self._resolve(statistics=filter is not None), ReadOptions(columns, filter))

    def files(self) -> pd.DataFrame:
        """Give the data files, one row each: key, path, tier, rows, bytes, checksum; paths any program can open."""
        return files_frame(self._stores(), self._resolve())

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

    def needs(self, *, as_of: datetime | None = None) -> dict[str, Selection]:
        """Give the input partitions that a run of these partitions would be given, by the parameter that gets them.

        Parameters
        ----------
        as_of
            The instant up to which an open end reaches, and that tells the last partition; now by default.

        Raises
        ------
        StateError
            The asset has no producer.
        PartitionNotFoundError
            A needed partition does not exist in the input's definition, and the mapping does not skip that.

        Notes
        -----
        Asks the catalog for the definitions only, so the partitions given may be missing: their ``status()`` says.
        """
        home, instant = self._home, as_of_now(self._home.context, self._home.view, as_of)
        wanted = self._partitions if self._explicit else self._partitions.elapsed(instant)
        return {
            name: Selection(home, asset, partitions, explicit=explicit)
            for name, (asset, partitions, explicit) in needed_inputs(home, self._record(), wanted, instant).items()
        }

    def needed_by(self, asset: str, *, as_of: datetime | None = None) -> Selection:
        """Give the partitions of another asset that its producer makes from any of these; the inverse of :meth:`needs`.

        Parameters
        ----------
        asset
            Name of the asset that is made from this one.
        as_of
            The instant up to which an open end reaches, and that tells the last partition; now by default.

        Raises
        ------
        AssetNotFoundError
            No such asset; close names are suggested.
        InvalidInputError
            The asset is not made from this one.
        """
        home, instant = self._home, as_of_now(self._home.context, self._home.view, as_of)
        wanted = self._partitions if self._explicit else self._partitions.elapsed(instant)
        found = partitions_needing(home, self._record(), wanted, asset, instant)
        return Selection(home, asset, found, explicit=True)

    def plan_rollback(self, to: SupportsIndex | str | datetime) -> RollbackPlan:
        """Say which partitions :meth:`rollback` would give which older contents."""
        home = self._home
        number = index(to) if hasattr(to, "__index__") else home.at(to).view.snapshot
        partitions = [(self._record(), self._partitions)]
        return rollbacks.plan_rollback(home.context, home.view, partitions, to=number or 0)

    def rollback(self, to: SupportsIndex | str | datetime, *, message: str | None = None) -> Commit:
        """Make the contents of a snapshot current again, as a new snapshot; what was missing then becomes missing.

        Parameters
        ----------
        to
            A snapshot number, an instant or a tag.
        message
            Kept with the commit.

        Raises
        ------
        SnapshotNotFoundError
            There is no such snapshot, or vacuum has forgotten it.
        StateError
            The partitions hold what they held then already, or were cut otherwise.
        ConflictError
            Somebody committed to these partitions meanwhile.
        """
        home = self._home
        return rollbacks.apply_rollback(home.context, home.view, self.plan_rollback(to), message=message)

    def mark_stale(self, reason: str) -> int:
        """Call the current content of these partitions stale, for a reason only you know; a rewrite ends it.

        Returns
        -------
        How many partitions were marked: those that are committed, and on a branch those that were written on it.
        """
        home, record = self._home, self._record()
        require_writable(home.context, home.view, "mark partitions")
        ordinals = self._committed().ordinals.tolist()
        branch_id = home.view.branch.branch_id
        return mark_stale(
            home.context.database, asset_id=record.asset_id, branch_id=branch_id, ordinals=ordinals, reason=reason
        )

    # Reprocessing

    def plan_backfill(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        inputs: Mapping[str, str | Input] | None = None,
        which: str | set[str] | None = None,
        batch: int = 1,
        publish: str | None = None,
        name: str | None = None,
        retries: int = 2,
        timeout: float | None = None,
        on_error: str = "continue",
        audit: Sequence[Any] = (),
        as_of: datetime | None = None,
    ) -> BackfillPlan:
        """Say what a backfill would compute and why; parameters as :meth:`backfill`."""
        return backfills.plan_backfill(
            self._home,
            self._record(),
            self._partitions,
            explicit=self._explicit,
            function=fn,
            inputs=inputs,
            which=which,
            batch=batch,
            publish=publish,
            name=name,
            retries=retries,
            timeout_s=timeout,
            on_error=on_error,
            as_of=as_of_now(self._home.context, self._home.view, as_of),
            audits=audit,
        )

    def backfill(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        inputs: Mapping[str, str | Input] | None = None,
        which: str | set[str] | None = None,
        batch: int = 1,
        publish: str | None = None,
        workers: int = 1,
        name: str | None = None,
        retries: int = 2,
        timeout: float | None = None,
        on_error: str = "continue",
        audit: Sequence[Any] = (),
        as_of: datetime | None = None,
        progress: bool = True,
    ) -> Backfill:
        """Compute these partitions and publish them; recorded, resumable, undoable.

        Parameters
        ----------
        fn
            What computes them; the registered producer by default.
        inputs
            Input assets by parameter name, where ``fn`` is given; as for :func:`~lakepart.producer`.
        which
            States to compute: by default ``{"missing", "failed", "stale"}``; ``"all"`` computes everything.
        batch
            Partitions given to one call of the producer.
        publish
            ``"each"``: as they are done; ``"together"``: all in one commit at the end; ``"branch:name"``: on that
            branch, for you to publish. By default ``"each"`` when nothing published is replaced, else ``"together"``.
        workers
            Calls side by side, on threads.
        name
            Of the backfill; made up by default.
        retries
            Further attempts at an order that failed.
        timeout
            Seconds after which an attempt counts as failed; what it does later is ignored.
        on_error
            ``"continue"`` with other orders (default) or ``"stop"``.
        audit
            Checks before results are published, as for :meth:`Branch.publish <lakepart.Branch.publish>`: of each order
            before it is committed, and with ``publish="together"`` of everything at the end. What fails is not
            published: its targets fail, and :meth:`Backfill.resume <lakepart.Backfill.resume>` computes them anew.
            Outcomes are kept in the commit's metadata as ``audits``.
        as_of
            The instant up to which an open-ended selection expects partitions; now by default.
        progress
            Whether to show a progress bar.

        Raises
        ------
        BackfillError
            Orders failed; ``error.backfill`` is the handle to look at and resume.
        StateError
            There is no producer to compute with.
        """
        plan = self.plan_backfill(
            fn,
            inputs=inputs,
            which=which,
            batch=batch,
            publish=publish,
            name=name,
            retries=retries,
            timeout=timeout,
            on_error=on_error,
            audit=audit,
            as_of=as_of,
        )
        handle = Backfill(self._home, plan.name, selection_of)
        with backfill_bar(plan.name, shown=progress) as on_progress:
            backfills.start_backfill(
                self._home, plan, fn, workers=workers, on_progress=on_progress, select=selection_of
            )
        return handle._settled()

    # Tiers

    def plan_demote(self, tier: str) -> TieringPlan:
        """Say which files would be copied to the colder ``tier``."""
        return moves.plan_move(self._home, self._record(), self._partitions, tier, colder=True)

    def demote(self, tier: str, *, progress: bool = True) -> moves.MoveReport:
        """Move these partitions' files to the colder ``tier``: copied, verified, swapped; vacuum deletes the old bytes.

        Content, versions and staleness do not change. A partition that somebody rewrites meanwhile is skipped and
        reported. A move that was interrupted is finished by the next one.
        """
        return self._move(lambda: self.plan_demote(tier), progress=progress)

    def plan_promote(self, tier: str | None = None) -> TieringPlan:
        """Say which files would be copied to the hotter ``tier`` (the hottest by default)."""
        chosen = tier or self._home.context.hottest.name
        return moves.plan_move(self._home, self._record(), self._partitions, chosen, colder=False)

    def promote(self, tier: str | None = None, *, progress: bool = True) -> moves.MoveReport:
        """Move these partitions' files to the hotter ``tier`` (the hottest by default); as :meth:`demote`."""
        return self._move(lambda: self.plan_promote(tier), progress=progress)

    def _move(self, make_plan: Callable[[], TieringPlan], *, progress: bool) -> moves.MoveReport:
        # first what others left, or the plan would be made of what is about to change
        finished = moves.finish_interrupted(self._home.context)
        plan = make_plan()
        with move_bar(plan, shown=progress) as on_progress:
            report = moves.apply_moves(self._home.context, plan, on_progress=on_progress)
        return replace(report, finished=report.finished + finished)

    # Files

    def plan_compact(
        self, *, target_file_size: int | str | None = None, sort_by: Sequence[str] | None = None
    ) -> CompactPlan:
        """Say which files :meth:`compact` would merge, and why it would leave the others; parameters as there.

        Notes
        -----
        Asks the catalog alone: a handful of queries, whatever the number of partitions.
        """
        wanted = compactions.wanted_of(
            self._record(),
            self._partitions,
            explicit=self._explicit,
            target_file_size=target_file_size,
            sort_by=None if sort_by is None else names_in(sort_by),
        )
        return compactions.plan_compact(self._home, [wanted])

    def compact(
        self,
        *,
        target_file_size: int | str | None = None,
        sort_by: Sequence[str] | None = None,
        workers: int = 1,
        message: str | None = None,
        progress: bool = True,
    ) -> compactions.CompactReport:
        """Merge small files of these partitions into larger ones, with the same rows, on the tier where they lie.

        Content, lineage and staleness do not change, and ``diff`` shows nothing; history has a new version. Only
        neighbouring files become one, so that rows keep their order unless they are sorted, and files that are nearly
        large enough stay. What is appended meanwhile stays besides; a partition whose files somebody replaces or moves
        meanwhile is skipped and reported. Older snapshots read the old files until vacuum forgets them.

        Parameters
        ----------
        target_file_size
            How large a file may become: bytes, or text such as ``"128 MB"``; the asset's option by default, or 128 MB.
        sort_by
            Columns to sort the rows of each new file by; the asset's option by default, ``()`` for none.
        workers
            Files written side by side.
        message
            Kept with the commits.
        progress
            Whether to show a progress bar.

        Raises
        ------
        OfflineDataError
            Partitions that were named have small files on a tier that is offline; others are left out in that case.
        CorruptionError
            A file does not have the bytes or rows that it should: its partitions stay as they are.
        InvalidInputError
            The size is none, or rows cannot be sorted by these columns.
        StateError
            The lake is read-only or of the past, or this is a branch or a transaction.

        Notes
        -----
        Each file is read twice, once to prove its checksum, and the new one is read back: before anything is
        committed, the number and an order-free digest of the rows must be equal. Memory is flat: sorting takes
        stretches of up to 128 MiB of rows. Up to 64 partitions share a commit.
        """
        plan = self.plan_compact(target_file_size=target_file_size, sort_by=sort_by)
        with compact_bar(plan, shown=progress) as on_progress:
            return compactions.apply_compact(
                self._home, plan, on_progress=on_progress, workers=workers, message=message
            )

    # Rows

    def plan_delete(self, filter: Any, *, missing: str = "error") -> DeletePlan:  # noqa: A002 - the public word
        """Say which rows :meth:`delete` would delete, and what that would cost.

        Notes
        -----
        Reads the columns of the filter, of the files that can hold a match.
        """
        record = self._record()
        return plan_delete(self._home, record, self._partitions, filter, explicit=self._explicit, missing=missing)

    def delete(
        self,
        filter: Any,  # noqa: A002 - the public word
        *,
        missing: str = "error",
        message: str | None = None,
    ) -> RowChanges:
        """Delete the rows of these partitions for which a filter is true, in one commit.

        Rows for which it is null stay. Files without a match are left as they are, on whatever tier; of the others,
        the rows that stay are written again to the tier where they lay. A partition of which none stay is known to be
        empty. Older snapshots keep the rows until vacuum forgets them.

        Parameters
        ----------
        filter
            As for reads: ``[("column", "op", value), …]`` or a pyarrow expression.
        missing
            What to do when a partition that was named is not there: ``"error"`` or ``"skip"``, with a warning.
        message
            Kept with the commit.

        Returns
        -------
        The commit and what it cost; where no row matches, there is no commit, and it names the newest snapshot.

        Raises
        ------
        ConflictError
            Somebody committed to one of the partitions meanwhile; nothing is changed.
        OfflineDataError
            Rows that match may lie on a tier that is offline; the partitions are named.
        PartitionNotFoundError
            A partition that was named is missing.
        InvalidInputError
            The filter is missing or does not fit the columns.
        StateError
            The lake is read-only, or of the past.

        Notes
        -----
        In a transaction the rows that the block has written are found, too, and ``message`` is refused: it is the
        block's.

        Files that can hold a match, by their statistics, are read twice for the columns of the filter; those that do
        are read and written once more, in flat memory.
        """
        return apply_delete(self._home, self.plan_delete(filter, missing=missing), message=message)

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

    def _select(self, partitions: PartitionSet, *, explicit: bool = True) -> Selection:
        return Selection(self._home, self._asset, partitions, explicit=explicit)

    def _details(
        self,
        partitions: PartitionSet,
        inputs: Mapping[str, PartitionVerbs] | None,
        code_version: str | None,
        message: str | None,
        metadata: Mapping[str, Any] | None,
        expected: Commit | SupportsIndex | None,
        idempotency_key: str | None,
    ) -> Details:
        home = self._home
        token = None if idempotency_key is None else token_of(home.view, self._record(), idempotency_key)
        base = expected.snapshot if isinstance(expected, Commit) else None if expected is None else index(expected)
        check_json(metadata or {})
        if not inputs and base is None:
            return Details(code_version=code_version, message=message, metadata=dict(metadata or {}), token=token)
        record = self._record()
        with home.context.database.reading() as connection:
            return Details(
                inputs=tuple(
                    record_selection(connection, read._home.view, name, read._asset, read._partitions)
                    for name, read in (inputs or {}).items()
                ),
                code_version=code_version,
                message=message,
                metadata=dict(metadata or {}),
                expected=expected_contents(connection, home.view, record, partitions, base),
                token=token,
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


class Selection(PartitionVerbs):
    """Some partitions of one asset; cheap to make, resolved once by each verb.

    Made by ``asset[...]``, ``asset.last(n)``, ``asset.between(start, end)`` and their like; combined by ``&``, ``|``
    and ``-``; ``~`` selects all other partitions.
    """

    def write(
        self,
        data: Any,
        *,
        no_rows: str = "empty",
        on_schema_change: str | None = None,
        inputs: Mapping[str, PartitionVerbs] | None = None,
        code_version: str | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expected: Commit | SupportsIndex | None = None,
        idempotency_key: str | None = None,
    ) -> Commit:
        """Replace exactly these partitions by the rows of ``data``, in one commit.

        Parameters
        ----------
        data
            Rows of these partitions (a row of any other is an error), ``{key: frame}``, or an iterator of
            ``(key, frame)``.
        no_rows
            For partitions without rows: ``"empty"`` (default) records those that have elapsed as known to be empty,
            ``"keep"`` leaves them as they are, ``"error"`` refuses.
        on_schema_change, inputs, code_version, message, metadata, expected, idempotency_key
            As in :meth:`Asset.write`.
        """
        if not self._explicit:
            raise InvalidInputError(
                f"{self!r} has an open end, so it does not say which partitions to write.",
                hint="name both ends, or write with asset.write(frame), which routes rows by their column.",
            )
        home, partitions = self._home, self._partitions
        details = self._details(partitions, inputs, code_version, message, metadata, expected, idempotency_key)

        def write() -> Commit:
            return write_partitions(
                home.context,
                home.view,
                self._record(),
                partitions,
                data,
                no_rows=no_rows,
                details=details,
                on_schema_change=on_schema_change,
            )

        return once(home.context, details.token, write)

    def plan_drop(self, *, missing: str = "error") -> DropPlan:
        """Say which partitions :meth:`drop` would let become missing; asks the catalog alone."""
        home = self._home
        return plan_drop(home, self._record(), self._partitions, explicit=self._explicit, missing=missing)

    def drop(self, *, missing: str = "error", message: str | None = None) -> Commit:
        """Let these partitions become missing, in one commit; older snapshots keep them until vacuum forgets those.

        With an open end, the partitions that are committed now are dropped. To record that there are no rows instead,
        write an empty frame: the partition is then known to be empty.

        Parameters
        ----------
        missing
            What to do when a partition that was named is not there: ``"error"`` or ``"skip"``, with a warning.
        message
            Kept with the commit; in a transaction it is the block's, and refused.

        Returns
        -------
        The commit; where none of the partitions is there, there is none, and it names the newest snapshot.

        Raises
        ------
        PartitionNotFoundError
            A partition that was named is missing already.
        ConflictError
            Somebody committed to one of them meanwhile; nothing is changed.
        StateError
            The lake is read-only, or of the past.
        """
        return apply_drop(self._home, self.plan_drop(missing=missing), message=message)

    def __and__(self, other: Selection) -> Selection:
        theirs = self._of_same_asset(other)
        return self._select(self._partitions & theirs, explicit=self._explicit or other._explicit)

    def __or__(self, other: Selection) -> Selection:
        theirs = self._of_same_asset(other)
        return self._select(self._partitions | theirs, explicit=self._explicit and other._explicit)

    def __sub__(self, other: Selection) -> Selection:
        theirs = self._of_same_asset(other)
        return self._select(self._partitions - theirs, explicit=self._explicit)

    def __invert__(self) -> Selection:
        """Select all other partitions; as ``[:]``, that means those that are there."""
        return self._select(~self._partitions, explicit=False)

    def _of_same_asset(self, other: Selection) -> PartitionSet:
        if not isinstance(other, Selection):
            raise InvalidInputError(f"A selection combines with a selection, not with {type(other).__name__}.")
        here, there = self._home, other._home
        same_lake = here.context.database.lake_id == there.context.database.lake_id
        if not same_lake or other._asset != self._asset or here.view != there.view:
            raise InvalidInputError(
                f"{self!r} and {other!r} are not selections of one asset in one view of one lake.",
                hint="combine selections made from the same asset handle.",
            )
        if other.partitions != self.partitions:  # one of them was made before the definition changed
            self._record()
            other._record()
        return other._partitions

    def __repr__(self) -> str:
        return f"<Selection {self._title()} {self._partitions.to_text() or 'of nothing'}>"


def selection_of(home: Home, asset: str, partitions: PartitionSet) -> Selection:
    """Give a handle of exactly these partitions."""
    return Selection(home, asset, partitions, explicit=True)


def _keyless(partitions: PartitionSet) -> PartitionSet:
    """Leave out the keys of dynamic dimensions: those of then would be pickled, and soon be out of date."""
    return partitions.under(partitions.definition.knowing({}))


def names_in(given: Sequence[str]) -> tuple[str, ...]:
    """Take one name for a list of one: the letters of a text are nobody's columns."""
    return (given,) if isinstance(given, str) else tuple(given)


def check_json(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that cannot be kept with a commit."""
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"metadata={metadata!r} cannot be kept as JSON: {error}.",
            hint="use text, numbers, lists and dicts of these.",
        ) from error
