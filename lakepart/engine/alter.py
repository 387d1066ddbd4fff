"""Cutting an asset otherwise without touching its rows: what every committed partition survives.

Everything is decided when the plan is made, by comparing the two definitions at what is committed, and again under
the lock of the commit for what was committed since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import versions_since
from lakepart.catalog.lookups import get_head, get_schema, list_branches
from lakepart.catalog.reading import find_version_columns
from lakepart.catalog.scopes import EVERY_ORDINAL, Scope
from lakepart.engine.home import Home
from lakepart.engine.redefining import (
    broken_mappings,
    check_columns,
    commit_definition,
    committed_meanwhile,
    require_main,
    require_possible,
)
from lakepart.model.definition_plans import AlterPlan
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.instants import to_microseconds
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Commit,
    NewDefinition,
    Redefinition,
)
from lakepart.parquet.schemas import deserialise
from lakepart.planning.definitions import compare_expected, orphans


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
        refused = (*_orphaned(connection, asset, before, after), *_forgotten(asset, after))
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
    asset = home.record(plan.asset)
    before, after = (replace(asset, definition=one).partitions for one in (plan.before, plan.after))

    def require(connection: Connection) -> None:
        _require_no_orphans(connection, plan, before, after)

    return commit_definition(
        home.context,
        AssetGuard(
            plan.asset_id,
            plan.revision,
            new_definition=NewDefinition(plan.after, plan.options_after, Redefinition.ALTERED),
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
    """Say, for main and each open branch, which committed partitions would be none of ``after``."""
    refused: dict[tuple[str, str], list[str]] = {}  # branches of which the same is to be said: most inherit it
    for branch in list_branches(connection):
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
    lost = orphans(before, after, [ordinal for _, ordinal, _ in since], [key for _, _, key in since])
    if before.columns != after.columns:
        lost = [key for _, _, key in since]
    if lost:
        raise committed_meanwhile(plan.asset, lost)
