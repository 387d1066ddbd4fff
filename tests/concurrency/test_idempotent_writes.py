"""The same idempotency key again gives the first commit back: after an answer, after a crash, and at the same time."""

import itertools
from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import (
    copied,
    crash_everywhere,
    frozen_lake,
    meet_everywhere,
    query_catalog,
    reopened,
    stray_files,
)

FIRST = "2024-01-01"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 1)))
    lake.asset("others", partitions=lp.Daily("2024-01-01", by="day"))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


@pytest.fixture
def lake(make):
    return make()


def values(lake, asset="numbers"):
    return lake.asset(asset).to_arrow()["value"].to_pylist()


WRITES = {
    "append": lambda lake, key: lake.asset("numbers").append(frame((1, 5)), idempotency_key=key),
    "append to one": lambda lake, key: lake.asset("numbers").append(frame((1, 5)), FIRST, idempotency_key=key),
    "append pairs": lambda lake, key: lake.asset("numbers").append({FIRST: frame((1, 5))}, idempotency_key=key),
    "new": lambda lake, key: lake.asset("numbers").write(frame((2, 5)), idempotency_key=key),
    "replace": lambda lake, key: lake.asset("numbers").write(frame((1, 5)), FIRST, idempotency_key=key),
    "selection": lambda lake, key: lake.asset("numbers")[FIRST].write(frame((1, 5)), idempotency_key=key),
    "expected": lambda lake, key: lake.asset("numbers").write(frame((1, 5)), FIRST, expected=1, idempotency_key=key),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_is_tried_again_gives_the_first_commit_and_writes_nothing(lake, write):
    first = write(lake, "run 1")
    expected = values(lake)
    others = reopened(lake).asset("numbers").append(frame((3, 3)))

    assert write(lake, "run 1") == write(reopened(lake), "run 1") == first

    assert values(lake) == [*expected, 3]
    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(others.snapshot,)]
    assert stray_files(lake.url) == set()
    assert [str(found) for found in lake.check()] == []


def test_another_payload_under_the_same_key_is_not_looked_at(lake):
    first = lake.asset("numbers").append(frame((1, 5)), idempotency_key="run 1")

    again = lake.asset("numbers").write(pa.table({"other": [1]}), idempotency_key="run 1")

    assert again == first
    assert values(lake) == [1, 5]


def test_a_key_is_of_one_asset_and_one_branch(lake):
    branch = lake.create_branch("draft")
    for view in (lake, branch):
        view.asset("numbers").append(frame((1, 5)), idempotency_key="run 1")
        view.asset("others").append(frame((1, 6)), idempotency_key="run 1")

    assert (values(lake), values(branch)) == ([1, 5], [1, 5])
    assert (values(lake, "others"), values(branch, "others")) == ([6], [6])


@pytest.mark.parametrize(
    "write", [WRITES["append"], WRITES["new"], WRITES["expected"]], ids=["append", "new", "expected"]
)
def test_of_two_tries_at_the_same_time_one_commits_and_both_get_its_commit(make, write):
    answers = []

    def start():
        answers.clear()
        return make()

    def attempt(lake):
        answers.append(write(lake, "run 1"))

    for met in meet_everywhere(start, attempt, attempt):
        assert query_catalog(met.lake.url, "SELECT snapshot FROM head") == [(2,)], met.at
        assert len(answers) == 2, met.at
        assert answers[0] == answers[1], met.at
        assert values(met.lake).count(5) == 1, met.at
        assert stray_files(met.lake.url) == set(), met.at
        assert [str(found) for found in met.lake.check()] == [], met.at


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_try_that_died_is_repeated_without_writing_twice(make, when):
    for crashed in crash_everywhere(make, lambda lake: WRITES["append"](lake, "run 1"), when=when):
        committed = query_catalog(crashed.lake.url, "SELECT snapshot FROM head") == [(2,)]

        again = WRITES["append"](crashed.lake, "run 1")

        assert again.snapshot == 2, crashed.at
        assert values(crashed.lake) == [1, 5], crashed.at
        assert committed or query_catalog(crashed.lake.url, "SELECT count(*) FROM snapshot") == [(3,)], crashed.at
        assert [str(found) for found in crashed.lake.check() if found.severity != "leftover"] == [], crashed.at


@pytest.mark.parametrize("key", ["", "x" * 201, "a\0b", 7])
def test_a_key_is_a_short_text(lake, key):
    with pytest.raises(lp.InvalidInputError, match="idempotency_key"):
        lake.asset("numbers").append(frame((1, 5)), idempotency_key=key)


def test_a_write_inside_a_transaction_has_no_key(lake):
    with lake.transaction() as tx, pytest.raises(lp.InvalidInputError, match="transaction"):
        tx.asset("numbers").append(frame((1, 5)), idempotency_key="run 1")
