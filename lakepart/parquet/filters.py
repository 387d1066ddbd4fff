"""Filters of rows: checked against the schema, applied as Arrow expressions, and asked which files can be left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import and_, or_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakepart.errors import ErrorCode, InvalidInputError, did_you_mean
from lakepart.parquet.comparing import ANY_VALUE, exactly, possible
from lakepart.parquet.statistics import Statistics, from_statistic, has_unknown_bounds, to_statistic

_OPERATORS = ("==", "=", "!=", "<", "<=", ">", ">=", "in", "not in")
_FORMS = 'a filter looks like [("delay", ">", 60), ("carrier", "in", ["UA", "AA"])]; lists in a list mean "or".'


@dataclass(frozen=True, slots=True)
class _Term:
    """One comparison; ``bounds`` are the values in the form of the statistics, None where they have none."""

    column: str
    operator: str
    data_type: pa.DataType
    values: tuple[Any, ...]
    expression: Any

    def can_hold(self, statistics: Statistics) -> bool:
        """Tell whether some row of a file with these statistics can match."""
        bounds = statistics.get(self.column)
        if bounds is None or has_unknown_bounds(bounds) or self.operator in {"!=", "not in"}:
            return True  # NaN differs from everything and is in no bounds
        low, high = (from_statistic(bound, self.data_type) for bound in bounds[:2])
        return any(_overlaps(self.operator, value, low, high) for value in self.values)


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that fits a schema.

    ``columns`` must be read to apply ``expression``; ``alternatives`` are the comparisons by which files are left
    out, none for an expression given as such.
    """

    columns: tuple[str, ...]
    expression: Any
    alternatives: tuple[tuple[_Term, ...], ...] = ()

    def can_hold(self, statistics: Statistics) -> bool:
        """Tell whether a file with these statistics can hold a match; True where they do not say."""
        if not self.alternatives:
            return True
        return any(all(term.can_hold(statistics) for term in terms) for terms in self.alternatives)


def compile_filter(given: Any, schema: pa.Schema) -> Filter | None:
    """Check a filter against a schema.

    Parameters
    ----------
    given
        Comparisons ``(column, operator, value)`` that must all hold, or a list of such lists of which one must; or a
        ``pyarrow.compute.Expression``, which leaves out no files; or None.
    schema
        The columns it may name.

    Raises
    ------
    InvalidInputError
        Code ``unknown-column`` with close names, ``naive-timestamp``, or ``invalid-input`` for anything else that
        is no filter or compares what cannot be compared.
    """
    if given is None:
        return None
    if isinstance(given, pc.Expression):
        return _of_expression(given, schema)
    alternatives = tuple(tuple(_term(term, schema) for term in conjunction) for conjunction in _conjunctions(given))
    expression = reduce(or_, (reduce(and_, (term.expression for term in terms)) for terms in alternatives))
    columns = tuple(dict.fromkeys(term.column for terms in alternatives for term in terms))
    compiled = Filter(columns, expression, alternatives)
    _try(compiled.expression, schema)
    return compiled


def columns_of_filter(given: Any, schema: pa.Schema) -> tuple[str, ...]:
    """Name the columns that must be read to apply a filter; of an expression, perhaps some more."""
    compiled = compile_filter(given, schema)
    return () if compiled is None else compiled.columns


def check_columns(names: Iterable[str], schema: pa.Schema) -> None:
    """Refuse names that are no columns of ``schema``: InvalidInputError, code ``unknown-column``, with close names."""
    for name in names:
        if name not in schema.names:
            raise InvalidInputError(
                f"There is no column {name!r}.",
                hint=did_you_mean(name, schema.names) if isinstance(name, str) else "column names are text.",
                code=ErrorCode.UNKNOWN_COLUMN,
                context={"column": name},
            )


def _of_expression(given: Any, schema: pa.Schema) -> Filter:
    text = str(given)
    by_place = "FieldPath(" in text  # pc.field(0): only the whole table has the right places
    named = schema.names if by_place else [name for name in schema.names if name in text]
    _try(given, schema)
    return Filter(tuple(named), given)


def _try(expression: Any, schema: pa.Schema) -> None:
    """Apply an expression to no rows, to hear of what does not fit before a file is opened."""
    try:
        schema.empty_table().filter(expression)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, pa.ArrowKeyError) as error:
        missing = re.search(r"No match for FieldRef\.Name\((.*?)\) in", str(error), re.DOTALL)
        if missing is not None:
            check_columns([missing[1]], schema)
        raise InvalidInputError(
            f"The filter {expression} does not fit the columns: {str(error).splitlines()[0]}.",
            hint="compare a column with a value of its own type.",
        ) from error


def _conjunctions(given: Any) -> list[list[Any]]:
    if not isinstance(given, list | tuple) or not given:
        raise InvalidInputError(f"{given!r} is no filter.", hint=_FORMS)
    if all(isinstance(item, list) for item in given) and all(given):
        return [list(item) for item in given]
    if isinstance(given, tuple) and len(given) == 3 and isinstance(given[0], str):
        raise InvalidInputError(f"The filter {given!r} is one comparison without its list.", hint=f"[{given!r}]")
    return [list(given)]


def _term(given: Any, schema: pa.Schema) -> _Term:
    if not isinstance(given, list | tuple) or len(given) != 3:
        raise InvalidInputError(f"{given!r} is no comparison of a filter.", hint=_FORMS)
    column, operator, value = given
    check_columns([column], schema)
    if operator not in _OPERATORS:
        raise InvalidInputError(
            f"The filter on {column!r} has the operator {operator!r}.", hint=f"known: {', '.join(_OPERATORS)}."
        )
    data_type = schema.field(column).type
    if operator not in {"in", "not in"}:
        operator, value = exactly("==" if operator == "=" else operator, value, data_type)
        if operator == ANY_VALUE:
            return _Term(column, "!=", data_type, (), pc.field(column).is_valid())
    if operator in {"in", "not in"}:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise InvalidInputError(
                f"The filter on {column!r} has {operator} {value!r}, which is no list of values.", hint=_FORMS
            )
        scalars = [_scalar(item, data_type, column) for item in possible(value, data_type)]
        expression = _is_in(pc.field(column), scalars, data_type)
        expression = expression if operator == "in" else ~expression
    else:
        scalars = [_scalar(value, data_type, column)]
        expression = _COMPARE[operator](pc.field(column), scalars[0])
    return _Term(column, operator, data_type, tuple(_statistic(scalar, data_type) for scalar in scalars), expression)


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda field, value: field == value,
    "!=": lambda field, value: field != value,
    "<": lambda field, value: field < value,
    "<=": lambda field, value: field <= value,
    ">": lambda field, value: field > value,
    ">=": lambda field, value: field >= value,
}


def _scalar(value: Any, data_type: pa.DataType, column: str) -> pa.Scalar:
    """Bring a value to the column's type if that loses nothing; what merely compares with it stays as it is."""
    if value is None:
        raise InvalidInputError(
            f"The filter compares {column!r} with None, which no value equals.",
            hint=f"pyarrow.compute.field({column!r}).is_null() as the filter finds nulls.",
        )
    _check_instant(value, data_type, column)
    try:
        scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise InvalidInputError(f"The filter compares {column!r} with {value!r}: {error}.", hint=_FORMS) from error
    try:
        cast = scalar.cast(data_type)
        same = pa.types.is_float32(data_type) or cast.cast(scalar.type).equals(scalar)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return scalar  # a fraction against decimals: Arrow finds a type for both
    return cast if same else scalar  # noon against dates: a cast would make it midnight


def _check_instant(value: Any, data_type: pa.DataType, column: str) -> None:
    if not pa.types.is_timestamp(data_type):
        return
    if isinstance(value, datetime):
        if (value.tzinfo is None) == (data_type.tz is None):
            return
        raise InvalidInputError(
            f"The filter compares {column!r} ({data_type}) with {value!r}: one has a time zone, the other has none.",
            hint="give a datetime with tzinfo." if data_type.tz else "give a datetime without tzinfo.",
            code=ErrorCode.NAIVE_TIMESTAMP,
        )
    if isinstance(value, date) and data_type.tz is not None:
        raise InvalidInputError(
            f"The filter compares {column!r} ({data_type}) with the date {value!r}, which is no instant.",
            hint=f'datetime({value.year}, {value.month}, {value.day}, tzinfo=ZoneInfo("{data_type.tz}")) is.',
        )


def _is_in(field: Any, scalars: Sequence[pa.Scalar], data_type: pa.DataType) -> Any:
    if all(scalar.type.equals(data_type) for scalar in scalars):
        return field.isin(pa.array([scalar.as_py() for scalar in scalars], type=data_type))
    return reduce(or_, (field == scalar for scalar in scalars))


def _statistic(scalar: pa.Scalar, data_type: pa.DataType) -> Any:
    if scalar.type.equals(data_type):
        return to_statistic(scalar, data_type)
    return scalar.as_py() if pa.types.is_integer(scalar.type) or pa.types.is_floating(scalar.type) else None


def _overlaps(operator: str, value: Any, low: Any, high: Any) -> bool:
    """Tell whether some value in ``[low, high]`` compares so; True where the two cannot be compared."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return True
    try:
        if operator in {"==", "in"}:
            return bool(low <= value <= high)
        if operator in {"<", "<="}:
            return bool(low < value if operator == "<" else low <= value)
        return bool(high > value if operator == ">" else high >= value)
    except TypeError:
        return True
