"""Credentials that a program gives by tier: asked again before they expire and when they have, and never shown."""

from __future__ import annotations

import io
import pickle
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import ClassVar

import fsspec
import pandas as pd
import pytest
from botocore.awsrequest import AWSResponse
from fsspec.implementations.memory import MemoryFileSystem

import lakepart as lp
from lakepart.storage.credentials import TierCredentials, laid_over
from lakepart.storage.s3 import S3Store
from lakepart.storage.s3_client import make_client
from lakepart.testing.proxies import Fault

PART_BYTES = 5 << 20
HOURS = pd.date_range("2013-01-01", periods=24 * 10, freq="h", tz="UTC")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * 10)})
_NUMBERS = count()
_FOREVER = 1_000


class Given:
    """A provider that gives a server's credentials with others in between, and counts how often it is asked."""

    def __init__(self, server, *answers, **more):
        self.asked = Counter()
        self._usual = {"key": server.key, "secret": server.secret, "endpoint_url": server.url, **more}
        self._answers = list(answers)

    def __call__(self, tier):
        self.asked[tier] += 1
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, Exception):
            raise answer
        return {**self._usual, **answer}


class Proxied:
    """A server behind a proxy, with the same keys."""

    def __init__(self, server, proxy):
        self.key, self.secret, self.url = server.key, server.secret, proxy.url


def in_(**duration):
    return datetime.now(UTC) + timedelta(**duration)


@pytest.fixture
def url(s3_lakes):
    return f"{s3_lakes}/credentials-{next(_NUMBERS)}"


@pytest.fixture
def catalog(tmp_path):
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def truth(url, s3):
    """The lake's folder, looked at past the proxy."""
    return S3Store(url, s3.storage_options)


def store_of(url, provider):
    return S3Store(url, credentials=TierCredentials(provider, "hot"), part_bytes=PART_BYTES, whole_bytes=PART_BYTES)


def flights_of(lake):
    return lake.asset("flights", partitions=lp.Daily("2013-01-01", end="2013-01-11", by="time_hour"))


def test_each_tier_is_reached_with_its_own_credentials_at_its_own_endpoint(url, catalog, s3, moto, moto_lakes):
    asked = Counter()

    def provider(tier):
        asked[tier] += 1
        server = moto if tier == "cold" else s3
        return {"key": server.key, "secret": server.secret, "client_kwargs": {"endpoint_url": server.url}}

    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", f"{moto_lakes}/credentials-{next(_NUMBERS)}")]
    with lp.create(url, catalog=catalog, tiers=tiers, credentials=provider) as lake:
        flights_of(lake).write(ROWS)
        flights_of(lake)["2013-01-01":"2013-01-05"].demote("cold", progress=False)

        assert len(flights_of(lake).to_pandas()) == 240
        assert lake.check(checksums=True) == []
    assert asked == {"_lakepart": 1, "hot": 1, "cold": 1}
    assert len(list(S3Store(tiers[1].root, moto.storage_options).list())) == 5


def test_between_tiers_that_are_given_the_same_keys_the_server_copies_by_itself(url, catalog, s3, proxy):
    with lp.create(url, catalog=catalog, credentials=Given(Proxied(s3, proxy))) as lake:
        flights_of(lake).write(ROWS)
        proxy.take_traffic()

        flights_of(lake).demote("cold", progress=False)

        assert dict(proxy.take_traffic().requests) == {"PUT": 10, "HEAD": 20}
        assert lake.check(checksums=True) == []


def test_a_lake_in_a_folder_has_a_tier_in_s3(tmp_path, s3, s3_lakes):
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", f"{s3_lakes}/credentials-{next(_NUMBERS)}")]
    provider = Given(s3)

    with lp.create(tmp_path / "lake", tiers=tiers, credentials=provider) as lake:
        flights_of(lake).write(ROWS)
        flights_of(lake).demote("cold", progress=False)
    with lp.connect(tmp_path / "lake", storage_options=s3.storage_options) as lake:
        assert len(flights_of(lake).to_pandas()) == 240

    assert set(provider.asked) == {"cold"}


def test_options_that_no_store_of_a_lake_takes_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(lp.InvalidInputError, match="take none") as caught:
        lp.create(tmp_path / "lake", storage_options={"secret": "hidden"})

    assert "hidden" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_credentials_are_asked_for_again_a_minute_before_they_expire(url, s3):
    provider = Given(s3, {"expires_at": in_(seconds=50)}, {"expires_at": in_(hours=1)})
    store = store_of(url, provider)

    for number in range(5):
        store.put_new(f"{number}", b"bytes")

    assert provider.asked == {"hot": 2}


@pytest.mark.parametrize("later", [{}, {"profile": "team"}, {"anon": True}])
def test_what_has_no_keys_any_more_does_not_renew_those_that_end(later):
    answers = iter([{"key": "k", "secret": "hidden", "expires_at": in_(seconds=50)}, later])
    store = S3Store("s3://lakes", credentials=TierCredentials(lambda tier: next(answers), "hot"))

    with pytest.raises(lp.InvalidInputError, match="no key with a secret for 'hot'"):
        store.read_bytes("a")


def test_credentials_without_an_end_are_asked_for_once(url, s3):
    provider = Given(s3)
    store = store_of(url, provider)

    for number in range(5):
        store.put_new(f"{number}", b"bytes")

    assert provider.asked == {"hot": 1}


@pytest.mark.parametrize("answers", [(), ({"expires_at": in_(hours=1)},)])
def test_when_the_server_says_that_they_have_expired_they_are_asked_for_once_more(url, s3, proxy, truth, answers):
    provider = Given(Proxied(s3, proxy), *answers)
    store = store_of(url, provider)
    store.put_new("a", b"bytes")
    calls = [
        lambda: store.put_new("b", b"bytes"),
        lambda: store.read_bytes("a"),
        lambda: store.stat("a"),
        lambda: list(store.list()),
        lambda: store.delete("b"),
    ]

    for call in calls:
        proxy.fail(Fault.EXPIRED_TOKEN)
        call()
        assert proxy.heal() == 0

    assert provider.asked == {"hot": 1 + len(calls)}
    assert [found.path for found in truth.list()] == ["a"]


def test_an_object_in_parts_goes_on_with_new_credentials_and_they_are_asked_for_once_for_all_parts(
    url, s3, proxy, truth
):
    provider = Given(Proxied(s3, proxy))
    data = bytes(range(256)) * (4 * PART_BYTES // 256)
    proxy.fail(Fault.EXPIRED_TOKEN, lambda request: "partNumber=2" in request.target)

    with store_of(url, provider).open_new("a") as sink:
        sink.write(data)

    assert proxy.heal() == 0
    assert provider.asked == {"hot": 2}
    assert truth.read_bytes("a") == data


class Raw(io.BytesIO):
    """A body, as botocore takes it from the network."""

    def stream(self, **_):
        yield self.read()


def test_of_many_requests_that_are_rejected_at_once_one_lets_new_ones_be_asked_for():
    keys, threads = iter(["old", "new", "newer"]), 8
    all_are_signed = threading.Barrier(threads)
    asked = []

    def provider(tier):
        asked.append(tier)
        return {"key": next(keys), "secret": "s", "region": "us-east-1"}

    def answer(request, **_):
        is_old = b"Credential=old/" in request.headers["Authorization"]
        if is_old:
            all_are_signed.wait()
        body = b"<Error><Code>ExpiredToken</Code></Error>" if is_old else b"bytes"
        return AWSResponse(request.url, 400 if is_old else 200, {"Content-Length": str(len(body))}, Raw(body))

    client = make_client({}, TierCredentials(provider, "hot"))
    client.meta.events.register("before-send.s3", answer)
    store = S3Store("s3://lakes/a", client=lambda: client)

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda _: store.read_bytes("a"), range(threads)))

    assert found == [b"bytes"] * threads
    assert asked == ["hot"] * 2


def test_a_backfill_goes_on_where_its_first_credentials_expire(url, catalog, s3, proxy):
    provider = Given(Proxied(s3, proxy))

    def delays(part, flights):
        return pd.DataFrame({"total": [int(flights.to_pandas()["delay"].sum())]})

    with lp.create(url, catalog=catalog, credentials=provider) as lake:
        flights_of(lake).write(ROWS)
        days = lp.Daily("2013-01-01", end="2013-01-11")
        producer = lp.producer("delays", partitions=days, inputs={"flights": "flights"})
        before = provider.asked["hot"]
        proxy.fail(Fault.EXPIRED_TOKEN, lambda request: "/hot/" in request.target, times=1)

        lake.register(producer(delays)).backfill(workers=4, progress=False)

        assert proxy.heal() == 0
        assert provider.asked["hot"] == before + 1
        assert set(lake.asset("delays").status()["state"]) == {"fresh"}
        assert lake.check(checksums=True) == []


@pytest.mark.parametrize("answer", [ValueError("hidden"), {"expires_at": in_(seconds=-1), "secret": "hidden"}])
def test_a_provider_that_fails_in_the_middle_of_a_write_leaves_nothing_to_be_seen(
    url, catalog, s3, proxy, truth, answer
):
    class Failing(Given):
        def __call__(self, tier):
            return super().__call__(tier) if tier == "_lakepart" or not self.asked[tier] else self.fail(tier)

        def fail(self, tier):
            self._answers.append(answer)
            return super().__call__(tier)

    with lp.create(url, catalog=catalog, credentials=Failing(Proxied(s3, proxy))) as lake:
        flights_of(lake).write(ROWS[:24], "2013-01-01")
        proxy.fail(Fault.EXPIRED_TOKEN, lambda request: "/hot/" in request.target, times=_FOREVER)

        with pytest.raises(lp.StorageError) as caught:
            flights_of(lake).write(ROWS[24:])

        proxy.heal()
        assert caught.value.code is lp.ErrorCode.PERMISSION
        assert "hidden" not in str(caught.value)
        assert flights_of(lake).keys == ["2013-01-01"]
        assert len([found for found in truth.list() if found.path.startswith("hot/")]) == 1


def test_a_server_that_keeps_saying_that_they_have_expired_is_an_error_of_rights(url, s3, proxy, truth):
    provider = Given(Proxied(s3, proxy))
    store = store_of(url, provider)
    proxy.fail(Fault.EXPIRED_TOKEN, times=_FOREVER)

    for call in (lambda: store.read_bytes("a"), lambda: store.stat("a"), lambda: list(store.list())):
        with pytest.raises(lp.StorageError) as caught:
            call()
        assert caught.value.code is lp.ErrorCode.PERMISSION

    with pytest.raises(lp.StorageError) as caught:
        store.put_new("a", b"bytes")
    assert caught.value.context["s3_code"] == "ExpiredToken"
    assert truth.stat("a") is None


@pytest.fixture
def module(tmp_path, monkeypatch, s3):
    """A module that gives credentials; its name as text."""
    name = f"credentials_of_tests_{next(_NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(
        f"def give(tier):\n    return {{'key': {s3.key!r}, 'secret': {s3.secret!r}, 'endpoint_url': {s3.url!r}}}\n"
        "nothing = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_provider_is_named_by_text_and_goes_along_in_a_pickle_by_its_name(url, catalog, module, s3):
    with lp.create(url, catalog=catalog, credentials=f"{module}:give") as lake:
        flights_of(lake).write(ROWS)
        data = pickle.dumps(flights_of(lake))

    assert f"{module}:give".encode() in data
    assert s3.secret.encode() not in data
    assert pickle.loads(data).count_rows() == 240


def test_the_environment_names_a_provider_for_every_door(url, catalog, module, s3, monkeypatch):
    provider = Given(s3)
    with lp.create(url, catalog=catalog, credentials=provider) as lake:
        data = pickle.dumps(flights_of(lake))
    monkeypatch.setenv("LAKEPART_CREDENTIALS", f"{module}:give")

    with lp.connect(url, catalog=catalog) as lake:
        flights_of(lake).write(ROWS)
    found = lp.doctor(url, catalog=catalog)

    assert pickle.loads(data).count_rows() == 240
    assert {one.severity for one in found if one.subject in {"lake", "tier hot", "tier cold"}} == {"ok"}


@pytest.mark.parametrize("source", ["nonsense", "no.such.module:give", "os:nothing", ":", "os:", ":give", "os:name"])
def test_a_name_that_leads_to_no_function_is_refused_before_anything_is_made(url, catalog, truth, tmp_path, source):
    with pytest.raises(lp.InvalidInputError, match="module:function"):
        lp.create(url, catalog=catalog, credentials=source)

    assert list(truth.list()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given",
    [
        None,
        ["hidden"],
        {"key": "k", "secret": "hidden", "expires_at": datetime(2100, 1, 1)},  # noqa: DTZ001 - what is refused
        {"key": "k", "secret": "hidden", "expires_at": "hidden"},
        {"token": "hidden", "expires_at": in_(hours=1)},
        {"key": "hidden"},
        {"key": None},
        {"key": "k", "secret": b"hidden"},
        {"key": "k", "secret": "hidden", "password": "hidden"},
        {"s3_additional_kwargs": {"SSEKMSKeyId": "hidden"}},
    ],
)
def test_what_is_no_credentials_is_refused_without_being_shown(url, catalog, truth, given):
    with pytest.raises(lp.InvalidInputError) as caught:
        lp.create(url, catalog=catalog, credentials=lambda tier: given)

    assert "hidden" not in str(caught.value) + repr(caught.value.context)
    assert list(truth.list()) == []


def test_credentials_are_neither_shown_nor_stored(url, catalog, s3, tmp_path):
    provider = Given(s3, token=None)
    with lp.create(url, catalog=catalog, credentials=provider) as lake:
        flights_of(lake).write(ROWS)
        context = lake._home.context
        shown = f"{lake!r} {context!r} {context.stores!r} {TierCredentials(provider, 'hot')!r}"
        objects = [context.root.read_bytes(found.path) for found in context.root.list()]
    stored = b"".join([*objects, (tmp_path / "catalog.db").read_bytes()])

    assert s3.secret not in shown
    assert s3.secret.encode() not in stored


@pytest.mark.parametrize("given", [{"key": "k", "secret": "s"}, {"profile": "team"}, {"anon": True}])
def test_the_keys_of_a_provider_never_meet_the_token_of_the_options(given):
    options = {"key": "other", "secret": "other", "token": "other", "profile": "other", "region": "us-east-1"}

    assert laid_over(options, given) == {"region": "us-east-1", **given}
    assert laid_over(options, {"region": "eu-west-1"}) == {**options, "region": "eu-west-1"}


class KeyedFileSystem(MemoryFileSystem):
    """A driver that takes keys of its own."""

    protocol = "keyed"
    cachable = False
    given: ClassVar[list] = []

    def __init__(self, **options):
        self.given.append(options)
        super().__init__()


def test_another_driver_is_given_what_the_provider_says_when_the_lake_is_opened(catalog, monkeypatch):
    fsspec.register_implementation("keyed", KeyedFileSystem, clobber=True)
    monkeypatch.setattr(KeyedFileSystem, "given", [])

    def provider(tier):
        return {"account": tier, "expires_at": in_(hours=1)}

    with (
        pytest.warns(lp.StoreWarning),
        lp.create(
            f"keyed://lake-{next(_NUMBERS)}",
            catalog=catalog,
            storage_options={"account": "x", "b": 1},
            credentials=provider,
        ),
    ):
        assert KeyedFileSystem.given == [{"account": name, "b": 1} for name in ("_lakepart", "hot", "cold")]
