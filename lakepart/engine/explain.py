"""Explain: why one partition is as it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from lakepart.catalog.database import Connection
from lakepart.catalog.lookups import find_asset
from lakepart.catalog.reading import find_inputs
from lakepart.engine.home import Home
from lakepart.engine.inputs import MappedInput, producer_inputs
from lakepart.engine.lineage import FIXED, WITHOUT
from lakepart.errors import InvalidInputError, StateError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.instants import from_microseconds
from lakepart.model.mappings import mapping_from_dict
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of
from lakepart.model.records import AssetRecord, InputRecord
from lakepart.planning.status import PartitionStatus

if TYPE_CHECKING:
    import pandas as pd


Fact = tuple[str, str]


def explain_frame(
    home: Home, asset: AssetRecord, partitions: PartitionSet, statuses: Sequence[PartitionStatus], as_of: datetime
) -> pd.DataFrame:
    """Give rows of ``key, state, about, text``: the content, every reason, every input, the last error.

    What the producer would need of an input that its definition does not have is said apart from missing data.
    """
    import pandas as pd

    definition = partitions.definition
    made_from: dict[int, list[Fact]] = {}
    with home.context.database.reading() as connection:
        home = home.in_view(home.view.look(connection))
        for ordinal, record in find_inputs(connection, home.view.scope(asset), partitions.ordinal_ranges()):
            upstream = find_asset(connection, record.asset)
            made_from.setdefault(ordinal, []).append(("made from", _reading(record, definition, upstream)))
        inputs, unmakeable = _inputs(connection, home, asset)
    listed = PartitionSet.from_ordinals(definition, [status.ordinal for status in statuses])
    inputs = tuple(one for one in inputs if _lacks(one, listed, as_of))  # of most, nothing need be said
    rows = [
        (status.key, status.state, about, text)
        for status in statuses
        for about, text in (
            *_state(status),
            *made_from.get(status.ordinal, ()),
            *_nonexistent(inputs, PartitionSet.from_ordinals(definition, [status.ordinal]), as_of),
            *unmakeable,
            *_last_error(status),
        )
    ]
    return pd.DataFrame(rows, columns=["key", "state", "about", "text"])


def _state(status: PartitionStatus) -> list[Fact]:
    return [("content", _content(status)), *((reason.kind.value, reason.text) for reason in status.reasons)]


def _reading(record: InputRecord, definition: PartitionsDefinition, upstream: AssetRecord | None) -> str:
    how, without = record.mapping["kind"], ""
    if upstream is not None and record.mapping != FIXED:
        noted = dict(record.mapping)
        absent = noted.pop(WITHOUT, None)
        how = MappedInput(record.name, upstream, mapping_from_dict(noted)).describe(definition)
        without = f", without {absent}, which did not exist" if absent else ""
    return f"{record.asset} {record.selection} as of snapshot {record.snapshot} ({how}){without}"


def _inputs(connection: Connection, home: Home, asset: AssetRecord) -> tuple[tuple[MappedInput, ...], list[Fact]]:
    """Give the producer's inputs; where one was altered so that it no longer fits, nothing can be made, and why."""
    try:
        return producer_inputs(connection, home.view, asset, home.mapping_functions), []
    except InvalidInputError as error:
        return (), [("cannot be made", error.message)]


def _lacks(one: MappedInput, partitions: PartitionSet, as_of: datetime) -> bool:
    try:
        return bool(one.map(partitions, as_of).nonexistent)
    except StateError:  # a user's own function cannot be had here; everything else can still be explained
        return False


def _nonexistent(inputs: Sequence[MappedInput], partition: PartitionSet, as_of: datetime) -> Iterator[Fact]:
    for one in inputs:
        if text := one.map(partition, as_of).nonexistent_text:
            ends = "it is skipped" if one.mapping.skips_nonexistent else "a run fails"
            yield (
                "nonexistent",
                f"needs {text} of {one.asset.name}, which has no such partition ({one.definition.describe()}): {ends}",
            )


def _last_error(status: PartitionStatus) -> list[Fact]:
    return [] if status.error is None else [("last error", status.error)]


def _content(status: PartitionStatus) -> str:
    version = status.version
    if version is None:
        return "nothing was ever committed, or it was removed"
    by = f" by code version {version.code_version}" if version.code_version else ""
    what = count_of(version.row_count, "row") if version.row_count else "known to be empty"
    return (
        f"{what} in {count_of(version.file_count, 'file')} on {'+'.join(status.tiers) or 'no tier'}, "
        f"written {from_microseconds(version.written_at_us):%Y-%m-%d %H:%M:%S} UTC{by} (snapshot {version.began})"
    )
