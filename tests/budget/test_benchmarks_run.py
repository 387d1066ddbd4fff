"""The benchmarks run from beginning to end on a little data."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import ROWS

PROJECT = Path(__file__).parents[2]
IN_TURN = ["load,replace,read,scan,plan,status,flat", "writers", "backfill,move,partitions,import", "s3,clients"]


def run_benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True, timeout=100)


def test_no_row_is_left_out_here() -> None:
    assert set(ROWS) == {row for rows in IN_TURN for row in rows.split(",")}


@pytest.mark.parametrize("rows", IN_TURN)
def test_every_row_is_measured_printed_and_written_as_json(tmp_path, rows) -> None:
    written = tmp_path / "figures.json"

    ended = run_benchmarks("--quick", "--rows", rows, "--folder", str(tmp_path), "--json", str(written))

    assert ended.returncode == 0, ended.stderr
    assert "budgets met" in ended.stdout
    run = json.loads(written.read_text())
    assert {figure["row"] for figure in run["figures"]} == set(rows.split(","))
    assert all(math.isfinite(figure["measured"]) for figure in run["figures"])
    assert all(seconds for figure in run["figures"] for seconds in figure["seconds"].values())
    on_s3 = [figure for figure in run["figures"] if figure["row"] == "s3"]
    assert all(figure["traffic"] and figure["met"] is not False for figure in on_s3)  # counts do not depend on data
    assert all(one["requests"] and one["bytes_up"] for figure in run["figures"] for one in figure["traffic"].values())
    assert run["versions"]["pyarrow"]
    assert list(tmp_path.iterdir()) == [written]


def test_a_row_that_does_not_exist_is_refused_with_those_that_do() -> None:
    ended = run_benchmarks("--rows", "lod")

    assert ended.returncode == 2
    assert "no such row: lod; there are load, replace" in ended.stderr
