"""A process that dies in any verb leaves a lake on S3 with its catalog in PostgreSQL as whole as one in a folder.

``LAKEPART_LONG=1`` lets it die at every effect; else each dies once: before it has
stored or deleted the object in the middle, or after the commit in the middle, the one that says what is current.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

import lakepart as lp
from lakepart.testing import Crash, clock_of, crashing, effects_of, files_of, reopened

# the pretended death of a worker thread is told to nobody, as a real one's would be
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
LONG = os.environ.get("LAKEPART_LONG") == "1"


@pytest.fixture
def make(make_on_s3):
    return make_on_s3


def in_the_middle(kinds):
    """Choose from the effects of these kinds, or of all if there are none, the one in the middle."""

    def choose(names):
        found = [number for number, name in enumerate(names) if name.split()[0] in kinds] or [*range(len(names))]
        return found[(len(found) - 1) // 2 :][:1]

    return choose


def transact(lake, frame, tens):
    with lake.transaction() as tx:
        tx.asset("numbers").append(frame((1, 100), (5, 5)))
        tx.asset("tens").write(frame((2, 200)), "2024-01-02")


def backfill(lake, frame, tens):
    for name in lake.backfills().query("state != 'completed'")["name"]:
        lake.backfill(name).resume(tens.function, progress=False)
    lake.register(tens)["2024-01-02":"2024-01-03"].backfill(publish="together", progress=False)


def compact(lake, frame, tens):
    lake.asset("numbers").append(frame((1, 100), (2, 200)))
    lake.asset("numbers").compact(progress=False)


def vacuum(lake, frame, tens):
    for _ in range(2):  # what the first forgets is old enough to be deleted by the second
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()


ACTIONS = {
    "replace": lambda lake, frame, tens: lake.asset("numbers").write(frame((1, 100), (1, 101)), "2024-01-01"),
    "append": lambda lake, frame, tens: lake.asset("numbers").append(frame((1, 100), (6, 6))),
    "upsert": lambda lake, frame, tens: lake.asset("numbers").upsert(frame((1, 1), (2, 20)), on=["value"]),
    "delete": lambda lake, frame, tens: lake.asset("numbers").delete([("value", "<=", 2)]),
    "transaction": transact,
    "publish": lambda lake, frame, tens: lake.branch("draft").publish(),
    "discard": lambda lake, frame, tens: lake.branch("draft").discard(),
    "rollback": lambda lake, frame, tens: lake.asset("numbers").rollback(to=1),
    "undo": lambda lake, frame, tens: lake.rollback(commit=2),
    "columns": lambda lake, frame, tens: lake.asset("numbers").alter(order=["value", "day"]),
    "definition": lambda lake, frame, tens: lake.asset("numbers").alter(partitions=lp.Daily("2023-01-01", by="day")),
    "move": lambda lake, frame, tens: lake.asset("numbers").demote("cold", progress=False),
    "compact": compact,
    "backfill": backfill,
    "vacuum": vacuum,
}


WHEN = ("before", "after")
CASES = [
    (action, when)
    for index, action in enumerate(ACTIONS)
    for when in (WHEN if LONG else WHEN[index % 2 : index % 2 + 1])
]


@pytest.mark.parametrize(("action", "when"), CASES)
def test_a_crash_leaves_all_of_it_or_nothing(survives, frame, producer, action, when):
    choose = None if LONG else in_the_middle({"write", "put", "delete"} if when == "before" else {"commit"})
    crashes = survives(lambda lake: ACTIONS[action](lake, frame, producer), when, choose)

    assert crashes >= 1


def test_an_object_that_is_half_sent_is_an_upload_and_no_object(make, frame):
    (number,) = [at for at, name in enumerate(effects_of(make(), lambda lake: write(lake, frame))) if "write" in name]
    lake = make()
    before = files_of(lake)

    with pytest.raises(Crash):
        write(crashing(lake, at=number), frame)

    left = files_of(lake).keys() - before.keys()
    assert [name.split("/")[0] for name in left] == ["uploads"]
    again = reopened(lake)
    assert again.check() == []  # for all that is known, the writer is still at it
    clock_of(again).advance(timedelta(days=2))
    assert again.vacuum().files == 1
    assert files_of(again) == before


def write(lake, frame):
    lake.asset("numbers").write(frame((5, 5)), "2024-01-05")
