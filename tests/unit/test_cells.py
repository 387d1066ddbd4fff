from __future__ import annotations

import operator
from itertools import pairwise
from itertools import product as combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError
from lakepart.model.cells import (
    CELLS_AT_A_TIME,
    Rows,
    at_positions,
    boxes,
    chunks_of_positions,
    contains,
    first_position,
    last_position,
    parts,
    product,
    tail,
    union,
)
from lakepart.model.intervals import Intervals

GRIDS = [(9,), (3, 4), (4, 1), (2, 3, 3), (2, 2, 2, 3)]


def positions(cells, sizes, **order):
    return [one for chunk in chunks_of_positions(cells, sizes, **order) for one in chunk.tolist()]


def of(members, sizes):
    return at_positions(Intervals.from_positions(members), sizes)


@st.composite
def grids(draw, sets=1):
    sizes = draw(st.sampled_from(GRIDS))
    return (sizes, *(draw(st.frozensets(st.integers(0, prod(sizes) - 1))) for _ in range(sets)))


@given(grids(sets=2))
def test_the_algebra_is_that_of_sets_of_cells(drawn) -> None:
    sizes, left, right = drawn

    for combine in (operator.and_, operator.or_, operator.sub):
        found = combine(of(left, sizes), of(right, sizes))
        assert positions(found, sizes) == sorted(combine(left, right))
        assert found == of(combine(left, right), sizes), "equal sets compare equal, however they came about"


@given(grids())
def test_cells_count_order_and_contain_their_members(drawn) -> None:
    sizes, members = drawn
    cells = of(members, sizes)

    assert len(cells) == len(members)
    assert bool(cells) == bool(members)
    assert positions(cells, sizes) == sorted(members)
    assert positions(cells, sizes, newest_first=True) == sorted(members, reverse=True)
    assert {at for at in range(prod(sizes)) if contains(cells, at, sizes)} == members
    if members:
        assert (first_position(cells, sizes), last_position(cells, sizes)) == (min(members), max(members))


@given(grids())
def test_boxes_hold_each_cell_once_and_make_the_set_again(drawn) -> None:
    sizes, members = drawn
    cells = of(members, sizes)
    found = list(boxes(cells))

    listed = [np.ravel_multi_index(cell, sizes) for box in found for cell in combinations(*box)]
    assert sorted(listed) == sorted(members)
    if found:
        assert union([product(box) for box in found]) == cells


@given(st.sampled_from(GRIDS), st.data())
def test_a_product_of_intervals_is_one_box(sizes, data) -> None:
    sides = [data.draw(st.frozensets(st.integers(0, size - 1), min_size=1)) for size in sizes]
    box = tuple(Intervals.from_positions(side) for side in sides)

    cells = product(box)

    assert list(boxes(cells)) == [box]
    assert set(positions(cells, sizes)) == {int(np.ravel_multi_index(cell, sizes)) for cell in combinations(*sides)}


@given(grids(), st.lists(st.integers(1, 5), max_size=6))
def test_parts_follow_one_another_and_have_the_sizes_asked_for(drawn, counts) -> None:
    sizes, members = drawn
    ordered = sorted(members)

    found = [positions(part, sizes) for part in parts(of(members, sizes), counts)]

    ends = np.cumsum([0, *counts]).tolist()
    assert found == [ordered[start:stop] for start, stop in pairwise(ends)]
    assert positions(tail(of(members, sizes), 3), sizes) == ordered[-3:]


def test_rows_longer_than_a_chunk_are_listed_in_order_both_ways() -> None:
    sizes = (3, 2 * CELLS_AT_A_TIME + 7)
    everything = product([Intervals(((0, size),)) for size in sizes])

    assert positions(everything, sizes) == list(range(prod(sizes)))
    assert positions(everything, sizes, newest_first=True) == list(range(prod(sizes)))[::-1]
    assert max(chunk.size for chunk in chunks_of_positions(everything, sizes)) <= CELLS_AT_A_TIME


def test_no_cells_have_no_first() -> None:
    with pytest.raises(InvalidInputError, match="no first or last"):
        first_position(Rows(), (2, 2))
