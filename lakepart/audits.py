"""Audits: checks of what a branch or a backfill is about to publish, and some that many need.

An audit is any callable that takes a selection of the partitions about to be published. It passes by returning
nothing, and fails by raising or by returning what it found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from lakepart.engine.auditing import AuditFinding, AuditResult
from lakepart.errors import InvalidInputError
from lakepart.model.plans import count_of, list_some
from lakepart.parquet.filters import check_columns
from lakepart.parquet.routing import positions
from lakepart.parquet.schemas import plain
from lakepart.selection import Selection

Audit = Callable[[Selection], "AuditResult | Iterable[AuditFinding | str] | None"]


@dataclass(frozen=True)
class RowCountDrift:
    """Each replaced partition keeps its number of rows, up to a share: by default a fifth more or less.

    Asks the catalog alone. What is new, or was empty, has nothing to be compared with.
    """

    most: float = 0.2

    def __call__(self, selection: Selection) -> AuditResult:
        """Check the partitions."""
        changed = selection.diff("main")
        replaced = changed[(changed["change"] == "changed") & (changed["rows_before"] > 0)]
        drift = (replaced["rows_delta"] / replaced["rows_before"]).abs()
        found = [
            AuditFinding(f"had {before:,} rows and would have {after:,}", key)
            for key, before, after, share in zip(
                replaced["key"], replaced["rows_before"], replaced["rows_after"], drift, strict=True
            )
            if share > self.most
        ]
        return AuditResult(found, {"largest_drift": round(float(drift.max()), 6) if len(drift) else 0.0})


@dataclass(frozen=True, init=False)
class NoNulls:
    """No null in any of these columns; from the files' statistics, and by reading where a file has none."""

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        object.__setattr__(self, "columns", _columns(columns))

    def __call__(self, selection: Selection) -> AuditResult:
        """Check the partitions."""
        resolved = selection._resolve(statistics=True)
        check_columns(self.columns, resolved.schema)
        keys = {version.ordinal: version.key for version in resolved.versions}
        nulls: dict[tuple[str, str], int] = {}
        unknown: set[str] = set()
        for ordinal, file in resolved.files:
            for name in self.columns:
                known = (file.statistics or {}).get(name)
                if known is None or known[2] is None:
                    unknown.add(keys[ordinal])
                else:
                    nulls[keys[ordinal], name] = nulls.get((keys[ordinal], name), 0) + known[2]
        for key, batch in _batches(selection, sorted(unknown), self.columns):
            for name in self.columns:
                nulls[key, name] = nulls.get((key, name), 0) + batch[name].null_count
        found = [
            AuditFinding(f"has {count_of(count, 'null')} in {name!r}", key)
            for (key, name), count in sorted(nulls.items())
            if count
        ]
        return AuditResult(found, {"nulls": sum(nulls.values())})


@dataclass(frozen=True, init=False)
class UniqueKey:
    """No two rows of one partition have the same values in these columns; reads them, a partition at a time."""

    columns: tuple[str, ...]

    def __init__(self, *columns: str) -> None:
        object.__setattr__(self, "columns", _columns(columns))

    def __call__(self, selection: Selection) -> AuditResult:
        """Check the partitions."""
        found, duplicates = [], 0
        for one in selection:
            table = one.to_arrow(list(self.columns))
            twice = table.num_rows - table.group_by(list(self.columns)).aggregate([]).num_rows
            duplicates += twice
            if twice:
                text = f"has {count_of(twice, 'row')} with {list_some(self.columns)} of another row"
                found.append(AuditFinding(text, one.keys[0]))
        return AuditResult(found, {"duplicates": duplicates})


@dataclass(frozen=True)
class InPartition:
    """Every row lies in the partition that it belongs to by the ``by`` columns; reads them.

    Of an asset without such columns nothing can be said, and ``checked`` is 0.
    """

    def __call__(self, selection: Selection) -> AuditResult:
        """Check the partitions."""
        definition = selection.partitions
        if not definition.columns or definition.unsaid:
            return AuditResult((), {"checked": 0})
        checked = 0
        foreign: dict[str, int] = {}
        for key, batch in _batches(selection, selection.keys, definition.columns):
            checked += batch.num_rows
            try:
                elsewhere = positions(batch, definition) != definition.position_of(key)
            except InvalidInputError:  # some belong to no partition at all
                foreign[key] = foreign.get(key, 0) + 1
            else:
                foreign[key] = foreign.get(key, 0) + int(elsewhere.sum())
        found = [AuditFinding("has rows of other partitions", key) for key, count in foreign.items() if count]
        return AuditResult(found, {"checked": checked})


@dataclass(frozen=True)
class HasSchema:
    """The asset has these columns with these types; others may be there, too. Asks the catalog alone."""

    columns: Mapping[str, pa.DataType] | pa.Schema

    def __call__(self, selection: Selection) -> AuditResult:
        """Check the partitions."""
        given = self.columns
        wanted = {one.name: one.type for one in given} if isinstance(given, pa.Schema) else dict(given)
        actual = {one.name: one.type for one in plain(selection._resolve().schema)}
        found = [
            AuditFinding(f"column {name!r} is {actual.get(name, 'missing')}, not {kind}")
            for name, kind in wanted.items()
            if actual.get(name) != kind
        ]
        return AuditResult(found, {"columns": len(actual)})


def _batches(selection: Selection, keys: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    wanted = set(keys)
    for one in selection if wanted else ():
        (key,) = one.keys
        if key in wanted:
            for batch in one.to_batches(list(columns)):
                yield key, batch


def _columns(given: tuple[str, ...]) -> tuple[str, ...]:
    if not given or not all(isinstance(name, str) for name in given):
        raise InvalidInputError(f"An audit of columns needs their names, not {given!r}.", hint='NoNulls("sku", "day")')
    return given
