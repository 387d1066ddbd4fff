"""A catalog that is destroyed: rebuilt from storage it answers as before, and whatever is lacking is named."""

import gzip
import sqlite3
import sys
import threading
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import lakepart as lp
from lakepart.lake import Lake
from lakepart.testing import Crash, clock_of, crashing, files_of, frozen_lake, query_catalog, reopened

# of tables that a rebuild recovers: what must be as before. Left out are instants of copies and the counters of ids.
ANSWERS = {
    "lake": "*",
    "tier": "name, root, storage_class, rank",
    "branch": "branch_id, name, fork, state, created_at_us, closed_at_us, published_as",
    "snapshot": "*",
    "tag": "*",
    "asset": "asset_id, name, definition, revision, schema_id, options, producer_code_version, producer_inputs",
    "asset_definition": "*",
    "partition_key": "asset_id, dimension, id, key, visible, expected_us",
    "schema": "schema_id, asset_id, arrow_schema",
    "version": "version_id, asset_id, branch_id, key, ordinal, content_id, base_content_id, began, ended, row_count, "
    "size_bytes, file_count, code_version, written_at_us, stale_mark",
    "version_input": "*",
    "file": "*",
    "version_file": "*",
    "copy": "file_id, tier, path, owned",
    "head": "snapshot, at_us, horizon",
}


def answers_of(folder):
    return {
        table: sorted(query_catalog(folder, f"SELECT {columns} FROM {table}"), key=repr)
        for table, columns in ANSWERS.items()
    }


def destroy(lake):
    lake.close()
    for left in Path(lake.url).glob("catalog.db*"):
        left.unlink()


def checkpointing(lake, every):
    return Lake(replace(lake._home, context=replace(lake._home.context, checkpoint_every=every)))


def manifest(lake, name):
    return Path(lake.url, "_lakepart/commits", name)


@pytest.mark.parametrize("every", [1000, 2, 1])
def test_a_rebuilt_lake_answers_as_before(template, tmp_path, frame, rows_of, every):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), every)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"), description="counted")
    numbers.write(frame((1, 1), (2, 2), (3, 3)))
    lake.register(lp.producer("tens", partitions=lp.Daily("2024-01-01", by="day"), inputs={"numbers": "numbers"})(len))
    branch = lake.create_branch("draft").asset("numbers")
    branch.write(frame((1, 111)), "2024-01-01")
    shops = lake.asset("shops", partitions=lp.Dynamic())
    shops.add_keys(["never written", "Zürich"])
    shops.write({"Zürich": frame((1, 7))})
    numbers["2024-01-02"].demote("cold", progress=False)
    numbers["2024-01-02"].mark_stale("a sensor was broken")
    lake.create_branch("dropped").discard()
    lake.asset("declared-only", partitions=lp.Static(["a"]))
    lake.tag("first", at=1)
    numbers.write(frame((3, 30)), "2024-01-03")
    before, rows, past = answers_of(lake.url), rows_of(lake), rows_of(lake.at(1))
    status, files = numbers.status(as_of=lake._home.context.clock()), files_of(lake.url)
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert answers_of(lake.url) == before
    assert (report.lost, report.unknown, report.damaged, report.set_aside) == ((), (), (), ())
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == rows
        assert rows_of(rebuilt.at(1)) == past == rows_of(rebuilt.at("first"))
        found = rebuilt.asset("numbers").status(as_of=lake._home.context.clock())
        assert found.equals(status)
        assert rebuilt.check(checksums=True) == []
        assert files_of(lake.url) == files
        rebuilt.asset("numbers").write(frame((5, 5)), "2024-01-05")
        assert rebuilt.check(checksums=True) == []


STEPS = st.lists(
    st.sampled_from(["write", "append", "replace", "branch", "publish", "discard", "demote", "promote", "mark", "tag"])
    | st.sampled_from(["vacuum", "keys", "rollback", "alter"]),
    min_size=1,
    max_size=8,
)


@pytest.mark.timeout(300)
@example(steps=["branch", "vacuum", "discard", "vacuum"], every=1)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, every=st.sampled_from([1, 2, 3, 1000]))
def test_any_history_is_rebuilt(tmp_path_factory, frame, steps, every):
    lake = checkpointing(frozen_lake(tmp_path_factory.mktemp("history") / "lake"), every)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    shops = lake.asset("shops", partitions=lp.Dynamic())
    numbers.write(frame((1, 0)))
    for at, step in enumerate(steps):
        take(lake, numbers, shops, step, at, frame)
    numbers.write(frame((1, 99)), "2024-01-01")  # carries what was declared last
    before = answers_of(lake.url)
    destroy(lake)

    report = lp.rebuild(lake.url)

    after = answers_of(lake.url)
    if "vacuum" not in steps:  # what a vacuum has forgotten and whose files are there yet is found again
        assert after == before
    assert report.lost == report.damaged == ()
    assert current_of(before) == current_of(after)
    with lp.connect(lake.url) as rebuilt:
        assert {finding.severity for finding in rebuilt.check(checksums=True)} <= {"leftover"}


def current_of(answers):
    """Give what main and open branches hold; of closed ones, what is forgotten may be found again."""
    open_branches = {branch_id for branch_id, _, _, state, *_ in answers["branch"] if state == "open"}
    return {row for row in answers["version"] if row[8] is None and row[2] in open_branches}


def take(lake, numbers, shops, step, at, frame):
    branches = [name for name in lake.branches()["name"] if name != "main"]
    match step:
        case "write" | "append":
            numbers.write(frame((1 + at, at)), if_exists="append")
        case "replace":
            numbers.write(frame((1 + at % 3, at)), if_exists="replace")
        case "branch":
            lake.create_branch(f"branch-{at}").asset("numbers").write(frame((20 + at, at)), if_exists="replace")
        case "publish" if branches:
            lake.branch(branches[0]).publish()
        case "discard" if branches:
            lake.branch(branches[0]).discard()
        case "demote":
            numbers.demote("cold", progress=False)
        case "promote":
            numbers.promote(progress=False)
        case "mark":
            numbers.mark_stale(f"step {at}")
        case "tag":
            lake.tag(f"tag-{at}")
        case "keys":
            shops.add_keys([f"shop {at}"])
        case "rollback" if query_catalog(lake.url, "SELECT horizon FROM head")[0][0] <= 1:
            with suppress(lp.StateError):  # everything is as it was
                numbers.rollback(to=1)
        case "alter":
            numbers.alter(description=f"as of step {at}")
        case "vacuum":
            clock_of(lake).advance(timedelta(days=30))
            lake.vacuum()


def test_a_catalog_that_can_be_read_is_never_overwritten(lake):
    before = files_of(lake.url)
    rows = answers_of(lake.url)

    with pytest.raises(lp.AlreadyExistsError, match="can be read"):
        lp.rebuild(lake.url)

    assert files_of(lake.url) == before
    assert answers_of(lake.url) == rows
    report = lp.rebuild(lake.url, replace=True)
    assert "catalog.db.set-aside-" in report.set_aside[0]
    assert answers_of(lake.url) == rows


@pytest.mark.parametrize("page", [0, 1, 2, 5])
def test_a_damaged_page_of_the_catalog_is_named_or_harmless_and_rebuilt(lake, rows_of, page):
    expected, path = rows_of(lake), Path(lake.url, "catalog.db")
    lake.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    data[page * 4096 : page * 4096 + 4096] = b"\xff" * 4096
    path.write_bytes(data)

    try:
        with lp.connect(lake.url) as damaged:
            assert rows_of(damaged) == expected
            found = damaged.check()
    except lp.CatalogError:
        found = None
    assert found is None or any(finding.severity == "damage" for finding in found) or rows_of(lake) == expected
    plan = lp.plan_rebuild(lake.url)
    report = lp.rebuild(lake.url, replace=plan.existing == "readable")

    assert report.snapshot == 5
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == expected


def test_a_log_left_beside_a_lost_catalog_does_not_spoil_the_new_one(lake, rows_of, frame):
    expected = rows_of(lake)
    wal = Path(lake.url, "catalog.db-wal")
    kept = wal.read_bytes() if wal.exists() else b""
    destroy(lake)
    wal.write_bytes(kept or b"left over")

    report = lp.rebuild(lake.url)

    assert any(path.endswith("-wal") for path in report.set_aside)
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == expected


def test_a_gap_is_named_and_the_state_before_it_can_be_had(lake, rows_of, frame):
    first = rows_of(lake.at(2))
    manifest(lake, "000000000003.json").unlink()
    destroy(lake)

    with pytest.raises(lp.CorruptionError, match="snapshot 3 is missing") as caught:
        lp.rebuild(lake.url)

    assert caught.value.context["before"] == 2
    assert not Path(lake.url, "catalog.db").exists()
    report = lp.rebuild(lake.url, to=2)
    assert len(report.set_aside) == 2
    assert {tier for tier, _ in report.unknown} == {"hot"}
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == first
        assert {finding.kind for finding in rebuilt.check()} == {"abandoned-file"}
        rebuilt.asset("numbers").write(frame((5, 5)), "2024-01-05")
        assert {finding.kind for finding in rebuilt.check()} == {"abandoned-file"}


@pytest.mark.parametrize("damage", ["", "{}", "[1", '{"format":2}', "null"])
def test_a_damaged_manifest_is_a_gap(lake, damage):
    manifest(lake, "000000000003.json").write_text(damage)
    kinds = {(finding.kind, finding.subject) for finding in lake.check(checksums=True)}
    destroy(lake)

    with pytest.raises(lp.CorruptionError, match=r"000000000003\.json"):
        lp.rebuild(lake.url)

    assert ("damaged-manifest", "_lakepart/commits/000000000003.json") in kinds


def test_a_flipped_byte_of_a_manifest_is_found(lake):
    path = manifest(lake, "000000000002.json")
    data = bytearray(path.read_bytes())
    at = data.index(b'"row_count":') + len(b'"row_count":')
    data[at] = ord("7")
    path.write_bytes(data)

    (found, *_) = lake.check(checksums=True)

    assert (found.kind, found.subject) == ("damaged-manifest", "_lakepart/commits/000000000002.json")


def test_a_damaged_checkpoint_gives_way_to_the_manifests_under_it(tmp_path, frame, rows_of):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for day in (1, 2, 3, 4):
        numbers.write(frame((day, day)))
    expected = rows_of(lake)
    path = manifest(lake, "000000000003-000000000004.checkpoint.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-20])
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert [one for one, _ in report.damaged] == [f"_lakepart/commits/{path.name}"]
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == expected


@pytest.mark.parametrize(("what", "named"), [("header", "format"), ("header", "lake_id"), ("snapshot", "at_us")])
def test_a_checkpoint_whose_records_do_not_say_what_they_must_is_damaged(tmp_path, frame, what, named):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    for day in (1, 2):
        lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((day, day)))
    (path,) = Path(lake.url, "_lakepart/commits").glob("*.checkpoint.jsonl.gz")
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    changed = [line.replace(f'"{named}"'.encode(), b'"x"') if f'"{what}"'.encode() in line else line for line in lines]
    path.write_bytes(gzip.compress(b"".join(changed)))  # as one flipped byte can leave it, up to the sum at the end

    (found,) = lake.check(checksums=True)

    assert (found.kind, found.subject) == ("damaged-manifest", f"_lakepart/commits/{path.name}")
    destroy(lake)
    assert [one for one, _ in lp.rebuild(lake.url).damaged] == [f"_lakepart/commits/{path.name}"]


def test_manifests_of_another_lake_are_refused(lake, make, tmp_path, frame):
    stranger = frozen_lake(tmp_path / "stranger")
    stranger.asset("numbers", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, 1)))
    manifest(lake, "000000000001.json").write_bytes(manifest(stranger, "000000000001.json").read_bytes())
    destroy(lake)

    with pytest.raises(lp.CatalogError, match="is of lake") as caught:
        lp.rebuild(lake.url)

    assert caught.value.code == "wrong-catalog"
    assert not Path(lake.url, "catalog.db").exists()


def test_files_of_a_commit_without_manifest_are_named_and_not_adopted(lake, frame, rows_of):
    expected = rows_of(lake)
    with pytest.raises(Crash):
        crashing(lake, at=3).asset("numbers").write(frame((6, 6)), "2024-01-06")
    unfinished = Path(lake.url, f"hot/numbers/partition=2024-01-07/.{'a' * 20}-0.parquet.{'b' * 16}.tmp")
    unfinished.parent.mkdir(parents=True)
    unfinished.touch()
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert [path.rpartition("/")[0] for _, path in report.unknown] == ["numbers/partition=2024-01-06"]
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == expected


def test_a_current_file_that_is_lost_too_is_named_and_its_read_is_an_error(lake, rows_of):
    (path,) = query_catalog(
        lake.url,
        """SELECT copy.path FROM version JOIN version_file USING (version_id) JOIN copy USING (file_id)
        JOIN asset USING (asset_id) WHERE asset.name = 'numbers' AND key = '2024-01-02' AND branch_id = 0""",
    )[0]
    Path(lake.url, "hot", path).unlink()
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert report.lost == (("numbers", "2024-01-02", path),)
    with lp.connect(lake.url) as rebuilt:
        assert rebuilt.asset("numbers")["2024-01-03"].to_arrow()["value"].to_pylist() == [30]
        with pytest.raises(lp.CorruptionError, match=Path(path).name):
            rebuilt.asset("numbers")["2024-01-02"].to_arrow()
        assert [finding.kind for finding in rebuilt.check()] == ["missing-file"]


@pytest.mark.parametrize("damaged", ["cold", "hot", "both", "no"])
def test_of_two_copies_that_differ_the_whole_one_is_read_and_kept(lake, rows_of, damaged):
    expected, key = rows_of(lake), "2024-01-02"
    lake.asset("numbers")[key].demote("cold", progress=False)
    copies = {tier: next(Path(lake.url, tier, "numbers").glob(f"*{key}/*.parquet")) for tier in ("hot", "cold")}
    for tier, path in copies.items():
        if damaged in (tier, "both"):
            content = bytearray(path.read_bytes())
            content[20] ^= 0x40
            path.write_bytes(content)
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert [tier for tier, _ in report.unknown] == ([damaged] if damaged in copies else [])
    rebuilt = reopened(lake)
    mismatches = [one.subject for one in rebuilt.check(checksums=True) if one.kind == "checksum-mismatch"]
    assert len(mismatches) == (2 if damaged == "both" else 0)
    clock_of(rebuilt).advance(timedelta(days=30))
    rebuilt.vacuum(progress=False)
    if damaged != "both":
        whole = "hot" if damaged == "cold" else "cold"
        assert key in rebuilt.asset("numbers").in_tier(whole).keys
        assert not copies["hot" if whole == "cold" else "cold"].exists()
        assert rows_of(rebuilt) == expected
        assert rebuilt.check(checksums=True) == []


def test_a_folder_without_manifests_is_no_lake(tmp_path):
    with pytest.raises(lp.LakeNotFoundError, match="no manifests"):
        lp.rebuild(tmp_path)

    assert list(tmp_path.iterdir()) == []


_dying: dict[str, int] = {}
_EFFECTS = {"os.link", "os.rename", "os.remove", "os.mkdir", "sqlite3.connect"}


def _die(event: str, arguments: tuple) -> None:
    if event in _EFFECTS and _dying.get("thread") == threading.get_ident():
        _dying["left"] -= 1
        if _dying["left"] < 0:
            raise Crash(event)


def test_a_crash_while_rebuilding_leaves_nothing_or_a_whole_catalog(make, rows_of):
    expected = rows_of(make())
    sys.addaudithook(_die)
    crashes = 0
    for effect in range(200):
        lake = make()
        rows_of(lake)
        manifest(lake, "000000000005.json").rename(manifest(lake, "000000000006.json"))  # will be set aside
        destroy(lake)
        Path(lake.url, "catalog.db").write_bytes(b"damaged")
        _dying.update(thread=threading.get_ident(), left=effect)
        try:
            lp.rebuild(lake.url, to=4)
        except Crash:
            crashes += 1
        else:
            break
        finally:
            _dying.clear()
        if Path(lake.url, "catalog.db").exists() and lp.plan_rebuild(lake.url, to=4).existing == "readable":
            lp.connect(lake.url).close()
        else:
            lp.rebuild(lake.url, to=4)
        with lp.connect(lake.url) as rebuilt:
            assert rows_of(rebuilt) == expected
        lp.rebuild(lake.url, to=4, replace=True)
        assert [one for one in Path(lake.url).iterdir() if one.name.endswith(".rebuilding")] == []
        assert not manifest(lake, "000000000006.json").exists()
    assert crashes > 8


@pytest.mark.parametrize("then", ["replaced", "dropped"])
def test_what_vacuum_forgot_before_a_checkpoint_does_not_come_back(tmp_path, frame, rows_of, then):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 1)))
    numbers.write(frame((2, 2)))
    if then == "replaced":
        numbers.write(frame((1, 10)), "2024-01-01")
    else:
        numbers["2024-01-01"].drop()
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()
    numbers.write(frame((3, 3)))
    numbers.write(frame((4, 4)))
    before = rows_of(lake)
    destroy(lake)

    report = lp.rebuild(tmp_path / "lake")

    assert report.lost == ()
    assert rows_of(lp.connect(tmp_path / "lake")) == before


def checkpoints(lake):
    found = Path(lake.url, "_lakepart/commits").glob("*.checkpoint.jsonl.gz")
    return [(int(path.name[:12]), int(path.name[13:25])) for path in sorted(found)]


def test_a_checkpoint_says_what_came_after_the_one_before_and_vacuum_makes_one_of_them(tmp_path, frame, rows_of):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for value in range(7):
        numbers.write(frame((1, value)), "2024-01-01")
    assert checkpoints(lake) == [(1, 2), (3, 4), (5, 6)]

    clock_of(lake).advance(timedelta(days=30))
    lake.vacuum()
    assert checkpoints(lake) == [(1, 2), (1, 7), (3, 4), (5, 6)]  # should the whole one be damaged
    numbers.write(frame((2, 2)))  # when the version of snapshot 6 ended, the catalog does not know any more
    for value in range(2):
        numbers.write(frame((3, value)), "2024-01-03")
    assert checkpoints(lake) == [(1, 2), (1, 7), (3, 4), (5, 6), (9, 10)]
    before = rows_of(lake)
    destroy(lake)

    plan = lp.plan_rebuild(lake.url)
    lp.rebuild(lake.url)

    read = [Path(piece).name.split(".")[0] for piece in plan.pieces]
    assert read == ["000000000001-000000000007", "000000000008", "000000000009-000000000010"]
    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == before
        assert {finding.severity for finding in rebuilt.check(checksums=True)} <= {"leftover"}


def test_vacuum_keeps_two_checkpoints_of_all_and_what_goes_on_from_the_older(tmp_path, frame):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for day in range(1, 12):
        numbers.write(frame((day, day)))
        if day in (5, 9):
            lake.vacuum()

    assert checkpoints(lake) == [(1, 5), (1, 9), (5, 6), (7, 8), (9, 10)]


def test_a_file_whose_versions_are_forgotten_is_missed_by_no_manifest_after_a_checkpoint(tmp_path, frame, rows_of):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 4)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for day in range(1, 9):
        numbers.write(frame((day, day)))
    numbers.append(frame((8, 80)))
    numbers["2024-01-08"].delete([("value", "==", 8)])  # of the partition's two files, one goes on
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()
    numbers.append(frame((9, 9)))
    before = rows_of(lake)
    destroy(lake)

    report = lp.rebuild(lake.url)

    assert report.lost == ()
    assert rows_of(lp.connect(lake.url)) == before


def test_a_vacuum_that_died_half_way_through_a_branch_spoils_no_rebuild(tmp_path, frame, rows_of, monkeypatch):
    monkeypatch.setattr("lakepart.catalog.forgetting._AT_ONCE", 1)
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 1)))
    draft = lake.create_branch("draft")
    draft.asset("numbers").write(frame((2, 2)), "2024-01-02")
    draft.asset("numbers").write(frame((2, 3)), "2024-01-02")
    draft.discard()
    clock_of(lake).advance(timedelta(days=30))
    with pytest.raises(Crash):
        crashing(lake, at=2).vacuum()
    assert query_catalog(lake.url, "SELECT count(*) FROM version") == [(2,)]  # one of the branch is forgotten
    numbers.write(frame((3, 3)))
    before = rows_of(lake)
    destroy(lake)

    lp.rebuild(lake.url)

    with lp.connect(lake.url) as rebuilt:
        assert rows_of(rebuilt) == before


def test_a_branch_that_a_vacuum_cannot_forget_as_a_whole_yet_spoils_no_checkpoint(tmp_path, frame, rows_of):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 4)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    draft = lake.create_branch("draft")
    numbers.write(frame((1, 1)))
    numbers.write(frame((2, 2)))
    draft.asset("numbers").write(frame((5, 1)))
    numbers.write(frame((3, 3)))
    draft.asset("numbers").write(frame((5, 2)), "2024-01-05")  # replaces a version of the span before
    clock_of(lake).advance(timedelta(days=8))
    numbers.write(frame((4, 4)))
    draft.publish()
    lake.vacuum()
    numbers.write(frame((7, 7)))
    before = rows_of(lake)
    destroy(lake)

    lp.rebuild(lake.url)

    assert rows_of(lp.connect(lake.url)) == before


def test_a_closed_branch_does_not_make_the_past_of_main_unreadable_in_a_rebuild(tmp_path, frame):
    lake = frozen_lake(tmp_path / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 1)))
    draft = lake.create_branch("draft")
    draft.asset("numbers").write(frame((2, 2)))
    numbers.write(frame((3, 3)))
    draft.asset("numbers").write(frame((2, 4)), "2024-01-02")
    draft.discard()
    numbers.write(frame((6, 6)))  # its manifest tells of the discard
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()
    assert lake.at(3).asset("numbers").count_rows() == 2
    destroy(lake)

    lp.rebuild(lake.url)

    assert lp.connect(lake.url).at(3).asset("numbers").count_rows() == 2


def test_ids_of_what_was_forgotten_are_not_given_out_again_after_a_rebuild(tmp_path, frame, rows_of):
    lake = checkpointing(frozen_lake(tmp_path / "lake"), 2)
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for day in (1, 2, 3):
        numbers.write(frame((day, day)))
    numbers["2024-01-03"].drop()
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()
    ids = "SELECT next_version_id, next_file_id, next_id FROM head"
    expected = query_catalog(lake.url, ids)
    destroy(lake)

    lp.rebuild(lake.url)

    assert query_catalog(lake.url, ids) == expected
    rebuilt = lp.connect(lake.url)
    rebuilt.asset("numbers").write(frame((4, 4)))
    assert rebuilt.check(checksums=True) == []
