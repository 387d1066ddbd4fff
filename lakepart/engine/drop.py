"""Dropping partitions: they become missing, and older snapshots keep them."""

from __future__ import annotations

from lakepart.catalog.committing import commit
from lakepart.engine.conflicts import declared_anew
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.joining import join, require_no_details
from lakepart.engine.manifests import write_manifests
from lakepart.engine.read import ReadOptions, resolve, settle_missing
from lakepart.engine.row_changes import no_changes
from lakepart.engine.staged import StagedWrite
from lakepart.errors import StateError
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetGuard, AssetRecord, Change, ChangeKind, Commit, CommitRequest
from lakepart.model.row_plans import DropPlan


def plan_drop(home: Home, asset: AssetRecord, partitions: PartitionSet, *, explicit: bool, missing: str) -> DropPlan:
    """Say which partitions would become missing; asks the catalog alone."""
    context, view = home.context, home.view
    resolved = resolve(context, view, asset, partitions, explicit=explicit)
    settle_missing(resolved, ReadOptions(missing=missing))
    return DropPlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=resolved.snapshot,
        branch_id=view.branch.branch_id,
        partitions=tuple(
            (one.key, one.ordinal, str(one.content_id), one.row_count, one.size_bytes) for one in resolved.versions
        ),
    )


def apply_drop(home: Home, plan: DropPlan, *, message: str | None = None) -> Commit:
    """Let the partitions become missing in one commit; where none is there, there is nothing to commit.

    Raises
    ------
    ConflictError
        Somebody committed to one of them, or cut the asset otherwise, after the plan was made.
    """
    context, view = home.context, home.view
    require_writable(context, view, "drop partitions")
    if view.branch.branch_id != plan.branch_id:
        raise StateError("This plan was made on another branch.", hint="apply it there, or plan again here.")
    if plan.is_empty:
        return no_changes(context, view, {})
    asset = home.record(plan.asset)
    if asset.revision != plan.revision:
        raise declared_anew(context, plan, "drop")
    changes = tuple(
        Change(asset_id=asset.asset_id, key=key, ordinal=ordinal, kind=ChangeKind.REMOVE, expected=content)
        for key, ordinal, content, *_ in plan.partitions
    )
    if view.transaction is not None:
        require_no_details(message, {})
        join(context, view, asset, changes)
        return StagedWrite(view.transaction, changes)
    record = commit(
        context.database,
        CommitRequest(
            token=context.new_id(),
            operation="drop",
            changes=changes,
            assets=(AssetGuard(asset.asset_id, asset.revision),),
            branch_id=view.branch.branch_id,
            author=context.author,
            message=message,
        ),
    )
    write_manifests(context, record)
    return record
