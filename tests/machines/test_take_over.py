"""A machine that vanished, or that slept, while it worked: another one goes on, and the first is refused."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine import heartbeat
from lakepart.testing.oracles import query_postgresql
from lakepart.testing.proxies import Request

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
VANISHED_OR_ASLEEP = pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["vanished", "asleep"])


def hundreds(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "value", [[100 * value for value in table["value"].to_pylist()]])


def values_of(asset: lp.Asset) -> list[int]:
    return asset.to_arrow()["value"].to_pylist()


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
