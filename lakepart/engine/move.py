"""Moving partitions between tiers: claim, copy, verify, swap — and vacuum deletes the old bytes later.

Every step is noted in the catalog before the next, so a crash anywhere leaves the partition readable where it was or
where it went, and the next move finishes or gives up what was begun. A partition that somebody rewrites meanwhile is
skipped: a move is nobody's conflict. Partitions go in groups: a transaction a step, and files copied side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from lakepart.catalog import moves as catalog
from lakepart.catalog.lookups import get_head, list_assets
from lakepart.catalog.reading import find_files, find_versions
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.home import Home
from lakepart.engine.processes import at_work, is_alive
from lakepart.engine.side_by_side import do_all
from lakepart.errors import InvalidInputError, LakepartError, StateError, did_you_mean
from lakepart.model.batches import in_batches
from lakepart.model.catalog_records import MoveFileRecord, MoveRecord
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import Move, TieringPlan, count_of, format_bytes, list_some
from lakepart.model.policies import TieringPolicy
from lakepart.model.records import MAIN, AssetRecord, TierRecord
from lakepart.model.states import MoveState
from lakepart.planning.tiering import plan_moves, split_by_rule
from lakepart.storage.copying import copy_file

LEASE = timedelta(minutes=10)
_LEASE_US = LEASE // timedelta(microseconds=1)
_CLAIMED_AT_ONCE = 32
_THREADS = 8  # they wait for the disk to sync far more than they compute
OnCopied = Callable[[int], None]


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


def finish_interrupted(context: LakeContext) -> int:
    """Bring the moves to an end that dead processes left; gives how many."""
    with at_work(context.new_id()[:8]) as holder, _threads(_THREADS) as pool:
        return _finish_interrupted(context, holder, pool)


def apply_moves(context: LakeContext, plan: TieringPlan, *, on_progress: OnCopied, workers: int = 1) -> MoveReport:
    """Carry out a plan, after finishing what earlier processes left behind.

    Partitions go in groups; eight files are copied side by side, or ``workers`` if that is more.
    """
    require_writable(context, View(), "move files")
    skipped: list[tuple[str, str]] = []
    moved: list[MoveRecord] = []
    with at_work(context.new_id()[:8]) as holder, _threads(max(workers, _THREADS)) as pool:
        finished = _finish_interrupted(context, holder, pool)
        for planned in in_batches(plan.moves, _CLAIMED_AT_ONCE):
            with _aborted_on_failure(context, holder):
                claimed = _claim(context, planned, holder, skipped)
                for record in _carry_out(context, claimed, on_progress, pool):
                    if record.state is MoveState.DONE:
                        moved.append(record)
                    else:
                        skipped.append((record.key, record.outcome or "aborted"))
    files = [file for record in moved for file in record.files]
    return MoveReport(len(moved), len(files), sum(file.size_bytes for file in files), finished, tuple(skipped))


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
    context: LakeContext, moves: Sequence[MoveRecord], on_progress: OnCopied, pool: Executor
) -> Sequence[MoveRecord]:
    """Take claimed moves from wherever they stand to their ends, each step for all of them that stand before it."""
    database = context.database

    def step(before: MoveState, take: Callable[[list[MoveRecord]], list[MoveRecord]]) -> list[MoveRecord]:
        standing = [move for move in moves if move.state is before]
        taken = {move.move_id: move for move in (take(standing) if standing else ())}
        return [taken.get(move.move_id, move) for move in moves]

    moves = step(MoveState.PLANNED, lambda group: catalog.advance(database, group, MoveState.COPYING))
    # also what was verified by a process that died: much may have happened to those copies since
    _copy(context, [move for move in moves if move.state is not MoveState.SWAPPED], on_progress, pool)
    moves = step(MoveState.COPYING, lambda group: catalog.advance(database, group, MoveState.VERIFIED))
    moves = step(MoveState.VERIFIED, lambda group: catalog.swap(database, group))
    return step(MoveState.SWAPPED, lambda group: catalog.advance(database, group, MoveState.DONE))


def _copy(context: LakeContext, moves: Sequence[MoveRecord], on_progress: OnCopied, pool: Executor) -> None:
    """Copy the files of moves, prove what arrived, and make its names durable; keep the leases meanwhile."""

    def copy(file: MoveFileRecord, to_tier: str) -> None:
        source, target = context.stores[file.from_tier], context.stores[to_tier]
        copy_file(source, file.path, target, file.path, expected_checksum=file.checksum)
        on_progress(file.size_bytes)

    files = [(file, move.to_tier) for move in moves for file in move.files]
    do_all(
        pool,
        [partial(copy, *one) for one in files],
        meanwhile=lambda: catalog.renew(context.database, moves, lease_us=_LEASE_US),
    )
    for tier in sorted({to_tier for _, to_tier in files}):
        context.stores[tier].make_durable([file.path for file, to_tier in files if to_tier == tier])


def _finish_interrupted(context: LakeContext, holder: str, pool: Executor) -> int:
    """Carry on the moves whose holder is gone: its lease has run out, or its process on this machine has ended."""
    with context.database.reading() as connection:
        interrupted = catalog.open_moves(connection)
    finished = 0
    for group in in_batches(interrupted, _CLAIMED_AT_ONCE):
        with _aborted_on_failure(context, holder):
            taken = _take_over(context, group, holder)
            _carry_out(context, taken, lambda _: None, pool)
        finished += len(taken)
    return finished


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


def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="lakepart-move")


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
