"""Assets of Dagster kept in a lake, run by Dagster itself."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.dagster import LakepartIOManager, from_dagster, to_dagster

# Dagster calls parameters beta that these tests must use; the first is what makes one run of a range.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Parameter `backfill_policy`"),
    pytest.mark.filterwarnings("ignore:Parameter `allow_nonexistent_upstream_partitions`"),
]

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-02-01")
ONE_RUN = dg.BackfillPolicy.single_run()
BY_T = {"partition_expr": "t"}


def run(
    manager: LakepartIOManager,
    *assets: Any,
    key: str | None = None,
    between: tuple[str, str] | None = None,
    tags: dict[str, str] | None = None,
    select: Sequence[Any] | None = None,
) -> dg.ExecuteInProcessResult:
    """Let Dagster materialize assets for a key, for a range in one run, or without partitions."""
    if between is not None:
        start, end = between
        ends = {"dagster/asset_partition_range_start": start, "dagster/asset_partition_range_end": end}
        tags = (tags or {}) | ends
    return dg.materialize(
        assets, resources={"io_manager": manager}, partition_key=key, tags=tags, selection=select or assets
    )


def days_frame(keys: Sequence[str], value: int = 0) -> pd.DataFrame:
    """Give two rows a day."""
    stamps = [pd.Timestamp(key, tz="UTC") + pd.Timedelta(hours=hour) for key in keys for hour in (3, 9)]
    return pd.DataFrame({"t": pd.Series(stamps, dtype="datetime64[us, UTC]"), "x": range(value, value + len(stamps))})


def daily(name: str = "raw", *, value: int = 0, **options: Any) -> dg.AssetsDefinition:
    """Give a daily asset with two rows a day."""
    options = {"partitions_def": DAYS, "metadata": BY_T, "backfill_policy": ONE_RUN} | options

    @dg.asset(name=name, **options)
    def made(context) -> pd.DataFrame:
        return days_frame(context.partition_keys, value)

    return made


def rows_on_disk(lake: lp.Lake | lp.Branch, asset: str) -> dict[str, int]:
    """Count rows per partition by what the files say, without reading through lakepart."""
    files = lake.asset(asset).files()
    counts = [pq.ParquetFile(path).metadata.num_rows for path in files["path"]]
    return pd.Series(counts, index=files["key"], dtype="int64").groupby(level=0).sum().to_dict()


def states(lake: lp.Lake, asset: str) -> dict[str, str]:
    status = lake.asset(asset)[:].status(as_of=datetime(2013, 1, 1, tzinfo=UTC))
    return dict(zip(status["key"], status["data"], strict=True))


# Storing


def test_a_run_of_one_partition_stores_it_and_declares_the_asset(lake, manager) -> None:
    run(manager, daily(), key="2024-01-05")

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2}
    assert lake.asset("raw").partitions == lp.Daily("2024-01-01", end="2024-02-01", by="t")


def test_a_run_of_a_range_stores_every_partition_in_one_commit(lake, manager) -> None:
    run(manager, daily(), between=("2024-01-05", "2024-01-08"))

    assert rows_on_disk(lake, "raw") == dict.fromkeys(["2024-01-05", "2024-01-06", "2024-01-07", "2024-01-08"], 2)
    assert lake.snapshots(limit=1)["partitions"].tolist() == [4]


def test_a_second_run_of_a_partition_replaces_it_alone(lake, manager) -> None:
    run(manager, daily(), between=("2024-01-05", "2024-01-06"))

    run(manager, daily(value=100), key="2024-01-06")

    assert lake.asset("raw").to_pandas()["x"].tolist() == [0, 1, 100, 101]


def test_an_output_without_rows_for_a_key_of_its_range_makes_that_known_to_be_empty(lake, manager) -> None:
    @dg.asset(partitions_def=DAYS, metadata=BY_T, backfill_policy=ONE_RUN)
    def sparse(context) -> pd.DataFrame:
        return days_frame(["2024-01-06"])

    run(manager, sparse, between=("2024-01-05", "2024-01-06"))

    assert states(lake, "sparse") == {"2024-01-05": "empty", "2024-01-06": "fresh"}


def test_an_output_with_rows_of_another_partition_fails_and_the_old_content_stays(lake, manager) -> None:
    run(manager, daily(), between=("2024-01-05", "2024-01-06"))

    @dg.asset(name="raw", partitions_def=DAYS, metadata=BY_T, backfill_policy=ONE_RUN)
    def wrong(context) -> pd.DataFrame:
        return days_frame(["2024-01-05", "2024-01-06", "2024-01-07"], value=50)

    with pytest.raises(lp.PartitionKeyError, match="2024-01-07"):
        run(manager, wrong, between=("2024-01-05", "2024-01-06"))
    assert lake.asset("raw").to_pandas()["x"].tolist() == [0, 1, 2, 3]
    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2, "2024-01-06": 2}
    assert lake.check() == []


def test_an_output_that_breaks_half_way_leaves_the_old_content(lake, manager) -> None:
    run(manager, daily(), between=("2024-01-05", "2024-01-06"))

    @dg.asset(name="raw", partitions_def=DAYS, metadata=BY_T, backfill_policy=ONE_RUN)
    def breaking(context) -> pa.RecordBatchReader:
        first = pa.Table.from_pandas(days_frame(["2024-01-05"], value=50))

        def batches() -> Iterator[pa.RecordBatch]:
            yield from first.to_batches()
            raise OSError("the source went away")

        return pa.RecordBatchReader.from_batches(first.schema, batches())

    with pytest.raises(OSError, match="went away"):
        run(manager, breaking, between=("2024-01-05", "2024-01-06"))
    assert lake.asset("raw").to_pandas()["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.in_a_folder
def test_a_frame_per_key_needs_no_column_that_says_so(lake, manager) -> None:
    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)
    def keyed(context) -> dict[str, pd.DataFrame]:
        return {key: pd.DataFrame({"x": [1] * n}) for n, key in enumerate(context.partition_keys, start=1)}

    run(manager, keyed, between=("2024-01-05", "2024-01-07"))

    assert rows_on_disk(lake, "keyed") == {"2024-01-05": 1, "2024-01-06": 2, "2024-01-07": 3}
    assert lake.asset("keyed").partitions.by is None


@pytest.mark.in_a_folder
def test_one_frame_of_a_range_without_such_a_column_is_refused_with_the_ways_out(lake, manager) -> None:
    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)
    def unsplittable(context) -> pd.DataFrame:
        return pd.DataFrame({"x": [1, 2]})

    run(manager, unsplittable, key="2024-01-05")
    with pytest.raises(lp.InvalidInputError, match=r"\{key: frame, …\}.*partition_expr"):
        run(manager, unsplittable, between=("2024-01-05", "2024-01-06"))

    assert rows_on_disk(lake, "unsplittable") == {"2024-01-05": 2}


@pytest.mark.in_a_folder
def test_arrow_and_polars_frames_are_stored_as_well(lake, manager) -> None:
    @dg.asset
    def arrow() -> pa.Table:
        return pa.table({"x": [1, 2]})

    @dg.asset
    def polars() -> pl.DataFrame:
        return pl.DataFrame({"x": [1, 2, 3]})

    run(manager, arrow, polars)

    assert (rows_on_disk(lake, "arrow"), rows_on_disk(lake, "polars")) == ({"all": 2}, {"all": 3})


@pytest.mark.in_a_folder
def test_none_is_refused_with_what_to_do_instead(lake, manager) -> None:
    @dg.asset
    def forgetful():
        return None

    with pytest.raises(lp.InvalidInputError, match=r"'forgetful' gave None.*-> None"):
        run(manager, forgetful)

    assert lake.assets() == []


@pytest.mark.in_a_folder
def test_an_asset_annotated_to_give_none_stores_nothing(lake, manager) -> None:
    @dg.asset
    def side_effect() -> None:
        return None

    assert run(manager, side_effect).success
    assert lake.assets() == []


@pytest.mark.in_a_folder
def test_the_parts_of_an_asset_key_are_the_segments_of_the_name(lake, manager) -> None:
    raw = daily(key_prefix=["sales", "eu"])

    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN, ins={"raw": dg.AssetIn(key=["sales", "eu", "raw"])})
    def total(raw: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"x": [raw["x"].sum()]})

    run(manager, raw, total, key="2024-01-05")

    assert [asset.name for asset in lake.assets()] == ["sales/eu/raw", "total"]
    assert lake.asset("total").to_pandas()["x"].tolist() == [1]


@pytest.mark.in_a_folder
def test_an_unpartitioned_asset_is_stored_and_loaded_whole(lake, manager) -> None:
    @dg.asset
    def lookup() -> pd.DataFrame:
        return pd.DataFrame({"x": [1, 2]})

    @dg.asset
    def doubled(lookup: pd.DataFrame) -> pd.DataFrame:
        return lookup * 2

    run(manager, lookup, doubled)

    assert lake.asset("doubled").partitions == lp.Unpartitioned()
    assert lake.asset("doubled").to_pandas()["x"].tolist() == [2, 4]


@pytest.mark.in_a_folder
def test_the_output_of_an_op_that_is_no_asset_is_refused(manager) -> None:
    @dg.op
    def loose() -> int:
        return 1

    @dg.job(resource_defs={"io_manager": manager})
    def job() -> None:
        loose()

    with pytest.raises(lp.InvalidInputError, match="keeps assets"):
        job.execute_in_process()


@pytest.mark.in_a_folder
def test_the_repeated_hour_of_autumn_is_two_partitions(lake, manager) -> None:
    hours = dg.HourlyPartitionsDefinition("2024-11-03-00:00", "2024-11-04-00:00", timezone="America/New_York")

    @dg.asset(partitions_def=hours, metadata=BY_T, backfill_policy=ONE_RUN)
    def ticks(context) -> pd.DataFrame:
        starts = [hours.time_window_for_partition_key(key).start.timestamp() for key in context.partition_keys]
        return pd.DataFrame({"t": pd.to_datetime(starts, unit="s", utc=True).as_unit("us"), "x": 1})

    @dg.asset(partitions_def=hours, backfill_policy=ONE_RUN)
    def counts(context, ticks: dict[str, pa.Table]) -> dict[str, pa.Table]:
        return {key: pa.table({"n": [table.num_rows]}) for key, table in ticks.items()}

    run(manager, ticks, counts, between=("2024-11-03-00:00", "2024-11-03-03:00"))

    keys = ["2024-11-03-00:00", "2024-11-03-01:00", "2024-11-03-01:00-0500", "2024-11-03-02:00", "2024-11-03-03:00"]
    assert rows_on_disk(lake, "ticks") == dict.fromkeys(keys, 1)
    assert rows_on_disk(lake, "counts") == dict.fromkeys(keys, 1)
    run(manager, ticks, key="2024-11-03-01:00-0500")
    assert lake.snapshots(limit=1)["rows"].tolist() == [1]


# Loading


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("annotation", "seen"),
    [
        (pd.DataFrame, ("DataFrame", [0, 1, 2, 3])),
        (pa.Table, ("Table", [0, 1, 2, 3])),
        (pl.DataFrame, ("DataFrame", [0, 1, 2, 3])),
        (lp.Selection, ("Selection", [0, 1, 2, 3])),
        (Any, ("DataFrame", [0, 1, 2, 3])),
        (dict[str, pd.DataFrame], ("dict", ["2024-01-05", "2024-01-06"])),
        (dict[str, pa.Table], ("dict", ["2024-01-05", "2024-01-06"])),
        (dict[str, pl.DataFrame], ("dict", ["2024-01-05", "2024-01-06"])),
    ],
)
def test_inputs_are_loaded_as_they_are_annotated(manager, annotation, seen) -> None:
    got = []

    def note(raw) -> None:
        whole = raw.to_arrow() if isinstance(raw, lp.Selection) else raw
        got.append((type(raw).__name__, list(raw) if isinstance(raw, dict) else [int(str(x)) for x in whole["x"]]))

    note.__annotations__["raw"] = annotation
    reader = dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)(note)

    run(manager, daily(), reader, between=("2024-01-05", "2024-01-06"))

    assert got == [seen]


@pytest.mark.in_a_folder
def test_an_annotation_that_cannot_be_loaded_is_refused(manager) -> None:
    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)
    def reader(raw: int) -> None: ...

    with pytest.raises(lp.InvalidInputError, match="cannot be loaded as <class 'int'>"):
        run(manager, daily(), reader, key="2024-01-05")


@pytest.mark.in_a_folder
def test_an_input_mapped_to_keys_with_gaps_loads_just_those(manager) -> None:
    picked = dg.SpecificPartitionsPartitionMapping(["2024-01-09", "2024-01-02", "2024-01-05"])
    got = []

    @dg.asset(ins={"raw": dg.AssetIn(partition_mapping=picked)})
    def reader(raw: dict[str, pd.DataFrame]) -> None:
        got.extend(raw)

    run(manager, daily(), between=("2024-01-01", "2024-01-10"))
    run(manager, daily(), reader, select=[reader])

    assert got == ["2024-01-02", "2024-01-05", "2024-01-09"]


@pytest.mark.in_a_folder
def test_days_are_loaded_for_the_week_they_lie_in(lake, manager) -> None:
    weeks = dg.WeeklyPartitionsDefinition("2024-01-07", end_date="2024-01-28")

    @dg.asset(partitions_def=weeks)
    def weekly(raw: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"n": [len(raw)], "first": [raw["t"].min()]})

    run(manager, daily(), between=("2024-01-01", "2024-01-31"))
    run(manager, daily(), weekly, key="2024-01-14", select=[weekly])

    assert lake.asset("weekly")["2024-01-14"].to_pandas().to_dict("records") == [
        {"n": 14, "first": pd.Timestamp("2024-01-14T03:00Z")}
    ]


@pytest.mark.in_a_folder
def test_a_mapped_key_that_was_never_written_is_an_error_that_says_how_to_do_without(manager) -> None:
    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)
    def reader(raw: pd.DataFrame) -> None: ...

    run(manager, daily(), key="2024-01-05")

    with pytest.raises(lp.PartitionNotFoundError, match=r"2024-01-06.*allow_missing_partitions"):
        run(manager, daily(), reader, between=("2024-01-05", "2024-01-06"), select=[reader])


@pytest.mark.in_a_folder
def test_input_metadata_lets_missing_partitions_out_and_chooses_columns(manager) -> None:
    got = []
    lenient = dg.AssetIn(metadata={"allow_missing_partitions": True, "columns": ["x"]})

    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN, ins={"raw": lenient})
    def reader(raw: pd.DataFrame) -> None:
        got.append(raw)

    run(manager, daily(), key="2024-01-05")
    with pytest.warns(lp.PartialReadWarning, match="2024-01-06"):
        run(manager, daily(), reader, between=("2024-01-05", "2024-01-06"), select=[reader])

    assert got[0].to_dict("list") == {"x": [0, 1]}


def test_values_are_loaded_outside_of_runs(manager) -> None:
    raw = daily()
    run(manager, raw, between=("2024-01-05", "2024-01-08"))
    definitions = dg.Definitions([raw], resources={"io_manager": manager})

    with definitions.get_asset_value_loader() as loader:
        one = loader.load_asset_value("raw", python_type=pa.Table, partition_key="2024-01-06")
        some = loader.load_asset_value(
            "raw",
            python_type=dict[str, pd.DataFrame],
            partition_key_range=dg.PartitionKeyRange("2024-01-06", "2024-01-07"),
            input_definition_metadata={"columns": ["x"]},
        )
        whole = loader.load_asset_value("raw")

    assert one.column("x").to_pylist() == [2, 3]
    assert {key: list(frame.columns) for key, frame in some.items()} == {"2024-01-06": ["x"], "2024-01-07": ["x"]}
    assert whole["x"].tolist() == list(range(8))


@pytest.mark.in_a_folder
def test_an_asset_that_dagster_does_not_make_is_loaded_from_the_lake(lake, manager) -> None:
    lake.asset("given", partitions=lp.Daily("2024-01-01", by="t")).write(days_frame(["2024-01-05"]))
    given = dg.AssetSpec("given", partitions_def=DAYS).with_io_manager_key("io_manager")

    @dg.asset(partitions_def=DAYS)
    def total(given: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"x": [given["x"].sum()]})

    run(manager, given, total, key="2024-01-05", select=[total])

    assert lake.asset("total").to_pandas()["x"].tolist() == [1]


# Declarations


@pytest.mark.in_a_folder
def test_partitions_that_dagster_cuts_otherwise_are_refused(lake, manager) -> None:
    lake.asset("raw", partitions=lp.Daily("2023-01-01", by="t"))

    with pytest.raises(lp.AlreadyExistsError, match=r"Daily\('2023-01-01', by='t'\).*Daily\('2024-01-01'"):
        run(manager, daily(), key="2024-01-05")


@pytest.mark.in_a_folder
def test_the_column_of_the_declaration_stands_where_dagster_names_none(lake, manager) -> None:
    lake.asset("raw", partitions=lp.Daily("2024-01-01", end="2024-02-01", by="t", dimension="day"))

    run(manager, daily(metadata={}), between=("2024-01-05", "2024-01-06"))

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2, "2024-01-06": 2}


@pytest.mark.in_a_folder
def test_how_many_windows_are_expected_may_differ_between_dagster_and_the_lake(lake, manager) -> None:
    lake.asset("raw", partitions=lp.Daily("2024-01-01", end="2024-02-01", by="t", end_offset=1))

    run(manager, daily(), key="2024-01-05")

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2}


@pytest.mark.in_a_folder
def test_another_column_than_the_declared_one_is_refused(lake, manager) -> None:
    lake.asset("raw", partitions=lp.Daily("2024-01-01", end="2024-02-01", by="other"))

    with pytest.raises(lp.AlreadyExistsError, match="by='other'"):
        run(manager, daily(), key="2024-01-05")


@pytest.mark.in_a_folder
def test_without_declaring_the_asset_must_be_there_and_its_keys_fit(lake) -> None:
    manager = LakepartIOManager(url=lake.url, declare=False)
    with pytest.raises(lp.AssetNotFoundError, match="'raw'"):
        run(manager, daily(), key="2024-01-05")

    lake.asset("raw", partitions=lp.Daily("2020-01-01", by="t"))
    run(manager, daily(), key="2024-01-05")

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2}


@pytest.mark.in_a_folder
def test_keys_of_any_kind_can_be_declared_by_hand(lake) -> None:
    lake.asset("grid", partitions=lp.Static(["2024-01-01|eu", "2024-01-01|us"]))
    both = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu", "us"])})

    @dg.asset(partitions_def=both)
    def grid() -> pd.DataFrame:
        return pd.DataFrame({"x": [1]})

    run(LakepartIOManager(url=lake.url, declare=False), grid, key="2024-01-01|us")

    assert rows_on_disk(lake, "grid") == {"2024-01-01|us": 1}


def test_a_lake_that_is_not_there_is_not_made(tmp_path) -> None:
    with pytest.raises(lp.LakeNotFoundError):
        run(LakepartIOManager(url=str(tmp_path / "typo")), daily(), key="2024-01-05")

    assert not (tmp_path / "typo").exists()


# What is recorded


def derived(code_version: str | None = None) -> dg.AssetsDefinition:
    @dg.asset(name="derived", partitions_def=DAYS, backfill_policy=ONE_RUN, metadata=BY_T, code_version=code_version)
    def made(raw: pd.DataFrame) -> pd.DataFrame:
        return raw.assign(x=raw["x"] * 2)

    return made


def test_what_was_made_from_a_partition_is_stale_once_that_changes(lake, manager) -> None:
    for key in ("2024-01-05", "2024-01-06"):
        run(manager, daily(), derived(), key=key)
    assert states(lake, "derived") == {"2024-01-05": "fresh", "2024-01-06": "fresh"}

    run(manager, daily(value=7), key="2024-01-06")

    assert states(lake, "derived") == {"2024-01-05": "fresh", "2024-01-06": "stale"}
    assert lake.asset("derived")["2024-01-06"].status()["reasons"].tolist() == ["input raw changed"]


@pytest.mark.in_a_folder
def test_a_run_records_exactly_what_it_loaded(lake, manager) -> None:
    @dg.asset(name="derived", partitions_def=DAYS, metadata=BY_T, backfill_policy=ONE_RUN)
    def overtaken(raw: pd.DataFrame) -> pd.DataFrame:
        lake.asset("raw").write(days_frame(["2024-01-05"], value=70), "2024-01-05")  # while the step is running
        return raw

    run(manager, daily(), overtaken, key="2024-01-05")

    assert lake.asset("derived").to_pandas()["x"].tolist() == [0, 1]
    assert states(lake, "derived") == {"2024-01-05": "stale"}


@pytest.mark.in_a_folder
def test_a_retry_records_what_it_loaded_itself(lake, manager) -> None:
    once_more = dg.RetryPolicy(max_retries=1)

    @dg.asset(name="derived", partitions_def=DAYS, metadata=BY_T, backfill_policy=ONE_RUN, retry_policy=once_more)
    def flaky(context, raw: pd.DataFrame) -> pd.DataFrame:
        if context.retry_number == 0:
            lake.asset("raw").write(days_frame(["2024-01-05"], value=70), "2024-01-05")
            raise RuntimeError("not yet")
        return raw

    run(manager, daily(), flaky, key="2024-01-05")

    assert lake.asset("derived").to_pandas()["x"].tolist() == [70, 71]
    assert states(lake, "derived") == {"2024-01-05": "fresh"}


@pytest.mark.in_a_folder
def test_code_versions_are_recorded_and_older_ones_are_stale(lake, manager) -> None:
    raw = daily(code_version="1")
    run(manager, raw, between=("2024-01-05", "2024-01-06"))
    assert lake.asset("raw")[:].status(as_of=datetime(2013, 1, 1, tzinfo=UTC))["code_version"].tolist() == ["1", "1"]
    assert set(states(lake, "raw").values()) == {"fresh"}

    run(manager, daily(code_version="2"), key="2024-01-06")

    assert states(lake, "raw") == {"2024-01-05": "stale", "2024-01-06": "fresh"}
    assert lake.asset("raw")["2024-01-05"].status()["reasons"].tolist() == ["code version 1, now 2"]


@pytest.mark.in_a_folder
def test_an_asset_that_lost_its_code_version_is_not_stale_for_that(lake, manager) -> None:
    run(manager, daily(), derived(code_version="1"), key="2024-01-05")

    run(manager, daily(), derived(), key="2024-01-05")

    assert states(lake, "derived") == {"2024-01-05": "fresh"}


def importable_producer(part: Any) -> pd.DataFrame:
    return days_frame(part.keys)


@pytest.mark.in_a_folder
def test_a_producer_of_the_lakes_own_keeps_its_code_version(lake, manager) -> None:
    registered = lp.producer("raw", partitions=from_dagster(DAYS, by="t"), code_version="9")(importable_producer)
    lake.register(registered)

    run(manager, daily(code_version="1"), key="2024-01-05")

    assert lake.asset("raw")["2024-01-05"].status()["reasons"].tolist() == ["code version 1, now 9"]


@pytest.mark.in_a_folder
def test_what_dagster_makes_cannot_be_backfilled_without_a_function(lake, manager) -> None:
    run(manager, daily(code_version="1"), key="2024-01-05")

    with pytest.raises(lp.StateError, match="pass the function"):
        lake.asset("raw")["2024-01-05":"2024-01-06"].backfill(progress=False)


@pytest.mark.in_a_folder
def test_an_asset_made_from_its_own_yesterday_is_fresh(lake, manager) -> None:
    yesterday = dg.TimeWindowPartitionMapping(
        start_offset=-1, end_offset=-1, allow_nonexistent_upstream_partitions=True
    )
    lenient = {"allow_missing_partitions": True}

    @dg.asset(
        partitions_def=DAYS,
        metadata=BY_T,
        backfill_policy=ONE_RUN,
        ins={"running": dg.AssetIn(partition_mapping=yesterday, metadata=lenient)},
    )
    def running(context, running: pd.DataFrame) -> pd.DataFrame:
        return days_frame(context.partition_keys, value=len(running))

    with pytest.warns(lp.PartialReadWarning, match="never written"):
        run(manager, running, between=("2024-01-02", "2024-01-03"))
    run(manager, running, between=("2024-01-03", "2024-01-04"))
    run(manager, running, key="2024-01-05")

    assert set(states(lake, "running").values()) == {"fresh"}
    run(manager, running, key="2024-01-04")
    assert states(lake, "running")["2024-01-05"] == "stale"


@pytest.mark.in_a_folder
def test_the_first_partition_of_an_asset_made_from_its_own_yesterday_loads_nothing(lake, manager) -> None:
    yesterday = dg.TimeWindowPartitionMapping(start_offset=-1, end_offset=-1)

    @dg.asset(partitions_def=DAYS, ins={"running": dg.AssetIn(partition_mapping=yesterday)})
    def running(running: dict[str, pa.Table]) -> pa.Table:
        return pa.table({"loaded": [len(running)]})

    run(manager, running, key="2024-01-01")
    run(manager, running, key="2024-01-02")

    assert lake.asset("running").to_pandas()["loaded"].tolist() == [0, 1]
    with pytest.raises(lp.PartitionNotFoundError, match="2024-01-03"):
        run(manager, running, key="2024-01-04")


def test_a_commit_says_which_run_made_it(lake, manager) -> None:
    result = run(manager, daily(), key="2024-01-05")

    assert lake.snapshots(limit=1)["message"].tolist() == [f"Dagster run {result.run_id}"]


@pytest.mark.in_a_folder
def test_materializations_carry_one_small_table(lake, manager) -> None:
    result = run(manager, daily(), between=("2024-01-05", "2024-01-06"))

    events = result.asset_materializations_for_node("raw")
    assert [event.partition for event in events] == ["2024-01-05", "2024-01-06"]
    metadata = events[0].metadata
    assert {name: metadata[f"lakepart/{name}"].value for name in ("snapshot", "rows", "files")} == {
        "snapshot": lake.snapshots(limit=1)["snapshot"].item(),
        "rows": 4,
        "files": 2,
    }
    files = lake.asset("raw").files()
    assert metadata["lakepart/bytes"].value == files["bytes"].sum()
    assert [dict(record.data) for record in metadata["lakepart/partitions"].records] == [
        {"key": key, "rows": 2, "bytes": size, "files": 1}
        for key, size in zip(files["key"], files["bytes"], strict=True)
    ]


@pytest.mark.in_a_folder
def test_the_table_of_a_long_range_stays_small(manager) -> None:
    hours = dg.HourlyPartitionsDefinition("2024-01-01-00:00", "2024-01-06-00:00")

    @dg.asset(partitions_def=hours, backfill_policy=ONE_RUN)
    def ticks(context) -> dict[str, pa.Table]:
        return {key: pa.table({"x": [1, 2]}) for key in context.partition_keys}

    result = run(manager, ticks, between=("2024-01-01-00:00", "2024-01-05-23:00"))

    records = result.asset_materializations_for_node("ticks")[0].metadata["lakepart/partitions"].records
    assert len(records) == 100
    assert records[-1].data["key"] == "… and 21 more"
    assert (records[-1].data["rows"], records[-1].data["files"]) == (42, 21)


# Staging


def test_a_staged_range_is_seen_only_after_it_is_published(lake) -> None:
    manager = LakepartIOManager(url=lake.url, stage_backfills=True)
    run(manager, daily(), derived(), key="2024-01-05")  # one partition is no backfill: it is published at once

    result = run(manager, daily(value=50), derived(), between=("2024-01-05", "2024-01-06"))

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2}
    assert lake.asset("raw").to_pandas()["x"].tolist() == [0, 1]
    branch = lake.branch(f"run-{result.run_id}")
    assert branch.asset("derived").to_pandas()["x"].tolist() == [100, 102, 104, 106]  # made from what was staged
    branch.publish()
    assert lake.asset("derived").to_pandas()["x"].tolist() == [100, 102, 104, 106]
    assert set(states(lake, "derived").values()) == {"fresh"}


def test_the_runs_of_one_backfill_share_a_branch(lake) -> None:
    manager = LakepartIOManager(url=lake.url, stage_backfills=True)
    tags = {"dagster/backfill": "abcdefgh"}

    for key in ("2024-01-05", "2024-01-06"):
        result = run(manager, daily(), key=key, tags=tags)
    run(manager, daily(), derived(), key="2024-01-06", tags=tags, select=[derived()])

    assert lake.asset("raw").keys == []
    metadata = result.asset_materializations_for_node("raw")[0].metadata
    branch = lake.branch(metadata["lakepart/branch"].value)
    assert branch.name == "backfill-abcdefgh"
    assert rows_on_disk(branch, "raw") == {"2024-01-05": 2, "2024-01-06": 2}
    assert rows_on_disk(branch, "derived") == {"2024-01-06": 2}
    assert branch.publish().partitions == 3


def test_a_staged_run_that_only_reads_leaves_no_branch(lake) -> None:
    run(LakepartIOManager(url=lake.url), daily(), between=("2024-01-05", "2024-01-06"))

    @dg.asset(partitions_def=DAYS, backfill_policy=ONE_RUN)
    def reader(raw: pd.DataFrame) -> None: ...

    staging = LakepartIOManager(url=lake.url, stage_backfills=True)
    run(staging, daily(), reader, between=("2024-01-05", "2024-01-06"), select=[reader])

    assert lake.branches().empty


# Configuration


def test_the_manager_is_its_configuration(lake, manager) -> None:
    run(manager, daily(), key="2024-01-05")

    copy = pickle.loads(pickle.dumps(manager))

    assert (copy.url, copy.catalog, copy.declare, copy.stage_backfills) == (lake.url, None, True, False)
    run(copy, daily(), key="2024-01-06")
    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2, "2024-01-06": 2}


def test_the_address_may_come_from_the_environment(lake, monkeypatch) -> None:
    monkeypatch.setenv("LAKE_OF_THE_TEST", lake.url)

    run(LakepartIOManager(url=dg.EnvVar("LAKE_OF_THE_TEST")), daily(), key="2024-01-05")

    assert rows_on_disk(lake, "raw") == {"2024-01-05": 2}


@pytest.mark.in_a_folder
def test_contexts_built_by_hand_are_enough(lake, manager) -> None:
    written = dg.build_output_context(
        asset_key=["raw"], asset_partitions_def=DAYS, partition_key="2024-01-05", definition_metadata=BY_T
    )
    read = dg.build_input_context(asset_key=["raw"], asset_partitions_def=DAYS, partition_key="2024-01-05", name="raw")

    manager.handle_output(written, days_frame(["2024-01-05"]))

    assert manager.load_input(read)["x"].tolist() == [0, 1]
    manager.teardown_after_execution(dg.build_init_resource_context())


def test_without_dagster_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['dagster'] = None; import lakepart.dagster"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "pip install 'lakepart[dagster]'" in done.stderr.splitlines()[-1]


# Definitions


@pytest.mark.parametrize(
    "definition",
    [
        lp.Hourly("2024-11-02-00:00", end="2024-11-05-00:00", tz="America/New_York", by="t"),
        lp.Hourly("2024-11-03-01:00-0500", end="2024-11-05-00:00", tz="America/New_York"),
        lp.Hourly("2024-03-09-00:00", end="2024-03-12-00:00", tz="Europe/London"),
        lp.Daily("2024-01-01", end="2024-03-01"),
        lp.Daily("2024-03-01", end="2024-04-15", tz="Asia/Beirut"),  # its clocks skip a midnight
        lp.Weekly("2024-01-01", end="2024-06-01", tz="Australia/Sydney"),
        lp.Monthly("2023-01-15", end="2025-01-01", tz="America/New_York"),
        lp.Quarterly("2022-02-01", end="2025-01-01", tz="Europe/London"),
        lp.Yearly("2015-06-01", end="2025-01-01"),
        lp.Static(["b", "a", "ü/x"], by="region"),
        lp.Hourly("2024-03-30", end="2024-04-01", minute=30, tz="Europe/London"),
        lp.Hourly("2024-01-01", end="2024-02-01", every=6),
        lp.Minutely("2024-01-01", end="2024-01-02", every=15),
        lp.Daily("2024-01-01", end="2024-03-01", hour=6, minute=30, tz="Asia/Kolkata"),
        lp.Daily("2024-01-01", end="2024-03-01", fmt="%Y%m%d", end_offset=-2),
        lp.Daily("2024-01-01", end="2024-02-01", exclude=["0 0 * * 6,0", "2024-01-15"]),
        lp.Weekly("2024-01-01", end="2024-06-01", weekday="monday"),
        lp.Monthly("2024-01-01", end="2025-01-01", day=15, hour=3),
        lp.Yearly("2015-06-01", end="2025-06-01", month=4, day=6),
        lp.Cron("30 9 * * 1-5", "2024-01-01", end="2024-03-01", tz="America/New_York"),
    ],
    ids=repr,
)
def test_a_definition_has_the_same_keys_in_dagster_and_comes_back_equal(definition) -> None:
    theirs = to_dagster(definition)

    assert list(theirs.get_partition_keys()) == definition.keys_at(definition.universe.to_array())
    back = from_dagster(theirs, by=definition.by)
    assert back.keys_at(back.universe.to_array()) == definition.keys_at(definition.universe.to_array())
    if not getattr(definition, "exclude", ()):  # Dagster excludes moments, and no days
        assert back == definition


def test_a_definition_without_an_end_comes_back_without_one() -> None:
    assert from_dagster(to_dagster(lp.Daily("2024-01-01"))) == lp.Daily("2024-01-01")


def test_unpartitioned_is_no_definition_in_dagster() -> None:
    assert to_dagster(lp.Unpartitioned()) is None
    assert from_dagster(None) == lp.Unpartitioned()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (dg.DailyPartitionsDefinition("2024-01-01", end_offset=1), lp.Daily("2024-01-01", end_offset=1)),
        (dg.WeeklyPartitionsDefinition("2024-01-01", day_offset=1), lp.Weekly("2024-01-01", weekday="monday")),
        (
            dg.TimeWindowPartitionsDefinition("2024-01-01", fmt="%Y-%m-%d", cron_schedule="0 0 1 */3 *"),
            lp.Quarterly("2024-01-01"),
        ),
        (
            dg.TimeWindowPartitionsDefinition("2024-01-01", fmt="%Y-%m-%d", cron_schedule="@monthly", timezone="CET"),
            lp.Monthly("2024-01-01", tz="CET"),
        ),
    ],
)
def test_definitions_written_otherwise_are_understood(theirs, ours) -> None:
    assert from_dagster(theirs) == ours


@pytest.mark.filterwarnings("ignore:.*partition_fn")
def test_keys_that_a_function_gives_have_no_counterpart() -> None:
    with pytest.raises(lp.InvalidInputError, match=r"no counterpart.*declare=False"):
        from_dagster(dg.DynamicPartitionsDefinition(partition_fn=lambda _: ["a"]))


def test_keys_that_dagster_does_not_take_are_refused() -> None:
    with pytest.raises(lp.InvalidInputError, match=r"Dagster does not take the keys"):
        to_dagster(lp.Static(["a...b"]))


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    "definition",
    [
        lp.Daily("2024-01-01", exclude=["2024-01-03"], by="t"),
        lp.Daily("2024-01-01", exclude=[lp.Calendar("holidays", ["2024-01-03"])], by="t"),
        lp.Cron("@daily", "2024-01-01", by="t"),
        lp.Cron("0 0 * * SUN", "2024-01-01", by="t"),
    ],
    ids=["day", "calendar", "daily", "sundays"],
)
def test_an_asset_declared_in_the_lake_is_run_by_what_to_dagster_made_of_it(lake, manager, definition) -> None:
    lake.asset("raw", partitions=definition)
    key = definition.key_at(1)

    @dg.asset(partitions_def=to_dagster(definition), metadata=BY_T)
    def raw() -> pd.DataFrame:
        return days_frame([key])

    run(manager, raw, key=key)

    assert lake.asset("raw").keys == [key]


def test_an_hour_that_clocks_show_twice_is_left_out_on_both_sides() -> None:
    hours = lp.Hourly("2024-11-03", end="2024-11-05", tz="America/New_York", exclude=["2024-11-03T01:00"])

    theirs = to_dagster(hours)

    assert theirs.get_partition_keys() == hours.keys_at(hours.universe.to_array())
    assert from_dagster(theirs) == hours


def test_leaving_out_one_of_two_hours_of_the_same_name_is_refused() -> None:
    one = dg.HourlyPartitionsDefinition(
        "2024-11-03-00:00",
        "2024-11-05-00:00",
        timezone="America/New_York",
        exclusions=[datetime(2024, 11, 3, 1, tzinfo=ZoneInfo("America/New_York"), fold=1)],
    )

    with pytest.raises(lp.InvalidInputError, match="one of the two windows that begin at 2024-11-03 01:00"):
        from_dagster(one)
