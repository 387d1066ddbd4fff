"""The kit's own promises: lakes in memory, lakes that die, and helpers that tell when a crash was swallowed."""

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import (
    Crash,
    Effects,
    clock_of,
    copied,
    crash_everywhere,
    crashing,
    effects_of,
    files_of,
    frozen_lake,
    interrupt_everywhere,
    meet_everywhere,
    memory_lake,
    query_catalog,
    reopened,
    stray_files,
    with_effects,
)


def frame(day, *values):
    return pa.table({"day": [date(2024, 1, day)] * len(values), "value": pa.array(values, pa.int64())})


def declare(lake):
    return lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))


def write(lake):
    lake.asset("numbers").write(frame(1, 1), "2024-01-01")


@pytest.fixture
def make(tmp_path):
    template = frozen_lake(tmp_path / "template")
    declare(template)
    return lambda: copied(template, tmp_path / str(len(list(tmp_path.iterdir()))))


def test_a_lake_in_memory_does_what_a_folder_does_but_for_datasets_of_paths(tmp_path):
    lake = memory_lake(tmp_path)
    asset = declare(lake)

    asset.write(pa.concat_tables([frame(1, 1), frame(2, 2)]))
    asset.append(frame(2, 3))
    asset["2024-01-01"].demote("cold", progress=False)
    asset["2024-01-03"].backfill(lambda part: frame(3, 9), progress=False)
    branch = lake.create_branch("draft")
    branch.asset("numbers").write(frame(1, 10), "2024-01-01")
    branch.publish()
    asset["2024-01-02"].rollback(to=1)

    assert reopened(lake).asset("numbers").to_arrow()["value"].to_pylist() == [10, 2, 9]
    assert [batch.num_rows for batch in asset.to_batches()] == [1, 1, 1]
    with pytest.raises(lp.InvalidInputError, match="Arrow cannot open by itself"):
        asset.dataset()
    assert asset.head(2)["value"].tolist() == [10, 2]
    assert lake.check(checksums=True) == []
    for _ in range(2):
        clock_of(lake).advance(timedelta(days=30))
        lake.vacuum()
    assert asset.to_arrow()["value"].to_pylist() == [10, 2, 9]
    assert lake.check(checksums=True) == []
    assert [path.suffix for path in tmp_path.iterdir() if path.is_dir()] == []  # no byte of it on disk


def test_lakes_in_memory_are_apart(tmp_path):
    one, other = memory_lake(tmp_path), memory_lake(tmp_path)
    declare(one).write(frame(1, 1))

    assert other.assets() == []


def test_a_frozen_lake_stays_at_its_instant_until_it_is_told(tmp_path):
    lake = frozen_lake(tmp_path / "lake", at=datetime(2030, 1, 1, tzinfo=UTC))
    declare(lake)
    write(lake)
    clock_of(lake).advance(timedelta(days=1))
    write(lake)

    assert [at.isoformat()[:10] for at in lake.asset("numbers").history()["at"]] == ["2030-01-02", "2030-01-01"]


def test_the_clock_of_a_lake_on_the_machines_clock_is_refused(tmp_path):
    with pytest.raises(lp.InvalidInputError, match="frozen_lake"):
        clock_of(lp.create(tmp_path / "lake"))


def test_a_dead_process_does_nothing_more(make):
    lake = make()
    dying = crashing(lake, at=0)
    with pytest.raises(Crash):
        write(dying)

    for act in (write, lambda lake: lake.asset("numbers"), lambda lake: lake.check()):
        with pytest.raises(Crash):
            act(dying)
    assert query_catalog(lake.url, "SELECT snapshot FROM head") == [(0,)]
    assert stray_files(lake.url) == set()


def test_effects_are_named_in_order(make):
    names = effects_of(make(), write)

    assert [name.split()[0] for name in names] == ["commit", "write", "make", "commit", "put", "commit"]


def test_every_effect_gets_its_crash_and_its_meeting(make):
    effects = len(effects_of(make(), write))

    assert len(list(crash_everywhere(make, write, when="before"))) == effects
    assert len(list(crash_everywhere(make, write, when="after"))) == effects
    assert len(list(interrupt_everywhere(make, write, when="before"))) == effects
    assert len(list(meet_everywhere(make, write, lambda lake: lake.check()))) == effects


@pytest.mark.parametrize(
    ("everywhere", "raised"), [(crash_everywhere, Crash), (interrupt_everywhere, KeyboardInterrupt)]
)
def test_an_action_that_swallows_its_end_is_found_out(make, everywhere, raised):
    def swallow(lake):
        with suppress(raised):
            write(lake)

    with pytest.raises(AssertionError, match="swallowed"):
        list(everywhere(make, swallow, when="before"))


def test_a_meeting_before_a_transaction_comes_before_its_lock(make):
    lake = make()
    effects = Effects()
    effects.meanwhile(0, lambda: write(reopened(lake)))  # would wait for a minute within the transaction

    lake_with_effects = with_effects(lake, effects)
    lake_with_effects.asset("numbers").append(frame(1, 2))

    assert lake.asset("numbers").to_arrow()["value"].to_pylist() == [1, 2]


def test_the_judges_see_what_no_row_explains(make):
    lake = make()
    write(lake)
    known = set(files_of(lake.url))
    stray = f"{lake.url}/hot/stray.parquet"
    with open(stray, "wb") as file:
        file.write(b"x")

    assert stray_files(lake.url) == {"hot/stray.parquet"} == set(files_of(lake.url)) - known
