"""Assets whose keys come as the data come, and are kept in the catalog."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Barrier

import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import event

import lakepart as lp
from lakepart.testing import clock_of, copied, crash_everywhere, frozen_lake, query_catalog, stray_files

NOW = datetime(2024, 1, 4, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    return frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)


@pytest.fixture
def lake(template, tmp_path) -> lp.Lake:
    return copied(template, tmp_path / "lake")


@pytest.fixture
def customers(lake) -> lp.Asset:
    return lake.asset("customers", partitions=lp.Dynamic(by="customer"))


def rows(*given: tuple[str | None, int]) -> pa.Table:
    return pa.table(
        {"customer": pa.array([who for who, _ in given], pa.string()), "x": pa.array([x for _, x in given], pa.int64())}
    )


def kept_keys(lake: lp.Lake) -> list[tuple]:
    return query_catalog(lake.url, "SELECT dimension, id, key, visible, expected_us FROM partition_key ORDER BY 1, 2")


def test_keys_come_with_the_rows_in_the_order_of_first_sight(lake, customers) -> None:
    customers.write(rows(("zoe", 1), ("adam", 2), ("zoe", 3)))
    customers.write(rows(("mia", 4)))

    assert customers.keys == ["zoe", "adam", "mia"]
    assert customers.to_arrow()["x"].to_pylist() == [1, 3, 2, 4]
    assert customers["adam":].to_arrow()["x"].to_pylist() == [2, 4]
    assert customers["zoe":"adam"].keys == ["zoe", "adam"]
    assert customers.select("adam..*").keys == ["adam", "mia"]
    assert kept_keys(lake) == [
        ("partition", 0, "zoe", 1, None),
        ("partition", 1, "adam", 1, None),
        ("partition", 2, "mia", 1, None),
    ]
    assert customers.missing().keys == []
    assert lake.check() == []


def test_keys_that_were_added_are_expected_and_those_only_written_are_not(lake, customers) -> None:
    customers.write(rows(("seen", 1)))

    assert customers.add_keys(["eu", "us", "eu"]) == 2
    assert customers.add_keys(["us", "seen"]) == 0

    assert customers.missing().keys == ["eu", "us"]
    assert customers.status()["key"].tolist() == ["seen", "eu", "us"]
    assert customers.status()["state"].tolist() == ["fresh", "missing", "missing"]
    customers.write(rows(("us", 2)))
    assert customers.missing().keys == ["eu"]
    assert [entry[1:4] for entry in kept_keys(lake)] == [(0, "seen", 1), (1, "eu", 1), (2, "us", 1)]


def test_a_key_that_is_added_again_has_been_expected_since_the_first_time(lake, customers) -> None:
    customers.add_keys(["eu"])
    clock_of(lake).advance(timedelta(days=1))

    customers.add_keys(["eu", "us"])

    since = [entry[4] for entry in kept_keys(lake)]
    assert since[1] - since[0] == 86_400_000_000
    assert customers.missing(as_of=NOW).keys == ["eu"]


def test_handles_and_selections_made_before_a_key_came_know_it(customers) -> None:
    everything = customers[:]
    customers.write(rows(("a", 1)))
    open_end = customers["a":]
    customers.write(rows(("b", 2)))

    assert everything.keys == open_end.keys == customers.keys == ["a", "b"]
    assert [one.keys for one in reversed(everything)] == [["b"], ["a"]]
    assert everything.to_arrow()["x"].to_pylist() == [1, 2]
    assert (~customers["a"]).keys == ["b"]


def test_one_partition_is_written_under_a_new_key(lake) -> None:
    asset = lake.asset("files", partitions=lp.Dynamic(dimension="file"))

    asset.write(pa.table({"x": [1]}), "a/b.csv")
    asset.write({"c.csv": pa.table({"x": [2]}), "d.csv": pa.table({"x": [3]})})
    lp.IOManager(lake).save("files", "e.csv", pa.table({"x": [4]}))

    assert asset.to_pandas().values.tolist() == [[1, "a/b.csv"], [2, "c.csv"], [3, "d.csv"], [4, "e.csv"]]
    assert query_catalog(lake.url, "SELECT path FROM copy ORDER BY path")[0][0].startswith("files/file=a%2Fb.csv/")
    with pytest.raises(lp.PartitionKeyError, match=r"'z.csv' is not a key of dynamic keys \(4 known\)"):
        asset["z.csv"]


def test_a_stream_meets_new_keys_on_its_way(customers) -> None:
    batches = [rows((f"k{number % 7}", number), (f"k{number}", number)).to_batches()[0] for number in range(40)]

    commit = customers.write(iter(batches))

    assert commit.partitions == 40
    assert sorted(customers["k3"].to_arrow()["x"].to_pylist()) == [3, 3, 10, 17, 24, 31, 38]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rows(("a", 1), (None, 2)), "Column 'customer' is null"),
        (rows(("", 1)), "A partition key is empty"),
        (pa.table({"customer": [1.5], "x": [1]}), "partition keys are made of text"),
        (pa.table({"customer": ["a"], "partition": [1]}), "a column 'partition'"),
    ],
)
def test_a_write_that_is_refused_leaves_no_key(lake, customers, data, message) -> None:
    with pytest.raises(lp.InvalidInputError, match=message):
        customers.write(data)

    assert [entry for entry in kept_keys(lake) if entry[3]] == []
    assert customers.keys == []
    assert stray_files(lake.url) == set()


def test_a_write_that_fails_after_its_keys_were_reserved_leaves_nothing_to_see(lake, customers) -> None:
    def failing():
        yield rows(("new", 1)).to_batches()[0]
        raise OSError("the source is gone")

    with pytest.raises(OSError, match="the source is gone"):
        customers.write(failing())

    assert customers.keys == customers.missing().keys == []
    assert customers.status().empty
    with pytest.raises(lp.PartitionKeyError):
        customers["new"]
    customers.write(rows(("other", 1), ("new", 2)))
    assert customers.keys == ["new", "other"], "the id that was reserved is used by whoever writes the key next"


def test_two_writers_that_meet_the_same_new_key_at_once_get_the_same_id(lake, customers) -> None:
    ready = Barrier(4)

    def write(number: int) -> None:
        with lp.connect(lake.url) as handle:
            asset = handle.asset("customers")
            ready.wait(10)
            asset.append(rows(("shared", number), (f"own{number}", number)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    assert sorted(customers["shared"].to_arrow()["x"].to_pylist()) == [0, 1, 2, 3]
    ids = [entry[1] for entry in kept_keys(lake)]
    assert ids == list(range(5))
    assert query_catalog(lake.url, "SELECT count(DISTINCT ordinal) FROM version WHERE ended IS NULL") == [(5,)]


def test_fifty_thousand_keys_are_added_in_few_statements(lake, customers) -> None:
    statements: list[str] = []
    engine = lake._home.context.database.engine
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    keys = [f"customer {number}" for number in range(50_000)]

    assert customers.add_keys(keys) == 50_000

    assert len(statements) <= 8
    assert customers.add_keys(keys[:10]) == 0
    assert len(customers.missing()) == 50_000
    assert customers["customer 49999"].keys == ["customer 49999"]


def test_a_key_without_data_is_removed_and_its_id_is_not_used_again(lake, customers) -> None:
    customers.add_keys(["a", "b", "c"])

    assert customers.remove_keys(["c", "a"]) == 2

    assert customers.missing().keys == ["b"]
    customers.write(rows(("d", 1)))
    assert customers.keys == ["d"]
    assert [entry[1:4] for entry in kept_keys(lake)] == [(0, "a", 0), (1, "b", 1), (2, "c", 0), (3, "d", 1)]
    customers.write(rows(("a", 2)))
    assert customers.keys == ["a", "d"]
    with pytest.raises(lp.PartitionKeyError, match="'c', 'x'"):
        customers.remove_keys(["b", "c", "x"])
    assert customers.missing().keys == ["b"]


def test_a_key_with_data_on_any_branch_or_in_the_past_stays(lake, customers) -> None:
    customers.add_keys(["none", "main", "branch", "past"])
    customers.write(rows(("main", 1)))
    lake.create_branch("try").asset("customers").write(rows(("branch", 2)))
    before = lake.snapshots()["snapshot"].max()
    customers.write(rows(("past", 3)))
    customers["past"].rollback(to=before)

    for key in ("main", "branch", "past"):
        with pytest.raises(lp.StateError, match=f"1 key cannot be removed .* '{key}'. Nothing was changed"):
            customers.remove_keys(["none", key])

    assert customers.missing().keys == ["none", "branch", "past"]
    assert customers.remove_keys(["none"]) == 1


def test_keys_that_are_written_while_they_are_removed_are_there(lake, customers) -> None:
    customers.add_keys(["a"])

    def removing():
        yield rows(("a", 1)).to_batches()[0]
        assert customers.remove_keys(["a"]) == 1

    customers.write(removing())

    assert customers.keys == ["a"]
    assert lake.check() == []


def test_what_is_no_dynamic_dimension_takes_no_keys(lake, customers) -> None:
    static = lake.asset("static", partitions=lp.Static(["a"]))
    both = lake.asset("both", partitions=lp.Multi(one=lp.Dynamic(), two=lp.Dynamic()))

    with pytest.raises(lp.InvalidInputError, match="has no dimension of dynamic keys"):
        static.add_keys(["b"])
    with pytest.raises(lp.InvalidInputError, match=r"more than one dimension.*\n*.*one, two"):
        both.add_keys(["b"])
    with pytest.raises(lp.InvalidInputError, match="called 'three'"):
        both.add_keys(["b"], "three")
    with pytest.raises(lp.InvalidInputError, match="keys are a list"):
        customers.add_keys("ab")
    with pytest.raises(lp.PartitionKeyError, match="empty"):
        customers.add_keys(["fine", ""])
    assert kept_keys(lake) == []
    read_only = lp.connect(lake.url, read_only=True).asset("customers")
    with pytest.raises(lp.StateError, match="read-only"):
        read_only.add_keys(["a"])
    with pytest.raises(lp.StateError, match="read-only"):
        read_only.write(rows(("a", 1)), "a")


def test_a_dynamic_dimension_among_several(lake) -> None:
    asset = lake.asset(
        "orders", partitions=lp.Multi(day=lp.Daily("2024-01-01", by="at"), customer=lp.Dynamic(by="customer"))
    )

    def orders(*given: tuple[int, str, int]) -> pa.Table:
        table = rows(*((who, x) for _, who, x in given))
        days = pa.array([datetime(2024, 1, day, 5, tzinfo=UTC) for day, _, _ in given], pa.timestamp("us", "UTC"))
        return table.append_column("at", days)

    asset.write(orders((2, "zoe", 1), (1, "adam", 2), (1, "zoe", 3)))
    assert asset.keys == ["2024-01-01|zoe", "2024-01-01|adam", "2024-01-02|zoe"]
    assert asset[:, "zoe"].to_arrow()["x"].to_pylist() == [3, 1]
    assert asset.missing().keys == []
    assert asset.add_keys(["adam", "eve"]) == 1
    assert asset.missing().keys == [
        "2024-01-01|eve",
        "2024-01-02|adam",
        "2024-01-02|eve",
        "2024-01-03|adam",
        "2024-01-03|eve",
    ]
    asset.write(orders((3, "ivy", 4)), ("2024-01-03", "ivy"))
    assert asset.latest().keys == ["2024-01-03|ivy"]
    with pytest.raises(lp.StateError, match="'adam'"):
        asset.remove_keys(["adam"])
    assert asset.remove_keys(["eve"], "customer") == 1
    assert asset[:, "zoe":"adam"].count_rows() == 3
    assert lake.check() == []


def test_a_backfill_makes_what_is_expected_and_remakes_what_is_stale(lake, customers) -> None:
    customers.write(rows(("seen", 1)))
    customers.add_keys(["eu", "us"])

    def make(part: lp.Part) -> pd.DataFrame:
        return pd.DataFrame({"customer": list(part.keys), "x": [len(key) for key in part.keys]})

    customers.backfill(make, progress=False, batch=2)
    assert customers.to_pandas().values.tolist() == [["seen", 1], ["eu", 2], ["us", 2]]
    customers["seen"].mark_stale("it was wrong")
    assert customers.plan_backfill(make).targets[0].key == "seen"
    customers.backfill(make, progress=False)
    assert customers.to_pandas().values.tolist()[0] == ["seen", 4]


def test_the_past_and_branches_know_the_keys_of_then(lake, customers) -> None:
    customers.write(rows(("a", 1)))
    clock_of(lake).advance(timedelta(days=1))
    customers.add_keys(["later"])
    branch = lake.create_branch("try")
    branch.asset("customers").write(rows(("b", 2)))

    assert lake.at(1).asset("customers").missing().keys == []
    assert lake.at(1).asset("customers").keys == ["a"]
    assert customers.keys == ["a"]
    assert customers.missing().keys == ["later"]
    assert branch.asset("customers").keys == ["a", "b"]
    branch.publish()
    assert customers.keys == ["a", "b"]


def test_statuses_history_moves_and_reports_name_the_keys(lake, customers) -> None:
    customers.write(rows(("a", 1), ("b", 2)))
    customers["b"].demote("cold", progress=False)

    assert customers.in_tier("cold").keys == ["b"]
    assert customers.history()["key"].tolist() == ["a", "b"]
    assert lake.tier_report()[["tier", "first", "last"]].values.tolist() == [["hot", "a", "a"], ["cold", "b", "b"]]
    assert lake.status().loc[0, "fresh"] == 2
    assert lake.check() == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_anywhere_in_a_write_of_a_new_key_leaves_it_unseen_or_whole(template, tmp_path, when) -> None:
    base = copied(template, tmp_path / "base")
    base.asset("customers", partitions=lp.Dynamic(by="customer"))
    numbers, crashes = count(), 0

    def make() -> lp.Lake:
        return copied(base, tmp_path / f"lake{next(numbers)}")

    def write(lake: lp.Lake) -> None:
        lake.asset("customers").write(rows(("new", 1)))

    for aftermath in crash_everywhere(make, write, when=when):
        crashes += 1
        asset = aftermath.lake.asset("customers")
        assert asset.keys in ([], ["new"]), aftermath.at
        assert asset.missing().keys == [], aftermath.at
        asset.write(rows(("new", 2)), "new")
        assert asset.to_arrow()["x"].to_pylist() == [2], aftermath.at
        assert {entry[1:3] for entry in kept_keys(aftermath.lake)} == {(0, "new")}, aftermath.at

    assert crashes > 5


def test_handles_pickle_small_and_find_their_keys_again(lake) -> None:
    lake.asset("files", partitions=lp.Dynamic()).add_keys([f"file {number}" for number in range(2_000)])
    lake = lp.connect(lake.url)
    asset = lake.asset("files")

    pickled = pickle.dumps((asset, asset["file 7"], asset["file 5":"file 9"]))

    assert len(pickled) < 2_000
    again, one, some = pickle.loads(pickled)
    assert one.keys == ["file 7"]
    assert some.keys == [f"file {number}" for number in range(5, 10)]
    assert len(again.missing()) == 2_000


def test_the_declaration_does_not_compare_keys_and_shows_them(lake, customers) -> None:
    customers.add_keys(["a"])

    again = lake.asset("customers", partitions=lp.Dynamic(by="customer"))

    assert again.partitions == lp.Dynamic(by="customer")
    assert again.partitions.describe() == "dynamic keys by customer (1 known)"
    with pytest.raises(lp.AlreadyExistsError, match="was declared as Dynamic"):
        lake.asset("customers", partitions=lp.Dynamic(by="who"))


def test_what_was_made_from_dynamic_keys_is_told_by_key_and_not_by_id(lake, customers) -> None:
    customers.write(rows(("a", 1), ("b", 2)))

    @lp.producer(
        "sums",
        partitions=lp.Dynamic(),
        inputs={"customers": lp.Input("customers", lp.Identity())},
        code_version="1",
    )
    def sums(part, customers):
        return pa.table({"sum": [sum(customers.to_arrow()["x"].to_pylist())]})

    made = lake.register(sums)
    made.add_keys(["b", "a"])
    made.backfill(progress=False)
    assert made.to_pandas().values.tolist() == [[2, "b"], [1, "a"]]

    customers.append(rows(("a", 10)))

    assert made.stale().keys == ["a"]


def test_a_selection_of_a_key_that_was_removed_still_shows_itself_as_missing(customers) -> None:
    customers.write(rows(("zoe", 1)))
    customers.add_keys(["mia", "bob"])
    chosen, ranged = customers[["zoe", "mia"]], customers["zoe":"mia"]

    customers.remove_keys(["mia"])

    assert repr(chosen) == "<Selection customers zoe..mia>"
    assert chosen.keys == ranged.keys == ["zoe", "mia"]
    assert chosen.status()[["key", "data"]].values.tolist() == [["zoe", "fresh"], ["mia", "missing"]]
    assert customers.missing().keys == ["bob"]
    with pytest.raises(lp.PartitionKeyError, match="'mia' is not a key"):
        customers["mia"]


def test_what_was_made_from_a_key_that_was_removed_can_still_be_judged(lake, customers) -> None:
    customers.add_keys(["zoe", "mia"])
    customers.write(rows(("zoe", 1)))
    totals = lake.asset("totals", partitions=lp.Static(["all"]))
    totals.write(pa.table({"x": [1]}), "all", inputs={"customers": customers[["zoe", "mia"]]})

    customers.remove_keys(["mia"])

    assert totals.status()["data"].tolist() == ["fresh"]
    assert "zoe..mia" in str(totals["all"].explain())
    customers.write(rows(("mia", 2)))
    assert totals.stale().keys == ["all"]
