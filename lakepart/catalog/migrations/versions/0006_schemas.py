"""Schemas are kept by the snapshot from which they were valid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "asset_schema",
        sa.Column("asset_id", BIG, autoincrement=False, nullable=False),
        sa.Column("began", BIG, autoincrement=False, nullable=False),
        sa.Column("schema_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_asset_schema_asset_id")),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.schema_id"], name=op.f("fk_asset_schema_schema_id")),
        sa.PrimaryKeyConstraint("asset_id", "began", name=op.f("pk_asset_schema")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_asset_schema_began", "asset_schema", ["began"], unique=False)
    op.execute(
        "INSERT INTO asset_schema (asset_id, began, schema_id)"
        " SELECT asset_id, 0, schema_id FROM asset WHERE schema_id IS NOT NULL"
    )
