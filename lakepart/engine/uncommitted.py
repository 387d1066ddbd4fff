"""What a transaction has written so far: changes that nobody else sees, laid over the snapshot it reads.

The alternative was a hidden branch. It would show its own writes for nothing, but each write would be a snapshot with a
manifest of its own, a killed process would leave an open branch behind, and a publication guards every partition by
what main held before, while a blind replace and an append must not be guarded at all. So the changes are kept here,
folded to one a partition, and become one commit like any other.

Every read of the block is of one snapshot; what was read and then written is noted, to be guarded by the content that
was read. Two transactions that each read what the other writes can both commit (write skew): only what a transaction
writes is guarded.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from lakepart.catalog.changes import KeptFile, kept_files
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import last_change
from lakepart.catalog.guards import require_unmoved
from lakepart.catalog.intents import renew_intents
from lakepart.catalog.reading import contents, find_versions
from lakepart.catalog.scopes import Scope
from lakepart.engine.folding import WHOLE, files_of, fold, written_meanwhile
from lakepart.errors import ConflictError, ErrorCode, StateError
from lakepart.model.contents import content_id_of
from lakepart.model.known_keys import KnownKey, KnownKeys
from lakepart.model.ordinal_ranges import OrdinalRange, ordinals_within
from lakepart.model.plans import by_whom
from lakepart.model.records import (
    ANYTHING,
    Anything,
    AssetRecord,
    BranchRecord,
    Change,
    ChangeKind,
    Commit,
    DataFile,
    NewFile,
    VersionRecord,
)
from lakepart.parquet.schemas import gives_types_only

if TYPE_CHECKING:
    from lakepart.catalog.database import Database
    from lakepart.engine.staging import Stager

RENEWED_EVERY_S = 60.0
UNCOMMITTED_SCHEMA = 0  # of a file of the transaction: that which the asset has in it
_NO_ID = 0  # of a version that the catalog does not have yet
_OF_ANOTHER_SCHEMA = 0  # a revision that no asset has: the commit looks up which schema its files were written under
_PARTS = frozenset({"write", "upsert", "delete rows", "drop partitions"})
_Ranges = Sequence[OrdinalRange]


class Stage(StrEnum):
    """How far a transaction has come."""

    NEW = "new"
    OPEN = "open"
    COMMITTED = "committed"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class _Read:
    """Partitions that were read as committed; not those that the transaction had replaced before."""

    ranges: tuple[OrdinalRange, ...]
    own: frozenset[int]


@dataclass(slots=True, eq=False)
class Uncommitted:
    """One transaction's writes, its reads, and whether it still goes on; shared by the threads of one process."""

    intent_id: str
    snapshot: int = 0
    stage: Stage = Stage.NEW
    is_preview: bool = False  # it is no transaction: nobody writes in it, and the catalog does not know of it
    record: Commit | None = None  # what came of it; None as long as nothing has, and where nothing was written
    changes: dict[int, dict[int, Change]] = field(default_factory=dict)  # by asset id and ordinal
    assets: dict[int, AssetRecord] = field(default_factory=dict)  # as they were when they were first looked up
    schemas: dict[int, pa.Schema] = field(default_factory=dict)  # by id, shared with the context; new ones below zero
    _reads: dict[int, list[_Read]] = field(default_factory=dict)
    _keys: dict[tuple[int, str], dict[str, KnownKey]] = field(default_factory=dict)
    _stagers: list[Stager] = field(default_factory=list)
    _file_ids: dict[str, int] = field(default_factory=dict)  # of its own files, by path: below zero
    _series: int = 0
    _pid: int = field(default_factory=os.getpid)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _renewed_at: float = field(default_factory=time.monotonic)

    def require_open(self) -> None:
        """Refuse use before the block, after it, and in a process that was forked within it."""
        if self.is_foreign:
            raise StateError(
                "A transaction belongs to the process that began it.",
                hint="read and write through the lake itself there, or begin another transaction.",
            )
        if self.stage is Stage.NEW:
            raise StateError("This transaction has not begun.", hint='with lake.transaction("why") as tx: …')
        if self.stage is not Stage.OPEN:
            raise StateError(f"This transaction is over: it was {self.stage}.", hint="use the lake, or begin another.")

    def require_part(self, verb: str) -> None:
        """Refuse every verb but those that change rows."""
        self.require_open()
        if verb not in _PARTS:
            raise StateError(
                f"A transaction cannot {verb}: its parts are writes, appends, upserts, deletions and drops.",
                hint="do it before the block, or after it.",
            )

    def renew_now_and_then(self, database: Database) -> None:
        """Say that this writer is still at work."""
        self.require_open()
        if not self.is_preview and time.monotonic() - self._renewed_at > RENEWED_EVERY_S:
            renew_intents(database, [self.intent_id])
            self._renewed_at = time.monotonic()

    @property
    def is_foreign(self) -> bool:
        """Whether another process, of which this one is a fork, began it."""
        return self._pid != os.getpid()

    # What it sees

    def define(self, connection: Connection, now: AssetRecord, then: AssetRecord) -> AssetRecord:
        """Give an asset as the transaction sees it: as it was at first sight, and with what was written since.

        Raises
        ------
        ConflictError
            The asset was cut otherwise after the transaction began.
        """
        with self._lock:
            first = self.assets.get(now.asset_id)
            if first is None:
                if now.definition != then.definition:
                    winner = last_change(connection, now.asset_id)
                    raise ConflictError(
                        f"Asset {now.name!r} was cut otherwise after this transaction began with snapshot "
                        f"{self.snapshot} {by_whom(winner)}.",
                        hint="begin another transaction.",
                        code=ErrorCode.ASSET_CHANGED,
                        context={"asset": now.name, **winner},
                    )
                if now.schema_id != then.schema_id:
                    then = replace(then, revision=_OF_ANOTHER_SCHEMA)
                first = self.assets[now.asset_id] = then
            keys = dict(then.keys)
            for (asset_id, dimension), learned in self._keys.items():
                if asset_id == now.asset_id:
                    known = keys.get(dimension, KnownKeys())
                    new = [key for key in learned.values() if key.key not in known.ids]
                    keys[dimension] = KnownKeys(tuple(sorted((*known.entries, *new))))
            schema_id = first.schema_id if self.new_schema(now.asset_id) is None else _new_schema_id(now.asset_id)
            return replace(first, schema_id=schema_id, keys=keys)

    def new_schema(self, asset_id: int) -> pa.Schema | None:
        """Give the schema that a write of the transaction brought, if one did."""
        return self.schemas.get(_new_schema_id(asset_id))

    def require_columns(self, asset_id: int, schema: pa.Schema) -> pa.Schema:
        """Refuse columns that differ from those under which an asset was written already; gives those of both.

        All files of a transaction are committed under one schema. Types of columns that were all null so far may come.
        """
        with self._lock:
            before, asset = self.new_schema(asset_id), self.assets[asset_id]
            written = before is not None or any(files_of(change) for change in self._of(asset_id).values())
            if before is None and asset.schema_id is not None:
                before = self.schemas[asset.schema_id]
            if before is None or not written or gives_types_only(before, schema):
                return schema
            if gives_types_only(schema, before):
                return before
        raise StateError(
            f"This transaction wrote {asset.name!r} already, under the columns it had, and this frame changes them.",
            hint="write that frame first, or change the columns with alter(…) before the block.",
        )

    def learn_keys(self, asset_id: int, dimension: str, keys: Iterable[KnownKey]) -> None:
        """Remember keys that were reserved for this transaction and that nobody else sees yet."""
        with self._lock:
            self._keys.setdefault((asset_id, dimension), {}).update({key.key: key for key in keys})

    def note_read(self, asset_id: int, ranges: _Ranges) -> None:
        """Note what is being read; of the partitions that were replaced before, nobody else's content is."""
        with self._lock:
            own = (at for at, change in self._of(asset_id).items() if change.kind in WHOLE)
            self._reads.setdefault(asset_id, []).append(_Read(tuple(ranges), frozenset(own)))

    def changes_in(self, asset_id: int, ranges: _Ranges) -> dict[int, Change]:
        """Give what the transaction has done to partitions in ``ranges`` at one moment, by ordinal."""
        with self._lock:
            own = self._of(asset_id)
            return {at: own[at] for at in _within(own, ranges)}

    def versions(self, connection: Connection, scope: Scope, ranges: _Ranges) -> dict[int, VersionRecord | None]:
        """Give what the transaction made of partitions in ``ranges``, by ordinal; None where it dropped one."""
        return self.versions_of(connection, scope, self.changes_in(scope.asset_id, ranges))

    def versions_of(
        self, connection: Connection, scope: Scope, own: Mapping[int, Change]
    ) -> dict[int, VersionRecord | None]:
        """Give what some of its changes make of their partitions."""
        added_to = [(at, at) for at, change in own.items() if change.kind not in WHOLE]
        kept = {one.ordinal: one for one in find_versions(connection, scope, added_to)} if added_to else {}
        files = kept_files(connection, [one.version_id for one in kept.values()])
        found: dict[int, VersionRecord | None] = {}
        for at, change in own.items():
            before = files.get(kept[at].version_id, []) if at in kept else []
            found[at] = None if change.kind is ChangeKind.REMOVE else self._version(change, scope.branch, before)
        return found

    def files(self, own: Mapping[int, Change], committed: Sequence[tuple[int, DataFile]]) -> list[tuple[int, DataFile]]:
        """Give the files of a read: the committed ones, but for what changes replace, and those of the changes."""
        found: list[tuple[int, DataFile]] = []
        for at, file in committed:
            change = own.get(at)
            if change is None or (change.kind not in WHOLE and file.file_id not in change.rewrites):
                found.append((at, file))
            elif (placed := change.rewrites.get(file.file_id)) is not None:
                found.append((at, self._data_file(placed)))
        found += [(at, self._data_file(new)) for at, change in own.items() for new in change.files]
        return sorted(found, key=lambda pair: pair[0])  # stable: what was appended comes last

    # What it writes

    def next_series(self) -> int:
        """Give the number of one more write, so that their files have names of their own."""
        with self._lock:
            self._series += 1
            return self._series

    def add(
        self,
        connection: Connection,
        scope: Scope,
        changes: Sequence[Change],
        new_schema: pa.Schema | None = None,
        stager: Stager | None = None,
        must_be_new: bool = False,
    ) -> None:
        """Take one write in: a later replace supersedes what the transaction has, an append adds to it.

        Other threads may have written since this one looked, so everything it relies on is looked at again.

        Raises
        ------
        ConflictError
            A change expects another content than the transaction sees.
        StateError
            The transaction is over, or has written the asset under other columns.
        """
        with self._lock:
            self.require_open()
            own = self.changes.setdefault(scope.asset_id, {})
            dropped = {at for at, one in own.items() if one.kind is ChangeKind.REMOVE}
            for change in changes if must_be_new else ():
                if change.ordinal in own.keys() - dropped:
                    raise written_meanwhile(change)
            if stager is not None:
                both = self.require_columns(scope.asset_id, stager.schema)
                new_schema = None if new_schema is None else both
            blind = [  # what the block itself has dropped is not in the way: the drop has its own guard
                replace(change, expected=ANYTHING) if change.ordinal in dropped and change.expected is None else change
                for change in changes
                if not _is_based(change)
            ]
            require_unmoved(connection, scope.branch, blind, self._committed(connection, scope, blind))
            based = self._rebased(connection, scope, [change for change in changes if _is_based(change)])
            own.update({one.ordinal: fold(own.get(one.ordinal), one, self._id_of) for one in (*blind, *based)})
            if new_schema is not None:
                self.schemas[_new_schema_id(scope.asset_id)] = new_schema
            if stager is not None:
                self._stagers.append(stager)

    def end(self, stage: Stage) -> None:
        """Take nothing in any more."""
        with self._lock:
            self.stage = stage

    def guarded_changes(self, connection: Connection, branch: BranchRecord) -> tuple[Change, ...]:
        """Give all changes; those of partitions that were read are guarded by the content they had."""
        guarded = []
        for asset_id, own in self.changes.items():
            read = self._read_of(asset_id)
            scope = Scope(asset_id, branch, self.snapshot)
            found = dict(contents(connection, scope, [(at, at) for at in sorted(read)])) if read else {}
            for at, change in sorted(own.items()):
                blind = isinstance(change.expected, Anything)
                guarded.append(replace(change, expected=found.get(at)) if blind and at in read else change)
        return tuple(guarded)

    def discard(self) -> None:
        """Delete every file of the transaction."""
        for stager in self._stagers:
            stager.discard()

    def discard_superseded(self) -> None:
        """Delete the files that a later write of the same transaction put out of use."""
        kept = {file.path for own in self.changes.values() for change in own.values() for file in files_of(change)}
        for stager in self._stagers:
            stager.discard(but=kept)

    def _of(self, asset_id: int) -> dict[int, Change]:
        return self.changes.get(asset_id, {})

    def _read_of(self, asset_id: int) -> set[int]:
        """Give the written partitions whose committed content was read."""
        own = self._of(asset_id)
        return {at for read in self._reads.get(asset_id, ()) for at in _within(own, read.ranges) if at not in read.own}

    def _committed(
        self, connection: Connection, scope: Scope, changes: Sequence[Change]
    ) -> dict[tuple[int, int], VersionRecord]:
        guarded = sorted(change.ordinal for change in changes if not isinstance(change.expected, Anything))
        if not guarded:
            return {}
        found = find_versions(connection, scope, [(at, at) for at in guarded])
        return {(scope.asset_id, version.ordinal): version for version in found}

    def _rebased(self, connection: Connection, scope: Scope, changes: Sequence[Change]) -> list[Change]:
        """Guard by what is committed what was based on what the transaction sees; that must still be the same."""
        if not changes:
            return []
        ranges = [(at, at) for at in sorted(change.ordinal for change in changes)]
        committed = {one.ordinal: one.content_id for one in find_versions(connection, scope, ranges)}
        own = self.versions(connection, scope, ranges)
        rebased = []
        for change in changes:
            at = change.ordinal
            seen = committed.get(at) if at not in own else None if (one := own[at]) is None else one.content_id
            if seen != change.expected:
                raise written_meanwhile(change)
            whole = at in own and self._of(scope.asset_id)[at].kind in WHOLE
            rebased.append(replace(change, expected=ANYTHING if whole else committed.get(at)))
        return rebased

    def _version(self, change: Change, branch: BranchRecord, before: Sequence[KeptFile]) -> VersionRecord:
        kept = [change.rewrites.get(one.file_id) if one.file_id in change.rewrites else one for one in before]
        files = [one for one in (*kept, *change.files) if one is not None]
        return VersionRecord(
            version_id=_NO_ID,
            asset_id=change.asset_id,
            branch_id=branch.branch_id,
            key=change.key,
            ordinal=change.ordinal,
            content_id=content_id_of([one.data_digest for one in files]),
            began=self.snapshot,
            ended=None,
            row_count=sum(one.row_count for one in files),
            size_bytes=sum(one.size_bytes for one in files),
            file_count=len(files),
            code_version=change.code_version,
            written_at_us=0,
        )

    def _id_of(self, new: NewFile) -> int:
        with self._lock:
            return self._file_ids.setdefault(new.path, -1 - len(self._file_ids))

    def _data_file(self, new: NewFile) -> DataFile:
        return DataFile(
            file_id=self._id_of(new),
            tier=new.tier,
            path=new.path,
            size_bytes=new.size_bytes,
            row_count=new.row_count,
            row_groups=new.row_groups,
            checksum=new.checksum,
            schema_id=UNCOMMITTED_SCHEMA,
            footer_bytes=new.footer_bytes,
            statistics=new.statistics,
        )


def _is_based(change: Change) -> bool:
    """Tell whether a change was made from what the transaction sees of its partition."""
    return change.kind in {ChangeKind.REWRITE, ChangeKind.REMOVE}


def _new_schema_id(asset_id: int) -> int:
    """Give what stands for an asset's new schema until the commit gives it an id."""
    return -asset_id


def _within(own: Iterable[int], ranges: _Ranges) -> list[int]:
    found: list[int] = ordinals_within(np.array(sorted(own), dtype=np.int64), ranges).tolist()
    return found
