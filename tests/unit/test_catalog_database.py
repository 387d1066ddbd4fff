import multiprocessing
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, event, text

from lakepart.catalog import migrations, sqlite
from lakepart.catalog.committing import commit, find_commit
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import declare_asset
from lakepart.catalog.lookups import get_head
from lakepart.catalog.tables import metadata
from lakepart.errors import (
    AlreadyExistsError,
    CatalogError,
    ErrorCode,
    InvalidInputError,
    LakeNotFoundError,
    StateError,
    StorageError,
)
from lakepart.model.records import AssetGuard, Change, ChangeKind, CommitRequest, TierRecord
from lakepart.testing.catalogs import UnansweredDatabase
from lakepart.testing.clocks import FrozenClock
from lakepart.testing.databases import CrashingDatabase
from lakepart.testing.effects import Crash, Effects

CLOCK = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
TIERS = [TierRecord("hot", "hot"), TierRecord("cold", "cold", storage_class="GLACIER", rank=1)]


@pytest.fixture
def path(tmp_path):
    Database.create(tmp_path / "catalog.db", lake_id="lake", clock=CLOCK, tiers=TIERS).close()
    return tmp_path / "catalog.db"


def empty_partition(database, ordinal=0, **more):
    asset = declare_asset(database, "flights", {"kind": "daily"})
    changes = (Change(asset.asset_id, f"k{ordinal}", ordinal, ChangeKind.REPLACE),)
    return CommitRequest("token", "write", changes, (AssetGuard(asset.asset_id, 1),), **more)


def rows(path, query):
    with sqlite3.connect(path) as connection:
        return connection.execute(query).fetchall()


def schema_of(engine):
    """Every object's definition, whatever the order of its parts."""
    with engine.connect() as connection:
        found = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {name: sorted(sql.replace(",", " ").split()) for name, sql in found}


def test_an_opened_catalog_knows_its_lake_and_its_tiers(path):
    with Database.open(path, clock=CLOCK) as database:
        assert (database.lake_id, database.tiers) == ("lake", tuple(TIERS))


def test_a_new_catalog_is_one_whole_file(path):
    assert [one.name for one in path.parent.iterdir()] == ["catalog.db"]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "SELECT snapshot, operation FROM snapshot") == [(0, "create")]


def test_a_catalog_is_never_made_over_another(path):
    before = path.read_bytes()

    with pytest.raises(AlreadyExistsError):
        Database.create(path, lake_id="other", clock=CLOCK, tiers=TIERS)

    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["catalog.db"]


def test_a_missing_catalog_is_not_made_by_opening_it(tmp_path):
    with pytest.raises(LakeNotFoundError):
        Database.open(tmp_path / "none.db", clock=CLOCK)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_catalog(tmp_path):
    with pytest.raises(LakeNotFoundError, match="not a catalog file"):
        Database.open(tmp_path, clock=CLOCK)


@pytest.mark.parametrize("content", [b"", b"this is a text file and no database at all\n" * 99])
def test_a_file_that_is_no_catalog_is_named(tmp_path, content):
    (tmp_path / "catalog.db").write_bytes(content)

    with pytest.raises(CatalogError) as caught:
        Database.open(tmp_path / "catalog.db", clock=CLOCK)

    assert caught.value.code is ErrorCode.NOT_A_CATALOG
    assert str(tmp_path / "catalog.db") in str(caught.value)


def test_another_programs_database_is_no_catalog(tmp_path):
    rows(tmp_path / "catalog.db", "CREATE TABLE lake (color TEXT)")

    with pytest.raises(CatalogError) as caught:
        Database.open(tmp_path / "catalog.db", clock=CLOCK)

    assert caught.value.code is ErrorCode.NOT_A_CATALOG


def test_a_catalog_of_a_newer_lakepart_is_refused(path):
    rows(path, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(CatalogError) as caught:
        Database.open(path, clock=CLOCK)

    assert caught.value.code is ErrorCode.CATALOG_TOO_NEW
    assert rows(path, "SELECT version_num FROM alembic_version") == [("9999",)]


def test_other_databases_are_refused_by_name_without_their_password():
    with pytest.raises(InvalidInputError) as caught:
        Database.open("mysql://ann:secret@host/db", clock=CLOCK)

    assert caught.value.code is ErrorCode.UNSUPPORTED
    assert "secret" not in str(caught.value)


def test_a_sqlite_address_is_its_path(path):
    with Database.open(f"sqlite:///{path}", clock=CLOCK) as database:
        assert database.path == path


def test_migrations_make_the_tables_that_the_code_describes(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    described, migrated = create_engine("sqlite://"), create_engine("sqlite://")
    metadata.create_all(described)
    with migrated.connect() as connection:
        migrations.run(connection)
        connection.commit()

    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    made = schema_of(migrated)
    made.pop("alembic_version")
    assert made == schema_of(described)
    described.dispose()
    migrated.dispose()


def make_as_of_the_first_release(path):
    """Give a catalog the tables that the first release made, with what they held of its rows."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    newer, older = path.with_name("newer.db"), path.with_name("older.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(newer),))
    for part in path.parent.glob(f"{path.name}*"):  # a log that stays would be taken for the older catalog's
        part.unlink()
    engine, directory = create_engine(f"sqlite:///{older}"), migrations.scripts()
    with engine.connect() as connection:
        first = {"fn": lambda found, _: directory._upgrade_revs("0001", found), "script": directory}
        context = MigrationContext.configure(connection, opts=first)
        with Operations.context(context):
            context.run_migrations()
        connection.commit()
        connection.exec_driver_sql(f"ATTACH '{newer}' AS newer")
        for table in connection.exec_driver_sql("SELECT name FROM main.sqlite_master WHERE type = 'table'").scalars():
            columns = connection.exec_driver_sql(f"SELECT name FROM pragma_table_info('{table}')").scalars()
            listed = ", ".join(f'"{name}"' for name in columns)
            if table != "alembic_version":
                connection.exec_driver_sql(f"INSERT INTO main.{table} ({listed}) SELECT {listed} FROM newer.{table}")
        connection.commit()
    engine.dispose()
    older.rename(path)


def test_assets_of_an_older_catalog_have_been_cut_that_way_from_the_beginning(path):
    with Database.open(path, clock=CLOCK) as database:
        declare_asset(database, "flights", {"kind": "daily"}, {"description": "x"})
    make_as_of_the_first_release(path)

    Database.open(path, clock=CLOCK).close()

    assert rows(path, "SELECT * FROM asset_definition") == [
        (1, 0, '{"kind":"daily"}', '{"description":"x"}', "declared")
    ]
    assert rows(path, "SELECT version_num FROM alembic_version") == [(migrations.scripts().get_current_head(),)]


def test_a_new_catalog_is_at_the_newest_migration(path):
    newest = migrations.scripts().get_current_head()

    assert rows(path, "SELECT version_num FROM alembic_version") == [(newest,)]


def test_a_catalog_of_the_first_release_is_migrated_when_it_is_opened(path):
    newest = rows(path, "SELECT version_num FROM alembic_version")
    with Database.open(path, clock=CLOCK) as database:
        commit(database, empty_partition(database))
    make_as_of_the_first_release(path)

    with Database.open(path, clock=CLOCK) as database, database.reading() as connection:
        assert get_head(connection).snapshot == 1

    assert rows(path, "SELECT version_num FROM alembic_version") == newest
    assert rows(path, "SELECT count(*) FROM partition_key") == [(0,)]


def test_every_table_checks_the_types_of_its_values(path):
    tables = [name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    strict = [name for name, is_strict in rows(path, "SELECT name, strict FROM pragma_table_list") if is_strict]

    assert set(strict) == set(tables) - {"alembic_version"}


def test_a_read_sees_one_state_to_its_end(path):
    with Database.open(path, clock=CLOCK) as database:
        request = empty_partition(database)
        with database.reading() as connection:
            commit(database, request)
            during = get_head(connection).snapshot
        with database.reading() as connection:
            after = get_head(connection).snapshot

    assert (during, after) == (0, 1)


def test_a_failed_write_changes_nothing(path):
    def write_and_fail():
        with Database.open(path, clock=CLOCK) as database, database.writing() as connection:
            connection.execute(text("UPDATE head SET snapshot = 77"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    assert rows(path, "SELECT snapshot FROM head") == [(0,)]


def test_reading_only_refuses_to_write(path):
    with Database.open(path, clock=CLOCK, read_only=True) as database:
        with database.reading() as connection:
            assert get_head(connection).snapshot == 0
        with pytest.raises(StateError) as caught:
            declare_asset(database, "flights", {})

    assert caught.value.code is ErrorCode.READ_ONLY


def test_a_lock_that_is_held_too_long_is_an_error_that_says_so(path):
    database = Database(path, clock=CLOCK, lock_wait_s=0.05)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    with pytest.raises(CatalogError) as caught:
        declare_asset(database, "flights", {})

    assert caught.value.code is ErrorCode.CATALOG_BUSY
    blocker.close()
    assert declare_asset(database, "flights", {}).asset_id == 1
    database.close()


def test_a_full_disk_is_named_and_changes_nothing(path):
    def write_too_much():
        with Database.open(path, clock=CLOCK) as database, database.writing() as connection:
            connection.execute(text("PRAGMA max_page_count = 1"))  # SQLite's own way to say: no more room
            connection.execute(text("UPDATE lake SET lake_id = hex(zeroblob(1000000))"))

    with pytest.raises(StorageError) as caught:
        write_too_much()

    assert caught.value.code is ErrorCode.DISK_FULL
    assert rows(path, "SELECT lake_id FROM lake") == [("lake",)]


@pytest.mark.parametrize("loses", [False, True])
def test_an_unanswered_commit_is_settled_by_its_token(path, loses):
    with UnansweredDatabase.open(path, clock=CLOCK) as database:
        request = empty_partition(database)
        database.unanswered, database.loses = 1, loses

        record = commit(database, request)

        assert record.snapshot == 1
        with database.reading() as connection:
            assert find_commit(connection, "token") == record
    assert rows(path, "SELECT count(*) FROM version") == [(1,)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_leaves_all_of_a_commit_or_nothing(path, when):
    database = Database.open(path, clock=CLOCK)
    request = empty_partition(database)
    effects = Effects()
    effects.crash_at(0, when)
    crashing = CrashingDatabase.around(database, effects, clock=CLOCK)

    with pytest.raises(Crash):
        commit(crashing, request)
    with pytest.raises(Crash), crashing.reading():
        pass

    crashing.close()
    database.close()
    happened = 1 if when == "after" else 0
    assert rows(path, "SELECT snapshot FROM head") == [(happened,)]
    assert rows(path, "SELECT count(*) FROM version") == [(happened,)]


def test_the_log_is_folded_back_once_it_has_grown(path, monkeypatch):
    monkeypatch.setattr(sqlite, "LOG_LIMIT_BYTES", 100_000)
    with Database.open(path, clock=CLOCK) as database:
        for number in range(100):
            declare_asset(database, f"asset-{number}", {"filler": "x" * 5000})

        assert path.with_name("catalog.db-wal").stat().st_size < 4 * 100_000 + 1024 * 1024
        assert path.stat().st_size > 400_000


def test_a_forked_child_opens_the_catalog_anew(path):
    with Database.open(path, clock=CLOCK) as database:
        declare_asset(database, "before", {})

        child = multiprocessing.get_context("fork").Process(target=declare_asset, args=(database, "child", {}))
        child.start()
        child.join(30)
        declare_asset(database, "after", {})

    assert child.exitcode == 0
    assert rows(path, "SELECT name FROM asset ORDER BY asset_id") == [("before",), ("child",), ("after",)]


def test_threads_never_meet_a_locked_database(path):
    failures = []

    def work(number):
        try:
            for turn in range(10):
                declare_asset(database, f"{number}-{turn}", {})
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    with Database.open(path, clock=CLOCK) as database:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert rows(path, "SELECT count(*) FROM asset") == [(80,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody without rights")
def test_reading_needs_only_the_right_to_read(path):
    for folder in path.parents[:4]:  # pytest's own, which nobody else may enter
        if "pytest" in str(folder):
            folder.chmod(0o755)
    path.chmod(0o644)
    script = textwrap.dedent(
        """
        import os, sys
        from datetime import datetime, UTC
        from lakepart.catalog.database import Database
        from lakepart.catalog.declaring import declare_asset
        from lakepart.errors import StorageError
        os.setuid(65534)
        database = Database.open(sys.argv[1], clock=lambda: datetime.now(UTC))
        try:
            declare_asset(database, "x", {})
        except StorageError as error:
            print(database.lake_id, error.code)
        """
    )

    told = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["lake", "permission"]
    assert [one.name for one in path.parent.iterdir()] == ["catalog.db"]


@pytest.mark.parametrize("transaction", ["reading", "writing"])
def test_an_interrupt_within_a_statement_is_raised_and_leaves_no_lock(tmp_path, transaction) -> None:
    with Database.create(tmp_path / "catalog.db", lake_id="lake", clock=CLOCK, tiers=TIERS) as database:
        pending = [KeyboardInterrupt()]

        def interrupt(*_: object) -> None:
            if pending:
                raise pending.pop()

        event.listen(database.engine, "after_cursor_execute", interrupt)
        with pytest.raises(KeyboardInterrupt), getattr(database, transaction)() as connection:
            connection.execute(text("UPDATE head SET snapshot = 99") if transaction == "writing" else text("SELECT 1"))

        database.lock_wait_s = 0.2
        with database.writing() as connection:
            assert connection.execute(text("SELECT snapshot FROM head")).scalar_one() == 0
