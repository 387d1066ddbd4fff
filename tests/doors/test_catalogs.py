"""Catalogs as a whole: copied between databases without losing anything, backed up, restored, migrated."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import text

import lakepart as lp
from lakepart.catalog import migrations
from lakepart.catalog.locations import backend_for
from lakepart.catalog.tables import metadata
from lakepart.cli.app import run
from lakepart.testing import query_catalog
from lakepart.testing.oracles import query_postgresql

TABLES = [table.name for table in metadata.sorted_tables]


def frame(*pairs: tuple[int, int]) -> pa.Table:
    days = [date(2024, 1, 1) + timedelta(days=day) for day, _ in pairs]
    return pa.table({"day": days, "value": pa.array([value for _, value in pairs], pa.int64())})


@lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"}, code_version="1")
def tens(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "value", pa.array([10 * value for value in table["value"].to_pylist()], pa.int64()))


def fill(lake: lp.Lake) -> None:
    """Give a lake rows in as many tables as may be: versions, branches, backfills, moves, dynamic keys, tags."""
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((0, 1), (1, 2), (2, 3)), message="ünïcode 😀", metadata={"nul": "a\0b"})
    numbers.append(frame((0, 10)))
    lake.register(tens)["2024-01-01":"2024-01-02"].backfill(progress=False)
    lake.create_branch("draft").asset("numbers").write(frame((1, 20)), "2024-01-02")
    numbers["2024-01-01"].demote("cold", progress=False)
    lake.asset("orders", partitions=lp.Dynamic(by="customer")).write(
        pa.table({"customer": ["éa", "B", "b"], "value": [1, 2, 3]})
    )
    lake.tag("first")


def told(lake: lp.Lake) -> dict[str, Any]:
    """Say what a lake shows, now, then and on its branch."""
    numbers = lake.asset("numbers")
    return {
        "now": {asset.name: asset.to_arrow().to_pylist() for asset in lake.assets()},
        "then": lake.at(1).asset("numbers").to_arrow().to_pylist(),
        "draft": lake.branch("draft").asset("numbers").to_arrow().to_pylist(),
        "status": numbers["2024-01-01":"2024-01-03"].status().to_dict("records"),
        "history": lake.snapshots().to_dict("records"),
        "backfills": lake.backfills().to_dict("records"),
        "keys": list(lake.asset("orders").keys),
    }


def rows_of_file(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as connection:
        return {name: set(connection.execute(f'SELECT * FROM "{name}"')) for name in TABLES}


def rows_of_schema(address: str) -> dict[str, set[tuple[Any, ...]]]:
    return {name: set(query_postgresql(address, f'SELECT * FROM "{name}"')) for name in TABLES}


@pytest.fixture
def lake(tmp_path: Path) -> lp.Lake:
    lake = lp.create(tmp_path / "lake")
    fill(lake)
    return lake


def test_a_catalog_goes_to_postgresql_and_back_without_losing_anything(tmp_path, lake, new_schema) -> None:
    before, there, back = told(lake), new_schema(), tmp_path / "back.db"

    copied = lp.copy_catalog(tmp_path / "lake", there)
    with lp.connect(tmp_path / "lake", catalog=there) as moved:
        assert told(moved) == before
    returned = lp.copy_catalog(there, back)

    assert rows_of_schema(there) == rows_of_file(tmp_path / "lake" / "catalog.db") == rows_of_file(back)
    assert (copied.digest, copied.rows) == (returned.digest, returned.rows)
    assert min(copied.rows[name] for name in ("version", "branch", "backfill", "move", "partition_key", "tag")) > 0
    with lp.connect(tmp_path / "lake", catalog=f"sqlite:///{back}") as again:
        again.asset("numbers").write(frame((5, 6)))
        assert again.check() == []


def test_a_copy_is_never_made_over_a_catalog(tmp_path, lake, new_schema) -> None:
    there = new_schema()
    lp.create(tmp_path / "other", catalog=there).close()
    before = rows_of_schema(there)

    with pytest.raises(lp.AlreadyExistsError):
        lp.copy_catalog(tmp_path / "lake", there)
    with pytest.raises(lp.AlreadyExistsError):
        lp.copy_catalog(there, tmp_path / "lake")

    assert rows_of_schema(there) == before
    assert told(lake)["then"]


def test_a_copy_that_fails_leaves_nothing(tmp_path, lake, new_schema) -> None:
    there = new_schema()
    lake.close()
    with closing(sqlite3.connect(tmp_path / "lake" / "catalog.db")) as connection:
        connection.execute("UPDATE snapshot SET message = 'a' || char(0) || 'b' WHERE snapshot = 1")
        connection.commit()

    with pytest.raises(lp.InvalidInputError, match="NUL"):
        lp.copy_catalog(tmp_path / "lake", there)

    with pytest.raises(lp.LakeNotFoundError):
        lp.connect(tmp_path / "lake", catalog=there)


def test_a_copy_sees_one_state_whatever_is_committed_meanwhile(tmp_path, lake) -> None:
    from lakepart.catalog import copying

    database = lake._home.context.database
    numbers = lake.asset("numbers")
    batches = copying._batches
    written = []

    def meanwhile(connection: Any, table: Any) -> Any:
        if not written:
            written.append(numbers.write(frame((7, 8))))
        return batches(connection, table)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(copying, "_batches", meanwhile)
        copied = copying.copy_catalog(database, tmp_path / "copy.db")

    assert written[0].snapshot == copied.rows["snapshot"]  # numbered from 0, so the copy has all before it
    with lp.connect(tmp_path / "lake", catalog=f"sqlite:///{tmp_path / 'copy.db'}") as other:
        assert "2024-01-08" not in other.asset("numbers").keys


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"])
def test_a_backup_brings_a_lost_catalog_back(tmp_path, new_schema, kept_in) -> None:
    catalog = None if kept_in == "sqlite" else new_schema()
    with lp.create(tmp_path / "lake", catalog=catalog) as lake:
        fill(lake)
        before = told(lake)

    lp.backup_catalog(tmp_path / "lake", tmp_path / "backup.db", catalog=catalog)
    if catalog is None:
        for path in (tmp_path / "lake").glob("catalog.db*"):
            path.unlink()
    else:
        query_postgresql(catalog, f"DROP SCHEMA {catalog.rpartition('=')[2]} CASCADE")
    (tmp_path / "lake" / "_lakepart" / "lake.json").unlink()
    lp.restore_catalog(tmp_path / "lake", tmp_path / "backup.db", catalog=catalog)

    with lp.connect(tmp_path / "lake", catalog=catalog) as lake:
        assert told(lake) == before
        assert lake.check(checksums=True) == []


def test_the_backup_of_another_lake_is_refused(tmp_path, lake) -> None:
    lp.backup_catalog(tmp_path / "lake", tmp_path / "backup.db")
    lp.create(tmp_path / "other").close()
    (tmp_path / "other" / "catalog.db").unlink()

    with pytest.raises(lp.CatalogError) as caught:
        lp.restore_catalog(tmp_path / "other", tmp_path / "backup.db")

    assert caught.value.code is lp.ErrorCode.WRONG_CATALOG
    assert not (tmp_path / "other" / "catalog.db").exists()


def test_a_catalog_lost_in_postgresql_is_rebuilt_there_and_one_that_is_there_is_kept(tmp_path, new_schema) -> None:
    lost, there = new_schema(), new_schema()
    with lp.create(tmp_path / "lake", catalog=lost) as lake:
        fill(lake)
        before = {**told(lake), "backfills": []}  # what was under way is not recovered

    plan = lp.plan_rebuild(tmp_path / "lake", catalog=there)
    report = lp.apply_rebuild(tmp_path / "lake", plan, catalog=there)

    assert (plan.existing, report.lost, report.damaged) == ("absent", (), ())
    with lp.connect(tmp_path / "lake", catalog=there) as rebuilt:
        assert {**told(rebuilt), "backfills": []} == before
        assert rebuilt.check() == []
    with pytest.raises(lp.AlreadyExistsError, match="Nothing was changed"):
        lp.rebuild(tmp_path / "lake", catalog=there, replace=True)
    with pytest.raises(lp.InvalidInputError, match="same catalog"):
        lp.apply_rebuild(tmp_path / "lake", plan, catalog=lost)


FIRST_ROWS_OF_THE_FIRST_RELEASE = [
    "INSERT INTO lake (singleton, lake_id, format, created_at_us) VALUES (1, 'lake', 1, 0)",
    "INSERT INTO head (singleton, snapshot, at_us, horizon, next_version_id, next_file_id, next_id)"
    " VALUES (1, 0, 0, 0, 1, 1, 1)",
    "INSERT INTO tier (name, root, rank) VALUES ('hot', 'hot', 0)",
    "INSERT INTO branch (branch_id, name, fork, state, created_at_us) VALUES (0, 'main', 0, 'open', 0)",
    "INSERT INTO snapshot"
    " (snapshot, at_us, branch_id, token, operation, metadata, partitions, rows, bytes, files, manifested)"
    " VALUES (0, 0, 0, 'lake', 'create', '{}', 0, 0, 0, 0, 1)",
]


@pytest.fixture
def old(tmp_path, new_schema) -> str:
    """Give a catalog in PostgreSQL as the first release would have made it."""
    catalog = new_schema()
    backend = backend_for(catalog, read_only=False, lock_wait_s=60)

    def fill_as_then(connection: Any) -> None:
        migrations.run(connection, to="0001")
        for statement in FIRST_ROWS_OF_THE_FIRST_RELEASE:
            connection.execute(text(statement))

    backend.create(fill_as_then)
    query_postgresql(
        catalog,
        "INSERT INTO asset (asset_id, name, definition, revision, options, created_at_us)"
        """ VALUES (1, 'events', '{"version":1,"kind":"unpartitioned"}', 1, '{}', 0)""",
    )
    return catalog


def test_an_old_catalog_in_postgresql_is_migrated_when_somebody_says_so(tmp_path, old) -> None:
    with pytest.raises(lp.CatalogError, match="catalog migrate") as caught:
        lp.connect(tmp_path / "lake", catalog=old)
    plan = lp.plan_migration(tmp_path / "lake", catalog=old)
    unchanged = query_postgresql(old, "SELECT version_num FROM alembic_version")

    done = lp.migrate_catalog(tmp_path / "lake", catalog=old)

    assert caught.value.code is lp.ErrorCode.CATALOG_TOO_OLD
    assert unchanged == [("0001",)]
    assert done == plan
    assert [number for number, _ in plan.pending][:2] == ["0002", "0003"]
    newest = migrations.scripts().get_current_head()
    assert query_postgresql(old, "SELECT version_num FROM alembic_version") == [(newest,)]
    assert lp.plan_migration(tmp_path / "lake", catalog=old).is_empty
    with lp.connect(tmp_path / "lake", catalog=old) as lake:
        lake.asset("events").write(pa.table({"value": [1]}))
        assert lake.check() == []


def test_a_migration_that_fails_changes_nothing(tmp_path, old) -> None:
    query_postgresql(old, "CREATE TABLE asset_definition (in_the_way text)")

    with pytest.raises(lp.CatalogError):
        lp.migrate_catalog(tmp_path / "lake", catalog=old)

    assert query_postgresql(old, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert query_postgresql(old, "SELECT to_regclass('partition_key')") == [(None,)]


def test_the_command_line_migrates_only_when_told_to(tmp_path, old, capsys, monkeypatch) -> None:
    monkeypatch.setenv("LAKEPART_CATALOG", old)
    address = str(tmp_path / "lake")

    planned = run(["catalog", "migrate", address, "--json"])
    plan = json.loads(capsys.readouterr().out)
    applied = run(["catalog", "migrate", address, "--apply"])
    said = capsys.readouterr().out
    again = run(["catalog", "migrate", address])

    assert (planned, applied, again) == (5, 0, 0)
    assert plan["plan"]["found"] == "0001"
    assert "up to date" in said
    assert run(["assets", address]) == 0
    assert run(["catalog", "migrate", str(tmp_path / "typo"), "--catalog", "sqlite:////nowhere/c.db"]) == 3


def test_the_command_line_copies_backs_up_and_restores(tmp_path, lake, new_schema, capsys) -> None:
    there = new_schema()
    address, backup = str(tmp_path / "lake"), str(tmp_path / "backup.db")

    codes = [
        run(["catalog", "copy", address, there, "--json"]),
        run(["catalog", "copy", address, there]),
        run(["catalog", "backup", address, backup]),
    ]
    printed = capsys.readouterr()
    other = tmp_path / "restored"
    codes.append(run(["catalog", "restore", str(other), backup]))

    assert codes == [0, 4, 0, 0]
    assert json.loads(printed.out[: printed.out.index("\n}") + 2])["rows"]["tag"] == 1
    assert query_catalog(other, "SELECT count(*) FROM tag") == [(1,)]
