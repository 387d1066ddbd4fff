"""Cutting an asset otherwise by writing its rows anew: everything arrives, nothing is lost, the past stays readable."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lakepart as lp
from lakepart.testing import clock_of, frozen_lake, query_catalog, reopened

START = datetime(2024, 1, 1, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="at")
MONTHS = lp.Monthly("2024-01-01", by="at")
HOURS = lp.Hourly("2024-01-01", by="at")
BERLIN = lp.Daily("2023-12-31", by="at", tz="Europe/Berlin")
REGIONS = lp.Static(["eu", "us"], by="region")
ALL = lp.Unpartitioned()

ROWS = [(0, "eu"), (5, "us"), (23, "eu"), (24, "us"), (24 * 30 + 22, "eu"), (24 * 31, "us"), (24 * 45 + 3, "eu")]


def frame(*rows):
    return pa.table(
        {
            "at": pa.array([START + timedelta(hours=hours) for hours, _ in rows], pa.timestamp("us", "UTC")),
            "region": [region for _, region in rows],
        }
    )


def rows_of(asset):
    table = asset.to_arrow()
    assert table.schema.names == ["at", "region"]
    return sorted(zip((at.isoformat() for at in table["at"].to_pylist()), table["region"].to_pylist(), strict=True))


@pytest.fixture
def lake(tmp_path):
    return frozen_lake(tmp_path / "lake", at=datetime(2024, 6, 1, tzinfo=UTC))


@pytest.fixture
def days(lake):
    asset = lake.asset("x", partitions=DAYS)
    asset.write(frame(*ROWS))
    return asset


def head_of(lake):
    return query_catalog(lake.url, "SELECT snapshot FROM head")[0][0]


def data_files(lake):
    return set(Path(lake.url).rglob("*.parquet"))


def assert_sound(lake):
    assert [str(found) for found in lake.check(checksums=True)] == []


# Every way


@pytest.mark.parametrize(
    ("before", "after", "keys"),
    [
        (DAYS, MONTHS, ["2024-01-01", "2024-02-01"]),
        (HOURS, DAYS, ["2024-01-01", "2024-01-02", "2024-01-31", "2024-02-01", "2024-02-15"]),
        (DAYS, REGIONS, ["eu", "us"]),
        (REGIONS, DAYS, ["2024-01-01", "2024-01-02", "2024-01-31", "2024-02-01", "2024-02-15"]),
        (REGIONS, lp.Static(["us", "eu"], by="region"), ["us", "eu"]),
        (ALL, MONTHS, ["2024-01-01", "2024-02-01"]),
        (DAYS, ALL, ["all"]),
        (DAYS, BERLIN, ["2024-01-01", "2024-01-02", "2024-01-31", "2024-02-01", "2024-02-15"]),
        (DAYS, lp.Daily("2023-12-31", by="at", tz="America/New_York"), None),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_every_row_arrives_in_its_partition_and_the_past_is_as_it_was(lake, before, after, keys):
    asset = lake.asset("x", partitions=before)
    asset.write(frame(*ROWS))
    rows, old_keys, old_files = rows_of(asset), asset.keys, data_files(lake)

    commit = asset.repartition(after)

    assert (asset.partitions, rows_of(asset)) == (after, rows)
    assert keys is None or asset.keys == keys
    again = reopened(lake).asset("x")
    assert (again.partitions, rows_of(again), again.keys) == (after, rows, asset.keys)
    past = reopened(lake).at(commit.snapshot - 1).asset("x")
    assert (past.partitions, rows_of(past), past.keys) == (before, rows, old_keys)
    assert commit.snapshot == head_of(lake) == 2
    assert old_files < data_files(lake)
    assert_sound(lake)


def test_rows_that_did_not_say_their_partition_go_where_a_column_says(lake):
    asset = lake.asset("x", partitions=lp.Static(["a", "b"]))
    asset.write({"a": frame(*ROWS[:3]), "b": frame(*ROWS[3:])})

    asset.repartition(MONTHS)

    assert (asset.keys, rows_of(asset)) == (["2024-01-01", "2024-02-01"], sorted(rows_of(asset)))
    assert asset.count_rows() == len(ROWS)
    assert_sound(lake)


def test_each_new_file_lies_under_its_key_and_holds_its_rows(lake, days):
    old = data_files(lake)

    days.repartition(MONTHS)

    new = sorted(data_files(lake) - old)
    assert [path.parent.name for path in new] == ["partition=2024-01-01", "partition=2024-02-01"]
    assert [{at.month for at in pq.read_table(path, partitioning=None)["at"].to_pylist()} for path in new] == [{1}, {2}]
    assert [pq.read_metadata(path).metadata[b"lakepart.key"] for path in new] == [b"2024-01-01", b"2024-02-01"]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    hours=st.lists(st.integers(0, 24 * 80), min_size=1, max_size=12),
    ways=st.lists(st.sampled_from([DAYS, MONTHS, HOURS, BERLIN, REGIONS, ALL]), min_size=1, max_size=3),
)
def test_rows_survive_any_sequence_of_cuts(tmp_path_factory, hours, ways):
    with frozen_lake(tmp_path_factory.mktemp("any") / "lake", at=datetime(2024, 6, 1, tzinfo=UTC)) as lake:
        asset = lake.asset("x", partitions=DAYS)
        asset.write(frame(*((hour, "eu" if hour % 2 else "us") for hour in hours)))
        rows = rows_of(asset)
        seen = [(1, DAYS)]
        for way in ways:
            if way != asset.partitions:
                commit = asset.repartition(way)
                seen.append((commit.snapshot, way))

        for snapshot, definition in seen:
            then = lake.at(snapshot).asset("x")
            assert (then.partitions, rows_of(then)) == (definition, rows)
        assert_sound(lake)


def test_writes_go_on_in_the_new_partitions(lake, days):
    days.repartition(MONTHS)

    days.append(frame((24 * 70, "eu")))
    reopened(lake).asset("x").write(frame((24 * 33, "us")), "2024-02-01")

    assert days.keys == ["2024-01-01", "2024-02-01", "2024-03-01"]
    assert days.count_rows() == 5 + 1 + 1
    assert_sound(lake)


def test_an_asset_without_data_is_just_cut_otherwise(lake):
    asset = lake.asset("x", partitions=DAYS)

    asset.repartition(MONTHS)

    asset.write(frame(*ROWS))
    assert asset.keys == ["2024-01-01", "2024-02-01"]


def test_the_manifest_has_the_definition_what_ended_and_what_began(lake, days):
    days.repartition(MONTHS)

    manifest = json.loads(Path(lake.url, "_lakepart/commits/000000000002.json").read_text())

    (definition,) = [one for one in manifest["declared"]["asset_definition"] if one["began"] == 2]
    assert json.loads(definition["definition"])["kind"] == "monthly"
    assert definition["change"] == "repartitioned"
    assert [version["key"] for version in manifest["versions"]] == ["2024-01-01", "2024-02-01"]
    assert len(manifest["ended"]) == 5


# The plan


def test_a_plan_counts_the_rows_of_every_way_and_changes_nothing(lake, days):
    files = data_files(lake)

    plan = days.plan_repartition(MONTHS)

    assert plan.routes == (
        ("2024-01-01", "2024-01-01", 3),
        ("2024-01-02", "2024-01-01", 1),
        ("2024-01-31", "2024-01-01", 1),
        ("2024-02-01", "2024-02-01", 1),
        ("2024-02-15", "2024-02-01", 1),
    )
    assert (plan.files, plan.rows, plan.refused) == (5, 7, ())
    assert plan.size_bytes == sum(path.stat().st_size for path in files)
    assert "2024-01-01: from 3 partitions" in str(plan)
    assert "read 5 partitions, 5 files, 7 rows" in str(plan)
    assert json.loads(json.dumps(plan.to_dict()))["rows"] == 7
    assert (data_files(lake), head_of(lake)) == (files, 1)


def test_a_plan_is_carried_out_as_it_stands(lake, days):
    commit = lake.apply(days.plan_repartition(MONTHS))

    assert (commit.snapshot, commit.rows, commit.files) == (2, 7, 2)
    assert lake.asset("x").keys == ["2024-01-01", "2024-02-01"]


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda asset: asset.write(frame((3, "eu")), "2024-01-01"),
        lambda asset: asset.write(frame((24 * 99, "eu"))),
        lambda asset: asset["2024-01-01"].rollback(to=0),
        lambda asset: asset.alter(partitions=lp.Daily("2023-01-01", by="at")),
        lambda asset: asset.repartition(HOURS),
    ],
    ids=["replaced", "new", "removed", "altered", "repartitioned"],
)
def test_a_plan_made_before_a_change_is_refused_and_changes_nothing(lake, days, meanwhile):
    plan = days.plan_repartition(MONTHS)
    meanwhile(reopened(lake).asset("x"))
    files, head, rows = data_files(lake), head_of(lake), rows_of(lake.asset("x"))

    with pytest.raises(lp.ConflictError) as caught:
        lake.apply(plan)

    assert caught.value.retryable
    assert (data_files(lake), head_of(lake), rows_of(lake.asset("x"))) == (files, head, rows)
    assert_sound(lake)


def test_the_same_definition_is_nothing_to_do(days):
    with pytest.raises(lp.StateError, match="Nothing to repartition"):
        days.repartition(DAYS)


# What is refused


@pytest.mark.parametrize(
    ("after", "named"),
    [
        (lp.Monthly("2024-02-01", by="at"), "partition '2024-01-01'"),
        (lp.Monthly("2024-01-01", by="at", end="2024-02-01"), "partition '2024-02-15'"),
        (lp.Static(["eu"], by="region"), "'us' is not a key"),
    ],
    ids=repr,
)
def test_rows_without_a_place_are_named_and_nothing_is_changed(lake, days, after, named):
    files = data_files(lake)

    plan = days.plan_repartition(after)
    with pytest.raises(lp.StateError) as caught:
        days.repartition(after)

    assert named in str(plan)
    assert named in str(caught.value)
    assert (data_files(lake), head_of(lake)) == (files, 1)
    assert lake.asset("x").partitions == DAYS
    assert_sound(lake)


def test_rows_that_are_null_where_it_matters_are_refused(lake):
    asset = lake.asset("x", partitions=REGIONS)
    asset.write(pa.table({"region": ["eu", "us"], "at": pa.array([START, None], pa.timestamp("us", "UTC"))}))

    with pytest.raises(lp.StateError, match=r"partition 'us': Column 'at' is null in 1 of 1 rows"):
        asset.repartition(DAYS)

    assert asset.keys == ["eu", "us"]


@pytest.mark.parametrize(
    ("after", "error"),
    [
        (lp.Daily("2024-01-01"), "names no column"),
        (lp.Daily("2024-01-01", by="when"), "no column 'when'"),
        (lp.Monthly("2024-01-01", by="at", dimension="region"), "'region'"),
        (lp.Daily("2024-01-01", by="region"), "region"),
        (lp.Dynamic(by="region"), "its keys are not known beforehand"),
    ],
    ids=repr,
)
def test_a_definition_that_the_columns_do_not_allow_is_refused(lake, days, after, error):
    with pytest.raises(lp.InvalidInputError, match=error):
        days.repartition(after)

    assert head_of(lake) == 1


def test_a_branch_with_versions_of_its_own_is_named(lake, days):
    lake.create_branch("try").asset("x").write(frame((24 * 60, "eu")))

    with pytest.raises(lp.StateError, match="branch 'try' has versions of its own"):
        days.repartition(MONTHS)

    lake.branch("try").discard()
    days.repartition(MONTHS)


def test_a_backfill_at_work_is_named(lake, days):
    def cutting(part):
        with pytest.raises(lp.StateError, match="backfill 'b' is running"):
            reopened(lake).asset("x").repartition(MONTHS)
        return frame((24 * 9, "eu"))

    days["2024-01-10"].backfill(cutting, publish="each", name="b", progress=False)

    assert days.partitions == DAYS


def test_a_plan_that_meets_a_backfill_is_refused_and_leaves_no_file(lake, days):
    plan = days.plan_repartition(MONTHS)
    before, after = set(), set()

    def cutting(part):
        before.update(data_files(lake))
        with pytest.raises(lp.ConflictError, match="backfill 'b' is running"):
            reopened(lake).apply(plan)
        after.update(data_files(lake))
        return frame((24 * 9, "eu"))

    days["2024-01-10"].backfill(cutting, publish="each", name="b", progress=False)

    assert after == before
    assert before
    assert lake.asset("x").partitions == DAYS
    assert_sound(lake)


def test_a_branch_cannot_repartition(lake, days):
    with pytest.raises(lp.StateError, match="on all branches"):
        lake.create_branch("try").asset("x").repartition(MONTHS)


# Views and handles


def test_a_branch_that_main_left_behind_reads_as_before_and_takes_no_writes(lake, days):
    branch = lake.create_branch("try")
    rows = rows_of(days)

    days.repartition(MONTHS)

    behind = reopened(lake).branch("try").asset("x")
    assert (behind.partitions, rows_of(behind), len(behind.keys)) == (DAYS, rows, 5)
    assert branch.status()["fresh"].tolist() == [5]
    with pytest.raises(lp.StateError, match="repartitioned on main"):
        behind.write(frame((3, "eu")), "2024-01-01")
    assert_sound(lake)
    lake.create_branch("after").asset("x").write(frame((3, "eu")), "2024-01-01")


def test_a_branch_that_main_left_behind_hinders_no_change_of_what_main_is_now(lake, days):
    lake.create_branch("try")
    rows = rows_of(days)
    days.repartition(MONTHS)

    days.alter(add={"note": pa.string()})
    days.alter(partitions=lp.Monthly("2023-01", by="at"))

    behind = reopened(lake).branch("try").asset("x")
    assert (behind.partitions, rows_of(behind)) == (DAYS, rows)
    assert days.schema.names[-1] == "note"
    assert_sound(lake)


def test_a_handle_goes_on_and_a_selection_of_old_partitions_is_refused(lake, days):
    other, first = reopened(lake).asset("x"), days["2024-01-01"]

    days.repartition(MONTHS)

    assert rows_of(other) == rows_of(days)
    assert other.partitions == MONTHS
    with pytest.raises(lp.StateError, match="select again"):
        first.to_arrow()
    with pytest.raises(lp.StateError, match="select again"):
        first.write(frame((3, "eu")))


def test_history_begins_with_the_rewrite_and_goes_on_in_the_past(lake, days):
    days.repartition(MONTHS)

    assert days["2024-01-01"].history()[["snapshot", "operation"]].values.tolist() == [[2, "repartition"]]
    past = lake.at(1).asset("x")["2024-01-01"].history()
    assert past[["snapshot", "rows"]].values.tolist() == [[1, 3]]


def test_a_rollback_across_a_rewrite_is_refused_and_within_one_it_is_not(lake, days):
    days.repartition(MONTHS)
    days.write(frame((3, "us")), "2024-01-01")

    with pytest.raises(lp.StateError, match="repartitioned in snapshot 2"):
        days.rollback(to=1)
    with pytest.raises(lp.StateError, match="repartitioned in snapshot 2"):
        lake.rollback(to=1)
    days.rollback(to=2)

    assert days.count_rows() == 7


def test_a_campaign_planned_before_is_refused(lake, days):
    plan = days["2024-01-20"].plan_backfill(lambda part: frame((24 * 19, "eu")), name="b")

    days.repartition(MONTHS)

    with pytest.raises(lp.StateError, match="repartitioned in snapshot 2"):
        lake.apply(plan, fn=lambda part: frame((24 * 19, "eu")), progress=False)


def test_vacuum_forgets_the_old_partitions_and_keeps_the_new(lake, days):
    old = data_files(lake)
    days.repartition(MONTHS)
    new = data_files(lake) - old
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=900))
        lake.vacuum()

    assert data_files(lake) == new
    assert days.count_rows() == 7
    assert_sound(lake)


# What goes with the rows


def test_a_month_is_known_to_be_empty_where_all_its_days_are(lake):
    asset = lake.asset("x", partitions=DAYS)
    asset.write(frame((24 * 100, "eu")))
    asset["2024-02-01":"2024-02-29"].write(frame()[:0])
    asset["2024-03-01":"2024-03-30"].write(frame()[:0])

    plan = asset.plan_repartition(MONTHS)
    lake.apply(plan)

    assert plan.known_empty == ("2024-02-01",)
    status = lake.asset("x").status()
    assert dict(zip(status["key"], status["data"], strict=True)) == {
        "2024-01-01": "missing",
        "2024-02-01": "empty",
        "2024-03-01": "missing",
        "2024-04-01": "fresh",
        "2024-05-01": "missing",
    }


def test_a_day_of_a_committed_month_is_known_to_be_empty_once_it_had_passed(lake):
    asset = lake.asset("x", partitions=MONTHS)
    asset.write(frame((24 * 3, "eu")), "2024-01-01")
    asset["2024-06-01"].write(frame()[:0])

    asset.repartition(DAYS)

    january = asset["2024-01"].status()
    assert january["data"].value_counts().to_dict() == {"empty": 30, "fresh": 1}
    assert set(asset["2024-06"].status()["data"]) == {"missing"}


def test_a_partition_written_early_stays_early_and_stale_ones_stay_stale(lake):
    asset = lake.asset("x", partitions=lp.Daily("2024-05-01", by="at"))
    asset.write(frame((24 * 130, "eu")))
    clock_of(lake).advance(timedelta(days=1))
    asset.write(frame((24 * 152, "eu")))
    asset.write(frame((24 * 153, "eu")), "2024-06-02")
    clock_of(lake).advance(timedelta(days=90))
    asset["2024-05-10"].mark_stale("odd")

    asset.repartition(lp.Monthly("2024-05-01", by="at"))

    status = asset.status()
    assert dict(zip(status["key"], status["reasons"], strict=True))["2024-05-01"] == "marked: odd"
    assert dict(zip(status["key"], status["reasons"], strict=True))["2024-06-01"].startswith("early")


def test_a_code_version_goes_with_the_rows_it_made(lake):
    asset = lake.asset("x", partitions=DAYS)
    asset.write(frame(*ROWS), code_version="7")

    asset.repartition(MONTHS)

    assert asset.status()["code_version"].tolist()[:2] == ["7", "7"]


# Downstream


@lp.producer("copies", partitions=DAYS, inputs={"x": "x"}, code_version="1")
def copies(part, x):
    return x.to_arrow()


@lp.producer("total", partitions=ALL, inputs={"x": "x"}, code_version="1")
def total(part, x):
    return x.to_arrow()


def test_what_read_the_old_partitions_is_stale_and_says_why(lake, days):
    lake.register(copies)["2024-01-01":"2024-01-02"].backfill(progress=False)
    lake.register(total)["all"].backfill(progress=False)
    lake.asset("noted", partitions=ALL).write(frame((1, "eu")), "all", inputs={"from": days["2024-01-02"]})

    days.repartition(MONTHS)

    for name, keys in (("copies", 2), ("total", 1), ("noted", 1)):
        status = lake.asset(name).status()
        reasons = status["reasons"][status["data"] == "stale"]
        assert reasons.tolist() == ["input x was repartitioned"] * keys, name
        assert "input x was repartitioned" in lake.asset(name).explain()["text"].tolist(), name
        assert "stale" not in set(lake.at(head_of(lake) - 1).asset(name).status()["data"]), name


def test_what_is_computed_after_the_rewrite_is_fresh(lake, days):
    lake.register(total)["all"].backfill(progress=False)
    days.repartition(MONTHS)

    lake.register(total).backfill(progress=False)

    assert lake.asset("total").status()["data"].tolist() == ["fresh"]
    days.write(frame((3, "eu")), "2024-01-01")
    assert lake.asset("total").status()["reasons"].tolist() == ["input x changed"]


def test_what_the_rewritten_asset_read_itself_is_said_to_be_lost(lake, days):
    lake.register(copies)["2024-01-01"].backfill(progress=False)

    plan = lake.asset("copies").plan_repartition(MONTHS)

    assert "what 1 partition of 'copies' read of 'x' is not noted of the new ones" in str(plan)
    with pytest.warns(RuntimeWarning, match="not noted"):
        lake.apply(plan)


def test_an_input_that_had_changed_before_still_counts(lake, days):
    lake.register(copies)["2024-01-01":"2024-01-02"].backfill(progress=False)
    days.write(frame((3, "eu")), "2024-01-01")

    with pytest.warns(RuntimeWarning, match="not noted"):
        lake.asset("copies").repartition(MONTHS)

    assert "input x changed" in lake.asset("copies")["2024-01-01"].status()["reasons"][0]
