"""Keys that a lake keeps for its dynamic dimensions: for writers that meet new ones, and for people who add some."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lakepart.catalog import partition_keys
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definitions import Dynamic, Multi, PartitionsDefinition
from lakepart.model.keys import check_keys
from lakepart.model.known_keys import KnownKey
from lakepart.model.records import AssetRecord, Change, WrittenKeys

_WHOLE_ORDINAL = (0, 2**63 - 1)


def definition_for_writing(context: LakeContext, view: View, asset: AssetRecord) -> PartitionsDefinition:
    """Give the definition for one write: keys that it does not know yet are reserved in the catalog when they are met.

    Costs nothing where all keys are known, and else one small transaction for each batch of rows that has new ones.
    """
    definition = asset.partitions
    if not definition.is_dynamic:
        return definition

    def reserve(dimension: str, keys: Sequence[str], most: int) -> list[KnownKey]:
        reserved = partition_keys.reserve_keys(context.database, asset.asset_id, dimension, keys, most)
        if view.transaction is not None:
            view.transaction.learn_keys(asset.asset_id, dimension, reserved)
        return reserved

    return definition.admitting(reserve)


def definition_for_planning(asset: AssetRecord) -> PartitionsDefinition:
    """Give the definition for a plan, which reserves nothing: unknown keys get ids that nobody has as yet."""
    definition = asset.partitions
    if not definition.is_dynamic:
        return definition
    met: dict[tuple[str, str], int] = {}

    def invent(dimension: str, keys: Sequence[str], most: int) -> list[KnownKey]:
        return [KnownKey(most - 1 - met.setdefault((dimension, key), len(met)), key) for key in keys]

    return definition.admitting(invent)


def written_keys(asset: AssetRecord, changes: Sequence[Change]) -> tuple[WrittenKeys, ...]:
    """Say which keys of dynamic dimensions a commit writes."""
    definition = asset.partitions
    if not definition.is_dynamic:
        return ()
    ordinals = np.array([change.ordinal for change in changes], dtype=np.int64)
    return (WrittenKeys(asset.asset_id, definition.dynamic_ids(ordinals)),)


def add_keys(context: LakeContext, view: View, asset: AssetRecord, keys: Iterable[str], dimension: str | None) -> int:
    """Add keys to a dynamic dimension; gives how many were not known before."""
    require_writable(context, view, "add keys")
    chosen = _dynamic_dimension(asset, dimension)
    return partition_keys.add_keys(context.database, asset.asset_id, chosen.dimension, _listed(keys), chosen.capacity)


def remove_keys(
    context: LakeContext, view: View, asset: AssetRecord, keys: Iterable[str], dimension: str | None
) -> int:
    """Remove keys that have no data from a dynamic dimension; gives how many."""
    require_writable(context, view, "remove keys")
    chosen, definition = _dynamic_dimension(asset, dimension), asset.partitions
    bits = definition.bits_of(chosen.dimension) if isinstance(definition, Multi) else _WHOLE_ORDINAL
    return partition_keys.remove_keys(context.database, asset.asset_id, chosen.dimension, _listed(keys), bits)


def _dynamic_dimension(asset: AssetRecord, name: str | None) -> Dynamic:
    definition = asset.partitions
    dynamic = [one for one in definition.dimensions if isinstance(one, Dynamic)]
    chosen = [one for one in dynamic if name in (None, one.dimension)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(one.dimension for one in dynamic)
    which = "" if name is None else f" called {name!r}"
    raise InvalidInputError(
        f"Asset {asset.name!r} has {'more than one' if chosen else 'no'} dimension of dynamic keys{which}: "
        f"{definition!r}.",
        hint=f"dimension= is one of {names}." if names else "declare it with Dynamic() to add keys as they come.",
        code=ErrorCode.INVALID_SELECTION,
    )


def _listed(keys: Iterable[str]) -> list[str]:
    if isinstance(keys, str):
        raise InvalidInputError(f"{keys!r} is one text: keys are a list of texts.", hint=f"[{keys!r}]")
    return list(dict.fromkeys(check_keys(keys, "the list of keys")))
