"""Blocks that write several assets and partitions in one commit, or in none."""

# ruff: noqa: PT012 - a transaction is a block

import multiprocessing
import os
import pickle
from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine import commit
from lakepart.testing import clock_of, copied, frozen_lake, query_catalog, reopened, stray_files

DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD, FOURTH = "2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    lake.asset("numbers", partitions=DAYS).write(frame((1, 1), (2, 2)))
    lake.asset("tens", partitions=DAYS)
    lake.asset("models", partitions=lp.Dynamic(dimension="region"))
    return lake


@pytest.fixture
def lake(template, place):
    return copied(template, place.url, catalog=place.catalog)


def values(asset):
    return asset.to_arrow()["value"].to_pylist()


def assert_sound(lake):
    assert [str(found) for found in lake.check(checksums=True)] == []
    assert stray_files(lake) == set()
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]


def test_several_assets_and_partitions_become_one_snapshot(lake):
    with lake.transaction("fix tax", metadata={"ticket": 7}) as tx:
        tx.asset("numbers").write(frame((1, 10), (3, 30)), if_exists="replace")
        tx.asset("tens")[FIRST:SECOND].write(frame((1, 100)))
        tx.asset("models").write({"eu": pa.table({"value": [5]})})

    assert tx.commit.snapshot == 2
    assert (tx.commit.partitions, tx.commit.rows, tx.commit.files) == (5, 4, 4)
    assert values(lake.asset("numbers")) == [10, 2, 30]
    assert lake.asset("tens").keys == [FIRST, SECOND]
    assert lake.asset("models").keys == ["eu"]
    newest = lake.snapshots(1).iloc[0]
    assert (newest["operation"], newest["message"], newest["metadata"]) == ("transaction", "fix tax", {"ticket": 7})
    assert values(lake.at(1).asset("numbers")) == [1, 2]
    assert_sound(lake)


def test_nobody_else_sees_what_a_block_writes_before_it_ends(lake):
    other = reopened(lake)

    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)
        assert values(other.asset("numbers")) == values(lake.asset("numbers")) == [1, 2]
        assert values(tx.asset("numbers")) == [10, 2]

    assert values(other.asset("numbers")) == [10, 2]


def test_every_way_of_reading_sees_the_blocks_own_writes(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.append(frame((2, 20)))
        numbers.write(frame((3, 3)))

        assert numbers.keys == [FIRST, SECOND, THIRD]
        assert values(numbers[SECOND]) == [2, 20]
        assert numbers.to_pandas()["value"].tolist() == [1, 2, 20, 3]
        assert [batch.num_rows for batch in numbers.to_batches() if batch.num_rows] != []
        assert numbers.count_rows() == 4
        assert len(numbers.files()) == 4
        assert numbers.latest().keys == [THIRD]
        assert values(numbers.resolve()) == [1, 2, 20, 3]
        assert numbers.to_arrow(filter=[("value", ">", 2)])["value"].to_pylist() == [20, 3]
        assert numbers[THIRD:"2024-01-04"].plan_read().missing == ("2024-01-04",)


def test_a_dataset_has_the_blocks_own_writes(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.append(frame((2, 20)))

        assert numbers.dataset().count_rows() == 3


def test_all_reads_of_a_block_are_of_the_snapshot_that_was_newest_when_it_began(lake):
    other = reopened(lake)

    with lake.transaction() as tx:
        other.asset("numbers").write(frame((1, 99), (3, 99)), if_exists="replace")

        assert values(tx.asset("numbers")) == [1, 2]
        assert tx.asset("numbers").keys == [FIRST, SECOND]

    assert values(lake.asset("numbers")) == [99, 2, 99]
    assert tx.commit is None
    assert query_catalog(lake, "SELECT snapshot FROM head") == [(2,)]


def test_writes_to_one_partition_compose(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.append(frame((1, 10)))
        numbers.append(frame((1, 11)))
        numbers.append(frame((2, 20)))
        numbers.write(frame((2, 21)), SECOND)
        numbers.append(frame((2, 22)))
        numbers.write(frame((3, 30)))
        numbers.write(frame(), THIRD)
        assert values(numbers) == [1, 10, 11, 21, 22]

    assert values(lake.asset("numbers")) == [1, 10, 11, 21, 22]
    assert lake.asset("numbers")[THIRD].status()["state"].tolist() == ["empty"]
    assert query_catalog(lake, "SELECT count(*) FROM version WHERE began = 2") == [(3,)]
    assert_sound(lake)


def test_what_exists_in_the_block_exists(lake):
    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((3, 3)))

        with pytest.raises(lp.AlreadyExistsError, match=THIRD):
            tx.asset("numbers").write(frame((3, 4)))
        with pytest.raises(lp.AlreadyExistsError, match=THIRD):
            tx.asset("numbers").write(iter([frame((3, 4))]))

    assert values(lake.asset("numbers")[THIRD]) == [3]
    assert_sound(lake)


def test_a_write_that_fails_leaves_the_rest_of_the_block_as_it_was(lake):
    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)
        with pytest.raises(lp.SchemaMismatchError):
            tx.asset("numbers").write(pa.table({"day": [date(2024, 1, 2)], "value": ["text"]}), SECOND)
        with pytest.raises(lp.PartitionKeyError):
            tx.asset("numbers").write(frame((2, 20)), FIRST)

    assert values(lake.asset("numbers")) == [10, 2]
    assert_sound(lake)


def test_the_first_write_of_an_asset_fixes_its_schema_within_the_block(lake):
    with lake.transaction() as tx:
        tx.asset("tens").write(frame((1, 10)))
        with pytest.raises(lp.SchemaMismatchError):
            tx.asset("tens").append(pa.table({"day": [date(2024, 1, 2)], "other": [1]}))
        tx.asset("tens").write(frame((2, 20)))
        assert tx.asset("tens").schema.names == ["day", "value"]
        assert lake.asset("tens").schema.names == []

    assert values(lake.asset("tens")) == [10, 20]
    assert query_catalog(lake, "SELECT count(*) FROM schema") == [(2,)]


def test_keys_that_come_as_data_come_are_there_within_the_block_and_nowhere_else(lake):
    with pytest.raises(ZeroDivisionError), lake.transaction() as tx:
        models = tx.asset("models")
        models.write({"eu": pa.table({"value": [1]}), "us": pa.table({"value": [2]})})
        models.append(pa.table({"value": [3]}), "eu")
        assert models.keys == ["eu", "us"]
        assert values(models["eu"]) == [1, 3]
        assert lake.asset("models").keys == []
        raise ZeroDivisionError

    with pytest.raises(lp.PartitionKeyError):
        lake.asset("models")["eu"]


def test_rows_derived_in_the_block_from_rows_written_in_it_are_fresh(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.write(frame((1, 5)), FIRST)
        numbers.append(frame((2, 6)))
        tx.asset("tens").write(frame((1, 50)), FIRST, inputs={"numbers": numbers[FIRST]})
        tx.asset("tens").write(frame((2, 60)), SECOND, inputs={"numbers": numbers[SECOND]})

    assert lake.asset("tens")[FIRST:SECOND].status()["data"].tolist() == ["fresh", "fresh"]

    lake.asset("numbers").append(frame((2, 7)))

    assert lake.asset("tens")[FIRST:SECOND].status()["data"].tolist() == ["fresh", "stale"]


def test_a_block_that_is_left_by_an_exception_leaves_nothing(lake):
    files = query_catalog(lake, "SELECT path FROM copy")

    with pytest.raises(ZeroDivisionError), lake.transaction() as tx:
        written = tx.asset("numbers").write(frame((1, 10)), FIRST)
        tx.asset("tens").write(frame((1, 10)))
        raise ZeroDivisionError

    assert values(lake.asset("numbers")) == [1, 2]
    assert lake.asset("tens").keys == []
    assert query_catalog(lake, "SELECT path FROM copy") == files
    assert query_catalog(lake, "SELECT snapshot FROM head") == [(1,)]
    for ask in (lambda: tx.commit, lambda: written.snapshot):
        with pytest.raises(lp.StateError):
            ask()
    assert_sound(lake)


def test_a_write_in_a_block_knows_its_snapshot_once_the_block_has_ended(lake):
    with lake.transaction() as tx:
        written = tx.asset("numbers").write(frame((1, 10), (2, 20)), if_exists="replace")
        assert (written.partitions, written.rows, written.files) == (2, 2, 2)
        for ask in (lambda: written.snapshot, lambda: written.at, lambda: tx.commit):
            with pytest.raises(lp.StateError, match="end"):
                ask()

    assert written.snapshot == tx.commit.snapshot == 2
    assert written.at == tx.commit.at
    assert lake.asset("numbers").write(frame((1, 11)), FIRST, expected=written).snapshot == 3


def test_a_branch_has_transactions_of_its_own(lake):
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame((1, 10)), FIRST)

    with branch.transaction("on the branch") as tx:
        assert values(tx.asset("numbers")) == [10, 2]
        tx.asset("numbers").append(frame((1, 11), (2, 22)))
        assert values(tx.asset("numbers")) == [10, 11, 2, 22]

    assert values(branch.asset("numbers")) == [10, 11, 2, 22]
    assert values(lake.asset("numbers")) == [1, 2]
    branch.publish()
    assert values(lake.asset("numbers")) == [10, 11, 2, 22]


def test_a_vacuum_keeps_what_a_block_reads(lake):
    other = reopened(lake)
    day = timedelta(days=1)

    with lake.transaction() as tx:
        other.asset("numbers").write(frame((1, 9), (2, 9)), if_exists="replace")
        clock_of(lake).advance(day)
        other.vacuum(retention=timedelta(0), grace=2 * day, force=True)
        other.vacuum(retention=timedelta(0), grace=2 * day, force=True)

        assert values(tx.asset("numbers")) == [1, 2]

    other.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
    assert query_catalog(lake, "SELECT count(*) FROM version WHERE ended IS NOT NULL") == [(0,)]


def test_a_block_that_was_silent_for_longer_than_the_grace_period_is_refused_at_its_end(lake):
    with pytest.raises(lp.StateError) as caught, lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)
        clock_of(lake).advance(timedelta(days=3))
        reopened(lake).vacuum()

    assert caught.value.code == "intent-expired"
    assert values(lake.asset("numbers")) == [1, 2]


REFUSED = {
    "declare": lambda tx: tx.asset("new", partitions=DAYS),
    "roll back": lambda tx: tx.rollback(to=0),
    "roll a selection back": lambda tx: tx.asset("numbers")[FIRST].rollback(to=0),
    "demote": lambda tx: tx.asset("numbers").demote("cold", progress=False),
    "backfill": lambda tx: tx.asset("tens")[FIRST].backfill(lambda part: None, which="all", progress=False),
    "mark": lambda tx: tx.asset("numbers").mark_stale("because"),
    "alter": lambda tx: tx.asset("numbers").alter(description="other"),
    "repartition": lambda tx: tx.asset("numbers").repartition(lp.Monthly("2024-01-01", by="day")),
    "add keys": lambda tx: tx.asset("models").add_keys(["eu"]),
    "register": lambda tx: tx.register(lp.producer("tens")(lambda part: None)),
    "status": lambda tx: tx.asset("numbers").status(),
    "missing": lambda tx: tx.asset("numbers").missing(),
    "history": lambda tx: tx.asset("numbers").history(),
    "status of the lake": lambda tx: tx.status(),
    "pickle": lambda tx: pickle.dumps(tx.asset("numbers")),
    "nest": lambda tx: tx.transaction().__enter__(),
    "enter twice": lambda tx: tx.__enter__(),
}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("verb", REFUSED)
def test_what_cannot_be_part_of_a_block_is_refused_and_the_block_goes_on(lake, verb):
    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)
        with pytest.raises(lp.StateError) as caught:
            REFUSED[verb](tx)

    assert "ransaction" in str(caught.value)
    assert values(lake.asset("numbers")) == [10, 2]
    assert query_catalog(lake, "SELECT snapshot FROM head") == [(2,)]


def test_a_message_belongs_to_the_block(lake):
    with lake.transaction() as tx, pytest.raises(lp.InvalidInputError, match="whole commit"):
        tx.asset("numbers").write(frame((1, 10)), FIRST, message="why")


@pytest.mark.in_a_folder
def test_a_second_block_within_a_block_is_refused(lake):
    with lake.transaction() as tx:
        with pytest.raises(lp.StateError, match="not nested"), lake.transaction():
            pass
        tx.asset("numbers").write(frame((1, 10)), FIRST)

    with lake.transaction() as later:
        later.asset("numbers").append(frame((1, 11)))
    assert values(lake.asset("numbers")[FIRST]) == [10, 11]


def test_handles_of_a_block_are_of_no_use_before_and_after_it(lake):
    tx = lake.transaction()
    with pytest.raises(lp.StateError, match="not begun"):
        tx.asset("numbers")
    with tx:
        numbers = tx.asset("numbers")
        selection = numbers[FIRST]
    for use in (
        lambda: tx.asset("numbers"),
        numbers.to_arrow,
        selection.count_rows,
        lambda: numbers.keys,
        lambda: numbers.write(frame((1, 9)), FIRST),
        lambda: selection.write(frame((1, 9))),
    ):
        with pytest.raises(lp.StateError, match="over"):
            use()
    assert query_catalog(lake, "SELECT snapshot FROM head") == [(1,)]


@pytest.mark.in_a_folder
def test_a_view_of_the_past_and_a_read_only_handle_have_no_transactions(lake):
    with pytest.raises(lp.StateError):
        lp.connect(lake.url, read_only=True).transaction()
    with pytest.raises(AttributeError):
        lake.at(1).transaction()


def test_a_process_that_was_forked_within_a_block_can_neither_use_nor_end_it(lake):
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)

        def work():
            for act in (lambda: tx.asset("numbers"), lambda: tx.__exit__(None, None, None)):
                try:
                    act()
                except lp.StateError as error:
                    told.put(str(error))
            tx.__exit__(ValueError, ValueError(), None)
            told.put("left")
            os._exit(0)

        child = context.Process(target=work)
        child.start()
        child.join(60)

    assert child.exitcode == 0
    messages = [told.get() for _ in range(3)]
    assert ["belongs to the process" in message for message in messages] == [True, True, False]
    assert values(lake.asset("numbers")) == [10, 2]
    assert_sound(lake)


def test_threads_may_share_a_block(lake):
    from concurrent.futures import ThreadPoolExecutor

    with lake.transaction() as tx, ThreadPoolExecutor(8) as pool:
        numbers = tx.asset("numbers")
        list(pool.map(lambda day: numbers.append(frame((day, day), (1, 100 + day))), range(3, 11)))

    assert sorted(values(lake.asset("numbers"))) == [1, 2, *range(3, 11), *range(103, 111)]
    assert tx.commit.snapshot == 2
    assert_sound(lake)


def test_of_two_threads_that_write_one_new_partition_of_a_block_the_second_is_refused(lake, monkeypatch):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        look = commit._refuse_existing

        def look_before_the_other_writes(*args):
            look(*args)
            monkeypatch.undo()
            numbers.write(frame((3, 2)))

        numbers.write(frame((4, 4)))
        numbers[FOURTH].drop()
        monkeypatch.setattr(commit, "_refuse_existing", look_before_the_other_writes)
        with pytest.raises(lp.ConflictError, match=THIRD):
            numbers.write(iter(frame((4, 5), (3, 3)).to_batches()))  # of a stream is known late what it writes

    assert values(lake.asset("numbers")) == [1, 2, 2]
    assert_sound(lake)


def test_a_write_that_outlasts_its_block_is_refused_and_leaves_nothing(lake):
    tx = lake.transaction()

    def frames():
        yield from frame((3, 1)).to_batches()
        tx.__exit__(None, None, None)
        yield from frame((3, 2)).to_batches()

    with pytest.raises(lp.StateError, match="over"):
        tx.__enter__().asset("numbers").append(frames())

    assert values(lake.asset("numbers")) == [1, 2]
    assert_sound(lake)


def test_a_long_block_says_now_and_then_that_it_is_at_work(lake, monkeypatch):
    monkeypatch.setattr("lakepart.engine.uncommitted.RENEWED_EVERY_S", 0.0)

    with lake.transaction() as tx:
        tx.asset("numbers").write(frame((1, 10)), FIRST)
        clock_of(lake).advance(timedelta(days=3))
        tx.asset("numbers").count_rows()
        reopened(lake).vacuum()

    assert values(lake.asset("numbers")) == [10, 2]
