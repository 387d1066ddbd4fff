"""Stored objects that no row of the catalog speaks of: what crashes, failed writers and strangers leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from enum import StrEnum

from lakepart.catalog import moves, upkeep
from lakepart.catalog.database import Connection
from lakepart.engine.context import LakeContext
from lakepart.storage.base import Store, StoredObject, is_temporary

# what the stager calls its files: the writer's intent, then numbers
_OWN_NAME = re.compile(r"([0-9a-f]{20})(?:-\d+)+\.parquet")


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


def known_paths(connection: Connection, tier: str) -> set[str]:
    """Give the paths on a tier that rows speak of: copies, and those that open moves are making."""
    known = {copy.path for copy in upkeep.iter_copies(connection) if copy.tier == tier}
    under_way = (move for move in moves.open_moves(connection) if move.to_tier == tier)
    return known | {file.path for move in under_way for file in move.files}


def find_leftovers(context: LakeContext, tier: str, known: Set[str], writers: Set[str]) -> Iterator[Leftover]:
    """Walk a tier for objects that the catalog does not know and that are not named after one of the ``writers``."""
    for stored in context.stores[tier].list():
        if stored.path not in known:
            kind = _kind(stored.path, writers)
            if kind is not None:
                yield Leftover(kind, tier, stored)


def find_own_leftovers(context: LakeContext) -> Iterator[Leftover]:
    """Walk the lake's own folder for manifests that were left unfinished."""
    for stored in context.root.list(_OWN_FOLDER):
        if is_temporary(stored.path):
            yield Leftover(LeftoverKind.TEMPORARY, LAKE, stored)


def intent_of(path: str) -> str | None:
    """Give the intent that a data file of ours is named after; None for any other file."""
    folder, _, name = path.rpartition("/")
    match = _OWN_NAME.fullmatch(name)
    return match[1] if match and "=" in folder.rpartition("/")[2] else None


def _kind(path: str, writers: Set[str]) -> LeftoverKind | None:
    if is_temporary(path):
        return LeftoverKind.TEMPORARY
    intent_id = intent_of(path)
    if intent_id is None:
        return LeftoverKind.FOREIGN
    return None if intent_id in writers else LeftoverKind.ABANDONED
