"""Partitions in several dimensions at once, such as a day and a carrier."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError, did_you_mean
from lakepart.model.cells import Cells
from lakepart.model.definition_base import FORMAT_VERSION, OneDimensional, PartitionsDefinition
from lakepart.model.dynamic_definition import Dynamic
from lakepart.model.intervals import IntegerArray
from lakepart.model.known_keys import KnownKeys, Reserve
from lakepart.model.names import check_dimension_name
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.packed_ranges import packed_ranges
from lakepart.model.packing import Packing
from lakepart.model.windows import Window

_SEPARATOR = "|"
_SPECIAL = re.compile(r"[%|]")
_ESCAPE = re.compile(r"%(25|7C)")


@dataclass(frozen=True, slots=True, repr=False, init=False)
class Multi(PartitionsDefinition):
    """Partitions in two or more named dimensions: every combination of their keys is one.

    Parameters
    ----------
    dimensions
        One-dimensional definitions by name, in order; the name is what the dimension is called in keys, folders and
        columns, whatever the definition calls itself. Two may be cut by time; no two by the same column.

    Attributes
    ----------
    dimensions
        The definitions, each with its name as ``dimension``.

    Raises
    ------
    InvalidInputError
        Fewer than two dimensions, one that has several itself or none, a column that decides twice, a name that is
        another dimension's column, or more partitions than can be numbered.

    Notes
    -----
    A key is its parts joined by ``|``; ``|`` and ``%`` inside a part are written ``%7C`` and ``%25``. A partition has
    elapsed once all its windows have; it has a window of its own where one dimension is cut by time.

    Examples
    --------
    >>> from lakepart.model.definitions import Daily, Static
    >>> both = Multi(day=Daily("2013-01-01", by="time_hour"), carrier=Static(["UA", "AA"], by="carrier"))
    >>> both.key_at(3), both.parts_of("2013-01-05|UA")
    ('2013-01-02|AA', {'day': '2013-01-05', 'carrier': 'UA'})
    """

    dimensions: tuple[OneDimensional, ...] = field()
    _packing: Packing = field(compare=False)

    kind: ClassVar[str] = "multi"
    name: ClassVar[str] = "multi"

    def __init__(self, /, **dimensions: PartitionsDefinition) -> None:
        self._set_up(_checked(dimensions), None)

    @classmethod
    def restored(cls, dimensions: Mapping[str, PartitionsDefinition], bits: Sequence[Sequence[int]]) -> Self:
        """Make a definition whose partitions keep the ordinals that they had; ``bits`` is from :meth:`to_dict`.

        Raises
        ------
        InvalidInputError
            A dimension has outgrown its bits.
        """
        made = object.__new__(cls)
        made._set_up(_checked(dimensions), Packing.from_list(bits))
        return made

    def _set_up(self, dimensions: Sequence[OneDimensional], packing: Packing | None) -> None:
        chosen = packing or Packing.for_dimensions(dimensions)
        limited = []
        for dimension, digit in zip(dimensions, chosen.digits, strict=True):
            one = dimension.limited_to(1 << digit.bits) if isinstance(dimension, Dynamic) else dimension
            digit.check(one)
            limited.append(one)
        object.__setattr__(self, "dimensions", tuple(limited))
        object.__setattr__(self, "_packing", chosen)

    def position_of(self, key: str) -> int:
        """Give the position of a key: the last dimension's runs fastest.

        Raises
        ------
        PartitionKeyError
            No partition has this key; the message says which part is wrong.
        """
        parts = self.parts_of(key)
        position = 0
        for dimension, size in zip(self.dimensions, self.sizes, strict=True):
            try:
                position = position * size + dimension.position_of(parts[dimension.dimension])
            except PartitionKeyError as error:
                raise PartitionKeyError(
                    f"{key!r} is not a key of {self.describe()}: {error.message}",
                    hint=error.hint,
                    code=error.code,
                    context={"key": key, "dimension": dimension.dimension},
                ) from error
        return position

    def find_position(self, key: str) -> int | None:
        """Give the position of a key, or None where no partition has it."""
        try:
            parts = self.parts_of(key)
        except PartitionKeyError:
            return None
        position = 0
        for dimension, size in zip(self.dimensions, self.sizes, strict=True):
            found = dimension.find_position(parts[dimension.dimension])
            if found is None:
                return None
            position = position * size + found
        return position

    def parts_of(self, key: str) -> dict[str, str]:
        """Give the part of a key in each dimension, by the dimension's name.

        Raises
        ------
        PartitionKeyError
            The key has not as many parts as there are dimensions, or one is not written as lakepart writes it.
        """
        parts = key.split(_SEPARATOR) if isinstance(key, str) else []
        if len(parts) != len(self.dimensions):
            raise PartitionKeyError(
                f"{key!r} is not a key of {self.describe()}: it has not {len(self.dimensions)} parts joined by "
                f"{_SEPARATOR!r}.",
                hint=f"keys look like {self.example_key!r}; {_SEPARATOR} and % inside a part are written %7C and %25.",
                context={"key": key},
            )
        plain = [_ESCAPE.sub(lambda found: chr(int(found[1], 16)), part) for part in parts]
        if _join(plain) != key:
            raise PartitionKeyError(
                f"{key!r} is not a key of {self.describe()}: it would be written {_join(plain)!r}.",
                context={"key": key},
            )
        return {one.dimension: part for one, part in zip(self.dimensions, plain, strict=True)}

    def key_of(self, parts: Mapping[str, str]) -> str:
        """Give the key of some parts, by the dimension's name; whether there is such a partition is not looked at.

        Raises
        ------
        InvalidInputError
            A dimension has no part, or a part no dimension.
        """
        names = [one.dimension for one in self.dimensions]
        for name in parts:
            self.dimension_named(name)
        if lacking := [name for name in names if name not in parts]:
            raise InvalidInputError(
                f"{dict(parts)!r} is no partition of {self.describe()}: it has no part for {lacking[0]!r}.",
                code=ErrorCode.INVALID_SELECTION,
            )
        return _join([parts[name] for name in names])

    def dimension_named(self, name: str) -> OneDimensional:
        """Give the dimension of that name.

        Raises
        ------
        InvalidInputError
            There is none; close names are suggested.
        """
        for one in self.dimensions:
            if one.dimension == name:
                return one
        names = [one.dimension for one in self.dimensions]
        raise InvalidInputError(
            f"There is no dimension {name!r}: the dimensions are {', '.join(names)}.",
            hint=did_you_mean(str(name), names),
            code=ErrorCode.INVALID_SELECTION,
        )

    def key_at(self, position: int) -> str:
        """Give the key at a position."""
        self._check_position(position)
        return _join([one.key_at(at) for one, at in zip(self.dimensions, self._split(position), strict=True)])

    def ordinal_at(self, position: int) -> int:
        """Give the ordinal at a position."""
        self._check_position(position)
        return int(self.ordinals_at(np.array([position], dtype=np.int64))[0])

    def position_at(self, ordinal: int) -> int:
        """Give the position of an ordinal.

        Raises
        ------
        InvalidInputError
            No partition has this ordinal.
        """
        given = np.array([ordinal], dtype=np.int64)
        coordinates = [int(one[0]) for one in self.coordinates_of(given)]
        inside = ordinal >= 0 and all(at in one.universe for at, one in zip(coordinates, self.dimensions, strict=True))
        position = (
            self.positions_of_coordinates([np.array([at], dtype=np.int64) for at in coordinates]) if inside else None
        )
        if position is None or int(self.ordinals_at(position)[0]) != ordinal:
            raise InvalidInputError(
                f"No partition of {self!r} has the ordinal {ordinal}.",
                code=ErrorCode.OUT_OF_RANGE,
                context={"ordinal": ordinal},
            )
        return int(position[0])

    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys at many positions; each part is written once."""
        columns = []
        for dimension, coordinates in zip(self.dimensions, self.coordinates_at(positions), strict=True):
            distinct, where = np.unique(coordinates, return_inverse=True)
            parts = np.array([_escape(part) for part in dimension.keys_at(distinct)], dtype=object)
            columns.append(parts[where].tolist() if distinct.size else [])
        return [_SEPARATOR.join(parts) for parts in zip(*columns, strict=True)]

    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the ordinals at many positions; vectorised."""
        return self._packing.pack(
            [
                digit.numbers_of(one, coordinates)
                for digit, one, coordinates in zip(
                    self._packing.digits, self.dimensions, self.coordinates_at(positions), strict=True
                )
            ]
        )

    def positions_at(self, ordinals: IntegerArray) -> IntegerArray:
        """Give the positions of many ordinals; vectorised."""
        return self.positions_of_coordinates(self.coordinates_of(ordinals))

    def coordinates_at(self, positions: IntegerArray) -> list[IntegerArray]:
        """Give the position in each dimension, of many positions; vectorised."""
        coordinates = []
        for size in reversed(self.sizes[1:]):
            positions, last = np.divmod(positions, size)
            coordinates.append(last)
        return [positions, *reversed(coordinates)]

    def positions_of_coordinates(self, coordinates: Sequence[IntegerArray]) -> IntegerArray:
        """Give the positions that have these positions in each dimension; vectorised."""
        positions = coordinates[0]
        for size, inner in zip(self.sizes[1:], coordinates[1:], strict=True):
            positions = positions * size + inner
        return positions

    def ordinal_ranges(self, cells: Cells) -> list[OrdinalRange]:
        """Give ranges of ordinals that hold these partitions and no other, each partition in one of them.

        One range is enough where the inner dimensions are whole; otherwise a range of rows comes with conditions on
        the inner dimensions, so that nothing is listed.
        """
        return list(packed_ranges(self._packing, self.dimensions, cells))

    def dynamic_ids(self, ordinals: IntegerArray) -> dict[str, IntegerArray]:
        """Give the ids that partitions have in each dynamic dimension, by its name."""
        found: dict[str, IntegerArray] = {}
        for dimension, numbers in zip(self.dimensions, self._packing.unpack(ordinals), strict=True):
            found |= dimension.dynamic_ids(numbers)
        return found

    def bits_of(self, dimension: str) -> tuple[int, int]:
        """Give how an ordinal tells the number in a dimension: shift it, then mask it."""
        at = [one.dimension for one in self.dimensions].index(dimension)
        return self._packing.shifts[at], self._packing.masks[at]

    def keeping_ordinals_of(self, before: PartitionsDefinition) -> PartitionsDefinition:
        """Give the same definition with the bits of an earlier one, whose partitions then keep their ordinals.

        An earlier one of other dimensions has no partition that is one of these, so there is nothing to keep.

        Raises
        ------
        InvalidInputError
            A dimension has outgrown its bits.
        """
        if not isinstance(before, Multi) or [one.dimension for one in before.dimensions] != [
            one.dimension for one in self.dimensions
        ]:
            return self
        return self.restored({one.dimension: one for one in self.dimensions}, before._packing.to_list())

    def knowing(self, keys: Mapping[str, KnownKeys]) -> Self:
        """Give the same definition with the keys that the catalog has for its dynamic dimensions, by name."""
        return self._with_dimensions(one.knowing(keys) for one in self.dimensions)

    def admitting(self, reserve: Reserve) -> Self:
        """Give the same definition for one writer: keys that its dynamic dimensions do not know are reserved."""
        return self._with_dimensions(one.admitting(reserve) for one in self.dimensions)

    def admit(self, keys: Iterable[str]) -> None:
        """Reserve those of the keys' parts that are new, at once, where :meth:`admitting` allows it."""
        if self.is_dynamic:
            split = [self.parts_of(key) for key in keys]
            for one in self.dimensions:
                one.admit([parts[one.dimension] for parts in split])

    def window_at(self, position: int) -> Window | None:
        """Give the time that the partition at a position covers, where one dimension is cut by time; else None."""
        self._check_position(position)
        windows = [
            one.window_at(at)
            for one, at in zip(self.dimensions, self._split(position), strict=True)
            if one.kind == "time"
        ]
        return windows[0] if len(windows) == 1 else None

    def window_ends_of(self, ordinals: IntegerArray) -> IntegerArray | None:
        """Give the instants (UTC microseconds) at which the last window of many ordinals ends; vectorised."""
        ends: IntegerArray | None = None
        for one, coordinates in zip(self.dimensions, self.coordinates_of(ordinals), strict=True):
            if one.kind == "time":
                found = one.window_ends_of(one.ordinals_at(coordinates))
                ends = found if ends is None or found is None else np.maximum(ends, found)
        return ends

    def to_dict(self) -> dict[str, Any]:
        """Give the stable form that the catalog keeps; ``bits`` say how ordinals are made, for good."""
        return {
            "version": FORMAT_VERSION,
            "kind": self.name,
            "dimensions": [one.to_dict() for one in self.dimensions],
            "bits": self._packing.to_list(),
        }

    def describe(self) -> str:
        """Say in one line for people how the asset is cut."""
        return " × ".join(f"{one.dimension} ({one.describe()})" for one in self.dimensions)

    def _arguments(self) -> list[str]:
        return [f"{one.dimension}={one.named('partition')!r}" for one in self.dimensions]

    def _with_dimensions(self, dimensions: Iterable[OneDimensional]) -> Self:
        made = object.__new__(type(self))
        object.__setattr__(made, "dimensions", tuple(dimensions))
        object.__setattr__(made, "_packing", self._packing)
        return made

    def _split(self, position: int) -> list[int]:
        return [int(one[0]) for one in self.coordinates_at(np.array([position], dtype=np.int64))]

    def coordinates_of(self, ordinals: IntegerArray) -> list[IntegerArray]:
        """Give the position in each dimension, of many ordinals; vectorised."""
        return [
            digit.positions_of(one, numbers)
            for digit, one, numbers in zip(
                self._packing.digits, self.dimensions, self._packing.unpack(ordinals), strict=True
            )
        ]


def _checked(dimensions: Mapping[str, PartitionsDefinition]) -> list[OneDimensional]:
    named: list[OneDimensional] = []
    for name, one in dimensions.items():
        if not isinstance(one, OneDimensional) or one.kind == "single":
            raise InvalidInputError(
                f"Dimension {name!r} is {one!r}: a dimension is cut by time or by a list of keys.",
                hint='for example day=Daily("2013-01-01") or carrier=Static(["UA", "AA"]).',
            )
        named.append(one.named(check_dimension_name(name)))
    if len(named) < 2:
        raise InvalidInputError(
            f"Multi has {len(named)} dimension{'' if len(named) == 1 else 's'}: it needs two or more.",
            hint="one dimension needs no Multi.",
        )
    columns = Counter(one.by for one in named if one.by is not None)
    if twice := [column for column, count in columns.items() if count > 1]:
        raise InvalidInputError(f"Column {twice[0]!r} decides in more than one dimension: one is the most.")
    for one in named:
        if one.dimension in columns and one.by != one.dimension:
            raise InvalidInputError(
                f"Dimension {one.dimension!r} has the name of a column that decides in another dimension.",
                hint="name the dimension otherwise.",
            )
    return named


def _escape(part: str) -> str:
    return _SPECIAL.sub(lambda found: f"%{ord(found[0]):02X}", part)


def _join(parts: Iterable[str]) -> str:
    return _SEPARATOR.join(map(_escape, parts))
