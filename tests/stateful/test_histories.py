"""Random histories of a lake against plain dictionaries: what is read, now and in the past, is what was written.

``LAKEPART_LONG=1`` tries ``LAKEPART_EXAMPLES`` of them (a thousand by default), and longer ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import lakepart as lp
from lakepart.testing import (
    Crash,
    Effects,
    clock_of,
    copied,
    frozen_lake,
    query_catalog,
    reopened,
    stray_files,
    with_effects,
)

DAYS = range(1, 7)
DEFINITION = lp.Daily("2024-01-01", end="2024-01-07", by="day")
CUTS = {1: DEFINITION} | {  # by how many days a partition holds
    days_each: lp.Cron(f"0 0 1-31/{days_each} * *", "2024-01-01", end="2024-01-07", by="day") for days_each in (2, 3)
}
LONG = os.environ.get("LAKEPART_LONG") == "1"
EXAMPLES = int(os.environ.get("LAKEPART_EXAMPLES", "1000"))

# What is known of each day: the values of its rows in order; a day that is absent lies in a missing partition.
Contents = dict[int, tuple[int, ...]]
World = dict[str, Contents]

days = st.integers(min(DAYS), max(DAYS))
values = st.lists(st.integers(0, 99), min_size=1, max_size=3).map(tuple)
some_days = st.dictionaries(days, values, min_size=1, max_size=4)

# One write in a transaction: append or replace, which asset, which rows.
Step = tuple[str, str, Contents]
steps = st.lists(
    st.tuples(st.sampled_from(["append", "replace"]), st.sampled_from(["numbers", "doubles"]), some_days),
    min_size=1,
    max_size=3,
)


def together(day: int, days_each: int) -> range:
    """Give the days that lie in one partition with a day."""
    first = (day - 1) // days_each * days_each + 1
    return range(first, first + days_each)


def key_of(day: int, days_each: int = 1) -> str:
    return f"2024-01-{together(day, days_each)[0]:02d}"


def days_of(key: str, days_each: int) -> range:
    return together(int(key[-2:]), days_each)


def whole(contents: Contents, days_each: int) -> Contents:
    """Say of every day of the partitions that have some of these rows what it has of them."""
    return {day: contents.get(day, ()) for one in contents for day in together(one, days_each)}


def recut(contents: Contents, days_each: int) -> Contents:
    """Cut otherwise: a partition is there if it has rows, or if it is known that none of its days has."""
    there = {
        day: listed for day, listed in contents.items() if listed or contents.keys() >= set(together(day, days_each))
    }
    return whole(there, days_each)


def frame(contents: Contents) -> pa.Table:
    rows = [(date(2024, 1, day), value) for day in sorted(contents) for value in contents[day]]
    return pa.table(
        {
            "day": pa.array([day for day, _ in rows], pa.date32()),
            "value": pa.array([value for _, value in rows], pa.int64()),
        }
    )


def doubled(part: Any, numbers: Any) -> pa.Table:
    table = numbers.to_arrow()
    found: dict[int, list[int]] = {}
    if table.num_columns:
        for day, value in zip(table["day"].to_pylist(), table["value"].to_pylist(), strict=True):
            if key_of(day.day) in part.keys:
                found.setdefault(day.day, []).append(2 * value)
    return frame({day: tuple(listed) for day, listed in found.items()})


def contents_of(view: Any, asset: str) -> Contents:
    """Read an asset of a lake, a branch or the past, partition by partition from one read of all."""
    selection = view.asset(asset)
    (days_each,) = [size for size, cut in CUTS.items() if cut == selection.partitions]
    found: dict[int, list[int]] = {day: [] for key in selection.keys for day in days_of(key, days_each)}
    table = selection.to_arrow()
    if table.num_columns:
        for day, value in zip(table["day"].to_pylist(), table["value"].to_pylist(), strict=True):
            found[day.day].append(value)
    return {day: tuple(listed) for day, listed in found.items()}


class Histories(RuleBasedStateMachine):
    """One lake with two assets, ``numbers`` written by hand and ``doubles`` computed from it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lakepart-history-"))
        self.lake = self.make(self.folder / "lake")
        self.world: World = {"numbers": {}, "doubles": {}}
        self.past: dict[int, World] = {}
        self.branch: str | None = None
        self.on_branch: Contents = {}
        self.fork: Contents = {}
        self.base: dict[int, tuple[int, ...] | None] = {}
        self.names = 0
        self.columns: set[str] = set()
        self.tags: dict[str, int] = {}
        self.days_each = 1  # how many days a partition of numbers holds
        self.cuts: dict[int, int] = {}  # the same, by snapshot
        self.is_behind = False  # whether main was cut otherwise after the branch was made
        self.remember()

    @classmethod
    def make(cls, folder: Path) -> lp.Lake:
        lake = frozen_lake(folder)
        lake.asset("numbers", partitions=DEFINITION, on_schema_change="add")  # columns that a frame has not are null
        lake.asset("doubles", partitions=DEFINITION)
        return lake

    def teardown(self) -> None:
        try:
            self.vacuum_all()
        finally:
            self.lake.close()
            shutil.rmtree(self.folder)

    # Looking

    @property
    def horizon(self) -> int:
        return query_catalog(self.lake, "SELECT horizon FROM head")[0][0]

    @property
    def head(self) -> int:
        return query_catalog(self.lake, "SELECT snapshot FROM head")[0][0]

    def remember(self) -> None:
        """Note the world as of the newest snapshot, unless that is a branch's: then main has not changed since."""
        if query_catalog(self.lake, f"SELECT branch_id FROM snapshot WHERE snapshot = {self.head}") != [(0,)]:
            return
        self.past[self.head] = {name: dict(contents) for name, contents in self.world.items()}
        self.cuts[self.head] = self.days_each

    def key_of(self, day: int) -> str:
        return key_of(day, self.days_each)

    def whole(self, contents: Contents, asset: str = "numbers") -> Contents:
        return whole(contents, self.days_each if asset == "numbers" else 1)

    def days_of(self, keys: Iterable[str]) -> set[int]:
        return {day for key in keys for day in days_of(key, self.days_each)}

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        for name, expected in self.world.items():
            assert contents_of(self.lake, name) == expected

    @invariant()
    def nothing_is_damaged(self) -> None:
        assert [str(found) for found in self.lake.check() if found.severity != "leftover"] == []

    @invariant()
    def snapshots_are_numbered_without_gaps(self) -> None:
        numbers = [number for (number,) in query_catalog(self.lake, "SELECT snapshot FROM snapshot ORDER BY 1")]
        assert numbers == list(range(self.head + 1))

    # Writing

    @rule(contents=some_days)
    def write_new_or_be_refused(self, contents: Contents) -> None:
        taken = self.whole(contents).keys() & self.world["numbers"].keys()
        if taken:
            with pytest.raises(lp.AlreadyExistsError) as caught:
                self.lake.asset("numbers").write(frame(contents))
            assert caught.value.context["existing"] == sorted({self.key_of(day) for day in taken})
        else:
            self.lake.asset("numbers").write(frame(contents))
            self.world["numbers"] |= self.whole(contents)
            self.remember()

    @rule(contents=some_days)
    def replace(self, contents: Contents) -> None:
        self.lake.asset("numbers").write(frame(contents), if_exists="replace")
        self.world["numbers"] |= self.whole(contents)
        self.remember()

    @rule(contents=some_days)
    def append(self, contents: Contents) -> None:
        self.lake.asset("numbers").append(frame(contents))
        self.world["numbers"] |= self.appended(contents)
        self.remember()

    def appended(self, contents: Contents) -> Contents:
        numbers = self.world["numbers"]
        return {day: numbers.get(day, ()) + added for day, added in self.whole(contents).items()}

    @rule(contents=some_days)
    def upsert(self, contents: Contents) -> None:
        contents = self.distinct(contents)
        done = self.lake.asset("numbers").upsert(frame(contents), on=["value"])
        assert done.rows_updated + done.rows_inserted == sum(map(len, contents.values()))
        self.world["numbers"] |= self.upserted(contents)
        self.remember()

    def distinct(self, contents: Contents) -> Contents:
        """Leave out the values that come again in the same partition."""
        found = {(self.key_of(day), value): day for day in reversed(contents) for value in reversed(contents[day])}
        return {day: tuple(value for (_, value), at in reversed(found.items()) if at == day) for day in contents}

    def upserted(self, contents: Contents) -> Contents:
        numbers, after = self.world["numbers"], {}
        for day, new in self.whole(contents).items():
            replaced = {value for one in together(day, self.days_each) for value in contents.get(one, ())}
            after[day] = tuple(value for value in numbers.get(day, ()) if value not in replaced) + new
        return after

    @precondition(lambda self: self.world["numbers"])
    @rule(low=st.integers(0, 99), width=st.integers(0, 30))
    def delete_rows(self, low: int, width: int) -> None:
        before, head = self.world["numbers"], self.head
        self.world["numbers"] = self.deleted(low, low + width)
        done = self.lake.asset("numbers").delete([("value", ">=", low), ("value", "<=", low + width)])
        assert done.rows_matched == sum(map(len, before.values())) - sum(map(len, self.world["numbers"].values()))
        assert self.head == head + (done.rows_matched > 0)
        self.remember()

    def deleted(self, low: int, high: int) -> Contents:
        numbers = self.world["numbers"]
        return {day: tuple(value for value in listed if not low <= value <= high) for day, listed in numbers.items()}

    @rule(day=days, listed=values | st.just(()))
    def write_one(self, day: int, listed: tuple[int, ...]) -> None:
        self.lake.asset("numbers").write(frame({day: listed}), self.key_of(day))
        self.world["numbers"] |= self.whole({day: listed})
        self.remember()

    @rule(first=days, last=days, contents=some_days)
    def write_a_selection(self, first: int, last: int, contents: Contents) -> None:
        keys = sorted((self.key_of(first), self.key_of(last)))
        chosen = self.days_of(self.key_of(day) for day in DAYS if keys[0] <= self.key_of(day) <= keys[1])
        within = {day: listed for day, listed in contents.items() if day in chosen}
        self.lake.asset("numbers")[keys[0] : keys[1]].write(frame(within))
        self.world["numbers"] |= {day: within.get(day, ()) for day in chosen}
        self.remember()

    @rule(contents=some_days, day=days, based=st.integers(0, 60))
    def write_what_was_expected_or_be_refused(self, contents: Contents, day: int, based: int) -> None:
        number = sorted(self.past)[based % len(self.past)]
        then, now = self.past[number]["numbers"].get(day), self.world["numbers"].get(day)
        listed = contents.get(day, (7,))
        try:
            self.lake.asset("numbers").write(frame({day: listed}), self.key_of(day), expected=number)
        except lp.ConflictError:
            assert self.content_id(day, self.head) != self.content_id(day, number)
            return
        assert self.content_id(day, self.head - 1) == self.content_id(day, number)
        assert now == then or self.cuts[number] != self.days_each
        self.world["numbers"] |= self.whole({day: listed})
        self.remember()

    def content_id(self, day: int, at: int, asset: str = "numbers") -> str | None:
        """Equal rows are one content only in equal files: appended rows may lie otherwise."""
        key = self.key_of(day) if asset == "numbers" else key_of(day)
        found = query_catalog(
            self.lake,
            f"""SELECT content_id FROM version JOIN asset USING (asset_id) WHERE name = '{asset}' AND branch_id = 0
            AND key = '{key}' AND began <= {at} AND (ended IS NULL OR ended > {at})""",
        )
        return found[0][0] if found else None

    # Transactions

    @rule(steps=steps, left=st.booleans(), meddling=st.none() | some_days)
    def transact(self, steps: list[Step], left: bool, meddling: Contents | None) -> None:
        """Write in a block, look at every step, meet another writer, and leave it by its end or by an exception."""
        after, meddled = self.world, {name: dict(contents) for name, contents in self.world.items()}
        read = meddling is not None
        try:
            with self.lake.transaction() as tx:
                for step in steps:
                    self.write_step(tx, step)
                    after = self.model_step(step, after)
                    if read:
                        assert {name: contents_of(tx, name) for name in after} == after
                if meddling is not None:
                    self.lake.asset("numbers").write(frame(meddling), if_exists="replace")
                    meddled["numbers"] |= self.whole(meddling)
                    self.world = meddled
                    self.remember()
                if left:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            assert left
        except lp.ConflictError as error:
            written = {day for _, asset, contents in steps if asset == "numbers" for day in self.whole(contents)}
            conflicts = self.days_of(conflict["key"] for conflict in error.context["conflicts"])
            assert conflicts
            assert conflicts <= self.whole(meddling or {}).keys() & written
        else:
            assert not left
            for name in after:
                touched = {day for _, asset, contents in steps if asset == name for day in self.whole(contents, name)}
                meddled[name] |= {day: after[name][day] for day in touched}
            self.world = meddled
            self.remember()

    @staticmethod
    def write_step(tx: Any, step: Step) -> None:
        kind, asset, contents = step
        tx.asset(asset).write(frame(contents), if_exists=kind)

    def model_step(self, step: Step, world: World) -> World:
        kind, asset, contents = step
        now, contents = world[asset], self.whole(contents, asset)
        if kind == "append":
            contents = {day: now.get(day, ()) + added for day, added in contents.items()}
        return world | {asset: now | contents}

    # The past

    @rule(which=st.integers(0, 60))
    def travel(self, which: int) -> None:
        number = sorted(self.past)[which % len(self.past)]
        for name, expected in self.past[number].items():
            assert contents_of(self.lake.at(number), name) == expected

    @rule(which=st.integers(0, 60))
    def roll_back(self, which: int) -> None:
        number = sorted(self.past)[which % len(self.past)]
        then = self.past[number]["numbers"]
        try:
            self.lake.asset("numbers").rollback(to=number)
        except lp.StateError:
            assert self.world["numbers"] == then or self.cuts[number] != self.days_each
            return
        assert self.cuts[number] == self.days_each
        self.world["numbers"] = dict(then)
        self.remember()

    @rule(which=st.integers(0, 60))
    def undo_a_commit(self, which: int) -> None:
        """Undo what one commit did, but for the partitions that others have changed since."""
        undoable = [number for number in sorted(self.past) if number - 1 in self.past and number > self.horizon]
        if not undoable:
            return
        number = undoable[which % len(undoable)]
        touched = query_catalog(
            self.lake,
            f"""SELECT DISTINCT name, key FROM version JOIN asset USING (asset_id)
            WHERE branch_id = 0 AND {number} IN (began, ended)""",
        )
        after = {name: dict(contents) for name, contents in self.world.items()}
        for asset, key in touched:
            for day in self.days_of([key]) if asset == "numbers" else [int(key[-2:])]:
                made, now = (self.content_id(day, at, asset) for at in (number, self.head))
                if made == now:
                    before = self.past[number - 1][asset].get(day)
                    after[asset] = {at: listed for at, listed in after[asset].items() if at != day}
                    after[asset] |= {} if before is None else {day: before}
        try:
            self.lake.rollback(commit=number, on_conflict="skip")
        except lp.StateError:  # nothing is left of it, it changed columns, or numbers was cut otherwise by it or since
            assert after == self.world or {self.cuts[number - 1], self.cuts[number]} != {self.days_each}
            return
        self.world = after
        self.remember()

    @rule(which=st.integers(0, 60))
    def tag(self, which: int) -> None:
        number = sorted(self.past)[which % len(self.past)]
        self.names += 1
        self.lake.tag(f"tag-{self.names}", at=number)
        self.tags[f"tag-{self.names}"] = number

    @precondition(lambda self: self.tags)
    @rule(which=st.integers(0, 60), deleted=st.booleans())
    def look_at_a_tag(self, which: int, deleted: bool) -> None:
        name = sorted(self.tags)[which % len(self.tags)]
        for asset, expected in self.past[self.tags[name]].items():
            assert contents_of(self.lake.at(name), asset) == expected
        if deleted:
            self.lake.delete_tag(name)
            del self.tags[name]

    # Columns

    @rule(which=st.integers(0, 3))
    def change_columns(self, which: int) -> None:
        """Add a column, or drop one that is there; what is read of the others stays."""
        name = f"extra_{which}"
        if not self.lake.asset("numbers").schema.names:
            return  # before the first write there is nothing to change
        numbers = self.lake.asset("numbers")
        if name in self.columns:
            numbers.alter(drop=[name])
        else:
            numbers.alter(add={name: pa.int8()})
        self.columns ^= {name}
        assert set(self.lake.asset("numbers").schema.names) == {"day", "value"} | self.columns
        self.remember()

    # Cutting otherwise

    @rule(days_each=st.sampled_from(sorted(CUTS)))
    def repartition(self, days_each: int) -> None:
        moving = query_catalog(self.lake, "SELECT count(*) FROM move WHERE closed_at_us IS NULL") != [(0,)]
        drafted = self.branch is not None and bool(self.base)
        try:
            self.lake.asset("numbers").repartition(CUTS[days_each])
        except lp.StateError:
            assert days_each == self.days_each or moving or drafted
            return
        assert not drafted
        self.note_cut(days_each)

    def note_cut(self, days_each: int) -> None:
        self.days_each, self.is_behind = days_each, True
        self.world["numbers"] = recut(self.world["numbers"], days_each)
        self.remember()

    # Branches

    @precondition(lambda self: self.branch is None)
    @rule()
    def create_a_branch(self) -> None:
        self.names += 1
        self.branch = f"draft-{self.names}"
        self.lake.create_branch(self.branch)
        self.base = {}
        self.fork_again()

    @precondition(lambda self: self.branch is not None)
    @rule(contents=some_days)
    def write_on_the_branch(self, contents: Contents) -> None:
        numbers = self.lake.branch(self.branch or "").asset("numbers")
        if self.is_behind:
            with pytest.raises(lp.StateError, match="repartitioned on main"):
                numbers.write(frame(contents), if_exists="replace")
            return
        contents = self.whole(contents)
        numbers.write(frame(contents), if_exists="replace")
        self.base |= {day: self.fork.get(day) for day in contents if day not in self.base}
        self.on_branch |= contents

    @precondition(lambda self: self.branch is not None)
    @rule()
    def read_the_branch(self) -> None:
        assert contents_of(self.lake.branch(self.branch or ""), "numbers") == self.on_branch

    @precondition(lambda self: self.branch is not None)
    @rule()
    def publish_the_branch(self) -> None:
        branch = self.lake.branch(self.branch or "")
        try:
            branch.publish()
        except lp.StateError:
            assert not self.base
            return
        except lp.ConflictError as error:
            conflicts = self.days_of(conflict["key"] for conflict in error.context["conflicts"])
            moved = {day for day, base in self.base.items() if self.world["numbers"].get(day) != base}
            assert conflicts >= moved
            assert conflicts <= self.base.keys()
            branch.discard()
        else:
            assert all(self.world["numbers"].get(day) == base for day, base in self.base.items())
            self.world["numbers"] |= {day: self.on_branch[day] for day in self.base}
            self.remember()
        self.branch = None

    @precondition(lambda self: self.branch is not None)
    @rule(choice=st.sampled_from(["drop", "theirs", "ours"]))
    def publish_and_settle_conflicts(self, choice: str) -> None:
        branch = self.lake.branch(self.branch or "")
        conflicts = self.days_of(one.key for one in branch.plan_publish(on_conflict=choice).conflicts)
        assert conflicts >= {day for day, base in self.base.items() if self.world["numbers"].get(day) != base}
        assert conflicts <= self.base.keys()
        published = self.base.keys() - (conflicts if choice != "ours" else set())
        try:
            branch.publish(on_conflict=choice)
        except lp.StateError:
            assert not published
            return
        self.world["numbers"] |= {day: self.on_branch[day] for day in published}
        self.remember()
        if choice == "drop" and conflicts:  # the branch lives on with them, forked from the publication
            self.base = {day: self.base[day] for day in conflicts}
            self.fork_again()
        else:
            self.branch = None

    @precondition(lambda self: self.branch is not None)
    @rule()
    def refresh_the_branch(self) -> None:
        moved = {day for day, base in self.base.items() if self.world["numbers"].get(day) != base}
        try:
            self.lake.branch(self.branch or "").refresh()
        except lp.ConflictError as error:
            conflicts = self.days_of(one["key"] for one in error.context["conflicts"])
            assert moved <= conflicts
            assert conflicts <= self.base.keys()
        else:
            assert not moved
            self.fork_again()

    def fork_again(self) -> None:
        """Let the branch fall through to main as it is now."""
        self.fork, self.is_behind = dict(self.world["numbers"]), False
        self.on_branch = self.fork | {day: self.on_branch[day] for day in self.base}

    @precondition(lambda self: self.branch is not None)
    @rule()
    def discard_the_branch(self) -> None:
        self.lake.branch(self.branch or "").discard()
        self.branch = None

    # Backfills

    @rule(first=days, last=days, publish=st.sampled_from(["each", "together"]), batch=st.integers(1, 3))
    def backfill(self, first: int, last: int, publish: str, batch: int) -> None:
        first, last = sorted((first, last))
        wanted = [day for day in range(first, last + 1) if day in self.world["numbers"]]
        if not wanted:
            return
        self.run_backfill(self.lake, wanted, publish, batch)
        self.expect_doubles(wanted)

    def run_backfill(self, lake: lp.Lake, wanted: list[int], publish: str, batch: int) -> None:
        self.names += 1
        lake.asset("doubles")[[key_of(day) for day in wanted]].backfill(
            doubled,
            inputs={"numbers": "numbers"},
            which="all",
            publish=publish,
            batch=batch,
            name=f"run-{self.names}",
            progress=False,
        )

    def expect_doubles(self, wanted: list[int]) -> None:
        for day in wanted:
            self.world["doubles"][day] = tuple(2 * value for value in self.world["numbers"][day])
        self.remember()

    # Tiers and care

    @rule(chosen=st.sets(days, min_size=1), colder=st.booleans())
    def move(self, chosen: set[int], colder: bool) -> None:
        selection = self.lake.asset("numbers")[sorted({self.key_of(day) for day in chosen})]
        interrupted = query_catalog(self.lake, "SELECT count(*) FROM move WHERE closed_at_us IS NULL") != [(0,)]
        if colder:
            selection.demote("cold", progress=False)
        else:
            selection.promote(progress=False)
        if not interrupted:  # a move that a crash left is finished first, or left to a holder that may be alive
            assert set(selection.status()["tier"]) - {""} <= {"cold" if colder else "hot"}

    @rule()
    def compact(self) -> None:
        before, seen = self.head, int(self.lake.snapshots(1)["snapshot"].iloc[0])  # the newest may be the branch's
        report = self.lake.asset("numbers").compact(progress=False)
        assert report.skipped == ()
        assert self.head == before + len(report.snapshots)
        if report.snapshots:
            assert self.lake.diff(seen).empty
            self.remember()

    @rule(hours=st.integers(1, 24 * 20))
    def let_time_pass(self, hours: int) -> None:
        clock_of(self.lake).advance(timedelta(hours=hours))

    @rule(retained=st.integers(0, 200), grace=st.integers(0, 48))
    def vacuum(self, retained: int, grace: int) -> None:
        self.lake.vacuum(retention=timedelta(hours=retained), grace=timedelta(hours=grace), force=True)
        self.look_at_what_was_kept()

    def look_at_what_was_kept(self) -> None:
        for number in [number for number in self.past if number < self.horizon]:
            kept = number in self.tags.values()
            for name, contents in self.past[number].items():
                # what was forgotten of one asset may be kept of another, and what has a tag is kept of all
                with nullcontext() if kept else suppress(lp.SnapshotNotFoundError):
                    assert contents_of(self.lake.at(number), name) == contents
            if not kept:
                del self.past[number]

    @rule()
    def reopen(self) -> None:
        self.lake.close()
        self.lake = reopened(self.lake)

    @precondition(lambda self: self.lake._home.context.catalog is None)
    @rule()
    def lose_the_catalog(self) -> None:
        """Rebuild it once every manifest is written; the last tells what became of branches."""
        self.replace({1: (1,)})
        clock_of(self.lake).advance(timedelta(hours=1))  # whoever has not written a manifest by now is dead
        self.lake.check(fix=True)
        self.lake.close()
        for left in self.folder.glob("lake/catalog.db*"):
            left.unlink()
        report = lp.rebuild(self.lake.url)
        assert (report.damaged, report.lost) == ((), ())
        self.lake = reopened(self.lake)
        self.look_at_what_was_kept()

    # Crashes

    @rule(
        action=st.sampled_from(
            [
                "replace",
                "append",
                "upsert",
                "delete",
                "transact",
                "move",
                "compact",
                "repartition",
                "vacuum",
                "rollback",
                "publish",
                "backfill",
            ]
        ),
        contents=some_days,
        at=st.integers(0, 25),
        when=st.sampled_from(["before", "after"]),
        which=st.integers(0, 60),
        steps=steps,
    )
    def crash(self, action: str, contents: Contents, at: int, when: Any, which: int, steps: list[Step]) -> None:
        numbers = self.world["numbers"]
        after: Contents | None = None
        world = self.world
        effects = Effects()
        effects.crash_at(at, when)
        dying = with_effects(self.lake, effects)
        before = self.head
        with suppress(Crash, lp.StateError, lp.ConflictError):
            match action:
                case "replace":
                    after = numbers | self.whole(contents)
                    dying.asset("numbers").write(frame(contents), if_exists="replace")
                case "append":
                    after = numbers | self.appended(contents)
                    dying.asset("numbers").append(frame(contents))
                case "upsert":
                    contents = self.distinct(contents)
                    after = numbers | self.upserted(contents)
                    dying.asset("numbers").upsert(frame(contents), on=["value"])
                case "delete" if numbers:
                    after = self.deleted(which, 2 * which)
                    dying.asset("numbers").delete([("value", ">=", which), ("value", "<=", 2 * which)])
                case "transact":
                    for step in steps:
                        world = self.model_step(step, world)
                    with dying.transaction() as tx:
                        for step in steps:
                            self.write_step(tx, step)
                case "move":
                    dying.asset("numbers")[sorted({self.key_of(day) for day in contents})].demote(
                        "cold", progress=False
                    )
                case "compact":
                    after = numbers
                    dying.asset("numbers").compact(progress=False)
                case "repartition":
                    dying.asset("numbers").repartition(CUTS[which % 3 + 1])
                case "vacuum":
                    dying.vacuum(retention=timedelta(hours=which), grace=timedelta(0), force=True)
                case "rollback":
                    number = sorted(self.past)[which % len(self.past)]
                    after = dict(self.past[number]["numbers"])
                    dying.asset("numbers").rollback(to=number)
                case "publish" if self.branch is not None:
                    after = numbers | {day: self.on_branch[day] for day in self.base}
                    dying.branch(self.branch).publish()
                case "backfill" if wanted := sorted(contents.keys() & numbers.keys()):
                    self.run_backfill(dying, wanted, "each" if which % 2 else "together", 1)
        dying.close()
        self.lake.close()
        self.lake = reopened(self.lake)
        if action == "transact" and self.head > before:
            self.world = world
            self.remember()
        if action == "repartition" and self.head > before:
            self.note_cut(which % 3 + 1)
        self.settle(action, numbers, after, contents, before)

    def settle(self, action: str, numbers: Contents, after: Contents | None, contents: Contents, before: int) -> None:
        """Learn from the head whether the crashed action had committed, and take its result as the expected one."""
        kept = {number for number in self.past if number >= self.horizon} | set(self.tags.values())
        self.past = {number: world for number, world in self.past.items() if number in kept}
        if action == "backfill":
            for name in self.lake.backfills().query("state == 'running'")["name"]:
                self.lake.backfill(name).resume(doubled, progress=False)
            found = contents_of(self.lake, "doubles")
            for day, listed in found.items():
                assert listed in (
                    self.world["doubles"].get(day),
                    tuple(2 * value for value in numbers.get(day, ())),
                )
            self.world["doubles"] = found
            self.remember()
        elif self.head > before and after is not None:
            self.world["numbers"] = after
            self.remember()
            if action == "publish":
                self.branch = None

    def vacuum_all(self) -> None:
        """Let a long time pass: what crashes left behind is gone, and nothing else."""
        for name in self.lake.backfills().query("state == 'running'")["name"]:
            self.lake.backfill(name).resume(doubled, progress=False)
        clock_of(self.lake).advance(timedelta(hours=1))  # whoever has not written a manifest by now is dead
        self.replace({1: (1,)})
        for _ in range(2):
            clock_of(self.lake).advance(timedelta(days=60))
            self.lake.vacuum()
        # moves that a crash interrupted are finished by the next one
        self.lake.asset("numbers").demote("cold", progress=False)
        clock_of(self.lake).advance(timedelta(days=60))
        self.lake.vacuum()
        self.what_is_read_is_what_was_written()
        assert [str(found) for found in self.lake.check(checksums=True)] == []
        assert stray_files(self.lake) == set()


class HistoriesOnPostgresql(Histories):
    """The same with a catalog in PostgreSQL: every history gets the rows of a new lake into one schema."""

    pattern: lp.Lake
    scratch: str

    @classmethod
    def make(cls, folder: Path) -> lp.Lake:
        return copied(cls.pattern, folder, catalog=cls.scratch)


class HistoriesOnS3(HistoriesOnPostgresql):
    """The same with the data on S3."""

    bucket: str

    @classmethod
    def make(cls, folder: Path) -> lp.Lake:
        return copied(cls.pattern, f"{cls.bucket}/{folder.parent.name}", catalog=cls.scratch)


def bounded(examples: int, steps: int) -> settings:
    return settings(
        max_examples=EXAMPLES if LONG else examples,
        stateful_step_count=60 if LONG else steps,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    )


marks = [
    pytest.mark.timeout(7200 if LONG else 300),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]
TestHistories = Histories.TestCase
TestHistories.settings = bounded(25, 25)
TestHistories.pytestmark = marks


class TestHistoriesOnPostgresql(HistoriesOnPostgresql.TestCase):  # type: ignore[name-defined, misc]
    settings = bounded(3, 15)
    pytestmark = marks

    @pytest.fixture(autouse=True)
    def catalogs(self, tmp_path: Path, new_schema: Any) -> None:
        lake = Histories.make(tmp_path / "lake")
        HistoriesOnPostgresql.pattern = copied(lake, tmp_path / "pattern", catalog=new_schema())
        HistoriesOnPostgresql.scratch = new_schema()


class TestHistoriesOnS3(HistoriesOnS3.TestCase):  # type: ignore[name-defined, misc]
    settings = bounded(2, 12)
    pytestmark = marks

    @pytest.fixture(autouse=True)
    def places(self, tmp_path: Path, new_schema: Any, s3_environment: Any, s3_lakes: str) -> None:
        lake = Histories.make(tmp_path / "lake")
        HistoriesOnS3.pattern = copied(lake, f"{s3_lakes}/{tmp_path.name}/pattern", catalog=new_schema())
        HistoriesOnS3.scratch, HistoriesOnS3.bucket = new_schema(), f"{s3_lakes}/{tmp_path.name}"


def test_a_change_of_nothing_on_main_after_a_write_on_a_branch_makes_no_snapshot_of_main() -> None:
    history = Histories()
    history.replace({1: (5,)})
    history.create_a_branch()
    history.write_on_the_branch({1: (1,)})

    history.delete_rows(90, 1)

    history.roll_back(2)
    history.travel(2)
    history.teardown()
