"""Real processes on one lake: nothing fails, nothing is lost, and check finds nothing."""

from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import query_catalog, stray_files

DISJOINT = "for turn in range(turns): numbers.write(frame(me * turns + turn, me))"
EQUAL = 'for turn in range(turns): numbers.write(frame(0, 100 * me + turn), "2024-01-01")'
APPEND = "for turn in range(turns): numbers.append(frame(turn % 3, 100 * me + turn))"
GUARDED = """
lake = lp.connect(sys.argv[1])
won = 0
while won < turns:
    seen = lake.snapshots(1)["snapshot"].iloc[0]
    total = lake.at(int(seen)).asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist()[0]
    try:
        numbers.write(frame(0, total + 1), "2024-01-01", expected=int(seen))
        won += 1
    except lp.ConflictError:
        pass
"""
NEW = """
for turn in range(turns):
    try:
        numbers.write(frame(turn, me))
        print("won", turn)
    except lp.AlreadyExistsError:
        pass
"""
SAME_RUN = """
for turn in range(turns):
    print(numbers.append(frame(0, turn), idempotency_key=f"run {turn}").snapshot)
"""
MOVE = """
for turn in range(turns):
    numbers["2024-01-01"].demote("cold", progress=False)
    numbers["2024-01-01"].promote(progress=False)
"""


on_both = pytest.mark.parametrize("lake", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def lake(tmp_path, monkeypatch, request):
    catalog = None
    if getattr(request, "param", "sqlite") == "postgresql":
        catalog = request.getfixturevalue("new_schema")()
        monkeypatch.setenv("LAKEPART_CATALOG", catalog)  # for the processes
    lake = lp.create(tmp_path / "lake", catalog=catalog)
    lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    return lake


def assert_sound(lake, commits):
    assert [str(found) for found in lake.check(checksums=True)] == []
    assert stray_files(lake) == set()
    assert query_catalog(lake, "SELECT count(*), min(snapshot), max(snapshot) FROM snapshot WHERE snapshot > 0") == [
        (commits, 1, commits)
    ]
    assert query_catalog(lake, "SELECT count(*) FROM snapshot WHERE manifested = 0") == [(0,)]
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]


@on_both
def test_two_processes_that_write_other_partitions_lose_nothing(lake, run_together):
    run_together(lake, [DISJOINT, DISJOINT], turns=15)

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [0] * 15 + [1] * 15
    assert_sound(lake, commits=30)


def test_two_processes_that_write_one_partition_follow_each_other(lake, run_together):
    run_together(lake, [EQUAL, EQUAL], turns=15)

    (value,) = lake.asset("numbers").to_arrow()["value"].to_pylist()
    assert value in {14, 114}
    history = lake.asset("numbers")["2024-01-01"].history()
    seen = [lake.at(int(number)).asset("numbers").to_arrow()["value"].to_pylist()[0] for number in history["snapshot"]]
    assert sorted(seen) == [*range(15), *range(100, 115)]
    for first in (0, 100):  # each process saw its own writes in order
        own = [value for value in reversed(seen) if first <= value < first + 15]
        assert own == sorted(own)
    assert_sound(lake, commits=30)


@on_both
def test_rows_that_four_processes_append_are_all_there_once(lake, run_together):
    run_together(lake, [APPEND] * 4, turns=6)

    values = lake.asset("numbers").to_arrow()["value"].to_pylist()
    assert sorted(values) == sorted(100 * me + turn for me in range(4) for turn in range(6))
    assert_sound(lake, commits=24)


def test_guarded_increments_of_two_processes_are_all_counted(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [0]}))

    run_together(lake, [GUARDED, GUARDED], turns=8)

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [16]
    assert_sound(lake, commits=17)


def test_of_two_processes_that_write_the_same_new_partitions_one_wins_each(lake, run_together):
    won = run_together(lake, [NEW, NEW], turns=10)

    assert sorted(won[0] + won[1]) == sorted(f"won {turn}" for turn in range(10))
    winner = {int(line.split()[1]): me for me, lines in enumerate(won) for line in lines}
    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [winner[turn] for turn in range(10)]
    assert_sound(lake, commits=10)


def test_two_processes_that_try_the_same_runs_append_each_once(lake, run_together):
    first, second = run_together(lake, [SAME_RUN, SAME_RUN], turns=10)

    assert first == second
    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == list(range(10))
    assert_sound(lake, commits=10)


def test_a_process_that_moves_a_partition_and_one_that_writes_it_do_not_hinder_each_other(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [0]}))

    run_together(lake, [MOVE, EQUAL], turns=8)

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [107]
    assert {found.kind for found in lake.check(checksums=True)} <= {"abandoned-file"}  # of moves that gave up
