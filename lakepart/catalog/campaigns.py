"""Backfills: what is to be computed, who drives it, and how every attempt ended.

The epoch decides who is in charge: a driver takes over by raising it, and whatever a driver of an older epoch still
wants to note or commit is refused. Heartbeats only say when trying to take over is reasonable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, case, exists, func, insert, or_, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.declaring import make_branch, next_id
from lakepart.catalog.encoding import from_json, to_json
from lakepart.catalog.lookups import find_branch
from lakepart.catalog.scopes import each_in_json, in_json
from lakepart.catalog.tables import BIG, backfill, backfill_attempt, backfill_target
from lakepart.errors import AlreadyExistsError, NotFoundError, StateError
from lakepart.model.catalog_records import AttemptRecord, BackfillRecord, TargetOutcome, TargetRecord
from lakepart.model.plans import Target
from lakepart.model.records import BackfillClaim
from lakepart.model.states import BACKFILLS, BackfillState, TargetState, check_transition

_COLUMNS = (
    backfill.c.backfill_id,
    backfill.c.name,
    backfill.c.asset_id,
    backfill.c.branch_id,
    backfill.c.staging_branch_id,
    backfill.c.state,
    backfill.c.plan,
    backfill.c.epoch,
    backfill.c.created_at_us,
    backfill.c.heartbeat_us,
    backfill.c.closed_at_us,
    backfill.c.driver,
)
_WORKING = frozenset({BackfillState.RUNNING, BackfillState.CANCELLING})


def open_backfill(
    database: Database,
    name: str,
    *,
    asset_id: int,
    branch: int | str,
    plan: Mapping[str, Any],
    targets: Iterable[Target],
    driver: str,
    staging_branch: str | None = None,
) -> BackfillRecord:
    """Record a campaign with all its targets waiting; its opener is the driver, with epoch 1.

    Parameters
    ----------
    driver
        The name of its opener, for those who come after.
    branch
        Where results are to be in the end: an id, or the name of a branch, which is made if none of that name is open.
    staging_branch
        The name of a branch to make, for results that are to appear together.

    Raises
    ------
    AlreadyExistsError
        There is a backfill of that name, or an open branch has that of the staging branch.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        if find_backfill(connection, name) is not None:
            raise AlreadyExistsError(
                f"There is a backfill {name!r} already.",
                hint="resume it, or choose another name.",
                context={"backfill": name},
            )
        branch_id = branch if isinstance(branch, int) else _find_or_make_branch(connection, branch, now_us)
        staging = None if staging_branch is None else make_branch(connection, staging_branch, at_us=now_us)
        backfill_id = next_id(connection)
        connection.execute(
            insert(backfill).values(
                backfill_id=backfill_id,
                name=name,
                asset_id=asset_id,
                branch_id=branch_id,
                staging_branch_id=None if staging is None else staging.branch_id,
                state=BackfillState.RUNNING.value,
                plan=to_json(plan),
                epoch=1,
                created_at_us=now_us,
                heartbeat_us=now_us,
                driver=driver,
            )
        )
        rows = [
            {
                "backfill_id": backfill_id,
                "ordinal": target.ordinal,
                "asset_id": asset_id,
                "branch_id": branch_id,
                "key": target.key,
                "order_no": target.order_number,
                "reason": target.reason,
                "expected_content_id": target.expected,
                "state": TargetState.WAITING.value,
                "changed_us": now_us,
            }
            for target in targets
        ]
        if rows:
            connection.execute(insert(backfill_target), rows)
        return get_backfill(connection, backfill_id)


def _find_or_make_branch(connection: Connection, name: str, at_us: int) -> int:
    found = find_branch(connection, name)
    if found is None or found.state != "open":
        found = make_branch(connection, name, at_us=at_us)
    return found.branch_id


def take_over(database: Database, backfill_id: int, epoch: int, *, driver: str) -> int:
    """Become the driver in place of the one with ``epoch``; gives the new epoch.

    The backfill runs again. What the old driver left running waits again, and so do targets that failed or were
    cancelled; what was done or staged stays.

    Raises
    ------
    StateError
        Somebody else has taken over meanwhile, or the backfill is completed.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        found = _require_epoch(connection, backfill_id, epoch)
        if found.state is not BackfillState.RUNNING:
            check_transition(BACKFILLS, f"backfill {found.name!r}", found.state, BackfillState.RUNNING)
        connection.execute(
            update(backfill)
            .where(backfill.c.backfill_id == backfill_id)
            .values(
                epoch=epoch + 1,
                state=BackfillState.RUNNING.value,
                heartbeat_us=max(now_us, found.heartbeat_us + 1),
                closed_at_us=None,
                driver=driver,
            )
        )
        again = [TargetState.RUNNING, TargetState.FAILED, TargetState.CANCELLED]
        _set_targets(connection, backfill_id, again, TargetState.WAITING, now_us)
        _abandon_attempts(connection, backfill_id, now_us)
        return epoch + 1


def heartbeat(database: Database, backfill_id: int, epoch: int) -> BackfillState:
    """Say that the driver is alive; gives the state, so that it learns when cancelling was asked for.

    The time of a beat is later than that of the one before, so that each is seen, whatever becomes of the clock.
    """
    with database.writing(durable=False) as connection:
        found = _require_epoch(connection, backfill_id, epoch)
        at_us = max(database.latest_us(connection), found.heartbeat_us + 1)
        connection.execute(update(backfill).where(backfill.c.backfill_id == backfill_id).values(heartbeat_us=at_us))
        return found.state


def let_go(database: Database, backfill_id: int, epoch: int) -> None:
    """Say that nobody works on the backfill any more: what was under way waits, and anybody may go on at once.

    Raises
    ------
    StateError
        Another driver is in charge.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        _require_epoch(connection, backfill_id, epoch)
        connection.execute(update(backfill).where(backfill.c.backfill_id == backfill_id).values(driver=None))
        _set_targets(connection, backfill_id, [TargetState.RUNNING], TargetState.WAITING, now_us)
        _abandon_attempts(connection, backfill_id, now_us)


def start_attempts(database: Database, backfill_id: int, epoch: int, orders: Sequence[int]) -> dict[int, int]:
    """Note that these orders are being worked on; gives the number of each one's attempt.

    Raises
    ------
    StateError
        Another driver is in charge, or the backfill is being cancelled or finished.
    """
    now_us = database.now_us()
    with database.writing(durable=False) as connection:  # lost with this driver, so that the next one starts them anew
        found = _require_epoch(connection, backfill_id, epoch)
        if found.state is not BackfillState.RUNNING:
            raise StateError(
                f"Backfill {found.name!r} starts no more orders: it is {found.state}.",
                context={"backfill": found.name, "state": str(found.state)},
            )
        rows = connection.execute(_LAST_ATTEMPTS, {"of": backfill_id, "ids": to_json(list(orders))})
        made: dict[int, int] = {row[0]: row[1] for row in rows}
        numbers = {order: made.get(order, 0) + 1 for order in orders}
        if numbers:
            connection.execute(
                insert(backfill_attempt),
                [
                    {
                        "backfill_id": backfill_id,
                        "order_no": order,
                        "number": number,
                        "epoch": epoch,
                        "state": TargetState.RUNNING.value,
                        "began_us": now_us,
                    }
                    for order, number in numbers.items()
                ],
            )
            connection.execute(_START_TARGETS, [{"of": backfill_id, "order": order, "at": now_us} for order in numbers])
        return numbers


def finish_targets(database: Database, backfill_id: int, epoch: int, outcomes: Sequence[TargetOutcome]) -> None:
    """Note how attempts ended, and close those whose targets have all ended.

    Raises
    ------
    StateError
        Another driver is in charge, or a target was not under way (the answer came too late).
    """
    now_us = database.now_us()
    with database.writing() as connection:
        _require_epoch(connection, backfill_id, epoch)
        _finish(connection, backfill_id, outcomes, now_us)


def accept_claim(connection: Connection, claim: BackfillClaim, at_us: int) -> None:
    """Finish targets in the transaction of the commit that holds their content; a late or old claim is refused."""
    found = _require_epoch(connection, claim.backfill_id, claim.epoch)
    if found.state not in _WORKING:
        raise StateError(
            f"Backfill {found.name!r} takes no more results: it is {found.state}.",
            context={"backfill": found.name, "state": str(found.state)},
        )
    state = TargetState(claim.state)
    _finish(connection, claim.backfill_id, [TargetOutcome(ordinal, state) for ordinal in claim.ordinals], at_us)


def request_cancel(database: Database, backfill_id: int) -> BackfillState:
    """Ask the driver to stop, whoever it is; gives the state after. Finished backfills stay as they are."""
    with database.writing() as connection:
        found = get_backfill(connection, backfill_id)
        if found.state is not BackfillState.RUNNING:
            return found.state
        connection.execute(
            update(backfill).where(backfill.c.backfill_id == backfill_id).values(state=BackfillState.CANCELLING.value)
        )
        return BackfillState.CANCELLING


def set_state(database: Database, backfill_id: int, epoch: int, state: BackfillState) -> None:
    """Finish a backfill; cancelling it cancels the targets that were not begun or not finished.

    Raises
    ------
    StateError
        Another driver is in charge, or the states do not follow on each other.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        found = _require_epoch(connection, backfill_id, epoch)
        check_transition(BACKFILLS, f"backfill {found.name!r}", found.state, state)
        closed_at_us = None if state in _WORKING else now_us
        connection.execute(
            update(backfill)
            .where(backfill.c.backfill_id == backfill_id)
            .values(state=state.value, closed_at_us=closed_at_us, heartbeat_us=now_us)
        )
        if state is BackfillState.CANCELLED:
            unfinished = [TargetState.WAITING, TargetState.RUNNING]  # what is staged stays, for whoever resumes
            _set_targets(connection, backfill_id, unfinished, TargetState.CANCELLED, now_us)
            _abandon_attempts(connection, backfill_id, now_us)


def find_backfill(connection: Connection, name: str) -> BackfillRecord | None:
    """Give the backfill of that name, or None."""
    row = connection.execute(select(*_COLUMNS).where(backfill.c.name == name)).one_or_none()
    return None if row is None else _from_row(row)


def get_backfill(connection: Connection, backfill_id: int) -> BackfillRecord:
    """Give the backfill with that id; NotFoundError if there is none."""
    row = connection.execute(select(*_COLUMNS).where(backfill.c.backfill_id == backfill_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"There is no backfill with id {backfill_id}.", context={"backfill_id": backfill_id})
    return _from_row(row)


def list_backfills(connection: Connection, *, asset_id: int | None = None) -> list[BackfillRecord]:
    """Give the backfills (of one asset), newest first."""
    statement = select(*_COLUMNS).order_by(backfill.c.backfill_id.desc())
    if asset_id is not None:
        statement = statement.where(backfill.c.asset_id == asset_id)
    return [_from_row(row) for row in connection.execute(statement)]


def list_targets(
    connection: Connection, backfill_id: int, *, states: Iterable[TargetState] | None = None
) -> list[TargetRecord]:
    """Give the targets (in some states), by order of work and then of keys."""
    statement = _TARGETS.where(backfill_target.c.backfill_id == backfill_id)
    if states is not None:
        statement = statement.where(backfill_target.c.state.in_([state.value for state in states]))
    found = []
    for row in connection.execute(statement):
        ordinal, key, order_number, reason, expected, state, *rest = row
        found.append(TargetRecord(ordinal, key, order_number, reason, expected, TargetState(state), *rest))
    return found


def list_attempts(connection: Connection, backfill_id: int) -> list[AttemptRecord]:
    """Give every attempt, by order of work and number."""
    statement = (
        select(
            backfill_attempt.c.order_no,
            backfill_attempt.c.number,
            backfill_attempt.c.epoch,
            backfill_attempt.c.state,
            backfill_attempt.c.began_us,
            backfill_attempt.c.ended_us,
            backfill_attempt.c.error_type,
            backfill_attempt.c.error_message,
        )
        .where(backfill_attempt.c.backfill_id == backfill_id)
        .order_by(backfill_attempt.c.order_no, backfill_attempt.c.number)
    )
    return [
        AttemptRecord(order_number, number, epoch, TargetState(state), *rest)
        for order_number, number, epoch, state, *rest in connection.execute(statement)
    ]


def count_targets(connection: Connection, backfill_id: int) -> dict[TargetState, int]:
    """Give how many targets are in each state; states without any are left out."""
    statement = select(backfill_target.c.state, func.count()).where(backfill_target.c.backfill_id == backfill_id)
    rows = connection.execute(statement.group_by(backfill_target.c.state))
    return {TargetState(state): count for state, count in rows}


def _from_row(row: Sequence[Any]) -> BackfillRecord:
    backfill_id, name, asset_id, branch_id, staging, state, plan, *rest = row
    return BackfillRecord(backfill_id, name, asset_id, branch_id, staging, BackfillState(state), from_json(plan), *rest)


def _require_epoch(connection: Connection, backfill_id: int, epoch: int) -> BackfillRecord:
    found = get_backfill(connection, backfill_id)
    if found.epoch != epoch:
        raise StateError(
            f"Backfill {found.name!r} was taken over by {found.driver or 'another driver'}: "
            f"its epoch is {found.epoch}, not {epoch}.",
            hint="leave it to that driver; what this one was doing will be done again.",
            context={"backfill": found.name, "epoch": epoch, "found": found.epoch, "driver": found.driver},
        )
    return found


def _finish(connection: Connection, backfill_id: int, outcomes: Sequence[TargetOutcome], now_us: int) -> None:
    if not outcomes:
        return
    rows = [
        {
            "of": backfill_id,
            "which": outcome.ordinal,
            "to": outcome.state.value,
            "at": now_us,
            "type": outcome.error_type,
            "message": outcome.error_message,
        }
        for outcome in outcomes
    ]
    if connection.execute(_FINISH_TARGETS, rows).rowcount != len(rows):
        raise StateError(
            "A result came too late: its target is not under way any more.",
            hint="another attempt was accepted, or the backfill was cancelled.",
            context={"backfill_id": backfill_id, "ordinals": [outcome.ordinal for outcome in outcomes]},
        )
    ended = to_json([outcome.ordinal for outcome in outcomes])
    connection.execute(_CLOSE_ATTEMPTS, {"of": backfill_id, "at": now_us, "ids": ended})


def _set_targets(
    connection: Connection, backfill_id: int, before: Sequence[TargetState], after: TargetState, now_us: int
) -> None:
    connection.execute(
        update(backfill_target)
        .where(
            backfill_target.c.backfill_id == backfill_id,
            backfill_target.c.state.in_([state.value for state in before]),
        )
        .values(state=after.value, changed_us=now_us, error_type=None, error_message=None)
    )


def _abandon_attempts(connection: Connection, backfill_id: int, now_us: int) -> None:
    connection.execute(
        update(backfill_attempt)
        .where(backfill_attempt.c.backfill_id == backfill_id, backfill_attempt.c.state == TargetState.RUNNING.value)
        .values(state=TargetState.CANCELLED.value, ended_us=now_us)
    )


_ATTEMPTS_MADE = (
    select(func.count())
    .where(
        backfill_attempt.c.backfill_id == backfill_target.c.backfill_id,
        backfill_attempt.c.order_no == backfill_target.c.order_no,
    )
    .scalar_subquery()
)
_TARGETS: Select[Any] = select(
    backfill_target.c.ordinal,
    backfill_target.c.key,
    backfill_target.c.order_no,
    backfill_target.c.reason,
    backfill_target.c.expected_content_id,
    backfill_target.c.state,
    backfill_target.c.changed_us,
    _ATTEMPTS_MADE,
    backfill_target.c.error_type,
    backfill_target.c.error_message,
).order_by(backfill_target.c.order_no, backfill_target.c.ordinal)

_LAST_ATTEMPTS: Select[Any] = (
    select(backfill_attempt.c.order_no, func.max(backfill_attempt.c.number))
    .where(
        backfill_attempt.c.backfill_id == bindparam("of", type_=BIG),
        in_json(backfill_attempt.c.order_no, "ids"),
    )
    .group_by(backfill_attempt.c.order_no)
)
_START_TARGETS = (
    update(backfill_target)
    .where(
        backfill_target.c.backfill_id == bindparam("of", type_=BIG),
        backfill_target.c.order_no == bindparam("order", type_=BIG),
        backfill_target.c.state == TargetState.WAITING.value,
    )
    .values(state=TargetState.RUNNING.value, changed_us=bindparam("at"), error_type=None, error_message=None)
)
_FINISH_TARGETS = (
    update(backfill_target)
    .where(
        backfill_target.c.backfill_id == bindparam("of", type_=BIG),
        backfill_target.c.ordinal == bindparam("which", type_=BIG),
        or_(  # a list would not do: the statement is executed for many targets at once
            backfill_target.c.state == TargetState.RUNNING.value,
            backfill_target.c.state == TargetState.STAGED.value,
        ),
    )
    .values(
        state=bindparam("to"),
        changed_us=bindparam("at"),
        error_type=bindparam("type"),
        error_message=bindparam("message"),
    )
)

_OF_ATTEMPT = and_(
    backfill_target.c.backfill_id == backfill_attempt.c.backfill_id,
    backfill_target.c.order_no == backfill_attempt.c.order_no,
)
_ERROR = select(backfill_target.c.error_type).where(_OF_ATTEMPT, backfill_target.c.error_type.is_not(None)).limit(1)
_TOUCHED = (
    select(backfill_target.c.order_no)
    .select_from(each_in_json(backfill_target, backfill_target.c.ordinal, "ids"))
    .where(backfill_target.c.backfill_id == bindparam("of", type_=BIG))
)
_CLOSE_ATTEMPTS = (
    update(backfill_attempt)
    .where(
        backfill_attempt.c.backfill_id == bindparam("of", type_=BIG),
        backfill_attempt.c.state == TargetState.RUNNING.value,
        backfill_attempt.c.order_no.in_(_TOUCHED),
        ~exists().where(_OF_ATTEMPT, backfill_target.c.state == TargetState.RUNNING.value),
    )
    .values(
        state=case((exists(_ERROR), TargetState.FAILED.value), else_=TargetState.DONE.value),
        ended_us=bindparam("at"),
        error_type=_ERROR.scalar_subquery(),
        error_message=_ERROR.with_only_columns(backfill_target.c.error_message).scalar_subquery(),
    )
)
