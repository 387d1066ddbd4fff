"""Rows that differ between two tables, told apart by key columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import InvalidInputError
from lakepart.parquet.filters import check_columns

_OLD, _NEW = "__before", "__after"


class DuplicateRowsError(Exception):
    """Two rows of one table have the same key; holds an example and on which side (``before``, ``after``)."""

    def __init__(self, side: str, example: dict[str, Any]) -> None:
        super().__init__(side, example)
        self.side, self.example = side, example


def difference_schema(schema: pa.Schema, on: Sequence[str], extra: Sequence[str]) -> pa.Schema:
    """Give the columns of :func:`row_differences` after ``extra`` ones of text: ``on``, then others before and after.

    Raises
    ------
    InvalidInputError
        ``on`` is empty, names no column or one that cannot be compared, or two columns would have one name.
    """
    if not on:
        raise InvalidInputError("on= names no column.", hint="name the columns that tell rows apart.")
    check_columns(on, schema)
    for name in on:
        if pa.types.is_nested(schema.field(name).type):
            raise InvalidInputError(
                f"Column {name!r} is {schema.field(name).type}: rows are told apart by plain values.",
                hint="choose other columns.",
            )
    fields = [pa.field(name, pa.string()) for name in extra]
    fields += [pa.field(name, schema.field(name).type) for name in on]
    for field in schema:
        if field.name not in on:
            fields += [pa.field(f"{field.name}_{side}", field.type) for side in ("before", "after")]
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(
            f"Two columns of the differences would be called {twice[0]!r}.",
            hint="compare the two reads yourself, with columns renamed.",
        )
    return pa.schema(fields)


def row_differences(before: pa.Table, after: pa.Table, on: Sequence[str], result: pa.Schema) -> pa.Table:
    """Give the rows that were added, removed or changed, in no particular order, as :func:`difference_schema` says.

    The first column of ``result`` after those of the caller is filled by the caller; ``change`` is filled here. Nulls
    and NaNs are equal to themselves.

    Raises
    ------
    DuplicateRowsError
        Rows of one of the tables have the same values in ``on``.
    """
    old, new = _paired(before, after, on)
    old_only, new_only = pc.is_null(new), pc.is_null(old)
    both = pc.invert(pc.or_(old_only, new_only))
    left, right = before.take(old.filter(both)), after.take(new.filter(both))
    changed = _any_differs(left, right, [name for name in before.column_names if name not in on])
    parts = (
        ("removed", before.take(old.filter(old_only)), None),
        ("changed", left.filter(changed), right.filter(changed)),
        ("added", None, after.take(new.filter(new_only))),
    )
    return pa.concat_tables([_as_result(*part, on=on, result=result) for part in parts])


def _paired(before: pa.Table, after: pa.Table, on: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Give, for each key, its row before and its row after; null where it has none."""
    sides = []
    for of, other, table in ((_OLD, _NEW, before), (_NEW, _OLD, after)):
        numbered = table.select(on).append_column(of, pa.array(range(table.num_rows), pa.int64()))
        sides.append(numbered.append_column(other, pa.nulls(table.num_rows, pa.int64())).select([*on, _OLD, _NEW]))
    groups = (
        pa.concat_tables(sides)
        .group_by(list(on))
        .aggregate([(of, how) for of in (_OLD, _NEW) for how in ("max", "count")])
    )
    for side, of in (("before", _OLD), ("after", _NEW)):
        twice = groups.filter(pc.greater(groups[f"{of}_count"], 1))
        if twice.num_rows:
            raise DuplicateRowsError(side, twice.select(on).slice(0, 1).to_pylist()[0])
    old, new = (groups[f"{of}_max"].combine_chunks() for of in (_OLD, _NEW))
    return old, new


def _any_differs(left: pa.Table, right: pa.Table, names: Sequence[str]) -> pa.Array:
    differs = pa.array([False] * left.num_rows, pa.bool_())
    for name in names:
        differs = pc.or_(differs, _differs(left[name].combine_chunks(), right[name].combine_chunks()))
    return differs


def _differs(left: pa.Array, right: pa.Array) -> pa.Array:
    try:
        equal = pc.fill_null(pc.equal(left, right), fill_value=False)
    except pa.ArrowNotImplementedError:  # nested values have no comparison of their own
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return pa.array([one != other for one, other in pairs], pa.bool_())
    equal = pc.or_(equal, pc.and_(pc.is_null(left), pc.is_null(right)))
    if pa.types.is_floating(left.type):
        both = pc.and_(pc.is_nan(left), pc.is_nan(right))
        equal = pc.or_(equal, pc.fill_null(both, fill_value=False))
    return pc.invert(equal)


def _as_result(
    change: str, before: pa.Table | None, after: pa.Table | None, *, on: Sequence[str], result: pa.Schema
) -> pa.Table:
    named = before if before is not None else after
    assert named is not None  # noqa: S101 - one of the two is always given
    rows = named.num_rows
    columns = []
    for field in result:
        if field.name == "change":
            columns.append(pa.array([change] * rows, pa.string()))
        elif field.name in on:
            columns.append(named[field.name])
        else:
            name, _, side = field.name.rpartition("_")
            source = before if side == "before" else after
            columns.append(pa.nulls(rows, field.type) if source is None or not name else source[name])
    return pa.table(columns, schema=result)
