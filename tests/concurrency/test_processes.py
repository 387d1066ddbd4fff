"""Real processes on one lake: nothing fails, nothing is lost, and check finds nothing.

``LAKEPART_LONG=1`` lets many writers write fifty times each.
"""

import json
import os
from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog.backends import LOCK_WAIT_S
from lakepart.testing import query_catalog, stray_files

LONG = os.environ.get("LAKEPART_LONG") == "1"
MANY, TURNS = 8, 50 if LONG else 5

TIMED = """
import time
longest = 0.0
for turn in range(turns):
    began = time.monotonic()
    {write}
    longest = max(longest, time.monotonic() - began)
print(longest)
"""
DISJOINT = TIMED.format(write="numbers.write(frame(me * turns + turn, me))")
APPEND = TIMED.format(write="numbers.append(frame(0, 100 * me + turn))")
EQUAL = 'for turn in range(turns): numbers.write(frame(0, 100 * me + turn), "2024-01-01")'
EXPECTING = """
lake = lp.connect(url)
def add_one():
    seen = int(lake.snapshots(1)["snapshot"].iloc[0])
    (value,) = lake.at(seen).asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist()
    numbers.write(frame(0, value + 1), "2024-01-01", expected=seen)
for turn in range(turns): until_won(add_one)
"""
IN_TRANSACTIONS = """
lake = lp.connect(url)
def add_one():
    with lake.transaction() as tx:
        (value,) = tx.asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist()
        tx.asset("numbers").write(frame(0, value + 1), "2024-01-01")
for turn in range(turns): until_won(add_one)
"""
ON_BRANCHES = """
lake = lp.connect(url)
def add_one():
    branch = lake.create_branch(f"draft-{me}")
    try:
        (value,) = branch.asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist()
        branch.asset("numbers").write(frame(0, value + 1), "2024-01-01")
        branch.publish()
    except lp.ConflictError:
        branch.discard()
        raise
for turn in range(turns): until_won(add_one)
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
UPSERT = """
for turn in range(turns):
    until_won(lambda: numbers.upsert(frame(0, 100 + turn), on=["value"]))  # the same keys as the other
"""
DELETE = """
for turn in range(turns):
    numbers.append(frame(0, 5000 + turn))
    until_won(lambda: numbers.delete([("value", "==", 5000 + turn)]))
"""
BACKFILL = """
import json
for turn in range(turns):
    plan = numbers["2024-01-01"].plan_backfill(
        lambda part: frame(0, 7000 + turn), inputs={}, which="all", publish=["each", "together"][turn % 2],
        name=f"run-{turn}")
    try:
        lp.connect(url).apply(plan, progress=False)
        print(json.dumps([plan.snapshot, plan.name]))
    except lp.ConflictError as error:
        named(error)
    except lp.BackfillError as error:
        assert "ConflictError" in str(error) and " by " in str(error) and "'2024-01-01'" in str(error), error
    except lp.StateError:
        pass  # it was out of date when it began
"""
ALTER = """
for turn in range(turns):
    until_won(lambda: numbers.alter(description=f"the {turn}th"))
    until_won(lambda: numbers.alter(partitions=lp.Daily(f"2023-12-{31 - turn}", by="day")))
"""
ADD_COLUMN = """
for turn in range(turns):
    more = {f"own_{before}": pa.array([turn], pa.int64()) for before in range(turn + 1)}
    until_won(lambda: numbers.append(frame(0, 100 * me + turn, **more), on_schema_change="add"))
"""
APPEND_NARROW = 'for turn in range(turns): numbers.append(frame(0, 100 * me + turn), on_schema_change="add")'
THREADS_AND_FORKS = """
import pickle
from concurrent.futures import ThreadPoolExecutor
handles = [numbers, pickle.loads(pickle.dumps(numbers)), lp.connect(url).asset("numbers")]
with ThreadPoolExecutor(3) as pool:
    list(pool.map(lambda n: handles[n % 3].append(frame(0, 100 * me + n)), range(3 * turns)))
child = os.fork()  # with handles that have been used, and go on being used in both
for n in range(turns):
    handles[n % 3].append(frame(0, 100 * me + (50 if child == 0 else 70) + n))
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
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


def values_of(lake):
    return lake.asset("numbers").to_arrow()["value"].to_pylist()


def longest_of(outputs):
    """Give the seconds that the slowest write of all processes took."""
    return max(float(line) for lines in outputs for line in lines)


@on_both
@pytest.mark.timeout(1200 if LONG else 120)
def test_many_processes_that_replace_partitions_of_their_own_all_succeed(lake, run_together, record_property):
    outputs = run_together(lake, [DISJOINT] * MANY, turns=TURNS)

    longest_s = longest_of(outputs)
    record_property("longest_write_s", longest_s)
    assert values_of(lake) == [me for me in range(MANY) for _ in range(TURNS)]
    assert longest_s < LOCK_WAIT_S
    assert_sound(lake, commits=MANY * TURNS)


@on_both
@pytest.mark.timeout(1200 if LONG else 120)
def test_rows_that_many_processes_append_to_one_partition_are_all_there_once(lake, run_together, record_property):
    outputs = run_together(lake, [APPEND] * MANY, turns=TURNS)

    longest_s = longest_of(outputs)
    record_property("longest_write_s", longest_s)
    assert sorted(values_of(lake)) == sorted(100 * me + turn for me in range(MANY) for turn in range(TURNS))
    assert longest_s < LOCK_WAIT_S
    assert_sound(lake, commits=MANY * TURNS)


@on_both
def test_threads_pickled_handles_and_forked_processes_lose_nothing(lake, run_together):
    run_together(lake, [THREADS_AND_FORKS] * 2, turns=4)

    each = [*range(12), *range(50, 54), *range(70, 74)]
    assert sorted(values_of(lake)) == [100 * me + number for me in range(2) for number in each]
    assert_sound(lake, commits=40)


def test_two_processes_that_write_one_partition_follow_each_other(lake, run_together):
    run_together(lake, [EQUAL, EQUAL], turns=15)

    (value,) = values_of(lake)
    assert value in {14, 114}
    history = lake.asset("numbers")["2024-01-01"].history()
    seen = [lake.at(int(number)).asset("numbers").to_arrow()["value"].to_pylist()[0] for number in history["snapshot"]]
    assert sorted(seen) == [*range(15), *range(100, 115)]
    for first in (0, 100):  # each process saw its own writes in order
        own = [value for value in reversed(seen) if first <= value < first + 15]
        assert own == sorted(own)
    assert_sound(lake, commits=30)


@on_both
def test_increments_by_expectation_in_transactions_and_on_branches_are_all_counted(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [0]}))

    outputs = run_together(lake, [EXPECTING, IN_TRANSACTIONS, ON_BRANCHES], turns=6)

    assert values_of(lake) == [18]
    assert any("lost" in lines for lines in outputs)
    discarded = outputs[2].count("lost")
    assert_sound(lake, commits=19 + 6 + discarded)  # a commit on each branch, too


@on_both
def test_of_processes_that_write_the_same_new_partitions_one_wins_each(lake, run_together):
    won = run_together(lake, [NEW] * 3, turns=6)

    assert sorted(line for lines in won for line in lines) == sorted(f"won {turn}" for turn in range(6))
    winner = {int(line.split()[1]): me for me, lines in enumerate(won) for line in lines}
    assert values_of(lake) == [winner[turn] for turn in range(6)]
    assert_sound(lake, commits=6)


@on_both
def test_upserts_and_deletions_among_appends_change_their_own_rows_only(lake, run_together):
    run_together(lake, [UPSERT, UPSERT, DELETE, APPEND], turns=5)

    expected = [100 + turn for turn in range(5)] + [300 + turn for turn in range(5)]
    assert sorted(values_of(lake)) == expected
    assert_sound(lake, commits=25)


@on_both
def test_a_backfill_among_writers_replaces_only_what_it_was_planned_on(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [0]}))

    done, _ = run_together(lake, [BACKFILL, EQUAL], turns=6)

    history = lake.asset("numbers")["2024-01-01"].history()
    commits = history["snapshot"].tolist()
    for planned_at, name in map(json.loads, done):
        (made,) = history[history["message"] == f"backfill {name}"]["snapshot"]
        assert [number for number in commits if planned_at < number < made] == []
    assert len(commits) == 7 + len(done)
    assert sorted(found.kind for found in lake.check(checksums=True) if found.severity == "damage") == []


@on_both
def test_writers_among_changes_of_columns_and_definition_lose_no_row_and_no_column(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [-1]}))

    run_together(lake, [ALTER, ADD_COLUMN, APPEND_NARROW], turns=4)

    table = lake.asset("numbers").to_arrow()
    assert sorted(table["value"].to_pylist()) == [-1, *(100 * me + turn for me in (1, 2) for turn in range(4))]
    assert set(table.column_names) - {"day", "value"} == {f"own_{turn}" for turn in range(4)}
    for column in range(4):
        own = [(row["value"], row[f"own_{column}"]) for row in table.to_pylist() if row[f"own_{column}"] is not None]
        assert sorted(own) == [(100 + turn, turn) for turn in range(column, 4)]
    assert lake.asset("numbers").partitions == lp.Daily("2023-12-28", by="day")
    assert_sound(lake, commits=17)


def test_two_processes_that_try_the_same_runs_append_each_once(lake, run_together):
    first, second = run_together(lake, [SAME_RUN, SAME_RUN], turns=10)

    assert first == second
    assert values_of(lake) == list(range(10))
    assert_sound(lake, commits=10)


@on_both
def test_a_process_that_moves_a_partition_and_one_that_writes_it_do_not_hinder_each_other(lake, run_together):
    lake.asset("numbers").write(pa.table({"day": [date(2024, 1, 1)], "value": [0]}))

    run_together(lake, [MOVE, EQUAL], turns=6)

    assert values_of(lake) == [105]
    assert {found.kind for found in lake.check(checksums=True)} <= {"abandoned-file"}  # of moves that gave up
