"""Work orders: computing some partitions and putting their files in place, without touching the catalog.

An order is plain data and an outcome is plain data: whatever the producer raises is described, never thrown across.
An order may run twice or its outcome may be lost; its files bear the order's own prefix and mean nothing until the
driver commits them.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakepart.engine.commit import file_metadata
from lakepart.engine.pieces import (
    Destination,
    Prepared,
    nothing_to_write,
    pairs_or_rows,
    prepare_keyed,
    prepare_wanted,
)
from lakepart.engine.read import Resolved, Stores
from lakepart.engine.readable import Part, ResolvedSelection
from lakepart.engine.staging import Stager
from lakepart.errors import ErrorCode, LakepartError
from lakepart.model.definitions import Dynamic, PartitionsDefinition, definition_from_dict
from lakepart.model.known_keys import KnownKey, KnownKeys
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import NewFile
from lakepart.parquet.schemas import deserialise, serialise


@dataclass(frozen=True, slots=True)
class Order:
    """One attempt at some partitions of an asset: all a worker needs, resolved beforehand."""

    asset: str
    definition: Mapping[str, Any]
    known: Mapping[str, tuple[KnownKey, ...]]  # of the keys' parts in dynamic dimensions, by name
    keys: tuple[str, ...]
    number: int
    attempt: int
    inputs: Mapping[str, Resolved]
    schema: bytes | None
    on_schema_change: str
    sort_by: tuple[str, ...]
    tier: str
    name_prefix: str
    code_version: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: the new files by key under the schema they were written in, or the failure."""

    number: int
    attempt: int
    elapsed_s: float
    files: Mapping[str, tuple[NewFile, ...]] = field(default_factory=dict)
    schema: bytes | None = None
    schema_changed: bool = False
    error_type: str | None = None
    error_message: str | None = None
    traceback_text: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the attempt gave files that can be committed."""
        return self.error_type is None


def run_order(order: Order, function: Callable[..., Any], stores: Stores) -> Outcome:
    """Call the producer and stage what it gives; any exception becomes a described failure."""
    began = time.monotonic()
    definition = _definition_of(order)
    stager: Stager | None = None
    try:
        part = Part(definition, order.keys)
        inputs = {name: ResolvedSelection(resolved, stores) for name, resolved in order.inputs.items()}
        prepared = _prepare(order, function(part, **inputs))
        schema = prepared.reconciled.schema
        stager = Stager(
            store=stores[order.tier],
            tier=order.tier,
            asset=order.asset,
            definition=definition,
            schema=schema,
            name_prefix=order.name_prefix,
            metadata=file_metadata(schema, order.name_prefix.partition("-")[0], order.code_version),
            threads=1 if len(order.keys) == 1 else 4,
            sort_by=order.sort_by,
        )
        staged = stager.stage(prepared.pieces)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - producers raise anything; the driver reports and retries
        if stager is not None:
            stager.discard()
        return Outcome(
            number=order.number,
            attempt=order.attempt,
            elapsed_s=time.monotonic() - began,
            error_type=type(error).__name__,
            error_message=_as_kept(error.message if isinstance(error, LakepartError) else str(error)),
            traceback_text=traceback.format_exc(),
        )
    files = {definition.key_at(position): tuple(written) for position, written in staged.items()}
    return Outcome(
        number=order.number,
        attempt=order.attempt,
        elapsed_s=time.monotonic() - began,
        files={key: files.get(key, ()) for key in order.keys},  # without rows: known to be empty
        schema=serialise(schema) if len(schema) else None,
        schema_changed=prepared.reconciled.changed,
    )


def _prepare(order: Order, result: Any) -> Prepared:
    if result is None:
        raise LakepartError(
            f"The producer of {order.asset!r} returned nothing for {', '.join(order.keys)}.",
            hint="return a frame; an empty one records the partition as known to be empty.",
            code=ErrorCode.NO_RESULT,
        )
    definition = _definition_of(order)
    wanted = PartitionSet.from_keys(definition, order.keys)
    into = Destination(None if order.schema is None else deserialise(order.schema), order.on_schema_change)
    frames, result = pairs_or_rows(result)
    if frames is None:
        return prepare_wanted(order.asset, wanted, into, result)
    return prepare_keyed(order.asset, definition, wanted, into, frames) or nothing_to_write(into)


def known_of(definition: PartitionsDefinition, keys: Iterable[str]) -> dict[str, tuple[KnownKey, ...]]:
    """Give what a worker must know of dynamic dimensions to write these partitions."""
    if not definition.is_dynamic:
        return {}
    parts = [definition.parts_of(key) for key in keys]
    return {
        one.dimension: one.known.only(part[one.dimension] for part in parts).entries
        for one in definition.dimensions
        if isinstance(one, Dynamic)
    }


def _as_kept(text: str) -> str:
    """Spell out what not every catalog can keep: lone surrogates and NUL."""
    return text.replace("\0", r"\x00").encode(errors="backslashreplace").decode()


def _definition_of(order: Order) -> PartitionsDefinition:
    definition = definition_from_dict(order.definition)
    return definition.knowing({name: KnownKeys(entries) for name, entries in order.known.items()})


def describe_timeout(number: int, attempt: int, timeout_s: float) -> Outcome:
    """Give the outcome of an attempt that did not end in time; what it does later is ignored."""
    return Outcome(
        number=number,
        attempt=attempt,
        elapsed_s=timeout_s,
        error_type=ErrorCode.ORDER_TIMEOUT.value,
        error_message=f"no result within {timeout_s:g} s",
    )
