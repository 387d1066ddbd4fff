import multiprocessing
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import declare_asset
from lakepart.errors import ConflictError
from lakepart.model.records import (
    ANYTHING,
    AssetGuard,
    Change,
    ChangeKind,
    CommitRequest,
    NewFile,
    TierRecord,
)

PROCESSES = 2
THREADS = 8
COMMITS = 5


def now():
    return datetime.now(UTC)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "catalog.db"
    with Database.create(path, lake_id="lake", clock=now, tiers=[TierRecord("hot", "hot")]) as database:
        declare_asset(database, "flights", {"kind": "daily"})
        commit(database, request("first", [0], 1, new_schema=b"schema"))
    return path


def request(token, ordinals, revision=2, *, new_schema=None, expected=ANYTHING):
    changes = tuple(
        Change(
            1,
            f"k{ordinal}",
            ordinal,
            ChangeKind.REPLACE,
            (NewFile("hot", f"{token}-{ordinal}.parquet", 1, 1, 1, token, token),),
            expected=expected,
        )
        for ordinal in ordinals
    )
    return CommitRequest(token, "write", changes, (AssetGuard(1, revision, new_schema),), author=token)


def write_many(path, process, same_partitions, barrier, outcomes):
    """Commit from several threads at once; tells how each went."""
    with Database.open(path, clock=now) as database, ThreadPoolExecutor(THREADS) as pool:

        def write(thread):
            told = []
            for turn in range(COMMITS):
                writer = process * THREADS + thread
                ordinal = turn if same_partitions else 1000 * (writer + 1) + turn
                try:
                    told.append(commit(database, request(f"{writer}-{turn}", [ordinal])).snapshot)
                except Exception as error:  # noqa: BLE001 - carried to the test
                    told.append(repr(error))
            return told

        barrier.wait(30)
        outcomes.put([outcome for told in pool.map(write, range(THREADS)) for outcome in told])


@pytest.mark.parametrize("same_partitions", [False, True])
def test_processes_and_threads_that_commit_at_once_all_succeed(path, same_partitions):
    context = multiprocessing.get_context("spawn")
    barrier, outcomes = context.Barrier(PROCESSES), context.Queue()
    writers = [
        context.Process(target=write_many, args=(path, number, same_partitions, barrier, outcomes))
        for number in range(PROCESSES)
    ]

    for writer in writers:
        writer.start()
    snapshots = [outcome for _ in writers for outcome in outcomes.get(timeout=60)]
    for writer in writers:
        writer.join()

    total = PROCESSES * THREADS * COMMITS
    assert sorted(snapshots) == list(range(2, total + 2))
    with sqlite3.connect(path) as connection:
        [current] = connection.execute("SELECT count(*) FROM version WHERE ended IS NULL").fetchone()
        [overlapping] = connection.execute(
            "SELECT count(*) FROM version a JOIN version b USING (asset_id, branch_id, ordinal)"
            " WHERE a.version_id < b.version_id"
            " AND coalesce(a.ended, 1e18) > b.began AND coalesce(b.ended, 1e18) > a.began"
        ).fetchone()
        [times] = connection.execute("SELECT count(DISTINCT at_us) FROM snapshot").fetchone()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert current == (COMMITS if same_partitions else total + 1)
    assert (overlapping, times) == (0, total + 2)


def test_of_two_handles_that_write_the_same_new_partition_one_loses(path):
    with Database.open(path, clock=now) as ours, Database.open(path, clock=now) as theirs:
        commit(theirs, request("theirs", [5], expected=None))

        with pytest.raises(ConflictError) as caught:
            commit(ours, request("ours", [5, 6], expected=None))

    [conflict] = caught.value.context["conflicts"]
    assert (conflict["key"], conflict["author"]) == ("k5", "theirs")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM version WHERE ordinal IN (5, 6)").fetchone() == (1,)
