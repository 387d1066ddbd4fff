"""Cutting an asset otherwise without touching its rows: what every committed partition survives.

Everything is decided when the plan is made, by comparing the two definitions at what is committed, and again under
the lock of the commit for what was committed since.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from lakepart.catalog import campaigns, moves
from lakepart.catalog.committing import commit
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import rename_work, versions_since
from lakepart.catalog.lookups import get_head, get_schema, list_assets, list_branches
from lakepart.catalog.reading import find_version_columns, find_versions
from lakepart.catalog.scopes import EVERY_ORDINAL, Scope
from lakepart.engine.context import View, require_writable
from lakepart.engine.home import Home
from lakepart.engine.manifests import write_manifests
from lakepart.errors import (
    AlreadyExistsError,
    ConflictError,
    ErrorCode,
    InvalidInputError,
    SchemaMismatchError,
    StateError,
)
from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
from lakepart.model.definitions import PartitionsDefinition, Static, definition_from_dict
from lakepart.model.inputs import Input
from lakepart.model.instants import to_microseconds
from lakepart.model.keys import check_key
from lakepart.model.mappings import infer_mapping
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    NewDefinition,
    Redefinition,
)
from lakepart.model.states import BackfillState, TargetState
from lakepart.parquet.schemas import check_partition_column, deserialise
from lakepart.planning.definitions import compare_expected, orphans

OPEN_BACKFILLS = frozenset({BackfillState.RUNNING, BackfillState.CANCELLING})
_OPEN_TARGETS = (TargetState.WAITING, TargetState.RUNNING, TargetState.STAGED)


def plan_alter(
    home: Home,
    asset: AssetRecord,
    partitions: PartitionsDefinition | None,
    options: Mapping[str, Any],
    as_of: datetime,
) -> AlterPlan:
    """Say what would change; reads the catalog and changes nothing."""
    before = asset.partitions
    after = before if partitions is None else partitions.keeping_ordinals_of(before).knowing(asset.keys)
    with home.context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
        refused = _orphaned(connection, asset, before, after)
        if asset.schema_id is not None:
            check_columns(asset.name, after, deserialise(get_schema(connection, asset.schema_id).arrow_schema))
        remarks = broken_mappings(connection, asset, after)
    appearing, vanishing = compare_expected(before, after, to_microseconds(as_of))
    return AlterPlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=snapshot,
        before=asset.definition,
        after=after.to_dict(),
        options_before=asset.options,
        options_after={**asset.options, **options},
        appearing=(appearing.to_text(), len(appearing)),
        vanishing=(vanishing.to_text(), len(vanishing)),
        refused=refused,
        remarks=remarks,
    )


def apply_alter(home: Home, plan: AlterPlan) -> Commit:
    """Carry a plan out in one short transaction, whatever the number of partitions."""
    require_main(home, "alter")
    require_possible(plan)
    context = home.context
    asset = home.record(plan.asset)
    before, after = (replace(asset, definition=one).partitions for one in (plan.before, plan.after))

    def require(connection: Connection) -> None:
        _require_no_orphans(connection, plan, before, after)

    record = commit(
        context.database,
        CommitRequest(
            token=context.new_id(),
            operation="alter",
            changes=(),
            assets=(
                AssetGuard(
                    plan.asset_id,
                    plan.revision,
                    new_definition=NewDefinition(plan.after, plan.options_after, Redefinition.ALTERED),
                ),
            ),
            author=context.author,
            message=f"alter {plan.asset}",
            metadata={"asset": plan.asset},
        ),
        require=require,
    )
    write_manifests(context)
    tell_remarks(plan.remarks)
    return record


def rename_key(home: Home, asset: AssetRecord, old: str, new: str) -> Commit:
    """Call one partition otherwise; its files stay where they are."""
    require_main(home, "rename a key")
    context = home.context
    before = asset.partitions
    after = _renamed(asset.name, before, old, new)
    ordinal = before.ordinal_at(before.position_of(old))
    with context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
        found = find_versions(connection, View().scope(asset), [(ordinal, ordinal)])
        remarks = broken_mappings(connection, asset, after)
    changes = [
        Change(
            asset_id=asset.asset_id,
            key=new,
            ordinal=ordinal,
            kind=ChangeKind.REINSTATE,
            source_version_id=version.version_id,
            expected=version.content_id,
        )
        for version in found
    ]

    def require(connection: Connection) -> None:
        _require_nobody_at_work(connection, asset, ordinal, old)
        if not found and any(at == ordinal for _, at, _ in versions_since(connection, asset.asset_id, snapshot)):
            raise _committed_meanwhile(asset.name, [old])
        rename_work(connection, asset.asset_id, ordinal, new)

    record = commit(
        context.database,
        CommitRequest(
            token=context.new_id(),
            operation="rename-key",
            changes=tuple(changes),
            assets=(
                AssetGuard(
                    asset.asset_id,
                    asset.revision,
                    new_definition=NewDefinition(after.to_dict(), asset.options, Redefinition.RENAMED),
                ),
            ),
            author=context.author,
            message=f"rename {old} to {new}",
            metadata={"asset": asset.name, "from": old, "to": new},
        ),
        require=require,
    )
    write_manifests(context)
    tell_remarks(remarks)
    return record


def require_main(home: Home, verb: str) -> None:
    """Refuse to cut an asset otherwise anywhere but on main: a definition is the lake's, not a branch's."""
    require_writable(home.context, home.view, verb)
    if home.view.branch.branch_id != MAIN_BRANCH_ID:
        raise StateError(
            f"A branch cannot {verb}: how an asset is cut is the same on all branches.",
            hint="do it on the lake itself.",
            context={"branch": home.view.branch.name},
        )


def require_possible(plan: AlterPlan | RepartitionPlan) -> None:
    """Refuse a plan that changes nothing, or that says itself why it cannot be carried out."""
    if plan.is_empty:
        raise StateError(str(plan), hint="name something that changes.")
    if plan.refused:
        raise StateError(
            f"Asset {plan.asset!r} cannot be cut as {definition_from_dict(plan.after)!r}: {'; '.join(plan.refused)}.",
            hint="repartition(new_definition) writes the rows anew." if isinstance(plan, AlterPlan) else None,
            code=ErrorCode.WOULD_ORPHAN if isinstance(plan, AlterPlan) else ErrorCode.STATE,
            context={"asset": plan.asset, "refused": list(plan.refused)},
        )


def broken_mappings(connection: Connection, asset: AssetRecord, after: PartitionsDefinition) -> tuple[str, ...]:
    """Say of each registered producer whose partitions could no longer be mapped what is wrong with it."""
    definitions = {one.name: one.partitions for one in list_assets(connection)}
    definitions[asset.name] = after
    remarks = []
    for made in list_assets(connection):
        for recorded in made.producer.inputs.values() if made.producer else ():
            upstream = Input.from_recorded(recorded)
            if asset.name in {made.name, upstream.asset} and upstream.asset in definitions:
                here, there = definitions[made.name], definitions[upstream.asset]
                try:
                    (upstream.mapping or infer_mapping(here, there)).check(here, there)
                except InvalidInputError as error:
                    text = f"the producer of {made.name!r} can no longer read {upstream.asset!r}: {error.message}"
                    remarks.append(text)
    return tuple(remarks)


def check_columns(asset: str, after: PartitionsDefinition, schema: pa.Schema) -> None:
    """Refuse a definition that the columns an asset has do not allow.

    Raises
    ------
    InvalidInputError
        Its ``by`` is no column, or one of another type.
    SchemaMismatchError
        Its dimension is called as a column is.
    """
    check_partition_column(after, schema)
    for one in after.dimensions:
        if one.dimension in schema.names and one.dimension != one.by:
            raise SchemaMismatchError(
                f"{asset!r} has a column {one.dimension!r}, and that is what its partition key would be called.",
                hint="choose another name for the dimension.",
                context={"column": one.dimension},
            )


def tell_remarks(remarks: Sequence[str]) -> None:
    """Warn of what a change left to do."""
    for remark in remarks:
        warnings.warn(remark, RuntimeWarning, stacklevel=4)


def _orphaned(
    connection: Connection, asset: AssetRecord, before: PartitionsDefinition, after: PartitionsDefinition
) -> tuple[str, ...]:
    """Say, for main and each open branch, which committed partitions would be none of ``after``."""
    refused = []
    for branch in list_branches(connection):
        found = find_version_columns(
            connection, Scope(asset.asset_id, branch), [EVERY_ORDINAL], ("ordinal", "key", "content_id")
        )
        lost = orphans(before, after, found["ordinal"], found["key"])
        if lost:
            refused.append(
                f"it would orphan {count_of(len(lost), 'partition')} with data on {branch.name} ({list_some(lost)})"
            )
        elif found["key"] and before.columns != after.columns:
            refused.append(
                f"by changes from {_said(before)} to {_said(after)}, and {count_of(len(found['key']), 'partition')} on "
                f"{branch.name} {'has' if len(found['key']) == 1 else 'have'} data ({list_some(found['key'])})"
            )
    return tuple(refused)


def _said(definition: PartitionsDefinition) -> str:
    return " and ".join(map(repr, definition.columns)) or "None"


def _require_no_orphans(
    connection: Connection, plan: AlterPlan, before: PartitionsDefinition, after: PartitionsDefinition
) -> None:
    """Look at what was committed after the plan was made: the lock is held, so keep it to that."""
    since = versions_since(connection, plan.asset_id, plan.snapshot)
    lost = orphans(before, after, [ordinal for _, ordinal, _ in since], [key for _, _, key in since])
    if before.columns != after.columns:
        lost = [key for _, _, key in since]
    if lost:
        raise _committed_meanwhile(plan.asset, lost)


def _committed_meanwhile(asset: str, keys: Sequence[str]) -> ConflictError:
    return ConflictError(
        f"Somebody committed {count_of(len(keys), 'partition')} of {asset!r} after this was planned: "
        f"{list_some(keys)}. Nothing was changed.",
        hint="plan again.",
        context={"asset": asset, "conflicts": [{"asset": asset, "key": key} for key in keys]},
    )


def _renamed(asset: str, definition: PartitionsDefinition, old: str, new: str) -> PartitionsDefinition:
    if not isinstance(definition, Static):
        raise InvalidInputError(
            f"The keys of {asset!r} cannot be renamed: it is cut as {definition!r}, and only listed keys are names.",
            hint="keys of time say which window they mean.",
            code=ErrorCode.UNSUPPORTED,
        )
    position = definition.position_of(old)
    if check_key(new) in definition.keys:
        raise AlreadyExistsError(
            f"Key {old!r} of {asset!r} cannot be renamed to {new!r}: there is a partition of that name.",
            hint="choose another name.",
            context={"asset": asset, "key": new},
        )
    keys = [new if index == position else key for index, key in enumerate(definition.keys)]
    return Static(keys, by=definition.by, dimension=definition.dimension)


def _require_nobody_at_work(connection: Connection, asset: AssetRecord, ordinal: int, key: str) -> None:
    """Refuse while a backfill, a move or a branch knows the partition by its old name."""
    holders = [
        f"backfill {backfill.name!r}"
        for backfill in campaigns.list_backfills(connection, asset_id=asset.asset_id)
        if backfill.state in OPEN_BACKFILLS
        and any(
            target.ordinal == ordinal
            for target in campaigns.list_targets(connection, backfill.backfill_id, states=_OPEN_TARGETS)
        )
    ]
    holders += [
        f"a move to {move.to_tier!r}"
        for move in moves.open_moves(connection, asset_id=asset.asset_id)
        if move.ordinal == ordinal
    ]
    holders += [
        f"branch {branch.name!r}"
        for branch in list_branches(connection)
        if branch.branch_id != MAIN_BRANCH_ID
        and find_versions(connection, Scope(asset.asset_id, branch), [(ordinal, ordinal)])
    ]
    if holders:
        raise StateError(
            f"Partition {key!r} of {asset.name!r} cannot be renamed: {list_some(holders)} "
            f"{'has' if len(holders) == 1 else 'have'} it open.",
            hint="wait for it, or end it; a branch is published or discarded.",
            context={"asset": asset.name, "key": key, "holders": holders},
        )
