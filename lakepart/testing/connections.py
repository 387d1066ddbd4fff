"""A go-between to PostgreSQL that hangs up in the middle of a commit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

_SOCKET = ".s.PGSQL.5432"
_COMMIT = b"COMMIT\0"


class CommitDropper:
    """Passes everything on between clients and a server, except what it is told to drop.

    Attributes
    ----------
    spares
        How many commits to come are let through before any is dropped.
    drops
        How many commits are dropped then.
    when
        Whether the server hears a dropped commit (``"after"``: it happens, and its answer is lost) or does not.
    """

    def __init__(self, server: Path) -> None:
        self.spares = 0
        self.drops = 0
        self.when: Literal["before", "after"] = "before"
        self._server = server
        self._lock = threading.Lock()

    @contextmanager
    def listening(self, folder: Path) -> Iterator[None]:
        """Serve clients that connect to the socket in ``folder``."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / _SOCKET))
        listener.listen()
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        try:
            yield
        finally:
            with suppress(OSError):  # wakes the thread that waits for clients
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server / _SOCKET))
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while said := client.recv(1 << 16):
                if _COMMIT in said and self._is_dropped():
                    client.shutdown(socket.SHUT_RDWR)
                    if self.when == "after":
                        server.sendall(said)
                    break
                server.sendall(said)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)  # what it was told before, it still carries out

    def _is_dropped(self) -> bool:
        with self._lock:
            if self.spares > 0:
                self.spares -= 1
                return False
            if self.drops == 0:
                return False
            self.drops -= 1
            return True

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while said := server.recv(1 << 16):
                client.sendall(said)
        for end in (server, client):
            end.close()
