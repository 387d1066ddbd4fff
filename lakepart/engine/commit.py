"""Writing: from a frame to a published snapshot.

The order is what makes it safe: note the intent → put the bytes under new names → sync them → swap the rows in one
guarded transaction → write the manifest. A failure before the swap deletes the new files; one that leaves the outcome
of the swap unknown is settled with the same token; a crash leaves at worst files that ``check`` names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import last_change
from lakepart.catalog.intents import close_intent, open_intent, renew_intents
from lakepart.catalog.lookups import get_asset, get_schema
from lakepart.catalog.schemas import find_schema_id
from lakepart.engine.context import LakeContext, View, require_writable
from lakepart.engine.dynamic_keys import definition_for_writing, written_keys
from lakepart.engine.folding import files_of
from lakepart.engine.joining import discarded_on_failure, join, require_no_details
from lakepart.engine.manifests import write_manifests
from lakepart.engine.pieces import (
    Destination,
    Prepared,
    nothing_to_write,
    pairs_or_rows,
    prepare_keyed,
    prepare_routed,
    prepare_wanted,
)
from lakepart.engine.schemas import stored_schema
from lakepart.engine.staged import StagedWrite
from lakepart.engine.staging import Piece, Stager
from lakepart.engine.uncommitted import Uncommitted
from lakepart.errors import AlreadyExistsError, ConflictError, ErrorCode, InvalidInputError, LakepartError
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import by_whom, count_of, list_some
from lakepart.model.records import (
    ANYTHING,
    Anything,
    AssetGuard,
    AssetRecord,
    Change,
    ChangeKind,
    Commit,
    CommitRequest,
    InputRecord,
    NewFile,
)
from lakepart.parquet.merging import check_on_schema_change
from lakepart.parquet.schemas import fingerprint, serialise
from lakepart.planning.definitions import require_fitting

IF_EXISTS = ("error", "replace", "append")
NO_ROWS = ("empty", "keep", "error")
_SCHEMA_RACES = 5
_RENEWED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Details:
    """What a commit says of itself, and the contents it insists on finding (by ordinal).

    ``token`` is that of a commit which may have been tried before.
    """

    inputs: tuple[InputRecord, ...] = ()
    code_version: str | None = None
    message: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    expected: Callable[[int], str | Anything | None] = lambda _: ANYTHING
    token: str | None = None


def write_frame(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    data: Any,
    *,
    if_exists: str,
    details: Details,
    on_schema_change: str | None = None,
) -> Commit:
    """Write rows to the partitions their ``by`` column names, in one commit."""
    require_writable(context, view, "write")
    _check_choice("if_exists", if_exists, IF_EXISTS)
    definition = definition_for_writing(context, view, asset)
    prepared = prepare_routed(asset.name, definition, destination(context, asset, on_schema_change), data)
    if prepared.positions is not None and if_exists == "error":
        _refuse_existing(context, view, asset, definition, prepared.positions)  # before a byte is written

    def changes(staged: dict[int, list[NewFile]]) -> list[Change]:
        return _changes(asset, definition, staged, if_exists, details)

    return _stage_and_commit(context, view, asset, definition, prepared, changes, if_exists, details)


def write_partitions(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    wanted: PartitionSet,
    data: Any,
    *,
    no_rows: str,
    if_exists: str = "replace",
    details: Details,
    on_schema_change: str | None = None,
) -> Commit:
    """Write exactly the wanted partitions; rows of any other are refused.

    ``no_rows`` decides for partitions that the data have no rows of: they become known to be ``"empty"``, the write
    will ``"keep"`` what is there, or it is an ``"error"``.
    """
    require_writable(context, view, "write")
    _check_choice("no_rows", no_rows, NO_ROWS)
    _check_choice("if_exists", if_exists, IF_EXISTS)
    into = destination(context, asset, on_schema_change)
    frames, data = pairs_or_rows(data)
    if frames is None:
        prepared = prepare_wanted(asset.name, wanted, into, data)
    else:
        prepared = prepare_keyed(asset.name, wanted.definition, wanted, into, frames) or nothing_to_write(into)

    def changes(staged: dict[int, list[NewFile]]) -> list[Change]:
        filled = {position: files for position, files in staged.items() if files}
        without = [position for position in wanted.positions.tolist() if position not in filled]
        if without and no_rows == "error":
            raise _lacks_rows(asset, wanted.definition, without)
        if no_rows == "empty" and if_exists != "append":
            closed = wanted if len(wanted) == 1 else wanted.elapsed(context.clock())
            filled |= {position: [] for position in without if closed.contains_position(position)}
        return _changes(asset, wanted.definition, dict(sorted(filled.items())), if_exists, details)

    return _stage_and_commit(context, view, asset, wanted.definition, prepared, changes, if_exists, details)


def write_keyed(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    frames: Iterable[tuple[str, Any]],
    *,
    if_exists: str,
    details: Details,
    on_schema_change: str | None = None,
) -> Commit:
    """Write the partitions that come as ``(key, frame)``, each replaced as a whole unless told otherwise."""
    require_writable(context, view, "write")
    _check_choice("if_exists", if_exists, IF_EXISTS)
    definition = definition_for_writing(context, view, asset)
    prepared = prepare_keyed(asset.name, definition, None, destination(context, asset, on_schema_change), frames)
    if prepared is None:
        raise _no_rows(asset)

    def changes(staged: dict[int, list[NewFile]]) -> list[Change]:
        return _changes(asset, definition, staged, if_exists, details)

    return _stage_and_commit(context, view, asset, definition, prepared, changes, if_exists, details)


def _stage_and_commit(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    definition: PartitionsDefinition,
    prepared: Prepared,
    changes: Callable[[dict[int, list[NewFile]]], Sequence[Change]],
    if_exists: str,
    details: Details,
) -> Commit:
    if view.transaction is not None:
        return _stage_in_transaction(context, view, asset, definition, prepared, changes, if_exists, details)
    reconciled = prepared.reconciled
    operation = "append" if if_exists == "append" else "write"
    intent_id = context.new_id()
    stager = make_stager(context, asset, definition, reconciled.schema, intent_id, details.code_version)
    with undone_on_failure(context, stager, intent_id):
        open_intent(context.database, intent_id, operation)
        changed = tuple(changes(stager.stage(renewing(context, intent_id, prepared.pieces))))
        request = CommitRequest(
            token=details.token or intent_id,
            operation=operation,
            changes=changed,
            assets=(
                AssetGuard(
                    asset.asset_id, asset.revision, serialise(reconciled.schema) if reconciled.changed else None
                ),
            ),
            branch_id=view.branch.branch_id,
            intent_id=intent_id,
            author=context.author,
            message=details.message,
            metadata=details.metadata,
            written_keys=written_keys(asset, changed),
        )
        try:
            based_on = {asset.asset_id: (serialise(reconciled.schema), definition)}
            record = commit_under_current_schema(context, request, based_on)
        except ConflictError as error:  # a stream's partitions are known only now; another writer may have come first
            if if_exists != "error" or error.code is ErrorCode.ASSET_CHANGED:
                raise
            raise _already_exist(asset, [conflict["key"] for conflict in error.context["conflicts"]]) from error
        if details.token is not None and close_intent(context.database, intent_id):
            stager.discard()  # another try at the same was first, and its commit is the answer
    write_manifests(context, record)
    return record


def destination(context: LakeContext, asset: AssetRecord, on_schema_change: str | None) -> Destination:
    """Say what a frame meets: the asset's schema, and what may become of it by the asset's choice or this write's."""
    chosen = on_schema_change or asset.options.get("on_schema_change", "error")
    return Destination(stored_schema(context, asset), check_on_schema_change(chosen))


def _stage_in_transaction(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    definition: PartitionsDefinition,
    prepared: Prepared,
    changes: Callable[[dict[int, list[NewFile]]], Sequence[Change]],
    if_exists: str,
    details: Details,
) -> Commit:
    """Put the bytes of one write of a transaction in place; a failure leaves the transaction as it was."""
    transaction = view.transaction
    if transaction is None:
        raise AssertionError("the caller has looked")
    require_no_details(details.message, details.metadata)
    schema, intent_id = prepared.reconciled.schema, transaction.intent_id
    transaction.require_columns(asset.asset_id, schema)  # before a byte is written
    stager = make_stager(
        context, asset, definition, schema, intent_id, details.code_version, series=transaction.next_series()
    )
    with discarded_on_failure(stager):
        changed = changes(stager.stage(renewing(context, intent_id, prepared.pieces)))
        if if_exists == "error":
            positions = [definition.position_at(change.ordinal) for change in changed]
            _refuse_existing(context, view, asset, definition, positions)
        new_schema = schema if prepared.reconciled.changed else None
        must_be_new = if_exists == "error"
        join(context, view, asset, changed, new_schema=new_schema, stager=stager, must_be_new=must_be_new)
    return StagedWrite(transaction, changed)


def commit_under_current_schema(
    context: LakeContext, request: CommitRequest, based_on: Mapping[int, tuple[bytes | None, PartitionsDefinition]]
) -> Commit:
    """Commit files written under a schema and definition each; where an asset was declared anew, again if they fit.

    Files of a schema that the asset had before are read under the new one by field id, so they fit as those do that
    were committed a moment earlier. What brings a schema of its own does not.

    Raises
    ------
    ConflictError
        They do not: another schema, or partitions that are gone; or what :func:`~lakepart.catalog.committing.commit`
        refuses.
    """
    for _ in range(_SCHEMA_RACES):
        try:
            return commit(context.database, request)
        except ConflictError as error:
            if error.code is not ErrorCode.ASSET_CHANGED:
                raise
            moved = error
            with context.database.reading() as connection:
                again = _guarded_anew(connection, request, based_on)
            if again is None:
                raise
            request = again
    raise ConflictError(
        f"Asset {moved.context['asset']!r} was declared anew {_SCHEMA_RACES} times while this commit was tried, last "
        f"{by_whom(moved.context)}. Nothing was changed.",
        hint="try again when its declaration has settled.",
        code=ErrorCode.ASSET_CHANGED,
        context=moved.context,
    )


def _guarded_anew(
    connection: Connection, request: CommitRequest, based_on: Mapping[int, tuple[bytes | None, PartitionsDefinition]]
) -> CommitRequest | None:
    """Give the request under the declarations of now; None if files have a schema that does not fit."""
    guards, changes = [], request.changes
    for guard in request.assets:
        schema, definition = based_on[guard.asset_id]
        asset = get_asset(connection, guard.asset_id)
        if asset.revision == guard.revision:
            guards.append(guard)
            continue
        stored = None if asset.schema_id is None else get_schema(connection, asset.schema_id).arrow_schema
        if None not in (stored, schema) and stored != schema:
            had = None if schema is None else find_schema_id(connection, asset.asset_id, schema)
            if guard.new_schema is not None or had is None:
                return None
            changes = tuple(
                replace(change, schema_id=had) if change.asset_id == asset.asset_id and files_of(change) else change
                for change in changes
            )
        if asset.definition != definition.to_dict():
            partitions = {change.ordinal: change.key for change in changes if change.asset_id == asset.asset_id}
            winner = last_change(connection, asset.asset_id)
            require_fitting(asset.name, definition, asset.partitions, partitions, winner)
        guards.append(AssetGuard(asset.asset_id, asset.revision, schema if stored is None else None))
    return replace(request, assets=tuple(guards), changes=changes)


def file_metadata(schema: pa.Schema, token: str, code_version: str | None) -> dict[str, str]:
    """Give the key-value metadata every data file carries for recovery (the stager adds asset and key)."""
    metadata = {"lakepart.token": token, "lakepart.schema": fingerprint(schema)}
    return metadata | ({"lakepart.code_version": code_version} if code_version is not None else {})


def make_stager(
    context: LakeContext,
    asset: AssetRecord,
    definition: PartitionsDefinition,
    schema: pa.Schema,
    intent_id: str,
    code_version: str | None = None,
    *,
    series: int | None = None,
    sort_by: Sequence[str] | None = None,
) -> Stager:
    """Make what writes the files of one commit, to the hottest tier; ``series`` tells several of a commit apart.

    Rows are sorted as the asset says, unless ``sort_by`` is given.
    """
    tier = context.hottest.name
    return Stager(
        store=context.stores[tier],
        tier=tier,
        asset=asset.name,
        definition=definition,
        schema=schema,
        name_prefix=intent_id if series is None else f"{intent_id}-{series}",
        metadata=file_metadata(schema, intent_id, code_version),
        sort_by=asset.sort_by if sort_by is None else tuple(sort_by),
    )


@contextmanager
def undone_on_failure(context: LakeContext, written: Stager | Uncommitted, intent_id: str) -> Iterator[None]:
    """Delete the new files of a write that failed, unless it may have been committed all the same.

    The commit ends the intent. Whoever ends it here instead knows that nothing was committed and never will be; where
    the catalog cannot be asked, the files stay for vacuum. KeyboardInterrupt is a user's ordinary way to stop a cell;
    any other BaseException means that the process is dying.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        with suppress(LakepartError):
            if close_intent(context.database, intent_id):
                written.discard()
        raise


def renewing(context: LakeContext, intent_id: str, pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Pass pieces on, and now and then say that this writer is still at work."""
    renewed_at = time.monotonic()

    def renew_now_and_then() -> None:
        nonlocal renewed_at
        if time.monotonic() - renewed_at > _RENEWED_EVERY_S:
            renew_intents(context.database, [intent_id])
            renewed_at = time.monotonic()

    def of_piece(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            renew_now_and_then()
            yield table

    for position, tables in pieces:
        renew_now_and_then()
        yield position, of_piece(tables)


def _changes(
    asset: AssetRecord,
    definition: PartitionsDefinition,
    staged: Mapping[int, Sequence[NewFile]],
    if_exists: str,
    details: Details,
) -> list[Change]:
    if not staged:
        raise _no_rows(asset)
    kind = ChangeKind.APPEND if if_exists == "append" else ChangeKind.REPLACE
    changes = []
    for position, files in staged.items():
        ordinal = definition.ordinal_at(position)
        changes.append(
            Change(
                asset_id=asset.asset_id,
                key=definition.key_at(position),
                ordinal=ordinal,
                kind=kind,
                files=tuple(files),
                expected=None if if_exists == "error" else details.expected(ordinal),
                code_version=details.code_version,
                inputs=details.inputs,
            )
        )
    return changes


def _refuse_existing(
    context: LakeContext, view: View, asset: AssetRecord, definition: PartitionsDefinition, positions: list[int]
) -> None:
    if not positions:
        raise _no_rows(asset)
    ordinals = {definition.ordinal_at(position) for position in positions}
    with context.database.reading() as connection:
        there = view.look(connection).contents(connection, asset, [(min(ordinals), max(ordinals))])
    existing = [ordinal for ordinal in there if ordinal in ordinals]
    if existing:
        raise _already_exist(asset, [definition.key_at(definition.position_at(ordinal)) for ordinal in existing])


def _already_exist(asset: AssetRecord, keys: list[str]) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{count_of(len(keys), 'partition')} of {asset.name!r} that the frame has rows for "
        f"{'exists' if len(keys) == 1 else 'exist'} already: {list_some(keys)}.",
        hint='if_exists="replace" replaces them, if_exists="append" adds the rows to them.',
        context={"asset": asset.name, "existing": keys},
    )


def _no_rows(asset: AssetRecord) -> InvalidInputError:
    return InvalidInputError(
        f"The frame for {asset.name!r} has no rows, so it names no partition to write.",
        hint=f'to record that partitions are known to be empty, name them: {asset.name}["first":"last"].write(frame).',
        code=ErrorCode.EMPTY_FRAME,
    )


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise InvalidInputError(f"{name}={value!r} is not one of {listed}.")


def _lacks_rows(asset: AssetRecord, definition: PartitionsDefinition, positions: list[int]) -> InvalidInputError:
    return InvalidInputError(
        f"The frame has no rows for {count_of(len(positions), 'partition')} of {asset.name!r}: "
        f"{list_some(definition.key_at(position) for position in positions)}.",
        hint='no_rows="empty" records them as known to be empty, no_rows="keep" leaves them alone.',
        code=ErrorCode.EMPTY_FRAME,
    )
