"""How often S3 is asked: counted where the requests pass by, not where we believe to make them."""

from __future__ import annotations

from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing.proxies import proxy_before

DAYS = 30
_NUMBERS = count()
HOURS = pd.date_range("2013-01-01", periods=24 * DAYS, freq="h", tz="UTC")


@pytest.fixture
def proxy(s3):
    with proxy_before(s3.url) as found:
        yield found


@pytest.fixture
def lake(proxy, s3, s3_lakes, tmp_path):
    options = {**s3.storage_options, "endpoint_url": proxy.url}
    catalog = f"sqlite:///{tmp_path}/catalog.db"
    with lp.create(f"{s3_lakes}/requests-{next(_NUMBERS)}", catalog=catalog, storage_options=options) as lake:
        yield lake


@pytest.fixture
def flights(lake, proxy):
    asset = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour"))
    asset.write(pd.DataFrame({"time_hour": HOURS, "delay": range(24 * DAYS)}))
    proxy.take_traffic()
    return asset


def requests_of(proxy):
    return dict(proxy.take_traffic().requests)


def test_a_commit_is_one_put_a_file_and_one_for_the_manifest(flights, proxy):
    rows = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * DAYS)})

    flights.write(rows, if_exists="replace")
    assert requests_of(proxy) == {"PUT": DAYS + 1}

    flights.write(rows[:24], "2013-01-01")
    assert requests_of(proxy) == {"PUT": 2}

    flights.append(rows[:24])
    assert requests_of(proxy) == {"PUT": 2}


def test_a_read_of_small_files_is_one_get_each_without_a_listing_or_a_look(flights, proxy):
    assert len(flights["2013-01-03":"2013-01-12"].to_pandas()) == 240
    assert requests_of(proxy) == {"GET": 10}

    assert sum(batch.num_rows for batch in flights.to_batches()) == 24 * DAYS
    assert requests_of(proxy) == {"GET": DAYS}


def test_what_statistics_rule_out_is_not_asked_for(flights, proxy):
    found = flights.to_pandas(filter=[("delay", "<", 24)])

    assert len(found) == 24
    assert requests_of(proxy) == {"GET": 1}


def test_what_the_catalog_knows_is_not_asked_of_s3(lake, flights, proxy):
    assert flights.count_rows() == 24 * DAYS
    assert len(flights.status()) >= DAYS
    assert flights["2013-01-01"].plan_read().files == 1
    assert len(flights.history()) == DAYS
    assert requests_of(proxy) == {}


def test_opening_a_lake_asks_once_which_one_it_is(lake, proxy, s3, tmp_path):
    proxy.take_traffic()
    options = {**s3.storage_options, "endpoint_url": proxy.url}

    lp.connect(lake.url, catalog=f"sqlite:///{tmp_path}/catalog.db", storage_options=options).close()

    assert requests_of(proxy) == {"GET": 1}


def test_a_large_file_is_read_by_two_requests_and_one_for_each_further_8_mb(lake, proxy):
    random = np.random.default_rng(1)
    big = lake.asset("big", partitions=lp.Unpartitioned())
    commit = big.write(pa.table({name: random.random(1_000_000) for name in "abcd"}))
    proxy.take_traffic()

    assert big.to_arrow().num_rows == 1_000_000

    asked = requests_of(proxy)
    assert commit.bytes > 16 << 20
    assert set(asked) == {"GET"}
    assert asked["GET"] <= 2 + commit.bytes // (8 << 20)
