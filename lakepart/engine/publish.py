"""Publishing a branch in one guarded commit, and moving its fork to main's present.

What main changed underneath is a conflict only where the branch wrote the same partition. Inputs that moved are none:
the results are published and stale, and a warning says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

from lakepart.catalog.committing import Publication, publish
from lakepart.catalog.database import Connection
from lakepart.catalog.declaring import refresh, require_closable
from lakepart.catalog.guards import find_movers
from lakepart.catalog.lookups import find_asset, get_asset, get_branch, get_head
from lakepart.catalog.reading import branch_changes, contents, inputs_of
from lakepart.catalog.scopes import Scope
from lakepart.engine.conflicts import list_conflicts
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.diff import differing
from lakepart.engine.manifests import write_manifests
from lakepart.engine.read import callers_level
from lakepart.errors import ConflictError, InvalidInputError, StateError
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import MAIN, BranchRecord, Commit, InputRecord, VersionRecord
from lakepart.model.version_plans import ON_CONFLICT, MovedPartition, PublishedPartition, PublishPlan

_TRIES = 5
_HINT = (
    'publish(on_conflict="drop") leaves them on the branch and publishes the rest, "theirs" keeps main\'s content, '
    '"ours" replaces it.'
)
Written = Sequence[tuple[VersionRecord, str | None]]


class StalePublicationWarning(UserWarning):
    """What was published is stale: inputs that it was made from have moved on main; the message names it."""


def plan_publish(context: LakeContext, branch: BranchRecord, *, on_conflict: str = "fail") -> PublishPlan:
    """Say what publishing would make current on main, and what main has changed underneath; changes nothing."""
    if on_conflict not in ON_CONFLICT:
        raise InvalidInputError(f"on_conflict={on_conflict!r} is not one of {', '.join(map(repr, ON_CONFLICT))}.")
    with context.database.reading() as connection:
        branch = get_branch(connection, branch.branch_id)
        require_closable(connection, branch, "published")
        written = branch_changes(connection, branch.branch_id)
        on_main = _contents_of_main(connection, written)
        names = _names(connection, [one for one, _ in written])
        conflicting = _conflicting(written, on_main)
        conflicts = _describe(connection, conflicting, names)
        staying = conflicting if on_conflict != "ours" else []
        kept = {(one.asset_id, one.ordinal) for one, _ in written} - {(one.asset_id, one.ordinal) for one in staying}
        moved = _moved_inputs(connection, branch, [one for one, _ in written], kept)
        snapshot = get_head(connection).snapshot

    def published(versions: Iterable[VersionRecord]) -> tuple[PublishedPartition, ...]:
        return tuple(
            PublishedPartition(
                names[one.asset_id],
                one.key,
                one.version_id,
                _change(one, on_main.get((one.asset_id, one.ordinal))),
                one.row_count,
                on_main.get((one.asset_id, one.ordinal)),
                moved.get(one.version_id, ()),
            )
            for one in versions
        )

    apart = {one.version_id for one in conflicting}
    rest = published(one for one, _ in written if one.version_id not in apart)
    return PublishPlan(
        snapshot, branch.name, branch.branch_id, rest, published(conflicting), tuple(conflicts), on_conflict
    )


def apply_publish(
    context: LakeContext, plan: PublishPlan, *, message: str | None = None, metadata: Mapping[str, Any] | None = None
) -> Commit:
    """Carry a plan out in one commit; it fails if main or the branch has moved since.

    Raises
    ------
    ConflictError
        The plan has conflicts and does not say what to do with them, or partitions have changed since it was made.
    StateError
        There is nothing to publish, or the branch is closed.
    """
    require_writable(context, View(), "publish")
    if plan.conflicts and plan.on_conflict == "fail":
        raise ConflictError(
            f"Main has other content now in {count_of(len(plan.conflicts), 'partition')} that branch {plan.branch!r} "
            f"wrote: {list_some(map(str, plan.conflicts))}. Nothing was changed.",
            hint=_HINT,
            context={"branch": plan.branch, "conflicts": list_conflicts(plan.conflicts)},
        )
    if not plan.published and not plan.conflicts:
        raise StateError(
            f"Branch {plan.branch!r} has nothing to publish: nothing was written on it.",
            hint="write on the branch, or discard it.",
        )
    if not plan.published:
        raise StateError(
            f"Branch {plan.branch!r} has nothing to publish: everything on it is in conflict with main.",
            hint='on_conflict="ours" replaces main\'s content; or discard the branch.',
        )
    expected = {one.version_id: one.expected for one in plan.published}
    left_out = frozenset(one.version_id for one in plan.conflicting) - expected.keys()
    record = publish(
        context.database,
        plan.branch_id,
        token=context.new_id(),
        author=context.author,
        message=message or f"publish branch {plan.branch}",
        metadata={"branch": plan.branch, **_conflicts_settled(plan), **(metadata or {})},
        choice=Publication(expected, left_out, plan.stays_open),
    )
    write_manifests(context, record)
    _warn_of_stale(plan)
    return record


def publish_branch(
    context: LakeContext,
    branch: BranchRecord,
    *,
    on_conflict: str = "fail",
    message: str | None = None,
    audit: Callable[[PublishPlan], Mapping[str, Any]],
) -> Commit:
    """Plan and carry out; where conflicts may be settled, plan again if main moves in between.

    ``audit`` is asked of each plan before it is carried out; what it gives is kept with the commit.
    """
    require_writable(context, View(branch), "publish")
    for attempt in range(_TRIES):
        plan = plan_publish(context, branch, on_conflict=on_conflict)
        try:
            return apply_publish(context, plan, message=message, metadata=audit(plan))
        except ConflictError:
            if on_conflict == "fail" or attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def refresh_branch(context: LakeContext, branch: BranchRecord) -> BranchRecord:
    """Let a branch fall through to main as it is now, unless both have changed one partition.

    Raises
    ------
    ConflictError
        Main has other content now in partitions that the branch wrote; they are named.
    """
    require_writable(context, View(branch), "refresh")
    return refresh(context.database, branch.branch_id, require=_require_no_conflict)


def _require_no_conflict(connection: Connection, branch: BranchRecord) -> None:
    written = branch_changes(connection, branch.branch_id)
    conflicting = _conflicting(written, _contents_of_main(connection, written))
    if conflicting:
        conflicts = _describe(connection, conflicting, _names(connection, conflicting))
        raise ConflictError(
            f"Branch {branch.name!r} cannot be refreshed: main and the branch have both changed "
            f"{count_of(len(conflicts), 'partition')}: {list_some(map(str, conflicts))}. Nothing was changed.",
            hint=_HINT,
            context={"branch": branch.name, "conflicts": list_conflicts(conflicts)},
        )


def _conflicting(written: Written, on_main: Mapping[tuple[int, int], str]) -> list[VersionRecord]:
    return [one for one, base in written if on_main.get((one.asset_id, one.ordinal)) != base]


def _names(connection: Connection, versions: Iterable[VersionRecord]) -> dict[int, str]:
    return {asset_id: get_asset(connection, asset_id).name for asset_id in {one.asset_id for one in versions}}


def _contents_of_main(connection: Connection, written: Written) -> dict[tuple[int, int], str]:
    """Give what main holds of the partitions that a branch wrote, by asset and ordinal."""
    ordinals: dict[int, list[int]] = {}
    for version, _ in written:
        ordinals.setdefault(version.asset_id, []).append(version.ordinal)
    return {
        (asset_id, ordinal): content_id
        for asset_id, listed in ordinals.items()
        for ordinal, content_id in contents(connection, Scope(asset_id, MAIN), [(one, one) for one in sorted(listed)])
    }


def _moved_inputs(
    connection: Connection, branch: BranchRecord, written: Sequence[VersionRecord], published: Set[tuple[int, int]]
) -> dict[int, tuple[str, ...]]:
    """Name, by version id, the inputs that will hold other content on main than on the branch."""
    inputs = inputs_of(connection, [version.version_id for version in written])
    moved: dict[str, frozenset[int]] = {}
    for name in {one.asset for listed in inputs.values() for one in listed}:
        asset = find_asset(connection, name)
        if asset is not None:
            apart = differing(connection, View(branch), View(), asset, None)
            moved[name] = frozenset(one.ordinal for one in apart if (asset.asset_id, one.ordinal) not in published)
    definitions = {name: find_asset(connection, name) for name in moved}

    def has_moved(one: InputRecord) -> bool:
        asset = definitions.get(one.asset)
        if asset is None or not moved[one.asset]:
            return False
        try:
            read = PartitionSet.parse(asset.partitions, one.selection)
        except InvalidInputError:  # of partitions that the definition of now has not
            return True
        return any(read.contains_ordinal(ordinal) for ordinal in moved[one.asset])

    found = {version_id: tuple(one.name for one in listed if has_moved(one)) for version_id, listed in inputs.items()}
    return {version_id: names for version_id, names in found.items() if names}


def _describe(
    connection: Connection, conflicting: Iterable[VersionRecord], names: Mapping[int, str]
) -> list[MovedPartition]:
    """Say whose commit on main changed each partition last, and when."""
    by_asset: dict[int, dict[int, str]] = {}
    for version in conflicting:
        by_asset.setdefault(version.asset_id, {})[version.ordinal] = version.key
    return [
        moved
        for asset_id, keys in by_asset.items()
        for moved in find_movers(connection, MAIN, asset_id, names[asset_id], keys)
    ]


def _change(version: VersionRecord, on_main: str | None) -> str:
    if version.content_id is None:
        return "remove"
    return "add" if on_main is None else "replace"


def _conflicts_settled(plan: PublishPlan) -> dict[str, Any]:
    if not plan.conflicts:
        return {}
    return {"on_conflict": plan.on_conflict, "conflicts": [f"{one.asset}:{one.key}" for one in plan.conflicts]}


def _warn_of_stale(plan: PublishPlan) -> None:
    if plan.stale:
        named = [f"{one.key!r} of {one.asset!r} ({', '.join(one.moved_inputs)})" for one in plan.stale]
        text = f"Published, but stale, for inputs have moved on main since: {list_some(named)}."
        warnings.warn(text, StalePublicationWarning, stacklevel=callers_level())
