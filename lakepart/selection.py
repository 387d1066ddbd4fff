"""Selections: lazy descriptions of some partitions of one asset, and every verb that hangs on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import index
from typing import Any, SupportsIndex

from lakepart.backfill import Backfill
from lakepart.display.progress import backfill_bar
from lakepart.engine import backfill as backfills
from lakepart.engine.commit import Details, write_partitions
from lakepart.engine.drop import apply_drop, plan_drop
from lakepart.engine.home import Home
from lakepart.engine.idempotency import once, token_of
from lakepart.engine.lineage import expected_contents, record_selection
from lakepart.engine.needs import needed_inputs, partitions_needing
from lakepart.engine.status import (
    as_of_now,
)
from lakepart.errors import InvalidInputError
from lakepart.model.inputs import Input
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import BackfillPlan
from lakepart.model.records import Commit
from lakepart.model.row_plans import DropPlan
from lakepart.partition_changes import PartitionChanges


class PartitionVerbs(PartitionChanges):
    """Everything that can be asked of, or done to, some partitions of one asset."""

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

    # One after another

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

    # Inputs

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

    # Shared

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
        check_text("code_version", code_version)
        check_text("message", message)
        check_json(metadata or {})
        if not inputs and base is None:
            return Details(code_version=code_version, message=message, metadata=dict(metadata or {}), token=token)
        record = self._record()
        with home.context.database.reading() as connection:
            return Details(
                inputs=tuple(
                    record_selection(connection, read._home.view.look(connection), name, read._asset, read._partitions)
                    for name, read in (inputs or {}).items()
                ),
                code_version=code_version,
                message=message,
                metadata=dict(metadata or {}),
                expected=expected_contents(connection, home.view.look(connection), record, partitions, base),
                token=token,
            )


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


def check_text(argument: str, text: object) -> None:
    """Refuse what is given as a text and cannot be kept as one; None is fine."""
    if text is None:
        return
    if not isinstance(text, str):
        raise InvalidInputError(f"{argument}={text!r} is a {type(text).__name__}: it must be a text.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"{argument}={text!r} cannot be written as UTF-8: it holds a lone surrogate at {error.start}.",
        ) from error


def check_json(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that cannot be kept with a commit."""
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"metadata={metadata!r} cannot be kept as JSON: {error}.",
            hint="use text, numbers, lists and dicts of these.",
        ) from error
