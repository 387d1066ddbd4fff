"""What objects in parts hold in memory, and how long an interrupt waits for requests that nobody answers."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from lakepart.engine.opening import system_clock
from lakepart.storage import s3_bucket, s3_memory
from lakepart.storage.s3 import S3Store
from lakepart.testing.strict_s3 import StrictS3

PART = 1000
WRITERS = 6
PATIENCE_S = 10


class Gate:
    """Holds every part that is sent until it is opened, and counts those that are held together."""

    def __init__(self, client):
        self._lock = threading.Lock()
        self._open = threading.Event()
        self._held = threading.Semaphore(0)
        self._under_way = 0
        self.most = 0
        self.was_waited_for = False
        client.meta.events.register("provide-client-params.s3.UploadPart", self._enter)
        client.meta.events.register("after-call.s3.UploadPart", self._leave)

    def _enter(self, **_):
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        self._held.release()
        if not self._open.wait(PATIENCE_S):
            self.was_waited_for = True

    def _leave(self, **_):
        with self._lock:
            self._under_way -= 1

    def wait_for(self, parts):
        for _ in range(parts):
            assert self._held.acquire(timeout=PATIENCE_S)

    def open(self):
        self._open.set()


@pytest.fixture
def server():
    server = StrictS3(system_clock, smallest_part_bytes=PART)
    server.make_bucket("lakes")
    return server


@pytest.fixture
def store(server):
    return S3Store("s3://lakes", client=server.client, part_bytes=PART, whole_bytes=0)


@pytest.fixture
def gate(server):
    gate = Gate(server.client())
    yield gate
    gate.open()


def write(store, path):
    with store.open_new(path) as sink:
        for _ in range(10):
            sink.write(bytes(PART))


def test_parts_under_way_of_all_writers_together_are_bounded(store, gate):
    paths = [f"file-{number}" for number in range(WRITERS)]

    with ThreadPoolExecutor(WRITERS) as pool:
        writing = [pool.submit(write, store, path) for path in paths]
        gate.wait_for(s3_memory._PARTS_UNDER_WAY)
        gate.open()
        for one in writing:
            one.result()

    assert gate.most == s3_memory._PARTS_UNDER_WAY < WRITERS * 4  # each would send four ahead
    assert [store.read_bytes(path) for path in paths] == [bytes(10 * PART)] * WRITERS


def test_writers_that_hold_much_together_send_parts_before_their_objects_are_large(server, monkeypatch):
    monkeypatch.setattr(s3_memory, "_WAITING_BYTES", 5 * PART)
    store = S3Store("s3://lakes", client=server.client, part_bytes=PART, whole_bytes=100 * PART)
    memory, most = store._bucket.memory, 0

    with ExitStack() as stack:
        sinks = [stack.enter_context(store.open_new(f"file-{number}")) for number in range(10)]
        for _ in range(20):
            for sink in sinks:
                sink.write(b"x" * (PART // 2))
                most = max(most, memory.waiting_bytes)

    assert most <= 5 * PART + len(sinks) * PART  # not 100 of each
    assert memory.waiting_bytes == 0
    assert [store.read_bytes(f"file-{number}") for number in range(10)] == [b"x" * 10 * PART] * 10


def test_few_writers_send_each_object_in_one_request(server):
    store = S3Store("s3://lakes", client=server.client, part_bytes=PART, whole_bytes=100 * PART)

    write(store, "file")

    assert [operation for operation, _ in server.calls] == ["put_object"]


def test_an_interrupt_does_not_wait_for_parts_that_nobody_answers(store, gate, monkeypatch):
    monkeypatch.setattr(s3_bucket, "_ENDED_WITHIN_S", 0.01)

    def write_and_interrupt():
        with store.open_new("file") as sink:
            sink.write(bytes(3 * PART))
            gate.wait_for(3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()

    assert not gate.was_waited_for
    assert list(store.list()) == []
    gate.open()
    write(store, "file")
    assert [one.path for one in store.list()] == ["file"]
