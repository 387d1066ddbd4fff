"""What can be done to partitions of one asset that are there: plans, and what carries them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from operator import index
from typing import Any, SupportsIndex

from lakepart.catalog.marking import mark_stale
from lakepart.display.progress import compact_bar, move_bar
from lakepart.engine import compact as compactions
from lakepart.engine import move as moves
from lakepart.engine import restore as restores
from lakepart.engine import rollback as rollbacks
from lakepart.engine.context import require_writable
from lakepart.engine.delete import apply_delete, plan_delete
from lakepart.engine.row_changes import decided_again
from lakepart.model.compact_plans import CompactPlan
from lakepart.model.move_limits import MoveLimits
from lakepart.model.names import names_in
from lakepart.model.plans import TieringPlan
from lakepart.model.records import Commit, RowChanges
from lakepart.model.restore_plans import RestorePlan
from lakepart.model.row_plans import DeletePlan
from lakepart.model.version_plans import RollbackPlan
from lakepart.partition_view import PartitionView


class PartitionChanges(PartitionView):
    """Some partitions of one asset, to be changed."""

    # Versions

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
        return mark_stale(
            home.context.database, home.view.scope(record), self._partitions.ordinal_ranges(), reason=reason
        )

    # Tiers

    def plan_demote(self, tier: str) -> TieringPlan:
        """Say which files would be copied to the colder ``tier``."""
        return moves.plan_move(self._home, self._record(), self._partitions, tier, colder=True)

    def demote(
        self,
        tier: str,
        *,
        workers: int | None = None,
        max_bandwidth: int | str | None = None,
        max_requests: float | None = None,
        progress: bool = True,
    ) -> moves.MoveReport:
        """Move these partitions' files to the colder ``tier``: copied, verified, swapped; vacuum deletes the old bytes.

        Content, versions and staleness do not change. A partition that somebody rewrites meanwhile is skipped and
        reported. A move that was interrupted is finished by the next one.

        Parameters
        ----------
        tier
            Where to.
        workers
            Files copied side by side, 8 by default.
        max_bandwidth
            Bytes a second that may come by this machine, or text such as ``"50 MB"``; no limit by default. What S3
            copies by itself, from one bucket to another of the same endpoint and access key, does not come by.
        max_requests
            Requests a second to S3; no limit by default.
        progress
            Whether to show a progress bar.

        Raises
        ------
        CorruptionError
            A file does not have the bytes that the catalog says, or a tier does not keep what it is given. Its group of
            partitions stays where it was; the error notes what was moved before.
        OfflineDataError
            A file must be restored before it can be copied.
        StorageError
            A store fails, or a copy cannot be proven.
        InvalidInputError
            There is no such tier, it is not colder, or a limit is none.

        Notes
        -----
        Each copy is proven by its SHA-256 before the catalog refers to it (:func:`lakepart.storage.copying.copy_file`).
        Within S3 a file costs a look, a copy and a look; to S3 from elsewhere a PUT and a look.
        """
        limits = MoveLimits.given(workers, max_bandwidth, max_requests)
        return self._move(lambda: self.plan_demote(tier), limits, progress=progress)

    def plan_promote(self, tier: str | None = None) -> TieringPlan:
        """Say which files would be copied to the hotter ``tier`` (the hottest by default)."""
        chosen = tier or self._home.context.hottest.name
        return moves.plan_move(self._home, self._record(), self._partitions, chosen, colder=False)

    def promote(
        self,
        tier: str | None = None,
        *,
        workers: int | None = None,
        max_bandwidth: int | str | None = None,
        max_requests: float | None = None,
        progress: bool = True,
    ) -> moves.MoveReport:
        """Move these partitions' files to the hotter ``tier`` (the hottest by default); as :meth:`demote`.

        Raises
        ------
        OfflineDataError
            Files must be restored first; their partitions are named, and nothing is copied.
        """
        limits = MoveLimits.given(workers, max_bandwidth, max_requests)
        return self._move(lambda: self.plan_promote(tier), limits, progress=progress)

    def _move(self, make_plan: Callable[[], TieringPlan], limits: MoveLimits, *, progress: bool) -> moves.MoveReport:
        # first what others left, or the plan would be made of what is about to change
        finished = moves.finish_interrupted(self._home.context, limits)
        plan = make_plan()
        with move_bar(plan, shown=progress) as on_progress:
            report = moves.apply_moves(self._home.context, plan, on_progress=on_progress, limits=limits)
        return replace(report, finished=report.finished + finished)

    def plan_restore(self, *, days: int = 3, speed: str = "Bulk") -> RestorePlan:
        """Say which files :meth:`restore` would ask for; looks at every file in its store, a request each."""
        return restores.plan_restore(self._home, self._record(), self._partitions, days=days, speed=speed)

    def restore(self, *, days: int = 3, speed: str = "Bulk") -> restores.RestoreReport:
        """Ask that files in archive classes be readable for some days; they are, hours later.

        The files stay on their tier and in their class. Ask again to see how far it is, or for more days: what is being
        restored, or readable long enough, is not asked for again. To have them online for good, promote them while
        they are readable.

        Parameters
        ----------
        days
            For how many days, at least 1; they count from when a file is readable and end at midnight, UTC.
        speed
            ``"Bulk"`` (5 to 12 hours, of ``DEEP_ARCHIVE`` 48), ``"Standard"`` (3 to 5 hours, of ``DEEP_ARCHIVE`` 12)
            or ``"Expedited"`` (minutes; not of ``DEEP_ARCHIVE``). The faster, the dearer; a faster one takes the
            place of one that runs.

        Returns
        -------
        How many files were asked for, are being restored, and can be read, and until when.

        Raises
        ------
        InvalidInputError
            A file's archive does not have that speed; nothing is asked for.
        StateError
            The lake is read-only.

        Notes
        -----
        One request looks at each file, and one asks for it. The store charges for each, and for the bytes.
        """
        return restores.apply_restore(self._home, self.plan_restore(days=days, speed=speed))

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
            Somebody committed to one of the partitions meanwhile; nothing is changed. A compaction does not count: what
            to write again is decided anew, a few times; in a transaction it does, at the end of the block.
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
        return decided_again(
            lambda: apply_delete(self._home, self.plan_delete(filter, missing=missing), message=message)
        )
