"""A machine that vanished, or that slept, while it worked: another one goes on, and the first is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine import heartbeat
from lakepart.testing.machines import start_elsewhere
from lakepart.testing.oracles import query_postgresql
from lakepart.testing.proxies import Proxy, Request, proxy_before

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
VANISHED_OR_ASLEEP = pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["vanished", "asleep"])
COMMAND = "from lakepart.cli import main; main()"
PRODUCERS = """
import lakepart as lp

def tens(part, numbers):
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[10 * value for value in table["value"].to_pylist()]])

tens = lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"})(tens)
"""

Start = Callable[..., subprocess.Popen[str]]


def hundreds(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[100 * value for value in table["value"].to_pylist()]])


def values_of(asset: lp.Asset) -> list[int]:
    return asset.to_arrow()["value"].to_pylist()


@pytest.fixture
def proxy(s3) -> Iterator[Proxy]:
    with proxy_before(s3.url) as found:
        yield found


@pytest.fixture
def lake(s3, s3_lakes, new_schema, tmp_path) -> Iterator[lp.Lake]:
    url = f"{s3_lakes}/{tmp_path.name}"
    with lp.create(url, catalog=new_schema(), storage_options=s3.storage_options) as lake:
        days = pa.array([date(2024, 1, day) for day in (1, 2, 3)], pa.date32())
        numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
        numbers.write(pa.table({"day": days, "value": [1, 2, 3]}))
        yield lake


@pytest.fixture
def start(lake, s3, proxy, tmp_path) -> Iterator[Start]:
    """Start a command on another machine, whose requests to S3 go through the proxy."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "producers.py").write_text(PRODUCERS)
    (tmp_path / "temporary").mkdir()
    environment = {
        "LAKEPART_URL": lake.url,
        "LAKEPART_CATALOG": lake._home.context.catalog,
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_ACCESS_KEY_ID": s3.key,
        "AWS_SECRET_ACCESS_KEY": s3.secret,
        "PYTHONPATH": f"{Path(lp.__file__).parents[1]}:{tmp_path / 'code'}",
    }
    started = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", COMMAND, *arguments]
        folder = str(tmp_path / "temporary")
        started.append(start_elsewhere(command, host="pod-1", folder=folder, environment=environment))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def wake_up(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def is_second_day(folder: str) -> Callable[[Request], bool]:
    """Tell the requests that write the partition of the second day there."""
    return lambda request: request.method != "GET" and f"/{folder}/" in request.target and KEYS[1] in request.target


@VANISHED_OR_ASLEEP
def test_a_backfill_is_taken_over_from_a_machine_that_says_nothing_any_more(
    lake, start, proxy, how, monkeypatch
) -> None:
    hold = proxy.hold(is_second_day("hot/tens"))
    pod = start("backfill", "run", "tens", "..".join(KEYS[::2]), "--producer=producers:tens", "--name=b", "--apply")
    hold.wait()
    backfill = lake.backfill("b")

    with pytest.raises(lp.StateError, match="is being worked on by pod-1/"):
        backfill.resume(hundreds, progress=False)
    pod.send_signal(how)
    monkeypatch.setattr(heartbeat, "SILENT_AFTER_S", 0.5)
    backfill.resume(hundreds, progress=False)
    hold.let_go()
    if how is signal.SIGSTOP:
        code, errors = wake_up(pod)
        assert (code, f"'b' was taken over by {socket.gethostname()}/" in errors) == (4, True), errors

    assert values_of(lake.asset("tens")) == [10, 200, 300]
    assert backfill.state == "completed"
    assert {finding.severity for finding in lake.check(checksums=True)} <= {"leftover"}


@VANISHED_OR_ASLEEP
def test_moves_are_taken_over_once_their_lease_has_run_out(lake, start, proxy, how) -> None:
    hold = proxy.hold(is_second_day("cold/numbers"))
    pod = start("tier", "demote", "numbers", "..".join(KEYS[::2]), "--to=cold", "--apply")
    hold.wait()
    numbers = lake.asset("numbers")

    pod.send_signal(how)
    waiting = numbers.demote("cold", progress=False)
    query_postgresql(lake._home.context.catalog, "UPDATE move SET lease_until_us = 0")  # ten minutes go by
    finishing = numbers.demote("cold", progress=False)
    hold.let_go()
    if how is signal.SIGSTOP:
        code, errors = wake_up(pod)
        assert (code, f"was taken over by {socket.gethostname()}/" in errors) == (4, True), errors

    assert [key for key, why in waiting.skipped if "by pod-1/" in why] == KEYS
    assert (finishing.finished, numbers.in_tier("cold").keys) == (3, KEYS)
    assert values_of(numbers) == [1, 2, 3]
    assert {finding.severity for finding in lake.check(checksums=True)} <= {"leftover"}
