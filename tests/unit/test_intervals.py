from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError
from lakepart.model.intervals import Intervals

members = st.frozensets(st.integers(-40, 40), max_size=40)


def intervals(numbers: frozenset[int]) -> Intervals:
    return Intervals.of([(number, number + 1) for number in numbers])


@given(members, members)
def test_the_algebra_is_that_of_sets(left, right) -> None:
    assert set(intervals(left) | intervals(right)) == left | right
    assert set(intervals(left) & intervals(right)) == left & right
    assert set(intervals(left) - intervals(right)) == left - right


@given(members)
def test_counting_and_order_agree_with_sets(numbers) -> None:
    found = intervals(numbers)

    assert len(found) == len(numbers)
    assert bool(found) == bool(numbers)
    assert list(found) == sorted(numbers)
    assert list(reversed(found)) == sorted(numbers, reverse=True)
    assert found.to_array().tolist() == sorted(numbers)
    if numbers:
        assert (found.first, found.last) == (min(numbers), max(numbers))


@given(members)
def test_ranges_are_canonical_so_equal_sets_are_equal_values(numbers) -> None:
    one_by_one = Intervals()
    for number in numbers:
        one_by_one |= Intervals(((number, number + 1),))

    assert one_by_one == intervals(numbers) == Intervals.from_positions(sorted(numbers, reverse=True))
    assert hash(one_by_one) == hash(intervals(numbers))
    assert all(left[1] < right[0] for left, right in zip(one_by_one.ranges, one_by_one.ranges[1:], strict=False))


@given(members)
def test_membership_is_the_same_asked_one_by_one_or_for_an_array(numbers) -> None:
    asked = np.arange(-45, 46)

    assert [number in intervals(numbers) for number in asked.tolist()] == [one in numbers for one in asked.tolist()]
    assert intervals(numbers).contains_each(asked).tolist() == [one in numbers for one in asked.tolist()]


@given(members, st.integers(0, 50))
def test_the_tail_is_the_greatest_members(numbers, count) -> None:
    assert list(intervals(numbers).tail(count)) == sorted(numbers)[max(0, len(numbers) - count) :]


def test_a_huge_range_costs_nothing() -> None:
    everything = Intervals(((0, 10**15),))

    assert len(everything - Intervals(((5, 6),))) == 10**15 - 1
    assert everything.clip(7, 9).ranges == ((7, 9),)
    assert 10**14 in everything


def test_only_integers_are_members() -> None:
    assert "1" not in Intervals(((0, 5),))


@pytest.mark.parametrize("ranges", [((3, 3),), ((0, 2), (2, 4)), ((5, 6), (0, 1))])
def test_ranges_out_of_order_are_refused(ranges) -> None:
    with pytest.raises(InvalidInputError, match="not in order"):
        Intervals(ranges)


def test_an_empty_set_has_no_first_member() -> None:
    with pytest.raises(InvalidInputError, match="empty set"):
        _ = Intervals().first


def test_a_set_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(intervals(frozenset({1, 2, 9})))) == intervals(frozenset({1, 2, 9}))
