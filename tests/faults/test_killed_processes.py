"""Real processes, really killed (SIGKILL) in the middle of a write, a backfill and a move."""

import signal
import subprocess
import sys

import pytest

from lakepart.testing import query_catalog, stray_files

PRELUDE = """
import os, signal, sys
import pyarrow as pa
import lakepart as lp
from datetime import date
lake = lp.connect(sys.argv[1])
numbers = lake.asset("numbers")
def frame(*pairs):
    return pa.table({"day": [date(2024, 1, day) for day, _ in pairs], "value": [value for _, value in pairs]})
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""
WRITE = """
def stream():
    yield frame((5, 5), (6, 6))
    yield frame(*((day, value) for day in range(7, 20) for value in range(1000)))
    die()
numbers.write(stream(), if_exists="replace")
"""
BACKFILL = """
def double(part, numbers):
    if part.key == "2024-01-03":
        die()
    table = numbers.to_arrow()
    return table.set_column(1, "value", pa.array([2 * value for value in table["value"].to_pylist()]))
doubles = lake.asset("doubles", partitions=lp.Daily("2024-01-01", by="day"))
doubles["2024-01-01":"2024-01-03"].backfill(
    double, inputs={"numbers": "numbers"}, name="killed", publish=sys.argv[2], progress=False)
"""
MOVE = """
touches = 0
def watch(event, arguments):
    global touches
    if event == "open" and "/cold/" in str(arguments[0]):
        touches += 1
        if touches == 4:
            die()
sys.addaudithook(watch)
numbers.demote("cold", progress=False)
"""


def run_until_killed(program, lake, *arguments):
    lake.close()
    ended = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, lake.url, *arguments],
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def double(part, numbers):
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[2 * value for value in table["value"].to_pylist()]])


def test_a_write_that_was_killed_leaves_the_old_versions_and_only_leftovers(lake, rows_of, assert_cleaned_up):
    expected = rows_of(lake)

    run_until_killed(WRITE, lake)

    assert rows_of(lake) == expected
    assert {finding.severity for finding in lake.check(checksums=True)} <= {"leftover"}
    assert_cleaned_up(lake)


@pytest.mark.parametrize("publish", ["each", "together"])
def test_a_backfill_that_was_killed_is_completed_by_another_process(lake, publish, assert_cleaned_up):
    run_until_killed(BACKFILL, lake, publish)
    doubles = lake.asset("doubles")
    assert doubles.keys == ["2024-01-01", "2024-01-02"][: len(doubles.keys)]
    assert publish == "each" or doubles.keys == []

    lake.backfill("killed").resume(double, progress=False)

    assert doubles.to_arrow()["value"].to_pylist() == [2, 4, 60]
    assert lake.backfill("killed").state == "completed"
    computed = "SELECT key, count(*) FROM version JOIN asset USING (asset_id) WHERE name = 'doubles' GROUP BY key"
    each = 1 if publish == "each" else 2  # once on the staging branch, once published
    assert query_catalog(lake.url, computed) == [(f"2024-01-0{day}", each) for day in (1, 2, 3)]
    assert_cleaned_up(lake)


def test_a_move_whose_process_was_killed_is_finished_at_once_by_the_next(lake, rows_of, assert_undamaged):
    expected = rows_of(lake)
    run_until_killed(MOVE, lake)
    assert rows_of(lake) == expected
    assert query_catalog(lake.url, "SELECT count(*) FROM move WHERE closed_at_us IS NULL") != [(0,)]

    report = lake.asset("numbers").demote("cold", progress=False)  # nobody waits for a lease: that process is gone

    assert report.finished >= 1
    assert lake.asset("numbers").in_tier("cold").keys == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert rows_of(lake) == expected
    assert_undamaged(lake)
    assert {path for path in stray_files(lake.url) if not path.endswith(".tmp")} == set()
