"""Tiers on different stores: a disk, buckets of one server, another server; within limits, and told in bytes."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

import lakepart as lp
from lakepart.cli.app import run
from lakepart.engine.move import apply_moves

DAYS = 6
HOURS = pd.date_range("2013-01-01", periods=24 * DAYS, freq="h", tz="UTC")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * DAYS)})
_NUMBERS = count()


def reach(monkeypatch, server, url):
    """Let stores find a server as they find AWS: by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture
def give_lake(tmp_path, monkeypatch, s3, s3_lakes, proxy):
    """Give a lake whose tiers lie where it is said; its requests pass by the proxy."""
    reach(monkeypatch, s3, proxy.url)

    def give(hot, cold, **options):
        place = next(_NUMBERS)
        places = {
            "disk": lambda name: str(tmp_path / f"{name}-{place}"),
            "s3": lambda name: f"{s3_lakes}/{name}-{place}",
        }
        tiers = [lp.Tier("hot", places[hot]("hot")), lp.Tier("cold", places[cold]("cold"), **options)]
        return lp.create(tmp_path / f"lake-{place}", tiers=tiers)

    return give


def flights_of(lake):
    asset = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour"))
    asset.write(ROWS)
    return asset


def requests_of(proxy):
    return dict(proxy.take_traffic().requests)


@pytest.mark.parametrize(
    ("hot", "cold", "demotion", "promotion"),
    [
        ("disk", "s3", {"PUT": DAYS, "HEAD": DAYS}, {"GET": DAYS}),
        ("s3", "disk", {"GET": DAYS}, {"PUT": DAYS, "HEAD": DAYS}),
        ("s3", "s3", {"PUT": DAYS, "HEAD": 2 * DAYS}, {"PUT": DAYS, "HEAD": 2 * DAYS}),
    ],
)
def test_partitions_go_to_another_store_and_back_with_few_requests(give_lake, proxy, hot, cold, demotion, promotion):
    lake = give_lake(hot, cold)
    flights = flights_of(lake)
    before = flights.to_arrow()
    proxy.take_traffic()

    assert flights[:].demote("cold", progress=False).partitions == DAYS
    assert requests_of(proxy) == demotion
    assert flights.in_tier("cold").keys == flights.keys
    assert flights.to_arrow().equals(before)
    assert lake.check(checksums=True) == []

    assert lake.vacuum(grace=timedelta(0), force=True, progress=False).files == DAYS  # or they would stand there still
    proxy.take_traffic()
    flights[:].promote(progress=False)
    assert requests_of(proxy) == promotion
    assert flights.to_arrow().equals(before)
    assert lake.check(checksums=True) == []


def test_what_one_server_copies_does_not_come_by(give_lake, proxy):
    lake = give_lake("s3", "s3", storage_class="STANDARD_IA")
    big = lake.asset("big", partitions=lp.Unpartitioned())
    commit = big.write(pa.table({"x": np.random.default_rng(1).random(500_000)}))
    proxy.take_traffic()

    big[:].demote("cold", progress=False)

    traffic = proxy.take_traffic()
    assert traffic.bytes_up + traffic.bytes_down < 10_000 < commit.bytes
    assert big.in_tier("cold").keys == ["all"]


def test_files_are_archived_proven_though_they_cannot_be_read_back(tmp_path, monkeypatch, moto, moto_lakes):
    reach(monkeypatch, moto, moto.url)
    where = f"{moto_lakes}/archive-{next(_NUMBERS)}"
    tiers = [
        lp.Tier("hot", "hot"),
        lp.Tier("cool", f"{where}/cool", storage_class="STANDARD_IA"),
        lp.Tier("archive", f"{where}/archive", storage_class="DEEP_ARCHIVE"),
    ]
    flights = flights_of(lp.create(tmp_path / "lake", tiers=tiers))

    flights["2013-01-01"].demote("archive", progress=False)  # sent
    flights["2013-01-02"].demote("cool", progress=False)
    flights["2013-01-02"].demote("archive", progress=False)  # copied by the server

    assert flights.in_tier("archive").keys == ["2013-01-01", "2013-01-02"]
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    found = moto.client().list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/archive/")["Contents"]
    assert [one["StorageClass"] for one in found] == ["DEEP_ARCHIVE"] * 2
    for one in found:
        with pytest.raises(ClientError, match="InvalidObjectState"):
            moto.client().get_object(Bucket=bucket, Key=one["Key"])


def test_a_move_takes_the_time_that_its_bandwidth_gives_it(give_lake):
    lake = give_lake("disk", "s3")
    flights = flights_of(lake)
    size_bytes = flights[:].plan_demote("cold").size_bytes
    began = time.monotonic()

    flights[:].demote("cold", max_bandwidth=4 * size_bytes, progress=False)

    assert time.monotonic() - began >= 0.25 * (DAYS - 1) / DAYS  # the first chunk does not wait


def test_a_move_takes_the_time_that_its_requests_give_it(give_lake, proxy):
    lake = give_lake("s3", "s3")
    flights = flights_of(lake)
    proxy.take_traffic()
    began = time.monotonic()

    lake.apply(flights[:].plan_demote("cold"), max_requests=50, progress=False)

    asked = sum(requests_of(proxy).values())
    assert asked == 3 * DAYS
    assert time.monotonic() - began >= (asked - 1) / 50


def test_no_more_workers_than_are_wanted_copy_side_by_side(give_lake, proxy):
    lake = give_lake("s3", "s3")
    flights = flights_of(lake)
    proxy.take_traffic()
    proxy.delay_s = 0.01
    began = time.monotonic()

    flights[:].demote("cold", workers=1, progress=False)

    assert time.monotonic() - began >= 0.01 * 3 * DAYS


def test_progress_is_told_in_bytes_while_a_large_file_is_under_way(give_lake):
    lake = give_lake("disk", "s3")
    big = lake.asset("big", partitions=lp.Unpartitioned())
    big.write(pa.table({"x": np.random.default_rng(1).random(500_000)}))
    plan = big[:].plan_demote("cold")
    told = []

    apply_moves(lake._home.context, plan, on_progress=lambda *done: told.append(done))

    assert len([one for one in told if one[0]]) >= 4  # of a file of 4 MB
    assert (sum(done for done, _ in told), sum(files for _, files in told)) == (plan.size_bytes, 1)


def test_progress_names_bytes_and_files(give_lake, capfd):
    lake = give_lake("s3", "s3")
    flights = flights_of(lake)

    flights[:].demote("cold")

    assert re.match(r"move 6 partitions: (\S+ kB) of \1 copied, 6 of 6 files in ", capfd.readouterr().err)


def test_limits_that_are_none_are_refused_and_nothing_moves(give_lake):
    lake = give_lake("disk", "disk")
    flights = flights_of(lake)

    with pytest.raises(lp.InvalidInputError, match="max_bandwidth='quick'"):
        flights[:].demote("cold", max_bandwidth="quick", progress=False)
    with pytest.raises(lp.InvalidInputError, match="max_requests=0"):
        lake.apply(flights[:].plan_demote("cold"), max_requests=0, progress=False)
    with pytest.raises(lp.InvalidInputError, match="limits of moves"):
        lake.apply(lake.plan_vacuum(), max_requests=1, progress=False)
    assert flights.in_tier("cold").keys == []


def test_the_command_takes_limits(give_lake, capsys):
    lake = give_lake("disk", "s3")
    flights_of(lake)
    limits = ["--workers", "2", "--max-bandwidth", "50MB", "--max-requests", "500"]

    code = run(["tier", "demote", lake.url, "flights", "--to", "cold", *limits, "--apply", "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["result"]["files"] == DAYS
    assert run(["tier", "demote", lake.url, "flights", "--max-bandwidth", "x", "--apply"]) == 2
