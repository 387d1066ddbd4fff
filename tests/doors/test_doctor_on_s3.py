"""What doctor finds out about a place in S3: each right by its name, conditional writes, parts, class, clock, rules."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest
from botocore.exceptions import ClientError

import lakepart as lp
from lakepart.cli.app import run
from lakepart.storage import probing
from lakepart.storage.s3 import S3Store
from lakepart.storage.s3_failures import translated
from lakepart.testing.proxies import Fault, proxy_before

_NUMBERS = count()
_FOREVER = 1_000


@pytest.fixture
def catalog(tmp_path):
    return f"sqlite:///{tmp_path}/catalog.db"


@pytest.fixture
def options(s3, proxy):
    return {**s3.storage_options, "endpoint_url": proxy.url}


@pytest.fixture
def url(s3_lakes, s3, catalog):
    url = f"{s3_lakes}/doctor-{next(_NUMBERS)}"
    lp.create(url, catalog=catalog, storage_options=s3.storage_options).close()
    return url


def examined(url, catalog, options, **more):
    """What doctor says of the stores, without what is well."""
    found = lp.doctor(url, catalog=catalog, storage_options=options, **more)
    places = ("lake", "tier hot", "tier cold")
    return [one for one in found if one.subject in places and one.severity != "ok"]


def texts_of(found, subject, severity="problem"):
    return [one.text for one in found if (one.subject, one.severity) == (subject, severity)]


def leftovers(s3, url):
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    uploads = s3.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    begun = [one["Key"] for one in uploads if one["Key"].startswith(prefix)]
    return [one.path for one in S3Store(url, s3.storage_options).list() if one.path != "_lakepart/lake.json"] + begun


def test_a_place_where_all_is_well_is_as_it_was_afterwards(url, catalog, options, s3, proxy):
    assert examined(url, catalog, options) == []
    assert leftovers(s3, url) == []
    assert sum(proxy.take_traffic().requests.values()) <= 3 * 20


RIGHTS = {
    "s3:PutObject": lambda request: request.method == "PUT" and "?" not in request.target,
    "s3:GetObject": lambda request: request.method in {"GET", "HEAD"} and request.target.count("probe-"),
    "s3:DeleteObject": lambda request: request.method == "DELETE" and "uploadId" not in request.target,
    "s3:ListBucket": lambda request: "list-type" in request.target,
    "s3:ListBucketMultipartUploads": lambda request: request.method == "GET" and "uploads" in request.target,
    "s3:AbortMultipartUpload": lambda request: request.method == "DELETE" and "uploadId" in request.target,
}


@pytest.mark.parametrize("action", RIGHTS)
def test_a_right_that_is_denied_is_named_as_iam_names_it(url, catalog, options, proxy, action):
    proxy.fail(Fault.ACCESS_DENIED, lambda request: "/hot" in request.target and RIGHTS[action](request), times=99)
    proxy.fail(Fault.ACCESS_DENIED, lambda request: "%2Fhot" in request.target and RIGHTS[action](request), times=99)

    found = examined(url, catalog, options)

    said = texts_of(found, "tier hot")
    assert f"These credentials may not do {action}." in said
    if action not in {"s3:DeleteObject", "s3:GetObject"}:  # these tell more: what stays, and what is absent
        assert len(said) == 1
    assert texts_of(found, "tier cold") == texts_of(found, "lake") == []


def test_who_may_only_read_misses_the_right_to_write_only_if_he_means_to_write(url, catalog, s3):
    options = {**s3.storage_options, "key": s3.reader[0], "secret": s3.reader[1]}

    writing, reading = (examined(url, catalog, options, read_only=read_only) for read_only in (False, True))

    for place in ("lake", "tier hot", "tier cold"):
        assert texts_of(writing, place) == ["These credentials may not do s3:PutObject."]
    assert reading == []
    assert leftovers(s3, url) == []


def test_the_command_finds_keys_in_the_environment_and_ends_with_5(url, catalog, s3, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.reader[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.reader[1])

    code = run(["doctor", url, "--catalog", catalog, "--json"])

    said = capsys.readouterr().out
    assert code == 5
    assert "These credentials may not do s3:PutObject." in said
    assert s3.reader[1] not in said


def test_who_may_not_even_look_into_the_lake_is_told_so_of_the_lake(url, catalog, options, proxy):
    proxy.fail(Fault.ACCESS_DENIED, lambda request: True, times=_FOREVER)

    found = examined(url, catalog, options)

    assert len(texts_of(found, "lake")) == 1


def test_a_reader_who_may_not_list_is_told_what_that_means(url, catalog, options, proxy):
    proxy.fail(Fault.ACCESS_DENIED, lambda request: "list-type" in request.target, times=_FOREVER)

    found = examined(url, catalog, options, read_only=True)

    assert texts_of(found, "tier hot", "notice") == ["These credentials may not do s3:ListBucket."]
    assert "forbidden" in found[0].hint


def test_a_store_that_overwrites_is_a_problem_for_the_lakes_folder_and_a_notice_for_tiers(moto, moto_lakes, catalog):
    url = f"{moto_lakes}/doctor-{next(_NUMBERS)}"
    lp.create(url, catalog=catalog, storage_options=moto.storage_options).close()
    with proxy_before(moto.url) as proxy:
        proxy.left_out = frozenset({"if-none-match"})

        found = examined(url, catalog, {**moto.storage_options, "endpoint_url": proxy.url})

    assert [text.partition(" overwrites")[0] for text in texts_of(found, "lake")] == ["It", "In parts, it"]
    assert len(texts_of(found, "tier hot", "notice")) == 2
    assert leftovers(moto, url) == []


def test_a_class_that_is_not_kept_is_noticed(moto, moto_lakes, catalog):
    tiers = [lp.Tier("hot", "hot"), lp.Tier("cold", "cold", storage_class="GLACIER_IR")]
    url = f"{moto_lakes}/doctor-{next(_NUMBERS)}"
    lp.create(url, catalog=catalog, tiers=tiers, storage_options=moto.storage_options).close()
    with proxy_before(moto.url) as proxy:
        options = {**moto.storage_options, "endpoint_url": proxy.url}
        kept = examined(url, catalog, options)
        proxy.left_out = frozenset({"x-amz-storage-class"})

        found = examined(url, catalog, options)

    assert kept == []
    assert texts_of(found, "tier cold", "notice") == ["Objects are to have the class GLACIER_IR, and have STANDARD."]


def test_old_versions_and_lifecycle_rules_are_noticed(moto, catalog):
    bucket = f"doctor-{next(_NUMBERS)}"
    url = f"{moto.make_bucket(bucket)}/lake"
    client = moto.client()
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rules = [
        {
            "ID": "to ice",
            "Status": "Enabled",
            "Filter": {"Prefix": "lake/hot/"},
            "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
        },
        {"ID": "off", "Status": "Disabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}},
        {
            "ID": "uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
        {
            "ID": "old versions",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 7},
        },
        {
            "ID": "of others",
            "Status": "Enabled",
            "Filter": {"Prefix": "lake/hot-springs/"},
            "Expiration": {"Days": 30},
        },
    ]
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    lp.create(url, catalog=catalog, storage_options=moto.storage_options).close()

    found = examined(url, catalog, moto.storage_options)

    assert [text.partition("hear of it: ")[2] for text in texts_of(found, "tier hot", "notice")] == ["", "'to ice'."]
    assert len(texts_of(found, "tier cold", "notice")) == 1
    assert texts_of(found, "lake") == []


def test_a_clock_that_differs_is_noticed(url, catalog, options, monkeypatch):
    monkeypatch.setattr(probing, "_SKEW", timedelta.resolution)

    assert any("clock" in text for text in texts_of(examined(url, catalog, options), "tier hot", "notice"))


def test_credentials_that_are_wrong_are_one_problem_for_each_place(url, catalog, s3):
    found = examined(url, catalog, {**s3.storage_options, "key": "nobody"})

    assert [one.severity for one in found] == ["problem"] * len(found)
    assert "nobody" not in str(found)
    assert s3.secret not in str(found)


def test_a_denial_says_which_right_the_server_named():
    said = "User: arn:aws:iam::1:user/a is not authorized to perform: kms:GenerateDataKey on this resource"
    answer = ClientError({"Error": {"Code": "AccessDenied", "Message": said}}, "PutObject")

    with pytest.raises(lp.StorageError, match="kms:GenerateDataKey") as caught, translated("write", "s3://lakes/a"):
        raise answer

    assert caught.value.context["action"] == "kms:GenerateDataKey"
    assert "arn:" not in str(caught.value)
