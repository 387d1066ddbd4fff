"""The command line: every command, its failures, its exit codes, and what it leaves alone without --apply."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import typer

import lakepart as lp
from lakepart.cli.app import app, run

DAYS = 40
PRODUCER = """
import os

import lakepart as lp
import pandas as pd

days = lp.Daily("2013-01-01", end="2013-03-01")

@lp.producer("sums", partitions=days, inputs={"readings": "readings"}, code_version="2")
def doubled(part, readings):
    return pd.DataFrame({"sum": [2 * readings.to_pandas()["value"].sum()]})

@lp.producer("other")
def other(part):
    return None

def plain(part):
    return pd.DataFrame({"sum": [7]})

def broken(part):
    raise RuntimeError("no sun today")

def finding(selection):
    return ["nothing but trouble"]

def deadly(part):
    os._exit(9)

number = 3
"""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        return json.loads(self.err)["error"]


@pytest.fixture(scope="module")
def finished_lake(tmp_path_factory) -> Path:
    """A lake of 40 days of readings, their sums, and a branch with another day; never written to by a test."""
    path = tmp_path_factory.mktemp("cli") / "lake"
    with lp.create(path) as lake:
        readings = lake.asset(
            "readings", partitions=lp.Daily("2013-01-01", end="2013-03-01", by="at"), description="of the sun"
        )
        hours = pd.date_range("2013-01-01", periods=24 * DAYS, freq="h", tz="UTC")
        readings.write(pd.DataFrame({"at": hours, "value": range(len(hours))}), message="first load")
        sums = lp.producer(
            "sums",
            partitions=lp.Daily("2013-01-01", end="2013-03-01"),
            inputs={"readings": "readings"},
            code_version="1",
        )(sum_of_day)
        lake.register(sums)["2013-01"].backfill(name="january", workers=2, progress=False)
        with lake.create_branch("trial") as branch:
            branch.asset("sums").write(pd.DataFrame({"sum": [1]}), "2013-01-05")
    return path


def sum_of_day(part, readings) -> pd.DataFrame:
    return pd.DataFrame({"sum": [readings.to_pandas()["value"].sum()]})


@pytest.fixture
def lake(finished_lake, tmp_path) -> Path:
    return Path(shutil.copytree(finished_lake, tmp_path / "lake"))


@pytest.fixture
def call(capsys, monkeypatch):
    monkeypatch.delenv("LAKEPART_URL", raising=False)

    def calling(*arguments: object) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Answer(code, *capsys.readouterr())

    return calling


@pytest.fixture
def producers(tmp_path, monkeypatch) -> Iterator[str]:
    """A module of producers in the current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "sunny.py").write_text(PRODUCER)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "sunny"
    sys.modules.pop("sunny", None)


def contents(lake: Path) -> dict[str, str]:
    """Everything a change could show in: the catalog's rows, and every file's bytes."""
    with sqlite3.connect(f"file:{lake / 'catalog.db'}?mode=ro", uri=True) as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()
    files = {
        str(path.relative_to(lake)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(lake.rglob("*"))
        if path.is_file() and not path.name.startswith("catalog.db")
    }
    return {"catalog": hashlib.sha256(dump.encode()).hexdigest(), **files}


def query(lake: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(lake / "catalog.db") as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


# Reading


def test_assets_are_listed_with_how_they_are_cut(call, finished_lake) -> None:
    answer = call("assets", finished_lake, "--json")

    assert answer.code == 0
    assert [row["asset"] for row in answer.json] == ["readings", "sums"]
    assert answer.json[0]["description"] == "of the sun"
    assert "daily" in answer.json[0]["partitions"]


def test_the_status_of_a_lake_counts_partitions_by_state(call, finished_lake) -> None:
    answer = call("status", finished_lake, "--json")

    assert [(row["asset"], row["fresh"], row["missing"]) for row in answer.json] == [
        ("readings", DAYS, 59 - DAYS),
        ("sums", 31, 28),
    ]


def test_the_status_of_an_asset_has_a_row_a_partition_and_a_sum(call, finished_lake) -> None:
    answer = call("status", finished_lake, "sums")

    assert answer.code == 0
    assert "59 in all: 31 fresh, 28 missing" in answer.out
    assert "… 19 more" in answer.out
    assert "--all" in answer.out
    assert "2013-01-20" in answer.out


def test_all_rows_are_shown_when_asked_for(call, finished_lake) -> None:
    answer = call("status", finished_lake, "sums", "--all")

    assert "2013-02-05" in answer.out
    assert "more" not in answer.out


def test_status_as_json_has_every_column_as_plain_values(call, finished_lake) -> None:
    row = call("status", finished_lake, "sums", "2013-01-05", "--json").json[0]

    assert (row["key"], row["state"], row["rows"], row["tier"], row["code_version"]) == (
        "2013-01-05",
        "fresh",
        1,
        "hot",
        "1",
    )
    assert row["error"] is None
    assert pd.Timestamp(row["written_at"]).tzinfo is not None


def test_what_is_expected_ends_at_the_given_instant(call, finished_lake) -> None:
    answer = call("status", finished_lake, "sums", "--as-of", "2013-02-03", "--json")

    assert [row["key"] for row in answer.json if row["state"] == "missing"] == ["2013-02-01", "2013-02-02"]


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("2013-01-05", "2013-01-05", "2013-01-05", 1),
        ("2013-01", "2013-01-01", "2013-01-31", 31),
        ("2013-01-30..2013-02-02", "2013-01-30", "2013-02-02", 4),
        ("2013-01..2013-02-02", "2013-01-01", "2013-02-02", 33),
        ("2013-01-01,2013-02-01..2013-02-03", "2013-01-01", "2013-02-03", 4),
        ("2013-02..", "2013-02-01", "2013-02-09", 9),
        ("..2013-01-03", "2013-01-01", "2013-01-03", 3),
        ("*", "2013-01-01", "2013-02-09", DAYS),
    ],
)
def test_partitions_are_named_as_in_python(call, finished_lake, text, first, last, count) -> None:
    keys = call("keys", finished_lake, "readings", text).out.split()

    assert (keys[0], keys[-1], len(keys)) == (first, last, count)


def test_keys_as_json_have_the_windows_they_cover(call, finished_lake) -> None:
    assert call("keys", finished_lake, "readings", "2013-01-05", "--json").json == [
        {"key": "2013-01-05", "start": "2013-01-05T00:00:00+00:00", "end": "2013-01-06T00:00:00+00:00"}
    ]


def test_a_key_with_the_signs_of_ranges_is_named_percent_encoded(call, tmp_path) -> None:
    with lp.create(tmp_path / "odd") as lake:
        asset = lake.asset("odd", partitions=lp.Static(["a,b", "c..d"]))
        asset.write({"a,b": pd.DataFrame({"x": [1]}), "c..d": pd.DataFrame({"x": [2]})})

    assert call("keys", tmp_path / "odd", "odd", "a%2Cb").out.split() == ["a,b"]
    assert call("keys", tmp_path / "odd", "odd", "c%2E%2Ed,a%2Cb").out.split() == ["a,b", "c..d"]


def test_head_shows_the_first_rows(call, finished_lake) -> None:
    answer = call("head", finished_lake, "readings", "2013-01-02", "-n", "2", "--json")

    assert answer.json == [
        {"at": "2013-01-02T00:00:00+00:00", "value": 24},
        {"at": "2013-01-02T01:00:00+00:00", "value": 25},
    ]
    assert "value" in call("head", finished_lake, "readings").out


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (("--last", "3"), ["2013-02-26", "2013-02-27", "2013-02-28"]),
        (("--last", "2d"), []),  # the asset ended long ago
        (("--since", "2013-02-08"), ["2013-02-08", "2013-02-09"]),
        (("--since", "2013-02-08", "2013-02-01..2013-02-08"), ["2013-02-08"]),
        (("--last", "7", "2013-02-25.."), ["2013-02-25", "2013-02-26", "2013-02-27", "2013-02-28"]),
    ],
)
def test_relative_ranges_end_at_the_last_window_that_elapsed_and_meet_what_is_named(
    call, finished_lake, options, keys
) -> None:
    answer = call("keys", finished_lake, "readings", *options, "--json")

    assert [row["key"] for row in answer.json] == keys


def test_a_status_counts_back_from_the_instant_it_is_asked_for(call, finished_lake) -> None:
    answer = call("status", finished_lake, "readings", "--last", "48h", "--as-of", "2013-01-10T12:00Z", "--json")

    assert [row["key"] for row in answer.json] == ["2013-01-08", "2013-01-09"]
    assert call("status", finished_lake, "readings", "--last", "soon").code == 2


def test_files_are_listed_with_paths_any_program_can_open(call, finished_lake) -> None:
    (file,) = call("files", finished_lake, "readings", "2013-01-02", "--json").json

    assert pq.read_table(file["path"], partitioning=None).column("value").to_pylist() == list(range(24, 48))
    assert file["bytes"] == os.path.getsize(file["path"])
    assert file["tier"] == "hot"


def test_history_lists_versions_newest_first(call, lake) -> None:
    with lp.connect(lake) as opened:
        opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-05", message="by hand")

    rows = call("history", lake, "sums", "2013-01-05", "--json").json

    assert [row["message"] for row in rows] == ["by hand", "backfill january"]
    assert call("history", lake, "sums", "2013-01-05").out.count("2013-01-05") == 2


def test_explain_says_what_a_partition_was_made_from(call, finished_lake) -> None:
    answer = call("explain", finished_lake, "sums", "2013-01-05")

    assert "readings 2013-01-05 as of snapshot" in answer.out


def test_snapshots_are_listed_newest_first_and_since_one(call, finished_lake) -> None:
    rows = call("snapshots", finished_lake, "--json").json
    newest = rows[0]["snapshot"]

    assert [row["snapshot"] for row in rows] == sorted((row["snapshot"] for row in rows), reverse=True)
    assert rows[-1]["snapshot"] == 0
    assert {row["snapshot"] for row in call("snapshots", finished_lake, "--since", "1", "--json").json} <= set(
        range(2, newest + 1)
    )


def test_a_lake_is_shown_as_a_branch_or_an_older_snapshot_has_it(call, finished_lake) -> None:
    on_branch = call("head", finished_lake, "sums", "2013-01-05", "--branch", "trial", "--json").json
    on_main = call("head", finished_lake, "sums", "2013-01-05", "--json").json
    before = call("status", finished_lake, "--at", "1", "--json").json

    assert on_branch == [{"sum": 1}]
    assert on_main == [{"sum": sum(range(96, 120))}]
    assert [row["fresh"] for row in before] == [DAYS, 0]


def test_the_address_may_come_from_the_environment(call, finished_lake, monkeypatch) -> None:
    monkeypatch.setenv("LAKEPART_URL", str(finished_lake))

    assert [row["asset"] for row in call("assets", "--json").json] == ["readings", "sums"]
    assert call("keys", "readings", "2013-01-05").out == "2013-01-05\n"
    assert len(call("keys", "readings").out.split()) == DAYS


def test_a_given_address_beats_the_environment(call, finished_lake, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("LAKEPART_URL", str(tmp_path / "nowhere"))

    assert call("keys", f"{finished_lake}/", "readings").code == 0
    assert call("keys", finished_lake, "readings", "2013-01-05").code == 0
    assert call("keys", "readings").code == 3


# Failing


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (["status"], 2, "invalid-input"),
        (["keys", "LAKE"], 2, "invalid-input"),
        (["keys", "LAKE", "readings", "2013-13"], 2, "invalid-key"),
        (["keys", "LAKE", "readings", "2013-02-01..2013-01-01"], 2, "invalid-selection"),
        (["keys", "LAKE", "readings", "2013-01-01,,2013-01-02"], 2, "invalid-selection"),
        (["status", "LAKE", "sums", "--as-of", "yesterday"], 2, "invalid-input"),
        (["status", "LAKE", "--sideways"], 2, "wrong-call"),
        (["frobnicate"], 2, "wrong-call"),
        (["head", "LAKE", "readings", "-n", "0"], 2, "wrong-call"),
        (["rollback", "LAKE"], 2, "invalid-input"),
        (["delete", "LAKE", "readings"], 2, "invalid-input"),
        (["delete", "LAKE", "readings", "--where", "value"], 2, "invalid-input"),
        (["delete", "LAKE", "readings", "--where", "worth > 1"], 2, "unknown-column"),
        (["upsert", "LAKE", "readings"], 2, "invalid-input"),
        (["upsert", "LAKE", "readings", "NOWHERE", "--on", "at"], 3, "not-found"),
        (["upsert", "LAKE", "readings", "CATALOG", "--on", "at"], 2, "invalid-input"),
        (["drop", "LAKE", "readings"], 2, "invalid-input"),
        (["drop", "LAKE", "readings", "2013-02-20"], 3, "partition-not-found"),
        (["alter", "LAKE", "readings", "--set", "start"], 2, "invalid-input"),
        (["alter", "LAKE", "readings", "--set", "sooner=1"], 2, "unsupported"),
        (["alter", "LAKE", "readings", "--add", "tip"], 2, "invalid-input"),
        (["alter", "LAKE", "readings", "--add", "tip=number"], 2, "invalid-input"),
        (["alter", "LAKE", "readings", "--drop", "tip"], 2, "unknown-column"),
        (["alter", "LAKE", "readings", "--set", "kind=dayly"], 2, "unsupported"),
        (["repartition", "LAKE", "reading", "--set", "kind=monthly"], 3, "asset-not-found"),
        (["tier", "plan", "LAKE"], 2, "invalid-input"),
        (["tier", "plan", "LAKE", "--older-than", "180", "--to", "cold"], 2, "invalid-input"),
        (["tier", "demote", "LAKE", "readings", "--to", "icy"], 2, "invalid-input"),
        (["tier", "restore", "LAKE", "readings", "--speed", "Slow"], 2, "invalid-input"),
        (["vacuum", "LAKE", "--grace", "soon"], 2, "invalid-input"),
        (["vacuum", "LAKE", "--grace", "0h"], 2, "below-safe-minimum"),
        (["alter", "LAKE", "readings", "--retention", "0h"], 2, "below-safe-minimum"),
        (["init", "NEW", "--tier", "hot"], 2, "invalid-input"),
        (["backfill", "run", "LAKE", "sums", "--producer", "nomodule"], 2, "invalid-input"),
        (["status", "NOWHERE"], 3, "lake-not-found"),
        (["status", "LAKE", "reading"], 3, "asset-not-found"),
        (["head", "LAKE", "sums", "2013-02-20"], 3, "partition-not-found"),
        (["status", "LAKE", "--branch", "trail"], 3, "branch-not-found"),
        (["branch", "diff", "LAKE", "trail"], 3, "branch-not-found"),
        (["status", "LAKE", "--at", "q1"], 3, "tag-not-found"),
        (["tag", "delete", "LAKE", "q1"], 3, "tag-not-found"),
        (["status", "LAKE", "--at", "99999"], 3, "snapshot-not-found"),
        (["rollback", "LAKE", "--to", "99999"], 3, "snapshot-not-found"),
        (["backfill", "status", "LAKE", "february"], 3, "not-found"),
        (["tier", "plan", "LAKE", "--policy", "NOWHERE"], 3, "not-found"),
        (["backfill", "run", "LAKE", "sums", "--producer", "no.such:thing"], 3, "not-found"),
        (["init", "LAKE"], 4, "already-exists"),
        (["branch", "create", "LAKE", "trial"], 4, "already-exists"),
        (["backfill", "run", "LAKE", "readings"], 4, "state"),
        (["backfill", "resume", "LAKE", "january"], 4, "state"),
        (["backfill", "cancel", "LAKE", "january"], 4, "state"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_went_wrong_is_an_exit_code_and_an_error_and_nothing_changes(
    call, lake, tmp_path, arguments, code, name
) -> None:
    before = contents(lake)
    places = {"LAKE": lake, "CATALOG": lake / "catalog.db", "NOWHERE": tmp_path / "nowhere", "NEW": tmp_path / "new"}
    words = [str(places.get(word, word)) for word in arguments]

    in_words, as_json = call(*words), call(*words, "--json")

    assert (in_words.code, as_json.code) == (code, code)
    assert in_words.err.startswith("error: ")
    assert "Traceback" not in in_words.err
    assert (in_words.out, as_json.out) == ("", "")
    assert as_json.error["code"] == name
    assert as_json.error["message"] in in_words.err
    if as_json.error["hint"]:
        assert f"hint: {as_json.error['hint']}" in in_words.err
    assert contents(lake) == before


def test_close_names_are_suggested(call, finished_lake) -> None:
    assert "did you mean 'readings'?" in call("status", finished_lake, "reading").err


def test_an_output_that_is_not_read_to_its_end_is_no_error_of_ours(finished_lake) -> None:
    script = f"exec {sys.executable} -c 'from lakepart.cli import main; main()' keys {finished_lake} readings"

    done = subprocess.run(
        ["bash", "-c", f"{{ {script}; }} | true"], capture_output=True, text=True, check=True, timeout=30
    )

    assert done.stderr == ""


# Plans and deeds


@pytest.mark.parametrize(
    "arguments",
    [
        ["tier", "plan", "LAKE", "--older-than", "1d", "--to", "cold"],
        ["tier", "apply", "LAKE", "--older-than", "1d", "--to", "cold"],
        ["tier", "demote", "LAKE", "readings", "2013-01"],
        ["vacuum", "LAKE", "--retention", "0h", "--grace", "0h", "--force"],
        ["rollback", "LAKE", "--to", "1"],
        ["delete", "LAKE", "readings", "2013-01", "--where", "value < 10"],
        ["upsert", "LAKE", "readings", "LATE", "--on", "at"],
        ["drop", "LAKE", "readings", "2013-01-05,2013-01-07"],
        ["alter", "LAKE", "readings", "--set", "start=2012-01-01", "--complete-after", "12h"],
        ["alter", "LAKE", "readings", "--add", "note=string", "--order", "note", "--on-schema-change", "add"],
        ["repartition", "LAKE", "readings", "--set", "kind=monthly"],
        ["branch", "publish", "LAKE", "trial"],
        ["branch", "discard", "LAKE", "trial"],
        ["tag", "delete", "LAKE", "kept"],
        ["backfill", "run", "LAKE", "sums", "2013-02-01..2013-02-03"],
    ],
    ids=" ".join,
)
def test_a_plan_is_printed_and_nothing_is_done_without_apply(call, lake, tmp_path, arguments) -> None:
    with lp.connect(lake) as opened:  # gives vacuum something to forget: neither current nor seen by the branch
        for number in (5, 6):
            opened.asset("sums").write(pd.DataFrame({"sum": [number]}), "2013-01-06")
        opened.tag("kept", at=1)
    late = tmp_path / "late.parquet"
    pd.DataFrame({"at": pd.date_range("2013-01-02", periods=1, tz="UTC"), "value": [0]}).to_parquet(late, index=False)
    words = [{"LAKE": str(lake), "LATE": str(late)}.get(word, word) for word in arguments]
    before = contents(lake)

    in_words, as_json = call(*words), call(*words, "--json")

    assert (in_words.code, as_json.code) == (5, 5)
    assert in_words.out.endswith("Nothing is changed yet: --apply does it.\n")
    assert as_json.json["applied"] is False
    assert as_json.json["plan"]
    assert contents(lake) == before


def test_init_makes_a_lake_with_the_tiers_that_were_named(call, tmp_path) -> None:
    answer = call("init", tmp_path / "new", "--tier", "fast=fast", "--tier", f"slow={tmp_path / 'slow'}")

    assert answer.code == 0
    assert query(tmp_path / "new", "select name, root from tier order by rank") == [
        ("fast", "fast"),
        ("slow", str(tmp_path / "slow")),
    ]


def test_demoting_moves_files_and_promoting_brings_them_back(call, lake) -> None:
    demoted = call("tier", "demote", lake, "readings", "2013-01", "--apply", "--json")

    assert (demoted.code, demoted.json["result"]["partitions"]) == (0, 31)
    assert len(list((lake / "cold" / "readings").rglob("*.parquet"))) == 31
    report = call("tier", "report", lake, "--json").json
    assert {(row["asset"], row["tier"]): row["partitions"] for row in report} == {
        ("readings", "hot"): 9,
        ("readings", "cold"): 31,
        ("sums", "hot"): 31,
    }

    promoted = call("tier", "promote", lake, "readings", "2013-01-05", "--apply")

    assert promoted.code == 0
    assert "Moved 1 partition" in promoted.out
    assert call("files", lake, "readings", "2013-01-05", "--json").json[0]["tier"] == "hot"
    assert call("check", lake).code == 0


def test_demoting_by_age_takes_what_is_old_and_selected(call, lake) -> None:
    answer = call(
        "tier", "demote", lake, "readings", "2013-01-20..", "--older-than", "10d", "--as-of", "2013-02-05", "--json"
    )

    assert [move["key"] for move in answer.json["plan"]["moves"]] == [f"2013-01-{day}" for day in range(20, 26)]


def test_a_policy_file_says_what_goes_where(call, lake, tmp_path) -> None:
    policy = tmp_path / "tiering.toml"
    policy.write_text('[[rule]]\nassets = "readings"\nolder_than = "10d"\nto = "cold"\n')

    planned = call("tier", "plan", lake, "--policy", policy, "--as-of", "2013-01-21")
    applied = call("tier", "apply", lake, "--policy", policy, "--as-of", "2013-01-21", "--apply")
    again = call("tier", "plan", lake, "--policy", policy, "--as-of", "2013-01-21")

    assert planned.code == 5
    assert "10 partitions" in planned.out
    assert (applied.code, again.code) == (0, 0)
    assert "Nothing to move" in again.out
    assert len(list((lake / "cold" / "readings").rglob("*.parquet"))) == 10


def test_vacuum_deletes_what_its_plan_says(call, lake) -> None:
    call("tier", "demote", lake, "readings", "2013-01", "--apply")
    assert len(list((lake / "hot" / "readings").rglob("*.parquet"))) == DAYS

    answer = call("vacuum", lake, "--grace", "0h", "--force", "--apply", "--json")

    assert (answer.code, answer.json["result"]["files"]) == (0, 31)
    assert len(list((lake / "hot" / "readings").rglob("*.parquet"))) == DAYS - 31
    assert call("vacuum", lake, "--grace", "0h", "--force").code == 0


def test_rolling_back_restores_and_removes(call, lake) -> None:
    with lp.connect(lake) as opened:
        before = opened.snapshots()["snapshot"].max()
        opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-05")
        opened.asset("sums").write(pd.DataFrame({"sum": [6]}), "2013-02-05")

    plan = call("rollback", lake, "sums", "--to", before)
    done = call("rollback", lake, "sums", "--to", before, "--apply")

    assert plan.code == 5
    assert "sums: restore 1 partition (2013-01-05)" in plan.out
    assert "sums: remove 1 partition (2013-02-05)" in plan.out
    assert done.code == 0
    assert call("head", lake, "sums", "2013-01-05", "--json").json == [{"sum": sum(range(96, 120))}]
    assert call("head", lake, "sums", "2013-02-05").code == 3
    assert call("rollback", lake, "--to", before).code == 0


def test_a_commit_is_undone(call, lake) -> None:
    with lp.connect(lake) as opened:
        bad = opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-05").snapshot

    plan = call("rollback", lake, "--commit", bad)
    done = call("rollback", lake, "--commit", bad, "-m", "oops", "--apply")

    assert (plan.code, done.code) == (5, 0)
    assert call("snapshots", lake, "--json").json[0]["message"] == "oops"
    with lp.connect(lake) as opened:
        opened.asset("sums").write(pd.DataFrame({"sum": [6]}), "2013-01-05")
    assert "changed since" in call("rollback", lake, "--commit", bad).out
    assert call("rollback", lake, "--commit", bad, "--apply").code == 4
    assert call("rollback", lake, "sums", "--commit", bad).code == 2


def test_rows_are_deleted(call, lake) -> None:
    conditions = ["--where", "value >= 24", "--where", "value not in [25, 26]"]

    plan = call("delete", lake, "readings", "2013-01-02", *conditions)
    done = call("delete", lake, "readings", "2013-01-02", *conditions, "--apply", "--json")

    assert plan.code == 5
    assert "Delete 22 rows of readings in 1 partition (2013-01-02)" in plan.out
    assert (done.code, done.json["result"]["rows_matched"]) == (0, 22)
    assert [row["value"] for row in call("head", lake, "readings", "2013-01-02", "--json").json] == [25, 26]
    assert call("delete", lake, "readings", "2013-01-02", *conditions).code == 0


def test_rows_are_upserted_and_partitions_dropped(call, lake, tmp_path) -> None:
    late = pd.DataFrame({"at": pd.date_range("2013-01-02T23:00", periods=2, freq="h", tz="UTC"), "value": [-1, -2]})
    late.iloc[:1].to_parquet(tmp_path / "late.parquet", index=False)
    upsert = ["upsert", lake, "readings", tmp_path / "late.parquet", "--on", "at", "-m", "late", "--apply"]

    done, again = call(*upsert), call(*upsert, "--json")
    dropped = call("drop", lake, "readings", "2013-01-01", "--apply", "--json")

    assert (done.code, done.out.splitlines()[-1][-24:]) == (0, ": 1 updated, 0 inserted.")
    assert (again.code, again.json["result"]["rows_updated"]) == (0, 1)
    assert call("head", lake, "readings", "2013-01-02", "-n", "99", "--json").json[-1]["value"] == -1
    assert (dropped.code, dropped.json["result"]["partitions"], dropped.json["plan"]["rows"]) == (0, 1, 24)
    assert call("head", lake, "readings", "2013-01-01").code == 3


@pytest.mark.filterwarnings("ignore:the producer of 'sums'")
def test_columns_are_changed(call, lake) -> None:
    options = ["--add", "tip=decimal(12, 2)", "--add", "seen=timestamp[us, UTC]", "--rename", "value=reading"]

    plan = call("alter", lake, "readings", *options)
    done = call("alter", lake, "readings", *options, "--apply", "--json")

    assert (plan.code, done.code) == (5, 0)
    assert "rename value to reading" in plan.out
    assert done.json["plan"]["columns"][1:] == ["add tip: decimal128(12, 2)", "add seen: timestamp[us, tz=UTC]"]
    assert "reading" in call("head", lake, "readings", "2013-01-05", "--json").json[0]


def test_an_asset_is_cut_otherwise(call, lake) -> None:
    call("branch", "discard", lake, "trial", "--apply")

    altered = call("alter", lake, "readings", "--set", "end=null", "--set", "start=2012-12-01", "--apply", "--json")
    plan = call("repartition", lake, "readings", "--set", "kind=monthly")
    cut = call("repartition", lake, "readings", "--set", "kind=monthly", "--apply")

    assert (altered.code, altered.json["plan"]["after"]["end"]) == (0, None)
    assert (plan.code, cut.code) == (5, 0)
    assert "2013-01-01: from 31 partitions" in plan.out
    assert call("keys", lake, "readings").out.split() == ["2013-01-01", "2013-02-01"]
    assert call("repartition", lake, "readings", "--set", "kind=monthly").code == 0


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["alter", "--set", "start=2013-02-01"], "would-orphan"),
        (["alter", "--description", "of the sun"], "state"),
        (["repartition", "--set", "kind=monthly", "--set", "start=2013-02-01"], "state"),
    ],
    ids=str,
)
def test_a_plan_that_is_refused_is_not_carried_out(call, lake, arguments, name) -> None:
    command, *options = arguments
    before = contents(lake)

    answer = call(command, lake, "readings", *options, "--apply", "--json")

    assert (answer.code, answer.error["code"], answer.out) == (4, name, "")
    assert contents(lake) == before


def test_a_branch_is_made_compared_and_published(call, lake) -> None:
    assert call("branch", "create", lake, "second").code == 0
    assert {row["name"] for row in call("branch", "list", lake, "--json").json} == {"second", "trial"}
    diff = call("branch", "diff", lake, "trial", "--json").json
    assert [(row["asset"], row["key"], row["change"]) for row in diff] == [("sums", "2013-01-05", "changed")]

    published = call("branch", "publish", lake, "trial", "-m", "looks right", "--apply", "--json")

    assert (published.code, published.json["result"]["partitions"]) == (0, 1)
    assert call("head", lake, "sums", "2013-01-05", "--json").json == [{"sum": 1}]
    assert call("branch", "publish", lake, "trial", "--apply").code == 3
    assert call("snapshots", lake, "--json").json[0]["message"] == "looks right"


def test_publishing_over_a_newer_version_is_a_conflict(call, lake) -> None:
    with lp.connect(lake) as opened:
        opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-05")

    plan = call("branch", "publish", lake, "trial")
    answer = call("branch", "publish", lake, "trial", "--apply", "--json")

    assert "in conflict with main, so nothing will be published: '2013-01-05' of 'sums' (snapshot " in plan.out
    assert (answer.code, answer.error["code"], answer.error["retryable"]) == (4, "conflict", True)
    assert call("head", lake, "sums", "2013-01-05", "--json").json == [{"sum": 5}]


def test_a_branch_is_refreshed_and_settles_conflicts_with_main(call, lake) -> None:
    with lp.connect(lake) as opened:
        newest = opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-07").snapshot
    assert call("branch", "refresh", lake, "trial", "--json").json == {"name": "trial", "fork": newest}
    with lp.connect(lake) as opened:
        opened.asset("sums").write(pd.DataFrame({"sum": [5]}), "2013-01-05")
    assert call("branch", "refresh", lake, "trial").code == 4

    plan = call("branch", "publish", lake, "trial", "--on-conflict", "ours", "--json").json["plan"]
    done = call("branch", "publish", lake, "trial", "--on-conflict", "ours", "--apply")

    assert [one["key"] for one in plan["conflicts"]] == ["2013-01-05"]
    assert done.code == 0
    assert call("head", lake, "sums", "2013-01-05", "--json").json == [{"sum": 1}]


def test_a_branch_is_discarded(call, lake) -> None:
    assert call("branch", "discard", lake, "trial", "--apply").out.endswith("Branch trial is discarded.\n")
    assert call("branch", "list", lake, "--json").json == []


def test_a_snapshot_is_tagged_looked_at_and_forgotten(call, lake) -> None:
    assert call("tag", "list", lake).out == "(no tags)\n"
    made = call("tag", "create", lake, "first", "--at", "1", "-m", "as loaded", "--json").json
    assert (made["name"], made["snapshot"], made["message"]) == ("first", 1, "as loaded")
    assert [row["name"] for row in call("tag", "list", lake, "--json").json] == ["first"]
    assert call("keys", lake, "sums", "--at", "first", "--json").json == []
    assert "snapshot 1" in call("tag", "create", lake, "again", "--at", "first").out

    assert call("tag", "delete", lake, "first", "--apply").out.endswith("Tag first is deleted.\n")

    assert [row["name"] for row in call("tag", "list", lake, "--json").json] == ["again"]


def test_two_views_are_compared_by_partition_and_by_row(call, lake) -> None:
    by_partition = call("diff", lake, "main", "trial", "--json")
    assert [(row["asset"], row["key"], row["change"]) for row in by_partition.json] == [
        ("sums", "2013-01-05", "changed")
    ]
    assert call("diff", lake, "main", "main").out == "(no differences)\n"

    by_row = call("diff", lake, "main", "trial", "sums", "2013-01", "--rows", "--on", "sum", "--json").json

    assert {(row["key"], row["change"]) for row in by_row} == {("2013-01-05", "added"), ("2013-01-05", "removed")}
    assert call("diff", lake, "main", "trial", "--rows").code == 2
    assert call("diff", lake, "main", "nowhere").code == 3
    assert call("diff", lake, "main").code == 2


def test_the_history_of_a_lake_is_what_its_commits_did(call, lake) -> None:
    listed = call("history", lake, "--json").json

    assert {row["asset"] for row in listed} == {"readings", "sums"}
    assert "rows_after" in call("history", lake).out


def test_check_says_what_is_damaged(call, lake) -> None:
    (file,) = call("files", lake, "readings", "2013-01-02", "--json").json
    Path(file["path"]).unlink()

    in_words, as_json = call("check", lake), call("check", lake, "--json")

    assert (in_words.code, as_json.code) == (5, 5)
    assert [(found["kind"], found["severity"]) for found in as_json.json] == [("missing-file", "damage")]
    assert "Damaged: 1 finding" in in_words.out


def test_check_finds_changed_bytes_when_it_may_read_them(call, lake) -> None:
    (file,) = call("files", lake, "readings", "2013-01-02", "--json").json
    raw = bytearray(Path(file["path"]).read_bytes())
    raw[100] ^= 1
    Path(file["path"]).write_bytes(raw)

    assert call("check", lake).code == 0
    assert [found["kind"] for found in call("check", lake, "--checksums", "--json").json] == ["checksum-mismatch"]


def test_check_calls_a_lake_sound_when_all_it_finds_is_harmless(call, lake) -> None:
    (lake / "hot" / "notes.txt").write_text("mine")

    answer = call("check", lake)

    assert answer.code == 5
    assert "Sound: 1 finding, none of it damage." in answer.out


# Backfills


def test_a_lost_catalog_is_rebuilt_once_it_is_asked_for(call, lake) -> None:
    for left in Path(lake).glob("catalog.db*"):
        left.unlink()

    planned = call("rebuild", lake, "--json")

    assert planned.code == 5
    assert not Path(lake, "catalog.db").exists()
    answer = call("rebuild", lake, "--apply", "--json")
    assert answer.code == 0
    assert answer.json["result"]["snapshot"] == planned.json["plan"]["snapshot"]
    assert call("check", lake, "--checksums").code == 0
    assert call("rebuild", lake, "--apply").code != 0


def test_a_backfill_computes_what_the_producer_of_a_module_makes(call, lake, producers) -> None:
    words = ["backfill", "run", lake, "sums", "2013-01-31..2013-02-02", "--producer", f"{producers}:doubled"]

    planned = call(*words)
    done = call(*words, "--name", "doubled", "--workers", "2", "--apply", "--json")

    assert planned.code == 5
    assert "2 partitions" in planned.out  # not yet registered: January is fresh still
    assert done.code == 0
    assert done.json["result"] == {"name": "doubled", "state": "completed", "counts": {"done": 3}}
    assert call("head", lake, "sums", "2013-02-02", "--json").json == [{"sum": 2 * sum(range(768, 792))}]
    assert call("status", lake, "sums", "2013-01-30", "--json").json[0]["state"] == "stale"
    assert call("backfill", "run", lake, "sums", "2013-02-02").code == 0


def test_a_plain_function_can_compute_too_and_another_one_audit_it(call, lake, producers) -> None:
    words = ["backfill", "run", lake, "sums", "2013-02-10", "--producer", f"{producers}:plain", "--apply"]

    audited = call(*words, "--audit", f"{producers}:finding")
    answer = call(*words)

    assert (audited.code, "finding of 'sums': nothing but trouble" in audited.err) == (1, True)

    assert answer.code == 0
    assert "is completed: 1 done" in answer.out
    assert call("head", lake, "sums", "2013-02-10", "--json").json == [{"sum": 7}]


def test_a_backfill_that_fails_exits_with_one_and_can_be_resumed(call, lake, producers) -> None:
    failing = call(
        "backfill", "run", lake, "sums", "2013-02-10", "--producer", f"{producers}:broken", "--name", "bad",
        "--retries", "0", "--apply",
    )  # fmt: skip

    assert failing.code == 1
    assert "no sun today" in failing.err
    (target,) = call("backfill", "status", lake, "bad", "--json").json
    assert (target["key"], target["state"], target["attempts"]) == ("2013-02-10", "failed", 1)
    assert "RuntimeError: no sun today" in call("backfill", "status", lake, "bad").out

    resumed = call("backfill", "resume", lake, "bad", "--producer", f"{producers}:plain", "--json")

    assert (resumed.code, resumed.json["state"]) == (0, "completed")
    assert {row["name"]: row["state"] for row in call("backfill", "list", lake, "--json").json} == {
        "january": "completed",
        "bad": "completed",
    }


def test_a_backfill_whose_driver_died_can_be_cancelled(call, lake, producers) -> None:
    words = ["backfill", "run", lake, "sums", "2013-02-10", "--producer", f"{producers}:deadly", "--name", "dead"]
    died = subprocess.run(
        [sys.executable, "-c", "from lakepart.cli import main; main()", *words, "--apply"], check=False, timeout=60
    )
    assert died.returncode == 9
    assert call("status", lake, "sums", "2013-02-10", "--json").json[0]["state"] == "running"

    answer = call("backfill", "cancel", lake, "dead", "--json")

    assert answer.code == 0
    assert answer.json["state"] in {"cancelling", "cancelled"}


def test_a_producer_of_another_asset_or_no_function_is_refused(call, lake, producers) -> None:
    other = call("backfill", "run", lake, "sums", "--producer", f"{producers}:other")
    number = call("backfill", "run", lake, "sums", "--producer", f"{producers}:number")

    assert (other.code, number.code) == (2, 2)
    assert "'other', not 'sums'" in other.err
    assert "not a function" in number.err


def test_chosen_states_and_a_branch_to_publish_on(call, lake, producers) -> None:
    answer = call(
        "backfill", "run", lake, "sums", "2013-01-01..2013-01-02", "--producer", f"{producers}:doubled",
        "--which", "all", "--publish", "branch:later", "--apply", "--json",
    )  # fmt: skip

    assert answer.code == 0
    assert len(call("branch", "diff", lake, "later", "--json").json) == 2
    assert call("head", lake, "sums", "2013-01-01", "--json").json == [{"sum": sum(range(24))}]


# Help


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    command = command or typer.main.get_command(app)
    for name, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from commands(one, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_the_help_of_a_command_ends_in_an_example_of_it_and_offers_json(call, path) -> None:
    answer = call(*path, "--help")

    assert answer.code == 0
    assert " ".join(answer.out.split("\n\n")[-1].split()).startswith(f"Example: lakepart {' '.join(path)} ")
    assert "--json" in answer.out


@pytest.mark.parametrize("words", [[], ["backfill"], ["tier"], ["branch"], ["tag"]], ids=str)
def test_a_group_without_a_command_shows_its_help(call, words) -> None:
    answer = call(*words)

    assert answer.code == 0
    assert "Commands:" in answer.out


def test_the_version_is_told(call) -> None:
    assert call("--version").out == f"lakepart {lp.__version__}\n"
