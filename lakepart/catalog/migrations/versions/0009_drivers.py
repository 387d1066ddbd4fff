"""A backfill says who drives it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("backfill", sa.Column("driver", sa.Text(), nullable=True))
