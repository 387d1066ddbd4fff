"""Transactions: blocks in which several assets and partitions are written, all in one commit or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NoReturn, Self

from lakepart.catalog.database import Database
from lakepart.engine.home import Home
from lakepart.engine.row_plans import apply_row_plan
from lakepart.engine.transaction import (
    abandon_transaction,
    begin_transaction,
    commit_transaction,
    prepare_transaction,
    transaction_of,
)
from lakepart.engine.uncommitted import Stage
from lakepart.errors import StateError
from lakepart.lake_view import LakeView
from lakepart.model.records import Commit
from lakepart.model.row_plans import DeletePlan, DropPlan, UpsertPlan
from lakepart.selection import check_json

# Open lakes that this thread or task is in a transaction of.
_within: ContextVar[frozenset[Database]] = ContextVar("lakepart_transactions", default=frozenset())


class Transaction(LakeView):
    """A lake in a block whose writes become one commit at its end, or none: made by ``lake.transaction(…)``.

    ``tx.asset(name)`` gives handles with the ordinary verbs of reading and writing. Reads see the snapshot that was
    newest when the block began, and the transaction's own writes; nobody else sees those before the block ends.

    * A partition that is read and then written is guarded: if somebody else has committed to it by the end, the whole
      block fails with ConflictError. Keys, counts and files are reads too.
    * A replacement of what was not read wins over what others committed meanwhile, and an append adds to it, as
      outside; ``expected=`` and ``if_exists="error"`` guard as outside.
    * Written twice, a later replacement supersedes what the block has written, and an append adds to it.
    * ``upsert``, ``delete`` and ``drop`` find what the block has written, too, and are guarded like what was read.

    Two transactions that each read what the other one writes can both commit (write skew).
    """

    def __init__(self, home: Home, message: str | None, metadata: Mapping[str, Any]) -> None:
        super().__init__(prepare_transaction(home))
        self._message = message
        self._metadata = metadata

    @property
    def commit(self) -> Commit | None:
        """The commit that the block became, once it has ended; None if nothing was written.

        Raises
        ------
        StateError
            The block has not ended, or was left by an exception.
        """
        transaction = transaction_of(self._home.view)
        if transaction.stage is not Stage.COMMITTED:
            what = "was abandoned" if transaction.stage is Stage.ABANDONED else "has not ended"
            raise StateError(f"There is no commit: this transaction {what}.")
        return transaction.record

    @property
    def snapshot(self) -> int:
        """The snapshot that the block reads: the newest one when it began."""
        transaction = transaction_of(self._home.view)
        if transaction.stage is Stage.NEW:
            transaction.require_open()
        return transaction.snapshot

    def transaction(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: transactions are not nested."""
        raise _nested()

    def apply(self, plan: DeletePlan | DropPlan | UpsertPlan, *, data: Any = None) -> Commit:
        """Make what a plan says part of the block; the plan is of a handle of this transaction.

        Parameters
        ----------
        plan
            From ``plan_upsert``, ``plan_delete`` or ``plan_drop``.
        data
            The rows of an upsert, where the plan was made for a stream.

        Raises
        ------
        ConflictError
            The block has changed the partitions since.
        """
        return apply_row_plan(self._home, plan, data=data)

    def __enter__(self) -> Self:
        if transaction_of(self._home.view).stage is not Stage.NEW:
            raise StateError("This transaction has begun already.", hint="begin another.")
        database = self._home.context.database
        if database in _within.get():
            raise _nested()
        self._home = begin_transaction(self._home)
        _within.set(_within.get() | {database})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _within.set(_within.get() - {self._home.context.database})
        if error is None:
            commit_transaction(self._home, message=self._message, metadata=self._metadata)
        elif isinstance(error, Exception | KeyboardInterrupt | SystemExit | GeneratorExit):
            abandon_transaction(self._home)
        # after anything else the process is dying, and touches nothing more


class TransactionalView(LakeView):
    """A view of a lake that can be written in transactions: the lake itself, and its branches."""

    def transaction(self, message: str | None = None, *, metadata: Mapping[str, Any] | None = None) -> Transaction:
        """Write several assets and partitions in one commit, all or nothing.

        Parameters
        ----------
        message, metadata
            Kept with the commit; ``metadata`` must be JSON.

        Returns
        -------
        A :class:`Transaction` to be used in a ``with`` block; afterwards its ``commit`` is the commit.

        Raises
        ------
        StateError
            The handle is read-only, or a transaction of this lake is open already. Inside the block: declaring and
            cutting assets, branches, backfills, moves, rollbacks, marks and care are refused.
        ConflictError
            At the end of the block: somebody else committed to a partition that the block had read and written, or
            that it expected to be otherwise; or an asset was cut otherwise. Nothing is left of the block.

        Notes
        -----
        Costs a small transaction at the beginning and one commit at the end, whatever the number of writes. A block
        that neither reads nor writes for longer than vacuum's grace period counts as dead.

        Examples
        --------
        ::

            with lake.transaction("fix tax") as tx:
                tx.asset("flights").write(flights, "2013-01-05")
                tx.asset("delays").write(delays, "2013-01-05")
            tx.commit.snapshot
        """
        check_json(metadata or {})
        return Transaction(self._home, message, dict(metadata or {}))


def _nested() -> StateError:
    return StateError(
        "A transaction of this lake is open already: transactions are not nested.",
        hint="write through the one that is open, or end it first.",
    )
