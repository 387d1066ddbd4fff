"""Tags: a name that shows its snapshot for as long as it is there, whatever vacuum does to the rest."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, files_of, frozen_lake, query_catalog, reopened, stray_files

AT_ONCE = {"retention": timedelta(0), "grace": timedelta(0), "force": True}
KEY = "2024-01-01"


def frame(value: int) -> pa.Table:
    return pa.table({"x": [value]})


@pytest.fixture
def lake(place) -> lp.Lake:
    """One partition written three times: snapshots 1, 2 and 3."""
    lake = frozen_lake(place.url, catalog=place.catalog)
    asset = lake.asset("days", partitions=lp.Daily("2024-01-01"))
    for value in (1, 2, 3):
        asset.write(frame(value), KEY)
        clock_of(lake).advance(timedelta(hours=1))
    return lake


def value_at(lake: lp.LakeView) -> int:
    (value,) = lake.asset("days").to_arrow()["x"].to_pylist()
    return value


def vacuumed(lake: lp.Lake) -> set[str]:
    """Vacuum without mercy, twice; give the data files that are left."""
    for _ in range(2):
        clock_of(lake).advance(timedelta(minutes=1))
        lake.vacuum(**AT_ONCE)
    return {name for name in files_of(lake) if name.endswith(".parquet")}


def test_a_tag_shows_the_snapshot_it_was_given_to(lake) -> None:
    tag = lake.tag("q1-report", at=2, message="as sent")

    assert (tag.name, tag.snapshot, tag.message) == ("q1-report", 2, "as sent")
    assert value_at(lake.at("q1-report")) == value_at(reopened(lake).at("q1-report")) == 2
    assert tag.at == clock_of(lake)()


def test_a_tag_is_given_to_the_newest_snapshot_of_main_by_default(lake) -> None:
    lake.create_branch("draft").asset("days").write(frame(9), KEY)

    assert lake.tag("now").snapshot == 3


@pytest.mark.in_a_folder
@pytest.mark.parametrize("at", ["instant", "tag"])
def test_what_at_takes_can_be_tagged(lake, at) -> None:
    lake.tag("first", at=1)
    when = lake.snapshots().set_index("snapshot")["at"][1].to_pydatetime() if at == "instant" else "first"

    assert lake.tag("again", at=when).snapshot == 1


def test_tags_are_listed_newest_snapshot_first(lake) -> None:
    lake.tag("old", at=1, message="before the fix")
    lake.tag("new")

    tags = lake.tags()

    assert tags[["name", "snapshot", "message"]].fillna("").values.tolist() == [
        ["new", 3, ""],
        ["old", 1, "before the fix"],
    ]
    assert tags.columns.tolist() == ["name", "snapshot", "at", "author", "message"]


def test_vacuum_keeps_what_a_tagged_snapshot_shows_and_forgets_the_rest(lake) -> None:
    kept = set(lake.at(2).asset("days").files()["path"]) | set(lake.asset("days").files()["path"])
    lake.tag("q1-report", at=2)
    planned = lake.plan_vacuum(**AT_ONCE).versions

    left = vacuumed(lake)

    assert planned == 1
    assert {f"{lake.url}/{name}" for name in left} == kept
    assert (value_at(lake.at("q1-report")), value_at(lake.at(2)), value_at(lake)) == (2, 2, 3)
    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        lake.at(1)
    assert lake.check(checksums=True) == []


def test_contents_can_be_rolled_back_to_a_tag_after_vacuum(lake) -> None:
    lake.tag("good", at=1)
    vacuumed(lake)

    lake.asset("days").rollback(to=1)

    assert value_at(lake) == 1


def test_what_only_a_deleted_tag_kept_is_vacuums(lake) -> None:
    lake.tag("q1-report", at=2)
    vacuumed(lake)

    gone = lake.delete_tag("q1-report")

    assert gone.snapshot == 2
    assert len(vacuumed(lake)) == 1
    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        lake.at(2)
    assert lake.tags().empty
    assert stray_files(lake) == set()


def test_a_tag_made_after_a_vacuum_was_planned_is_kept(lake) -> None:
    clock_of(lake).advance(timedelta(minutes=1))
    plan = lake.plan_vacuum(**AT_ONCE)
    lake.tag("late", at=1)

    lake.apply(plan)

    assert value_at(lake.at("late")) == 1


def test_a_name_stands_for_one_snapshot(lake) -> None:
    lake.tag("q1", at=1)

    assert lake.tag("q1", at=1).snapshot == 1
    with pytest.raises(lp.AlreadyExistsError, match="snapshot 1 already") as caught:
        lake.tag("q1", at=2)

    assert "delete_tag" in str(caught.value)
    lake.delete_tag("q1")
    assert lake.tag("q1", at=2).snapshot == 2


@pytest.mark.in_a_folder
@pytest.mark.parametrize("name", ["", "_x", "a/b", "..", "12", "2024-01-31", "20240131", "2024-W05", "é", "x" * 65, 7])
def test_names_that_at_would_take_for_something_else_are_refused(lake, name) -> None:
    with pytest.raises(lp.InvalidInputError) as caught:
        lake.tag(name)

    assert caught.value.code == "invalid-name"
    assert lake.tags().empty


@pytest.mark.in_a_folder
def test_an_unknown_tag_is_an_error_that_names_close_ones(lake) -> None:
    lake.tag("q1-report")

    for ask in (lake.at, lake.get_tag, lake.delete_tag):
        with pytest.raises(lp.NotFoundError, match="did you mean 'q1-report'") as caught:
            ask("q1-rapport")
        assert caught.value.code == "tag-not-found"


def test_a_branch_shows_the_tags_of_its_past_only(lake) -> None:
    lake.tag("old", at=1)
    branch = lake.create_branch("draft")
    lake.asset("days").write(frame(4), KEY)
    lake.tag("newer")

    assert value_at(branch.at("old")) == 1
    with pytest.raises(lp.SnapshotNotFoundError, match="made on branch 'main'"):
        branch.at("newer")


def test_a_snapshot_of_a_branch_cannot_be_tagged(lake) -> None:
    commit = lake.create_branch("draft").asset("days").write(frame(9), KEY)

    with pytest.raises(lp.SnapshotNotFoundError, match="made on branch 'draft'"):
        lake.tag("x", at=commit.snapshot)


def test_a_read_only_handle_lists_tags_and_makes_none(lake) -> None:
    lake.tag("q1")
    with lp.connect(lake.url, read_only=True) as reader:
        assert reader.tags()["name"].tolist() == ["q1"]
        for change in (lambda: reader.tag("q2"), lambda: reader.delete_tag("q1")):
            with pytest.raises(lp.StateError, match="read-only"):
                change()


def test_storage_knows_the_tags_for_the_day_the_catalog_is_lost(lake) -> None:
    lake.tag("q1", at=1, message="Übersicht")
    lake.tag("q2", at=2)
    lake.delete_tag("q2")

    noted = [json.loads(text) for name, text in files_of(lake).items() if name.startswith("_lakepart/tags/")]

    assert [(tag["name"], tag["snapshot"], tag["message"]) for tag in noted] == [("q1", 1, "Übersicht")]
    assert query_catalog(lake, "SELECT name, deleted, noted FROM tag") == [("q1", 0, 1)]


@pytest.mark.in_a_folder
def test_a_tag_that_storage_could_not_be_told_of_is_named_and_told_later(lake) -> None:
    folder = Path(lake.url, "_lakepart", "tags")
    folder.write_text("in the way")
    with pytest.warns(RuntimeWarning, match="storage does not know yet"):
        lake.tag("q1", at=1)
    assert [(found.kind, found.subject) for found in lake.check()] == [("unwritten-tag", "q1")]
    folder.unlink()

    lake.vacuum()

    assert lake.check() == []
    assert len(list(folder.iterdir())) == 1
