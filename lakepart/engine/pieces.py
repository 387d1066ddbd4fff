"""From what a caller hands over to pieces: the rows of one partition each, checked and in the asset's schema.

Nothing here touches the catalog or a store, so writers and the workers of a backfill prepare rows the same way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from lakepart.engine.staging import Piece
from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, SchemaMismatchError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some
from lakepart.parquet.frames import Frame, open_frame
from lakepart.parquet.routing import positions, route
from lakepart.parquet.schemas import Reconciled, check_partition_column, reconcile


@dataclass(frozen=True, slots=True)
class Destination:
    """What a frame is written into: the asset's schema (None: it has none yet), and what may become of that."""

    schema: pa.Schema | None
    on_schema_change: str = "error"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Pieces that are ready to be staged; ``positions`` is known beforehand only for what is in memory."""

    reconciled: Reconciled
    pieces: Iterable[Piece]
    positions: list[int] | None = None


def prepare_routed(asset: str, definition: PartitionsDefinition, into: Destination, data: Any) -> Prepared:
    """Send every row to the partition its ``by`` column names."""
    if definition.unsaid:
        raise InvalidInputError(
            f"Rows cannot find their partitions of {asset!r}: its definition names no column (by=…){_of(definition)}.",
            hint='write one partition with write(frame, "key"), or several with write({key: frame, …}).',
        )
    frame = open_frame(data)
    reconciled = _reconcile(definition, into, frame)
    routed = route(frame.cast(reconciled), definition)
    if frame.table is None:
        return Prepared(reconciled, routed)
    pieces = list(routed)  # slices of what is in memory anyway
    return Prepared(reconciled, pieces, [position for position, _ in pieces])


def prepare_wanted(asset: str, wanted: PartitionSet, into: Destination, data: Any) -> Prepared:
    """Take one frame as the content of the wanted partitions; a row of any other is an error."""
    definition = wanted.definition
    frame = open_frame(data)
    if into.schema is not None and not frame.schema.names:  # an empty frame may come without columns
        return nothing_to_write(into)
    reconciled = _reconcile(definition, into, frame)
    fitting = frame.cast(reconciled)
    if definition.columns and not definition.unsaid:
        return Prepared(reconciled, _only(route(fitting, definition), wanted, asset))
    if len(wanted) != 1:
        raise InvalidInputError(
            f"One frame cannot be {count_of(len(wanted), 'partition')} of {asset!r}: "
            f"its definition names no column (by=…){_of(definition)}.",
            hint="write {key: frame, …}, or one partition at a time.",
        )
    position = definition.position_of(wanted.first_key)
    return Prepared(reconciled, [(position, _checked(fitting.tables(), definition, position, asset))])


def prepare_keyed(
    asset: str,
    definition: PartitionsDefinition,
    wanted: PartitionSet | None,
    into: Destination,
    frames: Iterable[tuple[str, Any]],
) -> Prepared | None:
    """Take ``(key, frame)`` pairs, each the whole content of its partition; None where there are none."""
    if isinstance(frames, Collection):
        definition.admit(key for key, _ in frames)
    opened = ((definition.position_of(key), key, open_frame(data)) for key, data in frames)
    first = next(opened, None)
    if first is None:
        return None
    reconciled = _reconcile(definition, into, first[2])

    def pieces() -> Iterator[Piece]:
        seen: set[int] = set()
        for position, key, frame in chain((first,), opened):
            if position in seen:
                raise InvalidInputError(f"Partition {key!r} of {asset!r} was given twice.")
            if wanted is not None and key not in wanted:
                raise _foreign_rows(asset, definition, [key], wanted.to_text())
            seen.add(position)
            fitting = reconcile(reconciled.schema, frame.schema, into.on_schema_change)
            if fitting.changed:
                raise _typed_too_late(asset, key, reconciled.schema, fitting.schema)
            yield position, _checked(frame.cast(fitting).tables(), definition, position, asset)

    return Prepared(reconciled, pieces())


def nothing_to_write(into: Destination) -> Prepared:
    """Prepare no rows at all, under the schema the asset has."""
    schema = pa.schema([]) if into.schema is None else into.schema
    return Prepared(Reconciled(schema=schema, changed=False, cast=lambda table: table), [], [])


def _keyed_frames(data: Any) -> Iterable[tuple[str, Any]] | None:
    """Give the pairs of a ``{key: frame}`` mapping or an iterator of ``(key, frame)``; None for anything else."""
    if isinstance(data, Mapping):
        columns = [key for key, value in data.items() if isinstance(value, list | str | int | float)]
        if columns:
            raise InvalidInputError(
                f"A mapping is read as {{key: frame}}, and {columns[0]!r} leads to no frame.",
                hint="pandas.DataFrame(data) makes a frame of a mapping of columns.",
            )
        return data.items()
    if isinstance(data, list) and data and _is_pair(data[0]):
        return data
    return None


def pairs_or_rows(data: Any) -> tuple[Iterable[tuple[str, Any]] | None, Any]:
    """Tell pairs of keys and frames from rows, without losing an iterator's first item; one of the two is None."""
    frames = _keyed_frames(data)
    if frames is not None:
        return frames, None
    if not isinstance(data, Iterator):
        return None, data
    keyed, whole = _split_first(data)
    return (whole, None) if keyed else (None, whole)


def _split_first(data: Iterator[Any]) -> tuple[bool, Iterator[Any]]:
    """Look at an iterator's first item: does it give ``(key, frame)`` pairs? Gives the whole iterator back."""
    first = next(data, None)
    if first is None:
        return False, iter(())
    return _is_pair(first), chain((first,), data)


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str)


def _reconcile(definition: PartitionsDefinition, into: Destination, frame: Frame) -> Reconciled:
    check_partition_column(definition, frame.schema)  # first: it knows the way out for what reconciling would refuse
    for one in definition.dimensions:
        if one.dimension in frame.schema.names and one.dimension != one.by:
            raise SchemaMismatchError(
                f"The frame has a column {one.dimension!r}, and that is what the partition key is called.",
                hint="rename the column, or the dimension of the partitions.",
                context={"column": one.dimension},
            )
    return reconcile(into.schema, frame.schema, into.on_schema_change)


def _only(pieces: Iterable[Piece], wanted: PartitionSet, asset: str) -> Iterator[Piece]:
    for position, tables in pieces:
        if not wanted.contains_position(position):
            key = wanted.definition.key_at(position)
            raise _foreign_rows(asset, wanted.definition, [key], wanted.to_text())
        yield position, tables


def _checked(
    tables: Iterable[pa.Table], definition: PartitionsDefinition, position: int, asset: str
) -> Iterator[pa.Table]:
    own = definition.coordinates_at(np.array([position], dtype=np.int64))
    said = [(one, int(at[0])) for one, at in zip(definition.dimensions, own, strict=True) if one.by is not None]
    for table in tables:
        for dimension, at in said if table.num_rows else ():
            foreign = np.setdiff1d(positions(table, dimension), [at])
            if foreign.size:
                raise _foreign_rows(asset, definition, dimension.keys_at(foreign), definition.key_at(position))
        yield table


def _typed_too_late(asset: str, key: str, before: pa.Schema, after: pa.Schema) -> SchemaMismatchError:
    columns = [
        field.name for field in after if field.name not in before.names or before.field(field.name).type != field.type
    ]
    return SchemaMismatchError(
        f"Column {list_some(repr(name) for name in columns)} of {asset!r} gets its type only from the frame of "
        f"{key!r}, after others of the same write.",
        hint="give the frame with the typed column first, or write it first.",
    )


def _of(definition: PartitionsDefinition) -> str:
    """Name the dimensions that rows say nothing of, where there are others."""
    if len(definition.dimensions) == 1:
        return ""
    return f" for {' and '.join(repr(one.dimension) for one in definition.unsaid)}"


def _foreign_rows(asset: str, definition: PartitionsDefinition, keys: list[str], wanted: str) -> PartitionKeyError:
    columns = " and ".join(map(repr, definition.columns))
    by = f"filter the frame by column {columns}" if columns else "leave it out"
    return PartitionKeyError(
        f"The frame has rows of {asset!r} partition {list_some(repr(key) for key in keys)}, "
        f"but only {wanted!r} is to be written.",
        hint=f"{by}, or name that partition too.",
        code=ErrorCode.FOREIGN_ROWS,
        context={"asset": asset, "foreign": keys, "wanted": wanted},
    )
