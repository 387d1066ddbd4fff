"""Blocks that upsert, delete and drop: they find what the block has written, and are guarded by what was there."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lakepart as lp
from lakepart.catalog.intents import list_intents
from lakepart.testing import copied, frozen_lake, reopened, stray_files

FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"
KEYS = {1: FIRST, 2: SECOND, 3: THIRD}


def frame(*rows):
    """Rows of ``(day, id, v)``."""
    days, ids, values = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "day": pa.array([date(2024, 1, day) for day in days], pa.date32()),
            "id": pa.array(ids, pa.int64()),
            "v": pa.array(values, pa.string()),
        }
    )


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Day 1 in two files; day 2 in one, on a colder tier."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 3, 1, tzinfo=UTC))
    rows = lake.asset("rows", partitions=lp.Daily("2024-01-01", by="day"))
    rows.write(frame((1, 1, "a"), (1, 2, "b"), (2, 1, "d")))
    rows.append(frame((1, 11, "k"), (1, 12, "l")))
    rows[SECOND].demote("cold", progress=False)
    lake.asset("log", partitions=lp.Unpartitioned())
    return lake


@pytest.fixture
def lake(request, template, tmp_path):
    on_server = getattr(request, "param", "sqlite") == "postgresql"
    return copied(template, tmp_path / "lake", catalog=request.getfixturevalue("new_schema")() if on_server else None)


on_both = pytest.mark.parametrize("lake", ["sqlite", "postgresql"], indirect=True)


def held(asset):
    return [(row["day"].day, row["id"], row["v"]) for row in asset.to_arrow().to_pylist()]


def assert_undamaged(lake):
    assert [str(found) for found in lake.check(checksums=True) if found.severity == "damage"] == []
    with lake._home.context.database.reading() as connection:
        assert list_intents(connection) == []


@on_both
def test_changes_of_rows_and_writes_of_several_assets_are_one_snapshot(lake):
    with lake.transaction("correct") as tx:
        rows = tx.asset("rows")
        done = rows.upsert(frame((1, 2, "B"), (2, 1, "D"), (3, 3, "c")), on=["id"])
        gone = rows[FIRST].delete([("id", ">", 10)])
        tx.asset("log").write(pa.table({"said": ["corrected"]}), "all")
        assert held(reopened(lake).asset("rows"))[0:2] == [(1, 1, "a"), (1, 2, "b")]

    assert (done.rows_updated, done.rows_inserted, gone.rows_matched) == (2, 1, 2)
    assert done.snapshot == gone.snapshot == tx.commit.snapshot == 3
    assert held(lake.asset("rows")) == [(1, 1, "a"), (1, 2, "B"), (2, 1, "D"), (3, 3, "c")]
    assert lake.asset("log").count_rows() == 1
    assert held(lake.at(2).asset("rows"))[1:3] == [(1, 2, "b"), (1, 11, "k")]
    assert_undamaged(lake)


days = st.sampled_from([1, 2, 3])
ids = st.sampled_from([1, 2, 3, 11, 12])
some = st.lists(st.tuples(days, ids), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("append"), some),
    st.tuples(st.just("replace"), some),
    st.tuples(st.just("upsert"), st.lists(st.tuples(days, ids), min_size=1, max_size=4, unique=True)),
    st.tuples(st.just("delete"), st.lists(ids, min_size=1, max_size=3)),
    st.tuples(st.just("drop"), days),
)


def act(asset, step, what, stamp):
    """Take one step on an asset."""
    rows = frame(*((*one, stamp) for one in what)) if step in {"append", "replace", "upsert"} else None
    if step == "append":
        asset.append(rows)
    elif step == "replace":
        asset.write(rows, if_exists="replace")
    elif step == "upsert":
        asset.upsert(rows, on=["id"])
    elif step == "delete":
        asset.delete([("id", "in", what)])
    else:
        asset[KEYS[what]].drop(missing="skip")


def model(before, step, what, stamp):
    """Say what a step makes of rows, by day."""
    after = {day: list(rows) for day, rows in before.items()}
    if step == "drop":
        after.pop(what, None)
    elif step == "delete":
        after = {day: [row for row in rows if row[1] not in what] for day, rows in after.items()}
    else:
        for day in sorted({day for day, _ in what}):
            new = [(*one, stamp) for one in what if one[0] == day]
            old = [] if step == "replace" else after.get(day, [])
            keys = {one[1] for one in new} if step == "upsert" else set()
            after[day] = [row for row in old if row[1] not in keys] + new
    return after


@pytest.mark.filterwarnings("ignore::lakepart.PartialReadWarning")
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(st.tuples(st.lists(steps, min_size=1, max_size=5), st.booleans()), min_size=1, max_size=3))
@example(
    history=[([("append", [(1, 3)]), ("upsert", [(1, 3), (1, 1)]), ("upsert", [(1, 3)]), ("delete", [3, 2])], True)]
)
@example(history=[([("drop", 1), ("append", [(1, 1)]), ("upsert", [(1, 1), (1, 2)]), ("drop", 1)], True)])
@example(history=[([("delete", [1, 11]), ("replace", [(1, 5)]), ("delete", [5]), ("upsert", [(1, 1)])], True)])
def test_a_block_shows_and_leaves_what_its_steps_make_of_the_rows(lake, history):
    rows = lake.asset("rows")
    expected = {day: [row for row in held(rows) if row[0] == day] for day in KEYS if KEYS[day] in rows}

    for number, (block, is_kept) in enumerate(history):
        seen = expected
        try:
            with lake.transaction() as tx:
                for at, (step, what) in enumerate(block):
                    act(tx.asset("rows"), step, what, f"{number}.{at}")
                    seen = model(seen, step, what, f"{number}.{at}")
                    assert held(tx.asset("rows")) == [row for _, part in sorted(seen.items()) for row in part]
                    assert tx.asset("rows").count_rows() == sum(map(len, seen.values()))
                    assert tx.asset("rows").keys == [KEYS[day] for day in sorted(seen)]
                if not is_kept:
                    raise InterruptedError
        except InterruptedError:
            pass
        else:
            expected = seen
        assert held(reopened(lake).asset("rows")) == [row for _, part in sorted(expected.items()) for row in part]
        assert rows.count_rows() == sum(map(len, expected.values()))
        assert rows.keys == [KEYS[day] for day in sorted(expected)]

    assert_undamaged(lake)


def test_rows_written_again_in_a_block_stay_on_their_tier_and_nothing_superseded_is_left(lake):
    with lake.transaction() as tx:
        tx.asset("rows").append(frame((2, 2, "e"), (2, 3, "f")))
        tx.asset("rows").delete([("id", "in", [2, 3])])
        tx.asset("rows").upsert(frame((2, 2, "g")), on=["id"])
        tx.asset("rows").append(frame((2, 9, "h")))
        tx.asset("rows").delete([("v", "==", "g")])

    assert held(lake.asset("rows")[SECOND]) == [(2, 1, "d"), (2, 9, "h")]
    assert lake.asset("rows")[SECOND].files()["tier"].tolist() == ["cold", "hot"]
    left = [path for path in stray_files(lake.url) if tx._home.view.transaction.intent_id in str(path)]
    assert left == []


@on_both
def test_the_past_of_a_dropped_partition_stays_and_it_can_be_written_anew(lake):
    rows = lake.asset("rows")
    plan = rows[[FIRST, SECOND]].plan_drop()

    done = lake.apply(plan, message="by mistake")
    with pytest.raises(lp.PartitionNotFoundError, match=FIRST):
        rows[FIRST].drop()
    with pytest.raises(lp.ConflictError, match=SECOND):
        lake.apply(plan)

    assert (done.partitions, done.rows, plan.rows) == (2, 0, 5)
    assert "Drop 2 partitions of rows (2024-01-01, 2024-01-02)" in str(plan)
    assert (rows.keys, lake.at(2).asset("rows").keys) == ([], [FIRST, SECOND])
    assert rows[FIRST].status()["data"].tolist() == ["missing"]
    assert lake.snapshots(1)[["operation", "message"]].values.tolist() == [["drop", "by mistake"]]
    with pytest.warns(lp.PartialReadWarning):
        assert rows[FIRST].drop(missing="skip").snapshot == 3
    rows.upsert(frame((1, 1, "new")), on=["id"])
    rows[SECOND].rollback(to=2)
    assert held(rows) == [(1, 1, "new"), (2, 1, "d")]
    assert_undamaged(lake)


def test_a_partition_dropped_on_a_branch_is_missing_on_main_once_that_is_published(lake):
    branch = lake.create_branch("less")
    branch.apply(branch.asset("rows")[FIRST:].plan_drop())
    with pytest.raises(lp.StateError, match="another branch"):
        lake.apply(branch.asset("rows").plan_upsert(frame((1, 1, "x")), on=["id"]))

    assert (branch.asset("rows").keys, lake.asset("rows").keys) == ([], [FIRST, SECOND])
    branch.publish()
    assert lake.asset("rows").keys == []


CHANGES = {
    "upsert": lambda asset: asset.upsert(frame((1, 2, "B")), on=["id"]),
    "delete": lambda asset: asset.delete([("id", "==", 2)]),
    "drop": lambda asset: asset[FIRST].drop(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("own", ["nothing", "append", "replace"])
def test_a_change_of_rows_loses_to_newer_content_unless_the_block_replaced_what_was_there(lake, change, own):
    def block():
        with lake.transaction() as tx:
            if own != "nothing":
                tx.asset("rows").write(frame((1, 2, "own")), if_exists=own)
            CHANGES[change](tx.asset("rows"))
            reopened(lake).asset("rows").append(frame((1, 99, "theirs")))

    if own == "replace":
        block()
        assert (1, 99, "theirs") not in held(lake.asset("rows"))
    else:
        with pytest.raises(lp.ConflictError, match=FIRST) as caught:
            block()
        assert (caught.value.context["conflicts"][0]["snapshot"], lake.asset("rows").count_rows()) == (3, 6)
    assert_undamaged(lake)


def test_plans_of_a_block_are_carried_out_in_the_block_and_only_as_long_as_they_hold(lake):
    with lake.transaction() as tx:
        rows = tx.asset("rows")
        rows.append(frame((1, 3, "c")))
        plan = rows.plan_delete([("id", "==", 3)])
        upsert = rows.plan_upsert(iter([frame((1, 3, "C"))]), on=["id"])
        with pytest.raises(lp.ConflictError, match="changed after this deletion"):
            lake.apply(plan)
        tx.apply(upsert, data=iter([frame((1, 3, "C"))]))
        with pytest.raises(lp.ConflictError, match="changed after this deletion"):
            tx.apply(plan)
        tx.apply(rows[SECOND].plan_drop())

    assert held(lake.asset("rows")) == [(1, 1, "a"), (1, 2, "b"), (1, 11, "k"), (1, 12, "l"), (1, 3, "C")]


def test_details_of_a_whole_commit_and_new_columns_of_what_was_written_are_refused(lake):
    wider = frame((1, 2, "B")).append_column("x", pa.array([1], pa.int8()))
    with lake.transaction() as tx:
        rows = tx.asset("rows")
        for refused in (
            lambda: rows.upsert(frame((1, 2, "B")), on=["id"], message="why"),
            lambda: rows.delete([("id", "==", 2)], message="why"),
            lambda: rows[FIRST].drop(message="why"),
        ):
            with pytest.raises(lp.InvalidInputError, match="whole commit"):
                refused()
        rows.upsert(wider, on=["id"], on_schema_change="add")
        rows.delete([("x", "==", 1)])
        rows.append(frame((1, 4, "e")), on_schema_change="add")
        with pytest.raises(lp.StateError, match="wrote 'rows' already"):
            rows.upsert(wider.append_column("y", pa.array([1])), on=["id"], on_schema_change="add")

    assert held(lake.asset("rows")[FIRST]) == [(1, 1, "a"), (1, 11, "k"), (1, 12, "l"), (1, 4, "e")]
    assert lake.asset("rows").schema.names == ["day", "id", "v", "x"]
    assert_undamaged(lake)


def test_rows_changed_in_a_block_keep_the_columns_that_somebody_adds_meanwhile(lake):
    with lake.transaction() as tx:
        tx.asset("rows").delete([("id", "==", 2)])
        reopened(lake).asset("rows").alter(add={"x": pa.int8()})

    assert lake.asset("rows")[FIRST].to_arrow()["x"].null_count == 3
    assert_undamaged(lake)


def test_what_the_block_has_dropped_may_be_written_and_is_still_guarded(tmp_path) -> None:
    lake = lp.create(tmp_path / "lake")
    asset = lake.asset("shops", partitions=lp.Static(["a", "b"], by="shop"))
    asset.write(pa.table({"shop": ["a", "b"], "x": [1, 2]}))

    with lake.transaction("move in again") as tx:
        tx.asset("shops")["a"].drop()
        tx.asset("shops").write(pa.table({"shop": ["a"], "x": [10]}))
    assert asset.to_arrow()["x"].to_pylist() == [10, 2]

    with pytest.raises(lp.ConflictError), lake.transaction("too late") as tx:  # noqa: PT012 - the block is the point
        tx.asset("shops")["a"].drop()
        tx.asset("shops").write(pa.table({"shop": ["a"], "x": [11]}))
        asset.write(pa.table({"shop": ["a"], "x": [99]}), "a")
    assert asset.to_arrow()["x"].to_pylist() == [99, 2]
