"""Branches: versions that only their readers see, until they are published as one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from lakepart.audits import Audit
from lakepart.engine import branches
from lakepart.engine import publish as publishing
from lakepart.engine.auditing import run_audits
from lakepart.engine.row_plans import apply_row_plan
from lakepart.errors import StateError
from lakepart.model.records import Commit
from lakepart.model.row_plans import DeletePlan, DropPlan, UpsertPlan
from lakepart.model.version_plans import PublishPlan
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

    def create_branch(self, name: str) -> Branch:
        """Refuse: branches are made of main alone."""
        raise StateError(
            f"{name!r} would be a branch of a branch, of {self.name!r}: branches are made of main alone.",
            hint=f"publish {self.name!r} first, or make {name!r} of the lake itself.",
            context={"branch": self.name},
        )

    def diff(self) -> pd.DataFrame:
        """Compare with main at the fork: one row per partition that differs.

        Returns
        -------
        A frame with ``asset, key, change, rows_before, rows_after, rows_delta, bytes_before, bytes_after, conflict``;
        ``change`` is ``added``, ``removed``, ``changed`` or ``same`` (rewritten with equal content), ``conflict``
        says whether main has other content now than at the fork.
        """
        return branches.diff_frame(self._home.context, self._home.view.branch)

    def apply(
        self, plan: DeletePlan | DropPlan | UpsertPlan, *, data: Any = None, message: str | None = None
    ) -> Commit:
        """Carry out exactly what a plan of this branch says; parameters as :meth:`Lake.apply <lakepart.Lake.apply>`."""
        return apply_row_plan(self._home, plan, data=data, message=message)

    def plan_publish(self, on_conflict: str = "fail") -> PublishPlan:
        """Say what :meth:`publish` would make current, what main has changed underneath, and what is stale then."""
        return publishing.plan_publish(self._home.context, self._home.view.branch, on_conflict=on_conflict)

    def publish(self, *, on_conflict: str = "fail", message: str | None = None, audit: Sequence[Audit] = ()) -> Commit:
        """Make everything written on the branch current on main, in one commit; the branch is then closed.

        Parameters
        ----------
        on_conflict
            What to do with partitions that main has changed since the branch first wrote them:

            * ``"fail"``: publish nothing;
            * ``"drop"``: publish the rest. They stay on the branch, which stays open, forked from the publication: what
              was published it now reads from main;
            * ``"theirs"``: main's content stays; what the branch has of them is given up with it;
            * ``"ours"``: the branch's content replaces main's.

            The plan and the commit's metadata name them.
        message
            Kept with the commit.
        audit
            Checks to run first: :class:`~lakepart.RowCountDrift`, :class:`~lakepart.NoNulls` and their like, or any
            callable. Each is given, asset by asset, a selection of what will be published, as the branch shows it. It
            passes by returning nothing; it fails by raising, or by returning texts or findings. Outcomes and what was
            measured are kept in the commit's metadata as ``audits``.

        Raises
        ------
        AuditError
            Audits found something; the partitions are named, nothing is published, and the branch stays open.
        ConflictError
            Main has other content now in partitions that the branch wrote; each is named with the snapshot, author and
            time of the commit on main, and nothing is published.
        StateError
            The branch is closed already, or there is nothing to publish.

        Notes
        -----
        Inputs that have moved on main are no conflict: what was made from them is published and stale, and a
        StalePublicationWarning names it.
        """
        home = self._home
        return publishing.publish_branch(
            home.context,
            home.view.branch,
            on_conflict=on_conflict,
            message=message,
            audit=lambda plan: self._audited(plan, audit),
        )

    def _audited(self, plan: PublishPlan, audits: Sequence[Audit]) -> dict[str, Any]:
        """Run the audits on what the plan publishes; gives the metadata to keep."""
        if not audits or (plan.conflicts and plan.on_conflict == "fail"):
            return {}
        keys: dict[str, list[str]] = {}
        for one in plan.published:
            if one.change != "remove":
                keys.setdefault(one.asset, []).append(one.key)
        chosen = [self.asset(name)[listed] for name, listed in keys.items()]
        return {"audits": run_audits(audits, chosen, f"Branch {self.name!r}")}

    def refresh(self) -> Self:
        """Let the branch fall through to main as it is now; what it wrote stays. Gives the branch itself.

        Raises
        ------
        ConflictError
            Main has changed partitions that the branch wrote; they are named, and nothing is changed.
        StateError
            The branch is closed.
        """
        publishing.refresh_branch(self._home.context, self._home.view.branch)
        return self

    def discard(self) -> None:
        """Close the branch and drop its versions; vacuum deletes their files."""
        branches.discard_branch(self._home.context, self._home.view.branch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
