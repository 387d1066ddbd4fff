"""The tables of a new catalog and its first rows."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, text

from lakepart.catalog.tables import FORMAT, branch, head, lake, metadata, snapshot, tier
from lakepart.model.records import MAIN, TierRecord

LATEST_MIGRATION = "0009"


def make_tables(connection: Connection) -> None:
    """Make the tables of the newest migration, and note that it is the newest."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(
        text(
            "CREATE TABLE alembic_version"
            " (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:newest)"), {"newest": LATEST_MIGRATION})


def fill_first_rows(connection: Connection, *, lake_id: str, created_at_us: int, tiers: Sequence[TierRecord]) -> None:
    """Write what every catalog holds from the start: its identity, its tiers, main, and snapshot 0, the empty lake."""
    connection.execute(insert(lake).values(singleton=1, lake_id=lake_id, format=FORMAT, created_at_us=created_at_us))
    connection.execute(
        insert(head).values(
            singleton=1,
            snapshot=0,
            at_us=created_at_us,
            horizon=0,
            next_version_id=1,
            next_file_id=1,
            next_id=1,
        )
    )
    connection.execute(
        insert(tier),
        [{"name": one.name, "root": one.root, "storage_class": one.storage_class, "rank": one.rank} for one in tiers],
    )
    connection.execute(
        insert(branch).values(
            branch_id=MAIN.branch_id, name=MAIN.name, fork=0, state="open", created_at_us=created_at_us
        )
    )
    connection.execute(
        insert(snapshot).values(
            snapshot=0,
            at_us=created_at_us,
            branch_id=MAIN.branch_id,
            token=lake_id,
            operation="create",
            metadata="{}",
            partitions=0,
            rows=0,
            bytes=0,
            files=0,
            manifested=1,
        )
    )
