"""Upsert: rows that replace those of their keys, and come new where there are none.

The new rows are put in place as an append does it, and their keys are noted on the way, partition by partition. Then
the files that can hold one of them are looked into, and those that do are written again without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from lakepart.catalog.committing import commit
from lakepart.catalog.intents import open_intent
from lakepart.engine.commit import Details, destination, make_stager, renewing, undone_on_failure
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.delete import with_costs
from lakepart.engine.dynamic_keys import definition_for_writing, written_keys
from lakepart.engine.manifests import write_manifests
from lakepart.engine.pieces import prepare_routed
from lakepart.engine.read import Resolved, resolve
from lakepart.engine.rewriting import costs, find_matches, require_schema, rewrite
from lakepart.engine.schemas import stored_schema
from lakepart.engine.staging import Piece
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    CommitRequest,
    NewFile,
    RowChanges,
)
from lakepart.parquet.keys import check_key_columns, index_keys
from lakepart.parquet.matching import KeyMatcher
from lakepart.parquet.schemas import serialise


def upsert(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    data: Any,
    on: Any,
    *,
    details: Details,
    on_schema_change: str | None = None,
) -> RowChanges:
    """Replace rows by key, within the partition that each new row belongs to, in one commit."""
    require_writable(context, view, "upsert")
    definition = definition_for_writing(context, view, asset)
    prepared = prepare_routed(asset.name, definition, destination(context, asset, on_schema_change), data)
    schema = prepared.reconciled.schema
    names = check_key_columns(on, schema)
    keys: dict[int, list[pa.Table]] = {}
    intent_id = context.new_id()
    stager = make_stager(context, asset, definition, schema, intent_id, details.code_version)
    with undone_on_failure(context, stager, intent_id):
        open_intent(context.database, intent_id, "upsert")
        staged = stager.stage(renewing(context, intent_id, _noting(prepared.pieces, names, keys)))
        if not staged:
            raise InvalidInputError(
                f"The frame for {asset.name!r} has no rows, so there is nothing to upsert.",
                hint="leave the call out where there are none.",
                code=ErrorCode.EMPTY_FRAME,
            )
        matchers = {
            definition.ordinal_at(position): KeyMatcher(
                index_keys(pa.concat_tables(tables), names, of=f"of partition {definition.key_at(position)!r}")
            )
            for position, tables in keys.items()
        }
        chosen = PartitionSet.from_ordinals(definition, sorted(matchers))
        resolved = resolve(context, view, asset, chosen, explicit=False, statistics=True)
        if asset.schema_id is not None:
            require_schema(asset.name, resolved, stored_schema(context, asset))
        found = find_matches(context, resolved, schema if prepared.reconciled.changed else resolved.schema, matchers)
        rewritten = rewrite(context, definition, stager, found.matches, matchers)
        changes = tuple(_changes(asset, definition, resolved, staged, rewritten, details))
        updated = sum(int(matcher.met.sum()) for matcher in matchers.values())
        new = sum(matcher.index.size for matcher in matchers.values()) - updated
        spent = {**costs(found), "rows_updated": updated, "rows_inserted": new}
        record = commit(
            context.database,
            CommitRequest(
                token=details.token or intent_id,
                operation="upsert",
                changes=changes,
                assets=(
                    AssetGuard(
                        asset.asset_id, asset.revision, serialise(schema) if prepared.reconciled.changed else None
                    ),
                ),
                branch_id=view.branch.branch_id,
                intent_id=intent_id,
                author=context.author,
                message=details.message,
                metadata={"on": list(names), **spent, **details.metadata},
                written_keys=written_keys(asset, changes),
            ),
        )
    write_manifests(context)
    return with_costs(record, spent)


def _noting(pieces: Iterable[Piece], names: tuple[str, ...], keys: dict[int, list[pa.Table]]) -> Iterator[Piece]:
    """Pass pieces on, and note the keys of their rows; nothing else of them is held."""

    def of_piece(position: int, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            if table.num_rows:
                keys.setdefault(position, []).append(table.select(list(names)))
            yield table

    for position, tables in pieces:
        yield position, of_piece(position, tables)


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
