"""Partitions definitions translated from Dagster and to it: the same keys, the same windows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definitions import (
    Daily,
    Hourly,
    Monthly,
    PartitionsDefinition,
    Static,
    TimeDefinition,
    Unpartitioned,
    Weekly,
    definition_from_dict,
)
from lakepart.model.exclusions import Calendar, is_cron
from lakepart.model.grains import WEEKDAYS, plainest_grain
from lakepart.model.labels import parse_date
from lakepart.model.zones import get_zone


def to_dagster(definition: PartitionsDefinition) -> dg.PartitionsDefinition[str] | None:
    """Give Dagster's definition with the same keys and windows; None, as Dagster has it, for an unpartitioned asset.

    The column ``by`` has no place there: say it in the Dagster asset's metadata, ``{"partition_expr": column}``.

    Raises
    ------
    InvalidInputError
        Dagster does not allow one of the keys.
    """
    if isinstance(definition, Unpartitioned):
        return None
    if isinstance(definition, Static):
        try:
            return dg.StaticPartitionsDefinition(list(definition.keys))
        except dg.DagsterInvalidDefinitionError as error:
            raise InvalidInputError(
                f"Dagster does not take the keys of {definition.describe()}: {error}", code=ErrorCode.UNSUPPORTED
            ) from error
    if not isinstance(definition, TimeDefinition):
        raise InvalidInputError(f"Dagster has nothing like {definition!r}.", code=ErrorCode.UNSUPPORTED)
    common: dict[str, Any] = {
        "timezone": definition.tz,
        "fmt": definition.fmt,
        "end_offset": definition.end_offset,
        "exclusions": list(_exclusions(definition)) or None,
    }
    start, end = _bounds(definition)
    own = definition.own
    match definition:
        case Hourly() if own["every"] == 1:
            return dg.HourlyPartitionsDefinition(start, end, minute_offset=own["minute"], **common)
        case Daily():
            return dg.DailyPartitionsDefinition(start, end, own["minute"], own["hour"], **common)
        case Weekly():
            day = WEEKDAYS.index(own["weekday"])
            return dg.WeeklyPartitionsDefinition(start, end, own["minute"], own["hour"], day, **common)
        case Monthly():
            return dg.MonthlyPartitionsDefinition(start, end, own["minute"], own["hour"], own["day"], **common)
    return dg.TimeWindowPartitionsDefinition(start, end=end, cron_schedule=definition.cron, **common)


def from_dagster(
    partitions_def: dg.PartitionsDefinition[str] | None, *, by: str | None = None, dimension: str = "partition"
) -> PartitionsDefinition:
    """Give the lakepart definition with the same keys and windows.

    Parameters
    ----------
    partitions_def
        By time, with any schedule, format, offset and exclusions, or static; None is an unpartitioned asset.
    by, dimension
        As lakepart's definitions take them; ``by`` is what Dagster calls ``partition_expr``.

    Raises
    ------
    InvalidInputError
        There is no such definition in lakepart.
    """
    if partitions_def is None:
        return Unpartitioned()
    if isinstance(partitions_def, dg.StaticPartitionsDefinition):
        return Static(partitions_def.get_partition_keys(), by=by, dimension=dimension)
    if not isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        raise InvalidInputError(
            f"{partitions_def!r} has no counterpart in lakepart: partitions by time and static ones have.",
            hint="declare the lakepart asset by hand and pass declare=False.",
            code=ErrorCode.UNSUPPORTED,
        )
    zone = get_zone(partitions_def.timezone)
    exclusions = [
        given if isinstance(given, str) else f"{datetime.fromtimestamp(given.timestamp, zone):%Y-%m-%dT%H:%M}"
        for given in partitions_def.exclusions or ()
    ]
    return plainest_grain(
        partitions_def.cron_schedule,
        partitions_def.start,
        end=partitions_def.end,
        by=by,
        tz=partitions_def.timezone,
        dimension=dimension,
        fmt=partitions_def.fmt,
        end_offset=partitions_def.end_offset,
        exclude=exclusions,
    )


def _bounds(definition: TimeDefinition) -> tuple[datetime, datetime | None]:
    start = definition.window_at(definition.universe.first).start
    return start, None if definition.end is None else definition.window_at(definition.universe.last).end


def _exclusions(definition: TimeDefinition) -> Iterator[str | datetime]:
    """Give what Dagster excludes: expressions, and the start of every single window."""
    crons = [item for item in definition.exclude if is_cron(item)]
    yield from crons
    others = [item for item in definition.exclude if item not in crons]
    if not others:
        return
    zone = get_zone(definition.tz)
    plain = {name: value for name, value in definition.to_dict().items() if name not in {"exclude", "end_offset"}}
    included = definition_from_dict({**plain, "start": definition.start, "exclude": crons})
    for text in (text for item in others for text in (item.days if isinstance(item, Calendar) else (item,))):
        day = parse_date(text)
        if day is None:
            yield datetime.fromisoformat(text).replace(tzinfo=zone)
            continue
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        for position in included.dimensions[0].starting_in(midnight, midnight + timedelta(days=1)):
            window = included.window_at(position)
            if window is not None:
                yield window.start
