"""Tasks of one step, done on threads while the one who waits says that it is still at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from contextlib import suppress

from lakepart.errors import CatalogError

_SAID_EVERY_S = 60.0


def do_all(pool: Executor, tasks: Sequence[Callable[[], None]], *, meanwhile: Callable[[], object]) -> None:
    """Do all side by side; when one fails, wait for those that run, so that nothing is written after the failure."""
    begun: list[Future[None]] = []
    try:
        for task in tasks:
            begun.append(pool.submit(task))  # noqa: PERF401 - an interrupt must find those that are begun
        running = set(begun)
        while running:
            done, running = wait(running, timeout=_SAID_EVERY_S, return_when=FIRST_EXCEPTION)
            for one in done:
                one.result()
            if running:
                with suppress(CatalogError):  # what is said lasts for some minutes more
                    meanwhile()
    finally:
        for one in begun:
            one.cancel()
        wait(begun)
