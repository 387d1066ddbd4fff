"""A process that dies anywhere in a move from one store to another: nothing is lost, and the next move finishes it."""

from datetime import timedelta
from itertools import count

import pytest

from lakepart.engine.opening import system_clock
from lakepart.storage.s3 import S3Store
from lakepart.testing import clock_of, crash_everywhere, files_of, with_stores
from lakepart.testing.strict_s3 import StrictS3

KEYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
_NUMBERS = count()


def demote(lake):
    lake.asset("numbers")[KEYS].demote("cold", progress=False)


@pytest.fixture(scope="module")
def server():
    server = StrictS3(system_clock)
    server.make_bucket("hot")
    server.make_bucket("cold")
    return server


@pytest.fixture(scope="module")
def elsewhere():
    server = StrictS3(system_clock)
    server.make_bucket("cold")
    return server


@pytest.fixture(params=[("disk", "s3"), ("s3", "s3"), ("s3", "disk"), ("s3", "other s3")], ids=" to ".join)
def make_elsewhere(request, make, server, elsewhere):
    """Give a lake whose tiers lie on two kinds of store at each call, and those stores of the last one."""
    hot_on, cold_on = request.param
    latest = {}

    def give():
        lake, place = make(), next(_NUMBERS)
        latest.clear()
        if hot_on == "s3":
            latest["hot"] = S3Store(f"s3://hot/{place}", client=server.client)
            for name, data in files_of(lake.url).items():
                if name.startswith("hot/"):
                    latest["hot"].put_new(name.removeprefix("hot/"), data)
        if cold_on == "s3":
            latest["cold"] = S3Store(f"s3://cold/{place}", client=server.client, storage_class="GLACIER_IR")
        elif cold_on == "other s3":
            latest["cold"] = S3Store(f"s3://cold/{place}", client=elsewhere.client)
        return with_stores(lake, latest)

    return give, latest


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crashed_move_leaves_all_rows_readable_and_is_finished_by_the_next(
    make_elsewhere, rows_of, assert_undamaged, when
):
    make, stores = make_elsewhere
    expected = rows_of(make())
    crashes = 0
    for crashed in crash_everywhere(make, demote, when=when):
        lake, at = with_stores(crashed.lake, stores), crashed.at
        assert rows_of(lake) == expected, at
        assert_undamaged(lake, at)

        clock_of(lake).advance(timedelta(minutes=11))  # the dead process's lease runs out
        demote(lake)

        assert lake.asset("numbers").in_tier("cold").keys == KEYS, at
        assert rows_of(lake) == expected, at
        assert_undamaged(lake, at)
        lake.close()
        crashes += 1
    assert crashes >= 8
