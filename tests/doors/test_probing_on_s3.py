"""A store is tried out when a lake is made: one that overwrites holds no lake, and a tier must be there."""

from __future__ import annotations

from itertools import count

import pandas as pd
import pytest

import lakepart as lp
from lakepart.storage.s3 import S3Store
from lakepart.testing.proxies import Fault, proxy_before

_NUMBERS = count()


@pytest.fixture
def catalog(tmp_path):
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def overwriting(moto):
    """A server that overwrites: it is not told that it must not; moto minds no signature."""
    with proxy_before(moto.url) as proxy:
        proxy.left_out = frozenset({"if-none-match"})
        yield {**moto.storage_options, "endpoint_url": proxy.url}


def test_a_store_that_overwrites_holds_no_lake_and_nothing_is_left(overwriting, moto, moto_lakes, catalog, tmp_path):
    url = f"{moto_lakes}/probing-{next(_NUMBERS)}"

    with pytest.raises(lp.StorageError, match="If-None-Match") as caught:
        lp.create(url, catalog=catalog, storage_options=overwriting)

    assert caught.value.code is lp.ErrorCode.UNSUPPORTED
    assert "tiers" in caught.value.hint
    assert list(S3Store(url, moto.storage_options).list()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_overwrites_holds_a_tier_of_a_lake_that_is_elsewhere(overwriting, moto, moto_lakes, tmp_path):
    cold = f"{moto_lakes}/probing-{next(_NUMBERS)}"
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", cold)]

    with lp.create(tmp_path / "lake", tiers=tiers, storage_options=overwriting) as lake:
        numbers = lake.asset("numbers", partitions=lp.Static(["a", "b"]))
        numbers.write({"a": pd.DataFrame({"x": [1]}), "b": pd.DataFrame({"x": [2]})})
        numbers.demote("cold", progress=False)
        numbers.promote(progress=False)
        numbers.demote("cold", progress=False)  # over what was left there

        assert sorted(numbers.to_pandas()["x"]) == [1, 2]
        assert lake.check(checksums=True) == []


def test_a_store_that_knows_no_conditional_writes_is_named(s3, s3_lakes, catalog, tmp_path):
    with proxy_before(s3.url) as proxy:
        proxy.fail(Fault.NOT_IMPLEMENTED, lambda request: request.method == "PUT", times=99)
        options = {**s3.storage_options, "endpoint_url": proxy.url}

        with pytest.raises(lp.StorageError, match="NotImplemented") as caught:
            lp.create(f"{s3_lakes}/probing-{next(_NUMBERS)}", catalog=catalog, storage_options=options)

    assert caught.value.code is lp.ErrorCode.UNSUPPORTED
    assert list(tmp_path.iterdir()) == []


def test_a_tier_in_a_bucket_that_is_not_there_is_refused_before_anything_is_made(moto, moto_lakes, catalog, tmp_path):
    url = f"{moto_lakes}/probing-{next(_NUMBERS)}"
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", "s3://no-such-bucket/cold")]

    with pytest.raises(lp.StorageError, match="no such bucket"):
        lp.create(url, catalog=catalog, tiers=tiers, storage_options=moto.storage_options)

    assert list(S3Store(url, moto.storage_options).list()) == []
    assert list(tmp_path.iterdir()) == []


def test_making_a_lake_takes_few_requests_and_leaves_its_identity_alone(s3, s3_lakes, catalog):
    url = f"{s3_lakes}/probing-{next(_NUMBERS)}"
    with proxy_before(s3.url) as proxy:
        options = {**s3.storage_options, "endpoint_url": proxy.url}

        lp.create(url, catalog=catalog, storage_options=options).close()
        requests = dict(proxy.take_traffic().requests)

    assert requests == {"HEAD": 3, "PUT": 3, "DELETE": 1, "GET": 1}
    assert [found.path for found in S3Store(url, s3.storage_options).list()] == ["_lakepart/lake.json"]
