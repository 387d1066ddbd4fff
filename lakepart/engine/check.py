"""Check: the catalog compared with what is stored, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakepart.catalog import campaigns, moves, upkeep
from lakepart.catalog.intents import list_intents
from lakepart.catalog.lookups import list_snapshots
from lakepart.catalog.manifests import unmanifested
from lakepart.catalog.soundness import find_unsound
from lakepart.catalog.tags import list_unnoted
from lakepart.engine.context import LakeContext
from lakepart.engine.leftovers import Leftover, LeftoverKind, find_leftovers, find_own_leftovers, known_paths
from lakepart.engine.manifests import Span, list_spans
from lakepart.engine.rebuild import judge_span
from lakepart.errors import CatalogError, CorruptionError
from lakepart.model.catalog_records import CopyRecord, CopyState
from lakepart.model.instants import from_microseconds
from lakepart.model.plans import count_of
from lakepart.model.states import BackfillState
from lakepart.storage.base import StoredObject
from lakepart.storage.copying import checksum

SILENT_AFTER = timedelta(minutes=5)

DAMAGE = "damage"
LEFTOVER = "leftover"
NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes
    ----------
    kind
        ``missing-file``, ``size-mismatch``, ``checksum-mismatch``, ``unsound-catalog`` (damage);
        ``abandoned-file``, ``temporary-file``, ``half-deleted-file``, ``silent-writer``, ``interrupted-move``,
        ``interrupted-backfill``, ``unwritten-manifest``, ``missing-manifest``, ``damaged-manifest``,
        ``stray-manifest``, ``unwritten-tag`` (leftovers); ``foreign-file`` (a notice).
    severity
        ``damage``: data is lost or changed. ``leftover``: harmless, cleared by vacuum or by the next run.
        ``notice``: for your information.
    subject
        What it concerns: ``tier:path``, a snapshot, a writer, a backfill.
    text
        The finding as a sentence.
    """

    kind: str
    severity: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"


def check_lake(context: LakeContext, *, checksums: bool) -> list[Finding]:
    """Compare both ways; damage first."""
    findings = [
        *_check_tiers(context, checksums=checksums),
        *_check_rows(context),
        *_check_manifests(context, checksums=checksums),
        *_check_tags(context),
        *_check_work(context, context.clock()),
    ]
    order = {DAMAGE: 0, LEFTOVER: 1, NOTICE: 2}
    return sorted(findings, key=lambda finding: order[finding.severity])


def _check_tiers(context: LakeContext, *, checksums: bool) -> Iterator[Finding]:
    # what is stored is listed first: a file that appears meanwhile then has its row or its writer's intent already
    stored = {tier: {found.path: found for found in store.list()} for tier, store in context.stores.items()}
    with context.database.reading() as connection:
        writers = {intent.intent_id for intent in list_intents(connection)}
        known = {tier: known_paths(connection, tier) for tier in context.stores}
        for copy in upkeep.iter_copies(connection):
            yield from _check_copy(context, copy, stored[copy.tier].get(copy.path), checksums=checksums)
    for tier in context.stores:
        for left in find_leftovers(context, tier, known[tier], writers):
            if left.stored.path in stored[tier]:  # and did not appear while this check ran
                yield _leftover(left)
    for left in find_own_leftovers(context):
        yield _leftover(left)


def _leftover(left: Leftover) -> Finding:
    subject = f"{left.tier}:{left.stored.path}"
    if left.kind is LeftoverKind.FOREIGN:
        return Finding(left.kind.value, NOTICE, subject, f"{subject} was not written by lakepart.")
    return Finding(left.kind.value, LEFTOVER, subject, f"{subject} belongs to no version; vacuum deletes it.")


def _check_copy(
    context: LakeContext, copy: CopyRecord, found: StoredObject | None, *, checksums: bool
) -> Iterator[Finding]:
    subject = f"{copy.tier}:{copy.path}"
    if copy.state is CopyState.DELETING:
        yield Finding("half-deleted-file", LEFTOVER, subject, f"{subject} is half deleted; vacuum finishes it.")
    elif found is None:
        yield Finding("missing-file", DAMAGE, subject, f"{subject} is gone ({count_of(copy.row_count, 'row')}).")
    elif found.size_bytes != copy.size_bytes:
        yield Finding(
            "size-mismatch",
            DAMAGE,
            subject,
            f"{subject} has {found.size_bytes:,} bytes, and {copy.size_bytes:,} were written.",
        )
    elif checksums and checksum(context.stores[copy.tier], copy.path) != copy.checksum:
        yield Finding("checksum-mismatch", DAMAGE, subject, f"{subject} does not hold the bytes that were written.")


def _check_rows(context: LakeContext) -> Iterator[Finding]:
    with context.database.reading() as connection:
        for subject, text in find_unsound(connection):
            yield Finding("unsound-catalog", DAMAGE, subject, text)


def _check_manifests(context: LakeContext, *, checksums: bool) -> Iterator[Finding]:
    spans = list_spans(context.root)
    with context.database.reading() as connection:
        unwritten = set(unmanifested(connection))
        snapshots = [snapshot.snapshot for snapshot in list_snapshots(connection)]
    covered: set[int] = set()
    for span in spans:
        if span.last > snapshots[0]:
            text = f"{span.path} is of a snapshot that is not there: the newest is {snapshots[0]}."
            yield Finding("stray-manifest", LEFTOVER, span.path, text)
            continue
        damage = _damage_of(context, span) if checksums else None
        if damage is None:
            covered.update(range(span.first, span.last + 1))
        else:
            yield Finding("damaged-manifest", LEFTOVER, span.path, damage)
    for snapshot in snapshots:
        if snapshot == 0 or snapshot in covered:
            continue  # of the empty lake nobody needs to be told
        if snapshot in unwritten:
            text = f"The manifest of snapshot {snapshot} is not written yet; the next commit writes it."
            yield Finding("unwritten-manifest", LEFTOVER, str(snapshot), text)
        else:
            text = f"The manifest of snapshot {snapshot} is gone; it would be needed to rebuild a lost catalog."
            yield Finding("missing-manifest", LEFTOVER, str(snapshot), text)


def _damage_of(context: LakeContext, span: Span) -> str | None:
    try:
        judge_span(context.root, span, context.database.lake_id)
    except (CatalogError, CorruptionError) as error:
        return error.message
    return None


def _check_tags(context: LakeContext) -> Iterator[Finding]:
    with context.database.reading() as connection:
        unnoted = list_unnoted(connection)
    for tag, deleted in unnoted:
        text = (
            f"Storage does not know yet that tag {tag.name!r} was {'deleted' if deleted else 'made'}; vacuum tells it."
        )
        yield Finding("unwritten-tag", LEFTOVER, tag.name, text)


def _check_work(context: LakeContext, now: datetime) -> Iterator[Finding]:
    with context.database.reading() as connection:
        writers = list_intents(connection)
        interrupted = moves.open_moves(connection)
        backfills = campaigns.list_backfills(connection)
    for writer in writers:
        if from_microseconds(writer.renewed_us) < now - SILENT_AFTER:
            since = from_microseconds(writer.renewed_us)
            text = f"Writer {writer.intent_id} ({writer.kind}) has been silent since {since}."
            yield Finding("silent-writer", LEFTOVER, writer.intent_id, text)
    for move in interrupted:
        stopped = f"The move of partition {move.key!r} to {move.to_tier!r} stopped at {move.state.value}"
        text = f"{stopped}; the next move finishes it."
        yield Finding("interrupted-move", LEFTOVER, str(move.move_id), text)
    for backfill in backfills:
        working = backfill.state in {BackfillState.RUNNING, BackfillState.CANCELLING}
        if working and from_microseconds(backfill.heartbeat_us) < now - SILENT_AFTER:
            since = from_microseconds(backfill.heartbeat_us)
            text = f"Backfill {backfill.name!r} has been silent since {since}; resume it."
            yield Finding("interrupted-backfill", LEFTOVER, backfill.name, text)
