"""Which commits to the catalog wait for the disk."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from lakepart.catalog.database import Database
from lakepart.catalog.intents import open_intent
from lakepart.model.records import TierRecord
from lakepart.testing.clocks import FrozenClock

FULL, NORMAL = 2, 1


@pytest.fixture
def database(tmp_path):
    clock = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
    path = tmp_path / "catalog.db"
    with Database.create(path, lake_id="lake", clock=clock, tiers=[TierRecord("hot", "hot")]) as database:
        yield database


def level(connection):
    return connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


@pytest.mark.parametrize(("durable", "wanted"), [(True, FULL), (False, NORMAL)])
def test_a_commit_waits_for_the_disk_unless_it_may_be_lost(database, durable, wanted):
    with database.writing(durable=durable) as connection:
        assert level(connection) == wanted


def test_the_next_commit_of_a_connection_waits_again_even_after_a_failure(database):
    with pytest.raises(ZeroDivisionError), database.writing(durable=False):
        raise ZeroDivisionError

    with database.reading() as connection:
        assert level(connection) == FULL


def test_other_connections_see_at_once_what_did_not_wait(database):
    open_intent(database, "one", "write")

    with sqlite3.connect(database.path) as other:
        assert other.execute("SELECT intent_id FROM intent").fetchall() == [("one",)]
    other.close()
