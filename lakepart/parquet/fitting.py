"""Files of an older schema, read as the schema of now says: fields are found by id, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lakepart.parquet.casting import cast_column, entries_of, rebuild_list, rebuild_map
from lakepart.parquet.schemas import identifier_of
from lakepart.parquet.statistics import Bounds, Statistics

_MICROSECONDS_OF_A_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Fit:
    """How the columns of a file become those of a schema.

    Attributes
    ----------
    pairs
        For each column of the schema, by name, the file's field (None: it has none, and all is null) and its own.
    names
        What the file calls its columns, those that are read no more included.
    """

    pairs: Mapping[str, tuple[pa.Field | None, pa.Field]]
    names: frozenset[str]

    def source_of(self, name: str) -> str | None:
        """Give what the file calls a column; None if it has none."""
        found = self.pairs[name][0]
        return None if found is None else str(found.name)

    def column(self, name: str, table: pa.Table) -> Any:
        """Give a column of the schema from what was read of the file."""
        source, wanted = self.pairs[name]
        if source is None:
            return pa.nulls(table.num_rows, wanted.type)
        column = table.column(source.name)
        if source.type.equals(wanted.type, check_metadata=True) or not pa.types.is_nested(wanted.type):
            return cast_column(column, wanted.type, name)
        return pa.chunked_array([_fitted(chunk, source, wanted) for chunk in column.chunks], type=wanted.type)

    def statistics(self, of_file: Statistics) -> dict[str, Bounds]:
        """Give the file's statistics by the names of the schema, in the form of its types."""
        found = {}
        for name, (source, wanted) in self.pairs.items():
            bounds = None if source is None else of_file.get(source.name)
            if source is not None and bounds is not None:
                found[name] = _converted(bounds, source.type, wanted.type)
        return found

    @property
    def is_by_name(self) -> bool:
        """Whether a reader that goes by names, and casts flat columns, gives the same."""
        return all(
            name not in self.names
            if source is None
            else source.name == name
            and (source.type.equals(wanted.type, check_metadata=True) or not pa.types.is_nested(wanted.type))
            for name, (source, wanted) in self.pairs.items()
        )


def fit(of_file: pa.Schema, wanted: pa.Schema) -> Fit:
    """Find the fields of ``wanted`` in a file; both schemas have field ids."""
    by_id = {identifier_of(field): field for field in of_file}
    return Fit({field.name: (by_id.get(identifier_of(field)), field) for field in wanted}, frozenset(of_file.names))


def _fitted(array: pa.Array, source: pa.Field, wanted: pa.Field) -> pa.Array:
    types = pa.types
    if types.is_struct(source.type) and types.is_struct(wanted.type):
        return _fitted_struct(array, source.type, wanted.type)
    if types.is_fixed_size_list(source.type):
        size = source.type.list_size
        flat = array.values.slice(array.offset * size, len(array) * size)  # those of nulls keep their places
        values = _fitted(flat, source.type.value_field, wanted.type.value_field)
        return pa.FixedSizeListArray.from_arrays(values, type=wanted.type, mask=array.is_null())
    if types.is_list(source.type) and types.is_list(wanted.type):
        values = _fitted(array.flatten(), source.type.value_field, wanted.type.value_field)
        return rebuild_list(array, wanted.type, values)
    if types.is_map(source.type) and types.is_map(wanted.type):
        keys, items = entries_of(array)
        return rebuild_map(
            array,
            wanted.type,
            _fitted(keys, source.type.key_field, wanted.type.key_field),
            _fitted(items, source.type.item_field, wanted.type.item_field),
        )
    return cast_column(array, wanted.type, wanted.name)


def _fitted_struct(array: pa.Array, source: pa.DataType, wanted: pa.DataType) -> pa.Array:
    by_id = {identifier_of(child): (child, values) for child, values in zip(source, array.flatten(), strict=True)}
    children = []
    for child in wanted:
        found = by_id.get(identifier_of(child))
        children.append(pa.nulls(len(array), child.type) if found is None else _fitted(found[1], found[0], child))
    return pa.StructArray.from_arrays(children, fields=list(wanted), mask=array.is_null())


def _converted(bounds: Bounds, source: pa.DataType, wanted: pa.DataType) -> Bounds:
    """Bring bounds to the form they have for the wider type: only a date is counted otherwise there."""
    if not (pa.types.is_date(source) and pa.types.is_timestamp(wanted)):
        return bounds
    return [None if bound is None else bound * _MICROSECONDS_OF_A_DAY for bound in bounds[:2]] + list(bounds[2:])
