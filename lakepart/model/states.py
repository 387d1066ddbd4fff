"""The states of long-running work, and the tables of transitions that are allowed between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from lakepart.errors import StateError


class MoveState(StrEnum):
    """How far the move of one partition's files to another tier has come."""

    PLANNED = "planned"  # noted in the catalog, no byte copied
    COPYING = "copying"  # bytes are under way to the destination
    VERIFIED = "verified"  # every copy has the checksum of its source
    SWAPPED = "swapped"  # readers use the new copies; the old ones are retired
    DONE = "done"
    ABORTED = "aborted"  # given up; copies made on the way are vacuum's


class BackfillState(StrEnum):
    """Where a backfill as a whole stands."""

    RUNNING = "running"  # a driver works on it, or died and left it to resume
    CANCELLING = "cancelling"  # cancel was asked for; orders under way are let finish
    CANCELLED = "cancelled"
    COMPLETED = "completed"  # every target is done
    FAILED = "failed"  # finished with at least one failed target


class TargetState(StrEnum):
    """Where one partition of a backfill stands."""

    WAITING = "waiting"
    RUNNING = "running"
    STAGED = "staged"  # computed, its files are safe, not yet visible to readers
    DONE = "done"  # committed
    FAILED = "failed"  # its last attempt failed
    CANCELLED = "cancelled"


MOVES: Mapping[MoveState, frozenset[MoveState]] = {
    MoveState.PLANNED: frozenset({MoveState.COPYING, MoveState.ABORTED}),
    MoveState.COPYING: frozenset({MoveState.VERIFIED, MoveState.ABORTED}),
    MoveState.VERIFIED: frozenset({MoveState.SWAPPED, MoveState.ABORTED}),  # ABORTED: somebody rewrote the partition
    MoveState.SWAPPED: frozenset({MoveState.DONE}),  # the old bytes are vacuum's from here on
    MoveState.DONE: frozenset(),
    MoveState.ABORTED: frozenset(),
}

BACKFILLS: Mapping[BackfillState, frozenset[BackfillState]] = {
    BackfillState.RUNNING: frozenset({BackfillState.CANCELLING, BackfillState.COMPLETED, BackfillState.FAILED}),
    # RUNNING: the driver that was to wind down died, and somebody resumed.
    # COMPLETED, FAILED: the last target had ended, so nothing was left to cancel.
    BackfillState.CANCELLING: frozenset(
        {BackfillState.CANCELLED, BackfillState.RUNNING, BackfillState.COMPLETED, BackfillState.FAILED}
    ),
    BackfillState.CANCELLED: frozenset({BackfillState.RUNNING}),
    BackfillState.COMPLETED: frozenset(),
    BackfillState.FAILED: frozenset({BackfillState.RUNNING}),
}

TARGETS: Mapping[TargetState, frozenset[TargetState]] = {
    TargetState.WAITING: frozenset({TargetState.RUNNING, TargetState.CANCELLED}),
    # WAITING: the attempt is retried, or its driver died.
    TargetState.RUNNING: frozenset(
        {TargetState.STAGED, TargetState.DONE, TargetState.FAILED, TargetState.WAITING, TargetState.CANCELLED}
    ),
    # FAILED: the publication met a newer content; WAITING: the staged files were given up.
    TargetState.STAGED: frozenset(
        {TargetState.DONE, TargetState.FAILED, TargetState.WAITING, TargetState.CANCELLED},
    ),
    TargetState.DONE: frozenset(),
    TargetState.FAILED: frozenset({TargetState.WAITING}),
    TargetState.CANCELLED: frozenset({TargetState.WAITING}),
}

# Move states in which nobody else may claim the partition.
OPEN_MOVES = frozenset({MoveState.PLANNED, MoveState.COPYING, MoveState.VERIFIED, MoveState.SWAPPED})

State = TypeVar("State", MoveState, BackfillState, TargetState)


def check_transition(table: Mapping[State, frozenset[State]], subject: str, before: State, after: State) -> None:
    """Refuse a step that ``table`` does not list.

    Parameters
    ----------
    table
        :data:`MOVES`, :data:`BACKFILLS` or :data:`TARGETS`.
    subject
        What would change its state, as it should read in the message, for example ``"backfill 'tax-fix'"``.
    before, after
        The present and the wanted state.

    Raises
    ------
    StateError
        The table has no such step.
    """
    allowed = table[before]
    if after in allowed:
        return
    rule = f"from {before} it can only become {' or '.join(sorted(allowed))}" if allowed else f"{before} is final"
    raise StateError(
        f"{subject[:1].upper()}{subject[1:]} cannot become {after}: it is {before}, and {rule}.",
        context={"subject": subject, "before": str(before), "after": str(after)},
    )
