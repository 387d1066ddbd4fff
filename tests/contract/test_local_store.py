import pytest

from lakepart.storage.local import LocalStore
from lakepart.testing.store_contract import StoreContract


class TestLocalStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        return LocalStore(tmp_path / "lake")


class TestLocalStoreBehindALink(StoreContract):
    @pytest.fixture
    def store(self, tmp_path):
        (tmp_path / "disk").mkdir()
        (tmp_path / "lake").symlink_to(tmp_path / "disk")
        return LocalStore(tmp_path / "lake")
