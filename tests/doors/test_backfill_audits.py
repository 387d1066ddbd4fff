"""Backfills that are audited: what a check finds is not published, named, and computed anew when it is resumed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, reopened, stray_files

FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"
NULLS = lp.NoNulls("x")


def frame(*pairs: tuple[int, int | None]) -> pa.Table:
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def sound(part) -> pa.Table:
    return frame(*((int(key[-2:]), 1) for key in part.keys))


def holey(part) -> pa.Table:
    """Give a null on the second day."""
    return frame(*((int(key[-2:]), None if key == SECOND else 1) for key in part.keys))


def not_the_third(selection: lp.Selection) -> list[str]:
    return [f"{key} is unlucky" for key in selection.keys if key == THIRD]


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """``old`` has its first three days, of four rows each; ``new`` has nothing, and no columns yet."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 1, 10, tzinfo=UTC))
    days = lp.Daily("2024-01-01", by="day")
    lake.asset("old", partitions=days).write(frame(*((day, 0) for day in (1, 2, 3) for _ in range(4))))
    lake.asset("new", partitions=days)
    return lake


@pytest.fixture
def lake(template, tmp_path) -> lp.Lake:
    return copied(template, tmp_path / "lake")


def states(lake: lp.Lake, name: str) -> list[str]:
    return lake.backfill(name).status()["state"].tolist()


def assert_sound(lake: lp.Lake) -> None:
    assert [str(found) for found in lake.check(checksums=True)] == []
    assert stray_files(lake) == set()


def test_an_order_that_fails_an_audit_is_not_committed_and_the_others_are_recorded_with_theirs(lake) -> None:
    seen = {}

    def look(selection: lp.Selection) -> None:
        seen[selection.keys[0]] = selection.to_arrow()["x"].to_pylist(), lake.asset("new").keys

    with pytest.raises(
        lp.BackfillError, match=r"NoNulls\(columns=\('x',\)\) of 'new': '2024-01-02' has 1 null"
    ) as caught:
        lake.asset("new")[FIRST:THIRD].backfill(holey, name="holes", audit=[NULLS, look], progress=False)

    assert states(lake, "holes") == ["done", "failed", "done"]
    assert caught.value.backfill.status()["attempts"].tolist() == [1, 1, 1]  # the same again would give the same
    assert seen[FIRST] == ([1], [])
    assert seen[SECOND][0] == [None]
    assert lake.asset("new").keys == [FIRST, THIRD]
    recorded = [one for metadata in lake.snapshots()["metadata"] for one in metadata.get("audits", ())]
    assert sorted((one["name"], one["partitions"], one["outcome"]) for one in recorded) == [
        ("NoNulls(columns=('x',))", FIRST, "passed"),
        ("NoNulls(columns=('x',))", THIRD, "passed"),
        ("look", FIRST, "passed"),
        ("look", THIRD, "passed"),
    ]
    assert_sound(lake)

    lake.backfill("holes").resume(sound, audit=[NULLS, look], progress=False)
    assert lake.asset("new").count_rows() == 3


def test_an_audit_of_orders_compares_with_what_is_there(lake) -> None:
    with pytest.raises(lp.BackfillError, match="had 4 rows and would have 1"):
        lake.asset("old")[FIRST:SECOND].backfill(
            sound, which="all", publish="each", audit=[lp.RowCountDrift(0.5)], progress=False
        )

    assert lake.asset("old").count_rows() == 12
    assert_sound(lake)


def test_what_is_published_together_is_audited_whole_and_only_what_failed_is_computed_anew(lake) -> None:
    old, computed = lake.asset("old"), []

    def computing(part) -> pa.Table:
        computed.append(part.key)
        return holey(part)

    with pytest.raises(lp.BackfillError, match=r"1 partition of backfill 'all' failed: 2024-01-02.*has 1 null"):
        old[FIRST:THIRD].backfill(computing, which="all", name="all", audit=[NULLS, lp.InPartition()], progress=False)

    assert states(lake, "all") == ["staged", "failed", "staged"]
    assert (lake.backfill("all").state, old.count_rows()) == ("failed", 12)

    resumed = reopened(lake)
    resumed.backfill("all").resume(sound, progress=False)  # the audits are found by name

    assert computed == [FIRST, SECOND, THIRD]
    assert old.to_arrow()["x"].to_pylist() == [1, 1, 1]
    metadata = lake.snapshots(1)["metadata"].item()
    assert [(one["name"], one["partitions"]) for one in metadata["audits"]] == [
        ("NoNulls(columns=('x',))", f"{FIRST}..{THIRD}"),
        ("InPartition()", f"{FIRST}..{THIRD}"),
    ]
    assert_sound(lake)


def test_all_that_was_staged_fails_where_an_audit_names_no_partition(lake) -> None:
    with pytest.raises(lp.BackfillError, match="2024-01-03 is unlucky"):
        lake.asset("old")[FIRST:THIRD].backfill(sound, which="all", name="all", audit=[not_the_third], progress=False)

    assert states(lake, "all") == ["failed"] * 3
    assert lake.asset("old").count_rows() == 12


def test_what_fails_an_audit_does_not_come_onto_the_branch(lake) -> None:
    with pytest.raises(lp.BackfillError, match="unlucky"):
        lake.asset("new")[FIRST:THIRD].backfill(
            sound, publish="branch:trial", audit=[not_the_third], batch=2, progress=False
        )

    branch = lake.branch("trial")
    assert (branch.asset("new").keys, lake.asset("new").keys) == ([FIRST, SECOND], [])
    assert [one["name"] for one in branch.snapshots(1)["metadata"].item()["audits"]] == ["not_the_third"]


def test_a_plan_names_its_audits_and_runs_them_when_it_is_applied(lake) -> None:
    plan = lake.asset("new")[FIRST:SECOND].plan_backfill(holey, name="planned", audit=[NULLS, not_the_third])

    assert "audited before they are published: NoNulls(columns=('x',)), not_the_third" in str(plan)
    assert [one["name"] for one in json.loads(json.dumps(plan.to_dict()))["audits"]] == [
        "NoNulls(columns=('x',))",
        "not_the_third",
    ]
    with pytest.raises(lp.BackfillError, match="has 1 null"):
        lake.apply(plan, fn=holey, progress=False)
    assert lake.asset("new").keys == [FIRST]


def test_audits_are_callables_and_are_not_left_out_when_a_backfill_is_resumed(lake) -> None:
    new = lake.asset("new")
    with pytest.raises(lp.InvalidInputError, match="no audit"):
        new[FIRST].plan_backfill(sound, audit=["x"])
    with pytest.raises(lp.InvalidInputError, match="no audit"):
        new[FIRST].plan_backfill(sound, audit=[lp.NoNulls])
    with pytest.raises(lp.BackfillError, match="ValueError: because"):
        new[FIRST].backfill(sound, name="local", audit=[NULLS, lambda selection: [][1:] or fail()], progress=False)

    backfill = reopened(lake).backfill("local")
    with pytest.raises(lp.StateError, match=r"cannot be imported: <lambda>"):
        backfill.resume(sound, progress=False)
    with pytest.raises(lp.InvalidInputError, match="planned with other audits"):
        backfill.resume(sound, audit=[NULLS], progress=False)
    assert backfill.state == "failed"
    backfill.resume(sound, audit=[NULLS, lambda selection: None], progress=False)
    assert new.keys == [FIRST]


def fail() -> None:
    raise ValueError("because")


def test_an_audit_can_change_nothing(lake) -> None:
    def meddle(selection: lp.Selection) -> None:
        selection.write(frame((1, 7)))

    with pytest.raises(lp.BackfillError, match="read-only"):
        lake.asset("new")[FIRST].backfill(sound, audit=[meddle], progress=False)

    assert lake.asset("new").keys == []


def test_what_somebody_writes_while_the_whole_is_audited_is_not_published(lake) -> None:
    def audit_and_be_overtaken(selection: lp.Selection) -> list[str]:
        staging = next(name for name in lake.branches()["name"] if name.startswith("backfill-"))
        lake.branch(staging).asset("old").write(frame((1, -1)), FIRST)
        return []

    with pytest.raises(lp.ConflictError, match="written to"):
        lake.asset("old")[FIRST].backfill(
            sound, which="all", publish="together", audit=[audit_and_be_overtaken], progress=False
        )

    assert lake.asset("old")[FIRST].to_arrow()["x"].to_pylist() == [0, 0, 0, 0]
