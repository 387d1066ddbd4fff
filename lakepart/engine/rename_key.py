"""Calling one partition of a list of keys otherwise: its files stay where they are."""

from __future__ import annotations

from lakepart.catalog import campaigns, moves
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import rename_work, versions_since
from lakepart.catalog.lookups import get_head, list_branches
from lakepart.catalog.reading import find_versions
from lakepart.catalog.scopes import Scope
from lakepart.engine.conflicts import committed_meanwhile
from lakepart.engine.context import View
from lakepart.engine.home import Home
from lakepart.engine.redefining import (
    OPEN_BACKFILLS,
    broken_mappings,
    commit_definition,
    require_main,
)
from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError, StateError
from lakepart.model.definitions import PartitionsDefinition, Static
from lakepart.model.keys import check_key
from lakepart.model.plans import list_some
from lakepart.model.records import (
    MAIN_BRANCH_ID,
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    NewDefinition,
    Redefinition,
)
from lakepart.model.states import TargetState

_OPEN_TARGETS = (TargetState.WAITING, TargetState.RUNNING, TargetState.STAGED)


def rename_key(home: Home, asset: AssetRecord, old: str, new: str) -> Commit:
    """Call one partition otherwise; its files stay where they are."""
    require_main(home, "rename a key")
    before = asset.partitions
    after = _renamed(asset.name, before, old, new)
    ordinal = before.ordinal_at(before.position_of(old))
    with home.context.database.reading() as connection:
        snapshot = get_head(connection).snapshot
        found = find_versions(connection, View().scope(asset), [(ordinal, ordinal)])
        remarks = broken_mappings(connection, asset, after)
    changes = [
        Change(
            asset_id=asset.asset_id,
            key=new,
            ordinal=ordinal,
            kind=ChangeKind.REINSTATE,
            source_version_id=version.version_id,
            expected=version.content_id,
        )
        for version in found
    ]

    def require(connection: Connection) -> None:
        _require_nobody_at_work(connection, asset, ordinal, old)
        since = versions_since(connection, asset.asset_id, snapshot)
        if ordinal in since:
            raise committed_meanwhile(asset.name, [since[ordinal]])
        rename_work(connection, asset.asset_id, ordinal, new)

    return commit_definition(
        home.context,
        AssetGuard(
            asset.asset_id,
            asset.revision,
            new_definition=NewDefinition(after.to_dict(), asset.options, Redefinition.RENAMED),
        ),
        operation="rename-key",
        message=f"rename {old} to {new}",
        metadata={"asset": asset.name, "from": old, "to": new},
        remarks=remarks,
        require=require,
        changes=changes,
    )


def _renamed(asset: str, definition: PartitionsDefinition, old: str, new: str) -> PartitionsDefinition:
    if not isinstance(definition, Static):
        raise InvalidInputError(
            f"The keys of {asset!r} cannot be renamed: it is cut as {definition!r}, and only listed keys are names.",
            hint="keys of time say which window they mean.",
            code=ErrorCode.UNSUPPORTED,
        )
    position = definition.position_of(old)
    if check_key(new) in definition.keys:
        raise AlreadyExistsError(
            f"Key {old!r} of {asset!r} cannot be renamed to {new!r}: there is a partition of that name.",
            hint="choose another name.",
            context={"asset": asset, "key": new},
        )
    keys = [new if index == position else key for index, key in enumerate(definition.keys)]
    return Static(keys, by=definition.by, dimension=definition.dimension)


def _require_nobody_at_work(connection: Connection, asset: AssetRecord, ordinal: int, key: str) -> None:
    """Refuse while a backfill, a move or a branch knows the partition by its old name."""
    holders = [
        f"backfill {backfill.name!r}"
        for backfill in campaigns.list_backfills(connection, asset_id=asset.asset_id)
        if backfill.state in OPEN_BACKFILLS
        and any(
            target.ordinal == ordinal
            for target in campaigns.list_targets(connection, backfill.backfill_id, states=_OPEN_TARGETS)
        )
    ]
    holders += [
        f"a move to {move.to_tier!r}"
        for move in moves.open_moves(connection, asset_id=asset.asset_id)
        if move.ordinal == ordinal
    ]
    holders += [
        f"branch {branch.name!r}"
        for branch in list_branches(connection)
        if branch.branch_id != MAIN_BRANCH_ID
        and find_versions(connection, Scope(asset.asset_id, branch), [(ordinal, ordinal)])
    ]
    if holders:
        raise StateError(
            f"Partition {key!r} of {asset.name!r} cannot be renamed: {list_some(holders)} "
            f"{'has' if len(holders) == 1 else 'have'} it open, or show it to readers by that name.",
            hint="wait for it, or end it; a branch is published or discarded.",
            context={"asset": asset.name, "key": key, "holders": holders},
        )
