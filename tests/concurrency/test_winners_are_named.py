"""Whoever loses to another commit is told which partition it was, and whose commit won: snapshot, author and time."""

import itertools
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial
from types import SimpleNamespace

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine.read import resolve
from lakepart.testing import copied, frozen_lake, meet_everywhere, query_catalog

DAYS = lp.Daily("2024-01-01", by="day")
KEY, NEW = "2024-01-01", "2024-01-09"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 6, 1, tzinfo=UTC))
    numbers = lake.asset("numbers", partitions=DAYS)
    numbers.write(frame((1, 1), (2, 2)))
    numbers.write(frame((1, 10)), KEY)
    lake.create_branch("draft").asset("numbers").write(frame((1, 100), (9, 900)), if_exists="replace")
    lake.asset("days", partitions=DAYS).write(frame((1, 1), (2, 2)))
    lake.asset("letters", partitions=lp.Static(["a", "b"])).write(frame((1, 1)), "a")  # of which no branch knows
    for value in (10, 11):
        lake.asset("pieces", partitions=DAYS).append(frame((1, value)))
    return lake


def read_then_write(lake, key):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        assert KEY in numbers.keys
        numbers.write(frame((int(key[-2:]), 5)), key)


def backfill(lake, publish):
    lake.asset("numbers")[KEY].backfill(
        lambda part: frame((1, 7)), inputs={}, which="all", publish=publish, name="run", progress=False
    )


def replace(lake):
    return lake.asset("numbers").write(frame((1, 2), (9, 9)), if_exists="replace")


def replace_letters(lake):
    return lake.asset("letters").write(frame((2, 2)), "a")


def replace_days(lake):
    return lake.asset("days").write(frame((1, 2), (9, 9)), if_exists="replace")


def shorten(lake):
    return lake.asset("days").alter(partitions=lp.Daily("2024-01-01", by="day", end="2024-01-05"))


def upsert_in_a_block(lake):
    with lake.transaction() as tx:
        tx.asset("pieces").upsert(frame((1, 10)), on=["value"])


def compact(lake):
    (snapshot,) = lake.asset("pieces").compact(progress=False).snapshots
    return SimpleNamespace(snapshot=snapshot)


def exchange(lake):
    return lake.asset("numbers").alter(drop=["value"], add={"value": pa.int32()})


# Who loses to whom.
LOSERS = {
    "a write of what was expected": (lambda lake: lake.asset("numbers").write(frame((1, 3)), KEY, expected=2), replace),
    "a write of what was expected to be missing": (
        lambda lake: lake.asset("numbers").write(frame((9, 3)), NEW, expected=2),
        replace,
    ),
    "an upsert": (lambda lake: lake.asset("numbers").upsert(frame((1, 10)), on=["value"]), replace),
    "an upsert of a new partition": (
        lambda lake: lake.asset("numbers").upsert(frame((9, 10)), on=["value"]),
        replace,
    ),
    "a block whose files are compacted": (upsert_in_a_block, compact),
    "an upsert under other columns": (
        lambda lake: lake.asset("numbers").upsert(frame((1, 10)), on=["value"]),
        exchange,
    ),
    "a deletion under other columns": (lambda lake: lake.asset("numbers").delete([("value", "==", 10)]), exchange),
    "a deletion of rows": (lambda lake: lake.asset("numbers").delete([("value", "==", 10)]), replace),
    "a transaction that read what it writes": (lambda lake: read_then_write(lake, KEY), replace),
    "a transaction that read a partition as missing": (lambda lake: read_then_write(lake, NEW), replace),
    "a publication": (lambda lake: lake.branch("draft").publish(), replace),
    "a refresh": (lambda lake: lake.branch("draft").refresh(), replace),
    "a rollback": (lambda lake: lake.asset("numbers").rollback(to=1), replace),
    "an undoing": (lambda lake: lake.rollback(commit=2), replace),
    "a backfill of each": (lambda lake: backfill(lake, "each"), replace),
    "a backfill together": (lambda lake: backfill(lake, "together"), replace),
    "a shorter definition": (shorten, replace_days),
    "a repartitioning": (lambda lake: lake.asset("days").repartition(lp.Monthly("2024-01-01", by="day")), replace_days),
    "a renaming": (lambda lake: lake.asset("letters").rename_key("a", "z"), replace_letters),
    "a write to a day that is taken away": (lambda lake: lake.asset("days").append(frame((9, 9))), shorten),
    "a write that adds columns": (
        lambda lake: lake.asset("numbers").append(frame((1, 9)).append_column("tip", [["x"]]), on_schema_change="add"),
        exchange,
    ),
}


@pytest.mark.parametrize("loser", LOSERS)
def test_a_conflict_names_partition_and_snapshot_author_and_time_of_the_winner(template, tmp_path, loser):
    act, win = LOSERS[loser]
    numbers, lost, won = itertools.count(), [], []

    def lose(lake):
        with suppress(lp.SchemaMismatchError, lp.StateError):
            try:
                act(lake)
            except (lp.ConflictError, lp.BackfillError) as error:
                lost.append(error)

    def win_or_lose(lake):
        with suppress(lp.ConflictError, lp.AlreadyExistsError, lp.StateError, lp.InvalidInputError):
            won.append(win(lake))

    named = 0
    for met in meet_everywhere(lambda: copied(template, tmp_path / f"{next(numbers)}"), lose, win_or_lose):
        for error in lost:
            winner = won[-1].snapshot
            ((author, at_us),) = query_catalog(
                met.lake, f"SELECT author, at_us FROM snapshot WHERE snapshot = {winner}"
            )
            at = datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(timespec="seconds")
            assert f"snapshot {winner} by {author} at {at}" in str(error), met.at
            told = error.context.get("conflicts") or [error.context]
            if isinstance(error, lp.ConflictError):
                assert {(one["snapshot"], one["author"], one["at"]) for one in told} == {(winner, author, at)}, met.at
                assert error.code == "asset-changed" or {one["key"] for one in told} <= {KEY, NEW, "a"}, met.at
                assert all(one["key"] in str(error) for one in told if "key" in one), met.at
            named += 1
        lost.clear()
    assert named


def test_a_read_of_what_was_cut_otherwise_since_it_was_looked_up_names_who_did_it(template, tmp_path):
    lake = copied(template, tmp_path / "lake")
    days = lake.asset("days")
    resolving = partial(resolve, days._home.context, days._home.view, days._record(), explicit=False)
    partitions = days[:]._partitions
    winner = days.repartition(lp.Monthly("2024-01-01", by="day"))

    with pytest.raises(lp.ConflictError, match=rf"\(snapshot {winner.snapshot} by .* at .*\)") as caught:
        resolving(partitions)

    assert caught.value.context["snapshot"] == winner.snapshot


def test_a_repartitioning_names_the_commit_by_which_a_branch_holds_the_old_partitions(template, tmp_path):
    lake = copied(template, tmp_path / "lake")
    days = lake.asset("days")
    plan = days.plan_repartition(lp.Monthly("2024-01-01", by="day"))
    winner = lake.create_branch("late").asset("days")[KEY].drop()

    with pytest.raises(lp.ConflictError, match=rf"'late' .* \(snapshot {winner.snapshot} by .* at .*\)") as caught:
        lake.apply(plan)

    (conflict,) = caught.value.context["conflicts"]
    assert (conflict["branch"], conflict["snapshot"]) == ("late", winner.snapshot)


def test_on_a_branch_the_winner_is_the_last_before_the_fork_whatever_main_has_replaced_since(template, tmp_path):
    lake = copied(template, tmp_path / "lake")
    numbers, draft = lake.asset("numbers"), lake.create_branch("late")
    plan = draft.asset("numbers").plan_upsert(frame((2, 20), (9, 90)), on=["day"])
    replaced = numbers.write(frame((2, 200)), "2024-01-02")
    written = numbers.write(frame((9, 900)), NEW)
    draft.refresh()
    numbers.write(frame((2, 2000), (9, 9000)), if_exists="replace")

    with pytest.raises(lp.ConflictError) as caught:
        draft.apply(plan)

    named = {one["key"]: one["snapshot"] for one in caught.value.context["conflicts"]}
    assert named == {"2024-01-02": replaced.snapshot, NEW: written.snapshot}
