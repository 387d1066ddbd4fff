"""What a partition is made from must be what Dagster says, so Dagster itself is the oracle.

Every difference there is, and why:

- *Offsets beyond an end.* Dagster stops an offset at the ends of the input, so it never reports as nonexistent what an
  offset alone needs. We report it, because the run would be given fewer partitions than it asks for.
- *A window astride the beginning.* Of an input window that begins before the partition does, and does not exist,
  Dagster says nothing; we name it.
- *Excluded windows.* For a time within excluded windows Dagster also gives the partition before the gap, and it moves
  a start past an end of a window, not to the start of the next, so that time of excluded windows comes along. We give
  the partitions that share time with the windows meant.
- *Windows to come.* To Dagster, a partition whose window has not elapsed does not exist. To us it exists and is
  missing, since any window may be written; so the two are compared long after the last window.
- *Last of nothing elapsed* and *all*: Dagster means the partitions that exist now, we those that are committed.
- *Zones.* Dagster refuses two zones; we compare the windows when asked to.
- *Lists of keys that differ.* Dagster silently takes equal keys; we ask for a mapping. Given one, both do the same.
- *A key that is named and is none.* Dagster's SpecificPartitionsPartitionMapping and StaticPartitionMapping fail to
  load; ours report it as nonexistent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import dagster as dg
import pytest

from lakepart.errors import InvalidInputError
from lakepart.model.definitions import Daily, Hourly, Monthly, Static, Unpartitioned, Weekly
from lakepart.model.mappings import (
    AllPartitions,
    Identity,
    KeyMap,
    LastPartition,
    SpecificPartitions,
    TimeOverlap,
    infer_mapping,
)
from lakepart.model.partition_sets import PartitionSet

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WEEKEND = ["0 0 * * 6,0"]
ZONES = ["UTC", "America/New_York", "Europe/London", "Australia/Sydney"]
CASES_OF_PAIR = 5

Bounds = tuple[str, str]


def weekdays_of_dagster(start_date: str, end_date: str, timezone: str) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(
        cron_schedule="0 0 * * *",
        start=start_date,
        end=end_date,
        timezone=timezone,
        fmt="%Y-%m-%d",
        exclusions=WEEKEND,
    )


def weekdays(start: str, *, end: str, tz: str) -> Daily:
    return Daily(start, end=end, tz=tz, exclude=WEEKEND)


# ours, Dagster's, and the bounds between which definitions are drawn; clocks change on March 10 and 31, and April 7
GRAINS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Bounds]] = {
    "hourly": (Hourly, dg.HourlyPartitionsDefinition, ("2024-03-08", "2024-03-14")),
    "daily": (Daily, dg.DailyPartitionsDefinition, ("2024-02-20", "2024-04-10")),
    "weekdays": (weekdays, weekdays_of_dagster, ("2024-02-20", "2024-04-10")),
    "weekly": (Weekly, dg.WeeklyPartitionsDefinition, ("2024-02-01", "2024-05-01")),
    "monthly": (Monthly, dg.MonthlyPartitionsDefinition, ("2023-11-01", "2024-08-01")),
}


def drawn(draw: random.Random, grain: str, zone: str) -> tuple[Any, Any]:
    ours, theirs, (first, stop) = GRAINS[grain]
    start = datetime.fromisoformat(first) + timedelta(days=draw.choice([0, 0, 1, 2]))
    end = datetime.fromisoformat(stop) - timedelta(days=draw.choice([0, 0, 1, 2]))
    fmt = "%Y-%m-%d-%H:%M" if grain == "hourly" else "%Y-%m-%d"
    start_text, end_text = start.strftime(fmt), end.strftime(fmt)
    return ours(start_text, end=end_text, tz=zone), theirs(start_date=start_text, end_date=end_text, timezone=zone)


def wide_definition(grain: str, zone: str) -> Any:
    """Give a definition that has windows wherever offsets lead."""
    return GRAINS[grain][0]("2022-01-01", end="2026-01-01", tz=zone)


def span_of(key: str, grain: str, zone: str, mapping: TimeOverlap) -> tuple[datetime, datetime]:
    """Give the time a partition needs."""
    wide = wide_definition(grain, zone)
    at = wide.position_of(key)
    return wide.window_at(at + mapping.start_offset).start, wide.window_at(at + mapping.end_offset).end


def one_of(definition: Any, key: str) -> PartitionSet:
    return PartitionSet.from_keys(definition, [key])


def named_by(grain: str, zone: str, text: str) -> list[str]:
    return PartitionSet.parse(wide_definition(grain, zone), text).keys


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("made_by", "input_by"), list(product(GRAINS, GRAINS)))
def test_time_maps_to_what_dagster_says(made_by, input_by, zone) -> None:
    draw = random.Random(f"{made_by} {input_by} {zone}")
    excludes = "weekdays" in {made_by, input_by}
    for _ in range(CASES_OF_PAIR):
        (made, their_made), (source, their_source) = drawn(draw, made_by, zone), drawn(draw, input_by, zone)
        start_offset = draw.choice([0, 0, -3, -2, -1, 1, 2])
        mapping = TimeOverlap(start_offset, start_offset + draw.choice([0, 0, 1, 2]))
        theirs = dg.TimeWindowPartitionMapping(mapping.start_offset, mapping.end_offset)
        key = draw.choice(PartitionSet.everything(made).keys)
        upstream_key = draw.choice(PartitionSet.everything(source).keys)

        ours_up = mapping.upstream(one_of(made, key), source, NOW)
        ours_down = set(mapping.downstream(one_of(source, upstream_key), made, NOW).keys)

        up = theirs.get_upstream_mapped_partitions_result_for_partitions(
            their_made.subset_with_partition_keys([key]), their_made, their_source, NOW
        )
        down = theirs.get_downstream_partitions_for_partitions(
            their_source.subset_with_partition_keys([upstream_key]), their_source, their_made, NOW
        )
        extra_up = set(up.partitions_subset.get_partition_keys()) - set(ours_up.partitions.keys)
        extra_down = set(down.get_partition_keys()) - ours_down
        assert set(ours_up.partitions.keys) <= set(up.partitions_subset.get_partition_keys())
        assert ours_down <= set(down.get_partition_keys())
        assert excludes or not (extra_up or extra_down)
        for extra in extra_up:
            assert not _share_meant_time(key, made_by, zone, mapping, source, extra)
        for extra in extra_down:
            assert not _share_meant_time(extra, made_by, zone, mapping, source, upstream_key)
        lacking = set(named_by(input_by, zone, ours_up.nonexistent_text))
        their_lacking = set(up.required_but_nonexistent_subset.get_partition_keys())
        assert excludes or their_lacking <= lacking
        if mapping == TimeOverlap():
            begins = made.window_at(made.position_of(key)).start
            wide = wide_definition(input_by, zone)
            assert all(wide.window_at(wide.position_of(one)).start < begins for one in lacking - their_lacking)


def _share_meant_time(key, made_by, zone, mapping, source, upstream_key) -> bool:
    start, end = span_of(key, made_by, zone, mapping)
    window = source.window_at(source.position_of(upstream_key))
    return window.start.timestamp() < end.timestamp() and window.end.timestamp() > start.timestamp()


@pytest.mark.parametrize("seed", range(60))
def test_a_dictionary_maps_to_what_dagster_says(seed) -> None:
    draw = random.Random(seed)
    made_keys, source_keys = [f"m{n}" for n in range(6)], [f"s{n}" for n in range(6)]
    feeds = {key: draw.sample(made_keys, draw.randint(1, 4)) for key in draw.sample(source_keys, draw.randint(1, 6))}
    mapping, theirs = KeyMap.from_upstream(feeds), dg.StaticPartitionMapping(feeds)
    made, source = Static(made_keys), Static(source_keys)
    their_made, their_source = dg.StaticPartitionsDefinition(made_keys), dg.StaticPartitionsDefinition(source_keys)
    some_made = draw.sample(made_keys, draw.randint(1, 3))
    some_source = draw.sample(source_keys, draw.randint(1, 3))

    up = mapping.upstream(PartitionSet.from_keys(made, some_made), source, NOW)
    down = mapping.downstream(PartitionSet.from_keys(source, some_source), made, NOW)

    expected = theirs.get_upstream_mapped_partitions_result_for_partitions(
        their_made.subset_with_partition_keys(some_made), their_made, their_source
    )
    assert set(up.partitions.keys) == set(expected.partitions_subset.get_partition_keys())
    assert not up.nonexistent
    assert set(down.keys) == set(
        theirs.get_downstream_partitions_for_partitions(
            their_source.subset_with_partition_keys(some_source), their_source, their_made
        ).get_partition_keys()
    )


@pytest.mark.parametrize("seed", range(40))
def test_equal_and_named_keys_map_to_what_dagster_says(seed) -> None:
    draw = random.Random(seed)
    keys = [f"k{n}" for n in range(8)]
    made_keys, source_keys = draw.sample(keys, 6), draw.sample(keys, 6)
    made, source = Static(made_keys), Static(source_keys)
    their_made, their_source = dg.StaticPartitionsDefinition(made_keys), dg.StaticPartitionsDefinition(source_keys)
    some_made, some_source = draw.sample(made_keys, 3), draw.sample(source_keys, 3)
    pairs: list[tuple[Any, Any]] = [
        (Identity(), dg.IdentityPartitionMapping()),
        (SpecificPartitions(some_source), dg.SpecificPartitionsPartitionMapping(some_source)),
        (LastPartition(), dg.LastPartitionMapping()),
        (AllPartitions(), dg.AllPartitionMapping()),
    ]
    for mapping, theirs in pairs:
        up = mapping.upstream(PartitionSet.from_keys(made, some_made), source, NOW)
        down = mapping.downstream(PartitionSet.from_keys(source, some_source), made, NOW)

        expected = theirs.get_upstream_mapped_partitions_result_for_partitions(
            their_made.subset_with_partition_keys(some_made), their_made, their_source
        )
        assert set(up.partitions.keys) == set(expected.partitions_subset.get_partition_keys())
        assert {first for first, _ in up.nonexistent} == set(
            expected.required_but_nonexistent_subset.get_partition_keys()
        )
        assert set(down.keys) == set(
            theirs.get_downstream_partitions_for_partitions(
                their_source.subset_with_partition_keys(some_source), their_source, their_made
            ).get_partition_keys()
        )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_the_last_partition_is_that_of_dagster(zone, hour) -> None:
    now = datetime(2024, 3, 10, hour, 30, tzinfo=UTC)
    for grain in GRAINS:
        source, their_source = drawn(random.Random(1), grain, zone)
        expected = dg.LastPartitionMapping().get_upstream_mapped_partitions_result_for_partitions(
            None, None, their_source, now
        )

        last = LastPartition().upstream(PartitionSet.everything(Unpartitioned()), source, now).partitions

        assert last.keys == list(expected.partitions_subset.get_partition_keys())


def test_two_zones_are_refused_by_dagster_and_not_inferred_by_us() -> None:
    theirs = dg.TimeWindowPartitionMapping()
    made, source = (dg.DailyPartitionsDefinition("2024-01-01", timezone=zone) for zone in ("UTC", "America/New_York"))
    with pytest.raises(dg.DagsterInvalidDefinitionError):
        theirs.get_upstream_mapped_partitions_result_for_partitions(
            made.subset_with_partition_keys(["2024-01-05"]), made, source, NOW
        )

    with pytest.raises(InvalidInputError, match="is not evident"):
        infer_mapping(Daily("2024-01-01"), Daily("2024-01-01", tz="America/New_York"))


@pytest.mark.parametrize(
    ("made", "source", "theirs"),
    [
        (("daily", "UTC"), ("hourly", "UTC"), dg.TimeWindowPartitionMapping),
        (("monthly", "UTC"), ("daily", "UTC"), dg.TimeWindowPartitionMapping),
        (("daily", "UTC"), ("daily", "UTC"), dg.TimeWindowPartitionMapping),
        (("daily", "UTC"), None, dg.AllPartitionMapping),
        (None, ("daily", "UTC"), dg.AllPartitionMapping),
    ],
    ids=str,
)
def test_what_is_inferred_is_what_dagster_infers(made, source, theirs) -> None:
    from dagster._core.definitions.partitions.utils.mapping import infer_partition_mapping

    draw = random.Random(0)
    ours_made, their_made = drawn(draw, *made) if made else (Unpartitioned(), None)
    ours_source, their_source = drawn(draw, *source) if source else (Unpartitioned(), None)

    inferred = infer_mapping(ours_made, ours_source)

    assert isinstance(infer_partition_mapping(None, their_made, their_source), theirs)
    kinds = (AllPartitions,) if theirs is dg.AllPartitionMapping else (TimeOverlap, Identity)
    assert isinstance(inferred, kinds)  # between equal windows, overlap is identity
