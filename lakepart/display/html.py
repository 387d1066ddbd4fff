"""What a notebook shows of a selection, an asset and a lake: small however many partitions there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from lakepart.model.plans import count_of, format_bytes

if TYPE_CHECKING:
    import pandas as pd

_ENDS = 3  # partitions shown at either end
_MOST_ROWS = 50
_MOST_CHARACTERS = 100
_SHOWN = {"key": "partition", "state": "state", "rows": "rows", "bytes": "size", "tier": "tier", "reasons": "why"}


def selection_html(title: str, description: str, status: pd.DataFrame) -> str:
    """Summarise a status frame: states, tiers, totals, and the first and last few partitions."""
    parts = [f"<strong>{_text(title)}</strong> <span>{_text(description)}</span>", _summary(status)]
    if len(status):
        parts.append(_ends(status))
    return _block(parts)


def lake_html(title: str, status: pd.DataFrame) -> str:
    """Show a lake's assets as a table, one row per row of ``status``."""
    shown = status.head(_MOST_ROWS)
    parts = [f"<strong>{_text(title)}</strong>"]
    if len(status):
        parts.append(_table([str(name) for name in shown.columns], shown.itertuples(index=False, name=None)))
    else:
        parts.append("<em>no assets yet</em>")
    if len(status) > len(shown):
        parts.append(f"<em>and {len(status) - len(shown):,} more</em>")
    return _block(parts)


def _summary(status: pd.DataFrame) -> str:
    states = [f"{count:,} {_text(state)}" for state, count in status["state"].value_counts().items()]
    tiers = [f"{count:,} on {_text(tier)}" for tier, count in status["tier"].value_counts().items() if tier]
    totals = [f"{int(status['rows'].sum()):,} rows", format_bytes(int(status["bytes"].sum()))]
    return " · ".join([count_of(len(status), "partition"), *states, *totals, *tiers])


def _ends(status: pd.DataFrame) -> str:
    columns = [name for name in _SHOWN if name in status.columns]
    shown = status[columns]
    heads = [_SHOWN[name] for name in columns]
    if len(status) <= 2 * _ENDS:
        return _table(heads, _cells(shown))
    gap = [f"… {len(status) - 2 * _ENDS:,} more", *[""] * (len(columns) - 1)]
    return _table(heads, [*_cells(shown.head(_ENDS)), gap, *_cells(shown.tail(_ENDS))])


def _cells(frame: pd.DataFrame) -> list[list[Any]]:
    def value(name: str, one: Any) -> Any:
        if _is_missing(one):
            return ""
        return format_bytes(one) if name == "bytes" else one

    rows = frame.itertuples(index=False, name=None)
    return [[value(name, one) for name, one in zip(frame.columns, row, strict=True)] for row in rows]


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _block(parts: Iterable[str]) -> str:
    return f"<div>{''.join(f'<div>{part}</div>' for part in parts)}</div>"


def _text(value: Any) -> str:
    if _is_missing(value):
        return ""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return escape(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…")


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
