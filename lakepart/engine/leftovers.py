"""Stored objects that no row of the catalog speaks of: what crashes, failed writers and strangers leave behind."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from enum import StrEnum

from lakepart.engine.context import LakeContext
from lakepart.storage.base import StoredObject, is_temporary

# what the stager calls its files: the writer's intent, then numbers
_OWN_NAME = re.compile(r"([0-9a-f]{20})(?:-\d+)+\.parquet")


class LeftoverKind(StrEnum):
    """Who may have left an object."""

    ABANDONED = "abandoned-file"  # a writer of ours that died or failed
    TEMPORARY = "temporary-file"  # the unfinished form of an object
    FOREIGN = "foreign-file"  # nothing lakepart made; never deleted


@dataclass(frozen=True, slots=True)
class Leftover:
    """One object without a row."""

    kind: LeftoverKind
    tier: str
    stored: StoredObject


def find_leftovers(context: LakeContext, tier: str, known: Set[str], writers: Set[str]) -> Iterator[Leftover]:
    """Walk a tier for objects that the catalog does not know and that are not named after one of the ``writers``."""
    for stored in context.stores[tier].list():
        if stored.path not in known:
            kind = _kind(stored.path, writers)
            if kind is not None:
                yield Leftover(kind, tier, stored)


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
