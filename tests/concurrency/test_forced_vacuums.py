"""A vacuum forced to keep no past and to spare nobody: what loses its files is told so, and nothing is half done."""

import itertools
from contextlib import suppress
from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake, meet_everywhere, reopened

FIRST = "2024-01-01"
OLD, NEW, NEWEST = [1, 2], [10, 20], [100, 200]


def frame(values):
    days = pa.array([date(2024, 1, day) for day in range(1, len(values) + 1)], pa.date32())
    return pa.table({"day": days, "value": pa.array(values, pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a lake whose snapshot 1 has been replaced by snapshot 2, long ago."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame(OLD))
    numbers.write(frame(NEW), if_exists="replace")
    clock_of(lake).advance(timedelta(days=2))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


def values(lake):
    return sorted(lake.asset("numbers").to_arrow()["value"].to_pylist())


def vacuum(lake):
    """Forget everything old, and delete it: what the first vacuum forgets, the second deletes."""
    for _ in range(2):
        clock_of(lake).advance(timedelta(minutes=5))
        lake.vacuum(retention=timedelta(0), grace=timedelta(0), force=True, progress=False)


def replace_and_vacuum(lake):
    lake.asset("numbers").write(frame(NEWEST), if_exists="replace")
    vacuum(lake)


def assert_sound(lake, at):
    assert [str(found) for found in lake.check(checksums=True) if found.severity == "damage"] == [], at


def test_what_was_resolved_before_its_bytes_were_deleted_says_so_when_read(make):
    lake = make()
    resolved, batches = lake.asset("numbers").resolve(), lake.asset("numbers").to_batches()
    replace_and_vacuum(reopened(lake))

    for read in (resolved.to_arrow, lambda: pa.Table.from_batches(batches)):
        with pytest.raises(lp.LakepartError) as caught:
            read()
        assert "partition=2024-01-0" in str(caught.value)
    assert values(lake) == NEWEST


VERBS = {
    "write": lambda numbers: numbers.write(frame([5]), FIRST),
    "append": lambda numbers: numbers.append(frame([5, 6])),
    "upsert": lambda numbers: numbers.upsert(frame([5]), on=["day"]),
    "delete": lambda numbers: numbers.delete([("value", "==", 11)]),
    "compact": lambda numbers: numbers.compact(progress=False),
    "demote": lambda numbers: numbers.demote("cold", progress=False),
    "repartition": lambda numbers: numbers.repartition(lp.Monthly("2024-01", by="day")),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_whose_files_are_vacuumed_under_it_is_done_whole_or_refused(make, verb):
    def give():
        lake = make()
        lake.asset("numbers").append(frame([11]))
        return lake

    def attempt(lake):
        with suppress(lp.LakepartError):
            VERBS[verb](lake.asset("numbers"))

    undisturbed = give()
    before = values(undisturbed)
    VERBS[verb](undisturbed.asset("numbers"))
    after = values(undisturbed)
    for met in meet_everywhere(give, attempt, vacuum):
        assert values(met.lake) in (before, after), met.at
        assert_sound(met.lake, met.at)
        if values(met.lake) == before:
            clock_of(met.lake).advance(timedelta(minutes=30))  # whoever was at it seems to be dead
            attempt(met.lake)
        vacuum(met.lake)
        assert values(met.lake) == after, met.at
        assert [str(found) for found in met.lake.check(checksums=True)] == [], met.at
