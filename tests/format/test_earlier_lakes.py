"""Lakes as earlier releases left them, one of each format of the catalog: they open, answer and go on."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog.filling import LATEST_MIGRATION
from lakepart.testing import query_catalog

KEPT = sorted(path.stem for path in (Path(__file__).parent / "lakes").iterdir())


@pytest.fixture(params=KEPT)
def lake(request, tmp_path):
    """A lake with a row a day, of which the second was corrected, and the third appended to and rolled back.

    From it ``tens`` was made; its first day is on the cold tier and was written to on a branch.
    """
    shutil.unpack_archive(Path(__file__).parent / "lakes" / f"{request.param}.zip", tmp_path / "lake")
    with lp.connect(tmp_path / "lake") as lake:
        yield lake


def values_of(asset):
    return asset.to_arrow()["value"].to_pylist()


def test_it_is_brought_up_to_date_and_answers_as_it_did(lake) -> None:
    numbers = lake.asset("numbers")

    assert query_catalog(lake, "SELECT version_num FROM alembic_version") == [(LATEST_MIGRATION,)]
    assert values_of(numbers) == [1, 20, 3]
    assert values_of(lake.asset("tens")) == [10, 200, 30, 300]
    assert lake.check(checksums=True) == []


def test_its_past_branches_tiers_and_lineage_are_there(lake) -> None:
    numbers = lake.asset("numbers")

    assert values_of(lake.at(1).asset("numbers")) == [1, 2, 3]
    assert values_of(lake.branch("draft").asset("numbers")) == [-1, 20, 3, 30]  # as when it was made
    assert numbers.in_tier("cold").keys == ["2024-01-01"]
    assert lake.asset("tens").stale().keys == ["2024-01-03"]


def test_it_is_written_to_again(lake) -> None:
    rows = pa.table({"day": [date(2024, 1, 1)], "value": [100]})

    lake.asset("numbers").write(rows, "2024-01-01")
    lake.branch("draft").discard()

    assert values_of(lake.asset("numbers")) == [100, 20, 3]
    assert lake.check(checksums=True) == []


def test_its_catalog_is_rebuilt_from_its_manifests(lake, tmp_path) -> None:
    before = [values_of(lake.asset(name)) for name in ("numbers", "tens", "shops")]
    lake.close()
    for left in (tmp_path / "lake").glob("catalog.db*"):
        left.unlink()

    lp.rebuild(tmp_path / "lake")

    with lp.connect(tmp_path / "lake") as rebuilt:
        assert [values_of(rebuilt.asset(name)) for name in ("numbers", "tens", "shops")] == before
        assert rebuilt.check() == []
