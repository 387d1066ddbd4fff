"""Saying now and then that somebody is alive, from a thread of its own: the work meanwhile may take however long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from lakepart.errors import CatalogError, StorageError

BEAT_S = 2.0


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
