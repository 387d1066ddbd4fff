"""Deleting rows by a filter: the plan finds them, and carrying it out writes again what stays of their files."""

from __future__ import annotations

from typing import Any

from lakepart.engine.conflicts import changed_since_planned, declared_anew
from lakepart.engine.context import require_writable
from lakepart.engine.home import Home
from lakepart.engine.read import ReadOptions, resolve, settle_missing
from lakepart.engine.rewriting import costs, find_matches, require_schema, rewrite
from lakepart.engine.row_changes import changing_rows, no_changes
from lakepart.errors import ErrorCode, StateError
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord, Change, ChangeKind, NewFile, RowChanges
from lakepart.model.row_plans import AffectedFile, DeletePlan
from lakepart.parquet.matching import match_filter


def plan_delete(
    home: Home, asset: AssetRecord, partitions: PartitionSet, given: Any, *, explicit: bool, missing: str
) -> DeletePlan:
    """Find the rows that would go; reads the columns of the filter, of files that can hold a match."""
    context, view = home.context, home.view
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
        return no_changes(context, view, {"files_skipped": plan.files_read + plan.files_skipped})
    asset = home.record(plan.asset)
    definition = asset.partitions
    chosen = PartitionSet.from_ordinals(definition, [ordinal for _, ordinal, *_ in plan.partitions])
    resolved = resolve(context, view, asset, chosen, explicit=False, statistics=True)
    require_schema(context, asset, resolved)
    contents = {version.ordinal: version.content_id for version in resolved.versions}
    moved = {ordinal: key for key, ordinal, content, *_ in plan.partitions if contents.get(ordinal) != content}
    if moved:
        raise changed_since_planned(context, view, plan, "deletion", moved)
    if asset.revision != plan.revision:
        raise declared_anew(context, plan, "deletion")
    matcher = match_filter(plan.filter, resolved.schema)
    matchers = {version.ordinal: matcher for version in resolved.versions}
    found = find_matches(context, resolved, resolved.schema, matchers)
    if [(one.file.file_id, one.rows) for one in found.matches] != [
        (one.file_id, one.rows_matched) for one in plan.affected
    ]:
        everything = {ordinal: key for key, ordinal, *_ in plan.partitions}
        raise changed_since_planned(context, view, plan, "deletion", everything, ErrorCode.FILES_CHANGED)
    spent = costs(found) | {"files_skipped": plan.files_read + plan.files_skipped - len(found.matches)}
    with changing_rows(context, view, asset, definition, resolved.schema, "delete", message=message) as writer:
        rewritten = rewrite(context, definition, writer.stager, found.matches, matchers, intent_id=writer.intent_id)
        changes = [
            _change(asset, key, ordinal, content, rewritten[ordinal]) for key, ordinal, content, *_ in plan.partitions
        ]
        return writer.finish(changes, spent, said={"filter": str(plan.filter)})


def _change(asset: AssetRecord, key: str, ordinal: int, content: str, rewritten: dict[int, NewFile | None]) -> Change:
    return Change(
        asset_id=asset.asset_id,
        key=key,
        ordinal=ordinal,
        kind=ChangeKind.REWRITE,
        rewrites=rewritten,
        expected=content,
    )
