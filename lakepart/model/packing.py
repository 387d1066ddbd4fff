"""How the numbers of a partition in several dimensions become one integer, in the same order, for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import OneDimensional
from lakepart.model.instants import to_microseconds
from lakepart.model.intervals import IntegerArray
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.zones import DAY_US, SECOND_US, offset_us

MOST_BITS = 63
_MINUTE_US = 60 * SECOND_US
_YEAR_ONE_US = to_microseconds(datetime(1, 1, 1, tzinfo=UTC))
# Since then every zone's clocks differ from UTC by whole minutes (Liberia's were the last that did not), and never have
# they been moved by half a day or more, but for whole days where the date line was moved.
_SETTLED_FROM_US = to_microseconds(datetime(1973, 1, 1, tzinfo=UTC))
_ROOMY = {"static": 12, "dynamic": 24}  # bits that lists of keys get where there is room
_TIGHT_DYNAMIC = 16


@dataclass(frozen=True, slots=True)
class Digit:
    """How one dimension's numbers are written: in so many bits; time as whole units since ``-shift_us``.

    A unit holds the start of at most one window: windows that begin at midnight are numbered by days that begin half
    a day before the zone's midnight, so that no change of its clocks carries a start into another day; others by
    minutes. From before 1973, when clocks were set less regularly, everything is numbered by seconds.
    """

    bits: int
    unit_us: int = 0
    shift_us: int = 0

    @classmethod
    def for_dimension(cls, dimension: OneDimensional, *, roomy: bool) -> Digit:
        """Choose the digit of a dimension, with room for keys to come where there is some."""
        if isinstance(dimension, TimeDefinition):
            unit_us, shift_us = _unit_of(dimension)
            last_us = dimension.ordinal_at(dimension.universe.last)
            return cls(((last_us + shift_us) // unit_us).bit_length(), unit_us, shift_us)
        if dimension.kind == "dynamic":
            return cls(_ROOMY["dynamic"] if roomy else _TIGHT_DYNAMIC)
        needed = max((dimension.universe.last).bit_length(), 1)
        return cls(max(needed + 2, _ROOMY["static"]) if roomy else needed)

    @classmethod
    def from_list(cls, given: Sequence[int]) -> Digit:
        """Read what :meth:`to_list` gave."""
        return cls(*given)

    def to_list(self) -> list[int]:
        """Give plain numbers."""
        return [self.bits, self.unit_us, self.shift_us] if self.unit_us else [self.bits]

    def numbers_of(self, dimension: OneDimensional, positions: IntegerArray) -> IntegerArray:
        """Give the numbers of positions, in the same order."""
        if not self.unit_us:
            return positions
        numbers: IntegerArray = (dimension.ordinals_at(positions) + self.shift_us) // self.unit_us
        return numbers

    def positions_of(self, dimension: OneDimensional, numbers: IntegerArray) -> IntegerArray:
        """Give the positions of numbers, each of which must be a partition's."""
        if not self.unit_us:
            return numbers
        return dimension.positions_of_instants((numbers + 1) * self.unit_us - self.shift_us - 1)

    def check(self, dimension: OneDimensional) -> None:
        """Refuse a dimension that has grown beyond its digit.

        Raises
        ------
        InvalidInputError
            Its last partition needs more bits, or its first an earlier beginning or a finer unit.
        """
        ends = np.array([0, dimension.universe.last], dtype=np.int64)
        first, last = self.numbers_of(dimension, ends).tolist()
        finest = _unit_of(dimension)[0] if isinstance(dimension, TimeDefinition) else 0
        if first < 0 or last >= 1 << self.bits or finest < self.unit_us:
            raise InvalidInputError(
                f"Dimension {dimension.dimension!r}, {dimension.describe()}, has outgrown what was set apart for it "
                f"when the asset was declared: {self.bits} bits"
                f"{f' of {self.unit_us / SECOND_US:g} seconds each' if self.unit_us else ''}.",
                hint="write the rows to a new asset, declared with the dimension as it is now.",
                code=ErrorCode.OUT_OF_RANGE,
            )


@dataclass(frozen=True, slots=True)
class Packing:
    """The digits of all dimensions, the first the most significant."""

    digits: tuple[Digit, ...]

    @classmethod
    def for_dimensions(cls, dimensions: Sequence[OneDimensional]) -> Packing:
        """Choose digits: roomy ones if they fit, else those that are needed now.

        Raises
        ------
        InvalidInputError
            More than 63 bits are needed.
        """
        for roomy in (True, False):
            packing = cls(tuple(Digit.for_dimension(one, roomy=roomy) for one in dimensions))
            if packing.bits <= MOST_BITS:
                return packing
        needed = ", ".join(
            f"{one.dimension} {digit.bits}" for one, digit in zip(dimensions, packing.digits, strict=True)
        )
        raise InvalidInputError(
            f"The dimensions need {packing.bits} bits to number their partitions in order, and {MOST_BITS} "
            f"is the most: {needed}.",
            hint="give time dimensions an end=…, cut them into whole days, or leave a dimension out.",
            code=ErrorCode.OUT_OF_RANGE,
        )

    @property
    def bits(self) -> int:
        """How many bits an ordinal has."""
        return sum(digit.bits for digit in self.digits)

    @property
    def shifts(self) -> list[int]:
        """How far each digit is shifted."""
        widths = [digit.bits for digit in self.digits]
        return list(accumulate(reversed(widths[1:]), initial=0))[::-1]

    @property
    def masks(self) -> list[int]:
        """What cuts each digit out, once it is shifted back."""
        return [(1 << digit.bits) - 1 for digit in self.digits]

    def pack(self, numbers: Sequence[IntegerArray]) -> IntegerArray:
        """Join numbers, one array for each dimension."""
        packed = np.zeros(numbers[0].shape, dtype=np.int64)
        for digit, values in zip(self.digits, numbers, strict=True):
            packed = (packed << digit.bits) | values
        return packed

    def unpack(self, ordinals: IntegerArray) -> list[IntegerArray]:
        """Take ordinals apart, into one array for each dimension."""
        return [(ordinals >> shift) & mask for shift, mask in zip(self.shifts, self.masks, strict=True)]

    def to_list(self) -> list[list[int]]:
        """Give plain numbers."""
        return [digit.to_list() for digit in self.digits]

    @classmethod
    def from_list(cls, given: Sequence[Sequence[int]]) -> Packing:
        """Read what :meth:`to_list` gave."""
        return cls(tuple(map(Digit.from_list, given)))


def _unit_of(dimension: TimeDefinition) -> tuple[int, int]:
    """Choose the unit that holds at most one start of a window, and how far before the epoch its numbers begin."""
    first_us = dimension.ordinal_at(0)
    if first_us < _SETTLED_FROM_US:
        return SECOND_US, -_YEAR_ONE_US
    if not dimension.has_whole_days:
        return _MINUTE_US, -_YEAR_ONE_US
    return DAY_US, DAY_US // 2 + offset_us(dimension.tz, first_us) - _YEAR_ONE_US
