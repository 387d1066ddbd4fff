"""What people see: notebook summaries, tables and progress."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from html.parser import HTMLParser

import pandas as pd
import pytest
from rich.console import Console

from lakepart.display.html import lake_html, selection_html
from lakepart.display.progress import backfill_bar, move_bar, spinner
from lakepart.display.tables import frame_table, print_frame, records
from lakepart.model.plans import Move, MoveFile, TieringPlan


@dataclass(frozen=True)
class Counts:
    total: int
    done: int
    failed: int = 0
    running: int = 0


class Text(HTMLParser):
    """Checks that tags are balanced, and collects the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.pieces: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.pieces.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.pieces)


def status_frame(count: int, *, key: str = "k{}", missing: int = 0) -> pd.DataFrame:
    there = count - missing
    return pd.DataFrame(
        {
            "key": [key.format(number) for number in range(count)],
            "state": ["fresh"] * there + ["missing"] * missing,
            "reasons": [""] * count,
            "rows": pd.array([10] * there + [None] * missing, dtype="Int64"),
            "bytes": pd.array([1_000] * there + [None] * missing, dtype="Int64"),
            "tier": ["hot"] * there + [""] * missing,
        }
    )


def printed(table) -> str:
    stream = io.StringIO()
    Console(file=stream, width=200).print(table)
    return stream.getvalue()


def plan_of(size_bytes: int) -> TieringPlan:
    file = MoveFile(1, "hot", "a/partition=k/f.parquet", size_bytes, "00")
    return TieringPlan(1, (Move(1, "a", "k", 0, "cold", (file,)),))


def test_a_selection_shows_states_totals_and_both_ends() -> None:
    text = Text(selection_html("flights", "daily", status_frame(100, missing=1))).text

    assert "100 partitions · 99 fresh · 1 missing · 990 rows · 99.0 kB · 99 on hot" in text
    assert "k0" in text
    assert "k99" in text
    assert "… 94 more" in text


def test_a_selection_is_as_small_with_a_hundred_thousand_partitions_as_with_ten() -> None:
    small, large = (selection_html("a", "daily", status_frame(count, key="k{:06}")) for count in (10, 100_000))

    assert len(large) < len(small) + 100


def test_an_empty_selection_shows_no_table() -> None:
    assert "<table" not in selection_html("a", "daily", status_frame(0))


def test_what_a_notebook_shows_is_escaped() -> None:
    source = selection_html("<b>", "<i>", status_frame(1, key="<script>{}"))

    assert "<script>" not in source
    assert "<b>" not in source
    assert "<script>0" in Text(source).text


def test_a_long_key_is_cut_in_a_notebook() -> None:
    assert len(selection_html("a", "daily", status_frame(1, key="x" * 10_000 + "{}"))) < 2_000


def test_a_lake_shows_its_assets() -> None:
    frame = pd.DataFrame({"asset": ["a & b"], "fresh": [1_234]})

    text = Text(lake_html("lake/", frame)).text

    assert "a & b" in text
    assert "1,234" in text


def test_a_lake_without_assets_says_so() -> None:
    assert "no assets yet" in lake_html("lake/", pd.DataFrame({"asset": []}))


def test_a_table_is_for_people() -> None:
    frame = pd.DataFrame(
        {
            "key": ["[red]a"],
            "rows": [1_234_567],
            "snapshot": [1_234],
            "bytes": pd.array([1_500_000], dtype="Int64"),
            "at": [datetime(2013, 1, 5, 12, 30, 15, 123456, tzinfo=UTC)],
            "error": [None],
            "conflict": [True],
        }
    )

    text = printed(frame_table(frame))

    for shown in ("[red]a", "1,234,567", " 1234 ", "1.5 MB", "2013-01-05T12:30:15Z", "yes"):
        assert shown in text
    assert "None" not in text


def test_a_long_table_shows_both_ends_and_how_many_lie_between() -> None:
    text = printed(frame_table(pd.DataFrame({"key": [f"k{number}" for number in range(1_000)]})))

    assert "k0 " in text
    assert "k999" in text
    assert "… 960 more" in text
    assert "k500" not in text


def test_a_table_cut_to_very_few_rows_still_shows_both_ends() -> None:
    text = printed(frame_table(pd.DataFrame({"key": [f"k{number}" for number in range(9)]}), most=4))

    assert [line.strip() for line in text.splitlines()[2:]] == ["k0", "k1", "… 5 more", "k7", "k8"]


def test_a_narrow_terminal_folds_texts_and_cuts_nothing() -> None:
    stream = io.StringIO()
    frame = pd.DataFrame(
        {
            "key": ["2013-04-01"],
            "reasons": ["code version 1, now 2"],
            "rows": [336_776],
            "written_at": [datetime(2013, 1, 5, tzinfo=UTC)],
            "state": ["completed"],
        }
    )

    print_frame(Console(file=stream, width=40), frame, indent=2)

    assert {"2013-04-01", "version", "336,776", "2013-01-05T00:00:00Z", "completed"} <= set(stream.getvalue().split())
    assert max(map(len, stream.getvalue().splitlines())) < 85


def test_records_are_json_with_iso_instants_and_nulls() -> None:
    frame = pd.DataFrame(
        {
            "rows": pd.array([1, None], dtype="Int64"),
            "at": pd.to_datetime(["2013-01-05T12:30:15Z", None], utc=True),
            "text": ["a", None],
            "metadata": [{"when": datetime(2013, 1, 5, tzinfo=UTC)}, {}],
        }
    )

    assert json.loads(json.dumps(records(frame))) == [
        {
            "rows": 1,
            "at": "2013-01-05T12:30:15+00:00",
            "text": "a",
            "metadata": {"when": "2013-01-05T00:00:00+00:00"},
        },
        {"rows": None, "at": None, "text": None, "metadata": {}},
    ]


def test_progress_of_a_backfill_is_one_line_where_there_is_no_terminal(capfd) -> None:
    with backfill_bar("fix", shown=True) as on_progress:
        for done in range(4):
            on_progress(Counts(total=4, done=done, failed=1))

    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("backfill fix: 3 of 4 partitions done, 1 failed in ")
    assert err.count("\n") == 1


def test_progress_of_a_move_counts_bytes_and_files(capfd) -> None:
    with move_bar(plan_of(5_000), shown=True) as on_progress:
        on_progress(2_000, 0)
        on_progress(3_000, 1)

    assert capfd.readouterr().err.startswith("move 1 partition: 5.0 kB of 5.0 kB copied, 1 of 1 file in ")


def interrupted_backfill() -> None:
    with backfill_bar("fix", shown=True) as on_progress:
        on_progress(Counts(total=4, done=1))
        raise KeyboardInterrupt


def test_progress_that_was_interrupted_says_how_far_it_came(capfd) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted_backfill()

    assert "1 of 4 partitions done" in capfd.readouterr().err


def test_progress_that_is_not_wanted_prints_nothing(capfd) -> None:
    with backfill_bar("fix", shown=False) as on_backfill, move_bar(plan_of(1), shown=False) as on_move:
        on_backfill(Counts(total=1, done=1))
        on_move(1, 1)
    with move_bar(TieringPlan(1, ()), shown=True) as on_move, spinner("thinking", shown=True):
        on_move(0, 0)

    assert capfd.readouterr() == ("", "")


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capfd) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")

    with backfill_bar("[fix]", shown=True) as on_progress:
        on_progress(Counts(total=1_000, done=10))
        on_progress(Counts(total=1_000, done=1_000, failed=0))

    out, err = capfd.readouterr()
    assert out == ""
    assert "[fix]" in err
    assert "1,000/1,000" in err
    assert "━" in err
