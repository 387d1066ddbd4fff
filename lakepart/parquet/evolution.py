"""Changing an asset's schema on purpose: what may change without touching a file, and what the columns are then.

Columns are known to files by field id, so a renamed column keeps its values, a dropped one is read no more, and one
that is added under a name that was used before begins empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from lakepart.errors import ErrorCode, InvalidInputError, SchemaMismatchError, did_you_mean
from lakepart.parquet.casting import canonical_type
from lakepart.parquet.schemas import assign_field_ids, children_of, last_field_id, rebuilt, with_last_field_id
from lakepart.parquet.widening import is_widening

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What changes in a schema.

    Columns are named as they are called before the change. A field inside a struct is named with dots,
    ``"address.city"``; what a list holds is called ``element``, what a map holds ``key`` and ``value``.

    Attributes
    ----------
    add
        New columns and their types, all null in what is written already; after the others.
    drop
        Columns that are read no more.
    rename
        New names by old ones; of a nested field, its own name only.
    widen
        Columns that grow, and the types they grow into.
    nullable
        Columns declared without nulls that may hold some from now on.
    order
        Columns, as they are called after the change, that come first, in this order.
    """

    add: Mapping[str, pa.DataType] = field(default_factory=dict)
    drop: Sequence[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    widen: Mapping[str, pa.DataType] = field(default_factory=dict)
    nullable: Sequence[str] = ()
    order: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.add, self.drop, self.rename, self.widen, self.nullable, self.order))


def evolve(stored: pa.Schema | None, change: SchemaChange) -> tuple[pa.Schema, tuple[str, ...]]:
    """Give the schema after a change, and what changes as sentences.

    Raises
    ------
    InvalidInputError
        There is no such column (``unknown-column``), a name would be taken twice, or a change is none.
    SchemaMismatchError
        A type cannot grow into the other, or cannot be stored.
    """
    schema = pa.schema([]) if stored is None else stored
    evolving = _Evolving(schema, change)
    fields = evolving.fields(list(schema), ())
    evolving.require_all_used()
    _require_distinct(fields, ())
    if not fields:
        raise InvalidInputError("Every column would be dropped.", hint="drop the asset, or keep a column.")
    ordered = _in_order(fields, change.order)
    if [one.name for one in ordered] != [one.name for one in fields]:
        evolving.said.append(f"order: {', '.join(one.name for one in ordered)}")
    return assign_field_ids(with_last_field_id(ordered, last_field_id(schema))), tuple(evolving.said)


def check_schema(given: Any) -> pa.Schema:
    """Bring the schema of a declaration to stored types; only top-level columns may be declared without nulls.

    Raises
    ------
    InvalidInputError
        It is no schema, or names a column twice.
    SchemaMismatchError
        A type cannot be stored.
    """
    if isinstance(given, Mapping):
        given = pa.schema(dict(given))
    if not isinstance(given, pa.Schema) or not given.names:
        raise InvalidInputError(
            f"schema={given!r} is no schema.", hint="pyarrow.schema([…]), or {'column': pyarrow_type, …}."
        )
    fields = [pa.field(one.name, canonical_type(one.type, one.name), nullable=one.nullable) for one in given]
    _require_distinct(fields, ())
    return assign_field_ids(pa.schema(fields))


def describe_difference(stored: pa.Schema | None, declared: pa.Schema) -> list[str]:
    """Say what of a declared schema an asset does not have; columns added and types grown since are no difference."""
    if stored is None:
        return ["the asset was declared without a schema"]
    differences = []
    for one in declared:
        if one.name not in stored.names:
            differences.append(f"column {one.name!r} ({one.type}) is not in the asset")
        elif not is_widening(one.type, stored.field(one.name).type):
            differences.append(f"column {one.name!r} is {stored.field(one.name).type}, not {one.type}")
    return differences


@dataclass(slots=True)
class _Evolving:
    """One change on its way through a schema."""

    schema: pa.Schema
    change: SchemaChange
    said: list[str] = field(default_factory=list)
    _used: set[tuple[str, Path]] = field(default_factory=set)

    def fields(self, before: Iterable[pa.Field], parent: Path) -> list[pa.Field]:
        changed = [one for old in before if (one := self._field(old, (*parent, old.name))) is not None]
        return [*changed, *self._added(parent)]

    def _field(self, old: pa.Field, path: Path) -> pa.Field | None:
        if self._take("drop", path):
            self.said.append(f"drop {_text(path)}")
            return None
        data_type = rebuilt_fields(old.type, lambda children: self.fields(children, path))
        wanted = self._take("widen", path)
        if wanted is not None:
            data_type = self._widened(path, data_type, wanted)
        name, nullable = self._take("rename", path) or old.name, old.nullable
        if name != old.name:
            self.said.append(f"rename {_text(path)} to {name}")
        if self._take("nullable", path):
            if nullable:
                raise InvalidInputError(f"Column {_text(path)!r} may hold nulls already.")
            self.said.append(f"allow nulls in {_text(path)}")
            nullable = True
        return pa.field(name, data_type, nullable=nullable, metadata=old.metadata)

    def _widened(self, path: Path, now: pa.DataType, wanted: pa.DataType) -> pa.DataType:
        wider = canonical_type(wanted, _text(path))
        if not is_widening(now, wider) or now.equals(wider):
            raise SchemaMismatchError(
                f"Column {_text(path)!r} is {now} and cannot grow into {wider}.",
                hint="integers and floats grow in width, decimals in digits, dates into timestamps without a zone; "
                "for anything else add a column.",
                context={"column": _text(path), "type": str(now), "wanted": str(wider)},
            )
        self.said.append(f"widen {_text(path)} from {now} to {wider}")
        return _numbered_as(now, wider)

    def _added(self, parent: Path) -> list[pa.Field]:
        added = []
        for name, data_type in self.change.add.items():
            path = self._place(name)
            if path[:-1] == parent:
                self._used.add(("add", path))
                stored = canonical_type(data_type, name)
                self.said.append(f"add {_text(path)}: {stored}")
                added.append(pa.field(path[-1], stored))
        return added

    def _place(self, name: str) -> Path:
        """Say where a new field goes: into a struct, if the name begins with one; else it is a column."""
        parts = tuple(name.split("."))
        return parts if len(parts) > 1 and parts[0] in self.schema.names else (name,)

    def _take(self, kind: str, path: Path) -> Any:
        given = getattr(self.change, kind)
        for name in given:
            if self._path(name) == path:
                self._used.add((kind, path))
                return given[name] if isinstance(given, Mapping) else True
        return None

    def _path(self, name: str) -> Path:
        return (name,) if name in self.schema.names else tuple(name.split("."))

    def require_all_used(self) -> None:
        """Refuse what names no column, and what names two kinds of change that cannot both be."""
        for kind in ("drop", "rename", "widen", "nullable", "add"):
            for name in getattr(self.change, kind):
                path = self._place(name) if kind == "add" else self._path(name)
                if (kind, path) not in self._used:
                    raise _unknown(name, self.schema)


def rebuilt_fields(data_type: pa.DataType, change: Callable[[list[pa.Field]], list[pa.Field]]) -> pa.DataType:
    """Give a nested type with its fields changed together; those of lists and maps stay as many as they are."""
    children = children_of(data_type)
    if not children:
        return data_type
    changed = change(children)
    if pa.types.is_struct(data_type) and changed:
        return pa.struct(changed)
    if len(changed) != len(children) or any(one.name != old.name for one, old in zip(changed, children, strict=True)):
        raise InvalidInputError(
            f"What {data_type} holds cannot be added to, dropped or renamed.", hint="change the column that holds it."
        )
    replaced = iter(changed)
    return rebuilt(data_type, lambda _: next(replaced))


def _numbered_as(now: pa.DataType, wider: pa.DataType) -> pa.DataType:
    """Give the wider type with the field ids of the one it grew from."""
    ids = iter(children_of(now))

    def numbered(child: pa.Field) -> pa.Field:
        old = next(ids)
        return pa.field(child.name, _numbered_as(old.type, child.type), metadata=old.metadata)

    return rebuilt(wider, numbered)


def _in_order(fields: list[pa.Field], order: Sequence[str]) -> list[pa.Field]:
    by_name = {one.name: one for one in fields}
    for name in order:
        if name not in by_name:
            raise _unknown(name, pa.schema(fields))
    if len(set(order)) < len(order):
        raise InvalidInputError(f"order={list(order)!r} names a column twice.")
    return [*(by_name.pop(name) for name in order), *by_name.values()]


def _require_distinct(fields: Iterable[pa.Field], parent: Path) -> None:
    names = [one.name for one in fields]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInputError(
                f"There would be two columns {_text((*parent, name))!r}.", hint="choose another name, or drop one."
            )
    for one in fields:
        _require_distinct(children_of(one.type), (*parent, one.name))


def _text(path: Path) -> str:
    return ".".join(path)


def _unknown(name: str, schema: pa.Schema) -> InvalidInputError:
    return InvalidInputError(
        f"There is no column {name!r}.",
        hint=did_you_mean(str(name), schema.names),
        code=ErrorCode.UNKNOWN_COLUMN,
        context={"column": name},
    )
