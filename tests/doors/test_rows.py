"""Rows that are deleted and upserted inside partitions: only files that hold them are written again."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import lakepart as lp
from lakepart.errors import ErrorCode
from lakepart.model.records import TierRecord
from lakepart.testing import copied, files_of, frozen_lake, query_catalog, reopened

DAYS = lp.Daily("2024-01-01", by="day")


def frame(*rows):
    """Rows of ``(day, id, v)``."""
    days, ids, values = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "day": pa.array([date(2024, 1, day) for day in days], pa.date32()),
            "id": pa.array(ids, pa.int64()),
            "v": pa.array(values, pa.string()),
        }
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Day 1 in two files, with ids 1..3 and 11..13; day 2 in one; day 3 known to be empty."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 3, 1, tzinfo=UTC))
    rows = lake.asset("rows", partitions=DAYS)
    rows.write(frame((1, 1, "a"), (1, 2, "b"), (1, 3, None), (2, 1, "d")))
    rows.append(frame((1, 11, "k"), (1, 12, "l"), (1, 13, "m")))
    rows.write(frame(), "2024-01-03")
    return lake


@pytest.fixture
def lake(template, place):
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def rows(lake):
    return lake.asset("rows")


def held(asset):
    return [(row["day"].day, row["id"], row["v"]) for row in asset.to_arrow().to_pylist()]


def file_ids(lake, key):
    return [
        file_id
        for (file_id,) in query_catalog(
            lake,
            "SELECT file_id FROM version JOIN version_file USING (version_id) "
            f"WHERE ended IS NULL AND branch_id = 0 AND key = '{key}' ORDER BY position",
        )
    ]


def assert_sound(lake):
    assert [str(found) for found in lake.check(checksums=True)] == []


# Deleting


def test_rows_are_deleted_and_files_without_a_match_stay(lake, rows):
    before = file_ids(lake, "2024-01-01")

    done = rows["2024-01-01"].delete([("id", "==", 2)])

    assert held(rows["2024-01-01"]) == [(1, 1, "a"), (1, 3, None), (1, 11, "k"), (1, 12, "l"), (1, 13, "m")]
    after = file_ids(lake, "2024-01-01")
    assert after[1] == before[1]
    assert after[0] not in before
    assert (done.snapshot, done.partitions, done.rows, done.files) == (4, 1, 2, 1)
    assert (done.rows_matched, done.rows_rewritten, done.files_rewritten, done.files_skipped) == (1, 2, 1, 1)
    assert rows.count_rows() == 6
    assert held(lake.at(3).asset("rows")["2024-01-01"])[1] == (1, 2, "b")
    assert lake.snapshots()["operation"][0] == "delete"
    assert_sound(lake)


def test_a_deletion_by_expression_keeps_rows_for_which_it_is_null(rows):
    rows.delete(pc.field("v") > "a")

    assert held(rows) == [(1, 1, "a"), (1, 3, None)]


def test_what_is_deleted_whole_is_known_to_be_empty(lake, rows):
    done = rows.delete([("id", ">", 0)])

    assert rows.count_rows() == 0
    assert set(rows["2024-01-01":"2024-01-03"].status()["state"]) == {"empty"}
    assert (done.rows_matched, done.files, done.files_rewritten) == (7, 0, 3)
    assert_sound(lake)


def test_no_match_is_no_commit(lake, rows):
    before = files_of(lake)

    done = rows.delete([("id", "==", 7)])

    assert (done.snapshot, done.partitions, done.rows_matched) == (3, 0, 0)
    assert files_of(lake) == before
    assert lake.snapshots()["snapshot"].max() == 3


def test_a_plan_says_what_goes_and_is_data(lake, rows):
    plan = rows.plan_delete([("id", "<=", 2)])

    text = str(plan)
    assert "Delete 3 rows of rows in 2 partitions (2024-01-01, 2024-01-02), from snapshot 3" in text
    assert "looked into 2 files, skipped 1 by statistics" in text
    assert "1 partition will be known to be empty: 2024-01-02" in text
    assert json.loads(json.dumps(plan.to_dict()))["rows"] == 3
    assert rows.count_rows() == 7
    done = lake.apply(plan)
    assert held(rows) == [(1, 3, None), (1, 11, "k"), (1, 12, "l"), (1, 13, "m")]
    assert isinstance(done, lp.RowChanges)


@pytest.mark.in_a_folder
@pytest.mark.parametrize("given", [None, [], "id", [("ide", "==", 1)]], ids=str)
def test_a_filter_is_needed_and_must_fit(lake, rows, given):
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError):
        rows.delete(given)

    assert files_of(lake) == before


def test_a_partition_that_is_named_and_missing_is_an_error_unless_skipped(rows):
    with pytest.raises(lp.PartitionNotFoundError, match="2024-01-04"):
        rows["2024-01-02":"2024-01-04"].delete([("id", "==", 1)])

    with pytest.warns(lp.PartialReadWarning):
        rows["2024-01-02":"2024-01-04"].delete([("id", "==", 1)], missing="skip")
    assert rows["2024-01-02"].count_rows() == 0


def test_a_plan_loses_to_a_newer_content_and_not_to_that_of_another_partition(lake, rows):
    plan, other = rows["2024-01-01"].plan_delete([("id", "==", 1)]), reopened(lake).asset("rows")
    other.append(frame((2, 9, "z")))
    again = rows["2024-01-01"].plan_delete([("id", "==", 1)])
    other.append(frame((1, 9, "z")))

    with pytest.raises(lp.ConflictError, match="changed after this deletion was planned: '2024-01-01' of 'rows'"):
        lake.apply(again)
    with pytest.raises(lp.ConflictError):
        lake.apply(plan)

    assert rows.count_rows() == 9
    assert_sound(lake)


def test_rows_are_deleted_on_a_branch_and_main_sees_it_when_that_is_published(lake, rows):
    branch = lake.create_branch("gdpr")

    branch.asset("rows").delete([("id", "==", 1)])

    assert rows.count_rows() == 7
    assert branch.asset("rows").count_rows() == 5
    branch.publish()
    assert rows.count_rows() == 5
    assert_sound(lake)


def test_rows_on_a_colder_tier_stay_there(lake, rows):
    rows["2024-01-01"].demote("cold", progress=False)

    rows.delete([("id", "in", [1, 12])])

    assert set(rows["2024-01-01"].status()["tier"]) == {"cold"}
    assert rows["2024-01-02"].status()["state"][0] == "empty"
    assert held(rows) == [(1, 2, "b"), (1, 3, None), (1, 11, "k"), (1, 13, "m")]
    rows["2024-01-01"].promote(progress=False)
    assert_sound_but_for_moves(lake)


def assert_sound_but_for_moves(lake):
    assert [str(found) for found in lake.check(checksums=True) if found.severity == "damage"] == []


@pytest.mark.parametrize("verb", ["delete", "upsert"])
def test_an_offline_tier_is_refused_by_name_and_nothing_is_left(tmp_path, verb):
    tiers = [TierRecord("hot", "hot"), TierRecord("deep", "deep", storage_class="DEEP_ARCHIVE", rank=1)]
    lake = frozen_lake(tmp_path / "lake", tiers=tiers)
    rows = lake.asset("rows", partitions=DAYS)
    rows.write(frame((1, 1, "a"), (2, 2, "b")))
    rows["2024-01-01"].demote("deep", progress=False)
    lake.vacuum()
    before = files_of(lake)

    with pytest.raises(lp.OfflineDataError, match=r"deep, which is offline: 2024-01-01") as caught:
        rows.delete([("id", "==", 1)]) if verb == "delete" else rows.upsert(frame((1, 1, "x")), on=["id"])

    assert caught.value.context["partitions"] == ["2024-01-01"]
    assert files_of(lake) == before
    rows.delete([("id", "==", 2)])
    rows.upsert(frame((1, 7, "y")), on=["id"])
    assert rows.count_rows() == 2


def test_files_of_an_older_schema_are_written_again_under_that_of_now(lake, rows):
    rows.alter(rename={"v": "w"}, add={"x": pa.int8()})

    rows.delete([("w", "==", "b")])

    assert rows["2024-01-01"].to_arrow()["w"].to_pylist() == ["a", None, "k", "l", "m"]
    assert lake.at(3).asset("rows")["2024-01-01"].count_rows() == 6
    assert_sound(lake)


# Upserting


def test_rows_of_known_keys_are_replaced_and_others_inserted(lake, rows):
    before = file_ids(lake, "2024-01-01")

    done = rows.upsert(frame((1, 2, "B"), (1, 4, "D"), (4, 1, "new")), on=["id"])

    assert held(rows) == [
        (1, 1, "a"),
        (1, 3, None),
        (1, 11, "k"),
        (1, 12, "l"),
        (1, 13, "m"),
        (1, 2, "B"),
        (1, 4, "D"),
        (2, 1, "d"),
        (4, 1, "new"),
    ]
    assert (done.rows_updated, done.rows_inserted, done.rows_matched) == (1, 2, 1)
    assert (done.rows_rewritten, done.files_rewritten, done.files_skipped) == (2, 1, 1)
    assert file_ids(lake, "2024-01-01")[1] == before[1]
    assert rows.status()["rows"].tolist()[:4] == [7, 1, 0, 1]
    assert lake.snapshots()["metadata"][0]["rows_updated"] == 1
    assert_sound(lake)


def test_an_upsert_is_planned_without_a_write_and_carried_out_as_planned(lake, rows):
    new = frame((1, 2, "B"), (1, 4, "D"), (2, 1, "e"), (4, 1, "f"))
    before = files_of(lake)

    plan = rows.plan_upsert(new, on=["id"])

    assert (plan.rows, plan.rows_updated, plan.rows_inserted, plan.rows_matched, plan.rows_rewritten) == (4, 2, 2, 2, 2)
    assert [(one.key, one.rows_updated, one.rows_inserted, one.content_id is None) for one in plan.partitions] == [
        ("2024-01-01", 1, 1, False),
        ("2024-01-02", 1, 0, False),
        ("2024-01-04", 0, 1, True),
    ]
    assert (plan.files_read, plan.files_skipped, len(plan.affected)) == (2, 1, 2)
    told = json.loads(json.dumps(plan.to_dict()))
    assert (told["rows_updated"], told["files_rewritten"], told["partitions"][2]["content_id"]) == (2, 2, None)
    assert "2 updated, 2 inserted" in str(plan)
    assert "1 partition will be new: 2024-01-04" in str(plan)
    assert files_of(lake) == before

    done = lake.apply(plan, message="late")

    assert (done.rows_updated, done.rows_inserted, done.rows_rewritten, done.files_rewritten) == (2, 2, 2, 2)
    assert held(rows["2024-01-01"])[:2] == [(1, 1, "a"), (1, 3, None)]
    assert held(rows)[-4:] == [(1, 2, "B"), (1, 4, "D"), (2, 1, "e"), (4, 1, "f")]
    assert lake.snapshots(1)["message"].item() == "late"
    assert_sound(lake)


def test_a_planned_upsert_loses_to_newer_content_and_takes_no_other_rows(lake, rows):
    new = frame((1, 2, "B"))
    plan = rows.plan_upsert(iter([new]), on="id")
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError, match="has been read"):
        lake.apply(plan)
    for others in (frame((1, 3, "B")), frame((2, 2, "B")), frame((1, 2, "B"), (1, 3, "x"))):
        with pytest.raises(lp.InvalidInputError, match="not those that this plan was made for"):
            lake.apply(plan, data=others)
    assert files_of(lake) == before
    rows["2024-01-02"].delete([("id", "==", 1)])  # another partition
    rows.alter(add={"x": pa.int8()})
    with pytest.raises(lp.ConflictError, match="changed after this upsert was planned"):
        lake.apply(plan, data=new)

    plan = rows.plan_upsert(new, on="id", on_schema_change="add")
    lake.apply(plan)
    with pytest.raises(lp.ConflictError, match="2024-01-01"):
        lake.apply(plan)
    assert held(rows)[-1] == (1, 2, "B")
    assert_sound(lake)


@pytest.mark.in_a_folder
def test_a_plan_says_which_columns_and_which_new_keys_an_upsert_brings(lake):
    asset = lake.asset("regions", partitions=lp.Dynamic(dimension="region", by="region"))
    asset.write(pa.table({"region": ["eu"], "id": [1]}))
    wider = pa.table({"region": ["eu", "us", "us"], "id": [1, 1, 2], "x": [0.5, 0.5, 1.5]})

    plan = asset.plan_upsert(wider, on=["id"], on_schema_change="add")

    assert (plan.new_columns, [one.key for one in plan.partitions]) == (("x",), ["eu", "us"])
    assert asset.keys == ["eu"]
    assert (lake.apply(plan).rows_inserted, asset.keys, asset.count_rows()) == (2, ["eu", "us"], 3)


def test_the_same_upsert_again_changes_no_row(lake, rows):
    rows.upsert(frame((1, 2, "B"), (1, 4, "D")), on="id")
    once = sorted(held(rows)[:7], key=str)

    done = rows.upsert(frame((1, 2, "B"), (1, 4, "D")), on="id")

    assert sorted(held(rows)[:7], key=str) == once
    assert (done.rows_updated, done.rows_inserted) == (2, 0)


def test_a_stream_is_upserted_and_several_old_rows_of_one_key_become_one(lake, rows):
    rows.append(frame((1, 2, "again"), (1, 2, "and again")))

    rows.upsert(iter([frame((2, 5, "e")), frame((1, 2, "only"))]), on=["id"])

    assert [row for row in held(rows) if row[1] == 2] == [(1, 2, "only")]
    assert (2, 5, "e") in held(rows)


def test_the_first_rows_of_an_asset_may_be_upserted(lake):
    asset = lake.asset("new", partitions=DAYS)

    done = asset.upsert(frame((1, 1, "a")), on=["id"])

    assert held(asset) == [(1, 1, "a")]
    assert (done.rows_inserted, done.rows_updated) == (1, 0)


def test_an_upsert_may_add_a_column(lake, rows):
    rows.upsert(frame((1, 2, "B")).append_column("note", [["x"]]), on=["id"], on_schema_change="add")

    assert rows["2024-01-01"].to_arrow()["note"].to_pylist() == [None] * 5 + ["x"]
    assert_sound(lake)


def test_duplicate_keys_are_refused_with_examples(lake, rows):
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError) as caught:
        rows.upsert(frame((1, 2, "x"), (1, 2, "y"), (1, 5, "z"), (2, 2, "w")), on=["id", "day"])

    assert caught.value.code is ErrorCode.DUPLICATE_KEYS
    assert "1 key comes more than once of partition '2024-01-01': id=2, day=datetime.date(2024, 1, 1)" in str(
        caught.value
    )
    assert files_of(lake) == before
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]


def test_a_row_without_a_key_is_refused(lake, rows):
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError, match=r"'v' is null in 1 of 2 rows .*first in row 1") as caught:
        rows.upsert(frame((1, 2, "x"), (1, 3, None)), on=["v"])

    assert caught.value.code is ErrorCode.NULL_KEY
    assert files_of(lake) == before


def test_old_rows_without_a_key_stay(rows):
    rows.upsert(frame((1, 99, "b")), on=["v"])

    assert held(rows["2024-01-01"])[:2] == [(1, 1, "a"), (1, 3, None)]


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("on", "message"),
    [([], "does not name key columns"), (["id", "id"], "does not name"), (["ide"], "no column 'ide'")],
)
def test_a_key_must_name_columns(rows, on, message):
    with pytest.raises(lp.InvalidInputError, match=message):
        rows.upsert(frame((1, 2, "x")), on=on)


@pytest.mark.in_a_folder
def test_a_nested_column_is_no_key(lake):
    asset = lake.asset("nested", partitions=lp.Unpartitioned())

    with pytest.raises(lp.InvalidInputError, match="cannot be part of a key"):
        asset.upsert(pa.table({"n": [{"x": 1}]}), on=["n"])


VERBS = {
    "delete": lambda asset: asset.delete([("id", "==", 1)]),
    "upsert": lambda asset: asset.upsert(frame((1, 1, "x")), on=["id"]),
    "drop": lambda asset: asset["2024-01-01"].drop(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_the_past_and_a_reader_change_no_rows(lake, rows, verb):
    def act(asset):
        return VERBS[verb](asset)

    with pytest.raises(lp.StateError):
        act(lake.at(2).asset("rows"))
    with lp.connect(lake.url, read_only=True) as reader, pytest.raises(lp.StateError):
        act(reader.asset("rows"))


VALUES = {
    "int": pa.array([1, 2], pa.int64()),
    "unsigned": pa.array([1, 2**64 - 1], pa.uint64()),
    "float": pa.array([0.0, float("nan")]),
    "half": pa.array([0.5, 1.5], pa.float16()),
    "text": pa.array(["a", "Ω"]),
    "large text": pa.array(["a", "b"], pa.large_string()),
    "category": pa.array(["a", "b"]).dictionary_encode(),
    "bytes": pa.array([b"a", b"b"]),
    "decimal": pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal128(10, 2)),
    "wide decimal": pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal256(50, 2)),
    "instant": pa.array(
        [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)], pa.timestamp("us", "Asia/Tokyo")
    ),
    "date": pa.array([date(2024, 1, 1), date(2024, 1, 2)]),
    "time": pa.array([1, 2], pa.time64("us")),
    "duration": pa.array([1, 2], pa.duration("us")),
    "boolean": pa.array([True, False]),
}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("kind", VALUES)
def test_keys_of_every_type_are_found(lake, kind):
    asset = lake.asset("typed", partitions=lp.Unpartitioned())
    keys = VALUES[kind]
    asset.write(pa.table({"k": keys, "n": [1, 1], "v": ["old", "old"]}))

    done = asset.upsert(pa.table({"k": keys.take(pa.array([1])), "n": [1], "v": ["new"]}), on=["k", "n"])

    assert (done.rows_updated, done.rows_inserted) == (1, 0)
    assert asset.to_arrow()["v"].to_pylist() == ["old", "new"]
    assert (
        asset.upsert(pa.table({"k": keys.take(pa.array([1])), "n": [2], "v": ["x"]}), on=["k", "n"]).rows_inserted == 1
    )


@pytest.mark.in_a_folder
def test_zeros_of_both_signs_and_instants_of_other_zones_are_one_key(lake):
    asset = lake.asset("typed", partitions=lp.Unpartitioned())
    asset.write(pa.table({"k": [0.0, 1.0], "t": pa.array([0, 0], pa.timestamp("us", "UTC"))}))

    again = pa.table({"k": [-0.0], "t": pa.array([0], pa.timestamp("us", "Asia/Tokyo"))})

    assert asset.upsert(again, on=["k", "t"]).rows_updated == 1


@pytest.mark.in_a_folder
def test_many_columns_of_many_values_make_one_key(lake):
    asset = lake.asset("wide", partitions=lp.Unpartitioned())
    count = 3000
    columns = {
        name: pa.array([(row * step) % count for row in range(count)])
        for name, step in zip("abcdef", (1, 7, 11, 13, 17, 19), strict=True)
    }
    asset.write(pa.table({**columns, "v": ["old"] * count}))

    done = asset.upsert(pa.table({**columns, "v": ["new"] * count}).slice(100, 50), on=list("abcdef"))

    assert (done.rows_updated, done.rows_inserted) == (50, 0)
    assert asset.to_arrow()["v"].to_pylist().count("new") == 50


@pytest.mark.parametrize(
    ("value", "data_type", "condition"),
    [
        (date(2013, 1, 5), pa.date32(), (">=", datetime(2013, 1, 5, 12))),  # noqa: DTZ001
        (Decimal("0.12"), pa.decimal128(10, 2), ("==", 0.123)),
        (True, pa.bool_(), ("==", 2)),
    ],
    ids=["noon and dates", "decimals", "truth"],
)
def test_a_filter_is_not_rounded_to_the_type_of_a_column(tmp_path, value, data_type, condition) -> None:
    asset = lp.create(tmp_path / "lake").asset("values", partitions=lp.Unpartitioned())
    asset.write(pa.table({"v": pa.array([value], data_type)}))

    try:
        found = asset.to_arrow(filter=[("v", *condition)]).num_rows
    except lp.InvalidInputError:  # the two are not compared at all
        found = 0

    assert found == 0
