"""``check(fix=True)``: what is safe to mend is mended and said so, the rest is listed, and a crash does no harm."""

from __future__ import annotations

import itertools
import json
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

import lakepart as lp
from lakepart.catalog.intents import open_intent
from lakepart.testing import (
    Crash,
    clock_of,
    copied,
    crash_everywhere,
    crashing,
    effects_of,
    files_of,
    query_catalog,
    reopened,
    with_stores,
)

KEY = "2024-01-02"
COMMITS = "_lakepart/commits"
DAY = timedelta(days=1)


def kinds(findings, *, fixed=None):
    return {found.kind for found in findings if fixed in (None, found.fixed)}


def path_of(lake, tier="hot", key=KEY):
    (found,) = query_catalog(
        lake.url,
        f"""SELECT copy.path FROM version JOIN version_file USING (version_id) JOIN copy USING (file_id)
        JOIN asset USING (asset_id) WHERE asset.name = 'numbers' AND key = '{key}' AND ended IS NULL
        AND branch_id = 0 AND tier = '{tier}'""",
    )
    return Path(lake.url, tier, found[0])


def flip(path, at=20):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x40
    path.write_bytes(data)


def crash_before(lake, effect, act):
    """Die before the first effect of that name, which a copy of the lake is asked for."""
    with tempfile.TemporaryDirectory() as folder:
        names = effects_of(copied(lake, Path(folder, "lake")), act)
    at = next(number for number, name in enumerate(names) if name.startswith(effect))
    with pytest.raises(Crash):
        act(crashing(lake, at=at))


@pytest.fixture
def make_neglected(make, frame, tmp_path):
    """Give a lake in which something of every kind that can be mended is to be found."""
    lake = make()
    numbers = lake.asset("numbers")
    lake.tag("kept", at=1)
    lake.tag("torn", at=2)
    numbers[["2024-01-01", KEY]].demote("cold", progress=False)
    numbers["2024-01-01"].promote(progress=False)  # the cold copy is retired
    flip(path_of(lake, "hot", "2024-01-01"))  # live, and whole on the cold tier
    path_of(lake, "hot").unlink()  # retired, of a file that is live on the cold tier
    crash_before(lake, "make", lambda lake: lake.asset("numbers")["2024-01-03"].demote("cold", progress=False))
    crash_before(lake, "put _lakepart/commits", lambda lake: lake.asset("numbers").write(frame((5, 5)), "2024-01-05"))
    open_intent(lake._home.context.database, "0123456789abcdef0123", "write")
    Path(lake.url, COMMITS, "000000000002.json").unlink()
    flip(Path(lake.url, COMMITS, "000000000004.json"))
    Path(lake.url, "_lakepart/tags").joinpath("000000000009.json").touch()
    torn = max(path for path in Path(lake.url, "_lakepart/tags").iterdir() if path.stat().st_size)
    torn.write_text("{}")
    clock_of(lake).advance(timedelta(hours=2))
    count = itertools.count()
    return lambda: copied(lake, tmp_path / f"neglected-{next(count)}")


WANTED = {
    "checksum-mismatch",
    "missing-file",
    "interrupted-move",
    "unwritten-manifest",
    "missing-manifest",
    "damaged-manifest",
    "damaged-tag",
    "silent-writer",
}


def test_what_is_safe_is_mended_and_a_second_check_finds_nothing_of_it(make_neglected, rows_of):
    lake = make_neglected()
    assert kinds(lake.check(checksums=True)) >= WANTED
    before = files_of(lake.url)
    with lp.connect(lake.url, read_only=True) as reading, pytest.raises(lp.StateError, match="read-only"):
        reading.check(fix=True)
    assert files_of(lake.url) == before

    found = lake.check(checksums=True, fix=True)

    assert kinds(found, fixed=True) >= WANTED
    left = lake.check(checksums=True)
    assert {(one.kind, one.subject) for one in left} == {(one.kind, one.subject) for one in found if not one.fixed}
    assert kinds(left) <= {"abandoned-file", "temporary-file"}
    assert rows_of(lake)["numbers"] == [(1, 1), (2, 2), (3, 30), (5, 5)]
    assert lake.asset("numbers").in_tier("cold").keys == ["2024-01-01", KEY, "2024-01-03"]
    lake.close()
    Path(lake.url, "catalog.db").unlink()
    lp.rebuild(lake.url)
    again = reopened(lake)
    assert rows_of(again)["numbers"] == [(1, 1), (2, 2), (3, 30), (5, 5)]
    assert sorted(again.tags()["name"]) == ["kept", "torn"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_mending_loses_nothing_and_mending_again_finishes(make_neglected, rows_of, when):
    crashes = 0
    for crashed in crash_everywhere(make_neglected, lambda lake: lake.check(checksums=True, fix=True), when=when):
        clock_of(crashed.lake).advance(timedelta(hours=2))

        crashed.lake.check(checksums=True, fix=True)

        assert kinds(crashed.lake.check(checksums=True)) <= {"abandoned-file", "temporary-file"}, crashed.at
        assert rows_of(crashed.lake)["numbers"] == [(1, 1), (2, 2), (3, 30), (5, 5)], crashed.at
        crashed.lake.close()
        crashes += 1
    assert crashes > 15


def test_half_deleted_files_are_finished(make, frame):
    lake = make()
    lake.asset("numbers")[KEY].demote("cold", progress=False)
    clock_of(lake).advance(30 * DAY)
    crash_before(lake, "delete", lambda lake: lake.vacuum(progress=False))
    assert kinds(lake.check()) == {"half-deleted-file"}
    assert [one.fixed for one in lake.check(fix=True)] == [False]  # whoever has begun may still be at it
    clock_of(lake).advance(timedelta(hours=2))

    found = lake.check(fix=True)

    assert [one.fixed for one in found] == [True]
    assert lake.check(checksums=True) == []


class Deleting:
    """A store before whose first deletion something happens."""

    def __init__(self, store, act):
        self._store, self._act = store, act

    def __getattr__(self, name):
        return getattr(self._store, name)

    def delete(self, path):
        act, self._act = self._act, lambda: None
        act()
        return self._store.delete(path)


def test_of_two_who_finish_a_deletion_the_slower_deletes_nothing_that_came_back_meanwhile(make, rows_of):
    lake = make()
    expected = rows_of(lake)
    lake.asset("numbers")[KEY].demote("cold", progress=False)
    clock_of(lake).advance(30 * DAY)
    crash_before(lake, "delete", lambda lake: lake.vacuum(progress=False))
    clock_of(lake).advance(timedelta(hours=2))
    faster = reopened(lake)

    def meanwhile():
        faster.check(fix=True)
        faster.asset("numbers")[KEY].promote(progress=False)

    lake = with_stores(lake, {"hot": Deleting(lake._home.context.stores["hot"], meanwhile)})

    lake.check(fix=True)

    assert rows_of(reopened(lake)) == expected
    assert kinds(reopened(lake).check(checksums=True)) <= {"half-deleted-file"}


class Offline:
    """A store whose bytes cannot be read before they are restored."""

    def __init__(self, store, error):
        self._store, self._error = store, error

    def __getattr__(self, name):
        return getattr(self._store, name)

    def open_read(self, path):
        raise self._error

    read_bytes = open_read


@pytest.mark.parametrize(
    "error", [lp.OfflineDataError("restore it first"), lp.StorageError("no route to it")], ids=repr
)
def test_what_only_a_tier_that_cannot_be_read_may_still_hold_is_named_and_the_rest_is_mended(make, frame, error):
    lake = make()
    numbers = lake.asset("numbers")
    numbers[KEY].demote("cold", progress=False)
    numbers[KEY].promote(progress=False)  # the cold copy is retired
    path_of(lake, "hot").unlink()
    Path(lake.url, COMMITS, "000000000002.json").unlink()
    lake = with_stores(lake, {"cold": Offline(lake._home.context.stores["cold"], error)})

    found = lake.check(fix=True)

    assert {(one.kind, one.fixed) for one in found} == {("missing-file", False), ("missing-manifest", True)}
    assert kinds(reopened(lake).check(fix=True), fixed=True) == {"missing-file"}  # once it can be read


def test_what_only_one_place_held_is_listed_and_left_as_it_is(make):
    lake = make()
    flip(path_of(lake))
    Path(lake.url, "hot/notes.txt").write_text("not ours")
    before = files_of(lake.url)

    found = lake.check(checksums=True, fix=True)

    assert {(one.kind, one.fixed) for one in found} == {("checksum-mismatch", False), ("foreign-file", False)}
    assert files_of(lake.url) == before
    assert str(found[0]).startswith("damage: hot:numbers/")


def test_a_second_copy_that_is_damaged_too_mends_nothing(make):
    lake = make()
    numbers = lake.asset("numbers")
    numbers[KEY].demote("cold", progress=False)
    numbers[KEY].promote(progress=False)
    flip(path_of(lake, "cold"))
    path_of(lake, "hot").unlink()

    found = lake.check(checksums=True, fix=True)

    assert {(one.kind, one.fixed) for one in found} == {("missing-file", False), ("checksum-mismatch", False)}
    assert path_of(lake, "cold").exists()  # somebody may still get some of it back


def test_a_writer_that_was_silent_for_minutes_is_named_and_left_alone(make):
    lake = make()
    open_intent(lake._home.context.database, "0123456789abcdef0123", "write")
    clock_of(lake).advance(timedelta(minutes=20))

    found = lake.check(fix=True)

    assert [(one.kind, one.fixed) for one in found] == [("silent-writer", False)]


@pytest.mark.parametrize("asked", ["footers", "checksums"])
def test_another_file_of_the_same_size_is_found_by_its_footer(make, asked):
    lake = make()
    path = path_of(lake)
    size = path.stat().st_size
    path.write_bytes(b"PAR1" + bytes(size - 8) + b"PAR1")

    assert lake.check() == []
    (found,) = lake.check(**{asked: True})

    assert (found.kind, found.severity) == ("footer-mismatch" if asked == "footers" else "checksum-mismatch", "damage")


def test_a_footer_that_does_not_say_what_the_catalog_says_is_damage(make, frame):
    lake = make()
    lake.asset("wide", partitions=lp.Daily("2024-01-01", by="day")).write(
        frame((1, 1)).append_column("more", [["text"]]), "2024-01-01"
    )
    first, second = (path_of(lake, key=key) for key in (KEY, "2024-01-03"))
    (wide,) = Path(lake.url, "hot/wide").rglob("*.parquet")
    first.write_bytes(wide.read_bytes())
    database = Path(lake.url, "catalog.db")
    with lake._home.context.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE file SET size_bytes = {wide.stat().st_size}")
        connection.exec_driver_sql("UPDATE file SET row_groups = 7 WHERE file_id = (SELECT max(file_id) FROM copy)")
    assert database.exists()

    found = [one for one in lake.check(footers=True) if one.kind == "footer-mismatch"]

    assert any(first.name in one.subject and "other columns than were written" in one.text for one in found)
    assert any("row groups" in one.text for one in found)
    assert second.exists()


class Busy:
    """A store of which a listing is overtaken by something else."""

    def __init__(self, store, act):
        self._store, self._act = store, act

    def __getattr__(self, name):
        return getattr(self._store, name)

    def list(self, prefix=""):
        listed = list(self._store.list(prefix))
        act, self._act = self._act, lambda: None
        act()
        return iter(listed)


@pytest.mark.parametrize("options", [{}, {"checksums": True}], ids=str)
@pytest.mark.parametrize("what", ["write", "move", "vacuum", "writing"])
def test_what_others_do_during_a_check_is_no_finding(make, frame, what, options):
    lake = make()
    other = reopened(lake)
    if what == "vacuum":
        other.asset("numbers")[KEY].demote("cold", progress=False)
        clock_of(lake).advance(30 * DAY)

    def writing():
        def stream():
            yield "2024-01-07", frame((7, 7))
            during.extend(lake.check(**options))
            yield "2024-01-08", frame((8, 8))

        other.asset("numbers").write(stream())

    act = {
        "write": lambda: other.asset("numbers").write(frame((2, 22), (6, 6)), if_exists="replace"),
        "move": lambda: other.asset("numbers").demote("cold", progress=False),
        "vacuum": lambda: other.vacuum(progress=False),
        "writing": writing,
    }[what]
    during = []
    hot, root = lake._home.context.stores["hot"], lake._home.context.root
    during.extend(with_stores(lake, {"hot": Busy(hot, act)}).check(**options))
    assert [str(one) for one in during] == []

    if what == "write":  # overtaken between what is committed and the listing of manifests
        context = lake._home.context
        object.__setattr__(context, "root", Busy(root, act))
        assert [str(one) for one in lake.check(**options)] == []
        object.__setattr__(context, "root", root)
    assert lake.check(checksums=True) == []


def test_the_command_says_what_it_mended_and_exits_by_what_is_left(make, capsys):
    from lakepart.cli.app import run

    lake = make()
    Path(lake.url, COMMITS, "000000000002.json").unlink()
    lake.close()

    assert run(["check", lake.url]) == 5
    assert run(["check", lake.url, "--fix", "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown[shown.index("[") :])[0]["fixed"] is True
    assert run(["check", lake.url, "--footers"]) == 0
    path_of(lake).unlink()
    assert run(["check", lake.url, "--fix"]) == 5
    assert "Damaged: 1 finding" in capsys.readouterr().out
