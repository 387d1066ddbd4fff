"""What every way of cutting an asset otherwise shares: who may, on what terms, and the one commit that does it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import pyarrow as pa

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Connection
from lakepart.catalog.lookups import list_assets
from lakepart.engine.context import LakeContext, require_writable
from lakepart.engine.home import Home
from lakepart.engine.manifests import write_manifests
from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError, StateError
from lakepart.model.definition_plans import AlterPlan, RepartitionPlan
from lakepart.model.definitions import PartitionsDefinition, definition_from_dict
from lakepart.model.inputs import Input
from lakepart.model.mappings import infer_mapping
from lakepart.model.plans import list_some
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetGuard,
    AssetRecord,
    Change,
    Commit,
    CommitRequest,
)
from lakepart.model.states import BackfillState
from lakepart.parquet.schemas import check_partition_column

OPEN_BACKFILLS = frozenset({BackfillState.RUNNING, BackfillState.CANCELLING})


def commit_definition(
    context: LakeContext,
    guard: AssetGuard,
    *,
    operation: str,
    message: str,
    metadata: dict[str, str],
    remarks: Sequence[str],
    require: Callable[[Connection], None],
    changes: Sequence[Change] = (),
    intent_id: str | None = None,
) -> Commit:
    """Publish a new definition, with the versions that change by it, as one snapshot; warn of what it leaves to do."""
    record = commit(
        context.database,
        CommitRequest(
            token=intent_id or context.new_id(),
            operation=operation,
            changes=tuple(changes),
            assets=(guard,),
            intent_id=intent_id,
            author=context.author,
            message=message,
            metadata=metadata,
        ),
        require=require,
    )
    write_manifests(context, record)
    for remark in remarks:
        warnings.warn(remark, RuntimeWarning, stacklevel=4)
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
            hint=_way_out(plan) if isinstance(plan, AlterPlan) else None,
            code=ErrorCode.WOULD_ORPHAN if isinstance(plan, AlterPlan) else ErrorCode.STATE,
            context={"asset": plan.asset, "refused": list(plan.refused)},
        )


def _way_out(plan: AlterPlan) -> str:
    if definition_from_dict(plan.after).is_dynamic:
        return "declare another asset and write the rows to it: nothing is repartitioned to dynamic keys."
    return "repartition(new_definition) writes the rows anew."


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
                    mapping = upstream.mapping or infer_mapping(here, there)
                    mapping.check(here, there)
                except InvalidInputError as error:
                    text = f"the producer of {made.name!r} can no longer read {upstream.asset!r}: {error.message}"
                    remarks.append(text)
                    continue
                if upstream.asset == asset.name and (gone := _no_longer_keys(mapping.named_inputs, asset, after)):
                    text = f"the producer of {made.name!r} reads {list_some(gone)} of {upstream.asset!r} by name"
                    remarks.append(f"{text}, which {'is' if len(gone) == 1 else 'are'} no key any more")
    return tuple(remarks)


def _no_longer_keys(named: Sequence[str], asset: AssetRecord, after: PartitionsDefinition) -> list[str]:
    before = asset.partitions
    return [repr(key) for key in named if before.find_position(key) is not None and after.find_position(key) is None]


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
