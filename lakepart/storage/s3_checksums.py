"""The checksums of S3: base64 instead of hex, and for an object in parts the SHA-256 of the SHA-256s of its parts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from lakepart.storage.base import StoredChecksum

_GROWS_EVERY = 1000  # parts, of which there may be 10,000: so objects of 880 GiB can be written as a stream


def sha256(data: bytes | bytearray) -> str:
    """Give the SHA-256 of bytes as S3 takes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def size_of_part(number: int, part_bytes: int) -> int:
    """Say how large part ``number`` of an object is, counted from 1; the last may be smaller."""
    return part_bytes * (1 + (number - 1) // _GROWS_EVERY)


def part_sizes(size_bytes: int, part_bytes: int) -> list[int]:
    """Say in which parts an object of that size is sent."""
    sizes: list[int] = []
    while size_bytes > 0:
        sizes.append(min(size_bytes, size_of_part(len(sizes) + 1, part_bytes)))
        size_bytes -= sizes[-1]
    return sizes


def of_whole(digest: str) -> StoredChecksum:
    """Give what S3 keeps of an object sent as a whole, whose SHA-256 this is."""
    return StoredChecksum(base64.b64decode(digest).hex())


def of_parts(digests: Sequence[str], sizes: Sequence[int]) -> StoredChecksum:
    """Give what S3 keeps of an object sent in parts that have these SHA-256s."""
    together = b"".join(map(base64.b64decode, digests))
    return StoredChecksum(hashlib.sha256(together).hexdigest(), tuple(sizes))


def read_kept(kept: str | None, size_bytes: int, part_bytes: int) -> StoredChecksum | None:
    """Understand what S3 says that it keeps; None where it says nothing, or the object was sent in parts of others."""
    if kept is None:
        return None
    digest, _, count = kept.partition("-")
    if not count:
        return of_whole(digest)
    sizes = part_sizes(size_bytes, part_bytes)
    return StoredChecksum(of_whole(digest).sha256, tuple(sizes)) if len(sizes) == int(count) else None
