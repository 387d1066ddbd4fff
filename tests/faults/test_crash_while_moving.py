"""A process that dies anywhere in a move between tiers: every row stays readable, and the next move finishes it."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from lakepart.testing import clock_of, crash_everywhere, files_of, query_catalog

KEYS = ["2024-01-01", "2024-01-02"]


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


@pytest.fixture
def dead_mover(make):
    """Give a lake whose process died when the move of 2024-01-01 to cold had come to a state."""

    def give(state):
        def demote_one(lake):
            lake.asset("numbers")["2024-01-01"].demote("cold", progress=False)

        for crashed in crash_everywhere(make, demote_one, when="before"):
            if query_catalog(crashed.lake, "SELECT state FROM move") == [(state,)]:
                return crashed.lake
            crashed.lake.close()
        raise AssertionError(f"no crash leaves a move {state}")

    return give


def live_tiers(lake):
    statement = """
        SELECT version.key, copy.tier FROM version JOIN version_file USING (version_id) JOIN copy USING (file_id)
        WHERE copy.state = 'live' AND version.ended IS NULL AND version.branch_id = 0
          AND version.asset_id = (SELECT asset_id FROM asset WHERE name = 'numbers') ORDER BY version.key
    """
    return dict(query_catalog(lake, statement))


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
    assert crashes >= 6


@pytest.mark.parametrize("state", ["planned", "copying", "verified"])
def test_vacuum_leaves_what_an_interrupted_move_has_copied(dead_mover, rows_of, assert_undamaged, state):
    lake = dead_mover(state)
    expected = rows_of(lake)

    clock_of(lake).advance(timedelta(days=3))
    lake.vacuum()
    lake.asset("numbers")["2024-01-03"].demote("cold", progress=False)  # finishes what was begun

    assert_undamaged(lake)
    assert rows_of(lake) == expected
    assert live_tiers(lake) == {"2024-01-01": "cold", "2024-01-02": "hot", "2024-01-03": "cold"}


@pytest.mark.in_a_folder
def test_a_move_taken_over_after_its_copies_were_verified_looks_at_them_again(dead_mover, rows_of):
    lake = dead_mover("verified")
    expected = rows_of(lake)
    (copied,) = [name for name in files_of(lake) if name.startswith("cold/")]
    path = Path(lake.url, copied)
    path.unlink()

    clock_of(lake).advance(timedelta(minutes=11))
    lake.asset("numbers")["2024-01-01"].demote("cold", progress=False)

    assert path.exists()
    assert rows_of(lake) == expected


@pytest.mark.parametrize("state", ["planned", "copying", "verified"])
def test_a_partition_rewritten_while_its_move_was_interrupted_keeps_its_rows(
    dead_mover, frame, rows_of, assert_undamaged, state
):
    lake = dead_mover(state)
    lake.asset("numbers").write(frame((1, 100)), "2024-01-01")

    clock_of(lake).advance(timedelta(minutes=11))
    demote(lake)

    assert rows_of(lake)["numbers"] == [(1, 100), (2, 2), (3, 30)]
    assert live_tiers(lake)["2024-01-01"] == "cold"
    assert_undamaged(lake)


@pytest.mark.parametrize("state", ["planned", "copying", "verified"])
def test_a_move_of_another_machine_is_left_to_it_while_its_lease_runs(dead_mover, rows_of, state):
    lake = dead_mover(state)
    with closing(sqlite3.connect(Path(lake.url, "catalog.db"))) as catalog, catalog:
        catalog.execute("UPDATE move SET holder = 'elsewhere/000000:1:00000000'")
    expected = rows_of(lake)

    report = lake.asset("numbers")[KEYS].demote("cold", progress=False)

    assert report.partitions == 1
    assert [key for key, _ in report.skipped] == ["2024-01-01"]
    assert live_tiers(lake)["2024-01-01"] == "hot"
    assert rows_of(lake) == expected

    clock_of(lake).advance(timedelta(minutes=11))
    assert lake.asset("numbers")[KEYS].demote("cold", progress=False).finished == 1
    assert live_tiers(lake)["2024-01-01"] == "cold"
