"""What Arrow's own S3 client is told is what ours was told, wherever that came from."""

from __future__ import annotations

import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow.fs import S3FileSystem

from lakepart.errors import ErrorCode, InvalidInputError, StorageError
from lakepart.parquet.datasets import open_filesystem
from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.credentials import TierCredentials
from lakepart.storage.s3 import S3Store

KEYS = {"key": "k", "secret": "s3cret"}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def arguments(options, url="s3://acme/lake"):
    native = S3Store(url, options).native_filesystem()
    assert native.kind == "S3FileSystem"
    S3FileSystem(**native.arguments)  # Arrow takes them
    return native.arguments


def test_an_object_is_below_bucket_and_prefix():
    assert S3Store("s3://acme/a/lake", KEYS).native_filesystem().place("x/y") == "acme/a/lake/x/y"
    assert S3Store("s3://acme", KEYS).native_filesystem().place("x/y") == "acme/x/y"


def test_keys_and_tokens_are_those_of_the_options_the_environment_or_a_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    (tmp_path / "credentials").write_text("[other]\naws_access_key_id = of-the-profile\naws_secret_access_key = p\n")

    given = arguments({**KEYS, "token": "t"})

    assert (given["access_key"], given["secret_key"], given["session_token"]) == ("k", "s3cret", "t")
    assert arguments({})["access_key"] == "from-the-environment"
    assert arguments({"profile": "other"})["access_key"] == "of-the-profile"
    assert "session_token" not in arguments(KEYS)


def test_a_public_bucket_is_read_without_credentials():
    given = arguments({"anon": True})

    assert given["anonymous"] is True
    assert "access_key" not in given


def test_without_credentials_the_error_says_where_they_are_looked_for(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)

    with pytest.raises(StorageError, match="no credentials") as caught:
        S3Store("s3://acme/lake", {}).native_filesystem()

    assert caught.value.code is ErrorCode.PERMISSION


def test_endpoint_and_region_are_those_of_the_client(monkeypatch):
    assert arguments(KEYS)["region"] == "us-east-1"
    assert arguments({**KEYS, "region": "eu-west-1"})["endpoint_override"] == "s3.eu-west-1.amazonaws.com"
    own = arguments({**KEYS, "endpoint_url": "http://store:9000"})
    assert (own["scheme"], own["endpoint_override"]) == ("http", "store:9000")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere")
    assert arguments(KEYS)["endpoint_override"] == "elsewhere"


@pytest.mark.parametrize(
    ("url", "options", "in_hosts"),
    [
        ("s3://acme/lake", {}, True),
        ("s3://ac.me/lake", {}, False),
        ("s3://acme/lake", {"config_kwargs": {"s3": {"addressing_style": "path"}}}, False),
        ("s3://acme/lake", {"endpoint_url": "http://store:9000"}, False),
        (
            "s3://acme/lake",
            {"endpoint_url": "http://store:9000", "config_kwargs": {"s3": {"addressing_style": "virtual"}}},
            True,
        ),
    ],
)
def test_buckets_are_in_hosts_where_the_client_has_them_there(url, options, in_hosts):
    assert arguments({**KEYS, **options}, url)["force_virtual_addressing"] is in_hosts


def test_proxies_are_those_of_the_client_or_of_the_environment(monkeypatch):
    assert "proxy_options" not in arguments(KEYS)
    assert arguments({**KEYS, "config_kwargs": {"proxies": {"https": "p:3128"}}})["proxy_options"] == "http://p:3128"
    monkeypatch.setenv("https_proxy", "http://user:pw@p:1")
    assert arguments(KEYS)["proxy_options"] == "http://user:pw@p:1"
    monkeypatch.setenv("no_proxy", "store")
    assert "proxy_options" not in arguments({**KEYS, "endpoint_url": "https://store"})


def test_certificates_of_ones_own_are_passed_on(tmp_path):
    (tmp_path / "ca.pem").write_text("")

    given = arguments({**KEYS, "client_kwargs": {"verify": str(tmp_path / "ca.pem")}})

    assert given["tls_ca_file_path"] == str(tmp_path / "ca.pem")


def test_certificates_that_the_client_found_elsewhere_are_passed_on(tmp_path, monkeypatch):
    authority = str(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("")
    (tmp_path / "config").write_text(f"[profile team]\nca_bundle = {authority}\n")
    given = TierCredentials(lambda _: {**KEYS, "client_kwargs": {"verify": authority}}, "hot")

    assert arguments({**KEYS, "profile": "team"})["tls_ca_file_path"] == authority
    assert S3Store("s3://acme", credentials=given).native_filesystem().arguments["tls_ca_file_path"] == authority
    monkeypatch.setenv("AWS_CA_BUNDLE", authority)
    assert arguments(KEYS)["tls_ca_file_path"] == authority


def test_a_provider_that_wants_no_certificates_is_refused_as_options_are():
    given = TierCredentials(lambda _: {**KEYS, "client_kwargs": {"verify": False}}, "hot")

    with pytest.raises(InvalidInputError, match="verify"):
        S3Store("s3://acme", credentials=given).native_filesystem()


@pytest.mark.parametrize(
    ("options", "said"),
    [({"requester_pays": True}, "requester_pays"), ({"client_kwargs": {"verify": False}}, "verify")],
)
def test_what_arrow_has_not_is_refused_by_name(options, said):
    with pytest.raises(InvalidInputError, match=said) as caught:
        S3Store("s3://acme/lake", {**KEYS, **options}).native_filesystem()

    assert caught.value.code is ErrorCode.UNSUPPORTED


class _Elsewhere(MemoryFileSystem):
    """An object store of a name, as far as options go."""

    cachable = False


class _Google(_Elsewhere):
    protocol = ("gs", "gcs")


class _Azure(_Elsewhere):
    protocol = ("abfs", "az", "abfss")


@pytest.mark.parametrize(
    ("filesystem", "kind", "given"),
    [
        (_Google(token="anon", project="p"), "GcsFileSystem", {"anonymous": True, "project_id": "p"}),  # noqa: S106 - a word
        (
            _Google(endpoint_url="http://store:4443"),
            "GcsFileSystem",
            {"scheme": "http", "endpoint_override": "store:4443"},
        ),
        (
            _Azure(account_name="n", account_key="a2V5"),
            "AzureFileSystem",
            {"account_name": "n", "account_key": "a2V5"},
        ),
    ],
    ids=["google without a key", "google elsewhere", "azure"],
)
def test_google_and_azure_have_filesystems_of_arrow_too(filesystem, kind, given):
    native = FsspecStore(filesystem, "bucket/lake").native_filesystem()

    assert (native.kind, native.arguments) == (kind, given)
    assert native.place("x").endswith("bucket/lake/x")
    open_filesystem(kind, given)


@pytest.mark.parametrize(
    "filesystem",
    [_Google(token="cloud"), _Azure(account_name="n", anon=True)],  # noqa: S106 - a word
    ids=["google", "azure"],
)
def test_an_option_of_theirs_that_arrow_has_not_is_refused_by_name(filesystem):
    with pytest.raises(InvalidInputError, match=r"'(token|anon)'"):
        FsspecStore(filesystem, "bucket/lake").native_filesystem()


def test_a_store_in_memory_has_none():
    assert FsspecStore.in_memory().native_filesystem() is None


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(S3Store("s3://acme/lake", KEYS).native_filesystem())
