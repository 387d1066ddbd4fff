"""A driver that dies anywhere in a backfill: what is visible is right, and whoever resumes it completes it."""

from datetime import timedelta

import pytest

import lakepart as lp
from lakepart.testing import Crash, Effects, clock_of, crash_everywhere, query_catalog, reopened, with_effects

# the pretended death of a worker thread is told to nobody, as a real one's would be
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
WHEN = pytest.mark.parametrize("when", ["before", "after"])

OLD = {"numbers": [(1, 1), (2, 2), (3, 30)], "tens": [(1, 10)]}
NEW = {"numbers": [(1, 1), (2, 2), (3, 30)], "tens": [(1, 10), (2, 20), (3, 300)]}


def unfinished(lake):
    return lake.backfills().query("state != 'completed'")["name"].tolist()


@pytest.mark.parametrize("publish", ["together", "branch:fix"])
def test_a_backfill_that_dies_before_it_is_recorded_leaves_no_branch_behind(make, producer, publish):
    def backfill(lake):
        lake.register(producer)
        lake.asset("tens")["2024-01-02":"2024-01-03"].backfill(publish=publish, progress=False, name="run")

    for crashed in crash_everywhere(make, backfill, when="before"):
        lake = crashed.lake
        recorded = lake.backfills()["name"].tolist().count("run")
        made = set(lake.branches()["name"]) - {"draft"}
        assert len(made) <= recorded, crashed.at
        if not recorded:
            backfill(lake)
            assert lake.backfill("run").status()["state"].eq("done").all(), crashed.at
        lake.close()


@WHEN
def test_a_crashed_backfill_shows_each_partition_whole_and_is_completed_by_resuming(
    make, producer, rows_of, assert_undamaged, assert_cleaned_up, when
):
    def backfill(lake):
        lake.register(producer)
        lake.asset("tens")["2024-01-02":"2024-01-03"].backfill(publish="each", progress=False)

    crashes = 0
    for crashed in crash_everywhere(make, backfill, when=when):
        lake, at = crashed.lake, crashed.at
        tens = rows_of(lake)["tens"]
        assert [row for row in NEW["tens"] if row in tens] == tens, at
        assert_undamaged(lake, at)

        for name in unfinished(lake):
            lake.backfill(name).resume(producer.function, progress=False)
        if rows_of(lake) != NEW:  # it had not been recorded yet
            backfill(lake)

        assert rows_of(lake) == NEW, at
        assert_cleaned_up(lake, at)
        lake.close()
        crashes += 1
    assert crashes >= 12  # two orders that end together are one commit


@WHEN
def test_a_crashed_backfill_that_publishes_together_shows_all_or_nothing(
    make, producer, rows_of, assert_undamaged, assert_cleaned_up, when
):
    def backfill(lake):
        lake.register(producer)
        lake.asset("tens")["2024-01-02":"2024-01-03"].backfill(publish="together", progress=False)

    crashes = 0
    for crashed in crash_everywhere(make, backfill, when=when):
        lake, at = crashed.lake, crashed.at
        assert rows_of(lake) in (OLD, NEW), at
        assert_undamaged(lake, at)

        for name in unfinished(lake):
            lake.backfill(name).resume(producer.function, progress=False)
        if rows_of(lake) != NEW:
            backfill(lake)

        assert rows_of(lake) == NEW, at
        assert_cleaned_up(lake, at)
        lake.close()
        crashes += 1
    assert crashes >= 18


@WHEN
def test_what_was_done_before_the_crash_is_not_computed_again(lake, producer, rows_of, when):
    computed = []

    def counting(part, numbers):
        computed.append(part.key)
        return producer.function(part, numbers)

    effects = Effects()
    dying = with_effects(lake, effects)
    dying.register(producer)
    keys = ["2024-01-02", "2024-01-03"]

    def dies_in_the_second(part, numbers):
        if part.key == keys[1]:
            effects.crash_at(len(effects.names), when)
        return counting(part, numbers)

    with pytest.raises(Crash):
        dying.asset("tens")[keys].backfill(
            dies_in_the_second, inputs={"numbers": "numbers"}, name="tens", publish="each", progress=False
        )
    done = query_catalog(lake, "SELECT key FROM backfill_target WHERE state = 'done' ORDER BY key")
    computed.clear()
    reopened(lake).backfill("tens").resume(counting, progress=False)

    assert computed == [key for key in keys if (key,) not in done]
    assert rows_of(lake) == NEW


def test_a_driver_that_was_only_slow_is_refused_after_somebody_took_over(lake, producer, rows_of):
    lake.register(producer)

    def slow(part, numbers):
        clock_of(lake).advance(timedelta(hours=1))
        reopened(lake).backfill("slow").resume(producer.function, progress=False, take_over=True)
        return producer.function(part, numbers)

    with pytest.raises(lp.StateError, match="taken over"):
        lake.asset("tens")["2024-01-02"].backfill(slow, inputs={"numbers": "numbers"}, name="slow", progress=False)

    assert rows_of(lake)["tens"] == [(1, 10), (2, 20)]
    versions = "SELECT count(*) FROM version JOIN asset USING (asset_id) WHERE key = '2024-01-02' AND name = 'tens'"
    assert query_catalog(lake, versions) == [(1,)]
