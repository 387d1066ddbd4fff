"""Which process is at work, as the catalog keeps it, and whether one is known to have ended.

A process id says something only where it was given: two hosts may have the same name, a container that was started
again has the name and the process ids of the one before, and containers on the network of their host share its name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

_at_work: set[str] = set()


@contextmanager
def at_work(token: str) -> Iterator[str]:
    """Give the name of a piece of work that this process does in the block: ``host/boot:process:token``."""
    name = f"{_machine()}:{os.getpid()}:{token}"
    _at_work.add(name)
    try:
        yield name
    finally:
        _at_work.discard(name)


def is_alive(name: str) -> bool | None:
    """Say whether that work still goes on; None where this process cannot know, as of another machine's."""
    machine, process_id, _ = name.rsplit(":", 2)
    if machine != _machine():
        return None
    if int(process_id) == os.getpid():
        return name in _at_work
    with suppress(PermissionError):
        try:
            os.kill(int(process_id), 0)
        except ProcessLookupError:
            return False
    return None  # its id may have been given to another process since


@cache
def _machine() -> str:
    """Name what process ids are unique in: a host since it was booted, or a container on it."""
    told = ""
    with suppress(OSError):  # only Linux tells
        booted = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        told = f"{booted}{Path('/proc/self/ns/pid').stat().st_ino}"
    return f"{socket.gethostname()}/{sha256(told.encode()).hexdigest()[:6]}"
