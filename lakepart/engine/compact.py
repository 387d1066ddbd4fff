"""Compacting: neighbouring small files of a partition become one, with the same rows, on the tier where they lay.

The order is that of every write: note the intent, put the bytes under new names, prove by reading them back that they
are the same rows, sync them, swap the rows of the catalog in one guarded transaction. The new version has the content
id of the old, so nothing that was made from it becomes stale. Partitions go in groups, a commit each; one whose files
were replaced or moved meanwhile is skipped and reported. An append, a replacement and a publication never lose to a
compaction; a delete or upsert under way, whose files were compacted, decides again which to write again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from lakepart.catalog.intents import close_intent, open_intent, renew_intents
from lakepart.catalog.lookups import get_head, list_assets
from lakepart.catalog.reading import find_files, find_versions
from lakepart.catalog.scopes import Scope
from lakepart.engine.commit import commit_under_current_schema, make_stager, undone_on_failure
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.home import Home
from lakepart.engine.manifests import write_manifests
from lakepart.engine.merging import CHANGED, DECLARED_ANEW, Group, OnMerged, look_up, merge
from lakepart.engine.partly_done import telling_what_was_done
from lakepart.engine.schemas import stored_schema
from lakepart.engine.side_by_side import do_all
from lakepart.errors import (
    ConflictError,
    ErrorCode,
    InvalidInputError,
    OfflineDataError,
    StateError,
)
from lakepart.model.compact_plans import DEFAULT_TARGET_BYTES, AssetRuns, CompactPlan, PartitionRuns
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, format_bytes, list_some
from lakepart.model.records import (
    MAIN,
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    DataFile,
    NewFile,
)
from lakepart.model.sizes import parse_size
from lakepart.parquet.schemas import serialise
from lakepart.parquet.sorting import check_sort_columns
from lakepart.planning.compaction import on_offline, plan_partitions

_PARTITIONS_AT_ONCE = 64
_BYTES_AT_ONCE = 4_000_000_000  # so that a failure late in a long run loses little
_MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Partitions of one asset to be compacted, and how; ``explicit`` ones were named one by one."""

    asset: AssetRecord
    partitions: PartitionSet
    explicit: bool
    target_bytes: int
    sort_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What a compaction did.

    Attributes
    ----------
    partitions, rows
        Partitions that have fewer files now, and the rows that were written again.
    files_before, files_after, bytes_before, bytes_after
        Files that were merged, and those they became.
    snapshots
        Its commits.
    skipped
        ``(asset, key, why)`` of partitions that somebody else changed meanwhile.
    """

    partitions: int = 0
    rows: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    snapshots: tuple[int, ...] = ()
    skipped: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        if not (self.partitions or self.skipped):
            return "Nothing was compacted."
        lines = [
            f"Compacted {count_of(self.partitions, 'partition')}: {count_of(self.files_before, 'file')} "
            f"({format_bytes(self.bytes_before)}) into {self.files_after:,} ({format_bytes(self.bytes_after)})."
        ]
        if self.skipped:
            named = list_some(f"{key} of {asset} ({why})" for asset, key, why in self.skipped)
            lines.append(f"Skipped {count_of(len(self.skipped), 'partition')}: {named}.")
        return "\n".join(lines)


def wanted_of(
    asset: AssetRecord,
    partitions: PartitionSet,
    *,
    explicit: bool,
    target_file_size: int | str | None = None,
    sort_by: Sequence[str] | None = None,
) -> Wanted:
    """Say how partitions are to be compacted: as the call says, or the asset, or up to 128 MB."""
    if target_file_size is None:
        target_bytes = int(asset.options.get("target_file_size", DEFAULT_TARGET_BYTES))
    else:
        target_bytes = parse_size(target_file_size, "target_file_size")
    return Wanted(asset, partitions, explicit, target_bytes, asset.sort_by if sort_by is None else tuple(sort_by))


def plan_automatic(home: Home) -> CompactPlan:
    """Plan for every asset that sets ``target_file_size``."""
    with home.context.database.reading() as connection:
        assets = [asset for asset in list_assets(connection) if "target_file_size" in asset.options]
    return plan_compact(
        home, [wanted_of(asset, PartitionSet.everything(asset.partitions), explicit=False) for asset in assets]
    )


def plan_compact(home: Home, wanted: Sequence[Wanted]) -> CompactPlan:
    """Say which files would become one; asks the catalog two queries an asset.

    Raises
    ------
    OfflineDataError
        Partitions that were named one by one would gain, but lie on a tier that is offline.
    InvalidInputError
        Rows cannot be sorted by the columns.
    """
    _require_main(home)
    assets = []
    with home.context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
        for one in wanted:
            scope, ranges = Scope(one.asset.asset_id, MAIN), one.partitions.ordinal_ranges()
            versions = find_versions(connection, scope, ranges)
            files: dict[int, list[DataFile]] = {version.ordinal: [] for version in versions}
            for ordinal, file in find_files(connection, scope, ranges):
                files[ordinal].append(file)
            assets.append(_plan_asset(home.context, one, [(v.key, v.ordinal, files[v.ordinal]) for v in versions]))
    return CompactPlan(snapshot, tuple(assets))


def _plan_asset(
    context: LakeContext, wanted: Wanted, partitions: Sequence[tuple[str, int, Sequence[DataFile]]]
) -> AssetRuns:
    asset = wanted.asset
    schema = stored_schema(context, asset)
    if schema is not None:
        check_sort_columns(wanted.sort_by, schema)
    planned, left_out = plan_partitions(partitions, wanted.target_bytes, offline=context.offline_tiers)
    if wanted.explicit:
        for tier in context.offline_tiers:
            _require_online(asset, tier, left_out.get(on_offline(tier), ()))
        found = {key for key, _, _ in partitions}
        if len(found) < len(wanted.partitions):
            left_out[_MISSING] = [key for key in wanted.partitions if key not in found]
    return AssetRuns(
        asset=asset.name,
        asset_id=asset.asset_id,
        target_bytes=wanted.target_bytes,
        sort_by=wanted.sort_by,
        partitions=planned,
        left_out=tuple((reason, tuple(keys)) for reason, keys in left_out.items()),
    )


def apply_compact(
    home: Home, plan: CompactPlan, *, on_progress: OnMerged, workers: int = 1, message: str | None = None
) -> CompactReport:
    """Carry a plan out: groups of partitions, a commit each; ``workers`` files are written side by side.

    Raises
    ------
    CorruptionError
        A file does not hold the rows it should, before or after; its group is left as it was.
    """
    _require_main(home)
    require_writable(home.context, View(), "compact")
    if workers < 1:
        raise InvalidInputError(f"workers={workers} is less than one.")
    done = _Done()
    with (
        telling_what_was_done(done.report),
        ThreadPoolExecutor(workers, thread_name_prefix="lakepart-compact") as pool,
    ):
        for asset in plan.assets:
            for partitions in _groups(asset.partitions):
                group = look_up(home.context, asset, partitions)
                if group.found:
                    _compact(group, pool, on_progress, message, done)
                done.skipped += [(asset.asset, key, why) for key, why in group.skipped.items()]
    return done.report() or CompactReport()


@dataclass(slots=True)
class _Done:
    totals: dict[str, int] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    skipped: list[tuple[str, str, str]] = field(default_factory=list)

    def report(self) -> CompactReport | None:
        """Say what was done, if that is anything."""
        if not (self.snapshots or self.skipped):
            return None
        return CompactReport(**self.totals, snapshots=tuple(self.snapshots), skipped=tuple(self.skipped))

    def count(self, record: Commit, spent: Mapping[str, int]) -> None:
        self.snapshots.append(record.snapshot)
        for name, number in {"partitions": record.partitions, "rows": record.rows, **spent}.items():
            self.totals[name] = self.totals.get(name, 0) + number


def _compact(group: Group, pool: Executor, on_progress: OnMerged, message: str | None, done: _Done) -> None:
    context, record = group.context, group.record
    intent_id = context.new_id()
    stager = make_stager(context, record, record.partitions, group.schema, intent_id, sort_by=group.plan.sort_by)
    with undone_on_failure(context, stager, intent_id):
        open_intent(context.database, intent_id, "compact")
        for tier in {run.tier for one in group.found for run in one.runs}:
            stager.on(context.stores[tier], tier)  # beforehand: threads share them
        runs = [(one, run) for one in group.found for run in one.runs]
        do_all(
            pool,
            [partial(merge, group, stager, *run, on_progress) for run in runs],
            meanwhile=lambda: renew_intents(context.database, [intent_id]),
        )
        committed = _commit(group, intent_id, message)
        if committed is None and close_intent(context.database, intent_id):
            stager.discard()
    if committed is not None:
        if group.skipped:  # what was written for these; the commit has ended the intent, so nothing can refer to it
            stager.discard(but={new.path for one in group.ready for _, new in group.written[one.ordinal]})
        write_manifests(context, committed)
        done.count(committed, _spent(group))


def _commit(group: Group, intent_id: str, message: str | None) -> Commit | None:
    """Commit the partitions whose files are still live; None where that is none of them."""
    context, record = group.context, group.record
    while group.ready:
        request = CommitRequest(
            token=intent_id,
            operation="compact",
            changes=tuple(_change(group, one) for one in group.ready),
            assets=(AssetGuard(record.asset_id, record.revision),),
            intent_id=intent_id,
            author=context.author,
            message=message,
            metadata={"sort_by": list(group.plan.sort_by), **_spent(group)},
        )
        try:
            based_on = {record.asset_id: (serialise(group.schema), record.partitions)}
            return commit_under_current_schema(context, request, based_on)
        except ConflictError as error:
            why = DECLARED_ANEW if error.code is ErrorCode.ASSET_CHANGED else CHANGED
            named = [conflict["key"] for conflict in error.context.get("conflicts", ())]
            for key in named or [one.key for one in group.ready]:
                group.give_up(key, why)
    return None


def _change(group: Group, partition: PartitionRuns) -> Change:
    rewrites: dict[int, NewFile | None] = {}
    for run, new in group.written[partition.ordinal]:
        rewrites |= dict.fromkeys(run.file_ids) | {run.file_ids[0]: new}
    return Change(
        asset_id=group.record.asset_id,
        key=partition.key,
        ordinal=partition.ordinal,
        kind=ChangeKind.COMPACT,
        rewrites=rewrites,
        sources={file_id: run.tier for run in partition.runs for file_id in run.file_ids},
    )


def _spent(group: Group) -> dict[str, int]:
    """Say what the partitions that are committed cost, as :class:`CompactReport` has it."""
    merged = [pair for one in group.ready for pair in group.written[one.ordinal]]
    return {
        "files_before": sum(len(run.file_ids) for run, _ in merged),
        "files_after": len(merged),
        "bytes_before": sum(run.size_bytes for run, _ in merged),
        "bytes_after": sum(new.size_bytes for _, new in merged),
    }


def _groups(partitions: Sequence[PartitionRuns]) -> Iterator[list[PartitionRuns]]:
    group: list[PartitionRuns] = []
    size_bytes = 0
    for one in partitions:
        group.append(one)
        size_bytes += sum(run.size_bytes for run in one.runs)
        if len(group) == _PARTITIONS_AT_ONCE or size_bytes >= _BYTES_AT_ONCE:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _require_main(home: Home) -> None:
    if home.view != View(MAIN):
        raise StateError(
            "Files are compacted in the lake itself, not in a transaction, on a branch or in the past: "
            "what a partition holds stays the same for all.",
            hint="use lake.asset(…).",
        )


def _require_online(asset: AssetRecord, tier: str, keys: Sequence[str]) -> None:
    if keys:
        raise OfflineDataError(
            f"{count_of(len(keys), 'partition')} of {asset.name!r} {'has' if len(keys) == 1 else 'have'} small files "
            f"on {tier}, which is offline: {list_some(keys)}. Nothing was changed.",
            hint="restore and promote them first, or select others.",
            context={"asset": asset.name, "partitions": list(keys), "tiers": [tier]},
        )
