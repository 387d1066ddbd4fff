"""What every verb is given: the lake's catalog, stores, clock and ids, and the view it works in."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from lakepart.catalog.database import Connection, Database
from lakepart.catalog.definitions import as_seen
from lakepart.catalog.locations import Location
from lakepart.catalog.lookups import current_branch, require_whole
from lakepart.catalog.reading import contents
from lakepart.catalog.scopes import Scope
from lakepart.engine.uncommitted import Uncommitted
from lakepart.errors import ConflictError, ErrorCode, StateError
from lakepart.model.archives import ARCHIVE_CLASSES
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.records import MAIN, AssetRecord, BranchRecord, TierRecord
from lakepart.storage.addresses import without_secrets
from lakepart.storage.base import Store

Clock = Callable[[], datetime]


def new_id() -> str:
    """Give 20 random hex characters: unique without asking anybody."""
    return secrets.token_hex(10)


@dataclass(frozen=True, slots=True)
class LakeContext:
    """One open lake: where rows, bytes and time come from.

    ``stores`` holds a store per tier name; ``root`` is the store of the lake's own folder; ``schemas`` remembers those
    that were looked up, by id. ``checkpoint_every`` counts snapshots. ``credentials`` is the name of what gives them,
    where they have one.
    """

    url: str = field(repr=False)
    catalog: Location | None = field(repr=False)
    database: Database
    root: Store
    tiers: tuple[TierRecord, ...]
    stores: Mapping[str, Store]
    clock: Clock
    new_id: Callable[[], str] = new_id
    read_only: bool = False
    schemas: dict[int, Any] = field(default_factory=dict)
    checkpoint_every: int = 1000
    credentials: str | None = None

    @property
    def address(self) -> str:
        """Where the lake is, as it may be shown and stored: without secrets."""
        return without_secrets(self.url)

    @property
    def hottest(self) -> TierRecord:
        """The tier that new files are written to."""
        return min(self.tiers, key=lambda tier: tier.rank)

    @property
    def offline_tiers(self) -> frozenset[str]:
        """The tiers whose bytes must be restored before they can be read."""
        return frozenset(tier.name for tier in self.tiers if tier.storage_class in ARCHIVE_CLASSES)

    @property
    def author(self) -> str:
        """The operating system's name for who commits."""
        try:
            return getpass.getuser()
        except (KeyError, OSError):  # a container's user may have no name
            return "unknown"


@dataclass(frozen=True, slots=True)
class View:
    """A line of versions and, for the past, the snapshot at which to see it; in a transaction, what it wrote too.

    A handle keeps its view for long, and others may refresh, publish or discard the branch meanwhile. So whoever reads
    the catalog first asks the view to :meth:`look`, in the same transaction.
    """

    branch: BranchRecord = MAIN
    snapshot: int | None = None
    transaction: Uncommitted | None = None

    def look(self, connection: Connection) -> View:
        """Give this view with its branch as it is now; one query on a branch, none on main.

        Raises
        ------
        StateError
            The branch was published or discarded.
        ConflictError
            In a transaction: the branch was refreshed, so that it shows another main than what was read.
        """
        branch = current_branch(connection, self.branch)
        if self.transaction is not None and branch != self.branch:
            raise ConflictError(
                f"Branch {branch.name!r} was refreshed after this transaction began: it shows main as of snapshot "
                f"{branch.fork} now, not {self.branch.fork}. Nothing was changed.",
                hint="begin another transaction.",
                context={"branch": branch.name, "expected": self.branch.fork, "found": branch.fork},
            )
        return replace(self, branch=branch)

    def scope(self, asset: AssetRecord) -> Scope:
        """Give what the catalog needs to find the asset's committed versions in this view."""
        if self.transaction is not None:
            self.transaction.require_open()
        return Scope(asset.asset_id, self.branch, self.snapshot)

    def define(self, connection: Connection, asset: AssetRecord) -> AssetRecord:
        """Give an asset as it is, or was, defined in this view; queries only for the past and for branches.

        Raises
        ------
        SnapshotNotFoundError
            Vacuum has forgotten versions that the view would show.
        """
        if self.snapshot is not None:  # of a transaction, too: it may have been silent for longer than vacuum waits
            require_whole(connection, asset.asset_id, self.branch, self.snapshot)
        if self.transaction is None:
            return as_seen(connection, asset, self.branch, self.snapshot)
        self.transaction.require_open()
        return self.transaction.define(connection, asset, as_seen(connection, asset, self.branch, self.snapshot))

    def at(self, snapshot: int) -> View:
        """Give this branch as it was at ``snapshot``."""
        return View(self.branch, snapshot)

    def require_committed(self, what: str) -> None:
        """Refuse to tell in a transaction what is known of commits only."""
        if self.transaction is not None:
            self.transaction.require_open()
            raise StateError(
                f"A transaction has no {what}: that tells of commits, and its own writes are none yet.",
                hint="ask the lake itself; inside the block, rows, keys and files show what it has written.",
            )

    def contents(self, connection: Connection, asset: AssetRecord, ranges: Sequence[OrdinalRange]) -> dict[int, str]:
        """Give the content id by ordinal, with what a transaction has written."""
        found = dict(contents(connection, self.scope(asset), ranges))
        if self.transaction is not None:
            for ordinal, version in self.transaction.versions(connection, self.scope(asset), ranges).items():
                found.pop(ordinal, None)
                if version is not None:
                    found[ordinal] = version.content_id or ""
        return dict(sorted(found.items()))


def require_writable(context: LakeContext, view: View, verb: str) -> None:
    """Refuse ``verb`` on a read-only handle and in the past."""
    if context.read_only:
        raise StateError(
            f"This handle of {context.address!r} is read-only, so it cannot {verb}.",
            hint="connect without read_only=True.",
            code=ErrorCode.READ_ONLY,
        )
    if view.transaction is not None:
        view.transaction.require_part(verb)
    elif view.snapshot is not None:
        raise StateError(
            f"A view of snapshot {view.snapshot} is read-only, so it cannot {verb}.",
            hint="use the lake itself; rollback(to=…) makes old contents current again.",
            code=ErrorCode.READ_ONLY,
        )
