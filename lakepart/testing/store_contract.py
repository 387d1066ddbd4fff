"""What every store must do, as tests: subclass :class:`StoreContract` and give it a fixture ``store``."""

# ruff: noqa: S101, D102 - these are tests: they assert, and their names say what is true

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakepart.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from lakepart.parquet.datasets import open_filesystem
from lakepart.storage.base import Sink, Store

THREADS = 8
BAD_PATHS = ["", "/", "/etc/passwd", "..", "../outside", "a/../../outside", "a//b", "a/", "./a", "a/.", "a/\0b"]
GOOD_PATHS = [
    "plain",
    "sales/orders/partition=2013-01-05/0-1.parquet",
    "case/a",
    "case/A",
    "...",
    "..a/b..",
    "with space/ and=equals",
    "percent%2Fsigned/a%b",
    "ünïcödé/日本/🙂",
    f"long/{'x' * 255}",
]


class Boom(Exception):  # noqa: N818 - no error of ours
    """Raised by these tests inside a sink's block."""


class StoreContract:
    """The promises of :class:`lakepart.storage.base.Store`; a subclass gives an empty ``store`` for each test.

    Examples
    --------
    ::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self):
                return MyStore()
    """

    @pytest.mark.parametrize("path", GOOD_PATHS)
    @pytest.mark.parametrize("whole", [False, True])
    def test_what_is_written_is_read_back(self, store: Store, path: str, whole: bool) -> None:
        with store.open_new(path, whole=whole) as sink:
            sink.write(b"some ")
            sink.write(bytearray(b"bytes "))
            sink.write(memoryview(b"together"))
        store.make_durable([path])

        with store.open_read(path) as file:
            assert file.read() == b"some bytes together"
        assert store.read_bytes(path) == b"some bytes together"
        assert [found.path for found in store.list()] == [path]

    @pytest.mark.parametrize("whole", [False, True])
    def test_a_sink_that_stores_at_once_reads_back_what_it_has_taken_so_far(self, store: Store, whole: bool) -> None:
        with store.open_new("a/b", whole=whole) as sink:
            for written, so_far in ((b"some ", b"some "), (b"bytes", b"some bytes")):
                sink.write(written)
                if sink.stores_at_once:
                    with sink.read_back() as taken:
                        assert taken.read() == so_far

        assert store.read_bytes("a/b") == b"some bytes"

    @pytest.mark.parametrize("path", GOOD_PATHS)
    def test_what_is_put_is_read_back(self, store: Store, path: str) -> None:
        store.put_new(path, b"bytes")

        assert store.read_bytes(path) == b"bytes"
        assert [found.path for found in store.list()] == [path]

    @pytest.mark.parametrize("path", BAD_PATHS)
    def test_a_path_that_could_leave_the_root_is_refused_by_every_method(self, store: Store, path: str) -> None:
        calls: list[Callable[[], object]] = [
            lambda: store.open_new(path),
            lambda: store.open_new(path, whole=True),
            lambda: store.put_new(path, b""),
            lambda: store.make_durable([path]),
            lambda: store.open_read(path),
            lambda: store.read_bytes(path),
            lambda: store.os_path(path),
            lambda: store.copy_from(store, path, path, on_bytes=abs),
            lambda: store.stored_checksum(path),
            lambda: store.stat(path),
            lambda: store.delete(path),
        ]

        for call in calls:
            with pytest.raises(InvalidInputError):
                call()
        assert list(store.list()) == []

    @pytest.mark.parametrize("prefix", ["/", "..", "a/../..", "a//", "/etc"])
    def test_a_listing_cannot_leave_the_root(self, store: Store, prefix: str) -> None:
        with pytest.raises(InvalidInputError):
            list(store.list(prefix))

    def test_an_object_may_be_empty(self, store: Store) -> None:
        with store.open_new("a/empty"):
            pass
        store.put_new("a/put", b"")

        assert store.read_bytes("a/empty") == b""
        assert store.read_bytes("a/put") == b""

    def test_a_sink_is_a_file_that_parquet_can_be_written_to(self, store: Store) -> None:
        table = pa.table({"a": list(range(10_000))})

        with store.open_new("a.parquet") as sink:
            assert sink.writable()
            pq.write_table(table, cast("IO[bytes]", sink))
            written = sink.tell()

        assert sink.closed
        with store.open_read("a.parquet") as file:
            assert pq.read_table(file).equals(table)
        assert [found.size_bytes for found in store.list()] == [written]

    @pytest.mark.parametrize("whole", [False, True])
    def test_an_exception_in_the_block_leaves_nothing(self, store: Store, whole: bool) -> None:
        sink = store.open_new("a/b/torn", whole=whole)

        with pytest.raises(Boom), sink:
            _write_and_fail(sink)

        assert sink.closed
        assert list(store.list()) == []
        store.put_new("a/b/torn", b"again")
        assert store.read_bytes("a/b/torn") == b"again"

    @pytest.mark.parametrize("whole", [False, True])
    def test_a_sink_for_a_taken_path_is_refused_and_the_old_bytes_stay(self, store: Store, whole: bool) -> None:
        store.put_new("a/taken", b"old")

        with pytest.raises(AlreadyExistsError), store.open_new("a/taken", whole=whole) as sink:
            sink.write(b"new")

        assert store.read_bytes("a/taken") == b"old"
        assert [found.path for found in store.list()] == ["a/taken"]

    def test_putting_the_same_bytes_again_succeeds(self, store: Store) -> None:
        store.put_new("a/lake.json", b"{}")

        store.put_new("a/lake.json", b"{}")

        assert store.read_bytes("a/lake.json") == b"{}"

    def test_putting_other_bytes_on_a_taken_path_is_refused(self, store: Store) -> None:
        store.put_new("a/lake.json", b"old")

        for other in (b"new", b"longer than old", b""):
            with pytest.raises(AlreadyExistsError):
                store.put_new("a/lake.json", other)

        assert store.read_bytes("a/lake.json") == b"old"
        assert [found.path for found in store.list()] == ["a/lake.json"]

    def test_of_many_threads_that_put_one_path_exactly_one_wins(self, store: Store) -> None:
        def put(worker: int) -> bool:
            start.wait()
            try:
                store.put_new("a/contested", bytes([worker]) * 1000)
            except AlreadyExistsError:
                return False
            return True

        start = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            won = list(pool.map(put, range(THREADS)))

        assert sum(won) == 1
        assert store.read_bytes("a/contested") == bytes([won.index(True)]) * 1000
        assert [found.path for found in store.list()] == ["a/contested"]

    @pytest.mark.parametrize("whole", [False, True])
    def test_of_many_threads_that_write_one_path_exactly_one_wins(self, store: Store, whole: bool) -> None:
        def write(worker: int) -> bool:
            start.wait()
            try:
                with store.open_new("a/contested", whole=whole) as sink:
                    sink.write(bytes([worker]) * 1000)
            except AlreadyExistsError:
                return False
            return True

        start = threading.Barrier(THREADS)
        with ThreadPoolExecutor(THREADS) as pool:
            won = list(pool.map(write, range(THREADS)))

        assert sum(won) == 1
        assert store.read_bytes("a/contested") == bytes([won.index(True)]) * 1000
        assert [found.path for found in store.list()] == ["a/contested"]

    def test_threads_that_write_and_delete_in_one_folder_do_not_disturb_each_other(self, store: Store) -> None:
        def come_and_go(worker: int) -> None:
            for turn in range(20):
                path = f"a/b/{worker}-{turn}"
                with store.open_new(path) as sink:
                    sink.write(path.encode())
                store.make_durable([path])
                assert store.read_bytes(path) == path.encode()
                assert store.delete(path)

        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(come_and_go, range(THREADS)):
                pass

        assert list(store.list()) == []

    def test_many_new_names_are_made_durable_at_once(self, store: Store) -> None:
        paths = [f"a/partition={number}/file" for number in range(40)]
        for path in paths:
            with store.open_new(path) as sink:
                sink.write(b"x")

        store.make_durable(iter(paths))

        assert {found.path for found in store.list()} == set(paths)

    def test_making_nothing_durable_does_nothing(self, store: Store) -> None:
        store.make_durable([])

        assert list(store.list()) == []

    def test_a_reader_can_seek_and_readers_do_not_share_a_position(self, store: Store) -> None:
        store.put_new("a", b"0123456789")

        with store.open_read("a") as one, store.open_read("a") as other:
            one.seek(-2, 2)
            other.seek(3)

            assert one.read() == b"89"
            assert other.read(2) == b"34"
            assert one.tell() == 10

    def test_stretches_are_read_in_the_order_in_which_they_are_asked_for(self, store: Store) -> None:
        store.put_new("a", b"0123456789")

        assert list(store.read_ranges("a", [(7, 10), (0, 1), (2, 5)])) == [b"789", b"0", b"234"]
        assert list(store.read_ranges("a", [(0, 10)])) == [b"0123456789"]
        assert list(store.read_ranges("a", [(8, 12), (20, 30)])) == [b"89", b""]

    def test_a_program_can_open_the_os_path_if_there_is_one(self, store: Store) -> None:
        store.put_new("a/b", b"bytes")

        place = store.os_path("a/b")

        if place is not None:
            assert Path(place).read_bytes() == b"bytes"

    def test_arrow_finds_the_object_by_itself_where_it_can(self, store: Store) -> None:
        store.put_new("a/b c", b"bytes")

        native = store.native_filesystem()

        if native is not None:
            filesystem = open_filesystem(native.kind, native.arguments)
            with filesystem.open_input_file(native.place("a/b c")) as file:
                assert file.read() == b"bytes"

    @pytest.mark.parametrize("path", ["absent", "a/absent", "a", "a/b/below-an-object"])
    def test_what_is_no_object_is_not_found(self, store: Store, path: str) -> None:
        store.put_new("a/b", b"bytes")

        assert store.stat(path) is None
        assert store.delete(path) is False
        with pytest.raises(NotFoundError):
            store.read_bytes(path)
        with pytest.raises(NotFoundError):
            store.open_read(path).read()
        with pytest.raises(NotFoundError):
            store.read_ranges(path, [(0, 1)])
        with pytest.raises(NotFoundError):
            store.stored_checksum(path)
        assert store.read_bytes("a/b") == b"bytes"

    def test_stat_tells_size_and_the_instant_of_writing(self, store: Store) -> None:
        store.put_new("a/b", b"bytes")

        stored = store.stat("a/b")

        assert stored is not None
        assert (stored.path, stored.size_bytes) == ("a/b", 5)
        assert stored.modified_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(tz=UTC) - stored.modified_at) < timedelta(minutes=5)

    def test_a_listing_is_recursive_and_ordered_by_path(self, store: Store) -> None:
        paths = ["a/b", "a-b/c", "a.b/c", "a0", "b/c/d/e", "b/c.d", "_lakepart/lake.json", "a/.x.tmp", "B"]
        for path in paths:
            store.put_new(path, path.encode())

        found = list(store.list())

        assert [each.path for each in found] == sorted(paths)
        assert [each.size_bytes for each in found] == [len(path) for path in sorted(paths)]
        assert found == [store.stat(path) for path in sorted(paths)]

    def test_a_listing_of_a_folder_has_nothing_of_its_neighbours(self, store: Store) -> None:
        for path in ["flights/a", "flights/b/c", "flights2/a", "flight"]:
            store.put_new(path, b"")

        assert [found.path for found in store.list("flights")] == ["flights/a", "flights/b/c"]
        assert [found.path for found in store.list("flights/")] == ["flights/a", "flights/b/c"]
        assert list(store.list("flights/a")) == []
        assert list(store.list("absent/folder")) == []

    def test_a_deleted_object_is_gone_and_its_neighbours_stay(self, store: Store) -> None:
        for path in ["a/b/one", "a/b/two", "a/c"]:
            store.put_new(path, b"bytes")

        assert store.delete("a/b/one") is True

        assert store.delete("a/b/one") is False
        assert store.stat("a/b/one") is None
        assert [found.path for found in store.list()] == ["a/b/two", "a/c"]

    def test_a_path_can_be_made_again_after_it_was_deleted(self, store: Store) -> None:
        store.put_new("a/b", b"old")
        store.delete("a/b")

        store.put_new("a/b", b"new")

        assert store.read_bytes("a/b") == b"new"

    def test_its_repr_names_its_class_and_where_it_is(self, store: Store) -> None:
        assert type(store).__name__ in repr(store)
        assert store.root in repr(store)

    def test_it_has_all_methods_of_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)


def _write_and_fail(sink: Sink) -> None:
    sink.write(b"half of the")
    raise Boom
