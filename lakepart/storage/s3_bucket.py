"""One prefix of a bucket, and how it is asked: the client of this process, single requests, bodies to their end."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from lakepart.errors import AlreadyExistsError, InvalidInputError, LakepartError, StorageError
from lakepart.model.archives import Availability
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import check_path
from lakepart.storage.s3_availability import availability_of_head
from lakepart.storage.s3_client import CONNECTIONS, check_options, extra_arguments, make_client
from lakepart.storage.s3_failures import code_of, is_absent, translated

T = TypeVar("T")

_ADDRESS = re.compile(r"[a-z0-9]+://(?P<bucket>[A-Za-z0-9.\-_:]+)/?(?P<prefix>[^?#\x00-\x1f]*)", re.IGNORECASE)
_MAKING: dict[int, threading.Lock] = {}  # held while a client is made, by process
_TRIES = 5
_LONGEST_WAIT_S = 10


class Head(NamedTuple):
    """What a look at an object tells."""

    size_bytes: int
    modified_at: datetime
    storage_class: str
    availability: Availability | None


@dataclass(frozen=True, slots=True)
class _Connection:
    """What one process talks to the store with; a forked one cannot go on with its parent's."""

    process_id: int
    client: Any
    pool: ThreadPoolExecutor


class S3Bucket:
    """A prefix of one bucket; paths are below it. Options as :class:`~lakepart.storage.s3.S3Store` takes them."""

    def __init__(
        self,
        url: str,
        options: Mapping[str, Any],
        storage_class: str | None,
        client: Callable[[], Any] | None = None,
    ) -> None:
        address = _ADDRESS.fullmatch(url)
        if address is None:
            raise InvalidInputError(
                f"{without_secrets(url)!r} names no bucket, or has characters that an address cannot have.",
                hint="s3://bucket/prefix, without '?' and '#'.",
            )
        self._bucket, prefix = address["bucket"], address["prefix"].strip("/")
        self._prefix = f"{check_path(prefix)}/" if prefix else ""
        self._options = dict(options)
        check_options(self._options)
        self._make_client = client or partial(make_client, self._options)
        self._extra = extra_arguments(self._options)
        if storage_class is not None:
            self._extra["StorageClass"] = storage_class
        self._asked = {"RequestPayer": "requester"} if self._options.get("requester_pays") else {}
        self._connection: _Connection | None = None

    @property
    def root(self) -> str:
        """The prefix as a URL."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def call(self, operation: str, path: str, **arguments: Any) -> Any:
        """Ask one thing of one object, as botocore names it; its errors pass untranslated."""
        client = self._connected().client
        return getattr(client, operation)(
            Bucket=self._bucket, Key=f"{self._prefix}{check_path(path)}", **self._asked, **arguments
        )

    def pages(self, operation: str, what: str, folder: str, **arguments: Any) -> Iterable[dict[str, Any]]:
        """Ask for a listing of a folder to its end; gives what it lists, as botocore names it."""
        below = f"{self._prefix}{folder}/" if folder else self._prefix
        with translated("list", self._shown(folder) if folder else self.root):
            pages = self._connected().client.get_paginator(operation)
            found = pages.paginate(Bucket=self._bucket, Prefix=below, **self._asked, **arguments)
            return [one for page in found for one in page.get(what, ())]

    def path_of(self, listed: Mapping[str, Any]) -> str:
        """Give the path of something listed."""
        return str(listed["Key"]).removeprefix(self._prefix)

    def look(self, path: str) -> Head | None:
        """Look at an object; None if there is none."""
        from botocore.exceptions import ClientError

        with translated("look at", self._shown(path)):
            try:
                found = self.call("head_object", path)
            except ClientError as error:
                if is_absent(error):
                    return None
                raise
        storage_class = found.get("StorageClass", "STANDARD")
        return Head(found["ContentLength"], found["LastModified"], storage_class, availability_of_head(found))

    def restore(self, path: str, *, days: int | None, speed: str) -> bool:
        """Ask for an archived object to be readable; False where that runs already, or it is not archived."""
        from botocore.exceptions import ClientError

        asked = {"GlacierJobParameters": {"Tier": speed}} | ({} if days is None else {"Days": days})
        with translated("restore", self._shown(path)):
            try:
                self.call("restore_object", path, RestoreRequest=asked)
            except ClientError as error:
                if code_of(error) in {"RestoreAlreadyInProgress", "InvalidObjectState"}:
                    return False
                raise
        return True

    # Reading

    def open_body(self, path: str, start: int, stop: int | None = None) -> Any:
        """Open the body of an answer, from a position on; None where the object has ended before."""
        from botocore.exceptions import ClientError

        asked = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if start or stop else {}
        with translated("read", self._shown(path)):
            try:
                return self.call("get_object", path, **asked)["Body"]
            except ClientError as error:
                if code_of(error) == "InvalidRange":
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

    def read(self, path: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read a stretch, to the object's end at most."""
        return self.persistently(path, lambda: _whole(self.open_body(path, start, stop)))

    def read_each(self, path: str, stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several stretches side by side."""
        if len(stretches) == 1:
            return [self.read(path, *stretches[0])]
        return list(self._connected().pool.map(lambda one: self.read(path, *one), stretches))

    # Writing

    def put(self, path: str, data: bytes | bytearray) -> None:
        """Make an object in one request; bytes that are there already were ours, and only the answer was lost."""
        try:
            with translated("write", self._shown(path)):
                self.call("put_object", path, Body=data, IfNoneMatch="*", ChecksumSHA256=sha256(data), **self._extra)
        except (AlreadyExistsError, StorageError):
            if not self._holds(path, data):
                raise

    def begin_parts(self, path: str) -> str:
        """Begin an object that is sent in parts; gives the upload's id."""
        with translated("write", self._shown(path)):
            begun = self.call("create_multipart_upload", path, ChecksumAlgorithm="SHA256", **self._extra)
        return str(begun["UploadId"])

    def send_part(self, path: str, upload_id: str, number: int, data: bytes) -> Future[dict[str, Any]]:
        """Send a part in the background."""

        def send() -> dict[str, Any]:
            digest = sha256(data)
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
        from botocore.exceptions import ClientError

        with translated("write", self._shown(path)):
            try:
                self.call("abort_multipart_upload", path, UploadId=upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":  # somebody has given it up meanwhile
                    raise

    def delete(self, path: str) -> None:
        """Delete an object, if there is one."""
        with translated("delete", self._shown(path)):
            self.call("delete_object", path)

    def _holds(self, path: str, data: bytes | bytearray) -> bool:
        """Whether an object is there with exactly these bytes: then some send of ours arrived."""
        with suppress(LakepartError):  # the store cannot say, so the first error stands
            found = self.look(path)
            return found is not None and found.size_bytes == len(data) and self.read(path) == data
        return False

    def _connected(self) -> _Connection:
        found = self._connection
        if found is None or found.process_id != os.getpid():
            # a lock for each process: one that a fork inherits may be held by a thread that it does not inherit
            with _MAKING.setdefault(os.getpid(), threading.Lock()):
                found = self._connection
                if found is None or found.process_id != os.getpid():
                    with translated("reach", self.root):
                        client = self._make_client()
                    pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="lakepart-s3")
                    found = self._connection = _Connection(os.getpid(), client, pool)
        return found

    def _shown(self, path: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{path}"


def sha256(data: bytes | bytearray) -> str:
    """Give the SHA-256 of bytes as S3 takes it."""
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
