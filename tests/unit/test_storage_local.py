import errno
import os
import pickle
import stat
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lakepart.errors import AlreadyExistsError, ErrorCode, NotFoundError, StorageError
from lakepart.storage.base import is_temporary
from lakepart.storage.local import LocalStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def store(root):
    return LocalStore(root)


@pytest.fixture
def synced(monkeypatch):
    """The places that the operating system was told to sync, in order."""
    places = []
    real = os.fsync

    def recording(descriptor):
        real(descriptor)
        places.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", recording)
    return places


def failing(number):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return fail


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def write(store, path, data=b"bytes", *, whole=False):
    with store.open_new(path, whole=whole) as sink:
        sink.write(data)


def test_a_store_makes_nothing_until_something_is_written(store, root):
    assert list(store.list()) == []
    assert store.stat("a") is None
    assert not root.exists()


def test_a_written_file_is_synced_before_its_block_is_left(store, root, synced):
    store.put_new("other", b"")
    synced.clear()

    write(store, "a")

    assert synced == [f"{root}/a"]


def test_a_new_name_is_made_durable_by_each_folder_above_it_once(store, root, synced):
    paths = ["a/b/one", "a/b/two", "a/c/three"]
    for path in paths:
        write(store, path)
    synced.clear()

    store.make_durable(paths)

    assert sorted(synced) == [str(root), f"{root}/a", f"{root}/a/b", f"{root}/a/c"]


def test_many_folders_are_synced_once_each_too(store, root, synced):
    paths = [f"a/{number}/x" for number in range(40)]
    for path in paths:
        write(store, path)
    synced.clear()

    store.make_durable(paths + paths)

    assert sorted(synced) == sorted([str(root), f"{root}/a", *(f"{root}/a/{number}" for number in range(40))])


def test_a_folder_at_rest_is_synced_again_only_after_something_came_or_went(store, root, synced, monkeypatch):
    monkeypatch.setattr("lakepart.storage.local._AT_REST_NS", 20_000_000)  # longer than a step of the clock
    write(store, "a/b/one")
    time.sleep(0.05)
    store.make_durable(["a/b/one"])
    synced.clear()

    write(store, "a/b/two")
    store.make_durable(["a/b/two"])
    assert synced == [f"{root}/a/b/two", f"{root}/a/b"]

    (root / "a" / "c").mkdir()
    store.make_durable(["a/b/two"])
    assert sorted(synced[2:]) == [f"{root}/a", f"{root}/a/b"]


def test_a_folder_that_has_just_changed_is_synced_again(store, root, synced):
    write(store, "a/one")
    store.make_durable(["a/one"])
    synced.clear()

    store.make_durable(["a/one"])

    assert sorted(synced) == [str(root), f"{root}/a"]


def test_a_root_that_the_first_write_makes_is_durable_in_the_folders_above(tmp_path, synced):
    write(LocalStore(tmp_path / "new" / "lake"), "a/b")

    assert synced == [str(tmp_path / "new"), str(tmp_path), f"{tmp_path}/new/lake/a/b"]


def test_a_put_syncs_the_bytes_before_the_name_and_the_name_before_it_returns(store, root, synced):
    store.put_new("a/b", b"bytes")
    (first, *rest) = [place for place in synced if place.startswith(f"{root}/")]

    assert is_temporary(first)
    assert sorted(rest) == [f"{root}/a"]
    assert synced[-1] in {str(root), f"{root}/a"}


def test_a_put_that_finds_its_own_bytes_makes_them_durable_again(store, root, synced):
    store.put_new("a/b", b"bytes")
    synced.clear()

    store.put_new("a/b", b"bytes")

    assert {f"{root}/a/b", f"{root}/a", str(root)} <= set(synced)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, ErrorCode.DISK_FULL), (errno.EDQUOT, ErrorCode.DISK_FULL), (errno.EIO, ErrorCode.STORAGE)],
)
def test_a_file_whose_sync_fails_is_removed_and_its_folders_too(store, root, monkeypatch, number, code):
    store.put_new("kept", b"")
    monkeypatch.setattr(os, "fsync", failing(number))

    for whole in (False, True):
        with pytest.raises(StorageError) as caught:
            write(store, "a/b/c", whole=whole)
        assert caught.value.code == code
        assert os.strerror(number) in str(caught.value)
        assert isinstance(caught.value.__cause__, OSError)

    assert files_below(root) == ["kept"]


def test_a_folder_whose_sync_fails_is_an_error(store, monkeypatch):
    write(store, "a/b")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))

    with pytest.raises(StorageError, match="Cannot sync"):
        store.make_durable(["a/b"])


def test_a_filesystem_that_cannot_sync_folders_is_accepted(store, monkeypatch):
    write(store, "a/b")
    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))

    store.make_durable(["a/b"])


def test_names_that_are_gone_cannot_be_made_durable(store):
    write(store, "a/b/c")
    store.delete("a/b/c")

    with pytest.raises(NotFoundError):
        store.make_durable(["a/b/c"])


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_without_hard_links_a_put_is_still_whole_and_exclusive(store, root, monkeypatch, number):
    monkeypatch.setattr(os, "link", failing(number))

    store.put_new("a/b", b"bytes")
    with pytest.raises(AlreadyExistsError):
        store.put_new("a/b", b"other")

    assert files_below(root) == ["a", "a/b"]
    assert (root / "a/b").read_bytes() == b"bytes"


def test_a_claim_is_given_up_if_its_bytes_cannot_follow(store, root, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    monkeypatch.setattr(Path, "rename", failing(errno.EIO))

    with pytest.raises(StorageError):
        store.put_new("a/b", b"bytes")

    assert files_below(root) == []


def test_a_repeated_link_that_is_answered_as_taken_is_recognised(store, root, monkeypatch):
    real = os.link

    def answered_twice(source, target, **options):
        real(source, target, **options)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", answered_twice)

    write(store, "a/b", whole=True)

    assert files_below(root) == ["a", "a/b"]


def test_a_failed_link_leaves_nothing(store, root, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EIO))

    with pytest.raises(StorageError):
        store.put_new("a/b", b"bytes")

    assert files_below(root) == []


def test_a_whole_object_is_not_under_its_path_until_the_block_is_left(store, root):
    with store.open_new("a/b", whole=True) as sink:
        sink.write(b"bytes")
        before = [found.path for found in store.list()]

    assert store.stat("a/b").size_bytes == 5
    assert [is_temporary(path) for path in before] == [True]
    assert files_below(root) == ["a", "a/b"]


def test_a_sink_whose_write_failed_cannot_be_finished_even_if_the_error_is_caught(store, root):
    sink = store.open_new("a/b")

    def overfill():
        with sink:
            sink.write(b"good")
            os.dup2(read_only, sink._file.fileno())
            with suppress(StorageError):
                sink.write(b"bad")

    read_only = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(StorageError):
        overfill()
    os.close(read_only)

    assert files_below(root) == []


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_where_a_folder_must_be_is_said_in_words(store, whole):
    store.put_new("a", b"file")

    for path in ("a/b", "a/b/c"):
        with pytest.raises(StorageError, match="must be a folder is a file") as caught:
            store.open_new(path, whole=whole)
        assert caught.value.code == ErrorCode.STORAGE


def test_a_root_that_is_a_file_is_said_in_words(tmp_path):
    (tmp_path / "lake").write_text("not a folder")

    with pytest.raises(StorageError, match="must be a folder is a file"):
        LocalStore(tmp_path / "lake").put_new("a", b"")


def test_a_root_that_is_a_link_to_nowhere_is_said_in_words(tmp_path):
    (tmp_path / "lake").symlink_to(tmp_path / "absent")

    with pytest.raises(StorageError):
        LocalStore(tmp_path / "lake").put_new("a/b", b"")
    assert files_below(tmp_path) == ["lake"]


def test_a_folder_in_place_of_an_object_is_taken_but_nothing_to_read_or_delete(store, root):
    store.put_new("a/b", b"")

    with pytest.raises(AlreadyExistsError):
        store.open_new("a")
    with pytest.raises(AlreadyExistsError):
        store.put_new("a", b"")
    with pytest.raises(NotFoundError):
        store.read_bytes("a")
    assert store.delete("a") is False
    assert files_below(root) == ["a", "a/b"]


def test_a_name_longer_than_the_filesystem_takes_is_said_in_words(store):
    store.put_new("kept", b"")

    for call in (store.open_new, store.read_bytes, store.stat, store.delete):
        with pytest.raises(StorageError, match="no names of that length"):
            call("x" * 256)


def test_an_unwritable_folder_is_a_permission_error(store, monkeypatch):
    monkeypatch.setattr(os, "open", failing(errno.EACCES))  # the tests may run as root, whom no mode stops

    for call in (store.open_new, store.read_bytes):
        with pytest.raises(StorageError) as caught:
            call("a")
        assert caught.value.code == ErrorCode.PERMISSION
        assert "rights" in caught.value.hint


@pytest.mark.parametrize("inside", ["link/secret", "link"])
def test_a_symbolic_link_below_the_root_is_never_followed(store, root, tmp_path, inside):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("not ours")
    root.mkdir()
    (root / "link").symlink_to(outside if inside == "link/secret" else outside / "secret")

    calls = [store.open_new, store.open_read, store.read_bytes, store.os_path, store.stat, store.delete]
    calls += [lambda path: store.open_new(path, whole=True), lambda path: store.put_new(path, b"not ours")]
    for call in calls:
        with pytest.raises(StorageError, match="symbolic link"):
            call(inside)

    assert list(store.list()) == []
    assert (outside / "secret").read_text() == "not ours"
    assert files_below(outside) == ["secret"]


def test_a_listing_below_a_link_is_refused(store, root, tmp_path):
    root.mkdir()
    (root / "link").symlink_to(tmp_path)

    with pytest.raises(StorageError, match="symbolic link"):
        list(store.list("link"))


def test_pipes_and_sockets_are_no_objects(store, root):
    root.mkdir()
    os.mkfifo(root / "pipe")

    assert list(store.list()) == []
    assert store.stat("pipe") is None
    assert store.delete("pipe") is False
    assert (root / "pipe").exists()


def test_a_delete_removes_the_folders_it_empties_and_no_others(store, root):
    store.put_new("a/b/c/one", b"")
    store.put_new("a/two", b"")

    store.delete("a/b/c/one")
    assert files_below(root) == ["a", "a/two"]

    store.delete("a/two")
    assert files_below(root) == []
    assert root.is_dir()


def test_a_folder_that_vanishes_before_each_try_ends_in_an_error(store, root, monkeypatch):
    monkeypatch.setattr(Path, "mkdir", lambda *_args, **_options: None)
    os.mkdir(root)

    with pytest.raises(StorageError, match="its folder was removed"):
        store.open_new("a/b")


def test_an_object_that_vanishes_while_the_store_lists_is_left_out(store, root):
    for path in ("a", "b", "c"):
        store.put_new(path, b"")

    listing = store.list()
    first = next(listing)
    (root / "b").unlink()

    assert [first.path, *(found.path for found in listing)] == ["a", "c"]


def test_files_get_the_rights_that_the_umask_leaves(store, root):
    old = os.umask(0o027)
    try:
        store.put_new("put", b"")
        write(store, "written")
    finally:
        os.umask(old)

    assert {stat.S_IMODE((root / name).stat().st_mode) for name in ("put", "written")} == {0o640}


def test_a_relative_root_stays_where_it_was_when_the_working_directory_changes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LocalStore("lake")
    monkeypatch.chdir("/")

    store.put_new("a", b"")

    assert (tmp_path / "lake" / "a").exists()


def test_a_store_pickles_as_its_root(store):
    store.put_new("a", b"bytes")

    assert pickle.loads(pickle.dumps(store)).read_bytes("a") == b"bytes"


def test_no_descriptor_stays_open(store):
    before = len(os.listdir("/proc/self/fd"))

    write(store, "a/b")
    write(store, "a/c", whole=True)
    store.put_new("a/d", b"")
    with pytest.raises(AlreadyExistsError):
        store.open_new("a/b")
    with pytest.raises(AlreadyExistsError):
        store.put_new("a/b", b"other")
    store.make_durable(["a/b"])

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_that_vanishes_while_it_is_looked_at_is_made_again(tmp_path, monkeypatch) -> None:
    make_folder, vanished = Path.mkdir, []

    def vanish_once(folder: Path, *args: object, **kwargs: object) -> None:
        if not vanished:
            vanished.append(folder)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
        make_folder(folder, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", vanish_once)
    with LocalStore(str(tmp_path / "lake")).open_new("a/b") as sink:
        sink.write(b"x")

    assert (tmp_path / "lake/a/b").read_bytes() == b"x"
    assert vanished
