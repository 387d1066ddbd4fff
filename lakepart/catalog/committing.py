"""Publishing a snapshot: one short transaction that checks every guard, then swaps the rows.

The head row is updated first, so that commits follow one another; everything after it sees what the previous commit
left. A commit is known by its token: asked twice, it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, case, select, update

from lakepart.catalog.campaigns import accept_claim
from lakepart.catalog.changes import Moment, Totals, count_new, write_changes
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import close_branch, leave_published, require_closable
from lakepart.catalog.definitions import last_change, redefine, require_same_cut
from lakepart.catalog.encoding import to_json
from lakepart.catalog.guards import find_current, require_unmoved
from lakepart.catalog.intents import require_intent
from lakepart.catalog.lookups import get_branch, require_open
from lakepart.catalog.partition_keys import show_keys
from lakepart.catalog.reading import branch_changes
from lakepart.catalog.schemas import note_schema
from lakepart.catalog.scopes import in_json
from lakepart.catalog.statements import Statement, insert_into
from lakepart.catalog.tables import BIG, TEXT, asset, head, snapshot
from lakepart.errors import AssetNotFoundError, CatalogError, ConflictError, ErrorCode, InvalidInputError, StorageError
from lakepart.model.plans import by_whom
from lakepart.model.records import (
    MAIN,
    MAIN_BRANCH_ID,
    BackfillClaim,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    VersionRecord,
)

__all__ = ["Publication", "commit", "find_commit", "publish"]


_TRIES = 3


class _Taken(NamedTuple):
    """What the head row gives to one commit: the snapshot's number and time, and the first ids of its rows."""

    snapshot: int
    at_us: int
    next_version_id: int
    next_file_id: int


class _Declared(NamedTuple):
    """What a commit must know of an asset."""

    asset_id: int
    name: str
    revision: int
    schema_id: int | None


class _DoneBeforeError(Exception):
    """The token is in the catalog: this commit happened already."""

    def __init__(self, record: Commit) -> None:
        super().__init__(record)
        self.record = record


def commit(
    database: Database, request: CommitRequest, *, require: Callable[[Connection], None] | None = None
) -> Commit:
    """Publish ``request`` as the next snapshot, whole or not at all; the same token again gives the first outcome.

    Parameters
    ----------
    require
        Asked once nobody else can commit any more; what it raises, the commit fails with.

    Raises
    ------
    ConflictError
        A guarded partition holds other content than expected (``context["conflicts"]`` names each with the winner's
        snapshot, author and time), or an asset's declaration moved (``asset-changed``).
    StateError
        The intent has expired, the branch is closed, or the backfill has another driver.

    Notes
    -----
    Costs about a dozen statements, whatever the number of partitions, and one sync of the log.
    """

    def work(connection: Connection) -> Commit:
        taken = _advance(connection, database.now_us(), request)
        if require is not None:
            require(connection)
        return _apply(connection, request, taken)

    return _once(database, request.token, work)


class Publication(NamedTuple):
    """Which versions of a branch are published, by what main must hold of each, and which are not.

    With ``stays_open`` the branch lives on with the rest, forked from the publication.
    """

    expected: Mapping[int, str | None]
    left_out: frozenset[int]
    stays_open: bool

    def choose(
        self, branch: str, written: Sequence[tuple[VersionRecord, str | None]]
    ) -> list[tuple[VersionRecord, str | None]]:
        """Give the versions to publish with what main must hold; ConflictError if these are not those of the choice."""
        if {version.version_id for version, _ in written} != self.expected.keys() | self.left_out:
            raise ConflictError(
                f"Branch {branch!r} was written to after this publication was planned. Nothing was changed.",
                hint="plan again.",
                context={"branch": branch, "conflicts": []},
            )
        return [
            (version, self.expected[version.version_id])
            for version, _ in written
            if version.version_id in self.expected
        ]


def publish(
    database: Database,
    branch_id: int,
    *,
    token: str,
    author: str | None = None,
    message: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    operation: str = "publish",
    backfill: BackfillClaim | None = None,
    choice: Publication | None = None,
) -> Commit:
    """Make a branch's versions main's, all at once, and close the branch.

    Parameters
    ----------
    choice
        Which of them, where main has moved underneath; all by default.

    Raises
    ------
    ConflictError
        Main no longer holds what it held when the branch first wrote a key (or what ``choice`` expects); every such
        partition is named. Or the branch was written to after the choice was made.
    StateError
        The branch is main, or not open.
    """

    def work(connection: Connection) -> Commit:
        _require_new(connection, token)
        publishing = get_branch(connection, branch_id)
        require_closable(connection, publishing, "published")
        written = branch_changes(connection, branch_id)
        if choice is not None:
            written = choice.choose(publishing.name, written)
        changes = tuple(
            Change(
                asset_id=version.asset_id,
                key=version.key,
                ordinal=version.ordinal,
                kind=ChangeKind.REMOVE if version.content_id is None else ChangeKind.REINSTATE,
                source_version_id=None if version.content_id is None else version.version_id,
                expected=base,
            )
            for version, base in written
        )
        request = CommitRequest(
            token=token,
            operation=operation,
            changes=changes,
            assets=(),
            author=author,
            message=message,
            metadata=metadata or {},
            closes_branch_id=None if choice is not None and choice.stays_open else branch_id,
            backfill=backfill,
        )
        taken = _advance(connection, database.now_us(), request)
        record = _apply(connection, request, taken)
        if choice is not None and choice.stays_open:
            leave_published(connection, branch_id, [version.version_id for version, _ in written], taken.snapshot)
        return record

    return _once(database, token, work)


def find_commit(connection: Connection, token: str) -> Commit | None:
    """Give what the commit with that token did, or None if it never happened."""
    row = _BY_TOKEN.row(connection, {"token": token})
    return None if row is None else Commit(*row)


def _once(database: Database, token: str, work: Callable[[Connection], Commit]) -> Commit:
    """Commit; where the answer was lost, once more with the same token.

    The next try first takes the lock on the head, so a commit that is landing late has landed or never will; then it
    looks for the token. Present, it is done; absent, it is carried out now.
    """
    for _ in range(_TRIES):
        try:
            with database.writing() as connection:
                return work(connection)
        except _DoneBeforeError as done:
            return done.record
        except (CatalogError, StorageError) as error:
            if error.context.get("outcome") != "unknown":
                raise
            lost = error
    with database.writing() as connection:
        connection.execute(update(head).values(snapshot=head.c.snapshot))
        record = find_commit(connection, token)
    if record is None:
        raise lost
    return record


def _require_new(connection: Connection, token: str) -> None:
    done = find_commit(connection, token)
    if done is not None:
        raise _DoneBeforeError(done)


def _advance(connection: Connection, now_us: int, request: CommitRequest) -> _Taken:
    """Take the next snapshot's number and time, and the ids that its rows will have."""
    versions, files = count_new(request.changes, request.branch_id)
    parameters = {"now": now_us, "token": request.token, "versions": versions, "files": files}
    *taken, done = _ADVANCE.row(connection, parameters)
    if done is not None:
        _require_new(connection, request.token)
    return _Taken(*taken)


def _apply(connection: Connection, request: CommitRequest, taken: _Taken) -> Commit:
    number, at_us = taken.snapshot, taken.at_us
    _require_distinct(request.changes)
    branch = MAIN
    if request.branch_id != MAIN_BRANCH_ID:
        branch = get_branch(connection, request.branch_id)
        require_open(connection, branch, "written to")
    if request.intent_id is not None:
        require_intent(connection, request.intent_id, ends=not request.keeps_intent)
    if request.backfill is not None:
        accept_claim(connection, request.backfill, at_us)
    changed = {change.asset_id for change in request.changes}
    require_same_cut(connection, branch, changed)
    schema_ids = _check_assets(connection, request, changed, number)
    for written in request.written_keys:
        show_keys(connection, written.asset_id, written.ids)
    current = find_current(connection, branch, request.changes)
    require_unmoved(connection, branch, request.changes, current)
    moment = Moment(branch, number, at_us, schema_ids)
    next_ids = taken.next_version_id, taken.next_file_id
    totals = write_changes(connection, moment, request.changes, current, next_ids=next_ids)
    _insert_snapshot(connection, request, number, at_us, totals)
    if request.closes_branch_id is not None:
        closing = get_branch(connection, request.closes_branch_id)
        require_closable(connection, closing, "published")
        close_branch(connection, closing, state="published", at_us=at_us, published_as=number)
    return Commit(number, at_us, *totals)


def _require_distinct(changes: Sequence[Change]) -> None:
    seen: set[tuple[int, int]] = set()
    for change in changes:
        if (change.asset_id, change.ordinal) in seen:
            raise InvalidInputError(
                f"Partition {change.key!r} is changed twice in one commit.", context={"key": change.key}
            )
        seen.add((change.asset_id, change.ordinal))


def _insert_snapshot(connection: Connection, request: CommitRequest, number: int, at_us: int, totals: Totals) -> None:
    _INSERT_SNAPSHOT.run(
        connection,
        {
            "snapshot": number,
            "at_us": at_us,
            "branch_id": request.branch_id,
            "token": request.token,
            "operation": request.operation,
            "author": request.author,
            "message": request.message,
            "metadata": to_json(request.metadata),
            "manifested": 0,
            **totals._asdict(),
        },
    )


def _check_assets(
    connection: Connection, request: CommitRequest, asset_ids: set[int], number: int
) -> dict[int, int | None]:
    """Check the declarations the commit was prepared under, replace some; gives the schema ids for its new files."""
    guards = {guard.asset_id: guard for guard in request.assets}
    wanted = sorted(asset_ids | guards.keys())
    rows = [_Declared(*row) for row in _ASSETS.rows(connection, {"wanted": to_json(wanted)})]
    schema_ids: dict[int, int | None] = {row.asset_id: row.schema_id for row in rows}
    for asset_id in wanted:
        if asset_id not in schema_ids:
            raise AssetNotFoundError(f"There is no asset with id {asset_id}.", context={"asset_id": asset_id})
    for row in rows:
        guard = guards.get(row.asset_id)
        if guard is None:
            continue
        if guard.revision != row.revision:
            winner = last_change(connection, row.asset_id)
            raise ConflictError(
                f"The declaration of asset {row.name!r} changed meanwhile: it was revision {guard.revision}, "
                f"now it is {row.revision} {by_whom(winner)}.",
                hint="look at the asset again, and plan the change anew."
                if guard.new_definition is not None
                else "read the asset again and check the frame against its schema.",
                code=ErrorCode.ASSET_CHANGED,
                context={"asset": row.name, "expected": guard.revision, "found": row.revision, **winner},
            )
        if guard.new_schema is not None:
            schema_ids[row.asset_id] = note_schema(connection, row.asset_id, number, guard.new_schema)
        if guard.new_definition is not None:
            redefine(connection, guard, guard.new_definition, number)
    return schema_ids


# Made once: making a statement costs more than carrying it out.
_LATER = head.c.at_us + 1
_NOW = bindparam("now", type_=BIG)
_VERSIONS, _FILES = bindparam("versions", type_=BIG), bindparam("files", type_=BIG)
_OF_TOKEN = snapshot.c.token == bindparam("token", type_=TEXT)
_ADVANCE = Statement(
    update(head)
    .values(
        snapshot=head.c.snapshot + 1,
        at_us=case((_LATER > _NOW, _LATER), else_=_NOW),
        next_version_id=head.c.next_version_id + _VERSIONS,
        next_file_id=head.c.next_file_id + _FILES,
    )
    .returning(
        head.c.snapshot,
        head.c.at_us,
        head.c.next_version_id - _VERSIONS,
        head.c.next_file_id - _FILES,
        select(snapshot.c.snapshot).where(_OF_TOKEN).scalar_subquery(),
    )
)
_BY_TOKEN = Statement(
    select(
        snapshot.c.snapshot,
        snapshot.c.at_us,
        snapshot.c.partitions,
        snapshot.c.rows,
        snapshot.c.bytes,
        snapshot.c.files,
    ).where(_OF_TOKEN)
)
_ASSETS = Statement(select(*(asset.c[name] for name in _Declared._fields)).where(in_json(asset.c.asset_id, "wanted")))
_INSERT_SNAPSHOT = insert_into(snapshot)
