import pytest

from lakepart.testing.histories import Committed, Observed, find_anomalies

INITIAL = {"x": 0, "y": 0}
FIRST = Committed(1, {"x": 1})
BOTH = Committed(2, {"x": 2, "y": 2}, based_on=1, guarded=frozenset({"x", "y"}))


def test_a_history_in_which_everybody_saw_whole_commits_is_sound():
    observations = [
        Observed("a", 0, INITIAL),
        Observed("a", 1, {"x": 1, "y": 0}),
        Observed("b", 2, {"y": 2}, frozenset({"y"})),
        Observed("a", 2, {"x": 2, "y": 2}),
    ]

    assert find_anomalies([BOTH, FIRST], observations, initial=INITIAL) == []


@pytest.mark.parametrize(
    ("commits", "observations", "anomaly"),
    [
        ([FIRST, BOTH], [Observed("a", 2, {"x": 2, "y": 0})], "which held"),
        ([FIRST, BOTH], [Observed("a", 2, {"x": 2})], "which held"),
        ([FIRST], [Observed("a", 1, INITIAL)], "which held"),
        ([FIRST], [Observed("a", 2, INITIAL)], "which nobody committed"),
        ([FIRST], [Observed("a", 1, {"x": 1, "y": 0}), Observed("a", 0, INITIAL)], "after snapshot 1"),
        ([FIRST, Committed(3, {})], [], "snapshots are"),
        ([FIRST, FIRST], [], "snapshots are"),
        ([FIRST, Committed(2, {"y": 1}, 0, frozenset({"x"}))], [], "snapshot 1 had written it"),
    ],
    ids=["torn", "partial", "old", "invented", "back in time", "gap", "twice", "lost update"],
)
def test_what_snapshot_isolation_does_not_allow_is_named(commits, observations, anomaly):
    (found,) = find_anomalies(commits, observations, initial=INITIAL)

    assert anomaly in found


def test_what_is_not_guarded_may_have_moved():
    skewed = Committed(2, {"y": 1}, based_on=0, guarded=frozenset({"y"}))

    assert find_anomalies([FIRST, skewed], [], initial=INITIAL) == []
