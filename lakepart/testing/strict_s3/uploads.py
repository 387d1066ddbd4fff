"""Objects in parts: begun, sent or copied part by part, completed or given up; a completed one inherits nothing."""

# ruff: noqa: N803 - parameters are named as S3 names them; what a method does not name, it does not support

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakepart.testing.strict_s3.archive import Placement
from lakepart.testing.strict_s3.checksums import checked, checksum_of, composite, etag_of, etag_of_parts, type_of_parts
from lakepart.testing.strict_s3.objects import (
    Described,
    Stored,
    require_conditions,
    require_source_conditions,
    same_etag,
    stretch_of,
)
from lakepart.testing.strict_s3.operations import Answer, Objects, bytes_of, refuse_the_rest
from lakepart.testing.strict_s3.refusals import Refused, invalid_request


@dataclass(frozen=True, slots=True)
class _Part:
    data: bytes
    etag: str
    checksums: dict[str, str]


@dataclass(slots=True)
class _Upload:
    bucket: str
    key: str
    begun_at: datetime
    described: Described
    algorithm: str | None
    checksum_type: str
    parts: dict[int, _Part] = field(default_factory=dict)


class Uploads:
    """The uploads of all buckets, and the operations on them."""

    def __init__(self, objects: Objects, clock: Callable[[], datetime], *, smallest_part_bytes: int) -> None:
        self._objects = objects
        self._clock = clock
        self._smallest_part_bytes = smallest_part_bytes
        self._begun = 0
        self._uploads: dict[str, _Upload] = {}

    def create_multipart_upload(self, Bucket: str, Key: str, RequestPayer: str = "", **asked: Any) -> Answer:  # noqa: ARG002
        """Begin an object in parts."""
        self._objects.bucket(Bucket)
        algorithm = asked.pop("ChecksumAlgorithm", None)
        checksum_type = type_of_parts(algorithm, asked.pop("ChecksumType", None))
        described = Described.taken_from(asked)
        refuse_the_rest(asked)
        self._begun += 1
        upload_id = f"upload-{self._begun}"
        self._uploads[upload_id] = _Upload(Bucket, Key, self._clock(), described, algorithm, checksum_type)
        return {"Bucket": Bucket, "Key": Key, "UploadId": upload_id, **described.encryption}

    def upload_part(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        PartNumber: int,
        Body: Any = b"",
        RequestPayer: str = "",  # noqa: ARG002
        **asked: Any,
    ) -> Answer:
        """Take a part that is sent."""
        upload = self._find(Bucket, Key, UploadId)
        data = bytes_of(Body)
        checksums = checked(data, asked)
        refuse_the_rest(asked)
        part = self._take(upload, PartNumber, data, checksums)
        return {"ETag": part.etag, **checksums}

    def upload_part_copy(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        PartNumber: int,
        CopySource: str,
        CopySourceRange: str | None = None,
        RequestPayer: str = "",  # noqa: ARG002
        **asked: Any,
    ) -> Answer:
        """Take a part that is a stretch of another object."""
        upload = self._find(Bucket, Key, UploadId)
        source = self._objects.source(CopySource)
        require_source_conditions(source, asked)
        refuse_the_rest(asked)
        source.placement.require_readable(self._clock())
        data, _ = stretch_of(source.data, CopySourceRange)
        checksums = checked(data, {"ChecksumAlgorithm": upload.algorithm})
        part = self._take(upload, PartNumber, data, checksums)
        return {"CopyPartResult": {"ETag": part.etag, "LastModified": self._clock(), **checksums}}

    def complete_multipart_upload(
        self,
        Bucket: str,
        Key: str,
        UploadId: str,
        MultipartUpload: Answer | None = None,
        MpuObjectSize: int | None = None,
        RequestPayer: str = "",  # noqa: ARG002
        **asked: Any,
    ) -> Answer:
        """Let an object in parts appear."""
        upload = self._find(Bucket, Key, UploadId)
        require_conditions(self._objects.find(Bucket, Key), asked)
        parts = self._chosen(upload, (MultipartUpload or {}).get("Parts", []))
        data = b"".join(part.data for part in parts)
        if MpuObjectSize not in {None, len(data)}:
            raise invalid_request("The provided 'x-amz-mp-object-size' header does not match what was computed")
        checksums = _checksums(upload, parts, data)
        sent = {name: asked.pop(name) for name in list(asked) if name in checksums}
        if any(checksums[name] != value for name, value in sent.items()):
            raise Refused(400, "BadDigest", "The checksum you specified did not match the calculated checksum.")
        asked.pop("ChecksumType", None)
        refuse_the_rest(asked)
        etag = etag_of_parts([part.data for part in parts])
        placement = Placement(upload.described.storage_class)
        stored = Stored(data, etag, upload.begun_at, upload.described, placement, checksums, upload.checksum_type)
        self._objects.bucket(Bucket)[Key] = stored
        del self._uploads[UploadId]
        return {"Bucket": Bucket, "Key": Key, "ETag": etag, **checksums, "ChecksumType": upload.checksum_type}

    def abort_multipart_upload(self, Bucket: str, Key: str, UploadId: str, RequestPayer: str = "") -> Answer:  # noqa: ARG002
        """Give an object in parts up."""
        self._find(Bucket, Key, UploadId)
        del self._uploads[UploadId]
        return {"ResponseMetadata": {"HTTPStatusCode": 204}}

    def list_multipart_uploads(
        self,
        Bucket: str,
        Prefix: str = "",
        KeyMarker: str = "",
        UploadIdMarker: str = "",
        MaxUploads: int = 1000,
        EncodingType: str = "",  # noqa: ARG002 - boto3 asks for it by itself
        RequestPayer: str = "",  # noqa: ARG002
    ) -> Answer:
        """List a page of those that are neither completed nor given up."""
        self._objects.bucket(Bucket)
        found = sorted(
            (one.key, upload_id)
            for upload_id, one in self._uploads.items()
            if one.bucket == Bucket
            and one.key.startswith(Prefix)
            and (one.key, upload_id) > (KeyMarker, UploadIdMarker)
        )
        page = found[:MaxUploads]
        answer: Answer = {"IsTruncated": len(page) < len(found)}
        if page:
            answer["Uploads"] = [self._listed(upload_id) for _, upload_id in page]
        if answer["IsTruncated"]:
            answer |= {"NextKeyMarker": page[-1][0], "NextUploadIdMarker": page[-1][1]}
        return answer

    def _listed(self, upload_id: str) -> Answer:
        one = self._uploads[upload_id]
        said = {"Key": one.key, "UploadId": upload_id, "StorageClass": one.described.storage_class}
        return {**said, "Initiated": one.begun_at.replace(microsecond=0)}

    def _find(self, bucket: str, key: str, upload_id: str) -> _Upload:
        found = self._uploads.get(upload_id)
        if found is None or (found.bucket, found.key) != (bucket, key):
            raise Refused(404, "NoSuchUpload", "The specified upload does not exist.")
        return found

    def _take(self, upload: _Upload, number: int, data: bytes, checksums: dict[str, str]) -> _Part:
        if not 1 <= number <= 10_000:
            raise Refused(400, "InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
        part = _Part(data, etag_of(data, upload.described.encryption, self._begun + number), checksums)
        upload.parts[number] = part
        return part

    def _chosen(self, upload: _Upload, named: Sequence[Answer]) -> list[_Part]:
        """Find the parts that a completion names."""
        if not named:
            raise Refused(400, "MalformedXML", "The XML you provided was not well-formed: no part is named")
        numbers = [one["PartNumber"] for one in named]
        if numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
        parts = []
        for one in named:
            part = upload.parts.get(one["PartNumber"])
            if part is None or not same_etag(one["ETag"], part.etag):
                raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.")
            _require_checksum(upload, one, part)
            parts.append(part)
        if any(len(part.data) < self._smallest_part_bytes for part in parts[:-1]):
            raise Refused(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
        return parts


def _require_checksum(upload: _Upload, named: Answer, part: _Part) -> None:
    name = f"Checksum{upload.algorithm}"
    if upload.algorithm is None or (upload.checksum_type == "FULL_OBJECT" and name not in named):
        return
    if name not in named or name not in part.checksums:
        raise invalid_request(
            f"The upload was created using a {upload.algorithm} checksum. The complete request must include the "
            f"checksum for each part. It was missing for part {named['PartNumber']} in the request."
        )
    if named[name] != part.checksums[name]:
        raise Refused(400, "InvalidPart", "One or more of the specified parts could not be found.")


def _checksums(upload: _Upload, parts: Sequence[_Part], data: bytes) -> dict[str, str]:
    if upload.algorithm is None:
        return {}
    name = f"Checksum{upload.algorithm}"
    if upload.checksum_type == "FULL_OBJECT":
        return {name: checksum_of(data, upload.algorithm)}
    return {name: composite([part.checksums[name] for part in parts], upload.algorithm)}
