"""Rows that no commit brings say after which snapshot they changed, so that manifests can carry them.

Which branch a snapshot published is found by an index.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INDEXED = ("branch", "asset", "partition_key", "schema")


def upgrade() -> None:
    for table in ("tier", *INDEXED):
        op.add_column(table, sa.Column("changed", BIG, server_default=sa.text("0"), nullable=False))
        # the next manifest is the first that carries them
        op.execute(f"UPDATE {table} SET changed = (SELECT snapshot FROM head)")
    for table in INDEXED:
        op.create_index(f"ix_{table}_changed", table, ["changed"], unique=False)
    op.create_index(
        "ix_branch_published_as",
        "branch",
        ["published_as"],
        unique=False,
        sqlite_where=sa.text("published_as IS NOT NULL"),
        postgresql_where=sa.text("published_as IS NOT NULL"),
    )
    op.add_column("version", sa.Column("marked", BIG))
    op.execute("UPDATE version SET marked = (SELECT snapshot FROM head) WHERE stale_mark IS NOT NULL")
    op.create_index(
        "ix_version_marked",
        "version",
        ["marked"],
        unique=False,
        sqlite_where=sa.text("marked IS NOT NULL"),
        postgresql_where=sa.text("marked IS NOT NULL"),
    )
