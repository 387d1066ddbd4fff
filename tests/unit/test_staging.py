"""What a write that failed has left is deleted quickly, or left to vacuum."""

from __future__ import annotations

import threading
import time
from typing import Any

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine.staging import Stager
from lakepart.errors import StorageError
from lakepart.parquet.schemas import assign_field_ids

FILES = 200


@pytest.fixture
def stager_on() -> Any:
    def make(store: Any) -> Stager:
        schema = assign_field_ids(pa.schema({"n": pa.int64()}))
        stager = Stager(store, "hot", "a", lp.Static(["x"]), schema, "token", {}, threads=8)
        stager.paths += [f"a/{number}.parquet" for number in range(FILES)]
        return stager

    return make


class Meeting:
    """A store that deletes when eight ask for it at once: fewer would wait for ever."""

    def __init__(self) -> None:
        self._together = threading.Barrier(8)
        self.deleted: list[str] = []

    def delete(self, path: str) -> bool:
        self._together.wait(timeout=60)
        self.deleted.append(path)
        return True


class Down:
    """A store that is asked in vain."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def delete(self, path: str) -> bool:
        self.asked.append(path)
        time.sleep(0.02)
        raise StorageError("down")


def test_files_are_discarded_side_by_side_but_for_those_to_keep(stager_on: Any) -> None:
    store = Meeting()
    kept = {f"a/{number}.parquet" for number in range(8)}

    stager_on(store).discard(but=kept)

    assert len(store.deleted) == FILES - 8
    assert not kept & set(store.deleted)


def test_files_of_other_tiers_are_discarded_too(stager_on: Any) -> None:
    stager, other = stager_on(Meeting()), Meeting()
    stager.on(other, "cold").paths += [f"b/{number}.parquet" for number in range(8)]

    stager.discard()

    assert sorted(other.deleted) == [f"b/{number}.parquet" for number in range(8)]


def test_a_store_that_is_down_is_not_asked_for_every_file(stager_on: Any) -> None:
    store = Down()

    stager_on(store).discard()

    assert len(store.asked) < FILES / 2
