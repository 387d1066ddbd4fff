"""A file behind a network is read with few requests, and only for what is wanted."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakepart.errors import CorruptionError
from lakepart.parquet import reading
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import iter_batches, read_files, read_footer
from lakepart.parquet.remote import Remote, RemoteFile, coalesced
from lakepart.parquet.schemas import assign_field_ids
from lakepart.parquet.writing import write_file

MB = 1 << 20
SCHEMA = assign_field_ids(pa.schema({name: pa.float64() for name in "abcdefgh"}))


class Requests:
    """A file that notes which stretches of it are asked for."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self.asked: list[tuple[int, int]] = []

    def __call__(self, stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        self.asked += stretches
        return [self._data[start:stop] for start, stop in stretches]

    @property
    def size_bytes(self) -> int:
        return sum(stop - start for start, stop in self.asked)


def written(tmp_path: Path, rows: int, **options: int) -> tuple[Requests, Source, pa.Table]:
    random = np.random.default_rng(1)
    table = pa.table({name: random.random(rows) for name in SCHEMA.names}, schema=SCHEMA)
    path = tmp_path / "a.parquet"
    facts = write_file(lambda: path.open("xb"), [table], SCHEMA, metadata={}, **options)
    requests = Requests(path)
    remote = Remote("hot:a.parquet", requests, facts.size_bytes, facts.footer_bytes)
    return requests, Source("hot:a.parquet", remote), table


def test_a_small_file_is_one_request(tmp_path: Path) -> None:
    requests, source, table = written(tmp_path, 1_000)

    assert read_files([source], SCHEMA).to_pylist() == table.to_pylist()
    assert len(requests.asked) == 1


def test_a_larger_file_is_two_requests_and_one_for_each_further_8_mb(tmp_path: Path) -> None:
    requests, source, table = written(tmp_path, 700_000)  # a column has 5.6 MB, so that pages cross requests

    assert read_files([source], SCHEMA).equals(table.cast(pa.schema([(f.name, f.type) for f in SCHEMA])))

    size_bytes = source.open.size_bytes  # type: ignore[union-attr]
    assert size_bytes > 24 * MB
    assert len(requests.asked) <= 2 + size_bytes // (8 * MB)
    assert requests.size_bytes < 1.05 * size_bytes


def test_of_other_columns_and_row_groups_nothing_is_asked(tmp_path: Path) -> None:
    requests, source, table = written(tmp_path, 500_000, row_group_rows=131_072)

    found = read_files([source], SCHEMA, columns=["c"])

    assert found["c"].to_numpy().tolist() == table["c"].to_numpy().tolist()
    assert requests.size_bytes < 500_000 * 8 * 1.2

    requests.asked.clear()
    assert read_files([source], SCHEMA, columns=["c"], filter=[("a", "<", -1.0)]).num_rows == 0
    assert len(requests.asked) == 1


def test_a_column_with_a_dot_in_its_name_is_fetched_like_any_other(tmp_path: Path) -> None:
    schema = assign_field_ids(
        pa.schema([("a.b", pa.float64()), ("a", pa.struct([("x", pa.float64())])), ("c", pa.float64())])
    )
    random = np.random.default_rng(1).random(300_000)
    table = pa.table([random, pa.StructArray.from_arrays([random], ["x"]), random], schema=schema)
    path = tmp_path / "dotted.parquet"
    facts = write_file(lambda: path.open("xb"), [table], schema, metadata={})
    for column in ("a.b", "a"):
        requests = Requests(path)
        source = Source("dotted", Remote("dotted", requests, facts.size_bytes, facts.footer_bytes))

        assert read_files([source], schema, columns=[column])[column].to_pylist() == table[column].to_pylist()
        assert len(requests.asked) == 2
        assert requests.size_bytes < facts.size_bytes


def test_a_footer_longer_than_most_costs_no_request_more(tmp_path: Path) -> None:
    schema = assign_field_ids(pa.schema({f"column_{number}": pa.float64() for number in range(2_000)}))
    table = pa.table({name: np.random.default_rng(1).random(200) for name in schema.names}, schema=schema)
    path = tmp_path / "wide.parquet"
    facts = write_file(lambda: path.open("xb"), [table], schema, metadata={})
    requests = Requests(path)

    source = Source("wide", Remote("wide", requests, facts.size_bytes, facts.footer_bytes))
    read_files([source], schema, columns=["column_7"])

    assert facts.footer_bytes > 128 << 10
    assert facts.size_bytes > MB
    assert len(requests.asked) == 2


def test_a_stream_of_batches_holds_one_row_group_at_a_time(tmp_path: Path) -> None:
    requests, source, table = written(tmp_path, 1_000_000, row_group_rows=131_072)

    batches = list(iter_batches([source], SCHEMA))

    assert sum(batch.num_rows for batch in batches) == table.num_rows
    longest = max(stop - start for start, stop in requests.asked)
    assert longest <= 8 * MB


def test_a_file_that_ends_too_early_is_named(tmp_path: Path) -> None:
    requests, source, _ = written(tmp_path, 1_000)
    torn = Source(source.name, Remote("hot:a.parquet", requests, source.open.size_bytes + 1, 0))  # type: ignore[union-attr]

    with pytest.raises(CorruptionError, match=r"hot:a\.parquet"):
        read_files([torn], SCHEMA)
    with pytest.raises(CorruptionError, match=r"hot:a\.parquet"):
        read_footer(torn)


def test_a_file_without_bytes_is_named(tmp_path: Path) -> None:
    requests, source, _ = written(tmp_path, 1_000)
    empty = Source(source.name, Remote("hot:a.parquet", requests, 0, 0))

    with pytest.raises(CorruptionError, match=r"hot:a\.parquet"):
        read_footer(empty)
    assert requests.asked == []  # a stretch of none cannot be


@pytest.mark.parametrize("stretch", [(-1, 10), (10, 4), (4, 1 << 40)])
def test_bytes_that_a_file_cannot_have_are_not_asked_for(tmp_path: Path, stretch: tuple[int, int]) -> None:
    requests, source, _ = written(tmp_path, 1_000)

    with pytest.raises(CorruptionError, match=r"hot:a\.parquet"):
        RemoteFile(source.open).fetch([(4, 10), stretch])  # type: ignore[arg-type]
    assert requests.asked == []


def test_what_arrow_says_of_a_remote_file_is_what_it_says_of_a_local_one(tmp_path: Path) -> None:
    _, source, _ = written(tmp_path, 1_000)

    found = read_footer(source)

    expected = pq.read_metadata(tmp_path / "a.parquet")
    assert (found.row_count, found.row_groups) == (expected.num_rows, expected.num_row_groups)


@pytest.mark.parametrize(
    ("stretches", "requests"),
    [
        ([], []),
        ([(0, 10)], [(0, 10)]),
        ([(20, 30), (0, 10)], [(0, 30)]),
        ([(0, 10), (3 * MB, 4 * MB)], [(0, 10), (3 * MB, 4 * MB)]),
        ([(0, 5 * MB), (5 * MB, 9 * MB)], [(0, 8 * MB), (8 * MB, 9 * MB)]),
        ([(0, 20 * MB)], [(0, 8 * MB), (8 * MB, 16 * MB), (16 * MB, 20 * MB)]),
        ([(0, 10), (0, 10), (5, 8)], [(0, 10)]),
    ],
)
def test_neighbours_are_asked_for_together(stretches: list[tuple[int, int]], requests: list[tuple[int, int]]) -> None:
    assert coalesced(stretches) == requests


# Many files


class Peak:
    """A file that counts what is fetched of it, and how much Arrow holds at most."""

    def __init__(self, data: bytes, *, waits_for: int = 0, takes_s: float = 0) -> None:
        self._data = data
        self._takes_s = takes_s
        self._before = pa.total_allocated_bytes()
        self._together = threading.Barrier(waits_for) if waits_for else None
        self._lock = threading.Lock()
        self._readers = 0
        self.most_readers = 0
        self.fetched_bytes = 0
        self.arrow_bytes = 0

    def __call__(self, stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        if self._together is not None:
            self._together.wait(timeout=60)
        with self._lock:
            self._readers += 1
            self.most_readers = max(self.most_readers, self._readers)
        found = [self._data[start:stop] for start, stop in stretches]
        time.sleep(self._takes_s)
        with self._lock:
            self._readers -= 1
            self.fetched_bytes += sum(map(len, found))
        return found

    def look(self) -> None:
        self.arrow_bytes = max(self.arrow_bytes, pa.total_allocated_bytes() - self._before)


def sources_of(tmp_path: Path, rows: int, files: int, **options: Any) -> tuple[Peak, list[Source]]:
    random = np.random.default_rng(1)
    table = pa.table({name: random.random(rows) for name in SCHEMA.names}, schema=SCHEMA)
    path = tmp_path / "a.parquet"
    facts = write_file(lambda: path.open("xb"), [table], SCHEMA, metadata={})
    del table
    peak = Peak(path.read_bytes(), **options)
    remote = Remote("a", peak, facts.size_bytes, facts.footer_bytes)
    return peak, [Source(f"a-{number}", remote) for number in range(files)]


def test_64_files_are_asked_for_at_once(tmp_path: Path) -> None:
    for read in (read_files, lambda *args: pa.Table.from_batches(iter_batches(*args))):
        (tmp_path / "a.parquet").unlink(missing_ok=True)
        _, sources = sources_of(tmp_path, 10, 128, waits_for=64)  # fewer would wait for ever

        assert read(sources, SCHEMA).num_rows == 1280


def test_a_stream_over_many_files_holds_few_of_them(tmp_path: Path) -> None:
    peak, sources = sources_of(tmp_path, 160_000, 100)  # 100 files of 10 MB
    tracemalloc.start()
    rows = 0

    for batch in iter_batches(sources, SCHEMA):
        rows += batch.num_rows
        peak.look()

    python_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 16_000_000
    assert peak.fetched_bytes > 900 * MB
    assert peak.arrow_bytes < 150 * MB
    assert python_bytes < 150 * MB


def test_who_stops_early_does_not_wait_for_a_store_that_is_silent(tmp_path: Path) -> None:
    _, source, _ = written(tmp_path, 10)
    answers = threading.Event()
    given_up = threading.Timer(20, answers.set)

    def wait(stretches: Sequence[tuple[int, int]]) -> list[bytes]:
        answers.wait()
        return source.open.read(stretches)  # type: ignore[union-attr, return-value]

    silent = Source("silent", replace(source.open, read=wait))  # type: ignore[type-var]
    torn = Source("torn", replace(source.open, size_bytes=1))  # type: ignore[type-var]
    given_up.start()
    try:
        with pytest.raises(CorruptionError, match="torn"):
            read_files([torn, silent], SCHEMA)
        with pytest.raises(CorruptionError, match="torn"):
            next(iter_batches([torn, silent], SCHEMA))
        assert not answers.is_set()
    finally:
        answers.set()
        given_up.cancel()


def test_of_large_files_fewer_are_fetched_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_FETCHED_BYTES", 4 * MB)
    peak, sources = sources_of(tmp_path, 16_000, 60, takes_s=0.01)  # 1 MB each

    assert read_files(sources, SCHEMA).num_rows == 960_000
    assert peak.most_readers <= 4


def test_a_reader_that_is_slow_is_not_run_ahead_of(tmp_path: Path) -> None:
    peak, sources = sources_of(tmp_path, 160_000, 100)

    batches = iter_batches(sources, SCHEMA)
    next(batches)
    batches.close()  # type: ignore[attr-defined]

    assert peak.fetched_bytes < 100 * MB


def test_values_that_repeat_are_counted_as_large_as_they_become(tmp_path: Path) -> None:
    schema = assign_field_ids(pa.schema({name: pa.float64() for name in "ab"}))
    table = pa.table({name: np.zeros(1_000_000) for name in "ab"}, schema=schema)
    path = tmp_path / "zeros.parquet"
    facts = write_file(lambda: path.open("xb"), [table], schema, metadata={})
    assert facts.size_bytes < 100_000
    del table
    peak = Peak(path.read_bytes())
    sources = [Source("zeros", Remote("zeros", peak, facts.size_bytes, facts.footer_bytes))] * 60

    for _ in iter_batches(sources, schema):
        peak.look()

    assert peak.arrow_bytes < 150 * MB  # of 960
