"""Frames as tables on a terminal: sizes for people, times in ISO 8601, and a count of what is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakepart.model.plans import format_bytes

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

MOST_ROWS = 40
_TAIL = 5
_MOST_CHARACTERS = 80
_LEAST_TEXT = 12
_BETWEEN_COLUMNS = 3
# what may take several lines where a terminal is narrow
_TEXTS = frozenset({"reasons", "reason", "text", "finding", "message", "error", "path", "partitions", "description"})
# numbers that name something: written without thousands separators
_NAMES = frozenset({"snapshot", "ended", "fork", "order", "attempts"})


def print_frame(console: Console, frame: pd.DataFrame, *, most: int | None = MOST_ROWS, indent: int = 0) -> None:
    """Print a frame as a table; where that is wider than the terminal, texts are folded, and nothing is cut."""
    from rich.padding import Padding

    table = frame_table(frame, most=most)
    least = sum((column.min_width or 0) + _BETWEEN_COLUMNS for column in table.columns)
    console.width = max(console.width, least + indent)
    console.print(Padding(table, (0, 0, 0, indent), expand=False))


def frame_table(frame: pd.DataFrame, *, most: int | None = MOST_ROWS) -> Table:
    """Make a table of a frame's rows; of more than ``most``, the first, the last and how many lie between."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = list(_rows(frame, most))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, name in enumerate(map(str, frame.columns)):
        longest = max(len(name), *(len(row[number]) for row in rows)) if rows else len(name)
        table.add_column(
            name,
            justify="right" if frame[name].dtype.kind in "iuf" else "left",
            overflow="fold",
            no_wrap=name not in _TEXTS,
            min_width=min(longest, _LEAST_TEXT) if name in _TEXTS else longest,
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _rows(frame: pd.DataFrame, most: int | None) -> Iterator[list[str]]:
    if most is None or len(frame) <= most:
        yield from _cells(frame)
        return
    tail = min(_TAIL, most // 2)
    yield from _cells(frame.head(most - tail))
    yield [f"… {len(frame) - most:,} more", *[""] * (len(frame.columns) - 1)]
    yield from _cells(frame.tail(tail))


def _cells(frame: pd.DataFrame) -> Iterator[list[str]]:
    for row in frame.itertuples(index=False, name=None):
        yield [_cell(str(name), value) for name, value in zip(frame.columns, row, strict=True)]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give a frame's rows as values for JSON: instants in ISO 8601, what is missing as None."""
    names = [str(name) for name in frame.columns]
    return [dict(zip(names, map(plain, row), strict=True)) for row in frame.itertuples(index=False, name=None)]


def plain(value: Any) -> Any:
    """Give a value for JSON."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if _is_missing(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item"):  # a number of NumPy
        return value.item()
    return value if isinstance(value, str | int | float) else str(value)


def _cell(column: str, value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        text = json.dumps(plain(value), ensure_ascii=False) if value else ""
    elif _is_missing(value):
        return ""
    elif isinstance(value, datetime):
        text = value.isoformat(timespec="seconds").replace("+00:00", "Z")
    elif isinstance(plain(value), bool):
        text = "yes" if value else "no"
    elif column == "bytes" or column.startswith("bytes_"):
        text = format_bytes(value)
    elif column not in _NAMES and isinstance(plain(value), int):
        text = f"{value:,}"
    else:
        text = str(value)
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
