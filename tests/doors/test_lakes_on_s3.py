"""A lake on S3 with its catalog in PostgreSQL does everything that one in a folder does."""

from __future__ import annotations

import multiprocessing
import pickle
from datetime import timedelta
from itertools import count

import pandas as pd
import pytest

import lakepart as lp

HOURS = pd.date_range("2013-01-01", periods=24 * 10, freq="h", tz="UTC")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * 10)})
_NUMBERS = count()


@pytest.fixture
def address(s3, s3_lakes, new_schema):
    """Where a lake may be made: its address, and what ``create`` and ``connect`` take with it."""
    options = {"catalog": new_schema(), "storage_options": s3.storage_options}
    return f"{s3_lakes}/doors-{next(_NUMBERS)}", options


@pytest.fixture
def lake(address):
    url, options = address
    with lp.create(url, **options) as lake:
        yield lake


@pytest.fixture
def flights(lake):
    asset = lake.asset("flights", partitions=lp.Daily("2013-01-01", end="2013-01-11", by="time_hour"))
    asset.write(ROWS)
    return asset


@lp.producer(
    "delays", partitions=lp.Daily("2013-01-01", end="2013-01-11"), inputs={"flights": "flights"}, code_version="1"
)
def delays(part, flights):
    return pd.DataFrame({"total": [int(flights.to_pandas()["delay"].sum())]})


def objects_of(s3, url):
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    found = s3.client().list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/")
    return {one["Key"].removeprefix(f"{prefix}/") for one in found.get("Contents", ())}


def test_backfills_branches_and_rollbacks(lake, flights):
    made = lake.register(delays)

    made.backfill(workers=4, progress=False)
    assert list(made.status()["state"]) == ["fresh"] * 10

    first = lake.snapshots(1)["snapshot"].item()
    with lake.create_branch("fix") as branch:
        branch.asset("flights").write(ROWS[:24].assign(delay=0), "2013-01-01")
        branch.asset("delays").stale().backfill(progress=False)
        branch.publish()

    assert made["2013-01-01"].to_pandas()["total"].item() == 0
    lake.rollback(to=first)
    assert made["2013-01-01"].to_pandas()["total"].item() == sum(range(24))
    assert lake.check(checksums=True) == []


def test_rows_compaction_tiers_and_vacuum(lake, flights, s3):
    flights.append(ROWS[:24])
    flights["2013-01-01"].delete([("delay", "<", 12)])
    flights.upsert(ROWS[:2].assign(delay=7), on=["time_hour"])
    assert sorted(flights["2013-01-01"].to_pandas()["delay"]) == sorted([*range(12, 24), *range(12, 24), 7, 7])

    assert flights["2013-01-01"].compact(progress=False).partitions == 1
    flights["2013-01-01":"2013-01-05"].demote("cold", progress=False)
    assert lake.check(checksums=True) == []

    before = objects_of(s3, lake.url)
    report = lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
    after = objects_of(s3, lake.url)

    assert report.files == len(before) - len(after) > 0
    assert len(flights.to_pandas()) == 26 + 9 * 24
    assert lake.check(checksums=True) == []


def test_a_transaction_that_is_left_by_an_exception_leaves_no_object(lake, flights, s3):
    before = objects_of(s3, lake.url)

    def write_and_fail():
        with lake.transaction("fix") as tx:
            tx.asset("flights").write(ROWS, if_exists="replace")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()

    assert objects_of(s3, lake.url) == before


def test_a_lost_catalog_is_rebuilt_from_the_bucket_alone(lake, flights, address, new_schema, s3):
    lake.tag("before")
    flights["2013-01-02"].drop()
    expected = flights.to_pandas()
    url, options = address

    report = lp.rebuild(url, **{**options, "catalog": (catalog := new_schema())})

    assert report.lost == ()
    with lp.connect(url, **{**options, "catalog": catalog}) as again:
        assert again.asset("flights").to_pandas().equals(expected)
        assert again.at("before").asset("flights").count_rows() == 240
        assert again.check(checksums=True) == []


def test_an_upload_that_was_never_completed_is_named_and_given_up(lake, flights, s3):
    key = f"{lake.url.removeprefix('s3://lakes/')}/hot/flights/partition=2013-01-01/{'0' * 20}-0.parquet"
    s3.client().create_multipart_upload(Bucket="lakes", Key=key)

    assert {finding.kind for finding in lake.check()} == {"temporary-file"}
    assert lake.vacuum(grace=timedelta(0), force=True).files == 1

    assert s3.client().list_multipart_uploads(Bucket="lakes", Prefix=key).get("Uploads", []) == []
    assert lake.check() == []
    assert flights.count_rows() == 240


def test_a_handle_is_used_after_a_fork_by_both(lake, flights):
    assert len(flights["2013-01-01"].to_pandas()) == 24
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(len(flights["2013-01-02"].to_pandas())))

    child.start()
    try:
        assert answers.get(timeout=60) == 24
    finally:
        child.join(10)
        child.kill()
    assert len(flights["2013-01-03"].to_pandas()) == 24


def test_a_pickled_handle_has_no_secrets_and_finds_them_where_it_is_used(lake, flights, s3, monkeypatch):
    data = pickle.dumps(flights)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)

    assert s3.secret.encode() not in data
    assert pickle.loads(data).count_rows() == 240


def test_secrets_are_neither_shown_nor_stored(lake, flights, s3):
    shown = f"{lake!r} {flights!r} {lake._home.context!r} {lake._home.context.stores!r}"

    assert s3.secret not in shown
    store = lake._home.context.root
    objects = [store.read_bytes(path) for path in objects_of(s3, lake.url)]
    assert objects
    assert not any(s3.secret.encode() in data for data in objects)


def test_doctor_finds_nothing_wrong(address, lake):
    url, options = address

    found = {one.subject: one.severity for one in lp.doctor(url, **options)}

    assert {found["lake"], found["tier hot"], found["tier cold"]} == {"ok"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"s3_additional_kwargs": {"StorageClass": "GLACIER"}}, "StorageClass"),
        ({"s3_additional_kwargs": {"SSECustomerKey": "hidden"}}, "SSECustomerKey"),
        ({"config_kwargs": {"retries": 7}}, "AttributeError"),
        ({"keys": "x"}, "'keys'"),
        ({"client_kwargs": 7}, "client_kwargs"),
        ({"config_kwargs": {"nonsense": 1}}, "nonsense"),
    ],
)
def test_options_that_s3_does_not_take_are_refused(s3_lakes, new_schema, options, said):
    with pytest.raises(lp.LakepartError, match=said):
        lp.create(f"{s3_lakes}/never", catalog=new_schema(), storage_options=options)


@pytest.mark.parametrize("url", ["s3://", "s3:///lake", "s3://bucket/lake#1", "s3://bucket/a?x=1", "s3://[x/a"])
def test_an_address_that_is_none_is_refused(new_schema, url):
    with pytest.raises(lp.InvalidInputError):
        lp.create(url, catalog=new_schema())


def test_markers_of_folders_that_others_make_are_let_be(lake, flights, s3):
    prefix = lake.url.removeprefix("s3://lakes/")
    for marker in ("hot/", "hot/flights/", "_lakepart/"):
        s3.client().put_object(Bucket="lakes", Key=f"{prefix}/{marker}", Body=b"")

    assert lake.check(checksums=True) == []
    assert lake.vacuum(grace=timedelta(0), force=True).files == 0
