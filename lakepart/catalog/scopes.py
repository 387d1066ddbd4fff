"""Which versions a reader sees: the rows of one asset, on one branch, now or at a snapshot, within some ranges.

The present is one range of a partial index, so its cost depends on the partitions asked for and on nothing else; the
past costs the versions in the range. A branch shows its own versions, and main's at its fork wherever it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Join,
    and_,
    bindparam,
    exists,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from lakepart.catalog.encoding import to_json
from lakepart.catalog.tables import BIG, TEXT, version
from lakepart.model.ordinal_ranges import OrdinalRange
from lakepart.model.records import MAIN_BRANCH_ID, BranchRecord

Ranges = Sequence[OrdinalRange]  # disjoint, both ends included, some perhaps under conditions on the ordinal's bits
EVERY_ORDINAL = (-(2**63), 2**63 - 1)  # whatever the definition
_CONDITION = ("shift", "mask", "least", "greatest")


@dataclass(frozen=True, slots=True)
class Scope:
    """One asset as one branch sees it; without ``snapshot``, now."""

    asset_id: int
    branch: BranchRecord
    snapshot: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """What tells the statements of two lists of ranges apart: one or many, and how many conditions each has at most."""

    many: bool
    conditions: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What tells the statements of two scopes apart; one shape is compiled once."""

    past: bool
    branch: bool
    form: Form


@dataclass(frozen=True, slots=True)
class Seen:
    """The visible versions as a part of a statement: ``source`` has the columns of ``version``."""

    source: FromClause
    columns: Any
    where: ColumnElement[bool]


def shape_of(scope: Scope, ranges: Ranges) -> Shape:
    """Say which statement finds the versions of ``scope`` in ``ranges``."""
    return Shape(scope.snapshot is not None, scope.branch.branch_id != MAIN_BRANCH_ID, form_of(ranges))


def form_of(ranges: Ranges) -> Form:
    """Say which statement finds what lies in ``ranges``."""
    longest = max(map(len, ranges), default=2)
    return Form(len(ranges) != 1, (longest - 2) // len(_CONDITION))


def parameters_of(scope: Scope, ranges: Ranges) -> Mapping[str, Any]:
    """Give the values of a statement of :func:`shape_of`."""
    parameters: dict[str, Any] = {"asset": scope.asset_id, "branch": scope.branch.branch_id}
    if scope.snapshot is not None:
        parameters["at"] = scope.snapshot
    if scope.branch.branch_id != MAIN_BRANCH_ID:
        # a past from before the fork is main's past
        parameters["fork"] = scope.branch.fork if scope.snapshot is None else min(scope.branch.fork, scope.snapshot)
    return parameters | range_parameters(ranges)


def range_parameters(ranges: Ranges) -> dict[str, Any]:
    """Give the values of a statement made with :func:`within`."""
    if len(ranges) == 1:
        return dict(zip(_names(form_of(ranges).conditions), ranges[0], strict=True))
    longest = 2 + form_of(ranges).conditions * len(_CONDITION)
    if longest == 2:
        return {"ranges": to_json(ranges)}
    return {"ranges": to_json([[*one, *[0] * (longest - len(one))] for one in ranges])}


class _JsonList(FunctionElement[Any]):
    """The elements of a JSON list as rows with the one column ``value``."""

    inherit_cache = True
    name = "json_list"


class _Number(FunctionElement[int]):
    """An element of a JSON list of numbers."""

    inherit_cache = True
    type = BIG


class _NumberAt(FunctionElement[int]):
    """The number at a place of a list that is itself an element of a JSON list."""

    inherit_cache = True
    type = BIG


class _Word(FunctionElement[str]):
    """An element of a JSON list of texts."""

    inherit_cache = True
    type = TEXT


class _ShiftBy(FunctionElement[int]):
    """How far to shift: of the type that the database's operator takes."""

    inherit_cache = True
    type = BIG


@compiles(_JsonList, "sqlite")
def _(element: _JsonList, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_JsonList, "postgresql")
def _(element: _JsonList, compiler: Any, **options: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **options)} AS jsonb))"


@compiles(_Number, "sqlite")
@compiles(_Word, "sqlite")
@compiles(_ShiftBy, "sqlite")
def _(element: FunctionElement[Any], compiler: Any, **options: Any) -> str:
    return str(compiler.process(element.clauses, **options))


@compiles(_NumberAt, "sqlite")
def _(element: _NumberAt, compiler: Any, **options: Any) -> str:
    value, at = (compiler.process(part, **options) for part in element.clauses)
    return f"json_extract({value}, '$[{at}]')"


@compiles(_Number, "postgresql")
def _(element: _Number, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BIGINT)"


@compiles(_NumberAt, "postgresql")
def _(element: _NumberAt, compiler: Any, **options: Any) -> str:
    value, at = (compiler.process(part, **options) for part in element.clauses)
    return f"CAST({value} -> {at} AS BIGINT)"


@compiles(_Word, "postgresql")
def _(element: _Word, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} #>> '{{}}')"


@compiles(_ShiftBy, "postgresql")
def _(element: _ShiftBy, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS INTEGER)"


class _EachRange(Join):
    """A join that looks each range up in an index.

    SQLite keeps to the order of a CROSS JOIN; left to itself, it compares every version with every range.
    """

    inherit_cache = True


@compiles(_EachRange, "sqlite")
def _(element: _EachRange, compiler: Any, **options: Any) -> str:
    options["asfrom"] = True
    left, right, condition = (
        compiler.process(part, **options) for part in (element.left, element.right, element.onclause)
    )
    return f"{left} CROSS JOIN {right} ON {condition}"


@cache
def seen(shape: Shape) -> Seen:
    """Give the visible versions for statements to join to."""
    source, in_ranges = within(version, version.c.ordinal, shape.form)
    at = "at" if shape.past else None
    own = [and_(_of("branch"), time, version.c.content_id.is_not(None), in_ranges) for time in times(version, at)]
    if not shape.past and not shape.branch:
        return Seen(source, version.c, own[0])
    mine = version.alias("mine")
    overridden = or_(
        *(
            exists().where(
                mine.c.asset_id == _bound("asset"),
                mine.c.branch_id == _bound("branch"),
                mine.c.ordinal == version.c.ordinal,
                time,
            )
            for time in times(mine, at)
        )
    )
    inherited = [and_(_of("main"), time, in_ranges, ~overridden) for time in times(version, "fork")]
    parts = union_all(
        *(
            select(*version.c).select_from(source).where(condition)
            for condition in (own + inherited if shape.branch else own)
        )
    ).subquery("seen")
    return Seen(parts, parts.c, true())


def times(source: FromClause, at: str | None) -> list[ColumnElement[bool]]:
    """Keep what is current (None), or was at the snapshot bound as ``at``: the present's part of it, then the past's.

    They are apart because each has its own partial index: with one index over both, nothing would keep a database from
    answering for the present by going through the past.
    """
    if at is None:
        return [source.c.ended.is_(None)]
    begun = source.c.began <= _bound(at)
    return [and_(source.c.ended.is_(None), begun), and_(source.c.ended > _bound(at), begun)]


def _of(branch: str) -> ColumnElement[bool]:
    of = literal(MAIN_BRANCH_ID, BIG) if branch == "main" else _bound(branch)
    return and_(version.c.asset_id == _bound("asset"), version.c.branch_id == of)


def within(source: FromClause, ordinal: Any, form: Form) -> tuple[FromClause, ColumnElement[bool]]:
    """Restrict ``source`` to ranges of ordinals: one as a few values, any number as one JSON value.

    A range of some dimensions is one of rows under conditions on the others: of the rows that an index finds, those
    are kept whose bits fit.
    """
    if not form.many:
        return source, _fitting(ordinal, [_bound(name) for name in _names(form.conditions)])
    ranges = _JsonList(bindparam("ranges", type_=TEXT)).table_valued("value").alias("wanted")
    numbers = [_NumberAt(ranges.c.value, literal_column(str(at))) for at in range(len(_names(form.conditions)))]
    if not form.conditions:
        return _EachRange(ranges, source, _fitting(ordinal, numbers)), true()
    # Rows tried by conditions are many more than ranges: the offset keeps a database from taking a range's numbers out
    # of the JSON text again for each of them, which would cost six times as much as all the rest.
    named = zip(numbers, _names(form.conditions), strict=True)
    wanted = select(*(number.label(name) for number, name in named)).offset(0).subquery("wanted")
    return _EachRange(wanted, source, _fitting(ordinal, list(wanted.c))), true()


def _fitting(ordinal: Any, numbers: Sequence[Any]) -> ColumnElement[bool]:
    conditions = [ordinal.between(numbers[0], numbers[1])]
    for at in range(2, len(numbers), len(_CONDITION)):
        shift, mask, least, greatest = numbers[at : at + len(_CONDITION)]
        conditions.append(bits_of(ordinal, shift, mask).between(least, greatest))
    return and_(*conditions)


def bits_of(ordinal: Any, shift: Any, mask: Any) -> ColumnElement[int]:
    """Give some bits of an ordinal: the number of one dimension in it."""
    bits: ColumnElement[int] = ordinal.op(">>")(_ShiftBy(shift)).op("&")(mask)
    return bits


def _names(conditions: int) -> list[str]:
    """Name the values of one range."""
    return ["low", "high", *(f"{name}_{at}" for at in range(conditions) for name in _CONDITION)]


def in_json(column: Any, parameter: str) -> ColumnElement[bool]:
    """Restrict a column to the values of a JSON list: any number of them in one statement."""
    listed = _JsonList(bindparam(parameter, type_=TEXT)).table_valued("value")
    condition: ColumnElement[bool] = column.in_(select(_as(column, listed.c.value)))
    return condition


def numbers_in_json(parameter: str) -> ColumnElement[int]:
    """Give the numbers of a JSON list as rows."""
    listed = _JsonList(bindparam(parameter, type_=TEXT)).table_valued("value")
    return _Number(listed.c.value)


def each_in_json(source: FromClause, column: Any, parameter: str) -> FromClause:
    """Look the rows of ``source`` up value by value: for a few values of a column, among many rows."""
    listed = _JsonList(bindparam(parameter, type_=TEXT)).table_valued("value").alias("listed")
    return _EachRange(listed, source, column == _as(column, listed.c.value))


def _as(column: Any, value: Any) -> FunctionElement[Any]:
    return _Word(value) if column.type is TEXT else _Number(value)


def _bound(name: str) -> Any:
    return bindparam(name, type_=BIG)
