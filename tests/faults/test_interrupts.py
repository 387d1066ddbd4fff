"""Ctrl-C at any moment: nothing committed is harmed, what was begun is cleaned up, and the same handle goes on."""

import pytest

from lakepart.testing import interrupt_everywhere, interrupted, query_catalog, reopened, stray_files

WHEN = pytest.mark.parametrize("when", ["before", "after"])


def test_an_interrupt_right_before_a_commit_lets_go_of_the_write_lock(lake, frame, rows_of):
    stopped = interrupted(lake, at=0)
    with pytest.raises(KeyboardInterrupt):
        stopped.asset("numbers").write(frame((1, 100)), "2024-01-01")

    stopped.asset("numbers").write(frame((1, 101)), "2024-01-01")
    reopened(lake).asset("numbers").write(frame((2, 200)), "2024-01-02")

    assert rows_of(lake)["numbers"] == [(1, 101), (2, 200), (3, 30)]


@WHEN
def test_an_interrupted_write_is_there_whole_or_leaves_nothing(make, frame, rows_of, assert_undamaged, when):
    before = rows_of(make())

    def write(lake):
        lake.asset("numbers").write(frame((1, 100), (5, 500)), if_exists="replace")

    for stopped in interrupt_everywhere(make, write, when=when):
        lake, at = stopped.lake, stopped.at
        written = {**before, "numbers": [(1, 100), (2, 2), (3, 30), (5, 500)]}
        assert rows_of(lake) in (before, written), at
        assert_undamaged(lake, at)
        assert stray_files(lake.url) == set(), at
        assert query_catalog(lake.url, "SELECT kind FROM intent") == [], at

        write(lake)

        assert rows_of(lake) == written, at
        lake.close()


def test_an_interrupt_in_the_middle_of_a_stream_leaves_nothing(lake, frame, rows_of):
    expected = rows_of(lake)

    def stream():
        yield frame((5, 5), (6, 6))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.asset("numbers").write(stream())

    assert rows_of(lake) == expected
    assert stray_files(lake.url) == set()
    assert query_catalog(lake.url, "SELECT kind FROM intent") == []
    assert lake.check() == []


@WHEN
def test_an_interrupted_backfill_is_completed_by_resuming(
    make, producer, rows_of, assert_undamaged, assert_cleaned_up, when
):
    def backfill(lake):
        lake.register(producer)
        lake.asset("tens")["2024-01-02":"2024-01-03"].backfill(publish="each", progress=False)

    expected = {"numbers": [(1, 1), (2, 2), (3, 30)], "tens": [(1, 10), (2, 20), (3, 300)]}
    for stopped in interrupt_everywhere(make, backfill, when=when):
        lake, at = stopped.lake, stopped.at
        assert_undamaged(lake, at)

        for name in lake.backfills().query("state != 'completed'")["name"]:
            lake.backfill(name).resume(producer.function, progress=False)
        if rows_of(lake) != expected:
            backfill(lake)

        assert rows_of(lake) == expected, at
        assert_cleaned_up(lake, at)
        lake.close()


@WHEN
def test_an_interrupted_move_is_taken_up_again_at_once(make, rows_of, assert_undamaged, assert_cleaned_up, when):
    expected = rows_of(make())
    keys = ["2024-01-01", "2024-01-02"]

    def demote(lake):
        lake.asset("numbers")[keys].demote("cold", progress=False)

    for stopped in interrupt_everywhere(make, demote, when=when):
        lake, at = stopped.lake, stopped.at
        assert rows_of(lake) == expected, at
        assert_undamaged(lake, at)

        demote(lake)

        assert lake.asset("numbers").in_tier("cold").keys == keys, at
        assert rows_of(lake) == expected, at
        assert_cleaned_up(lake, at)
        lake.close()


@WHEN
def test_an_interrupted_publish_shows_all_of_the_branch_or_nothing(make, rows_of, assert_undamaged, when):
    before = rows_of(make())
    after = {**before, "numbers": [(1, 111), (2, 2), (3, 30), (4, 4)]}

    for stopped in interrupt_everywhere(make, lambda lake: lake.branch("draft").publish(), when=when):
        assert rows_of(stopped.lake) in (before, after), stopped.at
        assert_undamaged(stopped.lake, stopped.at)
        stopped.lake.close()
