"""Rollback: making old contents current again, as a new snapshot: those of a snapshot, or from before one commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import as_seen, list_definitions
from lakepart.catalog.guards import find_movers
from lakepart.catalog.lookups import (
    get_asset,
    get_head,
    get_snapshot,
    is_kept_by_a_tag,
    require_whole,
    visible_snapshot,
)
from lakepart.catalog.reading import find_version_columns, find_versions, touched_by
from lakepart.catalog.scopes import EVERY_ORDINAL
from lakepart.engine.conflicts import list_conflicts
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.manifests import write_manifests
from lakepart.errors import ConflictError, ErrorCode, InvalidInputError, SnapshotNotFoundError, StateError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import (
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    Redefinition,
    VersionRecord,
)
from lakepart.model.version_plans import MovedPartition, RestoredPartition, RollbackPlan
from lakepart.planning.definitions import still_the_same

Versions = Mapping[int, VersionRecord]  # by ordinal


def plan_rollback(
    context: LakeContext, view: View, selections: Sequence[tuple[AssetRecord, PartitionSet]], *, to: int
) -> RollbackPlan:
    """Say what makes the contents of snapshot ``to`` current again; what was missing then becomes missing."""
    found: list[RestoredPartition] = []
    with context.database.reading() as connection:
        view = view.look(connection)
        then = view.at(visible_snapshot(connection, view.branch, number=to, whole=False).snapshot)
        for asset, partitions in selections:
            ranges = partitions.ordinal_ranges()
            if as_seen(connection, asset, view.branch, to).definition != asset.definition:
                ranges = _require_same_cut(connection, view, then, asset, partitions)
            old, now = (_by_ordinal(find_versions(connection, one.scope(asset), ranges)) for one in (then, view))
            _require_kept(connection, then, asset, partitions, old)
            found += _restore(asset, partitions.definition, old, now)
        snapshot = get_head(connection).snapshot
    revisions = {asset.asset_id: asset.revision for asset, _ in selections}
    return RollbackPlan(snapshot, view.branch.branch_id, tuple(found), revisions, to=to)


def plan_undo(context: LakeContext, view: View, number: int, *, on_conflict: str) -> RollbackPlan:
    """Say what undoes exactly what one commit changed, and what of it others have changed since.

    Raises
    ------
    StateError
        Another branch made the commit, or it changed how an asset is cut.
    SnapshotNotFoundError
        There is no such snapshot, or vacuum has forgotten what was there before it.
    """
    if on_conflict not in {"fail", "skip"}:
        raise InvalidInputError(f"on_conflict={on_conflict!r} is not one of 'fail', 'skip'.")
    found: list[RestoredPartition] = []
    moved: list[MovedPartition] = []
    revisions: dict[int, int] = {}
    with context.database.reading() as connection:
        view = view.look(connection)
        head = _require_undoable(connection, view, number)
        before, after = view.at(number - 1), view.at(number)
        for asset_id, ordinals in touched_by(connection, view.branch.branch_id, number).items():
            asset = view.define(connection, get_asset(connection, asset_id))
            _require_uncut(connection, view, asset, number)
            partitions = PartitionSet.from_ordinals(asset.partitions, ordinals)
            ranges = partitions.ordinal_ranges()
            if before.define(connection, asset).definition != asset.definition:
                ranges = _require_same_cut(connection, view, before, asset, partitions)
            old, made, now = (
                _by_ordinal(find_versions(connection, one.scope(asset), ranges)) for one in (before, after, view)
            )
            others = {ordinal for ordinal in ordinals if _content(made, ordinal) != _content(now, ordinal)}
            keys = {ordinal: asset.partitions.key_of_ordinal(ordinal) for ordinal in sorted(others)}
            moved += find_movers(connection, view.branch, asset.asset_id, asset.name, keys)
            kept = ({ordinal: one for ordinal, one in side.items() if ordinal not in others} for side in (old, now))
            found += _restore(asset, asset.partitions, *kept)
            revisions[asset_id] = asset.revision
    return RollbackPlan(
        head, view.branch.branch_id, tuple(found), revisions, undoes=number, moved=tuple(moved), on_conflict=on_conflict
    )


def apply_rollback(context: LakeContext, view: View, plan: RollbackPlan, *, message: str | None = None) -> Commit:
    """Carry a plan out in one commit, which fails if somebody has committed to its partitions since.

    Raises
    ------
    StateError
        There is nothing to roll back, or the plan was made on another branch.
    ConflictError
        Partitions hold other content than the plan found, or, where a commit is undone, than it left.
    """
    require_writable(context, view, "roll back")
    if plan.branch_id != view.branch.branch_id:
        raise StateError("This plan was made on another branch.", hint="apply it there, or plan again here.")
    if plan.moved and plan.on_conflict == "fail":
        raise ConflictError(
            f"{count_of(len(plan.moved), 'partition')} of what snapshot {plan.undoes} changed "
            f"{'was' if len(plan.moved) == 1 else 'were'} changed since: {list_some(map(str, plan.moved))}. "
            "Nothing was changed.",
            hint='on_conflict="skip" leaves them as they are and rolls back the rest.',
            context={"conflicts": list_conflicts(plan.moved)},
        )
    if not plan.partitions:
        raise StateError(str(plan), hint="history() lists older contents.")
    request = CommitRequest(
        token=context.new_id(),
        operation="rollback",
        changes=tuple(map(_change, plan.partitions)),
        assets=tuple(AssetGuard(asset_id, revision) for asset_id, revision in plan.revisions.items()),
        branch_id=view.branch.branch_id,
        author=context.author,
        message=message or f"rollback {plan.target}",
        metadata={"rollback_to": plan.to} if plan.undoes is None else {"rollback_of": plan.undoes},
    )
    record = commit(context.database, request)
    write_manifests(context, record)
    return record


def _require_undoable(connection: Connection, view: View, number: int) -> int:
    """Check that a commit is of this branch and that what was before it is still there; gives the newest snapshot."""
    made = get_snapshot(connection, number)
    if made.branch_id != view.branch.branch_id:
        raise StateError(
            f"Snapshot {number} was not made on branch {view.branch.name!r}, so it cannot be undone there.",
            hint="snapshots() lists commits; a publication is undone by the number of its own snapshot.",
            context={"snapshot": number, "branch": view.branch.name},
        )
    head = get_head(connection)
    if number <= head.horizon:
        raise SnapshotNotFoundError(
            f"Snapshot {number} can no longer be undone: vacuum has forgotten what was there before it.",
            hint=f"snapshots after {head.horizon} can be undone.",
            context={"snapshot": number, "horizon": head.horizon},
        )
    return head.snapshot


def _require_kept(
    connection: Connection, then: View, asset: AssetRecord, partitions: PartitionSet, old: Versions
) -> None:
    """Refuse to go back where vacuum may have forgotten what was there, but not to what it has kept (``keep_last``)."""
    to, horizon = then.snapshot or 0, get_asset(connection, asset.asset_id).horizon
    if to >= horizon or is_kept_by_a_tag(connection, then.branch, to):
        return
    if partitions == PartitionSet.everything(partitions.definition):
        require_whole(connection, asset.asset_id, then.branch, to)
    gone = [key for key, ordinal in zip(partitions, partitions.ordinals.tolist(), strict=True) if ordinal not in old]
    if gone:
        raise SnapshotNotFoundError(
            f"What {list_some(gone)} of {asset.name!r} held at snapshot {to} is not known any more: vacuum has "
            f"forgotten versions from before {horizon}.",
            hint=f"history() lists what was kept; snapshots from {horizon} on are whole.",
            context={"asset": asset.name, "snapshot": to, "horizon": horizon, "keys": gone},
        )


def _require_uncut(connection: Connection, view: View, asset: AssetRecord, number: int) -> None:
    """Refuse to undo a commit that is more than its partitions."""
    for one in list_definitions(connection, asset.asset_id, view.branch, None):
        if one.began == number and one.change is not Redefinition.DECLARED:
            raise StateError(
                f"Snapshot {number} changed how asset {asset.name!r} is cut ({one.change.value}), "
                "which a rollback does not undo.",
                hint="alter, rename_key or repartition it back.",
                code=ErrorCode.DEFINITION_MISMATCH,
                context={"asset": asset.name, "snapshot": number},
            )


def _require_same_cut(
    connection: Connection, view: View, then: View, asset: AssetRecord, partitions: PartitionSet
) -> list[OrdinalRange]:
    """Refuse to bring contents back whose partitions are none of now; gives the ranges to look for contents in."""
    definitions = list_definitions(connection, asset.asset_id, view.branch, None)
    rewrites = [one.began for one in definitions if one.change is Redefinition.REPARTITIONED]
    rewritten_at = max(rewrites, default=0)
    if then.snapshot is not None and then.snapshot < rewritten_at:
        raise StateError(
            f"Asset {asset.name!r} was repartitioned in snapshot {rewritten_at}: the partitions of snapshot "
            f"{then.snapshot} are none of its own any more.",
            hint=f"lake.at({then.snapshot}) still reads them; repartition back, or write their rows again.",
            code=ErrorCode.DEFINITION_MISMATCH,
            context={"asset": asset.name, "repartitioned_at": rewritten_at},
        )
    whole = partitions == PartitionSet.everything(partitions.definition)
    ranges: list[OrdinalRange] = [EVERY_ORDINAL] if whole else partitions.ordinal_ranges()
    columns = find_version_columns(connection, then.scope(asset), ranges, ("ordinal", "began"))
    ordinals = np.array(columns["ordinal"], dtype=np.int64)
    same = np.zeros(ordinals.size, dtype=np.bool_)
    for since, still in still_the_same(definitions, asset.keys, ordinals):
        same = still
        if then.snapshot is not None and since <= then.snapshot:
            break
    gone = as_seen(connection, asset, then.branch, then.snapshot).partitions
    if not same.all():
        keys = [gone.key_of_ordinal(ordinal) for ordinal in ordinals[~same].tolist()]
        raise StateError(
            f"{count_of(len(keys), 'partition')} of snapshot {then.snapshot} of {asset.name!r} "
            f"{'is' if len(keys) == 1 else 'are'} no partition of it any more: {list_some(keys)}.",
            hint="alter the definition so that it has them again, or roll back others.",
            code=ErrorCode.DEFINITION_MISMATCH,
            context={"asset": asset.name, "gone": keys},
        )
    return ranges


def _restore(
    asset: AssetRecord, definition: PartitionsDefinition, old: Versions, now: Versions
) -> list[RestoredPartition]:
    return [
        RestoredPartition(
            asset_id=asset.asset_id,
            asset=asset.name,
            key=definition.key_of_ordinal(ordinal),  # by which it may have been renamed since
            ordinal=ordinal,
            source_version_id=None if ordinal not in old else old[ordinal].version_id,
            expected=_content(now, ordinal),
            rows_before=0 if ordinal not in now else now[ordinal].row_count,
            rows_after=0 if ordinal not in old else old[ordinal].row_count,
        )
        for ordinal in sorted(old.keys() | now.keys())
        if _content(old, ordinal) != _content(now, ordinal)
    ]


def _change(one: RestoredPartition) -> Change:
    return Change(
        asset_id=one.asset_id,
        key=one.key,
        ordinal=one.ordinal,
        kind=ChangeKind.REMOVE if one.source_version_id is None else ChangeKind.REINSTATE,
        source_version_id=one.source_version_id,
        expected=one.expected,
    )


def _by_ordinal(versions: Iterable[VersionRecord]) -> dict[int, VersionRecord]:
    return {one.ordinal: one for one in versions}


def _content(versions: Versions, ordinal: int) -> str | None:
    found = versions.get(ordinal)
    return None if found is None else found.content_id
