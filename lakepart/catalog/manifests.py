"""What a commit did, as plain values: enough, one after another, to rebuild a lost catalog."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, and_, func, select, update

from lakepart.catalog.database import Database
from lakepart.catalog.encoding import from_json
from lakepart.catalog.lookups import get_asset, get_branch, get_snapshot
from lakepart.catalog.tables import branch, copy, file, lake, schema, snapshot, version, version_file, version_input

MANIFEST_FORMAT = 1


def unmanifested(connection: Connection) -> list[int]:
    """Give the snapshots whose manifest is not known to be written, oldest first."""
    statement = select(snapshot.c.snapshot).where(snapshot.c.manifested == 0).order_by(snapshot.c.snapshot)
    return list(connection.execute(statement).scalars())


def mark_manifested(database: Database, snapshots: Iterable[int]) -> None:
    """Note that these snapshots' manifests are written and synced."""
    with database.writing() as connection:
        connection.execute(update(snapshot).where(snapshot.c.snapshot.in_(list(snapshots))).values(manifested=1))


def manifest_of(connection: Connection, number: int) -> dict[str, Any]:
    """Give the manifest of a snapshot; moves and later commits do not alter it.

    Files are listed by the commit that brought them and referred to by id later on, so manifests are read in order.
    """
    made = version.c.began == number
    versions = _plain(connection, version, made, without=("ended",))
    of_version = {row["version_id"]: row for row in versions}
    for row in versions:
        row["files"], row["inputs"] = [], []
    in_files = select(version_file.c.version_id, version_file.c.file_id).join(
        version, version.c.version_id == version_file.c.version_id
    )
    for version_id, file_id in connection.execute(in_files.where(made).order_by(*version_file.primary_key.columns)):
        of_version[version_id]["files"].append(file_id)
    of_these = version_input.c.version_id.in_(select(version.c.version_id).where(made))
    for row in _plain(connection, version_input, of_these):
        of_version[row.pop("version_id")]["inputs"].append({**row, "mapping": from_json(row["mapping"])})
    closed = select(branch.c.branch_id).where(branch.c.published_as == number)
    taken = get_snapshot(connection, number)
    return {
        "format": MANIFEST_FORMAT,
        "lake_id": connection.execute(select(lake.c.lake_id)).scalar_one(),
        "snapshot": {
            "snapshot": taken.snapshot,
            "token": connection.execute(select(snapshot.c.token).where(snapshot.c.snapshot == number)).scalar_one(),
            "at_us": taken.at_us,
            "operation": taken.operation,
            "author": taken.author,
            "message": taken.message,
            "metadata": dict(taken.metadata),
            "partitions": taken.partitions,
            "rows": taken.rows,
            "bytes": taken.bytes,
            "files": taken.files,
        },
        "branch": _branch_of(connection, taken.branch_id),
        "publishes_branch": connection.execute(closed).scalar_one_or_none(),
        "assets": _assets_of(connection, {row["asset_id"] for row in versions}, number),
        "ended": sorted(connection.execute(select(version.c.version_id).where(version.c.ended == number)).scalars()),
        "versions": versions,
        "files": _files_of(connection, number),
    }


def _plain(connection: Connection, table: Table, where: Any, without: Iterable[str] = ()) -> list[dict[str, Any]]:
    columns = [column for column in table.c if column.name not in set(without)]
    rows = connection.execute(select(*columns).where(where).order_by(*table.primary_key.columns))
    return [dict(row) for row in rows.mappings()]


def _branch_of(connection: Connection, branch_id: int) -> dict[str, Any]:
    found = get_branch(connection, branch_id)
    return {"branch_id": found.branch_id, "name": found.name, "fork": found.fork}


def _assets_of(connection: Connection, asset_ids: Iterable[int], number: int) -> list[dict[str, Any]]:
    """Describe the assets the commit touched, with the schemas of the files it brought."""
    used = select(schema.c.schema_id, schema.c.asset_id, schema.c.arrow_schema).where(
        schema.c.schema_id.in_(select(file.c.schema_id).where(_brought(number)))
    )
    schemas = connection.execute(used.order_by(schema.c.schema_id)).all()
    described = []
    for asset_id in sorted(asset_ids):
        found = get_asset(connection, asset_id)
        described.append(
            {
                "asset_id": asset_id,
                "name": found.name,
                "definition": dict(found.definition),
                "options": dict(found.options),
                "schemas": [
                    {"schema_id": row.schema_id, "arrow_schema": base64.b64encode(row.arrow_schema).decode()}
                    for row in schemas
                    if row.asset_id == asset_id
                ],
            }
        )
    return described


def _files_of(connection: Connection, number: int) -> list[dict[str, Any]]:
    """List the files the commit brought; their path is the same on every tier, wherever they may lie by now."""
    path = select(func.min(copy.c.path)).where(copy.c.file_id == file.c.file_id).scalar_subquery()
    brought = select(file, path.label("path")).where(_brought(number)).order_by(file.c.file_id)
    return [{**row, "statistics": from_json(row["statistics"])} for row in connection.execute(brought).mappings()]


def _brought(number: int) -> Any:
    in_versions = (
        select(version_file.c.file_id)
        .join(version, version.c.version_id == version_file.c.version_id)
        .where(version.c.began == number)
    )
    return and_(file.c.file_id.in_(in_versions), file.c.began == number)
