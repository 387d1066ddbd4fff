"""A store that fails in the middle of a verb: all of it is there or nothing, and what is left over is swept.

From one request on, the store answers nothing but errors; or the answer to one request is lost, and nobody asks again.
``LAKEPART_LONG=1`` lets every request of every verb fail in both ways; else some of each in one.
"""

from __future__ import annotations

import os
from itertools import count

import pytest

import lakepart as lp
from lakepart.testing.proxies import Fault, Request

# a commit whose manifest could not be stored says so, and the next one stores it
pytestmark = pytest.mark.filterwarnings("ignore:Snapshot . is committed, but its manifest:RuntimeWarning")
LONG = os.environ.get("LAKEPART_LONG") == "1"
_FOREVER = 10_000


@pytest.fixture
def make(make_on_s3):
    return make_on_s3


@pytest.fixture
def connect(proxy, s3):
    """Open a lake again so that its requests pass the proxy, and each is sent once."""
    impatient = {"retries": {"mode": "standard", "total_max_attempts": 1}, "read_timeout": 10}
    options = {**s3.storage_options, "endpoint_url": proxy.url, "config_kwargs": impatient}

    def open_again(lake: lp.Lake) -> lp.Lake:
        return lp.connect(lake.url, catalog=lake._home.context.catalog, storage_options=options)

    return open_again


def backfill(lake, frame, tens):
    for name in lake.backfills().query("state != 'completed'")["name"]:
        lake.backfill(name).resume(tens.function, progress=False)
    lake.register(tens)["2024-01-02":"2024-01-03"].backfill(publish="together", retries=0, progress=False)


def transact(lake, frame, tens):
    with lake.transaction() as tx:
        tx.asset("numbers").append(frame((1, 100), (5, 5)))
        tx.asset("tens").write(frame((2, 200)), "2024-01-02")


VERBS = {
    "write": lambda lake, frame, tens: lake.asset("numbers").write(frame((5, 5), (6, 6)), if_exists="replace"),
    "replace": lambda lake, frame, tens: lake.asset("numbers")["2024-01-01":"2024-01-02"].write(frame((1, 100))),
    "upsert": lambda lake, frame, tens: lake.asset("numbers").upsert(frame((1, 1), (2, 20)), on=["value"]),
    "transaction": transact,
    "backfill": backfill,
    "publish": lambda lake, frame, tens: lake.branch("draft").publish(),
    "demote": lambda lake, frame, tens: lake.asset("numbers").demote("cold", progress=False),
}
FAULTS = {"errors": (Fault.INTERNAL_ERROR, _FOREVER), "a lost answer": (Fault.LOST_ANSWER, 1)}
CASES = [(verb, way) for number, verb in enumerate(VERBS) for way in (FAULTS if LONG else [list(FAULTS)[number % 2]])]


def from_number(first: int):
    """Match the request with this number, counted from now, and those that follow."""
    numbers = count()

    def matches(request: Request) -> bool:
        return next(numbers) >= first

    return matches


@pytest.mark.parametrize(("verb", "faults"), CASES)
def test_a_store_that_fails_leaves_all_of_it_or_nothing(
    make, connect, proxy, frame, producer, rows_of, assert_undamaged, assert_cleaned_up, verb, faults
):
    act, (fault, times) = VERBS[verb], FAULTS[faults]
    before, done = rows_of(make()), make()
    with connect(done) as lake:
        proxy.take_traffic()
        act(lake, frame, producer)
    requests = proxy.take_traffic().requests.total()
    after = rows_of(done)

    for number in range(requests) if LONG else sorted({requests // 2, requests - 1}):
        at, lake = f"{faults} from request {number} on", make()
        with connect(lake) as failing:
            proxy.fail(fault, from_number(number), times=times)
            try:
                act(failing, frame, producer)
            except (lp.StorageError, lp.BackfillError):
                possible = (before, after)
            else:
                possible = (after,)
            proxy.heal()

        assert rows_of(lake) in possible, at
        assert_undamaged(lake, at)
        if rows_of(lake) == before:
            act(lake, frame, producer)
        assert rows_of(lake) == after, at
        assert_cleaned_up(lake, at)
        lake.close()
