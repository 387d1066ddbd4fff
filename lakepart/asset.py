"""Assets: one logical dataset, however many partitions and files it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, SupportsIndex

import pyarrow as pa

from lakepart.engine import dynamic_keys
from lakepart.engine.alter import apply_alter, plan_alter
from lakepart.engine.commit import Details, write_frame, write_keyed, write_partitions
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.idempotency import once
from lakepart.engine.pieces import pairs_or_rows
from lakepart.engine.rename_key import rename_key
from lakepart.engine.repartition import apply_repartition, plan_repartition
from lakepart.engine.schemas import stored_schema
from lakepart.engine.status import as_of_now
from lakepart.engine.upsert import plan_upsert, upsert
from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, PartitionNotFoundError
from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
from lakepart.model.definitions import PartitionsDefinition, check_definition
from lakepart.model.intervals import IntegerArray
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of
from lakepart.model.policies import SHORTEST_RETENTION, check_age, to_duration
from lakepart.model.records import Commit, RowChanges
from lakepart.model.row_plans import UpsertPlan
from lakepart.model.selectors import select, select_text
from lakepart.model.sizes import parse_size
from lakepart.parquet.evolution import SchemaChange
from lakepart.parquet.merging import check_on_schema_change
from lakepart.parquet.schemas import plain
from lakepart.selection import PartitionVerbs, Selection, names_in


def declared_options(
    complete_after: timedelta | None,
    description: str | None,
    on_schema_change: str | None,
    sort_by: Sequence[str] | None,
    target_file_size: int | str | None,
    retention: timedelta | str | None,
) -> dict[str, Any]:
    """Give the options of a declaration as the catalog keeps them; those that were left out are not there.

    None stands for an option that is to be there no longer: an empty ``sort_by``, a ``target_file_size`` of 0, the
    ``retention`` ``"default"``.

    Raises
    ------
    InvalidInputError
        ``complete_after`` is no span of time or a negative one, ``description`` is no text, ``on_schema_change`` is
        none of its values, ``sort_by`` lists no names, ``target_file_size`` is no size, or ``retention`` is shorter
        than an hour.
    """
    options: dict[str, Any] = {}
    if complete_after is not None:
        if not isinstance(complete_after, timedelta) or complete_after < timedelta():
            raise InvalidInputError(
                f"complete_after={complete_after!r} is no timedelta of zero or more: it says how long after the end of "
                "a window data may still arrive.",
                hint="for example timedelta(hours=6).",
            )
        options["complete_after_us"] = complete_after // timedelta(microseconds=1)
    if description is not None:
        if not isinstance(description, str):
            raise InvalidInputError(f"description={description!r} is no text.")
        options["description"] = description
    if on_schema_change is not None:
        options["on_schema_change"] = check_on_schema_change(on_schema_change)
    if sort_by is not None:
        options["sort_by"] = list(names_in(sort_by)) or None
    if target_file_size is not None:
        none = type(target_file_size) is int and target_file_size == 0
        options["target_file_size"] = None if none else parse_size(target_file_size, "target_file_size")
    if retention is not None:
        options["retention_us"] = _retention_us(retention)
    return options


def _retention_us(retention: timedelta | str) -> int | None:
    """Give how long replaced versions are kept; None takes an asset's own retention back."""
    if retention == "default":
        return None
    age = to_duration("retention", retention)
    if age < SHORTEST_RETENTION:
        raise InvalidInputError(
            f"retention={retention!r} is below the safe minimum of {SHORTEST_RETENTION}: what a mistake has replaced "
            "could not be got back.",
            hint='for example "30d"; vacuum(retention="0h", force=True) forgets versions of assets without one.',
            code=ErrorCode.BELOW_SAFE_MINIMUM,
        )
    return age // timedelta(microseconds=1)


class Asset(PartitionVerbs):
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
            Somebody committed to one of the partitions, or changed the columns, meanwhile; nothing is changed.
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

    # Cutting it otherwise

    def plan_alter(
        self,
        *,
        partitions: PartitionsDefinition | None = None,
        complete_after: timedelta | None = None,
        description: str | None = None,
        on_schema_change: str | None = None,
        sort_by: Sequence[str] | None = None,
        target_file_size: int | str | None = None,
        retention: timedelta | str | None = None,
        add: Mapping[str, pa.DataType] | None = None,
        drop: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        widen: Mapping[str, pa.DataType] | None = None,
        nullable: Sequence[str] = (),
        order: Sequence[str] = (),
        as_of: datetime | None = None,
    ) -> AlterPlan:
        """Say what :meth:`alter` would change: columns, which partitions come to be expected or go, what is refused.

        Parameters
        ----------
        as_of
            The instant up to which partitions are expected; now by default.

        Raises
        ------
        InvalidInputError
            The asset's columns do not allow the definition, or there is no such column.
        SchemaMismatchError
            A column cannot grow into the type, or the type cannot be stored.
        """
        change = SchemaChange(add or {}, names_in(drop), rename or {}, widen or {}, names_in(nullable), names_in(order))
        if partitions is not None:
            check_definition(partitions)
        home, record = self._home, self._record()
        options = declared_options(complete_after, description, on_schema_change, sort_by, target_file_size, retention)
        return plan_alter(home, record, partitions, options, as_of_now(home.context, home.view, as_of), change)

    def alter(
        self,
        *,
        partitions: PartitionsDefinition | None = None,
        complete_after: timedelta | None = None,
        description: str | None = None,
        on_schema_change: str | None = None,
        sort_by: Sequence[str] | None = None,
        target_file_size: int | str | None = None,
        retention: timedelta | str | None = None,
        add: Mapping[str, pa.DataType] | None = None,
        drop: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
        widen: Mapping[str, pa.DataType] | None = None,
        nullable: Sequence[str] = (),
        order: Sequence[str] = (),
    ) -> Commit:
        """Change how the asset is cut, its columns or its options, without touching its rows.

        Everything that leaves each committed partition what it is may change: an earlier or later ``start``, another
        ``end`` or none, keys added at the end of a list. Columns are known to files by field id: a renamed one keeps
        its values, a dropped one is read no more, and one added under a name that was used before begins empty.
        Snapshots before this one keep the definition and the columns of then. Nothing becomes stale by it.

        Columns are named as they are called before the change; a field inside a struct as ``"address.city"``.

        Parameters
        ----------
        partitions, complete_after, description, on_schema_change, sort_by, target_file_size, retention
            As in :meth:`Lake.asset <lakepart.Lake.asset>`; what is left out stays. An empty ``sort_by``, a
            ``target_file_size`` of 0 and a ``retention`` of ``"default"`` take these options away. Files that are
            there stay as they are.
        add
            New columns and their types: null in everything written so far.
        drop
            Columns that are read no more.
        rename
            New names by old ones. A column by which rows are partitioned is renamed in the definition, too.
        widen
            Columns and the types they grow into: wider integers and floats, decimals of more digits, timestamps
            without a zone instead of dates.
        nullable
            Columns declared without nulls that may hold some from now on.
        order
            Columns that come first from now on, in this order, by their new names.

        Raises
        ------
        SchemaMismatchError
            A column cannot grow into the type, or the type cannot be stored.
        StateError
            Nothing changes; or committed partitions, on main or an open branch, would be none of the new definition
            (``would-orphan``): they are named, and :meth:`repartition` is the way.
        ConflictError
            Somebody committed a partition that would be none of it, or altered the asset, meanwhile.
        InvalidInputError
            The asset's columns do not allow the definition, or there is no such column.

        Notes
        -----
        Planning reads one row for each committed partition; the change itself is one short transaction. Where a
        registered producer could no longer read an input, a RuntimeWarning says so.
        """
        plan = self.plan_alter(
            partitions=partitions,
            complete_after=complete_after,
            description=description,
            on_schema_change=on_schema_change,
            sort_by=sort_by,
            target_file_size=target_file_size,
            retention=retention,
            add=add,
            drop=drop,
            rename=rename,
            widen=widen,
            nullable=nullable,
            order=order,
        )
        commit = apply_alter(self._home, plan)
        self._record()
        return commit

    def rename_key(self, old: str, new: str) -> Commit:
        """Call one partition of a list of keys otherwise; its files stay where they are.

        The partition and its history are found under the new key; views of older snapshots keep the old one. Rows are
        not looked at: where ``by`` says where rows belong, new ones need the new value. Where a registered producer
        could no longer read an input, a RuntimeWarning says so.

        Raises
        ------
        PartitionKeyError
            There is no key ``old``.
        AlreadyExistsError
            There is a key ``new``.
        StateError
            A backfill or a move has the partition open, or an open branch shows it, be it as inherited.
        InvalidInputError
            The asset is not cut by a list of keys.
        ConflictError
            Somebody committed to the partition, or altered the asset, meanwhile.
        """
        commit = rename_key(self._home, self._record(), old, new)
        self._record()
        return commit

    def plan_repartition(self, partitions: PartitionsDefinition) -> RepartitionPlan:
        """Say which rows :meth:`repartition` would move to which partition, and what is refused.

        Notes
        -----
        Reads the column that decides, of every file, and nothing else.
        """
        check_definition(partitions)
        return plan_repartition(self._home, self._record(), partitions)

    def repartition(self, partitions: PartitionsDefinition) -> Commit:
        """Cut the asset otherwise by writing all its rows anew: days to months, hours to days, keys to days, ….

        One commit ends the old partitions and begins the new ones. Snapshots before it keep reading the old files
        under the old definition. What stands for a partition's rows goes with them: when they were made, their code
        version, why they are stale; what they were made from does not, and the plan says so. A new window without
        rows is known to be empty if committed windows cover it whole; anything else without rows is missing.

        Parameters
        ----------
        partitions
            How to cut it; ``by`` names the column that says where each row belongs.

        Raises
        ------
        StateError
            It is cut that way already; rows have no place in the new definition (the plan names partitions and rows);
            or open branches with versions of their own, backfills or moves hold the asset.
        ConflictError
            Somebody committed to the asset after the plan was made; nothing is changed.
        InvalidInputError
            The definition names no column, or the asset's columns do not allow it.

        Notes
        -----
        Reads every row once, after the deciding column for the plan, and writes it to the hottest tier; memory stays
        flat.
        """
        commit = apply_repartition(self._home, self.plan_repartition(partitions))
        self._record()
        return commit

    # Keys of dynamic dimensions

    def add_keys(self, keys: Iterable[str], dimension: str | None = None) -> int:
        """Add keys to a dynamic dimension: they are expected from now on, ``missing`` until they are written.

        Keys belong to the asset, not to a branch or snapshot. Adding one again changes nothing.

        Parameters
        ----------
        keys
            Texts, as many as you like.
        dimension
            Its name, where more than one is dynamic.

        Returns
        -------
        How many were not known before.

        Raises
        ------
        PartitionKeyError
            A key is empty, holds NUL or is no text.
        InvalidInputError
            There is no such dimension, or it has no room for so many keys.

        Notes
        -----
        Costs one transaction of a few statements, whatever the number of keys.
        """
        home = self._home
        return dynamic_keys.add_keys(home.context, home.view, self._record(), keys, dimension)

    def remove_keys(self, keys: Iterable[str], dimension: str | None = None) -> int:
        """Remove keys without data from a dynamic dimension; parameters as :meth:`add_keys`.

        Returns
        -------
        How many were removed.

        Raises
        ------
        PartitionKeyError
            There is no such key.
        StateError
            There are data for a key, on any branch, now or in a snapshot; all such keys are named, none is removed.

        Notes
        -----
        Looks at every version of the asset.
        """
        home = self._home
        return dynamic_keys.remove_keys(home.context, home.view, self._record(), keys, dimension)

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
