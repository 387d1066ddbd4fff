"""What the writes of a transaction give: what they will do, and which commit that was once the block has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Protocol

from lakepart.engine.folding import files_of
from lakepart.errors import StateError
from lakepart.model.records import Change, Commit, RowChanges


class Block(Protocol):
    """A transaction, as far as its writes ask for it."""

    record: Commit | None


class _Staged:
    """Asks the transaction for what is known only once it has ended."""

    _transaction: Block
    __slots__ = ()

    @property
    def snapshot(self) -> int:
        """The number of the transaction's commit."""
        return self._committed.snapshot

    @property
    def at_us(self) -> int:
        """When that was."""
        return self._committed.at_us

    @property
    def _committed(self) -> Commit:
        record = self._transaction.record
        if record is None:
            raise StateError(
                "The snapshot of a write inside a transaction is known once the block has ended.",
                hint="tx.commit is the commit of the whole block.",
            )
        return record


class StagedWrite(_Staged, Commit):
    """What one write of a transaction will do; ``snapshot`` and ``at`` are known once the block has ended."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Block, changes: Sequence[Change]) -> None:
        _fill(self, transaction, changes)

    def __repr__(self) -> str:
        return f"<StagedWrite of {self.partitions} partitions, {self.rows} rows>"


class StagedRowChanges(_Staged, RowChanges):
    """What one change of rows in a transaction will do, and what it cost."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Block, changes: Sequence[Change], spent: Mapping[str, int]) -> None:
        _fill(self, transaction, changes)
        for one in fields(RowChanges)[len(fields(Commit)) :]:
            object.__setattr__(self, one.name, spent.get(one.name, 0))

    def __repr__(self) -> str:
        return f"<StagedRowChanges of {self.partitions} partitions, {self.rows_matched} rows matched>"


def _fill(staged: _Staged, transaction: Block, changes: Sequence[Change]) -> None:
    files = [file for change in changes for file in files_of(change)]
    known = {
        "_transaction": transaction,
        "partitions": len(changes),
        "rows": sum(file.row_count for file in files),
        "bytes": sum(file.size_bytes for file in files),
        "files": len(files),
    }
    for name, value in known.items():
        object.__setattr__(staged, name, value)
