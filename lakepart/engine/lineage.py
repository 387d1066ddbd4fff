"""Lineage: what a version read, recorded as one row per input asset, and what a write was based on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakepart.catalog.database import Connection
from lakepart.catalog.lookups import asset_not_found, find_asset, get_head, require_whole, visible_snapshot
from lakepart.catalog.reading import contents
from lakepart.engine.context import View
from lakepart.model.mappings import Identity, Mapped, PartitionMapping
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import ANYTHING, Anything, AssetRecord, InputRecord
from lakepart.planning.definitions import follow
from lakepart.planning.staleness import digest_of_contents

IDENTITY = Identity.kind
WITHOUT = "without"  # in a recorded mapping: partitions that were needed and did not exist
FIXED = {"kind": "selection"}  # a caller's own word for what was read, not a rule


def record_input(
    connection: Connection,
    view: View,
    name: str,
    asset: AssetRecord,
    partitions: PartitionSet,
    mapping: Mapping[str, Any] = FIXED,
) -> InputRecord:
    """Note which contents of ``asset`` are being read now."""
    ranges = partitions.ordinal_ranges()
    found = list(view.contents(connection, asset, ranges).items())
    if view.transaction is not None:
        view.transaction.note_read(asset.asset_id, ranges)
    snapshot = view.snapshot if view.snapshot is not None else get_head(connection).snapshot
    digest = digest_of_contents(found, one_to_one=mapping["kind"] == IDENTITY)
    return InputRecord(name, asset.name, mapping, partitions.to_text(), snapshot, digest)


def record_selection(
    connection: Connection, view: View, name: str, asset: str, partitions: PartitionSet
) -> InputRecord:
    """Note which contents of a caller's selection are being read now, by the keys its partitions have now."""
    found = find_asset(connection, asset)
    if found is None:
        raise asset_not_found(connection, asset)
    found = view.define(connection, found)
    return record_input(connection, view, name, found, follow(asset, partitions, found.partitions, explicit=False))


def expected_contents(
    connection: Connection, view: View, asset: AssetRecord, partitions: PartitionSet, snapshot: int | None
) -> Callable[[int], str | Anything | None]:
    """Give the guard of a write that was based on ``snapshot``: by ordinal, the content it must still find."""
    if snapshot is None:
        return lambda _: ANYTHING
    seen = visible_snapshot(connection, view.branch, number=snapshot).snapshot
    require_whole(connection, asset.asset_id, view.branch, seen)
    found = dict(contents(connection, view.at(seen).scope(asset), partitions.ordinal_ranges()))
    return found.get


def record_mapped(
    connection: Connection, view: View, name: str, asset: AssetRecord, mapping: PartitionMapping, mapped: Mapped
) -> InputRecord:
    """Note which contents of ``asset`` are being read now by a mapping, and what it needed that does not exist."""
    noted = mapping.to_dict()
    if mapped.nonexistent:
        noted[WITHOUT] = mapped.nonexistent_text
    return record_input(connection, view, name, asset, mapped.partitions, noted)
