"""Tasks of one step, done on threads while the one who waits says that it is still at work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, Future, wait
from contextlib import suppress

from lakepart.errors import CatalogError

_SAID_EVERY_S = 60.0


def do_all(
    pool: Executor,
    tasks: Sequence[Callable[[], None]],
    *,
    meanwhile: Callable[[], object],
    on_failure: Callable[[], object] = lambda: None,
) -> None:
    """Do all side by side; when one fails, wait for those that run, so that nothing is written after the failure.

    ``on_failure`` may tell those to end early; it is called for interrupts too.
    """
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
    except BaseException:
        on_failure()
        raise
    finally:
        for one in begun:
            one.cancel()
        wait(begun)
