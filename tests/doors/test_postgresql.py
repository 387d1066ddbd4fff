"""A lake whose catalog is in PostgreSQL: made, opened, refused, pickled, and every main verb once."""

from __future__ import annotations

import logging
import pickle
import re
import subprocess
import sys
import traceback
from contextlib import nullcontext
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from sqlalchemy import create_engine

import lakepart as lp
from lakepart.catalog.database import Database
from lakepart.catalog.postgresql import PostgresqlBackend
from lakepart.testing import FrozenClock, clock_of, files_of, frozen_lake, query_catalog, stray_files
from lakepart.testing.oracles import query_postgresql

ROLES = ("owner", "writer", "reader")
PASSWORD = "s3cr3t%41 word"  # noqa: S105 - nobody's


def frame(*pairs: tuple[int, int]) -> pa.Table:
    days = [date(2024, 1, 1) + timedelta(days=day) for day, _ in pairs]
    return pa.table({"day": days, "value": pa.array([value for _, value in pairs], pa.int64())})


@lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"}, code_version="1")
def tens(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "value", pa.array([10 * value for value in table["value"].to_pylist()], pa.int64()))


def values(of: Any) -> list[int]:
    return of.to_arrow()["value"].to_pylist()


@pytest.fixture
def catalog(new_schema) -> str:
    return new_schema()


def test_a_lake_in_postgresql_is_written_read_moved_undone_and_cleaned(tmp_path, catalog) -> None:
    lake = frozen_lake(tmp_path / "lake", catalog=catalog)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((0, 1), (1, 2), (2, 3)))
    numbers.append(frame((0, 10)))
    numbers.write(frame((1, 20)), "2024-01-02")
    lake.register(tens)["2024-01-01":"2024-01-03"].backfill(progress=False)
    draft = lake.create_branch("draft")
    draft.asset("numbers").write(frame((3, 4)), "2024-01-04")
    before = values(numbers)
    draft.publish()
    numbers["2024-01-01"].demote("cold", progress=False)
    numbers["2024-01-02"].rollback(to=1)

    assert before == [1, 10, 20, 3]
    assert values(numbers) == [1, 10, 2, 3, 4]
    assert values(lake.asset("tens")) == [10, 100, 200, 30]
    assert values(lake.at(1).asset("numbers")) == [1, 2, 3]
    assert numbers["2024-01-01"].status()["tier"].tolist() == ["cold"]
    assert list((tmp_path / "lake").glob("*.db*")) == []
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=40))
        lake.vacuum()
    assert lake.check(checksums=True) == []
    assert stray_files(lake) == set()
    assert query_catalog(lake, "SELECT count(*) FROM version WHERE ended IS NOT NULL") == [(0,)]
    lake.close()


def test_keys_of_dynamic_dimensions_live_in_postgresql_too(tmp_path, catalog) -> None:
    with lp.create(tmp_path / "lake", catalog=catalog) as lake:
        orders = lake.asset("orders", partitions=lp.Dynamic(by="customer"))
        orders.write(pa.table({"customer": ["éa", "B", "a'; --"], "value": [1, 2, 3]}))

        assert set(orders.keys) == {"éa", "B", "a'; --"}
        assert orders["B"].to_arrow()["value"].to_pylist() == [2]


def test_a_second_lake_in_the_same_place_is_refused(tmp_path, catalog) -> None:
    lp.create(tmp_path / "lake", catalog=catalog).close()

    for folder in ("lake", "other"):
        with pytest.raises(lp.AlreadyExistsError):
            lp.create(tmp_path / folder, catalog=catalog)


def test_a_wrong_address_makes_no_lake(tmp_path, catalog, new_schema) -> None:
    with lp.create(tmp_path / "lake", catalog=catalog) as lake:
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((0, 1)))

    with pytest.raises(lp.LakeNotFoundError):
        lp.connect(tmp_path / "lake", catalog=new_schema())
    with pytest.raises(lp.LakeNotFoundError):
        lp.connect(tmp_path / "typo", catalog=catalog)

    assert not (tmp_path / "typo").exists()


def test_the_catalog_of_another_lake_is_refused(tmp_path, catalog, new_schema) -> None:
    other = new_schema()
    lp.create(tmp_path / "lake", catalog=catalog).close()
    lp.create(tmp_path / "other", catalog=other).close()

    with pytest.raises(lp.CatalogError) as caught:
        lp.connect(tmp_path / "lake", catalog=other)

    assert caught.value.code is lp.ErrorCode.WRONG_CATALOG


def test_the_environment_names_the_catalog(tmp_path, catalog, monkeypatch) -> None:
    lp.create(tmp_path / "lake", catalog=catalog).close()
    monkeypatch.setenv("LAKEPART_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKEPART_CATALOG", catalog)

    with lp.connect() as lake:
        assert lake.assets() == []


def test_an_engine_and_a_function_give_connections_too(tmp_path, postgresql, catalog) -> None:
    schema = catalog.rpartition("=")[2]
    made = []

    def connect() -> psycopg.Connection[Any]:
        made.append(1)
        return psycopg.connect(postgresql)

    engine = create_engine(
        "postgresql+psycopg://", creator=connect, execution_options={"schema_translate_map": {None: schema}}
    )
    with lp.create(tmp_path / "lake", catalog=engine) as lake:
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((0, 1)))
    with lp.connect(tmp_path / "lake", catalog=catalog) as lake:
        assert values(lake.asset("numbers")) == [1]
    with lp.create(tmp_path / "by-function", catalog=connect) as lake:
        assert lake.assets() == []

    assert len(made) >= 2
    engine.dispose()
    query_postgresql(catalog, "DROP SCHEMA lakepart CASCADE")


def test_an_engine_of_another_database_is_refused(tmp_path) -> None:
    with pytest.raises(lp.InvalidInputError, match="cannot hold a catalog"):
        lp.create(tmp_path / "lake", catalog=create_engine("sqlite://"))


def test_what_gives_no_connection_of_psycopg_is_refused(tmp_path) -> None:
    with pytest.raises(lp.InvalidInputError, match="psycopg 3"):
        lp.create(tmp_path / "lake", catalog=object)


@pytest.mark.parametrize("schema", ["", "a b", 'x"; DROP TABLE head; --', "pg_catalog", "é", "x" * 64])
def test_a_schema_of_another_kind_of_name_is_refused(tmp_path, postgresql, schema) -> None:
    from urllib.parse import quote

    with pytest.raises(lp.InvalidInputError, match="schema"):
        lp.create(tmp_path / "lake", catalog=f"{postgresql}&schema={quote(schema)}")


def test_handles_travel_and_are_opened_with_the_credentials_found_there(tmp_path, catalog) -> None:
    with lp.create(tmp_path / "lake", catalog=catalog.replace("postgres?", "postgres?password=s3cr3t&")) as lake:
        numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
        numbers.write(frame((0, 1)))
        pickled = pickle.dumps(numbers)

    assert b"s3cr3t" not in pickled
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer).to_arrow()['value'].to_pylist())"
    told = subprocess.run([sys.executable, "-c", script], input=pickled, capture_output=True, check=True)
    assert told.stdout.split() == [b"[1]"]


def test_a_handle_of_an_engine_or_function_needs_the_environment_to_travel(
    tmp_path, postgresql, catalog, monkeypatch
) -> None:
    schema = catalog.rpartition("=")[2]
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(postgresql),
        execution_options={"schema_translate_map": {None: schema}},
    )
    with lp.create(tmp_path / "lake", catalog=engine) as lake:
        pickled = pickle.dumps(lake)
    engine.dispose()

    with pytest.raises(lp.StateError, match="LAKEPART_CATALOG"):
        pickle.loads(pickled)
    monkeypatch.setenv("LAKEPART_CATALOG", catalog)
    with pickle.loads(pickled) as found:
        assert found.assets() == []


def test_a_password_is_nowhere_to_be_seen(tmp_path, postgresql, catalog, caplog) -> None:
    from urllib.parse import quote

    caplog.set_level(logging.DEBUG)
    secret = quote(PASSWORD, safe="")
    good = catalog.replace("postgres?", f"postgres?password={secret}&")
    seen = []
    with lp.create(tmp_path / "lake", catalog=good) as lake:
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((0, 1)))
        context = lake._home.context
        seen += [repr(thing) for thing in (lake, lake._home, context, context.database, context.database.backend)]
        seen += [repr(vars(context.database.backend)), pickle.dumps(lake).decode("latin-1")]
    bad = [
        f"postgresql://ann:{secret}@127.0.0.1:1/db?connect_timeout=1",
        f"postgresql://ann:{secret}@host:port:port/db",
        f"postgresql://ann:{secret}@host/db?nonsense=1",
        f"mysql://ann:{secret}@host/db",
        good.replace("postgres?", "absent?"),
    ]
    for address in bad:
        with pytest.raises(lp.LakepartError) as caught:
            lp.connect(tmp_path / "lake", catalog=address)
        error = caught.value
        seen += [str(error), repr(error), repr(error.context), "".join(traceback.format_exception(error))]
    seen += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for (table,) in query_postgresql(catalog, "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
        seen.append(repr(query_postgresql(catalog, f"SELECT * FROM {table}")))
    seen.append(caplog.text)

    shown = [text for text in seen if PASSWORD in text or secret in text]

    assert shown == []
    assert len(list(Path(tmp_path).rglob("*.parquet"))) == 1


def test_a_server_that_does_not_answer_is_an_error_that_may_be_tried_again(tmp_path) -> None:
    with pytest.raises(lp.CatalogError, match="cannot be reached") as caught:
        lp.create(tmp_path / "lake", catalog="postgresql://127.0.0.1:1/db?connect_timeout=1")

    assert (caught.value.code, caught.value.retryable) == (lp.ErrorCode.CATALOG_UNREACHABLE, True)


def test_a_reader_with_select_alone_reads_and_writes_nothing(tmp_path, catalog) -> None:
    schema = catalog.rpartition("=")[2]
    with lp.create(tmp_path / "lake", catalog=catalog) as lake:
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((0, 1)))
        manifests = query_catalog(lake, "SELECT count(*) FROM snapshot WHERE manifested = 0")
    query_postgresql(catalog, f"CREATE ROLE select_{schema} LOGIN")
    query_postgresql(catalog, f"GRANT USAGE ON SCHEMA {schema} TO select_{schema}")
    query_postgresql(catalog, f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO select_{schema}")
    reader = catalog.replace("user=postgres", f"user=select_{schema}")

    with lp.connect(tmp_path / "lake", catalog=reader, read_only=True) as lake:
        numbers = lake.asset("numbers")
        assert values(numbers) == [1]
        assert numbers.status()["state"].tolist()[0] == "fresh"
        assert len(numbers.history()) == 1
        assert lake.check() == []
        with pytest.raises(lp.StateError):
            numbers.write(frame((0, 2)), "2024-01-01")
    with lp.connect(tmp_path / "lake", catalog=reader) as lake, pytest.raises(lp.StorageError) as caught:
        lake.asset("numbers").write(frame((0, 2)), "2024-01-01")

    assert caught.value.code is lp.ErrorCode.PERMISSION
    assert "postgresql.md" in str(caught.value)
    assert manifests == [(0,)]


def test_the_roles_of_the_documentation_have_the_rights_they_need(tmp_path, postgresql) -> None:
    page = Path(__file__).parents[2] / "docs" / "postgresql.md"
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[0])
    owner, writer, reader = (postgresql.replace("user=postgres", f"user=lake_{role}") for role in ROLES)

    with lp.create(tmp_path / "lake", catalog=owner) as lake:
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    with lp.connect(tmp_path / "lake", catalog=writer) as lake:
        numbers = lake.asset("numbers")
        numbers.write(frame((0, 1)))
        numbers["2024-01-01"].demote("cold", progress=False)
        lake.create_branch("draft").discard()
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
    with lp.connect(tmp_path / "lake", catalog=reader, read_only=True) as lake:
        assert values(lake.asset("numbers")) == [1]
        assert lake.check() == []
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute("DROP SCHEMA lakepart CASCADE")


# Clocks of two machines


class OfAnotherClock(PostgresqlBackend):
    """A server of which this machine thinks that its clock differs from its own."""

    ahead = timedelta(0)

    def skew_us(self, connection: Any) -> int:
        assert abs(super().skew_us(connection)) < 60_000_000  # the test and its server are on one machine
        return self.ahead // timedelta(microseconds=1)


def on_a_machine(lake: lp.Lake, catalog: str, *, ahead_of_all: timedelta) -> lp.Lake:
    """Open a lake on a machine whose clock is wrong by that much; the server's and everybody else's are right."""
    backend = OfAnotherClock(catalog, read_only=False, lock_wait_s=60)
    backend.ahead = -ahead_of_all
    clock = FrozenClock(clock_of(lake)() + ahead_of_all)
    context = lake._home.context
    database = Database.open(backend, clock=clock)
    return lp.Lake(replace(lake._home, context=replace(context, database=database, clock=clock)))


@pytest.mark.parametrize("is_seen", [True, False], ids=["while a read ends", "seen by nobody"])
def test_an_interrupt_leaves_no_answer_to_whoever_asks_next(tmp_path, catalog, monkeypatch, is_seen) -> None:
    lake = frozen_lake(tmp_path / "lake", catalog=catalog)
    rollback = psycopg.Connection.rollback

    def interrupted(connection: psycopg.Connection[Any]) -> None:
        monkeypatch.undo()
        if not is_seen:
            rollback(connection)
        connection.pgconn.send_query(b"ROLLBACK")
        if is_seen:
            raise KeyboardInterrupt

    monkeypatch.setattr(psycopg.Connection, "rollback", interrupted)
    with pytest.raises(KeyboardInterrupt) if is_seen else nullcontext():
        lake.assets()

    assert lake.assets() == []


def test_a_machine_whose_clock_is_days_ahead_takes_nothing_for_old(tmp_path, catalog) -> None:
    lake = frozen_lake(tmp_path / "lake", catalog=catalog)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((0, 1), (1, 2)))
    numbers.write(frame((0, 10)), "2024-01-01")
    numbers["2024-01-02"].demote("cold", progress=False)
    ahead = on_a_machine(lake, catalog, ahead_of_all=timedelta(days=30))

    def write_slowly() -> Any:
        yield "2024-01-03", frame((2, 3))
        ahead.vacuum(progress=False)
        ahead.check(fix=True)

    before = files_of(lake.url)
    assert (ahead.plan_vacuum().versions, ahead.plan_vacuum().files) == (0, ())
    numbers.write(write_slowly())

    assert values(numbers) == [10, 2, 3]
    assert values(lake.at(1).asset("numbers")) == [1, 2]
    assert set(before) <= set(files_of(lake.url))


def test_what_a_machine_gives_up_whose_clock_is_days_behind_looks_old_to_nobody(tmp_path, catalog) -> None:
    lake = frozen_lake(tmp_path / "lake", catalog=catalog)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((0, 1), (1, 2)))
    clock_of(lake).advance(timedelta(days=30))
    behind = on_a_machine(lake, catalog, ahead_of_all=timedelta(days=-20))

    behind.asset("numbers")["2024-01-01"].demote("cold", progress=False)

    assert lake.plan_vacuum().files == ()
    clock_of(lake).advance(timedelta(days=2))
    assert len(lake.plan_vacuum().files) == 1
