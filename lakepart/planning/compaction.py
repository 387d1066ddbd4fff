"""Which files of a partition become one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from lakepart.model.compact_plans import FileRun, PartitionRuns
from lakepart.model.records import DataFile
from lakepart.planning.tiering import PartitionFiles

_SMALL = 0.75  # of the target: a file that is nearly large enough is not written again for the sake of a small one

NO_ROWS = "known to be empty"
ONE_FILE = "one file already"
LARGE = "no small files side by side"


def find_runs(files: Sequence[DataFile], target_bytes: int) -> list[tuple[DataFile, ...]]:
    """Choose, in order, neighbouring files on one tier that are small and together not larger than the target.

    Neighbours only, so that rows keep their order; and at least two, so that files become fewer.
    """
    runs: list[list[DataFile]] = [[]]
    size_bytes = 0
    for file in files:
        small = file.size_bytes < _SMALL * target_bytes
        last = runs[-1]
        if last and not (small and file.tier == last[-1].tier and size_bytes + file.size_bytes <= target_bytes):
            runs.append([])
            size_bytes = 0
        if small:
            runs[-1].append(file)
            size_bytes += file.size_bytes
    return [tuple(run) for run in runs if len(run) > 1]


def plan_partitions(
    partitions: Iterable[PartitionFiles], target_bytes: int, *, offline: Collection[str]
) -> tuple[tuple[PartitionRuns, ...], dict[str, list[str]]]:
    """Choose the partitions that gain, in order; gives them, and the keys of the others by the reason.

    ``offline`` names the tiers that cannot be read: a partition that would gain there is among the others, too.
    """
    planned: list[PartitionRuns] = []
    left_out: dict[str, list[str]] = {}
    for key, ordinal, files in partitions:
        found = find_runs(files, target_bytes)
        possible = [run for run in found if run[0].tier not in offline]
        for tier in dict.fromkeys(run[0].tier for run in found if run[0].tier in offline):
            left_out.setdefault(on_offline(tier), []).append(key)
        if possible:
            planned.append(PartitionRuns(key, ordinal, len(files), tuple(map(_run, possible))))
        elif not found:
            reason = LARGE if len(files) > 1 else ONE_FILE if files else NO_ROWS
            left_out.setdefault(reason, []).append(key)
    return tuple(planned), left_out


def on_offline(tier: str) -> str:
    """Say that files lie on a tier that cannot be read."""
    return f"on {tier}, which is offline"


def _run(files: Sequence[DataFile]) -> FileRun:
    return FileRun(
        tier=files[0].tier,
        file_ids=tuple(file.file_id for file in files),
        size_bytes=sum(file.size_bytes for file in files),
        rows=sum(file.row_count for file in files),
    )
