"""Bad input: a clear error that names the value, the rule and the way out — and nothing has changed."""

import os
import pickle
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import files_of, query_catalog

NEW_YORK = "America/New_York"


def times(*texts, tz=NEW_YORK):
    return pd.DataFrame(
        {"time": pd.to_datetime(list(texts), format="ISO8601").tz_localize(tz), "value": range(len(texts))}
    )


def days(*pairs):
    return pa.table(
        {
            "day": pa.array([day and date.fromisoformat(day) for day, _ in pairs], pa.date32()),
            "value": pa.array([value for _, value in pairs], pa.int64()),
        }
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template") / "lake"
    with lp.create(root) as lake:
        january = lp.Daily("2024-01-01", end="2024-02-01", by="time", tz=NEW_YORK)
        lake.asset("flights", partitions=january).write(times("2024-01-02 08:00", "2024-01-03 08:00"))
        lake.asset("days", partitions=lp.Daily("2024-01-01", by="day"))
        lake.asset("carriers", partitions=lp.Static(["UA", "AA"], by="carrier"))
        lake.asset("plain", partitions=lp.Daily("2024-01-01"))
    return root


@pytest.fixture
def lake(template, tmp_path):
    shutil.copytree(template, tmp_path / "lake")
    with lp.connect(tmp_path / "lake") as lake:
        yield lake


def state_of(lake):
    counted = "SELECT (SELECT snapshot FROM head), (SELECT count(*) FROM version), (SELECT count(*) FROM asset)"
    return files_of(lake.url), query_catalog(lake.url, counted), query_catalog(lake.url, "SELECT * FROM intent")


def refused(lake, act, kind, code, *words):
    """Prove that ``act`` raises an error that says all ``words``, keeps when pickled, and changes nothing."""
    before = state_of(lake)

    with pytest.raises(kind) as caught:
        act()

    error = caught.value
    assert type(error) is kind
    assert error.code == code
    for word in words:
        assert word in str(error), str(error)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code, copy.context) == (kind, str(error), error.code, error.context)
    assert state_of(lake) == before
    return error


# Rows that have no place


@pytest.mark.parametrize("time", ["2023-12-31 23:59", "2024-02-01 00:00"], ids=["before the start", "at the end"])
def test_rows_outside_the_definition_are_refused(lake, time):
    words = ("'time'", time, "row 1", "'2024-01-01' to '2024-01-31'", "Hint:", "filter")
    refused(
        lake,
        lambda: lake.asset("flights").write(times("2024-01-05", time)),
        lp.InvalidInputError,
        "out-of-range",
        *words,
    )


@pytest.mark.parametrize("if_exists", ["error", "replace", "append"])
def test_nulls_in_the_partition_column_are_refused(lake, if_exists):
    frame = days(("2024-01-01", 1), (None, 2), (None, 3))
    words = ("'day'", "null in 2 of 3 rows", "first in row 1", "Hint: drop these rows or fill them in")
    refused(
        lake,
        lambda: lake.asset("days").write(frame, if_exists=if_exists),
        lp.InvalidInputError,
        "null-partition-value",
        *words,
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda asset, frame: asset.write(frame, "2024-01-05"),
        lambda asset, frame: asset["2024-01-05"].write(frame),
        lambda asset, frame: asset.append(frame, "2024-01-05"),
        lambda asset, frame: asset.write({"2024-01-05": frame}),
        lambda asset, frame: asset.write(iter([("2024-01-05", frame)])),
    ],
    ids=["key", "selection", "append", "mapping", "pairs"],
)
def test_a_row_of_another_partition_is_refused(lake, write):
    frame = times("2024-01-05", "2024-01-06")
    words = ("'flights'", "'2024-01-06'", "only '2024-01-05'", "Hint: filter the frame by column 'time'")
    refused(lake, lambda: write(lake.asset("flights"), frame), lp.PartitionKeyError, "foreign-rows", *words)


def test_a_missing_partition_column_is_refused_with_close_names(lake):
    frame = times("2024-01-05").rename(columns={"time": "tine"})
    words = ("no column 'time'", "did you mean 'tine'?")
    refused(lake, lambda: lake.asset("flights").write(frame), lp.InvalidInputError, "unknown-column", *words)


@pytest.mark.parametrize("wrong", [[1], ["2024-01-05"], [1.5], [True]], ids=["int", "text", "float", "bool"])
def test_a_partition_column_of_the_wrong_type_is_refused(lake, wrong):
    frame = pd.DataFrame({"day": wrong, "value": [1]})
    words = ("'day'", "timestamps or dates", "Hint:", "pd.to_datetime")
    refused(lake, lambda: lake.asset("days").write(frame), lp.SchemaMismatchError, "schema-mismatch", *words)


def test_naive_timestamps_are_refused_where_the_zone_is_not_utc(lake):
    frame = times("2024-01-05", tz=None)
    words = ("'time'", "without a time zone", NEW_YORK, f".dt.tz_localize('{NEW_YORK}')", "tz_localize('UTC')")
    refused(lake, lambda: lake.asset("flights").write(frame), lp.InvalidInputError, "naive-timestamp", *words)


def test_an_unknown_static_key_is_refused_with_close_names(lake):
    frame = pd.DataFrame({"carrier": ["UA", "UAA"], "value": [1, 2]})
    words = ("'carrier'", "'UAA'", "row 1", "did you mean 'UA'")
    refused(lake, lambda: lake.asset("carriers").write(frame), lp.PartitionKeyError, "invalid-key", *words)


def test_writing_over_partitions_that_exist_lists_them_and_names_the_choice(lake):
    frame = times("2024-01-02", "2024-01-03", "2024-01-04")
    words = ("2 partitions of 'flights'", "2024-01-02, 2024-01-03", 'if_exists="replace"', 'if_exists="append"')
    error = refused(lake, lambda: lake.asset("flights").write(frame), lp.AlreadyExistsError, "already-exists", *words)
    assert error.context["existing"] == ["2024-01-02", "2024-01-03"]


# Empty and half-known frames


@pytest.mark.parametrize(
    "empty", [days, lambda: iter([days()]), lambda: iter([]), dict], ids=["table", "stream", "none", "{}"]
)
def test_an_empty_frame_to_a_routed_write_is_refused_and_told_what_to_do(lake, empty):
    refused(lake, lambda: lake.asset("days").write(empty()), lp.InvalidInputError, "empty-frame", "Hint:")


def test_an_empty_frame_to_a_selection_records_known_empty_partitions(lake):
    lake.asset("days")["2024-01-01":"2024-01-03"].write(days())

    assert lake.asset("days").status(as_of=datetime(2024, 1, 4, tzinfo=UTC))["data"].tolist() == ["empty"] * 3
    assert lake.asset("days").count_rows() == 0


def test_a_column_without_values_stays_undecided_until_it_is_typed(lake):
    asset = lake.asset("days")
    asset.write(pa.table({"day": [date(2024, 1, 1)], "value": pa.nulls(1), "note": pa.nulls(1)}))
    asset.write(pa.table({"day": [date(2024, 1, 2)], "value": [1.5], "note": pa.nulls(1)}))

    assert asset.schema.field("value").type == pa.float64()
    assert asset.schema.field("note").type == pa.null()
    assert asset.to_arrow()["value"].to_pylist() == [None, 1.5]
    words = ("column 'value'", "double", "string")
    frame = pa.table({"day": [date(2024, 1, 3)], "value": ["text"], "note": ["text"]})
    refused(lake, lambda: asset.write(frame), lp.SchemaMismatchError, "schema-mismatch", *words)


# Frames that cannot be taken as they are


def test_an_unnamed_pandas_index_is_refused_and_a_named_one_kept(lake):
    asset = lake.asset("plain")
    frame = pd.DataFrame({"value": [1, 2]}, index=["a", "b"])
    words = ("unnamed", "reset_index(drop=True)", "rename_axis('name')")
    refused(lake, lambda: asset.write(frame, "2024-01-01"), lp.InvalidInputError, "unnamed-index", *words)

    asset.write(frame.rename_axis("label"), "2024-01-01")

    assert set(asset.schema.names) == {"label", "value"}
    assert asset["2024-01-01"].to_pandas()["label"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "data", [42, "text", b"bytes", [1, 2], object()], ids=["int", "str", "bytes", "list", "object"]
)
def test_what_holds_no_rows_is_refused_and_told_what_is_taken(lake, data):
    words = ("holds no rows", "pandas", "pyarrow", "__arrow_c_stream__")
    refused(lake, lambda: lake.asset("days").write(data), lp.InvalidInputError, "invalid-input", *words)


def test_columns_that_differ_from_the_schema_are_explained_one_by_one(lake):
    lake.asset("days").write(days(("2024-01-01", 1)))
    frame = pa.table({"day": [date(2024, 1, 2)], "velue": ["x"]})
    words = ("column 'value' of the asset is missing", "column 'velue' of the frame is not in the asset")
    refused(lake, lambda: lake.asset("days").write(frame), lp.SchemaMismatchError, "schema-mismatch", *words)


# Names of things that are not there


def test_unknown_names_come_with_close_ones(lake):
    flights = lake.asset("flights")
    refused(lake, lambda: lake.asset("fligths"), lp.AssetNotFoundError, "asset-not-found", "'fligths'", "'flights'")
    refused(lake, lambda: lake.asset("carriers")["UAA"], lp.PartitionKeyError, "invalid-key", "'UAA'", "'UA'")
    refused(
        lake, lambda: flights.to_pandas(columns=["valeu"]), lp.InvalidInputError, "unknown-column", "'valeu'", "'value'"
    )
    refused(
        lake,
        lambda: flights.to_pandas(filter=[("valeu", ">", 1)]),
        lp.InvalidInputError,
        "unknown-column",
        "'valeu'",
        "'value'",
    )
    refused(lake, lambda: flights.demote("colt"), lp.InvalidInputError, "invalid-input", "'colt'", "'cold'")
    lake.create_branch("draft")
    refused(lake, lambda: lake.branch("drafft"), lp.BranchNotFoundError, "branch-not-found", "'drafft'", "'draft'")
    refused(lake, lambda: lake.backfill("b"), lp.NotFoundError, "not-found", "'b'")
    refused(lake, lambda: lake.at(99), lp.SnapshotNotFoundError, "snapshot-not-found", "99", "newest is 1")


def test_a_key_that_cannot_be_is_shown_one_that_can(lake):
    words = ("'2024-13-01'", "look like '2024-01-01'")
    refused(lake, lambda: lake.asset("days")["2024-13-01"], lp.PartitionKeyError, "invalid-key", *words)


def test_missing_partitions_that_were_named_are_an_error_before_a_byte_is_read(lake):
    hot = Path(lake.url, "hot")
    hot.rename(hot.with_name("away"))
    selection = lake.asset("flights")["2024-01-02":"2024-01-05"]
    with pytest.raises(lp.PartitionNotFoundError) as caught:
        selection.to_pandas()
    hot.with_name("away").rename(hot)

    assert caught.value.context["missing"] == ["2024-01-04", "2024-01-05"]
    with pytest.warns(lp.PartialReadWarning, match="2024-01-04, 2024-01-05"):
        assert len(selection.to_pandas(missing="skip")) == 2


# What may stand in brackets


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (datetime(2024, 1, 5, tzinfo=UTC), ("datetime", "asset.between(start, end)")),
        (pd.Timestamp("2024-01-05"), ("asset.between(start, end)",)),
        (-1, ("-1", "asset.last(n)")),
        (slice("2024-01-01", "2024-01-05", 2), ("step", "asset.last(n)")),
        (slice(-3, None), ("-3", "asset.last(n)")),
    ],
    ids=["datetime", "Timestamp", "number", "step", "negative slice"],
)
def test_what_is_no_label_is_refused_with_the_way_to_say_it(lake, item, words):
    refused(lake, lambda: lake.asset("days")[item], lp.InvalidInputError, "invalid-selection", *words)


def test_a_range_written_backwards_is_refused(lake):
    with pytest.raises(lp.InvalidInputError):
        lake.asset("days")["2024-02":"2024-01"]


# Names and keys


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a//b",
        "a/",
        "a/../b",
        "..",
        "_a",
        "a/_b",
        "a b",
        "ü",
        "a" * 65,
        "/".join("abcdefghi"),
        "a\0b",
        None,
        3,
    ],
    ids=repr,
)
def test_an_asset_name_outside_the_rule_is_refused(lake, name):
    refused(
        lake, lambda: lake.asset(name, partitions=lp.Unpartitioned()), lp.InvalidInputError, "invalid-name", repr(name)
    )


SURROGATE = "a\udc80b"  # as Python makes it of a byte that is no UTF-8
NO_UTF8 = {
    "message": lambda lake: lake.asset("days").write(days(("2024-01-02", 1)), message=SURROGATE),
    "code_version": lambda lake: lake.asset("days").write(days(("2024-01-02", 1)), code_version=SURROGATE),
    "metadata": lambda lake: lake.asset("days").write(days(("2024-01-02", 1)), metadata={"why": SURROGATE}),
    "of a rollback": lambda lake: lake.asset("flights").rollback(to=0, message=SURROGATE),
    "of a tag": lambda lake: lake.tag("first", message=SURROGATE),
    "of a mark": lambda lake: lake.asset("flights").mark_stale(SURROGATE),
}


@pytest.mark.parametrize("argument", NO_UTF8)
def test_a_text_that_utf8_has_not_is_refused(lake, argument):
    refused(
        lake, lambda: NO_UTF8[argument](lake), lp.InvalidInputError, "invalid-input", r"a\udc80b", "lone surrogate at"
    )


@pytest.mark.parametrize("argument", ["message", "code_version"])
@pytest.mark.parametrize("value", [SURROGATE, 5], ids=["surrogate", "number"])
def test_what_is_no_text_is_refused_by_the_name_of_its_argument(lake, argument, value):
    refused(
        lake,
        lambda: lake.asset("days").write(days(("2024-01-02", 1)), **{argument: value}),
        lp.InvalidInputError,
        "invalid-input",
        f"{argument}={value!r}",
    )


def test_an_author_whose_name_utf8_has_not_is_refused(lake, monkeypatch):
    monkeypatch.setenv("LOGNAME", SURROGATE)

    refused(
        lake,
        lambda: lake.asset("days").write(days(("2024-01-02", 1))),
        lp.InvalidInputError,
        "invalid-input",
        "lone surrogate",
    )


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800", None, 3], ids=["empty", "NUL", "surrogate", "None", "number"])
def test_a_key_that_is_empty_or_has_nul_or_is_no_text_is_refused(lake, key):
    with pytest.raises(lp.PartitionKeyError) as caught:
        lp.Static(["fine", key])

    assert caught.value.code == "invalid-key"


ODD_KEYS = [
    "..",
    ".",
    "/",
    "a",
    "A",
    "a/b",
    "../../etc/passwd",
    "%",
    "%2F",
    "%252F",
    "🙂",
    "ü",
    "u\u0308",
    " ",
    "*",
    "?",
    "\\",
]
ODD_KEYS += ["\n", "'", '"', "a,b", "a..b", "a|b", "key=a", "_a", "-", "#", "~", "CON", "nul.", "\u202e", "x" * 300]
ODD_KEYS += ["x" * 300 + "y", "🙂" * 300]


def test_every_other_key_works_and_none_leaves_its_folder_or_meets_another(lake):
    outside = set(os.listdir(Path(lake.url).parent))
    asset = lake.asset("odd", partitions=lp.Static(ODD_KEYS, by="key"))
    asset.write(pa.table({"key": ODD_KEYS, "number": range(len(ODD_KEYS))}))
    again = lp.connect(lake.url).asset("odd")

    assert again.keys == ODD_KEYS
    assert [again[[key]].to_arrow()["number"].to_pylist() for key in ODD_KEYS] == [[n] for n in range(len(ODD_KEYS))]
    again[ODD_KEYS].demote("cold", progress=False)
    assert again.to_arrow()["number"].to_pylist() == list(range(len(ODD_KEYS)))
    again.write(pa.table({"key": ["A"], "number": [-1]}), "A")
    assert again["a"].to_arrow()["number"].to_pylist() == [ODD_KEYS.index("a")]
    folders = {path.name for path in Path(lake.url, "cold/odd").iterdir()}
    assert len(folders) == len(ODD_KEYS)
    assert max(len(name.encode()) for name in folders) <= 255
    assert lake.check(checksums=True) == []
    assert set(os.listdir(Path(lake.url).parent)) == outside


# Arguments


def test_choices_are_named(lake):
    asset, frame = lake.asset("days"), days(("2024-01-01", 1))
    refused(
        lake,
        lambda: asset.write(frame, if_exists="overwrite"),
        lp.InvalidInputError,
        "invalid-input",
        "'overwrite'",
        "'error', 'replace', 'append'",
    )
    refused(
        lake,
        lambda: asset["2024-01-01"].write(frame, no_rows="drop"),
        lp.InvalidInputError,
        "invalid-input",
        "'drop'",
        "'empty', 'keep', 'error'",
    )
    refused(
        lake,
        lambda: asset["2024-01-01":].write(frame),
        lp.InvalidInputError,
        "invalid-input",
        "open end",
        "asset.write(frame)",
    )
    refused(
        lake,
        lambda: asset.write(frame, "2024-01"),
        lp.InvalidInputError,
        "invalid-selection",
        "'2024-01' names 31 partitions",
    )
    refused(
        lake,
        lambda: asset.write([("2024-01-01", frame), ("2024-01-01", frame)]),
        lp.InvalidInputError,
        "invalid-input",
        "'2024-01-01'",
        "given twice",
    )
    refused(
        lake,
        lambda: lake.asset("days", partitions=lp.Daily("2024-01-02", by="day")),
        lp.AlreadyExistsError,
        "definition-mismatch",
        "2024-01-01",
        "2024-01-02",
    )


def test_the_past_and_read_only_handles_cannot_be_written(lake):
    frame = days(("2024-01-01", 1))
    refused(lake, lambda: lake.at(1).asset("days").write(frame), lp.StateError, "read-only", "snapshot 1", "Hint:")
    with lp.connect(lake.url, read_only=True) as reader:
        for act in (
            lambda: reader.asset("days").write(frame),
            lambda: reader.asset("flights").demote("cold", progress=False),
            lambda: reader.asset("flights").rollback(to=0),
            lambda: reader.create_branch("b"),
            lambda: reader.asset("new", partitions=lp.Unpartitioned()),
            lambda: reader.asset("flights")["2024-01-02"].backfill(lambda part: None, progress=False),
            reader.vacuum,
        ):
            refused(lake, act, lp.StateError, "read-only", "Hint: connect without read_only=True")
        assert reader.asset("flights").count_rows() == 2


# Producers


@pytest.mark.parametrize(
    ("producer", "words"),
    [
        (lambda part: None, ("returned nothing", "2024-01-05")),
        (lambda part: 1 / 0, ("ZeroDivisionError", "division by zero")),
        (lambda part: times("2024-01-06"), ("PartitionKeyError", "'2024-01-06'")),
        (lambda part: {"2024-01-06": times("2024-01-06")}, ("PartitionKeyError", "'2024-01-06'")),
        (lambda part: 42, ("InvalidInputError", "holds no rows")),
        (lambda part: times("2024-01-05")[["time"]], ("SchemaMismatchError", "'value'")),
        (lambda part: (_ for _ in ()).throw(SystemExit(3)), ("SystemExit",)),
    ],
    ids=["nothing", "raises", "other rows", "other key", "no frame", "misfit", "exits"],
)
def test_a_producer_that_fails_is_named_with_its_partition_and_changes_nothing(lake, producer, words):
    before = state_of(lake)

    with pytest.raises(lp.BackfillError) as caught:
        lake.asset("flights")["2024-01-05"].backfill(producer, retries=0, name="b", progress=False)

    error = caught.value
    for word in ("'b'", "2024-01-05", "resume()", *words):
        assert word in str(error), str(error)
    assert error.backfill.counts == {"failed": 1}
    assert error.context == {"backfill": "b", "failed": ["2024-01-05"]}
    assert state_of(lake) == before
    assert lake.asset("flights").failed().keys == ["2024-01-05"]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_producer_that_hangs_is_given_up_and_the_others_go_on(lake):
    release = threading.Event()

    def hang(part):
        if part.key == "2024-01-05":
            release.wait(30)
        return times(part.key)

    with pytest.raises(lp.BackfillError) as caught:
        lake.asset("flights")[["2024-01-05", "2024-01-06"]].backfill(
            hang, retries=0, timeout=0.3, name="b", progress=False
        )
    release.set()

    for word in ("2024-01-05", "order-timeout", "no result within 0.3 s"):
        assert word in str(caught.value), str(caught.value)
    assert caught.value.backfill.counts == {"done": 1, "failed": 1}
    assert lake.asset("flights").keys == ["2024-01-02", "2024-01-03", "2024-01-06"]


# Places


def test_connecting_where_no_lake_is_makes_none(tmp_path):
    for place in (tmp_path / "absent", tmp_path):
        with pytest.raises(lp.LakeNotFoundError) as caught:
            lp.connect(place)
        assert str(place) in str(caught.value)
        assert "lakepart.create" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_creating_where_a_lake_is_is_refused(lake):
    refused(lake, lambda: lp.create(lake.url), lp.AlreadyExistsError, "already-exists", lake.url, "connect")


def test_a_path_that_is_a_file_or_below_one_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for place in (file, file / "lake"):
        with pytest.raises(lp.StorageError, match="file is in the way"):
            lp.create(place)
        with pytest.raises(lp.LakeNotFoundError):
            lp.connect(place)
    assert {path: path.read_text() for path in tmp_path.iterdir()} == {file: "mine"}


def test_a_place_that_cannot_be_written_is_refused():
    place = "/sys/lakepart-test"  # not even root may make a folder there

    with pytest.raises(lp.StorageError) as caught:
        lp.create(place)

    assert caught.value.code == "permission"
    assert place in str(caught.value)
    assert not Path(place).exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello world" * 100, b"SQLite format 3\0" + bytes(4080)], ids=["empty", "text", "header only"]
)
def test_a_catalog_file_that_is_not_one_is_refused_and_left_alone(tmp_path, content):
    (tmp_path / "catalog.db").write_bytes(content)

    with pytest.raises(lp.CatalogError) as caught:
        lp.connect(tmp_path)

    assert caught.value.code == "not-a-catalog"
    assert str(tmp_path / "catalog.db") in str(caught.value)
    assert (tmp_path / "catalog.db").read_bytes() == content
    with pytest.raises(lp.AlreadyExistsError):
        lp.create(tmp_path)


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "catalog.db")) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = (tmp_path / "catalog.db").read_bytes()

    with pytest.raises(lp.CatalogError) as caught:
        lp.connect(tmp_path)

    assert caught.value.code == "not-a-catalog"
    assert (tmp_path / "catalog.db").read_bytes() == before


def test_a_catalog_of_another_lake_is_refused(lake, tmp_path):
    with lp.create(tmp_path / "other") as other:
        catalog = f"sqlite:///{other.url}/catalog.db"

    refused(
        lake,
        lambda: lp.connect(lake.url, catalog=catalog),
        lp.CatalogError,
        "wrong-catalog",
        "The catalog is of lake",
        lake.url,
        "Hint:",
    )


def test_a_lake_of_a_newer_lakepart_is_refused_and_left_alone(lake):
    lake.close()
    with closing(sqlite3.connect(f"{lake.url}/catalog.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()

    refused(lake, lambda: lp.connect(lake.url), lp.CatalogError, "catalog-too-new", "'9999'", "Hint: upgrade lakepart")


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ('{"format": 99, "lake_id": "x"}', "catalog-too-new"),
        ('{"format": 1, "lake_id": "x"}', "wrong-catalog"),
        ("no json", "wrong-catalog"),
        ("[]", "wrong-catalog"),
        ('{"format": "new"}', "wrong-catalog"),
    ],
    ids=["newer format", "other lake", "no JSON", "no object", "no number"],
)
def test_an_identity_that_does_not_fit_is_refused(lake, identity, code):
    Path(lake.url, "_lakepart/lake.json").write_text(identity)

    refused(lake, lambda: lp.connect(lake.url), lp.CatalogError, code, lake.url, "Hint:")


def test_a_catalog_that_cannot_be_is_refused_with_the_choices(tmp_path):
    for act in (lambda: lp.create("memory://lake"), lambda: lp.create(tmp_path / "l", catalog="mysql://u:pw@h/d")):
        with pytest.raises(lp.InvalidInputError) as caught:
            act()
        assert "sqlite:///" in str(caught.value)
        assert "pw" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Handles travel


def test_handles_pickle_as_address_and_view_and_work_elsewhere(lake):
    lake.create_branch("draft").asset("flights").write(times("2024-01-02"), "2024-01-02")
    branch = lake.branch("draft")
    flights = lake.asset("flights")
    handles = [
        lake,
        branch,
        lake.at(1),
        flights,
        flights["2024-01-02"],
        branch.asset("flights"),
        lake.at(1).asset("flights"),
    ]

    copies = pickle.loads(pickle.dumps(handles))

    assert [repr(copy) for copy in copies] == [repr(handle) for handle in handles]
    assert copies[3].to_pandas().equals(flights.to_pandas())
    assert copies[4].count_rows() == 1
    assert copies[5]["2024-01-02"].to_pandas().equals(branch.asset("flights")["2024-01-02"].to_pandas())
    with pytest.raises(lp.StateError):
        copies[6].write(times("2024-01-09"))
    for copy in copies[:2]:
        copy._home.context.database.close()


def test_a_relative_address_means_the_same_folder_wherever_the_handle_travels(template, tmp_path, monkeypatch):
    shutil.copytree(template, tmp_path / "here" / "lake")
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    flights = lp.connect("lake").asset("flights")
    travelling = pickle.dumps(flights)
    monkeypatch.chdir(tmp_path / "there")

    arrived = pickle.loads(travelling)

    assert arrived.count_rows() == flights.count_rows() == 2
    assert list((tmp_path / "there").iterdir()) == []


def test_a_secret_in_an_address_is_never_shown(tmp_path):
    url, catalog = "memory://user:hunter2@bucket/lake", f"sqlite:///{tmp_path}/catalog.db"
    shown = []
    for act in (lambda: lp.create(url), lambda: lp.connect(url), lambda: lp.connect(url, catalog=catalog)):
        with pytest.raises(lp.LakepartError) as caught:
            act()
        shown += [str(caught.value), repr(caught.value), str(caught.value.context)]
    lake = lp.create(url, catalog=catalog)
    shown += [repr(lake), repr(lake.asset("a", partitions=lp.Unpartitioned())), lake.url]
    with pytest.raises(lp.AlreadyExistsError) as caught:
        lp.create(url, catalog=catalog)
    shown += [str(caught.value), str(caught.value.context)]
    lake.close()

    assert [text for text in shown if "hunter2" in text] == []
    assert b"hunter2" not in (tmp_path / "catalog.db").read_bytes()
