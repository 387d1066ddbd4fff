"""Small files become large ones: the same rows, the same content, and nothing else of the lake changes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakepart as lp
from lakepart.cli.app import run
from lakepart.model.records import TierRecord
from lakepart.testing import clock_of, copied, files_of, frozen_lake, query_catalog, reopened, with_stores

DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"


def frame(*rows):
    """Rows of ``(day, v)``."""
    return pa.table(
        {
            "day": pa.array([date(2024, 1, day) for day, _ in rows], pa.date32()),
            "v": pa.array([value for _, value in rows], pa.int64()),
        }
    )


@lp.producer("sums", partitions=lp.Daily("2024-01-01"), inputs={"rows": "rows"}, code_version="1")
def sums(part, rows):
    return pa.table({"sum": [sum(rows.to_arrow()["v"].to_pylist())]})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Day 1 of ``rows`` in four files, day 2 in one, day 3 known to be empty; ``sums`` made of day 1; a branch."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 3, 1, tzinfo=UTC))
    rows = lake.asset("rows", partitions=DAYS)
    rows.write(frame((1, 4), (1, 1), (2, 7)), code_version="c")
    for value in (3, 2, 9):
        rows.append(frame((1, value)))
    rows.write(frame(), THIRD)
    lake.register(sums)[FIRST].backfill(progress=False)
    lake.create_branch("draft").asset("rows").append(frame((1, 50)))
    return lake


@pytest.fixture
def lake(template, place):
    return copied(template, place.url, catalog=place.catalog)


@pytest.fixture
def rows(lake):
    return lake.asset("rows")


def values(asset, key=FIRST):
    return asset[key].to_arrow()["v"].to_pylist()


def assert_sound(lake):
    assert [str(found) for found in lake.check(checksums=True)] == []


def test_files_become_one_with_the_same_rows_in_their_order(lake, rows):
    before = rows[FIRST].to_arrow()
    old = rows[FIRST].files()

    report = rows.compact(progress=False, message="tidy up")

    assert rows[FIRST].to_arrow().equals(before)
    (new,) = rows[FIRST].files()["path"]
    stored = files_of(lake)[new.removeprefix(f"{lake.url}/")]
    assert pq.ParquetFile(BytesIO(stored)).read().equals(before)
    assert set(old["path"]) & {new} == set()
    assert (report.partitions, report.rows, report.files_before, report.files_after) == (1, 5, 4, 1)
    assert (report.bytes_before, report.bytes_after) == (old["bytes"].sum(), len(stored))
    assert (report.skipped, len(report.snapshots)) == ((), 1)
    assert str(report).startswith("Compacted 1 partition: 4 files (")
    assert lake.snapshots(1)[["operation", "message"]].values.tolist() == [["compact", "tidy up"]]
    assert_sound(lake)
    assert rows.plan_compact().is_empty
    assert rows.compact(progress=False) == lp.CompactReport()
    assert str(lp.CompactReport()) == "Nothing was compacted."


def test_nothing_that_is_said_of_the_content_changes(lake, rows):
    rows[FIRST].mark_stale("by hand")
    made = lake.asset("sums")
    made.append(made[FIRST].to_arrow(), FIRST, inputs={"rows": rows[FIRST]}, code_version="1")
    clock_of(lake).advance(timedelta(days=1))
    told = ["data", "reasons", "rows", "written_at", "code_version"]
    before = [asset.status()[told].to_dict() for asset in lake.assets()]
    head = lake.snapshots(1)["snapshot"].item()

    done = rows.compact(progress=False).snapshots[0]
    made.compact(progress=False)

    assert [asset.status()[told].to_dict() for asset in lake.assets()] == before
    assert lake.diff(head).empty
    lineage = made[FIRST].history().head(2)
    assert lineage["operation"].tolist() == ["compact", "append"]
    assert lineage["inputs"][0] == lineage["inputs"][1] != {}
    newest, older = (row for _, row in rows[FIRST].history().head(2).iterrows())
    assert (newest["operation"], newest["content"]) == ("compact", older["content"])
    assert (newest["files"], older["files"]) == (1, 4)
    with pytest.raises(lp.StateError, match="left to roll back"):
        lake.rollback(commit=done)


def test_the_past_reads_the_old_files_until_vacuum_has_forgotten_them(lake, rows):
    old = rows[FIRST].files()["path"].tolist()
    head = lake.snapshots(1)["snapshot"].item()
    lake.branch("draft").discard()
    rows.compact(progress=False)
    assert lake.at(head).asset("rows")[FIRST].files()["path"].tolist() == old

    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()

    assert not {path.removeprefix(f"{lake.url}/") for path in old} & files_of(lake).keys()
    assert values(rows) == [4, 1, 3, 2, 9]
    assert_sound(lake)


def test_an_open_branch_is_published_over_a_compaction_for_the_content_is_the_same(lake, rows):
    branch = lake.branch("draft")
    rows.compact(progress=False)

    branch.publish()

    assert values(rows) == [4, 1, 3, 2, 9, 50]
    assert_sound(lake)


def test_a_transaction_that_read_before_a_compaction_commits_after_it(lake, rows):
    with lake.transaction("more") as tx:
        assert values(tx.asset("rows")) == [4, 1, 3, 2, 9]
        tx.asset("rows").append(frame((1, 50)))
        reopened(lake).asset("rows").compact(progress=False)

    assert values(rows) == [4, 1, 3, 2, 9, 50]
    assert len(rows[FIRST].files()) == 2
    assert_sound(lake)


@pytest.mark.in_a_folder
def test_a_lost_catalog_is_rebuilt_as_compacted(lake, rows):
    rows.compact(progress=False)
    before, history = rows[FIRST].files(), rows[FIRST].history().drop(columns="metadata")
    lake.close()
    for path in Path(lake.url).glob("catalog.db*"):
        path.unlink()

    lp.rebuild(lake.url)

    found = lp.connect(lake.url)
    assert found.asset("rows")[FIRST].files().equals(before)
    assert found.asset("rows")[FIRST].history().drop(columns="metadata").equals(history)
    assert found.check(checksums=True) == []


def test_new_files_lie_where_the_old_lay(lake, rows):
    rows[FIRST].demote("cold", progress=False)
    rows.append(frame((1, 10)))
    rows.append(frame((1, 11), (2, 8)))

    rows[FIRST].compact(progress=False)

    assert rows[FIRST].files()["tier"].tolist() == ["cold", "hot"]
    assert values(rows) == [4, 1, 3, 2, 9, 10, 11]
    assert_sound(lake)


def test_files_on_an_offline_tier_are_left_out_or_refused_by_name(tmp_path):
    tiers = [TierRecord("hot", "hot", None, 0), TierRecord("ice", "ice", "DEEP_ARCHIVE", 1)]
    lake = frozen_lake(tmp_path / "lake", tiers=tiers)
    rows = lake.asset("rows", partitions=DAYS)
    rows.write(frame((1, 1), (2, 7)))
    rows.append(frame((2, 8)))
    rows[SECOND].demote("ice", progress=False)

    plan = rows.plan_compact()

    assert plan.is_empty
    assert "left out, on ice, which is offline: 1 partition (2024-01-02)" in str(plan)
    with pytest.raises(lp.OfflineDataError, match="2024-01-02") as caught:
        rows[FIRST:SECOND].compact(progress=False)
    assert caught.value.context["partitions"] == [SECOND]
    assert_sound(lake)


def test_a_plan_says_what_is_merged_and_why_the_rest_is_left_out_and_is_data(lake, rows):
    before = files_of(lake)

    plan = rows[FIRST:"2024-01-04"].plan_compact(target_file_size="64 MB", sort_by="v")

    size = rows[FIRST].files()["bytes"].sum()
    assert str(plan).splitlines() == [
        f"Compact 1 partition: 4 files ({size / 1000:.1f} kB) into 1, from snapshot 7:",
        "  rows: 2024-01-01: 4 of 4 files into 1 on hot, each up to 64.0 MB, sorted by v",
        "  rows: left out, one file already: 1 partition (2024-01-02)",
        "  rows: left out, known to be empty: 1 partition (2024-01-03)",
        "  rows: left out, missing: 1 partition (2024-01-04)",
    ]
    assert (plan.partitions, plan.files_before, plan.files_after, plan.size_bytes) == (1, 4, 1, size)
    assert json.loads(json.dumps(plan.to_dict()))["files_after"] == 1
    assert files_of(lake) == before

    lake.apply(plan, progress=False)

    assert values(rows) == [1, 2, 3, 4, 9]
    assert_sound(lake)


@pytest.mark.in_a_folder
def test_the_target_bounds_how_much_becomes_one(rows):
    size = int(rows[FIRST].files()["bytes"].max())

    rows.compact(target_file_size=2 * size, progress=False)

    assert rows[FIRST].files()["rows"].tolist() == [3, 2]
    assert values(rows) == [4, 1, 3, 2, 9]


def test_partitions_that_changed_since_the_plan_are_skipped_and_others_are_done(lake, rows):
    for day in (2, 4, 5):
        rows.append(frame((day, 1), (day, 2)))
        rows.append(frame((day, 3)))
    plan = rows.plan_compact()
    other = reopened(lake).asset("rows")
    other.write(frame((1, 99)), FIRST)
    other[SECOND].demote("cold", progress=False)
    other.append(frame((4, 4)))

    report = lake.apply(plan, workers=3, progress=False)

    assert report.skipped == (
        ("rows", FIRST, "its files were replaced or moved meanwhile"),
        ("rows", SECOND, "its files were replaced or moved meanwhile"),
    )
    assert "Skipped 2 partitions: 2024-01-01 of rows (its files were" in str(report)
    assert report.partitions == 2
    assert [len(rows[key].files()) for key in (FIRST, SECOND, "2024-01-04", "2024-01-05")] == [1, 3, 2, 1]
    assert (values(rows), values(rows, "2024-01-04")) == ([99], [1, 2, 3, 4])
    assert_sound(lake)


def test_files_of_older_columns_are_written_under_those_of_now(lake, rows):
    with pytest.warns(RuntimeWarning, match="producer of 'sums'"):
        rows.alter(rename={"v": "value"}, add={"tip": pa.float64()})
    rows.append(pa.table({"day": [date(2024, 1, 1)], "value": [5], "tip": [0.5]}))
    before = rows[FIRST].to_arrow()

    rows.compact(progress=False)

    assert rows[FIRST].to_arrow().equals(before)
    new = rows[FIRST].files()["path"].item().removeprefix(f"{lake.url}/")
    assert pq.read_schema(BytesIO(files_of(lake)[new])).names == ["day", "value", "tip"]
    assert_sound(lake)


@pytest.mark.in_a_folder
def test_many_files_and_partitions_go_in_few_commits(lake, rows):
    for value in range(3):
        rows.append(pa.concat_tables([frame((1, value)).set_column(0, "day", [[day]]) for day in days_of(70)]))

    report = rows.compact(workers=2, progress=False)

    assert (report.partitions, len(report.snapshots)) == (70, 2)
    assert set(rows.status().query("rows > 0")["files"]) == {1}
    assert_sound(lake)


def days_of(count):
    return [date(2024, 1, 1) + timedelta(day) for day in range(count)]


# Damage


@pytest.mark.in_a_folder
@pytest.mark.parametrize(
    "damage", [lambda path: pq.write_table(frame((1, 8)), path), Path.unlink], ids=["other", "none"]
)
def test_damage_in_a_source_is_named_and_not_taken_for_rows(lake, rows, damage):
    damaged = Path(rows[FIRST].files()["path"][2])
    damage(damaged)
    before = files_of(lake)

    with pytest.raises(lp.CorruptionError, match=damaged.name):
        rows.compact(progress=False)

    assert files_of(lake) == before
    assert query_catalog(lake, "SELECT count(*) FROM intent") == [(0,)]
    assert len(rows[FIRST].files()) == 4


class Forgetful:
    """A store that gives the bytes of another file back, for every object from now on."""

    def __init__(self, store, instead):
        self._store, self._known, self._instead = store, {one.path for one in store.list()}, instead

    def __getattr__(self, name):
        return getattr(self._store, name)

    def os_path(self, path):
        return self._store.os_path(path) if path in self._known else self._instead


@pytest.mark.in_a_folder
@pytest.mark.parametrize("wrong", [[4, 1, 3, 2], [4, 1, 3, 2, 8], [4, 1, 3, 2, 9, 9]], ids=["lost", "other", "twice"])
def test_rows_that_are_not_read_back_the_same_abort_it_and_nothing_is_changed(lake, rows, wrong, tmp_path):
    instead = str(tmp_path / "instead.parquet")
    pq.write_table(frame(*((1, value) for value in wrong)), instead)
    before, head = files_of(lake), query_catalog(lake, "SELECT snapshot FROM head")
    store = Forgetful(lake._home.context.stores["hot"], instead)

    with pytest.raises(lp.CorruptionError, match="does not have the same rows") as caught:
        with_stores(lake, {"hot": store}).asset("rows").compact(progress=False)

    assert caught.value.context["key"] == FIRST
    assert files_of(lake) == before
    assert query_catalog(lake, "SELECT snapshot FROM head") == head
    assert values(rows) == [4, 1, 3, 2, 9]
    assert_sound(lake)


# What is refused


@pytest.mark.in_a_folder
def test_it_is_for_the_lake_itself(lake, rows):
    head = lake.snapshots(1)["snapshot"].item()
    with lake.transaction() as tx:
        for view in (lake.branch("draft"), lake.at(head), tx):
            with pytest.raises(lp.StateError, match="compacted in the lake itself"):
                view.asset("rows").compact(progress=False)
    read_only = lp.connect(lake.url, read_only=True)
    assert not read_only.asset("rows").plan_compact().is_empty
    with pytest.raises(lp.StateError, match="read-only"):
        read_only.asset("rows").compact(progress=False)
    with pytest.raises(lp.InvalidInputError, match="no such column"):
        rows.compact(sort_by=["w"], progress=False)
    with pytest.raises(lp.InvalidInputError, match="workers=0"):
        rows.compact(workers=0, progress=False)


# Options of assets


def test_an_asset_that_says_so_keeps_the_rows_of_every_new_file_sorted(lake):
    other = lake.asset("other", partitions=DAYS, sort_by=["v"], target_file_size="1 MB")
    assert (other.sort_by, other.target_file_size) == (("v",), 1_000_000)
    other.write(frame((1, 3), (1, 1), (2, 9), (2, 8)))
    other.append(frame((1, 5), (1, 4)))
    other.upsert(frame((2, 7)), on=["v"])
    other["2024-01-05"].backfill(lambda part: frame((5, 2), (5, 1)), inputs={}, progress=False)
    with lake.transaction() as tx:
        tx.asset("other").append(frame((5, 0), (5, -1)))

    assert other.to_arrow()["v"].to_pylist() == [1, 3, 4, 5, 8, 9, 7, 1, 2, -1, 0]
    assert values(other) == [1, 3, 4, 5]
    other.compact(progress=False)
    assert other.to_arrow()["v"].to_pylist() == [1, 3, 4, 5, 7, 8, 9, -1, 0, 1, 2]


@pytest.mark.in_a_folder
def test_options_are_declared_and_altered_like_any_other(lake):
    rows = lake.asset("other", partitions=DAYS, sort_by=(), target_file_size="1 MB")
    assert lake.asset("other", partitions=DAYS, target_file_size=1_000_000).target_file_size == 1_000_000
    with pytest.raises(lp.AlreadyExistsError, match="options"):
        lake.asset("other", partitions=DAYS, target_file_size="2 MB")
    rows.write(frame((1, 1)))
    rows.alter(sort_by="v")
    rows.alter(rename={"v": "w"})
    assert rows.sort_by == ("w",)
    with pytest.raises(lp.InvalidInputError, match="sorted by column 'w'"):
        rows.alter(drop=["w"])
    rows.alter(drop=["w"], sort_by=[], target_file_size=0)
    assert (rows.sort_by, rows.target_file_size, dict(rows._record().options)) == ((), None, {})
    for options in ({"target_file_size": "big"}, {"target_file_size": -1}, {"sort_by": ["nothing"]}):
        with pytest.raises(lp.InvalidInputError):
            rows.alter(**options)
    with pytest.raises(lp.InvalidInputError, match="no such column"):
        lake.asset("third", partitions=DAYS, schema={"day": pa.date32()}, sort_by=["v"])
    late = lake.asset("late", partitions=DAYS, sort_by=["w"])
    with pytest.raises(lp.InvalidInputError, match="no such column"):
        late.write(frame((1, 1)))


def test_one_plan_is_of_all_assets_that_say_how_large_their_files_are_to_be(lake, rows, capsys):
    assert str(lake.plan_compact()) == "Nothing to compact."
    for name in ("b", "a"):
        asset = lake.asset(name, partitions=DAYS, target_file_size="1 MB")
        asset.write(frame((1, 1)))
        asset.append(frame((1, 2)))
    capsys.readouterr()

    plan = lake.plan_compact()
    report = lake.compact()

    assert [one.asset for one in plan.assets] == ["a", "b"]
    assert (plan.partitions, plan.files_before, plan.files_after) == (2, 4, 2)
    assert (report.partitions, len(report.snapshots)) == (2, 2)
    assert "compact 2 partitions: " in capsys.readouterr().err
    assert len(rows[FIRST].files()) == 4


# The command line


def test_the_command_prints_the_plan_and_compacts_with_apply(lake, rows, capsys):
    lake.close()
    assert run(["compact", lake.url, "rows", "--sort-by", "v", "--target-file-size", "1 MB"]) == 5
    assert "into 1 on hot, each up to 1.0 MB, sorted by v" in capsys.readouterr().out
    assert len(rows[FIRST].files()) == 4

    assert run(["compact", lake.url]) == 0
    assert capsys.readouterr().out == "Nothing to compact.\n"
    assert run(["alter", lake.url, "rows", "--target-file-size", "1 MB", "--sort-by", "v", "--apply"]) == 0
    capsys.readouterr()
    assert run(["compact", lake.url, "--apply", "--json", "-m", "nightly"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["applied"]
    assert (told["plan"]["files_before"], told["result"]["files_after"]) == (4, 1)
    assert values(rows) == [1, 2, 3, 4, 9]
    assert run(["alter", lake.url, "rows", "--target-file-size", "0", "--sort-by", "", "--apply"]) == 0
    assert (lp.connect(lake.url).asset("rows").target_file_size, rows.sort_by) == (None, ())
    assert run(["compact", lake.url, "--sort-by", "v"]) == 2
