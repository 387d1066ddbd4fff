"""Which versions are stale: gathers the facts that the rules of :mod:`lakepart.planning.staleness` decide on."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

import numpy as np

from lakepart.catalog.database import Connection
from lakepart.catalog.definitions import list_definitions
from lakepart.catalog.lookups import find_asset
from lakepart.catalog.reading import contents, find_inputs, find_version_columns
from lakepart.engine.context import View
from lakepart.engine.lineage import IDENTITY, WITHOUT
from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.definitions import PartitionsDefinition
from lakepart.model.intervals import IntegerArray
from lakepart.model.mappings import (
    CustomMapping,
    FromDimension,
    LastPartition,
    PartitionMapping,
    PerDimension,
    mapping_from_dict,
)
from lakepart.model.ordinal_ranges import OrdinalRange, ordinals_within
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.records import AssetRecord, InputRecord, Redefinition
from lakepart.planning.staleness import (
    EARLY,
    MISSING_DIGEST,
    Reason,
    StaleKind,
    code_reason,
    digest_of_contents,
    input_reasons,
    is_early,
    is_stale,
    marked_reason,
    repartitioned_reason,
)
from lakepart.planning.status import Columns

Ranges = tuple[OrdinalRange, ...]
_OF_DIMENSIONS = {FromDimension.kind, PerDimension.kind}
JUDGED = ("ordinal", "written_at_us", "code_version", "stale_mark")


@dataclass(slots=True)
class Upstream:
    """One input asset now, as an asset made from it sees it: contents, and which partitions are stale themselves."""

    asset: AssetRecord
    definitions: Sequence[DefinitionRecord]
    downstream: PartitionsDefinition
    contents: Mapping[int, str]
    stale: set[int]
    as_of: datetime
    definition: PartitionsDefinition = field(init=False)
    _ordinals: IntegerArray = field(init=False)
    _digests: dict[tuple[int, str, bool], str] = field(init=False, default_factory=dict)
    _last: str | None = field(init=False, default=None)
    _repartitioned_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.definition = self.asset.partitions
        self._ordinals = np.array(list(self.contents), dtype=np.int64)  # the catalog gives them in order
        rewrites = (one.began for one in self.definitions if one.change is Redefinition.REPARTITIONED)
        self._repartitioned_at = max(rewrites, default=0)

    def was_repartitioned_since(self, record: InputRecord) -> bool:
        """Say whether none of the partitions that were read is a partition any more."""
        return record.snapshot < self._repartitioned_at

    def digest_of(self, record: InputRecord, ordinal: int) -> str:
        """Identify the contents that partition ``ordinal`` of the downstream asset would read now."""
        if shares_ordinals(record, self.downstream, self.definition):
            return self.contents.get(ordinal, MISSING_DIGEST)
        read = self._read_now(record, ordinal)
        one_to_one = record.mapping["kind"] == IDENTITY
        if (*read, one_to_one) not in self._digests:
            found = ((one, self.contents[one]) for one in self._committed(*read))
            self._digests[*read, one_to_one] = digest_of_contents(found, one_to_one=one_to_one)
        return self._digests[*read, one_to_one]

    def touches_stale(self, record: InputRecord, ordinal: int) -> bool:
        """Say whether any of those partitions is stale."""
        if not self.stale:
            return False
        if shares_ordinals(record, self.downstream, self.definition):
            return ordinal in self.stale
        return not self.stale.isdisjoint(self._committed(*self._read_now(record, ordinal)))

    def _read_now(self, record: InputRecord, ordinal: int) -> tuple[int, str]:
        """Give a selection and the definition that it is in; mapped again where the answer may have changed.

        That is where it follows the clock, or needed what did not exist then.
        """
        today = len(self.definitions) - 1
        if record.mapping["kind"] == LastPartition.kind:  # the same for every partition
            if self._last is None:
                self._last = self._mapped(LastPartition(), ordinal)
            return today, self._last
        noted = self._definition_of(record), record.selection
        if WITHOUT not in record.mapping and record.mapping["kind"] not in _OF_DIMENSIONS:
            return noted
        mapping = mapping_from_dict({name: value for name, value in record.mapping.items() if name != WITHOUT})
        may_differ = WITHOUT in record.mapping or mapping.follows_clock
        if not may_differ or any(isinstance(one, CustomMapping) for one in (mapping, *mapping.inner)):
            return noted
        if mapping.misfit(self.downstream, self.definition):  # one of the two was altered so that nothing can be mapped
            return noted
        return today, self._mapped(mapping, ordinal)

    def _mapped(self, mapping: PartitionMapping, ordinal: int) -> str:
        partition = PartitionSet.from_ordinals(self.downstream, [ordinal])
        return mapping.upstream(partition, self.definition, self.as_of).partitions.to_text()

    def _definition_of(self, record: InputRecord) -> int:
        """Find the definition under which a selection was noted; everything means everything there is now."""
        if record.selection == "*":
            return len(self.definitions) - 1
        return max(bisect_right(self.definitions, record.snapshot, key=_began) - 1, 0)

    def _committed(self, definition: int, selection: str) -> list[int]:
        keys = {name: known.with_hidden() for name, known in self.asset.keys.items()}
        then = replace(self.asset, definition=self.definitions[definition].definition, keys=keys).partitions
        ranges = PartitionSet.parse(then, selection).ordinal_ranges()
        found: list[int] = ordinals_within(self._ordinals, ranges).tolist()
        return found


def shares_ordinals(record: InputRecord, downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> bool:
    """Say whether the input partition that was read has the ordinal of the partition it was read for."""
    if record.mapping["kind"] != IDENTITY:
        return False
    return downstream.kind == "time" or (downstream.kind in {"static", "single"} and downstream == upstream)


@dataclass(slots=True)
class Judge:
    """Judges versions within one read transaction; remembers what it has looked up."""

    connection: Connection
    view: View
    as_of: datetime
    _stale: dict[tuple[str, Ranges], set[int]] = field(default_factory=dict)

    def judge(self, asset: AssetRecord, versions: Columns, ranges: Ranges) -> dict[int, list[Reason]]:
        """Give the reasons of every version that has any, by ordinal; remarks on upstream come last.

        Of the versions in ``ranges``, the columns :data:`JUDGED` are looked at.
        """
        inputs: dict[int, list[InputRecord]] = {}
        for ordinal, record in find_inputs(self.connection, self.view.scope(asset), ranges):
            inputs.setdefault(ordinal, []).append(record)
        judged: defaultdict[int, list[Reason]] = defaultdict(list)
        for ordinal, reason in chain(
            _code(asset, versions, inputs),
            _early(asset, versions),
            _marked(versions),
            self._inputs(asset, inputs, ranges),
        ):
            judged[ordinal].append(reason)
        return judged

    def _inputs(
        self, asset: AssetRecord, inputs: Mapping[int, Sequence[InputRecord]], ranges: Ranges
    ) -> Iterator[tuple[int, Reason]]:
        downstream = asset.partitions
        upstream = {name: self._look_up(name, downstream, inputs, ranges) for name in _input_assets(inputs)}
        for ordinal, lineage in inputs.items():
            comparable = []
            for one in lineage:
                if upstream[one.asset].was_repartitioned_since(one):
                    yield ordinal, repartitioned_reason(one)
                else:
                    comparable.append(one)
            for reason in input_reasons((one, upstream[one.asset].digest_of(one, ordinal)) for one in comparable):
                yield ordinal, reason
            for one in comparable:
                if upstream[one.asset].touches_stale(one, ordinal):
                    yield ordinal, Reason(StaleKind.UPSTREAM, f"{StaleKind.UPSTREAM}: {one.asset}")

    def _look_up(
        self,
        name: str,
        downstream: PartitionsDefinition,
        inputs: Mapping[int, Sequence[InputRecord]],
        ranges: Ranges,
    ) -> Upstream:
        asset = find_asset(self.connection, name)
        if asset is None:
            raise AssertionError(f"a version's input refers to asset {name!r}, which the catalog does not have")
        asset = self.view.define(self.connection, asset)
        definition = asset.partitions
        records = [record for lineage in inputs.values() for record in lineage if record.asset == name]
        if not all(shares_ordinals(record, downstream, definition) for record in records):
            ranges = tuple(PartitionSet.everything(definition).ordinal_ranges())
        found = dict(contents(self.connection, self.view.scope(asset), ranges))
        definitions = list_definitions(self.connection, asset.asset_id, self.view.branch, self.view.snapshot)
        return Upstream(asset, definitions, downstream, found, self._stale_ordinals(asset, ranges), self.as_of)

    def _stale_ordinals(self, asset: AssetRecord, ranges: Ranges) -> set[int]:
        seen = (asset.name, ranges)
        if seen not in self._stale:
            self._stale[seen] = set()  # an asset that feeds itself is not its own upstream
            versions = find_version_columns(self.connection, self.view.scope(asset), ranges, JUDGED)
            judged = self.judge(asset, versions, ranges)
            self._stale[seen] = {ordinal for ordinal, reasons in judged.items() if is_stale(reasons)}
        return self._stale[seen]


def _began(record: DefinitionRecord) -> int:
    return record.began


def _input_assets(inputs: Mapping[int, Sequence[InputRecord]]) -> set[str]:
    return {record.asset for records in inputs.values() for record in records}


def _code(asset: AssetRecord, versions: Columns, inputs: Container[int]) -> Iterator[tuple[int, Reason]]:
    current = asset.producer.code_version if asset.producer else None
    reasons = {
        (written_by, has_lineage): code_reason(written_by, current, has_lineage=has_lineage)
        for written_by in set(versions["code_version"])
        for has_lineage in (False, True)
    }
    if any(reasons.values()):
        for ordinal, written_by in zip(versions["ordinal"], versions["code_version"], strict=True):
            if reason := reasons[written_by, ordinal in inputs]:
                yield ordinal, reason


def _early(asset: AssetRecord, versions: Columns) -> Iterator[tuple[int, Reason]]:
    ordinals, written_at_us = (np.array(versions[name], dtype=np.int64) for name in ("ordinal", "written_at_us"))
    window_end_us = asset.partitions.window_ends_of(ordinals)
    if window_end_us is not None:
        early = is_early(written_at_us, window_end_us, int(asset.options.get("complete_after_us", 0)))
        yield from ((ordinal, EARLY) for ordinal in ordinals[early].tolist())


def _marked(versions: Columns) -> Iterator[tuple[int, Reason]]:
    reasons = {mark: marked_reason(mark) for mark in set(versions["stale_mark"])}
    if any(reasons.values()):
        for ordinal, mark in zip(versions["ordinal"], versions["stale_mark"], strict=True):
            if reason := reasons[mark]:
                yield ordinal, reason
