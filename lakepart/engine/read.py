"""Reading: from a selection to rows, through one catalog query and the named files only.

A selection is resolved once, against one snapshot. What it asks for and is not there is an error that names it,
before the first byte is read.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import last_change
from lakepart.catalog.lookups import find_asset_state, require_whole
from lakepart.catalog.reading import find_files, find_versions
from lakepart.engine.context import LakeContext, View
from lakepart.engine.offline import look_at, naming_partitions, require_readable
from lakepart.engine.schemas import remember, schemas_by_id
from lakepart.engine.uncommitted import UNCOMMITTED_SCHEMA
from lakepart.errors import ConflictError, ErrorCode, InvalidInputError, PartitionNotFoundError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import ReadPlan, by_whom, count_of, list_some
from lakepart.model.records import AssetRecord, DataFile, NewFile, VersionRecord
from lakepart.parquet.datasets import NativeFile, open_filesystem, to_dataset
from lakepart.parquet.filters import Filter, compile_filter
from lakepart.parquet.fitting import Fit, fit
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import iter_batches, read_files
from lakepart.parquet.remote import Remote
from lakepart.storage.base import Store
from lakepart.storage.native import NativeFilesystem

if TYPE_CHECKING:
    import pandas as pd

Stores = Mapping[str, Store]


class PartialReadWarning(UserWarning):
    """A read left out partitions that were asked for; the message names them."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A selection against one snapshot: its versions, their files, and what it named in vain.

    ``older_schemas`` are those, by id, under which some of the files were written, where that is not ``schema``;
    ``offline_tiers`` those of the lake whose files must be restored before they can be read.
    """

    asset: AssetRecord
    partitions: PartitionSet
    snapshot: int
    schema: pa.Schema
    versions: tuple[VersionRecord, ...]
    files: tuple[tuple[int, DataFile], ...]
    missing: tuple[str, ...]
    older_schemas: Mapping[int, pa.Schema] = field(default_factory=dict)
    offline_tiers: frozenset[str] = frozenset()

    @property
    def keys(self) -> tuple[str, ...]:
        """The committed partitions, in order."""
        return tuple(version.key for version in self.versions)

    @property
    def keyed_files(self) -> list[tuple[str, DataFile]]:
        """The files with the keys of their partitions, in order."""
        keys = {version.ordinal: version.key for version in self.versions}
        return [(keys[ordinal], file) for ordinal, file in self.files]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read: which columns and rows, what to do about missing and offline partitions, where the key goes."""

    columns: Sequence[str] | None = None
    filter: Any = None
    missing: str = "error"
    key_column: str | None = None
    offline: str = "error"


def resolve(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    partitions: PartitionSet,
    *,
    explicit: bool,
    statistics: bool = False,
) -> Resolved:
    """Find the versions and files of ``partitions``; ``explicit`` ones that are not committed are ``missing``.

    Costs three queries, whatever the number of partitions; one more on a branch, and one where files have older schemas
    that were not looked up yet.

    Raises
    ------
    ConflictError
        The asset was cut otherwise since it was looked up.
    """
    ranges = partitions.ordinal_ranges()
    with context.database.reading() as connection:
        view = view.look(connection)
        scope = view.scope(asset)
        snapshot, schema_id = _seen_at(context, connection, view, asset)
        versions = find_versions(connection, scope, ranges)
        files = find_files(connection, scope, ranges, statistics=statistics)
        if view.transaction is not None:
            view.transaction.note_read(asset.asset_id, ranges)
            own = view.transaction.changes_in(asset.asset_id, ranges)
            files = view.transaction.files(own, files)
            seen = {one.ordinal: one for one in versions} | view.transaction.versions_of(connection, scope, own)
            versions = sorted((one for one in seen.values() if one is not None), key=attrgetter("ordinal"))
        under = {file.schema_id for _, file in files if file.schema_id != UNCOMMITTED_SCHEMA}
        schemas = schemas_by_id(context, connection, under if schema_id is None else {*under, schema_id})
    schema = pa.schema([]) if schema_id is None else schemas.pop(schema_id)
    missing: tuple[str, ...] = ()
    if explicit and len(versions) < len(partitions):
        found = {version.key for version in versions}
        missing = tuple(key for key in partitions if key not in found)
    return Resolved(
        asset,
        partitions,
        snapshot,
        schema,
        tuple(versions),
        tuple(files),
        missing,
        schemas,
        context.offline_tiers,
    )


def _seen_at(context: LakeContext, connection: Connection, view: View, asset: AssetRecord) -> tuple[int, int | None]:
    """Give the snapshot to read, and the schema id of then; the asset must still be cut as when it was looked up."""
    if view.snapshot is not None:
        require_whole(connection, asset.asset_id, view.branch, view.snapshot)  # vacuum may have come meanwhile
        return view.snapshot, asset.schema_id
    state = find_asset_state(connection, asset.name)
    seen = None if state is None else state.asset
    if seen is not None and seen.revision != asset.revision:
        seen = view.define(connection, seen)
    if state is None or seen is None or (seen.revision != asset.revision and seen.definition != asset.definition):
        winner = last_change(connection, asset.asset_id)
        raise ConflictError(
            f"Asset {asset.name!r} was cut otherwise while this read began {by_whom(winner)}.",
            hint="select again and read.",
            code=ErrorCode.ASSET_CHANGED,
            context={"asset": asset.name, **winner},
        )
    if state.schema is not None:
        remember(context, state.schema)
    return state.head.snapshot, asset.schema_id if seen.revision == asset.revision else seen.schema_id


def plan_read(resolved: Resolved, options: ReadOptions) -> ReadPlan:
    """Say which files the read opens."""
    chosen = _matching(resolved, options)
    tiers: dict[str, int] = {}
    for _, file in chosen:
        tiers[file.tier] = tiers.get(file.tier, 0) + 1
    offline = {ordinal for ordinal, file in chosen if file.tier in resolved.offline_tiers}
    return ReadPlan(
        asset=resolved.asset.name,
        snapshot=resolved.snapshot,
        keys=resolved.keys,
        missing=resolved.missing,
        files=len(chosen),
        pruned_files=len(resolved.files) - len(chosen),
        rows=sum(file.row_count for _, file in chosen),
        bytes=sum(file.size_bytes for _, file in chosen),
        tiers=dict(sorted(tiers.items())),
        offline=tuple(version.key for version in resolved.versions if version.ordinal in offline),
    )


def read_table(stores: Stores, resolved: Resolved, options: ReadOptions) -> pa.Table:
    """Read everything into one Arrow table, partitions in order."""
    _, sources, schema = _open(stores, resolved, options)
    with naming_partitions(stores, resolved.asset.name, resolved.keyed_files):
        return read_files(sources, schema, columns=options.columns, filter=options.filter)


def read_batches(
    stores: Stores, resolved: Resolved, options: ReadOptions, *, threads: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Read batch by batch, partitions in order, holding only a few files at a time; one thread reads nothing ahead."""
    _, sources, schema = _open(stores, resolved, options)
    batches = iter_batches(sources, schema, columns=options.columns, filter=options.filter, threads=threads)

    def read() -> Iterator[pa.RecordBatch]:
        with naming_partitions(stores, resolved.asset.name, resolved.keyed_files):
            yield from batches

    return read()


def open_dataset(stores: Stores, resolved: Resolved, options: ReadOptions) -> Any:
    """Give a ``pyarrow.dataset.Dataset`` of exactly the selection's files, but for those that are skipped."""
    chosen, sources, schema = _open(stores, resolved, options)
    tiers = {tier: _native_filesystem(stores[tier], tier) for tier in dict.fromkeys(file.tier for file in chosen)}
    filesystems = {tier: open_filesystem(native.kind, native.arguments) for tier, native in tiers.items()}
    files = [NativeFile(filesystems[one.tier], tiers[one.tier].place(one.path), one.size_bytes) for one in chosen]
    return to_dataset(sources, files, schema)


def _native_filesystem(store: Store, tier: str) -> NativeFilesystem:
    native = store.native_filesystem()
    if native is None:
        raise InvalidInputError(
            f"Tier {tier!r} is in a store that Arrow cannot open by itself, as a dataset must.",
            hint="read it as a table or as batches.",
            code=ErrorCode.UNSUPPORTED,
            context={"tier": tier},
        )
    return native


def count_rows(resolved: Resolved, options: ReadOptions) -> int:
    """Count rows from the catalog alone: no file is opened."""
    settle_missing(resolved, options)
    return sum(version.row_count for version in resolved.versions)


def files_frame(stores: Stores, resolved: Resolved, *, availability: bool = False) -> pd.DataFrame:
    """Give one row per current data file, in order, with a path or address that other programs can open."""
    import pandas as pd

    files = resolved.keyed_files
    said = {"availability": [one.said for one in look_at(stores, files)]} if availability else {}
    return pd.DataFrame(
        {
            "key": [key for key, _ in files],
            "path": [
                stores[file.tier].os_path(file.path) or f"{stores[file.tier].root}/{file.path}" for _, file in files
            ],
            "tier": [file.tier for _, file in resolved.files],
            "rows": [file.row_count for _, file in resolved.files],
            "bytes": [file.size_bytes for _, file in resolved.files],
            "checksum": [file.checksum for _, file in resolved.files],
            **said,
        }
    )


def _open(stores: Stores, resolved: Resolved, options: ReadOptions) -> tuple[list[DataFile], list[Source], pa.Schema]:
    """Choose the files to read; gives them, where each is read from, and what their rows look like."""
    settle_missing(resolved, options)
    columns = _key_columns(resolved, options)
    schema = resolved.schema
    for name in columns:
        schema = schema.append(pa.field(name, pa.string()))
    keys = {version.ordinal: version.key for version in resolved.versions}
    fits = _fits(resolved)
    files, sources = [], []
    for ordinal, file in _readable(stores, resolved, _matching(resolved, options), options):
        constants = {name: value_of(keys[ordinal]) for name, value_of in columns.items()}
        files.append(file)
        sources.append(replace(source_of(stores, file, fits), constants=constants))
    return files, sources, schema


def sources_of(stores: Stores, resolved: Resolved, fits: Mapping[int, Fit]) -> list[Source]:
    """Give where each file of a selection is read from, in order; ``fits`` say how those of other schemas are read."""
    return [source_of(stores, file, fits) for _, file in resolved.files]


def source_of(stores: Stores, file: DataFile | NewFile, fits: Mapping[int, Fit] | None = None) -> Source:
    """Give where one file is read from; one that was just written has the schema of now."""
    found = stored_file(stores[file.tier], file.tier, file.path, file.size_bytes, file.footer_bytes)
    return found if fits is None or isinstance(file, NewFile) else replace(found, fit=fits.get(file.schema_id))


def stored_file(store: Store, tier: str, path: str, size_bytes: int, footer_bytes: int = 0) -> Source:
    """Give where a file of a tier is read from, under its own columns."""
    name = f"{tier}:{path}"
    return Source(name, store.os_path(path) or Remote(name, partial(store.read_ranges, path), size_bytes, footer_bytes))


def _matching(resolved: Resolved, options: ReadOptions) -> list[tuple[int, DataFile]]:
    """Leave out the files whose statistics say that no row can match."""
    chosen = compile_filter(options.filter, resolved.schema)
    if chosen is None:
        return list(resolved.files)
    fits = _fits(resolved)
    return [(ordinal, file) for ordinal, file in resolved.files if _can_hold(chosen, file, fits.get(file.schema_id))]


def _readable(
    stores: Stores, resolved: Resolved, chosen: list[tuple[int, DataFile]], options: ReadOptions
) -> list[tuple[int, DataFile]]:
    """Refuse, or leave out with a warning, the partitions with files that must be restored before they are read.

    A whole partition is left out, also where only one of its files is offline. To leave out what cannot be read every
    file is looked at, otherwise those that the catalog knows to be on an offline tier.
    """
    if options.offline not in {"error", "skip"}:
        raise InvalidInputError(f"offline={options.offline!r} is not one of 'error', 'skip'.")
    keys = {version.ordinal: version.key for version in resolved.versions}
    name = resolved.asset.name
    if options.offline == "error":
        offline = [(keys[ordinal], file) for ordinal, file in chosen if file.tier in resolved.offline_tiers]
        require_readable(stores, name, offline, 'offline="skip" reads without them')
        return chosen
    looked_at = look_at(stores, [(keys[ordinal], file) for ordinal, file in chosen])
    skipped = {one.key for one in looked_at if not one.is_readable}
    if skipped:
        which = list_some(key for key in keys.values() if key in skipped)
        text = f"Read without {count_of(len(skipped), 'partition')} of {name!r} that must be restored first: {which}."
        warnings.warn(text, PartialReadWarning, stacklevel=callers_level())
    return [(ordinal, file) for ordinal, file in chosen if keys[ordinal] not in skipped]


def _can_hold(chosen: Filter, file: DataFile, fit: Fit | None) -> bool:
    """Tell whether a file can hold a row that matches, by its statistics in the catalog."""
    if file.statistics is None:
        return True
    return chosen.can_hold(file.statistics if fit is None else fit.statistics(file.statistics))


def _fits(resolved: Resolved) -> dict[int, Fit]:
    """Say, by schema id, how files of older schemas are read."""
    return {schema_id: fit(older, resolved.schema) for schema_id, older in resolved.older_schemas.items()}


def settle_missing(resolved: Resolved, options: ReadOptions) -> None:
    """Warn of partitions that were asked for and are missing, or raise PartitionNotFoundError."""
    if options.missing not in {"error", "skip"}:
        raise InvalidInputError(f"missing={options.missing!r} is not one of 'error', 'skip'.")
    if not resolved.missing:
        return
    what = f"{count_of(len(resolved.missing), 'partition')} of {resolved.asset.name!r}"
    which = list_some(resolved.missing)
    if options.missing == "skip":
        text = f"Read without {what} missing at snapshot {resolved.snapshot}: {which}."
        warnings.warn(text, PartialReadWarning, stacklevel=callers_level())
        return
    raise PartitionNotFoundError(
        f"{what} {'is' if len(resolved.missing) == 1 else 'are'} missing at snapshot {resolved.snapshot}: {which}.",
        hint='missing="skip" reads what is there; status() shows what is missing.',
        context={"asset": resolved.asset.name, "missing": list(resolved.missing)},
    )


def callers_level() -> int:
    """Count the frames between a warning and the first code that is not lakepart's."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("lakepart."):
        level, frame = level + 1, frame.f_back
    return level


def _key_columns(resolved: Resolved, options: ReadOptions) -> dict[str, Callable[[str], str]]:
    """Name the columns that tell partitions apart, asked for or needed because the rows do not say, and their values.

    Asked for is the whole key; of several dimensions, those are needed of which the rows do not say.
    """
    definition = resolved.partitions.definition
    columns: dict[str, Callable[[str], str]] = {}
    if options.key_column is not None:
        columns[options.key_column] = str
    elif len(resolved.partitions) > 1:
        columns = {one.dimension: partial(_part_of, definition, one.dimension) for one in definition.unsaid}
    for name in columns:
        if name in resolved.schema.names:
            raise InvalidInputError(
                f"key_column={name!r} is a column of {resolved.asset.name!r} already.",
                hint="choose another name.",
            )
    return columns


def _part_of(definition: PartitionsDefinition, dimension: str, key: str) -> str:
    return definition.parts_of(key)[dimension]
