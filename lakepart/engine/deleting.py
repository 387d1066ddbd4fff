"""Deleting the bytes of copies that were granted for it: for half an hour, nobody else takes the deletion over."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import datetime, timedelta

from lakepart.catalog import upkeep
from lakepart.engine.context import LakeContext
from lakepart.model.catalog_records import CopyRecord

_GRANTED_FOR = timedelta(minutes=30)


def granted_until(context: LakeContext) -> datetime:
    """Say how long a deletion that is granted from now on may be carried out."""
    return context.clock() + _GRANTED_FOR


def delete_copies(
    context: LakeContext, granted: Sequence[CopyRecord], pool: Executor, until: datetime
) -> list[CopyRecord]:
    """Delete the bytes, then the rows; gives the copies that are gone."""

    def delete(copy: CopyRecord) -> bool:
        if context.clock() > until:  # this machine slept: others may have deleted the file, and made it anew
            return False
        context.stores[copy.tier].delete(copy.path)
        return True

    done = list(pool.map(delete, granted))  # to the end of each
    gone = [copy for copy, is_gone in zip(granted, done, strict=True) if is_gone]
    upkeep.delete_copies(context.database, gone)
    return gone
