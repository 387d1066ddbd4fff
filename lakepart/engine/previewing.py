"""Showing results that are in place and not committed, as readers would see them: for checks before the commit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from lakepart.catalog.lookups import current_branch, get_head
from lakepart.engine.context import LakeContext, View
from lakepart.engine.uncommitted import Stage, Uncommitted
from lakepart.errors import LakepartError
from lakepart.model.records import AssetRecord, BranchRecord, Change, NewFile
from lakepart.parquet.schemas import deserialise
from lakepart.storage.base import Store


def show_uncommitted(
    context: LakeContext,
    branch: BranchRecord,
    asset: AssetRecord,
    changes: Sequence[Change],
    new_schema: bytes | None,
) -> tuple[LakeContext, View]:
    """Give a view of the newest snapshot of a branch with some changes laid over it; nothing can be written in it.

    Raises
    ------
    ConflictError
        A change is based on a content that is no longer there.
    """
    shown = replace(context, schemas=dict(context.schemas), read_only=True)
    block = Uncommitted(context.new_id(), stage=Stage.OPEN, is_preview=True, schemas=shown.schemas)
    block.assets[asset.asset_id] = asset  # as the files were written for
    schema = None if new_schema is None else deserialise(new_schema)
    with context.database.reading() as connection:
        block.snapshot = get_head(connection).snapshot
        view = View(current_branch(connection, branch), block.snapshot, block)
        block.add(connection, view.scope(asset), changes, new_schema=schema)
    return shown, view


def discard_files(stores: Mapping[str, Store], files: Iterable[NewFile]) -> None:
    """Delete files that will not be committed; what cannot be deleted, vacuum knows by its name."""
    for file in files:
        with suppress(LakepartError):
            stores[file.tier].delete(file.path)
