"""A connection to PostgreSQL lost in any commit of a verb, heard or unheard: it is done once, or not at all.

``LAKEPART_LONG=1`` loses it in every commit; else a long verb loses it in some.
"""

import itertools
import os
import warnings
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from psycopg.conninfo import conninfo_to_dict

import lakepart as lp
from lakepart.testing import clock_of, copied, query_catalog, reopened
from lakepart.testing.connections import CommitDropper

LONG = os.environ.get("LAKEPART_LONG") == "1"
KEYS = ["2024-01-01", "2024-01-02"]


def frame(*pairs):
    days = pa.array([date(2024, 1, day) for day, _ in pairs], pa.date32())
    return pa.table({"day": days, "value": pa.array([value for _, value in pairs], pa.int64())})


def transact(lake, producer):
    with lake.transaction() as tx:
        tx.asset("numbers").append(frame((1, 100), (5, 5)))
        tx.asset("tens").write(frame((1, 1000)), KEYS[0])


def publish(lake, producer):
    lake.branch("draft").publish()


def roll_back(lake, producer):
    lake.rollback(commit=2)


def move(lake, producer):
    lake.asset("numbers")[KEYS].demote("cold", progress=False)


def backfill(lake, producer):
    for name in lake.backfills().query("state == 'running'")["name"]:
        lake.backfill(name).resume(producer.function, progress=False)
        return
    lake.register(producer)
    lake.asset("tens")["2024-01-02":"2024-01-03"].backfill(publish="together", progress=False)


# The verb, how many snapshots it makes, and at which of its commits the connection is lost in the short run.
VERBS = {
    transact: (1, (0, 1, 2)),
    publish: (1, (0, 1)),
    roll_back: (1, (0, 1)),
    move: (0, (1, 3)),
    backfill: (None, (0, 2, 3, 4, 6, 8)),
}


@pytest.fixture(scope="module")
def between(postgresql):
    """Give a go-between, and what to put into an address so that it leads there."""
    server = conninfo_to_dict(postgresql)["host"]
    with TemporaryDirectory() as folder:  # not pytest's: the path of a socket must be short
        dropper = CommitDropper(Path(server))
        with dropper.listening(Path(folder)):
            yield dropper, lambda address: address.replace(server, folder)


@pytest.fixture
def make(template, tmp_path, new_schema):
    numbers = itertools.count()
    pattern, scratch = copied(template, tmp_path / "pattern", catalog=new_schema()), new_schema()
    return lambda: copied(pattern, tmp_path / f"lake-{next(numbers)}", catalog=scratch)


def state_of(lake, rows_of):
    return rows_of(lake), lake.asset("numbers").in_tier("cold").keys


def attempt(verb, lake, producer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that what is committed could not be noted to be in storage
        try:
            verb(lake, producer)
        except lp.CatalogError as error:
            return "failed" if error.retryable else "failed for good"
    return "done"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_connection_lost_in_a_commit_loses_nothing_and_does_nothing_twice(
    make, between, producer, rows_of, assert_undamaged, verb, when
):
    dropper, through = between
    snapshots, some = VERBS[verb]
    before = state_of(make(), rows_of)
    done = make()
    verb(done, producer)
    after = state_of(done, rows_of)
    done.close()
    assert before != after

    outcomes, first = set(), None
    for number in itertools.count() if LONG else some:
        lake = make()
        head = query_catalog(lake, "SELECT snapshot FROM head")[0][0]
        losing = reopened(lake, catalog=through(lake._home.context.catalog))
        dropper.spares, dropper.drops, dropper.when = number, 1, when
        outcomes.add(outcome := attempt(verb, losing, producer))
        first = outcome if number == 0 else first
        lost, dropper.drops = dropper.drops == 0, 0
        losing.close()
        found = state_of(lake, rows_of)
        assert found in (before, after) or verb is move, number
        assert found[0] in (before[0], after[0]), number
        assert_undamaged(lake, number)
        if found != after:
            clock_of(lake).advance(timedelta(minutes=11))  # the lease of what failed runs out
            verb(lake, producer)
        assert state_of(lake, rows_of) == after, number
        if snapshots is not None:
            assert query_catalog(lake, "SELECT snapshot FROM head") == [(head + snapshots,)], number
        lake.close()
        if not lost:
            assert LONG, f"there is no commit {number}"
            break
    assert outcomes <= {"done", "failed"}
    assert "done" in outcomes or verb is move  # which makes no snapshot: the next move finishes it
    if verb in (publish, roll_back):  # whose first commit is the one with a token: it settles by itself
        assert first == "done"
