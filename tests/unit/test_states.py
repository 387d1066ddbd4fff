from __future__ import annotations

import pytest

from lakepart.errors import StateError
from lakepart.model.states import (
    BACKFILLS,
    MOVES,
    OPEN_MOVES,
    TARGETS,
    BackfillState,
    MoveState,
    TargetState,
    check_transition,
)


@pytest.mark.parametrize(
    ("table", "states"),
    [(MOVES, MoveState), (BACKFILLS, BackfillState), (TARGETS, TargetState)],
    ids=["moves", "backfills", "targets"],
)
def test_every_state_has_a_row_and_leads_only_to_known_states(table, states) -> None:
    assert set(table) == set(states)
    assert set().union(*table.values()) <= set(states)


@pytest.mark.parametrize("table", [MOVES, BACKFILLS, TARGETS], ids=["moves", "backfills", "targets"])
def test_some_end_is_reachable_from_every_state(table) -> None:
    ends = {state for state, after in table.items() if not after}

    for state in table:
        reached, fresh = {state}, {state}
        while fresh:
            fresh = set().union(*(table[one] for one in fresh)) - reached
            reached |= fresh
        assert reached & ends


def test_a_listed_step_is_allowed() -> None:
    check_transition(MOVES, "move 7", MoveState.VERIFIED, MoveState.SWAPPED)
    check_transition(BACKFILLS, "backfill 'a'", BackfillState.FAILED, BackfillState.RUNNING)
    check_transition(TARGETS, "target '2013-01-01'", TargetState.RUNNING, TargetState.WAITING)


def test_swapped_bytes_are_never_aborted() -> None:
    with pytest.raises(StateError, match=r"^Move 7 cannot become aborted: it is swapped, and .* only become done\.$"):
        check_transition(MOVES, "move 7", MoveState.SWAPPED, MoveState.ABORTED)


def test_a_final_state_says_that_it_is_final() -> None:
    with pytest.raises(StateError, match="completed is final"):
        check_transition(BACKFILLS, "backfill 'a'", BackfillState.COMPLETED, BackfillState.RUNNING)


def test_a_move_is_open_until_it_is_done_or_aborted() -> None:
    assert {state for state, after in MOVES.items() if after} == OPEN_MOVES
