"""Branches: versions that only their readers see, until they are published as one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lakepart.engine import branches
from lakepart.model.records import Commit
from lakepart.transaction import TransactionalView

if TYPE_CHECKING:
    import pandas as pd


class Branch(TransactionalView):
    """A lake in which only this branch's writes differ from main as it was when the branch was made.

    As a context manager it only marks a block: leaving it neither publishes nor discards.
    """

    @property
    def name(self) -> str:
        """The branch's name."""
        return self._home.view.branch.name

    def diff(self) -> pd.DataFrame:
        """Compare with main at the fork: one row per partition that differs.

        Returns
        -------
        A frame with ``asset, key, change, rows_before, rows_after, rows_delta, bytes_before, bytes_after, conflict``;
        ``change`` is ``added``, ``removed``, ``changed`` or ``same`` (rewritten with equal content), ``conflict``
        says whether main has other content now than at the fork.
        """
        return branches.diff_frame(self._home.context, self._home.view.branch)

    def publish(self, *, message: str | None = None) -> Commit:
        """Make everything written on the branch current on main, in one commit; the branch is then closed.

        Raises
        ------
        ConflictError
            Main has other content now in partitions that the branch wrote; they are named and nothing is published.
        StateError
            The branch is closed already, or nothing was written on it.
        """
        return branches.publish_branch(self._home.context, self._home.view.branch, message=message)

    def discard(self) -> None:
        """Close the branch and drop its versions; vacuum deletes their files."""
        branches.discard_branch(self._home.context, self._home.view.branch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
