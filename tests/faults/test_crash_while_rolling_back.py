"""A process that dies anywhere in a rollback: everything is rolled back, or nothing."""

import pytest

pytestmark = pytest.mark.parametrize("when", ["before", "after"])


def test_a_crash_while_undoing_a_commit_undoes_all_of_it_or_nothing(survives, when):
    assert survives(lambda lake: lake.rollback(commit=2, message="undo"), when) >= 3
