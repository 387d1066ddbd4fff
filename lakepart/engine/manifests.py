"""Manifests: what a commit did, written beside the data so that a lost catalog can be rebuilt.

They follow the commit, never precede it. A manifest that could not be written is a warning, and a later commit
writes it: the catalog remembers which are missing. Every thousandth snapshot, a checkpoint says in one object what the
manifests of the thousand say, so that no commit waits longer the longer the history is. Where vacuum has forgotten a
version that one of the thousand ended, nobody could say any more when it ended, and none is written. But once in a
thousand snapshots vacuum itself writes one of all there are, without what it has forgotten. Of those the two newest are
kept, in case that one is damaged.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from lakepart.catalog.encoding import to_json
from lakepart.catalog.lookups import get_head
from lakepart.catalog.manifests import checkpoint_of, manifest_of, mark_manifested, unmanifested
from lakepart.engine.context import LakeContext
from lakepart.errors import AlreadyExistsError, LakepartError, NotFoundError
from lakepart.model.records import Commit
from lakepart.storage.base import Store

MANIFEST_FOLDER = "_lakepart/commits"
_OWN_FOLDER = "_lakepart/"
_ASIDE_FOLDER = f"{_OWN_FOLDER}set-aside"
_CHECKPOINT_SUFFIX = ".checkpoint.jsonl.gz"
_MANIFEST_SUFFIX = ".json"


_WRITTEN_WITHIN_US = 2_000_000
_KEPT = 2  # checkpoints that begin at the first snapshot


class Span(NamedTuple):
    """The snapshots, both ends included, that one manifest or checkpoint is of."""

    first: int
    last: int
    is_checkpoint: bool

    @property
    def path(self) -> str:
        """Where it is stored; zero-padded, so that names sort as numbers."""
        if self.is_checkpoint:
            return f"{MANIFEST_FOLDER}/{self.first:012d}-{self.last:012d}{_CHECKPOINT_SUFFIX}"
        return manifest_path(self.last)


def manifest_path(snapshot: int) -> str:
    """Name the manifest of a snapshot; zero-padded, so that names sort as numbers."""
    return f"{MANIFEST_FOLDER}/{snapshot:012d}{_MANIFEST_SUFFIX}"


def span_of(path: str) -> Span | None:
    """Say which snapshots an object of the manifests' folder is of; None where it is none of ours."""
    name = path.removeprefix(f"{MANIFEST_FOLDER}/")
    if name.endswith(_CHECKPOINT_SUFFIX):
        first, dash, last = name.removesuffix(_CHECKPOINT_SUFFIX).partition("-")
        found = Span(int(first), int(last), True) if dash and first.isdecimal() and last.isdecimal() else None
    else:
        number = name.removesuffix(_MANIFEST_SUFFIX)
        found = Span(int(number), int(number), False) if number.isdecimal() else None
    return found if found is not None and found.path == path and 1 <= found.first <= found.last else None


def list_spans(root: Store) -> list[Span]:
    """Give what manifests and checkpoints are stored, by name."""
    return [span for found in root.list(MANIFEST_FOLDER) if (span := span_of(found.path)) is not None]


def set_aside(root: Store, paths: Iterable[str], now: datetime) -> list[str]:
    """Move manifests and tags out of the way; gives where they have gone. Done again after a crash, it goes on."""
    moved = []
    for path in paths:
        try:
            content = root.read_bytes(path)
        except NotFoundError:  # vacuum may have deleted a superseded checkpoint by now
            continue
        aside = f"{_ASIDE_FOLDER}/{now:%Y%m%dT%H%M%S%f}/{path.removeprefix(_OWN_FOLDER)}"
        root.put_new(aside, content)
        root.delete(path)
        moved.append(aside)
    return moved


def due_checkpoint(snapshot: int, every: int) -> Span | None:
    """Say which snapshots the checkpoint at a snapshot is of; None where none is due."""
    return Span(snapshot - every + 1, snapshot, True) if snapshot and snapshot % every == 0 else None


def write_manifests(context: LakeContext, record: Commit | None = None) -> None:
    """Write the manifest of a commit just made, and those of writers that died; without a commit, all that are missing.

    A writer that committed a moment before is writing its own: to write it as well would cost each of many writers
    what all of them do.
    """
    with context.database.reading() as connection:
        if record is None:
            missing = unmanifested(connection)
        else:
            missing = unmanifested(connection, own=record.snapshot, before_us=record.at_us - _WRITTEN_WITHIN_US)
        manifests = {snapshot: manifest_of(connection, snapshot) for snapshot in missing}
    settled = []
    for snapshot, manifest in manifests.items():
        try:
            _put_manifest(context, snapshot, manifest)
        except AlreadyExistsError:
            _warn(
                f"Snapshot {snapshot} is committed, but {manifest_path(snapshot)!r} holds something else, so a lost "
                "catalog could not be rebuilt. check() says what it is; check(fix=True) sets it aside."
            )
            continue
        except LakepartError as error:
            _warn(f"Snapshot {snapshot} is committed, but its manifest is not written yet: {error}")
            continue
        settled.append(snapshot)
    if settled:
        try:
            mark_manifested(context.database, settled)
        except LakepartError as error:
            _warn(f"The manifests of {settled} are written, but the catalog could not note it: {error}")
    for snapshot in manifests:
        due = due_checkpoint(snapshot, context.checkpoint_every)
        if due is not None:
            try:
                write_checkpoint(context, due)
            except LakepartError as error:  # the manifests say the same, and a later checkpoint will
                _warn(f"Snapshot {snapshot} is committed, but its checkpoint could not be written: {error}")


def write_checkpoint(context: LakeContext, span: Span) -> None:
    """Write one checkpoint, if the catalog still knows all of it; one that is there already is left as it is."""
    with context.database.reading() as connection, suppress(AlreadyExistsError):
        if not _is_known(span, get_head(connection).horizon):
            return
        with (
            context.root.open_new(span.path, whole=True) as sink,
            gzip.GzipFile(fileobj=sink, mode="wb", filename="", compresslevel=6, mtime=0) as packed,
        ):
            for line in _lines(checkpoint_of(connection, span.first, span.last)):
                packed.write(line)
        context.root.make_durable([span.path])


def _is_known(span: Span, horizon: int) -> bool:
    """Say whether the catalog knows all that a checkpoint must say, of what follows it, too.

    Every version that was forgotten has ended by ``horizon``. Those that the span ended must be there; of a span from
    the first snapshot on, those that were current at its end, for manifests after it tell of them and of their files.
    """
    return horizon <= span.last if span.first == 1 else horizon < span.first


def renew_checkpoint(context: LakeContext) -> None:
    """Write a checkpoint of all snapshots, if the last is of a thousand before, and delete what it supersedes."""
    with context.database.reading() as connection:
        whole = Span(1, get_head(connection).snapshot, True)
    if whole.last < context.checkpoint_every:
        return
    last = max((one.last for one in _list_checkpoints(context.root) if one.first == 1), default=0)
    if whole.last // context.checkpoint_every == last // context.checkpoint_every:
        return
    try:
        write_checkpoint(context, whole)
    except LakepartError as error:
        _warn(f"The checkpoint of all snapshots up to {whole.last} could not be written: {error}")
        return
    checkpoints = _list_checkpoints(context.root)
    kept = [one for one in checkpoints if one.first == 1][-_KEPT:]
    for one in checkpoints:
        if kept and one.last <= kept[0].last and one not in kept:
            context.root.delete(one.path)


def _list_checkpoints(root: Store) -> list[Span]:
    return [span for span in list_spans(root) if span.is_checkpoint]


def _lines(records: Iterator[tuple[str, Any]]) -> Iterator[bytes]:
    """Write ``[what, value]`` a line; a last line counts them, so that a cut checkpoint is known to be cut."""
    count = 0
    for record in records:
        count += 1
        yield _to_bytes(record) + b"\n"
    yield _to_bytes(["end", count]) + b"\n"


def _put_manifest(context: LakeContext, snapshot: int, manifest: dict[str, Any]) -> None:
    path = manifest_path(snapshot)
    try:
        context.root.put_new(path, _signed(manifest))
    except AlreadyExistsError:
        # another process may have written it at another moment: what was declared since would differ, not the commit
        if not _is_of(context, path, manifest):
            raise


def _signed(manifest: Mapping[str, Any]) -> bytes:
    """Write a manifest with its digest, which comes last: so its text is made once."""
    text = _to_bytes(manifest)
    return b'%b,"digest":"%b"}' % (text[:-1], hashlib.sha256(text).hexdigest().encode())


def digest_of(manifest: Mapping[str, Any]) -> str:
    """Compute what a manifest carries as ``digest``: SHA-256 of all the rest of it, keys sorted, without spaces."""
    return hashlib.sha256(_to_bytes({name: manifest[name] for name in manifest if name != "digest"})).hexdigest()


def _is_of(context: LakeContext, path: str, manifest: dict[str, Any]) -> bool:
    try:
        found = json.loads(context.root.read_bytes(path))
        return bool(found["lake_id"] == manifest["lake_id"] and found["snapshot"] == manifest["snapshot"])
    except (ValueError, TypeError, KeyError):
        return False


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=4)


def _to_bytes(value: Any) -> bytes:
    return to_json(value).encode()
