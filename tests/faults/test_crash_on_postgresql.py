"""A process that dies in any verb leaves a catalog in PostgreSQL as whole as one in SQLite.

``LAKEPART_LONG=1`` lets it die at every effect; else each dies once, at the commit
in the middle: the one that says what is current.
"""

from __future__ import annotations

import itertools
import os

import pytest

import lakepart as lp
from lakepart.testing import copied

LONG = os.environ.get("LAKEPART_LONG") == "1"


@pytest.fixture
def make(template, tmp_path, new_schema):
    numbers = itertools.count()
    pattern, scratch = copied(template, tmp_path / "pattern", catalog=new_schema()), new_schema()
    return lambda: copied(pattern, tmp_path / f"lake-{next(numbers)}", catalog=scratch)


def the_commit_in_the_middle(names):
    commits = [number for number, name in enumerate(names) if name == "commit to the catalog"]
    return [commits[(len(commits) - 1) // 2]]


def transact(lake, frame):
    with lake.transaction() as tx:
        tx.asset("numbers").append(frame((1, 100), (5, 5)))
        tx.asset("tens").write(frame((2, 200)), "2024-01-02")


ACTIONS = {
    "replace": lambda lake, frame: lake.asset("numbers").write(frame((1, 100), (1, 101)), "2024-01-01"),
    "append": lambda lake, frame: lake.asset("numbers").append(frame((1, 100), (6, 6))),
    "upsert": lambda lake, frame: lake.asset("numbers").upsert(frame((1, 1), (2, 20)), on=["value"]),
    "delete": lambda lake, frame: lake.asset("numbers").delete([("value", "<=", 2)]),
    "transaction": transact,
    "publish": lambda lake, frame: lake.branch("draft").publish(),
    "discard": lambda lake, frame: lake.branch("draft").discard(),
    "rollback": lambda lake, frame: lake.asset("numbers").rollback(to=1),
    "undo": lambda lake, frame: lake.rollback(commit=2),
    "columns": lambda lake, frame: lake.asset("numbers").alter(order=["value", "day"]),
    "definition": lambda lake, frame: lake.asset("numbers").alter(partitions=lp.Daily("2023-01-01", by="day")),
    "move": lambda lake, frame: lake.asset("numbers").demote("cold", progress=False),
}


WHEN = ("before", "after")
CASES = [
    (action, when)
    for index, action in enumerate(ACTIONS)
    for when in (WHEN if LONG else WHEN[index % 2 : index % 2 + 1])
]


@pytest.mark.parametrize(("action", "when"), CASES)
def test_a_crash_leaves_all_of_it_or_nothing(survives, frame, action, when):
    crashes = survives(lambda lake: ACTIONS[action](lake, frame), when, None if LONG else the_commit_in_the_middle)

    assert crashes >= 1
