"""Clocks that are set, or differ, and audits that take long while a backfill runs: who lives is not taken for dead."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

import lakepart as lp
from lakepart.testing import FrozenClock, clock_of, copied, query_catalog, reopened
from lakepart.testing.oracles import query_postgresql

HOUR = timedelta(hours=1)
FIRST, SECOND = "2024-01-02", "2024-01-03"
APART = pytest.mark.parametrize("apart", [HOUR, -HOUR], ids=["ahead", "back"])
EPOCH = "SELECT epoch, state FROM backfill WHERE name = 'tens'"


def ten_times(part: Any, numbers: Any) -> Any:
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[10 * value for value in table["value"].to_pylist()]])


def backfill(lake: lp.Lake, function: Any, **options: Any) -> lp.Backfill:
    lake.register(lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"})(len))
    return lake.asset("tens")[FIRST:SECOND].backfill(
        function, inputs={"numbers": "numbers"}, name="tens", publish="each", progress=False, **options
    )


def beats(lake: lp.Lake) -> int:
    return query_catalog(lake.url, "SELECT heartbeat_us FROM backfill WHERE name = 'tens'")[0][0]


def wait_for_a_beat(lake: lp.Lake) -> bool:
    before, until = beats(lake), time.monotonic() + 10
    while time.monotonic() < until:
        if beats(lake) != before:
            return True
        time.sleep(0.05)
    return False


def test_a_driver_says_that_it_is_alive_while_an_audit_takes_its_time(lake) -> None:
    beaten = []

    def slow(selection: lp.Selection) -> None:
        beaten.append(wait_for_a_beat(lake))

    assert backfill(lake, ten_times, audit=[slow]).state == "completed"
    assert beaten == [True, True]


def test_a_driver_that_audits_stops_when_it_is_asked_to_and_is_not_taken_for_dead(lake) -> None:
    other = reopened(lake)

    def slow(selection: lp.Selection) -> None:
        clock_of(lake).advance(HOUR)
        other.backfill("tens").cancel()

    assert backfill(lake, ten_times, audit=[slow]).state == "cancelled"
    assert query_catalog(lake.url, EPOCH) == [(1, "cancelled")]


@APART
def test_a_driver_whose_clock_is_set_is_not_taken_for_dead(lake, rows_of, apart) -> None:
    other = reopened(lake)

    def cancelling(part: Any, numbers: Any) -> Any:
        if part.key == FIRST:
            clock_of(lake).advance(apart)
            other.backfill("tens").cancel()
        return ten_times(part, numbers)

    handle = backfill(lake, cancelling)

    assert query_catalog(lake.url, EPOCH) == [(1, handle.state)]
    if handle.state == "cancelled":
        handle.resume(ten_times, progress=False)
    assert rows_of(lake)["tens"] == [(1, 10), (2, 20), (3, 300)]


@APART
def test_a_driver_whose_clock_differs_from_ours_is_not_taken_for_dead(template, tmp_path, new_schema, apart) -> None:
    catalog = new_schema()
    lake = copied(template, tmp_path / "lake", catalog=catalog)
    other = reopened(lake, clock=FrozenClock(clock_of(lake)() + apart))

    def cancelling(part: Any, numbers: Any) -> Any:
        if part.key == FIRST:
            other.backfill("tens").cancel()
        return ten_times(part, numbers)

    handle = backfill(lake, cancelling)

    assert query_postgresql(catalog, EPOCH) == [(1, handle.state)]


@APART
def test_a_dead_driver_whose_clock_differed_is_cancelled_in_its_place(lake, apart) -> None:
    def dying(part: Any, numbers: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backfill(lake, dying)
    other = reopened(lake, clock=FrozenClock(clock_of(lake)() + apart))

    assert other.backfill("tens").cancel().state == "cancelled"
    assert query_catalog(lake.url, EPOCH) == [(2, "cancelled")]
