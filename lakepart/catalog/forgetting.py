"""Forgetting old versions: which of them nothing needs any more, and from where on an asset's past is still whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import get_head
from lakepart.catalog.scopes import each_in_json, in_json, numbers_in_json
from lakepart.catalog.tables import (
    BIG,
    asset,
    branch,
    copy,
    head,
    intent,
    snapshot,
    tag,
    version,
    version_file,
    version_input,
)
from lakepart.model.batches import in_batches
from lakepart.model.catalog_records import CopyState
from lakepart.model.records import MAIN_BRANCH_ID

_AT_ONCE = 2000  # versions forgotten in one transaction: the write lock is held for milliseconds


@dataclass(frozen=True, slots=True)
class Retention:
    """Which replaced versions are old enough to be forgotten.

    Those that ended before ``ended_before_us``, or before the instant that ``of_assets`` has for their asset, by id;
    and of each partition not the newest ``keep_last``, of which what it holds now, be it nothing, is the first.
    """

    ended_before_us: int
    of_assets: Mapping[int, int] = field(default_factory=dict)
    keep_last: int = 1


def count_forgettable(connection: Connection, retention: Retention) -> dict[str, int]:
    """Say how many versions of each asset, by name, :func:`forget_versions` would forget."""
    counted = Counter(one.asset_id for one in _find_forgettable(connection, retention))
    names = {row[0]: row[1] for row in connection.execute(select(asset.c.asset_id, asset.c.name))}
    return dict(sorted((names[asset_id], count) for asset_id, count in counted.items()))


def forget_versions(database: Database, retention: Retention) -> int:
    """Forget versions that are old enough, and those of branches that were closed so long ago.

    Kept whatever their age: current versions of main and of open branches, what open branches see of main at their
    fork, what tagged snapshots show, and everything that was current while a transaction or backfill that is under
    way was, on branches that were closed meanwhile too; and what a manifest that is still to be written has to say.
    Files that no version holds any more are retired as of now. Gives the number of versions.

    Notes
    -----
    Goes on in transactions of two thousand versions, each of which leaves the catalog sound. Statements are the same
    however many assets have a retention of their own.
    """
    with database.reading() as connection:
        unneeded = {one.version_id for one in _find_forgettable(connection, retention)}
        unneeded.difference_update(connection.execute(_UNSAID).scalars())
    # the newest first: none may be left that has ended one of those forgotten, for manifests would contradict it
    found = sorted(unneeded, reverse=True)
    return sum(_forget(database, retention, some) for some in in_batches(found, _AT_ONCE))


def _forget(database: Database, retention: Retention, version_ids: list[int]) -> int:
    """Forget some versions, if nothing has come to need them meanwhile."""
    with database.writing() as connection:
        # a clock that is behind, or was set back, must not make bytes look old
        at_us = max(database.latest_us(connection), get_head(connection).at_us)
        forgotten = _find_forgettable(connection, retention, version_ids)
        if not forgotten:
            return 0
        ids = {"ids": to_json([one.version_id for one in forgotten])}
        held = select(version_file.c.file_id).where(in_json(version_file.c.version_id, "ids")).distinct()
        file_ids = list(connection.execute(held, ids).scalars())
        for table in (version_input, version_file, version):
            connection.execute(delete(table).where(in_json(table.c.version_id, "ids")), ids)
        connection.execute(_RETIRE, {"ids": to_json(file_ids), "at": at_us})
        note_horizons(connection, [(one.asset_id, one.ended) for one in forgotten if one.closed_at_us is None])
        return len(forgotten)


class _Unneeded(NamedTuple):
    """A version that nothing needs: replaced, or left on a branch that was closed then."""

    version_id: int
    asset_id: int
    ended: int | None
    closed_at_us: int | None


def _find_forgettable(
    connection: Connection, retention: Retention, among: Sequence[int] | None = None
) -> list[_Unneeded]:
    """Give the versions that are old enough and that nothing needs; ages differ between assets, so they come last."""
    limits = _Limits(connection, retention)
    bounds = {"last": limits.newest_last, "closed_before": limits.newest_before_us, "keep_last": retention.keep_last}
    given = bounds if among is None else {**bounds, "ids": to_json(among)}
    found: dict[int, _Unneeded] = {}
    for statement, is_old_enough in (
        (_replaced(keeps_more=retention.keep_last > 1, listed=among is not None), limits.let_go_replaced),
        (_given_up(listed=among is not None), limits.let_go_given_up),
    ):
        for row in connection.execute(statement, given):
            one = _Unneeded(*row)
            if is_old_enough(one):
                found[one.version_id] = one
    return list(found.values())


class _Limits:
    """What a retention means for each asset: instants, and the last snapshots before them, which one query finds."""

    def __init__(self, connection: Connection, retention: Retention) -> None:
        instants = {retention.ended_before_us, *retention.of_assets.values()}
        rows = connection.execute(_LAST_BEFORE, {"instants": to_json(sorted(instants))})
        self._last = {row[0]: row[1] for row in rows}
        self._retention = retention
        self.newest_before_us = max(instants)
        self.newest_last = max(self._last.values())

    def let_go_replaced(self, one: _Unneeded) -> bool:
        """Say whether a version ended before what its asset keeps."""
        return one.ended is not None and one.ended <= self._last[self._before_us(one)]

    def let_go_given_up(self, one: _Unneeded) -> bool:
        """Say whether the branch of a version was closed before what its asset keeps."""
        return one.closed_at_us is not None and one.closed_at_us < self._before_us(one)

    def _before_us(self, one: _Unneeded) -> int:
        return self._retention.of_assets.get(one.asset_id, self._retention.ended_before_us)


def note_horizons(connection: Connection, forgotten: list[tuple[int, int | None]]) -> None:
    """Note of assets, and of the lake, before which snapshots they are no longer whole."""
    of_assets: dict[int, int] = {}
    for asset_id, ended in forgotten:
        if ended is not None:
            of_assets[asset_id] = max(ended, of_assets.get(asset_id, 0))
    if not of_assets:
        return
    connection.execute(_ASSET_HORIZON, [{"of": of, "whole_from": from_} for of, from_ in sorted(of_assets.items())])
    whole_from = max(of_assets.values())
    connection.execute(update(head).where(head.c.horizon < whole_from).values(horizon=whole_from))


def is_unneeded() -> ColumnElement[bool]:
    """Say of a version, whatever its age, that it was replaced or its branch was closed, and that nothing needs it."""
    return or_(_is_replaced(), exists().where(_OF_CLOSED, *_is_given_up()))


def _is_replaced() -> ColumnElement[bool]:
    forked = branch.alias("forked")
    seen_by_a_branch = exists().where(
        forked.c.state == "open",
        forked.c.branch_id != MAIN_BRANCH_ID,
        version.c.branch_id == MAIN_BRANCH_ID,
        version.c.began <= forked.c.fork,
        version.c.ended > forked.c.fork,
    )
    tagged = exists().where(
        tag.c.deleted == 0,
        version.c.branch_id == MAIN_BRANCH_ID,
        version.c.began <= tag.c.snapshot,
        version.c.ended > tag.c.snapshot,
    )
    leased = exists().where(version.c.ended > intent.c.snapshot)  # a backfill reads newer snapshots, order by order
    return and_(version.c.ended.is_not(None), ~seen_by_a_branch, ~tagged, ~leased)


def _is_given_up() -> tuple[ColumnElement[bool], ...]:
    """Tags are main's alone; but an order of a backfill may read files of a branch that was closed after it began."""
    begun_before = exists().where(snapshot.c.snapshot == intent.c.snapshot, snapshot.c.at_us <= _closed.c.closed_at_us)
    return _closed.c.state != "open", ~begun_before


@cache
def _replaced(*, keeps_more: bool, listed: bool) -> Select[Any]:
    source = each_in_json(version, version.c.version_id, "ids") if listed else version
    # on a branch that is closed all go at once: of some, manifests would say that they follow on what is not there
    conditions = [_is_replaced(), _closed.c.state == "open", version.c.ended <= bindparam("last", type_=BIG)]
    if keeps_more:  # one is what every other condition leaves
        conditions.append(_states_since() >= bindparam("keep_last", type_=BIG))
    return _unneeded(source).where(*conditions)


@cache
def _given_up(*, listed: bool) -> Select[Any]:
    source = each_in_json(version, version.c.version_id, "ids") if listed else version
    return _unneeded(source).where(*_is_given_up(), _closed.c.closed_at_us < bindparam("closed_before", type_=BIG))


def _unneeded(source: FromClause) -> Select[Any]:
    return select(version.c.version_id, version.c.asset_id, version.c.ended, _closed.c.closed_at_us).select_from(
        source.join(_closed, _OF_CLOSED)
    )


def _states_since() -> Any:
    """Count what the version's partition has held since, being missing now included."""
    later = version.alias("later")
    same = (
        later.c.asset_id == version.c.asset_id,
        later.c.branch_id == version.c.branch_id,
        later.c.ordinal == version.c.ordinal,
    )
    replaced = select(func.count()).where(*same, later.c.ended.is_not(None), later.c.ended > version.c.ended)
    return replaced.scalar_subquery() + 1


_closed = branch.alias("closed")  # or open as yet
_OF_CLOSED = _closed.c.branch_id == version.c.branch_id
_instants = numbers_in_json("instants")
_LAST_BEFORE: Any = select(
    _instants,
    func.coalesce(
        select(snapshot.c.snapshot)
        .where(snapshot.c.at_us < _instants)
        .order_by(snapshot.c.at_us.desc())
        .limit(1)
        .scalar_subquery(),
        -1,
    ),
)
# A rebuild would find the versions that followed, and not that these made way for them.
_UNSAID: Select[Any] = (
    select(version.c.version_id)
    .select_from(snapshot.join(version, snapshot.c.snapshot.in_((version.c.began, version.c.ended))))
    .where(snapshot.c.manifested == literal_column("0"))  # as the partial index says it, so that it is used
)
_RETIRE = (
    update(copy)
    .where(
        in_json(copy.c.file_id, "ids"),
        copy.c.state == CopyState.LIVE.value,
        ~exists().where(version_file.c.file_id == copy.c.file_id),
    )
    .values(state=CopyState.RETIRED.value, since_us=bindparam("at"))
)
_ASSET_HORIZON = (
    update(asset)
    .where(asset.c.asset_id == bindparam("of"), asset.c.horizon < bindparam("whole_from"))
    .values(horizon=bindparam("whole_from"))
)
