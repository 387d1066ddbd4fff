"""A process that dies anywhere in a publish or a discard: main shows all of the branch or nothing of it."""

import pytest

from lakepart.testing import crash_everywhere

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


def test_a_crash_while_publishing_shows_all_of_the_branch_or_nothing(survives, when):
    assert survives(lambda lake: lake.branch("draft").publish(), when) >= 3


def test_a_crash_while_discarding_leaves_main_as_it_was(survives, when):
    assert survives(lambda lake: lake.branch("draft").discard(), when) >= 1


def test_a_crash_while_writing_on_a_branch_leaves_main_as_it_was(make, frame, rows_of, assert_undamaged, when):
    expected = rows_of(make())

    def write_on_branch(lake):
        lake.branch("draft").asset("numbers").write(frame((1, 222)), "2024-01-01")

    for crashed in crash_everywhere(make, write_on_branch, when=when):
        draft = crashed.lake.branch("draft")
        assert rows_of(crashed.lake) == expected, crashed.at
        assert draft.asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist() in ([111], [222]), crashed.at
        write_on_branch(crashed.lake)
        draft.publish()
        assert rows_of(crashed.lake)["numbers"] == [(1, 222), (2, 2), (3, 30), (4, 4)], crashed.at
        assert_undamaged(crashed.lake, crashed.at)
        crashed.lake.close()
