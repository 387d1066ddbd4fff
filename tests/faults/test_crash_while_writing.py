"""A process that dies anywhere in a write: the old or the new version is there whole, and it can be redone."""

import pytest

import lakepart as lp
from lakepart.testing import effects_of

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


def test_a_crash_while_replacing_a_partition_harms_no_version(survives, frame, when):
    def replace(lake):
        lake.asset("numbers").write(frame((1, 100), (1, 101)), "2024-01-01")

    assert survives(replace, when) >= 6


def test_a_crash_while_routing_rows_leaves_all_partitions_old_or_all_new(survives, frame, when):
    def route(lake):
        lake.asset("numbers").write(frame((1, 100), (2, 200), (5, 500)), if_exists="replace")

    assert survives(route, when) >= 8


def test_a_crash_while_appending_adds_the_rows_once_or_not_at_all(survives, frame, when):
    def append(lake):
        lake.asset("numbers").append(frame((1, 100), (6, 6)))

    assert survives(append, when) >= 7


def test_a_crash_while_recording_known_empty_partitions_harms_no_version(survives, frame, when):
    def write(lake):
        lake.asset("numbers")["2024-01-01":"2024-01-04"].write(frame((2, 20)))

    assert survives(write, when) >= 6


def test_a_crash_in_the_first_write_of_an_asset_leaves_no_half_fixed_schema(survives, frame, when):
    def declare_and_write(lake):
        asset = lake.asset("other", partitions=lp.Daily("2024-01-01", by="day"))
        asset.write(frame((1, 1)), "2024-01-01")

    assert survives(declare_and_write, when) >= 7


def test_a_crash_while_rolling_back_leaves_all_partitions_old_or_all_new(survives, when):
    def roll_back(lake):
        lake.asset("numbers").rollback(to=1)

    assert survives(roll_back, when) >= 3


def test_a_write_has_the_effects_it_is_known_for(lake, frame, when):
    def write(lake):
        lake.asset("numbers").write(frame((1, 100)), "2024-01-01")

    kinds = [name.split()[0] for name in effects_of(lake, write)]

    assert kinds == ["commit", "write", "make", "commit", "put", "commit"]
