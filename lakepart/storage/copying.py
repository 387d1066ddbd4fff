"""Copy a file from one store to another so that only proven bytes ever stand at the target, and prove stored ones."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from lakepart.errors import AlreadyExistsError, CorruptionError, StorageError
from lakepart.storage.base import Sink, Store, StoredObject
from lakepart.storage.failures import translated

CHUNK_BYTES = 8 << 20


def copy_file(
    source_store: Store,
    source_path: str,
    target_store: Store,
    target_path: str,
    *,
    expected_checksum: str,
    chunk: int = CHUNK_BYTES,
) -> StoredObject:
    """Copy one object, create-only, and give the target once its bytes are durable and proven.

    Safe to call again after a crash or a lost answer: a target with the right bytes is accepted as it is. The name is
    durable after the caller's ``target_store.make_durable``.

    Parameters
    ----------
    source_store, source_path
        What to copy.
    target_store, target_path
        Where to; the path appears only with all its bytes.
    expected_checksum
        SHA-256 (hex) that the source's bytes must have.
    chunk
        Bytes held in memory at a time.

    Raises
    ------
    NotFoundError
        If there is no source.
    CorruptionError
        If the source's bytes do not have the checksum; the target stays absent.
    StorageError
        If the target holds other bytes already, which are left alone.
    """
    found = target_store.stat(target_path)
    if found is not None:
        return _accept(found, target_store, expected_checksum)
    with source_store.open_read(source_path) as source:
        try:
            with target_store.open_new(target_path, whole=True) as target:
                copied = _digest(source, source_path, chunk, target)
                if copied != expected_checksum:
                    raise _damaged(source_path, copied, expected_checksum)
                size_bytes = target.tell()
        except AlreadyExistsError:
            found = target_store.stat(target_path)
            if found is None:
                raise
            return _accept(found, target_store, expected_checksum)
    stored = target_store.stat(target_path)
    if stored is None or stored.size_bytes != size_bytes:
        raise StorageError(
            f"The copy of {source_path!r} at {target_path!r} has {stored.size_bytes if stored else 'no'} bytes, "
            f"{size_bytes} were accepted.",
            hint="the store does not keep what it accepts; do not use it as a tier.",
            context={"path": target_path},
        )
    return stored


def checksum(store: Store, path: str) -> str:
    """Compute the SHA-256 (hex) of an object's bytes; NotFoundError if there is none. Memory stays flat."""
    with store.open_read(path) as file:
        return _digest(file, path, CHUNK_BYTES)


def _accept(found: StoredObject, store: Store, expected_checksum: str) -> StoredObject:
    stands = checksum(store, found.path)
    if stands == expected_checksum:
        return found
    raise StorageError(
        f"{found.path!r} is taken at the target by other bytes: their SHA-256 is {stands}, the copy's would be "
        f"{expected_checksum}. They were left alone.",
        hint="check names files that belong to no partition; move this one away and start again.",
        context={"path": found.path, "checksum": stands, "expected_checksum": expected_checksum},
    )


def _digest(source: BinaryIO, path: str, chunk: int, target: Sink | None = None) -> str:
    """Hash ``source`` to its end, and write it to ``target`` on the way."""
    digest = hashlib.sha256()
    while True:
        with translated("read", path):
            data = source.read(chunk)
        if not data:
            return digest.hexdigest()
        digest.update(data)
        if target is not None:
            target.write(data)


def _damaged(path: str, found: str, expected: str) -> CorruptionError:
    return CorruptionError(
        f"{path!r} does not have the bytes that were written: its SHA-256 is {found}, the catalog says {expected}.",
        hint="restore the file from a backup or write its partition again; check names all damaged files.",
        context={"path": path, "checksum": found, "expected_checksum": expected},
    )
