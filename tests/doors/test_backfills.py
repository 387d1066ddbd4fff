"""Backfills: what is computed, how it is published, what producers may do, and how a campaign goes on or back."""

from __future__ import annotations

import json
import pickle
import sqlite3
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog import campaigns
from lakepart.engine.backfill import start_backfill
from lakepart.selection import selection_of
from lakepart.testing import copied, frozen_lake, query_catalog, reopened, stray_files

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD, FOURTH = (f"2024-01-0{day}" for day in range(1, 5))
BOUNDED = slice(FIRST, FOURTH)


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def giving(x: int):
    """Make a producer that gives every partition of its part one row with ``x``."""
    return lambda part: frame(*((int(key[-2:]), x) for key in part.keys))


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """``numbers`` of four days; ``tens``, ten times that, computed for the first two of them."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    lake.asset("numbers", partitions=DAYS).write(frame((1, 1), (2, 2), (3, 3), (4, 4)))
    lake.register(tens)
    lake.asset("tens")[FIRST:SECOND].backfill(name="first", progress=False)
    return lake


@lp.producer("tens", partitions=DAYS, inputs={"numbers": "numbers"}, code_version="1")
def tens(part, numbers) -> pa.Table:
    return times_ten(numbers)


def times_ten(numbers) -> pa.Table:
    table = numbers.to_arrow()
    return table.set_column(1, "x", pa.array([10 * x for x in table["x"].to_pylist()], pa.int64()))


@pytest.fixture
def lake(template, place) -> lp.Lake:
    lake = copied(template, place.url, catalog=place.catalog)
    lake.register(tens)
    return lake


@pytest.fixture
def days(lake) -> lp.Asset:
    """An asset without a producer."""
    return lake.asset("days", partitions=DAYS)


def rows_of(asset: lp.Asset) -> dict[int, int]:
    table = asset.to_arrow()
    if not table.num_rows:
        return {}
    return {day.day: x for day, x in zip(table["day"].to_pylist(), table["x"].to_pylist(), strict=True)}


def states_of(handle: lp.Backfill) -> dict[str, str]:
    status = handle.status()
    return dict(zip(status["key"], status["state"], strict=True))


def operations(lake: lp.Lake) -> list[str]:
    return lake.snapshots()["operation"].tolist()


# Planning


def test_a_plan_changes_nothing_and_says_what_why_and_how(lake) -> None:
    before = query_catalog(lake, "SELECT count(*) FROM backfill UNION ALL SELECT snapshot FROM head")

    plan = lake.asset("tens")[BOUNDED].plan_backfill(name="rest", batch=2)

    assert [(target.key, target.reason, target.expected) for target in plan.targets] == [
        (THIRD, "missing", None),
        (FOURTH, "missing", None),
    ]
    assert (plan.order_count, plan.publish, plan.code_version, plan.snapshot) == (1, "each", "1", 3)
    assert (plan.estimated_rows, plan.estimated_bytes) == (2, 2 * lake.asset("tens").status()["bytes"][0])
    assert "2 partitions of tens in 1 order" in str(plan)
    assert json.loads(json.dumps(plan.to_dict()))["inputs"]["numbers"]["mapping"]["kind"] == "identity"
    assert query_catalog(lake, "SELECT count(*) FROM backfill UNION ALL SELECT snapshot FROM head") == before


def test_applying_a_plan_computes_exactly_what_it_says(lake) -> None:
    asset = lake.asset("tens")
    plan = asset[BOUNDED].plan_backfill()
    lake.asset("tens").write(frame((1, -1)), FIRST)

    handle = lake.apply(plan, progress=False)

    assert isinstance(handle, lp.Backfill)
    assert rows_of(asset) == {1: -1, 2: 20, 3: 30, 4: 40}


def test_an_open_end_reaches_to_what_has_elapsed(lake) -> None:
    asset = lake.asset("tens")

    assert [target.key[-2:] for target in asset[THIRD:].plan_backfill().targets] == [f"0{day}" for day in range(3, 10)]
    as_of = datetime(2024, 1, 5, tzinfo=UTC)
    assert [target.key for target in asset.plan_backfill(as_of=as_of).targets] == [THIRD, FOURTH]
    assert [target.key for target in asset["2024-01-20"].plan_backfill().targets] == ["2024-01-20"]


@pytest.mark.parametrize(
    ("which", "keys"),
    [
        (None, [SECOND, THIRD, FOURTH]),
        ("all", [FIRST, SECOND, THIRD, FOURTH]),
        ("missing", [THIRD, FOURTH]),
        ("stale", [SECOND]),
        ({"failed"}, []),
    ],
    ids=str,
)
def test_the_states_asked_for_are_computed(lake, which, keys) -> None:
    lake.asset("numbers").write(frame((2, 22)), SECOND)

    handle = lake.asset("tens")[BOUNDED].backfill(which=which, progress=False)

    assert handle.status()["key"].tolist() == keys
    assert handle.state == "completed"
    made = {1: 10, 2: 20} | {int(key[-2:]): {FIRST: 10, SECOND: 220, THIRD: 30, FOURTH: 40}[key] for key in keys}
    assert rows_of(lake.asset("tens")) == made


def test_a_backfill_of_nothing_is_completed_and_commits_nothing(lake) -> None:
    before = operations(lake)

    handle = lake.asset("tens")[FIRST:SECOND].backfill(progress=False, publish="together")

    assert (handle.state, handle.counts, handle.status().empty) == ("completed", {}, True)
    assert operations(lake) == before
    assert lake.branches().empty


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"which": "fresh"}, "which="),
        ({"batch": 0}, "batch=0"),
        ({"publish": "never"}, "publish="),
        ({"publish": "branch:a/../b"}, "a/../b"),
        ({"on_error": "ignore"}, "on_error="),
        ({"retries": -1}, "retries=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"workers": 0}, "workers=0"),
    ],
    ids=str,
)
def test_options_outside_their_rule_are_refused_and_record_nothing(lake, options, message) -> None:
    with pytest.raises(lp.InvalidInputError, match=message):
        lake.asset("tens")[BOUNDED].backfill(progress=False, **options)

    assert lake.backfills()["name"].tolist() == ["first"]
    assert lake.branches().empty


@pytest.mark.in_a_folder
def test_without_a_producer_nothing_can_be_computed(lake, days) -> None:
    with pytest.raises(lp.StateError, match="no producer"):
        days[FIRST].backfill(progress=False)
    lake.register(lp.producer("days")(giving(1)))
    with pytest.raises(lp.StateError, match="not at hand"):
        reopened(lake).asset("days")[THIRD].backfill(progress=False)
    with pytest.raises(lp.AssetNotFoundError, match="did you mean 'numbers'"):
        days[FIRST].backfill(giving(1), inputs={"numbers": "number"}, progress=False)


def test_a_producer_that_can_be_imported_is_found_by_any_process(lake, tmp_path, monkeypatch) -> None:
    (tmp_path / "pipeline_of_days.py").write_text(
        "import datetime, pyarrow as pa, lakepart as lp\n"
        "@lp.producer('days', partitions=lp.Daily('2024-01-01', by='day'))\n"
        "def days(part):\n"
        "    return pa.table({'day': [part.start.date()], 'x': [5]})\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    import pipeline_of_days

    lake.register(pipeline_of_days.days)

    reopened(lake).asset("days")[FIRST].backfill(progress=False)

    assert rows_of(lake.asset("days")) == {1: 5}
    del sys.modules["pipeline_of_days"]


def test_a_handle_of_the_past_or_for_reading_only_computes_nothing(lake) -> None:
    reader = lp.connect(lake.url, read_only=True)

    for view in (lake.at(2), reader):
        with pytest.raises(lp.StateError, match="read-only"):
            view.asset("tens")[THIRD].backfill(giving(1), progress=False)

    reader.close()


# Publication


def test_each_result_is_published_as_it_comes(lake, days) -> None:
    published = []

    def looking(part):
        other = reopened(lake).asset("days")
        deadline = time.monotonic() + 30
        while part.key == THIRD and len(published) < 2 and time.monotonic() < deadline:
            published[:] = other.keys
        return giving(7)(part)

    days[FIRST:THIRD].backfill(looking, publish="each", progress=False)

    assert published == [FIRST, SECOND]
    assert rows_of(days) == {1: 7, 2: 7, 3: 7}


def test_what_replaces_published_content_appears_together_by_default(lake) -> None:
    seen = []

    def looking(part, numbers):
        seen.append(rows_of(reopened(lake).asset("tens")))
        return times_ten(numbers).slice(0, 0)

    handle = lake.asset("tens")[BOUNDED].backfill(
        looking, inputs={"numbers": "numbers"}, which="all", name="gone", progress=False
    )

    assert seen == [{1: 10, 2: 20}] * 4
    assert rows_of(lake.asset("tens")) == {}
    assert lake.asset("tens").keys == [FIRST, SECOND, THIRD, FOURTH]
    assert (handle.state, set(states_of(handle).values())) == ("completed", {"done"})
    assert lake.branches().empty
    snapshots = lake.snapshots()
    assert snapshots["operation"][0] == "backfill"
    assert (snapshots["partitions"][0], snapshots["metadata"][0]) == (4, {"backfill": "gone"})


def test_results_on_a_branch_wait_there_for_publication(lake) -> None:
    asset = lake.asset("tens")

    handle = asset[BOUNDED].backfill(publish="branch:draft", progress=False)

    assert handle.state == "completed"
    assert rows_of(asset) == {1: 10, 2: 20}
    branch = lake.branch("draft")
    assert rows_of(branch.asset("tens")) == {1: 10, 2: 20, 3: 30, 4: 40}
    assert handle.diff()[["key", "change"]].values.tolist() == [[THIRD, "added"], [FOURTH, "added"]]
    with pytest.raises(lp.StateError, match="published nothing here"):
        handle.rollback()

    branch.publish()

    assert rows_of(asset) == {1: 10, 2: 20, 3: 30, 4: 40}
    assert asset.status()["state"].tolist()[:4] == ["fresh"] * 4


def test_a_branch_can_take_the_results_of_several_backfills(lake, days) -> None:
    days.write(frame((1, 0)))

    days[FIRST:SECOND].backfill(giving(1), which="all", publish="branch:draft", progress=False)
    days[FIRST:THIRD].backfill(giving(2), which="all", publish="branch:draft", progress=False)

    assert rows_of(lake.branch("draft").asset("days")) == {1: 2, 2: 2, 3: 2}
    lake.branch("draft").publish()
    assert rows_of(days) == {1: 2, 2: 2, 3: 2}


def test_a_backfill_within_a_branch_stays_there(lake) -> None:
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame((3, 333)), THIRD)

    branch.asset("tens")[THIRD].backfill(progress=False)

    assert rows_of(branch.asset("tens")) == {1: 10, 2: 20, 3: 3330}
    assert rows_of(lake.asset("tens")) == {1: 10, 2: 20}
    with pytest.raises(lp.InvalidInputError, match="branch of that branch"):
        branch.asset("tens")[FOURTH].backfill(publish="together", progress=False)


@pytest.mark.parametrize("publish", ["each", "together", "branch:draft"])
def test_a_name_is_used_once_and_a_second_use_leaves_no_branch(lake, days, publish) -> None:
    with pytest.raises(lp.AlreadyExistsError, match="'first' already"):
        days[FIRST].backfill(giving(1), name="first", publish=publish, progress=False)

    assert lake.branches().empty
    assert lake.backfills()["name"].tolist() == ["first"]


@pytest.mark.in_a_folder
def test_a_name_that_no_branch_can_have_is_refused_before_anything_is_computed(lake, days) -> None:
    for publish in ("each", "together"):
        with pytest.raises(lp.InvalidInputError, match="cannot be a branch name"):
            days[FIRST].backfill(giving(1), name="a b/../c", publish=publish, progress=False)

    assert lake.branches().empty
    assert days.keys == []


# What producers may do


@pytest.mark.in_a_folder
def test_producers_are_told_what_to_make(days) -> None:
    parts = []

    def noting(part):
        parts.append(part)
        return giving(1)(part)

    days[FIRST:THIRD].backfill(noting, batch=2, progress=False)

    two, one = parts
    assert (two.keys, one.key) == ((FIRST, SECOND), THIRD)
    assert (two.start, two.end) == (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC))
    assert [window.start.day for window in two.windows] == [1, 2]
    assert repr(one) == f"<part {THIRD}>"
    with pytest.raises(lp.InvalidInputError, match="2 partitions, not one"):
        two.key  # noqa: B018


RESULTS = {
    "a table": giving(7),
    "a pandas frame": lambda part: giving(7)(part).to_pandas(),
    "a generator of frames": lambda part: iter(giving(7)(part).to_batches(max_chunksize=1)),
    "a frame per key": lambda part: {key: frame((int(key[-2:]), 7)) for key in part.keys},
    "pairs": lambda part: ((key, frame((int(key[-2:]), 7))) for key in part.keys),
    "pairs in another order": lambda part: ((key, frame((int(key[-2:]), 7))) for key in reversed(part.keys)),
}


@pytest.mark.in_a_folder
@pytest.mark.parametrize("kind", RESULTS)
def test_producers_may_give_rows_in_any_form(days, kind) -> None:
    days[FIRST:THIRD].backfill(RESULTS[kind], batch=2, progress=False)

    assert rows_of(days) == {1: 7, 2: 7, 3: 7}


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    "give",
    [
        lambda part: giving(7)(part).slice(0, len(part.keys) - 1),
        lambda part: {key: frame((int(key[-2:]), 7)) for key in part.keys[:-1]},
        lambda part: {key: frame((int(key[-2:]), 7)).slice(0, int(key == part.keys[0])) for key in part.keys},
    ],
    ids=["fewer rows", "a key is left out", "an empty frame"],
)
def test_a_partition_that_gets_no_rows_is_known_to_be_empty(days, give) -> None:
    days[FIRST:SECOND].backfill(give, batch=2, progress=False)

    assert rows_of(days) == {1: 7}
    assert days.status()["state"].tolist()[:3] == ["fresh", "empty", "missing"]


def nothing(part):
    return None


def foreign_rows(part):
    return frame((9, 9))


def an_extra_key(part):
    return {part.key: giving(1)(part), "2024-01-09": frame((9, 9))}


def a_foreign_pair(part):
    yield part.key, giving(1)(part)
    yield "2024-01-09", frame((9, 9))


def no_frame(part):
    return 42


def other_columns(part):
    return pa.table({"day": giving(1)(part)["day"], "y": [1]})


def raising(part):
    raise RuntimeError("out of luck")


def exiting(part):
    sys.exit(3)


def raising_half_way(part):
    yield giving(1)(part)
    raise ZeroDivisionError("half way")


@pytest.mark.parametrize(
    ("function", "error", "attempts"),
    [
        (nothing, "returned nothing for 2024-01-02", 2),
        (raising, "RuntimeError: out of luck", 2),
        (exiting, "SystemExit: 3", 2),
        (raising_half_way, "ZeroDivisionError: half way", 2),
        (foreign_rows, "PartitionKeyError: .*'2024-01-09'", 1),
        (an_extra_key, "PartitionKeyError: .*'2024-01-09'", 1),
        (a_foreign_pair, "PartitionKeyError: .*'2024-01-09'", 1),
        (no_frame, "InvalidInputError: .*int holds no rows", 1),
        (other_columns, "SchemaMismatchError: .*'x'", 1),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_producer_that_fails_is_told_of_and_harms_no_other_partition(lake, days, function, error, attempts) -> None:
    days.write(frame((4, 4)))

    with pytest.raises(lp.BackfillError, match=f"(?s)1 partition .*{SECOND}.*{error}") as caught:
        days[FIRST:THIRD].backfill(
            lambda part: function(part) if part.key == SECOND else giving(1)(part), retries=1, progress=False
        )

    handle = caught.value.backfill
    assert states_of(handle) == {FIRST: "done", SECOND: "failed", THIRD: "done"}
    failed = handle.status().query("state == 'failed'").iloc[0]
    assert failed["attempts"] == attempts
    assert pd.Series([failed["error"]]).str.contains(error.split(": ")[-1].replace(".*", "")).all()
    assert handle.state == "failed"
    assert caught.value.context["failed"] == [SECOND]
    assert rows_of(days) == {1: 1, 3: 1, 4: 4}
    assert days.failed().keys == [SECOND]
    assert stray_files(lake) == set()
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]


@pytest.mark.in_a_folder
def test_an_order_may_fail_with_words_that_no_catalog_can_keep(days) -> None:
    def odd(part):
        if part.key == FIRST:
            raise RuntimeError("a\ud800b\0c")
        return giving(1)(part)

    with pytest.raises(lp.BackfillError, match=r"a\\ud800b\\x00c") as caught:
        days[FIRST:SECOND].backfill(odd, retries=0, progress=False)

    assert states_of(caught.value.backfill) == {FIRST: "failed", SECOND: "done"}


def test_an_order_that_fails_is_tried_again_and_every_attempt_is_recorded(lake, days) -> None:
    calls = []

    def unlucky(part):
        calls.append(part.key)
        if len(calls) < 3:
            raise ConnectionError(f"attempt {len(calls)}")
        return giving(1)(part)

    handle = days[FIRST].backfill(unlucky, retries=2, progress=False)

    assert (handle.state, handle.status()["attempts"].tolist(), calls) == ("completed", [3], [FIRST] * 3)
    recorded = query_catalog(
        lake,
        "SELECT number, backfill_attempt.state, error_type FROM backfill_attempt JOIN backfill USING (backfill_id) "
        f"WHERE name = '{handle.name}' ORDER BY number",
    )
    assert recorded == [(1, "failed", "ConnectionError"), (2, "failed", "ConnectionError"), (3, "done", None)]
    assert handle.status()["error"].tolist() == [None]


@pytest.mark.in_a_folder
@pytest.mark.parametrize("retries", [0, 1])
def test_an_order_is_tried_once_more_than_its_retries(days, retries) -> None:
    calls = []

    def failing(part):
        calls.append(part.key)
        raise RuntimeError("no")

    with pytest.raises(lp.BackfillError):
        days[FIRST].backfill(failing, retries=retries, progress=False)

    assert len(calls) == retries + 1


@pytest.mark.in_a_folder
def test_a_producer_that_hangs_is_given_up_and_what_it_gives_later_is_ignored(lake, days) -> None:
    released, ended = threading.Event(), threading.Event()

    def hanging(part):
        if part.key == SECOND:
            released.wait(30)
            ended.set()
        return giving(1)(part)

    with pytest.raises(lp.BackfillError, match=r"order-timeout: no result within 0\.2 s") as caught:
        days[FIRST:THIRD].backfill(hanging, retries=0, timeout=0.2, progress=False)
    released.set()
    assert ended.wait(30)

    assert states_of(caught.value.backfill) == {FIRST: "done", SECOND: "failed", THIRD: "done"}
    assert rows_of(days) == {1: 1, 3: 1}
    for thread in threading.enumerate():
        if thread.name == "lakepart-worker":
            thread.join(5)
    assert rows_of(days) == {1: 1, 3: 1}


@pytest.mark.in_a_folder
def test_time_spent_waiting_for_a_worker_does_not_count(days) -> None:
    pause = threading.Event()

    def slow(part):
        pause.wait(0.15)
        return giving(1)(part)

    handle = days[BOUNDED].backfill(slow, retries=0, timeout=0.45, progress=False)

    assert handle.counts == {"done": 4}


@pytest.mark.in_a_folder
def test_workers_compute_side_by_side(days) -> None:
    barrier = threading.Barrier(3)
    days.write(frame((9, 9)))  # fixes the schema, before which one order goes alone

    def meeting(part):
        barrier.wait(30)
        return giving(1)(part)

    days[FIRST:THIRD].backfill(meeting, workers=3, progress=False)

    assert rows_of(days) == {1: 1, 2: 1, 3: 1, 9: 9}


def test_after_an_error_with_stop_nothing_new_begins(lake, days) -> None:
    days.write(frame((9, 9)))  # fixes the schema, before which one order goes alone
    begun = []

    def failing_first(part):
        begun.append(part.key)
        if part.key == FIRST:
            raise RuntimeError("no")
        time.sleep(0.3)  # the driver learns of the failure meanwhile
        return giving(1)(part)

    with pytest.raises(lp.BackfillError) as caught:
        days[BOUNDED].backfill(failing_first, retries=0, on_error="stop", progress=False)

    handle = caught.value.backfill
    assert begun == [FIRST, SECOND]
    assert states_of(handle) == {FIRST: "failed", SECOND: "done", THIRD: "waiting", FOURTH: "waiting"}
    assert handle.state == "failed"
    assert days[THIRD].status()["state"].tolist() == ["missing"]

    handle.resume(giving(2), progress=False)

    assert handle.state == "completed"
    assert rows_of(days) == {1: 2, 2: 1, 3: 2, 4: 2, 9: 9}


# Inputs


def test_a_month_is_computed_from_its_days_and_is_stale_once_one_changes(lake) -> None:
    @lp.producer("months", partitions=lp.Monthly("2024-01-01"), inputs={"numbers": "numbers"})
    def months(part, numbers):
        return pa.table({"days": [len(numbers)], "x": [sum(numbers.to_arrow(missing="skip")["x"].to_pylist())]})

    asset = lake.register(months)
    with pytest.warns(lp.PartialReadWarning, match="27 partitions"):
        asset["2024-01"].backfill(progress=False)

    assert asset["2024-01-01"].to_arrow().to_pylist() == [{"days": 4, "x": 10}]
    assert query_catalog(
        lake,
        "SELECT selection FROM version_input JOIN version USING (version_id) WHERE key = '2024-01-01' "
        "AND selection LIKE '%31%'",
    ) == [("2024-01-01..2024-01-31",)]
    lake.asset("numbers").write(frame((5, 5)))
    assert asset["2024-01"].status()["reasons"].str.contains("input numbers changed").tolist() == [True]


def test_an_unpartitioned_asset_is_computed_from_all_that_is_committed(lake) -> None:
    @lp.producer("total", partitions=lp.Unpartitioned(), inputs={"numbers": "numbers"})
    def total(part, numbers):
        return pa.table({"x": [sum(numbers.to_arrow()["x"].to_pylist())]})

    asset = lake.register(total)
    asset.backfill(progress=False)
    assert asset.to_arrow()["x"].to_pylist() == [10]

    lake.asset("numbers").write(frame((5, 5)))
    assert asset.stale().keys == ["all"]
    asset.backfill(progress=False)
    assert asset.to_arrow()["x"].to_pylist() == [15]


def test_days_are_computed_from_a_whole_that_has_no_partitions(lake) -> None:
    lake.asset("rates", partitions=lp.Unpartitioned()).write(pa.table({"rate": [3]}))

    @lp.producer("rated", partitions=DAYS, inputs={"numbers": "numbers", "rates": "rates"})
    def rated(part, numbers, rates):
        rate = rates.to_arrow()["rate"][0].as_py()
        return frame((int(part.key[-2:]), rate * numbers.to_arrow()["x"][0].as_py()))

    asset = lake.register(rated)
    asset[BOUNDED].backfill(workers=2, progress=False)

    assert rows_of(asset) == {1: 3, 2: 6, 3: 9, 4: 12}
    lake.asset("rates").write(pa.table({"rate": [4]}), "all")
    assert asset.stale().keys == [FIRST, SECOND, THIRD, FOURTH]


def test_a_missing_input_fails_the_order_and_is_named(lake) -> None:
    with pytest.raises(
        lp.BackfillError, match=r"PartitionNotFoundError: .*'numbers' is missing .*2024-01-05"
    ) as caught:
        lake.asset("tens")[FOURTH:"2024-01-05"].backfill(progress=False)

    assert caught.value.backfill.status()["attempts"].tolist() == [1, 1]
    assert rows_of(lake.asset("tens")) == {1: 10, 2: 20, 4: 40}
    lake.asset("numbers").write(frame((5, 5)))
    caught.value.backfill.resume(progress=False)
    assert rows_of(lake.asset("tens"))[5] == 50


def test_a_batch_reads_the_inputs_of_all_its_partitions_and_each_is_judged_by_its_own(lake) -> None:
    asset = lake.asset("tens")
    asset[BOUNDED].backfill(which="all", batch=4, progress=False)

    lake.asset("numbers").write(frame((2, 22)), SECOND)

    assert asset.stale().keys == [SECOND]


def test_inputs_are_those_of_the_moment_the_order_began(lake) -> None:
    def reading_late(part, numbers):
        lake.asset("numbers").write(frame((3, 333)), THIRD)
        return times_ten(numbers)

    asset = lake.asset("tens")
    asset[THIRD].backfill(reading_late, inputs={"numbers": "numbers"}, progress=False)

    assert rows_of(asset)[3] == 30
    assert THIRD in asset.stale().keys


# Conflicts


@pytest.mark.parametrize("publish", ["each", "together"])
def test_a_planned_partition_that_somebody_wrote_meanwhile_is_theirs(lake, days, publish) -> None:
    days.write(frame((1, 0), (2, 0)))

    def racing(part):
        if part.key == SECOND:
            reopened(lake).asset("days").write(frame((2, -2)), SECOND)
        return giving(1)(part)

    expected = lp.BackfillError if publish == "each" else lp.ConflictError
    with pytest.raises(expected, match=SECOND):
        days[FIRST:THIRD].backfill(racing, which="all", publish=publish, name="race", progress=False)

    handle = lake.backfill("race")
    assert handle.state == "failed"
    if publish == "each":
        assert rows_of(days) == {1: 1, 2: -2, 3: 1}
        assert states_of(handle) == {FIRST: "done", SECOND: "failed", THIRD: "done"}
        assert handle.status()["attempts"].tolist() == [1, 1, 1]
    else:
        assert rows_of(days) == {1: 0, 2: -2}
        assert set(states_of(handle).values()) == {"staged"}
    assert stray_files(lake) == set()


def test_a_driver_that_lets_go_while_it_is_listened_for_is_not_in_the_way(lake, days) -> None:
    def interrupt(part):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        days[FIRST].backfill(interrupt, name="b", progress=False)
    database = lake._home.context.database
    with database.reading() as connection:
        record = campaigns.find_backfill(connection, "b")
    epoch = campaigns.take_over(database, record.backfill_id, record.epoch, driver="elsewhere/000000:1:abc")

    def end() -> None:
        campaigns.heartbeat(database, record.backfill_id, epoch)
        campaigns.let_go(database, record.backfill_id, epoch)

    ending = threading.Timer(0.3, end)
    ending.start()
    lake.backfill("b").resume(giving(2), progress=False)
    ending.join()

    assert lake.backfill("b").state == "completed"


def test_a_driver_that_was_taken_over_takes_the_result_that_is_refused_away_again(lake, days) -> None:
    def slow(part):
        reopened(lake).backfill("slow").resume(giving(2), progress=False, take_over=True)
        return giving(1)(part)

    with pytest.raises(lp.StateError, match="taken over"):
        days[FIRST].backfill(slow, name="slow", progress=False)

    assert rows_of(days) == {1: 2}
    assert stray_files(lake) == set()


# Going on and going back


def test_resuming_computes_only_what_failed_and_grants_its_retries_anew(days) -> None:
    with pytest.raises(lp.BackfillError) as caught:
        days[FIRST:THIRD].backfill(
            lambda part: raising(part) if part.key == SECOND else giving(1)(part), retries=1, progress=False
        )
    calls = []

    def better(part):
        calls.append(part.key)
        if len(calls) == 1:
            raise ConnectionError("once more")
        return giving(2)(part)

    handle = caught.value.backfill.resume(better, progress=False)

    assert calls == [SECOND, SECOND]
    assert rows_of(days) == {1: 1, 2: 2, 3: 1}
    assert (handle.state, handle.status()["attempts"].tolist()) == ("completed", [1, 4, 1])


@pytest.mark.in_a_folder
def test_after_a_commit_that_failed_nothing_is_running_and_resuming_computes_it(lake, days) -> None:
    def sabotage(statement):
        with closing(sqlite3.connect(Path(lake.url) / "catalog.db")) as catalog, catalog:
            catalog.execute(statement)

    sabotage("CREATE TRIGGER refuse BEFORE INSERT ON snapshot BEGIN SELECT RAISE(ABORT, 'refused'); END")
    with pytest.raises(lp.LakepartError, match="refused"):
        days[FIRST:SECOND].backfill(giving(1), name="run", progress=False)

    newest = "SELECT max(backfill_id) FROM backfill"
    states = query_catalog(lake, f"SELECT state FROM backfill_target WHERE backfill_id = ({newest})")
    assert states == [("waiting",), ("waiting",)]
    assert days[FIRST:SECOND].status()["state"].tolist() == ["missing", "missing"]
    sabotage("DROP TRIGGER refuse")
    lake.backfill("run").resume(giving(2), progress=False)
    assert rows_of(days) == {1: 2, 2: 2}


def test_what_is_completed_cannot_be_resumed_or_cancelled(lake) -> None:
    handle = lake.backfill("first")

    with pytest.raises(lp.StateError, match="completed"):
        handle.resume(progress=False)
    with pytest.raises(lp.StateError, match="completed"):
        handle.cancel()
    with pytest.raises(lp.NotFoundError, match="did you mean 'first'"):
        lake.backfill("firts")


@pytest.mark.parametrize("publish", ["each", "together"])
def test_cancelling_lets_what_is_under_way_end_and_resuming_does_the_rest(lake, days, publish) -> None:
    other = reopened(lake)
    keys = [f"2024-01-{day:02d}" for day in range(1, 10)]

    def cancelling(part):
        if part.key == THIRD:
            other.backfill("long").cancel()
        return giving(1)(part)

    handle = days[keys].backfill(cancelling, publish=publish, name="long", progress=False)

    states = states_of(handle)
    assert handle.state == "cancelled"
    assert (states[THIRD] != "cancelled", states[keys[-1]]) == (True, "cancelled")
    done = [int(key[-2:]) for key, state in states.items() if state != "cancelled"]
    assert 3 <= len(done) < 9
    assert sorted(rows_of(days)) == (done if publish == "each" else [])

    handle.resume(giving(2), progress=False)

    assert handle.state == "completed"
    assert rows_of(days) == {day: 1 if day in done else 2 for day in range(1, 10)}
    assert lake.branches().empty


def test_what_an_interrupted_driver_has_let_go_of_is_cancelled_at_once_and_can_be_resumed(lake, days) -> None:
    def dying(part):
        if part.key == SECOND:
            raise KeyboardInterrupt
        return giving(1)(part)

    with pytest.raises(KeyboardInterrupt):
        days[FIRST:THIRD].backfill(dying, name="dead", progress=False)
    handle = reopened(lake).backfill("dead")
    assert handle.state == "running"
    epochs = "SELECT epoch FROM backfill WHERE name = 'dead'"
    epoch = query_catalog(lake, epochs)[0][0]

    assert handle.cancel().state == "cancelled"
    assert set(states_of(handle).values()) == {"done", "cancelled"}

    handle.resume(giving(2), progress=False)

    assert rows_of(days) == {1: 1, 2: 2, 3: 2}
    assert query_catalog(lake, epochs)[0][0] > epoch


def test_rolling_back_gives_every_partition_what_it_had(lake) -> None:
    asset = lake.asset("tens")
    draft = lake.create_branch("draft")
    draft.asset("numbers").write(frame((9, 9)))  # the newest snapshot is another branch's
    handle = asset[BOUNDED].backfill(giving(-1), which="all", progress=False)
    asset.write(frame((9, 90)))

    commit = handle.rollback()

    assert rows_of(asset) == {1: 10, 2: 20, 9: 90}
    assert commit.partitions == 4
    assert operations(lake)[0] == "rollback"
    assert asset.status()["state"].tolist()[:4] == ["fresh", "fresh", "missing", "missing"]
    with pytest.raises(lp.StateError, match=r"[Nn]othing to roll back"):
        handle.rollback()


def test_a_diff_compares_with_what_was_there_when_it_was_planned(lake) -> None:
    lake.asset("numbers").write(frame((2, 22)), SECOND)

    handle = lake.asset("tens")[BOUNDED].backfill(progress=False, which="all")

    diff = handle.diff()
    assert dict(zip(diff["key"], diff["change"], strict=True)) == {
        FIRST: "same",
        SECOND: "changed",
        THIRD: "added",
        FOURTH: "added",
    }
    assert diff["rows_delta"].tolist() == [0, 0, 1, 1]


def test_a_diff_shows_what_is_staged_before_it_is_published(lake, days) -> None:
    days.write(frame((1, 0)))
    with pytest.raises(lp.BackfillError) as caught:
        days[FIRST:THIRD].backfill(
            lambda part: raising(part) if part.key == THIRD else giving(1)(part),
            which="all",
            publish="together",
            retries=0,
            name="half",
            progress=False,
        )

    handle = caught.value.backfill
    assert handle.diff()[["key", "change"]].values.tolist() == [[FIRST, "changed"], [SECOND, "added"]]
    assert rows_of(days) == {1: 0}
    assert lake.branches()["name"].tolist() == ["backfill-half"]
    handle.resume(giving(3), progress=False)
    assert rows_of(days) == {1: 1, 2: 1, 3: 3}


# Looking on


@pytest.mark.in_a_folder
def test_progress_counts_partitions_up_to_all_of_them(lake, days) -> None:
    seen = []
    plan = days[BOUNDED].plan_backfill(giving(1), batch=2)

    start_backfill(lake._home, plan, giving(1), workers=1, on_progress=seen.append, select=selection_of)

    assert {progress.total for progress in seen} == {4}
    done = [progress.done for progress in seen]
    assert (done[0], done[-1], done) == (0, 4, sorted(done))
    assert all(progress.done + progress.failed + progress.running <= 4 for progress in seen)
    assert max(progress.running for progress in seen) <= 4


@pytest.mark.in_a_folder
def test_progress_counts_what_failed(lake, days) -> None:
    seen = []
    plan = days[FIRST:SECOND].plan_backfill(raising, retries=0)

    start_backfill(lake._home, plan, raising, workers=1, on_progress=seen.append, select=selection_of)

    assert (seen[-1].done, seen[-1].failed, seen[-1].running) == (0, 2, 0)


def test_running_partitions_are_shown_as_running(lake, days) -> None:
    seen = []

    def looking(part):
        seen.append(
            dict(zip(*(reopened(lake).asset("days")[FIRST:THIRD].status()[c] for c in ("key", "state")), strict=True))
        )
        return giving(1)(part)

    days[FIRST:THIRD].backfill(looking, progress=False)

    assert seen[0][FIRST] == "running"
    assert seen[1] == {FIRST: "fresh", SECOND: "running", THIRD: "running"}


def test_a_failure_is_answered_by_newer_content(days) -> None:
    with pytest.raises(lp.BackfillError):
        days[FIRST].backfill(raising, retries=0, progress=False)
    assert days[FIRST].status()[["state", "data", "work"]].values.tolist() == [["failed", "missing", "failed"]]
    assert "out of luck" in days[FIRST].status()["error"][0]
    assert "out of luck" in " ".join(days[FIRST].explain()["text"])

    days.write(frame((1, 1)))

    assert days[FIRST].status()["state"].tolist() == ["fresh"]
    assert days.failed().keys == []


def test_backfills_are_listed_newest_first(lake, days) -> None:
    days[FIRST:SECOND].backfill(giving(1), name="second", progress=False)

    listed = lake.backfills()

    assert listed[["name", "asset", "state", "partitions", "done", "failed"]].values.tolist() == [
        ["second", "days", "completed", 2, 2, 0],
        ["first", "tens", "completed", 2, 2, 0],
    ]
    assert "second" in repr(lake.backfill("second"))


def test_a_handle_travels_to_other_processes(lake) -> None:
    handle = pickle.loads(pickle.dumps(lake.backfill("first")))

    assert (handle.name, handle.state, handle.counts) == ("first", "completed", {"done": 2})


@pytest.mark.in_a_folder
def test_the_error_of_a_backfill_travels_with_its_handle(days) -> None:
    with pytest.raises(lp.BackfillError) as caught:
        days[FIRST].backfill(raising, retries=0, progress=False)

    error = pickle.loads(pickle.dumps(caught.value))

    assert str(error) == str(caught.value)
    assert error.backfill.state == "failed"


def test_a_producer_of_an_asset_declared_with_options_leaves_them_as_they_are(tmp_path) -> None:
    with lp.create(tmp_path / "lake") as described:
        partitions = lp.Static(["a"])
        described.asset("words", partitions=partitions, description="what was said")

        described.register(lp.producer("words", partitions=partitions)(lambda part: None))

        assert described.asset("words").description == "what was said"


@pytest.mark.parametrize("workers", [1, 2])
def test_orders_that_bring_columns_of_their_own_lose_none(tmp_path, workers):
    days = lp.Daily("2024-01-01", by="day")
    lake = lp.create(tmp_path / "lake")
    lake.asset("made", partitions=days, on_schema_change="add").write(pa.table({"day": [date(2024, 1, 9)]}))

    @lp.producer("made", partitions=days)
    def make(part):
        return pa.table({"day": [date.fromisoformat(part.key)], **OWN.get(part.key, {})})

    lake.register(make)["2024-01-01":"2024-01-04"].backfill(workers=workers, progress=False)

    rows = lake.asset("made").to_arrow().select(["x", "y"]).to_pylist()
    assert rows == [
        {"x": 111, "y": None},
        {"x": None, "y": "text"},
        {"x": None, "y": None},
        {"x": 4, "y": "four"},
        {"x": None, "y": None},
    ]
    assert lake.check(checksums=True) == []


OWN = {"2024-01-01": {"x": [111]}, "2024-01-02": {"y": ["text"]}, "2024-01-04": {"y": ["four"], "x": [4]}}
