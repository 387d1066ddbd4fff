"""A judge of recorded histories: whether snapshot isolation allows what processes saw and did together.

Pure: it knows nothing of lakes. Writers record their commits, readers what they saw at which snapshot.

* Every observation equals the state after exactly one commit, and no reader goes back in time.
* Of two commits that guard the same key, the one that was based on the older state did not happen (the first committer
  wins): nothing was committed to a guarded key between the snapshot it was based on and its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

State = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit wrote, and the keys that it had read at ``based_on`` and insisted on."""

    snapshot: int
    wrote: State
    based_on: int = 0
    guarded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Observed:
    """What a reader saw of some keys, all at once; a key that is not there is missing."""

    reader: str
    snapshot: int
    saw: State
    looked_at: frozenset[str] = field(default_factory=frozenset)


def find_anomalies(
    commits: Iterable[Committed], observations: Sequence[Observed], *, initial: State, first: int = 0
) -> list[str]:
    """Name everything that snapshot isolation does not allow; nothing means all is well.

    Parameters
    ----------
    commits
        Every commit after snapshot ``first``, in any order.
    observations
        What was seen, each reader's in the order in which it looked.
    initial
        The state at snapshot ``first``.

    Examples
    --------
    >>> commits = [Committed(1, {"x": 1}), Committed(2, {"x": 2}, based_on=0, guarded=frozenset({"x"}))]
    >>> find_anomalies(commits, [], initial={})
    ["snapshot 2 was based on 'x' at snapshot 0, but snapshot 1 had written it"]
    """
    ordered = sorted(commits, key=lambda one: one.snapshot)
    anomalies = []
    expected = list(range(first + 1, first + 1 + len(ordered)))
    if [one.snapshot for one in ordered] != expected:
        anomalies.append(f"snapshots are {[one.snapshot for one in ordered]}, not {expected}")
    states: dict[int, dict[str, Any]] = {first: dict(initial)}
    writers: dict[str, list[int]] = {}
    current = dict(initial)
    for one in ordered:
        for key in sorted(one.guarded):
            between = [at for at in writers.get(key, ()) if at > one.based_on]
            if between:
                anomalies.append(
                    f"snapshot {one.snapshot} was based on {key!r} at snapshot {one.based_on}, "
                    f"but snapshot {between[0]} had written it"
                )
        current |= one.wrote
        states[one.snapshot] = dict(current)
        for key in one.wrote:
            writers.setdefault(key, []).append(one.snapshot)
    return anomalies + _misread(observations, states)


def _misread(observations: Sequence[Observed], states: Mapping[int, State]) -> list[str]:
    anomalies = []
    last: dict[str, int] = {}
    for seen in observations:
        if seen.snapshot < last.get(seen.reader, 0):
            anomalies.append(f"{seen.reader} saw snapshot {seen.snapshot} after snapshot {last[seen.reader]}")
        last[seen.reader] = seen.snapshot
        state = states.get(seen.snapshot)
        if state is None:
            anomalies.append(f"{seen.reader} saw snapshot {seen.snapshot}, which nobody committed")
            continue
        looked_at = seen.looked_at or frozenset(state)
        should = {key: value for key, value in state.items() if key in looked_at}
        if dict(seen.saw) != should:
            anomalies.append(f"{seen.reader} saw {dict(seen.saw)} at snapshot {seen.snapshot}, which held {should}")
    return anomalies
