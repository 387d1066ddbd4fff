"""A process that dies anywhere in a move between tiers: every row stays readable, and the next move finishes it."""

from datetime import timedelta
from pathlib import Path

import pytest

from lakepart.testing import Crash, clock_of, crash_everywhere, crashing, files_of, query_catalog

KEYS = ["2024-01-01", "2024-01-02"]
BEFORE_THE_SWAP = 5  # claimed, begun, copied, made durable, noted as verified


def demote(lake):
    lake.asset("numbers")[KEYS].demote("cold", progress=False)


def promote(lake):
    lake.asset("numbers")[KEYS].promote(progress=False)


@pytest.fixture
def make_cold(make):
    def give():
        lake = make()
        demote(lake)
        return lake

    return give


def live_tiers(lake):
    statement = """
        SELECT version.key, copy.tier FROM version JOIN version_file USING (version_id) JOIN copy USING (file_id)
        WHERE copy.state = 'live' AND version.ended IS NULL AND version.branch_id = 0
          AND version.asset_id = (SELECT asset_id FROM asset WHERE name = 'numbers') ORDER BY version.key
    """
    return dict(query_catalog(lake.url, statement))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("move", "tier"), [(demote, "cold"), (promote, "hot")], ids=["demote", "promote"])
def test_a_crashed_move_leaves_all_rows_readable_and_is_finished_by_the_next(
    make, make_cold, rows_of, assert_undamaged, assert_cleaned_up, when, move, tier
):
    expected = rows_of(make())
    crashes = 0
    for crashed in crash_everywhere(make if move is demote else make_cold, move, when=when):
        lake, at = crashed.lake, crashed.at
        assert rows_of(lake) == expected, at
        assert_undamaged(lake, at)

        clock_of(lake).advance(timedelta(minutes=11))  # the dead process's lease runs out
        move(lake)

        assert {key: live_tiers(lake)[key] for key in KEYS} == dict.fromkeys(KEYS, tier), at
        assert rows_of(lake) == expected, at
        assert_cleaned_up(lake, at)
        lake.close()
        crashes += 1
    assert crashes >= 11


def test_vacuum_leaves_what_an_interrupted_move_has_copied(lake, rows_of, assert_undamaged):
    expected = rows_of(lake)
    one = lake.asset("numbers")["2024-01-01"]
    with pytest.raises(Crash):
        crashing(lake, at=BEFORE_THE_SWAP).asset("numbers")[one.keys].demote("cold", progress=False)
    assert [state for (state,) in query_catalog(lake.url, "SELECT state FROM move WHERE closed_at_us IS NULL")] == [
        "verified"
    ]

    clock_of(lake).advance(timedelta(days=3))
    lake.vacuum()
    lake.asset("numbers")["2024-01-03"].demote("cold", progress=False)  # finishes what was begun

    assert_undamaged(lake)
    assert rows_of(lake) == expected


def test_a_move_taken_over_after_its_copies_were_verified_looks_at_them_again(lake, rows_of):
    expected = rows_of(lake)
    one = lake.asset("numbers")["2024-01-01"]
    with pytest.raises(Crash):
        crashing(lake, at=BEFORE_THE_SWAP).asset("numbers")[one.keys].demote("cold", progress=False)
    (copied,) = [name for name in files_of(lake.url) if name.startswith("cold/")]
    path = Path(lake.url, copied)
    path.unlink()

    clock_of(lake).advance(timedelta(minutes=11))
    lake.asset("numbers")["2024-01-01"].demote("cold", progress=False)

    assert path.exists()
    assert rows_of(lake) == expected


def test_a_partition_rewritten_while_its_move_was_interrupted_keeps_the_new_rows(
    lake, frame, rows_of, assert_undamaged
):
    with pytest.raises(Crash):
        crashing(lake, at=4).asset("numbers")["2024-01-01"].demote("cold", progress=False)
    lake.asset("numbers").write(frame((1, 100)), "2024-01-01")

    clock_of(lake).advance(timedelta(minutes=11))
    demote(lake)

    assert rows_of(lake)["numbers"] == [(1, 100), (2, 2), (3, 30)]
    assert live_tiers(lake)["2024-01-01"] == "cold"
    assert_undamaged(lake)


def test_a_move_of_a_living_process_is_left_to_it(lake, rows_of):
    expected = rows_of(lake)
    with pytest.raises(Crash):
        crashing(lake, at=4).asset("numbers")["2024-01-01"].demote("cold", progress=False)

    report = lake.asset("numbers")[KEYS].demote("cold", progress=False)  # the lease still runs

    assert report.partitions == 1
    assert [key for key, _ in report.skipped] == ["2024-01-01"]
    assert live_tiers(lake)["2024-01-01"] == "hot"
    assert rows_of(lake) == expected
