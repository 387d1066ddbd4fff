"""What is known of partitions at one moment: of many as columns, of a few as objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from lakepart.model.catalog_records import WorkRecord
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.intervals import IntegerArray
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import VersionRecord
from lakepart.planning.staleness import Reason, is_stale

Columns = Mapping[str, Sequence[Any]]
Objects = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition's two facts, data and work, and what they rest on."""

    key: str
    ordinal: int
    data: str
    work: str | None
    reasons: tuple[Reason, ...]
    error: str | None
    version: VersionRecord | None
    tiers: tuple[str, ...]

    @property
    def state(self) -> str:
        """The one word shown: running, failed, or what the data are."""
        return _one_word(self.work, self.data)


@dataclass(frozen=True, slots=True, eq=False)
class Statuses:
    """Statuses of any number of partitions, in their order: a column costs far less than a field of as many objects.

    Attributes
    ----------
    ordinals, keys, data, work, errors, tiers
        One value per partition, as in :class:`PartitionStatus`.
    reasons
        By row, of the partitions that have any.
    versions
        Columns of the versions that are there; ``rows`` says to which row each belongs.
    """

    ordinals: IntegerArray
    keys: Objects
    data: Objects
    work: Objects
    errors: Objects
    tiers: Sequence[tuple[str, ...]]
    reasons: Mapping[int, tuple[Reason, ...]]
    versions: Columns
    rows: IntegerArray

    def __len__(self) -> int:
        return len(self.ordinals)

    @property
    def states(self) -> list[str]:
        """The one word shown of each."""
        return list(map(_one_word, self.work, self.data))

    def to_objects(self) -> list[PartitionStatus]:
        """Give one object per partition; ``versions`` must have every column of a record."""
        versions = np.full(len(self), None, dtype=object)
        every = (self.versions[field.name] for field in fields(VersionRecord))
        for row, values in zip(self.rows.tolist(), zip(*every, strict=True), strict=True):
            versions[row] = VersionRecord(*values)
        columns = (self.keys, self.ordinals.tolist(), self.data, self.work, self.errors, versions, self.tiers)
        return [
            PartitionStatus(key, ordinal, data, work, self.reasons.get(row, ()), error, version, tiers)
            for row, (key, ordinal, data, work, error, version, tiers) in enumerate(zip(*columns, strict=True))
        ]


def gather_statuses(
    expected: PartitionSet,
    versions: Columns,
    reasons: Mapping[int, Sequence[Reason]],
    work: Iterable[WorkRecord],
    tiers: tuple[Sequence[int], Sequence[str]],
) -> Statuses:
    """Put together what is known, by ordinal, of the partitions that are ``expected`` or there.

    Parameters
    ----------
    expected
        Partitions to list whether they are there or not.
    versions
        Columns ``key, ordinal, row_count, written_at_us`` of the versions that are there, and any others.
    reasons
        Of the versions that have any.
    work
        What runs or failed; only that of listed partitions counts.
    tiers
        Ordinals and the tier of each of their files.
    """
    there = np.array(versions["ordinal"], dtype=np.int64)
    ordinals = np.union1d(expected.ordinals, there)
    rows = np.searchsorted(ordinals, there)
    given = {row: tuple(found) for row, found in zip(_rows_of(ordinals, reasons), reasons.values(), strict=True)}
    working, errors = _work(ordinals, rows, versions["written_at_us"], work)
    return Statuses(
        ordinals=ordinals,
        keys=_keys(expected.definition, ordinals, rows, versions["key"]),
        data=_data(len(ordinals), rows, versions["row_count"], given),
        work=working,
        errors=errors,
        tiers=_tiers(len(ordinals), _rows_of(ordinals, tiers[0]), tiers[1]),
        reasons=given,
        versions=versions,
        rows=rows,
    )


def _one_word(work: str | None, data: str) -> str:
    return work or data


def _rows_of(ordinals: IntegerArray, listed: Iterable[int]) -> list[int]:
    """Find ordinals that are all there."""
    found: list[int] = np.searchsorted(ordinals, np.array([*listed], dtype=np.int64)).tolist()
    return found


def _keys(definition: PartitionsDefinition, ordinals: IntegerArray, rows: IntegerArray, keys: Sequence[str]) -> Objects:
    every = np.full(len(ordinals), None, dtype=object)
    every[rows] = keys
    absent = np.delete(np.arange(len(ordinals)), rows)
    every[absent] = definition.keys_at(definition.positions_at(ordinals[absent]))
    return every


def _data(
    count: int, rows: IntegerArray, row_counts: Sequence[int], reasons: Mapping[int, Sequence[Reason]]
) -> Objects:
    data = np.full(count, "missing", dtype=object)
    data[rows] = "fresh"
    data[rows[np.array(row_counts, dtype=np.int64) == 0]] = "empty"
    for row, found in reasons.items():
        if is_stale(found):
            data[row] = "stale"
    return data


def _work(
    ordinals: IntegerArray, rows: IntegerArray, written_at_us: Sequence[int], work: Iterable[WorkRecord]
) -> tuple[Objects, Objects]:
    states, errors = (np.full(len(ordinals), None, dtype=object) for _ in range(2))
    listed = [worked for worked in work if _holds(ordinals, worked.ordinal)]
    written = dict(zip(rows.tolist(), written_at_us, strict=True)) if listed else {}
    for row, worked in zip(_rows_of(ordinals, (worked.ordinal for worked in listed)), listed, strict=True):
        if worked.state == "failed" and row in written and written[row] > worked.at_us:
            continue  # newer content has answered that failure
        states[row], errors[row] = worked.state, worked.error
    return states, errors


def _holds(ordinals: IntegerArray, ordinal: int) -> bool:
    row = int(np.searchsorted(ordinals, ordinal))
    return row < len(ordinals) and int(ordinals[row]) == ordinal


def _tiers(count: int, rows: Iterable[int], names: Iterable[str]) -> list[tuple[str, ...]]:
    alone: dict[str, tuple[str, ...]] = {}  # one tuple for all partitions of a tier
    tiers: list[tuple[str, ...]] = [()] * count
    for row, name in zip(rows, names, strict=True):
        if not tiers[row]:
            tiers[row] = alone.setdefault(name, (name,))
        elif name not in tiers[row]:
            tiers[row] = (*tiers[row], name)
    return tiers
