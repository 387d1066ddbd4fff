"""Rebuild: a lost catalog made anew from the manifests beside the data; the one verb that lists tiers to find files.

The new catalog is built beside its place, verified, and appears there whole: a crash leaves either nothing or all of
it. What no manifest speaks of is named and never adopted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from lakepart.catalog import rebuilding, replacing
from lakepart.catalog.database import Database
from lakepart.catalog.locations import Location
from lakepart.catalog.lookups import get_head
from lakepart.catalog.soundness import find_unsound
from lakepart.engine.access import Access, StorageOptions
from lakepart.engine.context import Clock
from lakepart.engine.leftovers import LeftoverKind, kind_of
from lakepart.engine.manifest_reading import Told, judge_span, records_of_span
from lakepart.engine.manifests import Span, list_spans, manifest_path, set_aside, span_of
from lakepart.engine.opening import (
    DEFAULT_TIERS,
    IDENTITY_PATH,
    catalog_location,
    identity_from,
    make_folder,
    system_clock,
)
from lakepart.engine.tags import stored_tags, tag_id_of
from lakepart.errors import (
    AlreadyExistsError,
    CorruptionError,
    InvalidInputError,
    LakeNotFoundError,
    NotFoundError,
    OfflineDataError,
    SnapshotNotFoundError,
    StorageError,
)
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.plans import RebuildPlan, count_of, list_some
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import Store
from lakepart.storage.copying import checksum
from lakepart.storage.credentials import CredentialsSource

_AT_ONCE = 500  # manifests written to the new catalog in one transaction
_THREADS = 8  # they wait for the store, or hash outside the interpreter's lock


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild recovered.

    Attributes
    ----------
    snapshot
        The snapshot whose state the lake is in again.
    versions, files
        How many were recovered.
    forgotten
        Old versions that were left out because their files are gone.
    lost
        ``(asset, key, path)`` of files that current versions need and no tier has: reading them is an error.
    unknown
        ``(tier, path)`` of data files of ours that no manifest speaks of, and of damaged ones that lie whole on another
        tier. They were not adopted, and vacuum deletes them when its grace period is over.
    damaged
        ``(path, why)`` of manifests and tags that could not be used.
    set_aside
        Where the manifests of later snapshots, tags that were not used and the old catalog have gone.
    """

    snapshot: int
    versions: int
    files: int
    forgotten: int
    lost: tuple[tuple[str, str, str], ...]
    unknown: tuple[tuple[str, str], ...]
    damaged: tuple[tuple[str, str], ...]
    set_aside: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"Rebuilt the catalog as of snapshot {self.snapshot}: {count_of(self.versions, 'version')}, "
            f"{count_of(self.files, 'file')}."
        ]
        if self.forgotten:
            lines.append(f"Left out {count_of(self.forgotten, 'old version')} whose files are gone.")
        if self.lost:
            named = list_some(f"{key!r} of {asset} ({path})" for asset, key, path in self.lost)
            lines.append(f"Lost: {count_of(len(self.lost), 'file')} that current versions need: {named}.")
        if self.unknown:
            named = list_some(f"{tier}:{path}" for tier, path in self.unknown)
            lines.append(
                f"Not adopted: {count_of(len(self.unknown), 'data file')} that no manifest speaks of, "
                f"or that are damaged and whole elsewhere: {named}."
            )
        lines += [f"Not used: {why}" for _, why in self.damaged]
        lines += [f"Set aside: {path}" for path in self.set_aside]
        return "\n".join(lines)


def plan_rebuild(
    url: str,
    *,
    catalog: Location | None,
    storage_options: StorageOptions,
    credentials: CredentialsSource = None,
    to: int | None,
    replace: bool,
) -> RebuildPlan:
    """Read and judge every manifest that a rebuild needs; changes nothing."""
    root = Access(url, storage_options, credentials).open_root()
    spans = list_spans(root)
    if not spans:
        raise LakeNotFoundError(
            f"There are no manifests at {without_secrets(url)!r}: nothing was ever committed to a lake there, or they "
            "are gone with it.",
            hint="check the address for typing errors.",
            context={"url": without_secrets(url)},
        )
    newest = max(span.last for span in spans)
    if to is not None and not 1 <= to <= newest:
        raise SnapshotNotFoundError(
            f"There is no manifest of snapshot {to}: the newest is {newest}.",
            context={"snapshot": to, "newest": newest},
        )
    wanted = newest if to is None else to
    found = _follow(root, spans, wanted, _identity(root, without_secrets(url)))
    location = catalog_location(url, catalog)
    return RebuildPlan(
        address=without_secrets(url),
        catalog=replacing.name_of(location),
        lake_id=found.lake_id or "",
        created_at_us=found.created_at_us,
        snapshot=found.last,
        newest=newest,
        pieces=tuple(found.pieces),
        missing=None if found.last == wanted else found.last + 1,
        damaged=tuple(found.damaged),
        existing=replacing.judge(location),
        horizon=found.horizon,
        next_ids=found.next_ids,
        replace=replace,
    )


def apply_rebuild(
    url: str,
    plan: RebuildPlan,
    *,
    catalog: Location | None,
    storage_options: StorageOptions,
    credentials: CredentialsSource = None,
    clock: Clock = system_clock,
) -> RebuildReport:
    """Build the catalog that a plan describes, prove it, and put it in its place."""
    access, location = Access(url, storage_options, credentials), catalog_location(url, catalog)
    root = access.open_root()
    if replacing.name_of(location) != plan.catalog:
        raise InvalidInputError(
            f"The plan is to rebuild {plan.catalog}, and the catalog given is {replacing.name_of(location)}.",
            hint="give both the same catalog=.",
        )
    _require_possible(plan, location)
    if isinstance(location, Path):
        make_folder(location.parent)
    created_at = from_microseconds(plan.created_at_us)
    with replacing.building_for(location) as building:
        with Database.create(building, lake_id=plan.lake_id, clock=lambda: created_at, tiers=DEFAULT_TIERS) as database:
            rebuilding.begin(database)
            _put_pieces(root, database, plan)
            unused = _put_tags(root, database, plan)
            stores = access.open_tiers(rebuilding.settle_tiers(database), root)
            for tier, store in stores.items():
                stored = ((one.path, one.size_bytes, to_microseconds(one.modified_at)) for one in store.list())
                rebuilding.note_listing(database, tier, stored)
            rebuilding.leave_out(database, _find_damaged(stores, rebuilding.list_doubles(database)))
            recovered = rebuilding.finish(
                database, horizon=plan.horizon, next_ids=plan.next_ids, now_us=to_microseconds(clock())
            )
            unknown = tuple(
                one for one in rebuilding.iter_unknown(database) if kind_of(one[1]) is LeftoverKind.ABANDONED
            )
            rebuilding.end(database)
            _require_sound(database, plan)
        # first, so that no crash leaves a new catalog beside what tells of another future
        later = [span.path for span in list_spans(root) if span.last > plan.snapshot]
        aside = set_aside(root, [*later, *(path for path, _ in unused)], clock())
        aside += replacing.put_in_place(building, location, now=clock())
    return RebuildReport(
        plan.snapshot,
        recovered.versions,
        recovered.files,
        recovered.forgotten,
        recovered.lost,
        unknown,
        (*plan.damaged, *unused),
        tuple(aside),
    )


@dataclass(slots=True)
class _Chain:
    """Manifests and checkpoints that follow on one another from the first snapshot on."""

    lake_id: str | None
    last: int = 0
    horizon: int = 0
    next_ids: dict[str, int] = field(default_factory=dict)
    created_at_us: int = 0
    pieces: list[str] = field(default_factory=list)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    tokens: dict[int, str] = field(default_factory=dict)

    def add(self, span: Span, told: Told) -> None:
        """Go on to the end of a span.

        Raises
        ------
        CorruptionError
            It follows on another commit than the one that is there.
        """
        header, other = told.header, told.contradicts(self.tokens)
        if other is not None:
            raise CorruptionError(
                f"{span.path!r} cannot be used: it follows on another snapshot {other} than that of "
                f"{self.pieces[-1]!r}. An older backup of the catalog was restored and written to.",
                context={"path": span.path, "snapshot": other},
            )
        self.tokens |= told.tokens
        if not self.pieces:
            self.created_at_us = header.get("created_at_us", header.get("at_us", 1) - 1)
        self.lake_id, self.last = header["lake_id"], span.last
        self.horizon = max(self.horizon, header.get("horizon", 0))
        for what, free in header.get("next_ids", {}).items():
            self.next_ids[what] = max(free, self.next_ids.get(what, 0))
        self.pieces.append(span.path)


def _follow(root: Store, spans: Sequence[Span], wanted: int, lake_id: str | None) -> _Chain:
    """Find what to read up to a snapshot; where several begin at the same one, the longest that can be read."""
    starting: dict[int, list[Span]] = {}
    for span in spans:
        if span.last <= wanted:
            starting.setdefault(span.first, []).append(span)
    chain = _Chain(lake_id)
    while chain.last < wanted:
        for span in sorted(starting.get(chain.last + 1, ()), key=lambda one: one.last, reverse=True):
            try:
                chain.add(span, judge_span(root, span, chain.lake_id))
            except CorruptionError as error:
                chain.damaged.append((span.path, error.message))
            else:
                break
        else:
            break
    return chain


def _put_pieces(root: Store, database: Database, plan: RebuildPlan) -> None:
    """Write what the pieces say, many manifests in one transaction; no more than one piece is held in memory."""
    seen: set[int] = set()
    spans = [span for path in plan.pieces if (span := span_of(path)) is not None]
    for start in range(0, len(spans), _AT_ONCE):
        some = spans[start : start + _AT_ONCE]
        rebuilding.put_records(database, chain.from_iterable(records_of_span(root, span, seen) for span in some))


def _find_damaged(stores: Mapping[str, Store], doubles: Iterable[rebuilding.Double]) -> list[tuple[str, str]]:
    """Give ``(tier, path)`` of copies that were put last and hold other bytes, where another copy is whole."""

    def damaged(double: rebuilding.Double) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for tier in double.tiers:
            try:
                if checksum(stores[tier], double.path) == double.checksum:
                    return found
            except NotFoundError:
                pass
            except (OfflineDataError, StorageError):  # nobody can say that it is damaged
                return found
            found.append((tier, double.path))
        return []

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="lakepart-rebuild") as pool:
        return list(chain.from_iterable(pool.map(damaged, doubles)))


def _put_tags(root: Store, database: Database, plan: RebuildPlan) -> list[tuple[str, str]]:
    """Write the tags of snapshots that are recovered, the newest of each name; gives the others, and why not they."""
    unused: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    for path, values in sorted(stored_tags(root), reverse=True):
        if values is None or values["lake_id"] != plan.lake_id:
            why = "it is damaged, or of another lake"
        elif not 0 <= values["snapshot"] <= plan.snapshot:
            why = f"it is of snapshot {values['snapshot']}, which is not recovered"
        elif values["name"] in names:
            why = f"{names[values['name']]!r}, a later one, is of tag {values['name']!r}, too"
        else:
            names[values["name"]] = path
            row = {"tag_id": tag_id_of(path), **values, "deleted": 0, "noted": 1}
            rebuilding.put_records(database, [("tag", row)])
            continue
        unused.append((path, f"{path!r} cannot be used: {why}."))
    return unused


def _require_possible(plan: RebuildPlan, location: Location) -> None:
    if plan.existing == "readable" and not isinstance(location, Path):
        raise AlreadyExistsError(
            f"There is a catalog at {plan.catalog}, and it can be read. Nothing was changed.",
            hint="check compares it with storage; ALTER SCHEMA … RENAME TO … sets it aside.",
            context={"catalog": plan.catalog},
        )
    if plan.existing == "readable" and not plan.replace:
        raise AlreadyExistsError(
            f"There is a catalog at {plan.catalog}, and it can be read. Nothing was changed.",
            hint="check compares it with storage; replace=True (--replace) sets it aside.",
            context={"catalog": plan.catalog},
        )
    if plan.missing is not None:
        why = next((f": {text}" for path, text in plan.damaged if path == manifest_path(plan.missing)), "")
        before = f"to={plan.snapshot} (--to {plan.snapshot}) recovers the state before the gap."
        raise CorruptionError(
            f"The manifest of snapshot {plan.missing} is missing or damaged, and there are later ones up to "
            f"{plan.newest}{why} Nothing was changed.",
            hint=before if plan.snapshot else "restore it from a backup: it is the first.",
            context={"missing": plan.missing, "newest": plan.newest, "before": plan.snapshot},
        )


def _require_sound(database: Database, plan: RebuildPlan) -> None:
    with database.reading() as connection:
        unsound = [text for _, text in find_unsound(connection)]
        snapshot = get_head(connection).snapshot
    if unsound or snapshot != plan.snapshot:
        raise CorruptionError(
            f"The manifests contradict each other, so no catalog was made of them: {list_some(unsound)}",
            hint="to=… recovers the state of an earlier snapshot; report this with the manifests.",
            context={"findings": unsound},
        )


def _identity(root: Store, address: str) -> str | None:
    """Give the identity that the lake's own file says; None where that is lost too."""
    try:
        return identity_from(root.read_bytes(IDENTITY_PATH), address)[1]
    except NotFoundError:
        return None
