"""What may stand in ``[]``, and what to say about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.definition_base import PartitionsDefinition
from lakepart.model.intervals import Intervals, Range
from lakepart.model.partition_sets import PartitionSet

Label = str | date


def select(definition: PartitionsDefinition, item: object) -> tuple[PartitionSet, bool]:
    """Read what stands in ``[]``.

    Parameters
    ----------
    definition
        What is selected from.
    item
        A label (key, date or partial date), a list of labels, a slice of labels with both ends included, or a
        :class:`PartitionSet` of the same definition.

    Returns
    -------
    set, explicit
        ``explicit`` is False for ``[:]`` and slices with an open end, which mean what is there, and True for
        all else, which must be there.

    Raises
    ------
    PartitionKeyError
        A label names no partition.
    InvalidInputError
        Anything else stands there: numbers, datetimes, steps, tuples.
    """
    if isinstance(item, PartitionSet):
        return PartitionSet.everything(definition) & item, True
    if isinstance(item, slice):
        return _select_slice(definition, item)
    if isinstance(item, list):
        ranges: list[Range] = []
        for one in item:
            ranges += definition.label(_check_label(definition, one)).ranges
        return PartitionSet(definition, Intervals.of(ranges)), True
    return PartitionSet(definition, definition.label(_check_label(definition, item))), True


def _select_slice(definition: PartitionsDefinition, item: slice) -> tuple[PartitionSet, bool]:
    if item.step is not None:
        raise _refused(f"The step {item.step!r} in a slice", "partitions are chosen by label, without steps")
    start = None if item.start is None else _check_label(definition, item.start)
    stop = None if item.stop is None else _check_label(definition, item.stop)
    return PartitionSet(definition, definition.slice(start, stop)), start is not None and stop is not None


def _check_label(definition: PartitionsDefinition, label: object) -> Label:
    example = f"[{definition.example_key!r}]"
    if isinstance(label, datetime):
        raise _refused(
            f"The datetime {label.isoformat()}",
            "labels include both ends, instants do not",
            hint="asset.between(start, end) takes aware datetimes, end excluded.",
        )
    if isinstance(label, (str, date)):
        return label
    if isinstance(label, int):
        raise _refused(
            f"The number {label!r}",
            "partitions are chosen by label, not by count",
            hint=f"asset.last(n) gives the last n; a key stands in quotes, {example}.",
        )
    if isinstance(label, (tuple, Mapping)):
        raise _refused(
            f"The {type(label).__name__} {label!r}",
            f"this asset has one dimension, {definition.dimension!r}",
            hint=f"several labels stand in a list, [[{definition.example_key!r}, …]].",
        )
    raise _refused(
        f"{label!r}, a {type(label).__name__},", "labels are texts and dates", hint=f"for example {example}."
    )


def _refused(what: str, rule: str, *, hint: str = "asset.last(n) gives the last n.") -> InvalidInputError:
    return InvalidInputError(f"{what} cannot select partitions: {rule}.", hint=hint, code=ErrorCode.INVALID_SELECTION)
