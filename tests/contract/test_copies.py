"""Copies between every two kinds of store keep the same promises."""

from itertools import count

import pytest

from lakepart.engine.opening import system_clock
from lakepart.storage.local import LocalStore
from lakepart.storage.s3 import S3Store
from lakepart.storage.s3_client import make_client
from lakepart.testing import memory_store
from lakepart.testing.copy_contract import DATA, CopyContract, copy, write
from lakepart.testing.strict_s3 import StrictS3

PART_BYTES = 5 << 20  # the least that S3 takes
PARTS = {"part_bytes": PART_BYTES, "whole_bytes": PART_BYTES}
_NUMBERS = count()


@pytest.fixture
def local(tmp_path):
    return LocalStore(tmp_path / "local")


@pytest.fixture(scope="module")
def client_of_seaweedfs(s3):
    """One for all tests: it takes longer to make than to use."""
    client = make_client(s3.storage_options)
    return lambda: client


@pytest.fixture(scope="module")
def client_of_moto(moto):
    client = make_client(moto.storage_options)
    return lambda: client


@pytest.fixture(scope="module")
def server():
    return StrictS3(system_clock)


@pytest.fixture
def seaweedfs(client_of_seaweedfs, s3_lakes):
    return S3Store(f"{s3_lakes}/copies-{next(_NUMBERS)}", client=client_of_seaweedfs, **PARTS)


@pytest.fixture
def on_moto(client_of_moto, moto_lakes):
    return S3Store(f"{moto_lakes}/copies-{next(_NUMBERS)}", client=client_of_moto)


class TestFromDiskToDisk(CopyContract):
    @pytest.fixture
    def source(self, local):
        return local

    @pytest.fixture
    def target(self, tmp_path):
        return LocalStore(tmp_path / "other")


class TestFromDiskToMemory(CopyContract):
    @pytest.fixture
    def source(self, local):
        return local

    @pytest.fixture
    def target(self):
        return memory_store()


class TestFromDiskToS3(CopyContract):
    @pytest.fixture
    def source(self, local):
        return local

    @pytest.fixture
    def target(self, seaweedfs):
        return seaweedfs


class TestFromS3ToDisk(CopyContract):
    @pytest.fixture
    def source(self, seaweedfs):
        return seaweedfs

    @pytest.fixture
    def target(self, local):
        return local


class TestFromOneEndpointToAnother(CopyContract):
    @pytest.fixture
    def source(self, seaweedfs):
        return seaweedfs

    @pytest.fixture
    def target(self, on_moto):
        return on_moto


@pytest.mark.parametrize("whole_copy_bytes", [1 << 30, PART_BYTES], ids=["whole", "in-parts"])
class TestFromBucketToBucketOfSeaweedfs(CopyContract):
    @pytest.fixture
    def source(self, seaweedfs):
        return seaweedfs

    @pytest.fixture
    def target(self, s3, s3_lakes, whole_copy_bytes):
        where = f"{s3_lakes}/copied-{next(_NUMBERS)}"
        return S3Store(
            where, s3.storage_options, storage_class="STANDARD_IA", whole_copy_bytes=whole_copy_bytes, **PARTS
        )


@pytest.mark.parametrize("whole_copy_bytes", [1 << 30, PART_BYTES], ids=["whole", "in-parts"])
class TestFromBucketToBucketOfTheStrictFake(CopyContract):
    @pytest.fixture
    def source(self, server):
        return S3Store(f"{server.make_bucket('hot')}/{next(_NUMBERS)}", client=server.client, **PARTS)

    @pytest.fixture
    def target(self, server, whole_copy_bytes):
        where, sizes = f"{server.make_bucket('cold')}/{next(_NUMBERS)}", {**PARTS, "whole_copy_bytes": whole_copy_bytes}
        return S3Store(where, client=server.client, **sizes)


class TestFromPrefixToPrefixOfMoto(CopyContract):
    @pytest.fixture
    def source(self, on_moto):
        return on_moto

    @pytest.fixture
    def target(self, client_of_moto, moto_lakes):
        return S3Store(f"{moto_lakes}/copied-{next(_NUMBERS)}", client=client_of_moto)

    def test_other_bytes_that_stand_are_refused_and_left_alone(self, source, target):
        """Moto ignores conditions of copies: what stands gives way to bytes that are proven, and none are lost."""
        write(source, "a/file", DATA)
        target.put_new("x/file", b"other")

        copy(source, target)

        assert target.read_bytes("x/file") == source.read_bytes("a/file") == DATA
