"""Manifests: what a commit did, written beside the data so that a lost catalog can be rebuilt.

They follow the commit, never precede it. A manifest that could not be written is a warning, and the next commit
writes it: the catalog remembers which are missing.
"""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from typing import Any

from lakepart.catalog.manifests import manifest_of, mark_manifested, unmanifested
from lakepart.engine.context import LakeContext
from lakepart.errors import AlreadyExistsError, StorageError

MANIFEST_FOLDER = "_lakepart/commits"


def manifest_path(snapshot: int) -> str:
    """Name the manifest of a snapshot; zero-padded, so that names sort as numbers."""
    return f"{MANIFEST_FOLDER}/{snapshot:012d}.json"


def write_manifests(context: LakeContext) -> None:
    """Write every manifest the catalog shows missing, this commit's and those of writers that died."""
    with context.database.reading() as connection:
        manifests = {snapshot: manifest_of(connection, snapshot) for snapshot in unmanifested(connection)}
    written = []
    try:
        for snapshot, manifest in manifests.items():
            with suppress(AlreadyExistsError):  # another writer's, from when the asset's options were others
                context.root.put_new(manifest_path(snapshot), _to_bytes(manifest))
            written.append(snapshot)
    except StorageError as error:
        warnings.warn(
            f"Snapshot {snapshot} is committed, but its manifest is not written yet: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
    if written:
        mark_manifested(context.database, written)


def _to_bytes(manifest: dict[str, Any]) -> bytes:
    # the same manifest must give the same bytes: another process may be writing it at this moment
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
