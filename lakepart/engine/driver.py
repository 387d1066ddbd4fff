"""The driver of one backfill: hands out orders, takes outcomes, and ends the campaign."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lakepart.catalog import campaigns
from lakepart.catalog.intents import close_intent, open_lease
from lakepart.catalog.lookups import get_asset
from lakepart.catalog.reading import branch_changes
from lakepart.engine.auditing import Auditor
from lakepart.engine.campaign import Campaign
from lakepart.engine.context import LakeContext, View
from lakepart.engine.heartbeat import Heartbeat
from lakepart.engine.inputs import MappedInput, planned_inputs
from lakepart.engine.manifests import write_manifests
from lakepart.engine.order_inputs import Turns, read_inputs
from lakepart.engine.order_queue import FIRST_RETRY_S, OrderQueue, Work
from lakepart.engine.orders import Order, Outcome, describe_timeout, known_of, run_order
from lakepart.engine.results import Computed, Results, Verdict
from lakepart.engine.schemas import stored_schema
from lakepart.engine.workers import Workers
from lakepart.errors import AuditError, ErrorCode, LakepartError
from lakepart.model.catalog_records import BackfillRecord, TargetRecord
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.states import BackfillState, TargetState
from lakepart.parquet.schemas import serialise

GROUP_WAIT_S = 0.05  # outcomes that arrive this close together are committed together
GROUP_ORDERS = 64
_QUEUED_PER_WORKER = 4
# trying again cannot help: the same call would give the same answer
_FINAL_ERRORS = frozenset(
    {"PartitionKeyError", "SchemaMismatchError", "PartitionNotFoundError", "InvalidInputError", "OfflineDataError"}
)


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far a backfill is, in partitions."""

    total: int
    done: int
    failed: int
    running: int


OnProgress = Callable[[BackfillProgress], None]
KeyFunctions = Mapping[str, Callable[..., Any]]


def drive(
    context: LakeContext,
    view: View,
    record: BackfillRecord,
    function: Callable[..., Any],
    *,
    workers: int,
    on_progress: OnProgress,
    mapping_functions: KeyFunctions,
    audit: Auditor | None,
) -> BackfillState:
    """Work on a backfill until nothing is left to do; gives the state it ends in. Results go to ``view``'s branch.

    Raises
    ------
    StateError
        Another driver has taken over.
    ConflictError
        The results were to appear together, and somebody committed to one of the partitions meanwhile.
    """
    with context.database.reading() as connection:
        campaign = Campaign(context, view, record, context.new_id(), get_asset(connection, record.asset_id))
        targets = campaigns.list_targets(connection, record.backfill_id)
        inputs = planned_inputs(connection, view, record.plan["inputs"], mapping_functions)
        rejected = branch_changes(connection, view.branch.branch_id) if campaign.is_staging and audit else []
    open_lease(context.database, campaign.intent_id, "backfill")  # what orders read stays until they are done
    driver = Driver(
        campaign,
        OrderQueue(targets, campaign.asset, _turns(campaign, inputs, targets)),
        Results(campaign, audit, frozenset(version.ordinal for version, _ in rejected)),
        Workers(lambda order: run_order(order, function, context.stores), workers),
        Heartbeat(campaign.beat),
        mapping_functions,
        on_progress,
        targets,
    )
    try:
        with driver.heartbeat:
            driver.work_off()
            ends = driver.end()
    except (Exception, KeyboardInterrupt):
        driver.let_go()
        raise
    finally:
        driver.workers.stop()
    close_intent(context.database, campaign.intent_id)
    write_manifests(context)
    return ends


@dataclass(slots=True)
class Driver:
    """Brings the orders of a queue to their ends, by way of workers and of the catalog."""

    campaign: Campaign
    queue: OrderQueue
    results: Results
    workers: Workers[Order, Outcome]
    heartbeat: Heartbeat
    mapping_functions: KeyFunctions
    on_progress: OnProgress
    targets: Sequence[TargetRecord]
    _ended: dict[TargetState, int] = field(init=False, default_factory=dict)

    def work_off(self) -> None:
        """Work until no order is left."""
        for target in self.targets:
            self._count(target.state, 1)
        self._report()
        while self.queue:
            self.heartbeat.require_accepted()
            if self.campaign.is_stopping:
                self.queue.drop_waiting()
                self._withdraw()
            self._start()
            self._settle(self._collect())
            self._report()

    def end(self) -> BackfillState:
        """Publish what is to appear together, and note how the backfill ends."""
        campaign = self.campaign
        database, backfill_id = campaign.context.database, campaign.record.backfill_id
        with database.reading() as connection:
            counts = campaigns.count_targets(connection, backfill_id)
            state = campaigns.get_backfill(connection, backfill_id).state
            staged = campaigns.list_targets(connection, backfill_id, states=[TargetState.STAGED])
        if state is BackfillState.CANCELLING:
            ends = BackfillState.CANCELLED
        elif counts.get(TargetState.FAILED) or counts.get(TargetState.WAITING):
            ends = BackfillState.FAILED
        else:
            ends = BackfillState.COMPLETED
        if ends is BackfillState.COMPLETED and campaign.is_staging and staged:
            try:
                self.results.publish(staged)
            except AuditError as error:
                self._reject(staged, error)
                ends = BackfillState.FAILED
        campaign.end(ends)
        return ends

    def let_go(self) -> None:
        """Say that nothing is under way any more; where the catalog cannot be told, whoever resumes finds out."""
        with suppress(LakepartError):
            self.campaign.let_go()
        with suppress(LakepartError):
            close_intent(self.campaign.context.database, self.campaign.intent_id)

    # Starting

    def _start(self) -> None:
        # before the asset has a schema, one order goes first and fixes it
        most = 1 if self.campaign.asset.schema_id is None else _QUEUED_PER_WORKER * self.workers.count
        starting = self.queue.take(most - len(self.queue.running))
        if not starting:
            return
        attempts = self.campaign.start([work.number for work in starting])
        if attempts is None:
            self.campaign.is_stopping = True
            return
        for work in starting:
            try:
                self.queue.begin(work, attempts[work.number])
                order = self._order(work)
            except LakepartError as error:
                self._settle([_undoable(work, error)])
                continue
            self.workers.submit(work.ticket, order)

    def _order(self, work: Work) -> Order:
        """Fix everything the worker needs: the inputs' files, and what is noted of having read them."""
        campaign, asset = self.campaign, self.campaign.asset
        work.asset = asset
        inputs = read_inputs(
            campaign.context,
            campaign.view,
            campaign.plan["inputs"],
            self.mapping_functions,
            asset.partitions,
            work.ordinals,
            campaign.as_of,
        )
        work.lineage = inputs.lineage
        schema = stored_schema(campaign.context, asset)
        keys = tuple(target.key for target in work.targets)
        return Order(
            asset=asset.name,
            definition=asset.definition,
            known=known_of(asset.partitions, keys),
            keys=keys,
            number=work.number,
            attempt=work.attempts,
            inputs=inputs.resolved,
            schema=None if schema is None else serialise(schema),
            on_schema_change=str(asset.options.get("on_schema_change", "error")),
            sort_by=asset.sort_by,
            tier=campaign.context.hottest.name,
            name_prefix=f"{campaign.intent_id}-{work.number}-{work.attempts}",
            code_version=campaign.plan["code_version"],
        )

    def _withdraw(self) -> None:
        """Let orders wait again that are queued and that no worker has begun."""
        tickets = set(self.workers.withdraw())
        withdrawn = [work for work in self.queue.running if work.ticket in tickets]
        self._let_wait(withdrawn)
        for work in withdrawn:
            self.queue.end(work.number)

    # Ending

    def _collect(self) -> list[Outcome]:
        """Wait for an outcome, then for those that follow closely; attempts that overran are among them."""
        outcomes: list[Outcome] = []
        running = len(self.queue.running)
        wait_s = GROUP_WAIT_S if running else FIRST_RETRY_S
        while len(outcomes) < GROUP_ORDERS and len(outcomes) < max(1, running):
            found = self.workers.next_result(wait_s)
            if found is None:
                break
            outcomes.append(found[1])
            wait_s = 0.0 if len(outcomes) >= self.workers.count else GROUP_WAIT_S
        return outcomes + self._overrun()

    def _overrun(self) -> list[Outcome]:
        timeout_s = self.campaign.plan["timeout_s"]
        if timeout_s is None:
            return []
        overrun = []
        for ticket, running_s in self.workers.running_for().items():
            work = next((work for work in self.queue.running if work.ticket == ticket), None)
            if work is not None and running_s > timeout_s:
                self.workers.give_up(ticket)
                overrun.append(describe_timeout(work.number, work.attempts, timeout_s))
        return overrun

    def _settle(self, outcomes: Iterable[Outcome]) -> None:
        computed = []
        for outcome in outcomes:
            work = self.queue.end(outcome.number)
            if outcome.ok:
                computed.append(Computed(work, outcome))
            elif work.tries <= self.campaign.plan["retries"] and outcome.error_type not in _FINAL_ERRORS:
                self.campaign.note(work.targets, TargetState.WAITING, outcome.error_type, outcome.error_message)
                self.queue.retry(work)
            else:
                self._fail(work, outcome.error_type, outcome.error_message)
        for verdict in self.results.accept(computed):
            self._conclude(verdict)

    def _conclude(self, verdict: Verdict) -> None:
        work, error = verdict.computed.work, verdict.error
        if error is not None:
            self._fail(work, _type_of(error), error.message)
        elif verdict.state is TargetState.WAITING:
            self._let_wait([work])
            self.queue.compute_anew(work)
        else:
            self._finish(work, verdict.state)

    def _reject(self, staged: Sequence[TargetRecord], error: AuditError) -> None:
        """Note what an audit names as failed, so that it is computed anew; all of it where it names no partition."""
        named = set(error.context["keys"])
        rejected = [target for target in staged if target.key in named] or staged
        self.campaign.note(rejected, TargetState.FAILED, _type_of(error), error.message)

    def _fail(self, work: Work, error_type: str | None, error_message: str | None) -> None:
        self.campaign.note(work.targets, TargetState.FAILED, error_type, error_message)
        self._finish(work, TargetState.FAILED)
        if self.campaign.plan["on_error"] == "stop":
            self.campaign.is_stopping = True

    def _finish(self, work: Work, state: TargetState) -> None:
        self._count(state, len(work.targets))
        self.queue.finish(work.ordinals, failed=state is TargetState.FAILED)

    def _let_wait(self, works: Iterable[Work]) -> None:
        self.campaign.note([target for work in works for target in work.targets], TargetState.WAITING)

    # Telling

    def _count(self, state: TargetState, targets: int) -> None:
        self._ended[state] = self._ended.get(state, 0) + targets

    def _report(self) -> None:
        self.on_progress(
            BackfillProgress(
                total=len(self.targets),
                done=self._ended.get(TargetState.DONE, 0) + self._ended.get(TargetState.STAGED, 0),
                failed=self._ended.get(TargetState.FAILED, 0),
                running=sum(len(work.targets) for work in self.queue.running),
            )
        )


def _turns(campaign: Campaign, inputs: Sequence[MappedInput], targets: Sequence[TargetRecord]) -> Turns | None:
    asset = campaign.asset
    own = [one for one in inputs if one.asset.asset_id == asset.asset_id]
    if not own:
        return None
    unfinished = sorted(target.ordinal for target in targets if target.state is TargetState.WAITING)
    return Turns(asset, own, PartitionSet.everything(asset.partitions), campaign.as_of, unfinished)


def _undoable(work: Work, error: LakepartError) -> Outcome:
    return Outcome(work.number, work.attempts, 0.0, error_type=type(error).__name__, error_message=error.message)


def _type_of(error: LakepartError) -> str:
    return error.code.value if error.code is ErrorCode.ASSET_CHANGED else type(error).__name__
