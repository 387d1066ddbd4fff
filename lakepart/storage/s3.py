"""Objects in S3 and what speaks its language: conditional writes, streamed parts, ranged reads, few requests."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from operator import attrgetter
from typing import Any, BinaryIO

from lakepart.storage.base import (
    TEMPORARY_SUFFIX,
    OnBytes,
    Store,
    StoredChecksum,
    StoredObject,
    check_path,
    check_prefix,
    is_path,
    is_temporary,
)
from lakepart.storage.credentials import TierCredentials
from lakepart.storage.native import NativeFilesystem
from lakepart.storage.pacing import Pace
from lakepart.storage.s3_availability import availability_of_listed
from lakepart.storage.s3_bucket import S3Bucket
from lakepart.storage.s3_checksums import read_kept
from lakepart.storage.s3_client import complete_options, make_client
from lakepart.storage.s3_copies import copy_object
from lakepart.storage.s3_streams import S3File, S3Sink

WHOLE_BYTES = 64 << 20  # up to here an object is one request
PART_BYTES = 16 << 20
WHOLE_COPY_BYTES = 5_000_000_000  # the most that CopyObject takes
_BUFFER_BYTES = 1 << 20


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
        Never shown or stored. What is not given comes from ``fsspec.config``, the environment, ``~/.aws`` or the
        machine's role.
    storage_class
        Of new objects: ``STANDARD_IA``, ``GLACIER_IR`` and so on; the bucket's own by default.
    credentials
        Are asked for keys, endpoint and so on when the first request is made; for keys again before they expire, and
        when the server says that they have.
    part_bytes, whole_bytes
        How large the parts of a large object are, in bytes, and up to which size an object is one request.
    whole_copy_bytes
        Up to which size an object is copied from one of the same store by one request; a larger one is in parts.
    client
        Gives the boto3 client to ask, in each process anew; by default one is made from ``storage_options``.

    Notes
    -----
    Creation is decided by the server (``If-None-Match``), for objects in parts when they are completed. Every request
    carries the SHA-256 of its bytes, and the server refuses what arrives otherwise. An answer that is lost is settled
    by comparing the SHA-256 that the server keeps, or the bytes where it keeps none. In memory an object holds
    ``whole_bytes`` until it is sent or goes in parts, then less than one. Where all objects of a store together hold
    more than 256 MiB, each sends what is a part already; and up to eight parts of all of them are on their way.
    """

    def __init__(
        self,
        url: str,
        storage_options: Mapping[str, Any] | None = None,
        *,
        storage_class: str | None = None,
        credentials: TierCredentials | None = None,
        part_bytes: int = PART_BYTES,
        whole_bytes: int = WHOLE_BYTES,
        whole_copy_bytes: int = WHOLE_COPY_BYTES,
        client: Callable[[], Any] | None = None,
    ) -> None:
        options = complete_options(storage_options or {})
        if credentials is not None:
            client = partial(make_client, options, credentials)
        self._bucket = S3Bucket(url, options, storage_class, client)
        self._part_bytes = part_bytes
        self._whole_bytes = whole_bytes
        self._whole_copy_bytes = whole_copy_bytes

    @property
    def root(self) -> str:
        """The prefix as a URL."""
        return self._bucket.root

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root!r})"

    def open_new(self, path: str, *, whole: bool = False) -> S3Sink:  # noqa: ARG002 - always whole
        """See :meth:`lakepart.storage.base.Store.open_new`; whether the path is taken shows when the block is left."""
        return S3Sink(self._bucket, check_path(path), part_bytes=self._part_bytes, whole_bytes=self._whole_bytes)

    def put_new(self, path: str, data: bytes) -> None:
        """See :meth:`lakepart.storage.base.Store.put_new`."""
        self._bucket.put(path, data)

    def copy_from(self, source: Store, source_path: str, path: str, *, on_bytes: OnBytes) -> bool:
        """See :meth:`lakepart.storage.base.Store.copy_from`; for stores of the same endpoint and access key.

        A look and a copy; above 5 GB a look at the tags and a request for each part instead.
        """
        check_path(path)
        if not (isinstance(source, S3Store) and self._bucket.reaches(source._bucket)):
            return False
        copy_object(
            source._bucket,
            check_path(source_path),
            self._bucket,
            path,
            whole_bytes=self._whole_copy_bytes,
            part_bytes=self._part_bytes,
            on_bytes=on_bytes,
        )
        return True

    def stored_checksum(self, path: str) -> StoredChecksum | None:
        """See :meth:`lakepart.storage.base.Store.stored_checksum`.

        Under SSE-KMS it takes the right to decrypt.
        """
        found = self._bucket.inspect(path)
        return read_kept(found.get("ChecksumSHA256"), found["ContentLength"], self._part_bytes)

    def share_connection(self, other: S3Store) -> None:
        """Talk over the connection of another store, if that has the same options and neither asks for credentials."""
        self._bucket.share_connection(other._bucket)

    def paced(self, pace: Pace) -> S3Store:
        """Give the same store, asked no more often than a pace lets through."""
        found = copy(self)
        found._bucket = self._bucket.paced(pace)
        return found

    def make_durable(self, paths: Iterable[str]) -> None:
        """Check the paths: the store keeps what it has accepted."""
        for path in paths:
            check_path(path)

    def open_read(self, path: str) -> BinaryIO:
        """See :meth:`lakepart.storage.base.Store.open_read`; read in order, it is one request."""
        return io.BufferedReader(S3File(self._bucket, check_path(path)), _BUFFER_BYTES)

    def read_bytes(self, path: str) -> bytes:
        """See :meth:`lakepart.storage.base.Store.read_bytes`."""
        return self._bucket.read(path)

    def read_ranges(self, path: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See :meth:`lakepart.storage.base.Store.read_ranges`; a request each, side by side."""
        return self._bucket.read_each(path, ranges)

    def os_path(self, path: str) -> None:
        """Give None: no program opens these by path."""
        check_path(path)

    def native_filesystem(self) -> NativeFilesystem:
        """See :meth:`lakepart.storage.base.Store.native_filesystem`; with the credentials of now."""
        return self._bucket.native_filesystem()

    def stat(self, path: str) -> StoredObject | None:
        """See :meth:`lakepart.storage.base.Store.stat`."""
        upload = self._find_upload(path)
        if upload is not None:
            return StoredObject(path, 0, upload["Initiated"])
        found = self._bucket.look(path)
        return None if found is None else StoredObject(path, *found)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """See :meth:`lakepart.storage.base.Store.list`; a request for each 1,000 objects, held in memory.

        Objects whose parts were begun and neither completed nor given up are there under temporary names.
        """
        folder = check_prefix(prefix)
        entries = self._bucket.pages(
            "list_objects_v2",
            "Contents",
            folder,
            OptionalObjectAttributes=["RestoreStatus"],  # a header, which servers that do not know it let be
        )
        listed = [
            StoredObject(
                path,
                one["Size"],
                one["LastModified"],
                one.get("StorageClass", "STANDARD"),
                availability_of_listed(one),
            )
            for one in entries
            if is_path(path := self._bucket.path_of(one))  # others make markers of folders, which end in a slash
        ]
        listed += [StoredObject(self._unfinished(one), 0, one["Initiated"]) for one in self._uploads(folder)]
        yield from sorted(listed, key=attrgetter("path"))  # not every server lists as S3 does

    def delete(self, path: str) -> bool:
        """See :meth:`lakepart.storage.base.Store.delete`; two requests, because S3 does not say what was there."""
        upload = self._find_upload(path)
        if upload is not None:
            self._bucket.abandon_parts(self._bucket.path_of(upload), upload["UploadId"])
            return True
        if self.stat(path) is None:
            return False
        self._bucket.delete(path)
        return True

    def restore(self, path: str, *, days: int | None, speed: str) -> bool:
        """See :meth:`lakepart.storage.base.Archive.restore`; one request."""
        return self._bucket.restore(check_path(path), days=days, speed=speed)

    def _uploads(self, folder: str) -> Iterable[dict[str, Any]]:
        return self._bucket.pages("list_multipart_uploads", "Uploads", folder)

    def _find_upload(self, path: str) -> dict[str, Any] | None:
        """Find the upload that a temporary name stands for; nothing is asked for other names."""
        if not is_temporary(check_path(path)):
            return None
        return next((one for one in self._uploads(path.rpartition("/")[0]) if self._unfinished(one) == path), None)

    def _unfinished(self, upload: Mapping[str, Any]) -> str:
        """Name an object in parts that is not complete as unfinished objects are, and after what it is to become."""
        folder, slash, becomes = self._bucket.path_of(upload).rpartition("/")
        mark = hashlib.sha256(f"{upload['Key']} {upload['UploadId']}".encode()).hexdigest()[:16]
        return f"{folder}{slash}.{becomes}.{mark}{TEMPORARY_SUFFIX}"
