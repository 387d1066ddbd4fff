"""Merging files: some partitions of an asset on their way through one commit, and the proof that rows stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pyarrow as pa

from lakepart.catalog.lookups import find_asset
from lakepart.catalog.reading import find_files
from lakepart.catalog.scopes import Scope
from lakepart.engine.context import LakeContext
from lakepart.engine.offline import naming_partitions
from lakepart.engine.read import source_of
from lakepart.engine.schemas import schemas_by_id
from lakepart.engine.staging import Stager
from lakepart.errors import CorruptionError, NotFoundError, StateError
from lakepart.model.compact_plans import AssetRuns, FileRun, PartitionRuns
from lakepart.model.plans import count_of
from lakepart.model.records import MAIN, AssetRecord, DataFile, NewFile
from lakepart.parquet.digests import RowDigest
from lakepart.parquet.fitting import Fit, fit
from lakepart.parquet.reading import iter_batches
from lakepart.storage.copying import require_checksum

CHANGED = "its files were replaced or moved meanwhile"
DECLARED_ANEW = "its asset was declared anew meanwhile"
_PROOF_THREADS = 8  # they wait for the store, or hash outside the interpreter's lock
OnMerged = Callable[[int], None]


@dataclass(slots=True)
class Group:
    """Some partitions of one asset on their way through one commit, as they were when this began."""

    context: LakeContext
    plan: AssetRuns
    record: AssetRecord
    schema: pa.Schema
    fits: Mapping[int, Fit]
    files: Mapping[int, DataFile]  # by id
    found: list[PartitionRuns]
    skipped: dict[str, str] = field(default_factory=dict)  # why, by key
    written: dict[int, list[tuple[FileRun, NewFile]]] = field(default_factory=dict)  # by ordinal

    def give_up(self, key: str, why: str) -> None:
        """Leave a partition out that somebody else has changed."""
        self.skipped[key] = why

    @property
    def ready(self) -> list[PartitionRuns]:
        """The partitions that can be committed."""
        return [one for one in self.found if one.key not in self.skipped]


def look_up(context: LakeContext, plan: AssetRuns, partitions: Sequence[PartitionRuns]) -> Group:
    """Find the files of a group as they are now; partitions that have others than the plan says are skipped."""
    ranges = [(one.ordinal, one.ordinal) for one in partitions]
    with context.database.reading() as connection:
        record = find_asset(connection, plan.asset)
        if record is None or record.asset_id != plan.asset_id or record.schema_id is None:
            raise StateError(f"Asset {plan.asset!r} is no longer the one that was planned for.", hint="plan again.")
        files = {file.file_id: file for _, file in find_files(connection, Scope(record.asset_id, MAIN), ranges)}
        schemas = schemas_by_id(context, connection, {record.schema_id, *(file.schema_id for file in files.values())})
    schema = schemas.pop(record.schema_id)
    group = Group(
        context=context,
        plan=plan,
        record=record,
        schema=schema,
        fits={schema_id: fit(older, schema) for schema_id, older in schemas.items()},
        files=files,
        found=[],
    )
    for one in partitions:
        if _are_live(files, one):  # under whatever key it has by now
            group.found.append(replace(one, key=record.partitions.key_of_ordinal(one.ordinal)))
        else:
            group.give_up(one.key, CHANGED)
    return group


def merge(group: Group, stager: Stager, partition: PartitionRuns, run: FileRun, on_progress: OnMerged) -> None:
    """Write the rows of a run into one file."""
    files = [group.files[file_id] for file_id in run.file_ids]
    stores, keyed = group.context.stores, [(partition.key, file) for file in files]
    with naming_partitions(stores, group.record.name, keyed):
        with ThreadPoolExecutor(_PROOF_THREADS, thread_name_prefix="lakepart-prove") as pool:
            list(pool.map(lambda file: _require_undamaged(group, file), files))
        new = _written(group, stager, partition, run, files)
    group.written.setdefault(partition.ordinal, []).append((run, new))
    on_progress(run.size_bytes)


def _require_undamaged(group: Group, file: DataFile) -> None:
    """Prove the bytes of a file, or damage would be taken for rows and get a checksum of its own."""
    try:
        require_checksum(group.context.stores[file.tier], file.path, file.checksum)
    except NotFoundError as error:
        raise CorruptionError(
            f"Data file '{file.tier}:{file.path}' is missing.",
            hint="restore it from a copy; check() finds all that are missing.",
            context={"file": file.path},
        ) from error


def _written(
    group: Group, stager: Stager, partition: PartitionRuns, run: FileRun, files: Sequence[DataFile]
) -> NewFile:
    """Write one file, and prove that what is read back from it are the rows of those it is made from."""
    stores, schema = group.context.stores, group.schema
    before, after = RowDigest(), RowDigest()
    batches = iter_batches([source_of(stores, file, group.fits) for file in files], schema)
    position = group.record.partitions.position_at(partition.ordinal)
    on_tier = stager.on(stores[run.tier], run.tier)
    for new in on_tier.stage([(position, _noting(batches, before))])[position]:
        for batch in iter_batches([source_of(stores, new)], schema, threads=1):
            after.add(batch)
        if before.value == after.value and before.row_count == run.rows == new.row_count:
            return new
    raise CorruptionError(
        f"Partition {partition.key!r} of {group.record.name!r} does not have the same rows in one file as in "
        f"{count_of(len(files), 'file')}: {before.row_count:,} rows were read and {after.row_count:,} read back, the "
        f"catalog says {run.rows:,}. Nothing of this was committed.",
        hint="check(checksums=True) names damaged files; the storage or memory of this machine may be at fault.",
        context={
            "asset": group.record.name,
            "key": partition.key,
            "files": [file.path for file in files],
            "before": before.value,
            "after": after.value,
        },
    )


def _are_live(files: Mapping[int, DataFile], partition: PartitionRuns) -> bool:
    return all(
        file_id in files and files[file_id].tier == run.tier for run in partition.runs for file_id in run.file_ids
    )


def _noting(batches: Iterator[pa.RecordBatch], digest: RowDigest) -> Iterator[pa.Table]:
    for batch in batches:
        digest.add(batch)
        yield pa.Table.from_batches([batch])
