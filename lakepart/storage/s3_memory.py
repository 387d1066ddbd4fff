"""What new objects hold in memory together: bytes that wait, and parts that are being sent."""

from __future__ import annotations

import threading

_PARTS_UNDER_WAY = 8
_WAITING_BYTES = 256 << 20


class Memory:
    """Shared by all threads of a process that write over one connection."""

    def __init__(self) -> None:
        self._room = threading.Semaphore(_PARTS_UNDER_WAY)
        self._lock = threading.Lock()
        self._waiting_bytes = 0

    @property
    def waiting_bytes(self) -> int:
        """What objects hold that are not sent yet."""
        return self._waiting_bytes

    @property
    def is_full(self) -> bool:
        """Whether so much waits that an object sends in parts what it has, though it might go in one request."""
        return self._waiting_bytes > _WAITING_BYTES

    def note(self, change_bytes: int) -> None:
        """Count bytes that wait from now on, or, below zero, that no longer do."""
        with self._lock:
            self._waiting_bytes += change_bytes

    def begin_part(self) -> None:
        """Wait until there is room for one more part under way."""
        self._room.acquire()

    def end_part(self) -> None:
        """Make room: a part has been sent, or will not be."""
        self._room.release()
