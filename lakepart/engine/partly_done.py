"""Long jobs that fail half-way: what they did before stays done, and the error says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lakepart.errors import LakepartError


@contextmanager
def telling_what_was_done(report: Callable[[], object | None]) -> Iterator[None]:
    """Note in an error that ends the block what was done before it; ``report`` gives None for nothing.

    The note shows in tracebacks and on the command line; ``error.context["report"]`` holds the report.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        done = report()
        if done is not None:
            error.add_note(f"Before that, and it stays done: {done}")
            if isinstance(error, LakepartError):
                error.context["report"] = done
        raise
