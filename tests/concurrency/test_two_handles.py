"""Two handles of one lake, in one thread, meeting at every moment: each row of the table of conflicts."""

import itertools
import time
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog.intents import renew_intents
from lakepart.testing import clock_of, copied, frozen_lake, meet_everywhere, query_catalog, reopened

KEY = "2024-01-01"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": days, "value": pa.array([value for _, value in pairs], pa.int64())})


def copy_input(part, numbers):
    return numbers.to_arrow()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 1), (2, 2)))
    lake.asset("copies", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 0)))
    lake.asset("fresh", partitions=lp.Daily("2024-01-01", by="day"))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


@pytest.fixture
def lake(make):
    return make()


def values_of(lake, asset="numbers", key=KEY):
    return lake.asset(asset)[key].to_arrow()["value"].to_pylist()


def assert_sound(lake, at=""):
    assert [str(found) for found in lake.check(checksums=True)] == [], at
    numbers = [number for (number,) in query_catalog(lake.url, "SELECT snapshot FROM snapshot ORDER BY snapshot")]
    assert numbers == list(range(len(numbers))), at


def replace(value):
    return lambda lake: lake.asset("numbers").write(frame((1, value)), KEY)


def append(value):
    return lambda lake: lake.asset("numbers").append(frame((1, value)))


# Replace and append: nothing to guard


def test_the_last_of_two_replacements_wins_and_both_are_in_the_history(make):
    for met in meet_everywhere(make, replace(10), replace(20)):
        history = met.lake.asset("numbers")[KEY].history()
        assert history["rows"].tolist() == [1, 1, 1], met.at
        assert [values_of(met.lake.at(int(number))) for number in history["snapshot"]] in (
            [[10], [20], [1]],
            [[20], [10], [1]],
        ), met.at
        assert_sound(met.lake, met.at)


def test_rows_appended_by_two_are_all_there_once(make):
    for met in meet_everywhere(make, append(10), append(20)):
        assert values_of(met.lake) in ([1, 10, 20], [1, 20, 10]), met.at
        assert_sound(met.lake, met.at)


def test_rows_appended_to_a_partition_that_is_replaced_meanwhile_are_added_to_the_new_rows_or_replaced(make):
    for met in meet_everywhere(make, append(10), replace(20)):
        assert values_of(met.lake) in ([20, 10], [20]), met.at
        assert_sound(met.lake, met.at)


# Guarded by what was there


def test_a_write_of_new_partitions_never_replaces_what_another_wrote_meanwhile(make):
    def write(lake):
        with suppress(lp.AlreadyExistsError):
            lake.asset("numbers").write(frame((5, 10)))

    def write_too(lake):
        with suppress(lp.AlreadyExistsError):
            lake.asset("numbers").write(frame((5, 20)))

    for met in meet_everywhere(make, write, write_too):
        assert values_of(met.lake, key="2024-01-05") in ([10], [20]), met.at
        assert len(met.lake.asset("numbers")["2024-01-05"].history()) == 1, met.at
        assert_sound(met.lake, met.at)


def test_a_stream_that_finds_its_partition_taken_names_it_and_leaves_no_file(lake):
    def stream():
        yield frame((5, 10))
        reopened(lake).asset("numbers").write(frame((6, 20)))
        yield frame((6, 10))

    with pytest.raises(lp.AlreadyExistsError, match="2024-01-06"):
        lake.asset("numbers").write(stream())

    assert lake.asset("numbers").keys == [KEY, "2024-01-02", "2024-01-06"]
    assert_sound(lake)


@pytest.mark.parametrize(("key", "present"), [(KEY, True), ("2024-01-07", False)], ids=["present", "missing"])
def test_a_write_that_expects_a_snapshot_loses_to_any_newer_content(lake, key, present):
    base = query_catalog(lake.url, "SELECT snapshot FROM head")[0][0]
    day = int(key[-2:])
    winner = reopened(lake).asset("numbers").write(frame((day, 20)), key)

    with pytest.raises(lp.ConflictError) as caught:
        lake.asset("numbers").write(frame((day, 10)), key, expected=base)

    (conflict,) = caught.value.context["conflicts"]
    assert caught.value.retryable
    assert (conflict["key"], conflict["snapshot"]) == (key, winner.snapshot)
    assert (conflict["expected"] is None) == (not present)
    assert key in str(caught.value)
    assert values_of(lake, key=key) == [20]
    assert lake.asset("numbers").write(frame((day, 10)), key, expected=winner).snapshot == winner.snapshot + 1
    assert_sound(lake)


@pytest.mark.parametrize("publish", ["each", "together"])
def test_a_backfill_never_replaces_what_was_written_after_its_plan(lake, publish):
    def meddling(part, numbers):
        reopened(lake).asset("copies").write(frame((1, 99)), KEY)
        return numbers.to_arrow()

    with pytest.raises((lp.BackfillError, lp.ConflictError)) as caught:
        lake.asset("copies")[KEY].backfill(
            meddling, inputs={"numbers": "numbers"}, which="all", publish=publish, name="b", progress=False
        )

    assert KEY in str(caught.value)
    assert lake.backfill("b").state == "failed"
    assert values_of(lake, "copies") == [99]
    assert [found.severity for found in lake.check() if found.severity == "damage"] == []


def test_a_backfill_whose_plan_is_old_does_not_replace_newer_content(lake):
    plan = lake.asset("copies")[KEY].plan_backfill(
        copy_input, inputs={"numbers": "numbers"}, which="all", publish="each", name="b"
    )
    reopened(lake).asset("copies").write(frame((1, 99)), KEY)

    with pytest.raises((lp.BackfillError, lp.StateError)):
        lake.apply(plan, progress=False)

    assert values_of(lake, "copies") == [99]


def test_a_rollback_loses_to_a_commit_that_lands_meanwhile(make):
    def roll_back(lake):
        lake.asset("numbers").write(frame((1, 5)), KEY)
        with suppress(lp.ConflictError):
            lake.asset("numbers")[KEY].rollback(to=1)

    for met in meet_everywhere(make, roll_back, replace(20)):
        kinds = met.lake.asset("numbers")[KEY].history()["operation"].tolist()
        assert values_of(met.lake) == ([1] if kinds[0] == "rollback" else values_of(met.lake)), met.at
        assert values_of(met.lake) in ([1], [20]), met.at
        assert_sound(met.lake, met.at)


# Moves are nobody's conflict


@pytest.mark.parametrize("other", [replace(20), append(20)], ids=["replace", "append"])
def test_a_move_never_hinders_a_writer_nor_loses_its_rows(make, other):
    def demote(lake):
        lake.asset("numbers")[KEY].demote("cold", progress=False)

    for met in meet_everywhere(make, demote, other):
        expected = [20] if len(values_of(met.lake)) == 1 else [1, 20]
        assert values_of(met.lake) == expected, met.at
        assert values_of(met.lake.at(1)) == [1], met.at
        assert_sound_but_for_copies(met.lake, met.at)
        demote(met.lake)
        assert met.lake.asset("numbers").in_tier("cold").keys == [KEY], met.at
        assert values_of(met.lake) == expected, met.at


def test_a_move_gives_up_exactly_the_partitions_that_were_rewritten_before_its_swap(make):
    def demote(lake):
        lake.asset("numbers")[KEY].demote("cold", progress=False)

    old_file = "SELECT tier FROM copy WHERE file_id = 1 AND state = 'live'"
    outcomes = set()
    for met in meet_everywhere(make, demote, replace(20)):
        (outcome,) = query_catalog(met.lake.url, "SELECT state, outcome FROM move") or [(None, None)]
        outcomes.add(outcome)
        moved = outcome == ("done", None)
        assert query_catalog(met.lake.url, old_file) == [("cold" if moved else "hot",)], met.at
        assert moved or outcome in {("aborted", "replaced"), (None, None)}, met.at
    assert {("done", None), ("aborted", "replaced")} <= outcomes


def test_a_writer_never_hinders_a_move(make):
    def demote(lake):
        lake.asset("numbers")[KEY].demote("cold", progress=False)

    for met in meet_everywhere(make, replace(20), demote):
        assert values_of(met.lake) == [20], met.at
        assert values_of(met.lake.at(1)) == [1], met.at
        assert_sound_but_for_copies(met.lake, met.at)


def test_a_plan_whose_partition_was_rewritten_skips_it_and_says_so(lake):
    plan = lake.asset("numbers")[KEY:"2024-01-02"].plan_demote("cold")
    reopened(lake).asset("numbers").write(frame((1, 20)), KEY)

    report = lake.apply(plan, progress=False)

    assert report.partitions == 1
    assert [key for key, _ in report.skipped] == [KEY]
    assert "replaced" in report.skipped[0][1]
    assert values_of(lake) == [20]


def assert_sound_but_for_copies(lake, at):
    """A move that gave up leaves its copies to vacuum."""
    assert {finding.kind for finding in lake.check(checksums=True)} <= {"abandoned-file"}, at


# Branches


def test_a_publish_lists_every_partition_that_main_changed_since_the_branch_wrote_it(lake):
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame((1, 10), (2, 20), (3, 30)), if_exists="replace")
    other = reopened(lake)
    other.asset("numbers").write(frame((1, 99)), KEY)
    other.asset("numbers").write(frame((3, 99)), "2024-01-03")
    assert branch.diff().set_index("key")["conflict"].to_dict() == {
        KEY: True,
        "2024-01-02": False,
        "2024-01-03": True,
    }

    with pytest.raises(lp.ConflictError) as caught:
        branch.publish()

    assert [conflict["key"] for conflict in caught.value.context["conflicts"]] == [KEY, "2024-01-03"]
    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [99, 2, 99]
    assert lake.branches()["name"].tolist() == ["draft"]
    assert_sound(lake)


def test_a_publish_ignores_what_main_changed_in_other_partitions(lake):
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame((1, 10)), KEY)
    reopened(lake).asset("numbers").write(frame((2, 99)), "2024-01-02")

    branch.publish()

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [10, 99]


def test_of_two_publications_of_one_branch_one_wins(lake):
    lake.create_branch("draft").asset("numbers").write(frame((1, 10)), KEY)
    one, other = lake.branch("draft"), reopened(lake).branch("draft")
    one.publish()

    with pytest.raises(lp.StateError):
        other.publish()

    assert values_of(lake) == [10]
    assert len(lake.asset("numbers")[KEY].history()) == 2


def test_a_write_to_a_branch_that_was_published_meanwhile_is_refused(lake):
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame((1, 10)), KEY)

    def stream():
        yield frame((2, 20))
        reopened(lake).branch("draft").publish()

    with pytest.raises(lp.StateError, match="published"):
        branch.asset("numbers").write(stream(), if_exists="replace")

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [10, 2]
    assert_sound(lake)


# The schema


def test_the_first_schema_to_be_committed_counts_and_a_misfit_is_refused(lake):
    def stream():
        yield frame((1, 1))
        misfit = pa.table({"day": [date(2024, 1, 2)], "value": ["text"]})
        reopened(lake).asset("fresh").write(misfit)

    with pytest.raises((lp.ConflictError, lp.SchemaMismatchError)):
        lake.asset("fresh").write(stream())

    assert lake.asset("fresh").keys == ["2024-01-02"]
    assert lake.asset("fresh").to_arrow()["value"].to_pylist() == ["text"]
    assert_sound(lake)


def test_two_first_writes_of_one_schema_both_succeed(make):
    def write(lake):
        lake.asset("fresh").write(frame((1, 1)))

    def write_too(lake):
        lake.asset("fresh").write(frame((2, 2)))

    for met in meet_everywhere(make, write, write_too):
        assert met.lake.asset("fresh").to_arrow()["value"].to_pylist() == [1, 2], met.at
        assert query_catalog(met.lake.url, "SELECT count(DISTINCT schema_id) FROM file") == [(3,)], met.at
        assert_sound(met.lake, met.at)


# Vacuum


def test_a_vacuum_without_grace_makes_a_writer_fail_rather_than_lose_its_bytes(make):
    outcomes = set()

    def write(lake):
        try:
            lake.asset("numbers").write(frame((1, 20)), KEY)
            outcomes.add("written")
        except lp.StateError as error:
            outcomes.add(error.code)

    def vacuum(lake):
        clock_of(lake).advance(timedelta(seconds=1))
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)

    for met in meet_everywhere(make, write, vacuum):
        assert values_of(met.lake) in ([1], [20]), met.at
        assert [str(found) for found in met.lake.check(checksums=True) if found.severity == "damage"] == [], met.at
    assert outcomes == {"written", "intent-expired"}


def test_a_writer_that_is_at_work_for_longer_than_the_grace_period_keeps_its_bytes(lake):
    other = reopened(lake)

    def partitions():
        yield "2024-01-05", frame((5, 5))
        yield "2024-01-06", frame((6, 6))
        while not list(Path(lake.url, "hot/numbers").glob("*=2024-01-05/*.parquet")):
            time.sleep(0.005)  # until a thread of the writer has begun the file
        clock_of(lake).advance(timedelta(days=3))
        ((intent_id,),) = query_catalog(lake.url, "SELECT intent_id FROM intent")
        renew_intents(lake._home.context.database, [intent_id])  # as it does by itself, now and then
        other.vacuum()
        yield "2024-01-07", frame((7, 7))

    lake.asset("numbers").write(partitions())

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [1, 2, 5, 6, 7]
    assert_sound(lake)


def test_a_vacuum_with_grace_disturbs_no_write_and_no_move(make):
    def work(lake):
        lake.asset("numbers").write(frame((1, 20)), KEY)
        lake.asset("numbers")[KEY].demote("cold", progress=False)

    for met in meet_everywhere(make, work, lambda lake: lake.vacuum()):
        assert values_of(met.lake) == [20], met.at
        assert met.lake.asset("numbers").in_tier("cold").keys == [KEY], met.at
        assert_sound(met.lake, met.at)


def test_a_vacuum_without_grace_never_takes_the_bytes_of_a_move(make):
    def demote(lake):
        lake.asset("numbers")[KEY].demote("cold", progress=False)

    def vacuum(lake):
        clock_of(lake).advance(timedelta(seconds=1))
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)

    for met in meet_everywhere(make, demote, vacuum):
        assert values_of(met.lake) == [1], met.at
        assert [str(found) for found in met.lake.check(checksums=True) if found.severity == "damage"] == [], met.at


def test_what_was_resolved_before_a_move_and_a_rewrite_stays_readable_for_the_grace_period(lake):
    resolved = lake.asset("numbers")[KEY].resolve()
    other = reopened(lake)
    other.asset("numbers")[KEY].demote("cold", progress=False)
    other.asset("numbers").write(frame((1, 20)), KEY)
    clock_of(lake).advance(timedelta(hours=23))
    other.vacuum()

    assert resolved.to_arrow()["value"].to_pylist() == [1]


def test_check_calls_nothing_damaged_or_left_over_while_others_work(make):
    def work(lake):
        lake.asset("numbers").write(frame((1, 20), (3, 3)), if_exists="replace")

    found = []
    for _ in meet_everywhere(make, work, lambda lake: found.extend(lake.check())):
        pass

    assert {finding.kind for finding in found} <= {"unwritten-manifest"}
