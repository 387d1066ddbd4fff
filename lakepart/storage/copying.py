"""Copy a file from one store to another and prove that the copy has the bytes it should; prove stored ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

from lakepart.errors import (
    AlreadyExistsError,
    CorruptionError,
    LakepartError,
    NotFoundError,
    OfflineDataError,
    StorageError,
)
from lakepart.storage.base import OnBytes, Sink, Store, StoredChecksum
from lakepart.storage.failures import translated

CHUNK_BYTES = 1 << 20  # small enough to stay in a processor's cache between reading, hashing and writing


def _ignore(_: int) -> None:
    return None


def copy_file(
    source_store: Store,
    source_path: str,
    target_store: Store,
    target_path: str,
    *,
    expected_checksum: str,
    chunk: int = CHUNK_BYTES,
    pace: OnBytes = _ignore,
    on_bytes: OnBytes = _ignore,
) -> None:
    """Copy one object, create-only; afterwards the target's bytes are durable and proven.

    Safe to call again after a crash or a lost answer: a target with the right bytes is accepted as it is. The name is
    durable after the caller's ``target_store.make_durable``.

    Parameters
    ----------
    source_store, source_path
        What to copy.
    target_store, target_path
        Where to: a path that nothing refers to yet. It appears only with all its bytes; where they are stored at
        once, only with proven ones. Otherwise it is proven when it is there, and deleted if that fails.
    expected_checksum
        SHA-256 (hex) that the source's bytes must have.
    chunk
        Bytes held in memory at a time.
    pace
        Called with the bytes that are about to come by here, to wait if there are too many; also with those that
        are read to prove others. What a store copies by itself does not come by.
    on_bytes
        Called with the bytes copied since it was last called. What either raises gives the copy up.

    Raises
    ------
    NotFoundError
        If there is no source.
    OfflineDataError
        If the source must be restored first.
    CorruptionError
        If the source's bytes do not have the checksum; or if the target does not keep what it is given. The message
        names the one that is to blame. The target is absent.
    StorageError
        If the target holds other bytes already, which are left alone; or if it cannot be proven: it must be restored
        before it can be read, and its store keeps no checksum of it. Then it is absent again.

    Notes
    -----
    Where both stores are of one S3, it copies by itself. Else bytes are hashed as they pass, or as they are stored
    where they are stored at once, before the path appears. What was sent is proven by the SHA-256 that the store
    computed and keeps (:meth:`~lakepart.storage.base.Store.stored_checksum`), which needs no byte back; of an object
    that it copied in parts, by that of the source's bytes, cut alike and read once; and where it keeps none or says
    otherwise, by reading the copy. ETags prove nothing.
    """
    _Copy(source_store, source_path, target_store, target_path, expected_checksum, chunk, pace, on_bytes).make()


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


@dataclass(frozen=True, slots=True)
class _Copy:
    source_store: Store
    source_path: str
    target_store: Store
    target_path: str
    expected: str
    chunk: int
    pace: OnBytes
    on_bytes: OnBytes

    def make(self) -> None:
        try:
            copied = self.target_store.copy_from(
                self.source_store, self.source_path, self.target_path, on_bytes=self.on_bytes
            )
            target = None if copied else self._pass_through()
        except AlreadyExistsError:
            self._require_equal()
            return
        if target is None or not target.stores_at_once:
            self._prove(None if target is None else target.checksum)

    def _pass_through(self) -> Sink:
        with (
            self.target_store.open_new(self.target_path, whole=True) as target,
            self.source_store.open_read(self.source_path) as source,
        ):
            if target.stores_at_once:
                for data in self._chunks(source, self.source_path):
                    target.write(data)
                    self.on_bytes(len(data))
                with target.read_back() as taken:  # no byte comes from elsewhere, so nothing is paced
                    arrived = _digest(taken, self.target_path, self.chunk)
            else:
                digest = hashlib.sha256()
                for data in self._chunks(source, self.source_path):
                    digest.update(data)
                    target.write(data)
                    self.on_bytes(len(data))
                arrived = digest.hexdigest()
            if arrived != self.expected:
                _require_undamaged(source, self.source_path, self.expected, self.chunk)
                raise _not_kept(self.target_path, arrived, self.expected)
        return target

    def _prove(self, sent: StoredChecksum | None) -> None:
        """Prove what we have just made, or take it away again."""
        try:
            found = self._found_instead(sent)
        except OfflineDataError as error:
            self._discard()
            raise _unproven(self.target_path, "It was deleted again, and the source is unharmed.") from error
        if found is None:
            return
        self._discard()
        with (
            suppress(NotFoundError, OfflineDataError),
            self.source_store.open_read(self.source_path) as source,
        ):
            _require_undamaged(source, self.source_path, self.expected, self.chunk)
        raise _not_kept(self.target_path, found, self.expected)

    def _require_equal(self) -> None:
        """Accept what stands already if it is an earlier copy; whoever made it, it is not ours to delete."""
        try:
            found = self._found_instead(None)
        except OfflineDataError as error:
            raise _unproven(self.target_path, "It stood there already and was left alone.") from error
        if found is not None:
            raise StorageError(
                f"{self.target_path!r} is taken at the target by other bytes: their SHA-256 is {found}, the copy's "
                f"would be {self.expected}. They were left alone.",
                hint="check names files that belong to no partition; move this one away and start again.",
                context={"path": self.target_path, "checksum": found, "expected_checksum": self.expected},
            )

    def _found_instead(self, sent: StoredChecksum | None) -> str | None:
        """Give the SHA-256 that the target has instead of the expected one; None if it has that.

        Raises OfflineDataError where only the bytes can tell, and they cannot be read.
        """
        stored = self.target_store.stored_checksum(self.target_path)
        if stored in (StoredChecksum(self.expected), sent) and stored is not None:
            return None
        if stored is not None and stored.part_sizes and sent is None:
            with suppress(NotFoundError, OfflineDataError):  # without its source, the copy must speak for itself
                whole, in_parts = self._digest_source(stored.part_sizes)
                if in_parts == stored.sha256:
                    return None if whole == self.expected else whole
        try:
            with self.target_store.open_read(self.target_path) as target:
                found = _digest(target, self.target_path, self.chunk, self.pace)
        except OfflineDataError:
            if stored is None or stored.part_sizes:
                raise
            return stored.sha256
        return None if found == self.expected else found

    def _digest_source(self, part_sizes: Sequence[int]) -> tuple[str, str]:
        """Compute the SHA-256 of the source, and that of the SHA-256s of its parts, in one reading."""
        whole, of_parts = hashlib.sha256(), hashlib.sha256()
        with self.source_store.open_read(self.source_path) as source:
            for size_bytes in part_sizes:
                part = hashlib.sha256()
                for data in self._chunks(source, self.source_path, size_bytes):
                    whole.update(data)
                    part.update(data)
                of_parts.update(part.digest())
        return whole.hexdigest(), of_parts.hexdigest()

    def _chunks(self, file: BinaryIO, path: str, most: int | None = None) -> Iterator[bytes]:
        return _chunks(file, path, self.chunk, self.pace, most)

    def _discard(self) -> None:
        with suppress(LakepartError):  # the error under way says more; `check` names what is left over
            self.target_store.delete(self.target_path)


def _chunks(file: BinaryIO, path: str, chunk: int, pace: OnBytes = _ignore, most: int | None = None) -> Iterator[bytes]:
    """Read on, to the end or ``most`` bytes further, waiting for one's turn first."""
    while size := chunk if most is None else min(chunk, most):
        with translated("read", path):
            data = file.read(size)
        if not data:
            return
        pace(len(data))
        yield data
        if most is not None:
            most -= len(data)


def _digest(file: BinaryIO, path: str, chunk: int, pace: OnBytes = _ignore) -> str:
    digest = hashlib.sha256()
    for data in _chunks(file, path, chunk, pace):
        digest.update(data)
    return digest.hexdigest()


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


def _unproven(path: str, what_became: str) -> StorageError:
    return StorageError(
        f"The copy at {path!r} cannot be proven: it must be restored before it can be read, and its store keeps no "
        f"SHA-256 of it that fits. {what_became}",
        hint="give the tier a class that can be read at once, such as GLACIER_IR.",
        context={"path": path},
    )
