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


@pytest.mark.parametrize("on_conflict", ["drop", "ours"])
def test_a_crash_while_conflicts_are_settled_publishes_all_that_was_chosen_or_nothing(
    make, frame, rows_of, assert_undamaged, assert_cleaned_up, when, on_conflict
):
    def conflicting():
        lake = make()
        lake.asset("numbers").write(frame((4, -4)))
        return lake

    kept = -4 if on_conflict == "drop" else 4
    before, after = [(1, 1), (2, 2), (3, 30), (4, -4)], [(1, 111), (2, 2), (3, 30), (4, kept)]
    publish = lambda lake: lake.branch("draft").publish(on_conflict=on_conflict)  # noqa: E731
    for crashed in crash_everywhere(conflicting, publish, when=when):
        lake, at = crashed.lake, crashed.at
        found = rows_of(lake)["numbers"]
        assert found in (before, after), at
        if found == before:
            publish(lake)
        assert lake.branches()["partitions"].tolist() == ([1] if on_conflict == "drop" else []), at
        assert rows_of(lake)["numbers"] == after, at
        assert_undamaged(lake, at)
        assert_cleaned_up(lake, at)
        lake.close()


def test_a_crash_while_refreshing_leaves_main_and_the_branch_as_they_are(make, rows_of, assert_undamaged, when):
    expected = rows_of(make())
    for crashed in crash_everywhere(make, lambda lake: lake.branch("draft").refresh(), when=when):
        assert rows_of(crashed.lake) == expected, crashed.at
        crashed.lake.branch("draft").publish()
        assert rows_of(crashed.lake)["numbers"] == [(1, 111), (2, 2), (3, 30), (4, 4)], crashed.at
        assert_undamaged(crashed.lake, crashed.at)
        crashed.lake.close()
