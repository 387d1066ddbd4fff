"""Objects of S3 as streams: one that is made, in one request or in parts; one that is read in order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from lakepart.errors import LakepartError, StorageError
from lakepart.storage.base import StoredChecksum
from lakepart.storage.s3_bucket import S3Bucket
from lakepart.storage.s3_checksums import of_parts, of_whole, read_kept, sha256, size_of_part
from lakepart.storage.sent import SentSink

_SENT_AHEAD = 4  # parts of one object under way at once


class S3Sink(SentSink):
    """The bytes of one new object; see :class:`lakepart.storage.base.Sink`."""

    def __init__(self, bucket: S3Bucket, path: str, *, part_bytes: int, whole_bytes: int) -> None:
        self._bucket = bucket
        self._path = path
        self._part_bytes = part_bytes
        self._whole_bytes = whole_bytes
        self._waiting = bytearray()
        self._upload_id: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._sizes: list[int] = []
        self._size_bytes = 0
        self._failed = False
        self._checksum: StoredChecksum | None = None
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all of ``data``; returns its length in bytes."""
        if self._failed or self.closed:
            raise StorageError(f"Cannot write {self._path!r}: an earlier write to it failed, or its block was left.")
        length = memoryview(data).nbytes
        self._failed = True
        self._waiting += data
        self._bucket.memory.note(length)
        self._size_bytes += length
        if self._upload_id is None and self._must_go:
            self._upload_id = self._bucket.begin_parts(self._path)
        while self._upload_id is not None and len(self._waiting) >= (
            next_bytes := size_of_part(len(self._parts) + 1, self._part_bytes)
        ):
            self._send(self._upload_id, next_bytes)
        self._failed = False
        return length

    def tell(self) -> int:
        """Count the bytes taken so far."""
        return self._size_bytes

    @property
    def checksum(self) -> StoredChecksum | None:
        """What S3 should keep as checksum of the bytes that were sent, once the block is left."""
        return self._checksum

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.closed = True
        try:
            if kind is None:
                if self._failed:  # somebody caught the failed write: the bytes are torn
                    raise StorageError(f"Cannot write {self._path!r}: an earlier write to it failed.")
                self._finish()
        finally:
            if self._upload_id is not None:
                self._bucket.give_up_parts(self._path, self._upload_id, self._parts)
            if self._waiting:
                self._bucket.memory.note(-len(self._waiting))
            self._waiting = bytearray()

    @property
    def _must_go(self) -> bool:
        """Whether the object cannot be one request: it is too large, or others hold too much beside it."""
        waiting = len(self._waiting)
        return waiting > self._whole_bytes or (waiting >= self._part_bytes and self._bucket.memory.is_full)

    def _finish(self) -> None:
        if self._upload_id is None:
            self._checksum = of_whole(self._bucket.put(self._path, self._waiting))
            return
        if self._waiting:
            self._send(self._upload_id, len(self._waiting))
        sent = [one.result() for one in self._parts]
        digests = [str(part["ChecksumSHA256"]) for part in sent]
        self._checksum = of_parts(digests, self._sizes)
        try:
            self._bucket.complete_parts(self._path, self._upload_id, sent)
        except LakepartError:
            if not self._has_arrived(digests):
                raise
            return  # whose upload made the object is not known: ours is given up if it is still there
        self._upload_id = None

    def _has_arrived(self, digests: Sequence[str]) -> bool:
        """Whether the object is there, part for part as it was sent: then only the answer was lost."""
        with suppress(LakepartError):  # it cannot say: the first error stands
            found = self._bucket.inspect(self._path)
            if found["ContentLength"] != self._size_bytes:
                return False
            if read_kept(found.get("ChecksumSHA256"), self._size_bytes, self._part_bytes) == self._checksum:
                return True
            with io.BufferedReader(S3File(self._bucket, self._path)) as stored:
                return all(
                    sha256(stored.read(size_bytes)) == digest
                    for digest, size_bytes in zip(digests, self._sizes, strict=True)
                )
        return False

    def _send(self, upload_id: str, size_bytes: int) -> None:
        def cut() -> bytes:
            with memoryview(self._waiting) as view:
                part = bytes(view[:size_bytes])
            del self._waiting[:size_bytes]
            self._bucket.memory.note(-size_bytes)
            return part

        if len(self._parts) >= _SENT_AHEAD:
            self._parts[-_SENT_AHEAD].result()  # so many are under way at most
        self._parts.append(self._bucket.send_part(self._path, upload_id, len(self._parts) + 1, cut))
        self._sizes.append(size_bytes)


class S3File(io.RawIOBase):
    """One object, read in order from where one is; a request for each place that is sought."""

    def __init__(self, bucket: S3Bucket, path: str) -> None:
        super().__init__()
        self._bucket = bucket
        self._path = path
        self._at = 0
        self._size_bytes: int | None = None
        self._body: Any = None

    def readable(self) -> bool:
        """Tell that it is read."""
        return True

    def seekable(self) -> bool:
        """Tell that one may go elsewhere."""
        return True

    def tell(self) -> int:
        """Give where the next byte is read from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go elsewhere; what was being read there is dropped."""
        at = offset
        if whence == io.SEEK_CUR:
            at += self._at
        elif whence == io.SEEK_END:
            at += self._size()
        if at != self._at:
            self._drop_body()
            self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        """Fill ``buffer`` from where one is, as far as bytes have come; 0 at the end."""
        data = self._bucket.persistently(self._path, lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Drop what was being read."""
        self._drop_body()
        super().close()

    def _read(self, most: int) -> bytes:
        if self._body is None:
            self._body = self._bucket.open_body(self._path, self._at)
        if self._body is None:
            return b""
        try:
            return bytes(self._body.read(most))
        except BaseException:
            self._drop_body()
            raise

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _size(self) -> int:
        if self._size_bytes is None:
            found = self._bucket.look(self._path)
            if found is None:
                self._bucket.open_body(self._path, 0)  # raises what reading it does
            self._size_bytes = 0 if found is None else found.size_bytes
        return self._size_bytes
