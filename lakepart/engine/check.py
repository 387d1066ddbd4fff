"""Check: the catalog compared with what is stored, both ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from lakepart.catalog import campaigns, moves, upkeep
from lakepart.catalog.alterations import find_altered
from lakepart.catalog.intents import list_intents
from lakepart.catalog.lookups import commit_tokens
from lakepart.catalog.manifests import unmanifested
from lakepart.catalog.soundness import find_unsound
from lakepart.catalog.tags import list_unnoted
from lakepart.engine.context import LakeContext
from lakepart.engine.leftovers import Leftover, LeftoverKind, find_leftovers, find_own_leftovers
from lakepart.engine.manifest_reading import Told, judge_span, records_of_span
from lakepart.engine.manifests import Span, list_spans
from lakepart.engine.processes import is_alive
from lakepart.engine.read import stored_file
from lakepart.engine.schemas import schemas_by_id
from lakepart.engine.tags import find_damaged, tag_path
from lakepart.errors import CatalogError, CorruptionError, NotFoundError
from lakepart.model.archives import ARCHIVE_CLASSES
from lakepart.model.batches import in_batches
from lakepart.model.catalog_records import CopyRecord, CopyState
from lakepart.model.instants import from_microseconds
from lakepart.model.plans import count_of, list_some
from lakepart.model.states import BackfillState
from lakepart.parquet.reading import read_footer
from lakepart.parquet.schemas import identifiers_of, plain
from lakepart.storage.base import Store, StoredObject
from lakepart.storage.copying import checksum

SILENT_AFTER = timedelta(minutes=5)

_AT_ONCE = 1000
_THREADS = 8  # they wait for the store, or hash outside the interpreter's lock

DAMAGE = "damage"
LEFTOVER = "leftover"
NOTICE = "notice"

_UNREAD = "unread-files"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    kind
        ``missing-file``, ``size-mismatch``, ``checksum-mismatch``, ``footer-mismatch``, ``unsound-catalog``,
        ``altered-row`` (damage);
        ``abandoned-file``, ``temporary-file``, ``half-deleted-file``, ``silent-writer``, ``interrupted-move``,
        ``interrupted-backfill``, ``unwritten-manifest``, ``missing-manifest``, ``damaged-manifest``,
        ``other-manifest``, ``stray-manifest``, ``unwritten-tag``, ``damaged-tag`` (leftovers); ``foreign-file``,
        ``archived-file``, ``unread-files`` (notices).
    severity
        ``damage``: data is lost or changed. ``leftover``: harmless, cleared by vacuum or by the next run.
        ``notice``: for your information.
    subject
        What it concerns: ``tier:path``, a snapshot, a writer, a backfill.
    text
        The finding as a sentence.
    fixed
        Whether it was mended, which only ``check(fix=True)`` does.
    """

    kind: str
    severity: str
    subject: str
    text: str
    fixed: bool = False

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}{' It is mended.' if self.fixed else ''}"


def check_lake(context: LakeContext, *, checksums: bool, footers: bool) -> list[Finding]:
    """Compare both ways; damage first."""
    findings = [
        *_check_tiers(context, checksums=checksums, footers=footers),
        *_check_rows(context, checksums=checksums),
        *_check_manifests(context, checksums=checksums),
        *_check_tags(context, checksums=checksums),
        *_check_work(context),
    ]
    order = {DAMAGE: 0, LEFTOVER: 1, NOTICE: 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _check_tiers(context: LakeContext, *, checksums: bool, footers: bool) -> Iterator[Finding]:
    stored = {tier: {found.path: found for found in store.list()} for tier, store in context.stores.items()}
    judge = partial(_judge, context, stored, checksums=checksums, footers=footers)
    unread: dict[str, list[str]] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-check") as pool:
        for some in in_batches(upkeep.iter_copies(context.database), _AT_ONCE):
            suspects = [pair for pair in zip(some, pool.map(judge, some), strict=True) if pair[1] is not None]
            for finding in _confirmed(context, suspects):
                if finding.kind == _UNREAD:
                    tier, _, path = finding.subject.partition(":")
                    unread.setdefault(tier, []).append(path)
                else:
                    yield finding
    for tier, paths in unread.items():
        text = f"{count_of(len(paths), 'file')} on {tier} must be restored before they can be read, so their bytes "
        yield Finding(_UNREAD, NOTICE, tier, f"{text}were not compared: {list_some(paths, 3)}.")
    for tier, found in stored.items():
        for left in find_leftovers(context, tier, found.values()):
            if context.stores[tier].stat(left.stored.path) is not None:  # its writer may have taken it back by now
                yield _leftover(left)
    for left in find_own_leftovers(context):
        yield _leftover(left)


def _leftover(left: Leftover) -> Finding:
    subject = f"{left.tier}:{left.stored.path}"
    if left.kind is LeftoverKind.FOREIGN:
        return Finding(left.kind.value, NOTICE, subject, f"{subject} was not written by lakepart.")
    return Finding(left.kind.value, LEFTOVER, subject, f"{subject} belongs to no version; vacuum deletes it.")


def _judge(
    context: LakeContext,
    stored: Mapping[str, Mapping[str, StoredObject]],
    copy: CopyRecord,
    *,
    checksums: bool,
    footers: bool,
) -> Finding | None:
    """Say what is wrong with one copy, by the listing and, on request, by its bytes."""
    subject, store = f"{copy.tier}:{copy.path}", context.stores[copy.tier]
    if copy.state is CopyState.DELETING:
        return Finding("half-deleted-file", LEFTOVER, subject, f"{subject} is half deleted; vacuum finishes it.")
    # what was written after the listing is not in it
    found = stored[copy.tier].get(copy.path) or store.stat(copy.path)
    if found is None:
        return Finding("missing-file", DAMAGE, subject, f"{subject} is gone ({count_of(copy.row_count, 'row')}).")
    if found.size_bytes != copy.size_bytes:
        text = f"{subject} has {found.size_bytes:,} bytes, and {copy.size_bytes:,} were written."
        return Finding("size-mismatch", DAMAGE, subject, text)
    archived = f"{subject} lies in {found.storage_class}"
    if (checksums or footers) and not _is_readable(store, found):
        return Finding(_UNREAD, NOTICE, subject, f"{archived} and must be restored before it can be read.")
    try:
        if checksums and checksum(store, copy.path) != copy.checksum:
            text = f"{subject} does not hold the bytes that were written."
            return Finding("checksum-mismatch", DAMAGE, subject, text)
        wrong = _wrong_in_footer(context, copy) if footers or checksums else None
    except NotFoundError:
        return Finding("missing-file", DAMAGE, subject, f"{subject} is gone ({count_of(copy.row_count, 'row')}).")
    if wrong is not None:
        return Finding("footer-mismatch", DAMAGE, subject, f"{subject} {wrong}.")
    if found.storage_class in ARCHIVE_CLASSES and copy.tier not in context.offline_tiers:
        text = (
            f"{archived}, although {copy.tier} is a tier that is read at once: a lifecycle rule or somebody moved it."
        )
        return Finding("archived-file", NOTICE, subject, text)
    return None


def _is_readable(store: Store, found: StoredObject) -> bool:
    """Whether a read would be answered with bytes; asked of the object where its listing does not tell."""
    availability = found.availability
    if availability is None:
        again = store.stat(found.path)
        availability = None if again is None else again.availability
    return availability is None or availability.is_readable


def _wrong_in_footer(context: LakeContext, copy: CopyRecord) -> str | None:
    """Compare what a file says of itself with the catalog: rows, row groups, columns; reads its last bytes."""
    source = stored_file(context.stores[copy.tier], copy.tier, copy.path, copy.size_bytes)
    try:
        footer = read_footer(source)
    except CorruptionError as error:
        if isinstance(error.__cause__, NotFoundError | FileNotFoundError):
            raise NotFoundError(error.message) from error
        return f"cannot be read: {error.message}"
    if (footer.row_count, footer.row_groups) != (copy.row_count, copy.row_groups):
        return (
            f"has {footer.row_count:,} rows in {footer.row_groups:,} row groups, and {copy.row_count:,} in "
            f"{copy.row_groups:,} were written"
        )
    if copy.schema_id not in context.schemas:
        with context.database.reading() as connection:
            schemas_by_id(context, connection, [copy.schema_id])
    expected = context.schemas[copy.schema_id]
    if plain(footer.schema) != plain(expected) or identifiers_of(footer.schema) != identifiers_of(expected):
        return f"has other columns than were written: {list_some(map(str, plain(footer.schema)))}"
    return None


def _confirmed(context: LakeContext, suspects: Sequence[tuple[CopyRecord, Finding | None]]) -> Iterator[Finding]:
    """Leave out what a vacuum has deleted while this check looked for it."""
    if not suspects:
        return
    with context.database.reading() as connection:
        now = upkeep.copies_of_files(connection, [copy.file_id for copy, _ in suspects])
    states = {(copy.tier, copy.path): copy.state for copy in now}
    for copy, finding in suspects:
        if finding is not None and states.get((copy.tier, copy.path)) is copy.state:
            yield finding


def _check_rows(context: LakeContext, *, checksums: bool) -> Iterator[Finding]:
    with context.database.reading() as connection:
        for subject, text in find_unsound(connection, thorough=checksums):
            yield Finding("unsound-catalog", DAMAGE, subject, text)


def _check_manifests(context: LakeContext, *, checksums: bool) -> Iterator[Finding]:
    """Compare the commits with what is stored of them; only what is doubtful is read, and with ``checksums`` all."""
    # what is committed is asked first: a manifest of it is there by the time of the listing, or not written yet
    with context.database.reading() as connection:
        unwritten, snapshots = set(unmanifested(connection)), commit_tokens(connection)
    spans = list_spans(context.root)
    with context.database.reading() as connection:
        tokens = commit_tokens(connection)
    newest, covered, foreign = max(tokens), set[int](), set[int]()
    compared: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.first, -one.last)):
        is_stray = span.last > newest
        follows_foreign = span.first - 1 in foreign
        is_doubtful = is_stray or follows_foreign or span.last in unwritten
        told = _told_by(context, span) if checksums or is_doubtful else None
        if isinstance(told, str):
            if context.root.stat(span.path) is not None:  # vacuum may have deleted a superseded checkpoint by now
                yield Finding("damaged-manifest", LEFTOVER, span.path, told)
            continue
        other = None if told is None else told.contradicts(tokens)
        if follows_foreign and told is not None and tokens.keys().isdisjoint(told.tokens):
            other = span.first - 1  # nothing else tells of which future it is
        if other is not None:
            foreign.add(span.last)
            text = f"{span.path} is of other commits: snapshot {other} has another token in the catalog. An older "
            text += "backup of it was restored and written to."
            yield Finding("other-manifest", LEFTOVER, span.path, text)
        elif is_stray and told is not None:
            tokens |= told.tokens  # what comes after it is of the same future
            text = f"{span.path} is of a snapshot that is not there: the newest is {newest}."
            yield Finding("stray-manifest", LEFTOVER, span.path, text)
        else:
            if checksums and not covered.issuperset(range(span.first, span.last + 1)):
                compared.append(span)
            covered.update(range(span.first, span.last + 1))
    yield from _compare_rows(context, compared)
    missing = snapshots.keys() - covered - {0}  # of the empty lake nobody needs to be told
    if missing:  # by now another checkpoint may say what one said that a vacuum has deleted
        for span in set(list_spans(context.root)) - set(spans):
            missing -= set(range(span.first, span.last + 1))
    for snapshot in sorted(missing):
        if snapshot in unwritten:
            text = f"The manifest of snapshot {snapshot} is not written yet; a later commit writes it."
            yield Finding("unwritten-manifest", LEFTOVER, str(snapshot), text)
        else:
            text = f"The manifest of snapshot {snapshot} is gone; it would be needed to rebuild a lost catalog."
            yield Finding("missing-manifest", LEFTOVER, str(snapshot), text)


def _compare_rows(context: LakeContext, spans: Sequence[Span]) -> Iterator[Finding]:
    records = chain.from_iterable(_records(context, span) for span in spans)
    with context.database.reading() as connection:
        for subject, text in find_altered(connection, records):
            yield Finding("altered-row", DAMAGE, subject, text)


def _records(context: LakeContext, span: Span) -> Iterator[tuple[str, Any]]:
    with suppress(CorruptionError):  # it was sound: a vacuum has deleted it meanwhile, and others say the same
        yield from records_of_span(context.root, span, set())


def _told_by(context: LakeContext, span: Span) -> Told | str:
    """Give what a manifest tells, or why it cannot be used."""
    try:
        return judge_span(context.root, span, context.database.lake_id)
    except (CatalogError, CorruptionError) as error:
        return error.message


def _check_tags(context: LakeContext, *, checksums: bool) -> Iterator[Finding]:
    for tag, why in find_damaged(context, contents=checksums):
        text = f"The file {tag_path(tag.tag_id)} of tag {tag.name!r} {why}; a lost catalog would be rebuilt without it."
        yield Finding("damaged-tag", LEFTOVER, tag_path(tag.tag_id), text)
    with context.database.reading() as connection:
        unnoted = list_unnoted(connection)
    for tag, deleted in unnoted:
        text = (
            f"Storage does not know yet that tag {tag.name!r} was {'deleted' if deleted else 'made'}; vacuum tells it."
        )
        yield Finding("unwritten-tag", LEFTOVER, tag.name, text)


def _check_work(context: LakeContext) -> Iterator[Finding]:
    with context.database.reading() as connection:
        # as vacuum judges: what is silent by one clock only may be at work on another machine
        silent_before = from_microseconds(context.database.earliest_us(connection)) - SILENT_AFTER
        now_us = context.database.shared_us(connection)
        writers = list_intents(connection)
        unfinished = moves.open_moves(connection)
        backfills = campaigns.list_backfills(connection)
    for writer in writers:
        since = from_microseconds(writer.renewed_us)
        if since < silent_before:
            text = f"Writer {writer.intent_id} ({writer.kind}) has been silent since {since}."
            yield Finding("silent-writer", LEFTOVER, writer.intent_id, text)
    for move in unfinished:
        if move.lease_until_us > now_us and is_alive(move.holder) is not False:
            continue
        stopped = f"The move of partition {move.key!r} to {move.to_tier!r} stopped at {move.state.value}"
        text = f"{stopped}; the next move finishes it."
        yield Finding("interrupted-move", LEFTOVER, str(move.move_id), text)
    for backfill in backfills:
        working = backfill.state in {BackfillState.RUNNING, BackfillState.CANCELLING}
        since = from_microseconds(backfill.heartbeat_us)
        if working and since < silent_before:
            text = f"Backfill {backfill.name!r} has been silent since {since}; resume it."
            yield Finding("interrupted-backfill", LEFTOVER, backfill.name, text)
