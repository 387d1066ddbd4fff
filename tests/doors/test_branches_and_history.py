"""Branches, time travel, rollback and history: what each view shows, and what becomes of it."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake, query_catalog, reopened

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """Two partitions of ``days`` (snapshot 1), the second rewritten an hour later (snapshot 2)."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    days = lake.asset("days", partitions=DAYS)
    days.write(frame((1, 1), (2, 2)), message="load")
    clock_of(lake).advance(timedelta(hours=1))
    days.write(frame((2, 22)), SECOND, code_version="5")
    return lake


@pytest.fixture
def lake(template, place) -> lp.Lake:
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days")


@pytest.fixture
def branch(lake) -> lp.Branch:
    return lake.create_branch("draft")


def rows_of(view, asset: str = "days") -> dict[int, int]:
    table = view.asset(asset).to_arrow()
    if not table.num_rows:
        return {}
    return {day.day: x for day, x in zip(table["day"].to_pylist(), table["x"].to_pylist(), strict=True)}


# Branches


def test_only_readers_of_a_branch_see_what_is_written_on_it(lake, branch) -> None:
    branch.asset("days").write(frame((3, 3)))
    branch.asset("days").write(frame((1, 11)), FIRST)

    assert rows_of(branch) == rows_of(reopened(lake).branch("draft")) == {1: 11, 2: 22, 3: 3}
    assert rows_of(lake) == {1: 1, 2: 22}
    assert branch.asset("days").keys == [FIRST, SECOND, THIRD]
    assert lake.branches().values.tolist() == [["draft", 2, 2]]


def test_a_branch_shows_main_as_it_was_when_the_branch_was_made(lake, days, branch) -> None:
    days.write(frame((1, -1)), FIRST)
    days.write(frame((3, -3)))

    assert rows_of(branch) == {1: 1, 2: 22}
    assert rows_of(lake) == {1: -1, 2: 22, 3: -3}


def test_appending_on_a_branch_adds_to_what_it_shows(lake, branch) -> None:
    branch.asset("days").append(frame((1, 10)))

    assert branch.asset("days")[FIRST].to_arrow()["x"].to_pylist() == [1, 10]
    assert lake.asset("days")[FIRST].to_arrow()["x"].to_pylist() == [1]


def test_a_diff_compares_every_partition_the_branch_wrote_with_main_at_the_fork(lake, days, branch) -> None:
    asset = branch.asset("days")
    asset.write(frame((1, 11), (1, 12)), FIRST)
    asset.write(frame((2, 22)), SECOND)
    asset.write(frame((3, 3)))
    lake.asset("more", partitions=DAYS)
    branch.asset("more").write(frame((1, 1)))
    days.write(frame((1, -1), (1, -2), (1, -3)), FIRST)

    diff = branch.diff()

    columns = ["asset", "key", "change", "rows_before", "rows_after", "rows_delta", "conflict"]
    assert diff[columns].values.tolist() == [
        ["days", FIRST, "changed", 1, 2, 1, True],
        ["days", SECOND, "same", 1, 1, 0, False],
        ["days", THIRD, "added", 0, 1, 1, False],
        ["more", FIRST, "added", 0, 1, 1, False],
    ]
    assert (diff["bytes_after"] - diff["bytes_before"] == diff["bytes_delta"]).all()


def test_what_a_branch_removed_is_in_its_diff_and_missing_after_publication(lake, branch) -> None:
    branch.asset("days")[FIRST].rollback(to=0)
    assert branch.asset("days").keys == [SECOND]
    assert branch.diff()[["key", "change", "rows_delta"]].values.tolist() == [[FIRST, "removed", -1]]

    branch.publish()

    assert rows_of(lake) == {2: 22}


@pytest.mark.in_a_folder
def test_the_diff_of_an_untouched_branch_is_empty_and_typed(branch) -> None:
    diff = branch.diff()

    assert diff.empty
    assert diff["conflict"].dtype == bool
    with pytest.raises(lp.StateError, match="nothing to publish"):
        branch.publish()


def test_a_publication_is_one_commit_of_all_assets_and_closes_the_branch(lake, branch) -> None:
    lake.asset("more", partitions=DAYS)
    branch.asset("days").write(frame((1, 11)), FIRST)
    branch.asset("days").write(frame((1, 111)), FIRST)
    branch.asset("more").write(frame((2, 2)))

    commit = branch.publish(message="new tax")

    assert (rows_of(lake), rows_of(lake, "more")) == ({1: 111, 2: 22}, {2: 2})
    assert (commit.partitions, commit.rows) == (2, 2)
    newest = lake.snapshots().iloc[0]
    assert (newest["snapshot"], newest["message"], newest["metadata"]) == (
        commit.snapshot,
        "new tax",
        {"branch": "draft"},
    )
    assert lake.branches().empty
    for act in (branch.publish, branch.discard):
        with pytest.raises(lp.StateError):
            act()
    with pytest.raises(lp.StateError):
        branch.asset("days").write(frame((3, 3)))
    with pytest.raises(lp.BranchNotFoundError, match="it was published"):
        lake.branch("draft")


def test_a_branch_that_loses_to_main_stays_as_it_was(lake, days, branch) -> None:
    branch.asset("days").write(frame((1, 11)), FIRST)
    branch.asset("days").write(frame((2, 222)), SECOND)
    days.write(frame((2, -2)), SECOND)

    with pytest.raises(lp.ConflictError, match=SECOND) as caught:
        branch.publish()

    assert [conflict["key"] for conflict in caught.value.context["conflicts"]] == [SECOND]
    assert rows_of(lake) == {1: 1, 2: -2}
    assert rows_of(branch) == {1: 11, 2: 222}
    assert lake.branches()["name"].tolist() == ["draft"]


def test_equal_content_on_main_is_no_conflict(lake, days, branch) -> None:
    branch.asset("days").write(frame((2, 222)), SECOND)
    days.write(frame((2, 22)), SECOND)

    branch.publish()

    assert rows_of(lake) == {1: 1, 2: 222}


def test_a_discarded_branch_leaves_nothing_behind(lake, branch) -> None:
    branch.asset("days").write(frame((1, 11)), FIRST)

    branch.discard()

    assert rows_of(lake) == {1: 1, 2: 22}
    assert lake.branches().empty
    with pytest.raises(lp.BranchNotFoundError, match="it was discarded"):
        lake.branch("draft")
    assert lake.create_branch("draft").diff().empty


@pytest.mark.in_a_folder
def test_names_of_branches_are_checked_and_close_ones_suggested(lake, branch) -> None:
    assert branch.name == "draft"
    with pytest.raises(lp.AlreadyExistsError, match="'draft'"):
        lake.create_branch("draft")
    with pytest.raises(lp.BranchNotFoundError, match="did you mean 'draft'"):
        lake.branch("drafts")
    for name in ("", "a/b", "..", "_x", "main"):
        with pytest.raises(lp.LakepartError):
            lake.create_branch(name)


def test_leaving_the_block_of_a_branch_neither_publishes_nor_discards(lake) -> None:
    def audited(view):
        with view as branch:
            branch.asset("days").write(frame((1, 11)), FIRST)
            raise RuntimeError("audit failed")

    with pytest.raises(RuntimeError, match="audit failed"):
        audited(lake.create_branch("draft"))

    assert rows_of(lake) == {1: 1, 2: 22}
    assert rows_of(lake.branch("draft")) == {1: 11, 2: 22}


def test_a_branch_travels_to_other_processes_while_it_is_open(lake, branch) -> None:
    branch.asset("days").write(frame((1, 11)), FIRST)
    pickled = pickle.dumps(branch.asset("days")[FIRST])

    assert pickle.loads(pickled).to_arrow()["x"].to_pylist() == [11]
    branch.discard()
    with pytest.raises(lp.BranchNotFoundError, match="discarded"):
        pickle.loads(pickled)


def test_an_asset_declared_on_a_branch_is_the_lakes(lake, branch) -> None:
    branch.asset("more", partitions=DAYS).write(frame((1, 1)))

    assert [asset.name for asset in lake.assets()] == ["days", "more"]
    assert (rows_of(branch, "more"), rows_of(lake, "more")) == ({1: 1}, {})


# Time travel


def test_every_snapshot_shows_what_was_current_then(lake, days) -> None:
    days.write(frame((3, 3)))

    assert [rows_of(lake.at(number)) for number in range(4)] == [
        {},
        {1: 1, 2: 2},
        {1: 1, 2: 22},
        {1: 1, 2: 22, 3: 3},
    ]
    assert lake.at(1).asset("days")["2024-01-01":"2024-01-02"].count_rows() == 2
    with pytest.raises(lp.PartitionNotFoundError, match="missing at snapshot 2"):
        lake.at(2).asset("days")[THIRD].to_arrow()
    assert repr(lake.at(1)).endswith("at snapshot 1>")


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("when", "snapshot"),
    [
        (NOW + timedelta(minutes=59), 1),
        (NOW + timedelta(hours=1, microseconds=-1), 1),
        (NOW + timedelta(hours=1), 2),
        (NOW + timedelta(days=999), 2),
        ("2024-01-10T12:30Z", 1),
        ("2024-01-10T14:30:00+02:00", 1),
        ("2024-01-10T13:00:00Z", 2),
    ],
    ids=str,
)
def test_an_instant_shows_the_last_snapshot_at_or_before_it(lake, when, snapshot) -> None:
    assert rows_of(lake.at(when)) == rows_of(lake.at(snapshot))


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("when", "error"),
    [
        (99, lp.SnapshotNotFoundError),
        (-1, lp.SnapshotNotFoundError),
        ("2020-01-01T00:00Z", lp.SnapshotNotFoundError),
        ("2024-01-10T12:00", lp.InvalidInputError),
        ("yesterday", lp.NotFoundError),
        (1.5, lp.InvalidInputError),
        (True, lp.InvalidInputError),
        (None, lp.InvalidInputError),
    ],
    ids=repr,
)
def test_a_time_that_never_was_is_refused(lake, when, error) -> None:
    with pytest.raises(error):
        lake.at(when)


def test_a_branch_has_a_past_of_its_own(lake, days, branch) -> None:
    branch.asset("days").write(frame((1, 11)), FIRST)
    days.write(frame((1, -1)), FIRST)

    assert rows_of(branch.at(3)) == {1: 11, 2: 22}
    assert rows_of(branch.at(1)) == {1: 1, 2: 2}
    with pytest.raises(lp.SnapshotNotFoundError, match="made on branch 'draft'"):
        lake.at(3)
    with pytest.raises(lp.SnapshotNotFoundError, match="made on branch 'main'"):
        branch.at(4)
    assert lake.snapshots()["snapshot"].tolist() == [4, 2, 1, 0]
    assert branch.snapshots()["snapshot"].tolist() == [3, 2, 1, 0]


def test_the_past_is_read_as_any_other_selection(lake) -> None:
    then = lake.at(1).asset("days")

    assert then.latest().keys == [SECOND]
    assert then.last(1).keys == ["2024-01-09"]
    assert then.status()["state"].tolist() == ["fresh", "fresh", *["missing"] * 7]
    assert then.files()["key"].tolist() == [FIRST, SECOND]
    assert lake.at(1).status()["rows"].tolist() == [2]
    assert lake.at(1).tier_report()[["asset", "tier", "partitions"]].values.tolist() == [["days", "hot", 2]]


# Rollback


def test_rolling_back_a_selection_leaves_the_rest(lake, days) -> None:
    days.write(frame((1, 111), (2, 222)), if_exists="replace")

    commit = days[SECOND].rollback(to=1, message="undo")

    assert rows_of(lake) == {1: 111, 2: 2}
    assert commit.partitions == 1
    assert lake.snapshots()[["operation", "message"]].values.tolist()[0] == ["rollback", "undo"]


def test_rolling_back_an_asset_removes_what_was_not_there_and_brings_back_what_was(lake, days) -> None:
    days.write(frame((3, 3)))
    days[FIRST].rollback(to=0)
    assert rows_of(lake) == {2: 22, 3: 3}

    days.rollback(to=1)

    assert rows_of(lake) == {1: 1, 2: 2}


def test_rolling_back_a_lake_covers_every_asset_in_one_commit(lake, days) -> None:
    lake.asset("more", partitions=DAYS).write(frame((1, 1)))
    days.write(frame((1, 111)), FIRST)
    before = int(lake.snapshots()["snapshot"][0])

    commit = lake.rollback(to=2)

    assert (rows_of(lake), rows_of(lake, "more")) == ({1: 1, 2: 22}, {})
    assert (commit.snapshot, commit.partitions) == (before + 1, 2)
    lake.rollback(to=before)
    assert (rows_of(lake), rows_of(lake, "more")) == ({1: 111, 2: 22}, {1: 1})


def test_a_rollback_copies_no_bytes_and_keeps_code_versions(lake, days) -> None:
    files = set(days.files()["path"])
    days.write(frame((2, 222)), SECOND)

    days[SECOND].rollback(to=2)

    assert set(days.files()["path"]) == files
    assert days[SECOND].status()["code_version"].tolist() == ["5"]


def test_a_rollback_to_what_is_there_changes_nothing(lake, days) -> None:
    with pytest.raises(lp.StateError, match="Nothing to roll back"):
        days.rollback(to=2)
    with pytest.raises(lp.SnapshotNotFoundError):
        days.rollback(to=99)

    assert lake.snapshots()["snapshot"][0] == 2


def test_a_rollback_on_a_branch_stays_there(lake, branch) -> None:
    branch.asset("days").rollback(to=1)

    assert rows_of(branch) == {1: 1, 2: 2}
    assert rows_of(lake) == {1: 1, 2: 22}
    branch.publish()
    assert rows_of(lake) == {1: 1, 2: 2}


def test_undoing_a_commit_takes_back_exactly_what_it_changed(lake, days) -> None:
    lake.asset("more", partitions=DAYS)
    with lake.create_branch("both") as both:
        both.asset("days").write(frame((1, 11), (3, 33)), if_exists="replace")
        both.asset("more").write(frame((1, 1)))
    bad = both.publish()
    days.write(frame((4, 4)))

    commit = lake.rollback(commit=bad)

    assert (rows_of(lake), rows_of(lake, "more")) == ({1: 1, 2: 22, 4: 4}, {})
    newest = lake.snapshots().iloc[0]
    assert (newest["operation"], newest["metadata"]) == ("rollback", {"rollback_of": bad.snapshot})
    assert newest["message"] == f"rollback of what snapshot {bad.snapshot} changed"
    lake.rollback(commit=commit)
    assert (rows_of(lake), rows_of(lake, "more")) == ({1: 11, 2: 22, 3: 33, 4: 4}, {1: 1})


def test_a_commit_whose_partitions_others_changed_since_is_not_undone_unless_they_may_stay(lake, days) -> None:
    bad = days.write(frame((1, -1), (2, -2), (3, -3)), if_exists="replace")
    days.write(frame((2, 222)), SECOND)
    days[THIRD].rollback(to=0)
    before = lake.snapshots()["snapshot"][0]

    with pytest.raises(lp.ConflictError, match=f"'{SECOND}' of 'days' .snapshot 4 by .*{THIRD}") as caught:
        lake.rollback(commit=bad)

    assert [conflict["key"] for conflict in caught.value.context["conflicts"]] == [SECOND, THIRD]
    assert lake.snapshots()["snapshot"][0] == before
    lake.rollback(commit=bad, on_conflict="skip")
    assert rows_of(lake) == {1: 1, 2: 222}


def test_a_commit_is_undone_by_equal_content_too(lake, days) -> None:
    bad = days.write(frame((1, -1)), FIRST)
    days.write(frame((1, 5)), FIRST)
    days.write(frame((1, -1)), FIRST)  # again what the commit left

    lake.rollback(commit=bad.snapshot)

    assert rows_of(lake) == {1: 1, 2: 22}


def test_a_commit_on_a_branch_is_undone_there(lake, days, branch) -> None:
    bad = branch.asset("days").write(frame((1, 11), (3, 33)), if_exists="replace")

    with pytest.raises(lp.StateError, match="not made on branch 'main'"):
        lake.rollback(commit=bad)
    branch.rollback(commit=bad)

    assert rows_of(branch) == rows_of(lake) == {1: 1, 2: 22}


def test_a_rollback_is_planned_before_it_is_carried_out(lake, days) -> None:
    bad = days.write(frame((1, -1), (3, -3)), if_exists="replace")

    plan = lake.plan_rollback(commit=bad)

    assert [(one.key, one.change, one.rows_after) for one in plan.partitions] == [
        (FIRST, "restore", 1),
        (THIRD, "remove", 0),
    ]
    assert plan == days.plan_rollback(to=2) or plan.partitions == days.plan_rollback(to=2).partitions
    assert str(plan).splitlines()[0] == "Roll back 2 partitions of what snapshot 3 changed:"
    assert rows_of(lake) == {1: -1, 2: 22, 3: -3}
    days.write(frame((3, 4)), THIRD)
    with pytest.raises(lp.ConflictError, match=THIRD):
        lake.apply(plan)
    lake.apply(days[FIRST].plan_rollback(to=2), message="only this")
    assert rows_of(lake) == {1: 1, 2: 22, 3: 4}
    assert lake.snapshots()["message"][0] == "only this"


def test_rolling_back_goes_to_tags_and_instants_too(lake, days) -> None:
    lake.tag("loaded", at=1)

    days.rollback(to="loaded")
    assert rows_of(lake) == {1: 1, 2: 2}
    lake.rollback(to=NOW + timedelta(hours=1))
    assert rows_of(lake) == {1: 1, 2: 22}


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, lp.InvalidInputError),
        ({"to": 1, "commit": 2}, lp.InvalidInputError),
        ({"commit": 2, "on_conflict": "ours"}, lp.InvalidInputError),
        ({"commit": 99}, lp.SnapshotNotFoundError),
        ({"commit": 0}, lp.SnapshotNotFoundError),
    ],
    ids=str,
)
def test_a_rollback_of_nothing_that_can_be_rolled_back_is_refused(lake, options, error) -> None:
    with pytest.raises(error):
        lake.rollback(**options)

    assert lake.snapshots()["snapshot"][0] == 2


def test_a_commit_that_cut_an_asset_otherwise_is_not_undone(lake, days) -> None:
    cut = days.alter(partitions=lp.Daily("2023-12-01", by="day"))

    with pytest.raises(lp.StateError):
        lake.rollback(commit=cut)


def test_what_vacuum_forgot_can_neither_be_read_nor_rolled_back_to(tmp_path) -> None:
    lake = frozen_lake(tmp_path / "lake")
    days = lake.asset("days", partitions=DAYS)
    days.write(frame((1, 1)))
    days.write(frame((1, 2)), FIRST)
    clock_of(lake).advance(timedelta(days=30))
    lake.vacuum()

    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        lake.at(1)
    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        days.rollback(to=1)
    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        days.write(frame((1, 3)), FIRST, expected=1)
    with pytest.raises(lp.SnapshotNotFoundError, match="can no longer be undone"):
        lake.rollback(commit=2)
    assert rows_of(lake) == rows_of(lake.at(2)) == {1: 2}


# History


def test_history_lists_every_version_newest_first(lake, days) -> None:
    days.append(frame((2, 23)), message="late rows")
    days[FIRST].rollback(to=0)

    history = days.history()

    assert history[["key", "snapshot", "operation", "rows"]].values.tolist() == [
        [SECOND, 3, "append", 2],
        [SECOND, 2, "write", 1],
        [FIRST, 1, "write", 1],
        [SECOND, 1, "write", 1],
    ]
    assert history["ended"].fillna(-1).tolist() == [-1, 3, 4, 2]
    assert history["message"].dropna().tolist() == ["late rows", "load", "load"]
    assert history["code_version"].tolist()[1] == "5"
    assert history["at"][1].to_pydatetime() == NOW + timedelta(hours=1)
    assert days[FIRST].history()["snapshot"].tolist() == [1]
    assert lake.at(1).asset("days").history()["snapshot"].tolist() == [1, 1]


def test_history_says_what_each_version_took_the_place_of_and_was_made_from(lake, days) -> None:
    sums = lake.asset("sums", partitions=DAYS)
    sums.write(frame((1, 7)), FIRST, inputs={"numbers": days[FIRST:SECOND]}, metadata={"run": 7})
    sums.write(frame((1, 7), (1, 8)), FIRST)
    days[FIRST].rollback(to=0)
    days.write(frame((1, 1), (1, 2)), FIRST)

    history = sums.history()

    assert history[["rows_before", "rows"]].values.tolist() == [[1, 2], [0, 1]]
    assert history["bytes_before"].tolist() == [history["bytes"][1], 0]
    assert history["inputs"].tolist() == [
        {},
        {"numbers": {"asset": "days", "partitions": f"{FIRST}..{SECOND}", "snapshot": 2}},
    ]
    assert history["metadata"].tolist() == [{}, {"run": 7}]
    assert days[FIRST].history()[["rows_before", "rows"]].values.tolist() == [[0, 2], [0, 1]]


def test_the_history_of_a_past_view_knows_nothing_of_what_came_later(lake, days) -> None:
    assert lake.at(1).asset("days")[SECOND].history()["ended"].isna().tolist() == [True]
    assert lake.at(2).asset("days")[SECOND].history()["ended"].fillna(-1).tolist() == [-1, 2]


def test_the_history_of_a_branch_ends_versions_when_the_branch_replaced_them(days, branch) -> None:
    days.write(frame((1, -1)), FIRST)  # snapshot 3, which the branch does not see
    days.write(frame((2, -2)), SECOND)
    branch.asset("days").write(frame((1, 11), (1, 12)), FIRST)

    assert branch.asset("days")[FIRST].history()[["snapshot", "ended", "rows_before"]].fillna(-1).values.tolist() == [
        [5, -1, 1],
        [1, 5, 0],
    ]
    assert branch.asset("days")[SECOND].history()["ended"].fillna(-1).tolist() == [-1, 2]


def test_what_vacuum_may_have_forgotten_is_unknown_rather_than_nothing(tmp_path) -> None:
    lake = frozen_lake(tmp_path / "lake")
    days = lake.asset("days", partitions=DAYS)
    for value in (1, 2):
        days.write(frame((1, value)), FIRST)
    clock_of(lake).advance(timedelta(days=30))
    lake.vacuum()
    days.write(frame((1, 3)), FIRST)

    assert days.history()["rows_before"].fillna(-1).tolist() == [1, -1]


def test_the_history_of_a_lake_says_what_each_commit_did_to_each_asset(lake, days, branch) -> None:
    lake.asset("more", partitions=DAYS)
    branch.asset("days").write(frame((1, 11), (1, 12)), FIRST)
    branch.asset("more").write(frame((1, 1)), FIRST)
    branch.publish(message="both")
    days[SECOND].rollback(to=0)

    history = lake.history()

    columns = ["snapshot", "operation", "asset", "partitions", "rows_before", "rows_after"]
    assert history[columns].values.tolist() == [
        [6, "rollback", "days", 1, 1, 0],
        [5, "publish", "days", 1, 1, 2],
        [5, "publish", "more", 1, 0, 1],
        [2, "write", "days", 1, 1, 1],
        [1, "write", "days", 2, 0, 2],
    ]
    assert history["message"][1] == "both"
    assert lake.history(limit=1)["snapshot"].tolist() == [6]
    assert lake.at(1).history()["snapshot"].tolist() == [1]


def test_equal_content_has_the_same_mark_in_the_history(days) -> None:
    days.write(frame((2, 2)), SECOND)

    newest, between, oldest = days[SECOND].history()["content"]

    assert newest == oldest != between


def test_the_history_of_a_branch_is_mains_up_to_the_fork_and_its_own(days, branch) -> None:
    branch.asset("days").write(frame((1, 11)), FIRST)
    days.write(frame((1, -1)), FIRST)

    assert branch.asset("days")[FIRST].history()["snapshot"].tolist() == [3, 1]
    assert days[FIRST].history()["snapshot"].tolist() == [4, 1]


def test_snapshots_are_listed_with_their_sizes_and_changes_since_one(lake, days) -> None:
    commit = days.write(frame((3, 3), (4, 4)), metadata={"run": 7})

    listed = lake.snapshots()

    assert listed["snapshot"].tolist() == [3, 2, 1, 0]
    newest = listed.iloc[0]
    assert (newest["partitions"], newest["rows"], newest["bytes"], newest["files"], newest["metadata"]) == (
        2,
        2,
        commit.bytes,
        2,
        {"run": 7},
    )
    assert lake.changes(since=1)["snapshot"].tolist() == [3, 2]
    assert lake.changes(since=3).empty
    assert lake.snapshots(limit=2)["snapshot"].tolist() == [3, 2]
    assert lake.at(2).snapshots()["snapshot"].tolist() == [2, 1, 0]


def test_a_limit_counts_the_snapshots_that_the_view_sees(lake, days) -> None:
    days.write(frame((3, 3)))
    days.write(frame((4, 4)))

    assert lake.at(2).snapshots(limit=2)["snapshot"].tolist() == [2, 1]


def test_snapshot_numbers_have_no_gaps_and_their_times_rise(lake, days) -> None:
    for number in range(5):
        days.write(frame((1, number)), FIRST)

    rows = query_catalog(lake, "SELECT snapshot, at_us FROM snapshot ORDER BY snapshot")

    assert [number for number, _ in rows] == list(range(8))
    times = [at_us for _, at_us in rows]
    assert times == sorted(set(times))


def test_a_clock_set_back_does_not_turn_time_around(lake, days) -> None:
    clock_of(lake).advance(timedelta(days=-365))

    days.write(frame((1, -1)), FIRST)

    assert lake.snapshots()["at"].is_monotonic_decreasing
    assert rows_of(lake.at(NOW + timedelta(hours=1))) == {1: 1, 2: 22}
    assert rows_of(lake) == {1: -1, 2: 22}
