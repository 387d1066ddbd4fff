"""The clients that could carry the bytes, on the same objects: many small ones at once, and a large one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Protocol

import numpy as np

from benchmarks.figures import Figure
from benchmarks.measure import Task, Timing, ratio
from benchmarks.s3_tables import AT_ONCE, arrow_file_system
from benchmarks.workbench import Workbench
from lakepart.storage.s3 import S3Store
from lakepart.testing.proxies import Traffic
from lakepart.testing.s3_servers import S3Server

_BUCKET = "clients"
_SMALL, _SMALL_BYTES = 300, 20_000
_LARGE_BYTES, _LARGE_QUICKLY_BYTES = 64 << 20, 1 << 20


def measure(bench: Workbench) -> Iterator[Figure]:
    """Time reads of small objects, sixteen at once, and reads and writes of a large one, by all clients in turns."""
    meter = bench.s3
    meter.direct.make_bucket(_BUCKET)
    random = np.random.default_rng(7)
    small, large = random.bytes(_SMALL_BYTES), random.bytes(_LARGE_QUICKLY_BYTES if bench.quick else _LARGE_BYTES)
    names = [f"small{number}" for number in range(12 if bench.quick else _SMALL)]
    at_server = meter.direct.client()
    for name in names:
        at_server.put_object(Bucket=_BUCKET, Key=name, Body=small)
    at_server.put_object(Bucket=_BUCKET, Key="large", Body=large)
    numbers = count()
    megabytes = f"{len(large) / 1e6:.0f} MB"
    works: dict[str, Callable[[Client], object]] = {
        f"read {len(names)} objects of {_SMALL_BYTES // 1000} kB": lambda one: one.read(names),
        f"read an object of {megabytes}": lambda one: one.read(["large"]),
        f"write an object of {megabytes}": lambda one: one.write(f"new{next(numbers)}", large),
    }
    clients: dict[str, Client] = {kind.name: kind(meter.server) for kind in (Ours, S3fs, Arrow, Obstore)}
    ours, *others = clients
    for delay_s in bench.delays_s:
        meter.delay(delay_s)
        for what, work in works.items():
            timings, traffic = _compare(bench, clients, work)
            quickest = min(others, key=lambda name: timings[name].median_s)
            yield Figure(
                "clients",
                f"{what}, {1000 * delay_s:.0f} ms a request, {ours} beside {quickest}",
                ratio(timings[ours], timings[quickest]),
                "×",
                timings=timings,
                traffic=traffic,
            )
    meter.delay(0)
    ways = {"through the proxy": clients[ours], "directly": Ours(meter.direct)}
    for what, work in works.items():
        timings, _ = _compare(bench, ways, work)
        yield Figure("clients", f"{what} through the proxy", ratio(*timings.values()), "×", timings=timings)


def _compare(
    bench: Workbench, clients: Mapping[str, Client], work: Callable[[Client], object]
) -> tuple[dict[str, Timing], dict[str, Traffic]]:
    tasks = {name: Task(lambda _, one=one: work(one)) for name, one in clients.items()}
    return bench.s3.take_turns(tasks, repetitions=bench.repetitions(5), warm_up=not bench.quick)


class Client(Protocol):
    """One way to ask S3."""

    name: str

    def __init__(self, server: S3Server) -> None: ...

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        """Read objects to their ends, side by side."""

    def write(self, name: str, data: bytes) -> None:
        """Write a new object, in parts where the client does so by itself."""


class Ours:
    """The store of lakes: boto3, with a checksum of what is written, and only where nothing was."""

    name = "lakepart (boto3)"

    def __init__(self, server: S3Server) -> None:
        self._store = S3Store(f"s3://{_BUCKET}", server.storage_options)

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        return _side_by_side(self._store.read_bytes, names)

    def write(self, name: str, data: bytes) -> None:
        with self._store.open_new(name) as sink:
            sink.write(data)


class S3fs:
    """The file system of fsspec."""

    name = "s3fs"

    def __init__(self, server: S3Server) -> None:
        from s3fs import S3FileSystem

        self._file_system = S3FileSystem(
            endpoint_url=server.url, key=server.key, secret=server.secret, max_concurrency=AT_ONCE
        )

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        found: dict[str, bytes] = self._file_system.cat([f"{_BUCKET}/{name}" for name in names], batch_size=AT_ONCE)
        return list(found.values())

    def write(self, name: str, data: bytes) -> None:
        self._file_system.pipe_file(f"{_BUCKET}/{name}", data)


class Arrow:
    """Arrow's own file system."""

    name = "pyarrow"

    def __init__(self, server: S3Server) -> None:
        self._file_system = arrow_file_system(server)

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        def read(name: str) -> bytes:
            with self._file_system.open_input_file(f"{_BUCKET}/{name}") as file:
                return bytes(file.read())

        return _side_by_side(read, names)

    def write(self, name: str, data: bytes) -> None:
        with self._file_system.open_output_stream(f"{_BUCKET}/{name}") as file:
            file.write(data)


class Obstore:
    """The Rust client ``object_store``."""

    name = "obstore"

    def __init__(self, server: S3Server) -> None:
        from obstore.store import S3Store as RustStore

        self._store: Any = RustStore(
            _BUCKET,
            endpoint=server.url,
            access_key_id=server.key,
            secret_access_key=server.secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def read(self, names: Sequence[str]) -> Sequence[bytes]:
        return _side_by_side(lambda name: bytes(self._store.get(name).bytes()), names)

    def write(self, name: str, data: bytes) -> None:
        self._store.put(name, data)


def _side_by_side(read: Callable[[str], bytes], names: Sequence[str]) -> list[bytes]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(read, names))
