"""Two changes of one partition made one: what a later write of a transaction makes of what the block had written.

Files that are in no version yet have no id in the catalog, so a block gives its own files ids below zero. A change of
rows names the files it rewrites by either kind of id; what is left for the commit names committed files only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lakepart.errors import ConflictError
from lakepart.model.records import Anything, Change, ChangeKind, NewFile

WHOLE = frozenset({ChangeKind.REPLACE, ChangeKind.REMOVE})  # nothing of what is committed stays
Ids = Callable[[NewFile], int]


def fold(before: Change | None, new: Change, id_of: Ids) -> Change:
    """Make one change of two; what the first one expected of the lake still holds.

    Raises
    ------
    ConflictError
        The second one rewrites files that the first one has rewritten or superseded.
    """
    if before is None:
        return new
    expected = new.expected if isinstance(before.expected, Anything) else before.expected
    if new.kind in WHOLE:
        return replace(new, expected=expected)
    _require_there(before, new, id_of)
    kind = ChangeKind.REPLACE if before.kind is ChangeKind.REMOVE else before.kind
    if (kind, new.kind) == (ChangeKind.APPEND, ChangeKind.REWRITE):
        kind = ChangeKind.REWRITE
    placed = {file_id: _place(file, new.rewrites, id_of) for file_id, file in before.rewrites.items()}
    files = (_place(file, new.rewrites, id_of) for file in before.files)
    return replace(
        before,
        kind=kind,
        files=(*(file for file in files if file is not None), *new.files),
        rewrites=placed | {file_id: file for file_id, file in new.rewrites.items() if file_id > 0},
        inputs=new.inputs or before.inputs,
        code_version=before.code_version if new.code_version is None else new.code_version,
        expected=expected,
    )


def written_meanwhile(change: Change) -> ConflictError:
    """Give the error for a change that relied on what the transaction no longer has."""
    return ConflictError(
        f"Another thread has written partition {change.key!r} in this transaction meanwhile.",
        hint="change a partition in one thread after the other.",
        context={"conflicts": [{"key": change.key, "ordinal": change.ordinal}]},
    )


def files_of(change: Change) -> list[NewFile]:
    """Give the new files of a change, those in the place of others first."""
    return [file for file in (*change.rewrites.values(), *change.files) if file is not None]


def _place(file: NewFile | None, rewrites: Mapping[int, NewFile | None], id_of: Ids) -> NewFile | None:
    """Give what is in a file's place now."""
    return file if file is None else rewrites.get(id_of(file), file)


def _require_there(before: Change, new: Change, id_of: Ids) -> None:
    own = {id_of(file) for file in files_of(before)}
    gone = [
        file_id
        for file_id in new.rewrites
        if (file_id not in own if file_id < 0 else before.kind in WHOLE or file_id in before.rewrites)
    ]
    if gone:
        raise written_meanwhile(new)
