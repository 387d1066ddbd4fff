"""Definitions are kept by the snapshot from which they were valid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "asset_definition",
        sa.Column("asset_id", BIG, autoincrement=False, nullable=False),
        sa.Column("began", BIG, autoincrement=False, nullable=False),
        sa.Column("definition", TEXT, nullable=False),
        sa.Column("options", TEXT, nullable=False),
        sa.Column("change", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_asset_definition_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "began", name=op.f("pk_asset_definition")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asset_definition_began", "asset_definition", ["began"], unique=False)
    op.execute(
        "INSERT INTO asset_definition (asset_id, began, definition, options, change)"
        " SELECT asset_id, 0, definition, options, 'declared' FROM asset"
    )
