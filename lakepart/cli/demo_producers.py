"""The producer of the demo, before and after its logic changed; importable, so that any process can run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lakepart.engine.readable import Part, ResolvedSelection
from lakepart.model.definitions import Daily
from lakepart.producers import producer

if TYPE_CHECKING:
    import pandas as pd

FLIGHTS_DAYS = Daily("2013-01-01", end="2014-01-01", by="time_hour", tz="America/New_York")
DAYS = Daily("2013-01-01", end="2014-01-01", tz="America/New_York")


@producer("daily_delays", partitions=DAYS, inputs={"flights": "flights"}, code_version="1")
def signed_delays(part: Part, flights: ResolvedSelection) -> pd.DataFrame:  # noqa: ARG001 - the input is cut to the part
    """Per carrier: flights, mean and 90th percentile delay, where leaving early counts against leaving late."""
    frame = flights.to_pandas(columns=["carrier", "dep_delay"])
    return _per_carrier(frame["carrier"], frame["dep_delay"])


@producer("daily_delays", partitions=DAYS, inputs={"flights": "flights"}, code_version="2")
def late_delays(part: Part, flights: ResolvedSelection) -> pd.DataFrame:  # noqa: ARG001 - the input is cut to the part
    """Per carrier: flights, mean and 90th percentile delay, where leaving early is a delay of zero."""
    frame = flights.to_pandas(columns=["carrier", "dep_delay"])
    return _per_carrier(frame["carrier"], frame["dep_delay"].clip(lower=0))


def _per_carrier(carriers: pd.Series[str], delays: pd.Series[float]) -> pd.DataFrame:
    import pandas as pd

    groups = delays.groupby(carriers)
    columns = {"flights": groups.size(), "mean_delay": groups.mean(), "p90_delay": groups.quantile(0.9)}
    return pd.DataFrame(columns).rename_axis("carrier").reset_index()
