"""What doctor names: bugs of SQLite, settings, rights, clocks, room and stores; and that it changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import namedtuple
from datetime import UTC, datetime, timedelta

import pytest

import lakepart as lp
from lakepart.catalog import health
from lakepart.cli.app import run
from lakepart.storage import probing
from lakepart.storage.anyfs import FsspecStore
from lakepart.testing import clock_of, files_of, frozen_lake, query_catalog, with_stores
from lakepart.testing.oracles import query_postgresql


@pytest.fixture(autouse=True)
def sound_machine(monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.53.0")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 53, 0))
    monkeypatch.delenv("LAKEPART_URL", raising=False)
    monkeypatch.delenv("LAKEPART_CATALOG", raising=False)


@pytest.fixture
def lake(tmp_path):
    with lp.create(tmp_path / "lake") as lake:
        lake.asset("numbers", partitions=lp.Unpartitioned())
        yield lake


def wrong(found):
    return [(one.severity, one.subject) for one in found if one.severity != "ok"]


def one_of(found, subject, severity):
    return next(one for one in found if (one.subject, one.severity) == (subject, severity))


def test_a_sound_lake_has_no_problem_and_is_as_it_was_afterwards(lake, capsys):
    before = files_of(lake.url)

    by_handle, by_address = lake.doctor(), lp.doctor(lake.url)
    code = run(["doctor", lake.url, "--json"])

    assert wrong(by_handle) == wrong(by_address) == []
    assert {one.subject for one in by_address} >= {
        "python",
        "sqlite",
        "catalog",
        "journal",
        "lake",
        "tier hot",
        "tier cold",
    }
    assert (code, [one["severity"] for one in json.loads(capsys.readouterr().out)]) == (0, ["ok"] * len(by_address))
    assert files_of(lake.url) == before
    assert [str(found) for found in lake.check()] == []


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        *((version, False) for version in ("3.6.23", "3.44.6", "3.50.7", "3.51.3", "3.53.0")),
        *((version, True) for version in ("3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.2")),
    ],
)
def test_releases_with_the_wal_reset_bug_are_known(version, has_it):
    assert health.has_wal_reset_bug(tuple(map(int, version.split(".")))) is has_it


def test_a_bad_release_of_sqlite_is_a_problem_where_it_holds_the_catalog(lake, monkeypatch, capsys):
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.50.4")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 50, 4))

    code = run(["doctor", lake.url])

    out = capsys.readouterr().out
    assert code == 5
    assert "SQLite 3.50.4 has the WAL-reset bug" in out
    assert "3.51.3 or newer" in out
    assert out.endswith("1 problem.\n")
    assert wrong(lp.doctor()) == wrong(lake.doctor()) == [("problem", "sqlite")]


def test_a_lake_that_is_not_there_is_an_error_and_one_that_cannot_be_opened_a_problem(lake, tmp_path, capsys):
    other = tmp_path / "other"
    lp.create(other).close()
    shutil.copy(other / "_lakepart" / "lake.json", tmp_path / "lake" / "_lakepart" / "lake.json")

    assert run(["doctor", str(tmp_path / "nowhere")]) == 3
    assert wrong(lp.doctor(lake.url)) == [("problem", "lake")]
    assert "holds lake" in one_of(lp.doctor(lake.url), "lake", "problem").text
    assert wrong(lake.doctor()) == [("problem", "lake")]

    (tmp_path / "lake" / "_lakepart" / "lake.json").unlink()
    assert wrong(lp.doctor(lake.url)) == [("notice", "lake")]
    assert not (tmp_path / "lake" / "_lakepart" / "lake.json").exists()


def test_catalogs_of_other_releases_are_named_and_not_migrated(lake):
    (newest,) = query_catalog(lake.url, "SELECT version_num FROM alembic_version")[0]
    lake.close()

    for number, severity in ((f"{int(newest) - 1:04}", "notice"), ("9999", "problem")):
        with sqlite3.connect(f"{lake.url}/catalog.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [number])
        assert wrong(lp.doctor(lake.url)) == [(severity, "catalog")]
        assert query_catalog(lake.url, "SELECT version_num FROM alembic_version") == [(number,)]


def test_other_journals_little_room_and_wrong_clocks_are_named(tmp_path, monkeypatch):
    lake = frozen_lake(tmp_path / "lake", at=datetime.now(UTC) + timedelta(hours=2))
    lake.asset("numbers", partitions=lp.Unpartitioned())
    lake.close()
    with sqlite3.connect(f"{lake.url}/catalog.db") as connection:
        assert connection.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    room = namedtuple("Room", "free")
    monkeypatch.setattr(probing.shutil, "disk_usage", lambda _: room(5_000_000))
    clock_of(lake).advance(timedelta(hours=-3))

    assert wrong(lake.doctor()) == [
        ("problem", "journal"),
        ("notice", "clock"),
        ("problem", "catalog"),
        ("problem", "tier hot"),
        ("problem", "tier cold"),
    ]


class Overwriting(FsspecStore):
    """A store that takes no notice of what is there."""

    def _exists(self, path):
        return False

    def _send(self, path, spool):
        self._filesystem.pipe_file(self._place(path), spool.getvalue())


class Refusing(FsspecStore):
    """A store in which nothing can be deleted."""

    def delete(self, path):
        raise lp.StorageError(f"Cannot delete {path!r}: not allowed.")


def test_stores_that_overwrite_or_keep_everything_are_problems(lake):
    stores = {"hot": Overwriting.in_memory(), "cold": Refusing.in_memory()}

    found = with_stores(lake, stores).doctor()

    assert wrong(found) == [("notice", "tier hot"), ("problem", "tier cold")]
    assert "overwrites" in one_of(found, "tier hot", "notice").text
    assert "cannot be deleted" in one_of(found, "tier cold", "problem").text
    assert list(stores["hot"].list()) == []


def test_who_only_reads_writes_nothing_and_misses_nothing(lake, tmp_path):
    with lp.connect(lake.url, read_only=True) as reader:
        found = with_stores(reader, {"hot": Refusing.in_memory()}).doctor()

    assert wrong(found) == wrong(lp.doctor(lake.url, read_only=True)) == []
    assert "read-only" in one_of(found, "tier hot", "ok").text


def test_a_server_is_asked_for_its_settings_and_a_role_for_its_rights(tmp_path, new_schema):
    catalog = new_schema()
    schema = catalog.rpartition("=")[2]
    lp.create(tmp_path / "lake", catalog=catalog).close()
    query_postgresql(catalog, f"CREATE ROLE doctored_{schema} LOGIN")
    query_postgresql(catalog, f"GRANT USAGE ON SCHEMA {schema} TO doctored_{schema}")
    query_postgresql(catalog, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO doctored_{schema}")
    reader = catalog.replace("user=postgres", f"user=doctored_{schema}&password=geheim")
    short = f"{catalog}&statement_timeout=5s"

    owner, selecting, meaning_to = (
        lp.doctor(tmp_path / "lake", catalog=place, read_only=read_only)
        for place, read_only in ((short, False), (reader, False), (reader, True))
    )

    assert wrong(owner) == [("problem", "durability"), ("notice", "timeouts")]  # the server of the tests is in a hurry
    assert "fsync and full_page_writes are off" in one_of(owner, "durability", "problem").text
    assert {one.subject for one in owner} >= {"postgresql", "rights", "isolation", "pooling", "clock"}
    assert ("notice", "rights") in wrong(selecting)
    assert "SELECT only" in one_of(selecting, "rights", "notice").text
    assert wrong(meaning_to) == [("problem", "durability")]
    assert "geheim" not in str([*owner, *selecting, *meaning_to])
    query_postgresql(catalog, f"GRANT INSERT ON ALL TABLES IN SCHEMA {schema} TO doctored_{schema}")
    assert ("problem", "rights") in wrong(lp.doctor(tmp_path / "lake", catalog=reader))


def test_a_server_that_cannot_be_reached_is_a_problem_without_secrets(tmp_path):
    lp.create(tmp_path / "lake").close()

    found = lp.doctor(tmp_path / "lake", catalog="postgresql://ann:geheim@127.0.0.1:1/db?connect_timeout=1")

    assert wrong(found) == [("problem", "catalog")]
    assert "geheim" not in str(found)
