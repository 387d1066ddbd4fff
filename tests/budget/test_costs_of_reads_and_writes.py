"""What reads and writes ask of the catalog and of the stores: counted, and the same however large the lake is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest
from sqlalchemy import event

import lakepart as lp
from lakepart.catalog.database import Database
from lakepart.lake import Lake

DAYS = lp.Daily("2000-01-01", by="day")
FIRST_DAY = 10_957  # days from 1970 to 2000
FEW, MANY = 20, 400
STATEMENTS_OF_A_WRITE = 20  # up to four of them ask what was declared since the manifest before


class CountedDatabase(Database):
    """Counts transactions by what they are for, and the statements in them."""

    @classmethod
    def around(cls, database, calls):
        counted = cls(database.path, clock=database._clock)
        counted.lake_id, counted.tiers, counted.calls = database.lake_id, database.tiers, calls
        event.listen(counted.engine, "before_cursor_execute", lambda *_: calls.update(["statement"]))
        return counted

    def _begin(self, connection, *, write, durable=True):
        self.calls["write transaction" if write else "read transaction"] += 1
        super()._begin(connection, write=write, durable=durable)


class CountedStore:
    """Counts the calls of a store that, like an object store, has no paths that others could open."""

    def __init__(self, store, calls):
        self._store, self._calls = store, calls

    def __getattr__(self, name):
        def call(*arguments, **options):
            self._calls[name] += 1
            return getattr(self._store, name)(*arguments, **options)

        return call

    def os_path(self, path):
        return None


def rows_of(first, count):
    dates = range(FIRST_DAY + first, FIRST_DAY + first + count)
    return pa.table({"day": pa.array(list(dates), pa.int32()).cast(pa.date32()), "x": range(count)})


@pytest.fixture(params=[FEW, MANY], ids=["a small lake", "a larger lake"])
def size(request):
    return request.param


@pytest.fixture
def folder(tmp_path, size):
    with lp.create(tmp_path / "lake") as lake:
        lake.asset("days", partitions=DAYS).write(rows_of(0, size))
    return tmp_path / "lake"


@pytest.fixture
def calls():
    return Counter()


@pytest.fixture
def asset(folder, calls):
    lake = lp.connect(folder)
    context = lake._home.context
    stores = {tier: CountedStore(store, calls) for tier, store in context.stores.items()}
    root = CountedStore(context.root, calls)
    database = CountedDatabase.around(context.database, calls)
    asset = Lake(replace(lake._home, context=replace(context, database=database, root=root, stores=stores))).asset(
        "days"
    )
    asset["2000-01-01"].to_arrow()  # what is looked up once in a process has been
    calls.clear()
    yield asset
    database.close()
    lake.close()


def data_files(folder):
    return set((folder / "hot").rglob("*.parquet"))


def manifests(folder):
    return set((folder / "_lakepart" / "commits").iterdir())


def test_replacing_a_partition_costs_the_same_whatever_the_lake_holds(asset, calls, folder):
    files_before, manifests_before = data_files(folder), manifests(folder)

    asset.write(rows_of(5, 1), "2000-01-06")

    assert len(data_files(folder) - files_before) == 1
    assert len(manifests(folder) - manifests_before) == 1
    assert calls.pop("statement") <= STATEMENTS_OF_A_WRITE
    assert calls == {
        "write transaction": 3,  # the intent, the commit, and the note that its manifest is written
        "read transaction": 2,  # the asset, and what the manifest says
        "open_new": 1,
        "make_durable": 1,
        "put_new": 1,
    }


def test_deleting_and_upserting_rows_open_no_file_that_cannot_hold_them(asset, calls, folder):
    files_before = data_files(folder)

    done = asset.delete([("x", "==", 5)])

    assert (done.rows_matched, done.files_rewritten) == (1, 1)
    assert calls.pop("statement") <= STATEMENTS_OF_A_WRITE + 16
    assert (
        calls["read_ranges"] == 2
    )  # to count for the plan, and once more to be sure; of what is empty nothing is left
    assert data_files(folder) == files_before
    calls.clear()

    done = asset.upsert(rows_of(5, 2), on=["x"])

    assert (done.rows_inserted, done.files_rewritten, done.files_skipped) == (2, 0, 1)
    assert calls.pop("statement") <= STATEMENTS_OF_A_WRITE + 8
    assert (calls["read_ranges"], calls["open_new"]) == (0, 2)


@pytest.mark.parametrize("count", [2, 15])
def test_a_routed_write_asks_the_catalog_as_often_for_many_partitions_as_for_few(asset, calls, folder, count):
    files_before, manifests_before = data_files(folder), manifests(folder)

    asset.write(rows_of(1, count), if_exists="replace")

    assert len(data_files(folder) - files_before) == count
    assert len(manifests(folder) - manifests_before) == 1
    assert calls.pop("statement") <= STATEMENTS_OF_A_WRITE
    assert calls == {
        "write transaction": 3,
        "read transaction": 2,
        "open_new": count,
        "make_durable": 1,
        "put_new": 1,
    }


@pytest.mark.parametrize("count", [1, 15])
def test_a_read_opens_each_of_its_files_once_and_lists_nothing(asset, calls, count):
    table = asset["2000-01-02" : f"2000-01-{count + 1:02}"].to_arrow()

    assert table.num_rows == count
    assert calls == {"read transaction": 2, "statement": 4, "read_ranges": count}


def test_the_first_plan_of_an_opened_lake_finds_the_schema_on_the_way(asset, calls):
    asset._home.context.schemas.clear()

    plan = asset["2000-01-02":"2000-01-16"].plan_read()

    assert plan.files == 15
    assert calls == {"read transaction": 2, "statement": 4}


def test_counting_rows_opens_no_file(asset, calls, size):
    assert asset.count_rows() == size

    assert calls == {"read transaction": 2, "statement": 4}


def test_status_asks_a_handful_of_queries(asset, calls, size):
    status = asset["2000-01-01":"2000-01-15"].status()

    assert set(status["data"]) == {"fresh"}
    assert calls == {"read transaction": 2, "statement": 5}


def test_a_branch_costs_one_query_more_for_each_look_at_the_catalog(asset, calls):
    selection = Lake(asset._home).create_branch("draft").asset("days")["2000-01-02"]
    calls.clear()

    selection.to_arrow()

    as_main_is_cut = 1  # unless it was repartitioned since
    assert calls == {"read transaction": 2, "statement": 4 + 2 + as_main_is_cut, "read_ranges": 1}


def test_a_read_that_looks_only_for_what_no_file_can_hold_opens_none(asset, calls):
    table = asset.to_arrow(filter=[("x", ">", 10_000)])

    assert table.num_rows == 0
    assert calls == {"read transaction": 2, "statement": 4}
