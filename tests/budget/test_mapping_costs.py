"""Mapping costs a time in the runs of partitions, not in their number: sizes are counted, nothing is timed."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from lakepart.model.definitions import Daily, Hourly, Monthly
from lakepart.model.mappings import Identity, TimeOverlap
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.window_series import WindowSeries

NOW = datetime(2024, 6, 1, tzinfo=UTC)
ZONE = "America/New_York"
DAYS, HOURS = Daily("2013-01-01", tz=ZONE), Hourly("2013-01-01", tz=ZONE)


@pytest.fixture
def computed(monkeypatch) -> list[int]:
    """How many windows each look-up of starts, ends or positions was for."""
    sizes: list[int] = []

    def counting(name: str) -> None:
        original = getattr(WindowSeries, name)

        def counted(self, values):
            sizes.append(int(np.size(values)))
            return original(self, values)

        monkeypatch.setattr(WindowSeries, name, counted)

    for name in ("starts_of", "ends_of", "positions_of_starts", "positions_of_instants", "start_of", "end_of"):
        counting(name)
    return sizes


@pytest.mark.parametrize(
    ("mapping", "made", "source"),
    [
        (TimeOverlap(), DAYS, HOURS),
        (TimeOverlap(lookback=6), DAYS, HOURS),
        (TimeOverlap(-30, 30), HOURS, DAYS),
        (TimeOverlap(), HOURS, Monthly("2010-01-01", tz=ZONE)),
        (Identity(), DAYS, Daily("2010-01-01", tz=ZONE)),
    ],
    ids=repr,
)
def test_a_decade_costs_no_more_than_a_day(mapping, made, source, computed) -> None:
    counts = []
    for text in ("2014-01-05..2014-01-05", "2014-01-05..2023-12-31"):
        first, last = (f"{day}{'' if made is DAYS else '-00:00'}" for day in text.split(".."))
        partitions = PartitionSet.parse(made, f"{first}..{last}" if first != last else first)
        computed.clear()
        upstream = mapping.upstream(partitions, source, NOW)
        mapping.downstream(upstream.partitions, made, NOW)
        counts.append((len(computed), sum(computed)))

    assert counts[0] == counts[1]
    assert counts[1][1] <= 40


def test_every_run_is_looked_up_in_the_same_calls(computed) -> None:
    mapping = TimeOverlap(lookback=1)
    one = PartitionSet.from_keys(DAYS, ["2014-01-05"])
    scattered = PartitionSet.from_keys(DAYS, DAYS.keys_at(np.arange(1000, 3000, 4)))

    computed.clear()
    mapping.upstream(one, HOURS, NOW)
    calls = len(computed)
    computed.clear()
    mapping.upstream(scattered, HOURS, NOW)

    assert len(computed) == calls
