from itertools import count

import pytest

from lakepart.storage.s3 import S3Store
from lakepart.testing.store_contract import StoreContract

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


class TestS3StoreThatSendsPartsAtOnce(StoreContract):
    @pytest.fixture
    def store(self, s3_lakes, s3):
        options = s3.storage_options
        return S3Store(f"{s3_lakes}/{next(_NUMBERS)}", options, part_bytes=PART_BYTES, whole_bytes=0)
