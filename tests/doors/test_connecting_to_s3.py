"""Where the address and the keys of a store come from: options, the environment, profiles, fsspec's own settings."""

from __future__ import annotations

from itertools import count

import fsspec.config
import pytest

import lakepart as lp
from lakepart.storage.s3 import S3Store
from lakepart.testing.proxies import Fault, proxy_before

_NUMBERS = count()
_NOWHERE = "http://s3.invalid"


@pytest.fixture
def url(s3_lakes):
    return f"{s3_lakes}/connecting-{next(_NUMBERS)}"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch, tmp_path):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setattr(fsspec.config, "conf", {})


def works(url, **options):
    store = S3Store(url, options)
    store.put_new("a", b"bytes")
    return store.read_bytes("a") == b"bytes"


@pytest.mark.parametrize("endpoint", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_environment_is_enough(url, s3, monkeypatch, endpoint):
    monkeypatch.setenv(endpoint, s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    assert works(url)


@pytest.mark.parametrize("by_environment", [True, False])
def test_a_profile_is_enough(url, s3, monkeypatch, tmp_path, by_environment):
    (tmp_path / "AWS_CONFIG_FILE").write_text(f"[profile team]\nendpoint_url = {s3.url}\nregion = us-east-1\n")
    keys = f"[team]\naws_access_key_id = {s3.key}\naws_secret_access_key = {s3.secret}\n"
    (tmp_path / "AWS_SHARED_CREDENTIALS_FILE").write_text(keys)
    if by_environment:
        monkeypatch.setenv("AWS_PROFILE", "team")

    assert works(url, **({} if by_environment else {"profile": "team"}))


def test_without_credentials_anywhere_the_error_is_one_of_rights(url, s3, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    with pytest.raises(lp.StorageError) as caught:
        works(url, endpoint_url=s3.url)

    assert caught.value.code is lp.ErrorCode.PERMISSION


def test_what_fsspec_is_configured_with_is_taken_and_options_go_before_it(url, s3, monkeypatch):
    environment = {
        "FSSPEC_S3_KEY": s3.key,
        "FSSPEC_S3_SECRET": s3.secret,
        "FSSPEC_S3": f'{{"endpoint_url": "{s3.url}", "default_block_size": 1000, "client_kwargs": {{}}}}',
    }
    fsspec.config.set_conf_env(fsspec.config.conf, environment)

    assert works(url)
    with pytest.raises(lp.StorageError):
        works(f"{url}/other", **{**s3.storage_options, "key": "nobody"})
    monkeypatch.setitem(fsspec.config.conf["s3"], "token", "of another")
    assert works(f"{url}/third", key=s3.key, secret=s3.secret)


def test_a_configuration_of_fsspec_that_is_none_is_refused(url, monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"client_kwargs": "hidden"})

    with pytest.raises(lp.InvalidInputError, match="fsspec is configured with 'client_kwargs'") as caught:
        S3Store(url)

    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(("style", "begins"), [("path", "http://s3.invalid/lakes/"), ("virtual", "http://lakes.s3.i")])
def test_a_proxy_is_asked_in_the_style_that_was_chosen(url, s3, style, begins):
    seen = []
    with proxy_before(s3.url) as proxy:
        proxy.fail(Fault.ACCESS_DENIED, lambda request: seen.append(request.target) or style == "virtual", times=99)
        config = {"proxies": {"http": proxy.url}, "s3": {"addressing_style": style}}
        options = {**s3.storage_options, "endpoint_url": _NOWHERE, "config_kwargs": config}

        if style == "path":
            assert works(url, **options)
        else:  # the server behind knows buckets in paths only
            with pytest.raises(lp.StorageError):
                works(url, **options)

    assert seen
    assert all(target.startswith(begins) for target in seen)


def test_a_lake_is_opened_by_the_environment_alone(url, s3, monkeypatch, tmp_path):
    monkeypatch.setenv("LAKEPART_URL", url)
    monkeypatch.setenv("LAKEPART_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    lp.create(url, catalog=f"sqlite:///{tmp_path}/catalog.db").close()

    with lp.connect() as lake:
        assert lake.url == url
