"""Tiering policies: which partitions belong on which tier, as ordered rules of which the first match wins."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Self

from lakepart.errors import InvalidInputError, NotFoundError
from lakepart.model.names import check_tier_name

_DURATION = re.compile(r"(\d+)\s*([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=365_250)  # calendars end somewhere, and so must subtraction from now
SHORTEST_RETENTION = timedelta(hours=1)  # of replaced versions; below it, force has to be used
_FIELDS = frozenset({"assets", "older_than", "to"})


@dataclass(frozen=True, slots=True)
class AgeRule:
    """Partitions whose window ended at least ``older_than`` ago belong on tier ``to``.

    ``assets`` is a pattern of asset names, as of files: ``*``, ``sales/*``.
    """

    to: str
    older_than: timedelta
    assets: str = "*"

    def __post_init__(self) -> None:
        check_tier_name(self.to)
        check_age(self.older_than)

    def covers(self, asset: str) -> bool:
        """Say whether the rule speaks of an asset."""
        return fnmatchcase(asset, self.assets)


@dataclass(frozen=True, slots=True)
class TieringPolicy:
    """Ordered rules; for each partition, the first that covers its asset and its age decides. Nothing is promoted."""

    rules: tuple[AgeRule, ...]

    def __init__(self, *rules: AgeRule) -> None:
        object.__setattr__(self, "rules", rules)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> Self:
        """Read a policy file of ``[[rule]]`` tables with ``assets`` (a pattern), ``older_than`` and ``to``.

        Raises
        ------
        NotFoundError
            There is no such file.
        InvalidInputError
            It is not TOML, or a rule has an unknown field or a value outside its rule.
        """
        try:
            data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFoundError(f"There is no policy file {str(path)!r}.") from error
        except OSError as error:
            raise InvalidInputError(f"The policy file {str(path)!r} cannot be read: {error.strerror}.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"The policy file {str(path)!r} is not TOML: {error}.") from error
        rules = data.get("rule", [])
        tables = isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules)
        if not rules or not tables or set(data) != {"rule"}:
            raise InvalidInputError(
                f"The policy file {str(path)!r} must have [[rule]] tables and nothing else.",
                hint='[[rule]] assets = "flights"  older_than = "180d"  to = "cold"',
            )
        return cls(*(_rule(number, rule) for number, rule in enumerate(rules, start=1)))


def check_age(age: timedelta) -> timedelta:
    """Give the age back if it is one: how long ago a window ended, up to a thousand years."""
    if not timedelta(0) <= age <= _LONGEST:
        raise InvalidInputError(f"older_than={age} is no age of a window: it is not negative, nor above 1,000 years.")
    return age


def parse_duration(text: str) -> timedelta:
    """Read ``180d``, ``12h`` or ``4w``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInputError(f"{text!r} is not a duration.", hint="write hours, days or weeks: 12h, 180d, 4w.")
    try:
        return int(match[1]) * _UNITS[match[2]]
    except OverflowError as error:
        raise InvalidInputError(f"{text!r} is longer than any age.", hint="write years as days: 3650d.") from error


def to_duration(name: str, value: timedelta | str) -> timedelta:
    """Take a span of time, or the text of one: zero or more, up to a thousand years."""
    found = parse_duration(value) if isinstance(value, str) else value
    if not isinstance(found, timedelta) or not timedelta(0) <= found <= _LONGEST:
        raise InvalidInputError(
            f"{name}={value!r} is no span of time from zero to 1,000 years.",
            hint='a timedelta, or hours, days or weeks as text: "12h", "30d", "4w".',
        )
    return found


def _rule(number: int, rule: Mapping[str, Any]) -> AgeRule:
    unknown = sorted(set(rule) - _FIELDS)
    lacking = sorted({"older_than", "to"} - set(rule))
    if unknown or lacking:
        what = f"has no {', '.join(lacking)}" if lacking else f"has unknown {', '.join(unknown)}"
        raise InvalidInputError(f"Rule {number} {what}.", hint="a rule has assets (optional), older_than and to.")
    for name, value in rule.items():
        if not isinstance(value, str):
            raise InvalidInputError(
                f"Rule {number}: {name} = {value!r} is not text.", hint=f'write {name} = "{value}".'
            )
    return AgeRule(rule["to"], parse_duration(rule["older_than"]), rule.get("assets", "*"))
