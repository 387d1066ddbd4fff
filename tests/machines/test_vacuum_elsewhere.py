"""Vacuum on one machine, a writer on another: what a living one has made stays, and what a dead one has, goes."""

from __future__ import annotations

import signal
import time
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import FrozenClock, reopened
from lakepart.testing.oracles import query_postgresql

LATER = timedelta(hours=2)
WRITER = """
import sys
from datetime import UTC, date, datetime, timedelta
import pyarrow as pa
import lakepart as lp
from lakepart.engine import commit
from lakepart.testing import FrozenClock, reopened

commit._RENEWED_EVERY_S = 0.0
clock = FrozenClock(datetime.now(UTC))
lake = reopened(lp.connect(), clock=clock)

def partitions():
    for day in range(1, 9):
        if day == 6:  # some of those before are on their way already
            print("waiting", flush=True)
            sys.stdin.readline()
            clock.advance(timedelta(hours=2))
        if day == 8:
            print("waiting", flush=True)
            sys.stdin.readline()
        yield f"2024-02-{day:02d}", pa.table({"day": [date(2024, 2, day)], "value": [day]})

lake.asset("numbers").write(partitions())
"""


@pytest.fixture
def later(lake, s3, monkeypatch) -> lp.Lake:
    """The lake on a machine on which it is two hours later."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    return reopened(lake, clock=FrozenClock(datetime.now(UTC) + LATER))


def objects_of(s3, lake, intent: str) -> set[str]:
    bucket, _, prefix = lake.url.removeprefix("s3://").partition("/")
    client = s3.client()
    found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/hot/").get("Contents", [])
    begun = client.list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}/hot/").get("Uploads", [])
    return {one["Key"] for one in [*found, *begun] if intent in one["Key"]}


def begin_upload(s3, lake, intent: str) -> None:
    bucket, _, prefix = lake.url.removeprefix("s3://").partition("/")
    key = f"{prefix}/hot/numbers/partition=2024-02-09/{intent}-9.parquet"
    s3.client().create_multipart_upload(Bucket=bucket, Key=key)


def test_what_a_writer_has_made_stays_while_it_lives_and_goes_once_it_is_dead(lake, later, start, s3) -> None:
    writer = start(program=WRITER)
    assert writer.stdout.readline() == "waiting\n"
    ((intent,),) = query_postgresql(lake._home.context.catalog, "SELECT intent_id FROM intent")
    begin_upload(s3, lake, intent)  # as its larger files are
    until = time.monotonic() + 30
    while len(objects_of(s3, lake, intent)) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    writer.stdin.write("go on\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "waiting\n"
    made = objects_of(s3, lake, intent)

    spared = later.vacuum(grace="1h")
    kept = objects_of(s3, lake, intent)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    left = objects_of(s3, lake, intent)
    later._home.context.clock.advance(LATER)
    swept = later.vacuum(grace="1h")

    assert spared.files == 0
    assert left >= kept >= made  # its threads went on sending
    assert swept.files >= len(left) > 0
    assert objects_of(s3, lake, intent) == set()
    assert lake.asset("numbers").keys == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert lake.check(checksums=True) == []


def test_a_writer_whose_clock_is_behind_is_alive_to_vacuum(lake, later, monkeypatch) -> None:
    behind = reopened(lake, clock=FrozenClock(datetime.now(UTC)))
    backend = behind._home.context.database.backend
    monkeypatch.setattr(backend, "skew_us", lambda _: LATER // timedelta(microseconds=1))
    reports, found = [], []

    def partitions():
        for day in (1, 2, 3):
            if day == 2:
                reports.append(later.vacuum(grace="1h"))
                found.extend(one.kind for one in later.check())
            yield f"2024-02-{day:02d}", pa.table({"day": [date(2024, 2, day)], "value": [day]})

    behind.asset("numbers").write(partitions())

    assert ([report.files for report in reports], found) == ([0], [])
    assert lake.asset("numbers").count_rows() == 6
