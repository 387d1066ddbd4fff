"""Partitions definitions translated from Dagster and to it: the same keys, the same windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import dagster as dg
import numpy as np

from lakepart.errors import ErrorCode, InvalidInputError, did_you_mean
from lakepart.model.definitions import (
    Daily,
    Dynamic,
    Hourly,
    Monthly,
    Multi,
    OneDimensional,
    PartitionsDefinition,
    Static,
    TimeDefinition,
    Unpartitioned,
    Weekly,
    definition_from_dict,
)
from lakepart.model.exclusions import Calendar, is_cron
from lakepart.model.grains import WEEKDAYS, plainest_grain
from lakepart.model.instants import to_microseconds
from lakepart.model.labels import parse_date
from lakepart.model.zones import get_zone


def to_dagster(definition: PartitionsDefinition, *, name: str | None = None) -> dg.PartitionsDefinition[Any] | None:
    """Give Dagster's definition with the same keys and windows; None, as Dagster has it, for an unpartitioned asset.

    The column ``by`` has no place there: say it in the Dagster asset's metadata, ``{"partition_expr": column}``, and
    for several dimensions ``{"partition_expr": {dimension: column}}``.

    Parameters
    ----------
    definition
        By time, static or dynamic; or of two dimensions in the alphabetical order of their names, which is Dagster's.
    name
        Under which name Dagster's instance keeps the keys of the dynamic dimension; the dimension's own by default.

    Raises
    ------
    InvalidInputError
        Dagster does not allow one of the keys, more than two dimensions or another order of them, or there is not one
        dynamic dimension to bear the name.
    """
    dynamic = [one for one in definition.dimensions if isinstance(one, Dynamic)]
    if name is not None and len(dynamic) != 1:
        raise InvalidInputError(
            f"name={name!r} names the keys of one dynamic dimension, and {definition!r} has {len(dynamic) or 'none'}.",
            hint="leave it out; keys of several are named for their dimensions." if dynamic else "leave it out.",
        )
    if isinstance(definition, Unpartitioned):
        return None
    if isinstance(definition, Multi):
        return _multi_to_dagster(definition, name)
    return _one_to_dagster(definition.dimensions[0], name)


def _multi_to_dagster(definition: Multi, name: str | None) -> dg.MultiPartitionsDefinition:
    names = [one.dimension for one in definition.dimensions]
    if len(names) != 2:
        raise InvalidInputError(
            f"Dagster knows two dimensions, and {definition!r} has {len(names)}.",
            hint="fold dimensions into one of static keys, until there are two.",
            code=ErrorCode.UNSUPPORTED,
        )
    if any(earlier > later for earlier, later in pairwise(names)):
        raise InvalidInputError(
            f"Dagster puts dimensions in alphabetical order, so its keys would not be those of {definition!r}.",
            hint=f"declare the dimensions in the order {', '.join(sorted(names))}.",
            code=ErrorCode.UNSUPPORTED,
        )
    _check_parts(definition)
    try:
        return dg.MultiPartitionsDefinition(
            {one.dimension: _one_to_dagster(one, name) for one in definition.dimensions}
        )
    except dg.DagsterInvalidDefinitionError as error:
        raise _not_taken(definition, error) from error


def _one_to_dagster(definition: OneDimensional, name: str | None) -> dg.PartitionsDefinition[str]:
    if isinstance(definition, Dynamic):
        return dg.DynamicPartitionsDefinition(name=definition.dimension if name is None else name)
    if isinstance(definition, Static):
        try:
            return dg.StaticPartitionsDefinition(list(definition.keys))
        except dg.DagsterInvalidDefinitionError as error:
            raise _not_taken(definition, error) from error
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
    partitions_def: dg.PartitionsDefinition[Any] | None,
    *,
    by: str | Mapping[str, str] | None = None,
    dimension: str = "partition",
) -> PartitionsDefinition:
    """Give the lakepart definition with the same keys and windows.

    Parameters
    ----------
    partitions_def
        By time, with any schedule, format, offset and exclusions; static; dynamic with a name; or of two dimensions,
        which come in Dagster's order, the alphabetical one. None is an unpartitioned asset.
    by
        What Dagster calls ``partition_expr``: the column that says where a row belongs. Of two dimensions
        ``{dimension: column}``; one that is left out has no column.
    dimension
        As lakepart's definitions take it. Two dimensions have their names already.

    Raises
    ------
    InvalidInputError
        There is no such definition in lakepart, or ``by`` has the form for another number of dimensions.
    """
    if partitions_def is None:
        return Unpartitioned()
    if isinstance(partitions_def, dg.MultiPartitionsDefinition):
        return _multi_from_dagster(partitions_def, by, dimension)
    if isinstance(by, Mapping):
        raise InvalidInputError(
            f"by is {dict(by)!r}, and {partitions_def!r} has one dimension: its column is a text.",
            hint='for example by="time_hour"; in the metadata of the asset, {"partition_expr": "time_hour"}.',
        )
    return _one_from_dagster(partitions_def, by, dimension)


def in_dagsters_words(dimension: OneDimensional) -> PartitionsDefinition:
    """Give a dimension as it comes back from Dagster, which knows neither calendars nor days, only windows."""
    if not isinstance(dimension, TimeDefinition):
        return dimension
    return from_dagster(to_dagster(dimension), by=dimension.by, dimension=dimension.dimension)


def _multi_from_dagster(
    partitions_def: dg.MultiPartitionsDefinition, by: str | Mapping[str, str] | None, dimension: str
) -> Multi:
    theirs = {one.name: one.partitions_def for one in partitions_def.partitions_defs}
    names = " and ".join(theirs)
    if dimension != "partition":
        raise InvalidInputError(
            f"dimension={dimension!r} names one dimension, and there are {names}.", hint="leave it out."
        )
    if by is not None and not isinstance(by, Mapping):
        example = {name: "time_hour" if at == 0 else name for at, name in enumerate(theirs)}
        raise InvalidInputError(
            f"by is {by!r}, which does not say the column of each dimension: there are {names}.",
            hint=f'for example by={example}; in the metadata of the asset, {{"partition_expr": {example}}}.',
        )
    columns = dict(by or {})
    for name in columns:
        if name not in theirs:
            raise InvalidInputError(
                f"by names the column of {name!r}, and the dimensions are {names}.",
                hint=did_you_mean(str(name), list(theirs)),
            )
    made = Multi(**{name: _one_from_dagster(one, columns.get(name), name) for name, one in theirs.items()})
    _check_parts(made)
    return made


def _one_from_dagster(partitions_def: dg.PartitionsDefinition[Any], by: str | None, dimension: str) -> OneDimensional:
    if isinstance(partitions_def, dg.StaticPartitionsDefinition):
        return Static(partitions_def.get_partition_keys(), by=by, dimension=dimension)
    if isinstance(partitions_def, dg.DynamicPartitionsDefinition) and partitions_def.partition_fn is None:
        return Dynamic(by=by, dimension=dimension)
    if not isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
        raise InvalidInputError(
            f"{partitions_def!r} has no counterpart in lakepart: partitions by time, static ones and dynamic ones with "
            "a name have.",
            hint="declare the lakepart asset by hand and pass declare=False.",
            code=ErrorCode.UNSUPPORTED,
        )
    make = partial(
        plainest_grain,
        partitions_def.cron_schedule,
        partitions_def.start,
        end=partitions_def.end,
        by=by,
        tz=partitions_def.timezone,
        dimension=dimension,
        fmt=partitions_def.fmt,
        end_offset=partitions_def.end_offset,
    )
    zone = get_zone(partitions_def.timezone)
    given = partitions_def.exclusions or ()
    starts = [datetime.fromtimestamp(one.timestamp, zone) for one in given if not isinstance(one, str)]
    _require_both_of_repeated(starts, make)
    crons = [one for one in given if isinstance(one, str)]
    return make(exclude=[*crons, *(f"{start:%Y-%m-%dT%H:%M}" for start in starts)])


def _require_both_of_repeated(excluded: Sequence[datetime], make: Callable[[], TimeDefinition]) -> None:
    """Refuse what leaves out one of two windows that begin at the same time on clocks: lakepart leaves out both."""
    instants = {start.timestamp() for start in excluded}
    for start in excluded:
        twin = start.replace(fold=1 - start.fold)
        if twin.utcoffset() != start.utcoffset() and twin.timestamp() not in instants:
            every = make()
            (position,) = every.positions_of_instants(np.array([to_microseconds(twin)])).tolist()
            if position in every.universe and every.window_at(position).start == twin:
                raise InvalidInputError(
                    f"The exclusion {start.isoformat()} leaves out one of the two windows that begin at "
                    f"{start:%Y-%m-%d %H:%M} on the clocks of {every.tz}; lakepart leaves out both or none.",
                    hint=f"exclude {twin.isoformat()} too.",
                    code=ErrorCode.UNSUPPORTED,
                )


def _check_parts(definition: Multi) -> None:
    """Refuse what would make keys differ: Dagster joins parts as they are, lakepart escapes ``|`` and ``%`` in them."""
    for one in definition.dimensions:
        for part in one.keys if isinstance(one, Static) else (one.example_key,):
            if "|" in part or "%" in part:
                raise InvalidInputError(
                    f"{part!r}, a key in the dimension {one.dimension!r}, is not written alike on both sides: in keys "
                    "of several dimensions lakepart writes | as %7C and % as %25.",
                    hint="use keys without | and %; or declare the lakepart asset by hand, lp.Static([…]), and pass "
                    "declare=False.",
                    code=ErrorCode.UNSUPPORTED,
                )


def _not_taken(definition: PartitionsDefinition, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"Dagster does not take the keys of {definition.describe()}: {error}", code=ErrorCode.UNSUPPORTED
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
            first = datetime.fromisoformat(text).replace(tzinfo=zone)
            yield first
            if first.replace(fold=1).utcoffset() != first.utcoffset():  # clocks show it twice, and both are left out
                yield first.replace(fold=1)
            continue
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        for position in included.dimensions[0].starting_in(midnight, midnight + timedelta(days=1)):
            window = included.window_at(position)
            if window is not None:
                yield window.start
