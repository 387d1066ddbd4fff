"""Audits: what is about to be published is checked first; what fails leaves main and the branch as they were."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake

FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"


def frame(*rows: tuple[int, str | None, int]) -> pa.Table:
    return pa.table(
        {
            "day": pa.array([date(2024, 1, day) for day, _, _ in rows], pa.date32()),
            "sku": pa.array([sku for _, sku, _ in rows], pa.string()),
            "x": pa.array([x for _, _, x in rows], pa.int64()),
        }
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """Two days of four rows each, and a branch that rewrote the first with five and added the third."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 1, 10, tzinfo=UTC))
    days = lake.asset("days", partitions=lp.Daily("2024-01-01", by="day"))
    days.write(frame(*((day, sku, 1) for day in (1, 2) for sku in "abcd")))
    draft = lake.create_branch("draft").asset("days")
    draft.write(frame(*((1, sku, 2) for sku in "abcde"), (3, "a", 1)), if_exists="replace")
    return lake


@pytest.fixture
def lake(template, tmp_path) -> lp.Lake:
    return copied(template, tmp_path / "lake")


@pytest.fixture
def branch(lake) -> lp.Branch:
    return lake.branch("draft")


ALL = [
    lp.RowCountDrift(0.5),
    lp.NoNulls("sku", "x"),
    lp.UniqueKey("sku"),
    lp.InPartition(),
    lp.HasSchema({"sku": pa.string()}),
]


def test_audits_that_pass_are_recorded_with_the_commit(lake, branch) -> None:
    seen = []

    def look(selection: lp.Selection) -> None:
        seen.append((selection.keys, selection.to_arrow()["x"].to_pylist()))

    branch.publish(audit=[*ALL, look])

    assert seen == [([FIRST, THIRD], [2, 2, 2, 2, 2, 1])]
    recorded = lake.snapshots()["metadata"][0]["audits"]
    assert [(one["name"], one["outcome"], one["measured"]) for one in recorded] == [
        ("RowCountDrift(most=0.5)", "passed", {"largest_drift": 0.25}),
        ("NoNulls(columns=('sku', 'x'))", "passed", {"nulls": 0}),
        ("UniqueKey(columns=('sku',))", "passed", {"duplicates": 0}),
        ("InPartition()", "passed", {"checked": 6}),
        (recorded[4]["name"], "passed", {"columns": 3}),
        ("look", "passed", {}),
    ]
    assert {one["asset"] for one in recorded} == {"days"}


@pytest.mark.parametrize(
    ("rows", "audit", "match"),
    [
        (frame((2, "a", 1)), lp.RowCountDrift(), "'2024-01-02' had 4 rows and would have 1"),
        (frame((2, None, 1), (2, "a", 1)), lp.NoNulls("sku"), "'2024-01-02' has 1 null in 'sku'"),
        (frame((2, "a", 1), (2, "a", 2), (2, "b", 1)), lp.UniqueKey("sku"), "'2024-01-02' has 1 row with sku of an"),
        (frame((2, "a", 1)), lp.HasSchema(pa.schema({"x": pa.int32(), "y": pa.string()})), "column 'x' is int64"),
        (frame((2, "a", 1)), lp.NoNulls("skv"), "InvalidInputError: .*'skv'"),
    ],
    ids=lambda value: repr(value) if callable(value) else "",
)
def test_a_failed_audit_names_partitions_and_publishes_nothing(lake, branch, rows, audit, match) -> None:
    branch.asset("days").write(rows, SECOND)
    before = lake.asset("days").to_arrow()

    with pytest.raises(lp.AuditError, match=match) as caught:
        branch.publish(audit=[lp.InPartition(), audit])

    assert caught.value.code == "audit-failed"
    assert [one["outcome"] for one in caught.value.context["audits"]] == ["passed", "failed"]
    assert lake.asset("days").to_arrow().equals(before)
    assert lake.branches()["name"].tolist() == ["draft"]
    branch.publish()


@pytest.mark.parametrize(
    "fail", [lambda sel: ["is odd"], lambda sel: [lp.AuditFinding("is odd", SECOND)], lambda sel: 1 / 0], ids="abc"
)
def test_a_callable_fails_by_returning_something_or_by_raising(lake, branch, fail) -> None:
    with pytest.raises(lp.AuditError, match=r"is odd|ZeroDivisionError: division by zero"):
        branch.publish(audit=[fail])

    assert lake.branches()["name"].tolist() == ["draft"]


def test_all_that_fails_is_named_at_once(branch) -> None:
    with pytest.raises(lp.AuditError, match=r"fails 2 audits: .*one; .*two") as caught:
        branch.publish(audit=[lambda sel: ["one"], lambda sel: [lp.AuditFinding("two", FIRST)]])

    assert caught.value.context["keys"] == [FIRST]


def test_only_what_is_published_is_audited(lake, branch) -> None:
    lake.asset("days").write(frame((1, "z", 9)), FIRST)
    branch.asset("days")[SECOND].rollback(to=0)
    seen = []

    branch.publish(on_conflict="theirs", audit=[lambda sel: seen.append(sel.keys)])

    assert seen == [[THIRD]]


def test_a_write_during_the_audit_is_not_published_unseen(lake, branch) -> None:
    def write(selection: lp.Selection) -> None:
        branch.asset("days").write(frame((2, None, 0)), SECOND)

    with pytest.raises(lp.ConflictError, match="written to after"):
        branch.publish(audit=[write])

    assert lake.asset("days")[SECOND].count_rows() == 4


def test_rows_of_other_partitions_are_found(lake) -> None:
    days = lake.asset("days")
    for key, day in ((FIRST, 2), (SECOND, 30)):
        (path,) = days[key].files()["path"]
        written = pq.read_table(path)
        elsewhere = pa.array([date(2024, 1, day)] * written.num_rows, pa.date32())
        pq.write_table(written.set_column(0, written.schema.field("day"), elsewhere), path)

    result = lp.InPartition()(days[FIRST:SECOND])

    assert [(one.key, one.text) for one in result.findings] == [
        (FIRST, "has rows of other partitions"),
        (SECOND, "has rows of other partitions"),
    ]
    assert result.measured == {"checked": 8}


def test_of_an_asset_without_such_columns_nothing_can_be_said_of_its_rows(lake) -> None:
    keyed = lake.asset("keyed", partitions=lp.Daily("2024-01-01"))
    keyed.write({FIRST: frame((2, "a", 1))})

    assert lp.InPartition()(keyed[FIRST]) == lp.AuditResult((), {"checked": 0})


def test_an_audit_of_columns_needs_their_names() -> None:
    for make in (lp.NoNulls, lp.UniqueKey):
        with pytest.raises(lp.InvalidInputError, match="needs their names"):
            make()
