"""Inputs of producers: which asset is read, and which of its partitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakepart.errors import InvalidInputError
from lakepart.model.custom_mappings import KeyFunction
from lakepart.model.mappings import PartitionMapping, mapping_from_dict
from lakepart.model.names import check_asset_name


@dataclass(frozen=True, slots=True)
class Input:
    """An asset that a producer reads, with the mapping that says which of its partitions; usable where a name is.

    Parameters
    ----------
    asset
        Name of the asset. It may be the producer's own where the mapping only looks back: ``TimeOverlap(-1, -1)``.
    mapping
        Which of its partitions a partition is made from; what the two definitions suggest by default.

    Raises
    ------
    InvalidInputError
        No name of an asset, or no mapping.

    Examples
    --------
    >>> from lakepart.model.mappings import TimeOverlap
    >>> Input("flights", mapping=TimeOverlap(lookback=6))
    Input(asset='flights', mapping=TimeOverlap(start_offset=-6))
    """

    asset: str
    mapping: PartitionMapping | None = None

    def __post_init__(self) -> None:
        check_asset_name(self.asset)
        if self.mapping is not None and not isinstance(self.mapping, PartitionMapping):
            raise InvalidInputError(
                f"mapping={self.mapping!r} of input {self.asset!r} is no mapping.",
                hint="for example mapping=lakepart.TimeOverlap(lookback=6).",
            )

    @classmethod
    def of(cls, given: str | Input) -> Input:
        """Take the name of an asset as an input of it."""
        return given if isinstance(given, Input) else cls(given)

    def to_recorded(self) -> Any:
        """Give what the catalog keeps with the producer: the asset's name, or a dictionary with the mapping too."""
        return self.asset if self.mapping is None else {"asset": self.asset, "mapping": self.mapping.to_dict()}

    @classmethod
    def from_recorded(cls, recorded: Any, functions: Mapping[str, KeyFunction] | None = None) -> Input:
        """Read what :meth:`to_recorded` gave; ``functions`` as for ``mapping_from_dict``."""
        if isinstance(recorded, str):
            return cls(recorded)
        return cls(recorded["asset"], mapping_from_dict(recorded["mapping"], functions))
