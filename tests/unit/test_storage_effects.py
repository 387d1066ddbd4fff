import doctest
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest

from lakepart.errors import AlreadyExistsError, ErrorCode, InvalidInputError, StorageError
from lakepart.storage.base import is_temporary
from lakepart.storage.local import LocalStore
from lakepart.testing import Crash, CrashingStore, Effects, FrozenClock, FullDiskStore, clocks, effects, memory_store


@pytest.fixture(params=["local", "memory"])
def survivor(request, tmp_path):
    """What is left of a store when its user is dead."""
    return LocalStore(tmp_path / "lake") if request.param == "local" else memory_store()


def crashing(survivor, at, when):
    counted = Effects()
    counted.crash_at(at, when)
    return CrashingStore(survivor, counted)


def write(store, path, data, *, whole=False):
    with store.open_new(path, whole=whole) as sink:
        sink.write(data)


def contents(store):
    return {found.path: store.read_bytes(found.path) for found in store.list()}


def test_effects_are_named_in_order():
    counted = Effects()
    store = CrashingStore(memory_store(), counted)

    write(store, "a/b", b"bytes")
    store.make_durable(iter(["a/b"]))
    store.put_new("c", b"bytes")
    store.delete("c")
    store.read_bytes("a/b")

    assert counted.names == ("write a/b", "make 1 names durable", "put c", "delete c")
    assert not counted.crashed


def test_the_dead_do_nothing_more(survivor):
    survivor.put_new("old", b"bytes")
    store = crashing(survivor, 0, "before")
    with pytest.raises(Crash):
        store.delete("old")

    calls = [store.open_new, store.delete, store.read_bytes, store.open_read, store.stat, store.os_path, store.list]
    for call in [*calls, lambda path: store.put_new(path, b""), lambda path: store.make_durable([path])]:
        with pytest.raises(Crash):
            call("old")
    assert contents(survivor) == {"old": b"bytes"}


def test_a_crash_in_one_thread_ends_the_others():
    counted = Effects()
    counted.crash_at(1)
    store = CrashingStore(memory_store(), counted)
    inside, dead = threading.Event(), threading.Event()
    ends = []

    def work():
        try:
            with store.open_new("slow") as sink:
                inside.set()
                dead.wait()
                sink.write(b"bytes")
        except Crash as crash:
            ends.append(crash)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    store.put_new("first", b"")
    with pytest.raises(Crash):
        store.put_new("second", b"")
    dead.set()
    thread.join()

    assert [str(crash) for crash in ends] == ["before effect 1: put second"]


def test_no_handler_of_exceptions_swallows_a_crash():
    assert not issubclass(Crash, Exception)


def test_a_crash_can_be_set_only_in_the_future():
    counted = Effects()
    with counted.effect("first"):
        pass

    with pytest.raises(InvalidInputError, match="is over"):
        counted.crash_at(0)


def test_a_crash_before_a_write_ends_leaves_half_of_it_under_its_path(survivor):
    with pytest.raises(Crash):
        write(crashing(survivor, 0, "before"), "a/b", b"12345678")

    assert contents(survivor) == {"a/b": b"1234"}


def test_a_crash_inside_the_block_leaves_half_of_what_was_written(survivor):
    store = crashing(survivor, 0, "before")

    def write_and_die():
        with store.open_new("a/b") as sink:
            sink.write(b"12345678")
            store.put_new("elsewhere", b"")

    with pytest.raises(Crash):
        write_and_die()

    assert {path for path in contents(survivor) if not is_temporary(path)} == {"a/b"}
    assert survivor.read_bytes("a/b") == b"1234"


def test_a_crash_before_a_whole_object_leaves_a_temporary_one(survivor):
    for call in (
        lambda: write(crashing(survivor, 0, "before"), "a/written", b"12345678", whole=True),
        lambda: crashing(survivor, 0, "before").put_new("a/put", b"12345678"),
    ):
        with pytest.raises(Crash):
            call()

    assert [is_temporary(path) for path in contents(survivor)] == [True, True]
    assert set(contents(survivor).values()) == {b"1234"}


@pytest.mark.parametrize("whole", [False, True])
def test_a_crash_after_a_write_leaves_all_of_it(survivor, whole):
    with pytest.raises(Crash):
        write(crashing(survivor, 0, "after"), "a/b", b"12345678", whole=whole)

    assert contents(survivor) == {"a/b": b"12345678"}


def test_a_crash_after_a_put_or_a_delete_has_done_it(survivor):
    survivor.put_new("old", b"")

    with pytest.raises(Crash):
        crashing(survivor, 0, "after").put_new("new", b"bytes")
    with pytest.raises(Crash):
        crashing(survivor, 0, "after").delete("old")

    assert contents(survivor) == {"new": b"bytes"}


def test_an_effect_that_fails_is_no_crash(survivor):
    survivor.put_new("a", b"old")
    store = crashing(survivor, 0, "after")

    with pytest.raises(AlreadyExistsError):
        store.put_new("a", b"new")
    store.put_new("b", b"")

    assert set(contents(survivor)) == {"a", "b"}


def test_a_full_disk_takes_what_fits_and_no_more(survivor):
    disk = FullDiskStore(survivor, 10)
    disk.put_new("a", b"1234")
    disk.put_new("a", b"1234")
    write(disk, "b", b"12")

    for call in (
        lambda: disk.put_new("c", b"12345"),
        lambda: write(disk, "c", b"12345"),
        lambda: write(disk, "c", b"12345", whole=True),
    ):
        with pytest.raises(StorageError, match="No space left") as caught:
            call()
        assert caught.value.code == ErrorCode.DISK_FULL

    assert set(contents(survivor)) == {"a", "b"}
    assert disk.free_bytes == 4


def test_a_full_disk_has_room_again_after_a_delete_a_failure_and_an_exception(survivor):
    disk = FullDiskStore(survivor, 4)
    disk.put_new("a", b"1234")
    disk.delete("a")
    assert disk.free_bytes == 4

    write(disk, "a", b"12")
    with pytest.raises(AlreadyExistsError):
        disk.put_new("a", b"x")
    with pytest.raises(AlreadyExistsError):
        write(disk, "a", b"x")
    with pytest.raises(ZeroDivisionError), disk.open_new("b") as sink:
        sink.write(bytes(1) * (1 // 0))
    assert disk.free_bytes == 2


def test_a_write_that_did_not_fit_cannot_be_finished(survivor):
    disk = FullDiskStore(survivor, 4)

    def hide_the_failure():
        with disk.open_new("a") as sink:
            sink.write(b"123")
            with pytest.raises(StorageError):
                sink.write(b"45")

    with pytest.raises(StorageError):
        hide_the_failure()
    assert contents(survivor) == {}
    assert disk.free_bytes == 4


def test_a_frozen_clock_stands_still_until_it_is_advanced():
    clock = FrozenClock(datetime(2026, 1, 31, 12, tzinfo=timezone(timedelta(hours=2))))

    before = (clock(), clock())
    clock.advance(timedelta(days=1))
    clock.advance(timedelta(hours=-1))

    assert before == (datetime(2026, 1, 31, 10, tzinfo=UTC),) * 2
    assert before[0].tzinfo is UTC
    assert clock() == datetime(2026, 2, 1, 9, tzinfo=UTC)


def test_a_clock_without_a_zone_is_refused():
    with pytest.raises(InvalidInputError) as caught:
        FrozenClock(datetime(2026, 1, 31))  # noqa: DTZ001

    assert caught.value.code == ErrorCode.NAIVE_TIMESTAMP


@pytest.mark.parametrize("module", [effects, clocks])
def test_its_examples_run(module):
    assert doctest.testmod(module, optionflags=doctest.IGNORE_EXCEPTION_DETAIL).failed == 0
