"""Changing rows inside partitions: files that hold a match are written again without it, all others stay as they are.

A version refers to the files it keeps by the same rows as the one before, so nothing is copied, moved or checked anew.
What is written again stays on the tier where it lay: a deletion throughout the past must not fill the hottest tier.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from lakepart.catalog.definitions import last_change
from lakepart.engine.commit import renewing
from lakepart.engine.context import LakeContext
from lakepart.engine.offline import naming_partitions
from lakepart.engine.read import Resolved, sources_of
from lakepart.engine.schemas import stored_schema
from lakepart.engine.staging import Piece, Stager
from lakepart.errors import ConflictError, ErrorCode, OfflineDataError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.plans import by_whom, count_of, list_some
from lakepart.model.records import AssetRecord, DataFile, NewFile
from lakepart.parquet.fitting import fit
from lakepart.parquet.matching import Matcher
from lakepart.parquet.opening import Source

_THREADS = 8

Matchers = Mapping[int, Matcher]  # by the partition's ordinal


@dataclass(frozen=True, slots=True)
class Match:
    """A file, where it is read from, and how many of its rows are meant."""

    ordinal: int
    file: DataFile
    source: Source
    rows: int


@dataclass(frozen=True, slots=True)
class Found:
    """The files with matches, in order, and how many were looked into and skipped."""

    matches: tuple[Match, ...]
    files_read: int
    files_skipped: int


def find_matches(context: LakeContext, resolved: Resolved, schema: pa.Schema, matchers: Matchers) -> Found:
    """Look for the rows that are meant: only into files that can hold one, and only at the columns that decide.

    Raises
    ------
    OfflineDataError
        A file that can hold one lies on a tier whose bytes must be restored first.
    """
    older = {schema_id: fit(form, schema) for schema_id, form in resolved.older_schemas.items()}
    if schema is not resolved.schema:  # the commit brings a schema: for its files, that of now is an older one
        older |= dict.fromkeys(
            {file.schema_id for _, file in resolved.files} - older.keys(), fit(resolved.schema, schema)
        )
    candidates = []
    for (ordinal, file), source in zip(resolved.files, sources_of(context.stores, resolved, older), strict=True):
        fitting = older.get(file.schema_id)
        statistics = file.statistics or {}
        if matchers[ordinal].can_be_in(statistics if fitting is None else fitting.statistics(statistics)):
            candidates.append((ordinal, file, source))
    _require_online(context, resolved, candidates)
    with (
        naming_partitions(context.stores, resolved.asset.name, resolved.keyed_files),
        ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-match") as pool,
    ):
        counts = list(pool.map(lambda one: matchers[one[0]].count(one[2], schema), candidates))
    matches = tuple(Match(*one, rows) for one, rows in zip(candidates, counts, strict=True) if rows)
    return Found(matches, len(candidates), len(resolved.files) - len(candidates))


def rewrite(
    context: LakeContext,
    definition: PartitionsDefinition,
    stager: Stager,
    matches: Sequence[Match],
    matchers: Matchers,
    *,
    intent_id: str,
) -> dict[int, dict[int, NewFile | None]]:
    """Write what stays of each file, on its own tier; gives what takes its place, by ordinal and file id."""
    rewritten: dict[int, dict[int, NewFile | None]] = {}
    for match in matches:
        rewritten.setdefault(match.ordinal, {})[match.file.file_id] = None
    for tier in dict.fromkeys(match.file.tier for match in matches):
        staying = [one for one in matches if one.file.tier == tier and one.rows < one.file.row_count]
        pieces = _pieces(definition, staying, matchers, stager.schema)
        staged = stager.on(context.stores[tier], tier).stage(renewing(context, intent_id, pieces))
        files = {definition.ordinal_at(position): iter(written) for position, written in staged.items()}
        for match in staying:  # a piece a file, in this order
            rewritten[match.ordinal][match.file.file_id] = next(files[match.ordinal])
    return rewritten


def require_schema(context: LakeContext, asset: AssetRecord, resolved: Resolved) -> None:
    """Refuse to write rows again under columns that are no longer those of the asset as it was looked up."""
    expected = stored_schema(context, asset)
    if expected is None or not resolved.schema.equals(expected, check_metadata=True):
        with context.database.reading() as connection:
            winner = last_change(connection, asset.asset_id)
        raise ConflictError(
            f"The columns of {asset.name!r} changed while this began {by_whom(winner)}. Nothing was changed.",
            hint="try again.",
            code=ErrorCode.ASSET_CHANGED,
            context={"asset": asset.name, **winner},
        )


def costs(found: Found) -> dict[str, int]:
    """Say what a change of rows cost, as :class:`~lakepart.RowChanges` has it."""
    return {
        "rows_matched": sum(match.rows for match in found.matches),
        "rows_rewritten": sum(match.file.row_count - match.rows for match in found.matches),
        "files_rewritten": len(found.matches),
        "files_skipped": found.files_read + found.files_skipped - len(found.matches),
    }


def _pieces(
    definition: PartitionsDefinition, matches: Iterable[Match], matchers: Matchers, schema: pa.Schema
) -> Iterator[Piece]:
    for match in matches:
        yield definition.position_at(match.ordinal), matchers[match.ordinal].others(match.source, schema)


def _require_online(
    context: LakeContext, resolved: Resolved, candidates: Sequence[tuple[int, DataFile, Source]]
) -> None:
    offline = context.offline_tiers
    keys = {version.ordinal: version.key for version in resolved.versions}
    found = [(keys[ordinal], file) for ordinal, file, _ in candidates if file.tier in offline]
    if found:
        named = list(dict.fromkeys(key for key, _ in found))
        tiers = list(dict.fromkeys(file.tier for _, file in found))
        raise OfflineDataError(
            f"{count_of(len(named), 'partition')} of {resolved.asset.name!r} with rows to change may lie on "
            f"{', '.join(tiers)}, which is offline: {list_some(named)}. Nothing was changed.",
            hint="restore and promote them first, or change other partitions.",
            context={"asset": resolved.asset.name, "partitions": named, "tiers": tiers},
        )
