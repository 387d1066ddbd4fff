"""Backfills: planning a campaign, driving it to its end, and settling what it published.

The driver alone touches the catalog. It hands out orders, takes the first outcome of each, commits outcomes in groups,
and is fenced by its epoch: once another driver has taken over, whatever this one still wants to commit is refused.
Results meant to appear together are committed to a branch of their own and published from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakepart.catalog import campaigns
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import list_definitions
from lakepart.catalog.lookups import find_branch, get_asset, get_branch, list_assets, list_snapshots
from lakepart.catalog.reading import contents, find_versions
from lakepart.engine.auditing import Auditor, Select, load_audits, to_record
from lakepart.engine.branches import diff_changes, diff_frame
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.driven import is_driven, require_undriven
from lakepart.engine.driver import OnProgress, drive
from lakepart.engine.home import Home
from lakepart.engine.inputs import MappedInput, choose_inputs, planned_inputs, remember_functions
from lakepart.engine.offline import offline_error
from lakepart.engine.order_inputs import find_offline_inputs
from lakepart.engine.processes import at_work
from lakepart.engine.rollback import apply_rollback, plan_rollback
from lakepart.engine.status import partition_statuses
from lakepart.errors import InvalidInputError, NotFoundError, StateError, did_you_mean
from lakepart.model.catalog_records import BackfillRecord, TargetRecord
from lakepart.model.functions import load_function, reference
from lakepart.model.inputs import Input
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.names import check_branch_name
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import BackfillPlan, Target, list_some
from lakepart.model.records import MAIN, AssetRecord, Commit, Redefinition
from lakepart.model.states import BackfillState, TargetState
from lakepart.planning.backfill import check_which, choose_publication, choose_targets

if TYPE_CHECKING:
    import pandas as pd


def plan_backfill(
    home: Home,
    asset: AssetRecord,
    partitions: PartitionSet,
    *,
    explicit: bool,
    function: Callable[..., Any] | None,
    inputs: Mapping[str, str | Input] | None,
    which: str | set[str] | None,
    batch: int,
    publish: str | None,
    name: str | None,
    retries: int,
    timeout_s: float | None,
    on_error: str,
    as_of: datetime,
    audits: Sequence[Any] = (),
) -> BackfillPlan:
    """Decide what to compute; reads the catalog and changes nothing."""
    context, view = home.context, home.view
    states = check_which(which)
    if on_error not in {"continue", "stop"}:
        raise InvalidInputError(f"on_error={on_error!r} is not one of 'continue', 'stop'.")
    if retries < 0 or (timeout_s is not None and timeout_s <= 0):
        raise InvalidInputError(f"retries={retries} and timeout={timeout_s} must not be negative, nor timeout zero.")
    if name is not None:
        check_branch_name(_staging_branch(name))
    recorded = asset.producer
    if function is None and recorded is None:
        raise StateError(
            f"Asset {asset.name!r} has no producer, so nothing can compute it.",
            hint="pass a function, backfill(fn), or register a producer.",
        )
    if inputs is None:
        recorded_inputs = {} if function is not None or recorded is None else recorded.inputs
        inputs = {name: Input.from_recorded(one, home.mapping_functions) for name, one in recorded_inputs.items()}
    statuses = partition_statuses(context, view, asset, partitions, explicit=explicit, as_of=as_of)
    if not explicit:
        expected = partitions.elapsed(as_of)
        statuses = [status for status in statuses if expected.contains_ordinal(status.ordinal)]
    targets = choose_targets(statuses, states, batch)
    publication = choose_publication(publish, targets, on_branch=view.branch.branch_id != MAIN.branch_id)
    with context.database.reading() as connection:
        view = view.look(connection)
        mapped_inputs = choose_inputs(connection, view, asset, inputs)
        targets = _as_found_on(connection, publication, asset, partitions, targets)
        snapshot = list_snapshots(connection, branch=view.branch, limit=1)[0].snapshot
    remember_functions(home, mapped_inputs)
    if batch > 1 and any(one.asset.asset_id == asset.asset_id for one in mapped_inputs):
        raise InvalidInputError(
            f"batch={batch}: asset {asset.name!r} reads its own earlier partitions, so each is an order of its own.",
            hint="leave batch out.",
        )
    offline = find_offline_inputs(context, view, asset, mapped_inputs, [one.ordinal for one in targets], as_of)
    rows = [status.version.row_count for status in statuses if status.version is not None]
    sizes = [status.version.size_bytes for status in statuses if status.version is not None]
    own_code = recorded is not None and function is None
    return BackfillPlan(
        name=name or f"{asset.name.replace('/', '-')}-{context.new_id()[:8]}",
        asset=asset.name,
        asset_id=asset.asset_id,
        branch_id=view.branch.branch_id,
        snapshot=snapshot,
        selection=partitions.to_text(),
        targets=targets,
        publish=publication,
        code_version=recorded.code_version if own_code and recorded is not None else None,
        inputs={one.name: one.to_dict() for one in mapped_inputs},
        nonexistent=_nonexistent(asset, mapped_inputs, targets, as_of),
        offline={name: list_some(dict.fromkeys(one.key for one in files)) for name, (_, files) in offline.items()},
        function=recorded.function
        if own_code and recorded is not None
        else None
        if function is None
        else reference(function),
        batch=batch,
        retries=retries,
        timeout_s=timeout_s,
        on_error=on_error,
        as_of_us=to_microseconds(as_of, name="as_of"),
        estimated_rows=len(targets) * sum(rows) // len(rows) if rows else None,
        estimated_bytes=len(targets) * sum(sizes) // len(sizes) if sizes else None,
        audits=tuple(map(to_record, audits)),
        checks=tuple(audits),
    )


def start_backfill(
    home: Home,
    plan: BackfillPlan,
    function: Callable[..., Any] | None,
    *,
    workers: int,
    on_progress: OnProgress,
    select: Select,
) -> BackfillState:
    """Record the campaign that ``plan`` describes and drive it to its end."""
    context = home.context
    require_writable(context, home.view, "backfill")
    _check_workers(workers)
    if plan.branch_id != home.view.branch.branch_id:
        raise InvalidInputError(
            f"The plan is for another branch than {home.view.branch.name!r}.", hint="apply it where it was made."
        )
    _require_same_cut(context, plan.asset_id, plan.snapshot, plan.name)
    chosen = _function(home, plan.asset, plan.function, function)
    audits = load_audits(plan.audits, plan.checks, plan.name)
    _require_inputs_online(home, plan)
    branch, staging_branch = _result_branch(plan)
    with at_work(context.new_id()[:8]) as driver:
        record = campaigns.open_backfill(
            context.database,
            plan.name,
            asset_id=plan.asset_id,
            branch=branch,
            plan={name: value for name, value in plan.to_dict().items() if name != "targets"},
            targets=plan.targets,
            driver=driver,
            staging_branch=staging_branch,
        )
        return _drive(home, record, chosen, workers, on_progress, audits, select)


def resume_backfill(
    home: Home,
    name: str,
    function: Callable[..., Any] | None,
    *,
    workers: int,
    on_progress: OnProgress,
    audits: Sequence[Any],
    select: Select,
    take_over: bool,
) -> BackfillState:
    """Drive a campaign to its end that nobody drives any more, or, to ``take_over``, one that somebody does."""
    _check_workers(workers)
    record = get_backfill(home.context, name)
    if record.state is BackfillState.COMPLETED:
        raise StateError(f"Backfill {name!r} is completed; there is nothing to resume.", hint="start another one.")
    _require_same_cut(home.context, record.asset_id, record.plan["snapshot"], name)
    chosen = _function(home, record.plan["asset"], record.plan["function"], function)
    audits = load_audits(record.plan.get("audits", ()), audits, name)
    if not take_over:
        require_undriven(home.context, record)
    with at_work(home.context.new_id()[:8]) as driver:
        epoch = campaigns.take_over(home.context.database, record.backfill_id, record.epoch, driver=driver)
        return _drive(home, replace(record, epoch=epoch), chosen, workers, on_progress, audits, select)


def cancel_backfill(context: LakeContext, name: str) -> None:
    """Ask the driver to stop; one that has died is cancelled in its place."""
    record = get_backfill(context, name)
    if record.state not in {BackfillState.RUNNING, BackfillState.CANCELLING}:
        raise StateError(f"Backfill {name!r} is {record.state.value}; there is nothing to cancel.")
    campaigns.request_cancel(context.database, record.backfill_id)
    if is_driven(context, record):
        return
    with at_work(context.new_id()[:8]) as driver:
        epoch = campaigns.take_over(context.database, record.backfill_id, record.epoch, driver=driver)
        campaigns.request_cancel(context.database, record.backfill_id)
        campaigns.set_state(context.database, record.backfill_id, epoch, BackfillState.CANCELLED)


def rollback_backfill(home: Home, name: str) -> Commit:
    """Give every partition that the campaign published the content it had when it was planned."""
    context = home.context
    record = get_backfill(context, name)
    _require_same_cut(context, record.asset_id, record.plan["snapshot"], name)
    with context.database.reading() as connection:
        done = campaigns.list_targets(connection, record.backfill_id, states=[TargetState.DONE])
        asset = get_asset(connection, record.asset_id)
    if not done or record.branch_id != home.view.branch.branch_id:
        raise StateError(
            f"Backfill {name!r} has published nothing here, so there is nothing to roll back.",
            hint="what is on a branch goes away with branch.discard().",
        )
    definition = asset.partitions
    partitions = PartitionSet.from_ordinals(definition, [target.ordinal for target in done])
    plan = plan_rollback(context, home.view, [(asset, partitions)], to=record.plan["snapshot"])
    return apply_rollback(context, home.view, plan, message=f"rollback of backfill {name}")


def diff_backfill(home: Home, name: str) -> pd.DataFrame:
    """Compare what the campaign made with what was there when it was planned."""
    context = home.context
    record = get_backfill(context, name)
    _require_same_cut(context, record.asset_id, record.plan["snapshot"], name)
    with context.database.reading() as connection:
        asset = get_asset(connection, record.asset_id)
        made = campaigns.list_targets(connection, record.backfill_id, states=[TargetState.DONE, TargetState.STAGED])
        branch = get_branch(connection, record.staging_branch_id or record.branch_id)
        if branch.branch_id != home.view.branch.branch_id and branch.state == "open":
            return diff_frame(context, branch)
        partitions = PartitionSet.from_ordinals(asset.partitions, [one.ordinal for one in made])
        ranges, view = partitions.ordinal_ranges(), home.view.look(connection)
        before = find_versions(connection, view.at(record.plan["snapshot"]).scope(asset), ranges)
        after = find_versions(connection, view.scope(asset), ranges)
    return diff_changes([(asset.name, before, after, frozenset())])


def get_backfill(context: LakeContext, name: str) -> BackfillRecord:
    """Look a backfill up; NotFoundError suggests close names."""
    with context.database.reading() as connection:
        found = campaigns.find_backfill(connection, name)
        if found is None:
            names = [record.name for record in campaigns.list_backfills(connection)]
            raise NotFoundError(
                f"There is no backfill {name!r}.", hint=did_you_mean(name, names), context={"backfill": name}
            )
    return found


def count_targets(context: LakeContext, name: str) -> dict[str, int]:
    """Count a backfill's targets by state."""
    record = get_backfill(context, name)
    with context.database.reading() as connection:
        counts = campaigns.count_targets(connection, record.backfill_id)
    return {state.value: count for state, count in counts.items()}


def failed_targets(context: LakeContext, name: str) -> list[TargetRecord]:
    """List the targets that failed."""
    record = get_backfill(context, name)
    with context.database.reading() as connection:
        return campaigns.list_targets(connection, record.backfill_id, states=[TargetState.FAILED])


def targets_frame(context: LakeContext, name: str) -> pd.DataFrame:
    """Give one row per target, in order."""
    import pandas as pd

    record = get_backfill(context, name)
    with context.database.reading() as connection:
        targets = campaigns.list_targets(connection, record.backfill_id)
    return pd.DataFrame(
        {
            "key": [target.key for target in targets],
            "state": [target.state.value for target in targets],
            "reason": [target.reason for target in targets],
            "order": [target.order_number for target in targets],
            "attempts": [target.attempts for target in targets],
            "error": [_error_text(target) for target in targets],
            "changed_at": pd.to_datetime([target.changed_us for target in targets], unit="us", utc=True),
        }
    )


def backfills_frame(context: LakeContext) -> pd.DataFrame:
    """Give one row per recorded campaign, newest first."""
    import pandas as pd

    with context.database.reading() as connection:
        records = campaigns.list_backfills(connection)
        names = {asset.asset_id: asset.name for asset in list_assets(connection)}
        counts = [campaigns.count_targets(connection, record.backfill_id) for record in records]
    return pd.DataFrame(
        {
            "name": [record.name for record in records],
            "asset": [names[record.asset_id] for record in records],
            "state": [record.state.value for record in records],
            "partitions": [sum(count.values()) for count in counts],
            "done": [count.get(TargetState.DONE, 0) for count in counts],
            "failed": [count.get(TargetState.FAILED, 0) for count in counts],
            "created_at": pd.to_datetime([record.created_at_us for record in records], unit="us", utc=True),
        }
    )


def _drive(
    home: Home,
    record: BackfillRecord,
    function: Callable[..., Any],
    workers: int,
    on_progress: OnProgress,
    audits: Sequence[Any],
    select: Select,
) -> BackfillState:
    with home.context.database.reading() as connection:
        branch = get_branch(connection, record.staging_branch_id or record.branch_id)
    audit = Auditor(home, audits, select, f"Backfill {record.name!r}") if audits else None
    return drive(
        home.context,
        View(branch),
        record,
        function,
        workers=workers,
        on_progress=on_progress,
        mapping_functions=home.mapping_functions,
        audit=audit,
    )


def _require_inputs_online(home: Home, plan: BackfillPlan) -> None:
    """Refuse a plan with inputs that must be restored first; asked anew, since a plan may be old."""
    context, view = home.context, home.view
    if not context.offline_tiers:
        return
    with context.database.reading() as connection:
        view = view.look(connection)
        asset = view.define(connection, get_asset(connection, plan.asset_id))
        inputs = planned_inputs(connection, view, plan.inputs, home.mapping_functions)
    as_of = context.clock() if plan.as_of_us is None else from_microseconds(plan.as_of_us)
    ordinals = [target.ordinal for target in plan.targets]
    for name, files in find_offline_inputs(context, view, asset, inputs, ordinals, as_of).values():
        raise offline_error(name, files, "nothing was computed")


def _nonexistent(
    asset: AssetRecord, inputs: Sequence[MappedInput], targets: Sequence[Target], as_of: datetime
) -> dict[str, str]:
    """Name, by input, the partitions that the targets need and that the input's definition does not have."""
    partitions = PartitionSet.from_ordinals(asset.partitions, [target.ordinal for target in targets])
    found = {one.name: one.map(partitions, as_of).nonexistent_text for one in inputs}
    return {name: text for name, text in found.items() if text}


def _result_branch(plan: BackfillPlan) -> tuple[int | str, str | None]:
    """Say where results go: the branch they are recorded on, and the one on which they are staged before."""
    if plan.publish == "each" or not plan.targets:
        return plan.branch_id, None
    if plan.publish == "together":
        return plan.branch_id, _staging_branch(plan.name)
    return _named_branch(plan.publish), None


def _staging_branch(name: str) -> str:
    return f"backfill-{name}"


def _named_branch(publish: str) -> str:
    return check_branch_name(publish.removeprefix("branch:"))


def _as_found_on(
    connection: Connection, publish: str, asset: AssetRecord, partitions: PartitionSet, targets: tuple[Target, ...]
) -> tuple[Target, ...]:
    """Expect what the branch that results go to shows now: it may have other contents than the view of the plan."""
    branch = find_branch(connection, _named_branch(publish)) if publish.startswith("branch:") else None
    if branch is None or branch.state != "open":
        return targets
    found = dict(contents(connection, View(branch).scope(asset), partitions.ordinal_ranges()))
    return tuple(replace(target, expected=found.get(target.ordinal)) for target in targets)


def _function(home: Home, asset: str, recorded: str | None, given: Callable[..., Any] | None) -> Callable[..., Any]:
    chosen = given or home.functions.get(asset) or load_function(recorded)
    if chosen is None:
        raise StateError(
            f"The producer of {asset!r} is not at hand: it was not registered with this lake handle, "
            f"and {recorded or 'its function'} cannot be imported.",
            hint="register it, lake.register(producer), or pass the function.",
        )
    return chosen


def _require_same_cut(context: LakeContext, asset_id: int, snapshot: int, name: str) -> None:
    """Refuse a campaign whose partitions are none of its asset's any more."""
    with context.database.reading() as connection:
        definitions = list_definitions(connection, asset_id, MAIN, None)
    rewrites = [one.began for one in definitions if one.change is Redefinition.REPARTITIONED and one.began > snapshot]
    if rewrites:
        raise StateError(
            f"Backfill {name!r} was planned at snapshot {snapshot}, and its asset was repartitioned in snapshot "
            f"{rewrites[0]}: its partitions are none any more.",
            hint="plan another one.",
            context={"backfill": name, "repartitioned_at": rewrites[0]},
        )


def _check_workers(workers: int) -> None:
    if workers < 1:
        raise InvalidInputError(f"workers={workers} is no number of workers: it is at least 1.")


def _error_text(target: TargetRecord) -> str | None:
    return None if target.error_type is None else f"{target.error_type}: {target.error_message}"
