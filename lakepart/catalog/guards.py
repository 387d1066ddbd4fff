"""What a branch shows of the partitions a commit changes, and whether that is what the commit was based on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, Select, bindparam, func, select, union_all

from lakepart.catalog.scopes import Form, Scope, Shape, form_of, parameters_of, range_parameters, seen, within
from lakepart.catalog.statements import Statement
from lakepart.catalog.tables import BIG, asset, snapshot, version
from lakepart.errors import ConflictError
from lakepart.model.instants import from_microseconds
from lakepart.model.records import MAIN, MAIN_BRANCH_ID, Anything, BranchRecord, Change

_NAMED_CONFLICTS = 5
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
    moved: dict[int, list[tuple[Change, str | None]]] = {}
    for change in changes:
        if isinstance(change.expected, Anything):
            continue
        shown = current.get((change.asset_id, change.ordinal))
        found = None if shown is None else shown.content_id
        if found != change.expected:
            moved.setdefault(change.asset_id, []).append((change, found))
    if not moved:
        return
    conflicts: list[dict[str, Any]] = []
    for asset_id, listed in moved.items():
        conflicts += _describe(connection, asset_id, branch, listed)
    named = ", ".join(
        f"{conflict['key']!r} of {conflict['asset']!r} "
        f"(snapshot {conflict['snapshot']} by {conflict['author']} at {conflict['at']})"
        for conflict in conflicts[:_NAMED_CONFLICTS]
    )
    more = f" and {len(conflicts) - _NAMED_CONFLICTS} more" if len(conflicts) > _NAMED_CONFLICTS else ""
    raise ConflictError(
        f"Somebody else committed what this commit was based on: {named}{more}. Nothing was changed.",
        hint="read again and retry.",
        context={"conflicts": conflicts},
    )


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


def _describe(
    connection: Connection, asset_id: int, branch: BranchRecord, moved: Sequence[tuple[Change, str | None]]
) -> list[dict[str, Any]]:
    """Say of each moved partition who committed last, and when."""
    winners = last_writers(connection, asset_id, branch, sorted(change.ordinal for change, _ in moved))
    name = connection.execute(select(asset.c.name).where(asset.c.asset_id == asset_id)).scalar_one()
    conflicts = []
    for change, found in moved:
        winner = winners.get(change.ordinal)
        conflicts.append(
            {
                "asset": name,
                "key": change.key,
                "ordinal": change.ordinal,
                "expected": change.expected,
                "found": found,
                "snapshot": None if winner is None else winner.snapshot,
                "author": None if winner is None else winner.author,
                "at_us": None if winner is None else winner.at_us,
                "at": None if winner is None else from_microseconds(winner.at_us).isoformat(timespec="seconds"),
            }
        )
    return conflicts


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
                (version.c.ended, version.c.ended.is_not(None)),
            )
        )
    ).subquery()
    last = select(touched.c.ordinal, func.max(touched.c.snapshot).label("last")).group_by(touched.c.ordinal).subquery()
    return select(last.c.ordinal, snapshot.c.snapshot, snapshot.c.author, snapshot.c.at_us).select_from(
        last.join(snapshot, snapshot.c.snapshot == last.c.last)
    )
