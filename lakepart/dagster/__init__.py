"""Dagster: an IO manager that keeps assets in a lake, and partitions definitions translated both ways.

Needs ``pip install 'lakepart[dagster]'``; nothing else in lakepart imports Dagster.
"""

try:
    import dagster as _dagster  # noqa: F401 - only to say what is missing
except ModuleNotFoundError as error:
    if error.name != "dagster":
        raise
    raise ModuleNotFoundError(
        "lakepart.dagster needs Dagster, which is not installed. Hint: pip install 'lakepart[dagster]'", name=error.name
    ) from error

from lakepart.dagster.io_manager import LakepartIOManager
from lakepart.dagster.partitions import from_dagster, to_dagster

__all__ = ["LakepartIOManager", "from_dagster", "to_dagster"]
