"""The written form of a set of partitions: ``first..last`` and single keys, joined by commas.

In several dimensions a rectangle is what it holds of each, joined by ``|``: ``*`` for all, a run as above, several
in braces. Catalog rows and plans hold these texts, so they must read back the same for any key. Inside a key ``%``,
``,`` and ``*`` are percent-encoded, in several dimensions also ``|`` and braces, and so are the dots of a key in which
they could be taken for ``..``. A run that ends in ``*`` goes on to the end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from lakepart.errors import ErrorCode, InvalidInputError

Runs: TypeAlias = "Sequence[tuple[str, str | None]]"
LabelRuns: TypeAlias = "Sequence[tuple[str | None, str | None]]"  # None leaves an end open
OPEN_END = None  # the last key of a run that goes on to the end

_ESCAPE = re.compile(r"%([0-9A-F]{2})")
_WELL_FORMED = re.compile(r"(?:[^%,*]|%[0-9A-F]{2})+")
_WELL_FORMED_PART = re.compile(r"(?:[^%,*|{}]|%[0-9A-F]{2})+")
_RECTANGLES = re.compile(r",(?![^{]*\})")  # commas outside braces


def format_runs(runs: Iterable[tuple[str, str | None]], special: str = "%,*") -> str:
    """Write runs of keys, each given as its first and last key; the characters of ``special`` are encoded."""
    return ",".join(
        _escape(first, special)
        if first == last
        else f"{_escape(first, special)}..{'*' if last is OPEN_END else _escape(last, special)}"
        for first, last in runs
    )


def parse_runs(text: str, well_formed: re.Pattern[str] = _WELL_FORMED) -> list[tuple[str, str | None]]:
    """Read what :func:`format_runs` wrote; a single key is first and last at once.

    Raises
    ------
    InvalidInputError
        The text has another form.
    """
    runs: list[tuple[str, str | None]] = []
    for run in text.split(",") if text else ():
        first, dots, last = run.partition("..")
        if not dots:
            last = first
        is_open = bool(dots) and last == "*"
        if not well_formed.fullmatch(first) or not (is_open or well_formed.fullmatch(last)) or ".." in last:
            raise InvalidInputError(
                f"{run!r} in {text!r} is neither a key nor a range 'first..last'.",
                hint="in keys, write % as %25, a comma as %2C, * as %2A, and .. as %2E%2E.",
                code=ErrorCode.INVALID_SELECTION,
            )
        runs.append((_unescape(first), OPEN_END if is_open else _unescape(last)))
    return runs


def parse_labels(text: str, well_formed: re.Pattern[str] = _WELL_FORMED) -> LabelRuns:
    """Read runs of labels as people write them: as :func:`parse_runs`, and either end of a range may be left out.

    Raises
    ------
    InvalidInputError
        The text has another form.
    """
    runs: list[tuple[str | None, str | None]] = []
    for run in text.split(","):
        if run == "*":
            runs.append((None, None))
        elif run.startswith("..") and run != "..":
            ((label, _),) = parse_runs(run[2:], well_formed)
            runs.append((None, label))
        elif run.endswith("..") and run != "..":
            ((label, _),) = parse_runs(run[:-2], well_formed)
            runs.append((label, None))
        else:
            runs += parse_runs(run or ",", well_formed)
    return runs


def parse_label_boxes(text: str, dimensions: int) -> Iterator[list[LabelRuns]]:
    """Read rectangles as people write them: as :func:`parse_boxes`, with labels, and the last dimensions left out.

    Raises
    ------
    InvalidInputError
        The text has another form, or more dimensions.
    """
    for box in _RECTANGLES.split(text):
        parts = box.split("|")
        _check_count(box, text, dimensions, fits=len(parts) <= dimensions)
        yield [
            parse_labels(_without_braces(part), _WELL_FORMED_PART)
            for part in [*parts, *["*"] * (dimensions - len(parts))]
        ]


def format_boxes(boxes: Iterable[Sequence[Runs | None]]) -> str:
    """Write rectangles, each given as its runs in every dimension; None stands for all of one."""
    return ",".join("|".join(map(_format_part, box)) for box in boxes)


def parse_boxes(text: str, dimensions: int) -> Iterator[list[Runs | None]]:
    """Read what :func:`format_boxes` wrote.

    Raises
    ------
    InvalidInputError
        The text has another form, or not so many dimensions.
    """
    for box in _RECTANGLES.split(text) if text else ():
        parts = box.split("|")
        _check_count(box, text, dimensions, fits=len(parts) == dimensions)
        yield [_parse_part(part) for part in parts]


def _format_part(runs: Runs | None) -> str:
    if runs is None:
        return "*"
    text = format_runs(runs, special="%,*|{}")
    return text if len(runs) == 1 else f"{{{text}}}"


def _parse_part(part: str) -> Runs | None:
    if part == "*":
        return None
    return parse_runs(_without_braces(part) or "|", _WELL_FORMED_PART)


def _without_braces(part: str) -> str:
    return part[1:-1] if part.startswith("{") and part.endswith("}") else part


def _check_count(box: str, text: str, dimensions: int, *, fits: bool) -> None:
    if not fits:
        raise InvalidInputError(
            f"{box!r} in {text!r} has not {dimensions} parts joined by '|', one for each dimension.",
            hint="* stands for all of a dimension; in keys, write | as %7C.",
            code=ErrorCode.INVALID_SELECTION,
        )


def _escape(key: str, special: str) -> str:
    ambiguous = ".." in key or key.startswith(".") or key.endswith(".")
    encoded = f"{special}." if ambiguous else special
    return "".join(f"%{ord(one):02X}" if one in encoded else one for one in key)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
