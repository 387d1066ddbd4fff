from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lakepart.errors import InvalidInputError, PartitionKeyError
from lakepart.model.keys import LONGEST_SEGMENT_BYTES, check_key, decode_segment, encode_segment

keys = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=400)


@given(keys)
@example("..")
@example(".")
@example("a/../../b")
@example("100%")
@example("%~0123456789abcdef0123456789abcdef")
@example("🙂" * 60)
@example("x" * 300)
@example("CON")
@example("a.")
def test_any_key_names_a_folder_that_cannot_leave_its_place(key) -> None:
    segment = encode_segment("partition", key)

    assert len(segment.encode()) <= LONGEST_SEGMENT_BYTES
    assert re.fullmatch(r"partition=[A-Za-z0-9_.%~-]+", segment)
    assert not segment.endswith(".")


@given(keys)
@example("%~0123456789abcdef0123456789abcdef")
@example("x" * 300)
def test_a_folder_name_tells_its_key_unless_it_was_cut(key) -> None:
    dimension, decoded = decode_segment(encode_segment("region", key))

    assert dimension == "region"
    assert decoded == key or (decoded is None and len(key.encode()) > 70)


@given(keys, keys)
def test_two_keys_never_share_a_folder_name(left, right) -> None:
    assert (encode_segment("p", left) == encode_segment("p", right)) == (left == right)


def test_long_keys_that_differ_at_the_end_have_two_folders() -> None:
    assert encode_segment("p", "x" * 300 + "1") != encode_segment("p", "x" * 300 + "2")


def test_a_cut_never_leaves_half_an_escape() -> None:
    for dimension in ("p", "pp", "ppp"):
        segment = encode_segment(dimension, "é" * 300)
        assert re.fullmatch(r"p+=(%[0-9A-F]{2})+%~[0-9a-f]{32}", segment)


@pytest.mark.parametrize(
    ("key", "segment"),
    [
        ("2013-01-05", "partition=2013-01-05"),
        ("2024-11-03-01:00-0500", "partition=2024-11-03-01%3A00-0500"),
        ("..", "partition=.%2E"),
        ("a/b", "partition=a%2Fb"),
        ("ü", "partition=%C3%BC"),
        ("a b", "partition=a%20b"),
    ],
)
def test_the_encoding_stays_as_it_was_released(key, segment) -> None:
    assert encode_segment("partition", key) == segment


@pytest.mark.parametrize(
    ("key", "rule"),
    [("", "is empty"), ("a\0b", "holds NUL"), ("\ud800", "lone surrogate at 0"), (5, "is a int"), (None, "NoneType")],
)
def test_what_cannot_be_a_key_is_refused(key, rule) -> None:
    with pytest.raises(PartitionKeyError, match=rule):
        check_key(key)


@pytest.mark.parametrize("name", ["_packs", "p=", "=a", "p=%C3", "p=%2f", "p=a%41", "p=%zz", "p=a b", "p=%00"])
def test_folder_names_that_no_key_gives_are_refused(name) -> None:
    with pytest.raises(InvalidInputError, match="folder name"):
        decode_segment(name)
