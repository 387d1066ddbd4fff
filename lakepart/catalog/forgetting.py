"""Forgetting old versions: which of them nothing needs any more, and from where on an asset's past is still whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, case, delete, exists, func, or_, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import get_head
from lakepart.catalog.scopes import in_json
from lakepart.catalog.tables import (
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
    counted = (
        select(asset.c.name, func.count())
        .select_from(version.join(asset, asset.c.asset_id == version.c.asset_id))
        .where(forgettable(retention))
        .group_by(asset.c.name)
        .order_by(asset.c.name)
    )
    return {row[0]: row[1] for row in connection.execute(counted)}


def forget_versions(database: Database, retention: Retention) -> int:
    """Forget versions that are old enough, and those of branches that were closed so long ago.

    Kept whatever their age: current versions of main and of open branches, what open branches see of main at their
    fork, what tagged snapshots show, and everything that was current while a transaction or backfill that is under
    way was. Files that no version holds any more are retired as of now. Gives the number of versions.

    Notes
    -----
    Goes on in transactions of two thousand versions, each of which leaves the catalog sound.
    """
    with database.reading() as connection:
        # the newest first: none may be left that has ended one of those forgotten, for manifests would contradict it
        newest_first = select(version.c.version_id).where(forgettable(retention)).order_by(version.c.version_id.desc())
        found = list(connection.execute(newest_first).scalars())
    return sum(_forget(database, retention, some) for some in in_batches(found, _AT_ONCE))


def _forget(database: Database, retention: Retention, version_ids: list[int]) -> int:
    """Forget some versions, if nothing has come to need them meanwhile."""
    listed = (
        select(version.c.version_id, version.c.asset_id, version.c.ended, branch.c.state)
        .select_from(version.join(branch, branch.c.branch_id == version.c.branch_id))
        .where(in_json(version.c.version_id, "ids"))
    )
    with database.writing() as connection:
        at_us = max(database.now_us(), get_head(connection).at_us)  # a clock set back must not make bytes look old
        forgotten = connection.execute(listed.where(forgettable(retention)), {"ids": to_json(version_ids)}).all()
        if not forgotten:
            return 0
        ids = {"ids": to_json([row.version_id for row in forgotten])}
        held = select(version_file.c.file_id).where(in_json(version_file.c.version_id, "ids")).distinct()
        file_ids = list(connection.execute(held, ids).scalars())
        for table in (version_input, version_file, version):
            connection.execute(delete(table).where(in_json(table.c.version_id, "ids")), ids)
        connection.execute(_RETIRE, {"ids": to_json(file_ids), "at": at_us})
        note_horizons(connection, [(row.asset_id, row.ended) for row in forgotten if row.state == "open"])
        return len(forgotten)


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


def forgettable(retention: Retention) -> ColumnElement[bool]:
    """Say of a version that it is old enough, and that nothing needs it any more."""
    closed = branch.alias("closed")
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
    of_a_closed_branch = exists().where(
        closed.c.branch_id == version.c.branch_id,
        closed.c.state != "open",
        closed.c.closed_at_us < _of_each_asset(retention, lambda ended_before_us: ended_before_us),
    )
    leased = exists().where(version.c.ended > intent.c.snapshot)  # a backfill reads newer snapshots, order by order
    conditions = [
        version.c.ended.is_not(None),
        version.c.ended <= _of_each_asset(retention, _last_before),
        ~seen_by_a_branch,
        ~tagged,
        ~leased,
    ]
    if retention.keep_last > 1:  # one is what every other condition leaves
        conditions.append(_states_since() >= retention.keep_last)
    return or_(and_(*conditions), of_a_closed_branch)


def _last_before(ended_before_us: int) -> Any:
    return select(func.max(snapshot.c.snapshot)).where(snapshot.c.at_us < ended_before_us).scalar_subquery()


def _of_each_asset(retention: Retention, value: Any) -> Any:
    default = value(retention.ended_before_us)
    if not retention.of_assets:
        return default
    of_assets = {asset_id: value(before_us) for asset_id, before_us in retention.of_assets.items()}
    return case(of_assets, value=version.c.asset_id, else_=default)


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
