"""Two futures of one lake: an older catalog was restored, rebuilt or written to beside manifests of later commits."""

import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

import lakepart as lp
from lakepart.engine.manifests import digest_of
from lakepart.testing import Crash

NEWEST = 5  # snapshot of the template
VACUUMS = {"abandoned-file", "temporary-file"}


def commits(lake):
    return Path(lake.url, "_lakepart/commits")


def tag_file(lake, number):
    return Path(lake.url, f"_lakepart/tags/{number:012d}.json")


def lose(lake):
    lake.close()
    for left in Path(lake.url).glob("catalog.db*"):
        left.unlink()


def roll_catalog_back(lake, frame, *, days=(6, 7)):
    """Put an older copy of the catalog in the place of the newest, as no tool of ours would."""
    lp.backup_catalog(lake.url, Path(lake.url, "..", "older.db"))
    for day in days:
        lake.asset("numbers").write(frame((day, day)), f"2024-01-0{day}")
    lose(lake)
    shutil.move(Path(lake.url, "..", "older.db"), Path(lake.url, "catalog.db"))
    return lp.connect(lake.url)


def findings(lake, **options):
    return {(one.kind, Path(one.subject).name) for one in lake.check(**options) if one.kind not in VACUUMS}


# A backup restored beside later manifests


def test_a_backup_that_lacks_commits_is_not_restored_in_silence(lake, frame, rows_of, tmp_path):
    lp.backup_catalog(lake.url, tmp_path / "backup.db")
    lake.asset("numbers").write(frame((6, 6)), "2024-01-06")
    expected, stored = rows_of(lake), sorted(commits(lake).iterdir())
    lose(lake)

    with pytest.raises(lp.StateError, match="would lose 1 commit") as caught:
        lp.restore_catalog(lake.url, tmp_path / "backup.db")

    assert caught.value.context == {"snapshot": NEWEST, "newest": NEWEST + 1}
    assert not Path(lake.url, "catalog.db").exists()
    assert sorted(commits(lake).iterdir()) == stored
    lp.rebuild(lake.url)
    assert rows_of(lp.connect(lake.url)) == expected


def test_a_backup_that_lacks_commits_is_restored_on_request_and_goes_on_as_if_they_had_not_been(
    lake, frame, rows_of, tmp_path
):
    expected = rows_of(lake)
    lp.backup_catalog(lake.url, tmp_path / "backup.db")
    lake.asset("numbers").write(frame((6, 6)), "2024-01-06")
    lake.tag("late")
    lose(lake)

    done = lp.restore_catalog(lake.url, tmp_path / "backup.db", set_aside_later=True)

    assert [Path(path).parts[-2:] for path in done.set_aside] == [
        ("commits", "000000000006.json"),
        ("tags", query_set_aside_tag(done)),
    ]
    assert all(Path(lake.url, path).exists() for path in done.set_aside)
    assert str(done).count("Set aside: ") == 2
    with lp.connect(lake.url) as restored:
        assert rows_of(restored) == expected
        assert findings(restored) == set()
        restored.asset("numbers").write(frame((5, 5)), "2024-01-05")
        expected = rows_of(restored)
        assert findings(restored, checksums=True) == set()
    lose(restored)
    lp.rebuild(lake.url)
    assert rows_of(lp.connect(lake.url)) == expected


def query_set_aside_tag(done):
    (name,) = [Path(path).name for path in done.set_aside if "/tags/" in path]
    return name


def test_a_backup_that_lacks_nothing_is_restored_as_it_is(lake, rows_of, tmp_path):
    expected = rows_of(lake)
    lp.backup_catalog(lake.url, tmp_path / "backup.db")
    lose(lake)

    assert lp.restore_catalog(lake.url, tmp_path / "backup.db").set_aside == ()

    with lp.connect(lake.url) as restored:
        assert rows_of(restored) == expected
        assert findings(restored, checksums=True) == set()


# An older catalog written to beside later manifests


def test_before_it_is_written_to_the_later_manifests_are_a_future_that_a_rebuild_recovers(lake, frame, rows_of):
    older = roll_catalog_back(lake, frame)

    assert findings(older) == {("stray-manifest", "000000000006.json"), ("stray-manifest", "000000000007.json")}
    assert {one.fixed for one in older.check(fix=True) if one.kind == "stray-manifest"} == {False}
    older.close()
    lp.rebuild(lake.url, replace=True)
    assert {(6, 6), (7, 7)} <= set(rows_of(lp.connect(lake.url))["numbers"])


def test_manifests_of_other_commits_are_named_by_every_check_until_they_are_set_aside(lake, frame, rows_of):
    older = roll_catalog_back(lake, frame)
    theirs = {path.name: path.read_bytes() for path in commits(lake).iterdir()}
    for day in (8, 9):
        with pytest.warns(RuntimeWarning, match=rf"00000000000{day - 2}\.json' holds something else"):
            older.asset("numbers").write(frame((day, day)), f"2024-01-0{day}")
    assert {path.name: path.read_bytes() for path in commits(lake).iterdir()} == theirs
    expected = rows_of(older)

    other = {("other-manifest", "000000000006.json"), ("other-manifest", "000000000007.json")}
    assert (
        findings(older)
        == findings(older, checksums=True)
        == other
        | {
            ("unwritten-manifest", "6"),
            ("unwritten-manifest", "7"),
        }
    )

    assert all(one.fixed for one in older.check(fix=True) if one.kind.endswith("-manifest"))

    assert findings(older, checksums=True) == set()
    aside = {path.name: path.read_bytes() for path in Path(lake.url, "_lakepart/set-aside").rglob("*.json")}
    assert aside == {name: theirs[name] for name in ("000000000006.json", "000000000007.json")}
    lose(older)
    lp.rebuild(lake.url)
    assert rows_of(lp.connect(lake.url)) == expected


def test_later_manifests_of_another_future_are_named_as_such_once_the_older_catalog_was_written_to(lake, frame):
    older = roll_catalog_back(lake, frame)
    with pytest.warns(RuntimeWarning, match="holds something else"):
        older.asset("numbers").write(frame((8, 8)), "2024-01-08")

    assert findings(older) == {
        ("other-manifest", "000000000006.json"),
        ("other-manifest", "000000000007.json"),
        ("unwritten-manifest", "6"),
    }
    older.check(fix=True)
    assert findings(older, checksums=True) == set()


def leave_out_previous(path):
    """Make a manifest one of the first releases, which did not name the commit that it follows on."""
    manifest = json.loads(path.read_bytes())
    del manifest["previous"]
    path.write_text(json.dumps({**manifest, "digest": digest_of(manifest)}))


@pytest.mark.parametrize("names_previous", [True, False])
def test_a_manifest_that_was_written_after_those_of_another_future_is_right(lake, frame, rows_of, names_previous):
    older = roll_catalog_back(lake, frame)
    for day in (8, 9):
        with pytest.warns(RuntimeWarning, match="holds something else"):
            older.asset("numbers").write(frame((day, day)), f"2024-01-0{day}")
    for day in (4, 5):
        older.asset("numbers").write(frame((day, day)), f"2024-01-0{day}")
    if not names_previous:
        leave_out_previous(commits(lake) / "000000000008.json")
    ours = {path: path.read_bytes() for path in (commits(lake) / f"00000000000{number}.json" for number in (8, 9))}
    expected = rows_of(older)

    wrong = {("other-manifest", f"00000000000{number}.json") for number in (6, 7)}
    wrong |= {("unwritten-manifest", f"{number}") for number in (6, 7)}
    assert findings(older) == findings(older, checksums=True) == wrong
    older.check(fix=True)

    assert findings(older, checksums=True) == set()
    assert {path: path.read_bytes() for path in ours} == ours
    lose(older)
    lp.rebuild(lake.url)
    assert rows_of(lp.connect(lake.url)) == expected


def test_a_manifest_of_another_future_that_came_back_after_another_one_is_named(lake, frame):
    older = roll_catalog_back(lake, frame)
    came_back = commits(lake) / "000000000007.json"
    theirs = came_back.read_bytes()
    came_back.unlink()
    with pytest.warns(RuntimeWarning, match="holds something else"):
        older.asset("numbers").write(frame((8, 8)), "2024-01-08")
    older.asset("numbers").write(frame((9, 9)), "2024-01-09")
    came_back.write_bytes(theirs)

    assert findings(older) == {
        *(("other-manifest", f"00000000000{number}.json") for number in (6, 7)),
        ("unwritten-manifest", "6"),
        ("missing-manifest", "7"),
    }


@pytest.mark.parametrize("names_previous", [True, False])
def test_later_manifests_that_follow_on_those_of_another_future_are_of_it(lake, frame, names_previous):
    older = roll_catalog_back(lake, frame, days=(6, 7, 8))
    if not names_previous:
        for number in (7, 8):
            leave_out_previous(commits(lake) / f"00000000000{number}.json")
    with pytest.warns(RuntimeWarning, match="holds something else"):
        older.asset("numbers").write(frame((9, 9)), "2024-01-09")

    assert findings(older) == {
        *(("other-manifest", f"00000000000{number}.json") for number in (6, 7, 8)),
        ("unwritten-manifest", "6"),
    }


def test_later_manifests_that_follow_on_the_newest_commit_are_kept_whatever_lies_in_the_place_of_its_own(
    lake, frame, rows_of
):
    older = roll_catalog_back(lake, frame, days=(6,))
    with pytest.warns(RuntimeWarning, match="holds something else"):
        older.asset("numbers").write(frame((8, 8)), "2024-01-08")
    again = roll_catalog_back(older, frame, days=(9,))

    assert findings(again) == {
        ("other-manifest", "000000000006.json"),
        ("unwritten-manifest", "6"),
        ("stray-manifest", "000000000007.json"),
    }
    again.check(fix=True)

    assert findings(again) == {("stray-manifest", "000000000007.json")}
    again.close()
    lp.rebuild(lake.url, replace=True)
    assert {(8, 8), (9, 9)} <= set(rows_of(lp.connect(lake.url))["numbers"])


def test_a_rebuild_from_manifests_of_two_futures_says_so(lake, frame, rows_of):
    older = roll_catalog_back(lake, frame)
    with pytest.warns(RuntimeWarning):
        older.asset("numbers").write(frame((8, 8)), "2024-01-08")
    (commits(lake) / "000000000007.json").unlink()
    older.asset("numbers").write(frame((9, 9)), "2024-01-09")
    lose(older)

    plan = lp.plan_rebuild(lake.url)

    assert (plan.snapshot, plan.missing) == (6, 7)
    with pytest.raises(
        lp.CorruptionError, match=r"000000000007\.json' cannot be used: it follows on another snapshot 6"
    ):
        lp.rebuild(lake.url)
    assert lp.rebuild(lake.url, to=5).snapshot == 5


# Tags


def test_tags_of_later_snapshots_are_set_aside_with_the_manifests(lake, frame):
    lake.tag("kept", at=2)
    lake.tag("late", at=3)
    lose(lake)

    report = lp.rebuild(lake.url, to=2)

    late = [why for path, why in report.damaged]
    assert len(late) == 1
    assert "it is of snapshot 3, which is not recovered" in late[0]
    assert {Path(path).parts[-2] for path in report.set_aside} == {"commits", "tags"}
    with lp.connect(lake.url) as rebuilt:
        assert rebuilt.tags()["name"].tolist() == ["kept"]
        rebuilt.asset("numbers").write(frame((5, 5)), "2024-01-05")
    lose(rebuilt)
    assert lp.rebuild(lake.url).damaged == ()
    assert lp.connect(lake.url).tags()["name"].tolist() == ["kept"]


def test_of_two_tags_of_one_name_a_rebuild_takes_the_newer_and_names_the_other(lake):
    lake.tag("report", at=1)
    (older,) = Path(lake.url, "_lakepart/tags").iterdir()
    content = older.read_bytes()
    lake.delete_tag("report")
    lake.tag("report", at=2)
    older.write_bytes(content)  # as when storage could not be told that it was deleted
    lose(lake)

    report = lp.rebuild(lake.url)

    ((path, why),) = report.damaged
    assert path.endswith(older.name)
    assert "a later one, is of tag 'report', too" in why
    with lp.connect(lake.url) as rebuilt:
        assert rebuilt.tags()[["name", "snapshot"]].to_dict("records") == [{"name": "report", "snapshot": 2}]
        rebuilt.delete_tag("report")
    lose(rebuilt)
    lp.rebuild(lake.url)
    assert lp.connect(lake.url).tags().empty


@pytest.mark.parametrize("damage", ["", "[]", '{"snapshot": "x"}', '{"name": 1}'])
def test_a_damaged_tag_does_not_stop_a_rebuild(lake, damage):
    lake.tag("report", at=1)
    (path,) = Path(lake.url, "_lakepart/tags").iterdir()
    values = {**json.loads(path.read_bytes()), **json.loads(damage)} if damage.startswith("{") else None
    path.write_text(damage if values is None else json.dumps(values))
    lose(lake)

    report = lp.rebuild(lake.url)

    assert [Path(one).name for one, _ in report.damaged] == [path.name]
    assert lp.connect(lake.url).tags().empty


# Crashes

_dying: dict[str, int] = {}
_EFFECTS = {"os.link", "os.rename", "os.remove", "os.mkdir", "sqlite3.connect"}


def _die(event, arguments):
    if event in _EFFECTS and _dying.get("thread") == threading.get_ident():
        _dying["left"] -= 1
        if _dying["left"] < 0:
            raise Crash(event)


def test_a_crash_while_a_readable_catalog_gives_way_to_an_older_state_leaves_either_state_whole(make, rows_of):
    before = rows_of(make())
    older = make()
    lose(older)
    lp.rebuild(older.url, to=2)
    after = rows_of(lp.connect(older.url))
    assert after != before
    sys.addaudithook(_die)
    outcomes = set()
    for effect in range(200):
        lake = make()
        lake.tag("late", at=3)
        lake.close()
        _dying.update(thread=threading.get_ident(), left=effect)
        try:
            lp.rebuild(lake.url, to=2, replace=True)
        except Crash:
            pass
        else:
            break
        finally:
            _dying.clear()
        aside = Path(lake.url, "_lakepart/set-aside").exists()
        if lp.plan_rebuild(lake.url, to=2).existing == "readable":
            with lp.connect(lake.url) as left:
                assert rows_of(left) in (before, after), effect
                outcomes.add((aside, rows_of(left) == after))
                left.check(checksums=True, fix=True)
                assert findings(left, checksums=True) == set(), effect
        else:
            outcomes.add((aside, None))
        lp.rebuild(lake.url, to=2, replace=True)
        with lp.connect(lake.url) as rebuilt:
            assert rows_of(rebuilt) == after, effect
            assert rebuilt.tags().empty
            assert findings(rebuilt, checksums=True) == set(), effect
    assert {(False, False), (True, False), (True, None), (True, True)} <= outcomes  # before, between, amid and after
