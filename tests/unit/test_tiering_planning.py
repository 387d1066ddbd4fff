"""Which partitions move to which tier: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import lakepart as lp
from lakepart.model.records import AssetRecord, DataFile
from lakepart.planning.tiering import plan_moves, split_by_rule

DAYS = lp.Daily("2024-01-01", end="2024-02-01", by="day")
AS_OF = datetime(2024, 1, 11, tzinfo=UTC)


def data_file(number: int, tier: str) -> DataFile:
    path = f"a/partition=k/{number}.parquet"
    return DataFile(number, tier, path, 100 * number, number, 1, f"sum {number}", 1)


@pytest.fixture
def asset() -> AssetRecord:
    return AssetRecord(3, "sales", DAYS.to_dict(), 1, None, {}, None)


def decide(*rules: lp.AgeRule, definition: lp.PartitionsDefinition = DAYS) -> list[tuple[str, str]]:
    decided = split_by_rule(lp.TieringPolicy(*rules), "sales", definition, AS_OF)
    return [(tier, partitions.to_text()) for tier, partitions in decided]


def test_the_first_rule_that_covers_asset_and_age_decides() -> None:
    rules = (
        lp.AgeRule("archive", timedelta(days=7)),
        lp.AgeRule("cool", timedelta(days=8)),
        lp.AgeRule("cold", timedelta(days=2)),
    )

    assert decide(*rules) == [
        ("archive", "2024-01-01..2024-01-03"),
        ("cool", ""),
        ("cold", "2024-01-04..2024-01-08"),
    ]


def test_a_rule_for_other_assets_takes_nothing_away() -> None:
    rules = (lp.AgeRule("archive", timedelta(0), "other"), lp.AgeRule("cold", timedelta(days=9)))

    assert decide(*rules) == [("cold", "2024-01-01")]


def test_a_window_is_old_enough_at_the_instant_it_ended_so_long_ago() -> None:
    assert decide(lp.AgeRule("cold", timedelta(days=9))) == [("cold", "2024-01-01")]
    assert decide(lp.AgeRule("cold", timedelta(days=9, microseconds=1))) == [("cold", "")]


def test_the_age_of_a_window_goes_by_the_zone_of_its_definition() -> None:
    new_york = lp.Daily("2024-01-01", by="day", tz="America/New_York")

    assert decide(lp.AgeRule("cold", timedelta(days=9)), definition=new_york) == [("cold", "")]
    assert decide(lp.AgeRule("cold", timedelta(days=8, hours=19)), definition=new_york) == [("cold", "2024-01-01")]


@pytest.mark.parametrize("definition", [lp.Static(["a", "b"]), lp.Unpartitioned()], ids=repr)
def test_what_has_no_windows_has_no_age(definition) -> None:
    assert decide(lp.AgeRule("cold", timedelta(0)), definition=definition) == []


def test_a_policy_without_rules_decides_nothing() -> None:
    assert decide() == []


def test_only_files_on_the_tiers_to_leave_move_and_only_partitions_that_have_some(asset) -> None:
    hot, cold, other = data_file(1, "hot"), data_file(2, "cold"), data_file(3, "hot")

    moves = plan_moves(
        asset,
        [("a", 1, [hot, cold]), ("b", 2, [cold]), ("c", 3, []), ("d", 4, [other])],
        "cold",
        from_tiers=frozenset({"hot"}),
    )

    assert [(move.key, [file.file_id for file in move.files], move.size_bytes) for move in moves] == [
        ("a", [1], 100),
        ("d", [3], 300),
    ]
    assert {(move.asset, move.asset_id, move.to_tier) for move in moves} == {("sales", 3, "cold")}
