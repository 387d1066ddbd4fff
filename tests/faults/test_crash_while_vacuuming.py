"""A process that dies anywhere in a vacuum: nothing current is touched, and the next vacuum carries it on."""

from datetime import timedelta

import pytest

from lakepart.testing import Crash, clock_of, crash_everywhere, crashing, files_of, query_catalog, stray_files


@pytest.fixture
def make_wasteful(make, frame):
    """Give a lake with a forgettable version, retired copies, a discarded branch, and a dead writer's file."""

    def give():
        lake = make()
        lake.asset("numbers")["2024-01-02"].demote("cold", progress=False)
        lake.asset("numbers").write(frame((1, 100)), "2024-01-01")
        lake.branch("draft").discard()
        with pytest.raises(Crash):
            crashing(lake, at=2).asset("numbers").write(frame((5, 5)), "2024-01-05")
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum(grace=timedelta(days=60))  # forgets the versions: their files are retired from now on
        clock_of(lake).advance(timedelta(days=30))
        return lake

    return give


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_vacuuming_deletes_nothing_that_is_needed(make_wasteful, rows_of, assert_undamaged, when):
    expected = rows_of(make_wasteful())
    crashes = 0
    for crashed in crash_everywhere(make_wasteful, lambda lake: lake.vacuum(), when=when):
        lake, at = crashed.lake, crashed.at
        assert rows_of(lake) == expected, at
        assert_undamaged(lake, at)

        clock_of(lake).advance(timedelta(days=2))  # what somebody has begun to delete is left to him for a while
        lake.vacuum()

        assert lake.check(checksums=True) == [], at
        assert stray_files(lake) == set(), at
        assert rows_of(lake) == expected, at
        lake.close()
        crashes += 1
    assert crashes >= 7


def test_a_clean_vacuum_deletes_exactly_what_was_wasted(make_wasteful):
    lake = make_wasteful()
    before = {name for name in files_of(lake) if name.endswith(".parquet")}

    lake.vacuum()

    after = {name for name in files_of(lake) if name.endswith(".parquet")}
    needed = {f"{tier}/{path}" for tier, path in query_catalog(lake, "SELECT tier, path FROM copy")}
    assert after == needed
    assert len(before - after) == 6  # two old versions, two of the branch, a moved copy, a dead writer's file
