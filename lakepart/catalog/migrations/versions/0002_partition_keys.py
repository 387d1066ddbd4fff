"""Keys of dynamic dimensions are kept, with the ids that they got at first sight."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "partition_key",
        sa.Column("asset_id", BIG, autoincrement=False, nullable=False),
        sa.Column("dimension", TEXT, nullable=False),
        sa.Column("id", BIG, autoincrement=False, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("visible", sa.Integer(), nullable=False),
        sa.Column("expected_us", BIG, nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_partition_key_asset_id")),
        sa.PrimaryKeyConstraint("asset_id", "dimension", "id", name=op.f("pk_partition_key")),
        sa.UniqueConstraint("asset_id", "dimension", "key", name=op.f("uq_partition_key_asset_id_dimension_key")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
