"""Diff: what differs between two views of the lake: partitions by the catalog alone, rows by reading those."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import list_definitions
from lakepart.catalog.lookups import find_branch, get_asset, get_head, list_assets, list_branches
from lakepart.catalog.reading import find_version_columns
from lakepart.catalog.scopes import EVERY_ORDINAL
from lakepart.catalog.tags import find_tag, list_tags
from lakepart.engine.context import View
from lakepart.engine.home import Home
from lakepart.engine.read import ReadOptions, Resolved, read_table, resolve
from lakepart.errors import InvalidInputError, NotFoundError, did_you_mean
from lakepart.model.instants import is_instant
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import MAIN, AssetRecord
from lakepart.parquet.differences import DuplicateRowsError, difference_schema, row_differences
from lakepart.planning.definitions import follow
from lakepart.planning.diff import Held, PartitionChange, compare_apart, other_partitions

if TYPE_CHECKING:
    import pandas as pd

_HELD = ("ordinal", "key", "content_id", "row_count", "size_bytes")
_COLUMNS = (
    "asset",
    "key",
    "change",
    *(f"{what}_{when}" for what in ("rows", "bytes") for when in ("before", "after", "delta")),
)


def view_of(home: Home, when: Any) -> View:
    """Give the view that a caller names: a snapshot, an instant, a tag, a branch, or a handle of this lake.

    Raises
    ------
    NotFoundError
        A text names neither a tag nor an open branch.
    InvalidInputError
        A text names both, or a handle is one of another lake.
    """
    other = getattr(when, "_home", None)
    if isinstance(other, Home):
        if other.context.database.lake_id != home.context.database.lake_id:
            raise InvalidInputError(f"{when!r} is of another lake.", hint="compare two views of one lake.")
        return other.view
    if not isinstance(when, str) or is_instant(when):
        return home.at(when).view
    with home.context.database.reading() as connection:
        tagged, branch = find_tag(connection, when), find_branch(connection, when)
        known = [tag.name for tag in list_tags(connection)] + [one.name for one in list_branches(connection)]
    is_branch = branch is not None and branch.state == "open"
    if tagged is not None and is_branch:
        raise InvalidInputError(
            f"{when!r} is a tag and a branch.", hint=f"give lake.at({when!r}) or lake.branch({when!r}) itself."
        )
    if is_branch:
        return View(MAIN if when == MAIN.name or branch is None else branch)
    if tagged is None:
        raise NotFoundError(
            f"There is no tag and no open branch {when!r}.", hint=did_you_mean(when, known), context={"name": when}
        )
    return home.at(when).view


def diff_frame(home: Home, before: View, after: View) -> pd.DataFrame:
    """Compare all assets in two views, one row per partition that differs."""
    with home.context.database.reading() as connection:
        assets = list_assets(connection)
        before, after = before.look(connection), after.look(connection)
        found = [change for asset in assets for change in differing(connection, before, after, asset, None)]
    return changes_frame(found)


def diff_partitions(
    home: Home, before: View, after: View, asset: AssetRecord, partitions: PartitionSet
) -> list[PartitionChange]:
    """Compare some partitions of one asset in two views; those that differ, in order."""
    with home.context.database.reading() as connection:
        found = get_asset(connection, asset.asset_id)
        return differing(connection, before.look(connection), after.look(connection), found, partitions)


def diff_rows(
    home: Home, before: View, after: View, asset: AssetRecord, partitions: PartitionSet, on: Sequence[str]
) -> pd.DataFrame:
    """Compare rows of the partitions that differ, told apart by the columns ``on``.

    Partitions are read one after another, on both sides; the rest is not read.

    Raises
    ------
    InvalidInputError
        Rows of a partition have the same key; it is named.
    """
    import pandas as pd

    context = home.context
    with context.database.reading() as connection:
        newest = get_head(connection).snapshot
        looked = (before.look(connection), after.look(connection))
        before, after = (view if view.snapshot is not None else view.at(newest) for view in looked)
        found = get_asset(connection, asset.asset_id)
        changes = differing(connection, before, after, found, partitions)
        records = [view.define(connection, found) for view in (before, after)]
    sides = [
        _Side(home, view, record, [one.ordinal for one in changes if (one.before, one.after)[at] is not None])
        for at, (view, record) in enumerate(zip((before, after), records, strict=True))
    ]
    result = difference_schema(sides[1].schema, on, ["key", "change"])
    tables = [result.empty_table()]
    for change in changes:
        old = sides[0].read(None if change.before is None else change.ordinal, sides[1].schema)
        new = sides[1].read(None if change.after is None else change.ordinal, sides[1].schema)
        try:
            rows = row_differences(old, new, on, result)
        except DuplicateRowsError as error:
            raise InvalidInputError(
                f"Rows of partition {change.key!r} of {asset.name!r} cannot be told apart by {list_some(on)}: "
                f"{error.example} is there more than once {error.side}.",
                hint="name more columns in on=.",
                context={"asset": asset.name, "key": change.key, "example": error.example},
            ) from error
        tables.append(rows.set_column(0, "key", pa.array([change.key] * rows.num_rows, pa.string())))
    whole = {kind: getattr(pd, f"{name}Dtype")() for kind, name in _WHOLE.items()}
    frame: pd.DataFrame = pa.concat_tables(tables).to_pandas(types_mapper=whole.get)
    return frame


def changes_frame(changes: Iterable[PartitionChange]) -> pd.DataFrame:
    """Give one row per partition with its sizes before and after."""
    import pandas as pd

    rows = [
        (one.asset, one.key, one.change, *one.rows, one.rows[1] - one.rows[0], *one.bytes, one.bytes[1] - one.bytes[0])
        for one in changes
    ]
    frame = pd.DataFrame(rows, columns=list(_COLUMNS))
    return frame.astype(dict.fromkeys(_COLUMNS[3:], "int64"))


class _Side:
    """One side of a comparison of rows: the files of its partitions, found by two queries for all of them."""

    def __init__(self, home: Home, view: View, record: AssetRecord, ordinals: Sequence[int]) -> None:
        self._stores = home.context.stores
        chosen = PartitionSet.from_ordinals(record.partitions, ordinals)
        self._resolved: Resolved = resolve(home.context, view, record, chosen, explicit=False)
        self.schema = self._resolved.schema
        self._versions = {version.ordinal: version for version in self._resolved.versions}
        own = {file.schema_id: self.schema for _, file in self._resolved.files}
        self._schemas = {**own, **self._resolved.older_schemas}
        self._files: dict[int, list[Any]] = {}
        for ordinal, file in self._resolved.files:
            self._files.setdefault(ordinal, []).append((ordinal, file))

    def read(self, ordinal: int | None, schema: pa.Schema) -> pa.Table:
        """Read one partition (None: nothing) under the columns of either side, by field id; what it lacks is null."""
        if ordinal is None:
            return schema.empty_table()
        one = replace(
            self._resolved,
            schema=schema,
            older_schemas=self._schemas,
            partitions=PartitionSet.from_ordinals(self._resolved.partitions.definition, [ordinal]),
            versions=(self._versions[ordinal],),
            files=tuple(self._files.get(ordinal, ())),
        )
        return read_table(self._stores, one, ReadOptions())


def differing(
    connection: Connection, before: View, after: View, asset: AssetRecord, partitions: PartitionSet | None
) -> list[PartitionChange]:
    """Compare partitions (None: all) of an asset, given as it is on main now, in two views; those that differ."""
    views = (before, after)
    records = [view.define(connection, asset) for view in views]
    definitions = [list_definitions(connection, asset.asset_id, view.branch, view.snapshot) for view in views]
    renamed = len(definitions[0]) != len(definitions[1])
    held = []
    for view, record in zip(views, records, strict=True):
        if partitions is None or partitions == PartitionSet.everything(partitions.definition):
            ranges: list[OrdinalRange] = [EVERY_ORDINAL]
        else:
            ranges = follow(asset.name, partitions, record.partitions).ordinal_ranges()
        columns = find_version_columns(connection, view.scope(record), ranges, _HELD)
        if renamed:
            columns["key"] = [record.partitions.key_of_ordinal(ordinal) for ordinal in columns["ordinal"]]
        found = {ordinal: Held(*rest) for ordinal, *rest in zip(*columns.values(), strict=True)}
        if view.transaction is not None:
            view.transaction.note_read(record.asset_id, ranges)
            for ordinal, own in view.transaction.versions(connection, view.scope(record), ranges).items():
                found.pop(ordinal, None)
                if own is not None:
                    found[ordinal] = Held(own.key, own.content_id, own.row_count, own.size_bytes)
        held.append(found)
    ordinals = np.array(sorted(held[0].keys() & held[1].keys()), dtype=np.int64)
    others = other_partitions(definitions[0], definitions[1], asset.keys, ordinals)
    return [one for one in compare_apart(asset.name, held[0], held[1], others) if one.change != "same"]


_WHOLE = {
    pa.int8(): "Int8",
    pa.int16(): "Int16",
    pa.int32(): "Int32",
    pa.int64(): "Int64",
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    pa.bool_(): "Boolean",
}  # whole numbers stay whole beside nulls
