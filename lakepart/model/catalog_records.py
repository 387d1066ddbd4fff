"""What the catalog knows of work under way: writers, campaigns, moves, and copies that await deletion.

The records of data itself are in :mod:`lakepart.model.records`. Instants are UTC microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lakepart.model.records import AssetRecord, Redefinition, SchemaRecord
from lakepart.model.states import BackfillState, MoveState, TargetState


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """The newest snapshot; those before ``horizon`` can no longer be read whole."""

    snapshot: int
    at_us: int
    horizon: int


@dataclass(frozen=True, slots=True)
class AssetState:
    """An asset, its schema and the lake's head, from one query."""

    asset: AssetRecord
    schema: SchemaRecord | None
    head: HeadRecord


@dataclass(frozen=True, slots=True)
class DefinitionRecord:
    """How an asset was cut from snapshot ``began`` on, its options, and how that came about."""

    began: int
    definition: Mapping[str, Any]
    options: Mapping[str, Any]
    change: Redefinition


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """A writer's note that files named after ``intent_id`` may be appearing."""

    intent_id: str
    kind: str
    began_us: int
    renewed_us: int


class CopyState(StrEnum):
    """What becomes of the bytes of one file on one tier."""

    LIVE = "live"  # readers open this one
    RETIRED = "retired"  # moved elsewhere, or in no version any more; kept for readers that began before
    DELETING = "deleting"  # vacuum is at it: must not be counted on again


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """The bytes of one file on one tier."""

    file_id: int
    tier: str
    path: str
    state: CopyState
    owned: bool
    since_us: int
    size_bytes: int
    row_count: int
    checksum: str
    row_groups: int
    schema_id: int


@dataclass(frozen=True, slots=True)
class WorkRecord:
    """The newest unfinished or failed work on one partition."""

    ordinal: int
    key: str
    state: TargetState
    at_us: int
    error: str | None
    backfill: str
    heartbeat_us: int


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """One campaign; ``epoch`` says which driver is in charge, ``driver`` who that is, ``plan`` is JSON values."""

    backfill_id: int
    name: str
    asset_id: int
    branch_id: int
    staging_branch_id: int | None
    state: BackfillState
    plan: Mapping[str, Any]
    epoch: int
    created_at_us: int
    heartbeat_us: int
    closed_at_us: int | None
    driver: str | None


@dataclass(frozen=True, slots=True)
class TargetRecord:
    """One partition of a campaign; ``attempts`` counts those of its order."""

    ordinal: int
    key: str
    order_number: int
    reason: str
    expected: str | None
    state: TargetState
    changed_us: int
    attempts: int
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try at one order of a campaign."""

    order_number: int
    number: int
    epoch: int
    state: TargetState
    began_us: int
    ended_us: int | None
    error_type: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class TargetOutcome:
    """How an attempt ended for one partition."""

    ordinal: int
    state: TargetState
    error_type: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class MoveFileRecord:
    """One file of a move: the copy it is made from; its path is the same on every tier."""

    file_id: int
    from_tier: str
    path: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True, slots=True)
class MoveRecord:
    """The move of one partition's files to another tier, as far as it has come.

    Only who holds the newest ``fence`` may advance it.
    """

    move_id: int
    asset_id: int
    branch_id: int
    key: str
    ordinal: int
    to_tier: str
    state: MoveState
    holder: str
    fence: int
    lease_until_us: int
    outcome: str | None
    files: tuple[MoveFileRecord, ...]


@dataclass(frozen=True, slots=True)
class CommitSize:
    """What one commit did to one asset: partitions it touched, and what they held before and after."""

    snapshot: int
    asset: str
    partitions: int
    rows_before: int
    rows_after: int
    bytes_before: int
    bytes_after: int
