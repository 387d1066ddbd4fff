"""Rows are deleted and upserted while somebody else writes, moves files or changes columns: nothing is lost."""

import importlib
import itertools
from contextlib import nullcontext, suppress
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import copied, frozen_lake, meet_everywhere, stray_files

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
    "compact": (lambda asset: asset.compact(progress=False), lambda values: values),
    "alter": (lambda asset: asset.alter(add={"tip": pa.int8()}), lambda values: values),
}


MEETINGS = [(action, other) for action in ("delete", "upsert") for other in OTHERS]
MEETINGS += [("block", other) for other in ("append", "demote", "compact", "alter")]
WITHOUT_LOSERS = [(action, other) for action in ("delete", "upsert") for other in ("demote", "compact")]
WITHOUT_LOSERS += [("block", "demote"), ("block", "alter")]


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

    # a move is nobody's conflict, nor a compaction but for blocks; and
    # a block is committed under the columns of now; any newer content wins
    assert bool(lost) == ((action, other) not in WITHOUT_LOSERS)


def merge_pairs(lake):
    """Compact, so that every file becomes another: two neighbours each."""
    numbers = lake.asset("numbers")
    largest = max(numbers.files()["bytes"])
    return numbers.compact(target_file_size=int(2.5 * largest), progress=False).files_before


@pytest.mark.parametrize(("times", "done"), [(1, True), (4, True), (5, False)])
@pytest.mark.parametrize("verb", ["upsert", "delete"])
def test_rows_are_changed_though_their_files_are_others_at_every_try_but_not_for_ever(
    make, monkeypatch, verb, times, done
):
    lake = make()
    for value in range(11, 41):
        lake.asset("numbers").append(frame((1, value)))
    module, merged = importlib.import_module(f"lakepart.engine.{verb}"), []
    rewrite = module.rewrite

    def rewrite_and_be_overtaken(*args, **options):
        rewritten = rewrite(*args, **options)
        if len(merged) < times:
            merged.append(merge_pairs(lp.connect(lake.url)))
        return rewritten

    monkeypatch.setattr(module, "rewrite", rewrite_and_be_overtaken)
    act = ACTIONS[verb][0] if verb == "delete" else lambda asset: asset.upsert(frame((1, 2)).to_reader(), on=["value"])
    with nullcontext() if done else pytest.raises(lp.ConflictError, match="other files") as caught:
        act(lake.asset("numbers"))

    assert merged == [32, 16, 8, 4, 2][:times]
    values = lake.asset("numbers").to_arrow()["value"].to_pylist()
    start = [1, 2, *range(10, 41)]
    assert sorted(values) == sorted(ACTIONS[verb][1](start) if done else start)
    assert stray_files(lake.url) == set()
    if not done:
        assert caught.value.code == "files-changed"
        assert caught.value.context["conflicts"][0]["snapshot"] == lake.asset("numbers").history()["snapshot"].max()


@pytest.mark.parametrize("verb", ["upsert", "delete"])
def test_a_plan_whose_files_were_compacted_is_refused(make, verb):
    lake = make()
    numbers = lake.asset("numbers")
    plan = (
        numbers.plan_delete([("value", "==", 2)])
        if verb == "delete"
        else numbers.plan_upsert(frame((1, 2)), on=["value"])
    )
    numbers.compact(progress=False)

    with pytest.raises(lp.ConflictError, match=r"changed after this .* was planned.*snapshot 3 by") as caught:
        lake.apply(plan)

    assert caught.value.code == "files-changed"
    assert numbers.to_arrow()["value"].to_pylist() == [1, 2, 10]
