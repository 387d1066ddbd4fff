"""Manifests: what a commit did, written beside the data so that a lost catalog can be rebuilt.

They follow the commit, never precede it. A manifest that could not be written is a warning, and the next commit
writes it: the catalog remembers which are missing.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

from lakepart.catalog.manifests import manifest_of, mark_manifested, unmanifested
from lakepart.engine.context import LakeContext
from lakepart.errors import AlreadyExistsError, LakepartError

MANIFEST_FOLDER = "_lakepart/commits"


def manifest_path(snapshot: int) -> str:
    """Name the manifest of a snapshot; zero-padded, so that names sort as numbers."""
    return f"{MANIFEST_FOLDER}/{snapshot:012d}.json"


def write_manifests(context: LakeContext) -> None:
    """Write every manifest the catalog shows missing, this commit's and those of writers that died."""
    with context.database.reading() as connection:
        manifests = {snapshot: manifest_of(connection, snapshot) for snapshot in unmanifested(connection)}
    settled = []
    for snapshot, manifest in manifests.items():
        try:
            context.root.put_new(manifest_path(snapshot), _to_bytes(manifest))
        except AlreadyExistsError as error:  # not tried again: the next try would find the same
            _warn(f"Snapshot {snapshot} is committed, but {manifest_path(snapshot)!r} holds something else: {error}")
        except LakepartError as error:
            _warn(f"Snapshot {snapshot} is committed, but its manifest is not written yet: {error}")
            continue
        settled.append(snapshot)
    if settled:
        try:
            mark_manifested(context.database, settled)
        except LakepartError as error:
            _warn(f"The manifests of {settled} are written, but the catalog could not note it: {error}")


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)


def _to_bytes(manifest: dict[str, Any]) -> bytes:
    # the same manifest must give the same bytes: another process may be writing it at this moment
    return json.dumps(manifest, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
