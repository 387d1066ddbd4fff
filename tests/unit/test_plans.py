"""Plans as people and programs see them."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError

import pytest

from lakepart.model.plans import (
    BackfillPlan,
    Move,
    MoveFile,
    ReadPlan,
    Target,
    TieringPlan,
    VacuumPlan,
    count_of,
    format_bytes,
    list_some,
)

READ = ReadPlan("flights", 12, ("a", "b"), ("c",), 3, 1, 300, 1_400_000, {"cold": 1, "hot": 2})


def move(key: str, *files: MoveFile, to: str = "cold") -> Move:
    return Move(1, "flights", key, 0, to, files)


def file(number: int, tier: str = "hot") -> MoveFile:
    return MoveFile(number, tier, f"{number}.parquet", 1_000, "sum")


TIERING = TieringPlan(7, (move("a", file(1), file(2)), move("b", file(3))), "to cold")
BACKFILL = BackfillPlan(
    name="fix",
    asset="delays",
    asset_id=1,
    branch_id=0,
    snapshot=9,
    selection="a..d",
    targets=(
        Target("a", 1, 0, "missing", None),
        Target("b", 2, 0, "missing", None),
        Target("c", 3, 1, "stale: code version 1, now 2", "x"),
    ),
    publish="together",
    code_version="2",
    inputs={"flights": {"asset": "flights", "mapping": {"version": 1, "kind": "identity"}}},
    function="pipeline:delays",
    batch=2,
    estimated_rows=3_000,
    estimated_bytes=45_000,
)
VACUUM = VacuumPlan(5, 1, 2, 3, (("hot", "a.parquet", 1_500, "unused"), ("hot", "b.parquet", 500, "unused")))


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (1_449_999, "1.4 MB"),
        (2_000_000_000, "2.0 GB"),
        (5_000_000_000_000_000, "5,000.0 TB"),
        (-1_500, "-1.5 kB"),
    ],
)
def test_sizes_are_written_for_people(size_bytes, text) -> None:
    assert format_bytes(size_bytes) == text


def test_one_is_singular_and_thousands_are_grouped() -> None:
    assert [count_of(number, "file") for number in (0, 1, 2, 12_345)] == [
        "0 files",
        "1 file",
        "2 files",
        "12,345 files",
    ]


@pytest.mark.parametrize(
    ("names", "text"),
    [([], ""), ("a", "a"), ("abcde", "a, b, c, d, e"), ("abcdef", "a, b, c, d, e and 1 more")],
)
def test_long_lists_are_cut_and_the_rest_counted(names, text) -> None:
    assert list_some(iter(names)) == text


def test_a_read_plan_says_what_is_opened_skipped_and_missing() -> None:
    assert str(READ).splitlines() == [
        "Read flights at snapshot 12: 2 partitions, 3 files, 1.4 MB (cold 1 file, hot 2 files)",
        "  skipped by the filter: 1 file",
        "  missing: c",
    ]


def test_a_read_plan_of_nothing_says_so() -> None:
    assert str(ReadPlan("flights", 0, (), (), 0, 0, 0, 0, {})) == (
        "Read flights at snapshot 0: 0 partitions, 0 files, 0 B (nothing)"
    )


def test_a_tiering_plan_is_grouped_by_the_tiers_it_goes_between() -> None:
    plan = TieringPlan(7, (*TIERING.moves, move("c", file(4), file(5, "cool"))), "to cold")

    assert str(plan).splitlines() == [
        "Move 3 partitions, 5.0 kB (to cold), from snapshot 7:",
        "  flights: hot → cold  a … c  3 partitions, 4 files, 4.0 kB",
        "  flights: cool → cold  c … c  1 partition, 1 file, 1.0 kB",
    ]
    assert plan.size_bytes == 5_000


def test_plans_of_nothing_say_so() -> None:
    assert str(TieringPlan(7, (), "to cold")) == "Nothing to move (to cold)."
    assert str(TieringPlan(7, ())) == "Nothing to move."
    assert str(VacuumPlan(5, 1, 2, 0, ())) == "Nothing to vacuum."
    empty = BackfillPlan("fix", "delays", 1, 0, 9, "a..d", (), "each", None, {}, None)
    assert str(empty) == "Nothing to backfill in delays (a..d)."


def test_a_backfill_plan_says_why_how_and_how_much() -> None:
    assert str(BACKFILL).splitlines() == [
        "Backfill fix: 3 partitions of delays in 2 orders, published together, from snapshot 9:",
        "  missing: 2 partitions (a, b)",
        "  stale: code version 1, now 2: 1 partition (c)",
        "  estimated from history: 3,000 rows, 45.0 kB",
    ]
    assert BACKFILL.order_count == 2


def test_a_vacuum_plan_counts_versions_files_and_reasons() -> None:
    assert str(VACUUM).splitlines() == [
        "Vacuum: forget 3 old versions, delete 2 files (2.0 kB), from snapshot 5:",
        "  files that only those versions hold go after the grace period",
        "  unused: 2 files",
    ]


@pytest.mark.parametrize("plan", [READ, TIERING, BACKFILL, VACUUM], ids=lambda plan: type(plan).__name__)
def test_every_plan_is_plain_data(plan) -> None:
    data = plan.to_dict()

    assert json.loads(json.dumps(data))["snapshot"] == plan.snapshot
    assert pickle.loads(pickle.dumps(plan)) == plan
    with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
        plan.snapshot = 1
