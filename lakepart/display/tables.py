"""Frames as tables on a terminal: sizes for people, times in ISO 8601, and a count of what is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from lakepart.model.plans import format_bytes

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

MOST_ROWS = 40
_TAIL = 5
_MOST_CHARACTERS = 80
# what may take several lines where a terminal is narrow
_TEXTS = frozenset({"reasons", "reason", "text", "finding", "message", "error", "path", "partitions", "description"})
# numbers that name something: written without thousands separators
_NAMES = frozenset({"snapshot", "ended", "fork", "order", "attempts"})


def frame_table(frame: pd.DataFrame, *, most: int | None = MOST_ROWS) -> Table:
    """Make a table of a frame's rows; of more than ``most``, the first, the last and how many lie between."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in frame.columns:
        justify: Literal["left", "right"] = "right" if frame[name].dtype.kind in "iuf" else "left"
        table.add_column(str(name), justify=justify, overflow="fold", no_wrap=name not in _TEXTS)
    if most is None or len(frame) <= most:
        _add_rows(table, frame)
        return table
    tail = min(_TAIL, most // 2)
    _add_rows(table, frame.head(most - tail))
    table.add_row(f"… {len(frame) - most:,} more", *[""] * (len(frame.columns) - 1))
    _add_rows(table, frame.tail(tail))
    return table


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


def _add_rows(table: Table, frame: pd.DataFrame) -> None:
    from rich.text import Text

    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(Text(_cell(str(name), value)) for name, value in zip(frame.columns, row, strict=True)))


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
