"""Addresses of lakes and tiers as text: what is local, how they join, and which may not be together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from urllib.parse import SplitResult, urlsplit, urlunsplit

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.storage.base import check_path

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CHAIN = re.compile(r"[A-Za-z0-9+.-]+::.*://")
_LOCAL_SCHEMES = {"file", "local"}
_SAME_SCHEME = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}


def is_local(url: str) -> bool:
    """Whether an address is a folder of this machine: a path or a ``file://`` URL."""
    return scheme_of(url) in {"", *_LOCAL_SCHEMES}


def is_s3(url: str) -> bool:
    """Whether an address is in S3 or in what speaks its language."""
    scheme = scheme_of(url)
    return _SAME_SCHEME.get(scheme, scheme) == "s3"


def scheme_of(url: str) -> str:
    """Give the scheme of a URL in small letters; nothing of a path."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def local_path(url: str) -> str:
    """Give the absolute path of a local address; a ``file://`` URL is taken as fsspec does, without unquoting."""
    if not url:
        raise InvalidInputError("An empty text is no address of a lake.", hint="'.' is the working directory.")
    if _CHAIN.match(url):
        raise InvalidInputError(
            f"An address that begins with '{url.partition('::')[0]}::' chains drivers of fsspec, which no lake takes.",
            hint="name the store itself, as in s3://bucket/prefix.",
            code=ErrorCode.UNSUPPORTED,
        )
    path = _SCHEME.sub("", url, count=1) if scheme_of(url) else url
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError as error:  # as of a user whom only a number is known of
        raise InvalidInputError(
            f"{path!r} begins in a home folder, and this user has none.", hint="give the path from the root, /…."
        ) from error


def join_url(base: str, relative: str) -> str:
    """Give the address of ``relative`` under ``base``; an absolute ``relative`` (a path or URL) is its own address."""
    if scheme_of(relative) or relative.startswith(("/", "~")):
        return relative
    return f"{base.rstrip('/')}/{check_path(relative)}"


def without_secrets(url: str) -> str:
    """Give the URL as it may be shown: no user, no password, no query (where signatures are), no fragment."""
    if not scheme_of(url) or is_local(url):
        return url
    parts = _split(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def has_secrets(url: str) -> bool:
    """Whether an address has a password, or a query, where signatures are."""
    if is_local(url):
        return False
    parts = _split(url)
    return parts.password is not None or bool(parts.query)


def check_roots(roots: Mapping[str, str]) -> None:
    """Check that no tier's root is, or lies in, another's; InvalidInputError names both.

    Parameters
    ----------
    roots
        Tier names and their absolute addresses. Local ones are compared where symbolic links lead to.
    """
    placed = sorted((_segments(url), name) for name, url in roots.items())
    for (outer, outer_name), (inner, inner_name) in pairwise(placed):
        if inner[: len(outer)] == outer:
            raise InvalidInputError(
                f"The root of tier {inner_name!r} ({without_secrets(roots[inner_name])}) lies in the root of tier "
                f"{outer_name!r} ({without_secrets(roots[outer_name])}): the roots of tiers may not nest.",
                hint="give every tier a folder of its own, side by side.",
                code=ErrorCode.INVALID_INPUT,
                context={"outer": outer_name, "inner": inner_name},
            )


def _segments(url: str) -> tuple[str, ...]:
    if is_local(url):
        return ("", *Path(local_path(url)).resolve().parts)
    parts = _split(url)
    scheme = _SAME_SCHEME.get(parts.scheme.lower(), parts.scheme.lower())
    host = parts.netloc.rpartition("@")[2]
    return (scheme, host, *(segment for segment in parts.path.split("/") if segment))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # it may have a password, so it is not shown
        raise InvalidInputError(
            f"What follows '{scheme_of(url)}://' is no address: {error}.", hint="s3://bucket/prefix"
        ) from error
