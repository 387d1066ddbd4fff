"""Cutting an asset otherwise without touching its rows: what is allowed, what is refused, what the past still shows."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.errors import ErrorCode
from lakepart.testing import frozen_lake, query_catalog, reopened

DAYS = lp.Daily("2024-01-01", by="day")


def frame(*days, value=1):
    return pa.table(
        {
            "day": pa.array([date(2024, 1, 1) + timedelta(days=day - 1) for day in days], pa.date32()),
            "value": [value] * len(days),
        }
    )


@pytest.fixture
def lake(tmp_path):
    return frozen_lake(tmp_path / "lake", at=datetime(2024, 3, 1, tzinfo=UTC))


@pytest.fixture
def days(lake):
    asset = lake.asset("days", partitions=DAYS)
    asset.write(frame(1, 2, 40))
    return asset


@pytest.fixture
def regions(lake):
    asset = lake.asset("regions", partitions=lp.Static(["eu", "us", "ap"]))
    asset.write(frame(1), "eu")
    asset.write(frame(2), "us")
    return asset


def data_files(lake):
    return {path: path.stat().st_mtime_ns for path in Path(lake.url).rglob("*.parquet")}


def manifest_of(lake, snapshot):
    return json.loads(Path(lake.url, "_lakepart", "commits", f"{snapshot:012}.json").read_text())


def definition_in(manifest, began):
    rows = manifest["declared"]["asset_definition"]
    return next(json.loads(one["definition"]) for one in rows if one["began"] == began)


def assert_sound(lake):
    assert [str(found) for found in lake.check(checksums=True)] == []


# What is allowed


def test_an_earlier_start_makes_earlier_days_and_touches_no_file(lake, days):
    files = data_files(lake)

    commit = days.alter(partitions=lp.Daily("2023-12-30", by="day"))

    assert data_files(lake) == files
    assert (commit.snapshot, commit.partitions) == (2, 0)
    days.write(pa.table({"day": [date(2023, 12, 31)], "value": [7]}))
    assert reopened(lake).asset("days").keys == ["2023-12-31", "2024-01-01", "2024-01-02", "2024-02-09"]
    assert_sound(lake)


@pytest.mark.parametrize(
    "definition",
    [
        lp.Daily("2024-01-01", by="day", end="2024-02-10"),
        lp.Daily("2020-01-01", by="day", end="2030-01-01"),
        lp.Daily("2024-01-01", by="day", tz="Etc/GMT"),
    ],
    ids=repr,
)
def test_whatever_leaves_committed_days_what_they_are_is_allowed(lake, days, definition):
    before = days.to_arrow()

    days.alter(partitions=definition)

    assert days.partitions == definition
    assert lake.asset("days").to_arrow().equals(before)
    assert_sound(lake)


def test_an_end_is_moved_and_dropped_again(lake, days):
    days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-10"))
    with pytest.raises(lp.InvalidInputError):
        days.write(frame(50))

    days.alter(partitions=DAYS)

    days.write(frame(50))
    assert "2024-02-19" in days.keys


def test_keys_are_added_at_the_end_of_a_list(lake, regions):
    regions.alter(partitions=lp.Static(["eu", "us", "ap", "af"]))

    regions.write(frame(3), "af")

    assert regions.keys == ["eu", "us", "af"]
    assert [row[1] for row in query_catalog(lake.url, "SELECT ordinal, key FROM version ORDER BY ordinal")] == [
        "eu",
        "us",
        "af",
    ]
    assert_sound(lake)


def test_a_key_without_data_is_dropped_from_the_end(regions):
    regions.alter(partitions=lp.Static(["eu", "us"]))

    assert list(regions.status()["key"]) == ["eu", "us"]


def test_anything_is_allowed_as_long_as_nothing_is_committed(lake):
    asset = lake.asset("later", partitions=DAYS)

    asset.alter(partitions=lp.Static(["a"], by="value"))
    asset.alter(partitions=lp.Monthly("2024-01-01", by="day"))

    assert asset.partitions == lp.Monthly("2024-01-01", by="day")


def test_options_change_alone(lake, days):
    days.alter(description="every day", complete_after=timedelta(days=90))

    assert days.description == "every day"
    assert days.partitions == DAYS
    assert set(days["2024-02-09"].status()["reasons"]) == {"early: written before the window was complete"}
    assert lake.at(1).asset("days")["2024-02-09"].status()["reasons"].tolist() == [""]


def test_altering_nothing_is_refused_and_makes_no_snapshot(lake, days):
    with pytest.raises(lp.StateError, match="Nothing to alter"):
        days.alter(partitions=DAYS)

    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(1,)]


WEEKDAYS = lp.Daily("2024-01-01", by="day", exclude=["0 0 * * 6", "0 0 * * 0"])


def test_days_without_data_are_excluded_and_included_again(lake, days):
    days.alter(partitions=WEEKDAYS)  # 2024-01-01, 2024-01-02 and 2024-02-09 are none of a weekend
    assert len(days.missing()) == 60 - 3 - 16
    with pytest.raises(lp.InvalidInputError):
        days.write(frame(6))

    days.alter(partitions=DAYS)

    days.write(frame(6))
    assert days["2024-01-01":"2024-01-07"].history()["key"].tolist() == ["2024-01-06", "2024-01-01", "2024-01-02"]
    assert_sound(lake)


def test_more_and_fewer_windows_are_expected(days):
    plan = days.plan_alter(partitions=lp.Daily("2024-01-01", by="day", end_offset=2))
    assert (plan.appearing, plan.vanishing) == (("2024-03-01..2024-03-02", 2), ("", 0))

    days.alter(partitions=lp.Daily("2024-01-01", by="day", end_offset=-1))

    assert days.status()["key"].tolist()[-1] == "2024-02-28"


# What is refused


@pytest.mark.parametrize(
    ("definition", "named"),
    [
        (lp.Daily("2024-01-02", by="day"), "1 partition with data on main (2024-01-01)"),
        (lp.Daily("2024-01-01", by="day", end="2024-01-02"), "2 partitions with data on main (2024-01-02, 2024-02-09)"),
        (lp.Monthly("2024-01-01", by="day"), "3 partitions with data on main"),
        (lp.Daily("2024-01-01", by="day", tz="Asia/Kathmandu"), "3 partitions with data on main"),
        (lp.Unpartitioned(), "3 partitions with data on main"),
        (lp.Daily("2024-01-01", by="day", fmt="%Y%m%d"), "3 partitions with data on main"),
        (lp.Daily("2024-01-01", by="day", exclude=["2024-01-02"]), "1 partition with data on main (2024-01-02)"),
    ],
    ids=repr,
)
def test_what_would_orphan_committed_days_names_them_and_changes_nothing(lake, days, definition, named):
    with pytest.raises(lp.StateError) as caught:
        days.alter(partitions=definition)

    assert named in str(caught.value)
    assert "repartition" in str(caught.value)
    assert caught.value.code is ErrorCode.WOULD_ORPHAN
    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(1,)]
    assert lake.asset("days").partitions == DAYS


@pytest.mark.parametrize("keys", [["us", "eu", "ap"], ["us", "ap"], ["af", "eu", "us", "ap"], ["eu"]], ids=str)
def test_reordering_or_dropping_keys_with_data_is_refused(regions, keys):
    with pytest.raises(lp.StateError, match="would orphan"):
        regions.alter(partitions=lp.Static(keys))

    assert regions.keys == ["eu", "us"]


def test_another_column_is_refused_where_there_are_data(lake):
    asset = lake.asset("x", partitions=lp.Static(["1", "2"], by="value"))
    asset.write(pa.table({"value": ["1"], "other": ["2"]}))

    with pytest.raises(lp.StateError, match="by changes from 'value' to 'other', and 1 partition has data on main"):
        asset.alter(partitions=lp.Static(["1", "2"], by="other"))


def test_a_column_the_asset_does_not_have_is_refused(lake, days):
    days.rollback(to=0)

    with pytest.raises(lp.InvalidInputError, match="no column 'dya'"):
        days.alter(partitions=lp.Daily("2024-01-01", by="dya"))
    with pytest.raises(lp.SchemaMismatchError, match="'value'"):
        days.alter(partitions=lp.Daily("2024-01-01", by="day", dimension="value"))


def test_partitions_of_an_open_branch_are_not_orphaned_either(lake, days):
    lake.create_branch("try").asset("days").write(frame(60))

    with pytest.raises(lp.StateError, match=r"1 partition with data on try \(2024-02-29\)"):
        days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-10"))

    lake.branch("try").discard()
    days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-10"))


def test_a_branch_that_inherits_what_would_be_orphaned_is_named_beside_main(lake, days):
    lake.create_branch("try")

    plan = days.plan_alter(partitions=lp.Daily("2024-01-02", by="day"))

    assert plan.refused == ("it would orphan 1 partition with data on main, try (2024-01-01)",)


def test_what_a_branch_inherits_and_main_has_lost_since_is_not_orphaned(lake, days):
    lake.create_branch("try")
    days["2024-02-09"].rollback(to=0)

    with pytest.raises(lp.StateError, match=r"on try \(2024-02-09\)"):
        days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-01"))


def test_a_branch_and_a_view_of_the_past_cannot_alter(lake, days):
    with pytest.raises(lp.StateError, match="on all branches"):
        lake.create_branch("try").asset("days").alter(description="x")
    with pytest.raises(lp.StateError, match="read-only"):
        lake.at(1).asset("days").alter(description="x")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"complete_after": 5}, "complete_after=5 is no timedelta"),
        ({"complete_after": timedelta(days=-1)}, "zero or more"),
        ({"description": 5}, "description=5 is no text"),
    ],
)
def test_options_that_make_no_sense_are_refused(lake, days, options, message):
    with pytest.raises(lp.InvalidInputError, match=message):
        days.alter(**options)
    with pytest.raises(lp.InvalidInputError, match=message):
        lake.asset("more", partitions=DAYS, **options)
    assert [asset.name for asset in lake.assets()] == ["days"]


@pytest.mark.parametrize("given", [{"kind": "daily"}, "daily"])
def test_what_is_no_definition_is_refused(days, given):
    with pytest.raises(lp.InvalidInputError, match="no partitions definition"):
        days.alter(partitions=given)


# Plans


def test_a_plan_says_what_appears_what_goes_and_what_is_refused(lake, days):
    plan = days.plan_alter(partitions=lp.Daily("2023-12-31", by="day", end="2024-02-01"), description="x")

    assert plan.appearing == ("2023-12-31", 1)
    assert plan.vanishing == ("2024-02-01..2024-02-29", 29)
    text = str(plan)
    assert "1 partition appears: 2023-12-31" in text
    assert "29 partitions go: 2024-02-01..2024-02-29" in text
    assert "description: None → 'x'" in text
    assert "refused: it would orphan 1 partition" in text
    assert json.loads(json.dumps(plan.to_dict()))["refused"]
    with pytest.raises(lp.StateError):
        lake.apply(plan)
    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(1,)]


def test_a_plan_is_carried_out_as_it_stands(lake, days):
    plan = days.plan_alter(partitions=lp.Daily("2023-12-31", by="day"))

    commit = lake.apply(plan)

    assert isinstance(commit, lp.Commit)
    assert lake.asset("days").partitions.start == "2023-12-31"


def test_a_plan_of_an_asset_that_was_altered_since_is_refused(lake, days):
    plan = days.plan_alter(partitions=lp.Daily("2023-12-31", by="day"))
    days.alter(description="first")

    with pytest.raises(lp.ConflictError, match="plan the change anew"):
        lake.apply(plan)

    assert lake.asset("days").partitions == DAYS


@pytest.mark.parametrize("on_branch", [False, True], ids=["main", "branch"])
def test_a_plan_does_not_orphan_what_was_committed_since(lake, days, on_branch):
    where = lake.create_branch("try") if on_branch else lake
    plan = days.plan_alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-10"))
    where.asset("days").write(frame(55))

    with pytest.raises(lp.ConflictError, match="2024-02-24"):
        lake.apply(plan)

    assert lake.asset("days").partitions == DAYS
    assert_sound(lake)


def test_a_plan_does_not_change_the_column_of_what_was_committed_since(lake):
    rows = pa.table({"value": ["1"], "other": ["2"]})
    by_value, by_other = (lp.Static(["1", "2"], by=column) for column in ("value", "other"))
    asset = lake.asset("x", partitions=by_value)
    asset.write(rows)
    asset["1"].rollback(to=0)
    plan = asset.plan_alter(partitions=by_other)
    asset.write(rows)

    with pytest.raises(lp.ConflictError, match="Somebody committed 1 partition of 'x'"):
        lake.apply(plan)

    assert lake.asset("x").partitions == by_value
    assert_sound(lake)


# The past


def test_views_of_the_past_have_the_definition_of_then(lake, days):
    days.alter(partitions=lp.Daily("2023-01-01", by="day"))
    days.alter(partitions=lp.Daily("2022-01-01", by="day"))

    starts = [lake.at(number).asset("days").partitions.start for number in (0, 1, 2, 3)]

    assert starts == ["2024-01-01", "2024-01-01", "2023-01-01", "2022-01-01"]
    assert lake.asset("days").partitions.start == "2022-01-01"
    assert reopened(lake).at(2).asset("days").partitions.start == "2023-01-01"
    with pytest.raises(lp.PartitionKeyError):
        lake.at(1).asset("days")["2023-06-01"]


def test_the_past_expects_what_it_expected_then(lake, days):
    days.alter(partitions=lp.Daily("2023-12-01", by="day"))

    assert len(days.missing()) == 31 + 60 - 3
    assert len(lake.at(1).asset("days").missing()) == 60 - 3
    assert lake.at(1).status()["missing"].tolist() == [60 - 3]


def test_a_definition_is_in_the_manifest_of_its_snapshot_even_if_that_is_written_late(lake, days):
    days.alter(partitions=lp.Daily("2023-12-01", by="day"), description="x")
    days.write(frame(5))

    first, altered, last = (manifest_of(lake, number) for number in (1, 2, 3))

    assert definition_in(first, 0)["start"] == "2024-01-01"
    assert definition_in(altered, 2)["start"] == "2023-12-01"
    assert [one["began"] for one in last["declared"]["asset_definition"]] == [2]


def test_a_rollback_to_before_an_extension_brings_contents_back(lake, days):
    days.alter(partitions=lp.Daily("2023-12-01", by="day"))
    days.write(frame(1, value=9), "2024-01-01")

    days.rollback(to=1)

    assert days["2024-01-01"].to_arrow()["value"].to_pylist() == [1]
    assert days.partitions.start == "2023-12-01"


def test_a_rollback_never_brings_back_what_is_no_partition_any_more(lake, days):
    days["2024-02-09"].rollback(to=0)
    days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-01"))

    with pytest.raises(lp.StateError, match="2024-02-09"):
        days.rollback(to=1)
    with pytest.raises(lp.StateError, match="2024-02-09"):
        lake.rollback(to=1)

    with pytest.raises(lp.StateError, match="Nothing to roll back"):
        days["2024-01-01"].rollback(to=1)


def test_the_history_of_a_key_is_not_that_of_another_key_that_had_its_place(lake):
    asset = lake.asset("x", partitions=lp.Static(["a", "b", "c"]))
    asset.write(frame(1), "b")
    asset["b"].rollback(to=0)
    asset.alter(partitions=lp.Static(["a", "c"]))
    asset.write(frame(2), "c")

    assert asset["c"].history()["snapshot"].tolist() == [4]
    assert lake.at(2).asset("x")["b"].history()["snapshot"].tolist() == [1]


# Handles that were made before


def test_handles_and_selections_go_on_in_the_new_definition(lake, days):
    other, january = reopened(lake).asset("days"), days["2024-01"]

    days.alter(partitions=lp.Daily("2023-12-01", by="day"))

    other.write(pa.table({"day": [date(2023, 12, 5)], "value": [1]}))
    assert other["2023-12-05"].keys == ["2023-12-05"]
    assert january.keys[0] == "2024-01-01"
    assert (days["2024-01-02"] | january).keys == january.keys
    with pytest.warns(lp.PartialReadWarning):
        assert january.count_rows(missing="skip") == 2


def test_a_selection_of_what_is_gone_is_refused(lake, days):
    gone = days["2024-02-20"]
    days.alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-10"))

    with pytest.raises(lp.StateError, match="select again"):
        gone.write(frame(51))

    assert_sound(lake)


# Downstream


@lp.producer("doubled", partitions=DAYS, inputs={"days": "days"}, code_version="1")
def doubled(part, days):
    return days.to_arrow()


@lp.producer("total", partitions=lp.Unpartitioned(), inputs={"days": "days"}, code_version="1")
def total(part, days):
    return days.to_arrow()


@lp.producer("monthly", partitions=lp.Monthly("2024-01-01", by="day"), inputs={"days": "days"}, code_version="1")
def monthly(part, days):
    return days.to_arrow(missing="skip")


@pytest.mark.filterwarnings("ignore::lakepart.PartialReadWarning")
def test_an_extended_input_makes_nothing_stale(lake, days):
    for producer, key in ((doubled, "2024-01-01"), (total, "all"), (monthly, "2024-01-01")):
        lake.register(producer)[key].backfill(progress=False)

    days.alter(partitions=lp.Daily("2020-01-01", by="day"))
    days.alter(partitions=lp.Daily("2020-01-01", by="day", end="2024-12-01"))

    for name, key in (("doubled", "2024-01-01"), ("total", "all"), ("monthly", "2024-01-01")):
        assert lake.asset(name)[key].status()["data"].tolist() == ["fresh"], name


def test_rows_in_the_extended_part_make_stale_what_was_made_from_everything(lake, days):
    lake.register(total)["all"].backfill(progress=False)
    days.alter(partitions=lp.Daily("2023-01-01", by="day"))

    days.write(pa.table({"day": [date(2023, 5, 5)], "value": [1]}))

    assert lake.asset("total").status()["reasons"].tolist() == ["input days changed"]


def test_a_producer_that_can_no_longer_read_its_input_is_reported(lake, regions):
    @lp.producer("copies", partitions=lp.Static(["eu", "us", "ap"]), inputs={"regions": "regions"})
    def copies(part, regions):
        return regions.to_arrow()

    lake.register(copies)

    with pytest.warns(RuntimeWarning, match="the producer of 'copies' can no longer read 'regions'"):
        regions.alter(partitions=lp.Static(["eu", "us", "ap", "af"]))

    lake.asset("copies").alter(partitions=lp.Static(["eu", "us", "ap", "af"]))
    lake.asset("copies")["eu"].backfill(copies, inputs={"regions": "regions"}, progress=False)


# Renaming


def test_a_renamed_key_has_the_data_and_the_history_and_old_snapshots_the_old_name(lake, regions):
    files = data_files(lake)

    commit = regions.rename_key("eu", "emea")

    assert data_files(lake) == files
    assert regions.keys == ["emea", "us"]
    assert regions["emea"].to_arrow()["day"].to_pylist() == [date(2024, 1, 1)]
    assert regions["emea"].history()[["key", "snapshot"]].values.tolist() == [["emea", 3], ["emea", 1]]
    past = lake.at(commit.snapshot - 1).asset("regions")
    assert (past.keys, past["eu"].history()["key"].tolist()) == (["eu", "us"], ["eu"])
    assert past["eu"].to_arrow().equals(regions["emea"].to_arrow())
    with pytest.raises(lp.PartitionKeyError):
        regions["eu"]
    assert definition_in(manifest_of(lake, 3), 3)["keys"] == ["emea", "us", "ap"]
    assert [one["key"] for one in manifest_of(lake, 3)["versions"]] == ["emea"]
    assert_sound(lake)


def test_a_key_without_data_is_renamed_too(lake, regions):
    regions.rename_key("ap", "apac")

    regions.write(frame(5), "apac")

    assert regions.keys == ["eu", "us", "apac"]
    assert regions["apac"].history()["key"].tolist() == ["apac"]


def test_a_renamed_key_is_rolled_back_under_its_new_name(lake, regions):
    regions.write(frame(9), "eu")
    regions.rename_key("eu", "emea")

    regions["emea"].rollback(to=1)

    assert regions["emea"].to_arrow()["day"].to_pylist() == [date(2024, 1, 1)]
    assert query_catalog(lake.url, "SELECT key FROM version WHERE ordinal = 0 AND ended IS NULL") == [("emea",)]


def test_a_renamed_input_makes_nothing_stale(lake, regions):
    lake.asset("made", partitions=lp.Unpartitioned()).write(frame(1), "all", inputs={"from": regions["eu"]})

    regions.rename_key("eu", "emea")

    assert lake.asset("made").status()["data"].tolist() == ["fresh"]
    regions.write(frame(8), "emea")
    assert lake.asset("made").status()["reasons"].tolist() == ["input regions changed"]


def test_work_that_is_noted_is_noted_under_the_new_name(lake, regions):
    def failing(part):
        raise ValueError(part.key)

    with pytest.raises(lp.BackfillError):
        regions["eu"].backfill(failing, which="all", publish="each", retries=0, name="b", progress=False)
    regions["eu"].demote("cold", progress=False)

    regions.rename_key("eu", "emea")

    assert lake.backfill("b").status()["key"].tolist() == ["emea"]
    assert query_catalog(lake.url, "SELECT key FROM move") == [("emea",)]
    lake.backfill("b").resume(lambda part: frame(7), progress=False)
    assert regions["emea"].to_arrow()["day"].to_pylist() == [date(2024, 1, 7)]
    assert_sound(lake)


def test_a_producer_that_does_not_know_the_new_name_is_reported(lake, regions):
    @lp.producer("copies", partitions=lp.Static(["eu", "us", "ap"]), inputs={"regions": "regions"})
    def copies(part, regions):
        return regions.to_arrow()

    lake.register(copies)

    with pytest.warns(RuntimeWarning, match="the producer of 'copies' can no longer read 'regions'"):
        regions.rename_key("eu", "emea")


@pytest.mark.parametrize(
    "mapping", [lp.KeyMap({"all": ["eu", "us"]}), lp.SpecificPartitions(["eu"])], ids=["key-map", "specific"]
)
def test_a_producer_that_names_the_input_key_is_reported_when_it_is_renamed(lake, regions, mapping):
    whole = lp.Static(["all"])
    inputs = {"regions": lp.Input("regions", mapping)}
    lake.register(lp.producer("made", partitions=whole, inputs=inputs)(lambda part, regions: None))

    with pytest.warns(RuntimeWarning, match="producer of 'made' reads 'eu' of 'regions' by name, which is no key"):
        regions.rename_key("eu", "emea")


def test_a_name_that_is_taken_or_unknown_is_refused(lake, regions, days):
    with pytest.raises(lp.AlreadyExistsError, match="'us'"):
        regions.rename_key("eu", "us")
    with pytest.raises(lp.PartitionKeyError):
        regions.rename_key("ue", "emea")
    with pytest.raises(lp.PartitionKeyError):
        regions.rename_key("eu", "")
    with pytest.raises(lp.InvalidInputError, match="only listed keys"):
        days.rename_key("2024-01-01", "first")


def test_a_key_is_not_renamed_while_a_branch_shows_it(lake, regions):
    lake.create_branch("try")

    with pytest.raises(lp.StateError, match="branch 'try' has it open"):
        regions.rename_key("eu", "emea")

    regions.rename_key("ap", "apac")
    assert regions.keys == ["eu", "us"]


def test_a_key_is_not_renamed_while_a_backfill_computes_it(lake, regions):
    def renaming(part):
        with pytest.raises(lp.StateError, match="backfill 'b' has it open"):
            reopened(lake).asset("regions").rename_key("eu", "emea")
        return frame(3)

    regions["eu"].backfill(renaming, which="all", publish="each", name="b", progress=False)

    regions.rename_key("eu", "emea")
    assert regions["emea"].to_arrow()["day"].to_pylist() == [date(2024, 1, 3)]


def test_a_key_is_renamed_while_a_backfill_computes_another(lake, regions):
    def renaming(part):
        reopened(lake).asset("regions").rename_key("us", "usa")
        return frame(3)

    regions["eu"].backfill(renaming, which="all", publish="each", name="b", progress=False)

    assert lake.asset("regions").keys == ["eu", "usa"]
    assert regions["eu"].to_arrow()["day"].to_pylist() == [date(2024, 1, 3)]


def test_a_backfill_goes_on_while_its_asset_is_extended(lake, days):
    def extending(part):
        reopened(lake).asset("days").alter(partitions=lp.Daily(f"2023-01-0{part.key[-1]}", by="day"))
        return frame(int(part.key[-1]), value=5)

    days["2024-01-03":"2024-01-04"].backfill(extending, publish="each", progress=False)

    assert days["2024-01-03":"2024-01-04"].to_arrow()["value"].to_pylist() == [5, 5]
    assert_sound(lake)


def test_a_backfill_loses_the_partitions_that_are_gone_and_no_others(lake, days):
    def ending(part):
        if part.key == "2024-02-14":
            reopened(lake).asset("days").alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-02-12"))
        return frame(31 + int(part.key[-2:]), value=5)

    with pytest.raises(lp.BackfillError, match="2024-02-14"):
        days[["2024-02-11", "2024-02-14"]].backfill(ending, publish="each", workers=2, progress=False)

    assert days["2024-02-11"].to_arrow()["value"].to_pylist() == [5]
    assert lake.check() == []
