"""Vacuum: forgetting old versions and deleting bytes that nothing needs; the only verb that deletes committed bytes.

The order is what makes it safe: silent writers are expired in a transaction, so that a late commit of theirs is
refused; then versions are forgotten, which retires their files; only bytes that were retired a grace period ago, or
that belong to no writer and no row, are deleted. Deletion goes in groups, and each is asked for in a transaction right
before: whoever comes later finds the bytes gone, and no move counts on them. A crash leaves rows that say so, and the
next vacuum goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import itemgetter

from lakepart.catalog import upkeep
from lakepart.catalog.database import Connection
from lakepart.catalog.forgetting import Retention, count_forgettable, forget_versions
from lakepart.catalog.intents import expire_intents, list_intents
from lakepart.catalog.lookups import get_head, list_assets
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.leftovers import (
    LAKE,
    LeftoverKind,
    find_leftovers,
    find_own_leftovers,
    intent_of,
    kind_of,
    store_of,
    walk_ours,
)
from lakepart.engine.manifests import renew_checkpoint, write_manifests
from lakepart.engine.tags import settle_tags
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.batches import in_batches
from lakepart.model.catalog_records import CopyRecord
from lakepart.model.instants import to_microseconds
from lakepart.model.plans import VacuumPlan, count_of, format_bytes
from lakepart.model.policies import SHORTEST_RETENTION, to_duration
from lakepart.model.records import AssetRecord

RETENTION = timedelta(days=7)
GRACE = timedelta(hours=24)
SAFE_GRACE = timedelta(hours=1)  # sixty times as long as writers and moves take to say that they are alive
_RETIRED = "moved away, or in no version any more"
_LEFT = {LeftoverKind.ABANDONED: "left by a writer that failed", LeftoverKind.TEMPORARY: "left unfinished"}
_AT_ONCE = 1000  # deletions asked for in one transaction
_THREADS = 16  # they wait for the store
_GRANTED_FOR = timedelta(minutes=30)  # so long, nobody else takes a deletion over
OnDeleted = Callable[[int, int], None]
Planned = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class VacuumReport:
    """What a vacuum did."""

    versions: int
    files: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"Forgot {count_of(self.versions, 'old version')}, deleted {count_of(self.files, 'file')} "
            f"({format_bytes(self.bytes)})."
        )


def plan_vacuum(
    context: LakeContext, *, retention: timedelta | str, keep_last: int, grace: timedelta | str, force: bool
) -> VacuumPlan:
    """Say which versions would be forgotten and which bytes deleted; changes nothing."""
    kept_for, spared_for = to_duration("retention", retention), to_duration("grace", grace)
    if not isinstance(keep_last, int) or isinstance(keep_last, bool) or keep_last < 1:
        raise InvalidInputError(
            f"keep_last={keep_last!r} is no number of versions: what a partition holds now is the first that is kept.",
            hint="keep_last=2 keeps the one before it, too.",
        )
    if not force:
        _require_safe("retention", kept_for, SHORTEST_RETENTION, "what a mistake has replaced could not be got back")
        _require_safe("grace", spared_for, SAFE_GRACE, "readers, writers and moves under way could lose their files")
    now = context.clock()
    plan = VacuumPlan(
        snapshot=0,
        forget_before_us=to_microseconds(now - kept_for),
        dead_before_us=to_microseconds(now - spared_for),
        versions=0,
        files=(),
        keep_last=keep_last,
        at_us=to_microseconds(now),
    )
    with context.database.reading() as connection:
        own = {asset.name: plan.at_us - age for asset in list_assets(connection) if (age := _own(asset)) is not None}
        plan = replace(plan, snapshot=get_head(connection).snapshot, forget_before_us_of=own)
        forgettable = count_forgettable(connection, _retention(connection, plan))
        retired = upkeep.list_deletable(connection, plan.dead_before_us)
    files = [(copy.tier, copy.path, copy.size_bytes, _RETIRED) for copy in retired]
    files += _dead_leftovers(context, plan.dead_before_us)
    return replace(plan, versions=sum(forgettable.values()), versions_of=forgettable, files=tuple(files))


def apply_vacuum(context: LakeContext, plan: VacuumPlan, *, on_progress: OnDeleted | None = None) -> VacuumReport:
    """Carry out a plan; whatever has come to life since is left alone."""
    require_writable(context, View(), "vacuum")
    settle_tags(context)
    write_manifests(context)  # of what is forgotten, none could be written any more
    plan = _as_of_a_clock_set_back(plan, to_microseconds(context.clock()))
    expire_intents(context.database, plan.dead_before_us)
    with context.database.reading() as connection:
        retention = _retention(connection, plan)
    versions = forget_versions(context.database, retention)
    files = size_bytes = 0
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-vacuum") as pool:
        for deleted, freed in _delete(context, plan, pool):
            files, size_bytes = files + deleted, size_bytes + freed
            if on_progress is not None:
                on_progress(deleted, freed)
    renew_checkpoint(context)
    return VacuumReport(versions, files, size_bytes)


def _require_safe(name: str, value: timedelta, shortest: timedelta, why: str) -> None:
    if value < shortest:
        raise InvalidInputError(
            f"{name}={str(value)!r} is below the safe minimum of {shortest}: {why}. Nothing was changed.",
            hint="force=True (--force) does it anyway; see that nobody else is at work in the lake.",
            code=ErrorCode.BELOW_SAFE_MINIMUM,
            context={name: str(value), "minimum": str(shortest)},
        )


def _own(asset: AssetRecord) -> int | None:
    found: int | None = asset.options.get("retention_us")
    return found


def _retention(connection: Connection, plan: VacuumPlan) -> Retention:
    """Give what a plan says of each asset; where an asset was altered since, the longer of both."""
    of_assets = {}
    for asset in list_assets(connection):
        planned = plan.forget_before_us_of.get(asset.name, plan.forget_before_us)
        own = _own(asset)
        before_us = min(planned, plan.forget_before_us if own is None else plan.at_us - own)
        if before_us != plan.forget_before_us:
            of_assets[asset.asset_id] = before_us
    return Retention(plan.forget_before_us, of_assets, plan.keep_last)


def _as_of_a_clock_set_back(plan: VacuumPlan, now_us: int) -> VacuumPlan:
    """Give a plan as it would be by the clock of now, if that is behind the one it was made by: it saw too much age."""
    behind_us = plan.at_us - now_us
    if behind_us <= 0:
        return plan
    return replace(
        plan,
        at_us=now_us,
        forget_before_us=plan.forget_before_us - behind_us,
        dead_before_us=plan.dead_before_us - behind_us,
        forget_before_us_of={name: before - behind_us for name, before in plan.forget_before_us_of.items()},
        files=tuple(planned for planned in plan.files if planned[3] == _RETIRED),  # of these the catalog knows the age
    )


def _dead_leftovers(context: LakeContext, dead_before_us: int) -> Iterator[Planned]:
    found = chain(
        find_own_leftovers(context),
        *(
            find_leftovers(context, tier, walk_ours(context, tier), alive_since_us=dead_before_us)
            for tier in context.stores
        ),
    )
    for left in found:
        if to_microseconds(left.stored.modified_at) < dead_before_us:
            yield left.tier, left.stored.path, left.stored.size_bytes, _LEFT[left.kind]


def _delete(context: LakeContext, plan: VacuumPlan, pool: Executor) -> Iterator[tuple[int, int]]:
    """Delete what is planned and may still go, group by group; gives how many files and bytes each was."""
    planned = {(tier, path) for tier, path, _, why in plan.files if why == _RETIRED}
    with context.database.reading() as connection:
        retired = upkeep.list_deletable(connection, plan.dead_before_us)
    wanted = [copy for copy in retired if (copy.tier, copy.path) in planned]
    for some in in_batches(wanted, _AT_ONCE):
        until = context.clock() + _GRANTED_FOR
        granted = upkeep.begin_deletion(context.database, some, retired_before_us=plan.dead_before_us)
        yield _delete_copies(context, granted, pool, until)
    left = [one for one in plan.files if one[3] != _RETIRED and kind_of(one[1]) in _LEFT]
    for tier, of_tier in groupby(sorted(left), key=itemgetter(0)):
        for group in in_batches(of_tier, _AT_ONCE):
            yield _delete_leftovers(context, tier, {path: size for _, path, size, _ in group}, pool)


def _delete_copies(
    context: LakeContext, granted: Sequence[CopyRecord], pool: Executor, until: datetime
) -> tuple[int, int]:
    def delete(copy: CopyRecord) -> bool:
        if context.clock() > until:  # this machine slept: others may have deleted the file, and made it anew
            return False
        context.stores[copy.tier].delete(copy.path)
        return True

    done = list(pool.map(delete, granted))  # to the end of each
    gone = [copy for copy, is_gone in zip(granted, done, strict=True) if is_gone]
    upkeep.delete_copies(context.database, gone)
    return len(gone), sum(copy.size_bytes for copy in gone)


def _delete_leftovers(context: LakeContext, tier: str, size_of: dict[str, int], pool: Executor) -> tuple[int, int]:
    """Delete objects that have no row, unless a writer at work made them or a row has come to speak of them."""
    copies: list[CopyRecord] = []
    free, until = list(size_of), context.clock() + _GRANTED_FOR
    if tier != LAKE:
        with context.database.reading() as connection:
            writers = {intent.intent_id for intent in list_intents(connection)}
        dead = [path for path in free if intent_of(path) not in writers]
        free, copies = upkeep.begin_leftover_deletion(context.database, tier, dead)
    deleted = list(pool.map(store_of(context, tier).delete, free))
    files, size_bytes = _delete_copies(context, copies, pool, until)
    gone = [path for path, was_there in zip(free, deleted, strict=True) if was_there]
    return files + len(gone), size_bytes + sum(size_of[path] for path in gone)
