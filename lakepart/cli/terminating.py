"""SIGTERM, by which a process is asked to end: taken as Ctrl-C, so that what is under way is left in order.

A container's first process needs a handler anyway: without one, the kernel keeps SIGTERM from it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from typing import NoReturn

GRACE_S = 20.0  # Kubernetes kills after 30
_asked = threading.Event()


def end_in_order() -> None:
    """Raise ``KeyboardInterrupt`` at the first SIGTERM; ``GRACE_S`` later the process ends, or at the second one."""
    # begun beforehand: a handler may find the locks that starting a thread needs held by whom it interrupts
    threading.Thread(target=_end_after_grace, name="lakepart-terminating", daemon=True).start()
    signal.signal(signal.SIGTERM, _begin_to_end)


def was_asked_to_end() -> bool:
    """Say whether SIGTERM has come."""
    return _asked.is_set()


def _begin_to_end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, _end_at_once)
    _asked.set()
    raise KeyboardInterrupt


def _end_after_grace() -> NoReturn:
    _asked.wait()
    time.sleep(GRACE_S)
    _end_at_once()


def _end_at_once(*_: object) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"error: Terminated in the middle of its work, which is taken up or swept later.\n")
    os._exit(128 + signal.SIGTERM)
