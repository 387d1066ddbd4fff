"""Results of a backfill's orders on their way into the catalog: audited, committed in groups, and published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from lakepart.catalog.committing import Publication, publish
from lakepart.catalog.reading import branch_changes
from lakepart.engine.auditing import Auditor
from lakepart.engine.campaign import Campaign
from lakepart.engine.commit import commit_under_current_schema
from lakepart.engine.dynamic_keys import written_keys
from lakepart.engine.order_queue import Work
from lakepart.engine.orders import Outcome
from lakepart.engine.previewing import discard_files, show_uncommitted
from lakepart.errors import AuditError, ConflictError, ErrorCode, LakepartError, StateError
from lakepart.model.catalog_records import TargetRecord
from lakepart.model.records import (
    ANYTHING,
    AssetGuard,
    AssetRecord,
    BackfillClaim,
    Change,
    ChangeKind,
    CommitRequest,
    NewFile,
)
from lakepart.model.states import BackfillState, TargetState


class Computed(NamedTuple):
    """An order and the result of its newest attempt."""

    work: Work
    outcome: Outcome

    @property
    def files(self) -> Iterator[NewFile]:
        """What the attempt has written."""
        return (file for files in self.outcome.files.values() for file in files)


class Verdict(NamedTuple):
    """What became of a result: committed as done or staged, refused as failed, or waiting to be computed anew."""

    computed: Computed
    state: TargetState
    error: LakepartError | None = None


@dataclass(slots=True)
class Results:
    """Takes the results of one backfill; what an audit has rejected of ``staged_before`` is replaced."""

    campaign: Campaign
    audit: Auditor | None
    staged_before: Set[int]

    def accept(self, results: Iterable[Computed]) -> Iterator[Verdict]:
        """Audit and commit results; of those that are refused, the files go once the caller has seen the verdict."""
        passed = []
        for computed in results:
            error = self._audit(computed)
            if error is None:
                passed.append(computed)
            else:
                yield from self._refuse([computed], TargetState.FAILED, error)
        if passed:
            yield from self._commit(passed)

    def publish(self, staged: Sequence[TargetRecord]) -> None:
        """Audit what is staged as a whole, and make it appear.

        Raises
        ------
        AuditError
            An audit has found something.
        ConflictError
            Somebody committed to one of the partitions meanwhile; the backfill has failed.
        """
        campaign, record = self.campaign, self.campaign.record
        audits: list[dict[str, Any]] = []
        choice = None
        if self.audit is not None:
            with campaign.context.database.reading() as connection:
                written = branch_changes(connection, campaign.view.branch.branch_id)
            choice = Publication({one.version_id: base for one, base in written}, frozenset(), stays_open=False)
            of_asset = [one.ordinal for one, _ in written if one.asset_id == campaign.asset.asset_id]
            audits = self.audit(campaign.context, campaign.view, campaign.asset.name, campaign.partitions(of_asset))
        try:
            publish(
                campaign.context.database,
                campaign.view.branch.branch_id,
                token=f"backfill-{record.backfill_id}",
                author=campaign.context.author,
                message=f"backfill {record.name}",
                metadata=self._metadata(audits),
                operation="backfill",
                backfill=self._claim(staged, TargetState.DONE),
                choice=choice,
            )
        except ConflictError:
            campaign.end(BackfillState.FAILED)
            raise

    def _audit(self, computed: Computed) -> LakepartError | None:
        """Audit one order as it would be once committed; gives why it is refused. Staged results are audited whole."""
        if self.audit is None or self.campaign.is_staging:
            return None
        work, outcome = computed
        try:
            context, view = show_uncommitted(
                self.campaign.context,
                self.campaign.view.branch,
                work.asset,
                list(self._changes(computed)),
                outcome.schema if outcome.schema_changed else None,
            )
            work.audits = self.audit(context, view, work.asset.name, self.campaign.partitions(work.ordinals))
        except (AuditError, ConflictError) as error:
            return error
        return None

    def _commit(self, group: Sequence[Computed]) -> Iterator[Verdict]:
        """Commit a group under one schema; where a partition has moved, that order fails and the rest is committed."""
        asset, schema = group[0].work.asset, group[0].outcome.schema
        if any((work.asset.revision, outcome.schema) != (asset.revision, schema) for work, outcome in group):
            for one in group:  # they were begun under other columns, or bring other ones
                yield from self._commit([one])
            return
        request = self._request(group)
        try:
            commit_under_current_schema(self.campaign.context, request, {asset.asset_id: (schema, asset.partitions)})
        except ConflictError as error:
            if error.code is ErrorCode.ASSET_CHANGED and self._has_other_columns(asset):
                yield from self._refuse(group, TargetState.WAITING)
                return
            keys = {conflict["key"] for conflict in error.context.get("conflicts", ())}
            rest = [one for one in group if keys and keys.isdisjoint(target.key for target in one.work.targets)]
            yield from self._refuse([one for one in group if one not in rest], TargetState.FAILED, error)
            if rest:
                yield from self._commit(rest)
            return
        except StateError:  # for all that this driver still does
            self._discard(group)
            raise
        yield from (Verdict(one, self._committed) for one in group)
        if any(guard.new_schema is not None for guard in request.assets) or self.campaign.asset.schema_id is None:
            self.campaign.look_asset_up()

    def _refuse(
        self, group: Sequence[Computed], state: TargetState, error: LakepartError | None = None
    ) -> Iterator[Verdict]:
        """Say that results were not committed and never will be."""
        yield from (Verdict(one, state, error) for one in group)
        self._discard(group)

    def _discard(self, group: Sequence[Computed]) -> None:
        discard_files(self.campaign.context.stores, (file for one in group for file in one.files))

    @property
    def _committed(self) -> TargetState:
        return TargetState.STAGED if self.campaign.is_staging else TargetState.DONE

    def _request(self, group: Sequence[Computed]) -> CommitRequest:
        campaign, asset = self.campaign, group[0].work.asset
        new_schema = next((outcome.schema for _, outcome in group if outcome.schema_changed), None)
        changes = tuple(change for one in group for change in self._changes(one))
        return CommitRequest(
            token=campaign.context.new_id(),
            operation="backfill",
            changes=changes,
            assets=(AssetGuard(asset.asset_id, asset.revision, new_schema),),
            branch_id=campaign.view.branch.branch_id,
            intent_id=campaign.intent_id,
            keeps_intent=True,
            author=campaign.context.author,
            message=f"backfill {campaign.record.name}",
            metadata=self._metadata([audit for work, _ in group for audit in work.audits]),
            backfill=self._claim([target for work, _ in group for target in work.targets], self._committed),
            written_keys=written_keys(asset, changes),
        )

    def _claim(self, targets: Sequence[TargetRecord], state: TargetState) -> BackfillClaim:
        record = self.campaign.record
        return BackfillClaim(record.backfill_id, record.epoch, tuple(one.ordinal for one in targets), state.value)

    def _changes(self, computed: Computed) -> Iterator[Change]:
        work, outcome = computed
        for target in work.targets:
            yield Change(
                asset_id=work.asset.asset_id,
                key=target.key,
                ordinal=target.ordinal,
                kind=ChangeKind.REPLACE,
                files=outcome.files[target.key],
                # what main must hold was fixed when it was staged first
                expected=ANYTHING if target.ordinal in self.staged_before else target.expected,
                code_version=self.campaign.plan["code_version"],
                inputs=work.lineage[target.ordinal],
            )

    def _has_other_columns(self, asset: AssetRecord) -> bool:
        """Say whether the columns alone have changed since an order was begun."""
        self.campaign.look_asset_up()
        now = self.campaign.asset
        return now.schema_id != asset.schema_id and now.definition == asset.definition

    def _metadata(self, audits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"backfill": self.campaign.record.name, **({"audits": list(audits)} if audits else {})}
