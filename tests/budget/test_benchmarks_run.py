"""The benchmarks run from beginning to end on a little data."""

from __future__ import annotations

import json
import math

from benchmarks.__main__ import ROWS, main


def test_every_row_is_measured_printed_and_written_as_json(tmp_path, capsys) -> None:
    written = tmp_path / "figures.json"

    main(["--quick", "--folder", str(tmp_path), "--json", str(written)])

    run = json.loads(written.read_text())
    assert {figure["row"] for figure in run["figures"]} == set(ROWS)
    assert all(math.isfinite(figure["measured"]) for figure in run["figures"])
    assert all(seconds for figure in run["figures"] for seconds in figure["seconds"].values())
    assert run["versions"]["pyarrow"]
    assert "budgets met" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [written]


def test_a_row_that_does_not_exist_is_refused_with_those_that_do(capsys) -> None:
    try:
        main(["--rows", "lod"])
    except SystemExit as stopped:
        assert stopped.code == 2

    assert "no such row: lod; there are load, replace" in capsys.readouterr().err
