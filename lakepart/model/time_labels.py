"""Keys and labels of partitions that are cut by time: what stands for which windows, and what to say of the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, NoReturn

from lakepart.errors import ErrorCode, InvalidInputError, PartitionKeyError
from lakepart.model.definition_base import OneDimensional
from lakepart.model.intervals import Intervals, Range
from lakepart.model.key_formats import KeyFormat
from lakepart.model.labels import WallSpan, parse_span, span_of_day
from lakepart.model.ticks import MINUTE_US
from lakepart.model.window_series import WindowSeries
from lakepart.model.zones import LAST_YEAR, clock_around, start_of_year_us

Label = str | date

_DIGITS = re.compile(r"[0-9]+")
_END_OF_KEYS_US = start_of_year_us(LAST_YEAR + 1)  # of what begins later, no key can be written


@dataclass(frozen=True, slots=True, repr=False, init=False)
class LabelledByTime(OneDimensional):
    """A series of windows in a zone, and how their starts are written as keys."""

    end: str | None
    tz: str
    _series: WindowSeries = field(compare=False)
    _keys: KeyFormat = field(compare=False)

    kind: ClassVar[str] = "time"

    @property
    def universe(self) -> Intervals:
        """All positions, from 0 on; without an end they reach to the end of the year 9998."""
        return Intervals(((0, self._series.count),))

    @property
    def is_endless(self) -> bool:
        """Whether there is no end."""
        return self.end is None

    def positions_in(self, other: OneDimensional, positions: Intervals) -> Intervals:
        """Give the positions that another definition gives to those of these windows that it has too."""
        return self._series.positions_in(other._series, positions) if isinstance(other, LabelledByTime) else Intervals()

    def position_of(self, key: str) -> int:
        """Give the position of a key.

        Raises
        ------
        PartitionKeyError
            No partition has this key.
        """
        position = self._find(key) if isinstance(key, str) else None
        if position is None:
            self._refuse_key(key)
        if not 0 <= position < self._series.count:
            self._refuse_empty(key, (position, position + 1))
        return position

    def find_position(self, key: str) -> int | None:
        """Give the position of a key, or None where no partition has it."""
        position = self._find(key)
        return position if position is not None and 0 <= position < self._series.count else None

    def label(self, label: Label) -> Intervals:
        """Give the partitions that a label stands for: one key, or all windows that start within a part of a date."""
        found = self._label_range(label)
        matched = Intervals.of([found]) & self.universe
        if not matched:
            self._refuse_empty(str(label), found)
        return matched

    def slice(self, start: Label | None, stop: Label | None) -> Intervals:
        """Give the partitions from the first that ``start`` stands for to the last that ``stop`` stands for."""
        outer = (0, self._series.count)
        first = outer if start is None else self._label_range(start)
        last = outer if stop is None else self._label_range(stop)
        for label, found in ((start, first), (stop, last)):
            if not self._reaches(found):
                self._refuse_empty(str(label), found)
        if first[0] > last[1] or (first[0] == last[1] and last[0] < last[1]):
            raise InvalidInputError(
                f"The slice {str(start)!r}:{str(stop)!r} is reversed: its first label lies after its last.",
                code=ErrorCode.INVALID_SELECTION,
            )
        matched = Intervals.of([(first[0], last[1])]) & self.universe
        if not matched:
            self._refuse_empty(f"{start}:{stop}", (first[0], last[1]))
        return matched

    def _key(self, position: int) -> str:
        return self._keys.format(self._series.start_of(position))

    def _find(self, key: str) -> int | None:
        """Give the position of a well-formed key, in the universe or not; None for any other text."""
        moment_us = self._keys.parse(key)
        if moment_us is None:
            return None
        position = self._series.first_from(moment_us)
        is_written = self._series.start_of(position) < _END_OF_KEYS_US
        return None if is_written and self._key(position) != key else position

    def _first_instant_of(self, wall_us: int) -> int:
        return clock_around(self.tz, wall_us).first_instant_of(wall_us)

    def _label_range(self, label: Label) -> Range:
        """Give the half-open range of positions a label stands for, clipped to nothing."""
        if isinstance(label, datetime) or not isinstance(label, (str, date)):
            raise InvalidInputError(
                f"{label!r}, a {type(label).__name__}, is no label: labels are texts and dates.",
                hint="asset.between(start, end) takes aware datetimes, end excluded.",
                code=ErrorCode.INVALID_SELECTION,
            )
        if isinstance(label, date):
            span: WallSpan | None = span_of_day(label)
        else:
            position = self._find(label)
            if position is not None:
                return position, position + 1
            span = parse_span(label)
        if span is None:
            self._refuse_key(str(label))
        return self._first_from(span.start), self._first_from(span.stop)

    def _first_from(self, minute: int) -> int:
        """Give the position of the first window to begin once clocks show a minute since 1970, or a later one."""
        return self._series.first_from(self._first_instant_of(minute * MINUTE_US))

    def _reaches(self, found: Range) -> bool:
        """Answer whether a range of positions touches the universe, even between two windows of it."""
        return (
            found[0] < self._series.count and found[1] > 0
            if found[0] < found[1]
            else 0 < found[0] <= self._series.count
        )

    def _refuse_key(self, key: object) -> NoReturn:
        if isinstance(key, str) and self._is_excluded(key):
            raise PartitionKeyError(
                f"{key!r} is excluded from {self.describe()}.",
                hint=f"the next partition is {self._key(self._series.first_from(self._keys.parse(key) or 0))!r}.",
                context={"key": key},
            )
        meant = self._guess_key(key) if isinstance(key, str) else None
        raise PartitionKeyError(
            f"{key!r} is not a key of {self.describe()}: {self.name} keys look like {self.example_key!r}.",
            hint="that is the first; .keys lists those that are there."
            if meant is None
            else f"did you mean {meant!r}?",
            context={"key": key},
        )

    def _is_excluded(self, key: str) -> bool:
        moment_us = self._keys.parse(key)
        start_us = None if moment_us is None else self._series.excluded_from(moment_us)
        return start_us is not None and self._keys.format(start_us) == key

    def _refuse_empty(self, label: str, found: Range) -> NoReturn:
        if self._reaches(found):
            if self._is_excluded(label):
                self._refuse_key(label)
            before = max(found[0] - 1, 0)
            raise PartitionKeyError(
                f"No {self.name} window starts in {label!r}.",
                hint=f"the one before it is {self._key(before)!r}.",
                context={"label": label},
            )
        last = "on" if self.end is None else f"to {self._key(self._series.count - 1)!r}"
        raise PartitionKeyError(
            f"{label!r} lies outside the partitions: keys run from {self.example_key!r} {last}.",
            code=ErrorCode.OUT_OF_RANGE,
            context={"label": label, "first": self.example_key, "end": self.end},
        )

    def _guess_key(self, text: str) -> str | None:
        """Find the key that was probably meant: zeros or separators are missing, or it is a time within a window."""
        digits = "".join(part.zfill(2) for part in _DIGITS.findall(text) if part.isascii())
        span = parse_span(f"{digits[:4]}-{digits[4:6] or '01'}-{digits[6:8] or '01'}")
        if span is None:
            return None
        hour, minute = int(digits[8:10] or 0), int(digits[10:12] or 0)
        wall_us = (span.start + min(60 * hour + minute, span.stop - span.start - 1)) * MINUTE_US
        position = self._series.last_at(self._first_instant_of(wall_us))
        return self._key(position) if 0 <= position < self._series.count else None
