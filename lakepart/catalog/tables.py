"""The tables of a catalog: one row of truth per partition, and what belongs to it.

Integers are 64 bits wide, instants are UTC microseconds, structured values are JSON text. Ids come from the head row,
never from a sequence, so that they are reserved under the lock that orders commits.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    select,
    text,
)

FORMAT = 1
SHOWN_WORK = "state IN ('running', 'failed')"

BIG = BigInteger().with_variant(Integer(), "sqlite")
# Keys and paths compare byte by byte; SQLite does so by itself.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _id(name: str) -> Column[int]:
    return Column(name, BIG, primary_key=True, autoincrement=False)


lake = Table(
    "lake",
    metadata,
    Column("singleton", Integer, primary_key=True, autoincrement=False),
    CheckConstraint("singleton = 1", name="one_row"),
    Column("lake_id", TEXT, nullable=False),
    Column("format", Integer, nullable=False),
    Column("created_at_us", BIG, nullable=False),
    sqlite_strict=True,
)

# Its first update in a transaction is the lock that puts commits in one order, on every database.
head = Table(
    "head",
    metadata,
    Column("singleton", Integer, primary_key=True, autoincrement=False),
    CheckConstraint("singleton = 1", name="one_row"),
    Column("snapshot", BIG, nullable=False),
    Column("at_us", BIG, nullable=False),
    Column("horizon", BIG, nullable=False),  # snapshots before this one may have lost versions to vacuum
    Column("next_version_id", BIG, nullable=False),
    Column("next_file_id", BIG, nullable=False),
    Column("next_id", BIG, nullable=False),  # assets, schemas, branches, tags, backfills, moves
    sqlite_strict=True,
)

# After which snapshot a row was written last, kept by every insert and update: what a manifest has to carry. Rows of
# tables with it are never deleted, for nothing would tell a rebuild.
_NOW = select(head.c.snapshot).scalar_subquery()


def _changed() -> Column[int]:
    return Column("changed", BIG, nullable=False, server_default=text("0"), default=_NOW, onupdate=_NOW)


tier = Table(
    "tier",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("root", TEXT, nullable=False),
    Column("storage_class", TEXT),
    Column("rank", Integer, nullable=False),
    _changed(),
    sqlite_strict=True,
)

branch = Table(
    "branch",
    metadata,
    _id("branch_id"),
    Column("name", TEXT, nullable=False),
    Column("fork", BIG, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("created_at_us", BIG, nullable=False),
    Column("closed_at_us", BIG),
    Column("published_as", BIG),
    _changed(),
    Index("ix_branch_changed", "changed"),
    Index(
        "ix_branch_published_as",
        "published_as",
        sqlite_where=text("published_as IS NOT NULL"),
        postgresql_where=text("published_as IS NOT NULL"),
    ),
    Index(
        "ix_branch_open_name",
        "name",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
    sqlite_strict=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    _id("snapshot"),
    Column("at_us", BIG, nullable=False, unique=True),
    Column("branch_id", BIG, ForeignKey("branch.branch_id"), nullable=False),
    Column("token", TEXT, nullable=False, unique=True),
    Column("operation", TEXT, nullable=False),
    Column("author", TEXT),
    Column("message", TEXT),
    Column("metadata", TEXT, nullable=False),
    Column("partitions", BIG, nullable=False),
    Column("rows", BIG, nullable=False),
    Column("bytes", BIG, nullable=False),
    Column("files", BIG, nullable=False),
    Column("manifested", Integer, nullable=False),
    Index(
        "ix_snapshot_unmanifested",
        "snapshot",
        sqlite_where=text("manifested = 0"),
        postgresql_where=text("manifested = 0"),
    ),
    sqlite_strict=True,
)

# Names of main's snapshots, which vacuum leaves whole. A deleted tag stays until storage has forgotten it, too.
tag = Table(
    "tag",
    metadata,
    _id("tag_id"),
    Column("name", TEXT, nullable=False),
    Column("snapshot", BIG, ForeignKey("snapshot.snapshot"), nullable=False),
    Column("message", TEXT),
    Column("author", TEXT),
    Column("at_us", BIG, nullable=False),
    Column("deleted", Integer, nullable=False),
    Column("noted", Integer, nullable=False),  # whether storage knows of it
    Index("ix_tag_name", "name", unique=True, sqlite_where=text("deleted = 0"), postgresql_where=text("deleted = 0")),
    sqlite_strict=True,
)

asset = Table(
    "asset",
    metadata,
    _id("asset_id"),
    Column("name", TEXT, nullable=False, unique=True),
    Column("definition", TEXT, nullable=False),
    Column("revision", BIG, nullable=False),
    Column("schema_id", BIG),
    Column("options", TEXT, nullable=False),
    Column("producer_code_version", TEXT),
    Column("producer_inputs", TEXT),  # without it, the asset has no producer
    Column("producer_function", TEXT),
    Column("created_at_us", BIG, nullable=False),
    Column("horizon", BIG, nullable=False, server_default=text("0")),  # as the head's, of this asset alone
    _changed(),
    Index("ix_asset_changed", "changed"),
    sqlite_strict=True,
)

# How an asset was cut, and its options, from the snapshot ``began`` on; the newest is what ``asset`` says.
asset_definition = Table(
    "asset_definition",
    metadata,
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), primary_key=True, autoincrement=False),
    Column("began", BIG, primary_key=True, autoincrement=False),
    Column("definition", TEXT, nullable=False),
    Column("options", TEXT, nullable=False),
    Column("change", TEXT, nullable=False),  # how it came about: declared, altered, renamed or repartitioned
    Index("ix_asset_definition_began", "began"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

# Keys of dynamic dimensions, by the id that each got at first sight. Rows stay for good: an id is never used again.
partition_key = Table(
    "partition_key",
    metadata,
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), primary_key=True, autoincrement=False),
    Column("dimension", TEXT, primary_key=True),
    Column("id", BIG, primary_key=True, autoincrement=False),
    Column("key", TEXT, nullable=False),
    Column("visible", Integer, nullable=False),  # added by somebody or written by a commit, and not removed
    Column("expected_us", BIG),  # since when it is missing where it has no data; null: never
    _changed(),
    Index("ix_partition_key_changed", "changed"),
    UniqueConstraint("asset_id", "dimension", "key"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

schema = Table(
    "schema",
    metadata,
    _id("schema_id"),
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), nullable=False),
    Column("arrow_schema", LargeBinary, nullable=False),
    _changed(),
    Index("ix_schema_changed", "changed"),
    sqlite_strict=True,
)

# Which of its schemas an asset had from the snapshot ``began`` on; the newest is what ``asset`` says.
asset_schema = Table(
    "asset_schema",
    metadata,
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), primary_key=True, autoincrement=False),
    Column("began", BIG, primary_key=True, autoincrement=False),
    Column("schema_id", BIG, ForeignKey("schema.schema_id"), nullable=False),
    Index("ix_asset_schema_began", "began"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

version = Table(
    "version",
    metadata,
    _id("version_id"),
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), nullable=False),
    Column("branch_id", BIG, ForeignKey("branch.branch_id"), nullable=False),
    Column("key", TEXT, nullable=False),
    Column("ordinal", BIG, nullable=False),
    Column("content_id", TEXT),  # null on a branch only: the partition is missing there
    Column("base_content_id", TEXT),  # what main held when the branch first wrote this key; null: missing
    Column("began", BIG, nullable=False),
    Column("ended", BIG),
    Column("row_count", BIG, nullable=False),
    Column("size_bytes", BIG, nullable=False),
    Column("file_count", BIG, nullable=False),
    Column("code_version", TEXT),
    Column("written_at_us", BIG, nullable=False),
    Column("stale_mark", TEXT),  # why somebody calls it stale by hand
    Column("marked", BIG),  # after which snapshot that was said last
    # The present: one entry per partition, whatever the past holds.
    Index(
        "ix_version_present",
        "asset_id",
        "branch_id",
        "ordinal",
        unique=True,
        sqlite_where=text("ended IS NULL"),
        postgresql_where=text("ended IS NULL"),
    ),
    Index(
        "ix_version_past",
        "asset_id",
        "branch_id",
        "ordinal",
        "ended",
        sqlite_where=text("ended IS NOT NULL"),
        postgresql_where=text("ended IS NOT NULL"),
    ),
    Index("ix_version_began", "began"),
    Index(
        "ix_version_marked",
        "marked",
        sqlite_where=text("marked IS NOT NULL"),
        postgresql_where=text("marked IS NOT NULL"),
    ),
    Index(
        "ix_version_ended", "ended", sqlite_where=text("ended IS NOT NULL"), postgresql_where=text("ended IS NOT NULL")
    ),
    sqlite_strict=True,
)

version_input = Table(
    "version_input",
    metadata,
    Column("version_id", BIG, ForeignKey("version.version_id"), primary_key=True, autoincrement=False),
    Column("name", TEXT, primary_key=True),
    Column("input_asset_id", BIG, ForeignKey("asset.asset_id"), nullable=False),
    Column("mapping", TEXT, nullable=False),
    Column("selection", TEXT, nullable=False),
    Column("snapshot", BIG, nullable=False),
    Column("digest", TEXT, nullable=False),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

file = Table(
    "file",
    metadata,
    _id("file_id"),
    Column("schema_id", BIG, ForeignKey("schema.schema_id"), nullable=False),
    Column("began", BIG, nullable=False),
    Column("size_bytes", BIG, nullable=False),
    Column("row_count", BIG, nullable=False),
    Column("row_groups", BIG, nullable=False),
    Column("footer_bytes", BIG, nullable=False),
    Column("checksum", TEXT, nullable=False),
    Column("data_digest", TEXT, nullable=False),
    Column("statistics", TEXT, nullable=False),
    sqlite_strict=True,
)

version_file = Table(
    "version_file",
    metadata,
    Column("version_id", BIG, ForeignKey("version.version_id"), primary_key=True, autoincrement=False),
    Column("position", BIG, primary_key=True, autoincrement=False),
    Column("file_id", BIG, ForeignKey("file.file_id"), nullable=False),
    Index("ix_version_file_file_id", "file_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

copy = Table(
    "copy",
    metadata,
    Column("file_id", BIG, ForeignKey("file.file_id"), primary_key=True, autoincrement=False),
    Column("tier", TEXT, ForeignKey("tier.name"), primary_key=True),
    Column("path", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("owned", Integer, nullable=False),
    Column("since_us", BIG, nullable=False),
    UniqueConstraint("tier", "path"),
    Index(
        "ix_copy_not_live", "since_us", sqlite_where=text("state <> 'live'"), postgresql_where=text("state <> 'live'")
    ),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

intent = Table(
    "intent",
    metadata,
    Column("intent_id", TEXT, primary_key=True),
    Column("kind", TEXT, nullable=False),
    Column("began_us", BIG, nullable=False),
    Column("renewed_us", BIG, nullable=False),
    Column("snapshot", BIG),  # what it reads, which vacuum keeps as long as this row is there
    sqlite_strict=True,
)

backfill = Table(
    "backfill",
    metadata,
    _id("backfill_id"),
    Column("name", TEXT, nullable=False, unique=True),
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), nullable=False),
    Column("branch_id", BIG, ForeignKey("branch.branch_id"), nullable=False),
    Column("staging_branch_id", BIG, ForeignKey("branch.branch_id")),
    Column("state", TEXT, nullable=False),
    Column("plan", TEXT, nullable=False),
    Column("epoch", BIG, nullable=False),
    Column("created_at_us", BIG, nullable=False),
    Column("heartbeat_us", BIG, nullable=False),
    Column("closed_at_us", BIG),
    Column("driver", TEXT),  # who works on it, or did last; NULL once it has let go
    sqlite_strict=True,
)

backfill_target = Table(
    "backfill_target",
    metadata,
    # The order comes first: where both start with the campaign, SQLite would rather read all of its targets by the key
    # than those of one order by another index.
    Column("backfill_id", BIG, ForeignKey("backfill.backfill_id"), primary_key=True, autoincrement=False),
    Column("order_no", BIG, primary_key=True, autoincrement=False),
    Column("ordinal", BIG, primary_key=True, autoincrement=False),
    Column("asset_id", BIG, nullable=False),
    Column("branch_id", BIG, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("expected_content_id", TEXT),
    Column("state", TEXT, nullable=False),
    Column("changed_us", BIG, nullable=False),
    Column("error_type", TEXT),
    Column("error_message", TEXT),
    UniqueConstraint("backfill_id", "ordinal"),
    # Only work that status shows: finished campaigns cost a status nothing.
    Index(
        "ix_backfill_target_work",
        "asset_id",
        "branch_id",
        "ordinal",
        sqlite_where=text(SHOWN_WORK),
        postgresql_where=text(SHOWN_WORK),
    ),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

backfill_attempt = Table(
    "backfill_attempt",
    metadata,
    Column("backfill_id", BIG, ForeignKey("backfill.backfill_id"), primary_key=True, autoincrement=False),
    Column("order_no", BIG, primary_key=True, autoincrement=False),
    Column("number", BIG, primary_key=True, autoincrement=False),
    Column("epoch", BIG, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("began_us", BIG, nullable=False),
    Column("ended_us", BIG),
    Column("error_type", TEXT),
    Column("error_message", TEXT),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

move = Table(
    "move",
    metadata,
    _id("move_id"),
    Column("asset_id", BIG, ForeignKey("asset.asset_id"), nullable=False),
    Column("branch_id", BIG, ForeignKey("branch.branch_id"), nullable=False),
    Column("key", TEXT, nullable=False),
    Column("ordinal", BIG, nullable=False),
    Column("to_tier", TEXT, ForeignKey("tier.name"), nullable=False),
    Column("state", TEXT, nullable=False),
    Column("holder", TEXT, nullable=False),
    Column("fence", BIG, nullable=False),
    Column("lease_until_us", BIG, nullable=False),
    Column("created_at_us", BIG, nullable=False),
    Column("closed_at_us", BIG),
    Column("outcome", TEXT),
    Index(
        "ix_move_open",
        "asset_id",
        "branch_id",
        "ordinal",
        unique=True,
        sqlite_where=text("closed_at_us IS NULL"),
        postgresql_where=text("closed_at_us IS NULL"),
    ),
    sqlite_strict=True,
)

move_file = Table(
    "move_file",
    metadata,
    Column("move_id", BIG, ForeignKey("move.move_id"), primary_key=True, autoincrement=False),
    Column("file_id", BIG, ForeignKey("file.file_id"), primary_key=True, autoincrement=False),
    Column("from_tier", TEXT, nullable=False),
    Column("path", TEXT, nullable=False),
    Index("ix_move_file_file_id", "file_id"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
