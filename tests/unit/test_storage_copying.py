import hashlib

import pytest

from lakepart.errors import CorruptionError, NotFoundError, StorageError
from lakepart.storage.anyfs import FsspecStore
from lakepart.storage.copying import checksum, copy_file
from lakepart.storage.local import LocalStore
from lakepart.testing import Crash, CrashingStore, Effects, FullDiskStore, memory_store

DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(params=["local", "memory"])
def cold(request, tmp_path):
    return LocalStore(tmp_path / "cold") if request.param == "local" else memory_store()


@pytest.fixture
def hot(tmp_path):
    store = LocalStore(tmp_path / "hot")
    store.put_new("flights/a", DATA)
    return store


def paths(store):
    return [found.path for found in store.list()]


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
def test_a_copy_has_the_bytes_of_its_source_whatever_the_chunk(hot, cold, chunk):
    data = DATA if chunk > 1 else b"few bytes"
    hot.put_new("flights/b", data)

    copy_file(hot, "flights/b", cold, "x/b", expected_checksum=hashlib.sha256(data).hexdigest(), chunk=chunk)

    assert paths(cold) == ["x/b"]
    assert cold.read_bytes("x/b") == data
    assert hot.read_bytes("flights/b") == data


def test_a_checksum_is_the_sha256_of_the_bytes(hot):
    assert checksum(hot, "flights/a") == DIGEST
    with pytest.raises(NotFoundError):
        checksum(hot, "flights/absent")


def test_a_damaged_source_leaves_no_copy(hot, cold):
    with pytest.raises(CorruptionError, match="flights/a") as caught:
        copy_file(hot, "flights/a", cold, "x/a", expected_checksum="0" * 64)

    assert caught.value.context["checksum"] == DIGEST
    assert paths(cold) == []


class ForgetfulStore(LocalStore):
    """A disk that keeps other bytes than it is given."""

    def open_new(self, path, *, whole=False):
        sink = super().open_new(path, whole=whole)
        take = sink.write
        sink.write = lambda data: take(b"x" * len(data))
        return sink


def test_a_target_that_keeps_other_bytes_is_blamed_and_shows_no_copy(hot, tmp_path):
    cold = ForgetfulStore(tmp_path / "cold")

    with pytest.raises(CorruptionError, match="'x/a' has other bytes") as caught:
        copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)

    assert caught.value.context["path"] == "x/a"
    assert paths(cold) == []
    assert hot.read_bytes("flights/a") == DATA


def test_a_store_that_keeps_other_bytes_than_it_was_sent_is_blamed(hot):
    class Forgetful(FsspecStore):
        def send(self, path, spool):
            spool = type(spool)()
            spool.write(b"other")
            super().send(path, spool)

    cold = Forgetful.in_memory()

    with pytest.raises(CorruptionError, match="'x/a' has other bytes"):
        copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)


def test_an_absent_source_leaves_no_copy(hot, cold):
    with pytest.raises(NotFoundError):
        copy_file(hot, "flights/absent", cold, "x/a", expected_checksum=DIGEST)

    assert paths(cold) == []


def test_a_copy_that_stands_already_is_accepted(hot, cold):
    copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)
    hot.delete("flights/a")

    copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)

    assert cold.read_bytes("x/a") == DATA


@pytest.mark.parametrize("other", [b"", DATA[:-1], DATA[:-1] + b"x"])
def test_other_bytes_at_the_target_are_refused_and_left_alone(hot, cold, other):
    cold.put_new("x/a", other)

    with pytest.raises(StorageError, match="other bytes"):
        copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)

    assert cold.read_bytes("x/a") == other


def test_a_target_that_fills_has_no_copy(hot, cold):
    disk = FullDiskStore(cold, len(DATA) - 1)

    with pytest.raises(StorageError):
        copy_file(hot, "flights/a", disk, "x/a", expected_checksum=DIGEST, chunk=1000)

    assert paths(cold) == []
    assert disk.free_bytes == len(DATA) - 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_copy_that_crashed_can_be_made_again(hot, cold, when):
    effects = Effects()
    effects.crash_at(0, when)
    with pytest.raises(Crash):
        copy_file(hot, "flights/a", CrashingStore(cold, effects), "x/a", expected_checksum=DIGEST)

    copy_file(hot, "flights/a", cold, "x/a", expected_checksum=DIGEST)

    assert cold.read_bytes("x/a") == DATA
