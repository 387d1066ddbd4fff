"""Objects in S3 and what speaks its language: conditional writes, streamed parts, ranged reads, few requests."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from operator import attrgetter
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar
from urllib.parse import urlsplit

from lakepart.errors import AlreadyExistsError, InvalidInputError, LakepartError, StorageError
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import TEMPORARY_SUFFIX, StoredObject, check_path, check_prefix, is_temporary
from lakepart.storage.s3_client import CONNECTIONS, check_options, extra_arguments, make_client
from lakepart.storage.s3_failures import is_absent, translated

T = TypeVar("T")

WHOLE_BYTES = 64 << 20  # up to here an object is one request
PART_BYTES = 16 << 20
_GROWS_EVERY = 1000  # parts, of which there may be 10,000: so objects of 880 GiB can be written as a stream
_SENT_AHEAD = 4  # parts of one object under way at once
_TRIES = 5
_LONGEST_WAIT_S = 10


@dataclass(frozen=True, slots=True)
class _Connection:
    """What one process talks to the store with; a forked one cannot go on with its parent's."""

    process_id: int
    client: Any
    pool: ThreadPoolExecutor


class S3Store:
    """A store under a prefix of one bucket.

    Parameters
    ----------
    url
        ``s3://bucket/prefix``; the bucket exists already.
    storage_options
        In the convention of fsspec's s3fs: ``key``, ``secret``, ``token``, ``anon``, ``profile``, ``endpoint_url``,
        ``region``, ``use_ssl``, ``requester_pays``, ``client_kwargs``, ``config_kwargs`` (botocore's: proxies,
        time-outs, ``s3={"addressing_style": "path"}``), ``s3_additional_kwargs`` (with every object: encryption, tags).
        Never shown or stored. What is not given comes from the environment, ``~/.aws`` or the machine's role.
    storage_class
        Of new objects: ``STANDARD_IA``, ``GLACIER_IR`` and so on; the bucket's own by default.
    part_bytes, whole_bytes
        How large the parts of a large object are, in bytes, and up to which size an object is one request.

    Notes
    -----
    Creation is decided by the server (``If-None-Match``), for objects in parts when they are completed. Every request
    carries the SHA-256 of its bytes, and the server refuses what arrives otherwise. An answer that is lost is settled
    by comparing what is there. An object in parts holds ``whole_bytes`` at most in memory, then up to four parts.
    """

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        *,
        storage_class: str | None = None,
        part_bytes: int = PART_BYTES,
        whole_bytes: int = WHOLE_BYTES,
    ) -> None:
        parts = urlsplit(url)
        self._bucket = parts.netloc.rpartition("@")[2]
        if not self._bucket:
            raise InvalidInputError(f"{without_secrets(url)!r} names no bucket.", hint="s3://bucket/prefix")
        prefix = parts.path.strip("/")
        self._prefix = f"{check_path(prefix)}/" if prefix else ""
        self._options = dict(storage_options or {})
        check_options(self._options)
        self._extra = extra_arguments(self._options)
        if storage_class is not None:
            self._extra["StorageClass"] = storage_class
        self._asked = {"RequestPayer": "requester"} if self._options.get("requester_pays") else {}
        self.part_bytes = part_bytes
        self.whole_bytes = whole_bytes
        self._connection: _Connection | None = None
        self._lock = threading.Lock()

    @property
    def root(self) -> str:
        """The prefix as a URL."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def open_new(self, path: str, *, whole: bool = False) -> S3Sink:  # noqa: ARG002 - always whole
        """See :meth:`lakepart.storage.base.Store.open_new`; whether the path is taken shows when the block is left."""
        return S3Sink(self, check_path(path))

    def put_new(self, path: str, data: bytes | bytearray) -> None:
        """See :meth:`lakepart.storage.base.Store.put_new`."""
        try:
            with translated("write", self._shown(path)):
                self.call("put_object", path, Body=data, IfNoneMatch="*", ChecksumSHA256=_sha256(data), **self._extra)
        except (AlreadyExistsError, StorageError):
            if not self._holds(path, data):
                raise

    def make_durable(self, paths: Iterable[str]) -> None:
        """Check the paths: the store keeps what it has accepted."""
        for path in paths:
            check_path(path)

    def open_read(self, path: str) -> BinaryIO:
        """See :meth:`lakepart.storage.base.Store.open_read`; read in order, it is one request."""
        return io.BufferedReader(_S3File(self, check_path(path)), 1 << 20)

    def read_bytes(self, path: str) -> bytes:
        """See :meth:`lakepart.storage.base.Store.read_bytes`."""
        return self.persistently(path, lambda: _whole(self.open_body(path, 0)))

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See :meth:`lakepart.storage.base.Store.read_ranges`; a request each, side by side."""
        if len(ranges) == 1:
            return [self._read(path, *ranges[0])]
        return list(self._connected().pool.map(lambda one: self._read(path, *one), ranges))

    def os_path(self, path: str) -> None:
        """Give None: no program opens these by path."""
        check_path(path)

    def stat(self, path: str) -> StoredObject | None:
        """See :meth:`lakepart.storage.base.Store.stat`."""
        from botocore.exceptions import ClientError

        upload = self._find_upload(path)
        if upload is not None:
            return StoredObject(path, 0, upload["Initiated"])
        with translated("look at", self._shown(path)):
            try:
                found = self.call("head_object", path)
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
        return StoredObject(path, found["ContentLength"], found["LastModified"], found.get("StorageClass", "STANDARD"))

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See :meth:`lakepart.storage.base.Store.list`; a request for each 1,000 objects, held in memory.

        Objects whose parts were begun and neither completed nor given up are there under temporary names.
        """
        folder = check_prefix(prefix)
        listed = [
            StoredObject(self._path(one), one["Size"], one["LastModified"], one.get("StorageClass", "STANDARD"))
            for one in self._pages("list_objects_v2", "Contents", folder)
        ]
        listed += [StoredObject(self._unfinished(one), 0, one["Initiated"]) for one in self._uploads(folder)]
        yield from sorted(listed, key=attrgetter("path"))  # not every server lists as S3 does

    def delete(self, path: str) -> bool:
        """See :meth:`lakepart.storage.base.Store.delete`; two requests, because S3 does not say what was there."""
        upload = self._find_upload(path)
        if upload is not None:
            self.abandon_parts(self._path(upload), upload["UploadId"])
            return True
        if self.stat(path) is None:
            return False
        with translated("delete", self._shown(path)):
            self.call("delete_object", path)
        return True

    def call(self, operation: str, path: str, **arguments: Any) -> Any:
        """Ask one thing of one object, as botocore names it; its errors pass untranslated."""
        client = self._connected().client
        return getattr(client, operation)(
            Bucket=self._bucket, Key=f"{self._prefix}{check_path(path)}", **self._asked, **arguments
        )

    def begin_parts(self, path: str) -> str:
        """Begin an object that is sent in parts; gives the upload's id."""
        with translated("write", self._shown(path)):
            begun = self.call("create_multipart_upload", path, ChecksumAlgorithm="SHA256", **self._extra)
        return str(begun["UploadId"])

    def send_part(self, path: str, upload_id: str, number: int, data: bytes) -> Future[dict[str, Any]]:
        """Send a part in the background."""

        def send() -> dict[str, Any]:
            digest = _sha256(data)
            with translated("write", self._shown(path)):
                sent = self.call(
                    "upload_part", path, UploadId=upload_id, PartNumber=number, Body=data, ChecksumSHA256=digest
                )
            return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": digest}

        return self._connected().pool.submit(send)

    def complete_parts(self, path: str, upload_id: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Let an object in parts appear."""
        with translated("write", self._shown(path)):
            self.call(
                "complete_multipart_upload",
                path,
                UploadId=upload_id,
                MultipartUpload={"Parts": list(parts)},
                IfNoneMatch="*",
            )

    def abandon_parts(self, path: str, upload_id: str) -> None:
        """Give an object in parts up."""
        with translated("write", self._shown(path)):
            self.call("abort_multipart_upload", path, UploadId=upload_id)

    def _holds(self, path: str, data: bytes | bytearray) -> bool:
        """Whether an object is there with exactly these bytes: then some send of ours arrived."""
        with suppress(LakepartError):  # the store cannot say, so the first error stands
            found = self.stat(path)
            return found is not None and found.size_bytes == len(data) and self.read_bytes(path) == data
        return False

    def open_body(self, path: str, start: int, stop: int | None = None) -> Any:
        """Open the body of an answer, from a position on; None where the object has ended before."""
        from botocore.exceptions import ClientError

        asked = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if start or stop else {}
        with translated("read", self._shown(path)):
            try:
                return self.call("get_object", path, **asked)["Body"]
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "InvalidRange":
                    return None
                raise

    def persistently(self, path: str, read: Callable[[], T]) -> T:
        """Do a read again that broke off in the middle of its body."""
        from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

        with translated("read", self._shown(path)):
            for attempt in Retrying(
                retry=retry_if_exception_type(_broken_off()),
                stop=stop_after_attempt(_TRIES),
                wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_WAIT_S),
                reraise=True,
            ):
                with attempt:
                    return read()
        raise AssertionError("unreachable: the last attempt raises")

    def _uploads(self, folder: str) -> Iterable[dict[str, Any]]:
        return self._pages("list_multipart_uploads", "Uploads", folder)

    def _find_upload(self, path: str) -> dict[str, Any] | None:
        """Find the upload that a temporary name stands for; nothing is asked for other names."""
        if not is_temporary(check_path(path)):
            return None
        return next((one for one in self._uploads(path.rpartition("/")[0]) if self._unfinished(one) == path), None)

    def _pages(self, operation: str, what: str, folder: str) -> Iterable[dict[str, Any]]:
        below = f"{self._prefix}{folder}/" if folder else self._prefix
        with translated("list", self._shown(folder) if folder else self.root):
            pages = self._connected().client.get_paginator(operation)
            found = pages.paginate(Bucket=self._bucket, Prefix=below, **self._asked)
            return [one for page in found for one in page.get(what, ())]

    def _path(self, listed: Mapping[str, Any]) -> str:
        return str(listed["Key"]).removeprefix(self._prefix)

    def _unfinished(self, upload: Mapping[str, Any]) -> str:
        """Name an object in parts that is not complete as the unfinished form of an object is named."""
        folder = self._path(upload).rpartition("/")[0]
        name = hashlib.sha256(f"{upload['Key']} {upload['UploadId']}".encode()).hexdigest()[:16]
        return f"{folder}/.{name}{TEMPORARY_SUFFIX}" if folder else f".{name}{TEMPORARY_SUFFIX}"

    def _read(self, path: str, start: int, stop: int) -> bytes:
        return self.persistently(path, lambda: _whole(self.open_body(path, start, stop)))

    def _connected(self) -> _Connection:
        found = self._connection
        if found is None or found.process_id != os.getpid():
            with self._lock:
                found = self._connection
                if found is None or found.process_id != os.getpid():
                    with translated("reach", self.root):
                        client = make_client(self._options)
                    pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="lakepart-s3")
                    found = self._connection = _Connection(os.getpid(), client, pool)
        return found

    def _shown(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{path}"


class S3Sink:
    """The bytes of one new object; see :class:`lakepart.storage.base.Sink`."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._store = store
        self._path = path
        self._waiting = bytearray()
        self._upload_id: str | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._sizes: list[int] = []
        self._size_bytes = 0
        self._failed = False
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview, /) -> int:
        """Take all of ``data``; returns its length in bytes."""
        length = memoryview(data).nbytes
        self._failed = True
        self._waiting += data
        self._size_bytes += length
        if self._upload_id is None and len(self._waiting) > self._store.whole_bytes:
            self._upload_id = self._store.begin_parts(self._path)
        while self._upload_id is not None and len(self._waiting) >= (part_bytes := self._next_part_bytes):
            self._send(self._upload_id, part_bytes)
        self._failed = False
        return length

    def tell(self) -> int:
        """Count the bytes taken so far."""
        return self._size_bytes

    def flush(self) -> None:
        """Do nothing: leaving the block sends what is left."""

    @property
    def stores_at_once(self) -> bool:
        """False: bytes are sent, and stored when the block is left."""
        return False

    def read_back(self) -> BinaryIO:
        """Refuse: see :attr:`stores_at_once`."""
        raise io.UnsupportedOperation("bytes that are sent cannot be read back before the block is left")

    def writable(self) -> bool:
        """Whether bytes can still be written."""
        return not self.closed

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
                self._abandon(self._upload_id)
            self._waiting = bytearray()

    def _finish(self) -> None:
        if self._upload_id is None:
            self._store.put_new(self._path, self._waiting)
            return
        if self._waiting:
            self._send(self._upload_id, len(self._waiting))
        sent = [one.result() for one in self._parts]
        try:
            self._store.complete_parts(self._path, self._upload_id, sent)
        except LakepartError:
            if not self._has_arrived():
                raise
        self._upload_id = None

    def _has_arrived(self) -> bool:
        """Whether the object is there, part for part as it was sent: then only the answer was lost."""
        sent = [
            (one.result()["ChecksumSHA256"], size_bytes)
            for one, size_bytes in zip(self._parts, self._sizes, strict=True)
        ]
        with (
            suppress(LakepartError),
            self._store.open_read(self._path) as stored,
        ):  # it cannot say: the first error stands
            return all(_sha256(stored.read(size_bytes)) == digest for digest, size_bytes in sent) and not stored.read(1)
        return False

    @property
    def _next_part_bytes(self) -> int:
        return self._store.part_bytes * (1 + len(self._parts) // _GROWS_EVERY)

    def _send(self, upload_id: str, size_bytes: int) -> None:
        with memoryview(self._waiting) as view:
            part = bytes(view[:size_bytes])
        del self._waiting[:size_bytes]
        if len(self._parts) >= _SENT_AHEAD:
            self._parts[-_SENT_AHEAD].result()  # so many are under way at most
        self._parts.append(self._store.send_part(self._path, upload_id, len(self._parts) + 1, part))
        self._sizes.append(size_bytes)

    def _abandon(self, upload_id: str) -> None:
        for part in self._parts:
            if not part.cancel():
                part.exception()  # no part may arrive after the upload was given up
        with suppress(LakepartError):  # the error under way says more; vacuum gives up what is left over
            self._store.abandon_parts(self._path, upload_id)


class _S3File(io.RawIOBase):
    """One object, read in order from where one is; a request for each place that is sought."""

    def __init__(self, store: S3Store, path: str) -> None:
        super().__init__()
        self._store = store
        self._path = path
        self._at = 0
        self._size_bytes: int | None = None
        self._body: Any = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
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
        data = self._store.persistently(self._path, lambda: self._read(len(buffer)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._drop_body()
        super().close()

    def _read(self, most: int) -> bytes:
        if self._body is None:
            self._body = self._store.open_body(self._path, self._at)
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
            found = self._store.stat(self._path)
            if found is None:
                self._store.open_body(self._path, 0)  # raises what reading it does
            self._size_bytes = 0 if found is None else found.size_bytes
        return self._size_bytes


def _sha256(data: bytes | bytearray) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _whole(body: Any) -> bytes:
    if body is None:
        return b""
    with closing(body):
        return bytes(body.read())


def _broken_off() -> tuple[type[Exception], ...]:
    """Name what is raised where an answer ends in the middle of its body."""
    from botocore.exceptions import (
        ConnectionClosedError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )
    from urllib3.exceptions import HTTPError

    return (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError)
