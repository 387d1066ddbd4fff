"""Assets of two dimensions and of dynamic keys, run by Dagster itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pytest

import lakepart as lp
from lakepart.dagster import LakepartIOManager, from_dagster, to_dagster

pytestmark = [
    pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`"),
    pytest.mark.filterwarnings("ignore:.*MultiPartitions"),
]

CELLS = dg.MultiPartitionsDefinition(
    {
        "day": dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-06"),
        "carrier": dg.StaticPartitionsDefinition(["UA", "AA"]),
    }
)
COLUMNS = {"partition_expr": {"day": "t", "carrier": "carrier"}}
USERS = dg.DynamicPartitionsDefinition(name="users")


@pytest.fixture
def lake(tmp_path, monkeypatch) -> Iterator[lp.Lake]:
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "yes")
    with lp.create(tmp_path / "lake") as lake:
        yield lake


@pytest.fixture
def manager(lake) -> LakepartIOManager:
    return LakepartIOManager(url=lake.url)


def cells_frame(keys: list[str]) -> pd.DataFrame:
    parts = [key.split("|") for key in keys]
    stamps = pd.Series([pd.Timestamp(day, tz="UTC") for _, day in parts], dtype="datetime64[us, UTC]")
    return pd.DataFrame({"t": stamps, "carrier": [carrier for carrier, _ in parts], "x": range(len(keys))})


def made_from_cells() -> list[dg.AssetsDefinition]:
    options: dict[str, Any] = {
        "partitions_def": CELLS,
        "metadata": COLUMNS,
        "backfill_policy": dg.BackfillPolicy.single_run(),
    }

    @dg.asset(**options)
    def raw(context) -> pd.DataFrame:
        return cells_frame([str(key) for key in context.partition_keys])

    @dg.asset(**options)
    def doubled(raw: pd.DataFrame) -> pd.DataFrame:
        return raw.assign(x=raw["x"] * 2)

    return [raw, doubled]


def made_from_users() -> list[dg.AssetsDefinition]:
    options: dict[str, Any] = {"partitions_def": USERS, "metadata": {"partition_expr": "user"}}

    @dg.asset(**options)
    def orders(context) -> pd.DataFrame:
        return pd.DataFrame({"user": [context.partition_key], "n": [1]})

    @dg.asset(**options)
    def spent(orders: pd.DataFrame) -> pd.DataFrame:
        return orders.assign(n=orders["n"] * 10)

    return [orders, spent]


@pytest.mark.parametrize(
    "definition",
    [
        lp.Multi(carrier=lp.Static(["UA", "AA"], by="carrier"), day=lp.Daily("2024-01-01", end="2024-02-01", by="t")),
        lp.Multi(a=lp.Hourly("2024-11-03", end="2024-11-04", tz="America/New_York"), b=lp.Static(["x y", "ü", "/"])),
        lp.Multi(a=lp.Daily("2024-01-01", end="2024-01-20"), b=lp.Weekly("2024-01-01", end="2024-02-01")),
    ],
    ids=repr,
)
def test_a_definition_of_two_dimensions_has_the_same_keys_in_dagster_and_comes_back_equal(definition) -> None:
    theirs = to_dagster(definition)

    keys = [definition.key_at(position) for position in range(definition.sizes[0] * definition.sizes[1])]
    assert sorted(theirs.get_partition_keys()) == sorted(keys)
    assert from_dagster(theirs, by={one.dimension: one.by for one in definition.dimensions if one.by}) == definition


def test_a_dynamic_definition_is_named_for_its_dimension_or_as_told() -> None:
    assert to_dagster(lp.Dynamic(dimension="user")) == dg.DynamicPartitionsDefinition(name="user")
    assert to_dagster(lp.Dynamic(), name="users") == USERS
    assert from_dagster(USERS, by="user", dimension="user") == lp.Dynamic(by="user", dimension="user")


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda: to_dagster(lp.Multi(b=lp.Static(["x"]), a=lp.Static(["y"]))), "alphabetical order.*in the order a, b"),
        (lambda: to_dagster(lp.Multi(**{name: lp.Static(["x"]) for name in "abc"})), "Dagster knows two dimensions"),
        (lambda: to_dagster(lp.Multi(a=lp.Static(["x|y"]), b=lp.Static(["z"]))), "not written alike"),
        (lambda: to_dagster(lp.Daily("2024-01-01"), name="days"), "name='days' names the keys of one dynamic"),
        (lambda: from_dagster(CELLS, by="t"), "does not say the column of each dimension"),
        (lambda: from_dagster(CELLS, by={"days": "t"}), "by names the column of 'days'.*did you mean 'day'"),
        (lambda: from_dagster(CELLS, dimension="cell"), "names one dimension, and there are"),
        (lambda: from_dagster(USERS, by={"user": "user"}), "by"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_the_way_out(refused, message) -> None:
    with pytest.raises(lp.InvalidInputError, match=message):
        refused()


def test_a_run_of_one_cell_declares_the_asset_and_stores_the_cell(lake, manager) -> None:
    key = dg.MultiPartitionKey({"day": "2024-01-02", "carrier": "UA"})

    dg.materialize(made_from_cells(), resources={"io_manager": manager}, partition_key=key)

    assert lake.asset("raw").keys == ["UA|2024-01-02"] == lake.asset("doubled").keys
    assert [one.by for one in lake.asset("raw").partitions.dimensions] == ["carrier", "t"]


def test_a_run_of_a_rectangle_stores_and_loads_every_cell_of_it(lake, manager) -> None:
    first, last = (dg.MultiPartitionKey({"day": day, "carrier": "AA"}) for day in ("2024-01-02", "2024-01-04"))
    tags: dict[str, Any] = {
        "dagster/asset_partition_range_start": str(first),
        "dagster/asset_partition_range_end": str(last),
    }

    dg.materialize(made_from_cells(), resources={"io_manager": manager}, tags=tags)

    assert lake.asset("doubled").keys == ["AA|2024-01-02", "AA|2024-01-03", "AA|2024-01-04"]
    assert sorted(lake.asset("doubled").to_pandas()["x"]) == [0, 2, 4]


def test_a_key_that_was_added_to_dagster_comes_to_the_lake_with_its_run(lake, manager) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("users", ["ann", "bo"])
        for key in ("bo", "ann"):
            dg.materialize(made_from_users(), resources={"io_manager": manager}, partition_key=key, instance=instance)

    assert lake.asset("orders").keys == ["bo", "ann"]  # as they were first seen
    assert lake.asset("spent")["ann"].to_pandas()["n"].tolist() == [10]


def test_loading_a_dynamic_key_that_was_never_written_is_an_error_that_names_it(lake, manager) -> None:
    lake.asset("orders", partitions=lp.Dynamic(by="user")).write(pd.DataFrame({"user": ["ann"], "n": [1]}))

    orders, spent = made_from_users()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("users", ["bo"])
        with pytest.raises(lp.PartitionNotFoundError, match="bo"):
            dg.materialize(
                [orders.to_source_asset(), spent],
                resources={"io_manager": manager},
                partition_key="bo",
                instance=instance,
                selection=[spent],
            )
