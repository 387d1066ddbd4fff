"""Deleting rows by a filter: the plan finds them, and carrying it out writes again what stays of their files."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from lakepart.catalog.committing import commit
from lakepart.catalog.intents import open_intent
from lakepart.catalog.lookups import get_head
from lakepart.engine.commit import make_stager, undone_on_failure
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.manifests import write_manifests
from lakepart.engine.read import ReadOptions, resolve, settle_missing
from lakepart.engine.rewriting import costs, find_matches, require_schema, rewrite
from lakepart.engine.schemas import stored_schema
from lakepart.errors import ConflictError, StateError
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    NewFile,
    RowChanges,
)
from lakepart.model.row_plans import AffectedFile, DeletePlan
from lakepart.parquet.matching import match_filter


def plan_delete(
    home: Home, asset: AssetRecord, partitions: PartitionSet, given: Any, *, explicit: bool, missing: str
) -> DeletePlan:
    """Find the rows that would go; reads the columns of the filter, of files that can hold a match."""
    context, view = home.context, home.view
    if view.transaction is not None:
        require_writable(context, view, "delete rows")
    resolved = resolve(context, view, asset, partitions, explicit=explicit, statistics=True)
    matcher = match_filter(given, resolved.schema)
    settle_missing(resolved, ReadOptions(missing=missing))
    matchers = {version.ordinal: matcher for version in resolved.versions}
    found = find_matches(context, resolved, resolved.schema, matchers)
    gone: dict[int, int] = {}
    for match in found.matches:
        gone[match.ordinal] = gone.get(match.ordinal, 0) + match.rows
    return DeletePlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=resolved.snapshot,
        branch_id=view.branch.branch_id,
        filter=given,
        partitions=tuple(
            (one.key, one.ordinal, str(one.content_id), gone[one.ordinal], one.row_count - gone[one.ordinal])
            for one in resolved.versions
            if one.ordinal in gone
        ),
        affected=tuple(
            AffectedFile(
                one.ordinal, one.file.file_id, one.file.tier, one.file.row_count, one.file.size_bytes, one.rows
            )
            for one in found.matches
        ),
        files_read=found.files_read,
        files_skipped=found.files_skipped,
    )


def apply_delete(home: Home, plan: DeletePlan, *, message: str | None = None) -> RowChanges:
    """Write again what stays, and publish it in one commit; where no row matches, there is nothing to publish."""
    context, view = home.context, home.view
    require_writable(context, view, "delete rows")
    if view.branch.branch_id != plan.branch_id:
        raise StateError("This plan was made on another branch.", hint="apply it there, or plan again here.")
    if plan.is_empty:
        with context.database.reading() as connection:
            head = get_head(connection)
        return RowChanges(head.snapshot, head.at_us, 0, 0, 0, 0, files_skipped=plan.files_read + plan.files_skipped)
    asset = home.record(plan.asset)
    definition = asset.partitions
    chosen = PartitionSet.from_ordinals(definition, [ordinal for _, ordinal, *_ in plan.partitions])
    resolved = resolve(context, view, asset, chosen, explicit=False, statistics=True)
    require_schema(plan.asset, resolved, stored_schema(context, asset))
    contents = {version.ordinal: version.content_id for version in resolved.versions}
    moved = [key for key, ordinal, content, *_ in plan.partitions if contents.get(ordinal) != content]
    if moved or asset.revision != plan.revision:
        raise _changed(plan, moved)
    matcher = match_filter(plan.filter, resolved.schema)
    matchers = {version.ordinal: matcher for version in resolved.versions}
    found = find_matches(context, resolved, resolved.schema, matchers)
    if [(one.file.file_id, one.rows) for one in found.matches] != [
        (one.file_id, one.rows_matched) for one in plan.affected
    ]:
        raise _changed(plan, [key for key, *_ in plan.partitions])  # the same rows lie in other files by now
    intent_id = context.new_id()
    stager = make_stager(context, asset, definition, resolved.schema, intent_id)
    spent = costs(found) | {"files_skipped": plan.files_read + plan.files_skipped - len(found.matches)}
    with undone_on_failure(context, stager, intent_id):
        open_intent(context.database, intent_id, "delete")
        rewritten = rewrite(context, definition, stager, found.matches, matchers)
        record = commit(
            context.database,
            CommitRequest(
                token=intent_id,
                operation="delete",
                changes=tuple(
                    _change(asset, key, ordinal, content, rewritten[ordinal])
                    for key, ordinal, content, *_ in plan.partitions
                ),
                assets=(AssetGuard(asset.asset_id, asset.revision),),
                branch_id=view.branch.branch_id,
                intent_id=intent_id,
                author=context.author,
                message=message,
                metadata={"filter": str(plan.filter), **spent},
            ),
        )
    write_manifests(context)
    return with_costs(record, spent)


def with_costs(record: Commit, spent: dict[str, int]) -> RowChanges:
    """Give a commit with what it cost."""
    return RowChanges(*(getattr(record, one.name) for one in fields(Commit)), **spent)


def _change(asset: AssetRecord, key: str, ordinal: int, content: str, rewritten: dict[int, NewFile | None]) -> Change:
    return Change(
        asset_id=asset.asset_id,
        key=key,
        ordinal=ordinal,
        kind=ChangeKind.REWRITE,
        rewrites=rewritten,
        expected=content,
    )


def _changed(plan: DeletePlan, keys: list[str]) -> ConflictError:
    which = f": {list_some(keys)}" if keys else ""
    return ConflictError(
        f"Asset {plan.asset!r} changed after this deletion was planned{which}. Nothing was changed.",
        hint="plan again.",
        context={"asset": plan.asset, "conflicts": [{"asset": plan.asset, "key": key} for key in keys]},
    )
