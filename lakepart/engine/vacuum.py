"""Vacuum: forgetting old versions and deleting bytes that nothing needs; the only verb that deletes committed bytes.

The order is what makes it safe: silent writers are expired in a transaction, so that a late commit of theirs is
refused; then versions are forgotten, which retires their files; only bytes that were retired a grace period ago, or
that belong to no writer and no row, are deleted, and each is looked up again right before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lakepart.catalog import upkeep
from lakepart.catalog.intents import expire_intents, list_intents
from lakepart.catalog.lookups import get_head
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.leftovers import (
    Leftover,
    LeftoverKind,
    find_leftovers,
    find_own_leftovers,
    known_paths,
    store_of,
)
from lakepart.engine.tags import settle_tags
from lakepart.errors import InvalidInputError
from lakepart.model.instants import to_microseconds
from lakepart.model.plans import VacuumPlan, count_of, format_bytes

RETENTION = timedelta(days=7)
GRACE = timedelta(hours=24)
_RETIRED = "moved away, or in no version any more"
_LEFT = {LeftoverKind.ABANDONED: "left by a writer that failed", LeftoverKind.TEMPORARY: "left unfinished"}


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


def plan_vacuum(context: LakeContext, *, retention: timedelta, grace: timedelta) -> VacuumPlan:
    """Say which versions would be forgotten and which bytes deleted; changes nothing."""
    for name, value in (("retention", retention), ("grace", grace)):
        if value < timedelta(0):
            raise InvalidInputError(f"{name}={value} is negative: it says how long things are kept.")
    now = context.clock()
    forget_before_us, dead_before_us = to_microseconds(now - retention), to_microseconds(now - grace)
    with context.database.reading() as connection:
        versions = upkeep.count_forgettable(connection, forget_before_us)
        retired = upkeep.list_deletable(connection, dead_before_us)
        snapshot = get_head(connection).snapshot
    files = [(copy.tier, copy.path, copy.size_bytes, _RETIRED) for copy in retired]
    files += [
        (left.tier, left.stored.path, left.stored.size_bytes, _LEFT[left.kind])
        for left in _deletable_leftovers(context, dead_before_us)
    ]
    return VacuumPlan(snapshot, forget_before_us, dead_before_us, versions, tuple(files))


def apply_vacuum(context: LakeContext, plan: VacuumPlan) -> VacuumReport:
    """Carry out a plan; whatever has come to life since is left alone."""
    require_writable(context, View(), "vacuum")
    settle_tags(context)
    planned = {(tier, path) for tier, path, _, _ in plan.files}
    expire_intents(context.database, plan.dead_before_us)
    versions = upkeep.forget_versions(context.database, plan.forget_before_us)
    with context.database.reading() as connection:
        retired = upkeep.list_deletable(connection, plan.dead_before_us)
    granted = upkeep.begin_deletion(
        context.database,
        [copy for copy in retired if (copy.tier, copy.path) in planned],
        retired_before_us=plan.dead_before_us,
    )
    for copy in granted:
        context.stores[copy.tier].delete(copy.path)
    upkeep.delete_copies(context.database, granted)
    files, size_bytes = len(granted), sum(copy.size_bytes for copy in granted)
    for left in _deletable_leftovers(context, plan.dead_before_us):
        if (left.tier, left.stored.path) in planned and store_of(context, left.tier).delete(left.stored.path):
            files += 1
            size_bytes += left.stored.size_bytes
    return VacuumReport(versions, files, size_bytes)


def _deletable_leftovers(context: LakeContext, dead_before_us: int) -> list[Leftover]:
    """List what dead writers left: named as ours, in no row, by no writer at work, and old enough."""
    found = list(find_own_leftovers(context))
    for tier in context.stores:
        with context.database.reading() as connection:
            writers = {intent.intent_id for intent in list_intents(connection) if intent.renewed_us >= dead_before_us}
            known = known_paths(connection, tier)
        found += find_leftovers(context, tier, known, writers)
    return [left for left in found if left.kind in _LEFT and to_microseconds(left.stored.modified_at) < dead_before_us]
