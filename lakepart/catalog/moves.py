"""Moves of partitions between tiers: claimed, advanced under a fence, and swapped in one guarded transaction.

A move changes no version: it changes which copy of the same files readers open. Whoever holds the newest fence may
advance it; a rewritten partition makes the swap an abort, never a conflict for the writer. Moves go in groups, a
transaction a step, and each keeps its own outcome. Leases go by the database's clock: those of machines may differ by
more than a lease.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from lakepart.catalog.database import Database
from lakepart.catalog.declaring import next_id
from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import get_head
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import BIG, TEXT, asset, copy, file, move, move_file, version, version_file
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
    database: Database, moves: Sequence[Move], *, holder: str, lease_us: int, branch_id: int = MAIN_BRANCH_ID
) -> list[MoveRecord]:
    """Note planned moves, all or none, before a byte is copied; nobody takes them over for ``lease_us``.

    Raises
    ------
    StateError
        A partition is being moved already, or vacuum is deleting one of its files at the destination.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        _require_unclaimed(connection, moves, branch_id)
        _require_not_deleting(connection, moves)
        first = next_id(connection, len(moves))
        lease_until_us = database.shared_us(connection) + lease_us
        numbered = list(enumerate(moves, first))
        rows = [
            {
                "move_id": move_id,
                "asset_id": planned.asset_id,
                "branch_id": branch_id,
                "key": planned.key,
                "ordinal": planned.ordinal,
                "to_tier": planned.to_tier,
                "state": MoveState.PLANNED.value,
                "holder": holder,
                "fence": 1,
                "lease_until_us": lease_until_us,
                "created_at_us": now_us,
            }
            for move_id, planned in numbered
        ]
        files = [
            {"move_id": move_id, "file_id": one.file_id, "from_tier": one.tier, "path": one.path}
            for move_id, planned in numbered
            for one in planned.files
        ]
        _each(connection, insert(move), rows)
        _each(connection, insert(move_file), files)
        return _find(connection, _SOME, {"moves": to_json([move_id for move_id, _ in numbered])})


def take_over(
    database: Database, move_id: int, *, holder: str, lease_us: int, instead_of: str | None = None
) -> MoveRecord:
    """Carry on a move whose holder has let its lease run out; raises the fence, so that the old holder cannot.

    Parameters
    ----------
    instead_of
        A holder that is known to be gone: its leases are not waited for.

    Raises
    ------
    StateError
        The lease still runs, or the move is over.
    """
    with database.writing() as connection:
        found = get_move(connection, move_id)
        if not MOVES[found.state]:
            raise StateError(f"The move of partition {found.key!r} is over: it is {found.state}.")
        now_us = database.shared_us(connection)
        if found.holder not in {holder, instead_of} and found.lease_until_us > now_us:
            raise _held(connection, found)
        connection.execute(
            update(move)
            .where(move.c.move_id == move_id)
            .values(holder=holder, fence=found.fence + 1, lease_until_us=now_us + lease_us)
        )
        return get_move(connection, move_id)


def renew(database: Database, held: Iterable[MoveRecord], *, lease_us: int) -> None:
    """Keep the leases of moves that are still being worked on; those that were taken over stay taken over."""
    with database.writing() as connection:
        until_us = database.shared_us(connection) + lease_us
        held_under = [{"of": one.move_id, "under": one.fence, "until": until_us} for one in held]
        _each(connection, _RENEW, held_under)


def advance(
    database: Database, held: Sequence[MoveRecord], state: MoveState, *, outcome: str | None = None
) -> list[MoveRecord]:
    """Take moves one step further, all or none; :func:`swap` takes the step to ``SWAPPED``.

    Where a loss of power undoes the step, whoever takes the moves over makes it again.

    Raises
    ------
    StateError
        Somebody took one of the moves over, or the states do not follow on each other.
    """
    if state is MoveState.SWAPPED:
        raise StateError("A move becomes swapped by swapping its copies.", hint="call swap.")
    with database.writing(durable=False) as connection:
        _require_step(connection, held, state)
        return _set_state(connection, held, state, now_us=database.now_us(), outcome=outcome)


def swap(database: Database, held: Sequence[MoveRecord]) -> list[MoveRecord]:
    """Make the verified copies of moves the live ones and retire the old, in one transaction.

    Returns
    -------
    list of MoveRecord
        In the order of ``held``: ``SWAPPED``, or ``ABORTED`` with the outcome ``"replaced"`` where one of the files is
        no longer current, because the partition was rewritten meanwhile. That disturbs no other move.

    Raises
    ------
    StateError
        Somebody took one of the moves over, or its copies are not verified; none is swapped.
    """
    with database.writing() as connection:
        # a clock that is behind, or was set back, must not make bytes look old
        now_us = max(database.latest_us(connection), get_head(connection).at_us)
        _require_step(connection, held, MoveState.SWAPPED)
        current = _still_current(connection, held)
        swapped = [one for one in held if one.move_id in current]
        replaced = [one for one in held if one.move_id not in current]
        _exchange_copies(connection, swapped, now_us)
        over = {
            one.move_id: one
            for one in (
                *_set_state(connection, swapped, MoveState.SWAPPED, now_us=now_us),
                *_set_state(connection, replaced, MoveState.ABORTED, now_us=now_us, outcome=REPLACED),
            )
        }
    return [over[one.move_id] for one in held]


def get_move(connection: Connection, move_id: int) -> MoveRecord:
    """Give the move with that id; NotFoundError if there is none."""
    found = _find(connection, _ONE, {"move": move_id})
    if not found:
        raise _no_move(move_id)
    return found[0]


def open_moves(connection: Connection, *, asset_id: int | None = None) -> list[MoveRecord]:
    """Give the moves that are not over, the earliest first: what recovery begins with."""
    if asset_id is None:
        return _find(connection, _OPEN, {})
    return _find(connection, _OPEN_OF_ASSET, {"asset": asset_id})


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


def _each(connection: Connection, statement: Executable, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _require_unclaimed(connection: Connection, moves: Sequence[Move], branch_id: int) -> None:
    ordinals: dict[int, set[int]] = {}
    for planned in moves:
        of_asset = ordinals.setdefault(planned.asset_id, set())
        if planned.ordinal in of_asset:
            raise StateError(
                f"Partition {planned.key!r} of {planned.asset!r} is to be moved twice at once.",
                context={"asset": planned.asset, "key": planned.key},
            )
        of_asset.add(planned.ordinal)
    for asset_id, of_asset in ordinals.items():
        at: dict[str, int | str] = {"asset": asset_id, "branch": branch_id, "ordinals": to_json(sorted(of_asset))}
        for found in _find(connection, _OPEN_OF_PARTITIONS, at):
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


def _require_not_deleting(connection: Connection, moves: Sequence[Move]) -> None:
    bound_for = {(one.file_id, planned.to_tier): planned for planned in moves for one in planned.files}
    file_ids = to_json([file_id for file_id, _ in bound_for])
    for file_id, tier, path in connection.execute(_DELETING, {"files": file_ids}):
        planned = bound_for.get((file_id, tier))
        if planned is not None:
            raise StateError(
                f"Vacuum is deleting {path!r} from tier {tier!r}, where partition {planned.key!r} is to go.",
                hint="try again when vacuum has finished.",
                context={"key": planned.key, "tier": tier, "path": path},
            )


def _require_step(connection: Connection, held: Sequence[MoveRecord], state: MoveState) -> None:
    """Refuse unless ``held`` has the newest fence of each move, and each may become ``state``."""
    standing = {row.move_id: row for row in connection.execute(_STANDING, {"moves": _ids(held)})}
    for one in held:
        found = standing.get(one.move_id)
        if found is None:
            raise _no_move(one.move_id)
        if found.fence != one.fence:
            raise StateError(
                f"The move of partition {one.key!r} was taken over by {found.holder}.",
                hint="leave it to that process.",
                context={"move_id": one.move_id, "fence": one.fence, "found": found.fence},
            )
        check_transition(MOVES, f"the move of partition {one.key!r}", MoveState(found.state), state)


def _still_current(connection: Connection, found: Sequence[MoveRecord]) -> set[int]:
    """Name the moves whose files are all in the partition's current version, with the copies they were made from."""
    rows = connection.execute(_CURRENT_FILES, {"moves": _ids(found)})
    counted: dict[int, int] = {row.move_id: row.files for row in rows}
    return {one.move_id for one in found if counted.get(one.move_id, 0) == len(one.files)}


def _exchange_copies(connection: Connection, swapped: Sequence[MoveRecord], now_us: int) -> None:
    files = [(one.to_tier, file) for one in swapped for file in one.files]
    _each(connection, _RETIRE, [{"of": file.file_id, "at": file.from_tier, "since": now_us} for _, file in files])
    # They may have been there before and be waiting for vacuum: the bytes are the same, and verified.
    _each(connection, _FORGET, [{"of": file.file_id, "at": to_tier} for to_tier, file in files])
    copies = [
        {
            "file_id": file.file_id,
            "tier": to_tier,
            "path": file.path,
            "state": CopyState.LIVE.value,
            "owned": 1,
            "since_us": now_us,
        }
        for to_tier, file in files
    ]
    _each(connection, insert(copy), copies)


def _set_state(
    connection: Connection,
    found: Sequence[MoveRecord],
    state: MoveState,
    *,
    now_us: int,
    outcome: str | None = None,
) -> list[MoveRecord]:
    values: dict[str, Any] = {"state": state.value}
    if not MOVES[state]:
        values["closed_at_us"] = now_us
    if outcome is not None:
        values["outcome"] = outcome
    if found:
        connection.execute(update(move).where(in_json(move.c.move_id, "moves")).values(values), {"moves": _ids(found)})
    return [replace(one, state=state, outcome=one.outcome if outcome is None else outcome) for one in found]


def _ids(moves: Iterable[MoveRecord]) -> str:
    return to_json([one.move_id for one in moves])


def _no_move(move_id: int) -> NotFoundError:
    return NotFoundError(f"There is no move with id {move_id}.", context={"move_id": move_id})


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
_OPEN_OF_PARTITIONS = _which(
    and_(
        _IS_OPEN,
        _OF_ASSET,
        move.c.branch_id == bindparam("branch", type_=BIG),
        in_json(move.c.ordinal, "ordinals"),
    )
)
_STANDING = select(move.c.move_id, move.c.state, move.c.holder, move.c.fence).where(in_json(move.c.move_id, "moves"))
_DELETING = select(copy.c.file_id, copy.c.tier, copy.c.path).where(
    in_json(copy.c.file_id, "files"), copy.c.state == CopyState.DELETING.value
)
_CURRENT_FILES = (
    select(move.c.move_id, func.count(move_file.c.file_id.distinct()).label("files"))
    .select_from(
        move.join(
            version,
            and_(
                version.c.asset_id == move.c.asset_id,
                version.c.branch_id == move.c.branch_id,
                version.c.ordinal == move.c.ordinal,
                version.c.ended.is_(None),
            ),
        )
        .join(version_file, version_file.c.version_id == version.c.version_id)
        .join(move_file, and_(move_file.c.move_id == move.c.move_id, move_file.c.file_id == version_file.c.file_id))
        .join(copy, and_(copy.c.file_id == move_file.c.file_id, copy.c.tier == move_file.c.from_tier))
    )
    .where(in_json(move.c.move_id, "moves"), copy.c.state == CopyState.LIVE.value)
    .group_by(move.c.move_id)
)
_COPY_AT = and_(copy.c.file_id == bindparam("of", type_=BIG), copy.c.tier == bindparam("at", type_=TEXT))
_RETIRE = update(copy).where(_COPY_AT).values(state=CopyState.RETIRED.value, since_us=bindparam("since", type_=BIG))
_FORGET = delete(copy).where(_COPY_AT)
_RENEW = (
    update(move)
    .where(move.c.move_id == bindparam("of", type_=BIG), move.c.fence == bindparam("under", type_=BIG))
    .values(lease_until_us=bindparam("until", type_=BIG))
)
