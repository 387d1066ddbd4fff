"""One prefix of a bucket, and how it is asked: the client of this process, single requests, bodies to their end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, suppress
from copy import copy
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from lakepart.errors import AlreadyExistsError, InvalidInputError, LakepartError, StorageError
from lakepart.model.archives import Availability
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import check_path
from lakepart.storage.native import NativeFilesystem, native_s3
from lakepart.storage.pacing import Pace
from lakepart.storage.s3_availability import availability_of_head
from lakepart.storage.s3_checksums import sha256
from lakepart.storage.s3_client import check_options, credentials_of, extra_arguments, make_client
from lakepart.storage.s3_connection import Line, S3Connection
from lakepart.storage.s3_failures import broke_off, code_of, is_absent, is_unsettled, translated, tried_again
from lakepart.storage.s3_memory import Memory

T = TypeVar("T")

_ADDRESS = re.compile(
    r"[a-z0-9]+://(?P<bucket>arn:[A-Za-z0-9.\-_:]+|[A-Za-z0-9.\-_]+)(?:/(?P<prefix>[^?#\x00-\x1f]*))?", re.IGNORECASE
)
_ENDED_WITHIN_S = 5.0  # for requests under way when an object in parts is given up
_OF_OBJECTS = {"s3_additional_kwargs"}


class Head(NamedTuple):
    """What a look at an object tells."""

    size_bytes: int
    modified_at: datetime
    storage_class: str
    availability: Availability | None


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
            shown = "s3://…" if "@" in url else without_secrets(url)  # keys may have a slash, and then are no user's
            raise InvalidInputError(
                f"{shown!r} names no bucket, or has characters that an address cannot have.",
                hint="s3://bucket/prefix, without '?' and '#'; keys are given by storage_options or credentials.",
            )
        self._bucket, prefix = address["bucket"], (address["prefix"] or "").strip("/")
        self._prefix = f"{check_path(prefix)}/" if prefix else ""
        check_options(options)
        given = dict(options)
        self._connection = S3Connection(client or partial(make_client, given))
        self._made_of = client, {name: given[name] for name in given if name not in _OF_OBJECTS}
        self.extra = extra_arguments(given)
        if storage_class is not None:
            self.extra["StorageClass"] = storage_class
        self._asked = {"RequestPayer": "requester"} if given.get("requester_pays") else {}
        self._pace = Pace(None)

    @property
    def root(self) -> str:
        """The prefix as a URL."""
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def paced(self, pace: Pace) -> S3Bucket:
        """Give the same bucket, asked at a pace: no more requests a second than that."""
        found = copy(self)
        found._pace = pace
        return found

    def reaches(self, other: S3Bucket) -> bool:
        """Whether this bucket's client may speak of the other bucket too: same endpoint, same access key by now."""
        mine, theirs = self._line().client, other._line().client
        with translated("reach", self.root):
            return mine is theirs or _speaks_as(mine) == _speaks_as(theirs)

    def share_connection(self, other: S3Bucket) -> None:
        """Talk over the connection of another bucket, if that is made of the same options."""
        if self._made_of == other._made_of:
            self._connection = other._connection

    def place_of(self, path: str) -> dict[str, str]:
        """Give where an object is, as botocore names it."""
        return {"Bucket": self._bucket, "Key": f"{self._prefix}{check_path(path)}"}

    def native_filesystem(self) -> NativeFilesystem:
        """Say how Arrow reaches the prefix."""
        with translated("reach", self.root):
            return native_s3(self._line().client, self._bucket, self._prefix, requester_pays=bool(self._asked))

    def call(self, operation: str, path: str, **arguments: Any) -> Any:
        """Ask one thing of one object, as botocore names it; its errors pass untranslated."""
        client = self._line().client
        self._pace.take()
        return getattr(client, operation)(**self.place_of(path), **self._asked, **arguments)

    @property
    def memory(self) -> Memory:
        """What new objects hold in this process, all together."""
        return self._line().memory

    def in_background(self, ask: Callable[[], T]) -> Future[T]:
        """Ask beside others."""
        return self._line().pool.submit(ask)

    def pages(self, operation: str, what: str, folder: str, **arguments: Any) -> Iterable[dict[str, Any]]:
        """Ask for a listing of a folder to its end; gives what it lists, as botocore names it."""
        below = f"{self._prefix}{folder}/" if folder else self._prefix
        with translated("list", self.shown(folder) if folder else self.root):
            pages = self._line().client.get_paginator(operation)
            found = pages.paginate(Bucket=self._bucket, Prefix=below, **self._asked, **arguments)
            return [one for page in found for one in page.get(what, ())]

    def setting(self, operation: str) -> dict[str, Any]:
        """Ask for a setting of the bucket, as botocore names it; nothing where the server does not say."""
        from botocore.exceptions import ClientError

        with translated("ask about", self.root):
            try:
                return dict(getattr(self._line().client, operation)(Bucket=self._bucket))
            except ClientError:  # not allowed, not set, or not known there
                return {}

    def path_of(self, listed: Mapping[str, Any]) -> str:
        """Give the path of something listed."""
        return str(listed["Key"]).removeprefix(self._prefix)

    def look(self, path: str) -> Head | None:
        """Look at an object; None if there is none."""
        from botocore.exceptions import ClientError

        with translated("look at", self.shown(path)):
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
        with translated("restore", self.shown(path)):
            try:
                self.call("restore_object", path, RestoreRequest=asked)
            except ClientError as error:
                if code_of(error) in {"RestoreAlreadyInProgress", "InvalidObjectState"}:
                    return False
                raise
        return True

    def inspect(self, path: str) -> dict[str, Any]:
        """Look at all that an object's head says, as botocore names it, checksums included; NotFoundError if none."""
        with translated("look at", self.shown(path)):
            return dict(self.call("head_object", path, ChecksumMode="ENABLED"))

    # Reading

    def open_body(self, path: str, start: int, stop: int | None = None) -> Any:
        """Open the body of an answer, from a position on; None where the object has ended before."""
        from botocore.exceptions import ClientError

        asked = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if start or stop else {}
        with translated("read", self.shown(path)):
            try:
                return self.call("get_object", path, **asked)["Body"]
            except ClientError as error:
                if code_of(error) == "InvalidRange":
                    return None
                raise

    def persistently(self, path: str, read: Callable[[], T]) -> T:
        """Do a read again that broke off in the middle of its body."""
        with translated("read", self.shown(path)):
            return tried_again(broke_off, read)

    def read(self, path: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read a stretch, to the object's end at most."""
        return self.persistently(path, lambda: _whole(self.open_body(path, start, stop)))

    def read_each(self, path: str, stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        """Read several stretches side by side."""
        if len(stretches) == 1:
            return [self.read(path, *stretches[0])]
        return list(self._line().pool.map(lambda one: self.read(path, *one), stretches))

    # Writing

    def put(self, path: str, data: bytes | bytearray) -> str:
        """Make an object in one request; bytes that are there already were ours, and only the answer was lost.

        Gives the SHA-256 that was sent along.
        """
        digest = sha256(data)
        creation = {"IfNoneMatch": "*", "ChecksumAlgorithm": "SHA256", "ChecksumSHA256": digest}
        try:
            with translated("write", self.shown(path)):
                tried_again(is_unsettled, lambda: self.call("put_object", path, Body=data, **creation, **self.extra))
        except (AlreadyExistsError, StorageError):
            if not self._holds(path, data, digest):
                raise
        return digest

    def begin_parts(self, path: str, extra: Mapping[str, Any] | None = None) -> str:
        """Begin an object that comes in parts; gives the upload's id. ``extra`` takes the place of the store's own."""
        described = self.extra if extra is None else extra
        with translated("write", self.shown(path)):
            begun = self.call("create_multipart_upload", path, ChecksumAlgorithm="SHA256", **described)
        return str(begun["UploadId"])

    def send_part(self, path: str, upload_id: str, number: int, cut: Callable[[], bytes]) -> Future[dict[str, Any]]:
        """Send a part in the background; it is cut when there is room for it among those under way."""

        def send(data: bytes) -> dict[str, Any]:
            digest = sha256(data)
            with translated("write", self.shown(path)):
                sent = self.call(
                    "upload_part",
                    path,
                    UploadId=upload_id,
                    PartNumber=number,
                    Body=data,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=digest,
                )
            return {"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": digest}

        line = self._line()
        line.memory.begin_part()
        try:
            sending = line.pool.submit(send, cut())
        except BaseException:
            line.memory.end_part()
            raise
        sending.add_done_callback(lambda _: line.memory.end_part())
        return sending

    def complete_parts(self, path: str, upload_id: str, parts: Sequence[Mapping[str, Any]]) -> None:
        """Let an object in parts appear."""
        named = {"UploadId": upload_id, "MultipartUpload": {"Parts": list(parts)}, "IfNoneMatch": "*"}
        with translated("write", self.shown(path)):
            tried_again(is_unsettled, lambda: self.call("complete_multipart_upload", path, **named))

    def give_up_parts(self, path: str, upload_id: str, under_way: Iterable[Future[Any]]) -> None:
        """Give an object in parts up, because of an error that says more than what may go wrong here.

        Parts that arrive afterwards would be kept, so those under way are waited for, though not for long: a server
        that is silent holds nobody up. Vacuum gives up what is left over.
        """
        wait([part for part in under_way if not part.cancel()], timeout=_ENDED_WITHIN_S)
        with suppress(LakepartError):
            self.abandon_parts(path, upload_id)

    def abandon_parts(self, path: str, upload_id: str) -> None:
        """Give an object in parts up."""
        from botocore.exceptions import ClientError

        with translated("write", self.shown(path)):
            try:
                self.call("abort_multipart_upload", path, UploadId=upload_id)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":  # somebody has given it up meanwhile
                    raise

    def delete(self, path: str) -> None:
        """Delete an object, if there is one."""
        with translated("delete", self.shown(path)):
            self.call("delete_object", path)

    def _holds(self, path: str, data: bytes | bytearray, digest: str) -> bool:
        """Whether an object is there with exactly these bytes: then some send of ours arrived."""
        with suppress(LakepartError):  # the store cannot say, so the first error stands
            found = self.inspect(path)
            if found["ContentLength"] != len(data):
                return False
            return found.get("ChecksumSHA256") == digest or self.read(path) == data
        return False

    def _line(self) -> Line:
        with translated("reach", self.root):
            return self._connection.line()

    def shown(self, path: str) -> str:
        """Give the address of an object, for messages."""
        return f"s3://{self._bucket}/{self._prefix}{path}"


def _speaks_as(client: Any) -> tuple[str, str | None]:
    """Say where a client asks and as whom; an access key is one user's, or of one session of a role."""
    signs_with = credentials_of(client)
    return client.meta.endpoint_url, None if signs_with is None else signs_with.access_key


def _whole(body: Any) -> bytes:
    if body is None:
        return b""
    with closing(body):
        return bytes(body.read())
