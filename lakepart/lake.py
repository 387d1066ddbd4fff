"""Lakes: made by :func:`create`, opened by :func:`connect`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from lakepart.backfill import Backfill
from lakepart.branch import Branch
from lakepart.catalog.declaring import create_branch
from lakepart.catalog.locations import Location
from lakepart.display.html import lake_html
from lakepart.display.progress import backfill_bar, compact_bar, move_bar, vacuum_bar
from lakepart.engine import backfill as backfills
from lakepart.engine import branches, tags
from lakepart.engine import diff as diffs
from lakepart.engine.alter import apply_alter
from lakepart.engine.check import Finding, check_lake
from lakepart.engine.compact import CompactReport, apply_compact, plan_automatic
from lakepart.engine.context import View, require_writable
from lakepart.engine.doctor import examine_lake
from lakepart.engine.home import Home, get_open_branch
from lakepart.engine.mend import mend
from lakepart.engine.move import MoveReport, apply_moves, plan_tiering
from lakepart.engine.opening import absolute_address, absolute_catalog, create_lake, open_lake
from lakepart.engine.publish import apply_publish
from lakepart.engine.repartition import apply_repartition
from lakepart.engine.restore import RestoreReport, apply_restore
from lakepart.engine.rollback import apply_rollback
from lakepart.engine.row_plans import apply_row_plan
from lakepart.engine.vacuum import GRACE, RETENTION, VacuumReport, apply_vacuum, plan_vacuum
from lakepart.errors import InvalidInputError
from lakepart.model.compact_plans import CompactPlan
from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
from lakepart.model.diagnoses import Diagnosis
from lakepart.model.move_limits import MoveLimits
from lakepart.model.names import check_branch_name
from lakepart.model.plans import BackfillPlan, TieringPlan, VacuumPlan
from lakepart.model.policies import TieringPolicy
from lakepart.model.records import Commit, Tag, TierRecord
from lakepart.model.restore_plans import RestorePlan
from lakepart.model.row_plans import DeletePlan, DropPlan, UpsertPlan
from lakepart.model.version_plans import PublishPlan, RollbackPlan
from lakepart.selection import selection_of
from lakepart.transaction import TransactionalView

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Tier:
    """A place for bytes: a name, a folder or URL (relative: inside the lake), and the storage class they get there."""

    name: str
    root: str
    storage_class: str | None = None


class Lake(TransactionalView):
    """One catalog and its tiers, open for reading and writing.

    Close it, or use it as a context manager, to let go of the catalog's connections; nothing is lost otherwise.
    """

    # Branches

    def create_branch(self, name: str) -> Branch:
        """Make a branch of main as it is now: a lake in which only the branch's own writes differ."""
        home = self._home
        require_writable(home.context, home.view, "create a branch")
        record = create_branch(home.context.database, check_branch_name(name))
        return Branch(home.in_view(View(record)))

    def branch(self, name: str) -> Branch:
        """Open a branch; BranchNotFoundError suggests close names."""
        return Branch(self._home.in_view(View(get_open_branch(self._home.context, name))))

    def branches(self) -> pd.DataFrame:
        """Give the open branches: name, fork snapshot, partitions written."""
        return branches.branches_frame(self._home.context)

    # Tags

    def tag(self, name: str, at: SupportsIndex | str | datetime | None = None, *, message: str | None = None) -> Tag:
        """Name a snapshot, so that ``lake.at(name)`` shows it and vacuum leaves whole what it shows.

        Parameters
        ----------
        name
            ``q1-report``: 1 to 64 characters of ``[A-Za-z0-9_.-]``; not a number or a date.
        at
            A snapshot number, an instant or another tag; the newest snapshot by default.
        message
            What it stands for.

        Raises
        ------
        AlreadyExistsError
            The name stands for another snapshot. The same again changes nothing.
        SnapshotNotFoundError
            There is no such snapshot of main, or vacuum has forgotten what it showed.
        """
        return tags.make_tag(self._home, name, at, message)

    def tags(self) -> pd.DataFrame:
        """Give the tags, newest snapshot first: ``name, snapshot, at, author, message``."""
        return tags.tags_frame(self._home.context)

    def get_tag(self, name: str) -> Tag:
        """Look a tag up; NotFoundError suggests close names."""
        return tags.get_tag(self._home, name)

    def delete_tag(self, name: str) -> Tag:
        """Take a tag back; vacuum may forget what only the tag kept. NotFoundError suggests close names."""
        return tags.remove_tag(self._home, name)

    def diff(self, a: Any, b: Any = None) -> pd.DataFrame:
        """Compare all assets in two views: one row per partition that differs; :meth:`Asset.diff` compares rows.

        Parameters
        ----------
        a, b
            Before and after: a snapshot number, an instant, a tag, an open branch (``"main"`` too), or a handle such
            as ``lake.at(12)``. Without ``b``, after is now.

        Returns
        -------
        A frame with ``asset, key, change, rows_before, rows_after, rows_delta, bytes_before, bytes_after,
        bytes_delta``; ``change`` is ``added``, ``removed`` or ``changed``.

        Raises
        ------
        SnapshotNotFoundError, NotFoundError
            There is no such snapshot, tag or branch.
        InvalidInputError
            A name is a tag and a branch, or a handle is one of another lake.
        """
        home = self._home
        return diffs.diff_frame(home, diffs.view_of(home, a), home.view if b is None else diffs.view_of(home, b))

    # Backfills

    def backfill(self, name: str) -> Backfill:
        """Open a recorded backfill; NotFoundError suggests close names."""
        backfills.get_backfill(self._home.context, name)
        return Backfill(self._home, name, selection_of)

    def backfills(self) -> pd.DataFrame:
        """Give every recorded backfill, newest first: name, asset, state, targets done, failed and in all."""
        return backfills.backfills_frame(self._home.context)

    # Plans

    def plan_tiering(self, policy: TieringPolicy, as_of: datetime | None = None) -> TieringPlan:
        """Say which partitions a policy moves to which tier, as of an instant (now by default)."""
        return plan_tiering(self._home, policy, as_of or self._home.context.clock())

    def plan_compact(self) -> CompactPlan:
        """Say which files of the assets that set ``target_file_size`` would be merged, in one plan for all of them."""
        return plan_automatic(self._home)

    def compact(self, *, workers: int = 1, message: str | None = None, progress: bool = True) -> CompactReport:
        """Merge the small files of the assets that set ``target_file_size``: what to run every day.

        Parameters and errors as :meth:`Asset.compact`; files on a tier that is offline are left out.
        """
        plan = self.plan_compact()
        with compact_bar(plan, shown=progress) as on_progress:
            return apply_compact(self._home, plan, on_progress=on_progress, workers=workers, message=message)

    def plan_vacuum(
        self,
        *,
        retention: timedelta | str = RETENTION,
        keep_last: int = 1,
        grace: timedelta | str = GRACE,
        force: bool = False,
    ) -> VacuumPlan:
        """Say which old versions vacuum would forget and which bytes it would delete; parameters as :meth:`vacuum`."""
        return plan_vacuum(self._home.context, retention=retention, keep_last=keep_last, grace=grace, force=force)

    def vacuum(
        self,
        *,
        retention: timedelta | str = RETENTION,
        keep_last: int = 1,
        grace: timedelta | str = GRACE,
        force: bool = False,
        progress: bool = True,
    ) -> VacuumReport:
        """Forget old versions and delete bytes that nothing needs.

        Parameters
        ----------
        retention
            How long a replaced version can still be travelled to, or text such as ``"30d"``; 7 days by default.
            An asset that was declared with a ``retention`` of its own keeps to that.
        keep_last
            How many versions of each partition stay whatever their age, of which what it holds now, be it nothing, is
            the first: with 2 the last replacement of each partition can be rolled back for good.
        grace
            How long bytes stay after nothing in the catalog refers to them, for readers that began before; 24 hours
            by default. A writer that has been silent for that long counts as dead.
        force
            Whether to go below the safe minimum of one hour for either: nobody else may be at work in the lake.
        progress
            Whether to show a progress bar.

        Raises
        ------
        InvalidInputError
            ``retention`` or ``grace`` is below the safe minimum (``below-safe-minimum``), or a value is none.

        Notes
        -----
        Current versions of main and of open branches are never touched, nor what a tagged snapshot or an open branch
        shows, nor what was current since a transaction or backfill under way began, nor a file lakepart did not write.

        Costs a walk over the tiers; files are deleted side by side, a transaction for every thousand. After a crash,
        the next vacuum goes on.
        """
        plan = self.plan_vacuum(retention=retention, keep_last=keep_last, grace=grace, force=force)
        return self._vacuum(plan, progress=progress)

    def apply(
        self,
        plan: AlterPlan
        | BackfillPlan
        | CompactPlan
        | DeletePlan
        | DropPlan
        | PublishPlan
        | RepartitionPlan
        | RestorePlan
        | RollbackPlan
        | TieringPlan
        | UpsertPlan
        | VacuumPlan,
        *,
        fn: Callable[..., Any] | None = None,
        data: Any = None,
        workers: int | None = None,
        max_bandwidth: int | str | None = None,
        max_requests: float | None = None,
        progress: bool = True,
        message: str | None = None,
    ) -> Backfill | Commit | CompactReport | MoveReport | RestoreReport | VacuumReport:
        """Carry out exactly what a plan says.

        Partitions of a tiering or compaction plan that were rewritten since are skipped and reported; those of a
        backfill plan make it fail with a conflict, as do those of a rollback or a change of rows, and a partition
        committed since that a plan to alter or repartition does not know. ``fn`` is the producer of a backfill plan
        that was made with a function which cannot be imported by name; ``data`` are the rows of an upsert whose plan
        was made for a stream; ``message`` is kept with the commit of a rollback, a publication, a compaction or a
        change of rows. ``workers`` are orders or files worked on side by side: one by default, eight where files are
        moved. ``max_bandwidth`` and ``max_requests`` are limits of a move, as :meth:`Asset.demote` says.

        A move or compaction that fails in a later group of partitions leaves the earlier ones done, and says so in a
        note of the error; ``error.context["report"]`` is the report of those.
        """
        limits = MoveLimits.given(workers, max_bandwidth, max_requests)
        if not isinstance(plan, TieringPlan) and (max_bandwidth, max_requests) != (None, None):
            raise InvalidInputError("max_bandwidth and max_requests are limits of moves, and this plan moves nothing.")
        at_once = 1 if workers is None else workers
        match plan:
            case TieringPlan():
                with move_bar(plan, shown=progress) as on_progress:
                    return apply_moves(self._home.context, plan, on_progress=on_progress, limits=limits)
            case BackfillPlan():
                handle = Backfill(self._home, plan.name, selection_of)
                with backfill_bar(plan.name, shown=progress) as on_progress:
                    backfills.start_backfill(
                        self._home, plan, fn, workers=at_once, on_progress=on_progress, select=selection_of
                    )
                return handle._settled()
            case CompactPlan():
                with compact_bar(plan, shown=progress) as on_progress:
                    return apply_compact(self._home, plan, on_progress=on_progress, workers=at_once, message=message)
            case RestorePlan():
                return apply_restore(self._home, plan)
            case VacuumPlan():
                return self._vacuum(plan, progress=progress)
            case AlterPlan():
                return apply_alter(self._home, plan)
            case RepartitionPlan():
                return apply_repartition(self._home, plan)
            case PublishPlan():
                return apply_publish(self._home.context, plan, message=message)
            case DeletePlan() | DropPlan() | UpsertPlan():
                return apply_row_plan(self._home, plan, data=data, message=message)
            case RollbackPlan():
                return apply_rollback(self._home.context, self._home.view, plan, message=message)
            case _:
                raise InvalidInputError(
                    f"{plan!r} is not a plan.", hint="plans come from the verbs that begin with plan_."
                )

    def _vacuum(self, plan: VacuumPlan, *, progress: bool) -> VacuumReport:
        with vacuum_bar(plan, shown=progress) as on_progress:
            return apply_vacuum(self._home.context, plan, on_progress=on_progress)

    # Care

    def check(self, *, checksums: bool = False, footers: bool = False, fix: bool = False) -> list[Finding]:
        """Compare the catalog with what is stored, both ways; no findings means all is well.

        Parameters
        ----------
        checksums
            Whether to read every byte and compare checksums, not only existence and size; of manifests and tags, too.
        footers
            Whether to read what each file says of itself at its end: rows, row groups, columns. With ``checksums``
            that is done anyway.
        fix
            Whether to mend what is safe to mend, too; ``fixed`` says of each finding whether it was.

        Returns
        -------
        Findings with ``kind``, ``severity`` (``"damage"``: data is lost or changed; ``"leftover"``: harmless, vacuum
        or the next run clears it), what it concerns, a sentence, and ``fixed``.

        Raises
        ------
        CatalogError
            The catalog itself cannot be read.

        Notes
        -----
        Costs a walk over the tiers and a pass over the catalog; with ``footers`` a small read of each file, eight side
        by side. What others commit, move or vacuum meanwhile is no finding.
        """
        findings = check_lake(self._home.context, checksums=checksums, footers=footers)
        return mend(self._home.context, findings) if fix else findings

    def doctor(self) -> list[Diagnosis]:
        """Look for what will make trouble with this lake and machine; see :func:`lakepart.doctor`."""
        return examine_lake(self._home.context)

    def close(self) -> None:
        """Let go of the catalog's connections."""
        self._home.context.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return lake_html(self._describe(), self.status())


def create(
    url: str | os.PathLike[str],
    *,
    catalog: Location | None = None,
    tiers: Sequence[Tier] | None = None,
    storage_options: Mapping[str, Any] | None = None,
    credentials: Callable[[str], Mapping[str, Any]] | str | None = None,
) -> Lake:
    """Make a lake and open it.

    Parameters
    ----------
    url
        A folder (made if absent), or an fsspec URL, which needs ``catalog``.
    catalog
        ``sqlite:////path/to/catalog.db`` or ``postgresql://user@host/database?schema=lakepart``; by default
        ``catalog.db`` in the folder. For PostgreSQL also SQLAlchemy's engine, or a function that gives a new psycopg
        connection at each call. Passwords are never stored.
    tiers
        Hottest first; ``hot`` and ``cold`` folders inside the lake by default.
    storage_options, credentials
        As for :func:`connect`; never stored.

    Raises
    ------
    AlreadyExistsError
        There is a lake already.
    InvalidInputError
        A URL without a catalog, tiers whose folders nest, or a catalog that is not supported.
    StorageError
        The place is a file, or not writable; a bucket is not there; or the store of the lake's own folder overwrites
        (``unsupported``).

    Warns
    -----
    StoreWarning
        A store promises less than a lake wants; the message says what.

    Notes
    -----
    A place in S3 is tried out by an object that is deleted again: some ten requests. So are tiers elsewhere.
    """
    records = [TierRecord(tier.name, str(tier.root), tier.storage_class, rank) for rank, tier in enumerate(tiers or ())]
    context = create_lake(
        absolute_address(os.fspath(url)),
        catalog=absolute_catalog(catalog),
        tiers=records or None,
        storage_options=storage_options,
        credentials=credentials,
    )
    return Lake(Home(context))


def connect(
    url: str | os.PathLike[str] | None = None,
    *,
    catalog: Location | None = None,
    read_only: bool = False,
    storage_options: Mapping[str, Any] | None = None,
    credentials: Callable[[str], Mapping[str, Any]] | str | None = None,
) -> Lake:
    """Open a lake.

    Parameters
    ----------
    url
        Its folder or URL; the environment variable ``LAKEPART_URL`` by default.
    catalog
        As for :func:`create`; ``LAKEPART_CATALOG`` by default.
    read_only
        Whether every verb that would change the lake is refused.
    storage_options
        For the stores that are not local folders, in the convention of their fsspec drivers: credentials, endpoint and
        so on; never stored. Of S3, what is left out comes from ``fsspec.config``, the environment, ``~/.aws`` or the
        machine's role.
    credentials
        A function that gives the credentials of a tier, asked by its name, and of the lake's own folder, asked as
        ``"_lakepart"``; or the name of such a function, ``"module:function"``, which goes along to other processes;
        ``LAKEPART_CREDENTIALS`` by default. It gives a mapping that goes before ``storage_options``: ``key``,
        ``secret``, ``token``, perhaps ``expires_at`` (an aware datetime), and ``endpoint_url``, ``region`` and other
        options of where the tier is. In S3 it is asked again before the credentials expire, and once more when the
        server says that they have; elsewhere once, here. May be called by several threads at once.

    Raises
    ------
    LakeNotFoundError
        There is none: a typing error never makes an empty lake.
    CatalogError
        The catalog is not one, is of another lake, was made by a newer lakepart, or (in PostgreSQL) has to be migrated.
    """
    chosen = url if url is not None else os.environ.get("LAKEPART_URL")
    if chosen is None:
        raise InvalidInputError("connect() was given no address.", hint="pass one, or set LAKEPART_URL.")
    context = open_lake(
        absolute_address(os.fspath(chosen)),
        catalog=absolute_catalog(catalog or os.environ.get("LAKEPART_CATALOG")),
        read_only=read_only,
        storage_options=storage_options,
        credentials=credentials,
    )
    return Lake(Home(context))
