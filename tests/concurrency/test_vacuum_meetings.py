"""Vacuum with no mercy meets whoever needs old versions: they are kept for him, or he is told that they are gone."""

import itertools
from contextlib import suppress
from dataclasses import replace as with_changes
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.catalog import forgetting
from lakepart.lake import Lake
from lakepart.testing import (
    CrashingStore,
    Effects,
    clock_of,
    copied,
    frozen_lake,
    meet_everywhere,
    query_catalog,
    reopened,
)

KEYS = ["2024-01-01", "2024-01-02"]
NO_TIME = timedelta(0)


def frame(*values):
    days = pa.array([date(2024, 1, day) for day in range(1, 1 + len(values))], pa.date32())
    return pa.table({"day": days, "value": pa.array(values, pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Three contents of two partitions: of snapshots 1, 2 and 3."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    for first in (0, 10, 20):
        numbers.write(frame(first, first + 1), if_exists="replace")
    lake.asset("tens", partitions=lp.Daily("2024-01-01", by="day"))
    clock_of(lake).advance(timedelta(hours=2))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch):
    """Let vacuum forget each version in a transaction of its own, so that it can be met between any two."""
    monkeypatch.setattr(forgetting, "_AT_ONCE", 1)


def vacuum(lake, grace=timedelta(hours=1)):
    """Forget all that may be, and delete what was retired; readers are spared for ``grace``."""
    lake.vacuum(retention=NO_TIME, grace=grace, force=True, progress=False)


def vacuum_again_and_again(lake, grace=timedelta(hours=1)):
    for _ in range(2):
        vacuum(lake, grace)
        clock_of(lake).advance(timedelta(seconds=1))


def values_of(view):
    return view.asset("numbers")[KEYS].to_arrow()["value"].to_pylist()


def replace(lake):
    lake.asset("numbers").write(frame(30, 31), if_exists="replace")


def assert_sound(lake, at, *, spared=()):
    found = lake.check(checksums=True)
    assert [str(one) for one in found if one.kind not in spared] == [], at


@pytest.mark.parametrize("first", ["tag", "vacuum"])
def test_a_tag_keeps_its_snapshot_whole_or_is_refused(make, first):
    def tag(lake):
        with suppress(lp.SnapshotNotFoundError):
            lake.tag("kept", at=1)

    outcomes = set()
    for met in meet_everywhere(make, *((tag, vacuum) if first == "tag" else (vacuum, tag))):
        kept = met.lake.tags()["name"].tolist() == ["kept"]
        outcomes.add(kept)
        for _ in range(2):
            if kept:
                assert values_of(met.lake.at("kept")) == [0, 1], met.at
            else:
                with pytest.raises(lp.SnapshotNotFoundError):
                    met.lake.at(1)
            clock_of(met.lake).advance(timedelta(days=30))
            vacuum_again_and_again(met.lake)
        assert values_of(met.lake) == [20, 21], met.at
        assert_sound(met.lake, met.at)
        met.lake.close()
    assert outcomes == {True, False}


@pytest.mark.parametrize("first", ["delete a tag", "vacuum"])
def test_what_a_deleted_tag_kept_is_read_whole_until_it_is_gone(make, first):
    def make_tagged():
        lake = make()
        lake.tag("kept", at=1)
        return lake

    def untag(lake):
        lake.delete_tag("kept")

    for met in meet_everywhere(make_tagged, *((untag, vacuum) if first == "delete a tag" else (vacuum, untag))):
        with suppress(lp.SnapshotNotFoundError):
            assert values_of(met.lake.at(1)) == [0, 1], met.at
        clock_of(met.lake).advance(timedelta(days=30))
        vacuum_again_and_again(met.lake)
        with pytest.raises(lp.SnapshotNotFoundError):
            met.lake.at(1)
        assert values_of(met.lake) == [20, 21], met.at
        assert_sound(met.lake, met.at)
        met.lake.close()


@pytest.mark.parametrize("first", ["transaction", "vacuum"])
def test_a_transaction_reads_its_snapshot_to_the_end_whatever_is_replaced_and_forgotten_meanwhile(make, first):
    seen = []

    def transact(lake):
        with lake.transaction() as tx:
            seen.append(values_of(tx))
            other = reopened(lake)
            replace(other)
            vacuum_again_and_again(other)
            seen.append(values_of(tx))
            tx.asset("tens").write(frame(*seen[-1]))

    for met in meet_everywhere(make, *((transact, vacuum) if first == "transaction" else (vacuum, transact))):
        before, after = seen
        assert before == after == [20, 21], met.at
        assert met.lake.asset("tens").to_arrow()["value"].to_pylist() == [20, 21], met.at
        assert values_of(met.lake) == [30, 31], met.at
        assert query_catalog(met.lake.url, "SELECT count(*) FROM intent") == [(0,)], met.at
        assert_sound(met.lake, met.at)
        seen.clear()
        met.lake.close()


@pytest.mark.parametrize(
    "read",
    [
        lambda numbers: numbers.to_arrow(),
        lambda numbers: numbers[KEYS].to_arrow(missing="skip"),
        lambda numbers: numbers.count_rows(),
        lambda numbers: numbers.keys,
        lambda numbers: numbers.append(frame(1)),
    ],
    ids=["read", "skip", "count", "keys", "append"],
)
def test_a_transaction_that_was_silent_for_too_long_is_told_so_and_never_reads_a_part(make, read):
    lake = make()

    def sleep_and_read():
        with lake.transaction() as tx:
            numbers = tx.asset("numbers")
            other = reopened(lake)
            other.asset("numbers").write(frame(30), KEYS[0])
            clock_of(lake).advance(timedelta(hours=2))
            vacuum_again_and_again(other)
            read(numbers)

    with pytest.raises(lp.SnapshotNotFoundError, match="vacuum has forgotten"):
        sleep_and_read()

    assert values_of(lake) == [30, 21]
    vacuum_again_and_again(lake, NO_TIME)
    assert_sound(lake, "")


@pytest.mark.parametrize("first", ["branch", "vacuum"])
def test_a_branch_shows_main_as_it_forked_whatever_is_replaced_and_forgotten_meanwhile(make, first):
    def create(lake):
        lake.create_branch("draft")
        replace(lake)

    for met in meet_everywhere(make, *((create, vacuum) if first == "branch" else (vacuum, create))):
        for _ in range(2):
            assert values_of(met.lake.branch("draft")) == [20, 21], met.at
            assert values_of(met.lake) == [30, 31], met.at
            clock_of(met.lake).advance(timedelta(days=30))
            vacuum_again_and_again(met.lake)
        assert_sound(met.lake, met.at)
        met.lake.close()


@pytest.mark.parametrize("first", ["rollback", "vacuum"])
def test_a_rollback_brings_whole_contents_back_or_is_refused(make, first):
    refused = []

    def roll_back(lake):
        try:
            lake.asset("numbers").rollback(to=1)
        except (lp.StateError, lp.SnapshotNotFoundError) as error:
            refused.append(error)

    outcomes = []
    for met in meet_everywhere(make, *((roll_back, vacuum) if first == "rollback" else (vacuum, roll_back))):
        outcomes.append(values_of(met.lake))
        assert outcomes[-1] == ([20, 21] if refused else [0, 1]), met.at
        clock_of(met.lake).advance(timedelta(days=30))
        vacuum_again_and_again(met.lake)
        assert values_of(met.lake) == outcomes[-1], met.at
        assert_sound(met.lake, met.at)
        refused.clear()
        met.lake.close()
    assert sorted(map(tuple, set(map(tuple, outcomes)))) == [(0, 1), (20, 21)]


@pytest.mark.parametrize("publish", ["each", "together"])
def test_a_backfill_reads_what_its_inputs_held_when_its_orders_began(make, publish):
    def tens(part, numbers):
        other = reopened(lakes[-1])
        replace(other)
        vacuum_again_and_again(other)
        return numbers.to_arrow()

    lakes = []

    def make_one():
        lakes.append(make())
        return lakes[-1]

    def backfill(lake):
        lake.asset("tens")[KEYS].backfill(
            tens, inputs={"numbers": "numbers"}, which="all", publish=publish, progress=False
        )

    for met in meet_everywhere(make_one, backfill, vacuum):
        made = met.lake.asset("tens").to_arrow()["value"].to_pylist()
        assert made[0] in (20, 30), met.at
        assert made[1] in (21, 31), met.at
        assert set(met.lake.backfills()["state"]) == {"completed"}, met.at
        assert_sound(met.lake, met.at)
        met.lake.close()


class MetWhileReading(CrashingStore):
    """A store that can be met before each object it reads and before each listing."""

    def open_read(self, path):
        with self._effects.effect(f"read {path}"):
            return super().open_read(path)

    def read_bytes(self, path):
        with self._effects.effect(f"read {path}"):
            return super().read_bytes(path)

    def list(self, prefix=""):
        with self._effects.effect(f"list {prefix}"):
            return iter(list(super().list(prefix)))


def with_context(lake, **changes):
    return Lake(with_changes(lake._home, context=with_changes(lake._home.context, **changes)))


def write_and_vacuum(lake, *days):
    """Write a day a commit, with a checkpoint every second one, and let vacuum write one of all up to now."""
    lake = with_context(lake, checkpoint_every=2)
    for day in days:
        lake.asset("numbers").write(frame(*[day] * day).slice(day - 1))
    vacuum(lake)


def supersede(lake):
    write_and_vacuum(lake, 6, 7)
    write_and_vacuum(lake, 8, 9)


def meet_a_check(make, *, fix):
    """Check again and again, while a vacuum deletes superseded checkpoints one read later each time."""
    for index in itertools.count():
        lake, effects = make(), Effects()

        effects.meanwhile(index, partial(supersede, reopened(lake)))
        found = with_context(lake, root=MetWhileReading(lake._home.context.root, effects)).check(
            checksums=True, fix=fix
        )
        if not effects.met:
            return
        yield reopened(lake), found, f"before {effects.names[index] if index < len(effects.names) else 'the end'}"


@pytest.fixture
def make_thinned(tmp_path):
    """Give a lake of whose first commits only checkpoints tell."""
    lake = frozen_lake(tmp_path / "template")
    lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    write_and_vacuum(lake, 1, 2, 3)
    write_and_vacuum(lake, 4, 5)
    for number in range(1, 6):
        Path(lake.url, f"_lakepart/commits/{number:012d}.json").unlink()
    numbers = itertools.count()
    return lambda: copied(lake, tmp_path / f"lake-{next(numbers)}")


def checkpoints(lake):
    return {path.name.split(".")[0] for path in Path(lake.url, "_lakepart/commits").glob("*.checkpoint.*")}


def test_a_check_misses_no_checkpoint_that_a_vacuum_deletes_meanwhile(make_thinned):
    before = checkpoints(make_thinned())

    meetings = []
    for lake, found, at in meet_a_check(make_thinned, fix=False):
        assert not before & checkpoints(lake), at
        assert [str(one) for one in found] == [], at
        lake.close()
        meetings.append(at)
    times = [meetings.count(f"before read _lakepart/commits/{name}.checkpoint.jsonl.gz") for name in sorted(before)]
    assert times == [1, 2, 1]  # before each is judged, and before rows are compared with the one of all


def test_a_damaged_checkpoint_is_mended_whether_or_not_a_vacuum_deletes_it_meanwhile(make_thinned):
    torn = "_lakepart/commits/000000000001-000000000002.checkpoint.jsonl.gz"

    def make_torn():
        lake = make_thinned()
        Path(lake.url, torn).write_bytes(b"torn")
        return lake

    outcomes = set()
    for lake, found, at in meet_a_check(make_torn, fix=True):
        assert [(one.kind, one.subject, one.fixed) for one in found] in ([], [("damaged-manifest", torn, True)]), at
        outcomes.add((bool(found), any(Path(lake.url, "_lakepart/set-aside").rglob("*.gz"))))
        assert_sound(lake, at)
        lake.close()
        lp.rebuild(lake.url, replace=True)
        assert lp.connect(lake.url).asset("numbers").count_rows() == 9, at
    assert outcomes == {(False, False), (True, False), (True, True)}
