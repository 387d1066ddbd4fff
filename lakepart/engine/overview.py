"""The lake as a whole: its assets, what is where, and how much of it is in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakepart.catalog.lookups import find_asset, list_assets
from lakepart.catalog.reading import find_files
from lakepart.engine.context import LakeContext
from lakepart.engine.home import Home
from lakepart.engine.status import as_of_now, read_statuses
from lakepart.model.partition_sets import PartitionSet

if TYPE_CHECKING:
    import pandas as pd


def asset_names(context: LakeContext) -> list[str]:
    """List the assets, by name."""
    with context.database.reading() as connection:
        return [asset.name for asset in list_assets(connection)]


def find_options(context: LakeContext, name: str) -> Mapping[str, Any]:
    """Give the options an asset was declared with; none where it is not declared."""
    with context.database.reading() as connection:
        found = find_asset(connection, name)
    return {} if found is None else found.options


def lake_status(home: Home, as_of: datetime | None) -> pd.DataFrame:
    """Give one row per asset: how many partitions are fresh, stale, empty, missing, failed and running."""
    import pandas as pd

    states = ("fresh", "stale", "empty", "missing", "failed", "running")
    rows = []
    instant = as_of_now(home.context, home.view, as_of)
    with home.context.database.reading() as connection:
        view = home.view.look(connection)
        assets = [view.define(connection, asset) for asset in list_assets(connection)]
    for asset in assets:
        everything = PartitionSet.everything(asset.partitions)
        statuses = read_statuses(home.context, home.view, asset, everything, explicit=False, as_of=instant)
        counts = Counter(statuses.states)
        row_count, size_bytes = (sum(statuses.versions[name]) for name in ("row_count", "size_bytes"))
        rows.append((asset.name, *(counts[state] for state in states), row_count, size_bytes))
    return pd.DataFrame(rows, columns=["asset", *states, "rows", "bytes"])


def tier_report(home: Home) -> pd.DataFrame:
    """Give one row per asset and tier, of current files: partitions, files, rows, bytes, first and last key."""
    import pandas as pd

    rows = []
    with home.context.database.reading() as connection:
        view = home.view.look(connection)
        for asset in list_assets(connection):
            definition = view.define(connection, asset).partitions
            ranges = PartitionSet.everything(definition).ordinal_ranges()
            found = find_files(connection, view.scope(asset), ranges)
            for tier in home.context.tiers:
                here = [(ordinal, file) for ordinal, file in found if file.tier == tier.name]
                if here:
                    rows.append(
                        (
                            asset.name,
                            tier.name,
                            len({ordinal for ordinal, _ in here}),
                            len(here),
                            sum(file.row_count for _, file in here),
                            sum(file.size_bytes for _, file in here),
                            definition.key_of_ordinal(here[0][0]),
                            definition.key_of_ordinal(here[-1][0]),
                        )
                    )
    return pd.DataFrame(rows, columns=["asset", "tier", "partitions", "files", "rows", "bytes", "first", "last"])
