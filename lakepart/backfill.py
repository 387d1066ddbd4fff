"""The handle of a backfill: how far it is, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lakepart.display.progress import backfill_bar
from lakepart.engine import backfill as engine
from lakepart.engine.auditing import Select
from lakepart.engine.home import Home
from lakepart.errors import BackfillError
from lakepart.model.plans import count_of, list_some
from lakepart.model.records import Commit

if TYPE_CHECKING:
    import pandas as pd


class Backfill:
    """One recorded campaign that computes partitions of one asset; it outlives the process that began it.

    Attributes
    ----------
    name
        Its name within the lake.
    """

    def __init__(self, home: Home, name: str, select: Select) -> None:
        self._home = home
        self.name = name
        self._select = select  # makes what audits are given

    @property
    def state(self) -> str:
        """``running``, ``cancelling``, ``cancelled``, ``completed`` or ``failed``."""
        return engine.get_backfill(self._home.context, self.name).state.value

    @property
    def counts(self) -> dict[str, int]:
        """How many targets are in each state."""
        return engine.count_targets(self._home.context, self.name)

    def status(self) -> pd.DataFrame:
        """Give one row per target: key, state, reason, attempts, error, when it last changed."""
        return engine.targets_frame(self._home.context, self.name)

    def resume(
        self,
        fn: Callable[..., Any] | None = None,
        *,
        workers: int = 1,
        audit: Sequence[Any] = (),
        progress: bool = True,
        take_over: bool = False,
    ) -> Backfill:
        """Go on with what is not done yet: waiting and failed targets, and those a dead process had begun.

        A process that was interrupted has let go of its backfill, and one of this machine that has died is known to
        have. Any other is listened for: it is alive if it says so within 20 seconds, which one that lives does in two.
        Whoever resumes is in charge from then on: should the other wake up again, its further results are refused.

        Parameters
        ----------
        fn
            The producer; by default the one registered with this lake handle, or the importable function that the
            backfill recorded.
        workers
            Orders computed side by side, on threads.
        audit
            The audits that it was planned with, where they cannot be imported by name.
        progress
            Whether to show a progress bar.
        take_over
            Whether to do so even where another process is at work on it: one that hangs, for example.

        Raises
        ------
        StateError
            The backfill is completed, or another process is at work on it, which the message names; or its producer or
            an audit is not at hand.
        BackfillError
            Targets failed again.
        """
        with backfill_bar(self.name, shown=progress) as on_progress:
            engine.resume_backfill(
                self._home,
                self.name,
                fn,
                workers=workers,
                on_progress=on_progress,
                audits=audit,
                select=self._select,
                take_over=take_over,
            )
        return self._settled()

    def cancel(self) -> Backfill:
        """Ask whoever runs it to stop: orders under way end, nothing new begins, what is done stays.

        Where it has died, which takes up to 20 seconds to find out about one of another machine, the backfill is
        cancelled in its place. What was to appear together stays staged on branch
        ``backfill-<name>``: resume, or discard that branch.
        """
        engine.cancel_backfill(self._home.context, self.name)
        return self

    def rollback(self) -> Commit:
        """Give every partition it published the content it had when the backfill was planned, as a new snapshot.

        What others have written to those partitions since is undone too; history keeps it.
        """
        return engine.rollback_backfill(self._home, self.name)

    def diff(self) -> pd.DataFrame:
        """Compare what it staged or published with what was there when it was planned, per partition."""
        return engine.diff_backfill(self._home, self.name)

    def _settled(self) -> Backfill:
        """Raise if anything failed; give the handle back otherwise."""
        failed = engine.failed_targets(self._home.context, self.name)
        if failed:
            first = failed[0]
            raise BackfillError(
                f"{count_of(len(failed), 'partition')} of backfill {self.name!r} failed: "
                f"{list_some(target.key for target in failed)}. First error: {first.error_type}: {first.error_message}",
                hint=f"backfill({self.name!r}).status() lists every error; .resume() tries the failed ones again.",
                backfill=self,
                context={"backfill": self.name, "failed": [target.key for target in failed]},
            )
        return self

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {state}" for state, count in self.counts.items())
        return f"<Backfill {self.name}: {self.state} ({counts})>"
