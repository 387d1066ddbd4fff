"""How the start of a window is written as its key, and read back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np

from lakepart.errors import InvalidInputError
from lakepart.model.instants import from_microseconds, to_microseconds
from lakepart.model.intervals import IntegerArray
from lakepart.model.labels import parse_date, parse_wall_time
from lakepart.model.zones import DAY_US, clock_around, get_clock, get_zone, wall_time_us, year_of

DATE = "%Y-%m-%d"
DATE_TIME = "%Y-%m-%d-%H:%M"

_MINUTE_US = 60_000_000
_OFFSET = "%z"
_DATE_TIME_KEY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}:[0-9]{2}(?:[+-][0-9]{4}(?:[0-9]{2})?)?")
_WEEK_WITHOUT_DAY = re.compile(r"(?=.*%G)(?=.*%V)(?!.*%[uAaw])")


class KeyFormat:
    """A strftime format, with the UTC offset added to the second of two windows that begin at the same wall time.

    Parameters
    ----------
    fmt
        The format; where it holds ``%z``, nothing need be added.
    tz
        The zone whose clocks keys show.
    repeats
        Whether two windows can begin at the same wall time.
    """

    __slots__ = ("_read", "_repeats", "_tz", "_zone", "fmt")

    def __init__(self, fmt: str, tz: str, *, repeats: bool) -> None:
        self.fmt, self._tz, self._zone = fmt, tz, get_zone(tz)
        self._repeats = repeats and _OFFSET not in fmt
        self._read = f"{fmt} %u" if _WEEK_WITHOUT_DAY.match(fmt) else fmt  # a week is read as its Monday

    def format(self, start_us: int) -> str:
        """Write the start of a window."""
        start = from_microseconds(start_us).astimezone(self._zone)
        key = start.date().isoformat() if self.fmt == DATE else start.strftime(self.fmt)
        return f"{key}{start:%z}" if self._repeats and start.fold else key

    def format_each(self, starts_us: IntegerArray) -> list[str]:
        """Write the starts of many windows; vectorised for the ordinary formats."""
        if not starts_us.size:
            return []
        if self.fmt not in {DATE, DATE_TIME}:
            return [self.format(start_us) for start_us in starts_us.tolist()]
        clock = get_clock(self._tz, year_of(int(starts_us.min())), year_of(int(starts_us.max())))
        walls = starts_us + clock.offset_of_each(starts_us)
        if self.fmt == DATE:
            days: list[str] = np.datetime_as_string((walls // DAY_US).astype("datetime64[D]")).tolist()
            return days
        minutes = np.datetime_as_string((walls // _MINUTE_US).astype("datetime64[m]")).tolist()
        keys = [minute.replace("T", "-") for minute in minutes]
        if self._repeats:
            for index in np.flatnonzero(clock.is_repeat_each(starts_us)).tolist():
                keys[index] = self.format(int(starts_us[index]))
        return keys

    def parse(self, key: str) -> int | None:
        """Give the instant a text of this format shows, the first of two; None for any other text."""
        moment = self._parse(key)
        if moment is None:
            return None
        if moment.tzinfo is not None:
            return to_microseconds(moment.astimezone(UTC))
        wall_us = wall_time_us(moment)
        return clock_around(self._tz, wall_us).first_instant_of(wall_us)

    def _parse(self, key: str) -> datetime | None:
        if self.fmt == DATE:
            day = parse_date(key)
            return None if day is None else datetime(day.year, day.month, day.day)  # noqa: DTZ001 - wall time
        if self.fmt == DATE_TIME:
            return parse_wall_time(key) if _DATE_TIME_KEY.fullmatch(key) else None
        text = key if self._read == self.fmt else f"{key} 1"
        for fmt in (self._read, f"{self._read}{_OFFSET}"):
            try:
                return datetime.strptime(text, fmt)  # noqa: DTZ007 - wall time, unless the format has an offset
            except ValueError:
                continue
        return None


def check_format(fmt: str | None, *, default: str, example: datetime) -> str:
    """Give the format of keys: the default, or one that strftime can write.

    Raises
    ------
    InvalidInputError
        It is no text, or writes nothing.
    """
    if fmt is None:
        return default
    try:
        written = example.strftime(fmt) if isinstance(fmt, str) else ""
    except ValueError:
        written = ""
    if not written or "\0" in written or written == (example + timedelta(days=7 * 366)).strftime(fmt):
        raise InvalidInputError(
            f"fmt={fmt!r} is no format of keys: it must write the start of a window as a text of its own.",
            hint=f"the default is {default!r}.",
        )
    return fmt
