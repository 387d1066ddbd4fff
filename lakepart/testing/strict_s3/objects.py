"""Stored objects, and what a request says of a new one besides its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from lakepart.testing.strict_s3.archive import TAKES_CLASSES, Placement
from lakepart.testing.strict_s3.refusals import Refused, precondition_failed

_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType")
_ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")


@dataclass(slots=True)
class Described:
    """What an object is stored with besides its bytes."""

    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    encryption: dict[str, Any] = field(default_factory=dict)
    storage_class: str = "STANDARD"

    @classmethod
    def taken_from(cls, asked: dict[str, Any]) -> Described:
        """Take out of a request what it says of the new object; what is not said has S3's defaults."""
        storage_class = asked.pop("StorageClass", "STANDARD")
        if storage_class not in TAKES_CLASSES:
            raise Refused(400, "InvalidStorageClass", "The storage class you specified is not valid")
        return cls(
            headers={name: asked.pop(name) for name in _HEADERS if name in asked},
            metadata={name.lower(): value for name, value in asked.pop("Metadata", {}).items()},
            tags=dict(parse_qsl(asked.pop("Tagging", ""), keep_blank_values=True)),
            encryption={name: asked.pop(name) for name in _ENCRYPTION if name in asked},
            storage_class=storage_class,
        )


@dataclass(slots=True)
class Stored:
    """One object."""

    data: bytes
    etag: str
    modified_at: datetime
    described: Described
    placement: Placement
    checksums: dict[str, str]
    checksum_type: str = "FULL_OBJECT"

    def answer(self, now: datetime, *, checksums: bool) -> dict[str, Any]:
        """Give what HEAD and GET say of it."""
        said = {
            "ContentLength": len(self.data),
            "LastModified": self.modified_at.replace(microsecond=0),
            "ETag": self.etag,
            "Metadata": dict(self.described.metadata),
            "AcceptRanges": "bytes",
            "ContentType": "binary/octet-stream",
            **self.described.headers,
            **({"ServerSideEncryption": "AES256"} | self.described.encryption),
            **self.placement.headers(now),
        }
        if self.described.tags:
            said["TagCount"] = len(self.described.tags)
        if checksums and self.checksums:
            said |= {**self.checksums, "ChecksumType": self.checksum_type}
        return said


def require_conditions(found: Stored | None, asked: dict[str, Any]) -> None:
    """Take the conditions of a write out of its request, and refuse it where they do not hold."""
    if_match, if_none_match = asked.pop("IfMatch", None), asked.pop("IfNoneMatch", None)
    if if_none_match not in {None, "*"}:
        raise Refused(501, "NotImplemented", "A header you provided implies functionality that is not implemented")
    if if_none_match and found is not None:
        raise precondition_failed("If-None-Match")
    if if_match is not None and found is None:
        raise Refused(404, "NoSuchKey", "The specified key does not exist.")
    if if_match is not None and found is not None and not same_etag(if_match, found.etag):
        raise precondition_failed("If-Match")


def require_source_conditions(found: Stored, asked: dict[str, Any]) -> None:
    """Take the conditions on the source of a copy out of its request, and refuse it where they do not hold."""
    if_match, if_none_match = asked.pop("CopySourceIfMatch", None), asked.pop("CopySourceIfNoneMatch", None)
    if if_match is not None and not same_etag(if_match, found.etag):
        raise precondition_failed("x-amz-copy-source-If-Match")
    if if_none_match is not None and same_etag(if_none_match, found.etag):
        raise precondition_failed("x-amz-copy-source-If-None-Match")


def same_etag(one: str, other: str) -> bool:
    """Compare ETags, with their quotes or without."""
    return one.strip('"') == other.strip('"')


def stretch_of(data: bytes, asked: str | None) -> tuple[bytes, dict[str, Any]]:
    """Give the bytes that a ``Range`` names, and how the answer says which they are."""
    if asked is None:
        return data, {}
    first, _, last = asked.removeprefix("bytes=").partition("-")
    start = int(first) if first else max(0, len(data) - int(last))
    stop = min(len(data), int(last) + 1) if first and last else len(data)
    if start >= stop:
        raise Refused(416, "InvalidRange", "The requested range is not satisfiable")
    return data[start:stop], {"ContentRange": f"bytes {start}-{stop - 1}/{len(data)}"}
