"""What may stand in ``[]``, and what to say about the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.cells import product, union
from lakepart.model.definition_base import OneDimensional, PartitionsDefinition
from lakepart.model.intervals import Intervals
from lakepart.model.multi_definition import Multi
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.set_text import LabelRuns, parse_label_boxes, parse_labels

Label = str | date
Side = tuple[Intervals, bool]  # what is chosen of one dimension, and whether every partition of it was named


def select(definition: PartitionsDefinition, item: object) -> tuple[PartitionSet, bool]:
    """Read what stands in ``[]``.

    Parameters
    ----------
    definition
        What is selected from.
    item
        A label (key, date or partial date), a list of labels, a slice of labels with both ends included, or a
        :class:`PartitionSet` of the same definition. In several dimensions: a tuple of these, one for each dimension
        in order; a mapping of dimensions to these; what is left out is not restricted. A single one restricts the first
        dimension, a text with ``|`` is a whole key, and a list unites.

    Returns
    -------
    set, explicit
        ``explicit`` is False for ``[:]`` and slices with an open end, in any dimension, which mean what is there, and
        True for all else, which must be there.

    Raises
    ------
    PartitionKeyError
        A label names no partition.
    InvalidInputError
        Anything else stands there: numbers, datetimes, steps, a dimension that there is not.
    """
    if isinstance(item, PartitionSet):
        return PartitionSet.everything(definition) & item, True
    if isinstance(definition, Multi):
        return _select_cells(definition, item)
    (dimension,) = definition.dimensions
    intervals, explicit = _select_side(dimension, item)
    return PartitionSet(definition, intervals), explicit


def select_text(definition: PartitionsDefinition, text: str) -> tuple[PartitionSet, bool]:
    """Read the form that :meth:`PartitionSet.to_text` writes, with labels for keys and open ends.

    Parts between commas are united. Each is a key, a partial date or a range ``first..last`` with both ends included,
    either of which may be left out; in several dimensions one of these for each, joined by ``|``, several in braces,
    ``*`` for all; those left out at the end are not restricted.

    Returns
    -------
    set, explicit
        As :func:`select`.

    Raises
    ------
    PartitionKeyError
        A label names no partition.
    InvalidInputError
        The text has another form.
    """
    if text in ("", "*"):
        return (PartitionSet.everything if text else PartitionSet.empty)(definition), not text
    if not isinstance(definition, Multi):
        (dimension,) = definition.dimensions
        intervals, explicit = _side_of_text(dimension, parse_labels(text))
        return PartitionSet(definition, intervals), explicit
    found, named = [], True
    for box in parse_label_boxes(text, len(definition.dimensions)):
        sides = [_side_of_text(one, part) for one, part in zip(definition.dimensions, box, strict=True)]
        found.append(product([intervals for intervals, _ in sides]))
        named = named and all(explicit for _, explicit in sides)
    return PartitionSet(definition, union(found)), named


def _side_of_text(dimension: OneDimensional, runs: LabelRuns) -> Side:
    ranges = [
        one
        for first, last in runs
        for one in (dimension.label(first) if first == last and first else dimension.slice(first, last)).ranges
    ]
    return Intervals.of(ranges), all(first is not None and last is not None for first, last in runs)


def _select_cells(definition: Multi, item: object) -> tuple[PartitionSet, bool]:
    if isinstance(item, list):
        found = [_select_cells(definition, one) for one in item]
        if not found:
            return PartitionSet.empty(definition), True
        united = union([partitions.cells for partitions, _ in found])
        return PartitionSet(definition, united), all(explicit for _, explicit in found)
    if isinstance(item, str) and "|" in item:
        return PartitionSet.from_keys(definition, [item]), True
    if isinstance(item, Mapping):
        given = {definition.dimension_named(name).dimension: one for name, one in item.items()}
        return _select_box(definition, [given.get(one.dimension, slice(None)) for one in definition.dimensions])
    items = item if isinstance(item, tuple) else (item,)
    if not 1 <= len(items) <= len(definition.dimensions):
        names = ", ".join(one.dimension for one in definition.dimensions)
        raise _refused(
            f"The tuple {item!r}",
            f"it has {len(items)} items, and there are {len(definition.dimensions)} dimensions: {names}",
            hint="one item for each, in order; those left out at the end are not restricted.",
        )
    return _select_box(definition, [*items, *[slice(None)] * (len(definition.dimensions) - len(items))])


def _select_box(definition: Multi, items: Sequence[object]) -> tuple[PartitionSet, bool]:
    sides = [_select_side(one, item) for one, item in zip(definition.dimensions, items, strict=True)]
    partitions = PartitionSet(definition, product([intervals for intervals, _ in sides]))
    return partitions, all(explicit for _, explicit in sides)


def _select_side(dimension: OneDimensional, item: object) -> Side:
    if isinstance(item, slice):
        return _select_slice(dimension, item)
    if isinstance(item, list):
        ranges = [one for label in item for one in dimension.label(_check_label(dimension, label)).ranges]
        return Intervals.of(ranges), True
    return dimension.label(_check_label(dimension, item)), True


def _select_slice(dimension: OneDimensional, item: slice) -> Side:
    if item.step is not None:
        raise _refused(f"The step {item.step!r} in a slice", "partitions are chosen by label, without steps")
    start = None if item.start is None else _check_label(dimension, item.start)
    stop = None if item.stop is None else _check_label(dimension, item.stop)
    return dimension.slice(start, stop), start is not None and stop is not None


def _check_label(dimension: OneDimensional, label: object) -> Label:
    example = f"[{dimension.example_key!r}]"
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
            f"here stands one dimension, {dimension.dimension!r}",
            hint=f"several labels stand in a list, [[{dimension.example_key!r}, …]].",
        )
    raise _refused(
        f"{label!r} (of type {type(label).__name__})", "labels are texts and dates", hint=f"for example {example}."
    )


def _refused(what: str, rule: str, *, hint: str = "asset.last(n) gives the last n.") -> InvalidInputError:
    return InvalidInputError(f"{what} cannot select partitions: {rule}.", hint=hint, code=ErrorCode.INVALID_SELECTION)
