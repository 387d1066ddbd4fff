import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from lakepart.errors import AlreadyExistsError
from lakepart.storage.s3 import S3Store
from lakepart.testing.store_contract import THREADS, StoreContract

_NUMBERS = count()
PART_BYTES = 5 << 20  # the least that S3 takes


class TestS3StoreOnSeaweedfs(StoreContract):
    @pytest.fixture
    def store(self, s3_lakes, s3):
        return S3Store(f"{s3_lakes}/{next(_NUMBERS)}", s3.storage_options)


class TestS3StoreOnMoto(StoreContract):
    @pytest.fixture
    def store(self, moto_lakes, moto):
        return S3Store(f"{moto_lakes}/{next(_NUMBERS)}", moto.storage_options)


class TestS3StoreOfAClass:
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
