"""A lake read with pyarrow and sqlite3 alone: what is on disk is plain, complete, and where the format says."""

import base64
import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp

NEW_YORK = ZoneInfo("America/New_York")
CURRENT = """
    SELECT version.key, tier.root, copy.path, file.row_count, file.size_bytes, file.checksum, file.data_digest
    FROM asset JOIN version USING (asset_id) JOIN version_file USING (version_id)
    JOIN file USING (file_id) JOIN copy USING (file_id) JOIN tier ON tier.name = copy.tier
    WHERE asset.name = ? AND version.branch_id = 0 AND version.ended IS NULL AND copy.state = 'live'
    ORDER BY version.ordinal, version_file.position
"""


def flights(*rows):
    return pd.DataFrame(
        {
            "time": pd.to_datetime([row[0] for row in rows]).tz_localize(NEW_YORK).as_unit("ns"),
            "carrier": [row[1] for row in rows],
            "delay": [row[2] for row in rows],
        }
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Make a lake with everything in it, and let go of it."""
    root = tmp_path_factory.mktemp("bare") / "lake"
    with lp.create(root) as lake:
        asset = lake.asset("sales/flights", partitions=lp.Daily("2013-01-01", by="time", tz="America/New_York"))
        asset.write(flights(("2013-01-01 23:30", "UA", 1.5), ("2013-01-02 00:30", "AA", 2.5)), code_version="7")
        asset.append(flights(("2013-01-02 12:00", "UA", None)))
        asset.write(flights(("2013-01-01 08:00", "B6", 9.0)), "2013-01-01")
        asset["2013-01-02":"2013-01-04"].write(flights(("2013-01-03 01:00", "DL", 4.0)), no_rows="keep")
        asset["2013-01-02"].demote("cold", progress=False)
        static = lake.asset("keys", partitions=lp.Static(["..", "a", "A", "x" * 300], by="key", dimension="key"))
        static.write(pa.table({"key": ["..", "a", "A", "x" * 300], "value": [1, 2, 3, 4]}))
        lake.asset("whole", partitions=lp.Unpartitioned()).write(pa.table({"value": [5]}))
    return root


def ask(root, statement, *arguments):
    with closing(sqlite3.connect(f"file:{root / 'catalog.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(statement, arguments).fetchall()


def current_files(root, asset):
    return [(row[0], root / row[1] / row[2], *row[3:]) for row in ask(root, CURRENT, asset)]


def test_the_rows_of_every_asset_are_found_through_sql_and_read_as_plain_parquet(root):
    found = pa.concat_tables(pq.read_table(path) for _, path, *_ in current_files(root, "sales/flights"))

    local = [f"{time.astimezone(NEW_YORK):%Y-%m-%d %H:%M}" for time in found["time"].to_pylist()]
    assert list(zip(local, found["carrier"].to_pylist(), found["delay"].to_pylist(), strict=True)) == [
        ("2013-01-01 08:00", "B6", 9.0),
        ("2013-01-02 00:30", "AA", 2.5),
        ("2013-01-02 12:00", "UA", None),
        ("2013-01-03 01:00", "DL", 4.0),
    ]
    assert [pq.read_table(path)["value"].to_pylist() for _, path, *_ in current_files(root, "keys")] == [
        [1],
        [2],
        [3],
        [4],
    ]
    assert [pq.read_table(path)["value"].to_pylist() for _, path, *_ in current_files(root, "whole")] == [[5]]


def test_files_lie_under_tier_asset_and_key_and_the_same_on_every_tier(root):
    folders = [str(path.parent.relative_to(root)) for _, path, *_ in current_files(root, "sales/flights")]

    assert folders == [
        "hot/sales/flights/partition=2013-01-01",
        "cold/sales/flights/partition=2013-01-02",
        "cold/sales/flights/partition=2013-01-02",
        "hot/sales/flights/partition=2013-01-03",
    ]
    assert [path.parent.name for _, path, *_ in current_files(root, "whole")] == ["partition=all"]
    segments = [path.parent.name for _, path, *_ in current_files(root, "keys")]
    assert segments[:3] == ["key=.%2E", "key=a", "key=A"]
    assert len(segments[3].encode()) <= 255


def test_every_data_file_is_what_its_row_says(root):
    for asset in ("sales/flights", "keys", "whole"):
        for _, path, row_count, size_bytes, checksum, _ in current_files(root, asset):
            data = path.read_bytes()

            assert len(data) == size_bytes
            assert hashlib.sha256(data).hexdigest() == checksum
            assert pq.read_metadata(path).num_rows == row_count


def test_every_data_file_says_by_itself_what_it_is(root):
    tokens = {token for (token,) in ask(root, "SELECT token FROM snapshot")}
    for asset in ("sales/flights", "keys", "whole"):
        for key, path, *_ in current_files(root, asset):
            metadata = pq.read_metadata(path).metadata

            assert metadata[b"lakepart.asset"].decode() == asset
            assert metadata[b"lakepart.key"].decode() == key
            assert metadata[b"lakepart.token"].decode() in tokens
            assert metadata[b"lakepart.schema"]
    by_version = {
        pq.read_metadata(path).metadata.get(b"lakepart.code_version")
        for _, path, *_ in current_files(root, "sales/flights")
    }
    assert by_version == {None, b"7"}


def test_columns_keep_their_field_ids_and_the_format_its_settings(root):
    for _, path, *_ in current_files(root, "sales/flights"):
        schema = pq.read_schema(path)
        group = pq.read_metadata(path).row_group(0)

        assert schema.names == ["time", "carrier", "delay"]  # the partition column stays in the file
        assert [field.metadata[b"PARQUET:field_id"] for field in schema] == [b"1", b"2", b"3"]
        assert schema.field("time").type == pa.timestamp("us", "America/New_York")
        assert {group.column(index).compression for index in range(3)} == {"ZSTD"}
        assert group.column(0).statistics.has_min_max


def test_the_identity_is_one_small_file_that_agrees_with_the_catalog(root):
    identity = json.loads((root / "_lakepart/lake.json").read_text())

    assert identity == {"format": 1, "lake_id": ask(root, "SELECT lake_id FROM lake")[0][0]}


def test_manifests_alone_say_what_every_partition_holds(root):
    """Play them in order, as a rebuild would: the files of the last state are the catalog's."""
    manifests = [json.loads(path.read_text()) for path in sorted((root / "_lakepart/commits").iterdir())]
    assert [manifest["snapshot"]["snapshot"] for manifest in manifests] == list(range(1, len(manifests) + 1))

    current, paths, names, schemas = {}, {}, {}, {}
    for manifest in manifests:
        paths |= {file["file_id"]: (file["path"], file["checksum"]) for file in manifest["files"]}
        names |= {asset["asset_id"]: asset["name"] for asset in manifest["declared"].get("asset", ())}
        schemas |= {one["schema_id"]: one["arrow_schema"] for one in manifest["declared"].get("schema", ())}
        assert {file["schema_id"] for file in manifest["files"]} <= schemas.keys()
        for version_id in manifest["ended"]:
            current.pop(version_id)
        current |= {version["version_id"]: version for version in manifest["versions"]}

    for schema in schemas.values():
        assert pa.ipc.read_schema(pa.py_buffer(base64.b64decode(schema))).names
    rebuilt = {
        (names[version["asset_id"]], version["key"], *paths[file_id])
        for version in current.values()
        for file_id in version["files"]
    }
    statement = """
        SELECT asset.name, version.key, copy.path, file.checksum FROM asset JOIN version USING (asset_id)
        JOIN version_file USING (version_id) JOIN file USING (file_id) JOIN copy USING (file_id)
        WHERE version.ended IS NULL AND copy.state = 'live'"""
    assert rebuilt == set(ask(root, statement))


def test_the_catalog_is_strict_plain_sqlite_that_is_sound(root):
    tables = ask(root, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    strict = {name for name, is_strict in ask(root, "SELECT name, strict FROM pragma_table_list") if is_strict}

    assert {name for (name,) in tables} - strict == {"alembic_version"}
    assert {"lake", "head", "tier", "asset", "schema", "snapshot", "version", "version_file", "file", "copy"} <= strict
    assert ask(root, "PRAGMA integrity_check") == [("ok",)]
    assert ask(root, "PRAGMA foreign_key_check") == []
    assert ask(root, "PRAGMA journal_mode") == [("wal",)]


def test_time_is_ordered_by_windows_and_snapshots_have_no_gap(root):
    (ordinals,) = zip(*ask(root, "SELECT ordinal FROM version WHERE key = '2013-01-02'"), strict=True)
    assert set(ordinals) == {int(datetime(2013, 1, 2, tzinfo=NEW_YORK).timestamp()) * 1_000_000}

    numbers, instants = zip(*ask(root, "SELECT snapshot, at_us FROM snapshot ORDER BY snapshot"), strict=True)
    assert list(numbers) == list(range(len(numbers)))
    assert sorted(set(instants)) == list(instants)


def test_a_lake_can_be_moved_as_a_folder(root, tmp_path):
    moved = tmp_path / "elsewhere" / "lake"
    shutil.copytree(root, moved)

    assert str(root) not in (moved / "catalog.db").read_bytes().decode("latin-1")
    with lp.connect(moved) as lake:
        assert lake.check(checksums=True) == []
        assert lake.asset("sales/flights").count_rows() == 4
        lake.asset("whole").write(pa.table({"value": [6]}), "all")
        assert set(lake.asset("whole").files()["path"].map(lambda path: Path(path).is_relative_to(moved))) == {True}
    assert ask(root, "SELECT max(snapshot) FROM snapshot") != ask(moved, "SELECT max(snapshot) FROM snapshot")


def test_files_and_dataset_are_exactly_the_snapshot_for_other_programs(root):
    with lp.connect(root) as lake:
        asset = lake.asset("sales/flights")
        expected = [str(path) for _, path, *_ in current_files(root, "sales/flights")]

        assert asset.files()["path"].tolist() == expected
        assert sorted(asset.dataset().files) == sorted(expected)
        assert asset.dataset().to_table(columns=["delay"])["delay"].to_pylist() == [9.0, 2.5, None, 4.0]
    everything = sorted(str(path) for path in root.rglob("flights/**/*.parquet"))
    assert set(expected) < set(everything)  # superseded files lie beside current ones until vacuum
