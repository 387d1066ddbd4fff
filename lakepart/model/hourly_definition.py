"""Hourly partitions: from one full hour of a zone's clocks to the next."""

from __future__ import annotations

import re
from datetime import UTC
from typing import ClassVar

import numpy as np

from lakepart.model.hours import HOUR_US, get_hour_clock, year_of_number
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray
from lakepart.model.labels import parse_wall_time
from lakepart.model.time_definitions import TimeDefinition
from lakepart.model.zones import (
    DAY_US,
    FIRST_YEAR,
    clock_around,
    clock_for,
    get_zone,
    in_pieces,
    wall_time_us,
    year_of,
)

_KEY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}:00(?:[+-][0-9]{4}(?:[0-9]{2})?)?")


class Hourly(TimeDefinition):
    """A partition an hour; keys like ``2013-01-31-07:00``.

    See :class:`~lakepart.model.time_definitions.TimeDefinition` for the parameters. A window runs from one full hour
    of the zone's clocks to the next. The second of a repeated hour has its UTC offset in its key,
    ``2024-11-03-01:00-0500``; an hour that the clocks leave out is no partition. Where they jump by a part of an hour
    (Lord Howe Island) the window of the jump is longer or shorter.

    Examples
    --------
    >>> hours = Hourly("2024-11-03-00:00", tz="America/New_York")
    >>> hours.keys_at(hours.label("2024-11-03").to_array())[:3]
    ['2024-11-03-00:00', '2024-11-03-01:00', '2024-11-03-01:00-0500']
    """

    __slots__ = ()
    name: ClassVar[str] = "hourly"
    key_shape: ClassVar[str] = "2013-01-31-07:00"

    def keys_at(self, positions: IntegerArray) -> list[str]:
        """Give the keys at many positions; vectorised."""
        if not positions.size:
            return []
        starts = self.ordinals_at(positions)
        clock = clock_for(self.tz, starts)
        shown = clock.offsets[np.searchsorted(clock.starts, starts, side="right") - 1] + starts
        hours = np.datetime_as_string((shown // HOUR_US).astype("datetime64[h]")).tolist()
        keys = [f"{hour[:10]}-{hour[11:]}:00" for hour in hours]
        for index in np.flatnonzero(shown < clock.local_at_each(starts)).tolist():
            keys[index] = self._key(int(positions[index]))
        return keys

    def ordinals_at(self, positions: IntegerArray) -> IntegerArray:
        """Give the starts of the windows at many positions, in UTC microseconds; vectorised."""
        if not positions.size:
            return np.empty(0, dtype=np.int64)
        origin = self._origin_year
        first = year_of_number(self.tz, origin, int(positions.min()))
        last = year_of_number(self.tz, origin, int(positions.max()))
        return get_hour_clock(self.tz, origin, first, last).instant_of_each(positions)

    @property
    def _origin_year(self) -> int:
        return max(year_of(self._bounds_us[0]) - 2, FIRST_YEAR)

    def _start_us(self, position: int) -> int:
        origin = self._origin_year
        year = year_of_number(self.tz, origin, position)
        return get_hour_clock(self.tz, origin, year, year).instant_of(position)

    def _unclipped_position(self, utc_us: int) -> int:
        year = year_of(utc_us)
        return get_hour_clock(self.tz, self._origin_year, year, year).number_at(utc_us)

    def _positions_of_instants(self, utc_us: IntegerArray, smallest: int, greatest: int) -> IntegerArray:
        clock = get_hour_clock(self.tz, self._origin_year, year_of(smallest), year_of(greatest))
        positions = np.empty(utc_us.shape, dtype=np.int64)
        for piece in in_pieces(utc_us):
            positions[piece] = clock.number_at_each(utc_us[piece])
        return positions

    def _key(self, position: int) -> str:
        start = from_microseconds(self._start_us(position)).astimezone(get_zone(self.tz))
        hour = f"{start.date().isoformat()}-{start.hour:02}:00"
        return f"{hour}{start:%z}" if start.fold else hour

    def _parse_key(self, key: str) -> int | None:
        wall = parse_wall_time(key) if _KEY.fullmatch(key) else None
        if wall is None or wall.year <= FIRST_YEAR:
            return None
        if wall.tzinfo is None:
            local_us = wall_time_us(wall)
            start_us = clock_around(self.tz, local_us).first_instant_of(local_us)
        else:
            start_us = to_microseconds(wall.astimezone(UTC))
        if not self._bounds_us[0] <= start_us < self._bounds_us[1]:
            return self._position_of_instant(start_us)
        position = self._unclipped_position(start_us)
        return position if self._key(position) == key else None

    def _first_from_day(self, day: int) -> int:
        local_us = day * DAY_US
        return self._first_from(clock_around(self.tz, local_us).first_instant_of(local_us))
