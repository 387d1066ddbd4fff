"""Stored objects that no row of the catalog speaks of: what crashes, failed writers and strangers leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from lakepart.catalog import upkeep
from lakepart.catalog.intents import list_intents
from lakepart.engine.context import LakeContext
from lakepart.model.batches import in_batches
from lakepart.storage.base import TEMPORARY_SUFFIX, Store, StoredObject

# what the stager calls its files: the writer's intent, then numbers
_NAME = r"(?P<intent>[0-9a-f]{20})(?:-\d+)+\.parquet"
_OWN_NAME = re.compile(_NAME)
# and stores what is unfinished, some after what it is to become: a data file, or a checkpoint of the lake's own folder;
# any other program may leave files that only look like it
_OWN_TEMPORARY = re.compile(
    rf"\.(?:(?P<becomes>{_NAME}|\d{{12}}[.a-z]+)\.)?[0-9a-f]{{16}}{re.escape(TEMPORARY_SUFFIX)}"
)
_AT_ONCE = 1000


class LeftoverKind(StrEnum):
    """Who may have left an object."""

    ABANDONED = "abandoned-file"  # a writer of ours that died or failed
    TEMPORARY = "temporary-file"  # the unfinished form of an object
    FOREIGN = "foreign-file"  # nothing lakepart made; never deleted


LAKE = "lake"  # what the lake's own folder is called where a tier is meant
_OWN_FOLDER = "_lakepart"


@dataclass(frozen=True, slots=True)
class Leftover:
    """One object without a row; ``tier`` is :data:`LAKE` for the lake's own folder."""

    kind: LeftoverKind
    tier: str
    stored: StoredObject


def store_of(context: LakeContext, tier: str) -> Store:
    """Give the store of a leftover."""
    return context.root if tier == LAKE else context.stores[tier]


def find_leftovers(
    context: LakeContext, tier: str, stored: Iterable[StoredObject], *, alive_since_us: int = 0
) -> Iterator[Leftover]:
    """Tell of stored objects which are in no row and by no writer that gave a sign of life since.

    What an open move is making has a sign of life in its lease, and is not told of, finished or not.

    The catalog is asked after an object was listed: whatever is seen then has its row or its writer already.
    """
    for some in in_batches(stored, _AT_ONCE):
        with context.database.reading() as connection:
            writers = {intent.intent_id for intent in list_intents(connection) if intent.renewed_us >= alive_since_us}
            known = upkeep.known_among(connection, tier, [one.path for one in some])
            becoming = {path for one in some if (path := _becomes(one.path)) is not None}
            arriving = upkeep.arriving_among(connection, tier, becoming) if becoming else set()
        for one in some:
            is_ours = one.path in known or intent_of(one.path) in writers or _becomes(one.path) in arriving
            if not is_ours:
                yield Leftover(kind_of(one.path), tier, one)


def walk_ours(context: LakeContext, tier: str) -> Iterator[StoredObject]:
    """Walk a tier for what is named as a writer or a store of ours names it."""
    return (one for one in context.stores[tier].list() if kind_of(one.path) is not LeftoverKind.FOREIGN)


def find_own_leftovers(context: LakeContext) -> Iterator[Leftover]:
    """Walk the lake's own folder for manifests that were left unfinished."""
    for stored in context.root.list(_OWN_FOLDER):
        if kind_of(stored.path) is LeftoverKind.TEMPORARY:
            yield Leftover(LeftoverKind.TEMPORARY, LAKE, stored)


def intent_of(path: str) -> str | None:
    """Give the intent that a data file of ours is named after, finished or not; None for any other file."""
    folder, _, name = path.rpartition("/")
    match = _OWN_NAME.fullmatch(name) or _OWN_TEMPORARY.fullmatch(name)
    return match["intent"] if match and "=" in folder.rpartition("/")[2] else None


def _becomes(path: str) -> str | None:
    """Give the path that an unfinished object is to have; None where its name does not say, or it is finished."""
    folder, slash, name = path.rpartition("/")
    match = _OWN_TEMPORARY.fullmatch(name)
    return f"{folder}{slash}{match['becomes']}" if match and match["becomes"] else None


def kind_of(path: str) -> LeftoverKind:
    """Say by its name what an object is that no row speaks of."""
    if _OWN_TEMPORARY.fullmatch(path.rpartition("/")[2]):
        return LeftoverKind.TEMPORARY
    return LeftoverKind.FOREIGN if intent_of(path) is None else LeftoverKind.ABANDONED
