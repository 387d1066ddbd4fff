"""Publishing a branch when main has moved underneath: what is a conflict, and what becomes of it."""

from __future__ import annotations

import warnings
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, reopened

DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD, FOURTH = (f"2024-01-0{day}" for day in (1, 2, 3, 4))


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def rows_of(view: lp.LakeView, asset: str = "days") -> dict[int, int]:
    table = view.asset(asset).to_arrow()
    return {day.day: x for day, x in zip(table["day"].to_pylist(), table["x"].to_pylist(), strict=True)}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """A branch that wrote the first three days, of which main then changed the second."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 1, 10, tzinfo=UTC))
    days = lake.asset("days", partitions=DAYS)
    days.write(frame((1, 1), (2, 2)))
    branch = lake.create_branch("draft")
    branch.asset("days").write(frame((1, 10), (2, 20), (3, 30)), if_exists="replace")
    days.write(frame((2, -2)), SECOND)
    return lake


@pytest.fixture
def lake(template, place) -> lp.Lake:
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def days(lake) -> lp.Asset:
    return lake.asset("days")


@pytest.fixture
def branch(lake) -> lp.Branch:
    return lake.branch("draft")


def test_the_plan_reports_what_is_published_and_each_conflict(lake, branch) -> None:
    plan = branch.plan_publish()

    assert [(one.asset, one.key, one.change, one.rows) for one in plan.published] == [
        ("days", FIRST, "replace", 1),
        ("days", THIRD, "add", 1),
    ]
    (conflict,) = plan.conflicts
    assert (conflict.asset, conflict.key, conflict.snapshot) == ("days", SECOND, 3)
    assert conflict.author == lake.snapshots()["author"][0]
    assert conflict.at_us is not None
    assert "so nothing will be published: '2024-01-02' of 'days' (snapshot 3 by " in str(plan)
    assert rows_of(lake) == {1: 1, 2: -2}


def test_a_conflict_publishes_nothing_by_default(lake, branch) -> None:
    with pytest.raises(lp.ConflictError, match=SECOND) as caught:
        branch.publish()

    assert [(one["key"], one["snapshot"]) for one in caught.value.context["conflicts"]] == [(SECOND, 3)]
    assert "on_conflict=" in str(caught.value)
    assert (rows_of(lake), rows_of(branch)) == ({1: 1, 2: -2}, {1: 10, 2: 20, 3: 30})


def test_theirs_keeps_mains_content_and_gives_the_branchs_up(lake, branch) -> None:
    commit = branch.publish(on_conflict="theirs")

    assert commit.partitions == 2
    assert rows_of(lake) == {1: 10, 2: -2, 3: 30}
    assert lake.snapshots()["metadata"][0] == {
        "branch": "draft",
        "on_conflict": "theirs",
        "conflicts": [f"days:{SECOND}"],
    }
    with pytest.raises(lp.BranchNotFoundError, match="it was published"):
        lake.branch("draft")


def test_ours_replaces_mains_content(lake, branch) -> None:
    branch.publish(on_conflict="ours")

    assert rows_of(lake) == {1: 10, 2: 20, 3: 30}
    assert lake.branches().empty


def test_drop_publishes_the_rest_and_leaves_the_conflicts_on_the_open_branch(lake, days, branch) -> None:
    commit = branch.publish(on_conflict="drop")
    days.write(frame((4, 4)))

    assert rows_of(lake) == {1: 10, 2: -2, 3: 30, 4: 4}
    for view in (branch, reopened(lake).branch("draft")):
        assert rows_of(view) == {1: 10, 2: 20, 3: 30}
        assert view.diff()[["key", "conflict"]].values.tolist() == [[SECOND, True]]
    assert lake.branches()[["fork", "partitions"]].values.tolist() == [[commit.snapshot, 1]]
    with pytest.raises(lp.ConflictError, match=SECOND):
        branch.publish()
    branch.publish(on_conflict="ours")
    assert rows_of(lake) == {1: 10, 2: 20, 3: 30, 4: 4}


def test_a_branch_after_a_partial_publication_has_its_past_and_history(lake, branch) -> None:
    commit = branch.publish(on_conflict="drop")

    assert rows_of(branch.at(2)) == {1: 10, 2: 20, 3: 30}
    history = branch.asset("days")[FIRST].history()
    assert history[["snapshot", "ended", "rows_before"]].fillna(-1).values.tolist() == [
        [commit.snapshot, -1, 1],
        [2, commit.snapshot, 1],
        [1, 2, 0],
    ]


def test_a_branch_with_nothing_but_conflicts_has_nothing_to_publish_unless_it_wins(lake, days, branch) -> None:
    days.write(frame((1, -1), (3, -3)), if_exists="replace")

    for on_conflict in ("drop", "theirs"):
        with pytest.raises(lp.StateError, match="everything on it is in conflict"):
            branch.publish(on_conflict=on_conflict)
    branch.publish(on_conflict="ours")

    assert rows_of(lake) == {1: 10, 2: 20, 3: 30}


def test_a_choice_without_conflicts_changes_nothing_of_a_publication(lake, days, branch) -> None:
    days[SECOND].rollback(to=1)

    branch.publish(on_conflict="drop")

    assert rows_of(lake) == {1: 10, 2: 20, 3: 30}
    assert lake.branches().empty
    assert lake.snapshots()["metadata"][0] == {"branch": "draft"}


def test_a_plan_is_void_once_main_or_the_branch_moves(lake, days, branch) -> None:
    plan = branch.plan_publish(on_conflict="ours")
    days.write(frame((3, -3)), THIRD)
    with pytest.raises(lp.ConflictError, match=THIRD):
        lake.apply(plan)

    plan = branch.plan_publish(on_conflict="ours")
    branch.asset("days").write(frame((4, 40)))
    with pytest.raises(lp.ConflictError, match="written to after"):
        lake.apply(plan)

    assert rows_of(lake) == {1: 1, 2: -2, 3: -3}
    lake.apply(branch.plan_publish(on_conflict="ours"), message="at last")
    assert lake.snapshots()["message"][0] == "at last"


@pytest.mark.in_a_folder
def test_a_choice_that_is_none_is_refused(branch) -> None:
    with pytest.raises(lp.InvalidInputError, match="'fail', 'drop', 'theirs', 'ours'"):
        branch.publish(on_conflict="mine")


def test_refreshing_shows_main_as_it_is_now_and_keeps_what_was_written(lake, days, branch) -> None:
    days[SECOND].rollback(to=1)
    days.write(frame((4, 4)))

    assert branch.refresh() is branch

    assert rows_of(branch) == rows_of(reopened(lake).branch("draft")) == {1: 10, 2: 20, 3: 30, 4: 4}
    branch.publish()
    assert rows_of(lake) == {1: 10, 2: 20, 3: 30, 4: 4}


def test_a_branch_is_not_refreshed_over_what_both_have_changed(lake, days, branch) -> None:
    days.write(frame((4, 4)))

    with pytest.raises(lp.ConflictError, match=f"both changed 1 partition: '{SECOND}'") as caught:
        branch.refresh()

    assert [one["key"] for one in caught.value.context["conflicts"]] == [SECOND]
    assert rows_of(branch) == {1: 10, 2: 20, 3: 30}


def test_inputs_that_moved_on_main_are_no_conflict_but_a_warning(lake, days) -> None:
    lake.asset("sums", partitions=DAYS)
    draft = lake.create_branch("sums")
    for key, day in ((FIRST, 1), (SECOND, 2)):
        draft.asset("sums").write(frame((day, 7)), key, inputs={"numbers": draft.asset("days")[key]})
    days.write(frame((1, 100)), FIRST)

    plan = draft.plan_publish()
    assert [(one.key, one.moved_inputs) for one in plan.stale] == [(FIRST, ("numbers",))]
    with pytest.warns(lp.StalePublicationWarning, match=f"'{FIRST}' of 'sums' .numbers.") as caught:
        draft.publish()

    assert caught[0].filename == __file__
    assert lake.asset("sums").status()["data"].tolist()[:2] == ["stale", "fresh"]


def test_inputs_that_are_published_too_have_not_moved(lake, days) -> None:
    lake.asset("sums", partitions=DAYS)
    draft = lake.create_branch("sums")
    draft.asset("days").write(frame((1, 5)), FIRST)
    draft.asset("sums").write(frame((1, 5)), FIRST, inputs={"numbers": draft.asset("days")[FIRST]})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draft.publish()

    assert lake.asset("sums").status()["data"].tolist()[0] == "fresh"


@pytest.mark.parametrize("closed", ["published", "discarded"])
def test_a_closed_branch_is_refused_by_every_verb(lake, branch, closed) -> None:
    if closed == "published":
        branch.publish(on_conflict="ours")
    else:
        branch.discard()

    for act in (branch.publish, branch.plan_publish, branch.refresh):
        with pytest.raises(lp.StateError, match=f"it was {closed}"):
            act()


@pytest.mark.in_a_folder
def test_a_branch_makes_no_branch(branch) -> None:
    with pytest.raises(lp.StateError, match="branch of a branch"):
        branch.create_branch("twig")
