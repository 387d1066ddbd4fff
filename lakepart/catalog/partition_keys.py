"""Keys of dynamic dimensions: added, reserved by writers, shown once they have data, removed.

A key's row is never deleted, so that its id is never given to another key. It is visible once somebody added it or a
commit wrote it; until then it is but reserved, and whoever writes it next gets the same id.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, insert, select, union_all, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import bits_of, in_json
from lakepart.catalog.tables import BIG, TEXT, partition_key, version
from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, StateError
from lakepart.model.intervals import IntegerArray
from lakepart.model.known_keys import KnownKey, KnownKeys
from lakepart.model.plans import count_of, list_some


def load_keys(connection: Connection, asset_id: int) -> dict[str, KnownKeys]:
    """Give the keys of an asset by dimension, in the order of their ids."""
    found: dict[str, tuple[list[KnownKey], list[KnownKey]]] = {}
    for dimension, visible, *entry in connection.execute(_KEYS, {"asset": asset_id}).cursor.fetchall():
        entries, hidden = found.setdefault(dimension, ([], []))
        (entries if visible else hidden).append(KnownKey(*entry))
    return {dimension: KnownKeys(tuple(entries), tuple(hidden)) for dimension, (entries, hidden) in found.items()}


def add_keys(database: Database, asset_id: int, dimension: str, keys: Sequence[str], most: int) -> int:
    """Make keys visible and expected; gives how many were not visible before.

    Raises
    ------
    InvalidInputError
        The dimension would have more than ``most`` keys.
    """
    now_us = database.now_us()
    with database.writing() as connection:
        found = _reserve(connection, asset_id, dimension, keys, most)
        ids = to_json([row.id for row in found if not row.visible or row.expected_us is None])
        connection.execute(_EXPECT, {"asset": asset_id, "of": dimension, "ids": ids, "now": now_us})
    return sum(not row.visible for row in found)


def reserve_keys(database: Database, asset_id: int, dimension: str, keys: Sequence[str], most: int) -> list[KnownKey]:
    """Give the ids of keys that somebody is about to write; those that are new get one, and stay invisible.

    Raises
    ------
    InvalidInputError
        The dimension would have more than ``most`` keys.
    """
    with database.writing(durable=False) as connection:
        return [KnownKey(row.id, row.key) for row in _reserve(connection, asset_id, dimension, keys, most)]


def show_keys(connection: Connection, asset_id: int, ids: Mapping[str, IntegerArray]) -> None:
    """Make the keys visible that a commit writes; one that was removed meanwhile is back."""
    for dimension, written in ids.items():
        connection.execute(_SHOW, {"asset": asset_id, "of": dimension, "ids": to_json(written.tolist())})


def remove_keys(database: Database, asset_id: int, dimension: str, keys: Sequence[str], bits: tuple[int, int]) -> int:
    """Make keys invisible; gives how many. ``bits`` are how far an ordinal is shifted to tell their ids, and the mask.

    Raises
    ------
    PartitionKeyError
        There is no such key.
    StateError
        There are data for a key, on any branch, now or in the past; nothing is changed.
    """
    with database.writing() as connection:
        found = connection.execute(_BY_KEY, {"asset": asset_id, "of": dimension, "keys": to_json(list(keys))}).all()
        ids = {row.key: row.id for row in found if row.visible}
        if unknown := [key for key in keys if key not in ids]:
            raise PartitionKeyError(
                f"{count_of(len(unknown), 'key')} to be removed cannot be found: {list_some(map(repr, unknown))}.",
                context={"keys": unknown},
            )
        listed = to_json(sorted(ids.values()))
        shift, mask = bits
        written = set(
            connection.execute(_WRITTEN, {"asset": asset_id, "shift": shift, "mask": mask, "ids": listed}).scalars()
        )
        if kept := [key for key, at in ids.items() if at in written]:
            raise StateError(
                f"{count_of(len(kept), 'key')} cannot be removed because there are data for "
                f"{'it' if len(kept) == 1 else 'them'}, now, on a branch or in the past: "
                f"{list_some(map(repr, kept))}. Nothing was changed.",
                hint="vacuum forgets the past; keys that have data now stay.",
                code=ErrorCode.WOULD_ORPHAN,
                context={"keys": kept},
            )
        connection.execute(_HIDE, {"asset": asset_id, "of": dimension, "ids": listed})
        return len(ids)


def _reserve(connection: Connection, asset_id: int, dimension: str, keys: Sequence[str], most: int) -> list[Any]:
    of = {"asset": asset_id, "of": dimension, "keys": to_json(list(keys))}
    found = {row.key for row in connection.execute(_BY_KEY, of)}
    new = [key for key in dict.fromkeys(keys) if key not in found]
    if new:
        first = connection.execute(_NEXT, of).scalar_one()
        if first + len(new) > most:
            raise InvalidInputError(
                f"{count_of(len(new), 'new key')} would make {first + len(new):,} of dimension {dimension!r}, "
                f"and {most:,} is the most.",
                hint="ids of removed keys count too.",
                code=ErrorCode.OUT_OF_RANGE,
            )
        connection.execute(
            insert(partition_key),
            [
                {"asset_id": asset_id, "dimension": dimension, "id": at, "key": key, "visible": 0}
                for at, key in enumerate(new, first)
            ],
        )
    return list(connection.execute(_BY_KEY, of))


_OF_DIMENSION = (
    partition_key.c.asset_id == bindparam("asset", type_=BIG),
    partition_key.c.dimension == bindparam("of", type_=TEXT),
)
_KEYS: Select[Any] = (
    select(
        partition_key.c.dimension,
        partition_key.c.visible,
        partition_key.c.id,
        partition_key.c.key,
        partition_key.c.expected_us,
    )
    .where(partition_key.c.asset_id == bindparam("asset", type_=BIG))
    .order_by(partition_key.c.dimension, partition_key.c.id)
)
_BY_KEY: Select[Any] = (
    select(partition_key.c.id, partition_key.c.key, partition_key.c.visible, partition_key.c.expected_us)
    .where(*_OF_DIMENSION, in_json(partition_key.c.key, "keys"))
    .order_by(partition_key.c.id)
)
_NEXT: Select[Any] = select(func.coalesce(func.max(partition_key.c.id) + 1, 0)).where(*_OF_DIMENSION)
_IN_IDS = (*_OF_DIMENSION, in_json(partition_key.c.id, "ids"))
_EXPECT = update(partition_key).where(*_IN_IDS).values(visible=1, expected_us=bindparam("now", type_=BIG))
_SHOW = update(partition_key).where(*_IN_IDS, partition_key.c.visible == 0).values(visible=1)
_HIDE = update(partition_key).where(*_IN_IDS).values(visible=0, expected_us=None)
_ID_OF = bits_of(version.c.ordinal, bindparam("shift", type_=BIG), bindparam("mask", type_=BIG))
# Apart, because the present and the past have each their own index.
_EVERY = union_all(
    *(
        select(_ID_OF.label("id")).where(version.c.asset_id == bindparam("asset", type_=BIG), time)
        for time in (version.c.ended.is_(None), version.c.ended.is_not(None))
    )
).subquery("every")
_WRITTEN: Select[Any] = select(_EVERY.c.id).distinct().where(in_json(_EVERY.c.id, "ids"))
