"""A process that dies anywhere in a write leaves a catalog in PostgreSQL as whole as one in SQLite."""

from __future__ import annotations

import itertools

import pytest

from lakepart.testing import copied

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


@pytest.fixture
def make(template, tmp_path, new_schema):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}", catalog=new_schema())


def test_a_crash_while_replacing_a_partition_harms_no_version(survives, frame, when):
    def replace(lake):
        lake.asset("numbers").write(frame((1, 100), (1, 101)), "2024-01-01")

    assert survives(replace, when) >= 6


def test_a_crash_while_publishing_leaves_main_old_or_new(survives, when):
    def publish(lake):
        lake.branch("draft").publish()

    assert survives(publish, when) >= 2
