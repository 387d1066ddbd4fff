"""Copies that S3 makes by itself, of objects in buckets that one client reaches: no byte comes by here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlencode

from lakepart.errors import AlreadyExistsError, StorageError
from lakepart.storage.base import OnBytes
from lakepart.storage.failures import already_exists
from lakepart.storage.s3_bucket import S3Bucket
from lakepart.storage.s3_checksums import part_sizes
from lakepart.storage.s3_failures import is_unsettled, translated, tried_again

_SENT_AHEAD = 8  # parts of one object under way at once
_HEADERS = {
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "WebsiteRedirectLocation",
}
_OF_THE_SOURCE = {*_HEADERS, "Tagging"}


def copy_object(
    source: S3Bucket,
    source_path: str,
    target: S3Bucket,
    path: str,
    *,
    whole_bytes: int,
    part_bytes: int,
    on_bytes: OnBytes,
) -> None:
    """Copy an object, create-only, as it is when this looks at it; see ``Store.copy_from``.

    Headers, metadata and tags are the source's; class, encryption and rights those of the target's store.

    Notes
    -----
    The source's ETag is a token of what was looked at, and nothing of its content is read from it. A server that
    ignores ``If-None-Match`` on copies (moto, older kin of S3) would overwrite what stands at ``path``; paths are
    unique and what stands is proven afterwards, so that could only be an earlier try of the same copy.
    """
    found = source.inspect(source_path)
    unchanged = {"CopySource": source.place_of(source_path), "CopySourceIfMatch": found["ETag"]}
    own = {name: value for name, value in target.extra.items() if name not in _OF_THE_SOURCE}
    with _settled(target, path, source.shown(source_path)):
        if found["ContentLength"] <= whole_bytes:
            _copy_whole(target, path, unchanged | own, source.shown(source_path))
            on_bytes(found["ContentLength"])
        else:
            own |= _described(source, source_path, found)  # parts inherit nothing
            sizes = part_sizes(found["ContentLength"], part_bytes)
            _copy_parts(target, path, unchanged, own, sizes, source.shown(source_path), on_bytes)


def _copy_whole(target: S3Bucket, path: str, asked: Mapping[str, Any], shown: str) -> None:
    kept = {"MetadataDirective": "COPY", "TaggingDirective": "COPY", "ChecksumAlgorithm": "SHA256"}
    with translated("copy", shown):
        tried_again(is_unsettled, lambda: target.call("copy_object", path, IfNoneMatch="*", **kept, **asked))


def _copy_parts(
    target: S3Bucket,
    path: str,
    source: dict[str, Any],
    described: Mapping[str, Any],
    sizes: list[int],
    shown: str,
    on_bytes: OnBytes,
) -> None:
    upload_id = target.begin_parts(path, described)
    under_way: deque[tuple[Future[dict[str, Any]], int]] = deque()
    copied: list[dict[str, Any]] = []

    def take_oldest() -> None:
        part, size = under_way[0]
        copied.append(part.result())
        under_way.popleft()
        on_bytes(size)

    try:
        start = 0
        for number, size in enumerate(sizes, start=1):
            if len(under_way) == _SENT_AHEAD:
                take_oldest()
            asked = {
                "UploadId": upload_id,
                "PartNumber": number,
                "CopySourceRange": f"bytes={start}-{start + size - 1}",
            }
            copy = partial(_copy_part, target, path, source | asked, shown)
            under_way.append((target.in_background(copy), size))
            start += size
        while under_way:
            take_oldest()
        target.complete_parts(path, upload_id, copied)
    except BaseException:
        target.give_up_parts(path, upload_id, [part for part, _ in under_way])
        raise


def _copy_part(target: S3Bucket, path: str, asked: Mapping[str, Any], shown: str) -> dict[str, Any]:
    with translated("copy", shown):
        answer = target.call("upload_part_copy", path, **asked)["CopyPartResult"]
    told = {name: answer[name] for name in ("ETag", "ChecksumSHA256") if name in answer}
    return {"PartNumber": asked["PartNumber"], **told}


def _described(source: S3Bucket, path: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Give what ``CopyObject`` would keep. Tags are asked for always: a head hides them from who may not read them."""
    with translated("read the tags of", source.shown(path)):
        tags = source.call("get_object_tagging", path)["TagSet"]
    headers = {name: found[name] for name in sorted(_HEADERS & found.keys())}
    return headers | ({"Tagging": urlencode({tag["Key"]: tag["Value"] for tag in tags})} if tags else {})


@contextmanager
def _settled(target: S3Bucket, path: str, shown: str) -> Iterator[None]:
    """Look at what is there when a copy fails: S3 does not say which condition did not hold, and answers get lost.

    An object that stands was made by an earlier try of ours or by somebody else, which its content decides.
    """
    try:
        yield
    except (AlreadyExistsError, StorageError) as error:
        if target.look(path) is not None:
            raise already_exists(target.shown(path)) from error
        if isinstance(error, AlreadyExistsError):
            raise StorageError(
                f"{shown!r} was replaced while it was being copied. Nothing was made of it.",
                hint="files are written once: find out who writes there; check(checksums=True) names other bytes.",
                context={"path": shown},
            ) from error
        raise
