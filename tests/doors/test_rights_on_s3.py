"""The policies of docs/s3.md grant what readers, writers and carers need; encryption goes along with every object."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pandas as pd
import pytest

import lakepart as lp
from lakepart.storage.probing import probe_store
from lakepart.storage.s3 import S3Store

PAGE = Path(__file__).parents[2] / "docs" / "s3.md"
READER, WRITER, CARER = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
PART_BYTES = 5 << 20
_NUMBERS = count()
HOURS = pd.date_range("2013-01-01", periods=72, freq="h", tz="UTC")
DAYS = lp.Daily("2013-01-01", end="2013-01-04", by="time_hour")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(72)})


@pytest.fixture(scope="module")
def buckets(moto):
    return {name: moto.make_bucket(f"{name}-rights") for name in ("acme", "acme-archive")}


@pytest.fixture
def address(buckets, tmp_path):
    """Where a lake of two buckets may be made: its address, its catalog, its tiers."""
    below = f"lake/{next(_NUMBERS)}"
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", f"{buckets['acme-archive']}/{below}", "GLACIER_IR")]
    return f"{buckets['acme']}/{below}", f"sqlite:///{tmp_path}/catalog.db", tiers


@pytest.fixture
def lake(address, moto):
    """A lake made by who may do everything: its address and its catalog."""
    url, catalog, tiers = address
    with lp.create(url, catalog=catalog, tiers=tiers, storage_options=moto.storage_options) as lake:
        lake.asset("flights", partitions=DAYS).write(ROWS)
    return url, catalog


@pytest.fixture(scope="module")
def options_of(moto, buckets):
    """Give the options of a user who has a policy, and nothing else."""
    iam = boto3.session.Session().client(
        "iam", endpoint_url=moto.url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key=moto.secret
    )

    def give(policy):
        for name, url in buckets.items():
            policy = re.sub(f':::{name}(?=[/"])', f":::{url.removeprefix('s3://')}", policy)
        user = f"user-{next(_NUMBERS)}"
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="lake", PolicyDocument=policy)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return {**moto.storage_options, "key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}

    return give


@contextmanager
def enforced(moto):
    """Let moto mind who asks."""
    _set_unguarded(moto, "0")
    try:
        yield
    finally:
        _set_unguarded(moto, "inf")


def _set_unguarded(moto, requests):
    asked = Request(f"{moto.url}/moto-api/reset-auth", requests.encode(), {"Content-Type": "text/plain"})  # noqa: S310
    urlopen(asked).close()  # noqa: S310 - our own server


def without(policy, action):
    taken = json.loads(policy)
    for statement in taken["Statement"]:
        listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [one for one in listed if one != action] or ["s3:Nothing"]
    return json.dumps(taken)


def write(lake):
    flights = lake.asset("flights")
    flights.append(ROWS[:24])
    flights.upsert(ROWS[:2].assign(delay=7), on=["time_hour"])
    flights["2013-01-01"].compact(progress=False)
    with suppress(ZeroDivisionError), lake.transaction("undone") as tx:
        tx.asset("flights").write(ROWS, if_exists="replace")
        raise ZeroDivisionError


def write_in_parts(url, options):
    store = S3Store(url, options, part_bytes=PART_BYTES, whole_bytes=PART_BYTES)
    with store.open_new("hot/parts") as sink:
        sink.write(bytes(2 * PART_BYTES))
    with suppress(ZeroDivisionError), store.open_new("hot/undone") as sink:
        sink.write(bytes(2 * PART_BYTES))
        raise ZeroDivisionError
    store.delete("hot/parts")


def test_a_reader_reads_and_does_no_more(lake, moto, options_of):
    url, catalog = lake
    options = options_of(READER)

    with enforced(moto):
        with lp.connect(url, catalog=catalog, read_only=True, storage_options=options) as reader:
            flights = reader.asset("flights")
            assert len(flights.to_pandas()) == 72
            assert sum(batch.num_rows for batch in flights.to_batches()) == 72
            assert len(flights.head(5)) == 5
            assert len(flights.status()) == 3
        found = lp.doctor(url, catalog=catalog, read_only=True, storage_options=options)
        with (
            lp.connect(url, catalog=catalog, storage_options=options) as writer,
            pytest.raises(lp.StorageError) as caught,
        ):
            writer.asset("flights").append(ROWS)

    assert caught.value.code is lp.ErrorCode.PERMISSION
    assert [one for one in found if one.severity == "problem" and one.subject == "lake"] == []


def test_a_writer_writes(lake, moto, options_of):
    url, catalog = lake
    options = options_of(WRITER)

    with enforced(moto):
        with lp.connect(url, catalog=catalog, storage_options=options) as writer:
            write(writer)
            assert len(writer.asset("flights").to_pandas()) == 94
        write_in_parts(url, options)

    assert moto.client().list_multipart_uploads(Bucket="acme-rights").get("Uploads", []) == []


def test_a_carer_makes_a_lake_moves_checks_and_vacuums(address, moto, options_of):
    options = options_of(CARER)
    url, catalog, tiers = address

    with enforced(moto), lp.create(url, catalog=catalog, tiers=tiers, storage_options=options) as lake:
        flights = lake.asset("flights", partitions=DAYS)
        flights.write(ROWS)
        flights["2013-01-01"].demote("cold", progress=False)
        write(lake)
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True, progress=False)

        assert lake.check(checksums=True) == []
        found = [one for one in lake.doctor() if one.severity != "ok" and one.subject in {"lake", "tier hot"}]
        assert found == []


@pytest.mark.parametrize(
    "action",
    [
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
    ],
)
def test_doctor_names_what_a_policy_lacks(buckets, moto, options_of, action):
    store = S3Store(f"{buckets['acme']}/lake/hot", options_of(without(CARER, action)))

    with enforced(moto):
        found = probe_store(store, "tier hot", "_lakepart/probe", datetime.now(UTC), writing=True)

    assert f"These credentials may not do {action}." in [one.text for one in found]


@pytest.mark.parametrize("size_bytes", [1, 2 * PART_BYTES])
def test_every_object_is_encrypted_as_the_options_say(moto, moto_lakes, size_bytes):
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "lake", "BucketKeyEnabled": True}
    url, sent = f"{moto_lakes}/rights-{next(_NUMBERS)}", []
    client = moto.client()
    client.meta.events.register("before-call.s3", lambda params, **_: sent.append(params["headers"]))
    options = {"s3_additional_kwargs": extra}
    store = S3Store(url, options, part_bytes=PART_BYTES, whole_bytes=PART_BYTES, client=lambda: client)

    with store.open_new("a") as sink:
        sink.write(bytes(size_bytes))

    found = client.head_object(Bucket="lakes", Key=f"{url.removeprefix('s3://lakes/')}/a")
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "lake")
    assert sent[0]["x-amz-server-side-encryption-bucket-key-enabled"] == "true"  # moto keeps it of whole objects only
    assert store.read_bytes("a") == bytes(size_bytes)
