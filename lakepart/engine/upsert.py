"""Upsert: rows that replace those of their keys, and come new where there are none.

The new rows are put in place as an append does it, and their keys are noted on the way, partition by partition. Then
the files that can hold one of them are looked into, and those that do are written again without it. A plan goes through
the rows in the same way and writes none; whoever carries it out makes sure that he decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakepart.engine.commit import Details, destination, renewing
from lakepart.engine.conflicts import changed_since_planned, declared_anew
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.dynamic_keys import definition_for_planning, definition_for_writing
from lakepart.engine.home import Home
from lakepart.engine.pieces import Prepared, prepare_routed
from lakepart.engine.read import Resolved, resolve
from lakepart.engine.rewriting import Found, costs, find_matches, require_schema, rewrite
from lakepart.engine.row_changes import changing_rows, decided_again
from lakepart.engine.schemas import stored_schema
from lakepart.engine.staging import Piece
from lakepart.errors import ErrorCode, InvalidInputError, StateError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import AssetRecord, Change, ChangeKind, NewFile, RowChanges
from lakepart.model.row_plans import AffectedFile, UpsertedPartition, UpsertPlan
from lakepart.parquet.keys import check_key_columns, digest_of_keys, index_keys
from lakepart.parquet.matching import KeyMatcher


@dataclass(slots=True)
class _Incoming:
    """The keys of new rows, by partition; nothing else of them is held."""

    names: tuple[str, ...]
    keys: dict[int, list[pa.Table]] = field(default_factory=dict)
    size_bytes: int = 0

    def noting(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Pass pieces on, and note the keys of their rows."""

        def of_piece(position: int, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
            for table in tables:
                if table.num_rows:
                    self.keys.setdefault(position, []).append(table.select(list(self.names)))
                    self.size_bytes += table.nbytes
                yield table

        for position, tables in pieces:
            yield position, of_piece(position, tables)


@dataclass(frozen=True, slots=True)
class _Decision:
    """What an upsert comes to: the partitions, what they hold now, and the files with rows that are replaced."""

    partitions: tuple[UpsertedPartition, ...]
    matchers: Mapping[int, KeyMatcher]
    resolved: Resolved
    found: Found


def plan_upsert(
    home: Home, asset: AssetRecord, data: Any, on: Any, *, on_schema_change: str | None = None
) -> UpsertPlan:
    """Find out what the rows would replace; goes through them once, and reads the key columns of files."""
    context, view = home.context, home.view
    definition = definition_for_planning(asset)
    prepared = prepare_routed(asset.name, definition, destination(context, asset, on_schema_change), data)
    schema = prepared.reconciled.schema
    incoming = _Incoming(check_key_columns(on, schema))
    for _, tables in incoming.noting(prepared.pieces):
        for _ in tables:
            pass  # the keys are noted on the way
    decided = _decide(context, view, asset, definition, prepared, incoming)
    before = stored_schema(context, asset) or pa.schema([])
    return UpsertPlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=decided.resolved.snapshot,
        branch_id=view.branch.branch_id,
        on=incoming.names,
        partitions=decided.partitions,
        affected=_affected(decided.found),
        files_read=decided.found.files_read,
        files_skipped=decided.found.files_skipped,
        size_bytes=incoming.size_bytes,
        new_columns=tuple(
            one.name for one in schema if one.name not in before.names or before.field(one.name).type != one.type
        ),
        on_schema_change=on_schema_change,
        data=None if isinstance(data, Iterator | pa.RecordBatchReader) else data,
    )


def apply_upsert(home: Home, plan: UpsertPlan, data: Any = None, *, message: str | None = None) -> RowChanges:
    """Do what a plan says, with the rows that it was made for.

    Raises
    ------
    ConflictError
        What the partitions hold, or the asset's declaration, changed after the plan was made.
    InvalidInputError
        The rows are not those of the plan.
    """
    rows = plan.data if data is None else data
    if rows is None:
        raise InvalidInputError(
            "This plan was made for a stream, which has been read.",
            hint="give its rows again: lake.apply(plan, data=…).",
        )
    if home.view.branch.branch_id != plan.branch_id:
        raise StateError("This plan was made on another branch.", hint="apply it there, or plan again here.")
    asset = home.record(plan.asset)
    if asset.revision != plan.revision:
        raise declared_anew(home.context, plan, "upsert")
    return upsert(
        home.context,
        home.view,
        asset,
        rows,
        plan.on,
        details=Details(message=message),
        on_schema_change=plan.on_schema_change,
        plan=plan,
    )


def upsert(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    data: Any,
    on: Any,
    *,
    details: Details,
    on_schema_change: str | None = None,
    plan: UpsertPlan | None = None,
) -> RowChanges:
    """Replace rows by key, within the partition that each new row belongs to, in one commit; as a plan says."""
    require_writable(context, view, "upsert")
    definition = definition_for_writing(context, view, asset)
    prepared = prepare_routed(asset.name, definition, destination(context, asset, on_schema_change), data)
    schema = prepared.reconciled.schema
    incoming = _Incoming(check_key_columns(on, schema))
    with changing_rows(
        context,
        view,
        asset,
        definition,
        schema,
        "upsert",
        code_version=details.code_version,
        message=details.message,
        metadata=details.metadata,
    ) as writer:
        staged = writer.stager.stage(renewing(context, writer.intent_id, incoming.noting(prepared.pieces)))
        new = {file.path for files in staged.values() for file in files}

        def decide_and_finish() -> RowChanges:
            writer.stager.discard(but=new)  # what an earlier try wrote again
            decided = _decide(context, view, asset, definition, prepared, incoming)
            if plan is not None:
                _require_as_planned(context, view, plan, decided)
            rewritten = rewrite(
                context, definition, writer.stager, decided.found.matches, decided.matchers, intent_id=writer.intent_id
            )
            spent = {
                **costs(decided.found),
                "rows_updated": sum(one.rows_updated for one in decided.partitions),
                "rows_inserted": sum(one.rows_inserted for one in decided.partitions),
            }
            return writer.finish(
                list(_changes(asset, definition, decided.resolved, staged, rewritten, details)),
                spent,
                said={"on": list(incoming.names)},
                new_schema=schema if prepared.reconciled.changed else None,
            )

        return decided_again(decide_and_finish) if plan is None else decide_and_finish()


def _decide(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    definition: PartitionsDefinition,
    prepared: Prepared,
    incoming: _Incoming,
) -> _Decision:
    """Look for the rows of the keys that were noted."""
    if not incoming.keys:
        raise InvalidInputError(
            f"The frame for {asset.name!r} has no rows, so there is nothing to upsert.",
            hint="leave the call out where there are none.",
            code=ErrorCode.EMPTY_FRAME,
        )
    matchers: dict[int, KeyMatcher] = {}
    digests: dict[int, str] = {}
    for position, tables in sorted(incoming.keys.items()):
        keys, ordinal = pa.concat_tables(tables), definition.ordinal_at(position)
        of = f"of partition {definition.key_at(position)!r}"
        matchers[ordinal] = KeyMatcher(index_keys(keys, incoming.names, of=of))
        digests[ordinal] = digest_of_keys(keys)
    chosen = PartitionSet.from_ordinals(definition, sorted(matchers))
    resolved = resolve(context, view, asset, chosen, explicit=False, statistics=True)
    if asset.schema_id is not None:
        require_schema(context, asset, resolved)
    reconciled = prepared.reconciled
    found = find_matches(context, resolved, reconciled.schema if reconciled.changed else resolved.schema, matchers)
    contents = {version.ordinal: version.content_id for version in resolved.versions}
    partitions = []
    for ordinal, matcher in matchers.items():
        rows, updated = matcher.index.size, int(matcher.met.sum())
        key = definition.key_of_ordinal(ordinal)
        partitions.append(
            UpsertedPartition(key, ordinal, contents.get(ordinal), rows, updated, rows - updated, digests[ordinal])
        )
    return _Decision(tuple(partitions), matchers, resolved, found)


def _changes(
    asset: AssetRecord,
    definition: PartitionsDefinition,
    resolved: Resolved,
    staged: Mapping[int, list[NewFile]],
    rewritten: Mapping[int, Mapping[int, NewFile | None]],
    details: Details,
) -> Iterator[Change]:
    contents = {version.ordinal: version.content_id for version in resolved.versions}
    for position, files in sorted(staged.items()):
        ordinal = definition.ordinal_at(position)
        yield Change(
            asset_id=asset.asset_id,
            key=definition.key_at(position),
            ordinal=ordinal,
            kind=ChangeKind.REWRITE,
            files=tuple(files),
            rewrites=rewritten.get(ordinal, {}),
            expected=contents.get(ordinal),
            code_version=details.code_version,
            inputs=details.inputs,
        )


def _affected(found: Found) -> tuple[AffectedFile, ...]:
    return tuple(
        AffectedFile(one.ordinal, one.file.file_id, one.file.tier, one.file.row_count, one.file.size_bytes, one.rows)
        for one in found.matches
    )


def _require_as_planned(context: LakeContext, view: View, plan: UpsertPlan, decided: _Decision) -> None:
    """Refuse other rows than those of the plan, and other contents than it found."""
    planned = {one.key: one for one in plan.partitions}
    now = {one.key: one for one in decided.partitions}
    others = [key for key in sorted(planned | now) if _rows_of(planned.get(key)) != _rows_of(now.get(key))]
    if others:
        raise InvalidInputError(
            f"The rows for {plan.asset!r} are not those that this plan was made for: they differ in "
            f"{list_some(others)}.",
            hint="plan again with these rows.",
            context={"asset": plan.asset, "partitions": others},
        )
    moved = {one.ordinal: key for key, one in now.items() if planned[key].content_id != one.content_id}
    if moved:
        raise changed_since_planned(context, view, plan, "upsert", moved)
    matched = [(one.file_id, one.rows_matched) for one in plan.affected]
    if [(one.file.file_id, one.rows) for one in decided.found.matches] != matched:
        everything = {one.ordinal: key for key, one in planned.items()}
        raise changed_since_planned(context, view, plan, "upsert", everything, ErrorCode.FILES_CHANGED)


def _rows_of(one: UpsertedPartition | None) -> tuple[int, str] | None:
    return None if one is None else (one.rows, one.keys_digest)
