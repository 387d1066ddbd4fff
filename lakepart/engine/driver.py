"""The driver of one backfill: hands out orders, takes outcomes, commits them in groups, and ends the campaign."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from lakepart.catalog import campaigns
from lakepart.catalog.committing import Publication, publish
from lakepart.catalog.intents import close_intent, open_lease, renew_intents
from lakepart.catalog.lookups import get_asset
from lakepart.catalog.reading import branch_changes
from lakepart.engine.auditing import Auditor
from lakepart.engine.commit import commit_under_current_schema
from lakepart.engine.context import LakeContext, View
from lakepart.engine.dynamic_keys import written_keys
from lakepart.engine.inputs import MappedInput, planned_inputs
from lakepart.engine.manifests import write_manifests
from lakepart.engine.order_inputs import Turns, read_inputs
from lakepart.engine.orders import Order, Outcome, describe_timeout, known_of, run_order
from lakepart.engine.previewing import discard_files, show_uncommitted
from lakepart.engine.schemas import stored_schema
from lakepart.engine.workers import Workers
from lakepart.errors import AuditError, ConflictError, ErrorCode, LakepartError, StateError
from lakepart.model.catalog_records import BackfillRecord, TargetOutcome, TargetRecord
from lakepart.model.instants import from_microseconds
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import (
    ANYTHING,
    AssetGuard,
    AssetRecord,
    BackfillClaim,
    Change,
    ChangeKind,
    CommitRequest,
    InputRecord,
)
from lakepart.model.states import BackfillState, TargetState
from lakepart.parquet.schemas import serialise

BEAT_S = 2.0
GROUP_WAIT_S = 0.05  # outcomes that arrive this close together are committed together
GROUP_ORDERS = 64
_QUEUED_PER_WORKER = 4
_LOOKED_AT = 1000  # orders among which those are sought that may begin, unless none would be running
_FIRST_RETRY_S = 0.1
_LONGEST_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """How far a backfill is, in partitions."""

    total: int
    done: int
    failed: int
    running: int


OnProgress = Callable[[BackfillProgress], None]


@dataclass(slots=True)
class _Work:
    """One order of a backfill while it is being worked on."""

    number: int
    targets: tuple[TargetRecord, ...]
    asset: AssetRecord  # as the newest attempt was told that it is
    attempts: int = 0  # since the backfill was planned; by these, outcomes are told apart
    tries: int = 0  # by this driver; whoever resumes grants all retries anew
    lineage: Mapping[int, tuple[InputRecord, ...]] = field(default_factory=dict)
    audits: list[dict[str, Any]] = field(default_factory=list)  # that it has passed

    @property
    def ordinals(self) -> tuple[int, ...]:
        """The partitions it computes."""
        return tuple(target.ordinal for target in self.targets)


@dataclass(slots=True)
class Driver:
    """Drives the backfill ``record`` as its epoch's only driver; results go to ``view``'s branch."""

    context: LakeContext
    view: View
    record: BackfillRecord
    function: Callable[..., Any]
    count: int
    on_progress: OnProgress
    mapping_functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    audit: Auditor | None = None
    _asset: AssetRecord = field(init=False)
    _intent_id: str = field(init=False)
    _turns: Turns | None = field(init=False)
    _waiting: deque[_Work] = field(init=False, default_factory=deque)
    _retrying: list[tuple[float, int, _Work]] = field(init=False, default_factory=list)
    _running: dict[int, _Work] = field(init=False, default_factory=dict)
    _ended: dict[TargetState, int] = field(init=False, default_factory=dict)
    _total: int = field(init=False, default=0)
    _beat_at: float = field(init=False, default=0.0)
    _stopping: bool = field(init=False, default=False)
    _staged_before: Set[int] = field(init=False, default=frozenset())

    def run(self) -> BackfillState:
        """Work until nothing is left to do; gives the state the backfill ends in.

        Raises
        ------
        StateError
            Another driver has taken over.
        ConflictError
            The results were to appear together, and somebody committed to one of the partitions meanwhile.
        """
        with self.context.database.reading() as connection:
            self._asset = get_asset(connection, self.record.asset_id)
            targets = campaigns.list_targets(connection, self.record.backfill_id)
            inputs = planned_inputs(connection, self.view, self.record.plan["inputs"], self.mapping_functions)
            if self._is_staging and self.audit is not None:
                self._staged_before = {one.ordinal for one, _ in branch_changes(connection, self.view.branch.branch_id)}
        self._turns = self._make_turns(inputs, targets)
        self._total = len(targets)
        for target in targets:
            self._count(target.state, 1)
        self._intent_id = self.context.new_id()
        open_lease(self.context.database, self._intent_id, "backfill")  # what orders read stays until they are done
        workers: Workers[Order, Outcome] = Workers(self._run_order, self.count)
        try:
            self._waiting = _works(targets, self._asset)
            self._work_off(workers)
            ends = self._end()
        except (Exception, KeyboardInterrupt):
            self._let_go()
            raise
        finally:
            workers.stop()
        close_intent(self.context.database, self._intent_id)
        write_manifests(self.context)
        return ends

    def _run_order(self, order: Order) -> Outcome:
        return run_order(order, self.function, self.context.stores)

    def _work_off(self, workers: Workers[Order, Outcome]) -> None:
        self._report()
        while self._waiting or self._retrying or self._running:
            self._beat()
            if self._stopping:
                self._waiting.clear()
                self._retrying.clear()
                self._withdraw(workers)
            self._start(workers)
            self._settle(self._collect(workers))
            self._report()

    # Starting

    def _start(self, workers: Workers[Order, Outcome]) -> None:
        while self._retrying and self._retrying[0][0] <= time.monotonic():
            self._waiting.append(heappop(self._retrying)[2])
        # before the asset has a schema, one order goes first and fixes it
        most = 1 if self._asset.schema_id is None else _QUEUED_PER_WORKER * self.count
        starting = self._take(most - len(self._running))
        if not starting:
            return
        try:
            attempts = campaigns.start_attempts(
                self.context.database, self.record.backfill_id, self.record.epoch, [work.number for work in starting]
            )
        except StateError:
            if self._state() is not BackfillState.CANCELLING:
                raise
            self._stopping = True
            return
        for work in starting:
            work.attempts = attempts[work.number]
            work.tries += 1
            self._running[work.number] = work
            try:
                order = self._order(work)
            except LakepartError as error:
                self._settle([_undoable(work, error)])
                continue
            workers.submit(_ticket(work.number, work.attempts), order)

    def _take(self, most: int) -> list[_Work]:
        """Take orders that may begin from those that wait, in their order."""
        if self._turns is None:
            return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        ready: list[_Work] = []
        for looked_at, work in enumerate(self._waiting):
            if len(ready) >= most or (looked_at >= _LOOKED_AT and (ready or self._running)):
                break
            if self._turns.may_begin(work.ordinals):
                ready.append(work)
        for work in ready:
            self._waiting.remove(work)
        return ready

    def _make_turns(self, inputs: Sequence[MappedInput], targets: Sequence[TargetRecord]) -> Turns | None:
        own = [one for one in inputs if one.asset.asset_id == self._asset.asset_id]
        if not own:
            return None
        unfinished = sorted(target.ordinal for target in targets if target.state is TargetState.WAITING)
        everything = PartitionSet.everything(self._asset.partitions)
        return Turns(self._asset, own, everything, self._as_of, unfinished)

    def _withdraw(self, workers: Workers[Order, Outcome]) -> None:
        """Let orders wait again that are queued and that no worker has begun."""
        tickets = set(workers.withdraw())
        withdrawn = [work for work in self._running.values() if _ticket(work.number, work.attempts) in tickets]
        self._let_wait(withdrawn)
        for work in withdrawn:
            del self._running[work.number]

    def _order(self, work: _Work) -> Order:
        """Fix everything the worker needs: the inputs' files, and what is noted of having read them."""
        if self._turns is not None:
            self._turns.refuse_failed(work.ordinals)
        work.asset = self._asset
        definition = self._asset.partitions
        inputs = read_inputs(
            self.context,
            self.view,
            self.record.plan["inputs"],
            self.mapping_functions,
            definition,
            work.ordinals,
            self._as_of,
        )
        work.lineage = inputs.lineage
        keys = tuple(target.key for target in work.targets)
        return Order(
            asset=self._asset.name,
            definition=self._asset.definition,
            known=known_of(definition, keys),
            keys=keys,
            number=work.number,
            attempt=work.attempts,
            inputs=inputs.resolved,
            schema=self._schema(),
            on_schema_change=str(self._asset.options.get("on_schema_change", "error")),
            sort_by=self._asset.sort_by,
            tier=self.context.hottest.name,
            name_prefix=f"{self._intent_id}-{work.number}-{work.attempts}",
            code_version=self.record.plan["code_version"],
        )

    @property
    def _as_of(self) -> datetime:
        """The instant of the plan, so that every order means the same by what follows the clock."""
        as_of_us = self.record.plan.get("as_of_us")
        return from_microseconds(self.record.created_at_us if as_of_us is None else as_of_us)

    def _schema(self) -> bytes | None:
        schema = stored_schema(self.context, self._asset)
        return None if schema is None else serialise(schema)

    # Ending

    def _collect(self, workers: Workers[Order, Outcome]) -> list[Outcome]:
        """Wait for an outcome, then for those that follow closely; attempts that overran are among them."""
        outcomes: list[Outcome] = []
        wait_s = GROUP_WAIT_S if self._running else _FIRST_RETRY_S
        while len(outcomes) < GROUP_ORDERS and len(outcomes) < max(1, len(self._running)):
            found = workers.next_result(wait_s)
            if found is None:
                break
            outcomes.append(found[1])
            wait_s = 0.0 if len(outcomes) >= self.count else GROUP_WAIT_S
        return outcomes + self._overrun(workers)

    def _overrun(self, workers: Workers[Order, Outcome]) -> list[Outcome]:
        timeout_s = self.record.plan["timeout_s"]
        if timeout_s is None:
            return []
        overrun = []
        for ticket, running_s in workers.running_for().items():
            work = next(
                (work for work in self._running.values() if _ticket(work.number, work.attempts) == ticket), None
            )
            if work is not None and running_s > timeout_s:
                workers.give_up(ticket)
                overrun.append(describe_timeout(work.number, work.attempts, timeout_s))
        return overrun

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        computed: list[tuple[_Work, Outcome]] = []
        for outcome in outcomes:
            work = self._running.pop(outcome.number)
            if outcome.ok:
                if self._passes(work, outcome):
                    computed.append((work, outcome))
            elif work.tries <= self.record.plan["retries"] and outcome.error_type not in _FINAL_ERRORS:
                self._note(work, TargetState.WAITING, outcome)
                heappush(self._retrying, (time.monotonic() + _retry_after_s(work.tries), work.number, work))
            else:
                self._fail(work, outcome)
        if computed:
            self._commit(computed)

    def _passes(self, work: _Work, outcome: Outcome) -> bool:
        """Audit one order as it would be once committed; one that fails ends here. Staged results are audited whole."""
        if self.audit is None or self._is_staging:
            return True
        self._beat()
        try:
            context, view = show_uncommitted(
                self.context,
                self.view.branch,
                work.asset,
                list(self._changes(work, outcome)),
                outcome.schema if outcome.schema_changed else None,
            )
            work.audits = self.audit(context, view, self._asset.name, self._partitions(work.ordinals))
        except (AuditError, ConflictError) as error:
            self._fail(work, _failure(outcome, error))
            discard_files(self.context.stores, (file for files in outcome.files.values() for file in files))
            return False
        return True

    def _partitions(self, ordinals: Sequence[int]) -> PartitionSet:
        return PartitionSet.from_ordinals(self._asset.partitions, sorted(ordinals))

    def _commit(self, computed: Sequence[tuple[_Work, Outcome]]) -> None:
        """Commit a group under one schema; where a partition has moved, that order fails and the rest is committed."""
        asset, schema = computed[0][0].asset, computed[0][1].schema
        if any((work.asset.revision, outcome.schema) != (asset.revision, schema) for work, outcome in computed):
            for pair in computed:  # they were begun under other columns, or bring other ones
                self._commit([pair])
            return
        claim = BackfillClaim(
            self.record.backfill_id,
            self.record.epoch,
            tuple(target.ordinal for work, _ in computed for target in work.targets),
            (TargetState.STAGED if self._is_staging else TargetState.DONE).value,
        )
        new_schema = next((outcome.schema for _, outcome in computed if outcome.schema_changed), None)
        changes = tuple(change for work, outcome in computed for change in self._changes(work, outcome))
        request = CommitRequest(
            token=self.context.new_id(),
            operation="backfill",
            changes=changes,
            assets=(AssetGuard(asset.asset_id, asset.revision, new_schema),),
            branch_id=self.view.branch.branch_id,
            intent_id=self._intent_id,
            keeps_intent=True,
            author=self.context.author,
            message=f"backfill {self.record.name}",
            metadata=self._metadata([one for work, _ in computed for one in work.audits]),
            backfill=claim,
            written_keys=written_keys(asset, changes),
        )
        try:
            based_on = {asset.asset_id: (schema, asset.partitions)}
            commit_under_current_schema(self.context, request, based_on)
        except ConflictError as error:
            if error.code is ErrorCode.ASSET_CHANGED and self._has_other_columns(asset):
                self._compute_anew(computed)
                return
            lost = {conflict["key"] for conflict in error.context.get("conflicts", ())}
            for work, outcome in computed:
                if not lost or any(target.key in lost for target in work.targets):
                    self._fail(work, _failure(outcome, error))
            rest = [
                (work, outcome)
                for work, outcome in computed
                if lost and not any(target.key in lost for target in work.targets)
            ]
            if rest:
                self._commit(rest)
            return
        self._finish(claim.ordinals, TargetState(claim.state))
        if new_schema is not None or self._asset.schema_id is None:
            self._look_asset_up()

    def _look_asset_up(self) -> None:
        with self.context.database.reading() as connection:
            self._asset = get_asset(connection, self._asset.asset_id)

    def _has_other_columns(self, asset: AssetRecord) -> bool:
        """Say whether the columns alone have changed since an order was begun."""
        self._look_asset_up()
        return self._asset.schema_id != asset.schema_id and self._asset.definition == asset.definition

    def _compute_anew(self, computed: Sequence[tuple[_Work, Outcome]]) -> None:
        """Let orders wait whose columns do not go with those that another brought meanwhile; that is no failed try."""
        self._let_wait(work for work, _ in computed)
        for work, outcome in computed:
            discard_files(self.context.stores, (file for files in outcome.files.values() for file in files))
            work.tries -= 1
            self._waiting.append(work)

    def _changes(self, work: _Work, outcome: Outcome) -> Iterable[Change]:
        for target in work.targets:
            yield Change(
                asset_id=self._asset.asset_id,
                key=target.key,
                ordinal=target.ordinal,
                kind=ChangeKind.REPLACE,
                files=outcome.files[target.key],
                # what an audit has rejected is replaced; what main must hold was fixed when it was staged first
                expected=ANYTHING if target.ordinal in self._staged_before else target.expected,
                code_version=self.record.plan["code_version"],
                inputs=work.lineage[target.ordinal],
            )

    def _fail(self, work: _Work, outcome: Outcome) -> None:
        self._note(work, TargetState.FAILED, outcome)
        self._finish(work.ordinals, TargetState.FAILED)
        if self.record.plan["on_error"] == "stop":
            self._stopping = True

    def _note(self, work: _Work, state: TargetState, outcome: Outcome) -> None:
        campaigns.finish_targets(
            self.context.database,
            self.record.backfill_id,
            self.record.epoch,
            [
                TargetOutcome(target.ordinal, state, outcome.error_type, outcome.error_message)
                for target in work.targets
            ],
        )

    def _end(self) -> BackfillState:
        database, record = self.context.database, self.record
        with database.reading() as connection:
            counts = campaigns.count_targets(connection, record.backfill_id)
            state = campaigns.get_backfill(connection, record.backfill_id).state
            staged = campaigns.list_targets(connection, record.backfill_id, states=[TargetState.STAGED])
        if state is BackfillState.CANCELLING:
            ends = BackfillState.CANCELLED
        elif counts.get(TargetState.FAILED) or counts.get(TargetState.WAITING):
            ends = BackfillState.FAILED
        else:
            ends = BackfillState.COMPLETED
        if ends is BackfillState.COMPLETED and self._is_staging and staged:
            try:
                self._publish(staged)
            except AuditError as error:
                self._reject(staged, error)
                ends = BackfillState.FAILED
        campaigns.set_state(database, record.backfill_id, record.epoch, ends)
        return ends

    def _state(self) -> BackfillState:
        with self.context.database.reading() as connection:
            return campaigns.get_backfill(connection, self.record.backfill_id).state

    def _metadata(self, audits: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return {"backfill": self.record.name, **({"audits": list(audits)} if audits else {})}

    def _reject(self, staged: Sequence[TargetRecord], error: AuditError) -> None:
        """Note what an audit names as failed, so that it is computed anew; all of it where it names no partition."""
        named = set(error.context["keys"])
        rejected = [target for target in staged if target.key in named] or list(staged)
        outcomes = [
            TargetOutcome(target.ordinal, TargetState.FAILED, type(error).__name__, error.message)
            for target in rejected
        ]
        campaigns.finish_targets(self.context.database, self.record.backfill_id, self.record.epoch, outcomes)

    def _publish(self, staged: Sequence[TargetRecord]) -> None:
        record = self.record
        audits: list[dict[str, Any]] = []
        choice = None
        if self.audit is not None:
            self._beat()
            with self.context.database.reading() as connection:
                written = branch_changes(connection, self.view.branch.branch_id)
            choice = Publication({one.version_id: base for one, base in written}, frozenset(), stays_open=False)
            partitions = self._partitions([one.ordinal for one, _ in written if one.asset_id == self._asset.asset_id])
            audits = self.audit(self.context, self.view, self._asset.name, partitions)
        try:
            publish(
                self.context.database,
                self.view.branch.branch_id,
                token=f"backfill-{record.backfill_id}",
                author=self.context.author,
                message=f"backfill {record.name}",
                metadata=self._metadata(audits),
                operation="backfill",
                backfill=BackfillClaim(
                    record.backfill_id, record.epoch, tuple(target.ordinal for target in staged), TargetState.DONE.value
                ),
                choice=choice,
            )
        except ConflictError:
            campaigns.set_state(self.context.database, record.backfill_id, record.epoch, BackfillState.FAILED)
            raise

    def _let_go(self) -> None:
        """Say that nothing is under way any more; where the catalog cannot be told, whoever resumes finds out."""
        with suppress(LakepartError):
            self._let_wait(self._running.values())
        with suppress(LakepartError):
            close_intent(self.context.database, self._intent_id)

    def _let_wait(self, works: Iterable[_Work]) -> None:
        unfinished = [TargetOutcome(target.ordinal, TargetState.WAITING) for work in works for target in work.targets]
        campaigns.finish_targets(self.context.database, self.record.backfill_id, self.record.epoch, unfinished)

    # Staying in charge

    @property
    def _is_staging(self) -> bool:
        return self.record.staging_branch_id is not None and self.record.plan["publish"] == "together"

    def _beat(self) -> None:
        now = time.monotonic()
        if now < self._beat_at:
            return
        self._beat_at = now + BEAT_S
        state = campaigns.heartbeat(self.context.database, self.record.backfill_id, self.record.epoch)
        renew_intents(self.context.database, [self._intent_id])
        self._stopping = self._stopping or state is BackfillState.CANCELLING

    def _finish(self, ordinals: Sequence[int], state: TargetState) -> None:
        self._count(state, len(ordinals))
        if self._turns is not None:
            self._turns.finish(ordinals, failed=state is TargetState.FAILED)

    def _count(self, state: TargetState, targets: int) -> None:
        self._ended[state] = self._ended.get(state, 0) + targets

    def _report(self) -> None:
        self.on_progress(
            BackfillProgress(
                total=self._total,
                done=self._ended.get(TargetState.DONE, 0) + self._ended.get(TargetState.STAGED, 0),
                failed=self._ended.get(TargetState.FAILED, 0),
                running=sum(len(work.targets) for work in self._running.values()),
            )
        )


# trying again cannot help: the same call would give the same answer
_FINAL_ERRORS = frozenset({"PartitionKeyError", "SchemaMismatchError", "PartitionNotFoundError", "InvalidInputError"})


def _works(targets: Sequence[TargetRecord], asset: AssetRecord) -> deque[_Work]:
    orders: dict[int, list[TargetRecord]] = {}
    for target in targets:
        if target.state is TargetState.WAITING:
            orders.setdefault(target.order_number, []).append(target)
    return deque(_Work(number, tuple(listed), asset) for number, listed in orders.items())


def _ticket(number: int, attempt: int) -> int:
    return number * 1_000_000 + attempt


def _retry_after_s(attempt: int) -> float:
    longest = min(_LONGEST_RETRY_S, _FIRST_RETRY_S * 2 ** (attempt - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, guards nothing


def _undoable(work: _Work, error: LakepartError) -> Outcome:
    return Outcome(work.number, work.attempts, 0.0, error_type=type(error).__name__, error_message=error.message)


def _failure(outcome: Outcome, error: LakepartError) -> Outcome:
    return Outcome(
        outcome.number,
        outcome.attempt,
        outcome.elapsed_s,
        error_type=error.code.value if error.code is ErrorCode.ASSET_CHANGED else type(error).__name__,
        error_message=error.message,
    )
