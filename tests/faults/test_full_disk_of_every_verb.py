"""A disk that is full, whatever verb meets it: the error says so, nothing has changed, and with room the verb works."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import FullDiskStore, clock_of, files_of, query_catalog, reopened, with_stores

Act = Callable[[lp.Lake, Any], object]
KEY = "2024-01-01"


def write_in_a_transaction(lake, frame):
    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 100)), KEY)
        tx.asset("tens").write(frame((1, 1000)), KEY)


def repartition(lake, frame):
    with suppress(lp.BranchNotFoundError):
        lake.branch("draft").discard()  # an open one with versions of its own is in the way
    lake.asset("numbers").repartition(lp.Monthly("2024-01", by="day"))


def demote(lake, frame):
    lake.asset("numbers")[KEY].demote("cold", progress=False)


WRITE_FILES: dict[str, Act] = {
    "append": lambda lake, frame: lake.asset("numbers").append(frame((1, 100))),
    "upsert": lambda lake, frame: lake.asset("numbers").upsert(frame((1, 100), (2, 2)), on=["day"]),
    "delete": lambda lake, frame: lake.asset("numbers").delete([("value", "==", 20)]),
    "compact": lambda lake, frame: lake.asset("numbers").compact(progress=False),
    "transaction": write_in_a_transaction,
    "write on a branch": lambda lake, frame: lake.branch("draft").asset("numbers").write(frame((2, 9)), "2024-01-02"),
    "repartition": repartition,
    "demote": demote,
}
WRITE_ROWS_ONLY: dict[str, Act] = {
    "rollback": lambda lake, frame: lake.asset("numbers").rollback(to=1),
    "publish": lambda lake, frame: lake.branch("draft").publish(),
    "alter": lambda lake, frame: lake.asset("numbers").alter(add={"more": pa.float64()}),
    "tag": lambda lake, frame: lake.tag("full"),
}


def cramped(lake: lp.Lake, free_bytes: int) -> tuple[lp.Lake, dict[str, FullDiskStore]]:
    stores = {tier: FullDiskStore(store, free_bytes) for tier, store in lake._home.context.stores.items()}
    return with_stores(lake, stores), stores


def with_root(lake: lp.Lake, root: FullDiskStore) -> lp.Lake:
    return type(lake)(replace(lake._home, context=replace(lake._home.context, root=root)))


def state(lake: lp.Lake) -> Any:
    rows = [query_catalog(lake.url, f"SELECT * FROM {table}") for table in ("version", "file", "copy", "intent")]
    return files_of(lake.url), query_catalog(lake.url, "SELECT snapshot FROM head"), rows


@pytest.mark.parametrize("verb", WRITE_FILES)
def test_on_a_full_disk_a_verb_that_writes_files_changes_nothing_and_works_once_there_is_room(
    make, frame, verb
) -> None:
    lake = make()
    lake.asset("numbers").append(frame((2, 20), (2, 21)))
    before = state(lake)
    small, stores = cramped(lake, 600)

    with pytest.raises(lp.StorageError) as caught:
        WRITE_FILES[verb](small, frame)

    assert caught.value.code == "disk-full"
    assert state(lake) == before
    assert lake.check(checksums=True) == []
    for store in stores.values():
        store.give_back(1_000_000)
    WRITE_FILES[verb](small, frame)
    assert state(lake) != before
    assert [one for one in lake.check(checksums=True) if one.severity == "damage"] == []


@pytest.mark.parametrize("verb", WRITE_ROWS_ONLY)
def test_with_no_room_beside_the_catalog_a_verb_of_rows_is_done_and_what_is_unwritten_is_mended(
    make, frame, verb
) -> None:
    lake = make()
    cramped_lake = with_root(lake, FullDiskStore(lake._home.context.root, 0))
    before = query_catalog(lake.url, "SELECT snapshot FROM head") + query_catalog(lake.url, "SELECT * FROM tag")

    with pytest.warns(RuntimeWarning, match=r"not written yet|storage does not know yet"):
        WRITE_ROWS_ONLY[verb](cramped_lake, frame)

    after = query_catalog(lake.url, "SELECT snapshot FROM head") + query_catalog(lake.url, "SELECT * FROM tag")
    assert after != before
    assert {one.kind for one in lake.check()} <= {"unwritten-manifest", "unwritten-tag"}
    assert all(one.fixed for one in lake.check(fix=True))
    assert lake.check(checksums=True) == []


def test_mending_without_room_loses_nothing_that_was_whole_and_mends_once_there_is_room(make, rows_of) -> None:
    lake = make()
    lake.tag("kept", at=2)
    expected = rows_of(lake)
    commits, tags = (Path(lake.url, "_lakepart", folder) for folder in ("commits", "tags"))
    damaged = [*tags.iterdir(), commits / "000000000002.json"]
    for path in damaged:
        path.write_bytes(b"{")
    whole = {path: path.read_bytes() for path in commits.iterdir() if path not in damaged}
    root = FullDiskStore(lake._home.context.root, 0)

    with pytest.raises(lp.StorageError) as caught:
        with_root(lake, root).check(checksums=True, fix=True)

    assert caught.value.code == "disk-full"
    assert {path: path.read_bytes() for path in whole} == whole
    assert rows_of(lake) == expected
    assert {one.kind for one in lake.check(checksums=True)} <= {"damaged-manifest", "missing-manifest", "damaged-tag"}
    root.give_back(1_000_000)
    assert all(one.fixed for one in with_root(lake, root).check(checksums=True, fix=True))
    assert lake.check(checksums=True) == []


def test_a_vacuum_needs_no_room(make, frame) -> None:
    lake = make()
    lake.asset("numbers")[KEY].demote("cold", progress=False)
    clock_of(lake).advance(timedelta(days=30))
    small, _ = cramped(lake, 0)

    assert small.vacuum(progress=False).files == 1
    assert lake.check(checksums=True) == []


def test_a_vacuum_forgets_nothing_of_which_a_manifest_could_not_be_written(make, frame, rows_of) -> None:
    lake = make()
    lake.branch("draft").discard()  # it needs what is to be forgotten
    small = with_root(lake, FullDiskStore(lake._home.context.root, 0))

    def write_and_vacuum():
        for value in (10, 100):
            small.asset("numbers").write(frame((1, value)), KEY)
        for _ in range(2):
            clock_of(lake).advance(timedelta(days=30))
            small.vacuum(progress=False)

    with pytest.warns(RuntimeWarning, match="not written yet"):
        write_and_vacuum()
    expected = rows_of(lake)

    assert all(one.fixed for one in lake.check(fix=True))
    lake.close()
    for path in Path(lake.url).glob("catalog.db*"):
        path.unlink()
    lp.rebuild(lake.url)

    assert rows_of(reopened(lake)) == expected
    clock_of(lake).advance(timedelta(days=30))
    assert reopened(lake).vacuum(progress=False).versions > 0
    assert reopened(lake).check(checksums=True) == []
