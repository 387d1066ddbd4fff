"""Running audits: callables that are given a selection of what is about to be published.

An audit passes by returning nothing, and fails by raising or by returning what it found. Those of a backfill are
remembered by name, as its producer is, so that whoever resumes it runs them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from lakepart.engine.context import LakeContext, View
from lakepart.engine.home import Home
from lakepart.errors import AuditError, InvalidInputError, StateError
from lakepart.model.functions import load_function, reference
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import count_of, list_some

Select = Callable[[Home, str, PartitionSet], Any]  # makes the handle that audits are given


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """One thing that is not as it should be; ``key`` names the partition, where it is about one."""

    text: str
    key: str | None = None

    def __str__(self) -> str:
        return self.text if self.key is None else f"{self.key!r} {self.text}"


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an audit found, and what it measured; no findings means that it passed."""

    findings: Sequence[AuditFinding] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Auditor:
    """The audits of one backfill, and how to give them what it is about to publish."""

    home: Home
    audits: Sequence[Any]
    select: Select
    what: str

    def __call__(self, context: LakeContext, view: View, asset: str, partitions: PartitionSet) -> list[dict[str, Any]]:
        """Run them on partitions as a view shows them; gives what is recorded, or raises AuditError."""
        home = Home(context, view, self.home.functions, self.home.mapping_functions)
        outcomes = run_audits(self.audits, [self.select(home, asset, partitions)], self.what)
        return [{**one, "partitions": partitions.to_text()} for one in outcomes]


def run_audits(audits: Iterable[Any], selections: Sequence[Any], what: str) -> list[dict[str, Any]]:
    """Run every audit on every selection, and give what is recorded of them.

    Raises
    ------
    AuditError
        Some found something; all of it is named.
    """
    outcomes = [_run(audit, selection) for audit in audits for selection in selections]
    failed = [one for one in outcomes if one["outcome"] != "passed"]
    if failed:
        named = "; ".join(f"{one['name']} of {one['asset']!r}: {list_some(one['findings'])}" for one in failed)
        raise AuditError(
            f"{what} fails {count_of(len(failed), 'audit')}: {named}. Nothing was published.",
            hint="mend what they found and publish again.",
            context={"audits": outcomes, "keys": sorted({key for one in failed for key in one["keys"]})},
        )
    return [{name: value for name, value in one.items() if name not in {"findings", "keys"}} for one in outcomes]


def name_of(audit: Any) -> str:
    """Name an audit: a built-in one with what it was made with."""
    return repr(audit) if is_dataclass(audit) else getattr(audit, "__name__", type(audit).__name__)


def to_record(audit: Any) -> dict[str, Any]:
    """Say how another process finds an audit again; ``function`` is None where it cannot."""
    if not callable(audit) or isinstance(audit, type):
        raise InvalidInputError(
            f"{audit!r} is no audit.", hint='NoNulls("column"), or a function that takes a selection.'
        )
    if not is_dataclass(audit):
        return {"name": name_of(audit), "function": reference(audit)}
    given = {one.name: getattr(audit, one.name) for one in fields(audit)}
    plain = all(_is_plain(value) for value in given.values())
    return {"name": name_of(audit), "function": reference(type(audit)) if plain else None, "arguments": given}


def load_audits(records: Sequence[Mapping[str, Any]], given: Sequence[Any], backfill: str) -> tuple[Any, ...]:
    """Find the audits of a recorded backfill again; ``given`` ones must be those.

    Raises
    ------
    StateError
        They cannot be imported.
    InvalidInputError
        Others are given than it was planned with.
    """
    names = [one["name"] for one in records]
    if given:
        if [to_record(audit)["name"] for audit in given] != names:
            raise InvalidInputError(
                f"Backfill {backfill!r} was planned with other audits: {list_some(names) or 'none'}.",
                hint="resume it with these, or plan another one.",
            )
        return tuple(given)
    loaded = [_load(record) for record in records]
    lost = [name for name, audit in zip(names, loaded, strict=True) if audit is None]
    if lost:
        raise StateError(
            f"Audits of backfill {backfill!r} cannot be imported: {list_some(lost)}.",
            hint="pass them: resume(audit=[…]).",
            context={"backfill": backfill, "audits": lost},
        )
    return tuple(loaded)


def _load(record: Mapping[str, Any]) -> Any:
    found: Any = load_function(record["function"])
    if found is None or not isinstance(found, type):
        return found
    audit: Any = object.__new__(found)
    for name, value in record["arguments"].items():
        object.__setattr__(audit, name, tuple(value) if isinstance(value, list) else value)
    return audit


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) or (isinstance(value, tuple) and all(map(_is_plain, value)))


def _run(audit: Any, selection: Any) -> dict[str, Any]:
    try:
        given = audit(selection)
        result = given if isinstance(given, AuditResult) else AuditResult([_finding(one) for one in given or ()])
    except Exception as error:  # noqa: BLE001 - whatever a check raises, it has failed
        result = AuditResult([AuditFinding(f"{type(error).__name__}: {error}")])
    return {
        "name": name_of(audit),
        "asset": selection._asset,
        "outcome": "failed" if result.findings else "passed",
        "measured": dict(result.measured),
        "findings": [str(one) for one in result.findings],
        "keys": [one.key for one in result.findings if one.key is not None],
    }


def _finding(given: AuditFinding | str) -> AuditFinding:
    return given if isinstance(given, AuditFinding) else AuditFinding(str(given))
