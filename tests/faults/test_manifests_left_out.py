"""A writer that dies between its commit and its manifest: who writes that manifest, and when."""

from datetime import timedelta

import pytest

from lakepart.testing import Crash, clock_of, crashing, effects_of, query_catalog, reopened

MANIFEST = 4  # which effect of a write it is


@pytest.fixture
def orphaned(lake, frame):
    """A lake whose last commit has no manifest, and the number of that commit."""
    effects = effects_of(reopened(lake), lambda same: same.asset("numbers").write(frame((1, 2)), "2024-01-01"))
    assert effects[MANIFEST].startswith("put")
    with pytest.raises(Crash):
        crashing(lake, at=MANIFEST).asset("numbers").write(frame((1, 3)), "2024-01-01")
    lake = reopened(lake)
    return lake, query_catalog(lake, "SELECT snapshot FROM head")[0][0]


def unwritten(lake):
    return [int(found.subject) for found in lake.check() if found.kind == "unwritten-manifest"]


def test_a_commit_a_moment_later_leaves_it_to_its_writer(orphaned, frame):
    lake, number = orphaned

    lake.asset("numbers").append(frame((1, 4)))

    assert unwritten(lake) == [number]


def test_a_commit_after_a_while_writes_it_too(orphaned, frame):
    lake, number = orphaned
    assert unwritten(lake) == [number]
    clock_of(lake).advance(timedelta(seconds=11))

    lake.asset("numbers").append(frame((1, 4)))

    assert unwritten(lake) == []
