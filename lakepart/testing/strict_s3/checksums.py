"""Checksums as S3 computes, compares and keeps them.

Source: "Checking object integrity in Amazon S3" of its user guide. An object in one piece, also one that CopyObject
made, has the checksum of all its bytes. One in parts has, by default, the checksum of its parts' checksums, with
``-`` and their number after it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.httpchecksum import Crc32Checksum, CrtCrc32cChecksum, Sha1Checksum, Sha256Checksum

from lakepart.testing.strict_s3.refusals import Refused, invalid_request

_ALGORITHMS = {"SHA256": Sha256Checksum, "SHA1": Sha1Checksum, "CRC32": Crc32Checksum, "CRC32C": CrtCrc32cChecksum}


def checksum_of(data: bytes, algorithm: str) -> str:
    """Compute a checksum as S3 writes it; CRC32C needs the package awscrt."""
    if algorithm not in _ALGORITHMS:
        raise Refused(501, "NotImplemented", f"This S3 does not compute {algorithm}.")
    return str(_ALGORITHMS[algorithm]().handle(data))


def checked(data: bytes, asked: dict[str, Any]) -> dict[str, str]:
    """Take the checksums out of a request and compare them with its bytes; gives those that the object keeps."""
    algorithm = asked.pop("ChecksumAlgorithm", None)
    kept = {} if algorithm is None else {f"Checksum{algorithm}": checksum_of(data, algorithm)}
    for known in _ALGORITHMS:
        sent = asked.pop(f"Checksum{known}", None)
        if sent is not None:
            kept[f"Checksum{known}"] = checksum_of(data, known)
            if sent != kept[f"Checksum{known}"]:
                raise Refused(400, "BadDigest", f"The {known} you specified did not match the calculated checksum.")
    md5 = asked.pop("ContentMD5", None)
    if md5 is not None and md5 != base64.b64encode(_md5(data)).decode():
        raise Refused(400, "BadDigest", "The Content-MD5 you specified did not match what we received.")
    return kept


def type_of_parts(algorithm: str | None, asked: str | None) -> str:
    """Say what kind of checksum an object in parts gets."""
    if asked == "FULL_OBJECT" and algorithm in {"SHA1", "SHA256"}:
        raise invalid_request(f"The FULL_OBJECT checksum type cannot be used with the {algorithm} checksum algorithm.")
    return asked or "COMPOSITE"


def composite(digests: Sequence[str], algorithm: str) -> str:
    """Compute the checksum of parts' checksums."""
    together = b"".join(base64.b64decode(one) for one in digests)
    return f"{checksum_of(together, algorithm)}-{len(digests)}"


def etag_of(data: bytes, encryption: Mapping[str, Any], number: int) -> str:
    """Give the ETag of an object in one piece: its MD5, or no content hash at all under SSE-KMS."""
    if str(encryption.get("ServerSideEncryption", "")).startswith("aws:kms"):
        return f'"{_md5(f"object {number} under a key".encode()).hex()}"'
    return f'"{_md5(data).hex()}"'


def etag_of_parts(parts: Sequence[bytes]) -> str:
    """Give the ETag of an object in parts, which is no hash of its content."""
    return f'"{_md5(b"".join(map(_md5, parts))).hex()}-{len(parts)}"'


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
