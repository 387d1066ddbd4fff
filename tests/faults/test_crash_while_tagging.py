"""A process that dies anywhere while it makes or deletes a tag: the tag is there or not, and storage catches up."""

import pytest

from lakepart.testing import crash_everywhere, files_of

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


def noted(lake):
    return [name for name in files_of(lake) if name.startswith("_lakepart/tags/0")]


def test_a_crash_while_making_a_tag_leaves_it_made_or_not(make, assert_undamaged, assert_cleaned_up, when):
    crashes = 0
    for crashed in crash_everywhere(make, lambda lake: lake.tag("good", at=1), when=when):
        lake, at = crashed.lake, crashed.at
        assert_undamaged(lake, at)
        assert lake.tags()["snapshot"].tolist() in ([], [1]), at
        lake.tag("good", at=1)
        assert {finding.kind for finding in lake.check()} <= {"temporary-file"}, at
        assert len(noted(lake)) == 1, at
        assert_cleaned_up(lake, at)
        assert lake.at("good").asset("numbers").to_arrow()["value"].to_pylist() == [1, 2, 3], at
        lake.close()
        crashes += 1
    assert crashes == 3


def test_a_crash_while_deleting_a_tag_leaves_nothing_of_it_in_the_end(make, assert_undamaged, assert_cleaned_up, when):
    def tagged():
        lake = make()
        lake.tag("good", at=1)
        return lake

    crashes = 0
    for crashed in crash_everywhere(tagged, lambda lake: lake.delete_tag("good"), when=when):
        lake, at = crashed.lake, crashed.at
        assert_undamaged(lake, at)
        if len(lake.tags()):
            lake.delete_tag("good")
        assert_cleaned_up(lake, at)
        assert noted(lake) == [], at
        lake.close()
        crashes += 1
    assert crashes == 3
