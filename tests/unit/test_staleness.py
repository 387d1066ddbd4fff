"""The rules that say what is stale; facts in, reasons out."""

from __future__ import annotations

import numpy as np
import pytest

from lakepart.model.records import InputRecord
from lakepart.planning.staleness import (
    MISSING_DIGEST,
    StaleKind,
    code_reason,
    digest_of_contents,
    input_reasons,
    is_early,
    marked_reason,
)

HOUR_US = 3600 * 1_000_000
WINDOW_END_US = 1_704_153_600_000_000


def read(asset: str, digest: str) -> InputRecord:
    return InputRecord("rows", asset, {"kind": "identity"}, "2024-01-01", 7, digest)


def test_another_code_version_than_the_producers_is_a_reason_that_names_both() -> None:
    reason = code_reason("1", "2", has_lineage=True)

    assert reason is not None
    assert (reason.kind, str(reason)) == (StaleKind.CODE, "code version 1, now 2")


@pytest.mark.parametrize(
    ("written_by", "current", "has_lineage"),
    [("2", "2", True), ("2", "2", False), ("1", None, True), (None, None, True), (None, "2", False)],
    ids=["same", "same without inputs", "producer without version", "no versions at all", "a plain write"],
)
def test_code_is_no_reason_where_nothing_differs_or_nobody_judges(written_by, current, has_lineage) -> None:
    assert code_reason(written_by, current, has_lineage=has_lineage) is None


def test_what_was_made_from_inputs_by_unknown_code_is_not_what_the_producer_would_make() -> None:
    assert str(code_reason(None, "2", has_lineage=True)) == "code version unknown, now 2"


@pytest.mark.parametrize(
    ("written_at_us", "complete_after_us", "early"),
    [
        (WINDOW_END_US - 1, 0, True),
        (WINDOW_END_US, 0, False),
        (WINDOW_END_US, HOUR_US, True),
        (WINDOW_END_US + HOUR_US - 1, HOUR_US, True),
        (WINDOW_END_US + HOUR_US, HOUR_US, False),
    ],
)
def test_a_version_is_early_up_to_the_microsecond_its_window_is_complete(
    written_at_us, complete_after_us, early
) -> None:
    written, ends = (np.array([instant], dtype=np.int64) for instant in (written_at_us, WINDOW_END_US))

    assert is_early(written, ends, complete_after_us).tolist() == [early]


def test_a_mark_is_repeated_in_the_words_it_was_given() -> None:
    assert str(marked_reason("wrong tax table")) == "marked: wrong tax table"
    assert marked_reason(None) is None


def test_every_input_with_other_content_is_named_and_no_other() -> None:
    inputs = [(read("a", "x"), "x"), (read("b", "x"), "y"), (read("c", "x"), MISSING_DIGEST), (read("d", "m"), "m")]

    reasons = input_reasons(inputs)

    assert [str(reason) for reason in reasons] == ["input b changed", "input c changed"]
    assert {reason.kind for reason in reasons} == {StaleKind.INPUT}


def test_a_digest_tells_contents_partitions_and_their_number_apart() -> None:
    listed = [
        [],
        [(1, "x")],
        [(2, "x")],
        [(1, "y")],
        [(1, "x"), (2, "x")],
        [(1, "x"), (2, "y")],
        [(1, "y"), (2, "x")],
        [(1, "empty")],
    ]

    digests = [digest_of_contents(contents) for contents in listed]

    assert len(set(digests)) == len(listed)
    assert digests == [digest_of_contents(iter(contents)) for contents in listed]


def test_the_digest_of_a_one_to_one_input_is_its_content_and_of_none_that_it_is_missing() -> None:
    assert digest_of_contents([(1, "x")], one_to_one=True) == "x"
    assert digest_of_contents([], one_to_one=True) == digest_of_contents([]) == MISSING_DIGEST
