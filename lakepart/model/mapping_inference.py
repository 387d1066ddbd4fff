"""What two definitions suggest when no mapping is given."""

from __future__ import annotations

from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.definitions import Unpartitioned
from lakepart.model.dimension_mappings import FromDimension, PerDimension
from lakepart.model.key_mappings import AllPartitions, Identity
from lakepart.model.mapped_boxes import dimensions_of
from lakepart.model.mapping_base import PartitionMapping
from lakepart.model.single_inference import nothing_suggested, suggest_for_one


def infer_mapping(downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> PartitionMapping:
    """Choose the mapping that two definitions suggest.

    Equal windows or equal keys: the same key. Two grains of one zone: shared time. One side unpartitioned: everything.
    Several dimensions and one: by the one of them that is the same. Several of the same names: dimension by dimension.

    Raises
    ------
    InvalidInputError
        The definitions suggest none; the message shows the choices.
    """
    suggested = _suggested(downstream, upstream)
    if suggested is None:
        raise nothing_suggested(downstream, upstream)
    return suggested


def _suggested(downstream: PartitionsDefinition, upstream: PartitionsDefinition) -> PartitionMapping | None:
    own, theirs = dimensions_of(downstream), dimensions_of(upstream)
    if isinstance(downstream, Unpartitioned) or isinstance(upstream, Unpartitioned):
        return AllPartitions()
    if len(own) > 1 and len(theirs) > 1:
        pairs = (
            {name: suggest_for_one(own[name], theirs[name]) for name in theirs} if own.keys() == theirs.keys() else {}
        )
        if not pairs or None in pairs.values():
            return None
        same = all(isinstance(mapping, Identity) for mapping in pairs.values())
        return Identity() if same else PerDimension({name: name for name in pairs})
    if len(own) > 1 or len(theirs) > 1:
        pairs = {
            (one if len(own) > 1 else other): suggest_for_one(own[one], theirs[other])
            for one in own
            for other in theirs
        }
        shared = [name for name, mapping in pairs.items() if isinstance(mapping, Identity)]
        return FromDimension(shared[0]) if len(shared) == 1 else None
    return suggest_for_one(next(iter(own.values())), next(iter(theirs.values())))
