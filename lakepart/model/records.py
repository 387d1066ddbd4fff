"""What the catalog knows, as plain frozen values that any layer may hold.

Instants inside records are UTC microseconds since 1970 (``*_us``), as stored; the doors turn them into datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from lakepart.model.definitions import PartitionsDefinition, definition_from_dict
from lakepart.model.instants import from_microseconds
from lakepart.model.intervals import IntegerArray
from lakepart.model.known_keys import KnownKeys

MAIN_BRANCH_ID = 0


@dataclass(frozen=True, slots=True)
class TierRecord:
    """Where bytes lie. ``root`` is relative to the lake's root or absolute; rank 0 is the hottest."""

    name: str
    root: str
    storage_class: str | None = None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class AssetRecord:
    """One logical dataset as declared; ``revision`` rises with every change of declaration or schema."""

    asset_id: int
    name: str
    definition: Mapping[str, Any]
    revision: int = 1
    schema_id: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    producer: ProducerRecord | None = None
    keys: Mapping[str, KnownKeys] = field(default_factory=dict, compare=False)  # of dynamic dimensions, by name
    horizon: int = field(default=0, compare=False)  # snapshots before this one may lack what vacuum has forgotten of it

    @property
    def partitions(self) -> PartitionsDefinition:
        """How it is cut, with the keys that the catalog had when the record was read."""
        definition = definition_from_dict(self.definition)
        return definition.knowing(self.keys) if definition.is_dynamic else definition

    @property
    def sort_by(self) -> tuple[str, ...]:
        """The columns that the rows of each new file are sorted by."""
        return tuple(self.options.get("sort_by", ()))


@dataclass(frozen=True, slots=True)
class ProducerRecord:
    """What the lake remembers of a producer: inputs by parameter name, code version, where the function lives."""

    code_version: str | None
    inputs: Mapping[str, Any]
    function: str | None = None


@dataclass(frozen=True, slots=True)
class SchemaRecord:
    """One schema of an asset; ``arrow_schema`` is the Arrow IPC form with Parquet field ids."""

    schema_id: int
    asset_id: int
    arrow_schema: bytes


@dataclass(frozen=True, slots=True)
class BranchRecord:
    """A line of versions beside main; ``fork`` is the snapshot of main that it falls through to."""

    branch_id: int
    name: str
    fork: int
    state: str = "open"


MAIN = BranchRecord(MAIN_BRANCH_ID, "main", 0)


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """The lake after one commit."""

    snapshot: int
    at_us: int
    branch_id: int
    operation: str
    author: str | None
    message: str | None
    metadata: Mapping[str, Any]
    partitions: int
    rows: int
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class NewFile:
    """A data file that was written and synced but is in no version yet: what a worker's manifest lists.

    ``statistics`` maps a column to ``[min, max, null_count]`` in JSON values; ``data_digest`` identifies the rows
    (in their order, with the types and field ids of their columns) whatever the file's own metadata says.
    """

    tier: str
    path: str
    size_bytes: int
    row_count: int
    row_groups: int
    checksum: str
    data_digest: str
    footer_bytes: int = 0
    statistics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataFile:
    """A committed immutable file, and the copy of it that a reader should open now."""

    file_id: int
    tier: str
    path: str
    size_bytes: int
    row_count: int
    row_groups: int
    checksum: str
    schema_id: int
    footer_bytes: int = 0
    statistics: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One committed content of one partition; without ``content_id``, a branch notes that it is missing there."""

    version_id: int
    asset_id: int
    branch_id: int
    key: str
    ordinal: int
    content_id: str | None
    began: int
    ended: int | None
    row_count: int
    size_bytes: int
    file_count: int
    code_version: str | None
    written_at_us: int
    stale_mark: str | None = None


@dataclass(frozen=True, slots=True)
class InputRecord:
    """What one version read of one input asset: the mapped partitions, when, and a digest of their content ids."""

    name: str
    asset: str
    mapping: Mapping[str, Any]
    selection: str
    snapshot: int
    digest: str


@dataclass(frozen=True, slots=True)
class Tag:
    """A name for a snapshot of main, which vacuum leaves whole as long as the tag is there.

    Attributes
    ----------
    name, snapshot
        What ``lake.at(name)`` shows.
    message, author
        What it stands for, and who said so.
    """

    tag_id: int
    name: str
    snapshot: int
    message: str | None
    author: str | None
    at_us: int

    @property
    def at(self) -> datetime:
        """When it was given, aware, in UTC."""
        return from_microseconds(self.at_us)


class ChangeKind(StrEnum):
    """What a commit does to one partition."""

    REPLACE = "replace"  # these files and no others; none at all: known to be empty
    APPEND = "append"  # whatever is current at the commit, and these files
    REWRITE = "rewrite"  # as append, but some of the current files are replaced by others or by none
    COMPACT = "compact"  # the same content in fewer files: as rewrite, and nothing else about the version changes
    REINSTATE = "reinstate"  # the content of an existing version (rollback, publish)
    REMOVE = "remove"  # the partition becomes missing


class Anything:
    """The guard that accepts whatever is current (a blind replace)."""

    def __repr__(self) -> str:
        return "ANYTHING"

    def __reduce__(self) -> str:
        return "ANYTHING"


ANYTHING = Anything()


class Redefinition(StrEnum):
    """How a partitions definition came about."""

    DECLARED = "declared"
    ALTERED = "altered"  # partitions may have come or gone; those with data are what they were
    RENAMED = "renamed"  # a key is called otherwise; the partitions are the same
    REPARTITIONED = "repartitioned"  # rows were written anew; no partition is one of those before


@dataclass(frozen=True, slots=True)
class NewDefinition:
    """How an asset is cut, and its options, from the commit on that holds this."""

    definition: Mapping[str, Any]
    options: Mapping[str, Any]
    change: Redefinition


@dataclass(frozen=True, slots=True)
class Change:
    """One partition's part of a commit.

    ``expected`` is the content id this change was based on: None means "missing", :data:`ANYTHING` no guard.
    ``base`` matters on a branch only: main's content id that a publish must still find; :data:`ANYTHING` means
    whatever main has at the fork. ``written_at_us`` is when the rows were made, where they are merely written anew.
    ``rewrites`` are ids of current files and what takes the place of each, None if nothing does; of those that are
    compacted, ``sources`` says on which tier each must still lie.
    """

    asset_id: int
    key: str
    ordinal: int
    kind: ChangeKind
    files: tuple[NewFile, ...] = ()
    rewrites: Mapping[int, NewFile | None] = field(default_factory=dict)
    sources: Mapping[int, str] = field(default_factory=dict)
    schema_id: int | None = None
    source_version_id: int | None = None
    expected: str | Anything | None = ANYTHING
    base: str | Anything | None = ANYTHING
    code_version: str | None = None
    inputs: tuple[InputRecord, ...] = ()
    written_at_us: int | None = None
    stale_mark: str | None = None


@dataclass(frozen=True, slots=True)
class AssetGuard:
    """The declaration a commit was prepared under, and what replaces the asset's schema or definition with it."""

    asset_id: int
    revision: int
    new_schema: bytes | None = None
    new_definition: NewDefinition | None = None


@dataclass(frozen=True, slots=True)
class WrittenKeys:
    """The ids that a commit writes in the dynamic dimensions of an asset, by dimension: they become visible."""

    asset_id: int
    ids: Mapping[str, IntegerArray]


@dataclass(frozen=True, slots=True)
class BackfillClaim:
    """Targets of a backfill that a commit finishes; the commit is refused unless ``epoch`` is still in charge.

    ``state`` is what they become: ``"done"``, or ``"staged"`` on a branch that is published later.
    """

    backfill_id: int
    epoch: int
    ordinals: tuple[int, ...]
    state: str = "done"


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """Everything one transaction needs to publish a snapshot. The token makes a retry harmless.

    The commit ends the writer's intent, unless it ``keeps_intent`` because more commits are to come.
    """

    token: str
    operation: str
    changes: tuple[Change, ...]
    assets: tuple[AssetGuard, ...]
    branch_id: int = MAIN_BRANCH_ID
    intent_id: str | None = None
    keeps_intent: bool = False
    author: str | None = None
    message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    closes_branch_id: int | None = None
    backfill: BackfillClaim | None = None
    written_keys: tuple[WrittenKeys, ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """What one commit did.

    Attributes
    ----------
    snapshot
        Its number: what ``lake.at`` and ``rollback`` take.
    partitions, rows, bytes, files
        How many partitions it changed, and what their new versions hold.
    """

    snapshot: int
    at_us: int
    partitions: int
    rows: int
    bytes: int
    files: int

    @property
    def at(self) -> datetime:
        """When, aware, in UTC."""
        return from_microseconds(self.at_us)


@dataclass(frozen=True, slots=True)
class RowChanges(Commit):
    """What an upsert or a delete did, and what it cost.

    Attributes
    ----------
    rows_matched
        Rows that are gone: deleted, or replaced by those of their keys.
    rows_updated, rows_inserted
        Rows of an upsert whose keys were there before, and were not.
    rows_rewritten
        Rows that stayed as they were, in files that had to be written again.
    files_rewritten, files_skipped
        Files that were written again or are gone, and files of the selection that were left as they are.
    """

    rows_matched: int = 0
    rows_updated: int = 0
    rows_inserted: int = 0
    rows_rewritten: int = 0
    files_rewritten: int = 0
    files_skipped: int = 0
