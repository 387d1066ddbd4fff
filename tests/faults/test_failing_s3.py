"""What a network and a busy store do to requests, and what comes of it: all or nothing, and an error with a name."""

from __future__ import annotations

import hashlib
from itertools import count

import pytest

from lakepart.errors import AlreadyExistsError, ErrorCode, NotFoundError, StorageError
from lakepart.storage.copying import copy_file
from lakepart.storage.s3 import S3Store
from lakepart.testing.proxies import Fault, Request
from lakepart.testing.s3_servers import S3Server

PART_BYTES = 5 << 20
_NUMBERS = count()
_FOREVER = 1_000
PASSING = [Fault.SLOW_DOWN, Fault.INTERNAL_ERROR, Fault.LOST_ANSWER, Fault.CUT_ANSWER, Fault.HALF_CLOSED]


@pytest.fixture
def where(s3_lakes):
    return f"{s3_lakes}/failing-{next(_NUMBERS)}"


@pytest.fixture
def store(proxy, where, s3):
    return patient(proxy, where, s3, 10)


def patient(proxy, where, s3, wait_s):
    """Give a store that waits so long for an answer, and asks twice."""
    patience = {"read_timeout": wait_s, "retries": {"mode": "standard", "max_attempts": 2}}
    options = {**s3.storage_options, "endpoint_url": proxy.url, "config_kwargs": patience}
    return S3Store(where, options, part_bytes=PART_BYTES, whole_bytes=PART_BYTES)


@pytest.fixture
def truth(where, s3):
    """The same place, looked at past the proxy."""
    return S3Store(where, s3.storage_options)


def uploads_of(s3, where):
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    return s3.client().list_multipart_uploads(Bucket=bucket, Prefix=f"{prefix}/").get("Uploads", [])


def is_get(request: Request) -> bool:
    return request.method == "GET"


def is_put(request: Request) -> bool:
    return request.method == "PUT"


def is_completion(request: Request) -> bool:
    return request.method == "POST" and "uploadId=" in request.target


@pytest.mark.parametrize("fault", PASSING)
def test_a_put_that_fails_once_succeeds_and_is_nobodys_conflict(store, truth, proxy, fault):
    proxy.fail(fault, is_put)

    store.put_new("a", b"bytes")

    assert proxy.heal() == 0
    assert truth.read_bytes("a") == b"bytes"


@pytest.mark.parametrize("fault", PASSING)
def test_a_sink_whose_request_fails_once_succeeds(store, truth, proxy, fault):
    proxy.fail(fault, is_put)

    with store.open_new("a") as sink:
        sink.write(b"bytes")

    assert proxy.heal() == 0
    assert truth.read_bytes("a") == b"bytes"


@pytest.mark.parametrize("matches", [is_put, is_completion])
@pytest.mark.parametrize("fault", PASSING)
def test_an_object_in_parts_survives_a_failure_of_a_part_and_of_its_completion(store, truth, proxy, fault, matches):
    data = bytes(range(256)) * (3 * PART_BYTES // 256)
    proxy.fail(fault, matches)

    with store.open_new("a") as sink:
        sink.write(data)

    assert proxy.heal() == 0
    assert truth.read_bytes("a") == data


def test_somebody_elses_object_is_a_conflict_though_an_answer_was_lost(store, truth, proxy):
    truth.put_new("a", b"theirs")
    proxy.fail(Fault.LOST_ANSWER, is_put)

    with pytest.raises(AlreadyExistsError):
        store.put_new("a", b"ours!!")

    assert truth.read_bytes("a") == b"theirs"


@pytest.mark.parametrize("changed", [0, PART_BYTES, 3 * PART_BYTES - 1, "shorter", "longer"])
def test_somebody_elses_object_is_a_conflict_for_one_in_parts_wherever_they_differ(store, truth, proxy, changed):
    data = bytes(range(256)) * (3 * PART_BYTES // 256)
    if isinstance(changed, int):
        theirs = data[:changed] + b"?" + data[changed + 1 :]
    else:
        theirs = data[:-1] if changed == "shorter" else data + b"?"
    truth.put_new("a", theirs)
    proxy.fail(Fault.LOST_ANSWER, is_completion)

    with pytest.raises(AlreadyExistsError), store.open_new("a") as sink:
        sink.write(data)

    assert proxy.heal() == 0
    assert truth.read_bytes("a") == theirs


@pytest.mark.parametrize("matches", [is_put, is_get])
def test_what_is_never_answered_is_asked_again_once_patience_ends(truth, proxy, where, s3, matches):
    store = patient(proxy, where, s3, 1)
    truth.put_new("there", b"bytes")
    proxy.fail(Fault.SILENCE, matches)

    store.put_new("a", b"more bytes")

    assert store.read_bytes("there") == b"bytes"
    assert proxy.heal() == 0
    assert truth.read_bytes("a") == b"more bytes"


@pytest.mark.parametrize("fault", PASSING)
def test_a_read_that_fails_once_gives_the_bytes(store, truth, proxy, fault):
    data = bytes(range(256)) * 40_000
    truth.put_new("a", data)

    for read in (
        lambda: store.read_bytes("a"),
        lambda: store.open_read("a").read(),
        lambda: b"".join(store.read_ranges("a", [(0, 5_000_000), (5_000_000, len(data))])),
    ):
        proxy.fail(fault, is_get)
        assert read() == data
        assert proxy.heal() == 0


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.INTERNAL_ERROR, Fault.SILENCE, Fault.LOST_ANSWER])
def test_a_store_that_fails_for_good_is_an_error_that_may_be_cured_by_waiting(truth, proxy, where, s3, fault):
    store = patient(proxy, where, s3, 1)
    truth.put_new("a", b"bytes")
    proxy.fail(fault, times=_FOREVER)

    with pytest.raises(StorageError) as caught:
        store.read_bytes("a")

    assert caught.value.code is ErrorCode.STORAGE_UNREACHABLE
    assert caught.value.retryable


def test_a_write_in_parts_that_fails_for_good_leaves_neither_object_nor_upload(store, truth, proxy, s3, where):
    proxy.fail(Fault.INTERNAL_ERROR, lambda request: "partNumber=2" in request.target, times=_FOREVER)

    with pytest.raises(StorageError), store.open_new("a") as sink:
        sink.write(bytes(4 * PART_BYTES))

    assert truth.stat("a") is None
    assert uploads_of(s3, where) == []


def test_an_exception_while_parts_are_sent_leaves_neither_object_nor_upload(store, truth, s3, where):
    def write_and_interrupt():
        with store.open_new("a") as sink:
            sink.write(bytes(3 * PART_BYTES))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()

    assert truth.stat("a") is None
    assert uploads_of(s3, where) == []


def test_a_write_that_failed_and_was_caught_lets_nothing_appear(store, truth, proxy):
    proxy.fail(Fault.INTERNAL_ERROR, lambda request: request.method == "POST", times=_FOREVER)

    def write():
        with store.open_new("a") as sink:
            with pytest.raises(StorageError):
                sink.write(bytes(2 * PART_BYTES))
            proxy.heal()
            sink.write(b"x")

    with pytest.raises(StorageError, match="an earlier write"):
        write()
    assert truth.stat("a") is None


def test_a_write_that_failed_and_was_forgotten_lets_nothing_appear(store, truth, proxy, s3, where):
    proxy.fail(Fault.INTERNAL_ERROR, lambda request: request.method == "POST", times=_FOREVER)

    def write():
        with store.open_new("a") as sink:
            with pytest.raises(StorageError):
                sink.write(bytes(2 * PART_BYTES))
            proxy.heal()

    with pytest.raises(StorageError, match="an earlier write"):
        write()
    assert truth.stat("a") is None
    assert uploads_of(s3, where) == []


def test_nothing_is_written_once_the_block_was_left(store, truth):
    with store.open_new("a") as sink:
        sink.write(b"bytes")

    with pytest.raises(StorageError):
        sink.write(b" more")

    assert truth.read_bytes("a") == b"bytes"


def test_a_bucket_that_is_not_there_is_named(moto):
    nowhere = S3Store("s3://no-such-bucket/lake", moto.storage_options)

    for call in (lambda: nowhere.put_new("a", b""), lambda: list(nowhere.list())):
        with pytest.raises(StorageError, match="no-such-bucket") as caught:
            call()
        assert "no such bucket" in str(caught.value)


@pytest.mark.parametrize("wrong", [{"key": "nobody"}, {"secret": "not this one"}])
def test_wrong_credentials_are_an_error_of_rights_that_shows_no_secret(s3, where, wrong):
    store = S3Store(where, {**s3.storage_options, **wrong})

    for call in (lambda: store.read_bytes("a"), lambda: store.put_new("a", b""), lambda: list(store.list())):
        with pytest.raises(StorageError) as caught:
            call()
        assert caught.value.code is ErrorCode.PERMISSION
        assert "not this one" not in str(caught.value) + repr(caught.value.context)


def test_a_server_that_is_not_there_is_unreachable(where):
    options = S3Server("http://127.0.0.1:9").storage_options
    store = S3Store(where, {**options, "config_kwargs": {"retries": {"max_attempts": 2}}})

    with pytest.raises(StorageError) as caught:
        store.read_bytes("a")

    assert caught.value.code is ErrorCode.STORAGE_UNREACHABLE


def test_what_is_not_there_is_asked_for_once(store, proxy):
    with pytest.raises(NotFoundError):
        store.read_bytes("absent")

    assert dict(proxy.take_traffic().requests) == {"GET": 1}


def is_part_copy(request: Request) -> bool:
    return request.method == "PUT" and "partNumber=2" in request.target


@pytest.mark.parametrize("fault", [Fault.SLOW_DOWN, Fault.LOST_ANSWER, Fault.CUT_ANSWER])
@pytest.mark.parametrize(
    ("matches", "whole_copy_bytes"),
    [(is_put, 1 << 30), (is_part_copy, PART_BYTES), (is_completion, PART_BYTES)],
    ids=["whole", "part", "completion"],
)
def test_a_copy_within_the_store_survives_a_failure(proxy, where, s3, fault, matches, whole_copy_bytes):
    data = bytes(range(256)) * (2 * PART_BYTES // 256)
    options = {**s3.storage_options, "endpoint_url": proxy.url}
    source = S3Store(f"{where}/hot", options)
    target = S3Store(f"{where}/cold", options, part_bytes=PART_BYTES, whole_copy_bytes=whole_copy_bytes)
    source.put_new("a", data)
    proxy.fail(fault, matches)

    copy_file(source, "a", target, "a", expected_checksum=hashlib.sha256(data).hexdigest())

    assert proxy.heal() == 0
    assert target.read_bytes("a") == data
    assert [one.path for one in target.list()] == ["a"]
