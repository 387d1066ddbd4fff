"""A compaction meets every other verb, at every effect of either: no row is lost, and only rows' writers may lose."""

import itertools
from contextlib import suppress
from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.engine.compact import apply_compact
from lakepart.testing import clock_of, copied, frozen_lake, meet_everywhere, query_catalog

KEY, QUIET = "2024-01-01", "2024-01-02"


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 1), (2, 2)))
    numbers.append(frame((1, 10), (2, 20)))
    lake.create_branch("draft").asset("numbers").write(frame((1, 5)), KEY)
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


def compact(lake):
    return lake.asset("numbers").compact(progress=False)


def vacuum(lake):
    clock_of(lake).advance(timedelta(seconds=1))
    for _ in range(2):
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True, progress=False)


def rename(lake):
    lake.asset("numbers").alter(rename={"value": "v"}, add={"tip": pa.int8()})


# What each does, and the rows of the partition afterwards, in order.
OTHERS = {
    "append": (lambda lake: lake.asset("numbers").append(frame((1, 99))), [1, 10, 99]),
    "replace": (lambda lake: lake.asset("numbers").write(frame((1, 7)), KEY), [7]),
    "delete": (lambda lake: lake.asset("numbers").delete([("value", "==", 10)]), [1]),
    "compact": (compact, [1, 10]),
    "demote": (lambda lake: lake.asset("numbers")[KEY].demote("cold", progress=False), [1, 10]),
    "vacuum": (vacuum, [1, 10]),
    "alter": (rename, [1, 10]),
    "publish": (lambda lake: lake.branch("draft").publish(), [5]),
}


def rows_of(lake):
    (name,) = {"v", "value"} & set(lake.asset("numbers").schema.names)
    return [lake.asset("numbers")[key].to_arrow()[name].to_pylist() for key in (KEY, QUIET)]


@pytest.mark.parametrize(
    ("first", "other"), [*itertools.product(["compact"], OTHERS), ("other", "delete"), ("other", "demote")]
)
def test_both_are_done_or_the_compaction_leaves_out_what_the_other_took_away(make, other, first):
    act, expected = OTHERS[other]
    reports = []

    def compacting(lake):
        with suppress(*([lp.StateError] if other == "vacuum" else [])):  # without grace, its intent has expired
            numbers = lake.asset("numbers")
            chosen = numbers[KEY] if other == "publish" else numbers  # alone, there may be nothing left to commit
            reports.append(chosen.compact(progress=False))

    pair = (compacting, act) if first == "compact" else (act, compacting)
    for met in meet_everywhere(make, *pair):
        assert rows_of(met.lake) == [expected, [2, 20]], met.at
        left = {"abandoned-file"} if other in {"demote", "vacuum"} else set()  # by a move or a writer that gave up
        assert {one.kind for one in met.lake.check(checksums=True)} <= left, met.at
        if other not in {"vacuum", "publish"}:
            files = query_catalog(
                met.lake.url, f"SELECT file_count FROM version WHERE key = '{QUIET}' AND ended IS NULL"
            )
            assert files == [(1,)], met.at  # of what nobody touched
        assert query_catalog(met.lake.url, "SELECT count(*) FROM intent") == [(0,)], met.at
        met.lake.close()

    skipped = {(key, why) for report in reports for _, key, why in report.skipped}
    assert {key for key, _ in skipped} <= {KEY, QUIET} if other == "compact" else {KEY}
    if first == "compact":
        assert bool(skipped) == (other in {"replace", "delete", "compact", "demote", "publish"})


def test_what_was_committed_is_reported_though_the_asset_changed_all_the_time_afterwards(make, monkeypatch):
    monkeypatch.setattr("lakepart.engine.compact._PARTITIONS_AT_ONCE", 1)
    monkeypatch.setattr("lakepart.engine.commit._SCHEMA_RACES", 1)
    lake = make()
    merged = []

    def alter_at_the_second(size_bytes):
        merged.append(size_bytes)
        if len(merged) == 2:
            rename(lp.connect(lake.url))

    plan = lake.asset("numbers").plan_compact()
    report = apply_compact(lake._home, plan, on_progress=alter_at_the_second)

    assert (report.partitions, report.files_before, report.files_after) == (1, 2, 1)
    assert report.skipped == (("numbers", QUIET, "its asset was declared anew meanwhile"),)
    assert rows_of(lake) == [[1, 10], [2, 20]]
    assert list(lake.check(checksums=True)) == []
