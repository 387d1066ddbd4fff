"""What one process talks to S3 with: client, threads, memory for what is sent; for all stores that speak alike."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from lakepart.storage.s3_client import CONNECTIONS
from lakepart.storage.s3_memory import Memory


@dataclass(frozen=True, slots=True)
class Line:
    """The client of this process, threads to ask it side by side, and what new objects hold in memory."""

    client: Any
    pool: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="lakepart-s3")
    )
    memory: Memory = field(default_factory=Memory)


class S3Connection:
    """Gives each process its line, made when it is first asked for: a forked one cannot go on with its parent's."""

    def __init__(self, make_client: Callable[[], Any]) -> None:
        self._make_client = make_client
        self._lines: dict[int, Line] = {}
        self._making: dict[int, threading.Lock] = {}

    def line(self) -> Line:
        """Give the line of this process."""
        process_id = os.getpid()
        found = self._lines.get(process_id)
        if found is None:
            # a lock for each process: one that a fork inherits may be held by a thread that it does not inherit
            with self._making.setdefault(process_id, threading.Lock()):
                found = self._lines.get(process_id)
                if found is None:
                    found = self._lines[process_id] = Line(self._make_client())
        return found
