"""Two handles of one lake, one of which cuts an asset otherwise, meeting at every moment."""

import itertools
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, meet_everywhere, query_catalog, reopened

DAYS = lp.Daily("2024-01-01", by="day")
SHORT = lp.Daily("2024-01-01", by="day", end="2024-01-04")
LONG = lp.Daily("2023-12-01", by="day")
MONTHS = lp.Monthly("2024-01-01", by="day")


def frame(*pairs):
    days = [date(2024, 1, 1) + timedelta(days=day - 1) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 6, 1, tzinfo=UTC))
    lake.asset("numbers", partitions=DAYS).write(frame((1, 1), (2, 2), (3, 3)))
    lake.asset("letters", partitions=lp.Static(["a", "b"])).write(frame((1, 1)), "a")
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


def losing(action):
    """Let an action lose the race, in one of the ways that leave nothing behind."""

    def act(lake):
        with suppress(lp.ConflictError, lp.StateError, lp.AlreadyExistsError, lp.InvalidInputError):
            action(lake.asset("numbers"))

    return act


def rows_of(lake, asset="numbers"):
    table = lake.asset(asset).to_arrow()
    days = [(day - date(2023, 12, 31)).days for day in table["day"].to_pylist()]
    return sorted(zip(days, table["value"].to_pylist(), strict=True))


def assert_sound(lake, at):
    """Every current version is a partition of the definition, by key and by ordinal, and nothing is left over."""
    assert [str(found) for found in lake.check(checksums=True)] == [], at
    for asset in lake.assets():
        definition = asset.partitions
        current = query_catalog(
            lake.url,
            "SELECT ordinal, key FROM version JOIN asset USING (asset_id)"
            f" WHERE ended IS NULL AND name = '{asset.name}'",
        )
        assert [(definition.key_of_ordinal(ordinal), key) for ordinal, key in current] == [
            (key, key) for _, key in current
        ], at
    numbers = [number for (number,) in query_catalog(lake.url, "SELECT snapshot FROM snapshot ORDER BY snapshot")]
    assert numbers == list(range(len(numbers))), at


def test_a_writer_and_one_who_takes_its_day_away_never_both_win(make):
    write, shorten = (lambda asset: asset.write(frame((9, 9)))), (lambda asset: asset.alter(partitions=SHORT))
    outcomes = set()
    for action, other in ((write, shorten), (shorten, write)):
        for met in meet_everywhere(make, losing(action), losing(other)):
            asset = met.lake.asset("numbers")
            outcomes.add((asset.partitions == SHORT, "2024-01-09" in asset.keys))
            assert_sound(met.lake, met.at)

    assert outcomes == {(True, False), (False, True)}


def test_a_writer_whose_day_stays_meets_an_alteration_and_both_win(make):
    def write(lake):
        lake.asset("numbers").write(frame((2, 20)), "2024-01-02")

    def extend(lake):
        lake.asset("numbers").alter(partitions=LONG)

    for met in meet_everywhere(make, write, extend):
        assert rows_of(met.lake) == [(1, 1), (2, 20), (3, 3)], met.at
        assert met.lake.asset("numbers").partitions == LONG, met.at
        assert_sound(met.lake, met.at)


def test_a_stream_of_rows_finds_the_definition_it_began_with_or_fails_whole(make):
    lake = make()

    def rows():
        yield frame((9, 9))
        reopened(lake).asset("numbers").alter(partitions=SHORT)
        yield frame((10, 10))

    with pytest.raises(lp.ConflictError, match="2 partitions to be written are gone"):
        lake.asset("numbers").write(rows())

    assert rows_of(lake) == [(1, 1), (2, 2), (3, 3)]
    assert_sound(lake, "")


@pytest.mark.parametrize(
    "write",
    [
        lambda asset: asset.write(frame((2, 20)), "2024-01-02"),
        lambda asset: asset.append(frame((2, 20))),
        lambda asset: asset.write(frame((40, 40))),
    ],
    ids=["replace", "append", "new"],
)
def test_a_writer_meets_a_rewrite_and_no_row_is_lost_or_in_the_wrong_partition(make, write):
    def rewrite(asset):
        asset.repartition(MONTHS)

    alone = make()
    write(alone.asset("numbers"))
    written, old = rows_of(alone), [(1, 1), (2, 2), (3, 3)]
    outcomes = set()
    for action, other in ((write, rewrite), (rewrite, write)):
        for met in meet_everywhere(make, losing(action), losing(other)):
            rows, months = rows_of(met.lake), met.lake.asset("numbers").partitions == MONTHS
            assert rows in (written, old), met.at
            outcomes.add((rows == written, months))
            assert_sound(met.lake, met.at)

    assert (False, False) not in outcomes  # somebody wins
    assert len(outcomes) > 1


def test_of_two_alterations_one_wins_or_both_one_after_the_other(make):
    def describe(asset):
        asset.alter(description="x")

    def extend(asset):
        asset.alter(partitions=LONG)

    for met in meet_everywhere(make, losing(describe), losing(extend)):
        asset = met.lake.asset("numbers")
        changes = query_catalog(met.lake.url, "SELECT change FROM asset_definition WHERE asset_id = 1 ORDER BY began")
        assert changes in ([("declared",), ("altered",)], [("declared",), ("altered",), ("altered",)]), met.at
        assert (asset.partitions == LONG) + (asset.description == "x") == len(changes) - 1, met.at
        assert_sound(met.lake, met.at)


def test_of_two_rewrites_each_is_whole(make):
    weeks = lp.Weekly("2023-12-25", by="day")

    for met in meet_everywhere(
        make, losing(lambda asset: asset.repartition(MONTHS)), losing(lambda asset: asset.repartition(weeks))
    ):
        assert rows_of(met.lake) == [(1, 1), (2, 2), (3, 3)], met.at
        assert met.lake.asset("numbers").partitions in (MONTHS, weeks), met.at
        assert_sound(met.lake, met.at)


def test_a_renaming_meets_a_writer_and_the_rows_are_under_the_name_that_is_left(make):
    def rename(lake):
        with suppress(lp.ConflictError):
            lake.asset("letters").rename_key("a", "z")

    def write(lake):
        with suppress(lp.ConflictError, lp.StateError, lp.PartitionKeyError):
            lake.asset("letters").write(frame((5, 5)), "a")

    for action, other in ((rename, write), (write, rename)):
        for met in meet_everywhere(make, action, other):
            assert rows_of(met.lake, "letters") in ([(1, 1)], [(5, 5)]), met.at
            assert met.lake.asset("letters").keys in (["a"], ["z"]), met.at
            assert_sound(met.lake, met.at)


def test_a_renaming_of_an_empty_place_meets_its_first_writer(make):
    def rename(lake):
        with suppress(lp.ConflictError):
            lake.asset("letters").rename_key("b", "z")

    def write(lake):
        with suppress(lp.ConflictError, lp.StateError, lp.PartitionKeyError):
            lake.asset("letters").write(frame((5, 5)), "b")

    for action, other in ((rename, write), (write, rename)):
        for met in meet_everywhere(make, action, other):
            assert_sound(met.lake, met.at)


def test_a_reader_sees_all_rows_once_or_is_told_to_select_again(make):
    seen = []

    def read(lake):
        with suppress(lp.ConflictError):
            seen.append(rows_of(lake))

    for turn in range(6):  # a read has no effects to meet at: let the rewrite come between its transactions
        lake = make()
        original, count = type(lake._home.context.database).reading, itertools.count()

        def reading(database, turn=turn, original=original, count=count, lake=lake):
            if next(count) == turn:
                type(database).reading = original
                reopened(lake).asset("numbers").repartition(lp.Static(["1", "2", "3"], by="value"))
            return original(database)

        type(lake._home.context.database).reading = reading
        try:
            read(lake)
        finally:
            type(lake._home.context.database).reading = original

    assert seen
    assert all(rows == [(1, 1), (2, 2), (3, 3)] for rows in seen)
