"""Mending what a check has found, where that is safe: done again, or after a crash, it goes on.

Nothing is mended that needs a decision: what only one place holds and lost, what others may still be at work on, and
what is not ours. Damaged bytes go only where whole ones are proven to lie elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from lakepart.catalog import moves, upkeep
from lakepart.catalog.database import Connection
from lakepart.catalog.intents import expire_intents
from lakepart.catalog.lookups import get_head
from lakepart.catalog.manifests import unmanifested
from lakepart.catalog.tags import list_unnoted
from lakepart.engine.check import Finding
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.deleting import delete_copies, granted_until
from lakepart.engine.manifests import Span, list_spans, set_aside, span_of, write_checkpoint, write_manifests
from lakepart.engine.move import finish_interrupted
from lakepart.engine.tags import settle_tags, tag_id_of, write_again
from lakepart.errors import NotFoundError, OfflineDataError, StorageError
from lakepart.model.catalog_records import CopyRecord, CopyState
from lakepart.storage.copying import checksum

_DEAD_AFTER_US = 3_600_000_000  # writers that were silent for an hour; five minutes is a machine asleep
_THREADS = 8  # they wait for the store
Subjects = Sequence[str]


def mend(context: LakeContext, findings: Sequence[Finding]) -> list[Finding]:
    """Mend what is safe to mend; gives all findings, those that are mended marked so."""
    require_writable(context, View(), "mend the lake")
    mended: set[tuple[str, str]] = set()
    for kinds, act in _MENDS.items():
        subjects = [finding.subject for finding in findings if finding.kind in kinds]
        if subjects:
            done = act(context, subjects)
            mended |= {(kind, subject) for kind in kinds for subject in done}
    return [replace(one, fixed=(one.kind, one.subject) in mended) for one in findings]


def _finish_moves(context: LakeContext, subjects: Subjects) -> set[str]:
    finish_interrupted(context)
    with context.database.reading() as connection:
        still_open = {str(move.move_id) for move in moves.open_moves(connection)}
    return set(subjects) - still_open


def _finish_deletions(context: LakeContext, subjects: Subjects) -> set[str]:
    wanted, until = set(subjects), granted_until(context)
    with context.database.reading() as connection:
        dead_before_us = _dead_before_us(context, connection)
        found = upkeep.list_deletable(connection, dead_before_us)
    half_deleted = [copy for copy in found if copy.state is CopyState.DELETING and _subject(copy) in wanted]
    granted = upkeep.begin_deletion(context.database, half_deleted, retired_before_us=dead_before_us)
    return _delete(context, granted, until)


def _give_up_damaged_copies(context: LakeContext, subjects: Subjects) -> set[str]:
    """Let readers open another copy that is whole, where a tier still has one, and drop spare ones that are damaged."""
    done, wanted = set[str](), set(subjects)
    bad = [copy for copy in upkeep.iter_copies(context.database) if copy.owned and _subject(copy) in wanted]
    read_by_nobody = {copy.file_id for copy in bad if copy.state is CopyState.LIVE}  # what is left of these is kept
    for copy in bad:
        is_live = copy.state is CopyState.LIVE
        instead = _whole_copy(context, copy) if is_live else None
        if (instead is None) == is_live or (not is_live and copy.file_id in read_by_nobody):
            continue
        until = granted_until(context)
        if upkeep.give_up_copy(context.database, copy, instead):
            done |= _delete(context, [copy], until)
    return done


def _whole_copy(context: LakeContext, bad: CopyRecord) -> CopyRecord | None:
    with context.database.reading() as connection:
        copies = upkeep.copies_of_files(connection, [bad.file_id])
    for copy in copies:
        if copy.state is CopyState.RETIRED and copy.tier != bad.tier:
            try:
                if checksum(context.stores[copy.tier], copy.path) == copy.checksum:
                    return copy
            except (
                NotFoundError,
                OfflineDataError,
                StorageError,
            ):  # one that cannot be read now may be whole all the same
                continue
    return None


def _delete(context: LakeContext, granted: Sequence[CopyRecord], until: datetime) -> set[str]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-mend") as pool:
        return {_subject(copy) for copy in delete_copies(context, granted, pool, until)}


def _expire_silent_writers(context: LakeContext, subjects: Subjects) -> set[str]:
    with context.database.reading() as connection:
        dead_before_us = _dead_before_us(context, connection)
    expired = expire_intents(context.database, dead_before_us)
    return set(expired) & set(subjects)


def _tell_tags(context: LakeContext, subjects: Subjects) -> set[str]:
    settle_tags(context)
    with context.database.reading() as connection:
        return set(subjects) - {tag.name for tag, _ in list_unnoted(connection)}


def _write_tags_again(context: LakeContext, subjects: Subjects) -> set[str]:
    for path in subjects:
        write_again(context, tag_id_of(path))
    return set(subjects)


def _write_manifests(context: LakeContext, subjects: Subjects) -> set[str]:
    """Write manifests that are not there; in the place of lost ones, a checkpoint of all up to now.

    What vacuum has forgotten meanwhile is left out of one manifest as little as of the next, so a lost one cannot be
    written alone. Damaged ones, and those of other commits, are set aside, not deleted.
    """
    set_aside(context.root, [path for path in subjects if span_of(path) is not None], context.clock())
    write_manifests(context)
    gap = _first_gap(context)
    if gap is not None:
        write_checkpoint(context, gap)
    left = _first_gap(context)
    return set() if left is not None else set(subjects)


def _first_gap(context: LakeContext) -> Span | None:
    with context.database.reading() as connection:
        under_way = set(unmanifested(connection))
        newest = get_head(connection).snapshot
    covered = {number for span in list_spans(context.root) for number in range(span.first, span.last + 1)}
    for number in range(1, newest + 1):
        if number not in covered and number not in under_way:
            return Span(1, newest, True)
    return None


def _dead_before_us(context: LakeContext, connection: Connection) -> int:
    return context.database.earliest_us(connection) - _DEAD_AFTER_US


def _subject(copy: CopyRecord) -> str:
    return f"{copy.tier}:{copy.path}"


_DAMAGED_COPIES = ("missing-file", "size-mismatch", "checksum-mismatch", "footer-mismatch")
_MENDS: Mapping[tuple[str, ...], Callable[[LakeContext, Subjects], set[str]]] = {
    ("interrupted-move",): _finish_moves,
    ("half-deleted-file",): _finish_deletions,
    _DAMAGED_COPIES: _give_up_damaged_copies,
    ("silent-writer",): _expire_silent_writers,
    ("unwritten-tag",): _tell_tags,
    ("damaged-tag",): _write_tags_again,
    ("damaged-manifest", "other-manifest", "unwritten-manifest", "missing-manifest"): _write_manifests,
}
