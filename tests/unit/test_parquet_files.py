"""Tables become Parquet files that anybody can read, and come back the same; damage is named."""

from __future__ import annotations

import hashlib
import json
import math
import operator as operators
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakepart.errors import CorruptionError, ErrorCode, InvalidInputError, NotFoundError
from lakepart.parquet import sorting, writing
from lakepart.parquet.datasets import NativeFile, open_filesystem, open_parquet, to_dataset
from lakepart.parquet.filters import columns_of_filter, compile_filter
from lakepart.parquet.opening import Source
from lakepart.parquet.reading import iter_batches, output_schema, read_files, read_footer
from lakepart.parquet.remote import Remote
from lakepart.parquet.schemas import assign_field_ids
from lakepart.parquet.writing import FileFacts, write_file

SCHEMA = assign_field_ids(pa.schema({"x": pa.int64(), "s": pa.string(), "t": pa.timestamp("us", "America/New_York")}))
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


def table_of(start: int, rows: int) -> pa.Table:
    numbers = range(start, start + rows)
    return pa.table([list(numbers), [f"s{n % 7}" for n in numbers], [NOON] * rows], schema=SCHEMA)


def write(path: Path, *tables: pa.Table, schema: pa.Schema = SCHEMA, **options: Any) -> FileFacts:
    return write_file(lambda: path.open("xb"), tables, schema, metadata={"lakepart.key": path.stem}, **options)


@pytest.fixture
def files(tmp_path: Path) -> list[Source]:
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    for number, path in enumerate(paths):
        write(path, table_of(number * 10, 10))
    return [Source(path.name, str(path), {"partition": path.stem}) for path in paths]


def digest_of(pages: bytes) -> str:
    """Give the data digest of pages that were written under ``SCHEMA``."""
    meaning = b'[[1,"int64"],[2,"string"],[3,"timestamp[us, tz=America/New_York]"]]'
    return hashlib.sha256(meaning + hashlib.sha256(pages).digest()).hexdigest()


def dataset_of(sources: list[Source], schema: pa.Schema) -> Any:
    local = open_filesystem("LocalFileSystem", {})
    paths = [str(source.open) for source in sources]
    return to_dataset(sources, [NativeFile(local, path, Path(path).stat().st_size) for path in paths], schema)


def _remote(path: Path) -> Remote:
    return Remote(
        path.name,
        lambda stretches: [path.read_bytes()[start:stop] for start, stop in stretches],
        path.stat().st_size,
        0,
    )


WITH_KEY = SCHEMA.append(pa.field("partition", pa.string()))


# --- writing


def test_a_file_is_what_its_facts_say(tmp_path: Path) -> None:
    facts = write(tmp_path / "a.parquet", table_of(0, 10), table_of(10, 5))

    data = (tmp_path / "a.parquet").read_bytes()
    footer = pq.read_metadata(tmp_path / "a.parquet")
    assert facts.size_bytes == len(data)
    assert facts.checksum == hashlib.sha256(data).hexdigest()
    assert facts.footer_bytes == int.from_bytes(data[-8:-4], "little") + 8
    assert facts.data_digest == digest_of(data[: -facts.footer_bytes])
    assert (facts.row_count, facts.row_groups) == (15, 1) == (footer.num_rows, footer.num_row_groups)
    assert footer.row_group(0).column(0).compression == "ZSTD"


def test_bare_pyarrow_reads_rows_ids_and_metadata(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table_of(0, 3))

    read = pq.read_table(tmp_path / "a.parquet")

    assert read.equals(table_of(0, 3))
    assert [field.metadata[b"PARQUET:field_id"] for field in read.schema] == [b"1", b"2", b"3"]
    assert pq.read_metadata(tmp_path / "a.parquet").metadata[b"lakepart.key"] == b"a"


def test_nested_columns_have_field_ids_and_survive(tmp_path: Path) -> None:
    schema = assign_field_ids(
        pa.schema(
            {"l": pa.list_(pa.struct([("k", pa.string())])), "m": pa.map_(pa.string(), pa.int8()), "x": pa.int8()}
        )
    )
    table = pa.table([[[{"k": "a"}], None], [[("q", 1)], []], [1, None]], schema=schema)

    facts = write(tmp_path / "a.parquet", table, schema=schema)

    assert read_files([Source("a", str(tmp_path / "a.parquet"))], schema).to_pylist() == table.to_pylist()
    assert "field_id=3" in str(pq.ParquetFile(tmp_path / "a.parquet").schema)
    assert dict(facts.statistics) == {"x": [1, 1, 1]}


def test_equal_rows_have_equal_digests_whatever_the_metadata_and_the_cuts(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.parquet", table_of(0, 30))
    in_pieces = write(tmp_path / "b.parquet", table_of(0, 7), table_of(7, 0), table_of(7, 23))
    sliced = write(tmp_path / "c.parquet", table_of(-5, 40).slice(5, 30))
    others = write(tmp_path / "d.parquet", table_of(1, 30))

    assert whole.data_digest == in_pieces.data_digest == sliced.data_digest
    assert whole.checksum != in_pieces.checksum
    assert whole.data_digest != others.data_digest


def numbered(identifier: int, data_type: pa.DataType, name: str = "x", **options: Any) -> pa.Field:
    return pa.field(name, data_type, metadata={"PARQUET:field_id": str(identifier)}, **options)


ONE = numbered(1, pa.int64())
MEANINGS = {  # columns, values in both, and whether the rows are the same
    "another id": (ONE, numbered(2, pa.int64()), [1, 2], False),
    "another name": (ONE, numbered(1, pa.int64(), name="y"), [1, 2], True),
    "another type of the same numbers": (ONE, numbered(1, pa.timestamp("us")), [1, 2], False),
    "another zone": (numbered(1, pa.timestamp("us", "UTC")), numbered(1, pa.timestamp("us", "Asia/Tokyo")), [1], False),
    "another scale": (numbered(1, pa.decimal128(9, 1)), numbered(1, pa.decimal128(9, 2)), [110], False),
    "a field of another id": (
        numbered(1, pa.struct([numbered(2, pa.int64())])),
        numbered(1, pa.struct([numbered(3, pa.int64())])),
        [{"x": 1}],
        False,
    ),
    "a field of another name": (
        numbered(1, pa.struct([numbered(2, pa.int64())])),
        numbered(1, pa.struct([numbered(2, pa.int64(), name="y")])),
        [{"x": 1}],
        True,
    ),
    "elements of another type": (
        numbered(1, pa.list_(numbered(2, pa.int32()))),
        numbered(1, pa.list_(numbered(2, pa.date32()))),
        [[1, 2]],
        False,
    ),
    "values of another type": (
        numbered(1, pa.map_(numbered(2, pa.int32(), nullable=False), numbered(3, pa.int32()))),
        numbered(1, pa.map_(numbered(2, pa.int32(), nullable=False), numbered(3, pa.date32()))),
        [[(1, 2)]],
        False,
    ),
}


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("case", MEANINGS)
def test_equal_pages_have_equal_digests_only_if_they_mean_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, streaming: bool
) -> None:
    if streaming:
        monkeypatch.setattr(writing, "_WHOLE_BYTES", 1)
    before, after, values, same = MEANINGS[case]

    def written(name: str, field: pa.Field) -> tuple[str, bytes]:
        column = _of_stored(values, field.type)
        path = tmp_path / name
        facts = write(path, pa.table([column], schema=pa.schema([field])), schema=pa.schema([field]))
        return facts.data_digest, path.read_bytes()[: -facts.footer_bytes]

    (digest, pages), (other_digest, other_pages) = written("a.parquet", before), written("b.parquet", after)

    assert pages == other_pages
    assert (digest == other_digest) == same


def _of_stored(values: list[Any], data_type: pa.DataType) -> pa.Array:
    """Make an array whose stored numbers are ``values``, whatever the type makes of them."""
    if pa.types.is_decimal(data_type):
        return pa.array([Decimal(value).scaleb(-data_type.scale) for value in values], data_type)
    if pa.types.is_struct(data_type):
        return pa.StructArray.from_arrays(
            [pa.array([v for row in values for v in row.values()])], fields=list(data_type)
        )
    return pa.array(values, data_type)


def test_a_file_that_streams_has_the_same_digest_however_it_was_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WHOLE_BYTES", 1)
    monkeypatch.setattr(writing, "_GRANULE_ROWS", 16)
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 2_000)

    def cut(name: str, size: int) -> FileFacts:
        return write(tmp_path / name, *(table_of(start, min(size, 500 - start)) for start in range(0, 500, size)))

    facts = [cut("a.parquet", 500), cut("b.parquet", 13), cut("c.parquet", 16)]

    assert len({fact.data_digest for fact in facts}) == 1
    assert facts[0].row_groups > 3
    data = (tmp_path / "b.parquet").read_bytes()
    assert facts[1].checksum == hashlib.sha256(data).hexdigest()
    assert facts[1].data_digest == digest_of(data[: -facts[1].footer_bytes])
    assert pq.read_table(tmp_path / "b.parquet").equals(table_of(0, 500))


def test_streaming_and_writing_at_once_make_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = write(tmp_path / "a.parquet", table_of(0, 500))
    monkeypatch.setattr(writing, "_WHOLE_BYTES", 1)
    (tmp_path / "a.parquet").rename(tmp_path / "first.parquet")

    streamed = write(tmp_path / "a.parquet", table_of(0, 500))

    assert streamed == at_once
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "first.parquet").read_bytes()


def test_row_groups_have_no_more_rows_than_asked(tmp_path: Path) -> None:
    facts = write(tmp_path / "a.parquet", table_of(0, 20_000), row_group_rows=8_192)

    footer = pq.read_metadata(tmp_path / "a.parquet")
    assert facts.row_groups == 3
    assert [footer.row_group(group).num_rows for group in range(3)] == [8_192, 8_192, 3_616]


def test_no_rows_make_a_readable_file(tmp_path: Path) -> None:
    facts = write(tmp_path / "a.parquet")

    assert facts.row_count == 0
    assert pq.read_table(tmp_path / "a.parquet").equals(table_of(0, 0))


def test_an_error_while_rows_come_leaves_the_sink_by_that_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_WHOLE_BYTES", 1)
    left = []

    class Sink(BytesIO):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
            left.append(kind)

    def broken() -> Iterator[pa.Table]:
        yield table_of(0, 10_000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_file(Sink, broken(), SCHEMA, metadata={}, row_group_rows=8_192)

    assert left == [ZeroDivisionError]


def test_an_error_of_the_sink_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(BytesIO):
        def write(self, data: Any) -> int:
            raise InvalidInputError("the disk is full")

    for whole_bytes in (10_000_000, 1):
        monkeypatch.setattr(writing, "_WHOLE_BYTES", whole_bytes)
        with pytest.raises(InvalidInputError, match="the disk is full"):
            write_file(Full, [table_of(0, 10)], SCHEMA, metadata={})


def test_statistics_are_json_and_compare_like_the_column(tmp_path: Path) -> None:
    columns: dict[str, tuple[pa.DataType, list[Any], list[Any]]] = {
        "i": (pa.int64(), [3, None, -1], [-1, 3, 1]),
        "u": (pa.uint64(), [2**64 - 1, 1, 5], [1, 2**64 - 1, 0]),
        "f": (pa.float64(), [1.5, math.nan, 0.5], [0.5, 1.5, 0]),
        "inf": (pa.float64(), [1.5, math.inf, 0.5], [None, None, 0]),
        "s": (pa.string(), ["b", "ä", None], ["b", "ä", 1]),
        "long": (pa.string(), ["b" * 65, "a", None], [None, None, 1]),
        "bytes": (pa.binary(), [b"a", b"b", None], [None, None, 1]),
        "bool": (pa.bool_(), [True, False, None], [False, True, 1]),
        "d": (pa.date32(), [date(1970, 1, 2), date(2013, 1, 1), None], [1, 15706, 1]),
        "t": (pa.timestamp("us", "UTC"), [NOON, NOON, None], [1357041600000000, 1357041600000000, 1]),
        "dec": (pa.decimal128(9, 2), [Decimal("9.00"), Decimal("10.00"), None], ["9.00", "10.00", 1]),
        "empty": (pa.int64(), [None, None, None], [None, None, 3]),
    }
    schema = assign_field_ids(pa.schema({name: kind for name, (kind, _, _) in columns.items()}))
    table = pa.table([values for _, values, _ in columns.values()], schema=schema)

    statistics = write(tmp_path / "a.parquet", table, schema=schema).statistics

    assert json.loads(json.dumps(statistics)) == {name: expected for name, (_, _, expected) in columns.items()}


def test_statistics_span_all_row_groups(tmp_path: Path) -> None:
    schema = assign_field_ids(pa.schema({"dec": pa.decimal128(9, 2), "x": pa.int64()}))
    table = pa.table([[Decimal("9.00")] * 8_192 + [Decimal("10.00")], [None] * 8_192 + [4]], schema=schema)

    facts = write(tmp_path / "a.parquet", table, schema=schema, row_group_rows=8_192)

    assert facts.row_groups == 2
    assert dict(facts.statistics) == {"dec": ["9.00", "10.00", 0], "x": [4, 4, 8_192]}


def test_many_threads_write_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        facts = list(pool.map(lambda n: write(tmp_path / f"{n}.parquet", table_of(n, 200)), range(40)))

    for number, fact in enumerate(facts):
        assert fact.checksum == hashlib.sha256((tmp_path / f"{number}.parquet").read_bytes()).hexdigest()
        assert pq.read_table(tmp_path / f"{number}.parquet").equals(table_of(number, 200))


# --- reading


def test_files_are_read_in_their_order_with_their_constants(files: list[Source]) -> None:
    table = read_files(files, WITH_KEY)

    assert table.schema.equals(pa.schema([pa.field(f.name, f.type) for f in WITH_KEY]), check_metadata=True)
    assert table["x"].to_pylist() == list(range(30))
    assert table["partition"].to_pylist() == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


def test_batches_are_the_same_rows(files: list[Source]) -> None:
    batches = list(iter_batches(files, WITH_KEY, batch_rows=4))

    assert max(batch.num_rows for batch in batches) == 4
    assert pa.Table.from_batches(batches).equals(read_files(files, WITH_KEY))


def test_a_file_behind_a_network_reads_like_one_with_a_path(files: list[Source]) -> None:
    remote = [replace(source, open=_remote(Path(str(source.open)))) for source in files]

    assert read_files(remote, WITH_KEY).equals(read_files(files, WITH_KEY))
    assert pa.Table.from_batches(iter_batches(remote, WITH_KEY)).equals(read_files(files, WITH_KEY))


def test_columns_come_in_the_order_asked_for(files: list[Source]) -> None:
    table = read_files(files, WITH_KEY, columns=["partition", "s", "x"])

    assert table.column_names == ["partition", "s", "x"]
    assert output_schema(WITH_KEY, ["partition", "s", "x"]).equals(table.schema)


def test_constants_alone_still_have_every_row(files: list[Source]) -> None:
    assert read_files(files, WITH_KEY, columns=["partition"]).num_rows == 30


def test_no_files_give_no_rows_of_the_right_columns() -> None:
    assert read_files([], WITH_KEY, columns=["s"]).schema.equals(pa.schema({"s": pa.string()}))
    assert list(iter_batches([], WITH_KEY)) == []


X = pc.field("x")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([("x", ">", 27)], [28, 29]),
        ([("x", ">=", 28), ("x", "<", 29)], [28]),
        ([[("x", "==", 1)], [("x", "=", 25), ("s", "==", "s4")]], [1, 25]),
        ([("x", "in", [3, 300])], [3]),
        ([("x", "not in", range(1, 30))], [0]),
        ([("x", "!=", 0), ("x", "<=", 1.5)], [1]),
        ([("partition", "==", "c"), ("x", "<", 21)], [20]),
        ([("t", ">", NOON)], []),
        ((X > 27) & (pc.field("partition") == "c"), [28, 29]),
        (pc.field(0) == 3, [3]),
        (None, list(range(30))),
    ],
    ids=str,
)
def test_filters_choose_rows(files: list[Source], given: Any, expected: list[int]) -> None:
    assert read_files(files, WITH_KEY, filter=given, columns=["x"])["x"].to_pylist() == expected
    assert [n for b in iter_batches(files, WITH_KEY, filter=given) for n in b["x"].to_pylist()] == expected


def test_row_groups_that_cannot_match_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write(path, table_of(0, 16_384), row_group_rows=8_192)
    data = bytearray(path.read_bytes())
    first_page = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    data[first_page : first_page + 2_000] = bytes(2_000)
    path.write_bytes(data)

    rows = read_files([Source("a", str(path))], SCHEMA, filter=[("x", ">=", 16_380)])

    assert rows["x"].to_pylist() == [16_380, 16_381, 16_382, 16_383]
    with pytest.raises(CorruptionError):
        read_files([Source("a", str(path))], SCHEMA)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["xx"]}, "no column 'xx'"),
        ({"filter": [("carier", "==", 1)]}, "no column 'carier'"),
        ({"filter": pc.field("q") > 1}, "no column 'q'"),
        ({"filter": [("x", "==", "text")]}, "compare a column with a value of its own type"),
        ({"filter": [("x", "~", 1)]}, "operator '~'"),
        ({"filter": [("x", "in", "abc")]}, "no list of values"),
        ({"filter": [("x", "==", None)]}, "is_null"),
        ({"filter": ("x", "==", 1)}, "without its list"),
        ({"filter": "x > 1"}, "is no filter"),
        ({"filter": []}, "is no filter"),
        ({"filter": [("x", 1)]}, "no comparison"),
        ({"filter": [("t", ">", datetime(2013, 1, 1))]}, "one has a time zone"),  # noqa: DTZ001 - naive is meant
        ({"filter": [("t", ">", date(2013, 1, 1))]}, "no instant"),
        ({"columns": "x"}, r"columns=\['x'\]"),
        ({"columns": ["x", "x"]}, "twice"),
        ({"columns": []}, "rows without columns"),
    ],
    ids=str,
)
def test_columns_and_filters_that_do_not_fit_are_refused_before_any_file(options: Any, words: str) -> None:
    nowhere = [Source("nowhere", "/nowhere/at/all")]

    with pytest.raises(InvalidInputError, match=words):
        read_files(nowhere, SCHEMA, **options)
    with pytest.raises(InvalidInputError, match=words):
        iter_batches(nowhere, SCHEMA, **options)


def test_unknown_columns_are_told_with_close_names() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'carrier'") as caught:
        read_files([], pa.schema({"carrier": pa.string(), "x": pa.int8()}), filter=[("carier", "==", "UA")])

    assert caught.value.code is ErrorCode.UNKNOWN_COLUMN


def test_a_column_that_got_its_type_later_is_null_in_older_files(tmp_path: Path) -> None:
    untyped = assign_field_ids(pa.schema({"x": pa.int64(), "note": pa.null()}))
    write(tmp_path / "old.parquet", pa.table([[1], pa.nulls(1)], schema=untyped), schema=untyped)
    typed = assign_field_ids(pa.schema({"x": pa.int64(), "note": pa.string()}))
    write(tmp_path / "new.parquet", pa.table([[2], ["n"]], schema=typed), schema=typed)
    sources = [Source(name, str(tmp_path / f"{name}.parquet")) for name in ("old", "new")]

    assert read_files(sources, typed).to_pylist() == [{"x": 1, "note": None}, {"x": 2, "note": "n"}]
    assert read_files(sources, typed, filter=[("note", "==", "n")])["x"].to_pylist() == [2]
    assert dataset_of(sources, typed).to_table().to_pylist() == [{"x": 1, "note": None}, {"x": 2, "note": "n"}]


def test_a_dataset_is_exactly_these_files_and_their_constants(files: list[Source]) -> None:
    dataset = dataset_of(files[:2], WITH_KEY)

    assert dataset.count_rows() == 20
    assert dataset.to_table(filter=pc.field("partition") == "b", columns=["x", "partition"]).to_pylist() == [
        {"x": number, "partition": "b"} for number in range(10, 20)
    ]


def test_a_filesystem_that_arrow_has_not_is_refused_without_its_secrets() -> None:
    for kind, arguments in (("MoonFileSystem", {}), ("S3FileSystem", {"moon_key": "hidden"})):
        with pytest.raises(InvalidInputError, match=kind) as caught:
            open_filesystem(kind, arguments)

        assert caught.value.code is ErrorCode.UNSUPPORTED
        assert "hidden" not in str(caught.value)


def test_a_footer_tells_rows_and_metadata(files: list[Source]) -> None:
    footer = read_footer(files[1])

    assert (footer.row_count, footer.row_groups, dict(footer.metadata)) == (10, 1, {"lakepart.key": "b"})
    assert footer.schema.equals(SCHEMA)


def _missing(path: Path) -> None:
    path.unlink()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _foreign(path: Path) -> None:
    path.write_text("year,month\n2013,1\n" * 10)


def _without_a_column(path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


def _of_another_type(path: Path) -> None:
    pq.write_table(pa.table({"x": ["text"], "s": ["a"], "t": [NOON]}), path)


def _with_a_name_that_is_no_text(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\x18\x01x", b"\x18\x01\xb1"))  # Thrift: a string of one byte


@pytest.mark.parametrize(
    "damage",
    [_missing, _torn, _empty, _foreign, _without_a_column, _of_another_type, _with_a_name_that_is_no_text],
)
def test_a_damaged_file_is_named(files: list[Source], damage: Callable[[Path], None]) -> None:
    damage(Path(str(files[1].open)))

    for read in (read_files, lambda *args: list(iter_batches(*args))):
        with pytest.raises(CorruptionError, match=r"b\.parquet"):
            read(files, WITH_KEY)
    with pytest.raises(CorruptionError, match=r"b\.parquet"):
        read_files(files[1:2], WITH_KEY)


@pytest.mark.parametrize("damage", [_missing, _torn, _empty, _foreign, _with_a_name_that_is_no_text])
def test_the_footer_of_a_damaged_file_is_not_believed(files: list[Source], damage: Callable[[Path], None]) -> None:
    damage(Path(str(files[1].open)))

    with pytest.raises(CorruptionError, match=r"b\.parquet"):
        read_footer(files[1])


def test_a_file_that_its_store_does_not_find_is_missing() -> None:
    def read_nothing(stretches: Any) -> Any:
        raise NotFoundError("no object")

    with pytest.raises(CorruptionError, match="'gone' is missing"):
        read_files([Source("gone", Remote("gone", read_nothing, 1000, 100))], SCHEMA)


def test_leaving_a_stream_of_batches_early_is_allowed(files: list[Source]) -> None:
    batches = iter_batches(files * 20, WITH_KEY)

    assert next(batches).num_rows == 10
    batches.close()  # type: ignore[attr-defined]


def test_a_large_file_is_streamed_one_row_group_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "big.parquet"
    schema = assign_field_ids(pa.schema({"x": pa.float64()}))
    numbers = np.random.default_rng(3).random(6_000_000)
    write(path, pa.table([numbers], schema=schema), schema=schema, row_group_rows=500_000)
    del numbers
    before = pa.total_allocated_bytes()
    most = 0

    for batch in iter_batches([Source("big", str(path))], schema, threads=2):
        most = max(most, pa.total_allocated_bytes() - before)
        assert batch.num_rows <= 65_536

    assert most < 24_000_000  # the file is 48 MB


def test_a_stream_is_handed_on_row_group_by_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "_WHOLE_BYTES", 1 << 20)
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 4 << 20)
    schema = assign_field_ids(pa.schema({name: pa.float64() for name in "abcd"}))
    random = np.random.default_rng(7)
    before = pa.total_allocated_bytes()
    taken = handed_on = most = behind = 0

    class Counting(BytesIO):
        def write(self, data: Any) -> int:
            nonlocal handed_on, most
            handed_on += len(data)
            most = max(most, pa.total_allocated_bytes() - before)
            return len(data)

    def tables() -> Iterator[pa.Table]:
        nonlocal taken, behind
        for _ in range(400):
            table = pa.table([random.random(8_192) for _ in schema], schema=schema)
            taken += table.nbytes
            yield table
            behind = max(behind, taken - handed_on)

    write_file(Counting, tables(), schema, metadata={})

    assert handed_on > 90_000_000  # of 105, which cannot be made much smaller
    assert behind < 20_000_000
    assert most < 20_000_000


def test_a_sorted_stream_is_written_while_one_stretch_and_two_row_groups_of_it_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "_WHOLE_BYTES", 1_000_000)
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 2_000_000)
    monkeypatch.setattr(sorting, "STRETCH_BYTES", 8_000_000)
    monkeypatch.setattr(sorting, "_BLOCK_ROWS", 8_192)
    schema = assign_field_ids(pa.schema({name: pa.int64() for name in "xabcdefghijklmno"}))
    numbers = np.random.default_rng(7)
    before, most = pa.total_allocated_bytes(), 0

    def note() -> None:
        nonlocal most
        most = max(most, pa.total_allocated_bytes() - before)

    class Noting(BytesIO):
        def write(self, data: Any) -> int:
            note()
            return len(data)

    def tables() -> Iterator[pa.Table]:
        for _ in range(40):
            numbered = pa.array(numbers.integers(0, 2**62, 8_192))
            yield pa.table([pc.add(numbered, column) for column in range(len(schema))], schema=schema)
            note()

    write_file(Noting, sorting.in_order(tables(), ["x"]), schema, metadata={})

    assert most < 19_000_000


# --- what files can hold


def can_hold(given: Any, statistics: dict[str, list[Any]], **types: pa.DataType) -> bool:
    compiled = compile_filter(given, pa.schema(types))
    assert compiled is not None
    return compiled.can_hold(statistics)


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("==", 5, True),
        ("==", 4, False),
        ("==", 7.5, False),
        ("<", 5.5, True),
        (">", 2.0**64, False),
        ("==", 11, False),
        ("<", 5, False),
        ("<=", 5, True),
        (">", 10, False),
        (">=", 10, True),
        (">", 9.5, True),
        (">", 10.5, False),
        ("in", [1, 11], False),
        ("in", [1, 7], True),
        ("in", [], False),
        ("!=", 11, True),
        ("not in", [11], True),
    ],
)
def test_bounds_say_whether_a_file_can_hold_a_match(operator: str, value: Any, expected: bool) -> None:
    assert can_hold([("x", operator, value)], {"x": [5, 10, 0]}, x=pa.int64()) is expected


COMPARE = {
    "==": operators.eq,
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "in": lambda x, values: any(x == value for value in values),  # Python compares integers and floats exactly
    "not in": lambda x, values: all(x != value for value in values),
}
NEAR = [2**53 + offset for offset in range(-5, 6)]
NUMBERS = {  # a column's values, and what they are compared with
    "floats": (pa.float64(), [float(n) for n in NEAR], [*NEAR, *(-n for n in NEAR), 2**63, 2**64, 10**400, -(10**400)]),
    "narrow floats": (pa.float32(), [float(2**24 + n) for n in range(-4, 6, 2)], [2**24 + n for n in range(-5, 7)]),
    "integers": (pa.int64(), [*NEAR, 1], [*(float(n) for n in NEAR), 0.5, 1.0, 1.5, math.inf, -math.inf, math.nan]),
    "largest integers": (pa.int64(), [-(2**63), 2**63 - 1], [2.0**63, -(2.0**63), 1e300, 2**63, 2**64, 10**400]),
    "unsigned integers": (pa.uint64(), [0, 2**64 - 1], [2**64 - 2, 2**64 - 1, 2**64, 2.0**64, -1, -0.5, 0.0]),
    "small integers": (pa.int8(), [-128, 0, 127], [-129, -128.5, -128, 126.5, 127, 127.5, 128]),
}


@pytest.mark.parametrize("operator", COMPARE)
@pytest.mark.parametrize("numbers", NUMBERS)
def test_numbers_compare_exactly_in_rows_and_bounds_whatever_their_types(numbers: str, operator: str) -> None:
    data_type, values, others = NUMBERS[numbers]
    schema = pa.schema({"x": data_type})
    table = pa.table([[*values, None]], schema=schema)
    many = operator in {"in", "not in"}

    for other in [[first, second] for first in others for second in others] if many else others:
        for given in (other, *(() if many or not -(2**63) <= other < 2**63 else (pa.scalar(other),))):
            compiled = compile_filter([("x", operator, given)], schema)
            assert compiled is not None
            found = [x for x in table.filter(compiled.expression)["x"].to_pylist() if x is not None]
            assert found == [x for x in values if COMPARE[operator](x, other)], other
            for low in values:
                for high in values:
                    held = any(low <= x <= high for x in found)
                    assert compiled.can_hold({"x": [low, high, 1]}) or not held, (other, low, high)


def test_alternatives_are_tried_one_by_one_and_conditions_together() -> None:
    statistics = {"x": [5, 10, 0], "s": ["a", "c", 0]}

    assert can_hold([[("x", "<", 5)], [("s", "==", "b")]], statistics, x=pa.int64(), s=pa.string())
    assert not can_hold([("x", "<", 5), ("s", "==", "b")], statistics, x=pa.int64(), s=pa.string())


@pytest.mark.parametrize(
    ("data_type", "bounds", "inside", "outside"),
    [
        (pa.timestamp("us", "UTC"), [1357041600000000, 1357041600000001, 0], NOON, NOON.replace(year=2014)),
        (pa.date32(), [15706, 15707, 0], date(2013, 1, 1), date(2013, 1, 3)),
        (pa.date32(), [15706, 15707, 0], "2013-01-01", "2013-01-03"),
        (pa.decimal128(9, 2), ["9.00", "10.00", 0], Decimal("9.50"), Decimal("11.00")),
        (pa.string(), ["b", "ä", 0], "c", "a"),
    ],
    ids=str,
)
def test_bounds_of_every_type_compare_as_the_column_does(
    data_type: pa.DataType, bounds: list[Any], inside: Any, outside: Any
) -> None:
    assert can_hold([("c", "==", inside)], {"c": bounds}, c=data_type)
    assert not can_hold([("c", "==", outside)], {"c": bounds}, c=data_type)


def test_what_statistics_do_not_say_may_be_there() -> None:
    assert can_hold([("x", "==", 1)], {}, x=pa.int64())
    assert can_hold([("x", "==", 1)], {"x": [None, None, 0]}, x=pa.int64())
    assert can_hold([("x", "in", [math.nan])], {"x": [0.0, 1.0, 0]}, x=pa.float64())
    assert can_hold(X == 99, {"x": [0, 1, 0]}, x=pa.int64())


def test_the_columns_of_a_filter_are_known() -> None:
    schema = pa.schema({"x": pa.int64(), "y": pa.int64(), "z": pa.int64()})

    assert columns_of_filter([[("x", "==", 1), ("y", "==", 2)], [("x", ">", 3)]], schema) == ("x", "y")
    assert columns_of_filter((X > 1) & (pc.field("z") < 2), schema) == ("x", "z")
    assert columns_of_filter(None, schema) == ()


@pytest.mark.parametrize("path", ["s3://key:s3cret@acme/a b", "nowhere://key:s3cret@acme/a"])
def test_an_address_that_is_no_parquet_is_named_as_it_may_be_shown(path) -> None:
    with pytest.raises(InvalidInputError, match=r"^'shown' cannot be read as Parquet") as caught:
        open_parquet(path, "shown")

    assert "s3cret" not in f"{caught.value} {caught.value.context}"
