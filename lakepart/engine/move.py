"""Moving partitions between tiers: claim, copy, verify, swap — and vacuum deletes the old bytes later.

Every step is noted in the catalog before the next, so a crash anywhere leaves the partition readable where it was or
where it went, and the next move finishes or gives up what was begun. A partition that somebody rewrites meanwhile is
skipped: a move is nobody's conflict.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from lakepart.catalog import moves as catalog
from lakepart.catalog.lookups import get_head, list_assets
from lakepart.catalog.reading import find_files, find_versions
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.home import Home
from lakepart.errors import CorruptionError, InvalidInputError, LakepartError, StateError, did_you_mean
from lakepart.model.catalog_records import MoveRecord
from lakepart.model.definitions import definition_from_dict
from lakepart.model.instants import to_microseconds
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import Move, TieringPlan, count_of, format_bytes, list_some
from lakepart.model.policies import TieringPolicy
from lakepart.model.records import MAIN, AssetRecord, TierRecord
from lakepart.model.states import MoveState
from lakepart.planning.tiering import plan_moves, split_by_rule
from lakepart.storage.copying import checksum, copy_file

LEASE = timedelta(minutes=10)
_CLAIMED_AT_ONCE = 32
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
        for tier, partitions in split_by_rule(policy, asset.name, definition_from_dict(asset.definition), as_of):
            target = _tier(home.context, tier)
            wanted.append((asset, partitions, target, _tiers_on_one_side(home.context, target, colder=True)))
    return _plan(home, wanted, reason=f"policy as of {as_of.isoformat()}")


def finish_interrupted(context: LakeContext) -> int:
    """Bring the moves to an end that dead processes left; gives how many."""
    return _finish_interrupted(context, _holder(context))


def apply_moves(context: LakeContext, plan: TieringPlan, *, on_progress: OnCopied, workers: int = 1) -> MoveReport:
    """Carry out a plan, after finishing what earlier processes left behind."""
    require_writable(context, View(), "move files")
    holder = _holder(context)
    finished = _finish_interrupted(context, holder)
    skipped: list[tuple[str, str]] = []
    moved: list[MoveRecord] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(plan.moves), _CLAIMED_AT_ONCE):
            planned = plan.moves[start : start + _CLAIMED_AT_ONCE]
            with _aborted_on_failure(context, holder):
                claimed = _claim(context, planned, holder, skipped)
                for record in pool.map(lambda one: _carry_out(context, one, on_progress), claimed):
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
            "Files are moved in the lake itself, not on a branch or in the past: where bytes lie is the same for all.",
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
    """Claim a batch together; where one of it is taken, claim one by one and skip those that are."""
    lease_until_us = to_microseconds(context.clock() + LEASE)
    try:
        return catalog.claim(context.database, planned, holder=holder, lease_until_us=lease_until_us)
    except StateError:
        claimed = []
        for one in planned:
            try:
                claimed += catalog.claim(context.database, [one], holder=holder, lease_until_us=lease_until_us)
            except StateError as error:
                skipped.append((one.key, error.message))
        return claimed


def _carry_out(context: LakeContext, move: MoveRecord, on_progress: OnCopied) -> MoveRecord:
    """Take a claimed move from wherever it stands to its end."""
    database = context.database
    if move.state is MoveState.PLANNED:
        move = catalog.advance(database, move.move_id, move.fence, MoveState.COPYING)
    if move.state in {MoveState.COPYING, MoveState.VERIFIED}:
        # also where it was verified by a process that died: much may have happened to those copies since
        _copy_and_verify(context, move, on_progress)
    if move.state is MoveState.COPYING:
        move = catalog.advance(database, move.move_id, move.fence, MoveState.VERIFIED)
    if move.state is MoveState.VERIFIED:
        move = catalog.swap(database, move.move_id, move.fence)
    if move.state is MoveState.SWAPPED:
        move = catalog.advance(database, move.move_id, move.fence, MoveState.DONE)
    return move


def _copy_and_verify(context: LakeContext, move: MoveRecord, on_progress: OnCopied) -> None:
    target = context.stores[move.to_tier]
    for file in move.files:
        source = context.stores[file.from_tier]
        copy_file(source, file.path, target, file.path, expected_checksum=file.checksum)
        on_progress(file.size_bytes)
    target.make_durable([file.path for file in move.files])
    for file in move.files:
        found = checksum(target, file.path)
        if found != file.checksum:
            raise CorruptionError(
                f"The copy of {file.path!r} on tier {move.to_tier!r} has checksum {found[:12]}…, "
                f"and {file.checksum[:12]}… was written.",
                hint="the tier's storage does not keep what it is given; the partition stays where it was.",
                context={"path": file.path, "tier": move.to_tier},
            )


def _finish_interrupted(context: LakeContext, holder: str) -> int:
    """Carry on the moves whose holder is gone: its lease has run out, or its process on this machine has ended."""
    with context.database.reading() as connection:
        interrupted = catalog.open_moves(connection)
    finished = 0
    for move in interrupted:
        lease_until_us = to_microseconds(context.clock() + LEASE)
        alias = move.holder if _has_died(move.holder) else holder
        try:
            taken = catalog.take_over(context.database, move.move_id, holder=alias, lease_until_us=lease_until_us)
        except StateError:
            continue  # somebody is at it
        with _aborted_on_failure(context, alias):
            _carry_out(context, taken, lambda _: None)
        finished += 1
    return finished


@contextmanager
def _aborted_on_failure(context: LakeContext, holder: str) -> Iterator[None]:
    """Give the holder's moves up when one fails, so that nobody waits for their leases; the failure is reported."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        with suppress(LakepartError):  # where the catalog cannot be told, the leases run out
            with context.database.reading() as connection:
                held = [move for move in catalog.open_moves(connection) if move.holder == holder]
            for move in held:
                ends = MoveState.DONE if move.state is MoveState.SWAPPED else MoveState.ABORTED
                outcome = "failed" if ends is MoveState.ABORTED else None
                catalog.advance(context.database, move.move_id, move.fence, ends, outcome=outcome)
        raise


def _holder(context: LakeContext) -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{context.new_id()[:8]}"


def _has_died(holder: str) -> bool:
    host, pid, _ = holder.rsplit(":", 2)
    if host != socket.gethostname() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


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
