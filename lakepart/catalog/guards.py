"""What a branch shows of the partitions a commit changes, and whether that is what the commit was based on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Select, bindparam, func, select, union_all

from lakepart.catalog.encoding import to_json
from lakepart.catalog.scopes import (
    Form,
    Scope,
    Shape,
    form_of,
    in_json,
    parameters_of,
    range_parameters,
    seen,
    within,
)
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import BIG, asset, copy, snapshot, version
from lakepart.errors import ConflictError, ErrorCode
from lakepart.model.catalog_records import CopyState
from lakepart.model.plans import list_some
from lakepart.model.records import MAIN, MAIN_BRANCH_ID, Anything, BranchRecord, Change
from lakepart.model.version_plans import MovedPartition

_EVER = 2**62


class Shown(NamedTuple):
    """A version as a commit needs to know it."""

    version_id: int
    asset_id: int
    branch_id: int
    ordinal: int
    content_id: str | None
    base_content_id: str | None
    row_count: int
    size_bytes: int
    file_count: int
    code_version: str | None
    written_at_us: int
    stale_mark: str | None


Current = Mapping[tuple[int, int], Shown]  # by asset id and ordinal


class HasContent(Protocol):
    """A version of any kind."""

    @property
    def content_id(self) -> str | None:
        """What it contains; None where it notes that a branch has nothing."""


def find_current(connection: Connection, branch: BranchRecord, changes: Sequence[Change]) -> Current:
    """Give what ``branch`` shows of the partitions to change, its own notes of missing ones included."""
    ordinals: dict[int, set[int]] = {}
    for change in changes:
        ordinals.setdefault(change.asset_id, set()).add(change.ordinal)
    return {
        (asset_id, shown.ordinal): shown
        for asset_id, wanted in ordinals.items()
        for shown in _find_shown(connection, asset_id, branch, sorted(wanted))
    }


def require_unmoved(
    connection: Connection,
    branch: BranchRecord,
    changes: Sequence[Change],
    current: Mapping[tuple[int, int], HasContent],
) -> None:
    """Refuse the commit if any guarded partition holds other content than it was based on."""
    lost = []
    for change in changes:
        if isinstance(change.expected, Anything):
            continue
        found = _content(current.get((change.asset_id, change.ordinal)))
        if found != change.expected:
            lost.append(_Lost(change, found))
    if lost:
        raise _overtaken(connection, branch, "Somebody else committed what this commit was based on", lost)


def require_files(
    connection: Connection,
    branch: BranchRecord,
    changes: Sequence[Change],
    current: Current,
    held: Mapping[int, Collection[int]],
) -> None:
    """Refuse the commit if files it takes the place of are in their partitions no longer, or on another tier by now.

    The same rows may lie in other files: ``held`` are the ids of those that each version has.
    """
    sources = [source for change in changes for source in change.sources.items()]
    live: set[tuple[int, str]] = set()
    if sources:
        live = {(*row,) for row in connection.execute(_LIVE, {"files": to_json([file_id for file_id, _ in sources])})}
    lost = []
    for change in changes:
        if not change.rewrites:
            continue
        shown = current.get((change.asset_id, change.ordinal))
        there = shown is not None and change.rewrites.keys() <= set(held.get(shown.version_id, ()))
        if not (there and live.issuperset(change.sources.items())):
            lost.append(_Lost(change, _content(shown), by_commit=not there))
    if lost:
        what = "Rows lie in other files by now, or on another tier"
        raise _overtaken(connection, branch, what, lost, code=ErrorCode.FILES_CHANGED)


def find_movers(
    connection: Connection, branch: BranchRecord, asset_id: int, asset: str, keys: Mapping[int, str]
) -> list[MovedPartition]:
    """Say of each of these partitions, given by ordinal and key, whose commit on ``branch`` changed it last."""
    writers = last_writers(connection, asset_id, branch, sorted(keys))
    return [MovedPartition(asset, key, *writers.get(ordinal, (None, None, None))) for ordinal, key in keys.items()]


def _find_shown(
    connection: Connection, asset_id: int, branch: BranchRecord, ordinals: Sequence[int]
) -> Iterator[Shown]:
    ranges = [(ordinal, ordinal) for ordinal in ordinals]
    parameters = {"asset": asset_id, "branch": branch.branch_id, **range_parameters(ranges)}
    own = [Shown(*row) for row in _own(form_of(ranges)).rows(connection, parameters)]
    yield from own
    if branch.branch_id != MAIN_BRANCH_ID:
        overridden = {shown.ordinal for shown in own}
        at_fork = Scope(asset_id, MAIN, branch.fork)
        for row in connection.execute(_inherited(form_of(ranges)), dict(parameters_of(at_fork, ranges))):
            shown = Shown(*row)
            if shown.ordinal not in overridden:
                yield shown


class LastWriter(NamedTuple):
    """Whose commit touched a partition last."""

    snapshot: int
    author: str | None
    at_us: int


def last_writers(
    connection: Connection, asset_id: int, branch: BranchRecord, ordinals: Sequence[int]
) -> dict[int, LastWriter]:
    """Say whose commit touched each of these partitions of ``branch`` last; those never touched are left out.

    What the branch has not touched is as main had it at the fork.
    """
    found = _last_on(connection, asset_id, branch.branch_id, ordinals, _EVER)
    if branch.branch_id != MAIN_BRANCH_ID:
        inherited = [ordinal for ordinal in ordinals if ordinal not in found]
        found |= _last_on(connection, asset_id, MAIN_BRANCH_ID, inherited, branch.fork)
    return found


def _last_on(
    connection: Connection, asset_id: int, branch_id: int, ordinals: Sequence[int], until: int
) -> dict[int, LastWriter]:
    if not ordinals:
        return {}
    ranges = [(ordinal, ordinal) for ordinal in ordinals]
    parameters = {"asset": asset_id, "branch": branch_id, "until": until, **range_parameters(ranges)}
    rows = connection.execute(_winners(form_of(ranges)), parameters)
    return {ordinal: LastWriter(*rest) for ordinal, *rest in rows}


class _Lost(NamedTuple):
    """A change that others were ahead of, and what its partition holds now; a move between tiers is no commit."""

    change: Change
    found: str | None
    by_commit: bool = True


def _overtaken(
    connection: Connection, branch: BranchRecord, what: str, lost: Sequence[_Lost], code: ErrorCode = ErrorCode.CONFLICT
) -> ConflictError:
    """Give the error that names every partition that was lost, and whose commit changed it last."""
    keys: dict[int, dict[int, str]] = {}
    for change, _, _ in lost:
        keys.setdefault(change.asset_id, {})[change.ordinal] = change.key
    movers: dict[tuple[int, int], MovedPartition] = {}
    for asset_id, of_asset in keys.items():
        name = connection.execute(select(asset.c.name).where(asset.c.asset_id == asset_id)).scalar_one()
        found = find_movers(connection, branch, asset_id, name, of_asset)
        movers |= {(asset_id, ordinal): mover for ordinal, mover in zip(of_asset, found, strict=True)}
    named, conflicts = [], []
    for change, content, by_commit in lost:
        mover = movers[change.asset_id, change.ordinal]
        if not by_commit:
            mover = replace(mover, snapshot=None, author=None, at_us=None)
        named.append(str(mover))
        conflicts.append(
            {**mover.to_context(), "ordinal": change.ordinal, "expected": change.expected, "found": content}
        )
    return ConflictError(
        f"{what}: {list_some(named)}. Nothing was changed.",
        hint="read again and retry.",
        code=code,
        context={"conflicts": conflicts},
    )


def _content(shown: HasContent | None) -> str | None:
    return None if shown is None else shown.content_id


@cache
def _own(form: Form) -> Statement:
    source, in_ranges = within(version, version.c.ordinal, form)
    return Statement(
        select(*(version.c[name] for name in Shown._fields))
        .select_from(source)
        .where(
            version.c.asset_id == bindparam("asset", type_=BIG),
            version.c.branch_id == bindparam("branch", type_=BIG),
            version.c.ended.is_(None),
            in_ranges,
        )
    )


@cache
def _inherited(form: Form) -> Select[Any]:
    visible = seen(Shape(past=True, branch=False, form=form))
    columns = (visible.columns[name] for name in Shown._fields)
    return select(*columns).select_from(visible.source).where(visible.where)


@cache
def _winners(form: Form) -> Select[Any]:
    source, in_ranges = within(version, version.c.ordinal, form)
    touched = union_all(
        *(
            select(version.c.ordinal, touching.label("snapshot"))
            .select_from(source)
            .where(
                version.c.asset_id == bindparam("asset", type_=BIG),
                version.c.branch_id == bindparam("branch", type_=BIG),
                in_ranges,
                time,
                touching <= bindparam("until", type_=BIG),
            )
            for touching, time in (
                (version.c.began, version.c.ended.is_(None)),
                (version.c.began, version.c.ended.is_not(None)),  # later than ``until``, maybe
                (version.c.ended, version.c.ended.is_not(None)),
            )
        )
    ).subquery()
    last = select(touched.c.ordinal, func.max(touched.c.snapshot).label("last")).group_by(touched.c.ordinal).subquery()
    return select(last.c.ordinal, snapshot.c.snapshot, snapshot.c.author, snapshot.c.at_us).select_from(
        last.join(snapshot, snapshot.c.snapshot == last.c.last)
    )


_LIVE: Select[Any] = select(copy.c.file_id, copy.c.tier).where(
    in_json(copy.c.file_id, "files"), copy.c.state == CopyState.LIVE.value
)
