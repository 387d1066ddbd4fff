"""What partitions that are called by texts share, whether listed once or met over time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import OneDimensional
from lakepart.model.intervals import IntegerArray, Intervals


@dataclass(frozen=True, slots=True, repr=False)
class NamedKeys(OneDimensional):
    """Partitions whose keys are names: the ordinal is the position, and a label is one key."""

    def ordinal_at(self, position: int) -> int:
        """Give the position back."""
        self._check_position(position)
        return position

    def position_at(self, ordinal: int) -> int:
        """Give the ordinal back."""
        self._check_position(ordinal)
        return ordinal

    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the positions back."""
        return positions.astype(np.int64)

    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the ordinals back."""
        return ordinals.astype(np.int64)

    @property
    @abstractmethod
    def keys_by_position(self) -> Mapping[int, str]:
        """The keys that are known."""

    def positions_in(self, other: OneDimensional, positions: Intervals) -> Intervals:
        """Give the positions of those of these keys that have the same place in another definition."""
        if not isinstance(other, NamedKeys):
            return Intervals()
        theirs = other.keys_by_position
        return positions & Intervals.from_positions(
            at for at, key in self.keys_by_position.items() if theirs.get(at) == key
        )

    def label(self, label: str | date) -> Intervals:
        """Give the position that a key has."""
        position = self.position_of(self._text(label))
        return Intervals(((position, position + 1),))

    def _text(self, label: object) -> str:
        if not isinstance(label, str):
            raise InvalidInputError(
                f"{label!r} is a {type(label).__name__}: the labels of {self.describe()} are text.",
                hint=f"for example [{self.example_key!r}].",
                code=ErrorCode.INVALID_SELECTION,
            )
        return label
