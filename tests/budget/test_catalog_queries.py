from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event

from lakepart.catalog.committing import commit
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import create_branch, declare_asset
from lakepart.catalog.forgetting import Retention, count_forgettable, forget_versions
from lakepart.catalog.lookups import find_asset_state
from lakepart.catalog.reading import contents, find_files, find_inputs, find_versions, find_work, history, tiers_of
from lakepart.catalog.scopes import Scope
from lakepart.model.records import (
    MAIN,
    AssetGuard,
    Change,
    ChangeKind,
    CommitRequest,
    InputRecord,
    NewFile,
    TierRecord,
)
from lakepart.testing.clocks import FrozenClock

CLOCK = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))


def changes(ordinals, token, kind=ChangeKind.REPLACE):
    inputs = (InputRecord("raw", "flights", {}, "*", 0, "digest"),)
    return tuple(
        Change(
            1,
            f"k{ordinal}",
            ordinal,
            kind,
            (NewFile("hot", f"{token}-{ordinal}.parquet", 1, 1, 1, "c", "d"),),
            inputs=inputs,
        )
        for ordinal in ordinals
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("lake") / "catalog.db"
    with Database.create(path, lake_id="lake", clock=CLOCK, tiers=[TierRecord("hot", "hot")]) as database:
        declare_asset(database, "flights", {"kind": "daily"})
        guards = (AssetGuard(1, 1, b"schema"),)
        commit(database, CommitRequest("first", "write", changes(range(3000), "first"), guards))
        create_branch(database, "try")
    return path


@contextmanager
def counted(database):
    statements = []

    def note(connection, cursor, statement, parameters, context, many):
        statements.append((statement, parameters, connection.connection.driver_connection))

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


class CountedDatabase(Database):
    """Counts from its first connection on."""

    def _attach(self):
        super()._attach()
        self.statements = []
        event.listen(
            self._engine, "before_cursor_execute", lambda _c, _u, statement, *_: self.statements.append(statement)
        )


def test_opening_a_lake_and_planning_a_read_takes_four_statements(path):
    with CountedDatabase.open(path, clock=CLOCK) as database:
        with database.reading() as connection:
            state = find_asset_state(connection, "flights")
            scope = Scope(state.asset.asset_id, MAIN)
            versions = find_versions(connection, scope, [(100, 129)])
            files = find_files(connection, scope, [(100, 129)])

        assert (len(versions), len(files)) == (30, 30)
        assert len(database.statements) == 4


def tier_pairs(connection, scope, ranges):
    return list(zip(*tiers_of(connection, scope, ranges), strict=True))


@pytest.mark.parametrize("question", [find_versions, find_files, find_inputs, contents, tier_pairs])
@pytest.mark.parametrize("ranges", [[(5, 5)], [(0, 2999)], [(one, one) for one in range(0, 3000, 2)]], ids=len)
def test_a_question_is_one_statement_whatever_it_asks_for(path, question, ranges):
    with Database.open(path, clock=CLOCK) as database, counted(database) as statements:  # noqa: SIM117 - opened first
        with database.reading() as connection:
            found = question(connection, Scope(1, MAIN), ranges)

    assert len(found) == sum(high - low + 1 for low, high in ranges)
    assert len(statements) == 1


@pytest.mark.parametrize("kind", list(ChangeKind)[:2])
def test_a_commit_takes_the_same_statements_for_one_partition_as_for_a_thousand(path, tmp_path, kind):
    copy = tmp_path / "catalog.db"
    copy.write_bytes(path.read_bytes())
    with Database.open(copy, clock=CLOCK) as database:
        taken = []
        for ordinals in ([7], range(1000)):
            token = f"{kind}-{len(ordinals)}"
            with counted(database) as statements:
                commit(database, CommitRequest(token, "write", changes(ordinals, token, kind), (AssetGuard(1, 2),)))
            taken.append(len(statements))

    assert taken[0] == taken[1] <= 13


@pytest.mark.parametrize("snapshot", [None, 1])
@pytest.mark.parametrize(
    "ranges",
    [
        [(5, 9)],
        [(5, 9), (20, 29)],
        [(0, 2999, 0, 7, 1, 3)],
        [(0, 99, 0, 7, 1, 3), (200, 299, 3, 7, 0, 0, 0, 7, 1, 1)],
    ],
    ids=lambda ranges: f"{len(ranges)}-{max(map(len, ranges))}",
)
@pytest.mark.parametrize("branch_name", ["main", "try"])
def test_versions_are_found_by_an_index_on_the_partitions_asked_for(path, snapshot, ranges, branch_name):
    with Database.open(path, clock=CLOCK) as database, counted(database) as statements:
        branch = MAIN if branch_name == "main" else create_branch_record(database)
        with database.reading() as connection:
            scope = Scope(1, branch, snapshot)
            for question in (find_versions, find_files, find_inputs, tiers_of):
                question(connection, scope, ranges)
            history(connection, 1, ranges, branch)
            find_work(connection, 1, 0, ranges)
            plans = [
                [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
                for statement, parameters, driver in statements
                if "version" in statement or "backfill_target" in statement
            ]

    assert len(plans) == 6
    for plan in plans:
        scans = [step for step in plan if step.startswith("SCAN") and "wanted" not in step and "seen" not in step]
        assert scans == []
        lookups = [step for step in plan if "ordinal>? AND ordinal<?" in step]
        assert lookups
    if snapshot is None and branch_name == "main":
        lookups = [step for plan in plans[:4] for step in plan if step.startswith("SEARCH version USING")]
        assert [step for step in lookups if "ix_version_present" not in step] == []
    assert "ix_backfill_target_work" in " ".join(plans[5])


def test_forgetting_asks_the_same_for_thousands_of_retentions_as_for_one(path, tmp_path):
    copy = tmp_path / "catalog.db"
    copy.write_bytes(path.read_bytes())
    with Database.open(copy, clock=CLOCK) as database:
        asked, parameters = [], []
        for assets in (1, 3000):
            retention = Retention(database.now_us(), {asset_id: asset_id for asset_id in range(1, assets + 1)})
            with counted(database) as statements:
                forget_versions(database, retention)
                with database.reading() as connection:
                    count_forgettable(connection, retention)
            asked.append([statement for statement, _, _ in statements])
            parameters.append(max(len(str(given)) for _, given, _ in statements))

    assert asked[0] == asked[1]
    assert len(asked[0]) == 4 + 4  # limits, what was replaced, given up, is still to be said; and the names of assets
    assert max(map(len, asked[0])) < 2000
    assert parameters[1] < 3000 * 20  # of instants alone


def create_branch_record(database):
    from lakepart.catalog.lookups import find_branch

    with database.reading() as connection:
        return find_branch(connection, "try")
