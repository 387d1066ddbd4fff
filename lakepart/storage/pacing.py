"""A limit on how much is done a second, shared by threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """Lets ``per_second`` of something through each second, whoever asks; None lets everything through at once.

    Parameters
    ----------
    per_second
        Requests, bytes or what else is counted.
    clock, sleep
        Where time comes from, in seconds, and how one waits.

    Notes
    -----
    A leaky bucket as in GCRA: each taker waits until all before it have had their share of time, and nothing is saved
    up while nobody asks. So it is exact over any stretch, whatever the amounts, with one number of state. Libraries
    that do the same keep an entry for each unit (pyrate-limiter, of a million bytes a second too) or only say no.
    """

    def __init__(
        self,
        per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, amount: float = 1) -> None:
        """Wait for one's turn to do so much."""
        if self._per_second is None:
            return
        with self._lock:
            now = self._clock()
            turn = max(now, self._free_at)
            self._free_at = turn + amount / self._per_second
        if turn > now:
            self._sleep(turn - now)
