"""What the contract does not say: how a catalog in PostgreSQL is made, shared, refused, lost and found again."""

from __future__ import annotations

import multiprocessing
import threading
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, event, text

from lakepart.catalog import migrations
from lakepart.catalog.committing import commit, find_commit
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import declare_asset
from lakepart.catalog.intents import open_intent
from lakepart.catalog.lookups import find_asset, get_head
from lakepart.catalog.reading import find_files, find_inputs, find_versions, find_work, history, tiers_of
from lakepart.catalog.scopes import Scope
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
from lakepart.model.records import MAIN, AssetGuard, Change, ChangeKind, CommitRequest, NewFile, TierRecord
from lakepart.testing.clocks import FrozenClock
from lakepart.testing.connections import CommitDropper
from lakepart.testing.databases import CrashingDatabase
from lakepart.testing.effects import Crash, Effects

CLOCK = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
TIERS = [TierRecord("hot", "hot"), TierRecord("cold", "cold", storage_class="GLACIER", rank=1)]


@pytest.fixture
def address(new_schema):
    address = new_schema()
    Database.create(address, lake_id="lake", clock=CLOCK, tiers=TIERS).close()
    return address


@pytest.fixture
def database(address):
    with Database.open(address, clock=CLOCK) as database:
        yield database


@pytest.fixture
def ask(address):
    """Ask the server without the library."""
    plain, _, schema = address.partition("&schema=")
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {schema}")

        def answer(statement: str) -> list[tuple[object, ...]]:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

        yield answer


def empty_partition(database, ordinal=0, token="token"):  # noqa: S107 - no secret
    asset = declare_asset(database, "flights", {"kind": "daily"})
    changes = (Change(asset.asset_id, f"k{ordinal}", ordinal, ChangeKind.REPLACE),)
    return CommitRequest(token, "write", changes, (AssetGuard(asset.asset_id, 1),))


def test_an_opened_catalog_knows_its_lake_and_its_tiers(database) -> None:
    assert (database.lake_id, database.tiers) == ("lake", tuple(TIERS))


def test_a_second_catalog_in_the_same_schema_is_refused(address, ask) -> None:
    with pytest.raises(AlreadyExistsError):
        Database.create(address, lake_id="other", clock=CLOCK, tiers=TIERS)

    assert ask("SELECT lake_id FROM lake") == [("lake",)]


def test_of_many_who_create_at_once_one_succeeds(new_schema) -> None:
    address = new_schema()
    told = []

    def create(number: int) -> None:
        try:
            told.append(Database.create(address, lake_id=f"{number}", clock=CLOCK, tiers=TIERS).lake_id)
        except AlreadyExistsError:
            told.append("refused")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(told)[1:] == ["refused"] * 3
    with Database.open(address, clock=CLOCK) as database:
        assert database.lake_id == min(told)


def test_opening_makes_nothing_where_nothing_is(new_schema, postgresql) -> None:
    address = new_schema()

    with pytest.raises(LakeNotFoundError):
        Database.open(address, clock=CLOCK)

    schema = address.rpartition("=")[2]
    with psycopg.connect(postgresql) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", [schema]).fetchone() == (None,)


def test_a_catalog_of_a_newer_lakepart_is_refused(address, ask) -> None:
    ask("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(CatalogError) as caught:
        Database.open(address, clock=CLOCK)

    assert caught.value.code is ErrorCode.CATALOG_TOO_NEW


def test_a_catalog_of_an_older_lakepart_is_left_to_whoever_migrates_it(address, ask) -> None:
    ask("UPDATE alembic_version SET version_num = '0001'")

    with pytest.raises(CatalogError, match="catalog migrate") as caught:
        Database.open(address, clock=CLOCK)

    assert caught.value.code is ErrorCode.CATALOG_TOO_OLD
    assert ask("SELECT version_num FROM alembic_version") == [("0001",)]


def test_migrations_make_the_tables_that_the_code_describes(address, postgresql) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    schema = address.rpartition("=")[2]
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(postgresql))
    indexes = "SELECT replace(indexdef, ' ' || schemaname || '.', ' ') FROM pg_indexes WHERE schemaname = :schema"
    with engine.connect() as connection:
        made = set(connection.execute(text(indexes), {"schema": schema}).scalars())
        connection.execute(text("CREATE SCHEMA migrated"))
        connection.execute(text("SET LOCAL search_path TO migrated"))
        migrations.run(connection)

        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert set(connection.execute(text(indexes), {"schema": "migrated"}).scalars()) == made
        connection.rollback()
    engine.dispose()


def test_a_read_sees_one_state_to_its_end(database) -> None:
    request = empty_partition(database)
    with database.reading() as connection:
        commit(database, request)
        during = get_head(connection).snapshot
    with database.reading() as connection:
        after = get_head(connection).snapshot

    assert (during, after) == (0, 1)


def test_a_failed_write_changes_nothing(database, ask) -> None:
    def write_and_fail():
        with database.writing() as connection:
            connection.execute(text("UPDATE head SET snapshot = 77"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    assert ask("SELECT snapshot FROM head") == [(0,)]


def test_a_write_whose_statement_failed_unnoticed_is_no_success(database, ask) -> None:
    def swallow():
        with database.writing() as connection:
            connection.execute(text("UPDATE head SET snapshot = 77"))
            with pytest.raises(Exception, match="division by zero"):
                connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(CatalogError):
        swallow()

    assert ask("SELECT snapshot FROM head") == [(0,)]


def test_reading_only_refuses_to_write(address) -> None:
    with Database.open(address, clock=CLOCK, read_only=True) as database:
        with database.reading() as connection:
            assert get_head(connection).snapshot == 0
        with pytest.raises(StateError) as caught:
            declare_asset(database, "flights", {})

    assert caught.value.code is ErrorCode.READ_ONLY


def test_a_role_that_may_only_select_reads_and_is_told_when_it_writes(address, ask) -> None:
    schema = address.rpartition("=")[2]
    reader = f"reader_of_{schema}"
    for statement in (
        f"CREATE ROLE {reader} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO {reader}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}",
    ):
        ask(statement)

    with Database.open(address.replace("user=postgres", f"user={reader}"), clock=CLOCK) as database:
        with database.reading() as connection:
            assert find_asset(connection, "flights") is None
            assert get_head(connection).snapshot == 0
        with pytest.raises(StorageError) as caught:
            declare_asset(database, "flights", {})

    assert caught.value.code is ErrorCode.PERMISSION


@pytest.mark.parametrize(("durable", "wanted"), [(True, "on"), (False, "off")])
def test_a_commit_waits_for_the_disk_unless_it_may_be_lost(database, durable, wanted) -> None:
    with database.writing(durable=durable) as connection:
        level = connection.execute(text("SHOW synchronous_commit")).scalar_one()
    with database.writing() as connection:
        later = connection.execute(text("SHOW synchronous_commit")).scalar_one()

    assert (level, later) == (wanted, "on")


def test_nothing_is_left_in_the_session(database) -> None:
    settings = text("SELECT name, setting FROM pg_settings WHERE source = 'session' ORDER BY name")
    open_intent(database, "one", "write")
    commit(database, empty_partition(database))

    with database.engine.connect() as connection:
        set_here = [row[0] for row in connection.execute(settings)]
        prepared = connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
        locks = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()

    assert (set_here, prepared, locks) == ([], 0, 0)


def test_a_lock_that_is_held_too_long_is_an_error_that_says_so(address, database) -> None:
    impatient = Database(address, clock=CLOCK, lock_wait_s=0.05)

    with database.writing(), pytest.raises(CatalogError) as caught:
        declare_asset(impatient, "flights", {})

    assert (caught.value.code, caught.value.retryable) == (ErrorCode.CATALOG_BUSY, True)
    assert declare_asset(impatient, "flights", {}).asset_id == 1
    impatient.close()


def test_a_statement_that_takes_too_long_is_stopped(address) -> None:
    def sleep():
        with Database(f"{address}&statement_timeout=1s", clock=CLOCK) as database, database.reading() as connection:
            connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(CatalogError) as caught:
        sleep()

    assert caught.value.code is ErrorCode.CATALOG_BUSY


def test_a_text_that_holds_nul_is_refused_by_name(database) -> None:
    with pytest.raises(InvalidInputError, match="NUL"):
        declare_asset(database, "fli\0ghts", {})

    assert declare_asset(database, "flights", {}).asset_id == 1


def test_a_text_that_utf8_has_not_is_refused_by_name(database) -> None:
    with pytest.raises(InvalidInputError, match="lone surrogate at 3"):
        declare_asset(database, "fli\ud800ghts", {})

    assert declare_asset(database, "flights", {}).asset_id == 1


@pytest.mark.parametrize("key", ["é", "日本", "😀", "a|b%", "'; DROP TABLE head; --", "%s", ":x", "ſ"])
def test_texts_come_back_as_they_were_and_in_the_order_of_their_bytes(database, key) -> None:
    names = sorted(["Z", "a", key], key=str.encode)
    for name in ("a", "Z", key):
        declare_asset(database, name, {"text": key})

    with database.reading() as connection:
        assert connection.execute(text("SELECT name FROM asset ORDER BY name")).scalars().all() == names
        assert find_asset(connection, key).definition == {"text": key}


def terminate_others(ask) -> None:
    ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'lakepart'")


def test_connections_that_the_server_has_closed_are_replaced_unnoticed(database, ask) -> None:
    declare_asset(database, "before", {})
    terminate_others(ask)

    with database.reading() as connection:
        assert find_asset(connection, "before").asset_id == 1
    terminate_others(ask)
    assert declare_asset(database, "after", {}).asset_id == 2


def test_a_connection_lost_in_a_write_changes_nothing_and_may_be_tried_again(database, ask) -> None:
    def write_and_lose():
        with database.writing() as connection:
            connection.execute(text("UPDATE head SET snapshot = 77"))
            terminate_others(ask)
            connection.execute(text("UPDATE head SET snapshot = 78"))

    with pytest.raises(CatalogError) as caught:
        write_and_lose()

    assert (caught.value.code, caught.value.retryable) == (ErrorCode.CATALOG_UNREACHABLE, True)
    assert "outcome" not in caught.value.context
    assert commit(database, empty_partition(database)).snapshot == 1


@pytest.fixture
def dropper(address):
    """A go-between, and the same catalog through it."""
    server = Path(conninfo_to_dict(address.partition("&schema=")[0])["host"])
    with TemporaryDirectory() as folder:  # not pytest's: the path of a socket must be short
        dropper = CommitDropper(server)
        with (
            dropper.listening(Path(folder)),
            Database.open(address.replace(str(server), folder), clock=CLOCK) as through,
        ):
            yield dropper, through


def test_a_commit_whose_answer_is_lost_has_happened_once(dropper, ask) -> None:
    between, through = dropper
    request = empty_partition(through)
    between.drops, between.when = 1, "after"

    record = commit(through, request)

    assert (between.drops, record.snapshot) == (0, 1)
    assert ask("SELECT count(*) FROM version") == [(1,)]


def test_a_commit_that_was_lost_on_the_way_is_tried_again(dropper, ask) -> None:
    between, through = dropper
    request = empty_partition(through)
    between.drops, between.when = 1, "before"

    record = commit(through, request)

    assert (between.drops, record.snapshot) == (0, 1)
    assert ask("SELECT count(*) FROM version") == [(1,)]


def test_a_commit_that_is_lost_on_the_way_again_and_again_has_not_happened_and_says_so(dropper, ask) -> None:
    between, through = dropper
    request = empty_partition(through)
    between.drops, between.when = 3, "before"

    with pytest.raises(CatalogError) as caught:
        commit(through, request)

    assert (caught.value.code, caught.value.retryable) == (ErrorCode.CATALOG_UNREACHABLE, True)
    assert ask("SELECT snapshot FROM head") == [(0,)]
    assert commit(through, request).snapshot == 1
    with through.reading() as connection:
        assert find_commit(connection, "token").snapshot == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_leaves_all_of_a_commit_or_nothing(database, ask, when) -> None:
    request = empty_partition(database)
    effects = Effects()
    effects.crash_at(0, when)
    crashing = CrashingDatabase.around(database, effects, clock=CLOCK)

    with pytest.raises(Crash):
        commit(crashing, request)
    with pytest.raises(Crash), crashing.reading():
        pass

    crashing.close()
    assert ask("SELECT snapshot FROM head") == [(1 if when == "after" else 0,)]


@pytest.mark.parametrize("transaction", ["reading", "writing"])
def test_an_interrupt_within_a_statement_is_raised_and_leaves_no_lock(database, transaction) -> None:
    pending = [KeyboardInterrupt()]

    def interrupt(*_: object) -> None:
        if pending:
            raise pending.pop()

    event.listen(database.engine, "after_cursor_execute", interrupt)
    with pytest.raises(KeyboardInterrupt), getattr(database, transaction)() as connection:
        connection.execute(text("UPDATE head SET snapshot = 99") if transaction == "writing" else text("SELECT 1"))

    with database.writing() as connection:
        assert connection.execute(text("SELECT snapshot FROM head")).scalar_one() == 0


def test_a_forked_child_opens_the_catalog_anew(database, ask) -> None:
    declare_asset(database, "before", {})

    child = multiprocessing.get_context("fork").Process(target=declare_asset, args=(database, "child", {}))
    child.start()
    child.join(30)
    declare_asset(database, "after", {})

    assert child.exitcode == 0
    assert ask("SELECT name FROM asset ORDER BY asset_id") == [("before",), ("child",), ("after",)]


def test_threads_that_write_at_once_follow_one_another(address, ask) -> None:
    failures = []

    def work(database, number):
        try:
            for turn in range(5):
                commit(database, empty_partition(database, turn, f"{number}-{turn}"))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    with Database.open(address, clock=CLOCK) as one, Database.open(address, clock=CLOCK) as two:
        threads = [threading.Thread(target=work, args=(one if number % 2 else two, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failures == []
    assert ask("SELECT count(*), max(snapshot) FROM snapshot WHERE snapshot > 0") == [(30, 30)]
    assert ask("SELECT count(*) FROM version WHERE ended IS NULL") == [(5,)]


@pytest.fixture(scope="module")
def filled(new_schema):
    """Three thousand partitions, half of them rewritten, with up-to-date statistics for the planner."""
    address = new_schema()
    with Database.create(address, lake_id="lake", clock=CLOCK, tiers=TIERS) as database:
        declare_asset(database, "flights", {"kind": "daily"})
        for token, ordinals, guard in (
            ("first", range(3000), AssetGuard(1, 1, b"schema")),
            ("second", range(0, 3000, 2), AssetGuard(1, 2)),
        ):
            changes = tuple(
                Change(
                    1,
                    f"k{ordinal}",
                    ordinal,
                    ChangeKind.REPLACE,
                    (NewFile("hot", f"{token}-{ordinal}.parquet", 1, 1, 1, "c", "d"),),
                )
                for ordinal in ordinals
            )
            commit(database, CommitRequest(token, "write", changes, (guard,)))
        with database.engine.connect() as connection:
            schema = address.rpartition("=")[2]
            for table in ("version", "version_file", "file", "copy"):
                connection.execute(text(f"ANALYZE {schema}.{table}"))
        yield database


@pytest.mark.parametrize(
    "ranges",
    [[(5, 9)], [(5, 9), (20, 29)], [(0, 99, 0, 7, 1, 3)], [(0, 99, 0, 7, 1, 3), (200, 299, 3, 7, 0, 0, 0, 7, 1, 1)]],
    ids=lambda ranges: f"{len(ranges)}-{max(map(len, ranges))}",
)
@pytest.mark.parametrize("snapshot", [None, 1])
def test_versions_are_found_by_an_index_on_the_partitions_asked_for(filled, ranges, snapshot) -> None:
    statements = []

    def note(_connection, cursor, statement, parameters, *_) -> None:
        statements.append((statement, parameters))

    event.listen(filled.engine, "before_cursor_execute", note)
    with filled.reading() as connection:
        for question in (find_versions, find_files, find_inputs, tiers_of):
            question(connection, Scope(1, MAIN, snapshot), ranges)
        history(connection, 1, ranges, MAIN)
        find_work(connection, 1, 0, ranges)
        event.remove(filled.engine, "before_cursor_execute", note)
        plans = [
            "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))
            for statement, parameters in statements
        ]

    assert len(plans) == 6
    for plan in plans[:5]:
        assert "Seq Scan on version " not in plan, plan
        assert "ix_version_present" in plan, plan
    if snapshot is None:
        assert not any("ix_version_past" in plan for plan in plans[:4])
