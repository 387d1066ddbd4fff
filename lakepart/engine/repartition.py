"""Cutting an asset otherwise by writing its rows anew: planned, in flat memory, and published as one snapshot.

The order is that of every write: note the intent, put the bytes under new names, sync them, swap the rows in one
guarded transaction. In it the new definition begins, the old versions end and the new ones begin; snapshots before it
keep reading the old files under the old definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lakepart.catalog import campaigns, moves
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import branches_with, versions_since
from lakepart.catalog.intents import open_intent
from lakepart.catalog.reading import find_inputs, find_version_columns
from lakepart.catalog.scopes import EVERY_ORDINAL
from lakepart.engine.commit import make_stager, renewing, undone_on_failure
from lakepart.engine.conflicts import changed_since_planned, declared_anew, overtaken
from lakepart.engine.context import LakeContext, View
from lakepart.engine.home import Home
from lakepart.engine.judging import JUDGED, Judge
from lakepart.engine.pieces import Destination, prepare_routed
from lakepart.engine.read import ReadOptions, Resolved, read_batches, resolve
from lakepart.engine.redefining import (
    OPEN_BACKFILLS,
    broken_mappings,
    check_columns,
    commit_definition,
    require_main,
    require_possible,
)
from lakepart.errors import ConflictError, ErrorCode, InvalidInputError
from lakepart.model.definition_plans import RepartitionPlan
from lakepart.model.definitions import PartitionsDefinition, definition_from_dict
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import by_whom, count_of, list_some
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    NewDefinition,
    NewFile,
    Redefinition,
    VersionRecord,
)
from lakepart.parquet.routing import positions
from lakepart.planning.definitions import known_windows
from lakepart.planning.repartition import Origin, origins_of
from lakepart.planning.staleness import StaleKind

_NAMED_REFUSALS = 5


@dataclass(slots=True)
class _Routes:
    """What reading the deciding column of every committed partition tells."""

    rows: dict[tuple[str, str], int]
    refused: list[str]


def plan_repartition(home: Home, asset: AssetRecord, after: PartitionsDefinition) -> RepartitionPlan:
    """Say which rows would go where; reads one column of every file, and changes nothing."""
    context, view = home.context, View()
    before = asset.partitions
    _require_routable(asset.name, after)
    found = resolve(context, view, asset, PartitionSet.everything(before), explicit=False)
    if asset.schema_id is not None:
        check_columns(asset.name, after, found.schema)
    routes = _route(context, found, after)
    with context.database.reading() as connection:
        refused = [*_holders(connection, asset.asset_id), *routes.refused]
        remarks = [*broken_mappings(connection, asset, after), *_lost_lineage(connection, view, asset)]
    new_keys = {new for _, new in routes.rows}
    known = _known(before, after, found.versions)
    return RepartitionPlan(
        asset=asset.name,
        asset_id=asset.asset_id,
        revision=asset.revision,
        snapshot=found.snapshot,
        before=asset.definition,
        after=after.to_dict(),
        contents=_contents(found.versions),
        routes=tuple((old, new, rows) for (old, new), rows in routes.rows.items()),
        known_empty=tuple(key for key in known if key not in new_keys),
        files=len(found.files),
        rows=sum(version.row_count for version in found.versions),
        size_bytes=sum(file.size_bytes for _, file in found.files),
        refused=tuple(refused),
        remarks=tuple(remarks),
    )


def apply_repartition(home: Home, plan: RepartitionPlan) -> Commit:
    """Write the rows anew and publish them with the new definition, all in one commit."""
    require_main(home, "repartition")
    require_possible(plan)
    context, view = home.context, View()
    asset = home.record(plan.asset)
    before, after = asset.partitions, definition_from_dict(plan.after)
    if asset.definition != plan.before:
        raise declared_anew(context, plan, "repartitioning")
    found = resolve(context, view, asset, PartitionSet.everything(before), explicit=False)
    if _contents(found.versions) != plan.contents:
        moved = {ordinal: key for key, ordinal, _ in sorted({*_contents(found.versions)} ^ {*plan.contents})}
        raise changed_since_planned(context, view, plan, "repartitioning", moved)
    marks = _stale_marks(context, view, asset)
    origins = origins_of(before, after, found.versions, plan.routes, plan.known_empty, marks)
    intent_id = context.new_id()
    stager = make_stager(context, asset, after, found.schema, intent_id)

    def require(connection: Connection) -> None:
        since = versions_since(connection, plan.asset_id, plan.snapshot)
        if since:
            raise overtaken(plan, "repartitioning", list(since.values()))
        holders = _holders(connection, plan.asset_id)
        if holders:
            raise ConflictError(
                f"Asset {plan.asset!r} cannot be repartitioned any more: {'; '.join(holders)}. Nothing was changed.",
                hint="publish or discard these branches, let the rest end, and plan again.",
                context={"asset": plan.asset, "conflicts": branches_with(connection, plan.asset_id)},
            )

    with undone_on_failure(context, stager, intent_id):
        open_intent(context.database, intent_id, "repartition")
        staged: Mapping[int, Sequence[NewFile]] = {}
        if found.files:
            # as if cut the new way, in which the rows say where they belong: no column is made of the old keys
            rows = read_batches(
                context.stores, replace(found, partitions=PartitionSet.everything(after)), ReadOptions()
            )
            pieces = prepare_routed(asset.name, after, Destination(found.schema), rows).pieces
            staged = stager.stage(renewing(context, intent_id, pieces))
        return commit_definition(
            context,
            AssetGuard(
                plan.asset_id,
                asset.revision,
                new_definition=NewDefinition(plan.after, asset.options, Redefinition.REPARTITIONED),
            ),
            operation="repartition",
            message=f"repartition {plan.asset}",
            metadata={"asset": plan.asset},
            remarks=plan.remarks,
            require=require,
            changes=tuple(_changes(asset, after, found.versions, staged, origins)),
            intent_id=intent_id,
        )


def _changes(
    asset: AssetRecord,
    after: PartitionsDefinition,
    versions: Sequence[VersionRecord],
    staged: Mapping[int, Sequence[NewFile]],
    origins: Mapping[str, Origin],
) -> Iterator[Change]:
    """Replace what an ordinal held by what it stands for now; what it stands for no longer ends."""
    current = {version.ordinal: version for version in versions}
    filled = {after.key_at(position): files for position, files in staged.items() if files}
    for key, origin in origins.items():
        ordinal = after.ordinal_at(after.position_of(key))
        old = current.pop(ordinal, None)
        yield Change(
            asset_id=asset.asset_id,
            key=key,
            ordinal=ordinal,
            kind=ChangeKind.REPLACE,
            files=tuple(filled.get(key, ())),
            expected=None if old is None else old.content_id,
            code_version=origin.code_version,
            written_at_us=origin.written_at_us,
            stale_mark=origin.stale_mark,
        )
    for old in current.values():
        yield Change(
            asset_id=asset.asset_id,
            key=old.key,
            ordinal=old.ordinal,
            kind=ChangeKind.REMOVE,
            expected=old.content_id,
        )


def _route(context: LakeContext, found: Resolved, after: PartitionsDefinition) -> _Routes:
    """Count, by reading nothing but the column that decides, the rows of each partition by where they would go."""
    routes = _Routes({}, [])
    files: dict[int, list[int]] = {}
    for index, (ordinal, _) in enumerate(found.files):
        files.setdefault(ordinal, []).append(index)
    for version in found.versions:
        mine = replace(
            found, versions=(version,), files=tuple(found.files[index] for index in files.get(version.ordinal, ()))
        )
        try:
            counts = _count(context, mine, after)
        except InvalidInputError as error:  # its rows, or some, have no place in the new definition
            if len(routes.refused) == _NAMED_REFUSALS:
                routes.refused.append("and more partitions")
                break
            routes.refused.append(f"partition {version.key!r}: {error.message.rstrip('.')}")
            continue
        routes.rows.update({(version.key, key): rows for key, rows in counts.items()})
    return routes


def _count(context: LakeContext, partition: Resolved, after: PartitionsDefinition) -> dict[str, int]:
    if not partition.files:
        return {}
    if not after.columns:
        return {after.example_key: sum(file.row_count for _, file in partition.files)}
    counts: dict[int, int] = {}
    first_row = 0
    for batch in read_batches(context.stores, partition, ReadOptions(columns=list(after.columns))):
        found, rows = np.unique(positions(batch, after, first_row=first_row), return_counts=True)
        first_row += batch.num_rows
        for position, count in zip(found.tolist(), rows.tolist(), strict=True):
            counts[position] = counts.get(position, 0) + count
    return {after.key_at(position): counts[position] for position in sorted(counts)}


def _known(
    before: PartitionsDefinition, after: PartitionsDefinition, versions: Sequence[VersionRecord]
) -> PartitionSet:
    ordinals, written_at_us = (
        np.array([getattr(version, name) for version in versions], dtype=np.int64)
        for name in ("ordinal", "written_at_us")
    )
    return known_windows(before, after, ordinals, written_at_us)


def _contents(versions: Sequence[VersionRecord]) -> tuple[tuple[str, int, str], ...]:
    return tuple((version.key, version.ordinal, str(version.content_id)) for version in versions)


def _holders(connection: Connection, asset_id: int) -> list[str]:
    """Name the work under way that knows the asset by its old partitions."""
    held = [
        f"branch {found['branch']!r} has versions of its own {by_whom(found)}"
        for found in branches_with(connection, asset_id)
    ]
    held += [
        f"backfill {backfill.name!r} is {backfill.state}"
        for backfill in campaigns.list_backfills(connection, asset_id=asset_id)
        if backfill.state in OPEN_BACKFILLS
    ]
    moving = [move.key for move in moves.open_moves(connection, asset_id=asset_id)]
    if moving:
        held.append(f"{count_of(len(moving), 'partition')} being moved between tiers ({list_some(moving)})")
    return held


def _lost_lineage(connection: Connection, view: View, asset: AssetRecord) -> list[str]:
    inputs = find_inputs(connection, view.scope(asset), [EVERY_ORDINAL])
    names = sorted({record.asset for _, record in inputs})
    if not names:
        return []
    return [
        f"what {count_of(len({ordinal for ordinal, _ in inputs}), 'partition')} of {asset.name!r} read of "
        f"{list_some(map(repr, names))} is not noted of the new ones: compute them again to have them judged by it"
    ]


def _stale_marks(context: LakeContext, view: View, asset: AssetRecord) -> dict[int, str]:
    """Say of each stale partition why, where the new versions could not tell by themselves."""
    with context.database.reading() as connection:
        columns = find_version_columns(connection, view.scope(asset), [EVERY_ORDINAL], JUDGED)
        judged = Judge(connection, view, context.clock()).judge(asset, columns, (EVERY_ORDINAL,))
    by_hand = {
        ordinal: mark
        for ordinal, mark in zip(columns["ordinal"], columns["stale_mark"], strict=True)
        if mark is not None
    }
    marks = {}
    for ordinal, reasons in judged.items():
        changed = [reason.text for reason in reasons if reason.kind is StaleKind.INPUT]
        if changed or ordinal in by_hand:
            marks[ordinal] = "; ".join([*changed, *([by_hand[ordinal]] if ordinal in by_hand else [])])
    return marks


def _require_routable(asset: str, after: PartitionsDefinition) -> None:
    if after.unsaid:
        raise InvalidInputError(
            f"The rows of {asset!r} cannot find their partitions of {after!r}: it names no column for "
            f"{', '.join(repr(one.dimension) for one in after.unsaid)}.",
            hint="repartition to a definition with by=….",
        )
    if after.is_dynamic:
        raise InvalidInputError(
            f"{asset!r} cannot be repartitioned to {after!r}: its keys are not known beforehand.",
            hint="list them, Static([…], by=…); or declare another asset and write the rows to it.",
            code=ErrorCode.UNSUPPORTED,
        )
