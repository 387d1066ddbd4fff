"""Each asset says from which snapshot on vacuum has left it whole: retention may differ between assets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("asset", sa.Column("horizon", BIG, server_default=sa.text("0"), nullable=False))
    op.execute("UPDATE asset SET horizon = (SELECT horizon FROM head), changed = (SELECT snapshot FROM head)")
