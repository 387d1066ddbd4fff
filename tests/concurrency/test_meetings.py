"""Any two verbs, the second at every effect of the first: nothing is damaged, and only whole contents are seen."""

import itertools
from contextlib import suppress
from datetime import date, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake, meet_everywhere, query_catalog

KEYS = ["2024-01-01", "2024-01-02"]


def frame(*pairs):
    return pa.table(
        {
            "day": [date(2024, 1, day) for day, _ in pairs],
            "value": pa.array([value for _, value in pairs], pa.int64()),
        }
    )


def tens(part, numbers):
    table = numbers.to_arrow()
    return table.set_column(1, "value", pa.array([10 * value for value in table["value"].to_pylist()], pa.int64()))


def write(lake):
    lake.asset("numbers").write(frame((1, 5)), KEYS[0])


def demote(lake):
    lake.asset("numbers")[KEYS].demote("cold", progress=False)


def promote(lake):
    lake.asset("numbers")[KEYS].promote(progress=False)


def vacuum(lake):
    lake.vacuum(retention=timedelta(0), grace=timedelta(hours=1), force=True)


def roll_back(lake):
    lake.asset("numbers").rollback(to=1)


def write_on_branch(lake):
    lake.branch("draft").asset("numbers").write(frame((2, 222)), KEYS[1])


def publish(lake):
    lake.branch("draft").publish()


def publish_the_rest(lake):
    lake.branch("draft").publish(on_conflict="drop")


def refresh(lake):
    lake.branch("draft").refresh()


def discard(lake):
    lake.branch("draft").discard()


def backfill(lake, publication="each"):
    lake.asset("tens")[KEYS].backfill(
        tens, inputs={"numbers": "numbers"}, which="all", publish=publication, name="run", progress=False
    )


def backfill_together(lake):
    backfill(lake, "together")


def take_over(lake):
    lake.backfill("run").resume(tens, progress=False, take_over=True)


def cancel(lake):
    lake.backfill("run").cancel()


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make a lake with something for everybody: old versions, retired copies, a branch, staleness."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake")
    numbers = lake.asset("numbers", partitions=lp.Daily("2024-01-01", by="day"))
    numbers.write(frame((1, 0), (2, 0)))
    numbers.write(frame((1, 1), (2, 2)), if_exists="replace")
    lake.asset("tens", partitions=lp.Daily("2024-01-01", by="day")).write(frame((1, -1), (2, -1)))
    demote(lake)
    promote(lake)
    lake.create_branch("draft").asset("numbers").write(frame((1, 111)), KEYS[0])
    clock_of(lake).advance(timedelta(days=2))
    return lake


MEETINGS = [
    *itertools.product([demote], [demote, promote, vacuum, publish, roll_back]),
    *itertools.product([vacuum], [vacuum, write, demote, publish, discard, roll_back, backfill_together]),
    *itertools.product([publish], [vacuum, write, write_on_branch, discard, publish, refresh]),
    *itertools.product([publish_the_rest], [write, write_on_branch]),
    *itertools.product([refresh], [write, publish]),
    *itertools.product([write_on_branch], [publish, discard, vacuum]),
    *itertools.product([roll_back], [write, publish, vacuum]),
    *itertools.product([backfill, backfill_together], [take_over, cancel, write, vacuum]),
]
WHOLE = {"numbers": [{0, 1, 5, 111}, {0, 2, 222}], "tens": [{-1, 10, 50}, {-1, 20}]}


@pytest.mark.parametrize(
    ("action", "other"), MEETINGS, ids=[f"{action.__name__} meets {other.__name__}" for action, other in MEETINGS]
)
def test_any_two_verbs_meet_without_harm(template, tmp_path, action, other):
    def forgiving(act):
        def run(lake):
            with suppress(lp.ConflictError, lp.StateError, lp.NotFoundError, lp.BackfillError):
                act(lake)

        return run

    numbers = itertools.count()
    meetings = 0
    for met in meet_everywhere(
        lambda: copied(template, tmp_path / str(next(numbers))), forgiving(action), forgiving(other)
    ):
        lake, at = met.lake, met.at
        assert_whole(lake, at)
        assert [str(found) for found in lake.check(checksums=True) if found.severity == "damage"] == [], at
        assert query_catalog(lake.url, "SELECT count(*) FROM backfill WHERE state IN ('running', 'cancelling')") == [
            (0,)
        ], at

        write(lake)
        for _ in range(2):
            clock_of(lake).advance(timedelta(days=30))
            lake.vacuum()

        assert_whole(lake, at)
        assert [str(found) for found in lake.check(checksums=True)] == [], at
        lake.close()
        meetings += 1
    assert meetings >= 1


def assert_whole(lake, at):
    for name, possible in WHOLE.items():
        values = lake.asset(name)[KEYS].to_arrow()["value"].to_pylist()
        assert len(values) == len(KEYS), at
        assert all(value in one for value, one in zip(values, possible, strict=True)), at


def test_what_is_marked_by_hand_was_on_an_open_branch_when_it_was_marked(template, tmp_path):
    numbers, marked = itertools.count(), []
    marks = "SELECT count(*) FROM version WHERE stale_mark IS NOT NULL"

    def mark(lake):
        with suppress(lp.StateError):
            lake.branch("draft").asset("numbers").mark_stale("why")

    def close(lake):
        lake.branch("draft").discard()
        marked.append(query_catalog(lake, marks))

    for met in meet_everywhere(lambda: copied(template, tmp_path / f"{next(numbers)}"), mark, close):
        assert query_catalog(met.lake, marks) == marked[-1], met.at
    assert marked
