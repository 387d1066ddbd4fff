"""Rows are deleted and upserted while somebody else writes, moves files or changes columns: nothing is lost."""

import itertools
from contextlib import suppress
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, meet_everywhere

DAYS = lp.Daily("2024-01-01", by="day")


def frame(*pairs):
    days = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(days, pa.date32()), "value": pa.array([value for _, value in pairs], pa.int64())})


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=datetime(2024, 6, 1, tzinfo=UTC))
    numbers = lake.asset("numbers", partitions=DAYS)
    numbers.write(frame((1, 1), (1, 2)))
    numbers.append(frame((1, 10)))
    return lake


@pytest.fixture
def make(template, tmp_path):
    numbers = itertools.count()
    return lambda: copied(template, tmp_path / f"lake-{next(numbers)}")


def in_a_block(lake):
    with lake.transaction() as tx:
        numbers = tx.asset("numbers")
        numbers.upsert(frame((1, 5), (1, 6)), on=["value"])
        numbers.delete([("value", "in", [2, 6])])


def losing(action, lost=None):
    def act(lake):
        with suppress(lp.StateError, lp.SchemaMismatchError):
            try:
                action(lake if action is in_a_block else lake.asset("numbers"))
            except lp.ConflictError:
                if lost is not None:
                    lost.append(action)

    return act


ACTIONS = {
    "delete": (lambda asset: asset.delete([("value", "==", 2)]), lambda values: [v for v in values if v != 2]),
    "upsert": (
        lambda asset: asset.upsert(frame((1, 2)), on=["value"]),
        lambda values: [v for v in values if v != 2] + [2],
    ),
    "block": (in_a_block, lambda values: [v for v in values if v not in (2, 5)] + [5]),
}
OTHERS = {
    "append": (lambda asset: asset.append(frame((1, 99))), lambda values: [*values, 99]),
    "replace": (lambda asset: asset.write(frame((1, 2), (1, 7)), "2024-01-01"), lambda values: [2, 7]),
    "delete": (lambda asset: asset.delete([("value", ">=", 2)]), lambda values: [v for v in values if v < 2]),
    "upsert": (lambda asset: asset.upsert(frame((1, 2), (1, 3)), on=["value"]), lambda values: sorted({*values, 2, 3})),
    "demote": (lambda asset: asset.demote("cold", progress=False), lambda values: values),
    "alter": (lambda asset: asset.alter(add={"tip": pa.int8()}), lambda values: values),
}


MEETINGS = [(action, other) for action in ("delete", "upsert") for other in OTHERS]
MEETINGS += [("block", other) for other in ("append", "demote", "alter")]
WITHOUT_LOSERS = [("delete", "demote"), ("upsert", "demote"), ("block", "demote"), ("block", "alter")]


@pytest.mark.parametrize(("action", "other"), MEETINGS)
def test_what_is_left_is_what_one_after_the_other_would_have_left(make, action, other):
    act, acted = ACTIONS[action]
    meet, met_so = OTHERS[other]
    start = [1, 2, 10]
    possible = [sorted(one) for one in (acted(start), met_so(start), acted(met_so(start)), met_so(acted(start)))]

    lost = []
    for met in meet_everywhere(make, losing(act, lost), losing(meet)):
        values = met.lake.asset("numbers").to_arrow()["value"].to_pylist()
        assert sorted(values) in possible, met.at
        assert [str(found) for found in met.lake.check(checksums=True) if found.severity == "damage"] == [], met.at

    # a move is nobody's conflict, and a block is committed under the columns of now; any newer content wins
    assert bool(lost) == ((action, other) not in WITHOUT_LOSERS)
