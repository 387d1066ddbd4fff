"""A process that dies anywhere while files are compacted: the old files are read, or the new, and never both."""

from datetime import date

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import effects_of, files_of, frozen_lake, interrupt_everywhere, query_catalog


def frame_of(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame_of((1, 1), (2, 2)))
    numbers.append(frame_of((1, 5), (2, 4)))
    numbers.append(frame_of((1, 3)))
    return lake


def compact(lake):
    lake.asset("numbers").compact(progress=False)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_compacting_changes_no_row_and_the_next_run_does_it(survives, when):
    assert survives(compact, when) >= 7


def test_files_are_in_place_before_the_catalog_speaks_of_them_and_an_interrupt_leaves_none(make):
    kinds = [name.split()[0] for name in effects_of(make(), compact)]
    assert kinds == ["commit", "write", "make", "write", "make", "commit", "put", "commit"]

    for stopped in interrupt_everywhere(make, compact, when="before"):
        found = query_catalog(stopped.lake, "SELECT operation FROM snapshot ORDER BY snapshot DESC LIMIT 1")
        data = [name for name in files_of(stopped.lake) if name.endswith(".parquet")]
        assert len(data) == (7 if found == [("compact",)] else 5), stopped.at
        assert {one.severity for one in stopped.lake.check(checksums=True)} <= {"leftover"}, stopped.at
