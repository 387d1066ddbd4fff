"""The orders of one backfill: which wait, which wait to be tried again, and which are being worked on."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from lakepart.engine.order_inputs import Turns
from lakepart.model.catalog_records import TargetRecord
from lakepart.model.records import AssetRecord, InputRecord
from lakepart.model.states import TargetState

FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 30.0
_LOOKED_AT = 1000  # orders among which those are sought that may begin, unless none would be running


@dataclass(slots=True)
class Work:
    """One order of a backfill while it is being worked on."""

    number: int
    targets: tuple[TargetRecord, ...]
    asset: AssetRecord  # as the newest attempt was told that it is
    attempts: int = 0  # since the backfill was planned; by these, outcomes are told apart
    tries: int = 0  # by this driver; whoever resumes grants all retries anew
    lineage: Mapping[int, tuple[InputRecord, ...]] = field(default_factory=dict)
    audits: list[dict[str, Any]] = field(default_factory=list)  # that it has passed

    @property
    def ordinals(self) -> tuple[int, ...]:
        """The partitions it computes."""
        return tuple(target.ordinal for target in self.targets)

    @property
    def ticket(self) -> int:
        """What tells its newest attempt from all others of the backfill."""
        return self.number * 1_000_000 + self.attempts


class OrderQueue:
    """All orders that are not at their end; ``turns`` says which may begin, all by default."""

    def __init__(self, targets: Iterable[TargetRecord], asset: AssetRecord, turns: Turns | None) -> None:
        self._turns = turns
        self._waiting = deque(_works(targets, asset))
        self._retrying: list[tuple[float, int, Work]] = []
        self._running: dict[int, Work] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting or self._retrying or self._running)

    @property
    def running(self) -> Collection[Work]:
        """Those that are being worked on."""
        return self._running.values()

    def drop_waiting(self) -> None:
        """Forget those that are not being worked on."""
        self._waiting.clear()
        self._retrying.clear()

    def take(self, most: int) -> list[Work]:
        """Take orders that may begin from those that wait, in their order."""
        while self._retrying and self._retrying[0][0] <= time.monotonic():
            self._waiting.append(heappop(self._retrying)[2])
        if self._turns is None:
            return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        ready: list[Work] = []
        for looked_at, work in enumerate(self._waiting):
            if len(ready) >= most or (looked_at >= _LOOKED_AT and (ready or self._running)):
                break
            if self._turns.may_begin(work.ordinals):
                ready.append(work)
        for work in ready:
            self._waiting.remove(work)
        return ready

    def begin(self, work: Work, attempt: int) -> None:
        """Count an attempt at an order that was taken as being worked on.

        Raises
        ------
        PartitionNotFoundError
            It reads a partition of the same backfill that has failed.
        """
        work.attempts = attempt
        work.tries += 1
        self._running[work.number] = work
        if self._turns is not None:
            self._turns.refuse_failed(work.ordinals)

    def end(self, number: int) -> Work:
        """Count an order as not being worked on any more."""
        return self._running.pop(number)

    def retry(self, work: Work) -> None:
        """Let an order wait to be tried again, the longer the more often it was."""
        longest = min(_LONGEST_RETRY_S, FIRST_RETRY_S * 2 ** (work.tries - 1))
        wait_s = random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, guards nothing
        heappush(self._retrying, (time.monotonic() + wait_s, work.number, work))

    def compute_anew(self, work: Work) -> None:
        """Let an order wait again that did not fail."""
        work.tries -= 1
        self._waiting.append(work)

    def finish(self, ordinals: Sequence[int], *, failed: bool) -> None:
        """Let partitions begin that have waited for these."""
        if self._turns is not None:
            self._turns.finish(ordinals, failed=failed)


def _works(targets: Iterable[TargetRecord], asset: AssetRecord) -> Iterable[Work]:
    orders: dict[int, list[TargetRecord]] = {}
    for target in targets:
        if target.state is TargetState.WAITING:
            orders.setdefault(target.order_number, []).append(target)
    return (Work(number, tuple(listed), asset) for number, listed in orders.items())
