"""What the partitions of a new definition inherit from those whose rows they take over."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.records import VersionRecord

Route = tuple[str, str, int]  # old key, new key, rows


@dataclass(frozen=True, slots=True)
class Origin:
    """When the rows of a new partition were made and by which code, and why they are stale if they are.

    ``written_at_us`` is that of the youngest old partition: a window that had not closed when its last part was
    written is early still.
    """

    written_at_us: int
    code_version: str | None
    stale_mark: str | None


def origins_of(
    before: PartitionsDefinition,
    after: PartitionsDefinition,
    versions: Sequence[VersionRecord],
    routes: Iterable[Route],
    known_empty: Collection[str],
    marks: Mapping[int, str],
) -> dict[str, Origin]:
    """Give the origin of every new partition, by key, in the order of the new definition.

    Parameters
    ----------
    versions
        The committed ones, in order.
    routes
        From which partitions rows come.
    known_empty
        New partitions without rows.
    marks
        Why old partitions are stale, by ordinal.
    """
    by_key = {version.key: row for row, version in enumerate(versions)}
    sources: dict[str, set[int]] = {key: set() for key in known_empty}
    for old, new, _ in routes:
        sources.setdefault(new, set()).add(by_key[old])
    for key, rows in _sharing_time(before, after, versions, sources):
        sources[key].update(rows)
    return {
        key: _origin([versions[row] for row in sorted(sources[key])], marks)
        for key in sorted(sources, key=after.position_of)
    }


def _sharing_time(
    before: PartitionsDefinition, after: PartitionsDefinition, versions: Sequence[VersionRecord], keys: Iterable[str]
) -> Iterator[tuple[str, range]]:
    """Find the old partitions whose windows share time with the new: what has no rows there says so, too."""
    starts = np.array([version.ordinal for version in versions], dtype=np.int64)
    ends = before.window_ends_of(starts)
    new_starts = np.array([after.ordinal_at(after.position_of(key)) for key in keys], dtype=np.int64)
    new_ends = after.window_ends_of(new_starts)
    both = (before.kind, after.kind) == ("time", "time")
    if ends is None or new_ends is None or not both or before.columns != after.columns:
        return
    firsts = np.searchsorted(ends, new_starts, side="right").tolist()
    stops = np.searchsorted(starts, new_ends, side="left").tolist()
    yield from zip(keys, map(range, firsts, stops), strict=True)


def _origin(versions: Sequence[VersionRecord], marks: Mapping[int, str]) -> Origin:
    # what nobody's code made, no code judges
    codes = {version.code_version for version in versions if version.code_version is not None}
    given = dict.fromkeys(marks[version.ordinal] for version in versions if version.ordinal in marks)
    if len(codes) > 1:
        given[f"made by code versions {', '.join(sorted(codes))}"] = None
    return Origin(
        written_at_us=max(version.written_at_us for version in versions),
        code_version=codes.pop() if len(codes) == 1 else None,
        stale_mark="; ".join(given) or None,
    )
