import base64
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from lakepart.engine.opening import system_clock
from lakepart.errors import AlreadyExistsError
from lakepart.storage.s3 import S3Store
from lakepart.testing.store_contract import THREADS, StoreContract
from lakepart.testing.strict_s3 import StrictS3

_NUMBERS = count()
PART_BYTES = 5 << 20  # the least that S3 takes


def _sizes(size_bytes):
    if size_bytes <= PART_BYTES:
        return [size_bytes]
    return [min(PART_BYTES, size_bytes - at) for at in range(0, size_bytes, PART_BYTES)]


class TestS3StoreOnSeaweedfs(StoreContract):
    @pytest.fixture
    def store(self, s3_lakes, s3):
        return S3Store(f"{s3_lakes}/{next(_NUMBERS)}", s3.storage_options)


class TestS3StoreOnMoto(StoreContract):
    @pytest.fixture
    def store(self, moto_lakes, moto):
        return S3Store(f"{moto_lakes}/{next(_NUMBERS)}", moto.storage_options)


@pytest.fixture(scope="module")
def server():
    """A listing has several pages in most tests."""
    return StrictS3(system_clock, page_keys=3)


class TestS3StoreOnTheStrictFake(StoreContract):
    test_arrow_finds_the_object_by_itself_where_it_can = None  # it is in memory, where Arrow's client cannot ask

    @pytest.fixture
    def store(self, server):
        return S3Store(f"{server.make_bucket('lakes')}/{next(_NUMBERS)}", client=server.client)


class TestS3StoreThatSendsPartsAtOnceToTheStrictFake(StoreContract):
    test_arrow_finds_the_object_by_itself_where_it_can = None  # it is in memory, where Arrow's client cannot ask

    @pytest.fixture
    def store(self, server):
        where = f"{server.make_bucket('lakes')}/{next(_NUMBERS)}"
        return S3Store(where, client=server.client, part_bytes=PART_BYTES, whole_bytes=0)


class TestS3StoreOfAClass:
    @pytest.mark.parametrize(("size_bytes", "parts"), [(1, ""), (11 << 20, "-3")])
    def test_objects_are_sent_with_the_sha_256_that_the_server_keeps(self, s3_lakes, s3, size_bytes, parts):
        where = f"{s3_lakes}/{next(_NUMBERS)}"
        store = S3Store(where, s3.storage_options, part_bytes=PART_BYTES, whole_bytes=PART_BYTES)

        with store.open_new("a") as sink:
            sink.write(bytes(size_bytes))

        key = f"{where.removeprefix('s3://lakes/')}/a"
        found = s3.client().head_object(Bucket="lakes", Key=key, ChecksumMode="ENABLED")["ChecksumSHA256"]
        digests = [hashlib.sha256(bytes(size)).digest() for size in _sizes(size_bytes)]
        whole = hashlib.sha256(b"".join(digests)).digest() if parts else digests[0]
        assert found == base64.b64encode(whole).decode() + parts

    @pytest.mark.parametrize("size_bytes", [1, 11 << 20])
    def test_objects_have_its_class(self, s3_lakes, s3, size_bytes):
        store = S3Store(
            f"{s3_lakes}/{next(_NUMBERS)}",
            s3.storage_options,
            storage_class="STANDARD_IA",
            part_bytes=PART_BYTES,
            whole_bytes=PART_BYTES,
        )

        with store.open_new("a/b") as sink:
            sink.write(bytes(size_bytes))

        found = s3.client().list_objects_v2(Bucket="lakes", Prefix=f"{store.root.removeprefix('s3://lakes/')}/")
        assert [one["StorageClass"] for one in found["Contents"]] == ["STANDARD_IA"]
        assert store.stat("a/b").storage_class == "STANDARD_IA"


class TestS3StoreThatSendsPartsAtOnce(StoreContract):
    @pytest.fixture
    def store(self, s3_lakes, s3):
        options = s3.storage_options
        return S3Store(f"{s3_lakes}/{next(_NUMBERS)}", options, part_bytes=PART_BYTES, whole_bytes=0)

    @pytest.mark.parametrize("whole", [False, True])
    def test_of_many_threads_that_write_one_path_exactly_one_wins(self, store, whole):
        """What stands is whole and somebody's: S3 lets one of them complete, SeaweedFS and moto now and then two."""

        def write(worker):
            start.wait()
            try:
                with store.open_new("a/contested", whole=whole) as sink:
                    sink.write(bytes([worker]) * 1000)
            except AlreadyExistsError:
                return None
            return bytes([worker]) * 1000

        start = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            written = set(pool.map(write, range(THREADS))) - {None}

        assert store.read_bytes("a/contested") in written
        assert [found.path for found in store.list()] == ["a/contested"]
