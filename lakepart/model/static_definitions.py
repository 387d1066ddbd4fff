"""Partitions that are not cut by time: a fixed list of keys, or a single partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, did_you_mean
from lakepart.model.definition_base import FORMAT_VERSION, OneDimensional, check_column
from lakepart.model.intervals import IntegerArray, Intervals
from lakepart.model.keys import check_key, check_keys
from lakepart.model.named_keys import NamedKeys
from lakepart.model.names import check_dimension_name
from lakepart.model.reprs import repr_some, repr_text


@dataclass(frozen=True, slots=True, repr=False)
class _Listed(NamedKeys):
    """What definitions with their keys in a list share: position and ordinal are the index."""

    keys: tuple[str, ...] = ()
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", {key: index for index, key in enumerate(self.keys)})
        check_column(self.by)
        check_dimension_name(self.dimension)

    @property
    def universe(self) -> Intervals:
        return Intervals(((0, len(self.keys)),))

    @property
    def keys_by_position(self) -> Mapping[int, str]:
        return dict(enumerate(self.keys))

    def position_of(self, key: str) -> int:
        position = self.find_position(check_key(key))
        if position is None:
            raise PartitionKeyError(
                f"{repr_text(key)} is not a key of {self.describe()}.",
                hint=did_you_mean(key, self.keys),
                context={"key": key},
            )
        return position

    def find_position(self, key: str) -> int | None:
        return self._index.get(key)

    def key_at(self, position: int) -> str:
        self._check_position(position)
        return self.keys[position]

    def keys_at(self, positions: IntegerArray) -> list[str]:
        return [self.keys[position] for position in positions.tolist()]

    def slice(self, start: str | date | None, stop: str | date | None) -> Intervals:
        first = 0 if start is None else self.position_of(self._text(start))
        last = len(self.keys) - 1 if stop is None else self.position_of(self._text(stop))
        if first > last:
            raise InvalidInputError(
                f"The slice {start!r}:{stop!r} is reversed: in {self.describe()} {stop!r} comes first.",
                hint=f"[{stop!r}:{start!r}]",
                code=ErrorCode.INVALID_SELECTION,
            )
        return Intervals(((first, last + 1),))


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Static(_Listed):
    """A fixed list of partitions, in the order given.

    Parameters
    ----------
    keys
        Distinct texts, at least one; any characters except NUL.
    by
        The column whose value, as text, is the key.
    dimension
        What the key is called, in folder names and as a column.

    Raises
    ------
    InvalidInputError
        No keys, a key twice, or one text where a list is meant.
    PartitionKeyError
        A key is empty, holds NUL or is no text.

    Notes
    -----
    The order is the order of slices, and the index is what the catalog keeps: new keys go to the end.

    Examples
    --------
    >>> Static(["eu", "us"], by="region").key_at(1)
    'us'
    """

    kind: ClassVar[str] = "static"
    name: ClassVar[str] = "static"

    def __init__(self, keys: Iterable[str], *, by: str | None = None, dimension: str = "partition") -> None:
        if isinstance(keys, str):
            raise InvalidInputError(f"Static({keys!r}): keys are a list of texts.", hint=f"Static([{keys!r}])")
        listed = tuple(check_keys(keys, "Static"))
        if not listed:
            raise InvalidInputError("Static([]) has no partitions: at least one key is needed.")
        twice = [key for key, count in Counter(listed).items() if count > 1]
        if twice:
            raise InvalidInputError(f"Static has keys more than once: {', '.join(map(repr, twice[:8]))}.")
        object.__setattr__(self, "by", by)
        object.__setattr__(self, "dimension", dimension)
        object.__setattr__(self, "keys", listed)
        self.__post_init__()

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps."""
        return {
            "version": FORMAT_VERSION,
            "kind": self.name,
            "keys": list(self.keys),
            "by": self.by,
            "dimension": self.dimension,
        }

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        listed = ", ".join(map(repr, self.keys[:4]))
        column = f" by {self.by}" if self.by is not None else ""
        return f"{len(self.keys):,} static keys{column} ({listed}{', …' if len(self.keys) > 4 else ''})"

    def _arguments(self) -> list[str]:
        return [repr_some(self.keys), *OneDimensional._arguments(self)]


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Unpartitioned(_Listed):
    """A single partition with the key ``all``.

    Examples
    --------
    >>> Unpartitioned().key_at(0)
    'all'
    """

    kind: ClassVar[str] = "single"
    name: ClassVar[str] = "unpartitioned"

    def __init__(self) -> None:
        object.__setattr__(self, "by", None)
        object.__setattr__(self, "dimension", "partition")
        object.__setattr__(self, "keys", ("all",))
        self.__post_init__()

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps."""
        return {"version": FORMAT_VERSION, "kind": self.name}

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        return "unpartitioned (one partition, 'all')"
