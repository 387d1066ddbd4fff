"""Partitions whose keys are not known beforehand: the catalog keeps them in the order in which they were first seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, ClassVar, Self

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, did_you_mean
from lakepart.model.definition_base import FORMAT_VERSION, OneDimensional, check_column
from lakepart.model.instants import to_microseconds
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.keys import check_key
from lakepart.model.known_keys import KnownKeys, Reserve
from lakepart.model.named_keys import NamedKeys
from lakepart.model.names import check_dimension_name
from lakepart.model.reprs import repr_text

MOST_KEYS = 1 << 31


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Dynamic(NamedKeys):
    """Partitions whose keys come as the data come.

    The catalog keeps the keys, in the order in which they were first seen, which is the order of slices. Keys are
    added by :meth:`Asset.add_keys <lakepart.asset.Asset.add_keys>`, and are expected from then on: ``missing`` until
    they are written. A write adds the keys that it meets by itself; those are there once they have data, and are
    never missing.

    Parameters
    ----------
    by
        The column whose value, as text, is the key.
    dimension
        What the key is called, in folder names and as a column.

    Notes
    -----
    Position and ordinal are the id that a key got at first sight: never given to another key, never changed. Two
    definitions are equal whatever keys are known to them.

    Examples
    --------
    >>> Dynamic(by="customer").describe()
    'dynamic keys by customer (0 known)'
    """

    known: KnownKeys = field(compare=False)
    capacity: int = field(compare=False)
    _reserve: Reserve | None = field(compare=False)

    kind: ClassVar[str] = "dynamic"
    name: ClassVar[str] = "dynamic"

    def __init__(self, by: str | None = None, *, dimension: str = "partition") -> None:
        object.__setattr__(self, "by", check_column(by))
        object.__setattr__(self, "dimension", check_dimension_name(dimension))
        object.__setattr__(self, "known", KnownKeys())
        object.__setattr__(self, "capacity", MOST_KEYS)
        object.__setattr__(self, "_reserve", None)

    @property
    def universe(self) -> Intervals:
        """The ids of all keys there are and can come to be."""
        return Intervals(((0, self.capacity),))

    @property
    def keyed(self) -> Intervals:
        """The ids of all keys that are known, of those that nobody can select too."""
        return self.known.named

    @property
    def is_endless(self) -> bool:
        """Always: keys come as the data come."""
        return True

    @property
    def keys_by_position(self) -> Mapping[int, str]:
        """The keys that are known, by id."""
        return self.known.keys

    def positions_in(self, other: OneDimensional, positions: Intervals) -> Intervals:
        """Give the ids back where another definition has its keys from the same place in the catalog."""
        if not isinstance(other, Dynamic):
            return NamedKeys.positions_in(self, other, positions)
        return positions & other.universe if other.dimension == self.dimension else Intervals()

    @property
    def example_key(self) -> str:
        """The first known key, to show what keys look like."""
        return self.known.entries[0].key if self.known.entries else "key"

    def limited_to(self, capacity: int) -> Self:
        """Give the same definition for no more than so many keys."""
        return self._with(capacity=capacity)

    def knowing(self, keys: Mapping[str, KnownKeys]) -> Self:
        """Give the same definition with the keys that the catalog has."""
        return self._with(known=keys.get(self.dimension, KnownKeys()))

    def admitting(self, reserve: Reserve) -> Self:
        """Give the same definition for one writer: it comes to know the keys that it is asked for."""
        return self._with(_reserve=reserve)

    def admit(self, keys: Iterable[str]) -> None:
        """Reserve those of the keys that are new, at once, where :meth:`admitting` allows it."""
        if self._reserve is None:
            return
        new = [key for key in dict.fromkeys(map(check_key, keys)) if key not in self.known.ids]
        if new:
            reserved = self._reserve(self.dimension, new, self.capacity)
            object.__setattr__(self, "known", self.known.with_reserved(reserved))

    def position_of(self, key: str) -> int:
        """Give the id of a key.

        Raises
        ------
        PartitionKeyError
            Nobody has added or written it.
        """
        self.admit([key])
        position = self.find_position(check_key(key))
        if position is None:
            raise PartitionKeyError(
                f"{repr_text(key)} is not a key of {self.describe()}.",
                hint=did_you_mean(key, self.known.ids) or "asset.add_keys([…]) adds keys, and so does asset.write(…).",
                context={"key": key},
            )
        return position

    def find_position(self, key: str) -> int | None:
        """Give the id of a key, or None where there is no such key."""
        return self.known.ids.get(key)

    def key_at(self, position: int) -> str:
        """Give the key with an id."""
        key = self.known.keys.get(position)
        if key is None:
            raise InvalidInputError(
                f"No key of {self!r} has the id {position}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"position": position},
            )
        return key

    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys with many ids."""
        keys = self.known.keys
        try:
            return [keys[position] for position in positions.tolist()]
        except KeyError as error:
            self.key_at(error.args[0])
            raise

    def dynamic_ids(self, ordinals: IntegerArray) -> dict[str, IntegerArray]:
        """Give the ids by the dimension's name."""
        return {self.dimension: np.unique(ordinals)}

    def slice(self, start: str | date | None, stop: str | date | None) -> Intervals:
        """Give the known keys from one to another, both included; an open end takes in those yet to come."""
        first = 0 if start is None else self.position_of(self._text(start))
        last = self.capacity - 1 if stop is None else self.position_of(self._text(stop))
        if first > last:
            raise InvalidInputError(
                f"The slice {start!r}:{stop!r} is reversed: {stop!r} was seen first.",
                hint=f"[{stop!r}:{start!r}]",
                code=ErrorCode.INVALID_SELECTION,
            )
        found = Intervals(((first, last + 1),))
        return found if start is None or stop is None else found & self.known.visible

    def open_end_of(self, intervals: Intervals) -> bool:
        """Answer whether the set takes in keys yet to come."""
        return intervals.last == self.capacity - 1

    def elapsed(self, as_of: datetime) -> Intervals:
        """Give the keys that are known: they have no windows."""
        to_microseconds(as_of, name="as_of")
        return self.known.visible

    def expected(self, as_of: datetime) -> Intervals:
        """Give the keys that had been added, rather than only written, by ``as_of``."""
        return self.known.expected(to_microseconds(as_of, name="as_of"))

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; keys are no part of it."""
        return {"version": FORMAT_VERSION, "kind": self.name, "by": self.by, "dimension": self.dimension}

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        column = f" by {self.by}" if self.by is not None else ""
        return f"dynamic keys{column} ({len(self.known.entries):,} known)"
