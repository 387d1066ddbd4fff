"""Files that are gone, torn, flipped or foreign: a read says which, never gives other rows, and check names them."""

from datetime import timedelta
from pathlib import Path

import pytest

import lakepart as lp
from lakepart.testing import clock_of, query_catalog


@pytest.fixture
def path(lake):
    """Give the one file of the partition 2024-01-02."""
    (found,) = query_catalog(
        lake.url,
        """SELECT copy.path FROM version JOIN version_file USING (version_id) JOIN copy USING (file_id)
        JOIN asset USING (asset_id) WHERE asset.name = 'numbers' AND key = '2024-01-02' AND ended IS NULL""",
    )
    return Path(lake.url, "hot", found[0])


def tear(path):
    path.write_bytes(path.read_bytes()[:-100])


def empty(path):
    path.write_bytes(b"")


def lose(path):
    path.unlink()


def put_another_there(path):
    path.write_bytes(b"PAR1 this is something else altogether PAR1")


def flip_the_footer(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)


DAMAGES = {
    tear: "size-mismatch",
    empty: "size-mismatch",
    lose: "missing-file",
    put_another_there: "size-mismatch",
    flip_the_footer: "checksum-mismatch",
}


@pytest.mark.parametrize("damage", [tear, empty, lose, put_another_there])
def test_reading_a_damaged_file_is_an_error_that_names_it(lake, path, damage):
    damage(path)
    selection = lake.asset("numbers")["2024-01-01":"2024-01-03"]

    for read in (selection.to_arrow, selection.to_pandas, lambda: list(selection.to_batches()), selection.head):
        with pytest.raises(lp.CorruptionError) as caught:
            read()
        assert caught.value.code == "corruption"
        assert path.name in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_names_the_damaged_file_and_only_it(lake, path, damage):
    damage(path)

    found = lake.check(checksums=True)

    assert [(finding.kind, finding.severity) for finding in found] == [(DAMAGES[damage], "damage")]
    assert found[0].subject == f"hot:{path.relative_to(Path(lake.url, 'hot'))}"


def test_a_damaged_partition_leaves_the_others_readable_and_can_be_written_again(lake, path, frame):
    lose(path)

    assert lake.asset("numbers")["2024-01-03"].to_arrow()["value"].to_pylist() == [30]
    lake.asset("numbers").write(frame((2, 2)), "2024-01-02")

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [1, 2, 30]


def test_a_damaged_file_is_not_moved_and_stays_where_it_is(lake, path):
    flip_the_footer(path)
    before = path.read_bytes()

    with pytest.raises(lp.CorruptionError) as caught:
        lake.asset("numbers")["2024-01-02"].demote("cold", progress=False)

    assert path.name in str(caught.value)
    assert path.read_bytes() == before
    assert lake.asset("numbers").in_tier("cold").keys == []
    assert not list(Path(lake.url, "cold").rglob("*.parquet"))


def test_a_foreign_file_is_a_notice_and_is_never_deleted(lake):
    hot = Path(lake.url, "hot")
    strangers = [hot / "x.parquet", hot / "numbers/notes.txt", hot / "numbers/partition=2024-01-01/part-0.parquet"]
    for stranger in strangers:
        stranger.write_bytes(b"not ours")

    found = lake.check()

    assert {(finding.kind, finding.severity) for finding in found} == {("foreign-file", "notice")}
    assert {finding.subject for finding in found} == {f"hot:{one.relative_to(hot)}" for one in strangers}
    clock_of(lake).advance(timedelta(days=400))
    lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True)
    assert all(stranger.read_bytes() == b"not ours" for stranger in strangers)


def test_a_lost_manifest_is_named_and_harms_no_read(lake, rows_of):
    expected = rows_of(lake)
    Path(lake.url, "_lakepart/commits/000000000002.json").unlink()

    (found,) = lake.check()

    assert (found.kind, found.severity, found.subject) == ("missing-manifest", "leftover", "2")
    assert rows_of(lake) == expected


def test_a_manifest_whose_name_is_taken_is_a_warning_after_the_commit(lake, frame):
    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(5,)]
    Path(lake.url, "_lakepart/commits/000000000006.json").write_text("{}")

    with pytest.warns(RuntimeWarning, match="Snapshot 6 is committed, but"):
        lake.asset("numbers").write(frame((1, 100)), "2024-01-01")

    assert lake.asset("numbers")["2024-01-01"].to_arrow()["value"].to_pylist() == [100]
