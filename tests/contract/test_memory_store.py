import fsspec
import pytest
from fsspec.implementations.arrow import ArrowFSWrapper
from fsspec.implementations.dirfs import DirFileSystem
from pyarrow.fs import LocalFileSystem

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


class TestFsspecStoreInAFolderOfAnotherFilesystem(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FsspecStore(DirFileSystem(str(tmp_path), fsspec.filesystem("file")), "lake")


class TestFsspecStoreOverArrowAsHdfsIsReached(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return FsspecStore(ArrowFSWrapper(LocalFileSystem()), str(tmp_path / "lake"))


class TestCrashingStoreThatDoesNotCrash(StoreContract):
    @pytest.fixture
    def store(self):
        return CrashingStore(memory_store(), Effects())


class TestFullDiskStoreThatIsNotFull(StoreContract):
    @pytest.fixture
    def store(self):
        return FullDiskStore(memory_store(), 1 << 30)
