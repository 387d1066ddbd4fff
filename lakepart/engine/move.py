"""Moving partitions between tiers: claim, copy, verify, swap — and vacuum deletes the old bytes later.

Every step is noted in the catalog before the next, so a crash anywhere leaves the partition readable where it was or
where it went, and the next move finishes or gives up what was begun. A partition that somebody rewrites meanwhile is
skipped: a move is nobody's conflict. Partitions go in groups: a transaction a step, and files copied side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from lakepart.catalog import moves as catalog
from lakepart.catalog.lookups import get_head, list_assets
from lakepart.catalog.reading import find_files, find_versions
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.home import Home
from lakepart.engine.move_copies import Copier, OnCopied
from lakepart.engine.offline import require_readable
from lakepart.engine.partly_done import telling_what_was_done
from lakepart.engine.processes import at_work, is_alive
from lakepart.errors import InvalidInputError, LakepartError, StateError, did_you_mean
from lakepart.model.batches import in_batches
from lakepart.model.catalog_records import MoveRecord
from lakepart.model.move_limits import MoveLimits
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import Move, TieringPlan, count_of, format_bytes, list_some
from lakepart.model.policies import TieringPolicy
from lakepart.model.records import MAIN, AssetRecord, TierRecord
from lakepart.model.states import MoveState
from lakepart.planning.tiering import plan_moves, split_by_rule

LEASE = timedelta(minutes=10)
_LEASE_US = LEASE // timedelta(microseconds=1)
UNLIMITED = MoveLimits()
_CLAIMED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class MoveReport:
    """What a move did: partitions and bytes moved, those finished for a process that had died, and those skipped."""

    partitions: int
    files: int
    bytes: int
    finished: int = 0
    skipped: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        moved = f"{count_of(self.partitions, 'partition')}, {count_of(self.files, 'file')}"
        lines = [f"Moved {moved}, {format_bytes(self.bytes)}."]
        if self.finished:
            lines.append(f"Finished {count_of(self.finished, 'move')} that had been interrupted.")
        if self.skipped:
            named = list_some(f"{key} ({why})" for key, why in self.skipped)
            lines.append(f"Skipped {count_of(len(self.skipped), 'partition')}: {named}.")
        return "\n".join(lines)


def plan_move(home: Home, asset: AssetRecord, partitions: PartitionSet, tier: str, *, colder: bool) -> TieringPlan:
    """Say which files of the partitions would be copied to ``tier``."""
    target = _tier(home.context, tier)
    from_tiers = _tiers_on_one_side(home.context, target, colder=colder)
    return _plan(home, [(asset, partitions, target, from_tiers)], reason=f"to {tier}")


def plan_tiering(home: Home, policy: TieringPolicy, as_of: datetime) -> TieringPlan:
    """Say which partitions a policy moves, as of an instant."""
    with home.context.database.reading() as connection:
        assets = list_assets(connection)
    wanted = []
    for asset in assets:
        for tier, partitions in split_by_rule(policy, asset.name, asset.partitions, as_of):
            target = _tier(home.context, tier)
            wanted.append((asset, partitions, target, _tiers_on_one_side(home.context, target, colder=True)))
    return _plan(home, wanted, reason=f"policy as of {as_of.isoformat()}")


def finish_interrupted(context: LakeContext, limits: MoveLimits = UNLIMITED) -> int:
    """Bring the moves to an end that dead processes left; gives how many."""
    done = _Done()
    with at_work(context.new_id()[:8]) as holder, telling_what_was_done(done.report), Copier(context, limits) as copier:
        _finish_interrupted(context, holder, copier, done)
    return done.finished


def apply_moves(
    context: LakeContext, plan: TieringPlan, *, on_progress: OnCopied, limits: MoveLimits = UNLIMITED
) -> MoveReport:
    """Carry out a plan, after finishing what earlier processes left behind.

    Partitions go in groups. If one fails, the error tells of those before it.

    Raises
    ------
    OfflineDataError
        Files lie on an offline tier and are not restored: all are named before anything is copied.
    """
    require_writable(context, View(), "move files")
    for asset, moves in groupby(plan.moves, key=attrgetter("asset")):
        offline = [(move.key, file) for move in moves for file in move.files if file.tier in context.offline_tiers]
        require_readable(context.stores, asset, offline, "nothing was copied")
    done = _Done()
    with at_work(context.new_id()[:8]) as holder, telling_what_was_done(done.report), Copier(context, limits) as copier:
        _finish_interrupted(context, holder, copier, done)
        for planned in in_batches(plan.moves, _CLAIMED_AT_ONCE):
            with _aborted_on_failure(context, holder):
                claimed = _claim(context, planned, holder, done.skipped)
                for record in _carry_out(context, claimed, on_progress, copier):
                    if record.state is MoveState.DONE:
                        done.moved.append(record)
                    else:
                        done.skipped.append((record.key, record.outcome or "aborted"))
    return done.report() or MoveReport(0, 0, 0)


@dataclass(slots=True)
class _Done:
    finished: int = 0
    moved: list[MoveRecord] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def report(self) -> MoveReport | None:
        """Say what was done, if that is anything."""
        if not (self.finished or self.moved or self.skipped):
            return None
        files = [file for record in self.moved for file in record.files]
        size_bytes = sum(file.size_bytes for file in files)
        return MoveReport(len(self.moved), len(files), size_bytes, self.finished, tuple(self.skipped))


def _plan(
    home: Home, wanted: Sequence[tuple[AssetRecord, PartitionSet, TierRecord, frozenset[str]]], *, reason: str
) -> TieringPlan:
    if home.view != View(MAIN):
        raise StateError(
            "Files are moved in the lake itself, not in a transaction, on a branch or in the past: "
            "where bytes lie is the same for all.",
            hint="use lake.asset(…).",
        )
    moves: list[Move] = []
    with home.context.database.reading() as connection:
        for asset, partitions, target, from_tiers in wanted:
            scope, ranges = home.view.scope(asset), partitions.ordinal_ranges()
            keys = {version.ordinal: version.key for version in find_versions(connection, scope, ranges)}
            found = groupby(find_files(connection, scope, ranges), key=lambda pair: pair[0])
            files = [(keys[ordinal], ordinal, [file for _, file in pairs]) for ordinal, pairs in found]
            moves += plan_moves(asset, files, target.name, from_tiers=from_tiers)
        snapshot = get_head(connection).snapshot
    return TieringPlan(snapshot, tuple(moves), reason)


def _claim(
    context: LakeContext, planned: Sequence[Move], holder: str, skipped: list[tuple[str, str]]
) -> list[MoveRecord]:
    """Claim a group together; where one of it is taken, claim one by one and skip those that are."""
    try:
        return catalog.claim(context.database, planned, holder=holder, lease_us=_LEASE_US)
    except StateError:
        claimed = []
        for one in planned:
            try:
                claimed += catalog.claim(context.database, [one], holder=holder, lease_us=_LEASE_US)
            except StateError as error:
                skipped.append((one.key, error.message))
        return claimed


def _carry_out(
    context: LakeContext, moves: Sequence[MoveRecord], on_copied: OnCopied, copier: Copier
) -> Sequence[MoveRecord]:
    """Take claimed moves from wherever they stand to their ends, each step for all of them that stand before it."""
    database = context.database

    def step(before: MoveState, take: Callable[[list[MoveRecord]], list[MoveRecord]]) -> list[MoveRecord]:
        standing = [move for move in moves if move.state is before]
        taken = {move.move_id: move for move in (take(standing) if standing else ())}
        return [taken.get(move.move_id, move) for move in moves]

    moves = step(MoveState.PLANNED, lambda group: catalog.advance(database, group, MoveState.COPYING))
    # also what was verified by a process that died: much may have happened to those copies since
    under_way = [move for move in moves if move.state is not MoveState.SWAPPED]
    copier.copy(
        under_way,
        on_copied,
        meanwhile=lambda: catalog.renew(database, under_way, lease_us=_LEASE_US),
    )
    moves = step(MoveState.COPYING, lambda group: catalog.advance(database, group, MoveState.VERIFIED))
    moves = step(MoveState.VERIFIED, lambda group: catalog.swap(database, group))
    return step(MoveState.SWAPPED, lambda group: catalog.advance(database, group, MoveState.DONE))


def _finish_interrupted(context: LakeContext, holder: str, copier: Copier, done: _Done) -> None:
    """Carry on the moves whose holder is gone: its lease has run out, or its process on this machine has ended."""
    with context.database.reading() as connection:
        interrupted = catalog.open_moves(connection)
    for group in in_batches(interrupted, _CLAIMED_AT_ONCE):
        try:
            with _aborted_on_failure(context, holder):
                taken = _take_over(context, group, holder)
                _carry_out(context, taken, lambda *_: None, copier)
        except LakepartError as error:
            error.add_note("That was a move which a dead process had begun. It was given up: try again what you want.")
            raise
        done.finished += len(taken)


def _take_over(context: LakeContext, moves: Sequence[MoveRecord], holder: str) -> list[MoveRecord]:
    taken = []
    for move in moves:
        with suppress(StateError):  # somebody is at it
            taken.append(
                catalog.take_over(
                    context.database,
                    move.move_id,
                    holder=holder,
                    lease_us=_LEASE_US,
                    instead_of=None if is_alive(move.holder) is not False else move.holder,
                )
            )
    return taken


@contextmanager
def _aborted_on_failure(context: LakeContext, holder: str) -> Iterator[None]:
    """Give the holder's moves up when one fails, so that nobody waits for their leases; the failure is reported."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        with suppress(LakepartError):  # where the catalog cannot be told, the leases run out
            with context.database.reading() as connection:
                held = [move for move in catalog.open_moves(connection) if move.holder == holder]
            swapped = [move for move in held if move.state is MoveState.SWAPPED]
            given_up = [move for move in held if move.state is not MoveState.SWAPPED]
            if swapped:
                catalog.advance(context.database, swapped, MoveState.DONE)
            if given_up:
                catalog.advance(context.database, given_up, MoveState.ABORTED, outcome="failed")
        raise


def _tier(context: LakeContext, name: str) -> TierRecord:
    found = next((tier for tier in context.tiers if tier.name == name), None)
    if found is None:
        raise InvalidInputError(
            f"The lake has no tier {name!r}.", hint=did_you_mean(name, [tier.name for tier in context.tiers])
        )
    return found


def _tiers_on_one_side(context: LakeContext, target: TierRecord, *, colder: bool) -> frozenset[str]:
    """Name the tiers that files may come from: the hotter ones when demoting, the colder ones when promoting."""
    names = frozenset(
        tier.name for tier in context.tiers if (tier.rank < target.rank if colder else tier.rank > target.rank)
    )
    if not names:
        verb, side, other = ("demote", "hottest", "promote") if colder else ("promote", "coldest", "demote")
        raise InvalidInputError(
            f"Nothing can be {verb}d to {target.name!r}: it is the {side} tier.", hint=f"use {other}."
        )
    return names
