"""Copy a file from one store to another so that only proven bytes ever stand at the target, and prove stored ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import BinaryIO

from lakepart.errors import AlreadyExistsError, CorruptionError, StorageError
from lakepart.storage.base import Sink, Store
from lakepart.storage.failures import translated

CHUNK_BYTES = 1 << 20  # small enough to stay in a processor's cache between reading, hashing and writing


def copy_file(
    source_store: Store,
    source_path: str,
    target_store: Store,
    target_path: str,
    *,
    expected_checksum: str,
    chunk: int = CHUNK_BYTES,
) -> None:
    """Copy one object, create-only; afterwards the target's bytes are durable, and were read back and proven.

    Safe to call again after a crash or a lost answer: a target with the right bytes is accepted as it is. The name is
    durable after the caller's ``target_store.make_durable``.

    Parameters
    ----------
    source_store, source_path
        What to copy.
    target_store, target_path
        Where to; the path appears only with all its bytes, and with proven ones.
    expected_checksum
        SHA-256 (hex) that the source's bytes must have.
    chunk
        Bytes held in memory at a time.

    Raises
    ------
    NotFoundError
        If there is no source.
    CorruptionError
        If the source's bytes do not have the checksum, and the target stays absent; or if the target does not keep
        what it is given. The message names the one that is to blame.
    StorageError
        If the target holds other bytes already, which are left alone.

    Notes
    -----
    Bytes are hashed once, as they are stored, before the path appears. Where they are stored by being sent
    (:attr:`lakepart.storage.base.Sink.stores_at_once`), they are hashed as they pass and once more afterwards.
    """
    try:
        with target_store.open_new(target_path, whole=True) as target, source_store.open_read(source_path) as source:
            if target.stores_at_once:
                _copy_bytes(source, source_path, target, chunk)
                with target.read_back() as taken:
                    arrived = _digest(taken, target_path, chunk)
            else:
                arrived = _digest(source, source_path, chunk, also=target.write)
            if arrived != expected_checksum:
                _require_undamaged(source, source_path, expected_checksum, chunk)
                raise _not_kept(target_path, arrived, expected_checksum)
    except AlreadyExistsError:
        _require_equal(target_store, target_path, expected_checksum)
        return
    if not target.stores_at_once:
        arrived = checksum(target_store, target_path)
        if arrived != expected_checksum:
            raise _not_kept(target_path, arrived, expected_checksum)


def checksum(store: Store, path: str) -> str:
    """Compute the SHA-256 (hex) of an object's bytes; NotFoundError if there is none. Memory stays flat."""
    with store.open_read(path) as file:
        return _digest(file, path, CHUNK_BYTES)


def require_checksum(store: Store, path: str, expected: str) -> None:
    """Read an object and compare its SHA-256 (hex).

    Raises
    ------
    NotFoundError
        There is none.
    CorruptionError
        Its bytes are others; it is named.
    """
    with store.open_read(path) as file:
        _require_undamaged(file, path, expected, CHUNK_BYTES)


def _copy_bytes(source: BinaryIO, path: str, target: Sink, chunk: int) -> None:
    while True:
        with translated("read", path):
            data = source.read(chunk)
        if not data:
            return
        target.write(data)


def _digest(file: BinaryIO, path: str, chunk: int, *, also: Callable[[bytes], object] = len) -> str:
    digest = hashlib.sha256()
    while True:
        with translated("read", path):
            data = file.read(chunk)
        if not data:
            return digest.hexdigest()
        digest.update(data)
        also(data)


def _require_equal(store: Store, path: str, expected: str) -> None:
    stands = checksum(store, path)
    if stands != expected:
        raise StorageError(
            f"{path!r} is taken at the target by other bytes: their SHA-256 is {stands}, the copy's would be "
            f"{expected}. They were left alone.",
            hint="check names files that belong to no partition; move this one away and start again.",
            context={"path": path, "checksum": stands, "expected_checksum": expected},
        )


def _require_undamaged(source: BinaryIO, path: str, expected: str, chunk: int) -> None:
    with translated("read", path):
        source.seek(0)
    found = _digest(source, path, chunk)
    if found != expected:
        raise CorruptionError(
            f"{path!r} does not have the bytes that were written: its SHA-256 is {found}, the catalog says {expected}.",
            hint="restore the file from a backup or write its partition again; check names all damaged files.",
            context={"path": path, "checksum": found, "expected_checksum": expected},
        )


def _not_kept(path: str, found: str, expected: str) -> CorruptionError:
    return CorruptionError(
        f"The copy at {path!r} has other bytes than the file it was made from: its SHA-256 is {found}, "
        f"it was given {expected}.",
        hint="the target's storage does not keep what it is given: do not use it as a tier. The source is unharmed.",
        context={"path": path, "checksum": found, "expected_checksum": expected},
    )
