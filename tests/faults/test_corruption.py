"""One byte flipped, bytes cut off, a file deleted or another in its place, anywhere in a lake: named, or of no effect.

For every file of a lake and every way to damage it, one of these holds: opening or reading is an error, ``check`` names
it with the option that claims to find it, or every read gives what it gave before.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake, query_catalog, reopened

LONG = os.environ.get("LAKEPART_LONG") == "1"
FLIPS = 40 if LONG else 2  # of one file of each kind
PAGES = 4000 if LONG else 12  # flips in the catalog

pytestmark = pytest.mark.timeout(3600 if LONG else 120)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> lp.Lake:
    """A small lake with one of everything: tiers, a tag, a branch, a new column, checkpoints, lineage, a spare copy."""
    lake = frozen_lake(tmp_path_factory.mktemp("whole") / "lake")
    object.__setattr__(lake._home.context, "checkpoint_every", 4)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01"), description="some")
    for day in (1, 2, 3):
        numbers.write(pa.table({"value": [day, 10 * day], "text": [f"row {day}", None]}), f"2024-01-0{day}")
    numbers.write(pa.table({"value": [9], "text": ["nine"]}), "2024-01-02", message="again")
    numbers.alter(add={"more": pa.float64()})
    lake.tag("kept", at=2, message="as sent")
    numbers["2024-01-01"].demote("cold", progress=False)
    lake.create_branch("draft").asset("numbers").write(
        pa.table({"value": [7], "text": ["b"], "more": [0.5]}), "2024-01-01"
    )
    doubled = lake.asset("doubled", partitions=lp.Daily("2024-01-01"))
    doubled.write(pa.table({"value": [2]}), "2024-01-01", inputs={"numbers": numbers["2024-01-01"]})
    lake.close()
    with closing(sqlite3.connect(Path(lake.url, "catalog.db"))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return lake


def everything(lake: lp.Lake) -> list[Any]:
    """Read all there is to be read, by every door that has an answer of its own."""
    seen: list[Any] = [lake.snapshots().astype(str).values.tolist(), lake.tags().astype(str).values.tolist()]
    views = [lake, lake.at(2), lake.at("kept"), lake.branch("draft")]
    for view in views:
        for asset in view.assets():
            if asset.keys:
                seen += [asset.name, asset.keys, asset.to_arrow().to_pylist(), repr(asset.partitions)]
                seen.append(asset[asset.keys].to_arrow(filter=[("value", ">", 5)]).to_pylist())
    for asset in lake.assets():
        seen += [asset.history().astype(str).values.tolist(), asset.status().astype(str).values.tolist()]
        seen.append(asset.files().drop(columns="path").astype(str).values.tolist())
    return seen


def outcome(whole: lp.Lake, folder: Path, damage: Callable[[Path], None], expected: list[Any]) -> str:
    """Damage a copy of the lake; say how that comes to light."""
    lake = copied(whole, folder)
    lake.close()
    damage(folder)
    try:
        lake = reopened(lake)
        found = lake.check(checksums=True)
        if found:
            return found[0].kind
        assert everything(lake) == expected
    except lp.LakepartError as error:
        return f"error {error.code}"
    finally:
        lake.close()
        shutil.rmtree(folder)
    return "no effect"


def flips(path: Path, count: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    size = path.stat().st_size
    chance = random.Random(f"{path.name[:3]} {size}")
    for at in range(size) if LONG and size < 2_000 else sorted(chance.sample(range(size), min(count, size))):
        mask = chance.choice([0x01, 0x40, 0xFF])

        def flip(place: Path, at: int = at, mask: int = mask) -> None:
            data = bytearray(place.read_bytes())
            data[at] ^= mask
            place.write_bytes(data)

        yield f"byte {at} xor {mask:#x}", flip


def cut(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:-7])


def empty(place: Path) -> None:
    place.write_bytes(b"")


def put_another(place: Path) -> None:
    place.write_bytes(b'{"format": 1}')


KINDS = {
    "data file": ("hot/numbers/partition=2024-01-02/*.parquet", {"checksum-mismatch", "size-mismatch", "missing-file"}),
    "copy on the cold tier": ("cold/**/*.parquet", {"checksum-mismatch", "size-mismatch", "missing-file"}),
    "manifest": ("_lakepart/commits/000000000002.json", {"damaged-manifest", "missing-manifest", "no effect"}),
    "checkpoint": ("_lakepart/commits/*.checkpoint.jsonl.gz", {"damaged-manifest", "no effect"}),
    "tag": ("_lakepart/tags/*.json", {"damaged-tag"}),
    "identity": ("_lakepart/lake.json", {"error wrong-catalog", "error catalog-too-new", "no effect"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_damage_to_a_file_is_named_and_mending_leaves_nothing_unsaid(whole, tmp_path, kind) -> None:
    pattern, wanted = KINDS[kind]
    path = min(Path(whole.url).glob(pattern))
    relative = path.relative_to(whole.url)
    expected = everything(whole)
    damages = [*flips(path, FLIPS), ("cut", cut), ("empty", empty), ("another", put_another), ("deleted", Path.unlink)]

    seen = {
        name: outcome(whole, tmp_path / "damaged", lambda folder, act=act: act(folder / relative), expected)
        for name, act in damages
    }

    assert {name: how for name, how in seen.items() if how not in wanted} == {}
    assert set(seen.values()) != {"no effect"}


@pytest.mark.parametrize("kind", ["manifest", "checkpoint", "tag"])
def test_damage_to_what_the_catalog_knows_too_is_mended_so_that_it_can_be_lost(whole, tmp_path, kind) -> None:
    pattern, _ = KINDS[kind]
    relative = min(Path(whole.url).glob(pattern)).relative_to(whole.url)
    expected = everything(whole)
    for number, damage in enumerate((cut, empty, put_another, Path.unlink) if LONG else (cut, Path.unlink)):
        lake = copied(whole, tmp_path / str(number))
        damage(Path(lake.url) / relative)

        lake.check(checksums=True, fix=True)

        assert lake.check(checksums=True) == []
        assert everything(lake) == expected
        lake.close()
        for name in ("catalog.db", "catalog.db-wal", "catalog.db-shm"):
            Path(lake.url, name).unlink(missing_ok=True)
        lp.rebuild(lake.url)
        again = reopened(lake)
        assert again.asset("numbers").to_arrow().to_pylist() == whole.asset("numbers").to_arrow().to_pylist()
        assert again.tags()["name"].to_list() == ["kept"]
        again.close()


@pytest.mark.parametrize(
    ("column", "kind"),
    [("tier.root", "not-a-catalog"), ("snapshot.metadata", "corruption"), ("asset.options", "corruption")],
)
def test_a_value_that_is_gone_from_the_catalog_is_an_error_that_says_so(whole, tmp_path, column, kind) -> None:
    table, name = column.split(".")

    def lose_value(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "catalog.db")) as connection:
            connection.execute("PRAGMA writable_schema = ON")  # a flipped byte does not ask the constraint either
            statement = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?"
            connection.execute(statement, (f"{name} TEXT NOT NULL", f"{name} TEXT", table))
            connection.commit()
        with closing(sqlite3.connect(folder / "catalog.db")) as connection, connection:
            connection.execute(f"UPDATE {table} SET {name} = NULL")

    assert outcome(whole, tmp_path / "damaged", lose_value, everything(whole)) == f"error {kind}"


def test_a_row_that_later_commits_and_people_add_to_is_not_called_altered(whole, tmp_path) -> None:
    lake = copied(whole, tmp_path / "sound")
    numbers = lake.asset("numbers")
    numbers.write(pa.table({"value": [1], "text": ["x"], "more": [1.5]}), "2024-01-03")  # ends one of a checkpoint
    numbers["2024-01-02"].mark_stale("again")
    numbers["2024-01-03"].drop()

    assert lake.check(checksums=True) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE snapshot SET author = 'somebody else' WHERE snapshot = 2",
        "UPDATE snapshot SET metadata = '{\"a\":1}' WHERE snapshot = 7",
        "UPDATE version SET code_version = '9' WHERE version_id = 1",
        "UPDATE version SET content_id = 'another' WHERE version_id = 3",
        "UPDATE file SET statistics = '{}' WHERE file_id = 2",
        "UPDATE file SET footer_bytes = footer_bytes + 1 WHERE file_id = 2",
    ],
)
def test_a_row_that_is_not_as_its_commit_left_it_is_named(whole, tmp_path, statement) -> None:
    lake = copied(whole, tmp_path / "altered")
    lake.close()
    with closing(sqlite3.connect(Path(lake.url, "catalog.db"))) as connection:
        connection.execute(statement)
        connection.commit()

    assert "altered-row" in {finding.kind for finding in reopened(lake).check(checksums=True)}


def test_damage_to_a_page_of_the_catalog_is_never_silently_read(whole, tmp_path) -> None:
    expected = everything(whole)
    whole.close()
    path = Path(whole.url, "catalog.db")
    damages = [*flips(path, PAGES), ("cut", cut), ("empty", empty), ("another", put_another)]
    size = path.stat().st_size
    damages.append(("half", lambda place: place.write_bytes(place.read_bytes()[: size // 2])))

    seen = {
        name: outcome(whole, tmp_path / "damaged", lambda folder, act=act: act(folder / "catalog.db"), expected)
        for name, act in damages
    }

    assert len(seen) == len(damages)
    assert seen["half"].startswith(("error", "unsound")), seen
    assert clock_of(whole) is not None
    assert query_catalog(whole.url, "SELECT count(*) FROM tag") == [(1,)]
