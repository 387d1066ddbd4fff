"""Noting how a campaign goes costs the same however many targets it has: every target is found by a key."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import event

import lakepart as lp
from lakepart.catalog import campaigns
from lakepart.catalog.database import Database
from lakepart.catalog.declaring import declare_asset
from lakepart.catalog.manifests import manifest_of, unmanifested
from lakepart.engine.order_inputs import read_inputs
from lakepart.model.catalog_records import TargetOutcome
from lakepart.model.plans import Target
from lakepart.model.records import TierRecord
from lakepart.model.states import TargetState
from lakepart.testing.clocks import FrozenClock

CLOCK = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))


@pytest.fixture
def database(tmp_path):
    tiers = [TierRecord("hot", "hot")]
    with Database.create(tmp_path / "catalog.db", lake_id="lake", clock=CLOCK, tiers=tiers) as database:
        declare_asset(database, "flights", {"kind": "daily"})
        yield database


@pytest.fixture
def plans(database):
    """Collects how SQLite answers each statement."""
    collected = []

    def note(connection, cursor, statement, parameters, context, many):
        driver = connection.connection.driver_connection
        rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters[0] if many else parameters)
        collected.extend(row[3] for row in rows)

    event.listen(database.engine, "before_cursor_execute", note)
    yield collected
    event.remove(database.engine, "before_cursor_execute", note)


def test_starting_and_finishing_orders_looks_targets_up_by_key(database, plans):
    targets = [Target(f"k{number}", number, number, "missing", None) for number in range(8)]
    record = campaigns.open_backfill(database, "all", asset_id=1, branch=0, plan={}, targets=targets, driver="us")
    plans.clear()

    campaigns.start_attempts(database, record.backfill_id, record.epoch, [3, 4])
    campaigns.finish_targets(
        database, record.backfill_id, record.epoch, [TargetOutcome(3, TargetState.FAILED, "E", "no")]
    )

    of_targets = [step for step in plans if "backfill_target" in step or "backfill_attempt" in step]
    assert of_targets
    assert [step for step in of_targets if "order_no=?" not in step and "ordinal=?" not in step] == []


def test_missing_manifests_are_found_by_their_index(database, plans):
    with database.reading() as connection:
        unmanifested(connection)
        unmanifested(connection, own=7, before_us=1)

    assert plans == 2 * ["SCAN snapshot USING INDEX ix_snapshot_unmanifested"]


def test_a_manifest_scans_no_table(database, plans):
    with database.reading() as connection:
        manifest_of(connection, 0)

    scanned = {step for step in plans if step.startswith("SCAN ") and "INDEX" not in step and "CONSTANT" not in step}
    assert scanned == {"SCAN lake", "SCAN head", "SCAN tier"}  # of one row, or of a few


def test_an_order_that_reads_nothing_asks_the_catalog_nothing(tmp_path):
    with lp.create(tmp_path / "lake") as lake:
        home = lake.asset("days", partitions=lp.Daily("2024-01-01"))._home
        begun = []
        event.listen(home.context.database.engine, "begin", begun.append)

        inputs = read_inputs(home.context, home.view, {}, {}, lp.Daily("2024-01-01"), [7, 8], CLOCK())

    assert begun == []
    assert inputs.lineage == {7: (), 8: ()}
