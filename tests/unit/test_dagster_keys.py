"""Foreign keys must match Dagster's bit for bit, so Dagster itself is the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster
import pytest

from lakepart.model.definitions import Daily, Hourly, Monthly, TimeDefinition, Weekly

CASES: list[tuple[str, type[TimeDefinition], str, str]] = [
    ("HourlyPartitionsDefinition", Hourly, "2024-03-09-00:00", "2024-03-12-00:00"),
    ("HourlyPartitionsDefinition", Hourly, "2024-11-02-00:00", "2024-11-05-00:00"),
    ("DailyPartitionsDefinition", Daily, "2024-02-20", "2024-11-10"),
    ("WeeklyPartitionsDefinition", Weekly, "2024-01-01", "2024-12-30"),
    ("MonthlyPartitionsDefinition", Monthly, "2023-01-15", "2025-02-10"),
]
ZONES = ["UTC", "America/New_York", "Europe/London", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Sydney"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(("name", "ours", "start", "end"), CASES)
def test_keys_and_windows_are_those_of_dagster(name, ours, start, end, zone) -> None:
    theirs: Any = getattr(dagster, name)(start_date=start, end_date=end, timezone=zone)

    definition = ours(start, end=end, tz=zone)

    keys = definition.keys_at(definition.universe.to_array())
    assert keys == list(theirs.get_partition_keys())
    for key in keys[:3] + keys[-3:]:
        window, expected = definition.window_at(definition.position_of(key)), theirs.time_window_for_partition_key(key)
        assert (window.start.timestamp(), window.end.timestamp()) == (
            expected.start.timestamp(),
            expected.end.timestamp(),
        )


def test_the_last_elapsed_window_is_that_of_dagster() -> None:
    theirs = dagster.DailyPartitionsDefinition(start_date="2024-01-01", timezone="America/New_York")
    ours = Daily("2024-01-01", tz="America/New_York")

    for minute in (59, 60):  # New York's midnight is 05:00 UTC
        now = datetime(2024, 3, 1, 4, tzinfo=UTC) + timedelta(minutes=minute)
        with dagster.partition_loading_context(effective_dt=now):
            assert ours.key_at(ours.elapsed(now).last) == theirs.get_last_partition_key()
