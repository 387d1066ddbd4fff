import errno
import threading
import uuid

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError, StorageError
from lakepart.storage import anyfs
from lakepart.storage.anyfs import FsspecStore


class UnreliableFileSystem(MemoryFileSystem):
    """A filesystem of somebody else that fails as networks do."""

    cachable = False
    protocol = "unreliable"

    def __init__(self):
        super().__init__()
        self.store = {}
        self.pseudo_dirs = [""]
        self.before = self.after = self.looking = None
        self.kept = 1.0

    def pipe_file(self, path, value, mode="overwrite", **options):
        if self.before:
            raise self.before
        super().pipe_file(path, value[: int(len(value) * self.kept)], mode=mode)
        if self.after:
            raise self.after

    def info(self, path, **options):
        if self.looking:
            raise self.looking
        return super().info(path, **options)


class ConditionalFileSystem(UnreliableFileSystem):
    """One whose server decides creation, as S3 does."""

    protocol = ("s3", "s3a")

    def pipe_file(self, path, value, mode="overwrite", **options):
        try:
            super().pipe_file(path, value, mode=mode)
        except FileExistsError:
            raise OSError(errno.EINVAL, "Invalid argument") from RefusedError()


class RefusedError(Exception):
    def __init__(self):
        super().__init__("412")
        self.response = {"Error": {"Code": "PreconditionFailed"}}


class DriverError(Exception):
    pass


@pytest.fixture
def filesystem():
    return UnreliableFileSystem()


@pytest.fixture
def store(filesystem):
    return FsspecStore(filesystem, "lake")


def write(store, path, data):
    with store.open_new(path) as sink:
        sink.write(data)


def test_a_put_whose_answer_was_lost_succeeds(store, filesystem):
    filesystem.after = ConnectionResetError("answer lost")

    store.put_new("a", b"bytes")

    assert filesystem.cat_file("/lake/a") == b"bytes"


def test_a_written_object_whose_answer_was_lost_is_there(store, filesystem):
    filesystem.after = ConnectionResetError("answer lost")

    write(store, "a", b"bytes")

    assert filesystem.cat_file("/lake/a") == b"bytes"


def test_a_torn_object_is_removed(store, filesystem):
    filesystem.after, filesystem.kept = OSError(errno.ENOSPC, "No space left on device"), 0.5

    with pytest.raises(StorageError) as caught:
        write(store, "a/b", b"bytes")

    assert caught.value.code == ErrorCode.DISK_FULL
    assert filesystem.find("/lake") == []


def test_an_object_that_never_arrived_is_an_error(store, filesystem):
    filesystem.before = ConnectionResetError("no way")

    with pytest.raises(StorageError):
        store.put_new("a", b"bytes")

    assert filesystem.find("/lake") == []


def test_the_first_error_is_told_where_the_store_cannot_be_asked_either(filesystem):
    filesystem = ConditionalFileSystem()
    store = FsspecStore(filesystem, "lake")
    filesystem.before, filesystem.looking = PermissionError(errno.EACCES, "denied"), ConnectionResetError("no way")

    with pytest.raises(StorageError) as caught:
        write(store, "a", b"bytes")

    assert caught.value.code == ErrorCode.PERMISSION


def test_where_the_server_decides_creation_a_refusal_is_known_whatever_the_driver_raises():
    store = FsspecStore(ConditionalFileSystem(), "lake")
    store.put_new("a", b"bytes")

    with pytest.raises(AlreadyExistsError):
        store.put_new("a", b"other")
    with pytest.raises(AlreadyExistsError):
        write(store, "a", b"other")
    store.put_new("a", b"bytes")

    assert store.read_bytes("a") == b"bytes"


def test_where_the_server_decides_creation_a_failed_send_deletes_nothing():
    filesystem = ConditionalFileSystem()
    store = FsspecStore(filesystem, "lake")
    filesystem.pipe_file("/lake/a", b"somebody else's")
    filesystem.before = ConnectionResetError("no way")

    with pytest.raises(StorageError):
        write(store, "a", b"ours")

    assert filesystem.cat_file("/lake/a") == b"somebody else's"


def test_what_a_driver_raises_of_its_own_is_a_storage_error_without_its_text(store, filesystem):
    filesystem.before = DriverError("https://bucket?X-Amz-Signature=secret")

    with pytest.raises(StorageError, match="DriverError") as caught:
        store.put_new("a", b"bytes")

    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, DriverError)


def test_bytes_beyond_the_buffer_wait_in_a_temporary_file_that_goes(store, filesystem, monkeypatch, tmp_path):
    monkeypatch.setattr(anyfs, "_SPOOL_BYTES", 1000)
    monkeypatch.setattr(anyfs.tempfile, "tempdir", str(tmp_path))
    data = bytes(range(250)) * 10

    with store.open_new("a") as sink:
        for start in range(0, len(data), 250):
            sink.write(data[start : start + 250])
        waiting = list(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError), store.open_new("b") as sink:
        sink.write(data[: len(data) // 0])

    assert len(waiting) == 1
    assert list(tmp_path.iterdir()) == []
    assert filesystem.cat_file("/lake/a") == data
    assert filesystem.find("/lake") == ["/lake/a"]


def test_nothing_is_sent_before_the_block_is_left(store, filesystem):
    with store.open_new("a") as sink:
        sink.write(b"bytes")
        before = filesystem.find("/lake")

    assert before == []
    assert filesystem.find("/lake") == ["/lake/a"]


def test_creation_is_exclusive_among_stores_on_one_filesystem():
    place = f"memory://{uuid.uuid4().hex}/lake"
    start = threading.Barrier(8)
    won = []

    def put(worker):
        own = FsspecStore(place)
        start.wait()
        try:
            own.put_new("contested", bytes([worker]))
        except AlreadyExistsError:
            return
        won.append(worker)

    threads = [threading.Thread(target=put, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert FsspecStore(place).read_bytes("contested") == bytes(won)


def test_stores_in_memory_share_nothing_and_stores_at_one_url_share_all():
    url = f"memory://{uuid.uuid4().hex}"
    FsspecStore.in_memory().put_new("a", b"1")
    FsspecStore(url).put_new("a", b"2")

    assert list(FsspecStore.in_memory().list()) == []
    assert FsspecStore(url).read_bytes("a") == b"2"


@pytest.mark.parametrize("url", ["nonsense://lake", "nonsense://user:secret@host/lake?token=secret"])
def test_a_url_that_no_driver_takes_is_refused_without_its_secrets(url):
    with pytest.raises(InvalidInputError) as caught:
        FsspecStore(url)

    assert caught.value.code == ErrorCode.UNSUPPORTED
    assert "secret" not in str(caught.value)


def test_its_repr_shows_neither_password_nor_options():
    store = FsspecStore("s3://bucket/lake/", storage_options={"key": "name", "secret": "hidden"})

    assert repr(store) == "FsspecStore('s3://bucket/lake')"
