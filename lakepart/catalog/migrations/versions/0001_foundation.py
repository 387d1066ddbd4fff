"""The tables of the first release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "asset",
        sa.Column("asset_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("definition", TEXT, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.Column("schema_id", BIG, nullable=True),
        sa.Column("options", TEXT, nullable=False),
        sa.Column("producer_code_version", TEXT, nullable=True),
        sa.Column("producer_inputs", TEXT, nullable=True),
        sa.Column("producer_function", TEXT, nullable=True),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("asset_id", name=op.f("pk_asset")),
        sa.UniqueConstraint("name", name=op.f("uq_asset_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "branch",
        sa.Column("branch_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("fork", BIG, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.Column("closed_at_us", BIG, nullable=True),
        sa.Column("published_as", BIG, nullable=True),
        sa.PrimaryKeyConstraint("branch_id", name=op.f("pk_branch")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_branch_open_name",
        "branch",
        ["name"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "head",
        sa.Column("singleton", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("snapshot", BIG, nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("horizon", BIG, nullable=False),
        sa.Column("next_version_id", BIG, nullable=False),
        sa.Column("next_file_id", BIG, nullable=False),
        sa.Column("next_id", BIG, nullable=False),
        sa.CheckConstraint("singleton = 1", name=op.f("ck_head_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_head")),
        sqlite_strict=True,
    )
    op.create_table(
        "intent",
        sa.Column("intent_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("began_us", BIG, nullable=False),
        sa.Column("renewed_us", BIG, nullable=False),
        sa.PrimaryKeyConstraint("intent_id", name=op.f("pk_intent")),
        sqlite_strict=True,
    )
    op.create_table(
        "lake",
        sa.Column("singleton", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lake_id", TEXT, nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.CheckConstraint("singleton = 1", name=op.f("ck_lake_one_row")),
        sa.PrimaryKeyConstraint("singleton", name=op.f("pk_lake")),
        sqlite_strict=True,
    )
    op.create_table(
        "tier",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("root", TEXT, nullable=False),
        sa.Column("storage_class", TEXT, nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tier")),
        sqlite_strict=True,
    )
    op.create_table(
        "backfill",
        sa.Column("backfill_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("asset_id", BIG, nullable=False),
        sa.Column("branch_id", BIG, nullable=False),
        sa.Column("staging_branch_id", BIG, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("plan", TEXT, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.Column("heartbeat_us", BIG, nullable=False),
        sa.Column("closed_at_us", BIG, nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_backfill_asset_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.branch_id"], name=op.f("fk_backfill_branch_id")),
        sa.ForeignKeyConstraint(
            ["staging_branch_id"], ["branch.branch_id"], name=op.f("fk_backfill_staging_branch_id")
        ),
        sa.PrimaryKeyConstraint("backfill_id", name=op.f("pk_backfill")),
        sa.UniqueConstraint("name", name=op.f("uq_backfill_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "move",
        sa.Column("move_id", BIG, autoincrement=False, nullable=False),
        sa.Column("asset_id", BIG, nullable=False),
        sa.Column("branch_id", BIG, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("ordinal", BIG, nullable=False),
        sa.Column("to_tier", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("fence", BIG, nullable=False),
        sa.Column("lease_until_us", BIG, nullable=False),
        sa.Column("created_at_us", BIG, nullable=False),
        sa.Column("closed_at_us", BIG, nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_move_asset_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.branch_id"], name=op.f("fk_move_branch_id")),
        sa.ForeignKeyConstraint(["to_tier"], ["tier.name"], name=op.f("fk_move_to_tier")),
        sa.PrimaryKeyConstraint("move_id", name=op.f("pk_move")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_move_open",
        "move",
        ["asset_id", "branch_id", "ordinal"],
        unique=True,
        sqlite_where=sa.text("closed_at_us IS NULL"),
        postgresql_where=sa.text("closed_at_us IS NULL"),
    )
    op.create_table(
        "schema",
        sa.Column("schema_id", BIG, autoincrement=False, nullable=False),
        sa.Column("asset_id", BIG, nullable=False),
        sa.Column("arrow_schema", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_schema_asset_id")),
        sa.PrimaryKeyConstraint("schema_id", name=op.f("pk_schema")),
        sqlite_strict=True,
    )
    op.create_table(
        "snapshot",
        sa.Column("snapshot", BIG, autoincrement=False, nullable=False),
        sa.Column("at_us", BIG, nullable=False),
        sa.Column("branch_id", BIG, nullable=False),
        sa.Column("token", TEXT, nullable=False),
        sa.Column("operation", TEXT, nullable=False),
        sa.Column("author", TEXT, nullable=True),
        sa.Column("message", TEXT, nullable=True),
        sa.Column("metadata", TEXT, nullable=False),
        sa.Column("partitions", BIG, nullable=False),
        sa.Column("rows", BIG, nullable=False),
        sa.Column("bytes", BIG, nullable=False),
        sa.Column("files", BIG, nullable=False),
        sa.Column("manifested", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.branch_id"], name=op.f("fk_snapshot_branch_id")),
        sa.PrimaryKeyConstraint("snapshot", name=op.f("pk_snapshot")),
        sa.UniqueConstraint("at_us", name=op.f("uq_snapshot_at_us")),
        sa.UniqueConstraint("token", name=op.f("uq_snapshot_token")),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_snapshot_unmanifested",
        "snapshot",
        ["snapshot"],
        unique=False,
        sqlite_where=sa.text("manifested = 0"),
        postgresql_where=sa.text("manifested = 0"),
    )
    op.create_table(
        "version",
        sa.Column("version_id", BIG, autoincrement=False, nullable=False),
        sa.Column("asset_id", BIG, nullable=False),
        sa.Column("branch_id", BIG, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("ordinal", BIG, nullable=False),
        sa.Column("content_id", TEXT, nullable=True),
        sa.Column("base_content_id", TEXT, nullable=True),
        sa.Column("began", BIG, nullable=False),
        sa.Column("ended", BIG, nullable=True),
        sa.Column("row_count", BIG, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("file_count", BIG, nullable=False),
        sa.Column("code_version", TEXT, nullable=True),
        sa.Column("written_at_us", BIG, nullable=False),
        sa.Column("stale_mark", TEXT),
        sa.ForeignKeyConstraint(["asset_id"], ["asset.asset_id"], name=op.f("fk_version_asset_id")),
        sa.ForeignKeyConstraint(["branch_id"], ["branch.branch_id"], name=op.f("fk_version_branch_id")),
        sa.PrimaryKeyConstraint("version_id", name=op.f("pk_version")),
        sqlite_strict=True,
    )
    op.create_index("ix_version_began", "version", ["began"], unique=False)
    op.create_index(
        "ix_version_ended",
        "version",
        ["ended"],
        unique=False,
        sqlite_where=sa.text("ended IS NOT NULL"),
        postgresql_where=sa.text("ended IS NOT NULL"),
    )
    op.create_index(
        "ix_version_past",
        "version",
        ["asset_id", "branch_id", "ordinal", "ended"],
        unique=False,
        sqlite_where=sa.text("ended IS NOT NULL"),
        postgresql_where=sa.text("ended IS NOT NULL"),
    )
    op.create_index(
        "ix_version_present",
        "version",
        ["asset_id", "branch_id", "ordinal"],
        unique=True,
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_table(
        "backfill_attempt",
        sa.Column("backfill_id", BIG, autoincrement=False, nullable=False),
        sa.Column("order_no", BIG, autoincrement=False, nullable=False),
        sa.Column("number", BIG, autoincrement=False, nullable=False),
        sa.Column("epoch", BIG, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("began_us", BIG, nullable=False),
        sa.Column("ended_us", BIG, nullable=True),
        sa.Column("error_type", TEXT, nullable=True),
        sa.Column("error_message", TEXT, nullable=True),
        sa.ForeignKeyConstraint(
            ["backfill_id"], ["backfill.backfill_id"], name=op.f("fk_backfill_attempt_backfill_id")
        ),
        sa.PrimaryKeyConstraint("backfill_id", "order_no", "number", name=op.f("pk_backfill_attempt")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "backfill_target",
        sa.Column("backfill_id", BIG, autoincrement=False, nullable=False),
        sa.Column("order_no", BIG, autoincrement=False, nullable=False),
        sa.Column("ordinal", BIG, autoincrement=False, nullable=False),
        sa.Column("asset_id", BIG, nullable=False),
        sa.Column("branch_id", BIG, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("expected_content_id", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("changed_us", BIG, nullable=False),
        sa.Column("error_type", TEXT, nullable=True),
        sa.Column("error_message", TEXT, nullable=True),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfill.backfill_id"], name=op.f("fk_backfill_target_backfill_id")),
        sa.PrimaryKeyConstraint("backfill_id", "order_no", "ordinal", name=op.f("pk_backfill_target")),
        sa.UniqueConstraint("backfill_id", "ordinal", name=op.f("uq_backfill_target_backfill_id_ordinal")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_backfill_target_work",
        "backfill_target",
        ["asset_id", "branch_id", "ordinal"],
        unique=False,
        sqlite_where=sa.text("state IN ('running', 'failed')"),
        postgresql_where=sa.text("state IN ('running', 'failed')"),
    )
    op.create_table(
        "file",
        sa.Column("file_id", BIG, autoincrement=False, nullable=False),
        sa.Column("schema_id", BIG, nullable=False),
        sa.Column("began", BIG, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("row_count", BIG, nullable=False),
        sa.Column("row_groups", BIG, nullable=False),
        sa.Column("footer_bytes", BIG, nullable=False),
        sa.Column("checksum", TEXT, nullable=False),
        sa.Column("data_digest", TEXT, nullable=False),
        sa.Column("statistics", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["schema_id"], ["schema.schema_id"], name=op.f("fk_file_schema_id")),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_file")),
        sqlite_strict=True,
    )
    op.create_table(
        "version_input",
        sa.Column("version_id", BIG, autoincrement=False, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("input_asset_id", BIG, nullable=False),
        sa.Column("mapping", TEXT, nullable=False),
        sa.Column("selection", TEXT, nullable=False),
        sa.Column("snapshot", BIG, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["input_asset_id"], ["asset.asset_id"], name=op.f("fk_version_input_input_asset_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.version_id"], name=op.f("fk_version_input_version_id")),
        sa.PrimaryKeyConstraint("version_id", "name", name=op.f("pk_version_input")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "copy",
        sa.Column("file_id", BIG, autoincrement=False, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("owned", sa.Integer(), nullable=False),
        sa.Column("since_us", BIG, nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"], name=op.f("fk_copy_file_id")),
        sa.ForeignKeyConstraint(["tier"], ["tier.name"], name=op.f("fk_copy_tier")),
        sa.PrimaryKeyConstraint("file_id", "tier", name=op.f("pk_copy")),
        sa.UniqueConstraint("tier", "path", name=op.f("uq_copy_tier_path")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_copy_not_live",
        "copy",
        ["since_us"],
        unique=False,
        sqlite_where=sa.text("state <> 'live'"),
        postgresql_where=sa.text("state <> 'live'"),
    )
    op.create_table(
        "move_file",
        sa.Column("move_id", BIG, autoincrement=False, nullable=False),
        sa.Column("file_id", BIG, autoincrement=False, nullable=False),
        sa.Column("from_tier", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"], name=op.f("fk_move_file_file_id")),
        sa.ForeignKeyConstraint(["move_id"], ["move.move_id"], name=op.f("fk_move_file_move_id")),
        sa.PrimaryKeyConstraint("move_id", "file_id", name=op.f("pk_move_file")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_move_file_file_id", "move_file", ["file_id"], unique=False)
    op.create_table(
        "version_file",
        sa.Column("version_id", BIG, autoincrement=False, nullable=False),
        sa.Column("position", BIG, autoincrement=False, nullable=False),
        sa.Column("file_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(["file_id"], ["file.file_id"], name=op.f("fk_version_file_file_id")),
        sa.ForeignKeyConstraint(["version_id"], ["version.version_id"], name=op.f("fk_version_file_version_id")),
        sa.PrimaryKeyConstraint("version_id", "position", name=op.f("pk_version_file")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_version_file_file_id", "version_file", ["file_id"], unique=False)
