"""What an asset is declared to be, and how that changes: options, columns, partitions, keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from lakepart.engine import dynamic_keys
from lakepart.engine.alter import apply_alter, plan_alter
from lakepart.engine.rename_key import rename_key
from lakepart.engine.repartition import apply_repartition, plan_repartition
from lakepart.engine.status import as_of_now
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
from lakepart.model.definitions import PartitionsDefinition, check_definition
from lakepart.model.names import names_in
from lakepart.model.policies import SHORTEST_RETENTION, to_duration
from lakepart.model.records import Commit
from lakepart.model.sizes import parse_size
from lakepart.parquet.evolution import SchemaChange
from lakepart.parquet.merging import check_on_schema_change
from lakepart.selection import PartitionVerbs


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


class Declaration(PartitionVerbs):
    """An asset as far as it can be declared otherwise."""

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
