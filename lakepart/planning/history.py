"""What became of partitions as one view sees it: when each version ended there, and what it took the place of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lakepart.model.records import BranchRecord, VersionRecord


@dataclass(frozen=True, slots=True)
class Step:
    """One version, when it ended for the view that asks, and what was there before it.

    Without ``before`` the partition was missing; ``forgotten`` says that vacuum may have forgotten what was there.
    """

    version: VersionRecord
    ended: int | None
    before: VersionRecord | None
    forgotten: bool

    @property
    def rows_before(self) -> int | None:
        """Rows that were there before; None where nobody knows any more."""
        return self._before(0 if self.before is None else self.before.row_count)

    @property
    def bytes_before(self) -> int | None:
        """Bytes that were there before; None where nobody knows any more."""
        return self._before(0 if self.before is None else self.before.size_bytes)

    def _before(self, figure: int) -> int | None:
        return None if self.before is None and self.forgotten else figure


def trace(
    versions: Iterable[VersionRecord], branch: BranchRecord, snapshot: int | None, horizon: int
) -> dict[int, Step]:
    """Follow the versions that ``branch`` has seen, up to ``snapshot`` (None: now), by version id.

    Parameters
    ----------
    versions
        Of any number of partitions, in any order: the branch's own, and main's up to the fork.
    horizon
        Versions that ended up to then may have been forgotten.
    """
    seen = [one for one in versions if snapshot is None or one.began <= snapshot]
    seen.sort(key=lambda one: (one.ordinal, one.began))
    next_own: dict[int, int] = {}  # when the branch next wrote the partition of a version, by version id
    coming: tuple[int, int] | None = None
    for one in reversed(seen):
        if coming is not None and coming[0] == one.ordinal:
            next_own[one.version_id] = coming[1]
        if one.branch_id == branch.branch_id:
            coming = one.ordinal, one.began
    steps: dict[int, Step] = {}
    last: Step | None = None
    for one in seen:
        ended = one.ended
        if one.branch_id != branch.branch_id:
            ends = (None if ended is None or ended > branch.fork else ended, next_own.get(one.version_id))
            ended = min((end for end in ends if end is not None), default=None)
        if ended is not None and snapshot is not None and ended > snapshot:
            ended = None
        follows = last is not None and (last.version.ordinal, last.ended) == (one.ordinal, one.began)
        before = last.version if last is not None and follows else None
        last = steps[one.version_id] = Step(one, ended, before, forgotten=one.began <= horizon)
    return steps
