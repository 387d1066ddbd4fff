"""A dataset of what lies in S3 is read by Arrow alone: exactly the selection's files, without looking for them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pandas as pd
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

import lakepart as lp

DAYS = 12
HOURS = pd.date_range("2013-01-01", periods=24 * DAYS, freq="h", tz="UTC")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * DAYS)})
_NUMBERS = count()


@pytest.fixture
def where(s3_lakes, tmp_path):
    return f"{s3_lakes}/datasets-{next(_NUMBERS)}", f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def lake(where, s3, proxy):
    url, catalog = where
    options = {**s3.storage_options, "endpoint_url": proxy.url}
    with lp.create(url, catalog=catalog, storage_options=options) as lake:
        yield lake


@pytest.fixture
def flights(lake):
    asset = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour"))
    asset.write(ROWS)
    asset.write(ROWS[:24], "2013-01-01")  # what it replaces lies beside it
    return asset


def test_it_has_the_rows_and_files_of_the_selection(flights):
    selection = flights["2013-01-01":"2013-01-05"]

    dataset = selection.dataset()

    assert dataset.to_table().equals(selection.to_arrow())
    assert [f"s3://{path}" for path in dataset.files] == list(selection.files()["path"])


def test_it_makes_two_gets_a_file_and_neither_lists_nor_looks(flights, proxy):
    dataset = flights.dataset()
    proxy.take_traffic()

    assert dataset.count_rows() == 24 * DAYS
    assert dict(proxy.take_traffic().requests) == {"GET": DAYS}  # footers

    assert dataset.to_table(columns=["delay"]).num_rows == 24 * DAYS
    assert dict(proxy.take_traffic().requests) == {"GET": DAYS}  # pages: it remembers footers


def test_files_of_partitions_that_a_filter_rules_out_are_not_opened(lake, proxy):
    regions = lake.asset("regions", partitions=lp.Static(["eu", "us", "asia"]))
    for key in ("eu", "us", "asia"):
        regions.write(pd.DataFrame({"n": [1, 2]}), key)
    dataset = regions.dataset()
    proxy.take_traffic()

    found = dataset.to_table(filter=pc.field("partition") == "us")

    assert found.to_pydict() == {"n": [1, 2], "partition": ["us", "us"]}
    assert dict(proxy.take_traffic().requests) == {"GET": 2}


def test_files_of_an_older_schema_have_their_columns_by_id(flights):
    flights.alter(rename={"delay": "late"})
    flights.write(ROWS[24:48].rename(columns={"delay": "late"}), "2013-01-02")

    found = flights["2013-01-01":"2013-01-03"].dataset()

    assert found.schema.names == ["time_hour", "late"]
    assert found.to_table()["late"].to_pylist() == list(range(72))


def test_it_spans_tiers_of_several_buckets(s3, where):
    url, catalog = where
    tiers = [lp.Tier("hot", f"{url}/hot"), lp.Tier("cold", f"{s3.make_bucket('other-bucket')}/cold")]
    with lp.create(url, catalog=catalog, storage_options=s3.storage_options, tiers=tiers) as lake:
        flights = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour"))
        flights.write(ROWS)
        flights["2013-01-02":"2013-01-03"].demote("cold", progress=False)

        assert flights.dataset().to_table()["delay"].to_pylist() == list(range(24 * DAYS))


def test_many_threads_may_scan_it(flights):
    dataset = flights.dataset()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda day: dataset.to_table(filter=pc.field("delay") < 24 * day).num_rows, range(1, 9)))

    assert found == [24 * day for day in range(1, 9)]


def test_it_goes_through_a_proxy_where_the_store_does(flights, proxy, where, s3):
    url, catalog = where
    through = {**s3.storage_options, "config_kwargs": {"proxies": {"http": proxy.url}}}
    with lp.connect(url, catalog=catalog, storage_options=through) as lake:
        dataset = lake.asset("flights").dataset()
        proxy.take_traffic()

        assert dataset.to_table().num_rows == 24 * DAYS

    assert proxy.take_traffic().requests["GET"] == 2 * DAYS


_ENDING = """
import faulthandler, sys
import lakepart as lp
faulthandler.dump_traceback_later(60, exit=True)
url, catalog, endpoint, key, secret = sys.argv[1:]
options = {"endpoint_url": endpoint, "key": key, "secret": secret, "region": "us-east-1"}
dataset = lp.connect(url, catalog=catalog, storage_options=options).asset("flights").dataset()
batches = dataset.to_batches(batch_readahead=2, fragment_readahead=8)
next(batches)
print("ends")
"""


def test_a_program_that_ends_while_it_is_scanned_just_ends(flights, proxy, where, s3):
    url, catalog = where
    proxy.delay_s = 0.05

    program = [sys.executable, "-c", _ENDING, url, catalog, proxy.url, s3.key, s3.secret]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=90, check=False)

    assert (ended.returncode, ended.stdout) == (0, "ends\n"), ended.stderr


def test_it_may_be_joined_with_other_datasets(flights):
    other = flights["2013-01-02"].to_arrow()

    whole = ds.dataset([flights["2013-01-01"].dataset(), ds.dataset(other)])

    assert whole.to_table().num_rows == 48


def test_it_may_leave_out_what_must_be_restored_first(moto, moto_lakes, tmp_path):
    url = f"{moto_lakes}/datasets-{next(_NUMBERS)}"
    tiers = [lp.Tier("hot", f"{url}/hot"), lp.Tier("archive", f"{url}/archive", storage_class="GLACIER")]
    catalog = f"sqlite:///{tmp_path}/catalog.db"
    with lp.create(url, catalog=catalog, storage_options=moto.storage_options, tiers=tiers) as lake:
        flights = lake.asset("flights", partitions=lp.Daily("2013-01-01", by="time_hour"))
        flights.write(ROWS)
        flights["2013-01-02"].demote("archive", progress=False)

        with pytest.warns(lp.PartialReadWarning, match="2013-01-02"):
            dataset = flights["2013-01-01":"2013-01-03"].dataset(offline="skip")

        assert dataset.to_table()["delay"].to_pylist() == [*range(24), *range(48, 72)]
