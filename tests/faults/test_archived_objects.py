"""An archived object as each client meets it, and a lake that does: moto knows archives and restores."""

from __future__ import annotations

from itertools import count
from urllib.parse import quote

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyarrow import dataset, fs

import lakepart as lp
from lakepart.cli.app import run
from lakepart.errors import LakepartError, OfflineDataError
from lakepart.model.archives import AvailabilityState, is_archived
from lakepart.parquet.datasets import open_parquet
from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.s3 import S3Store

_NUMBERS = count()
ROWS = pd.DataFrame({"a": [1, 2]})


@pytest.fixture
def folder(moto, moto_lakes):
    """The address of a folder with an archived Parquet file ``a.parquet``."""
    url = f"{moto_lakes}/archived-{next(_NUMBERS)}"
    key = f"{url.removeprefix('s3://lakes/')}/a.parquet"
    moto.client().put_object(Bucket="lakes", Key=key, Body=ROWS.to_parquet(), StorageClass="GLACIER")
    return url


@pytest.fixture
def options(moto):
    """What s3fs and pandas take."""
    return {"key": moto.key, "secret": moto.secret, "client_kwargs": {"endpoint_url": moto.url}}


@pytest.fixture
def arrow(moto):
    address = moto.url.removeprefix("http://")
    return fs.S3FileSystem(
        access_key=moto.key,
        secret_key=moto.secret,
        endpoint_override=address,
        scheme="http",
        region="us-east-1",
    )


@pytest.fixture
def path(folder):
    return f"{folder.removeprefix('s3://')}/a.parquet"


def _arrow_url(path, moto):
    endpoint = quote(moto.url.removeprefix("http://"), safe="")
    return f"s3://{moto.key}:{moto.secret}@{path}?scheme=http&region=us-east-1&endpoint_override={endpoint}"


def _failure(read):
    """Give what a read by Arrow fails with."""
    with pytest.raises((OSError, LakepartError)) as caught:
        read()
    return caught.value


def _has_lost_the_words(error):
    """Whether Arrow has lost the words of the answer, as it does now and then, and says no more than 403."""
    return "ACCESS_DENIED during" in str(error)


READS = {
    "bytes": lambda store: store.read_bytes("a.parquet"),
    "ranges": lambda store: store.read_ranges("a.parquet", [(0, 1), (2, 4)]),
    "file": lambda store: store.open_read("a.parquet").read(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_the_store_for_s3_says_that_it_is_offline(folder, moto, read):
    with pytest.raises(OfflineDataError, match=r"a\.parquet.*restored"):
        read(S3Store(folder, moto.storage_options))


@pytest.mark.parametrize("read", [READS["bytes"], READS["ranges"]], ids=["bytes", "ranges"])
def test_a_store_over_s3fs_says_that_it_is_offline(folder, options, read):
    with pytest.raises(OfflineDataError, match=r"a\.parquet.*restored"):
        read(FsspecStore(folder, storage_options=options))


def test_pandas_over_s3fs_is_understood(path, options):
    with pytest.raises(PermissionError) as caught:
        pd.read_parquet(f"s3://{path}", storage_options=options)

    assert is_archived(caught.value)


def test_a_copy_by_s3fs_is_understood(path, options):
    filesystem = FsspecStore(f"s3://{path}", storage_options=options)._filesystem
    with pytest.raises(OSError, match=r".") as caught:
        filesystem.cp_file(path, f"{path}.copy")

    assert is_archived(caught.value)


def test_arrow_is_understood_as_a_file_as_parquet_and_as_a_dataset(path, arrow):
    reads = [
        lambda: arrow.open_input_file(path).read(),
        lambda: pq.read_table(path, filesystem=arrow),
        lambda: dataset.dataset(path, filesystem=arrow).to_table(),
    ]

    errors = [_failure(read) for read in reads]

    assert all(is_archived(error) or _has_lost_the_words(error) for error in errors)


def test_an_archived_file_of_somebody_else_is_not_called_damaged(path, moto):
    error = _failure(lambda: open_parquet(_arrow_url(path, moto), f"s3://{path}"))

    assert isinstance(error, OfflineDataError) or _has_lost_the_words(error)
    assert moto.secret not in str(error)


def test_availability_is_told_by_a_look_and_a_listing_that_does_not_tell_it_says_so(folder, moto):
    store = S3Store(folder, moto.storage_options)
    (listed,) = store.list()
    before = store.stat("a.parquet").availability

    assert store.restore("a.parquet", days=1, speed="Bulk")

    after = store.stat("a.parquet").availability
    assert listed.availability is None
    assert (before.state, after.state) == (AvailabilityState.OFFLINE, AvailabilityState.RESTORED)
    assert after.until is not None
    assert store.read_bytes("a.parquet") == ROWS.to_parquet()


def test_a_listing_asks_for_restores_of_servers_that_do_not_know_them(s3, s3_lakes):
    url = f"{s3_lakes}/archived-{next(_NUMBERS)}"
    store = S3Store(url, s3.storage_options, storage_class="GLACIER_IR")
    store.put_new("a", b"bytes")

    assert [(one.storage_class, one.availability.state) for one in store.list()] == [("GLACIER_IR", "online")]


def test_a_command_restores_what_a_lifecycle_rule_archived(moto, moto_lakes, tmp_path, monkeypatch, capsys):
    url, catalog = f"{moto_lakes}/archived-{next(_NUMBERS)}", f"sqlite:///{tmp_path / 'catalog.db'}"
    for name, value in {
        "LAKEPART_CATALOG": catalog,
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_ACCESS_KEY_ID": moto.key,
        "AWS_SECRET_ACCESS_KEY": moto.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with lp.create(url, catalog=catalog) as lake:
        lake.asset("flights", partitions=lp.Daily("2026-01-01")).write({"2026-01-01": ROWS, "2026-01-02": ROWS})
        (path,) = lake.asset("flights")["2026-01-01"].files()["path"]
    key = f"{url.removeprefix('s3://lakes/')}/hot/{path[path.index('flights/') :]}"
    moto.client().copy_object(
        Bucket="lakes", Key=key, CopySource={"Bucket": "lakes", "Key": key}, StorageClass="GLACIER"
    )

    codes = [
        run(["head", url, "flights", "2026-01-01"]),
        run(["tier", "restore", url, "flights"]),
        run(["tier", "restore", url, "flights", "--days", "2", "--apply"]),
        run(["head", url, "flights", "2026-01-01"]),
        run(["files", url, "flights", "--availability", "--json"]),
    ]

    said = capsys.readouterr()
    assert codes == [1, 5, 0, 0, 0]
    assert '"availability": "restored until 2' in said.out
    assert '"availability": "online"' in said.out
    assert "1 partition of 'flights' cannot be read" in said.err
    assert "Restore 1 partition of flights, 1 file, " in said.out
    assert "Asked for 1 file, " in said.out
