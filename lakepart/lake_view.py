"""What can be asked of a lake in any view of it: now, in the past, on a branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

import pyarrow as pa

from lakepart.asset import Asset
from lakepart.catalog.declaring import declare_asset, register_producer
from lakepart.declaration import declared_options
from lakepart.engine import history as histories
from lakepart.engine import overview
from lakepart.engine import rollback as rollbacks
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.inputs import choose_inputs, remember_functions
from lakepart.engine.redefining import check_columns
from lakepart.engine.schemas import stored_schema
from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError
from lakepart.model.definition_differences import listed_differences
from lakepart.model.definitions import PartitionsDefinition, check_definition
from lakepart.model.names import check_asset_name
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import Commit
from lakepart.model.version_plans import RollbackPlan
from lakepart.parquet.evolution import check_schema, describe_difference
from lakepart.parquet.schemas import serialise
from lakepart.parquet.sorting import check_sort_columns
from lakepart.producers import Producer

if TYPE_CHECKING:
    import pandas as pd


def _require_schema(name: str, stored: pa.Schema | None, declared: pa.Schema) -> None:
    differences = describe_difference(stored, declared)
    if differences:
        raise AlreadyExistsError(
            f"Asset {name!r} has another schema: {'; '.join(differences)}.",
            hint="leave the schema out to use the asset as it is, or change it with asset.alter(…).",
            code=ErrorCode.SCHEMA_MISMATCH,
            context={"asset": name, "differences": differences},
        )


class LakeView:
    """A lake as seen now, at a snapshot, or on a branch; thread-safe, and pickles as its address and view."""

    def __init__(self, home: Home) -> None:
        self._home = home

    @property
    def url(self) -> str:
        """Where the lake is; secrets in the address are left out."""
        return self._home.context.address

    def asset(
        self,
        name: str,
        *,
        partitions: PartitionsDefinition | None = None,
        complete_after: timedelta | None = None,
        description: str | None = None,
        schema: pa.Schema | Mapping[str, pa.DataType] | None = None,
        on_schema_change: str | None = None,
        sort_by: Sequence[str] | None = None,
        target_file_size: int | str | None = None,
        retention: timedelta | str | None = None,
    ) -> Asset:
        """Open an asset; with ``partitions``, declare it first. The same declaration again changes nothing.

        Parameters
        ----------
        name
            ``flights`` or ``sales/orders``: 1 to 8 segments of ``[A-Za-z0-9_.-]``, at most 64 characters each.
        partitions
            How it is cut, for example ``Daily("2013-01-01", by="time_hour", tz="America/New_York")``.
        complete_after
            How long after a window's end its data may still arrive: what is written earlier is stale (``early``).
        description
            For people.
        schema
            Its columns; fixed by the first write where this is left out. A column declared with ``nullable=False``
            holds no nulls; other columns, and everything inside nested ones, may.
        on_schema_change
            What a write does with a frame whose columns differ: ``"error"`` (the default) refuses it; ``"add"`` adds
            columns that are new, and leaves those that the frame lacks null; ``"widen"`` does that too, and lets
            columns grow to a type that holds both.
        sort_by
            Columns by which the rows of each new file are sorted, ascending and nulls last: a filter on the first of
            them reads less then. Rows come back in that order, not in the one they were written in.
        target_file_size
            Bytes, or text such as ``"128 MB"``: up to which size ``lake.compact()`` merges the small files of this
            asset; it leaves those of other assets alone.
        retention
            How long vacuum keeps replaced versions of this asset, whatever it is told of others: an hour or more, or
            text such as ``"30d"``.

        Raises
        ------
        AssetNotFoundError
            No such asset, and no ``partitions`` to declare it with; close names are suggested.
        AlreadyExistsError
            It was declared otherwise; both declarations are shown.
        """
        given = declared_options(complete_after, description, on_schema_change, sort_by, target_file_size, retention)
        options = {name: value for name, value in given.items() if value is not None}
        if partitions is not None:
            self._declare(check_asset_name(name), partitions, options, schema)
        elif given or schema is not None:
            raise InvalidInputError(
                f"Asset {name!r} is opened with options that only a declaration takes.", hint="give partitions=… too."
            )
        return Asset(self._home, name)

    def _declare(
        self, name: str, partitions: PartitionsDefinition, options: Mapping[str, Any], schema: Any = None
    ) -> None:
        check_definition(partitions)
        home = self._home
        require_writable(home.context, home.view, "declare an asset")
        declared = None if schema is None else check_schema(schema)
        if declared is not None:
            check_columns(name, partitions, declared)
            check_sort_columns(options.get("sort_by", ()), declared)
        arrow_schema = None if declared is None else serialise(declared)
        try:
            record = declare_asset(home.context.database, name, partitions.to_dict(), options, arrow_schema)
        except AlreadyExistsError as error:
            found = home.record(name)
            raise AlreadyExistsError(
                f"Asset {name!r} was declared as {found.partitions!r} with options "
                f"{dict(found.options)}, not as {partitions!r} with {dict(options)}"
                f"{''.join(f'; {one}' for one in listed_differences(found.partitions, partitions))}.",
                hint=error.hint,
                code=error.code,
                context=error.context,
            ) from error
        if declared is not None:
            _require_schema(name, stored_schema(home.context, record), declared)

    def assets(self) -> list[Asset]:
        """Give every asset, by name."""
        return [Asset(self._home, name) for name in overview.asset_names(self._home.context)]

    def register(self, producer: Producer) -> Asset:
        """Register a producer: declare its asset where it is not yet, and remember inputs and code version.

        What an older code version made is stale from now on. The function itself stays with this handle.

        Raises
        ------
        AssetNotFoundError
            An input is not declared.
        InvalidInputError
            The mapping of an input does not fit the two definitions, or none was given and they suggest none.
        """
        if not isinstance(producer, Producer):
            raise InvalidInputError(
                f"{producer!r} is not a producer.", hint='decorate the function: @lakepart.producer("asset", …).'
            )
        home = self._home
        require_writable(home.context, home.view, "register a producer")
        asset = self._asset_of(producer)
        record = home.record(producer.asset)
        with home.context.database.reading() as connection:
            inputs = choose_inputs(connection, home.view.look(connection), record, producer.inputs)
        register_producer(home.context.database, record.asset_id, producer.record)
        home.functions[producer.asset] = producer.function
        remember_functions(home, inputs)
        return asset

    def _asset_of(self, producer: Producer) -> Asset:
        """Open the producer's asset, declared as it is or now; other options than its own are nobody's mistake."""
        if producer.partitions is not None:
            declared = overview.find_options(self._home.context, producer.asset)
            self._declare(check_asset_name(producer.asset), producer.partitions, declared)
        return self.asset(producer.asset)

    def at(self, when: SupportsIndex | str | datetime) -> LakeView:
        """Give a read-only view of the lake at a snapshot number, at the last snapshot before an instant, or at a tag.

        Raises
        ------
        SnapshotNotFoundError
            There is no such snapshot, another branch made it, or vacuum has forgotten what it showed.
        NotFoundError
            There is no tag of that name; close ones are suggested.
        """
        return LakeView(self._home.at(when))

    def snapshots(self, limit: int | None = None) -> pd.DataFrame:
        """Give the commits that this view sees, newest first: number, time, operation, author, message, sizes."""
        return histories.snapshots_frame(self._home.context, self._home.view, after=-1, limit=limit)

    def history(self, limit: int = 100) -> pd.DataFrame:
        """Give what the newest ``limit`` commits did to each asset, newest first; :meth:`Asset.history` has partitions.

        Returns
        -------
        A frame with ``snapshot, at, operation, author, message, asset, partitions, rows_before, rows_after,
        bytes_before, bytes_after, metadata``. Versions that vacuum has forgotten are not counted; on a branch,
        before is what the branch itself had written.
        """
        return histories.lake_history_frame(self._home.context, self._home.view, limit)

    def changes(self, since: SupportsIndex) -> pd.DataFrame:
        """Give the commits after snapshot ``since``, newest first."""
        return histories.snapshots_frame(self._home.context, self._home.view, after=index(since), limit=None)

    def plan_rollback(
        self,
        to: SupportsIndex | str | datetime | None = None,
        *,
        commit: Commit | SupportsIndex | None = None,
        on_conflict: str = "fail",
    ) -> RollbackPlan:
        """Say which partitions of which assets :meth:`rollback` would give which older contents."""
        home = self._home
        if (to is None) == (commit is None):
            raise InvalidInputError(
                "A rollback goes to a snapshot or undoes one commit.", hint="rollback(to=12), or rollback(commit=17)."
            )
        if commit is not None:
            number = commit.snapshot if isinstance(commit, Commit) else index(commit)
            return rollbacks.plan_undo(home.context, home.view, number, on_conflict=on_conflict)
        records = [home.record(name) for name in overview.asset_names(home.context)]
        whole = [(record, PartitionSet.everything(record.partitions)) for record in records]
        then = index(to) if isinstance(to, SupportsIndex) else home.at(to or "").view.snapshot
        return rollbacks.plan_rollback(home.context, home.view, whole, to=then or 0)

    def rollback(
        self,
        to: SupportsIndex | str | datetime | None = None,
        *,
        commit: Commit | SupportsIndex | None = None,
        on_conflict: str = "fail",
        message: str | None = None,
    ) -> Commit:
        """Make older contents of every asset current again, as a new snapshot.

        Parameters
        ----------
        to
            A snapshot number, an instant or a tag: everything becomes as it was then.
        commit
            Instead, one commit to undo: exactly the partitions it changed become as they were before it.
        on_conflict
            What to do where others have changed partitions of ``commit`` since: ``"fail"``, or ``"skip"`` those.
        message
            Kept with the new commit.

        Raises
        ------
        ConflictError
            Others have changed partitions of ``commit`` since, or commit to any of these meanwhile; they are named.
        StateError
            Nothing is left to roll back; the commit is one of another branch, or changed how an asset is cut.
        SnapshotNotFoundError
            There is no such snapshot, or vacuum has forgotten what would have to come back.
        """
        plan = self.plan_rollback(to, commit=commit, on_conflict=on_conflict)
        return rollbacks.apply_rollback(self._home.context, self._home.view, plan, message=message)

    def status(self, as_of: datetime | None = None) -> pd.DataFrame:
        """Give one row per asset: ``asset, fresh, stale, empty, missing, failed, running`` partitions, rows, bytes.

        Partitions are expected up to ``as_of`` (now by default).
        """
        return overview.lake_status(self._home, as_of)

    def tier_report(self) -> pd.DataFrame:
        """Give partitions, files, rows and bytes per asset and tier."""
        return overview.tier_report(self._home)

    def _describe(self) -> str:
        view = self._home.view
        where = "" if view.branch.name == "main" else f" branch {view.branch.name}"
        when = "" if view.snapshot is None else f" at snapshot {view.snapshot}"
        return f"{self.url}{where}{when}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._describe()}>"
