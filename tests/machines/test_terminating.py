"""SIGTERM: what is under way is finished or left in order, in time; others go on at once, and nothing is harmed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.testing.oracles import query_postgresql
from lakepart.testing.proxies import Hold, Request

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
DAYS = "..".join(KEYS[::2])
IMPATIENT = "from lakepart.cli import main, terminating; terminating.GRACE_S = 0.3; main()"
PROGRAM = """
import signal
import lakepart as lp
from producers import tens
signal.signal(signal.SIGTERM, signal.default_int_handler)
lake = lp.connect()
"""
LINES = {
    "demote": ("/cold/numbers/", 'lake.asset("numbers")["2024-01-02"].demote("cold", progress=False)'),
    "backfill": ("/hot/tens/", 'lake.register(tens)["2024-01-01":"2024-01-03"].backfill(name="b", progress=False)'),
}
HANGS = """
import os, sys, time
import lakepart as lp
def hang(part):
    print("begun", flush=True)
    time.sleep(60)
hanging = lp.producer("hanging", partitions=lp.Daily("2024-01-01"))(hang)
"""


@dataclass(frozen=True)
class Verb:
    """A command, the request at which it is asked to end, and how the library does the same afterwards."""

    arguments: tuple[str, ...]
    method: str
    at: str
    again: Callable[[lp.Lake], object]


VERBS = {
    "backfill": Verb(
        ("backfill", "run", "tens", DAYS, "--producer=producers:tens", "--name=b", "--apply"),
        "PUT",
        "/hot/tens/",
        lambda lake: lake.backfill("b").resume(lambda part, numbers: numbers.to_arrow(), progress=False),
    ),
    "demote": Verb(
        ("tier", "demote", "numbers", DAYS, "--to=cold", "--apply"),
        "PUT",
        "/cold/numbers/",
        lambda lake: lake.asset("numbers").demote("cold", progress=False),
    ),
    "compact": Verb(
        ("compact", "numbers", DAYS, "--apply"),
        "PUT",
        "/hot/numbers/",
        lambda lake: lake.asset("numbers").compact(progress=False),
    ),
    "vacuum": Verb(
        ("vacuum", "--retention=0h", "--grace=0h", "--force", "--apply"),
        "DELETE",
        "/hot/numbers/",
        lambda lake: lake.vacuum(retention="0h", grace="0h", force=True),
    ),
    "upsert": Verb(
        ("upsert", "numbers", "{more}", "--on=day", "--apply"),
        "PUT",
        "/hot/numbers/",
        lambda lake: lake.asset("numbers").upsert(more(7), on=["day"]),
    ),
}


def more(value: int) -> pa.Table:
    return pa.table({"day": pa.array([date(2024, 1, 2)], pa.date32()), "value": [value]})


def rows_of(lake: lp.Lake) -> list[tuple[int, int]]:
    rows = lake.asset("numbers").to_arrow().to_pylist()
    return sorted((row["day"].day, row["value"]) for row in rows)


def holding(proxy, method: str, at: str) -> Hold:
    def matches(request: Request) -> bool:
        return request.method == method and at in request.target and KEYS[1] in request.target

    return proxy.hold(matches)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_a_command_that_is_asked_to_end_leaves_everything_in_order(lake, start, proxy, tmp_path, verb) -> None:
    lake.asset("numbers").append(more(0))
    lake.asset("numbers").write(more(2), KEYS[1], if_exists="append")
    pq.write_table(more(7), tmp_path / "code" / "more.parquet")
    before = rows_of(lake)
    arguments = [argument.format(more=tmp_path / "code" / "more.parquet") for argument in verb.arguments]
    if "vacuum" in arguments:
        lake.asset("numbers").demote("cold", progress=False)
    hold = holding(proxy, verb.method, verb.at)

    process = start(*arguments)
    hold.wait()
    process.send_signal(signal.SIGTERM)
    hold.let_go()
    code, errors = ended(process)

    assert (code, errors.strip().splitlines()[-1]) == (143, "error: Terminated."), errors
    assert rows_of(lake) == before
    assert {finding.severity for finding in lake.check(checksums=True)} <= {"leftover"}
    left = "SELECT kind FROM intent UNION ALL SELECT state FROM move WHERE closed_at_us IS NULL"
    left += " UNION ALL SELECT driver FROM backfill WHERE driver IS NOT NULL"
    left += " UNION ALL SELECT state FROM backfill_target WHERE state = 'running'"
    assert query_postgresql(lake._home.context.catalog, left) == []
    verb.again(lake)
    assert {finding.severity for finding in lake.check(checksums=True)} <= {"leftover"}


@pytest.mark.parametrize("verb", LINES)
def test_a_program_may_take_it_as_an_interrupt_too(lake, start, proxy, verb) -> None:
    at, line = LINES[verb]
    hold = holding(proxy, "PUT", at)
    process = start(program=PROGRAM + line)
    hold.wait()

    process.send_signal(signal.SIGTERM)
    hold.let_go()
    code, errors = ended(process)

    assert (code, "KeyboardInterrupt" in errors) == (-signal.SIGINT, True), errors
    assert lake.asset("numbers").demote("cold", progress=False).partitions == 3


@pytest.mark.parametrize("signals", [1, 2], ids=["the grace is over", "asked twice"])
def test_a_command_that_cannot_leave_in_order_ends_all_the_same(lake, start, proxy, signals) -> None:
    hold = holding(proxy, "PUT", "/cold/numbers/")
    process = start(*VERBS["demote"].arguments, program=IMPATIENT if signals == 1 else IMPATIENT.replace("0.3", "600"))
    hold.wait()

    process.send_signal(signal.SIGTERM)
    while signals == 2 and process.poll() is None:
        process.send_signal(signal.SIGTERM)
    code, errors = ended(process)

    assert (code, "Terminated in the middle of its work" in errors) == (143, True), errors
    assert rows_of(lake) == [(1, 1), (2, 2), (3, 3)]


def test_an_order_that_hangs_keeps_nobody_waiting_and_is_computed_by_whoever_resumes(tmp_path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    lake = lp.create(tmp_path / "lake")
    command = ["backfill", "run", lake.url, "hanging", KEYS[0], "--producer=hangs:hanging", "--name=b", "--apply"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from lakepart.cli import main; main()", *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while "begun" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()

    process.send_signal(signal.SIGTERM)

    assert ended(process)[0] == 143
    lake.backfill("b").resume(lambda part: pa.table({"value": [1]}), progress=False)
    assert lake.asset("hanging").count_rows() == 1
    assert lake.check() == []
