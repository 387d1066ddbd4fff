"""Saying now and then that somebody is alive, from a thread of its own: the work meanwhile may take however long.

Whoever wants to know listens, because clocks differ between machines and are set: beats are seen, not dated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Self

from lakepart.errors import CatalogError, StorageError

BEAT_S = 2.0
SILENT_AFTER_S = 10 * BEAT_S  # who says nothing for this long is dead
_LISTENED_S = 3 * BEAT_S  # to those that would be dead by the clock
_LOOK_EVERY_S = BEAT_S / 10


class Heartbeat:
    """Calls ``beat`` every ``BEAT_S`` while its block runs, until one is refused; what finds no catalog is left out."""

    def __init__(self, beat: Callable[[], object]) -> None:
        self._beat = beat
        self._ended = threading.Event()
        self._refused: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lakepart-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def require_accepted(self) -> None:
        """Raise what a beat was refused with."""
        if self._refused is not None:
            raise self._refused

    def _run(self) -> None:
        while not self._ended.wait(BEAT_S):
            try:
                self._beat()
            except (CatalogError, StorageError):
                continue
            except BaseException as error:  # noqa: BLE001 - it would end this thread, and nobody would know
                self._refused = error
                return


def hears(beat: Callable[[], object], *, silent_s: float) -> bool:
    """Listen for the next beat, for as long as one that has been silent for ``silent_s`` by the clock deserves.

    ``beat`` tells the newest. Takes up to ``BEAT_S`` where somebody is alive, else up to ``SILENT_AFTER_S``.
    """
    before = beat()
    until = time.monotonic() + (SILENT_AFTER_S if silent_s < SILENT_AFTER_S else _LISTENED_S)
    while time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
        if beat() != before:
            return True
    return False
