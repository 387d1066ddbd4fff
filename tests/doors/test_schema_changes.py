"""Columns that come, go, are renamed and grow: old files are read by field id, and the past keeps its columns."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.errors import ErrorCode
from lakepart.testing import copied, files_of, frozen_lake, query_catalog, reopened

DAYS = lp.Daily("2024-01-01", by="day")


def day(number):
    return date(2024, 1, 1) + timedelta(days=number - 1)


def frame(*days, **columns):
    return pa.table({"day": pa.array([day(number) for number in days], pa.date32()), **columns})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 3, 1, tzinfo=UTC))
    asset = lake.asset("trips", partitions=DAYS)
    asset.write(frame(1, 2, fare=pa.array([10, 20], pa.int32()), kind=["a", "b"], at=[{"x": 1, "y": 2}] * 2))
    return lake


@pytest.fixture
def lake(template, tmp_path):
    return copied(template, tmp_path / "lake")


@pytest.fixture
def trips(lake):
    return lake.asset("trips")


def rows(asset, **options):
    return asset.to_arrow(**options).to_pylist()


def ids_of(lake):
    stored = query_catalog(lake.url, "SELECT arrow_schema FROM schema JOIN asset USING (schema_id)")[0][0]
    schema = pa.ipc.read_schema(pa.py_buffer(stored))
    return {field.name: int(field.metadata[b"PARQUET:field_id"]) for field in schema}


# What may change


def test_a_renamed_column_keeps_its_values_in_every_way_of_reading(lake, trips):
    trips.alter(rename={"fare": "price"})
    trips.append(frame(2, price=pa.array([21], pa.int32()), kind=["c"], at=[None]))

    assert trips.to_arrow()["price"].to_pylist() == [10, 20, 21]
    assert trips.to_polars()["price"].to_list() == [10, 20, 21]
    assert list(trips.to_pandas(["price"])["price"]) == [10, 20, 21]
    assert [value for batch in trips.to_batches() for value in batch["price"].to_pylist()] == [10, 20, 21]
    assert trips.dataset().to_table()["price"].to_pylist() == [10, 20, 21]
    assert trips.dataset().to_table(filter=pc.field("price") > 15)["price"].to_pylist() == [20, 21]
    assert list(trips.head(3)["price"]) == [10, 20, 21]
    assert trips.resolve().to_arrow()["price"].to_pylist() == [10, 20, 21]
    assert "fare" not in trips.schema.names


def test_a_filter_on_a_renamed_column_leaves_out_the_files_that_cannot_match(trips):
    trips.alter(rename={"fare": "price"}, widen={"fare": pa.int64()})

    assert rows(trips, columns=["kind"], filter=[("price", ">", 15)]) == [{"kind": "b"}]
    assert (trips.plan_read(filter=[("price", ">", 15)]).files, trips.plan_read(filter=[("price", ">", 99)]).files) == (
        1,
        0,
    )
    with pytest.raises(lp.InvalidInputError, match="no column 'fare'"):
        trips.to_arrow(filter=[("fare", ">", 15)])


def test_a_filter_by_the_name_of_a_column_that_was_renamed_away_asks_the_new_one(trips):
    trips.alter(drop=["fare"], rename={"kind": "fare"})

    assert rows(trips, columns=["fare"], filter=[("fare", "==", "b")]) == [{"fare": "b"}]
    assert rows(trips, columns=["fare"], filter=pc.field("fare") == "b") == [{"fare": "b"}]


def test_names_may_be_exchanged(trips):
    trips.alter(add={"other": pa.int32()})
    trips.append(frame(3, fare=pa.array([30], pa.int32()), kind=["c"], at=[None], other=pa.array([-3], pa.int32())))

    trips.alter(rename={"fare": "other", "other": "fare"})

    assert trips.to_arrow()["other"].to_pylist() == [10, 20, 30]
    assert trips.to_arrow()["fare"].to_pylist() == [None, None, -3]
    assert trips.dataset().to_table()["fare"].to_pylist() == [None, None, -3]


def test_a_dropped_column_does_not_come_back_with_its_name(lake, trips):
    before = ids_of(lake)
    trips.alter(drop=["fare"])
    trips.alter(drop=["at"])
    trips.alter(add={"fare": pa.int32(), "at": pa.string()})

    assert trips.to_arrow()["fare"].to_pylist() == [None, None]
    assert trips.dataset().to_table()["fare"].to_pylist() == [None, None]
    assert rows(trips, filter=[("fare", "==", 10)]) == []
    assert min(ids_of(lake)["fare"], ids_of(lake)["at"]) > max(before.values()) + 2  # those inside "at" had ids, too


def test_columns_come_in_the_order_asked_for(trips):
    trips.alter(order=["kind", "day"])

    assert trips.schema.names == ["kind", "day", "fare", "at"]
    assert trips.to_arrow().column_names == ["kind", "day", "fare", "at"]
    assert trips.dataset().to_table().column_names == ["kind", "day", "fare", "at"]


@pytest.mark.parametrize(
    ("narrow", "wide", "value", "read"),
    [
        (pa.int8(), pa.int64(), 7, 7),
        (pa.uint32(), pa.int64(), 7, 7),
        (pa.float32(), pa.float64(), 0.5, 0.5),
        (pa.decimal128(5, 2), pa.decimal128(12, 3), Decimal("1.25"), Decimal("1.250")),
        (pa.decimal128(5, 2), pa.decimal256(50, 2), Decimal("1.25"), Decimal("1.25")),
        (pa.date32(), pa.timestamp("us"), date(2024, 1, 2), datetime(2024, 1, 2)),  # noqa: DTZ001
        (pa.list_(pa.int32()), pa.list_(pa.int64()), [1, None], [1, None]),
        (pa.map_(pa.string(), pa.int8()), pa.map_(pa.string(), pa.int16()), [("k", 1)], [("k", 1)]),
    ],
    ids=str,
)
def test_a_column_that_grew_holds_old_values_and_new_ones(lake, narrow, wide, value, read):
    asset = lake.asset("wide", partitions=lp.Static(["k"]))
    asset.write(pa.table({"v": pa.array([value, None], narrow)}), "k")

    asset.alter(widen={"v": wide})

    assert asset.schema.field("v").type == wide
    assert asset.to_arrow().column("v").to_pylist() == [read, None]
    assert asset.dataset().to_table()["v"].to_pylist() == [read, None]
    if not pa.types.is_nested(wide):
        assert asset.to_arrow(filter=[("v", "==", read)]).num_rows == 1
        assert asset.to_arrow(filter=[("v", "!=", read)]).num_rows == 0
        assert asset.plan_read(filter=[("v", "<", read)]).files == 0
    asset.append(asset.to_arrow(), "k")
    assert asset.to_arrow().column("v").to_pylist() == [read, None, read, None]


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (pa.int64(), pa.int32()),
        (pa.int32(), pa.float64()),
        (pa.float64(), pa.float32()),
        (pa.int64(), pa.uint64()),
        (pa.decimal128(5, 2), pa.decimal128(5, 3)),
        (pa.string(), pa.binary()),
        (pa.date32(), pa.timestamp("us", "UTC")),
        (pa.int32(), pa.int32()),
    ],
    ids=str,
)
def test_what_would_not_hold_every_value_is_no_widening(lake, now, wanted):
    asset = lake.asset("narrow", partitions=lp.Static(["k"]), schema={"v": now})

    with pytest.raises(lp.SchemaMismatchError, match="cannot grow into"):
        asset.plan_alter(widen={"v": wanted})


def test_fields_inside_structs_lists_and_maps_are_found_by_id(lake):
    asset = lake.asset("nested", partitions=lp.Static(["k"]))
    point = pa.struct([("x", pa.int32()), ("y", pa.int32())])
    old = pa.table(
        {
            "s": pa.array([{"x": 1, "y": 2}, None], point),
            "l": pa.array([[{"x": 3, "y": 4}, None], None], pa.list_(point)),
            "m": pa.array([[("k", {"x": 5, "y": 6})], None], pa.map_(pa.string(), point)),
        }
    )
    asset.write(old, "k")

    asset.alter(
        rename={"s.x": "y", "s.y": "x", "l.element.x": "east"},
        drop=["m.value.y"],
        add={"s.z": pa.string(), "l.element.y2": pa.int8()},
        widen={"s.x": pa.int64()},
    )

    assert rows(asset) == [
        {
            "s": {"y": 1, "x": 2, "z": None},
            "l": [{"east": 3, "y": 4, "y2": None}, None],
            "m": [("k", {"x": 5})],
        },
        {"s": None, "l": None, "m": None},
    ]
    assert asset.dataset().to_table().to_pylist() == rows(asset)


def test_a_column_declared_without_nulls_refuses_them_until_it_is_loosened(lake):
    schema = pa.schema([pa.field("v", pa.int64(), nullable=False), pa.field("w", pa.int64())])
    asset = lake.asset("strict", partitions=lp.Static(["k"]), schema=schema)
    asset.write(pa.table({"v": [1], "w": [None]}), "k")
    before = files_of(lake.url)

    with pytest.raises(lp.SchemaMismatchError, match=r"'v' is null in 1 of 2 rows, first in row 1"):
        asset.append(pa.table({"v": [1, None], "w": [1, 1]}), "k")

    assert files_of(lake.url) == before
    assert asset.schema.equals(schema)
    asset.alter(nullable=["v"])
    asset.append(pa.table({"v": [None], "w": [2]}), "k")
    assert asset.to_arrow()["v"].to_pylist() == [1, None]
    assert pq.read_schema(asset.files()["path"][0]).field("v").nullable is False


def test_the_column_that_says_where_rows_belong_is_renamed_in_the_definition_too(lake, trips):
    trips.alter(rename={"day": "date"})

    assert trips.partitions.dimensions[0].by == "date"
    trips.append(pa.table({"date": [day(3)], "fare": [1], "kind": ["c"], "at": [None]}))
    assert trips.keys == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert lake.at(1).asset("trips").partitions == DAYS
    assert lake.at(1).asset("trips").to_arrow()["day"].to_pylist() == [day(1), day(2)]


def test_a_dimension_that_holds_the_renamed_column_is_cut_by_the_new_name(lake):
    cut = lp.Multi(day=lp.Daily("2024-01-01", by="day"), kind=lp.Static(["a", "b"], by="k"))
    asset = lake.asset("cells", partitions=cut)
    asset.write(frame(1, k=["a"]))

    asset.alter(rename={"k": "letter"})

    assert asset.partitions.columns == ("day", "letter")
    asset.append(frame(1, letter=["b"]))
    assert asset.keys == ["2024-01-01|a", "2024-01-01|b"]


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": ["day"]}, "says to which partition"),
        ({"drop": ["day", "fare", "kind", "at"]}, "Every column would be dropped"),
        ({"drop": ["fair"]}, "no column 'fair'"),
        ({"rename": {"fare": "kind"}}, "two columns 'kind'"),
        ({"add": {"kind": pa.string()}}, "two columns 'kind'"),
        ({"add": {"at.x": pa.string()}}, "two columns 'at.x'"),
        ({"add": {"fare.x": pa.string()}}, "no column 'fare.x'"),
        ({"order": ["nowhere"]}, "no column 'nowhere'"),
        ({"order": ["day", "day"]}, "names a column twice"),
        ({"nullable": ["fare"]}, "may hold nulls already"),
        ({"rename": {"fare": "partition"}}, "what its partition key would be called"),
        ({"on_schema_change": "drop"}, "is not one of 'error', 'add', 'widen'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_column(lake, trips, change, message):
    before = files_of(lake.url)

    with pytest.raises(lp.InvalidInputError, match=message):
        trips.alter(**change)

    assert files_of(lake.url) == before
    assert trips.schema.names == ["day", "fare", "kind", "at"]


def test_a_type_that_cannot_be_stored_is_refused(trips):
    with pytest.raises(lp.SchemaMismatchError, match="no counterpart in Parquet"):
        trips.plan_alter(add={"u": pa.dense_union([pa.field("a", pa.int8())])})


def test_a_producer_that_reads_a_column_that_goes_is_named(lake, trips):
    @lp.producer("sums", partitions=DAYS, inputs={"trips": "trips"})
    def sums(part, trips):
        return trips.to_arrow()

    lake.register(sums)

    plan = trips.plan_alter(drop=["fare"])

    assert "the producer of 'sums' reads 'trips': see that it no longer goes by 'fare'" in str(plan)
    with pytest.warns(RuntimeWarning, match="no longer goes by 'fare'"):
        lake.apply(plan)


# What it leaves as it was


def test_a_change_touches_no_data_file_and_makes_nothing_stale(lake, trips):
    @lp.producer("sums", partitions=DAYS, inputs={"trips": "trips"})
    def sums(part, trips):
        return trips.to_arrow(columns=["day"])

    lake.register(sums)
    lake.asset("sums")["2024-01-01"].backfill(progress=False)
    data = {name: content for name, content in files_of(lake.url).items() if name.endswith(".parquet")}
    contents = query_catalog(lake.url, "SELECT content_id FROM version WHERE ended IS NULL ORDER BY version_id")

    trips.alter(add={"tip": pa.float64()}, order=["tip"])

    assert data == {name: content for name, content in files_of(lake.url).items() if name.endswith(".parquet")}
    assert contents == query_catalog(lake.url, "SELECT content_id FROM version WHERE ended IS NULL ORDER BY version_id")
    assert set(lake.asset("sums")["2024-01-01"].status()["state"]) == {"fresh"}
    assert [str(found) for found in lake.check(checksums=True)] == []


def test_the_past_keeps_its_columns(lake, trips):
    trips.alter(rename={"fare": "price"}, drop=["kind"])
    trips.append(frame(3, price=[1], at=[None]))

    then = lake.at(1).asset("trips")

    assert then.schema.names == ["day", "fare", "kind", "at"]
    assert then.to_arrow(columns=["fare", "kind"]).to_pylist() == [{"fare": 10, "kind": "a"}, {"fare": 20, "kind": "b"}]
    assert lake.at(2).asset("trips").schema.names == ["day", "price", "at"]
    assert lake.at(0).asset("trips").schema.names == []


def test_contents_rolled_back_are_read_with_the_columns_of_now(lake, trips):
    trips.alter(rename={"fare": "price"}, add={"tip": pa.int8()})
    trips.write(frame(1, price=[99], kind=["z"], at=[None], tip=[1]), "2024-01-01")

    trips["2024-01-01"].rollback(to=1)

    assert rows(trips["2024-01-01"], columns=["price", "tip"]) == [{"price": 10, "tip": None}]


def test_columns_are_the_same_on_all_branches(lake, trips):
    branch = lake.create_branch("draft")
    branch.asset("trips").write(frame(1, fare=pa.array([11], pa.int32()), kind=["b"], at=[None]), "2024-01-01")

    trips.alter(rename={"fare": "price"})

    assert branch.asset("trips").to_arrow()["price"].to_pylist() == [11, 20]
    with pytest.raises(lp.StateError, match="same on all branches"):
        branch.asset("trips").alter(drop=["kind"])
    branch.publish()
    assert trips.to_arrow()["price"].to_pylist() == [11, 20]


def test_rows_are_repartitioned_with_the_columns_of_now(trips):
    trips.alter(rename={"fare": "price"}, widen={"fare": pa.int64()}, add={"tip": pa.int8()})

    trips.repartition(lp.Monthly("2024-01-01", by="day"))

    assert rows(trips, columns=["price", "tip"]) == [{"price": 10, "tip": None}, {"price": 20, "tip": None}]
    assert {str(pq.read_schema(path).field("price").type) for path in trips.files()["path"]} == {"int64"}


def test_a_backfill_reads_and_writes_changed_columns(lake, trips):
    trips.alter(rename={"fare": "price"})

    @lp.producer("sums", partitions=DAYS, inputs={"trips": "trips"})
    def sums(part, trips):
        return trips.to_arrow(columns=["day", "price"])

    lake.register(sums)
    lake.asset("sums")["2024-01-01":"2024-01-02"].backfill(progress=False)

    assert lake.asset("sums").to_arrow()["price"].to_pylist() == [10, 20]


def test_the_manifest_of_a_change_has_the_new_schema(lake, trips):
    commit = trips.alter(rename={"fare": "price"})

    manifest = json.loads(Path(lake.url, "_lakepart", "commits", f"{commit.snapshot:012}.json").read_text())

    (valid,) = [one for one in manifest["declared"]["asset_schema"] if one["began"] == commit.snapshot]
    (schema,) = [one for one in manifest["declared"]["schema"] if one["schema_id"] == valid["schema_id"]]
    stored = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema["arrow_schema"])))
    assert stored.names == ["day", "price", "kind", "at"]
    assert manifest["versions"] == manifest["files"] == []


def test_a_plan_says_what_changes_and_is_data(trips):
    plan = trips.plan_alter(add={"tip": pa.float64()}, rename={"fare": "price"}, drop=["kind"])

    assert str(plan).splitlines()[1:] == ["  rename fare to price", "  drop kind", "  add tip: double"]
    assert json.loads(json.dumps(plan.to_dict()))["columns"] == ["rename fare to price", "drop kind", "add tip: double"]
    assert trips.schema.names == ["day", "fare", "kind", "at"]


def test_a_plan_made_before_another_change_is_refused(lake, trips):
    plan = trips.plan_alter(drop=["kind"])
    reopened(lake).asset("trips").alter(add={"tip": pa.int8()})

    with pytest.raises(lp.ConflictError) as caught:
        lake.apply(plan)

    assert caught.value.code is ErrorCode.ASSET_CHANGED
    assert trips.schema.names == ["day", "fare", "kind", "at", "tip"]


def test_a_change_of_nothing_is_refused(trips):
    with pytest.raises(lp.StateError, match="Nothing to alter"):
        trips.alter(order=["day"])


# What frames bring


def test_by_default_a_frame_with_another_column_is_refused_with_the_way_to_add_it(trips):
    with pytest.raises(lp.SchemaMismatchError) as caught:
        trips.append(frame(3, fare=[1], kind=["a"], at=[None], tip=[1]))

    assert "column 'tip' of the frame is not in the asset" in str(caught.value)
    assert 'on_schema_change="add"' in str(caught.value.hint)


def test_a_write_may_add_columns_and_leave_others_null(trips):
    trips.append(frame(3, fare=[30], tip=[0.5]), on_schema_change="add")

    assert trips.to_arrow()["tip"].to_pylist() == [None, None, 0.5]
    assert trips.to_arrow()["kind"].to_pylist() == ["a", "b", None]
    assert trips.schema.names == ["day", "fare", "kind", "at", "tip"]


def test_a_write_may_add_fields_inside_structs(trips):
    trips.append(frame(3, fare=[30], kind=["c"], at=[{"y": 5, "z": 6}]), on_schema_change="add")

    assert trips.to_arrow()["at"].to_pylist()[1:] == [{"x": 1, "y": 2, "z": None}, {"x": None, "y": 5, "z": 6}]


def test_adding_does_not_widen_and_widening_adds(trips):
    wide = frame(3, fare=[2**40], kind=["c"], at=[None], tip=[1])

    with pytest.raises(lp.SchemaMismatchError, match=r"1099511627776 in row 0, which does not fit int32"):
        trips.append(wide, on_schema_change="add")
    trips.append(wide, on_schema_change="widen")

    assert trips.to_arrow()["fare"].to_pylist() == [10, 20, 2**40]
    assert trips.schema.field("fare").type == pa.int64()


def test_the_choice_of_the_asset_holds_for_every_write(lake):
    asset = lake.asset("growing", partitions=lp.Static(["k"]), on_schema_change="widen", schema={"v": pa.int8()})
    asset.write(pa.table({"v": pa.array([1], pa.int8())}), "k")
    asset.append({"k": pa.table({"v": pa.array([300], pa.int16())})})
    asset["k"].write(pa.table({"v": [2**40], "w": ["x"]}))

    with pytest.raises(lp.SchemaMismatchError):
        asset.append(pa.table({"other": [1]}), "k", on_schema_change="error")

    assert rows(asset) == [{"v": 2**40, "w": "x"}]
    assert asset.schema == pa.schema({"v": pa.int64(), "w": pa.string()})
    assert rows(lake.at(3).asset("growing")) == [{"v": 1}, {"v": 300}]


def test_a_misspelt_column_is_not_added(trips):
    with pytest.raises(lp.SchemaMismatchError, match="has 'fare' that is missing"):
        trips.append(frame(3, fares=[30], kind=["c"], at=[None]), on_schema_change="add")


def test_a_later_part_of_a_stream_cannot_add_a_column(lake, trips):
    parts = [frame(3, fare=[1], kind=["c"], at=[None]), frame(4, fare=[1], kind=["c"], at=[None], tip=[1])]
    before = files_of(lake.url)

    with pytest.raises(lp.SchemaMismatchError, match="Column 'tip' was not in the frame's first part"):
        trips.append(iter(parts), on_schema_change="add")

    assert files_of(lake.url) == before


# What declarations say


def test_a_declared_schema_is_there_before_the_first_write(lake):
    asset = lake.asset("new", partitions=DAYS, schema={"day": pa.date32(), "v": pa.large_string()})

    assert asset.schema == pa.schema({"day": pa.date32(), "v": pa.string()})
    assert asset.to_arrow().column_names == ["day", "v"]
    with pytest.raises(lp.SchemaMismatchError, match="column 'v' of the asset is missing"):
        asset.write(frame(1))


def test_the_same_declaration_again_changes_nothing_whatever_was_added_since(lake):
    declaration = {"partitions": DAYS, "schema": {"day": pa.date32(), "v": pa.int32()}}
    asset = lake.asset("new", **declaration)
    asset.alter(add={"w": pa.int8()}, widen={"v": pa.int64()})

    assert lake.asset("new", **declaration).schema.names == ["day", "v", "w"]
    with pytest.raises(lp.AlreadyExistsError, match=r"column 'v' is int64, not string; column 'x' \(int8\) is not in"):
        lake.asset("new", partitions=DAYS, schema={"day": pa.date32(), "v": pa.string(), "x": pa.int8()})


def test_a_schema_without_the_column_that_cuts_the_asset_is_refused(lake):
    with pytest.raises(lp.InvalidInputError, match="no column 'day'"):
        lake.asset("new", partitions=DAYS, schema={"v": pa.int8()})

    assert [asset.name for asset in lake.assets()] == ["trips"]


def test_columns_are_added_to_an_asset_that_has_none_yet(lake):
    asset = lake.asset("new", partitions=DAYS)

    asset.alter(add={"day": pa.date32(), "v": pa.int8()})

    assert asset.schema.names == ["day", "v"]
    asset.write(frame(1, v=[1]))
    assert rows(asset, columns=["v"]) == [{"v": 1}]


# In transactions


def test_a_transaction_may_add_columns_with_its_first_write_and_reads_them(lake, trips):
    with lake.transaction("tips") as tx:
        asset = tx.asset("trips")
        asset.append(frame(3, fare=[30], kind=["c"], at=[None], tip=[1]), on_schema_change="add")
        asset.append(frame(4, fare=[40], kind=["d"], at=[None], tip=[2]))
        assert asset.to_arrow()["tip"].to_pylist() == [None, None, 1, 2]

    assert trips.to_arrow()["tip"].to_pylist() == [None, None, 1, 2]


def test_a_transaction_that_has_written_under_other_columns_refuses_new_ones(lake, trips):
    with lake.transaction("tips") as tx:
        tx.asset("trips").append(frame(3, fare=[30], kind=["c"], at=[None]))
        with pytest.raises(lp.StateError, match="under the columns it had"):
            tx.asset("trips").append(frame(4, tip=[2]), on_schema_change="add")

    assert trips.count_rows() == 3


def meeting(mine, act):
    """Give a frame in whose midst something else is done, as another thread of a block may do it."""
    yield from mine.slice(0, 1).to_batches()
    act()
    yield from mine.slice(1).to_batches()


OLD = {"fare": [30, 40], "kind": ["c", "d"], "at": [None, None]}
WRITES = {  # what a thread writes, and which columns it adds
    "with the old columns": (OLD, "error"),
    "with a tip": (OLD | {"tip": [1, 2]}, "add"),
    "with a tax": (OLD | {"tax": [1.0, 2.0]}, "add"),
}


@pytest.mark.parametrize("first", WRITES)
@pytest.mark.parametrize("second", WRITES)
@pytest.mark.parametrize("verb", ["append", "upsert"])
def test_of_two_threads_of_a_transaction_that_write_other_columns_one_is_refused(lake, trips, first, second, verb):
    (before, choice), (mine, mine_choice) = WRITES[first], WRITES[second]
    on = {"on": ["day"]} if verb == "upsert" else {}
    refused = False

    with lake.transaction() as tx:
        asset = tx.asset("trips")
        frames = meeting(frame(5, 6, **mine), lambda: asset.append(frame(3, 4, **before), on_schema_change=choice))
        try:
            getattr(asset, verb)(frames, on_schema_change=mine_choice, **on)
        except lp.StateError as error:
            refused = "under the columns it had" in str(error)
        assert asset.to_arrow().num_rows == (4 if refused else 6)

    assert refused == (before.keys() != mine.keys())
    assert trips.schema.names == ["day", *before]
    assert [row["day"] for row in rows(trips)] == [day(number) for number in range(1, 5 if refused else 7)]
    assert [found for found in lake.check(checksums=True) if found.severity == "damage"] == []


@pytest.mark.parametrize(("first", "second"), [(None, 7), (7, None)])
def test_of_two_threads_of_a_transaction_one_may_give_the_type_of_what_is_all_null_in_the_other(lake, first, second):
    lake.asset("new", partitions=DAYS)

    with lake.transaction() as tx:
        asset = tx.asset("new")
        asset.append(meeting(frame(1, 2, v=[second] * 2), lambda: asset.append(frame(3, v=[first]))))

    assert [row["v"] for row in rows(lake.asset("new"))] == [second, second, first]


def test_a_transaction_that_began_before_a_change_commits_what_it_wrote_under_the_old_columns(lake, trips):
    with lake.transaction("late") as tx:
        reopened(lake).asset("trips").alter(rename={"fare": "price"}, drop=["kind"], add={"kind": pa.int8()})
        tx.asset("trips").append(frame(3, fare=[30], kind=["c"], at=[None]))
        assert tx.asset("trips").to_arrow()["fare"].to_pylist() == [10, 20, 30]

    assert trips.to_arrow()["price"].to_pylist() == [10, 20, 30]
    assert trips.to_arrow()["kind"].to_pylist() == [None] * 3
