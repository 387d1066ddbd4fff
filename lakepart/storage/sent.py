"""What sinks have in common whose bytes are sent: they are gone from here, and stored when the block is left."""

from __future__ import annotations

import io
from typing import BinaryIO

from lakepart.storage.base import StoredChecksum


class SentSink:
    """A part of :class:`lakepart.storage.base.Sink`; a subclass takes the bytes and says when it is ``closed``."""

    closed: bool

    def flush(self) -> None:
        """Do nothing: leaving the block sends what is left."""

    @property
    def stores_at_once(self) -> bool:
        """False: bytes are sent, and stored when the block is left."""
        return False

    @property
    def checksum(self) -> StoredChecksum | None:
        """None: the store keeps no checksum."""
        return None

    def read_back(self) -> BinaryIO:
        """Refuse: see :attr:`stores_at_once`."""
        raise io.UnsupportedOperation("bytes that are sent cannot be read back before the block is left")

    def writable(self) -> bool:
        """Whether bytes can still be written."""
        return not self.closed
