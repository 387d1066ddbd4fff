"""A disk that fills in the middle of a write: the error says so, nothing has changed, and nothing is left behind."""

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import FullDiskStore, files_of, query_catalog, with_stores


def state_of(lake):
    return (
        files_of(lake.url),
        query_catalog(lake.url, "SELECT snapshot FROM head"),
        query_catalog(lake.url, "SELECT * FROM intent"),
    )


def on_a_small_disk(lake, capacity_bytes, tier="hot"):
    store = FullDiskStore(lake._home.context.stores[tier], capacity_bytes)
    return with_stores(lake, {tier: store}), store


@pytest.mark.parametrize("capacity_bytes", [0, 500, 1_500, 2_500], ids=lambda size: f"{size} bytes")
def test_a_full_disk_in_a_write_of_several_partitions_changes_nothing(lake, frame, capacity_bytes):
    before = state_of(lake)
    cramped, store = on_a_small_disk(lake, capacity_bytes)

    with pytest.raises(lp.StorageError) as caught:
        cramped.asset("numbers").write(frame((1, 100), (2, 200), (5, 500)), if_exists="replace")

    assert caught.value.code == "disk-full"
    assert "Hint:" in str(caught.value)
    assert state_of(lake) == before
    assert store.free_bytes == capacity_bytes
    assert lake.check() == []


def test_a_full_disk_in_the_middle_of_a_stream_changes_nothing(lake, frame):
    before = state_of(lake)
    cramped, _ = on_a_small_disk(lake, 100_000)

    def stream():
        for day in range(5, 25):
            values = pa.array(range(20_000), pa.int64())
            yield frame(*[(day, value) for value in values.to_pylist()])

    with pytest.raises(lp.StorageError) as caught:
        cramped.asset("numbers").write(stream())

    assert caught.value.code == "disk-full"
    assert state_of(lake) == before


def test_the_same_write_succeeds_once_there_is_room(lake, frame):
    cramped, store = on_a_small_disk(lake, 10)
    with pytest.raises(lp.StorageError):
        cramped.asset("numbers").write(frame((1, 100)), "2024-01-01")

    store.give_back(100_000)
    cramped.asset("numbers").write(frame((1, 100)), "2024-01-01")

    assert lake.asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist() == [100]


def test_a_full_disk_fails_the_orders_of_a_backfill_and_resuming_completes_it(lake, producer):
    cramped, store = on_a_small_disk(lake, 10)
    cramped.register(producer)

    with pytest.raises(lp.BackfillError) as caught:
        cramped.asset("tens")["2024-01-02":"2024-01-03"].backfill(retries=0, progress=False)

    assert "StorageError" in str(caught.value)
    assert lake.asset("tens").keys == ["2024-01-01"]
    assert lake.check() == []
    store.give_back(100_000)
    caught.value.backfill.resume(progress=False)
    assert lake.asset("tens").to_arrow()["value"].to_pylist() == [10, 20, 300]


def test_a_full_cold_tier_leaves_the_partitions_where_they_were(lake):
    before = files_of(lake.url)
    cramped, store = on_a_small_disk(lake, 10, tier="cold")

    with pytest.raises(lp.StorageError) as caught:
        cramped.asset("numbers").demote("cold", progress=False)

    assert caught.value.code == "disk-full"
    assert files_of(lake.url) == before
    assert lake.asset("numbers").in_tier("cold").keys == []
    store.give_back(1_000_000)
    cramped.asset("numbers").demote("cold", progress=False)
    assert lake.asset("numbers").in_tier("cold").keys == ["2024-01-01", "2024-01-02", "2024-01-03"]
