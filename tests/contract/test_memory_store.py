import fsspec
import pytest

from lakepart.storage.anyfs import FsspecStore
from lakepart.testing import CrashingStore, Effects, FullDiskStore, memory_store
from lakepart.testing.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self):
        return memory_store()


class TestFsspecStoreOnDisk(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FsspecStore(fsspec.filesystem("file"), str(tmp_path / "lake"))


class TestCrashingStoreThatDoesNotCrash(StoreContract):
    @pytest.fixture
    def store(self):
        return CrashingStore(memory_store(), Effects())


class TestFullDiskStoreThatIsNotFull(StoreContract):
    @pytest.fixture
    def store(self):
        return FullDiskStore(memory_store(), 1 << 30)
