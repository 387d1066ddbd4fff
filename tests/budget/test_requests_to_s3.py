"""How often S3 is asked: counted where the requests pass by, not where we believe to make them."""

from __future__ import annotations

from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.parquet import writing
from lakepart.storage.s3 import S3Store
from lakepart.testing.proxies import proxy_before

DAYS = 30
MB = 1 << 20
_NUMBERS = count()
HOURS = pd.date_range("2013-01-01", periods=24 * DAYS, freq="h", tz="UTC")


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

    assert len(flights.head(30)) == 30
    assert requests_of(proxy) == {"GET": 2}


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


# Rows that change, are merged, computed, or of another time


def test_a_deletion_looks_into_a_file_to_plan_to_be_sure_and_to_write_it_again(flights, proxy):
    done = flights.delete([("delay", "==", 30)])

    assert (done.files_rewritten, done.files_skipped) == (1, DAYS - 1)
    assert requests_of(proxy) == {"GET": 3, "PUT": 2}


def test_an_upsert_looks_into_a_file_for_its_keys_and_to_write_it_again(flights, proxy):
    done = flights.upsert(pd.DataFrame({"time_hour": HOURS[20:30], "delay": range(10)}), on=["time_hour"])

    assert done.files_rewritten == 2
    assert requests_of(proxy) == {"GET": 4, "PUT": 2 + 2 + 1}  # for each day the new rows, and what stays of the old


def test_a_compaction_proves_and_reads_each_file_and_reads_back_what_it_wrote(flights, proxy):
    for _ in range(3):
        flights.append(pd.DataFrame({"time_hour": HOURS[:24], "delay": range(24)}))
    proxy.take_traffic()

    assert flights["2013-01-01"].compact(progress=False).files_before == 4

    assert requests_of(proxy) == {"GET": 4 + 4 + 1, "PUT": 2}


def test_what_a_producer_reads_is_one_get_a_file(lake, flights, proxy):
    @lp.producer("totals", partitions=lp.Weekly("2012-12-31"), inputs={"flights": "flights"}, code_version="1")
    def totals(part, flights):
        return pd.DataFrame({"total": [int(flights.to_pandas()["delay"].sum())]})

    made = lake.register(totals)
    proxy.take_traffic()

    made["2013-01-06":"2013-01-13"].backfill(progress=False)

    asked = requests_of(proxy)
    assert asked["GET"] == 14
    assert set(asked) == {"GET", "PUT"}
    assert asked["PUT"] <= 2 * 2  # two files, and at most as many manifests


def test_the_past_and_branches_cost_what_the_present_does(lake, flights, proxy):
    before = lake.snapshots(1)["snapshot"].item()
    flights.write(pd.DataFrame({"time_hour": HOURS[:24], "delay": range(24)}), "2013-01-01")
    branch = lake.create_branch("draft")
    branch.asset("flights").write(pd.DataFrame({"time_hour": HOURS[24:48], "delay": range(24)}), "2013-01-02")
    proxy.take_traffic()

    for view in (lake.at(before), branch):
        assert len(view.asset("flights").to_pandas()) == 24 * DAYS
        assert requests_of(proxy) == {"GET": DAYS}


# A large file


@pytest.fixture(scope="module")
def large(s3, s3_lakes, tmp_path_factory):
    """A file of 42 MB that nothing makes smaller: three row groups, with a column in which they differ."""
    rows = 1_500_000
    random = np.random.default_rng(1)
    columns = {name: random.random(rows) for name in "abc"}
    columns["n"] = np.arange(rows) + random.random(rows)
    with pytest.MonkeyPatch.context() as patch, proxy_before(s3.url) as proxy:
        patch.setattr(writing, "ROW_GROUP_BYTES", 16 << 20)
        options = {**s3.storage_options, "endpoint_url": proxy.url}
        catalog = f"sqlite:///{tmp_path_factory.mktemp('large')}/catalog.db"
        with lp.create(f"{s3_lakes}/requests-large", catalog=catalog, storage_options=options) as lake:
            asset = lake.asset("large", partitions=lp.Unpartitioned())
            assert 40 * MB < asset.write(pa.table(columns)).bytes < 48 * MB
            yield asset, proxy


def test_a_large_file_is_read_by_two_requests_and_one_for_each_further_8_mb(large):
    asset, proxy = large
    reads = [asset.to_arrow, lambda: [batch.num_rows for batch in asset.to_batches()]]
    for read in reads:
        proxy.take_traffic()

        read()

        traffic = proxy.take_traffic()
        assert set(traffic.requests) == {"GET"}
        assert traffic.requests["GET"] <= 2 + 42 // 8
        assert traffic.bytes_down < 43 * MB


def test_of_one_column_nothing_else_is_asked_for(large):
    asset, proxy = large
    for read in (asset.to_arrow, lambda **options: list(asset.to_batches(**options))):
        proxy.take_traffic()

        read(columns=["b"])

        traffic = proxy.take_traffic()
        assert traffic.requests == {"GET": 1 + 3}  # the footer, and a stretch of each row group
        assert traffic.bytes_down < 13 * MB


def test_row_groups_that_statistics_rule_out_are_not_asked_for(large):
    asset, proxy = large
    for read in (asset.to_arrow, lambda **options: list(asset.to_batches(**options))):
        proxy.take_traffic()

        read(columns=["a"], filter=[("n", ">=", 1_400_000)])

        traffic = proxy.take_traffic()
        assert traffic.requests["GET"] <= 3
        assert traffic.bytes_down < 8.5 * MB


def test_the_first_rows_cost_the_first_row_group(large):
    asset, proxy = large
    proxy.take_traffic()

    assert len(asset.head(5)) == 5

    traffic = proxy.take_traffic()
    assert traffic.requests["GET"] <= 1 + 3
    assert traffic.bytes_down < 17 * MB


def test_a_file_that_is_read_as_a_whole_is_one_get_up_to_8_mb(lake, proxy):
    random = np.random.default_rng(1)
    asset = lake.asset("daily", partitions=lp.Static(["a", "b"]))
    for key in ("a", "b"):
        assert 4 * MB < asset.write(pa.table({name: random.random(300_000) for name in "xy"}), key).bytes < 8 * MB
    proxy.take_traffic()

    assert asset.to_arrow().num_rows == 600_000
    assert requests_of(proxy) == {"GET": 2}

    assert sum(batch.num_rows for batch in asset.to_batches()) == 600_000
    assert requests_of(proxy) == {"GET": 2}


def test_the_stores_of_a_lake_share_one_client(lake):
    context = lake._home.context

    lines = {id(store._bucket._line()) for store in (context.root, *context.stores.values())}

    assert len(context.stores) == 2
    assert len(lines) == 1


def test_stores_with_other_options_have_clients_of_their_own(s3, s3_lakes):
    here = S3Store(s3_lakes, s3.storage_options)
    elsewhere = S3Store(s3_lakes, {**s3.storage_options, "key": "somebody else's"})

    elsewhere.share_connection(here)

    assert elsewhere._bucket._line() is not here._bucket._line()
