"""Which partitions a backfill computes, why, in which orders, and how they become visible."""

from __future__ import annotations

import pytest

from lakepart.errors import InvalidInputError
from lakepart.model.records import VersionRecord
from lakepart.planning.backfill import check_which, choose_publication, choose_targets
from lakepart.planning.staleness import Reason, StaleKind
from lakepart.planning.status import PartitionStatus

CODE = Reason(StaleKind.CODE, "code version 1, now 2")
INPUT = Reason(StaleKind.INPUT, "input flights changed")


def status(key: str, data: str, *, work: str | None = None, reasons: tuple[Reason, ...] = ()) -> PartitionStatus:
    ordinal = ord(key)
    version = None
    if data != "missing":
        version = VersionRecord(1, 1, 0, key, ordinal, f"content of {key}", 1, None, 1, 1, 1, "1", 1)
    return PartitionStatus(key, ordinal, data, work, reasons, None, version, ())


STATUSES = [
    status("a", "missing"),
    status("b", "fresh"),
    status("c", "stale", reasons=(CODE, INPUT)),
    status("d", "empty"),
    status("e", "missing", work="failed"),
    status("f", "fresh", work="failed"),
    status("g", "missing", work="running"),
]


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        (None, "acefg"),
        ("all", "abcdefg"),
        ("missing", "aeg"),
        ("stale", "c"),
        ("failed", "ef"),
        ({"stale", "failed"}, "cef"),
        (["missing"], "aeg"),
    ],
    ids=["default", "all", "missing", "stale", "failed", "two", "list"],
)
def test_the_states_asked_for_are_chosen_in_the_order_of_the_partitions(which, keys) -> None:
    targets = choose_targets(STATUSES, check_which(which), batch=1)

    assert "".join(target.key for target in targets) == keys


def test_every_target_says_why_and_what_it_must_still_find() -> None:
    targets = choose_targets(STATUSES, check_which("all"), batch=1)

    assert {target.key: target.reason for target in targets} == {
        "a": "missing",
        "b": "asked for",
        "c": "stale: code version 1, now 2; input flights changed",
        "d": "asked for",
        "e": "failed",
        "f": "failed",
        "g": "missing",
    }
    assert {target.key: target.expected for target in targets if target.key in "ac"} == {
        "a": None,
        "c": "content of c",
    }


@pytest.mark.parametrize(("batch", "orders"), [(1, [0, 1, 2, 3, 4, 5, 6]), (3, [0, 0, 0, 1, 1, 1, 2]), (100, [0] * 7)])
def test_batches_are_filled_in_order_and_only_the_last_is_smaller(batch, orders) -> None:
    targets = choose_targets(STATUSES, None, batch)

    assert [target.order_number for target in targets] == orders


def test_batches_are_counted_over_what_is_chosen() -> None:
    targets = choose_targets(STATUSES, check_which(None), batch=2)

    assert [(target.key, target.order_number) for target in targets] == [
        ("a", 0),
        ("c", 0),
        ("e", 1),
        ("f", 1),
        ("g", 2),
    ]


@pytest.mark.parametrize(
    "which", ["fresh", {"missing", "early"}, set(), "", ["all"]], ids=["other", "mixed", "none", "empty", "listed"]
)
def test_states_that_cannot_be_chosen_are_refused_with_those_that_can(which) -> None:
    with pytest.raises(InvalidInputError, match="which=") as caught:
        check_which(which)

    assert "'missing', 'failed', 'stale'" in str(caught.value)


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_holds_at_least_one(batch) -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        choose_targets(STATUSES, None, batch)


@pytest.mark.parametrize(
    ("which", "on_branch", "publication"),
    [("missing", False, "each"), ("all", False, "together"), ("all", True, "each"), ("missing", True, "each")],
)
def test_results_appear_together_where_published_content_is_replaced(which, on_branch, publication) -> None:
    targets = choose_targets(STATUSES, check_which(which), batch=1)

    assert choose_publication(None, targets, on_branch=on_branch) == publication


@pytest.mark.parametrize("asked", ["each", "together", "branch:x"])
def test_how_to_publish_is_as_asked(asked) -> None:
    assert choose_publication(asked, (), on_branch=False) == asked


@pytest.mark.parametrize("asked", ["", "Each", "branch", "branch:", "all"])
def test_other_ways_to_publish_are_refused(asked) -> None:
    with pytest.raises(InvalidInputError, match="'each', 'together', 'branch:NAME'"):
        choose_publication(asked, (), on_branch=False)


@pytest.mark.parametrize("asked", ["together", "branch:x"])
def test_a_branch_has_no_branches(asked) -> None:
    with pytest.raises(InvalidInputError, match="a branch of that branch"):
        choose_publication(asked, (), on_branch=True)
