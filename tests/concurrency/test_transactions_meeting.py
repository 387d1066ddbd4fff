"""Transactions meeting other writers at every moment: all or nothing, and the guards of what they read."""

# ruff: noqa: PT012 - a transaction is a block

import itertools
from contextlib import suppress
from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, meet_everywhere, query_catalog, reopened

FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 1), (2, 2)))
    lake.asset("tens", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 10), (2, 20)))
    lake.asset("fresh", partitions=lp.Daily("2024-01-01", by="day"))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


@pytest.fixture
def lake(make):
    return make()


def values(lake, asset="numbers", key=None):
    handle = lake.asset(asset)
    return (handle if key is None else handle[key]).to_arrow()["value"].to_pylist()


def write(key, value, asset="numbers"):
    return lambda lake: lake.asset(asset).write(frame((int(key[-2:]), value)), key)


def assert_sound(lake, at=""):
    assert [str(found) for found in lake.check(checksums=True)] == [], at
    numbers = [number for (number,) in query_catalog(lake.url, "SELECT snapshot FROM snapshot ORDER BY snapshot")]
    assert numbers == list(range(len(numbers))), at


def test_a_reader_sees_all_of_a_block_or_nothing_of_it(make):
    seen = []

    def act(lake):
        with lake.transaction() as tx:
            tx.asset("numbers").write(frame((1, 100)), FIRST)
            tx.asset("tens").write(frame((1, 1000)), FIRST)

    for met in meet_everywhere(
        make, act, lambda lake: seen.append((values(lake, key=FIRST), values(lake, "tens", FIRST)))
    ):
        assert (values(met.lake, key=FIRST), values(met.lake, "tens", FIRST)) == ([100], [1000]), met.at
        assert_sound(met.lake, met.at)
    assert {str(rows) for rows in seen} == {"([1], [10])", "([100], [1000])"}


def test_a_blind_replacement_of_a_block_wins_over_what_others_committed_meanwhile(make):
    def act(lake):
        with lake.transaction() as tx:
            tx.asset("numbers").write(frame((1, 100)), FIRST)

    for met in meet_everywhere(make, act, write(FIRST, 7)):
        history = met.lake.asset("numbers")[FIRST].history()["operation"].tolist()
        assert sorted(history) == ["transaction", "write", "write"], met.at
        assert values(met.lake, key=FIRST) == [100 if history[0] == "transaction" else 7], met.at
        assert_sound(met.lake, met.at)


def test_rows_that_a_block_appends_are_added_to_what_others_committed_meanwhile(make):
    def act(lake):
        with lake.transaction() as tx:
            tx.asset("numbers").append(frame((1, 100)))
            tx.asset("numbers").append(frame((1, 101)))

    for met in meet_everywhere(make, act, lambda lake: lake.asset("numbers").append(frame((1, 7)))):
        assert values(met.lake, key=FIRST) in ([1, 7, 100, 101], [1, 100, 101, 7]), met.at
        assert_sound(met.lake, met.at)


def raise_by_one(lake):
    with lake.transaction("one more") as tx:
        numbers = tx.asset("numbers")
        (value,) = numbers[FIRST].to_arrow()["value"].to_pylist()
        numbers.write(frame((1, value + 1)), FIRST)


def test_of_two_blocks_that_read_and_write_one_partition_no_update_is_lost(make):
    outcomes = set()

    def act(lake):
        try:
            raise_by_one(lake)
            outcomes.add("committed")
        except lp.ConflictError:
            outcomes.add("refused")

    for met in meet_everywhere(make, act, raise_by_one):
        commits = query_catalog(met.lake.url, "SELECT count(*) FROM snapshot WHERE operation = 'transaction'")[0][0]
        assert values(met.lake, key=FIRST) == [1 + commits], met.at
        assert_sound(met.lake, met.at)
    assert outcomes == {"committed", "refused"}


def test_a_conflict_names_partition_snapshot_author_and_time_of_the_winner(lake):
    other = reopened(lake)

    with pytest.raises(lp.ConflictError) as caught, lake.transaction() as tx:
        tx.asset("numbers").to_arrow()
        tx.asset("numbers").write(frame((1, 100), (2, 200)), if_exists="replace")
        raise_by_one(other)

    (conflict,) = caught.value.context["conflicts"]
    (winner,) = query_catalog(lake.url, "SELECT snapshot, author, at_us FROM snapshot WHERE snapshot = 3")
    assert (conflict["asset"], conflict["key"]) == ("numbers", FIRST)
    assert (conflict["snapshot"], conflict["author"], conflict["at_us"]) == winner
    assert all(part in str(caught.value) for part in (FIRST, "snapshot 3", winner[1], conflict["at"]))
    assert caught.value.retryable


@pytest.mark.parametrize(
    "read",
    [
        lambda numbers: numbers.to_arrow(),
        lambda numbers: numbers[FIRST].count_rows(),
        lambda numbers: numbers.keys,
        lambda numbers: numbers[FIRST].files(),
        lambda numbers: next(iter(numbers.to_batches())),
    ],
    ids=["everything", "count", "keys", "files", "batches"],
)
@pytest.mark.parametrize("kind", ["replace", "append"])
def test_any_read_of_a_partition_guards_its_write(lake, read, kind):
    other = reopened(lake)

    with pytest.raises(lp.ConflictError, match=FIRST), lake.transaction() as tx:
        read(tx.asset("numbers"))
        tx.asset("numbers").write(frame((1, 100), (3, 3)), if_exists=kind)
        write(FIRST, 7)(other)

    assert values(lake) == [7, 2]
    assert_sound(lake)


def test_a_partition_that_was_read_as_missing_must_still_be(lake):
    other = reopened(lake)

    with pytest.raises(lp.ConflictError, match=THIRD), lake.transaction() as tx:
        assert THIRD not in tx.asset("numbers").keys
        tx.asset("numbers").write(frame((3, 100)), THIRD)
        write(THIRD, 7)(other)

    assert values(lake, key=THIRD) == [7]


def test_of_two_blocks_that_write_new_partitions_one_wins(make):
    outcomes = set()

    def act(lake):
        try:
            with lake.transaction() as tx:
                tx.asset("tens").write(frame((1, 5)), FIRST)
                tx.asset("numbers").write(frame((3, 100)))
            outcomes.add("committed")
        except (lp.ConflictError, lp.AlreadyExistsError):
            outcomes.add("refused")

    def write_too(lake):
        with suppress(lp.AlreadyExistsError):
            lake.asset("numbers").write(frame((3, 7)))

    for met in meet_everywhere(make, act, write_too):
        won = values(met.lake, key=THIRD) == [100]
        assert values(met.lake, "tens", FIRST) == ([5] if won else [10]), met.at
        assert len(met.lake.asset("numbers")[THIRD].history()) == 1, met.at
        assert_sound(met.lake, met.at)
    assert outcomes == {"committed", "refused"}


def test_what_a_block_only_reads_may_move_and_two_such_blocks_can_both_commit(lake):
    other = reopened(lake)

    with lake.transaction() as tx:
        (read,) = tx.asset("numbers")[FIRST].to_arrow()["value"].to_pylist()
        tx.asset("numbers").write(frame((2, read)), SECOND)
        raise_by_one(other)

    assert values(lake) == [2, 1]


def test_a_partition_that_the_block_replaced_before_it_read_it_is_not_guarded(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.write(frame((1, 100)), FIRST)
        assert numbers[FIRST].count_rows() == 1
        numbers.write(frame((1, 101)), FIRST)
        write(FIRST, 7)(reopened(lake))

    assert values(lake, key=FIRST) == [101]


def test_what_a_write_in_a_block_expects_is_looked_at_at_once_and_at_the_end(lake):
    seen = query_catalog(lake.url, "SELECT snapshot FROM head")[0][0]
    newer = reopened(lake).asset("numbers").write(frame((2, 9)), SECOND)

    with pytest.raises(lp.ConflictError, match=FIRST), lake.transaction() as tx:
        with pytest.raises(lp.ConflictError) as caught:
            tx.asset("numbers").write(frame((2, 100)), SECOND, expected=seen)
        tx.asset("numbers").write(frame((2, 100)), SECOND, expected=newer)
        tx.asset("numbers").write(frame((1, 100)), FIRST, expected=seen)
        write(FIRST, 7)(reopened(lake))

    assert caught.value.context["conflicts"][0]["snapshot"] == newer.snapshot
    assert values(lake) == [7, 9]
    assert_sound(lake)


def test_what_a_write_expected_still_holds_when_another_one_supersedes_it(lake):
    seen = query_catalog(lake.url, "SELECT snapshot FROM head")[0][0]

    with pytest.raises(lp.ConflictError, match=FIRST), lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 100)), FIRST, expected=seen)
        tx.asset("numbers").write(frame((1, 101)), FIRST)
        write(FIRST, 7)(reopened(lake))

    assert values(lake, key=FIRST) == [7]


def test_an_asset_that_was_cut_otherwise_after_the_block_began_is_refused(lake):
    other = reopened(lake)

    with lake.transaction() as tx:
        winner = other.asset("numbers").repartition(lp.Monthly("2024-01-01", by="day"))
        with pytest.raises(lp.ConflictError, match=rf"\(snapshot {winner.snapshot} by .* at .*\)") as caught:
            tx.asset("numbers")

    assert caught.value.code == "asset-changed"
    assert caught.value.context["snapshot"] == winner.snapshot


@pytest.mark.parametrize(
    ("alter", "fits"),
    [
        (lambda asset: asset.alter(partitions=lp.Daily("2023-01-01", by="day")), True),
        (lambda asset: asset.repartition(lp.Monthly("2024-01-01", by="day")), False),
    ],
    ids=["extended", "repartitioned"],
)
def test_an_asset_that_is_cut_otherwise_before_the_block_ends_is_written_if_its_partitions_fit(lake, alter, fits):
    other = reopened(lake)

    try:
        with lake.transaction() as tx:
            tx.asset("tens").write(frame((1, 0)), FIRST)
            tx.asset("numbers").write(frame((1, 100)), FIRST)
            alter(other.asset("numbers"))
    except lp.LakepartError:
        assert not fits

    assert values(lake, "tens", FIRST) == ([0] if fits else [10])
    assert sorted(values(lake)) == ([2, 100] if fits else [1, 2])
    assert_sound(lake)


def test_the_first_schema_to_be_committed_counts_for_a_block_too(make):
    def act(lake):
        with lake.transaction() as tx:
            tx.asset("tens").write(frame((1, 5)), FIRST)
            tx.asset("fresh").write(frame((1, 100)))

    for met in meet_everywhere(make, act, lambda lake: lake.asset("fresh").write(frame((2, 200)))):
        assert values(met.lake, "fresh") == [100, 200], met.at
        assert query_catalog(met.lake.url, "SELECT count(*) FROM schema") == [(3,)], met.at
        assert_sound(met.lake, met.at)
