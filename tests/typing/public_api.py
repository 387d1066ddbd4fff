"""Calls of the public API with the types they must have; mypy reads this file, nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

import pandas as pd
import polars as pl
import pyarrow as pa

import lakepart as lp


def opening(folder: Path) -> None:
    assert_type(lp.create(folder), lp.Lake)
    assert_type(lp.create("lake/", tiers=[lp.Tier("hot", "hot"), lp.Tier("cold", "cold", storage_class="X")]), lp.Lake)
    assert_type(lp.create("lake/", catalog="postgresql://ann@host/db?schema=sales"), lp.Lake)
    assert_type(lp.connect("lake/", catalog=object), lp.Lake)
    assert_type(lp.plan_migration("lake/"), lp.MigrationPlan)
    assert_type(lp.migrate_catalog("lake/", catalog="postgresql:///db"), lp.MigrationPlan)
    assert_type(lp.copy_catalog("lake/", "postgresql:///db"), lp.CatalogCopy)
    assert_type(lp.backup_catalog("lake/", "backup.db"), lp.CatalogCopy)
    assert_type(lp.restore_catalog("lake/", "backup.db", catalog="postgresql:///db"), lp.CatalogCopy)
    assert_type(lp.connect("lake/", catalog="sqlite:///catalog.db", read_only=True, storage_options={}), lp.Lake)
    assert_type(lp.connect("s3://acme/lake", catalog="postgresql:///db", credentials="vault:give"), lp.Lake)
    assert_type(
        lp.connect("s3://acme/lake", catalog="postgresql:///db", credentials=lambda tier: {"key": tier}), lp.Lake
    )
    with lp.connect() as lake:
        assert_type(lake, lp.Lake)
        assert_type(lake.url, str)
        assert_type(lake.status(), pd.DataFrame)


def definitions() -> None:
    start = datetime(2013, 1, 1, tzinfo=UTC)
    cuts: list[lp.PartitionsDefinition] = [
        lp.Hourly(start, by="time_hour"),
        lp.Daily(date(2013, 1, 1), end="2014-01-01", by="time_hour", tz="America/New_York", dimension="day"),
        lp.Weekly("2013-01-01"),
        lp.Monthly("2013-01-01"),
        lp.Quarterly("2013-01-01"),
        lp.Yearly("2013"),
        lp.Static(["eu", "us"], by="region"),
        lp.Dynamic(by="customer", dimension="who"),
        lp.Multi(day=lp.Daily("2013-01-01", by="time_hour"), carrier=lp.Static(["UA", "AA"], by="carrier")),
        lp.Unpartitioned(),
    ]
    assert_type(cuts[0].dimensions[0].by, str | None)
    assert_type(cuts[0].dimensions[0].dimension, str)
    assert_type(cuts[0].describe(), str)


def assets(lake: lp.Lake) -> lp.Asset:
    flights = lake.asset(
        "flights", partitions=lp.Daily("2013-01-01"), complete_after=timedelta(hours=2), description=""
    )
    assert_type(flights, lp.Asset)
    assert_type(lake.asset("flights"), lp.Asset)
    columns = pa.schema({"day": pa.date32()})
    assert_type(
        lake.asset("typed", partitions=lp.Daily("2013-01-01"), schema=columns, on_schema_change="add"), lp.Asset
    )
    assert_type(
        lake.asset("large", partitions=lp.Daily("2013-01-01"), sort_by=["day"], target_file_size="128 MB"), lp.Asset
    )
    assert_type(lake.assets(), list[lp.Asset])
    assert_type(flights.name, str)
    assert_type(flights.description, str)
    assert_type(flights.partitions, lp.PartitionsDefinition)
    return flights


def transactions(lake: lp.Lake, frame: pd.DataFrame) -> None:
    with lake.transaction("fix tax", metadata={"ticket": 7}) as tx:
        assert_type(tx, lp.Transaction)
        assert_type(tx.asset("flights").write(frame, "2013-01-05"), lp.Commit)
        assert_type(tx.asset("flights")["2013-01-05"].to_pandas(), pd.DataFrame)
    assert_type(tx.commit, lp.Commit | None)
    with lake.branch("draft").transaction() as on_branch:
        on_branch.asset("flights").append(frame)


def writing(flights: lp.Asset, frame: pd.DataFrame) -> None:
    assert_type(flights.append(frame, idempotency_key="run 1"), lp.Commit)
    assert_type(flights.write(frame, "2013-01-05", idempotency_key="run 2"), lp.Commit)
    assert_type(flights["2013-01"].write(frame, idempotency_key="run 3"), lp.Commit)
    commit = flights.write(frame, if_exists="replace", message="all of it", metadata={"run": 7})
    assert_type(commit, lp.Commit)
    assert_type(commit.snapshot, int)
    assert_type((commit.partitions, commit.rows, commit.bytes, commit.files), tuple[int, int, int, int])
    assert_type(flights.write(frame, "2013-01-05", expected=commit), lp.Commit)
    assert_type(flights.write({"2013-01-05": frame}, expected=12), lp.Commit)
    assert_type(flights.append(frame, on_schema_change="widen"), lp.Commit)
    assert_type(flights.append(frame, inputs={"raw": flights["2013-01"]}, code_version="3"), lp.Commit)
    assert_type(flights["2013-01"].write(frame, no_rows="keep"), lp.Commit)


def selecting(flights: lp.Asset) -> None:
    now = datetime(2013, 12, 31, tzinfo=UTC)
    month = flights["2013-01":"2013-03"]
    assert_type(month, lp.Selection)
    assert_type(flights[date(2013, 1, 5)], lp.Selection)
    assert_type(flights[["2013-01-05"]] & month | month - month, lp.Selection)
    assert_type(~month, lp.Selection)
    assert_type(month.split(4), list[lp.Selection])
    assert_type(next(reversed(month)), lp.Selection)
    assert_type(flights.select("2013-01..2013-03"), lp.Selection)
    assert_type(flights.add_keys(["a"], dimension="who"), int)
    assert_type(flights.remove_keys(["a"]), int)
    assert_type(flights.between(now, now), lp.Selection)
    assert_type(flights.last(30, as_of=now), lp.Selection)
    assert_type(flights.latest(), lp.Selection)
    assert_type(flights.older_than(timedelta(days=180), as_of=now), lp.Selection)
    assert_type(flights.missing(as_of=now), lp.Selection)
    assert_type(flights.stale(), lp.Selection)
    assert_type(flights.failed(), lp.Selection)
    assert_type(flights.in_tier("cold"), lp.Selection)
    assert_type(month.keys, list[str])
    assert_type(len(month), int)
    assert_type("2013-01-05" in month, bool)
    assert_type(iter(month), Iterator[lp.Selection])
    assert_type(month.batched(30), Iterator[lp.Selection])


def reading(flights: lp.Asset) -> None:
    late = [("dep_delay", ">", 60)]
    month = flights["2013-01"]
    assert_type(month.to_pandas(["carrier"], late, missing="skip", key_column="day"), pd.DataFrame)
    assert_type(month.to_polars(columns=["carrier"], filter=late), pl.DataFrame)
    assert_type(flights.head(3), pd.DataFrame)
    assert_type(flights.count_rows(missing="skip"), int)
    assert_type(month.to_pandas(offline="skip"), pd.DataFrame)
    assert_type(month.files(availability=True), pd.DataFrame)
    assert_type(str(month.plan_read(filter=late)), str)
    assert_type(month.resolve().keys, tuple[str, ...])


def looking_back(lake: lp.Lake, flights: lp.Asset) -> None:
    assert_type(flights.status(as_of=datetime(2013, 12, 31, tzinfo=UTC)), pd.DataFrame)
    assert_type(flights["2013-01"].history(), pd.DataFrame)
    assert_type(flights["2013-01"].explain(), pd.DataFrame)
    assert_type(lake.snapshots(limit=3), pd.DataFrame)
    assert_type(lake.changes(since=12), pd.DataFrame)
    assert_type(lake.at(12).asset("flights"), lp.Asset)
    assert_type(lake.at("2026-01-31T00:00Z").snapshots(), pd.DataFrame)
    assert_type(flights["2013-01"].rollback(to=12), lp.Commit)
    assert_type(flights["2013-01"].plan_delete([("carrier", "==", "UA")]), lp.DeletePlan)
    assert_type(flights["2013-01"].delete([("carrier", "==", "UA")], missing="skip").rows_matched, int)
    assert_type(flights["2013-01"].plan_backfill(audit=[lp.NoNulls("carrier")]), lp.BackfillPlan)
    assert_type(lake.backfill("tax-fix").resume(audit=[lp.UniqueKey("flight")]), lp.Backfill)
    assert_type(flights["2013-01"].backfill(audit=[lp.InPartition()]), lp.Backfill)
    assert_type(lake.doctor(), list[lp.Diagnosis])
    assert_type(lp.doctor("lake/", read_only=True)[0].severity, str)
    assert_type(flights.plan_upsert(pd.DataFrame(), on=["flight"], on_schema_change="add"), lp.UpsertPlan)
    assert_type(flights["2013-01"].plan_drop(missing="skip"), lp.DropPlan)
    assert_type(flights["2013-01"].drop(message="wrong calendar"), lp.Commit)
    lake.apply(flights.plan_upsert(iter([pd.DataFrame()]), on=["flight"]), data=pd.DataFrame(), message="late")
    assert_type(lake.branch("new-tax").apply(flights["2013-01"].plan_drop()), lp.Commit)
    with lake.transaction() as rows_tx:
        assert_type(rows_tx.apply(rows_tx.asset("flights")["2013-01"].plan_drop()), lp.Commit)
    assert_type(flights.upsert(pd.DataFrame(), on=["flight"], message="late").rows_updated, int)
    assert_type(flights["2013-01"].plan_compact(target_file_size="64 MB", sort_by="carrier"), lp.CompactPlan)
    assert_type(flights["2013-01"].compact(target_file_size=64_000_000, sort_by=["carrier"]), lp.CompactReport)
    assert_type(lake.plan_compact(), lp.CompactPlan)
    assert_type(lake.compact(workers=2, message="nightly", progress=False).skipped, tuple[tuple[str, str, str], ...])
    lake.apply(lake.plan_compact(), workers=2, message="nightly")
    assert_type(flights.alter(sort_by=["carrier"], target_file_size="128 MB"), lp.Commit)
    assert_type(flights.target_file_size, int | None)
    assert_type(flights.sort_by, tuple[str, ...])
    assert_type(lake.tag("q1-report", at=12, message="as sent"), lp.Tag)
    assert_type(lake.get_tag("q1-report").snapshot, int)
    assert_type(lake.tags(), pd.DataFrame)
    assert_type(lake.history(limit=3), pd.DataFrame)
    assert_type(lake.diff("q1-report"), pd.DataFrame)
    assert_type(lake.diff(12, lake.branch("new-tax")), pd.DataFrame)
    assert_type(flights["2013-01"].diff(12, rows=True, on=["flight"]), pd.DataFrame)
    assert_type(lake.at("q1-report").asset("flights"), lp.Asset)
    assert_type(lake.delete_tag("q1-report"), lp.Tag)
    assert_type(flights["2013-01"].mark_stale("wrong source"), int)
    assert_type(lake.rollback(12, message="back"), lp.Commit)
    assert_type(lake.rollback(commit=17, on_conflict="skip"), lp.Commit)
    assert_type(lake.plan_rollback(commit=17), lp.RollbackPlan)
    lake.apply(flights["2013-01"].plan_rollback(to="q1-report"), message="back")


def cutting_otherwise(lake: lp.Lake, flights: lp.Asset) -> None:
    plan = flights.plan_alter(partitions=lp.Daily("2012-01-01", by="time_hour"), complete_after=timedelta(hours=2))
    assert_type(plan, lp.AlterPlan)
    assert_type((plan.appearing, plan.refused), tuple[tuple[str, int], tuple[str, ...]])
    lake.apply(plan)
    assert_type(flights.alter(description="all of them"), lp.Commit)
    assert_type(flights.alter(add={"tip": pa.float64()}, drop=["x"], rename={"a": "b"}, order=["b"]), lp.Commit)
    assert_type(flights.plan_alter(widen={"n": pa.int64()}, nullable=["c"], on_schema_change="error"), lp.AlterPlan)
    assert_type(flights.rename_key("eu", "emea"), lp.Commit)
    rewrite = flights.plan_repartition(lp.Monthly("2012-01-01", by="time_hour"))
    assert_type(rewrite, lp.RepartitionPlan)
    assert_type(rewrite.routes, tuple[tuple[str, str, int], ...])
    assert_type(flights.repartition(lp.Monthly("2012-01-01", by="time_hour")), lp.Commit)


def branches(lake: lp.Lake, frame: pd.DataFrame) -> None:
    with lake.create_branch("new-tax") as branch:
        assert_type(branch, lp.Branch)
        assert_type(branch.asset("flights").write(frame, "2013-01-05"), lp.Commit)
    assert_type(lake.branches(), pd.DataFrame)
    assert_type(lake.branch("new-tax").diff(), pd.DataFrame)
    assert_type(branch.name, str)
    assert_type(branch.plan_publish("drop"), lp.PublishPlan)
    assert_type(branch.refresh(), lp.Branch)
    assert_type(branch.publish(on_conflict="drop", message="new tax"), lp.Commit)

    def positive(selection: lp.Selection) -> list[str]:
        return [] if selection.count_rows() else ["no rows"]

    assert_type(
        branch.publish(
            audit=[lp.RowCountDrift(0.5), lp.NoNulls("a"), lp.UniqueKey("a", "b"), lp.InPartition(), positive]
        ),
        lp.Commit,
    )
    assert_type(lp.AuditResult([lp.AuditFinding("is odd", "2013-01-05")]).measured, Mapping[str, Any])
    assert_type(lp.HasSchema({"a": pa.int64()})(lake.asset("flights")["2013-01"]), lp.AuditResult)
    branch.discard()


@lp.producer("delays", partitions=lp.Daily("2013-01-01"), inputs={"flights": "flights"}, code_version="2")
def delays(part: Any, flights: Any) -> pd.DataFrame:
    return pd.DataFrame({"key": [part.key], "flights": [flights.count_rows()]})


@lp.producer(
    "balance",
    partitions=lp.Daily("2013-01-01"),
    inputs={
        "previous": lp.Input("balance", mapping=lp.TimeOverlap(-1, -1, nonexistent="skip")),
        "flights": "flights",
        "regions": lp.Input("regions", mapping=lp.KeyMap({"2013-01-01": ["eu", "us"]})),
        "paths": lp.Input("paths", mapping=lp.CustomMapping("same", lambda key: [key])),
    },
)
def balance(part: Any, **inputs: Any) -> pd.DataFrame:
    return pd.DataFrame({"key": [part.key]})


def mappings(delays: lp.Asset, flights: lp.Asset) -> None:
    assert_type(delays["2013-01-05"].needs(), dict[str, lp.Selection])
    assert_type(flights["2013-01"].needed_by("delays", as_of=datetime.now(UTC)), lp.Selection)
    mapping: lp.PartitionMapping = lp.TimeOverlap(lookback=6)
    assert_type(mapping.describe(), str)
    assert_type(mapping.to_dict(), dict[str, Any])
    inputs: dict[str, str | lp.Input] = {"flights": lp.Input("flights", mapping=lp.LastPartition())}
    assert_type(delays["2013-01-05"].plan_backfill(balance, inputs=inputs).nonexistent, Mapping[str, str])


def backfills(lake: lp.Lake) -> None:
    assert_type(delays, lp.Producer)
    asset = lake.register(delays)
    assert_type(asset, lp.Asset)
    plan = asset["2013-01"].plan_backfill(which={"missing", "stale"}, publish="together")
    assert_type(plan.order_count, int)
    backfill = asset["2013-01"].backfill(workers=2, batch=7, retries=1, timeout=60.0, on_error="stop", name="january")
    assert_type(backfill, lp.Backfill)
    assert_type(backfill.name, str)
    assert_type(backfill.state, str)
    assert_type(backfill.counts, dict[str, int])
    assert_type(backfill.status(), pd.DataFrame)
    assert_type(backfill.diff(), pd.DataFrame)
    assert_type(backfill.cancel(), lp.Backfill)
    assert_type(lake.backfill("january").resume(workers=2, take_over=True), lp.Backfill)
    assert_type(backfill.rollback(), lp.Commit)
    assert_type(lake.backfills(), pd.DataFrame)


def tiers_and_care(lake: lp.Lake, flights: lp.Asset) -> None:
    policy = lp.TieringPolicy.from_toml("tiering.toml")
    assert_type(policy, lp.TieringPolicy)
    assert_type(lp.TieringPolicy(lp.AgeRule("cold", timedelta(days=60), assets="raw/*")).rules, tuple[lp.AgeRule, ...])
    plan = lake.plan_tiering(policy, as_of=datetime(2013, 12, 31, tzinfo=UTC))
    assert_type(plan.size_bytes, int)
    assert_type(str(lake.apply(plan, workers=4, progress=False)), str)
    lake.apply(plan, max_bandwidth="50 MB", max_requests=100)
    assert_type(flights["2013-01"].demote("cold").partitions, int)
    flights["2013-01"].demote("cold", workers=2, max_bandwidth=50_000_000, max_requests=0.5)
    assert_type(flights["2013-01"].promote().skipped, tuple[tuple[str, str], ...])
    assert_type(flights["2013-01"].plan_restore(days=1, speed="Standard"), lp.RestorePlan)
    assert_type(flights["2013-01"].restore().until, datetime | None)
    assert_type(lake.tier_report(), pd.DataFrame)
    assert_type([finding.kind for finding in lake.check(checksums=True)], list[str])
    assert_type([finding.fixed for finding in lake.check(footers=True, fix=True)], list[bool])
    assert_type(lake.plan_vacuum(retention=timedelta(days=1)).versions, int)
    assert_type(lake.vacuum(grace=timedelta(days=2)).files, int)
    assert_type(lake.vacuum(retention="30d", keep_last=2, grace="1h", force=True, progress=False).bytes, int)
    assert_type(lake.plan_vacuum(keep_last=3).versions_of, Mapping[str, int])
    assert_type(lp.plan_rebuild("lake/", to=3).missing, int | None)
    assert_type(lp.rebuild("lake/", catalog="sqlite:////c.db", replace=True).lost, tuple[tuple[str, str, str], ...])
    assert_type(lp.apply_rebuild("lake/", lp.plan_rebuild("lake/")), lp.RebuildReport)
    lake.close()


def errors(error: lp.LakepartError) -> None:
    assert_type(error.code, lp.ErrorCode)
    assert_type(error.hint, str | None)
    assert_type(error.context, dict[str, Any])
    assert_type(error.retryable, bool)
    as_value_error: type[ValueError] = lp.InvalidInputError
    as_lookup_error: type[LookupError] = lp.NotFoundError
    as_warning: type[UserWarning] = lp.PartialReadWarning
    assert as_value_error
    assert as_lookup_error
    assert as_warning
