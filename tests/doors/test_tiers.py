"""Tiers: files go colder and hotter, by hand and by policy, and nothing else changes."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.model.records import TierRecord
from lakepart.testing import clock_of, copied, files_of, frozen_lake, query_catalog

NOW = datetime(2024, 1, 11, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
TIERS = [
    TierRecord("hot", "hot", rank=0),
    TierRecord("cool", "cool", rank=1),
    TierRecord("cold", "cold", rank=2),
]
KEYS = [f"2024-01-{day:02d}" for day in range(1, 11)]


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """Ten days of ``days``, all hot; three tiers."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW, tiers=TIERS)
    lake.asset("days", partitions=DAYS).write(frame(*((day, day) for day in range(1, 11))))
    return lake


@pytest.fixture
def lake(template, place) -> lp.Lake:
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days")


def tiers_of(asset: lp.Asset) -> list[str]:
    return asset.status()["tier"].tolist()


def live_copies(lake: lp.Lake) -> dict[str, int]:
    return dict(query_catalog(lake, "SELECT tier, count(*) FROM copy WHERE state = 'live' GROUP BY tier"))


# By hand


def test_demoting_moves_the_files_of_exactly_these_partitions(lake, days) -> None:
    before = {name.removeprefix("hot/"): data for name, data in files_of(lake).items() if name.startswith("hot/")}

    report = days[KEYS[0] : KEYS[2]].demote("cold", progress=False)

    assert (report.partitions, report.files, report.skipped) == (3, 3, ())
    assert report.bytes == int(days[KEYS[0] : KEYS[2]].files()["bytes"].sum())
    assert tiers_of(days) == ["cold"] * 3 + ["hot"] * 7
    assert live_copies(lake) == {"cold": 3, "hot": 7}
    after = {name.removeprefix("cold/"): data for name, data in files_of(lake).items() if name.startswith("cold/")}
    assert len(after) == 3
    assert after.items() <= before.items()


def test_a_move_changes_no_version_and_no_row(lake, days) -> None:
    expected, history = days.to_arrow(), days.history()

    days.demote("cold", progress=False)
    days[KEYS[4]].promote("cool", progress=False)

    assert days.to_arrow().equals(expected)
    assert days.history().equals(history)
    assert lake.snapshots()["snapshot"].tolist() == [1, 0]
    assert lake.at(1).asset("days").to_arrow().equals(expected)
    assert days.stale().keys == []
    assert lake.check(checksums=True) == [] or {f.severity for f in lake.check(checksums=True)} == {"leftover"}


def test_promoting_goes_to_the_hottest_tier_unless_another_is_named(days) -> None:
    days[KEYS[0] : KEYS[1]].demote("cold", progress=False)

    days[KEYS[0]].promote(progress=False)
    days[KEYS[1]].promote("cool", progress=False)

    assert tiers_of(days)[:3] == ["hot", "cool", "hot"]


def test_what_is_there_already_or_colder_is_left_alone(days) -> None:
    days[KEYS[0]].demote("cold", progress=False)
    days[KEYS[1]].demote("cool", progress=False)

    plan = days[KEYS[0] : KEYS[2]].plan_demote("cool")
    assert [move.key for move in plan.moves] == [KEYS[2]]
    assert days[KEYS[0]].demote("cold", progress=False).partitions == 0
    assert str(days[KEYS[0]].plan_demote("cold")) == "Nothing to move (to cold)."
    assert [move.key for move in days[KEYS[0] : KEYS[2]].plan_promote("cool").moves] == [KEYS[0]]


def test_the_old_bytes_stay_until_vacuum(place) -> None:
    lake = frozen_lake(place.url, catalog=place.catalog)
    days = lake.asset("days", partitions=DAYS)
    days.write(frame((1, 1)))
    ((hot, data),) = [(name, data) for name, data in files_of(lake).items() if name.startswith("hot/")]

    days.demote("cold", progress=False)
    assert hot in files_of(lake)

    clock_of(lake).advance(timedelta(days=2))
    plan = lake.plan_vacuum()
    assert [(tier, size) for tier, _, size, _ in plan.files] == [("hot", len(data))]
    lake.vacuum()
    assert hot not in files_of(lake)
    assert days.to_arrow()["x"].to_pylist() == [1]
    assert lake.check(checksums=True) == []


def test_rows_appended_to_a_cold_partition_are_hot_until_it_is_demoted_again(days) -> None:
    days[KEYS[0]].demote("cold", progress=False)

    days.append(frame((1, 100)))

    assert set(tiers_of(days)[0].split("+")) == {"hot", "cold"}
    assert days.in_tier("cold").keys == [KEYS[0]]
    assert days[KEYS[0]].to_arrow()["x"].to_pylist() == [1, 100]
    report = days[KEYS[0]].demote("cold", progress=False)
    assert (report.partitions, report.files) == (1, 1)
    assert tiers_of(days)[0] == "cold"


def test_old_versions_move_with_no_one_and_stay_readable(lake, days) -> None:
    days.write(frame((1, 11)), KEYS[0])

    days[KEYS[0]].demote("cold", progress=False)

    assert lake.at(1).asset("days")[KEYS[0]].to_arrow()["x"].to_pylist() == [1]
    assert lake.at(1).asset("days")[KEYS[0]].files()["tier"].tolist() == ["hot"]
    days[KEYS[0]].rollback(to=1)
    assert tiers_of(days)[0] == "hot"


@pytest.mark.in_a_folder
def test_known_empty_and_missing_partitions_have_nothing_to_move(days) -> None:
    days.write(frame(), KEYS[0])

    assert days["2024-01"].demote("cold", progress=False).partitions == 9


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda one: one.demote("frozen"), "no tier 'frozen'"),
        (lambda one: one.promote("hott"), "did you mean 'hot'"),
        (lambda one: one.demote("hot"), "hottest tier.*promote"),
        (lambda one: one.promote("cold"), "coldest tier.*demote"),
        (lambda one: one.plan_demote(""), "no tier ''"),
    ],
    ids=["unknown", "misspelt", "to the hottest", "to the coldest", "empty"],
)
def test_a_tier_that_cannot_be_moved_to_is_refused(lake, days, act, message) -> None:
    before = files_of(lake)

    with pytest.raises(lp.InvalidInputError, match=message):
        act(days[KEYS[0]])

    assert files_of(lake) == before


def test_files_move_in_the_lake_itself_only(lake) -> None:
    for view in (lake.at(1), lake.create_branch("draft")):
        with pytest.raises(lp.StateError, match="in the lake itself"):
            view.asset("days")[KEYS[0]].demote("cold", progress=False)
    reader = lp.connect(lake.url, read_only=True)
    with pytest.raises(lp.StateError, match="read-only"):
        reader.asset("days")[KEYS[0]].demote("cold", progress=False)
    reader.close()

    assert live_copies(lake) == {"hot": 10}


# Plans


def test_a_plan_moves_nothing_and_says_what_it_would(lake, days) -> None:
    before = files_of(lake)

    plan = days[KEYS[0] : KEYS[2]].plan_demote("cool")

    assert files_of(lake) == before
    assert live_copies(lake) == {"hot": 10}
    assert str(plan).splitlines()[1].startswith(f"  days: hot → cool  {KEYS[0]} … {KEYS[2]}  3 partitions, 3 files")
    assert plan.size_bytes == int(days[KEYS[0] : KEYS[2]].files()["bytes"].sum())


def test_a_plan_is_carried_out_wherever_it_travels(lake, days) -> None:
    plan = pickle.loads(pickle.dumps(days[KEYS[0] : KEYS[2]].plan_demote("cool")))

    report = lake.apply(plan, workers=3, progress=False)

    assert report.partitions == 3
    assert tiers_of(days)[:4] == ["cool", "cool", "cool", "hot"]
    assert str(report).startswith("Moved 3 partitions, 3 files")


def test_a_partition_rewritten_since_the_plan_is_skipped_and_named(lake, days) -> None:
    plan = days[KEYS[0] : KEYS[2]].plan_demote("cold")
    days.write(frame((2, 22)), KEYS[1])

    report = lake.apply(plan, progress=False)

    assert report.partitions == 2
    assert [key for key, _ in report.skipped] == [KEYS[1]]
    assert "Skipped 1 partition" in str(report)
    assert tiers_of(days)[:3] == ["cold", "hot", "cold"]
    assert days[KEYS[1]].to_arrow()["x"].to_pylist() == [22]


@pytest.mark.in_a_folder
def test_what_is_no_plan_is_refused(lake) -> None:
    with pytest.raises(lp.InvalidInputError, match="not a plan"):
        lake.apply("demote everything")


# Policies


def test_a_policy_sends_every_partition_to_the_tier_of_the_first_rule_that_covers_it(lake, days) -> None:
    lake.asset("sales/orders", partitions=DAYS).write(frame(*((day, day) for day in range(1, 11))))
    policy = lp.TieringPolicy(
        lp.AgeRule("cold", timedelta(days=8)),
        lp.AgeRule("cool", timedelta(days=5), "sales/*"),
        lp.AgeRule("cold", timedelta(days=1), "sales/*"),
    )

    report = lake.apply(lake.plan_tiering(policy), progress=False)

    assert report.partitions == 2 + 2 + 3 + 4
    assert tiers_of(days) == ["cold"] * 2 + ["hot"] * 8
    assert tiers_of(lake.asset("sales/orders")) == ["cold"] * 2 + ["cool"] * 3 + ["cold"] * 4 + ["hot"]
    assert lake.plan_tiering(policy).moves == ()


def test_a_policy_asks_how_old_windows_are_at_the_instant_given(lake, days) -> None:
    policy = lp.TieringPolicy(lp.AgeRule("cold", timedelta(days=180)))

    assert lake.plan_tiering(policy).moves == ()
    plan = lake.plan_tiering(policy, as_of=NOW + timedelta(days=175))

    assert [move.key for move in plan.moves] == KEYS[:5]
    assert "policy as of 2024-07-04" in str(plan)


def test_a_policy_promotes_nothing(lake, days) -> None:
    days[KEYS[0]].demote("cold", progress=False)

    assert lake.plan_tiering(lp.TieringPolicy(lp.AgeRule("cool", timedelta(days=9)))).moves == ()


@pytest.mark.in_a_folder
def test_a_policy_that_names_an_unknown_tier_moves_nothing(lake) -> None:
    policy = lp.TieringPolicy(lp.AgeRule("cool", timedelta(0)), lp.AgeRule("ice", timedelta(0)))

    with pytest.raises(lp.InvalidInputError, match="no tier 'ice'"):
        lake.plan_tiering(policy)

    assert live_copies(lake) == {"hot": 10}


@pytest.mark.in_a_folder
def test_assets_without_windows_are_no_matter_of_age(lake) -> None:
    lake.asset("keyed", partitions=lp.Static(["a"])).write({"a": pa.table({"x": [1]})})

    plan = lake.plan_tiering(lp.TieringPolicy(lp.AgeRule("cold", timedelta(0))))

    assert {move.asset for move in plan.moves} == {"days"}


# What is where


def test_the_report_counts_what_is_where(lake, days) -> None:
    days[KEYS[0] : KEYS[3]].demote("cold", progress=False)
    days.append(frame((1, 100), (1, 101)))
    lake.asset("new", partitions=DAYS)

    report = lake.tier_report()

    assert report[["asset", "tier", "partitions", "files", "rows", "first", "last"]].values.tolist() == [
        ["days", "hot", 7, 7, 8, KEYS[0], KEYS[9]],
        ["days", "cold", 4, 4, 4, KEYS[0], KEYS[3]],
    ]
    assert report["bytes"].sum() == days.files()["bytes"].sum()


def test_a_read_opens_the_files_wherever_they_are(days) -> None:
    days[KEYS[0] : KEYS[1]].demote("cold", progress=False)
    days[KEYS[2]].demote("cool", progress=False)

    plan = days[KEYS[0] : KEYS[4]].plan_read()

    assert plan.tiers == {"cold": 2, "cool": 1, "hot": 2}
    assert days[KEYS[0] : KEYS[4]].to_arrow()["x"].to_pylist() == [1, 2, 3, 4, 5]


def test_a_dataset_opens_the_files_wherever_they_are(days) -> None:
    days[KEYS[0] : KEYS[1]].demote("cold", progress=False)

    assert days[KEYS[0] : KEYS[4]].dataset().to_table()["x"].to_pylist() == [1, 2, 3, 4, 5]


def test_one_tier_is_enough_and_tiers_may_lie_elsewhere(tmp_path) -> None:
    with pytest.raises(lp.InvalidInputError, match="differ"):
        lp.create(tmp_path / "twice", tiers=[lp.Tier("hot", "a"), lp.Tier("hot", "b")])
    with pytest.raises(lp.InvalidInputError):
        lp.create(tmp_path / "nested", tiers=[lp.Tier("hot", "a"), lp.Tier("cold", "a/b")])
    lake = lp.create(tmp_path / "lake", tiers=[lp.Tier("hot", "hot"), lp.Tier("far", str(tmp_path / "far"))])
    days = lake.asset("days", partitions=DAYS)
    days.write(frame((1, 1)))

    days.demote("far", progress=False)

    assert Path(days.files()["path"][0]).is_relative_to(tmp_path / "far")
    assert lp.connect(tmp_path / "lake").asset("days").to_arrow()["x"].to_pylist() == [1]
    single = lp.create(tmp_path / "single", tiers=[lp.Tier("only", "data")])
    with pytest.raises(lp.InvalidInputError, match="hottest"):
        single.asset("days", partitions=DAYS).demote("only", progress=False)
