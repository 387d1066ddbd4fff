"""Vacuum: what it keeps for whom and how long, what it refuses, and that it deletes nothing it did not write."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog import upkeep
from lakepart.testing import (
    Crash,
    clock_of,
    copied,
    crash_everywhere,
    crashing,
    files_of,
    frozen_lake,
    meet_everywhere,
    query_catalog,
    reopened,
    stray_files,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
KEYS = ["2024-01-01", "2024-01-02"]
QUIET = {"progress": False}


def frame(value: int) -> pa.Table:
    return pa.table({"x": [value]})


@pytest.fixture
def lake(place) -> lp.Lake:
    return frozen_lake(place.url, catalog=place.catalog)


def days(lake: lp.Lake, name: str = "days", **options) -> lp.Asset:
    return lake.asset(name, partitions=lp.Daily("2024-01-01"), **options)


def values(view: lp.LakeView, name: str = "days") -> list[int]:
    return view.asset(name).to_arrow()["x"].to_pylist()


def data_files(lake: lp.Lake) -> set[str]:
    return {name for name in files_of(lake) if name.endswith(".parquet")}


def let_go(lake: lp.Lake, **options) -> lp.VacuumReport:
    """Vacuum twice, a day apart: what the first forgets, the second deletes."""
    lake.vacuum(**options, **QUIET)
    clock_of(lake).advance(DAY + HOUR)
    return lake.vacuum(**options, **QUIET)


# The safe minimum


@pytest.mark.parametrize("unsafe", [{"retention": timedelta(0)}, {"grace": timedelta(minutes=59)}], ids=str)
def test_below_the_safe_minimum_nothing_is_done_without_force(lake, unsafe) -> None:
    asset = days(lake)
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    before = files_of(lake)

    for refused in (lake.vacuum, lake.plan_vacuum):
        with pytest.raises(lp.InvalidInputError, match="safe minimum of 1:00:00") as caught:
            refused(**unsafe)
        assert caught.value.code == "below-safe-minimum"
        assert "force=True (--force)" in str(caught.value)

    assert files_of(lake) == before
    assert values(lake.at(1)) == [1]
    lake.vacuum(**unsafe, force=True)


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    "bad", [{"retention": "soon"}, {"grace": -HOUR}, {"retention": 7}, {"keep_last": 0}, {"keep_last": True}], ids=str
)
def test_what_is_no_span_of_time_or_number_of_versions_is_refused(lake, bad) -> None:
    with pytest.raises(lp.InvalidInputError, match=next(iter(bad)) if bad != {"retention": "soon"} else "soon"):
        lake.plan_vacuum(**bad, force=True)


@pytest.mark.in_a_folder
@pytest.mark.parametrize("bad", ["0h", timedelta(minutes=59), "soon", 30, -DAY])
def test_an_asset_cannot_ask_for_less_than_is_safe(lake, bad) -> None:
    with pytest.raises(lp.InvalidInputError):
        days(lake, retention=bad)
    assert lake.assets() == []


# Retention by age


def test_an_asset_is_kept_as_long_as_it_asks_for_whatever_is_asked_of_others(lake) -> None:
    kept, others = days(lake, "kept", retention="30d"), days(lake, "others")
    for value in (1, 2):
        for asset in (kept, others):
            asset.write(frame(value), KEYS[0])
    clock_of(lake).advance(10 * DAY)

    plan = lake.plan_vacuum()
    let_go(lake)

    assert plan.versions_of == {"others": 1}
    assert "others: 1 old version" in str(plan)
    assert values(lake.at(1), "kept") == [1]
    assert values(lake.at(2), "kept") == [1]
    with pytest.raises(lp.SnapshotNotFoundError, match="of asset 'others' can no longer be read"):
        lake.at(2).asset("others")
    with pytest.raises(lp.SnapshotNotFoundError, match="'others'"):
        lake.rollback(to=2)
    with pytest.raises(lp.SnapshotNotFoundError, match="'others'"):
        others["2024-01-01"].write(frame(3), expected=2)
    kept.rollback(to=2)
    assert (values(lake, "kept"), values(lake, "others")) == ([1], [2])
    assert lake.check(checksums=True) == []


def test_a_view_that_was_open_before_a_vacuum_does_not_show_a_part_of_what_was_there(lake) -> None:
    asset = days(lake)
    asset.write({KEYS[0]: frame(1), KEYS[1]: frame(2)})
    then = lake.at(1).asset("days")[:]
    asset.write(frame(10), KEYS[0])
    clock_of(lake).advance(10 * DAY)
    let_go(reopened(lake))

    for look in (then.to_arrow, then.count_rows, lambda: then.keys, then.files, then.status):
        with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
            look()


@pytest.mark.in_a_folder
def test_a_retention_can_be_altered_and_taken_back(lake) -> None:
    asset = days(lake, retention=timedelta(hours=2))
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    clock_of(lake).advance(3 * HOUR)
    assert lake.plan_vacuum().versions == 1

    asset.alter(retention="4w")
    assert lake.plan_vacuum(retention=timedelta(0), force=True).versions == 0

    asset.alter(retention="default")
    assert (lake.plan_vacuum().versions, lake.plan_vacuum(retention="1h").versions) == (0, 1)
    days(lake)  # as if it had never had one


def test_a_longer_retention_counts_at_once_for_a_plan_made_before(lake) -> None:
    asset = days(lake)
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    clock_of(lake).advance(10 * DAY)
    plan = lake.plan_vacuum()
    asset.alter(retention="30d")

    assert plan.versions == 1
    assert lake.apply(plan, progress=False).versions == 0


@pytest.mark.in_a_folder
def test_horizons_of_assets_outlive_a_lost_catalog(lake) -> None:
    kept, others = days(lake, "kept", retention="30d"), days(lake, "others")
    for value in (1, 2):
        for asset in (kept, others):
            asset.write(frame(value), KEYS[0])
    clock_of(lake).advance(10 * DAY)
    let_go(lake)
    kept.write(frame(3), KEYS[1])  # its manifest says what was forgotten
    lake.close()
    for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
        Path(lake.url, name).unlink(missing_ok=True)

    lp.rebuild(lake.url)

    found = reopened(lake)
    assert values(found.at(2), "kept") == [1]
    with pytest.raises(lp.SnapshotNotFoundError, match="'others'"):
        found.at(2).asset("others")


# Retention by count


def test_the_last_versions_of_each_partition_stay_and_can_be_gone_back_to(lake) -> None:
    asset = days(lake)
    for value in range(1, 6):
        asset.write(frame(value), KEYS[0])  # snapshots 1 to 5
    for value in (10, 20):
        asset.write(frame(value), KEYS[1])  # 6 and 7
    clock_of(lake).advance(10 * DAY)

    let_go(lake, keep_last=3)

    assert sorted(asset.history()["snapshot"]) == [3, 4, 5, 6, 7]
    assert len(data_files(lake)) == 5
    asset[KEYS[0]].rollback(to=3)
    assert values(lake) == [3, 20]
    with pytest.raises(lp.SnapshotNotFoundError, match="What 2024-01-01 of 'days' held at snapshot 2 is not known"):
        asset[KEYS[0]].rollback(to=2)
    with pytest.raises(lp.SnapshotNotFoundError):
        asset.rollback(to=2)  # what else was there then, nobody knows any more
    assert lake.check(checksums=True) == []


def test_being_missing_counts_as_the_newest_version(lake) -> None:
    asset = days(lake)
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    asset.write(frame(3), KEYS[1])
    asset[KEYS[0]].rollback(to=0)
    clock_of(lake).advance(10 * DAY)

    assert [lake.plan_vacuum(keep_last=count).versions for count in (1, 2, 3)] == [2, 1, 0]


def test_what_is_new_stays_whatever_the_count(lake) -> None:
    asset = days(lake)
    for value in range(5):
        asset.write(frame(value), KEYS[0])
    clock_of(lake).advance(DAY)

    assert lake.plan_vacuum(keep_last=1).versions == 0


# Who needs what


def test_what_the_orders_of_a_backfill_read_stays_until_it_is_done(lake) -> None:
    numbers = days(lake, "numbers")
    numbers.write({KEYS[0]: frame(1), KEYS[1]: frame(2)})
    planned = []

    def tens(part, numbers):
        other = reopened(lake)
        for value in (100, 200):
            other.asset("numbers").write(frame(value), part.key)
        clock_of(lake).advance(2 * HOUR)
        planned.append(other.plan_vacuum(retention="1h").versions)
        return frame(10 * numbers.to_arrow()["x"].to_pylist()[0])

    days(lake, "tens")[KEYS].backfill(tens, inputs={"numbers": "numbers"}, name="run", progress=False)

    assert values(lake, "tens") == [10, 20]
    assert planned == [0, 0]
    assert lake.plan_vacuum(retention="1h").versions == 4


# What is ours


@pytest.mark.in_a_folder
def test_names_that_only_look_like_ours_are_left_alone(lake) -> None:
    days(lake).write(frame(1), KEYS[0])
    hot = Path(lake.url, "hot")
    strangers = [
        hot / ".notes.tmp",
        hot / "days/.swp.tmp",
        hot / "days/partition=2024-01-01/0123456789abcdef0123-1.parquet.bak",
        hot / "days/0123456789abcdef0123-1.parquet",
        Path(lake.url, "_lakepart/.editor.tmp"),
    ]
    for stranger in strangers:
        stranger.write_bytes(b"not ours")
    ours = [hot / "days/partition=2024-01-01/.0123456789abcdef.tmp", Path(lake.url, "_lakepart/.fedcba9876543210.tmp")]
    for temporary in ours:
        temporary.write_bytes(b"torn")
    clock_of(lake).advance(400 * DAY)

    report = lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True, **QUIET)

    assert report.files == 2
    assert all(stranger.read_bytes() == b"not ours" for stranger in strangers)
    assert not any(temporary.exists() for temporary in ours)
    assert {found.kind for found in lake.check()} == {"foreign-file"}


@pytest.mark.in_a_folder
def test_a_plan_that_names_what_is_not_ours_deletes_none_of_it(lake) -> None:
    days(lake).write(frame(1), KEYS[0])
    Path(lake.url, "hot/notes.txt").write_text("remember the milk")
    (current,) = (name.removeprefix("hot/") for name in data_files(lake))
    clock_of(lake).advance(10 * DAY)
    plan = lake.plan_vacuum()
    names = [
        ("hot", "notes.txt", 1, why) for why in ("mine", "left unfinished", "moved away, or in no version any more")
    ]
    names += [("hot", current, 1, why) for why in ("mine", "left unfinished", "moved away, or in no version any more")]
    forged = type(plan)(**{**plan.to_dict(), "files": tuple(names)})

    assert lake.apply(forged, progress=False).files == 0
    assert Path(lake.url, "hot/notes.txt").exists()
    assert values(lake) == [1]


@pytest.fixture
def make_leftover(tmp_path):
    """Give a lake in which a move that was given up has left its copy on the cold tier, which nothing speaks of."""
    lake = frozen_lake(tmp_path / "template")
    days(lake).write(frame(1), KEYS[0])
    (name,) = data_files(lake)
    target = Path(lake.url, name.replace("hot/", "cold/", 1))
    target.parent.mkdir(parents=True)
    shutil.copy(Path(lake.url, name), target)
    clock_of(lake).advance(10 * DAY)
    count = iter(range(1000))
    return lambda: copied(lake, tmp_path / f"lake-{next(count)}")


def test_a_move_and_the_vacuum_of_what_an_earlier_one_left_never_meet_on_its_bytes(make_leftover) -> None:
    def vacuum(lake):
        lake.vacuum(**QUIET)

    def demote(lake):
        with suppress(lp.StateError):
            lake.asset("days").demote("cold", progress=False)

    meetings = 0
    for met in meet_everywhere(make_leftover, vacuum, demote):
        assert values(met.lake) == [1], met.at
        assert [str(found) for found in met.lake.check(checksums=True) if found.severity == "damage"] == [], met.at
        met.lake.close()
        meetings += 1
    assert meetings >= 4


def test_what_one_vacuum_has_begun_to_delete_no_other_takes_over_while_it_may_be_at_it(
    make_leftover, monkeypatch
) -> None:
    lake = make_leftover()
    other, begin, skipped = reopened(lake), upkeep.begin_leftover_deletion, []

    def begin_slowly(*arguments):
        granted = begin(*arguments)
        monkeypatch.undo()
        other.vacuum(**QUIET)
        skipped.extend(days(other)[KEYS[0]].demote("cold", progress=False).skipped)
        return granted

    monkeypatch.setattr(upkeep, "begin_leftover_deletion", begin_slowly)

    lake.vacuum(**QUIET)

    assert [key for key, why in skipped if "Vacuum is deleting" in why] == KEYS[:1]
    assert values(reopened(lake)) == [1]
    assert lake.check(checksums=True) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_such_a_copy_is_deleted_is_finished_by_a_vacuum_after_the_grace(make_leftover, when) -> None:
    for crashed in crash_everywhere(make_leftover, lambda lake: lake.vacuum(**QUIET), when=when):
        clock_of(crashed.lake).advance(2 * DAY)
        crashed.lake.vacuum(**QUIET)

        assert stray_files(crashed.lake) == set(), crashed.at
        assert crashed.lake.check(checksums=True) == [], crashed.at
        assert not list(Path(crashed.lake.url, "cold").rglob("*.parquet")), crashed.at


@pytest.mark.in_a_folder
def test_many_leftovers_go_group_by_group_and_a_crash_loses_no_group(lake, monkeypatch) -> None:
    monkeypatch.setattr("lakepart.engine.vacuum._AT_ONCE", 50)
    monkeypatch.setattr("lakepart.engine.leftovers._AT_ONCE", 50)
    days(lake).write(frame(1), KEYS[0])
    folder = Path(lake.url, "hot/days/partition=2024-01-01")
    for number in range(120):
        (folder / f"0123456789abcdef0123-{number}.parquet").write_bytes(b"x")
    clock_of(lake).advance(10 * DAY)
    with pytest.raises(Crash):
        crashing(lake, at=80).vacuum(**QUIET)
    left = len(data_files(lake)) - 1
    assert 0 < left < 120

    report = lake.vacuum(**QUIET)

    assert (report.files, report.bytes) == (left, left)
    assert len(data_files(lake)) == 1
    assert lake.check() == []


# The clock


def test_a_clock_set_back_makes_nothing_older_than_it_is(lake) -> None:
    asset = days(lake)
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    lake.create_branch("draft").asset("days").write(frame(9), KEYS[0])
    clock_of(lake).advance(10 * DAY)
    asset.write(frame(3), KEYS[1])
    clock_of(lake).advance(-5 * HOUR)

    lake.branch("draft").discard()  # what follows is noted by a clock that is five hours behind
    lake.vacuum(**QUIET)
    asset[KEYS[1]].demote("cold", progress=False)
    clock_of(lake).advance(5 * HOUR)

    noted = query_catalog(
        lake, "SELECT since_us FROM copy UNION ALL SELECT closed_at_us FROM branch WHERE state <> 'open'"
    )
    ((head,),) = query_catalog(lake, "SELECT at_us FROM head")
    assert [since for (since,) in noted if since >= head] == [head] * 4  # two retired, one moved, one closed
    assert lake.plan_vacuum(grace="2h").files == ()
    clock_of(lake).advance(3 * HOUR)
    assert len(lake.plan_vacuum(grace="2h").files) == 2


@pytest.mark.in_a_folder
def test_a_plan_made_by_a_clock_that_was_ahead_deletes_nothing_early(lake) -> None:
    asset = days(lake)
    for value in (1, 2):
        asset.write(frame(value), KEYS[0])
    folder = Path(lake.url, "hot/days/partition=2024-01-01")
    (folder / "0123456789abcdef0123-1.parquet").write_bytes(b"of a writer that failed a moment ago")
    clock_of(lake).advance(30 * DAY)
    plan = lake.plan_vacuum()
    clock_of(lake).advance(-30 * DAY)

    report = lake.apply(plan, progress=False)

    assert (plan.versions, len(plan.files)) == (1, 1)
    assert (report.versions, report.files) == (0, 0)


def test_a_writer_whose_clock_was_set_back_is_not_taken_for_dead(lake) -> None:
    asset = days(lake)
    other = reopened(lake)

    def stream():
        yield KEYS[0], frame(1)
        clock_of(lake).advance(5 * HOUR)
        other.vacuum(grace="1h", **QUIET)
        yield KEYS[1], frame(2)

    asset.write(frame(0), "2024-01-09")
    clock_of(lake).advance(-5 * HOUR)
    asset.write(stream())

    assert values(lake) == [1, 2, 0]


@pytest.mark.in_a_folder
def test_old_times_of_files_do_not_make_a_writer_at_work_lose_them(lake) -> None:
    asset = days(lake)
    other = reopened(lake)

    def stream():
        yield KEYS[0], frame(1)
        yield KEYS[1], frame(2)
        for path in Path(lake.url, "hot").rglob("*.parquet"):
            os.utime(path, (0, 0))
        other.vacuum(grace="1h", **QUIET)

    asset.write(stream())

    assert values(lake) == [1, 2]
    assert lake.check(checksums=True) == []


def test_a_vacuum_that_slept_deletes_nothing_that_came_back_meanwhile(lake, monkeypatch) -> None:
    days(lake).write(frame(1), KEYS[0])
    days(lake)[KEYS[0]].demote("cold", progress=False)
    clock_of(lake).advance(3 * DAY)
    other, begin = reopened(lake), upkeep.begin_deletion

    def sleep(*arguments, **options):
        granted = begin(*arguments, **options)
        monkeypatch.undo()
        clock_of(lake).advance(2 * DAY)  # somebody else takes over what this one had begun
        other.vacuum(progress=False)
        days(other)[KEYS[0]].promote(progress=False)
        return granted

    monkeypatch.setattr(upkeep, "begin_deletion", sleep)

    lake.vacuum(progress=False)

    assert values(reopened(lake)) == [1]
    assert lake.check(checksums=True) == []


def test_a_snapshot_that_lacks_versions_of_any_asset_gets_no_tag(lake) -> None:
    for name, retention in (("short", "1d"), ("long", "100d")):
        days(lake, name, retention=retention).write(frame(1), KEYS[0])
    for value in (2, 3):
        for name in ("short", "long"):
            lake.asset(name).write(frame(value), KEYS[0])
    clock_of(lake).advance(10 * DAY)
    lake.vacuum(progress=False)
    assert lake.at(3).asset("long").to_arrow()["x"].to_pylist() == [1]

    with pytest.raises(lp.SnapshotNotFoundError, match="no longer"):
        lake.tag("t", at=3)
