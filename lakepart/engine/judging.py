"""Which versions are stale: gathers the facts that the rules of :mod:`lakepart.planning.staleness` decide on."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lakepart.catalog.database import Connection
from lakepart.catalog.lookups import find_asset
from lakepart.catalog.reading import contents, find_inputs, find_versions
from lakepart.engine.context import View
from lakepart.engine.lineage import IDENTITY
from lakepart.model.definitions import PartitionsDefinition, definition_from_dict
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord, InputRecord, VersionRecord
from lakepart.planning.staleness import (
    MISSING_DIGEST,
    Reason,
    StaleKind,
    code_reason,
    digest_of_contents,
    early_reason,
    input_reasons,
    marked_reason,
)

Ranges = tuple[tuple[int, int], ...]
_LONGEST_WINDOW_US = 400 * 24 * 3600 * 1_000_000


@dataclass(slots=True)
class Upstream:
    """One input asset now: the content of each partition, and which of them are stale themselves."""

    definition: PartitionsDefinition
    contents: Mapping[int, str]
    stale: set[int]
    _ordinals: list[int] = field(init=False)
    _digests: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._ordinals = list(self.contents)  # the catalog gives them in order

    def digest_of(self, record: InputRecord, ordinal: int) -> str:
        """Identify the contents that partition ``ordinal`` of the downstream asset would read now."""
        if record.mapping["kind"] == IDENTITY:
            return self.contents.get(ordinal, MISSING_DIGEST)
        if record.selection not in self._digests:
            self._digests[record.selection] = digest_of_contents(
                (found, self.contents[found]) for found in self._committed(record.selection)
            )
        return self._digests[record.selection]

    def touches_stale(self, record: InputRecord, ordinal: int) -> bool:
        """Say whether any of those partitions is stale."""
        if not self.stale:
            return False
        if record.mapping["kind"] == IDENTITY:
            return ordinal in self.stale
        return not self.stale.isdisjoint(self._committed(record.selection))

    def _committed(self, selection: str) -> list[int]:
        ranges = PartitionSet.parse(self.definition, selection).ordinal_ranges()
        slices = (slice(bisect_left(self._ordinals, low), bisect_right(self._ordinals, high)) for low, high in ranges)
        return [ordinal for one in slices for ordinal in self._ordinals[one]]


@dataclass(slots=True)
class Judge:
    """Judges versions within one read transaction; remembers what it has looked up."""

    connection: Connection
    view: View
    _stale: dict[tuple[str, Ranges], set[int]] = field(default_factory=dict)

    def judge(self, asset: AssetRecord, versions: Sequence[VersionRecord], ranges: Ranges) -> dict[int, list[Reason]]:
        """Give the reasons of every version that has any, by ordinal; remarks on upstream come last."""
        definition = definition_from_dict(asset.definition)
        inputs: dict[int, list[InputRecord]] = {}
        for ordinal, record in find_inputs(self.connection, self.view.scope(asset), ranges):
            inputs.setdefault(ordinal, []).append(record)
        upstream = {name: self._look_up(name, inputs, ranges) for name in _input_assets(inputs)}
        code_version = asset.producer.code_version if asset.producer else None
        complete_after_us = int(asset.options.get("complete_after_us", 0))
        judged: dict[int, list[Reason]] = {}
        for version in versions:
            lineage = inputs.get(version.ordinal, ())
            own = (
                code_reason(version.code_version, code_version, has_lineage=bool(lineage)),
                _early(definition, version, complete_after_us),
                marked_reason(version.stale_mark),
            )
            given = [reason for reason in own if reason is not None]
            if lineage:
                given += input_reasons(
                    (record, upstream[record.asset].digest_of(record, version.ordinal)) for record in lineage
                )
                remarks = (_remark(record, version.ordinal, upstream[record.asset]) for record in lineage)
                given += [remark for remark in remarks if remark is not None]
            if given:
                judged[version.ordinal] = given
        return judged

    def _look_up(self, name: str, inputs: Mapping[int, Sequence[InputRecord]], ranges: Ranges) -> Upstream:
        asset = find_asset(self.connection, name)
        if asset is None:
            raise AssertionError(f"a version's input refers to asset {name!r}, which the catalog does not have")
        definition = definition_from_dict(asset.definition)
        records = [record for lineage in inputs.values() for record in lineage if record.asset == name]
        if any(record.mapping["kind"] != IDENTITY for record in records):
            ranges = tuple(PartitionSet.everything(definition).ordinal_ranges())
        found = dict(contents(self.connection, self.view.scope(asset), ranges))
        return Upstream(definition, found, self._stale_ordinals(asset, ranges))

    def _stale_ordinals(self, asset: AssetRecord, ranges: Ranges) -> set[int]:
        seen = (asset.name, ranges)
        if seen not in self._stale:
            self._stale[seen] = set()  # an asset that feeds itself is not its own upstream
            versions = find_versions(self.connection, self.view.scope(asset), ranges)
            self._stale[seen] = {
                ordinal
                for ordinal, reasons in self.judge(asset, versions, ranges).items()
                if any(reason.kind is not StaleKind.UPSTREAM for reason in reasons)
            }
        return self._stale[seen]


def _input_assets(inputs: Mapping[int, Sequence[InputRecord]]) -> set[str]:
    return {record.asset for records in inputs.values() for record in records}


def _remark(record: InputRecord, ordinal: int, upstream: Upstream) -> Reason | None:
    if not upstream.touches_stale(record, ordinal):
        return None
    return Reason(StaleKind.UPSTREAM, f"{StaleKind.UPSTREAM}: {record.asset}")


def _early(definition: PartitionsDefinition, version: VersionRecord, complete_after_us: int) -> Reason | None:
    if definition.kind != "time" or version.written_at_us >= version.ordinal + _LONGEST_WINDOW_US + complete_after_us:
        return None  # decided without computing the window: nearly always, for data loaded after the fact
    window = definition.window_at(definition.position_at(version.ordinal))
    window_end_us = None if window is None else int(window.end.timestamp() * 1_000_000)
    return early_reason(version.written_at_us, window_end_us, complete_after_us)
