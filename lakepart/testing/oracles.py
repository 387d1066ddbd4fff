"""Judges that look at a lake by other means than the library does: plain files, boto3, the databases' own drivers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from fnmatch import fnmatch
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lakepart.catalog.locations import is_postgresql
from lakepart.lake import Lake
from lakepart.storage.addresses import is_s3

_AT_ONCE = 8  # objects that are read side by side
_CATALOG_FILES = {
    "catalog.db",
    "catalog.db-wal",
    "catalog.db-shm",
    "catalog.db-checkpoint.lock",
    "catalog.db-rebuild.lock",
}


def query_catalog(where: str | PathLike[str] | Lake, statement: str) -> list[tuple[Any, ...]]:
    """Ask the catalog of a lake, or of the local lake in a folder, without the library."""
    catalog = where._home.context.catalog if isinstance(where, Lake) else None
    if isinstance(catalog, str) and is_postgresql(catalog):
        return query_postgresql(catalog, statement)
    with closing(sqlite3.connect(f"file:{_folder_of(where) / 'catalog.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def query_postgresql(address: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the catalog at an address whose last parameter is the schema, without the library."""
    import psycopg

    plain, _, schema = address.partition("&schema=")
    with psycopg.connect(plain, autocommit=True, options=f"-c search_path={schema}") as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def files_of(where: str | PathLike[str] | Lake) -> dict[str, bytes]:
    """Give every file of a lake, or of what lies at an address of S3, with its bytes, except the catalog's.

    S3 is asked with the credentials and the endpoint that the environment names.
    """
    address = where.url if isinstance(where, Lake) else fspath(where)
    if is_s3(address):
        return _objects_of(address)
    root = Path(address)
    found = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in sorted(found.items()) if name not in _CATALOG_FILES}


def stray_files(where: str | PathLike[str] | Lake) -> set[str]:
    """Name the files of a lake that its catalog has no row for: what crashes leave behind."""
    files = set(files_of(where))
    return files - set(_explained(where, files))


def _objects_of(address: str) -> dict[str, bytes]:
    """Give every object below an address, and every upload that is under way: ``uploads/`` before its key."""
    import boto3

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    below = f"{prefix}/" if prefix else ""
    client = boto3.session.Session().client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=below)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        bodies = list(pool.map(lambda key: client.get_object(Bucket=bucket, Key=key)["Body"].read(), keys))
    begun = client.list_multipart_uploads(Bucket=bucket, Prefix=below).get("Uploads", ())
    found = dict(zip(keys, bodies, strict=True)) | {f"{below}uploads/{one['Key']}": b"" for one in begun}
    return {key.removeprefix(below): data for key, data in sorted(found.items())}


def _folder_of(where: str | PathLike[str] | Lake) -> Path:
    return Path(where.url if isinstance(where, Lake) else where)


def _explained(where: str | PathLike[str] | Lake, files: Iterable[str]) -> Iterator[str]:
    yield "_lakepart/lake.json"
    for (number,) in query_catalog(where, "SELECT snapshot FROM snapshot"):
        yield f"_lakepart/commits/{number:012d}.json"
    yield from (name for name in files if fnmatch(name, "_lakepart/commits/*.checkpoint.jsonl.gz"))
    for (number,) in query_catalog(where, "SELECT tag_id FROM tag"):
        yield f"_lakepart/tags/{number:012d}.json"
    for root, path in query_catalog(where, "SELECT root, path FROM copy JOIN tier ON tier.name = copy.tier"):
        yield f"{root}/{path}"
