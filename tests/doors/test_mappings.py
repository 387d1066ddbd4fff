"""Producers whose partitions are made from other partitions than those of the same key, and asking which."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.model.partition_sets import PartitionSet
from lakepart.testing import clock_of, copied, frozen_lake, query_catalog, reopened

NOW = datetime(2024, 1, 10, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
PLAIN_DAYS = lp.Daily("2024-01-01")
DAY_BEFORE = lp.TimeOverlap(-1, -1, nonexistent="skip")
KEYS = [f"2024-01-{day:02}" for day in range(1, 10)]
REGIONS = lp.Static(["eu", "us", "jp"], by="region")


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """``numbers`` of nine days, each its own number; ``sales`` of three regions."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    lake.asset("numbers", partitions=DAYS).write(frame(*((day, day) for day in range(1, 10))))
    lake.asset("sales", partitions=REGIONS).write(pa.table({"region": ["eu", "us", "jp"], "x": [1, 10, 100]}))
    return lake


@pytest.fixture
def lake(template, tmp_path) -> lp.Lake:
    return copied(template, tmp_path / "lake")


def total_of(part, source) -> dict[str, pa.Table]:
    """Sum what the input has; what it consists of is seen in the sum."""
    return {part.key: pa.table({"x": [sum(source.to_arrow()["x"].to_pylist())]})}


def registered(lake, mapping, *, source="numbers", partitions=PLAIN_DAYS) -> lp.Asset:
    inputs = {"source": lp.Input(source, mapping=mapping)}
    return lake.register(lp.producer("made", partitions=partitions, inputs=inputs, code_version="1")(total_of))


def sums_of(asset: lp.Asset) -> dict[str, int]:
    return {one.keys[0]: one.to_arrow()["x"][0].as_py() for one in asset if one.to_arrow().num_rows}


def previous_and_own(key: str) -> list[str]:
    day = date.fromisoformat(key)
    return [str(day - timedelta(days=1)), key]


# What a producer is given


@pytest.mark.parametrize(
    ("mapping", "source", "partitions", "key", "total"),
    [
        (lp.Identity(), "numbers", PLAIN_DAYS, KEYS[3], 4),
        (lp.TimeOverlap(lookback=2), "numbers", PLAIN_DAYS, KEYS[3], 2 + 3 + 4),
        (lp.TimeOverlap(-2, -1), "numbers", PLAIN_DAYS, KEYS[3], 2 + 3),
        (lp.TimeOverlap(0, 1), "numbers", PLAIN_DAYS, KEYS[3], 4 + 5),
        (lp.TimeOverlap(), "numbers", lp.Hourly("2024-01-01"), "2024-01-04-05:00", 4),
        (lp.TimeOverlap(), "numbers", lp.Weekly("2024-01-01", weekday="monday"), "2024-01-01", sum(range(1, 8))),
        (lp.TimeOverlap(), "numbers", lp.Daily("2024-01-01", tz="Asia/Tokyo"), KEYS[3], 3 + 4),
        (lp.AllPartitions(), "numbers", PLAIN_DAYS, KEYS[3], sum(range(1, 10))),
        (lp.LastPartition(), "numbers", lp.Unpartitioned(), "all", 9),
        (lp.LastPartition(), "sales", PLAIN_DAYS, KEYS[3], 100),
        (lp.SpecificPartitions([KEYS[0], KEYS[8]]), "numbers", lp.Static(["a"]), "a", 1 + 9),
        (lp.KeyMap({"west": ["eu", "us"], "east": "jp"}), "sales", lp.Static(["west", "east"]), "west", 11),
        (lp.Identity(), "sales", lp.Static(["jp", "us"]), "jp", 100),
        (lp.CustomMapping("pairs", previous_and_own), "numbers", PLAIN_DAYS, KEYS[3], 3 + 4),
    ],
    ids=repr,
)
def test_a_producer_is_given_what_its_mapping_says(lake, mapping, source, partitions, key, total) -> None:
    made = registered(lake, mapping, source=source, partitions=partitions)

    made[[key]].backfill(progress=False)

    assert sums_of(made) == {key: total}
    assert _reasons(made[[key]]) == ""


def _reasons(selection) -> str:
    return "; ".join(selection.status()["reasons"])


def test_a_mapping_is_recorded_with_the_producer_and_used_by_whoever_comes_next(lake) -> None:
    registered(lake, lp.TimeOverlap(lookback=1))

    stored = query_catalog(lake.url, "SELECT producer_inputs FROM asset WHERE name = 'made'")
    reopened(lake).asset("made")[KEYS[2]].backfill(progress=False)

    assert json.loads(stored[0][0]) == {
        "source": {"asset": "numbers", "mapping": {"version": 1, "kind": "time-overlap", "start_offset": -1}}
    }
    assert sums_of(lake.asset("made")) == {KEYS[2]: 2 + 3}


def test_an_input_by_name_alone_is_recorded_by_name_alone(lake) -> None:
    lake.register(lp.producer("made", partitions=lp.Daily("2024-01-01"), inputs={"source": "numbers"})(total_of))

    assert query_catalog(lake.url, "SELECT producer_inputs FROM asset WHERE name = 'made'") == [
        ('{"source":"numbers"}',)
    ]
    lake.asset("made")[KEYS[2]].backfill(progress=False)
    assert sums_of(lake.asset("made")) == {KEYS[2]: 3}


def test_a_function_can_be_backfilled_with_a_mapping_of_its_own(lake) -> None:
    made = lake.asset("made", partitions=lp.Daily("2024-01-01"))

    made[KEYS[4]].backfill(
        total_of, inputs={"source": lp.Input("numbers", mapping=lp.TimeOverlap(lookback=4))}, progress=False
    )

    assert sums_of(made) == {KEYS[4]: 15}
    assert query_catalog(lake.url, "SELECT selection FROM version_input") == [("2024-01-01..2024-01-05",)]


def test_a_function_that_has_no_name_stays_with_the_handle(lake) -> None:
    made = registered(lake, lp.CustomMapping("own", lambda key: [key]))
    made[KEYS[4]].backfill(progress=False)
    assert sums_of(made) == {KEYS[4]: 5}

    with pytest.raises(lp.StateError, match=r"'own' is not at hand.*it cannot be imported"):
        reopened(lake).asset("made")[KEYS[5]].plan_backfill()

    assert "made from" in set(reopened(lake).asset("made")[KEYS[4]].explain()["about"])


@pytest.mark.parametrize(
    ("mapping", "partitions", "message"),
    [
        (lp.Identity(), lp.Hourly("2024-01-01"), r"Identity\(\) does not fit"),
        (lp.TimeOverlap(), lp.Static(["a"]), r"TimeOverlap\(\) does not fit .* both must be cut by time"),
        (lp.KeyMap({"b": "x"}), lp.Static(["a"]), "'b' is no key of the first"),
        (None, lp.Daily("2024-01-01", tz="Asia/Tokyo"), "is not evident: say it with a mapping"),
    ],
    ids=repr,
)
def test_a_mapping_that_does_not_fit_is_refused_when_registered(lake, mapping, partitions, message) -> None:
    lake.asset("made", partitions=partitions)

    with pytest.raises(lp.InvalidInputError, match=message):
        registered(lake, mapping, partitions=partitions)

    assert query_catalog(lake.url, "SELECT producer_inputs FROM asset WHERE name = 'made'") == [(None,)]


# What does not exist


def test_needing_what_the_input_does_not_have_fails_the_order_and_names_it(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=2))

    plan = made[KEYS[1] : KEYS[3]].plan_backfill()
    with pytest.raises(lp.BackfillError, match=r"needs 2023-12-31 of asset 'numbers', which has no such") as caught:
        made[KEYS[1] : KEYS[3]].backfill(progress=False)

    assert plan.nonexistent == {"source": "2023-12-31"}
    assert plan.to_dict()["nonexistent"] == {"source": "2023-12-31"}
    assert "needed of numbers but nonexistent there: 2023-12-31; orders that need them will fail" in str(plan)
    status = caught.value.backfill.status()
    assert status["state"].tolist() == ["failed", "done", "done"]
    assert status["attempts"].tolist() == [1, 1, 1]
    assert status["error"][0].startswith("PartitionNotFoundError: Input 'source' of 2024-01-02 needs 2023-12-31")
    assert sums_of(made) == {KEYS[2]: 6, KEYS[3]: 9}


def test_what_does_not_exist_can_be_skipped(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=2, nonexistent="skip"))

    plan = made[KEYS[0] : KEYS[2]].plan_backfill()
    lake.apply(plan, progress=False)

    assert "nonexistent there: 2023-12-30..2023-12-31; they are skipped" in str(plan)
    assert sums_of(made) == {KEYS[0]: 1, KEYS[1]: 3, KEYS[2]: 6}
    assert made.stale().keys == []
    texts = made[KEYS[0]].explain().query("about == 'made from'")["text"].tolist()
    assert texts[0].endswith("to the end of the own window), without 2023-12-30..2023-12-31, which did not exist")


def test_a_skipped_partition_that_comes_to_exist_makes_stale(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=1, nonexistent="skip"))
    made[KEYS[0] : KEYS[1]].backfill(progress=False)
    earlier = lp.Daily("2023-12-01", by="day")
    lake.asset("numbers").alter(partitions=earlier)

    assert made.stale().keys == []  # it exists, and is missing
    table = pa.table({"day": pa.array([date(2023, 12, 31)], pa.date32()), "x": pa.array([7], pa.int64())})
    lake.asset("numbers").write(table)

    assert made.stale().keys == [KEYS[0]]
    assert "input numbers changed" in _reasons(made[KEYS[0]])


def test_nonexistent_is_told_apart_from_missing(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=1))

    explained = made[[KEYS[0], KEYS[1], "2024-01-11"]].explain()
    with pytest.raises(lp.BackfillError):
        made[[KEYS[0], "2024-01-11"]].backfill(progress=False)
    errors = made[[KEYS[0], "2024-01-11"]].status()["error"].tolist()

    assert explained.query("about == 'nonexistent'")[["key", "text"]].values.tolist() == [
        [
            KEYS[0],
            "needs 2023-12-31 of numbers, which has no such partition (daily by day in UTC, from 2024-01-01 on): "
            "a run fails",
        ]
    ]
    assert "which has no such partitions" in errors[0]
    assert "'numbers' is missing" in errors[1] or "'numbers' are missing" in errors[1]


def test_the_same_key_that_an_input_of_later_begin_lacks_is_not_skipped_silently(lake) -> None:
    made = registered(lake, None, partitions=lp.Daily("2023-12-31"))

    with pytest.raises(lp.BackfillError, match=r"needs 2023-12-31 of asset 'numbers'"):
        made["2023-12-31" : KEYS[0]].backfill(progress=False)

    assert sums_of(made) == {KEYS[0]: 1}


def test_windows_of_two_zones_are_compared_and_both_zones_are_named(lake) -> None:
    made = registered(lake, lp.TimeOverlap(), partitions=lp.Daily("2024-01-02", tz="Asia/Tokyo"))
    made[KEYS[3]].backfill(progress=False)

    texts = made[KEYS[3]].explain().query("about == 'made from'")["text"].tolist()

    assert texts == [
        f"numbers {KEYS[2]}..{KEYS[3]} as of snapshot 2 "
        "(windows that share time; Asia/Tokyo windows against UTC windows)"
    ]


# Staleness


def test_a_change_within_the_lookback_makes_stale_and_one_outside_does_not(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=2))
    made[KEYS[2] : KEYS[8]].backfill(progress=False)

    lake.asset("numbers").write(frame((5, 50)), KEYS[4])

    assert made.stale().keys == KEYS[4:7]
    made.backfill(progress=False, which="stale")
    assert sums_of(made)[KEYS[6]] == 50 + 6 + 7


def test_an_input_partition_that_vanishes_makes_stale(lake) -> None:
    made = registered(
        lake, lp.KeyMap({"west": ["eu", "us"], "east": ["jp"]}), source="sales", partitions=lp.Static(["west", "east"])
    )
    made[["west", "east"]].backfill(progress=False)

    lake.asset("sales")["us"].rollback(to=0)

    assert lake.asset("sales").keys == ["eu", "jp"]
    assert made.stale().keys == ["west"]


def test_an_input_partition_that_appears_makes_stale(lake) -> None:
    def total_of_some(part, source):
        return {part.key: pa.table({"x": [sum(source.to_arrow(missing="skip")["x"].to_pylist())]})}

    made = lake.asset("made", partitions=lp.Daily("2024-01-01"))
    inputs = {"source": lp.Input("numbers", mapping=lp.TimeOverlap(lookback=1, end_offset=1))}
    with pytest.warns(lp.PartialReadWarning, match="2024-01-10"):
        made[KEYS[7] : KEYS[8]].backfill(total_of_some, inputs=inputs, progress=False)
    assert made.stale().keys == []

    lake.asset("numbers").write(frame((10, 10)), "2024-01-10")

    assert made.stale().keys == [KEYS[8]]


def test_static_partitions_of_the_same_key_are_judged_by_key_and_not_by_place(lake) -> None:
    made = registered(lake, lp.Identity(), source="sales", partitions=lp.Static(["jp", "us"]))
    made[["jp", "us"]].backfill(progress=False)
    assert made.stale().keys == []

    lake.asset("sales").write(pa.table({"region": ["us"], "x": [20]}), "us")

    assert made.stale().keys == ["us"]


def test_the_last_partition_moves_with_the_clock(lake) -> None:
    made = registered(lake, lp.LastPartition(), partitions=lp.Static(["a", "b"]))
    made[["a", "b"]].backfill(progress=False)
    assert sums_of(made) == {"a": 9, "b": 9}
    assert made.stale().keys == []

    lake.asset("numbers").write(frame((10, 10)), "2024-01-10")
    assert made.stale().keys == []  # its window is not over
    clock_of(lake).advance(timedelta(days=1))

    assert made.stale().keys == ["a", "b"]
    assert made.status(as_of=NOW)["data"].tolist() == ["fresh", "fresh"]
    made[["a", "b"]].backfill(progress=False)
    assert sums_of(made) == {"a": 10, "b": 10}


def test_the_last_partition_is_that_of_the_plan_for_every_order(lake) -> None:
    made = registered(lake, lp.LastPartition(), partitions=lp.Static(["a", "b"]))
    plan = made[["a", "b"]].plan_backfill(as_of=datetime(2024, 1, 5, 1, tzinfo=UTC))

    lake.apply(plan, progress=False)

    assert sums_of(made) == {"a": 4, "b": 4}


# An asset that reads its own earlier partitions


def carry_on(part, previous, numbers) -> dict[str, pa.Table]:
    before = previous.to_arrow()
    carried = before["x"][0].as_py() if before.num_rows else 0
    return {part.key: pa.table({"x": [carried + numbers.to_arrow()["x"][0].as_py()]})}


def balance_of(lake, function=carry_on, mapping=DAY_BEFORE) -> lp.Asset:
    inputs = {"previous": lp.Input("balance", mapping=mapping), "numbers": "numbers"}
    return lake.register(
        lp.producer("balance", partitions=lp.Daily("2024-01-01"), inputs=inputs, code_version="1")(function)
    )


@pytest.mark.parametrize("publish", ["each", "together"])
def test_a_balance_is_carried_on_from_day_to_day_however_many_work_at_it(lake, publish) -> None:
    balance = balance_of(lake)

    balance[KEYS[0] : KEYS[8]].backfill(workers=4, publish=publish, progress=False)

    assert sums_of(balance) == {key: sum(range(1, day + 1)) for day, key in enumerate(KEYS, start=1)}
    assert balance.stale().keys == []


def test_days_that_do_not_need_each_other_are_made_side_by_side(lake) -> None:
    side_by_side = threading.Barrier(2, timeout=30)

    def waiting(part, previous, numbers):
        side_by_side.wait()
        return carry_on(part, previous, numbers)

    balance = balance_of(lake, waiting, lp.TimeOverlap(-2, -2, nonexistent="skip"))
    balance[[KEYS[0]]].backfill(carry_alone, inputs={"numbers": "numbers"}, progress=False)
    balance[[KEYS[1]]].backfill(carry_alone, inputs={"numbers": "numbers"}, progress=False)

    balance[KEYS[2] : KEYS[7]].backfill(workers=2, retries=0, progress=False)

    assert sums_of(balance)[KEYS[7]] == 2 + 4 + 6 + 8


def carry_alone(part, numbers) -> dict[str, pa.Table]:
    return {part.key: pa.table({"x": [numbers.to_arrow()["x"][0].as_py()]})}


def test_a_failed_day_fails_those_that_need_it_and_resuming_makes_them_all(lake) -> None:
    def failing(part, previous, numbers):
        if part.key == KEYS[2]:
            raise ValueError("no third day")
        return carry_on(part, previous, numbers)

    balance = balance_of(lake, failing)
    with pytest.raises(lp.BackfillError, match="no third day") as caught:
        balance[KEYS[0] : KEYS[4]].backfill(workers=3, retries=0, progress=False)

    handle = caught.value.backfill
    status = handle.status()
    assert status["state"].tolist() == ["done", "done", "failed", "failed", "failed"]
    assert "reads 2024-01-03 of its own here, which failed in this backfill" in status["error"][3]
    balance_of(lake)
    handle.resume(workers=3, progress=False)
    assert sums_of(balance)[KEYS[4]] == 15


def test_a_day_that_is_tried_again_holds_up_those_that_need_it(lake) -> None:
    begun: list[str] = []

    def stumbling(part, previous, numbers):
        begun.append(part.key)
        if begun == [KEYS[0], KEYS[1]]:
            time.sleep(0.05)
            raise ValueError("once")
        return carry_on(part, previous, numbers)

    balance = balance_of(lake, stumbling)
    balance[KEYS[0] : KEYS[3]].backfill(workers=3, progress=False)

    assert begun == [KEYS[0], KEYS[1], KEYS[1], KEYS[2], KEYS[3]]
    assert sums_of(balance)[KEYS[3]] == 10


def test_a_changed_day_makes_the_next_one_stale(lake) -> None:
    balance = balance_of(lake)
    balance[KEYS[0] : KEYS[3]].backfill(progress=False)

    lake.asset("numbers").write(frame((2, 20)), KEYS[1])
    assert balance.stale().keys == [KEYS[1]]
    balance[KEYS[0] : KEYS[3]].backfill(progress=False)

    assert sums_of(balance)[KEYS[1]] == 21
    assert balance.stale().keys == [KEYS[2]]


@pytest.mark.parametrize("mapping", [None, lp.Identity(), lp.TimeOverlap(lookback=1), lp.AllPartitions()], ids=repr)
def test_an_asset_cannot_read_its_own_partitions_but_earlier_ones(lake, mapping) -> None:
    with pytest.raises(lp.InvalidInputError, match=r"cannot be its own input 'previous'.*TimeOverlap\(-1, -1\)"):
        balance_of(lake, mapping=mapping)


def test_partitions_that_need_each_other_are_not_batched(lake) -> None:
    with pytest.raises(lp.InvalidInputError, match="batch=2: asset 'balance' reads its own earlier partitions"):
        balance_of(lake)[KEYS[0] : KEYS[3]].backfill(batch=2, progress=False)


# Asking


def test_a_selection_says_what_it_needs_and_by_what_it_is_needed(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=2))
    numbers = lake.asset("numbers")

    needed = made[KEYS[4]].needs()
    back = numbers[KEYS[4]].needed_by("made")

    assert {name: (one.keys, one.count_rows()) for name, one in needed.items()} == {"source": (KEYS[2:5], 3)}
    assert back.keys == KEYS[4:7]
    assert back.status()["state"].tolist() == ["missing"] * 3


def test_an_open_end_needs_what_has_elapsed(lake) -> None:
    made = registered(lake, lp.TimeOverlap(nonexistent="skip"), partitions=lp.Hourly("2024-01-01"))

    assert made[:].needs()["source"].keys == [*KEYS, "2024-01-10"]
    assert made[:].needs(as_of=datetime(2024, 1, 3, tzinfo=UTC))["source"].keys == KEYS[:2]
    assert len(lake.asset("numbers")[KEYS[8] :].needed_by("made")) == 24


def test_everything_that_is_made_from_a_whole_is_needed_by_it_as_far_as_it_has_elapsed(lake) -> None:
    registered(lake, lp.AllPartitions(), source="sales")

    assert lake.asset("sales")["eu"].needed_by("made").keys == KEYS
    assert lake.asset("made")[KEYS[0]].needs()["source"].keys == ["eu", "us", "jp"]


def test_asking_for_what_does_not_exist_fails_as_a_run_would(lake) -> None:
    made = registered(lake, lp.TimeOverlap(lookback=2))

    with pytest.raises(lp.PartitionNotFoundError, match=r"needs 2023-12-31 .*nonexistent=\"skip\""):
        made[KEYS[1]].needs()


def test_asking_an_asset_that_nothing_makes_is_refused(lake) -> None:
    registered(lake, lp.Identity())

    with pytest.raises(lp.StateError, match="'numbers' has no producer"):
        lake.asset("numbers").needs()
    with pytest.raises(lp.InvalidInputError, match="'made' is not made from 'sales': it is made from numbers"):
        lake.asset("sales")["eu"].needed_by("made")
    with pytest.raises(lp.InvalidInputError, match="'sales' is not made from 'numbers': it has no inputs"):
        lake.asset("numbers")[KEYS[0]].needed_by("sales")
    with pytest.raises(lp.AssetNotFoundError, match="mode"):
        lake.asset("numbers")[KEYS[0]].needed_by("mode")


@pytest.mark.filterwarnings("ignore:the producer of 'made' can no longer read:RuntimeWarning")
def test_what_was_made_from_an_input_that_no_longer_fits_can_still_be_judged(lake) -> None:
    later = lake.asset("later", partitions=lp.Daily("2024-02-01"))
    inputs = {"source": lp.Input("later", lp.TimeOverlap(nonexistent="skip"))}
    producer = lp.producer("made", partitions=PLAIN_DAYS, inputs=inputs)
    made = lake.register(producer(lambda part, source: pa.table({"x": [0]})))
    made[KEYS[1]].backfill(progress=False)

    later.alter(partitions=lp.Static(["a"]))

    assert made[KEYS[1]].status()["data"].tolist() == ["fresh"]
    assert made.stale().keys == []
    assert "later" in str(made[KEYS[1]].explain())


def test_a_function_that_fails_or_names_no_key_is_named(lake) -> None:
    now = datetime(2024, 1, 10, tzinfo=UTC)
    two = lp.Static(["a", "b"])
    every = PartitionSet.everything(two)

    failing = lp.CustomMapping("halves", lambda key: 1 / 0, nonexistent="skip")
    with pytest.raises(lp.InvalidInputError, match="'halves' failed for 'a': ZeroDivisionError: division by zero"):
        failing.upstream(every, two, now)
    with pytest.raises(lp.InvalidInputError, match=r"'empty' gave \[''\] for 'a'"):
        lp.CustomMapping("empty", lambda key: "").upstream(every, two, now)
    assert repr(failing).endswith("nonexistent='skip')")
