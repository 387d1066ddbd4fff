"""What becomes of an asset's schema when a frame meets it: nothing, a column more, a wider type; or a refusal.

Types that mean the same are cast where every value fits, which changes nothing. Everything that changes the schema is
asked for: by the asset's ``on_schema_change``, or by that of one write.
"""

from __future__ import annotations

from difflib import get_close_matches

import pyarrow as pa

from lakepart.errors import InvalidInputError, SchemaMismatchError, did_you_mean
from lakepart.parquet.widening import common_type

_NEARLY_THE_SAME = 0.8
ON_SCHEMA_CHANGE = ("error", "add", "widen")


def check_on_schema_change(value: str) -> str:
    """Give the choice back; InvalidInputError if it is none of :data:`ON_SCHEMA_CHANGE`."""
    if value not in ON_SCHEMA_CHANGE:
        listed = ", ".join(repr(choice) for choice in ON_SCHEMA_CHANGE)
        raise InvalidInputError(f"on_schema_change={value!r} is not one of {listed}.")
    return value


def merge_schemas(stored: pa.Schema, incoming: pa.Schema, on_schema_change: str) -> list[pa.Field]:
    """Give the fields of the asset once a frame of schema ``incoming`` is written: its own, ids and all, and new ones.

    Raises
    ------
    SchemaMismatchError
        The frame does not fit; the message goes through the columns one by one.
    """
    fields, problems = [], []
    missing = [name for name in stored.names if name not in incoming.names]
    extra = [name for name in incoming.names if name not in stored.names]
    for field in stored:
        if field.name in missing:
            fields.append(field)
            continue
        found = incoming.field(field.name).type
        merged = merge_types(field.type, found, on_schema_change)
        if merged is None:
            problems.append(f"column {field.name!r}: the asset has {field.type}, the frame has {found}")
        else:
            fields.append(field if merged is field.type else field.with_type(merged))
    problems += [
        f"column {name!r} of the asset is missing from the frame"
        for name in missing
        if on_schema_change == "error" or not stored.field(name).nullable
    ]
    if on_schema_change == "error":
        problems += [f"column {name!r} of the frame is not in the asset" for name in extra]
    else:
        problems += _misspelt(extra, missing)
    if problems:
        raise _mismatch(problems, missing, extra, on_schema_change)
    return [*fields, *(pa.field(name, incoming.field(name).type) for name in extra)]


def merge_types(stored: pa.DataType, incoming: pa.DataType, on_schema_change: str = "error") -> pa.DataType | None:
    """Give the type that a column has once values of ``incoming`` are written to it; None where they do not fit.

    It is ``stored`` itself where values are merely cast; whether each fits is seen then.
    """
    types = pa.types
    if types.is_null(stored):
        return stored if types.is_null(incoming) else incoming
    if types.is_null(incoming) or stored.equals(incoming):
        return stored
    if types.is_struct(stored) and types.is_struct(incoming):
        return _merge_structs(stored, incoming, on_schema_change)
    if types.is_map(stored) and types.is_map(incoming):
        return _merge_children(
            stored, [stored.key_field, stored.item_field], [incoming.key_type, incoming.item_type], on_schema_change
        )
    if types.is_list(stored) and types.is_list(incoming):
        return _merge_children(stored, [stored.value_field], [incoming.value_type], on_schema_change)
    if types.is_fixed_size_list(stored) and types.is_fixed_size_list(incoming):
        if stored.list_size != incoming.list_size:
            return None
        return _merge_children(stored, [stored.value_field], [incoming.value_type], on_schema_change)
    if on_schema_change == "widen":
        wider = common_type(stored, incoming)
        if wider is not None and not wider.equals(stored):
            return wider
        if wider is not None:
            return stored
    return stored if _is_castable(incoming, stored) else None


def _merge_structs(stored: pa.DataType, incoming: pa.DataType, on_schema_change: str) -> pa.DataType | None:
    found = {child.name: child for child in incoming}
    names = {child.name for child in stored}
    if on_schema_change == "error" and names != found.keys():
        return None
    children, changed = [], False
    for child in stored:
        merged = (
            merge_types(child.type, found[child.name].type, on_schema_change) if child.name in found else child.type
        )
        if merged is None:
            return None
        changed = changed or merged is not child.type
        children.append(child if merged is child.type else child.with_type(merged))
    new = [pa.field(child.name, child.type) for child in incoming if child.name not in names]
    return pa.struct([*children, *new]) if changed or new else stored


def _merge_children(
    stored: pa.DataType, fields: list[pa.Field], incoming: list[pa.DataType], on_schema_change: str
) -> pa.DataType | None:
    merged = [merge_types(field.type, found, on_schema_change) for field, found in zip(fields, incoming, strict=True)]
    if None in merged:
        return None
    if all(one is field.type for one, field in zip(merged, fields, strict=True)):
        return stored
    changed = [field.with_type(one) for one, field in zip(merged, fields, strict=True)]
    if pa.types.is_map(stored):
        return pa.map_(*changed)
    if pa.types.is_fixed_size_list(stored):
        return pa.list_(changed[0], stored.list_size)
    return pa.list_(changed[0])


def _is_castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Tell whether values of ``source``, none of them nested, mean the same as ``target``."""
    types = pa.types
    if types.is_floating(source) and types.is_floating(target):
        return bool(source.bit_width <= target.bit_width)
    if types.is_integer(source) and types.is_floating(target):
        return True  # pandas turns integers into floats wherever one is missing; exact ones fit
    if types.is_timestamp(source) and types.is_timestamp(target):
        return (source.tz is None) == (target.tz is None)
    same_kind = (types.is_integer, types.is_decimal, types.is_date, types.is_time, types.is_duration)
    return any(is_kind(source) and is_kind(target) for is_kind in same_kind)


def _misspelt(extra: list[str], missing: list[str]) -> list[str]:
    """Refuse a new column that looks like one that is missing: adding the one and leaving the other out is an error."""
    return [
        f"column {name!r} is not in the asset, which has {close[0]!r} that is missing from the frame"
        for name in extra
        if (close := get_close_matches(name, missing, n=1, cutoff=_NEARLY_THE_SAME))
    ]


def _mismatch(problems: list[str], missing: list[str], extra: list[str], on_schema_change: str) -> SchemaMismatchError:
    hint = "convert the columns to the asset's types."
    if missing or extra:
        guess = did_you_mean(extra[0], missing) if missing and extra else None
        hint = guess or "drop columns the asset does not have, and add missing ones (all null will do)."
        if guess is None and on_schema_change == "error":
            hint += ' on_schema_change="add" adds new columns and leaves missing ones null.'
    elif on_schema_change != "widen" and any("the frame has" in problem for problem in problems):
        hint += ' on_schema_change="widen" lets columns grow.'
    return SchemaMismatchError(
        f"The frame does not fit the asset's schema: {'; '.join(problems)}.",
        hint=hint,
        context={"problems": problems, "missing": missing, "extra": extra},
    )
