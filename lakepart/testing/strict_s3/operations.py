"""What one can ask of objects: put, get, head, delete, copy, restore, tags, listings; each as the API names it."""

# ruff: noqa: N803 - parameters are named as S3 names them; what a method does not name, it does not support

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from botocore.response import StreamingBody

from lakepart.testing.strict_s3.archive import Placement
from lakepart.testing.strict_s3.checksums import checked, etag_of
from lakepart.testing.strict_s3.objects import (
    Described,
    Stored,
    require_conditions,
    require_source_conditions,
    same_etag,
    stretch_of,
)
from lakepart.testing.strict_s3.refusals import (
    Refused,
    invalid_argument,
    invalid_request,
    no_such_key,
    precondition_failed,
)

Answer = dict[str, Any]


class Objects:
    """The objects of all buckets, and the operations on them. Not thread-safe: the server asks for one at a time."""

    def __init__(self, clock: Callable[[], datetime], *, largest_copy_bytes: int, page_keys: int) -> None:
        self._clock = clock
        self._largest_copy_bytes = largest_copy_bytes
        self._page_keys = page_keys
        self._made = 0
        self.buckets: dict[str, dict[str, Stored]] = {}

    def head_object(self, Bucket: str, Key: str, ChecksumMode: str = "", RequestPayer: str = "") -> Answer:  # noqa: ARG002
        """Describe an object."""
        found = self.find(Bucket, Key)
        if found is None:
            raise Refused(404, "404", "Not Found")
        return found.answer(self._clock(), checksums=ChecksumMode == "ENABLED")

    def get_object(
        self,
        Bucket: str,
        Key: str,
        Range: str | None = None,
        IfMatch: str | None = None,
        ChecksumMode: str = "",
        RequestPayer: str = "",  # noqa: ARG002
    ) -> Answer:
        """Give an object's bytes, or a stretch of them."""
        found = self.get(Bucket, Key)
        if IfMatch is not None and not same_etag(IfMatch, found.etag):
            raise precondition_failed("If-Match")
        found.placement.require_readable(self._clock())
        data, said = stretch_of(found.data, Range)
        answer = found.answer(self._clock(), checksums=ChecksumMode == "ENABLED" and Range is None)
        return answer | said | {"ContentLength": len(data), "Body": StreamingBody(io.BytesIO(data), len(data))}

    def put_object(self, Bucket: str, Key: str, Body: Any = b"", RequestPayer: str = "", **asked: Any) -> Answer:  # noqa: ARG002
        """Make or overwrite an object."""
        require_conditions(self.find(Bucket, Key), asked)
        data = bytes_of(Body)
        checksums = checked(data, asked)
        described = Described.taken_from(asked)
        refuse_the_rest(asked)
        stored = self.store(Bucket, Key, data, described, checksums)
        return {"ETag": stored.etag, **described.encryption, **checksums, "ChecksumType": "FULL_OBJECT"}

    def copy_object(self, Bucket: str, Key: str, CopySource: str, RequestPayer: str = "", **asked: Any) -> Answer:  # noqa: ARG002
        """Make an object from another one; without a class in the request it lands in STANDARD."""
        require_conditions(self.find(Bucket, Key), asked)
        source = self.source(CopySource)
        require_source_conditions(source, asked)
        if not source.placement.is_readable(self._clock()):
            raise Refused(
                403, "ObjectNotInActiveTierError", "The source object of the COPY operation is not in the active tier"
            )
        if len(source.data) > self._largest_copy_bytes:
            raise invalid_request(
                f"The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{self._largest_copy_bytes}"
            )
        replaces, replaces_tags = (
            asked.pop(f"{which}Directive", "COPY") == "REPLACE" for which in ("Metadata", "Tagging")
        )
        algorithm = asked.pop("ChecksumAlgorithm", None)
        described = Described.taken_from(asked)
        refuse_the_rest(asked)
        changes = replaces or described.encryption or described.storage_class != source.described.storage_class
        if source is self.find(Bucket, Key) and not changes:
            raise invalid_request(
                "This copy request is illegal because it is trying to copy an object to itself without changing the "
                "object's metadata, storage class, website redirect location or encryption attributes."
            )
        if not replaces:
            described.headers, described.metadata = dict(source.described.headers), dict(source.described.metadata)
        if not replaces_tags:
            described.tags = dict(source.described.tags)
        kept = next(iter(source.checksums), "").removeprefix("Checksum")
        checksums = checked(source.data, {"ChecksumAlgorithm": algorithm or kept}) if algorithm or kept else {}
        stored = self.store(Bucket, Key, source.data, described, checksums)
        result = {"ETag": stored.etag, "LastModified": stored.modified_at, "ChecksumType": "FULL_OBJECT", **checksums}
        return {"CopyObjectResult": result, **described.encryption}

    def delete_object(self, Bucket: str, Key: str, RequestPayer: str = "", **asked: Any) -> Answer:  # noqa: ARG002
        """Delete an object; S3 does not say whether there was one."""
        found = self.find(Bucket, Key)
        require_conditions(found, asked)
        refuse_the_rest(asked)
        self.bucket(Bucket).pop(Key, None)
        return {"ResponseMetadata": {"HTTPStatusCode": 204}}

    def restore_object(self, Bucket: str, Key: str, RestoreRequest: Answer, RequestPayer: str = "") -> Answer:  # noqa: ARG002
        """Ask for an archived object to be readable for some days."""
        found = self.get(Bucket, Key)
        speed = RestoreRequest.get("GlacierJobParameters", {}).get("Tier", "Standard")
        found.placement, status = found.placement.restore(self._clock(), RestoreRequest.get("Days"), speed)
        return {"ResponseMetadata": {"HTTPStatusCode": status}}

    def get_object_tagging(self, Bucket: str, Key: str, RequestPayer: str = "") -> Answer:  # noqa: ARG002
        """Give an object's tags."""
        return {
            "TagSet": [{"Key": name, "Value": value} for name, value in self.get(Bucket, Key).described.tags.items()]
        }

    def put_object_tagging(self, Bucket: str, Key: str, Tagging: Answer, RequestPayer: str = "") -> Answer:  # noqa: ARG002
        """Replace an object's tags."""
        self.get(Bucket, Key).described.tags = {one["Key"]: one["Value"] for one in Tagging["TagSet"]}
        return {}

    def list_objects_v2(
        self,
        Bucket: str,
        Prefix: str = "",
        StartAfter: str = "",
        ContinuationToken: str | None = None,
        MaxKeys: int = 1000,
        OptionalObjectAttributes: list[str] | None = None,
        EncodingType: str = "",  # noqa: ARG002 - boto3 asks for it by itself
        RequestPayer: str = "",  # noqa: ARG002
    ) -> Answer:
        """List a page of objects, ordered by key; restores only where they are asked for."""
        after = ContinuationToken or StartAfter
        keys = sorted(key for key in self.bucket(Bucket) if key.startswith(Prefix) and key > after)
        page = keys[: min(MaxKeys, self._page_keys)]
        with_restores = "RestoreStatus" in (OptionalObjectAttributes or ())
        answer: Answer = {"IsTruncated": len(page) < len(keys), "KeyCount": len(page), "Prefix": Prefix}
        if page:
            answer["Contents"] = [self._listed(Bucket, key, with_restores=with_restores) for key in page]
        return answer | ({"NextContinuationToken": page[-1]} if answer["IsTruncated"] else {})

    def _listed(self, bucket: str, key: str, *, with_restores: bool) -> Answer:
        found = self.get(bucket, key)
        return {
            "Key": key,
            "Size": len(found.data),
            "ETag": found.etag,
            "LastModified": found.modified_at.replace(microsecond=0),
            "StorageClass": found.placement.storage_class,
            **(found.placement.listed(self._clock()) if with_restores else {}),
        }

    def bucket(self, name: str) -> dict[str, Stored]:
        """Give the objects of a bucket by key."""
        if name not in self.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=name)
        return self.buckets[name]

    def find(self, bucket: str, key: str) -> Stored | None:
        """Give an object as it is now, or None."""
        found = self.bucket(bucket).get(key)
        if found is not None:
            found.placement = found.placement.at(self._clock())
        return found

    def get(self, bucket: str, key: str) -> Stored:
        """Give an object as it is now."""
        found = self.find(bucket, key)
        if found is None:
            raise no_such_key(key)
        return found

    def source(self, named: str) -> Stored:
        """Give the source of a copy, as boto3 names it in its request."""
        bucket, _, key = unquote(named).partition("/")
        return self.get(bucket, key)

    def store(self, bucket: str, key: str, data: bytes, described: Described, checksums: dict[str, str]) -> Stored:
        """Let an object in one piece appear."""
        self._made += 1
        etag = etag_of(data, described.encryption, self._made)
        stored = Stored(data, etag, self._clock(), described, Placement(described.storage_class), checksums)
        self.bucket(bucket)[key] = stored
        return stored


def bytes_of(body: Any) -> bytes:
    """Read the body of a request."""
    return bytes(body.read() if hasattr(body, "read") else body)


def refuse_the_rest(asked: Answer) -> None:
    """Refuse what no rule of this S3 has taken out of a request: nothing is ignored in silence."""
    if asked:
        raise invalid_argument(f"This S3 does not know {', '.join(sorted(asked))}")
