"""Snapshots are named by tags."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
LIVE = sa.text("deleted = 0")


def upgrade() -> None:
    op.create_table(
        "tag",
        sa.Column("tag_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("snapshot", BIG, nullable=False),
        sa.Column("message", TEXT),
        sa.Column("author", TEXT),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.Column("noted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["snapshot"], ["snapshot.snapshot"], name=op.f("fk_tag_snapshot")),
        sa.PrimaryKeyConstraint("tag_id", name=op.f("pk_tag")),
        sqlite_strict=True,
    )
    op.create_index("ix_tag_name", "tag", ["name"], unique=True, sqlite_where=LIVE, postgresql_where=LIVE)
