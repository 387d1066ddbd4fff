"""Changing what an asset is without touching its rows: how it is cut, its columns, its options.

Everything is decided when the plan is made, by comparing the two definitions at what is committed, and again under
the lock of the commit for what was committed since.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import is_left_behind, versions_since
from lakepart.catalog.lookups import get_head, list_assets, list_branches
from lakepart.catalog.reading import find_version_columns
from lakepart.catalog.scopes import EVERY_ORDINAL, Scope
from lakepart.engine.conflicts import committed_meanwhile
from lakepart.engine.home import Home
from lakepart.engine.redefining import (
    broken_mappings,
    check_columns,
    commit_definition,
    require_main,
    require_possible,
)
from lakepart.engine.schemas import stored_schema
from lakepart.errors import InvalidInputError
from lakepart.model.definition_plans import AlterPlan
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.inputs import Input
from lakepart.model.instants import to_microseconds
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Commit,
    NewDefinition,
    Redefinition,
)
from lakepart.parquet.evolution import SchemaChange, evolve
from lakepart.parquet.schemas import serialise
from lakepart.parquet.sorting import check_sort_columns
from lakepart.planning.definitions import compare_expected, orphans, with_columns_renamed


def plan_alter(
    home: Home,
    asset: AssetRecord,
    partitions: PartitionsDefinition | None,
    options: Mapping[str, Any],
    as_of: datetime,
    change: SchemaChange,
) -> AlterPlan:
    """Say what would change; reads the catalog and changes nothing."""
    before = asset.partitions
    after = before if partitions is None else partitions.keeping_ordinals_of(before).knowing(asset.keys)
    schema = stored_schema(home.context, asset)
    columns: tuple[str, ...] = ()
    if change:
        schema, columns = evolve(schema, change)
        _require_kept(asset.name, after, change)
        after = with_columns_renamed(after, change.rename, asset.keys)
    with home.context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
        refused = (
            *_orphaned(connection, asset, with_columns_renamed(before, change.rename, asset.keys), after),
            *_forgotten(asset, after),
        )
        if schema is not None:
            check_columns(asset.name, after, schema)
        remarks = (*broken_mappings(connection, asset, after), *_readers(connection, asset, change))
    appearing, vanishing = compare_expected(before, after, to_microseconds(as_of))
    return AlterPlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=snapshot,
        before=asset.definition,
        after=after.to_dict(),
        options_before=asset.options,
        options_after=_options_after(asset, options, change, schema),
        appearing=(appearing.to_text(), len(appearing)),
        vanishing=(vanishing.to_text(), len(vanishing)),
        columns=columns,
        renamed=tuple(change.rename.items()),
        schema_after=b64encode(serialise(schema)).decode() if columns and schema is not None else None,
        refused=refused,
        remarks=remarks,
    )


def apply_alter(home: Home, plan: AlterPlan) -> Commit:
    """Carry a plan out in one short transaction, whatever the number of partitions."""
    require_main(home, "alter")
    require_possible(plan)
    asset = home.record(plan.asset)
    before, after = (replace(asset, definition=one).partitions for one in (plan.before, plan.after))
    before = with_columns_renamed(before, dict(plan.renamed), asset.keys)

    def require(connection: Connection) -> None:
        _require_no_orphans(connection, plan, before, after)

    redefined = plan.before != plan.after or plan.options_before != plan.options_after
    return commit_definition(
        home.context,
        AssetGuard(
            plan.asset_id,
            plan.revision,
            new_schema=None if plan.schema_after is None else b64decode(plan.schema_after),
            new_definition=NewDefinition(plan.after, plan.options_after, Redefinition.ALTERED) if redefined else None,
        ),
        operation="alter",
        message=f"alter {plan.asset}",
        metadata={"asset": plan.asset},
        remarks=plan.remarks,
        require=require,
    )


def _orphaned(
    connection: Connection, asset: AssetRecord, before: PartitionsDefinition, after: PartitionsDefinition
) -> tuple[str, ...]:
    """Say, for main and each open branch, which committed partitions would be none of ``after``.

    What main has left behind by a repartition stays cut as it is.
    """
    refused: dict[tuple[str, str], list[str]] = {}  # branches of which the same is to be said: most inherit it
    for branch in list_branches(connection):
        if is_left_behind(connection, asset.asset_id, branch):
            continue
        found = find_version_columns(
            connection, Scope(asset.asset_id, branch), [EVERY_ORDINAL], ("ordinal", "key", "content_id")
        )
        lost = orphans(before, after, found["ordinal"], found["key"])
        if lost:
            what = f"it would orphan {count_of(len(lost), 'partition')} with data", list_some(lost)
        elif found["key"] and before.columns != after.columns:
            there = f"{count_of(len(found['key']), 'partition')} {'has' if len(found['key']) == 1 else 'have'} data"
            what = f"by changes from {_said(before)} to {_said(after)}, and {there}", list_some(found["key"])
        else:
            continue
        refused.setdefault(what, []).append(branch.name)
    return tuple(f"{what} on {list_some(branches)} ({keys})" for (what, keys), branches in refused.items())


def _require_kept(asset: str, after: PartitionsDefinition, change: SchemaChange) -> None:
    dropped = [name for name in change.drop if name in after.columns]
    if dropped:
        raise InvalidInputError(
            f"Column {dropped[0]!r} says to which partition of {asset!r} a row belongs, so it cannot be dropped.",
            hint="repartition by another column first.",
            context={"column": dropped[0]},
        )


def _options_after(
    asset: AssetRecord, options: Mapping[str, Any], change: SchemaChange, schema: pa.Schema | None
) -> dict[str, Any]:
    """Replace options, leave out those that are given as None; rows are sorted by what columns are called then."""
    dropped = [name for name in asset.sort_by if name in change.drop]
    if dropped and "sort_by" not in options:
        raise InvalidInputError(
            f"Rows of {asset.name!r} are sorted by column {dropped[0]!r}, so it cannot be dropped.",
            hint="give sort_by=… too: other columns, or () for none.",
            context={"column": dropped[0]},
        )
    after = dict(asset.options)
    if asset.sort_by:
        after["sort_by"] = [change.rename.get(name, name) for name in asset.sort_by]
    after = {name: value for name, value in {**after, **options}.items() if value is not None}
    if schema is not None:
        check_sort_columns(after.get("sort_by", ()), schema)
    return after


def _readers(connection: Connection, asset: AssetRecord, change: SchemaChange) -> Iterator[str]:
    """Name the registered producers that may know columns by names that are gone."""
    gone = [*change.drop, *change.rename]
    if not gone:
        return
    for made in list_assets(connection):
        if made.producer is None:
            continue
        reads = any(Input.from_recorded(one).asset == asset.name for one in made.producer.inputs.values())
        if reads or made.name == asset.name:
            yield (
                f"the producer of {made.name!r} {'reads' if reads else 'makes'} {asset.name!r}: "
                f"see that it no longer goes by {list_some(map(repr, gone))}"
            )


def _forgotten(asset: AssetRecord, after: PartitionsDefinition) -> tuple[str, ...]:
    """Say which dynamic dimensions would lose their keys by being called otherwise."""
    kept = {one.dimension for one in after.dimensions}
    lost = {name: known for name, known in asset.keys.items() if name not in kept and known.entries}
    return tuple(
        f"it would forget {count_of(len(known.entries), 'key')} of the dynamic dimension {name!r} "
        f"({list_some([key for _, key, _ in known.entries])}), which it does not have"
        for name, known in lost.items()
        if after.is_dynamic
    )


def _said(definition: PartitionsDefinition) -> str:
    return " and ".join(map(repr, definition.columns)) or "None"


def _require_no_orphans(
    connection: Connection, plan: AlterPlan, before: PartitionsDefinition, after: PartitionsDefinition
) -> None:
    """Look at what was committed after the plan was made: the lock is held, so keep it to that."""
    since = versions_since(connection, plan.asset_id, plan.snapshot)
    lost = set(orphans(before, after, list(since), [one.key for one in since.values()]))
    if before.columns != after.columns:
        lost = {one.key for one in since.values()}
    if lost:
        raise committed_meanwhile(plan.asset, [one for one in since.values() if one.key in lost])
