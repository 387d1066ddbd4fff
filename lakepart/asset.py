"""Assets: one logical dataset, however many partitions and files it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, SupportsIndex

import pyarrow as pa

from lakepart.declaration import Declaration
from lakepart.engine import dynamic_keys
from lakepart.engine.commit import Details, write_frame, write_keyed, write_partitions
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.idempotency import once
from lakepart.engine.pieces import pairs_or_rows
from lakepart.engine.schemas import stored_schema
from lakepart.engine.status import as_of_now
from lakepart.engine.upsert import plan_upsert, upsert
from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, PartitionNotFoundError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.intervals import IntegerArray
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of
from lakepart.model.policies import check_age
from lakepart.model.records import Commit, RowChanges
from lakepart.model.row_plans import UpsertPlan
from lakepart.model.selectors import select, select_text
from lakepart.parquet.schemas import plain
from lakepart.selection import PartitionVerbs, Selection


class Asset(Declaration):
    """One logical dataset of a lake, cut into partitions.

    Every verb of a selection works on the asset too and means its committed partitions; ``asset[...]`` selects some:

    * ``asset["2013-01-05"]`` a key, or all windows that start in ``"2013-01"`` or ``"2013"``;
    * ``asset["2013-01":"2013-03"]`` a range with both ends included; an open end means what is committed;
    * ``asset[["UA", "AA"]]`` several;
    * ``asset["2013-01":, "UA"]`` or ``asset[{"carrier": ["UA"]}]`` where it is cut in several dimensions.

    Attributes
    ----------
    name
        Its name in the lake.
    """

    def __init__(self, home: Home, name: str) -> None:
        definition = home.record(name).partitions
        super().__init__(home, name, PartitionSet.everything(definition), explicit=False)
        self.name = name

    def __getitem__(self, item: Any) -> Selection:
        try:
            partitions, explicit = select(self.partitions, item)
        except PartitionKeyError:  # perhaps of a definition that somebody has extended since
            known = self.partitions
            self._record()
            if self.partitions == known:
                raise
            partitions, explicit = select(self.partitions, item)
        return self._select(partitions, explicit=explicit)

    def select(self, text: str) -> Selection:
        """Select the partitions that a text names, as the command line does and as logs and plans show it.

        Parameters
        ----------
        text
            Keys, partial dates and ranges ``first..last``, joined by commas; both ends are included, and either may be
            left out. In several dimensions one of these for each, joined by ``|``: ``2013-01..2013-03|UA``,
            ``*|{UA,AA}``. ``*`` is everything. In keys ``%``, ``,``, ``*``, ``|`` and ``..`` are percent-encoded.

        Raises
        ------
        PartitionKeyError
            A label names no partition.
        InvalidInputError
            The text has another form.
        """
        partitions, explicit = select_text(self.partitions, text)
        return self._select(partitions, explicit=explicit)

    def between(self, start: datetime, end: datetime) -> Selection:
        """Select the partitions whose windows start at or after ``start`` and before ``end``, both aware."""
        return self._select(self._partitions.between(start, end))

    def last(self, count: int | timedelta, as_of: datetime | None = None) -> Selection:
        """Select the last partitions that had fully elapsed at ``as_of`` (now by default), there or not.

        Parameters
        ----------
        count
            How many; or how far back: the partitions whose windows ended within that time before ``as_of``.
        as_of
            An aware instant.
        """
        instant = as_of_now(self._home.context, self._home.view, as_of)
        if not isinstance(count, timedelta):
            return self._select(self._partitions.last(count, instant))
        before = self._partitions.elapsed(instant - check_age(count))
        return self._select(self._partitions.elapsed(instant) - before)

    def latest(self, count: int = 1) -> Selection:
        """Select the newest ``count`` committed partitions."""
        if count < 1:
            raise InvalidInputError(f"latest({count}) selects nothing: a count is at least 1.")
        committed = self._committed()
        if not committed:
            raise PartitionNotFoundError(f"Asset {self.name!r} has no committed partition.", hint="write some first.")
        return self._select(committed.last(count))

    def older_than(self, age: timedelta, as_of: datetime | None = None) -> Selection:
        """Select the committed partitions whose windows had ended ``age`` before ``as_of`` (now by default)."""
        instant = as_of_now(self._home.context, self._home.view, as_of) - check_age(age)
        return self._select(self._committed().elapsed(instant))

    def missing(self, as_of: datetime | None = None) -> Selection:
        """Select the partitions that are expected by ``as_of`` (now by default) and not there; fixed at the call."""
        statuses = self._statuses(as_of)
        return self._of_ordinals(statuses.ordinals[statuses.data == "missing"])

    def stale(self, as_of: datetime | None = None) -> Selection:
        """Select the partitions that are stale at ``as_of`` (now by default); fixed at the call.

        The clock matters to what is made from the last partition of an input.
        """
        statuses = self._statuses(as_of)
        return self._of_ordinals(statuses.ordinals[statuses.data == "stale"])

    def failed(self) -> Selection:
        """Select the partitions whose last attempt failed after their content was made; fixed at the call."""
        statuses = self._statuses(None)
        return self._of_ordinals(statuses.ordinals[statuses.work == "failed"])

    def in_tier(self, tier: str) -> Selection:
        """Select the partitions that have files on ``tier``; fixed at the call."""
        names = [known.name for known in self._home.context.tiers]
        if tier not in names:
            raise InvalidInputError(f"The lake has no tier {tier!r}.", hint=f"its tiers are {', '.join(names)}.")
        statuses = self._statuses(None)
        return self._of_ordinals(statuses.ordinals[[tier in tiers for tiers in statuses.tiers]])

    @property
    def schema(self) -> Any:
        """The Arrow schema, declared or fixed by the first write, as it has become; without columns before."""
        home = self._home
        return plain(stored_schema(home.context, self._record()) or pa.schema([]))

    @property
    def description(self) -> str:
        """What its owner says it is."""
        return str(self._record().options.get("description", ""))

    @property
    def sort_by(self) -> tuple[str, ...]:
        """The columns that the rows of each new file are sorted by."""
        return self._record().sort_by

    @property
    def target_file_size(self) -> int | None:
        """Up to how many bytes ``lake.compact()`` merges its small files; None where it leaves them alone."""
        size: int | None = self._record().options.get("target_file_size")
        return size

    def write(
        self,
        data: Any,
        key: Any = None,
        *,
        if_exists: str | None = None,
        on_schema_change: str | None = None,
        inputs: Mapping[str, PartitionVerbs] | None = None,
        code_version: str | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expected: Commit | SupportsIndex | None = None,
        idempotency_key: str | None = None,
    ) -> Commit:
        """Write rows in one commit: to the partitions their ``by`` column names, or as the content of one partition.

        Parameters
        ----------
        data
            A pandas or Polars frame, anything of pyarrow that holds rows, anything with ``__arrow_c_stream__``, an
            iterator of these; or ``{key: frame}`` or an iterator of ``(key, frame)``, where each frame replaces its
            partition. Streams of any length are written in flat memory.
        key
            The one partition whose whole content this is; a row of any other is an error, no rows at all record it
            as known to be empty.
        if_exists
            What to do with a partition that exists: ``"error"``, ``"replace"`` or ``"append"``. By default it is an
            error where rows are routed, and replaced where the partition was named.
        on_schema_change
            What to do with a frame of other columns, instead of what the asset says: ``"error"``, ``"add"`` or
            ``"widen"``, as in :meth:`Lake.asset <lakepart.Lake.asset>`.
        inputs
            What these rows were made from, ``{"name": selection}``: they turn stale when it changes.
        code_version
            Version of the logic that made them.
        message, metadata
            Kept with the commit; ``metadata`` must be JSON.
        expected
            A commit or snapshot this write is based on: ConflictError if a partition has changed since.
        idempotency_key
            What tells this write from every other one to the asset, such as the id of a run. The same key again gives
            the first commit back, and nothing is written, whatever ``data`` is by then.

        Returns
        -------
        The commit: ``snapshot, partitions, rows, bytes, files``.

        Raises
        ------
        AlreadyExistsError
            Partitions exist and ``if_exists`` is ``"error"``; they are named.
        SchemaMismatchError
            The frame does not fit the asset's schema; every column that does not is explained.
        PartitionKeyError
            Rows belong to a partition outside the definition, or to another than ``key``.
        InvalidInputError
            The frame cannot be routed: no rows, no such column, nulls in it, naive timestamps.
        ConflictError
            ``expected`` no longer holds.
        StorageError
            The disk is full or not writable; nothing is changed.

        Notes
        -----
        Costs three small transactions, one synced file a partition (written side by side) and one manifest.
        """
        partitions = self._partitions if key is None else self._one(key)
        details = self._details(partitions, inputs, code_version, message, metadata, expected, idempotency_key)
        return self._write(data, None if key is None else partitions, if_exists, "empty", details, on_schema_change)

    def append(
        self,
        data: Any,
        key: Any = None,
        *,
        on_schema_change: str | None = None,
        inputs: Mapping[str, PartitionVerbs] | None = None,
        code_version: str | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Commit:
        """Add rows to whatever their partitions hold when this commits; parameters and errors as :meth:`write`."""
        partitions = self._partitions if key is None else self._one(key)
        details = self._details(partitions, inputs, code_version, message, metadata, None, idempotency_key)
        return self._write(data, None if key is None else partitions, "append", "keep", details, on_schema_change)

    def upsert(
        self,
        data: Any,
        on: Sequence[str],
        *,
        on_schema_change: str | None = None,
        inputs: Mapping[str, PartitionVerbs] | None = None,
        code_version: str | None = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> RowChanges:
        """Write rows that replace those of the same key, and come new where there is none, in one commit.

        Each row goes to its partition, and its key is looked for **there**: a row that belongs to another partition
        now than it did leaves its old self where it was. Files that hold none of the keys are left as they are, on
        whatever tier; of the others, the rows that stay are written again to the tier where they lay. New rows come
        after those that stay. Afterwards, no key of ``data`` is twice in its partition.

        Parameters
        ----------
        data
            Rows as for :meth:`write`, routed by the column of the definition.
        on
            The columns that make the key. NaN equals NaN and 0.0 equals -0.0; a null is no key.
        on_schema_change, inputs, code_version, message, metadata
            As for :meth:`write`.

        Returns
        -------
        The commit and what it cost: rows updated and inserted, files and rows that were written again, files skipped.

        Raises
        ------
        InvalidInputError
            Rows have the same key (``duplicate-keys``) or none (``null-key``), with examples; ``on`` names no column
            or one that cannot be compared; or the frame cannot be routed.
        ConflictError
            Somebody committed to one of the partitions, or changed the columns, meanwhile; nothing is changed. A
            compaction does not count: what to write again is decided anew, a few times; in a transaction it does, at
            the end of the block.
        OfflineDataError
            Rows of these keys may lie on a tier that is offline; the partitions are named.
        SchemaMismatchError
            The frame does not fit the asset's schema.
        StateError
            The lake is read-only, or of the past.

        Notes
        -----
        In a transaction the rows that the block has written are found, too, and ``message`` and ``metadata`` are
        refused: they are the block's.

        What is decided is what :meth:`plan_upsert` says, in one pass over ``data``, so that a stream will do.
        Holds the keys of ``data``, not its rows. Files that can hold one of them, by their statistics, are read once
        for the key columns; those that do are read and written once more.
        """
        home, record = self._home, self._record()
        details = self._details(self._partitions, inputs, code_version, message, metadata, None, None)
        return upsert(home.context, home.view, record, data, on, details=details, on_schema_change=on_schema_change)

    def plan_upsert(self, data: Any, on: Sequence[str], *, on_schema_change: str | None = None) -> UpsertPlan:
        """Say which rows :meth:`upsert` would replace and which would come new, and what that would cost.

        Parameters
        ----------
        data, on, on_schema_change
            As for :meth:`upsert`. The plan keeps ``data``, to be carried out with; those of a stream, which is read
            here, are given to ``lake.apply(plan, data=…)`` again.

        Raises
        ------
        InvalidInputError, OfflineDataError, SchemaMismatchError
            As for :meth:`upsert`.

        Notes
        -----
        Goes through ``data`` once and holds its keys. Reads the key columns of the files that can hold one of them.
        """
        return plan_upsert(self._home, self._record(), data, on, on_schema_change=on_schema_change)

    def _write(
        self,
        data: Any,
        partition: PartitionSet | None,
        if_exists: str | None,
        no_rows: str,
        details: Details,
        on_schema_change: str | None,
    ) -> Commit:
        """Write rows to one partition, as pairs, or where their column says."""
        home, record = self._home, self._record()

        def write() -> Commit:
            if partition is not None:
                return write_partitions(
                    home.context,
                    home.view,
                    record,
                    partition,
                    data,
                    no_rows=no_rows,
                    if_exists=if_exists or "replace",
                    details=details,
                    on_schema_change=on_schema_change,
                )
            frames, rows = pairs_or_rows(data)
            if frames is not None:
                return write_keyed(
                    home.context,
                    home.view,
                    record,
                    frames,
                    if_exists=if_exists or "replace",
                    details=details,
                    on_schema_change=on_schema_change,
                )
            return write_frame(
                home.context,
                home.view,
                record,
                rows,
                if_exists=if_exists or "error",
                details=details,
                on_schema_change=on_schema_change,
            )

        return once(home.context, details.token, write)

    def _for_writing(self) -> PartitionsDefinition:
        """Give the definition to name partitions with that a write is about to make, new keys included."""
        home = self._home
        if not self.partitions.is_dynamic:
            return self.partitions
        require_writable(home.context, home.view, "write")
        return dynamic_keys.definition_for_writing(home.context, home.view, self._record())

    def _one(self, key: Any) -> PartitionSet:
        partitions, _ = select(self._for_writing(), key)
        if len(partitions) != 1:
            raise InvalidInputError(
                f"{key!r} names {count_of(len(partitions), 'partition')} of {self.name!r}, "
                "and write(frame, key) writes one.",
                hint=f"{self.name}[{key!r}].write(frame) writes them all.",
                code=ErrorCode.INVALID_SELECTION,
            )
        return partitions

    def _of_ordinals(self, ordinals: IntegerArray) -> Selection:
        return self._select(PartitionSet.from_ordinals(self.partitions, ordinals))

    def __repr__(self) -> str:
        return f"<Asset {self._title()}: {self.partitions.describe()}>"
