"""Which partitions a backfill computes, why, and in which orders of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lakepart.errors import InvalidInputError
from lakepart.model.plans import Target
from lakepart.planning.status import PartitionStatus

STATES = ("missing", "failed", "stale")
DEFAULT_WHICH = frozenset(STATES)


def check_which(which: str | Iterable[str] | None) -> frozenset[str] | None:
    """Give the states that were asked for; None means everything, whatever its state."""
    if which is None:
        return DEFAULT_WHICH
    if which == "all":
        return None
    chosen = frozenset([which] if isinstance(which, str) else which)
    unknown = sorted(chosen - DEFAULT_WHICH)
    if unknown or not chosen:
        raise InvalidInputError(
            f"which={which!r} names {', '.join(map(repr, unknown)) or 'no state'}.",
            hint="which is 'all', one of 'missing', 'failed', 'stale', or a set of these.",
        )
    return chosen


def choose_targets(statuses: Iterable[PartitionStatus], which: frozenset[str] | None, batch: int) -> tuple[Target, ...]:
    """Choose the partitions to compute, in order, ``batch`` of them to an order of work."""
    if batch < 1:
        raise InvalidInputError(f"batch={batch} is no batch size: it is at least 1.")
    chosen = [(status, reason) for status in statuses if (reason := _reason(status, which)) is not None]
    return tuple(
        Target(
            key=status.key,
            ordinal=status.ordinal,
            order_number=number // batch,
            reason=reason,
            expected=None if status.version is None else status.version.content_id,
        )
        for number, (status, reason) in enumerate(chosen)
    )


def choose_publication(asked: str | None, targets: Sequence[Target], *, on_branch: bool) -> str:
    """Settle how results become visible: as asked, or together as soon as published content is replaced.

    On a branch nothing is visible to others before it is published, so each result is committed as it comes.
    """
    if asked is None:
        replaces = any(target.expected is not None for target in targets)
        return "together" if replaces and not on_branch else "each"
    if asked in {"each", "together"} or (asked.startswith("branch:") and len(asked) > len("branch:")):
        if on_branch and asked != "each":
            raise InvalidInputError(
                f"publish={asked!r} on a branch would need a branch of that branch.",
                hint="leave publish out: the branch itself keeps results apart until it is published.",
            )
        return asked
    raise InvalidInputError(f"publish={asked!r} is not one of 'each', 'together', 'branch:NAME'.")


def _reason(status: PartitionStatus, which: frozenset[str] | None) -> str | None:
    if status.work == "failed" and (which is None or "failed" in which):
        return "failed"
    if which is not None and status.data not in which:
        return None
    if status.data == "stale":
        return "stale: " + "; ".join(map(str, status.reasons))
    return "missing" if status.data == "missing" else "asked for"
