"""Assets of Dagster in two dimensions and with dynamic keys, kept in a lake."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.dagster import LakepartIOManager, from_dagster, to_dagster
from lakepart.model.partition_sets import PartitionSet

# Dagster calls beta what these tests must use; the first is what makes one run of a range.
pytestmark = [
    pytest.mark.in_a_folder,
    pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`"),
    pytest.mark.filterwarnings("ignore:Class `(MultiPartitionMapping|DimensionPartitionMapping)`"),
]

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-11")
CARRIERS = dg.StaticPartitionsDefinition(["UA", "AA", "DL"])
BOTH = dg.MultiPartitionsDefinition({"date": DAYS, "carrier": CARRIERS})
USERS = dg.DynamicPartitionsDefinition(name="users")
ONE_RUN = dg.BackfillPolicy.single_run()
COLUMNS = {"partition_expr": {"date": "t", "carrier": "c"}}


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("users", ["zoe", "bob", "50%"])
        yield instance


def run(
    manager: LakepartIOManager, *assets: Any, between: tuple[str, str] | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """Let Dagster materialize assets for a key, or for a range in one run."""
    if between is not None:
        ends = zip(("start", "end"), between, strict=True)
        options["tags"] = {f"dagster/asset_partition_range_{end}": key for end, key in ends}
    return dg.materialize(assets, resources={"io_manager": manager}, **({"selection": assets} | options))


def cells_frame(keys: Sequence[str], value: int = 0) -> pd.DataFrame:
    """Give one row a cell, whose keys are carrier|date."""
    parts = [key.split("|") for key in keys]
    stamps = pd.Series([pd.Timestamp(day, tz="UTC") for _, day in parts], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"t": stamps, "c": [carrier for carrier, _ in parts], "x": value})


def flights(value: int = 0, **options: Any) -> dg.AssetsDefinition:
    @dg.asset(name="flights", **({"partitions_def": BOTH, "metadata": COLUMNS, "backfill_policy": ONE_RUN} | options))
    def made(context) -> pd.DataFrame:
        return cells_frame(context.partition_keys, value)

    return made


def rows_on_disk(lake: lp.Lake, asset: str) -> dict[str, int]:
    """Count rows per partition by what the files say, without reading through lakepart."""
    files = lake.asset(asset).files()
    counts = [pq.ParquetFile(path).metadata.num_rows for path in files["path"]]
    return pd.Series(counts, index=files["key"], dtype="int64").groupby(level=0).sum().to_dict()


# Two dimensions


def test_a_run_of_one_cell_stores_it_and_declares_the_asset_in_the_order_of_dagster(lake, manager) -> None:
    run(manager, flights(), partition_key=dg.MultiPartitionKey({"date": "2024-01-05", "carrier": "AA"}))
    run(manager, flights(), partition_key="DL|2024-01-05")

    assert rows_on_disk(lake, "flights") == {"AA|2024-01-05": 1, "DL|2024-01-05": 1}
    assert lake.asset("flights").partitions == lp.Multi(
        carrier=lp.Static(["UA", "AA", "DL"], by="c"), date=lp.Daily("2024-01-01", end="2024-01-11", by="t")
    )


def test_a_range_of_cells_is_a_rectangle_in_one_commit_and_replaces_nothing_else(lake, manager) -> None:
    run(manager, flights(), between=("UA|2024-01-01", "DL|2024-01-03"))

    run(manager, flights(7), between=("AA|2024-01-02", "DL|2024-01-03"))

    rewritten = {f"{carrier}|2024-01-0{day}" for carrier in ("AA", "DL") for day in (2, 3)}
    every = {f"{carrier}|2024-01-0{day}" for carrier in ("UA", "AA", "DL") for day in (1, 2, 3)}
    assert rows_on_disk(lake, "flights") == dict.fromkeys(every, 1)
    assert lake.snapshots(limit=2)["partitions"].tolist() == [4, 9]
    assert {key for key in every if lake.asset("flights")[key].to_arrow()["x"].to_pylist() == [7]} == rewritten


def test_a_rectangle_made_from_the_same_cells_of_another_asset_loads_every_one_of_them(lake, manager) -> None:
    @dg.asset(partitions_def=BOTH, metadata=COLUMNS, backfill_policy=ONE_RUN)
    def doubled(flights: pd.DataFrame) -> pd.DataFrame:
        return flights.assign(x=flights["x"] * 2)

    run(manager, flights(3), doubled, between=("AA|2024-01-02", "DL|2024-01-03"))

    assert rows_on_disk(lake, "doubled") == {
        f"{carrier}|2024-01-0{day}": 1 for carrier in ("AA", "DL") for day in (2, 3)
    }
    assert lake.asset("doubled").to_pandas()["x"].tolist() == [6] * 4


def test_rows_of_a_cell_beside_the_rectangle_are_refused_and_nothing_changes(lake, manager) -> None:
    run(manager, flights(), between=("UA|2024-01-01", "AA|2024-01-02"))

    @dg.asset(name="flights", partitions_def=BOTH, metadata=COLUMNS, backfill_policy=ONE_RUN)
    def astray() -> pd.DataFrame:
        return cells_frame(["UA|2024-01-01", "DL|2024-01-02"], 9)

    with pytest.raises(lp.PartitionKeyError, match=r"DL\|2024-01-02"):
        run(manager, astray, between=("UA|2024-01-01", "AA|2024-01-02"))
    assert lake.asset("flights").to_pandas()["x"].tolist() == [0, 0, 0, 0]


def test_cells_that_form_no_rectangle_are_loaded_by_their_text_in_the_order_of_the_definition(manager) -> None:
    picked = ["DL|2024-01-01", "UA|2024-01-03", "AA|2024-01-02"]
    got: list[str] = []

    @dg.asset(ins={"flights": dg.AssetIn(partition_mapping=dg.SpecificPartitionsPartitionMapping(picked))})
    def reader(flights: dict[str, pa.Table]) -> None:
        got.extend(flights)

    run(manager, flights(), between=("UA|2024-01-01", "DL|2024-01-03"))
    run(manager, flights(), reader, selection=[reader])

    assert got == ["UA|2024-01-03", "AA|2024-01-02", "DL|2024-01-01"]
    assert {type(key) for key in got} == {str}


def test_a_day_loads_its_cells_of_every_carrier_and_is_stale_once_one_changes(lake, manager) -> None:
    @dg.asset(partitions_def=DAYS)
    def daily(flights: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"n": [len(flights)]})

    run(manager, flights(), between=("UA|2024-01-01", "DL|2024-01-02"))
    for day in ("2024-01-01", "2024-01-02"):
        run(manager, flights(), daily, partition_key=day, selection=[daily])
    assert lake.asset("daily").to_pandas()["n"].tolist() == [3, 3]

    run(manager, flights(5), partition_key="AA|2024-01-02")

    assert lake.asset("daily")["2024-01-01":"2024-01-02"].status()["data"].tolist() == ["fresh", "stale"]


def test_a_frame_per_cell_needs_no_columns_and_one_frame_is_refused_with_the_dimensions_to_name(lake, manager) -> None:
    @dg.asset(partitions_def=BOTH, backfill_policy=ONE_RUN)
    def keyed(context) -> dict[str, pd.DataFrame]:
        return {key: pd.DataFrame({"x": [1]}) for key in context.partition_keys}

    @dg.asset(name="keyed", partitions_def=BOTH, backfill_policy=ONE_RUN)
    def whole() -> pd.DataFrame:
        return pd.DataFrame({"x": [1]})

    run(manager, keyed, between=("UA|2024-01-01", "AA|2024-01-01"))

    assert rows_on_disk(lake, "keyed") == {"UA|2024-01-01": 1, "AA|2024-01-01": 1}
    with pytest.raises(lp.InvalidInputError, match=r"'partition_expr': \{'carrier': 'column', 'date': 'column'\}"):
        run(manager, whole, between=("UA|2024-01-01", "AA|2024-01-01"))


def test_one_frame_is_refused_with_the_only_dimension_that_has_no_column(lake, manager) -> None:
    by_day = flights(metadata={"partition_expr": {"date": "t"}})

    with pytest.raises(lp.InvalidInputError, match=r"'partition_expr': \{'carrier': 'column'\}"):
        run(manager, by_day, between=("UA|2024-01-01", "AA|2024-01-01"))


def test_columns_that_dagster_does_not_name_are_those_of_the_declaration(lake, manager) -> None:
    lake.asset("flights", partitions=from_dagster(BOTH, by=COLUMNS["partition_expr"]))

    run(manager, flights(metadata={}), between=("UA|2024-01-01", "AA|2024-01-02"))
    run(manager, flights(metadata={"partition_expr": {"date": "t"}}), partition_key="DL|2024-01-01")

    assert len(rows_on_disk(lake, "flights")) == 5
    with pytest.raises(lp.AlreadyExistsError, match="by='other'"):
        run(manager, flights(metadata={"partition_expr": {"date": "other"}}), partition_key="DL|2024-01-01")


def test_dimensions_declared_in_another_order_than_dagsters_are_refused(lake, manager) -> None:
    lake.asset("flights", partitions=lp.Multi(date=from_dagster(DAYS, by="t"), carrier=from_dagster(CARRIERS, by="c")))

    with pytest.raises(lp.AlreadyExistsError, match=r"Multi\(date=.*Multi\(carrier="):
        run(manager, flights(), partition_key="DL|2024-01-01")


def test_an_asset_of_one_dimension_is_not_taken_for_one_of_two(lake, manager) -> None:
    lake.asset("flights", partitions=from_dagster(DAYS, by="t"))

    with pytest.raises(lp.AlreadyExistsError, match="cut otherwise"):
        run(manager, flights(), partition_key="DL|2024-01-01")


# Dynamic keys


def of_users(value: int = 0, partitions_def: Any = USERS, **options: Any) -> dg.AssetsDefinition:
    @dg.asset(name="visits", partitions_def=partitions_def, backfill_policy=ONE_RUN, **options)
    def made(context) -> dict[str, pd.DataFrame]:
        return {key: pd.DataFrame({"x": [value]}) for key in context.partition_keys}

    return made


def test_keys_that_the_instance_was_given_are_stored_and_loaded(lake, manager, instance) -> None:
    run(manager, of_users(), partition_key="bob", instance=instance)
    run(manager, of_users(4), between=("zoe", "50%"), instance=instance)
    got: dict[str, list[int]] = {}

    @dg.asset(partitions_def=USERS, backfill_policy=ONE_RUN)
    def reader(visits: dict[str, pd.DataFrame]) -> None:
        got.update({key: frame["x"].tolist() for key, frame in visits.items()})

    run(manager, of_users(), reader, between=("zoe", "bob"), selection=[reader], instance=instance)

    assert rows_on_disk(lake, "visits") == {"bob": 1, "zoe": 1, "50%": 1}
    assert lake.asset("visits").partitions == lp.Dynamic()
    assert got == {"bob": [4], "zoe": [4]}


def test_a_frame_is_split_by_the_column_of_its_dynamic_keys(lake, manager, instance) -> None:
    @dg.asset(partitions_def=USERS, metadata={"partition_expr": "user"}, backfill_policy=ONE_RUN)
    def visits() -> pd.DataFrame:
        return pd.DataFrame({"user": ["bob", "zoe", "bob"]})

    run(manager, visits, between=("zoe", "bob"), instance=instance)

    assert rows_on_disk(lake, "visits") == {"bob": 2, "zoe": 1}


def test_a_key_that_only_the_instance_knows_is_missing_and_can_be_left_out(manager, instance) -> None:
    got: list[list[str]] = []

    def note(visits: dict[str, pd.DataFrame]) -> None:
        got.append(list(visits))

    strict = dg.asset(name="strict", partitions_def=USERS, backfill_policy=ONE_RUN)(note)
    lenient = dg.asset(
        name="lenient",
        partitions_def=USERS,
        backfill_policy=ONE_RUN,
        ins={"visits": dg.AssetIn(metadata={"allow_missing_partitions": True})},
    )(note)
    run(manager, of_users(), partition_key="bob", instance=instance)
    both = {"between": ("zoe", "bob"), "instance": instance}

    with pytest.raises(lp.PartitionNotFoundError, match=r"new to the lake: zoe.*allow_missing_partitions"):
        run(manager, of_users(), strict, selection=[strict], **both)
    with pytest.warns(lp.PartialReadWarning, match="zoe"):
        run(manager, of_users(), lenient, selection=[lenient], **both)

    assert got == [["bob"]]


def test_an_asset_made_from_its_own_yesterday_may_take_in_new_keys(lake, manager, instance) -> None:
    yesterday = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)
    mapping = dg.MultiPartitionMapping(
        {
            "day": dg.DimensionPartitionMapping("day", yesterday),
            "user": dg.DimensionPartitionMapping("user", dg.IdentityPartitionMapping()),
        }
    )
    lenient = dg.AssetIn(partition_mapping=mapping, metadata={"allow_missing_partitions": True})

    @dg.asset(
        partitions_def=dg.MultiPartitionsDefinition({"user": USERS, "day": DAYS}),
        backfill_policy=ONE_RUN,
        ins={"visits": lenient},
    )
    def visits(context, visits: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        return {key: pd.DataFrame({"loaded": [",".join(visits)]}) for key in context.partition_keys}

    with pytest.warns(lp.PartialReadWarning, match="never written"):
        run(manager, visits, partition_key="2024-01-02|zoe", instance=instance)
    with pytest.warns(lp.PartialReadWarning, match=r"new to the lake: 2024-01-02\|bob"):
        run(manager, visits, between=("2024-01-03|zoe", "2024-01-03|bob"), instance=instance)

    assert lake.asset("visits")["2024-01-03"].to_arrow()["loaded"].to_pylist() == ["2024-01-02|zoe"] * 2
    assert lake.asset("visits")["2024-01-03"].status()["data"].tolist() == ["fresh", "fresh"]


def test_a_dynamic_dimension_beside_days_takes_new_keys(lake, manager, instance) -> None:
    both = dg.MultiPartitionsDefinition({"user": USERS, "day": DAYS})

    run(manager, of_users(partitions_def=both), between=("2024-01-01|zoe", "2024-01-02|bob"), instance=instance)

    assert set(rows_on_disk(lake, "visits")) == {f"2024-01-0{day}|{user}" for day in (1, 2) for user in ("zoe", "bob")}
    with pytest.raises(lp.PartitionKeyError, match="%25"):  # Dagster joins keys as they are
        run(manager, of_users(partitions_def=both), partition_key="2024-01-01|50%", instance=instance)


# Definitions


ONES: dict[str, lp.PartitionsDefinition] = {
    "hours": lp.Hourly("2024-11-03-00:00", end="2024-11-03-05:00", tz="America/New_York"),
    "days": lp.Daily("2024-02-27", end="2024-03-03", exclude=["0 0 * * 6"]),
    "weeks": lp.Weekly("2024-01-01", end="2024-02-01", weekday="monday", fmt="%G-W%V"),
    "months": lp.Monthly("2023-11-15", end="2024-04-01", tz="Asia/Tokyo"),
    "carriers": lp.Static(["UA", "AA", "ü /x"]),
    "one": lp.Static(["only"]),
}


@pytest.mark.parametrize("seed", range(40))
def test_keys_of_two_dimensions_are_those_of_dagster_in_the_same_order(seed) -> None:
    chance = random.Random(seed)
    kinds = chance.choices(list(ONES), k=2)
    names = chance.sample(["Zone", "a", "b.c", "day", "day2", "_x"], 2)  # in either order
    theirs = dg.MultiPartitionsDefinition(
        {name: to_dagster(ONES[kind]) for name, kind in zip(names, kinds, strict=True)}
    )

    ours = from_dagster(theirs)

    keys = PartitionSet.everything(ours).keys
    assert keys == [str(key) for key in theirs.get_partition_keys()]
    back = to_dagster(ours)
    assert [str(key) for key in back.get_partition_keys()] == keys
    assert back.partition_dimension_names == sorted(names)


@pytest.mark.parametrize(
    ("definition", "by"),
    [
        (lp.Multi(c=lp.Static(["x"], by="k"), d=lp.Daily("2024-01-01", by="t", tz="CET")), {"c": "k", "d": "t"}),
        (lp.Multi(day=lp.Daily("2024-01-01"), user=lp.Dynamic(by="who")), {"user": "who"}),
        (lp.Multi(a=lp.Dynamic(), b=lp.Dynamic()), None),
        (lp.Dynamic(by="who"), "who"),
    ],
    ids=repr,
)
def test_definitions_come_back_equal(definition, by) -> None:
    assert from_dagster(to_dagster(definition), by=by) == definition


def test_dynamic_keys_have_the_name_of_their_dimension_in_dagster_unless_another_is_given() -> None:
    both = lp.Multi(day=lp.Daily("2024-01-01"), user=lp.Dynamic())

    assert to_dagster(lp.Dynamic(dimension="user")) == dg.DynamicPartitionsDefinition(name="user")
    assert to_dagster(lp.Dynamic(), name="users") == USERS
    assert to_dagster(both).get_partitions_def_for_dimension("user") == dg.DynamicPartitionsDefinition(name="user")
    assert to_dagster(both, name="users").get_partitions_def_for_dimension("user") == USERS
    assert from_dagster(USERS, by="who", dimension="user") == lp.Dynamic(by="who", dimension="user")
    for other in (lp.Daily("2024-01-01"), lp.Unpartitioned(), lp.Multi(a=lp.Dynamic(), b=lp.Dynamic())):
        with pytest.raises(lp.InvalidInputError, match="name='users' names the keys of one dynamic dimension"):
            to_dagster(other, name="users")


@pytest.mark.parametrize(
    ("dimensions", "reason"),
    [
        ({"day": lp.Daily("2024-01-01"), "carrier": lp.Static(["a"])}, "alphabetical order.*carrier, day"),
        ({name: lp.Static(["x"]) for name in "abc"}, "two dimensions.*has 3.*fold"),
        ({"a": lp.Static(["x,y"]), "b": lp.Static(["z"])}, "Dagster does not take the keys"),
        ({"a": lp.Static(["50%"]), "b": lp.Static(["z"])}, "'50%'.*not written alike"),
        ({"a": lp.Static(["x|y"]), "b": lp.Static(["z"])}, "not written alike"),
        ({"a": lp.Static(["z"]), "b": lp.Daily("2024-01-01", fmt="%Y|%m|%d")}, "'2024|01|01'.*not written alike"),
    ],
    ids=["order", "three", "comma", "percent", "bar", "format"],
)
def test_dimensions_that_dagster_cannot_have_are_refused_with_the_rule(dimensions, reason) -> None:
    with pytest.raises(lp.InvalidInputError, match=reason):
        to_dagster(lp.Multi(**dimensions))


def test_keys_of_dagster_that_lakepart_would_write_otherwise_are_refused() -> None:
    theirs = dg.MultiPartitionsDefinition({"day": DAYS, "share": dg.StaticPartitionsDefinition(["50%"])})

    with pytest.raises(lp.InvalidInputError, match=r"'50%'.*declare=False"):
        from_dagster(theirs)


@pytest.mark.parametrize(
    ("theirs", "by", "reason"),
    [
        (BOTH, "t", "does not say the column of each dimension: there are carrier and date"),
        (BOTH, {"date": "t", "carier": "c"}, "the dimensions are carrier and date.*carrier"),
        (BOTH, {"date": ["t"]}, "names one column"),
        (DAYS, {"date": "t"}, "has one dimension: its column is a text"),
        (USERS, {"user": "u"}, "has one dimension: its column is a text"),
    ],
)
def test_columns_in_the_wrong_form_are_refused(theirs, by, reason) -> None:
    with pytest.raises(lp.InvalidInputError, match=reason):
        from_dagster(theirs, by=by)


def test_two_dimensions_take_no_other_name() -> None:
    with pytest.raises(lp.InvalidInputError, match="dimension='day' names one dimension"):
        from_dagster(BOTH, dimension="day")


@pytest.mark.parametrize("is_declared", [False, True])
def test_an_asset_of_two_dimensions_with_one_column_is_refused(lake, manager, is_declared) -> None:
    if is_declared:
        lake.asset("flights", partitions=from_dagster(BOTH))

    with pytest.raises(lp.InvalidInputError, match="partition_expr"):
        run(manager, flights(metadata={"partition_expr": "t"}), partition_key="AA|2024-01-05")

    assert [asset.name for asset in lake.assets()] == ["flights"] * is_declared
