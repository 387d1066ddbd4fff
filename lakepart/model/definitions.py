"""Every way of cutting an asset into partitions, and reading one back from the form the catalog keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import FORMAT_VERSION, OneDimensional, PartitionsDefinition
from lakepart.model.dynamic_definition import Dynamic
from lakepart.model.exclusions import Calendar, from_plain
from lakepart.model.grains import GRAINS, Cron, Daily, Hourly, Minutely, Monthly, Quarterly, Weekly, Yearly
from lakepart.model.multi_definition import Multi
from lakepart.model.static_definitions import Static, Unpartitioned
from lakepart.model.time_definitions import TimeDefinition, TimeOptions

__all__ = [
    "Calendar",
    "Cron",
    "Daily",
    "Dynamic",
    "Hourly",
    "Minutely",
    "Monthly",
    "Multi",
    "OneDimensional",
    "PartitionsDefinition",
    "Quarterly",
    "Static",
    "TimeDefinition",
    "Unpartitioned",
    "Weekly",
    "Yearly",
    "declaration_of",
    "definition_from_dict",
    "has_dynamic_keys",
]

_TIME: dict[str, type[TimeDefinition]] = {grain.name: grain for grain in GRAINS}


def check_definition(partitions: object) -> None:
    """Refuse what is no way to cut an asset.

    Raises
    ------
    InvalidInputError
        It is no partitions definition.
    """
    if not isinstance(partitions, PartitionsDefinition):
        raise InvalidInputError(
            f"partitions={partitions!r} is no partitions definition.", hint='use one, such as Daily("2013-01-01").'
        )


def definition_from_dict(data: Mapping[str, Any]) -> PartitionsDefinition:
    """Read what ``to_dict`` of a definition gave.

    Raises
    ------
    InvalidInputError
        The form is of a newer lakepart, or of none.
    """
    version, kind = data.get("version"), data.get("kind")
    if version != FORMAT_VERSION:
        raise InvalidInputError(
            f"A partitions definition of version {version!r} cannot be read: this lakepart knows {FORMAT_VERSION}.",
            hint="install a newer lakepart.",
            code=ErrorCode.UNSUPPORTED,
        )
    try:
        if kind == Unpartitioned.name:
            return Unpartitioned()
        if kind == Static.name:
            return Static(data["keys"], by=data["by"], dimension=data["dimension"])
        if kind == Dynamic.name:
            return Dynamic(data["by"], dimension=data["dimension"])
        if kind == Multi.name:
            return _multi_definition(json.dumps(data, sort_keys=True))
        if kind in _TIME:
            return _time_definition(kind, json.dumps(data, sort_keys=True))
    except KeyError as error:
        raise InvalidInputError(f"A {kind} partitions definition lacks {error.args[0]!r}.") from error
    known = ", ".join([*_TIME, Static.name, Dynamic.name, Multi.name, Unpartitioned.name])
    raise InvalidInputError(
        f"{kind!r} is no kind of partitions definition: known are {known}.",
        code=ErrorCode.UNSUPPORTED,
    )


def declaration_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Give what somebody declared, of what ``to_dict`` gave: without what was settled for good when it was declared."""
    return {name: value for name, value in data.items() if name != "bits"}


def has_dynamic_keys(data: Mapping[str, Any]) -> bool:
    """Answer, of what ``to_dict`` gave, whether the catalog keeps keys for it."""
    return any(one.get("kind") == Dynamic.name for one in (data, *data.get("dimensions", ())))


@lru_cache(maxsize=256)  # as the next
def _multi_definition(text: str) -> Multi:
    data = json.loads(text)
    return Multi.restored({one["dimension"]: definition_from_dict(one) for one in data["dimensions"]}, data["bits"])


@lru_cache(maxsize=256)  # every verb reads its asset's definition, and finding where time begins and ends takes a while
def _time_definition(kind: str, text: str) -> TimeDefinition:
    arguments = json.loads(text)
    del arguments["version"], arguments["kind"]
    arguments["exclude"] = from_plain(arguments.get("exclude", ()))
    known = TimeOptions.__annotations__.keys() | _TIME[kind].own_arguments.keys() | {"start"}
    unknown = sorted(arguments.keys() - known)
    if unknown:
        raise InvalidInputError(
            f"A {kind} partitions definition has {', '.join(map(repr, unknown))}, which this lakepart does not know.",
            hint="install a newer lakepart.",
            code=ErrorCode.UNSUPPORTED,
        )
    if lacking := [name for name in ("start", "end", "by", "tz", "dimension") if name not in arguments]:
        raise KeyError(lacking[0])
    return _TIME[kind](**arguments)
