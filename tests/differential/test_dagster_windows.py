"""Windows and keys against Dagster's own, around the clock changes of many zones.

Dagster's rules for clock changes hold for those of one hour between 01:00 and 03:59 into a positive summer time; what
it does at others follows from how it computes, and lakepart differs there as docs/partitions.md says. So windows must
be the same wherever no such odd change is near.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster import partition_loading_context

from lakepart.errors import InvalidInputError
from lakepart.model.definitions import TimeDefinition
from lakepart.model.grains import plainest_grain
from lakepart.model.partition_sets import PartitionSet

ZONES = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",  # midnights that did not exist
    "America/St_Johns",
    "America/Havana",  # midnights that come twice
    "Atlantic/Azores",
    "Europe/London",
    "Europe/Dublin",  # winter is its summer time, set back
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",  # summer time is half an hour
    "Australia/Adelaide",
    "Pacific/Chatham",
    "Pacific/Apia",  # left out a day
    "Antarctica/Troll",  # summer time is two hours
    "Asia/Tehran",
    "America/Caracas",
]
SHORT = ["0 * * * *", "30 * * * *", "*/15 * * * *", "0 */6 * * *", "0 */2 * * *", "0 9-17 * * 1-5"]
DAYS = ["0 0 * * *", "0 1 * * *", "30 2 * * *", "0 3 * * *", "0 23 * * *", "30 0 * * *", "0 0,12 * * *", "5 4 * * 1-5"]
LONG = ["0 0 * * 0", "0 2 * * 0", "30 1 * * 1", "0 0 1 * *", "0 2 15 * *", "0 0 L * *", "0 0 * * 5#2", "0 12 1-7 * 1"]
REACH = {**dict.fromkeys(SHORT, 6), **dict.fromkeys(DAYS, 12), **dict.fromkeys(LONG, 100)}
EXCLUDED = {"0 0 * * *": ["0 0 * * 6,0"], "0 * * * *": ["0 5-8 * * *"], "0 0,12 * * *": ["0 12 * * *"]}
FORMAT = "%Y-%m-%d-%H:%M"
HOUR = timedelta(hours=1)
FAR_FUTURE = datetime(2060, 1, 1, tzinfo=UTC)

Windows = dict[str, tuple[float, float]]


def changes_of(zone: str) -> list[datetime]:
    """Find when a zone's offset changed, to the minute, by asking Python for it."""
    tz, found = ZoneInfo(zone), []
    hours = [datetime(1996, 1, 1, tzinfo=UTC) + timedelta(hours=12 * step) for step in range(2 * 365 * 34)]
    for before, after in pairwise(hours):
        if before.astimezone(tz).utcoffset() != after.astimezone(tz).utcoffset():
            low, high = before, after
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                if middle.astimezone(tz).utcoffset() == before.astimezone(tz).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
    return found


def is_odd(change: datetime, zone: str) -> bool:
    """Say whether a change is none that Dagster's rules speak of."""
    tz = ZoneInfo(zone)
    before, after = (change - timedelta(minutes=1)).astimezone(tz), change.astimezone(tz)
    step = after.utcoffset() - before.utcoffset()
    wall = (before + timedelta(minutes=1)).replace(tzinfo=None) - (HOUR if step < timedelta() else timedelta())
    daylight = after.dst() if step > timedelta() else before.dst()
    return abs(step) != HOUR or wall.minute != 0 or wall.hour not in {1, 2, 3} or daylight != HOUR


def theirs_of(definition: dg.TimeWindowPartitionsDefinition) -> Windows:
    with partition_loading_context(effective_dt=FAR_FUTURE):
        keys = definition.get_partition_keys()
        windows = [definition.time_window_for_partition_key(key) for key in keys]
    return {key: (one.start.timestamp(), one.end.timestamp()) for key, one in zip(keys, windows, strict=True)}


def ours_of(definition: TimeDefinition) -> Windows:
    positions = definition.universe.to_array()
    ends = definition.window_ends_of(definition.ordinals_at(positions)) / 1e6
    starts = definition.ordinals_at(positions) / 1e6
    return dict(zip(definition.keys_at(positions), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))


def away_from(windows: Windows, odd: list[datetime]) -> Windows:
    """Leave out windows that begin or end near an odd change, by their instants or by what their key says."""
    near = [(one.timestamp() - 26 * 3600, one.timestamp() + 26 * 3600) for one in odd]
    return {
        key: (start, end)
        for key, (start, end) in windows.items()
        for said in [datetime.fromisoformat(f"{key[:10]}T12:00Z").timestamp()]
        if not any(low <= instant <= high for low, high in near for instant in (start, end, said))
    }


@pytest.mark.parametrize("zone", ZONES)
def test_windows_and_keys_are_those_of_dagster_except_at_odd_clock_changes(zone) -> None:
    chance = random.Random(f"windows {zone}")
    changes = changes_of(zone) or [datetime(2024, 2, 28, tzinfo=UTC)]
    compared = 0
    for cron in [*SHORT, *DAYS, *LONG]:
        for change in chance.sample(changes, min(3, len(changes))):
            start = change.replace(hour=0, minute=0, tzinfo=None) - timedelta(days=chance.randint(1, 3))
            end = start + timedelta(days=REACH[cron])
            excluded = chance.choice([[], EXCLUDED.get(cron, [])])
            odd = [one for one in changes if is_odd(one, zone) and abs(one - change) < timedelta(days=120)]
            if (
                cron in SHORT
                and odd
                and any(one.astimezone(ZoneInfo(zone)).utcoffset() % HOUR for one in (change - HOUR, change + HOUR))
            ):
                continue  # Dagster counts such hours from those of UTC, or from the offset of today

            ours = plainest_grain(cron, start, end=end, tz=zone, fmt=FORMAT, exclude=excluded)
            theirs = dg.TimeWindowPartitionsDefinition(
                start, fmt=FORMAT, end=end, timezone=zone, cron_schedule=cron, exclusions=excluded or None
            )

            expected = away_from(theirs_of(theirs), odd)
            assert away_from(ours_of(ours), odd) == expected, (cron, start, excluded)
            compared += len(expected)
    assert compared > 100


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Adelaide"])
@pytest.mark.parametrize("cron", ["0 * * * *", "0 0 * * *", "30 6 * * 1-5", "0 0 * * 1", "0 0 1 * *"])
def test_what_is_expected_by_an_instant_is_what_dagster_lists_then(zone, cron) -> None:
    chance = random.Random(f"instants {zone} {cron}")
    step = {"0 * * * *": HOUR, "0 0 1 * *": timedelta(days=31), "0 0 * * 1": timedelta(days=7)}.get(
        cron, timedelta(days=1)
    )
    for _ in range(12):
        start = datetime(2024, chance.randint(1, 12), chance.randint(1, 28))  # noqa: DTZ001 - wall time
        end = start + chance.randint(5, 12) * step if chance.random() < 0.4 else None
        end_offset = chance.choice([0, 0, 1, 3, -1])
        excluded = ["0 0 * * 6,0"] if cron == "0 0 * * *" and chance.random() < 0.5 else []
        instant = start.replace(tzinfo=ZoneInfo(zone)) + chance.uniform(4, 20) * step
        ours = plainest_grain(cron, start, end=end, tz=zone, end_offset=end_offset, exclude=excluded)
        theirs = dg.TimeWindowPartitionsDefinition(
            start,
            fmt=ours.fmt,
            end=end,
            timezone=zone,
            cron_schedule=cron,
            end_offset=end_offset,
            exclusions=excluded or None,
        )

        with partition_loading_context(effective_dt=instant):
            expected = list(theirs.get_partition_keys())

        assert ours.keys_at(ours.elapsed(instant).to_array()) == expected, (start, end, end_offset, excluded, instant)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Europe/London", "Asia/Kathmandu"])
@pytest.mark.parametrize("cron", ["0 * * * *", "0 0 * * *", "0 0 * * 1-5", "0 0 * * 0", "0 0 1 * *"])
def test_ranges_hold_the_keys_that_dagster_finds_in_them(zone, cron) -> None:
    chance = random.Random(f"ranges {zone} {cron}")
    days = {"0 * * * *": 5, "0 0 1 * *": 700}.get(cron, 60)
    start = datetime(2024, 10, 30)  # noqa: DTZ001 - wall time; the clocks go back soon after
    excluded = ["0 0 * * 3"] if cron == "0 0 * * *" else []
    ours = plainest_grain(cron, start, end=start + timedelta(days=days), tz=zone, exclude=excluded)
    theirs = dg.TimeWindowPartitionsDefinition(
        start,
        fmt=ours.fmt,
        end=start + timedelta(days=days),
        timezone=zone,
        cron_schedule=cron,
        exclusions=excluded or None,
    )
    keys = ours.keys_at(ours.universe.to_array())
    for _ in range(15):
        first, last = sorted(chance.choices(range(len(keys)), k=2))

        with partition_loading_context(effective_dt=FAR_FUTURE):
            expected = list(theirs.get_partition_keys_in_range(dg.PartitionKeyRange(keys[first], keys[last])))

        assert PartitionSet(ours, ours.slice(keys[first], keys[last])).keys == expected


def test_a_repeated_hour_is_excluded_twice_where_dagster_excludes_its_second_alone() -> None:
    bounds = {"start": datetime(2024, 11, 3), "end": datetime(2024, 11, 4)}  # noqa: DTZ001 - wall time
    theirs = dg.TimeWindowPartitionsDefinition(
        **bounds, fmt=FORMAT, timezone="America/New_York", cron_schedule="0 * * * *", exclusions=["0 1 * * *"]
    )
    ours = plainest_grain("0 * * * *", **bounds, tz="America/New_York", exclude=["0 1 * * *"])

    assert theirs_of(theirs).keys() - ours_of(ours).keys() == {"2024-11-03-01:00"}
    assert "2024-11-03-01:00-0500" not in theirs_of(theirs)


def test_a_range_without_a_whole_window_is_refused_where_dagster_lists_a_key_beyond_the_end() -> None:
    theirs = dg.WeeklyPartitionsDefinition("2024-02-27", end_date="2024-03-06")

    with partition_loading_context(effective_dt=FAR_FUTURE):
        assert theirs.get_partition_keys() == ["2024-03-03"]  # whose week ends on March 10
    with pytest.raises(InvalidInputError, match="No weekly window lies between"):
        plainest_grain("0 0 * * 0", "2024-02-27", end="2024-03-06")
