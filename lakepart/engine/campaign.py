"""One backfill while it is driven: what it is of, and what its driver says of it in the catalog.

All of that is fenced by the driver's epoch: once another one has taken over, it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakepart.catalog import campaigns
from lakepart.catalog.intents import renew_intents
from lakepart.catalog.lookups import get_asset
from lakepart.engine.context import LakeContext, View
from lakepart.errors import StateError
from lakepart.model.catalog_records import BackfillRecord, TargetOutcome, TargetRecord
from lakepart.model.instants import from_microseconds
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord
from lakepart.model.states import BackfillState, TargetState


@dataclass(slots=True)
class Campaign:
    """The backfill ``record`` of its epoch's only driver; results go to ``view``'s branch."""

    context: LakeContext
    view: View
    record: BackfillRecord
    intent_id: str
    asset: AssetRecord  # as it was looked up last
    is_stopping: bool = False  # nothing new is begun

    @property
    def plan(self) -> Mapping[str, Any]:
        """What was planned, but for the targets."""
        return self.record.plan

    @property
    def is_staging(self) -> bool:
        """Whether results wait on a branch of their own, to be published together."""
        return self.record.staging_branch_id is not None and self.plan["publish"] == "together"

    @property
    def as_of(self) -> datetime:
        """The instant of the plan, so that every order means the same by what follows the clock."""
        as_of_us = self.plan.get("as_of_us")
        return from_microseconds(self.record.created_at_us if as_of_us is None else as_of_us)

    def partitions(self, ordinals: Iterable[int]) -> PartitionSet:
        """Give partitions of the asset by ordinal."""
        return PartitionSet.from_ordinals(self.asset.partitions, sorted(ordinals))

    def look_asset_up(self) -> None:
        """See how the asset is declared by now."""
        with self.context.database.reading() as connection:
            self.asset = get_asset(connection, self.asset.asset_id)

    def state(self) -> BackfillState:
        """Look up how the backfill stands."""
        with self.context.database.reading() as connection:
            return campaigns.get_backfill(connection, self.record.backfill_id).state

    def beat(self) -> None:
        """Say that the driver is alive, and learn whether it is to stop."""
        state = campaigns.heartbeat(self.context.database, self.record.backfill_id, self.record.epoch)
        renew_intents(self.context.database, [self.intent_id])
        if state is BackfillState.CANCELLING:
            self.is_stopping = True

    def start(self, order_numbers: Sequence[int]) -> dict[int, int] | None:
        """Note that orders are begun; gives the number of each one's attempt, or None where it was cancelled."""
        database, record = self.context.database, self.record
        try:
            return campaigns.start_attempts(database, record.backfill_id, record.epoch, order_numbers)
        except StateError:
            if self.state() is not BackfillState.CANCELLING:
                raise
            return None

    def note(
        self,
        targets: Iterable[TargetRecord],
        state: TargetState,
        error_type: str | None = None,
        error_message: str | None = None,
    ) -> None:
        """Note how the work on some targets has ended."""
        outcomes = [TargetOutcome(target.ordinal, state, error_type, error_message) for target in targets]
        campaigns.finish_targets(self.context.database, self.record.backfill_id, self.record.epoch, outcomes)

    def let_go(self) -> None:
        """Note that nobody works on it any more."""
        campaigns.let_go(self.context.database, self.record.backfill_id, self.record.epoch)

    def end(self, state: BackfillState) -> None:
        """Note how the backfill has ended."""
        campaigns.set_state(self.context.database, self.record.backfill_id, self.record.epoch, state)
