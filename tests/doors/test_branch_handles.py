"""Handles of a branch that another handle has refreshed, published or discarded since: they see it as it is now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, frozen_lake, reopened

AT_ONCE = {"retention": timedelta(0), "grace": timedelta(0), "force": True, "progress": False}
FIRST, SECOND, THIRD = "2024-01-01", "2024-01-02", "2024-01-03"
DAYS = lp.Daily("2024-01-01")


def frame(value: int) -> pa.Table:
    return pa.table({"x": [value]})


@lp.producer("copies", partitions=DAYS, inputs={"days": "days"})
def copies(part, days):
    return days.to_arrow()


def values(asset: lp.Asset) -> dict[str, int]:
    return {key: asset[key].to_arrow()["x"][0].as_py() for key in asset.keys}


@pytest.fixture
def lake(tmp_path) -> lp.Lake:
    """Main holds 1 and 2 in two partitions; the branch ``draft`` holds 30 in a third."""
    lake = frozen_lake(tmp_path / "lake")
    lake.asset("days", partitions=DAYS).write({FIRST: frame(1), SECOND: frame(2)})
    lake.register(copies)
    draft = lake.create_branch("draft")
    draft.asset("days").write(frame(30), THIRD)
    return lake


def rewrite_first(lake: lp.Lake, value: int = 10) -> None:
    clock_of(lake).advance(timedelta(hours=1))
    lake.asset("days").write(frame(value), FIRST)


def vacuum(lake: lp.Lake) -> None:
    for _ in range(2):
        clock_of(lake).advance(timedelta(hours=1))
        lake.vacuum(**AT_ONCE)


# Refreshed


@pytest.mark.parametrize("vacuumed", [False, True], ids=["before a vacuum", "after a vacuum"])
def test_handles_from_before_a_refresh_see_the_branch_as_it_is_now(lake, vacuumed) -> None:
    draft = lake.branch("draft")
    asset, selection = draft.asset("days"), draft.asset("days")[FIRST:THIRD]
    rewrite_first(lake)
    reopened(lake).branch("draft").refresh()
    if vacuumed:
        vacuum(lake)

    assert values(asset) == {FIRST: 10, SECOND: 2, THIRD: 30}
    assert selection.to_arrow()["x"].to_pylist() == [10, 2, 30]
    assert selection.count_rows() == 3
    assert list(selection.status()["state"]) == ["fresh"] * 3
    assert list(selection.history()["snapshot"]) == list(
        reopened(lake).branch("draft").asset("days").history()["snapshot"]
    )
    assert list(draft.snapshots()["snapshot"]) == list(reopened(lake).branch("draft").snapshots()["snapshot"])
    assert draft.diff()["key"].tolist() == [THIRD]


def test_what_was_published_of_a_branch_that_stays_open_older_handles_read_from_main(lake) -> None:
    old = lake.branch("draft").asset("days")
    lake.branch("draft").asset("days").write(frame(20), SECOND)
    lake.asset("days").write(frame(99), SECOND)
    lake.branch("draft").publish(on_conflict="drop")
    vacuum(lake)

    assert values(old) == {FIRST: 1, SECOND: 20, THIRD: 30}


def test_a_view_of_a_refreshed_branch_of_the_past_shows_main_as_it_was_then_or_says_that_it_is_forgotten(lake) -> None:
    draft = lake.branch("draft")
    on_branch = draft.snapshots()["snapshot"].max()
    then = draft.at(on_branch).asset("days")
    rewrite_first(lake)
    reopened(lake).branch("draft").refresh()
    assert values(then) == {FIRST: 1, SECOND: 2, THIRD: 30}

    vacuum(lake)

    with pytest.raises(lp.SnapshotNotFoundError, match=f"Snapshot {on_branch} of asset 'days' can no longer be read"):
        then.to_arrow()


def test_a_transaction_on_a_branch_that_is_refreshed_meanwhile_fails_and_changes_nothing(lake) -> None:
    def read_and_write() -> None:
        with lake.branch("draft").transaction("sum") as tx:
            assert tx.asset("days")[FIRST].count_rows() == 1
            rewrite_first(lake)
            reopened(lake).branch("draft").refresh()
            tx.asset("days").write(frame(int(values(tx.asset("days"))[FIRST])), SECOND)

    with pytest.raises(lp.ConflictError, match="Branch 'draft' was refreshed after this transaction began"):
        read_and_write()

    assert values(lake.branch("draft").asset("days")) == {FIRST: 10, SECOND: 2, THIRD: 30}


def test_a_transaction_begun_by_a_handle_from_before_a_refresh_sees_the_branch_as_it_is_now(lake) -> None:
    draft = lake.branch("draft")
    rewrite_first(lake)
    reopened(lake).branch("draft").refresh()

    with draft.transaction("copy") as tx:
        tx.asset("days").write(tx.asset("days")[FIRST].to_arrow(), SECOND)

    assert values(draft.asset("days")) == {FIRST: 10, SECOND: 10, THIRD: 30}


# Closed

_VERBS = {
    "open": lambda draft, asset, then: draft.asset("days").keys,
    "keys": lambda draft, asset, then: asset.keys,
    "read": lambda draft, asset, then: asset.to_arrow(),
    "read a selection": lambda draft, asset, then: asset[FIRST].to_arrow(),
    "files": lambda draft, asset, then: asset[FIRST].files(),
    "resolve": lambda draft, asset, then: asset[FIRST].resolve(),
    "status": lambda draft, asset, then: asset[FIRST].status(),
    "missing": lambda draft, asset, then: asset.missing(),
    "history": lambda draft, asset, then: asset[FIRST].history(),
    "explain": lambda draft, asset, then: asset[FIRST].explain(),
    "in a tier": lambda draft, asset, then: asset.in_tier("hot"),
    "the past": lambda draft, asset, then: then.asset("days").to_arrow(),
    "another past": lambda draft, asset, then: draft.at(1),
    "snapshots": lambda draft, asset, then: draft.snapshots(),
    "commits": lambda draft, asset, then: draft.history(),
    "status of all": lambda draft, asset, then: draft.status(),
    "tiers of all": lambda draft, asset, then: draft.tier_report(),
    "compare": lambda draft, asset, then: draft.asset("days")[FIRST].diff(then),
    "diff": lambda draft, asset, then: draft.diff(),
    "refresh": lambda draft, asset, then: draft.refresh(),
    "publish": lambda draft, asset, then: draft.publish(),
    "write": lambda draft, asset, then: asset.write(frame(5), FIRST),
    "write more": lambda draft, asset, then: asset[FIRST].write(frame(5)),
    "append": lambda draft, asset, then: asset.append({FIRST: frame(5)}),
    "drop": lambda draft, asset, then: asset[FIRST].drop(),
    "mark": lambda draft, asset, then: asset[FIRST].mark_stale("why"),
    "roll back": lambda draft, asset, then: draft.rollback(to=1),
    "undo": lambda draft, asset, then: draft.rollback(commit=then._home.view.snapshot),
    "backfill": lambda draft, asset, then: draft.asset("copies")[FIRST].backfill(progress=False),
    "transaction": lambda draft, asset, then: draft.transaction("why").__enter__(),
}


@pytest.mark.parametrize("verb", _VERBS.values(), ids=_VERBS.keys())
@pytest.mark.parametrize("end", ["discarded", "published"])
def test_nothing_is_read_from_or_written_to_a_branch_that_somebody_has_closed(lake, verb, end) -> None:
    draft = lake.branch("draft")
    asset, then = draft.asset("days"), draft.at(draft.snapshots()["snapshot"].max())
    other = reopened(lake).branch("draft")
    other.discard() if end == "discarded" else other.publish()
    newest = lake.snapshots()["snapshot"].max()

    with pytest.raises(lp.StateError, match=f"Branch 'draft' cannot be .*: it was {end}") as caught:
        verb(draft, asset, then)

    assert caught.value.context["branch"] == "draft"
    assert lake.snapshots()["snapshot"].max() == newest


def test_the_error_for_a_closed_branch_says_when_and_as_what_it_was_closed(tmp_path) -> None:
    lake = frozen_lake(tmp_path / "lake", at=datetime(2024, 1, 10, 12, tzinfo=UTC))
    lake.asset("days", partitions=DAYS).write(frame(1), FIRST)
    published, discarded = lake.create_branch("one"), lake.create_branch("two")
    published.asset("days").write(frame(2), FIRST)
    published.publish()
    discarded.discard()
    author = lake.snapshots()["author"][0]

    with pytest.raises(lp.StateError) as caught:
        published.asset("days").to_arrow()
    assert caught.value.message == (
        f"Branch 'one' cannot be read: it was published as snapshot 3 by {author} at 2024-01-10T12:00:00+00:00."
    )
    with pytest.raises(lp.StateError) as caught:
        discarded.asset("days").to_arrow()
    assert caught.value.message == "Branch 'two' cannot be read: it was discarded at 2024-01-10T12:00:00+00:00."


# Tags


def test_a_tag_of_main_does_not_make_a_branch_whole(lake) -> None:
    draft = lake.branch("draft")
    rewrite_first(lake)
    draft.refresh()
    seen = lake.snapshots()["snapshot"].max()
    then = draft.at(seen)
    draft.asset("days").write(frame(31), THIRD)
    lake.tag("kept", at=seen)
    rewrite_first(lake, 11)
    vacuum(lake)

    assert values(lake.at(seen).asset("days")) == {FIRST: 10, SECOND: 2}
    with pytest.raises(lp.SnapshotNotFoundError, match="can no longer be read"):
        then.asset("days").to_arrow()
    with pytest.raises(lp.SnapshotNotFoundError):
        draft.asset("days")[:].rollback(to=seen)
