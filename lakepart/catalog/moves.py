"""Moves of partitions between tiers: claimed, advanced under a fence, and swapped in one guarded transaction.

A move changes no version: it changes which copy of the same files readers open. Whoever holds the newest fence may
advance it; a rewritten partition makes the swap an abort, never a conflict for the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, insert, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.declaring import next_id
from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import BIG, asset, copy, file, move, move_file, version, version_file
from lakepart.errors import NotFoundError, StateError
from lakepart.model.catalog_records import CopyState, MoveFileRecord, MoveRecord
from lakepart.model.plans import Move
from lakepart.model.records import MAIN_BRANCH_ID
from lakepart.model.states import MOVES, MoveState, check_transition

REPLACED = "replaced"  # the outcome of a move whose partition was rewritten while its bytes were copied


class _Which(NamedTuple):
    """Some moves: the statements that find them, and their files."""

    moves: Select[Any]
    files: Select[Any]


def claim(
    database: Database, moves: Sequence[Move], *, holder: str, lease_until_us: int, branch_id: int = MAIN_BRANCH_ID
) -> list[MoveRecord]:
    """Note planned moves, all or none, before a byte is copied.

    Raises
    ------
    StateError
        A partition is being moved by somebody else, or vacuum is deleting one of its files at the destination.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        claimed = []
        for planned in moves:
            _require_unclaimed(connection, planned, branch_id)
            _require_not_deleting(connection, planned)
            move_id = next_id(connection)
            connection.execute(
                insert(move).values(
                    move_id=move_id,
                    asset_id=planned.asset_id,
                    branch_id=branch_id,
                    key=planned.key,
                    ordinal=planned.ordinal,
                    to_tier=planned.to_tier,
                    state=MoveState.PLANNED.value,
                    holder=holder,
                    fence=1,
                    lease_until_us=lease_until_us,
                    created_at_us=now_us,
                )
            )
            rows = [
                {"move_id": move_id, "file_id": one.file_id, "from_tier": one.tier, "path": one.path}
                for one in planned.files
            ]
            if rows:
                connection.execute(insert(move_file), rows)
            claimed.append(move_id)
        return _find(connection, _SOME, {"moves": to_json(claimed)})


def take_over(database: Database, move_id: int, *, holder: str, lease_until_us: int) -> MoveRecord:
    """Carry on a move whose holder has let its lease run out; raises the fence, so that the old holder cannot.

    Raises
    ------
    StateError
        The lease still runs, or the move is over.
    """
    with database.writing() as connection:
        found = get_move(connection, move_id)
        if not MOVES[found.state]:
            raise StateError(f"The move of partition {found.key!r} is over: it is {found.state}.")
        if found.holder != holder and found.lease_until_us > database.now_us():
            raise _held(connection, found)
        connection.execute(
            update(move)
            .where(move.c.move_id == move_id)
            .values(holder=holder, fence=found.fence + 1, lease_until_us=lease_until_us)
        )
        return get_move(connection, move_id)


def renew(database: Database, held: Iterable[MoveRecord], *, lease_until_us: int) -> None:
    """Keep the leases of moves that are still being worked on; those that were taken over stay taken over."""
    with database.writing() as connection:
        for one in held:
            connection.execute(
                update(move)
                .where(move.c.move_id == one.move_id, move.c.fence == one.fence)
                .values(lease_until_us=lease_until_us)
            )


def advance(
    database: Database, move_id: int, fence: int, state: MoveState, *, outcome: str | None = None
) -> MoveRecord:
    """Take a move one step further; :func:`swap` takes the step to ``SWAPPED``.

    Where a loss of power undoes the step, whoever takes the move over makes it again.

    Raises
    ------
    StateError
        Somebody took the move over, or the states do not follow on each other.
    """
    if state is MoveState.SWAPPED:
        raise StateError("A move becomes swapped by swapping its copies.", hint="call swap.")
    with database.writing(durable=False) as connection:
        found = _require_fence(connection, move_id, fence)
        check_transition(MOVES, f"the move of partition {found.key!r}", found.state, state)
        return _set_state(connection, found, state, now_us=database.now_us(), outcome=outcome)


def swap(database: Database, move_id: int, fence: int) -> MoveRecord:
    """Make the verified copies the live ones and retire the old, unless the partition was rewritten meanwhile.

    Returns
    -------
    MoveRecord
        ``SWAPPED``, or ``ABORTED`` with the outcome ``"replaced"``: one of its files is no longer current.

    Raises
    ------
    StateError
        Somebody took the move over, or its copies are not verified.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        found = _require_fence(connection, move_id, fence)
        check_transition(MOVES, f"the move of partition {found.key!r}", found.state, MoveState.SWAPPED)
        if not _still_current(connection, found):
            return _set_state(connection, found, MoveState.ABORTED, now_us=now_us, outcome=REPLACED)
        for one in found.files:
            at_source = and_(copy.c.file_id == one.file_id, copy.c.tier == one.from_tier)
            connection.execute(update(copy).where(at_source).values(state=CopyState.RETIRED.value, since_us=now_us))
            # It may have been there before and be waiting for vacuum: the bytes are the same, and verified.
            connection.execute(delete(copy).where(copy.c.file_id == one.file_id, copy.c.tier == found.to_tier))
            connection.execute(
                insert(copy).values(
                    file_id=one.file_id,
                    tier=found.to_tier,
                    path=one.path,
                    state=CopyState.LIVE.value,
                    owned=1,
                    since_us=now_us,
                )
            )
        return _set_state(connection, found, MoveState.SWAPPED, now_us=now_us)


def get_move(connection: Connection, move_id: int) -> MoveRecord:
    """Give the move with that id; NotFoundError if there is none."""
    found = _find(connection, _ONE, {"move": move_id})
    if not found:
        raise NotFoundError(f"There is no move with id {move_id}.", context={"move_id": move_id})
    return found[0]


def open_moves(connection: Connection, *, asset_id: int | None = None) -> list[MoveRecord]:
    """Give the moves that are not over, the earliest first: what recovery begins with."""
    if asset_id is None:
        return _find(connection, _OPEN, {})
    return _find(connection, _OPEN_OF_ASSET, {"asset": asset_id})


def list_moves(connection: Connection, *, asset_id: int) -> list[MoveRecord]:
    """Give every move of an asset's partitions, the earliest first."""
    return _find(connection, _ALL_OF_ASSET, {"asset": asset_id})


def _find(connection: Connection, which: _Which, parameters: Mapping[str, int | str]) -> list[MoveRecord]:
    files: dict[int, list[MoveFileRecord]] = {}
    for of, *values in connection.execute(which.files, parameters):
        files.setdefault(of, []).append(MoveFileRecord(*values))
    rows = connection.execute(which.moves, parameters).all()
    return [
        MoveRecord(
            row.move_id,
            row.asset_id,
            row.branch_id,
            row.key,
            row.ordinal,
            row.to_tier,
            MoveState(row.state),
            row.holder,
            row.fence,
            row.lease_until_us,
            row.outcome,
            tuple(files.get(row.move_id, ())),
        )
        for row in rows
    ]


def _require_unclaimed(connection: Connection, planned: Move, branch_id: int) -> None:
    at = {"asset": planned.asset_id, "branch": branch_id, "ordinal": planned.ordinal}
    for found in _find(connection, _OPEN_OF_PARTITION, at):
        raise _held(connection, found)


def _held(connection: Connection, found: MoveRecord) -> StateError:
    name = connection.execute(select(asset.c.name).where(asset.c.asset_id == found.asset_id)).scalar_one()
    return StateError(
        f"Partition {found.key!r} of {name!r} is being moved to tier {found.to_tier!r} by {found.holder}.",
        hint="wait for it to finish; a move whose holder died is carried on when its lease has run out.",
        context={
            "asset": name,
            "key": found.key,
            "move_id": found.move_id,
            "holder": found.holder,
            "lease_until_us": found.lease_until_us,
        },
    )


def _require_not_deleting(connection: Connection, planned: Move) -> None:
    file_ids = [one.file_id for one in planned.files]
    deleting = select(copy.c.path).where(
        copy.c.file_id.in_(file_ids), copy.c.tier == planned.to_tier, copy.c.state == CopyState.DELETING.value
    )
    path = connection.execute(deleting.limit(1)).scalar_one_or_none()
    if path is not None:
        raise StateError(
            f"Vacuum is deleting {path!r} from tier {planned.to_tier!r}, where partition {planned.key!r} is to go.",
            hint="try again when vacuum has finished.",
            context={"key": planned.key, "tier": planned.to_tier, "path": path},
        )


def _require_fence(connection: Connection, move_id: int, fence: int) -> MoveRecord:
    found = get_move(connection, move_id)
    if found.fence != fence:
        raise StateError(
            f"The move of partition {found.key!r} was taken over by {found.holder}.",
            hint="leave it to that process.",
            context={"move_id": move_id, "fence": fence, "found": found.fence},
        )
    return found


def _still_current(connection: Connection, found: MoveRecord) -> bool:
    """Say whether each of the move's files is in the partition's current version, with the copy it was made from."""
    current = (
        select(copy.c.file_id, copy.c.tier)
        .select_from(
            version.join(version_file, version_file.c.version_id == version.c.version_id).join(
                copy, copy.c.file_id == version_file.c.file_id
            )
        )
        .where(
            version.c.asset_id == found.asset_id,
            version.c.branch_id == found.branch_id,
            version.c.ordinal == found.ordinal,
            version.c.ended.is_(None),
            copy.c.state == CopyState.LIVE.value,
        )
    )
    live = {tuple(row) for row in connection.execute(current)}
    return live >= {(one.file_id, one.from_tier) for one in found.files}


def _set_state(
    connection: Connection, found: MoveRecord, state: MoveState, *, now_us: int, outcome: str | None = None
) -> MoveRecord:
    values: dict[str, Any] = {"state": state.value}
    if not MOVES[state]:
        values["closed_at_us"] = now_us
    if outcome is not None:
        values["outcome"] = outcome
    connection.execute(update(move).where(move.c.move_id == found.move_id).values(values))
    return replace(found, state=state, outcome=found.outcome if outcome is None else outcome)


def _which(where: ColumnElement[bool]) -> _Which:
    columns = (
        move.c.move_id,
        move.c.asset_id,
        move.c.branch_id,
        move.c.key,
        move.c.ordinal,
        move.c.to_tier,
        move.c.state,
        move.c.holder,
        move.c.fence,
        move.c.lease_until_us,
        move.c.outcome,
    )
    files = select(
        move_file.c.move_id,
        move_file.c.file_id,
        move_file.c.from_tier,
        move_file.c.path,
        file.c.size_bytes,
        file.c.checksum,
    ).select_from(
        move.join(move_file, move_file.c.move_id == move.c.move_id).join(file, file.c.file_id == move_file.c.file_id)
    )
    return _Which(
        select(*columns).where(where).order_by(move.c.move_id),
        files.where(where).order_by(move_file.c.move_id, move_file.c.file_id),
    )


_OF_ASSET = move.c.asset_id == bindparam("asset", type_=BIG)
_IS_OPEN = move.c.closed_at_us.is_(None)
_ONE = _which(move.c.move_id == bindparam("move", type_=BIG))
_SOME = _which(in_json(move.c.move_id, "moves"))
_OPEN = _which(_IS_OPEN)
_OPEN_OF_ASSET = _which(and_(_IS_OPEN, _OF_ASSET))
_ALL_OF_ASSET = _which(_OF_ASSET)
_OPEN_OF_PARTITION = _which(
    and_(
        _IS_OPEN,
        _OF_ASSET,
        move.c.branch_id == bindparam("branch", type_=BIG),
        move.c.ordinal == bindparam("ordinal", type_=BIG),
    )
)
