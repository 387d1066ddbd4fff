"""Explain: why one partition is as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakepart.catalog.reading import find_inputs
from lakepart.engine.context import LakeContext, View
from lakepart.model.instants import from_microseconds
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of
from lakepart.model.records import AssetRecord, InputRecord
from lakepart.planning.status import PartitionStatus

if TYPE_CHECKING:
    import pandas as pd


def explain_frame(
    context: LakeContext,
    view: View,
    asset: AssetRecord,
    partitions: PartitionSet,
    statuses: Sequence[PartitionStatus],
) -> pd.DataFrame:
    """Give rows of ``key, state, about, text``: the content, every reason, every input, the last error."""
    import pandas as pd

    with context.database.reading() as connection:
        inputs: dict[int, list[InputRecord]] = {}
        for ordinal, record in find_inputs(connection, view.scope(asset), partitions.ordinal_ranges()):
            inputs.setdefault(ordinal, []).append(record)
    rows = [
        (status.key, status.state, about, text)
        for status in statuses
        for about, text in _facts(status, inputs.get(status.ordinal, []))
    ]
    return pd.DataFrame(rows, columns=["key", "state", "about", "text"])


def _facts(status: PartitionStatus, inputs: Sequence[InputRecord]) -> list[tuple[str, str]]:
    facts = [("content", _content(status))]
    facts += [(reason.kind.value, reason.text) for reason in status.reasons]
    facts += [
        (
            "made from",
            f"{record.asset} {record.selection} as of snapshot {record.snapshot} ({record.mapping['kind']})",
        )
        for record in inputs
    ]
    if status.error is not None:
        facts.append(("last error", status.error))
    return facts


def _content(status: PartitionStatus) -> str:
    version = status.version
    if version is None:
        return "nothing was ever committed, or it was removed"
    by = f" by code version {version.code_version}" if version.code_version else ""
    what = count_of(version.row_count, "row") if version.row_count else "known to be empty"
    return (
        f"{what} in {count_of(version.file_count, 'file')} on {'+'.join(status.tiers) or 'no tier'}, "
        f"written {from_microseconds(version.written_at_us):%Y-%m-%d %H:%M:%S} UTC{by} (snapshot {version.began})"
    )
