"""Two definitions compared at what is committed: which partitions stay what they are, and what is known of windows."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lakepart as lp
from lakepart.model.catalog_records import DefinitionRecord
from lakepart.model.definition_differences import listed_differences
from lakepart.model.instants import to_microseconds
from lakepart.model.known_keys import KnownKey, KnownKeys
from lakepart.model.partition_sets import PartitionSet
from lakepart.model.plans import list_some
from lakepart.model.records import Redefinition, VersionRecord
from lakepart.planning.definitions import (
    compare_expected,
    follow,
    known_windows,
    orphans,
    require_fitting,
    same_partitions,
    still_the_same,
)
from lakepart.planning.repartition import origins_of

DAYS = lp.Daily("2024-01-01")
WINNER = {"snapshot": 7, "author": "ana", "at": "2024-03-01T00:00:00+00:00"}
DAY_US = 86_400_000_000
MANY = [f"k{number}" for number in range(2_000)]


def day_us(text):
    return to_microseconds(datetime.fromisoformat(text).replace(tzinfo=UTC))


def ordinals(definition, text):
    return PartitionSet.parse(definition, text).ordinals


def same_keys(before, after, text):
    found = ordinals(before, text)
    return PartitionSet.from_ordinals(before, found[same_partitions(before, after, found)]).keys


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (lp.Daily("2023-06-01"), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (lp.Daily("2024-01-02"), ["2024-01-02", "2024-01-03"]),
        (lp.Daily("2024-01-01", end="2024-01-03"), ["2024-01-01", "2024-01-02"]),
        (lp.Daily("2024-01-01", by="day", dimension="day"), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (lp.Daily("2024-01-01", tz="Europe/Berlin"), []),
        (lp.Daily("2024-01-01", tz="Etc/GMT"), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (lp.Daily("2024-01-01", exclude=["2024-01-02"]), ["2024-01-01", "2024-01-03"]),
        (lp.Daily("2024-01-01", end_offset=3), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (lp.Cron("0 0 * * *", start="2024-01-01"), ["2024-01-01", "2024-01-02", "2024-01-03"]),
        (lp.Monthly("2024-01-01"), []),  # its ordinal of January is that of the first day
        (lp.Hourly("2024-01-01"), []),
        (lp.Static(["2024-01-01"]), []),
        (lp.Unpartitioned(), []),
    ],
    ids=repr,
)
def test_a_window_is_the_same_partition_only_where_both_its_ends_are(after, kept):
    assert same_keys(DAYS, after, "2024-01-01..2024-01-03") == kept


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (["a", "b", "c", "d"], ["a", "b", "c"]),
        (["a", "c", "b"], ["a"]),
        (["b", "c"], []),
        (["a", "b"], ["a", "b"]),
        (["a", "x", "c"], ["a", "c"]),
    ],
    ids=str,
)
def test_a_listed_key_is_the_same_partition_only_where_it_keeps_its_place(after, kept):
    assert same_keys(lp.Static(["a", "b", "c"]), lp.Static(after), "*") == kept


def test_ordinals_of_no_partition_are_the_same_partition_nowhere():
    strange = np.array([-1, 3, 17, day_us("2024-01-01") + 1])

    assert not same_partitions(lp.Static(["a", "b"]), lp.Static(["a", "b"]), strange).any()
    assert not same_partitions(DAYS, DAYS, strange).any()


def test_orphans_are_named_in_order_and_by_the_keys_they_were_committed_under():
    committed = ordinals(DAYS, "2024-01-01..2024-01-04").tolist()

    assert orphans(DAYS, lp.Daily("2024-01-03"), committed, ["a", "b", "2024-01-03", "d"]) == ["a", "b", "d"]
    assert orphans(DAYS, lp.Daily("2020-01-01"), [], []) == []


@given(
    start=st.dates(date(2023, 12, 1), date(2024, 2, 1)),
    length=st.integers(1, 60),
    committed=st.sets(st.integers(0, 90), max_size=20),
)
def test_moving_the_ends_orphans_exactly_the_days_outside(start, length, committed):
    end = start + timedelta(days=length)
    listed = [date(2024, 1, 1) + timedelta(days=number) for number in sorted(committed)]
    keys = [day.isoformat() for day in listed]
    at = [day_us(key) for key in keys]

    lost = orphans(DAYS, lp.Daily(start.isoformat(), end=end.isoformat()), at, keys)

    assert lost == [day.isoformat() for day in listed if not start <= day < end]


def test_what_is_expected_changes_up_to_the_instant_only():
    appearing, vanishing = compare_expected(
        DAYS, lp.Daily("2023-12-30", end="2024-01-03"), day_us("2024-01-06") + DAY_US // 2
    )

    assert appearing.to_text() == "2023-12-30..2023-12-31"
    assert vanishing.to_text() == "2024-01-03..2024-01-05"


def test_what_is_expected_of_a_million_times_a_thousand_partitions_is_counted_and_not_listed():
    keys = [f"k{number}" for number in range(3_000)]
    minutes = lp.Multi(minute=lp.Minutely("2020-01-01"), key=lp.Static(keys))
    wider = lp.Multi(minute=lp.Minutely("2019-12-31T23:00"), key=lp.Static([*keys, "new"])).keeping_ordinals_of(minutes)

    appearing, vanishing = compare_expected(minutes, wider, day_us("2024-01-01"))

    assert [len(one) for one in compare_expected(minutes, minutes, day_us("2024-01-01"))] == [0, 0]
    assert len(appearing) == 60 * 3_001 + (365 * 4 + 1) * 1_440
    assert appearing.to_text() == "2019-12-31-23:00..2019-12-31-23:59|*,2020-01-01-00:00..2023-12-31-23:59|new"
    assert not vanishing


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DAYS, lp.Daily("2023-12-25", exclude=["2024-01-03", "2024-01-09"])),
        (lp.Daily("2024-01-01", exclude=["0 0 * * 6,0"]), lp.Daily("2024-01-02", end="2024-02-03")),
        (lp.Daily("2024-01-01", exclude=["0 0 * * 6,0"]), lp.Daily("2024-01-01", exclude=["2024-01-06", "0 0 1 * *"])),
        (
            lp.Hourly("2024-01-01", tz="Europe/Berlin"),
            lp.Hourly("2024-01-01", tz="Europe/Paris", exclude=["0 3 * * *"]),
        ),
        (DAYS, lp.Cron("0 0 * * *", "2024-01-05", exclude=["2024-01-07"])),
        (DAYS, lp.Daily("2024-01-01", tz="Europe/Berlin")),
        (DAYS, lp.Monthly("2024-01-01")),
        (DAYS, lp.Static(["2024-01-01", "2024-01-02"])),
        (lp.Static(["a", "b", "c"]), lp.Static(["a", "x", "c", "d"])),
        (lp.Static(["a", "b"]), lp.Dynamic()),
        (lp.Dynamic(), lp.Static(["a", "b"])),
        (lp.Multi(day=DAYS, key=lp.Static(["a", "b"])), DAYS),
        (
            lp.Multi(day=DAYS, key=lp.Static(["a", "b"])),
            lp.Multi(day=lp.Daily("2023-12-30", exclude=["2024-01-04"]), key=lp.Static(["a", "c", "d"])),
        ),
    ],
    ids=repr,
)
def test_what_comes_and_goes_is_what_a_comparison_one_by_one_says(before, after):
    known = {"partition": KnownKeys((KnownKey(0, "a"), KnownKey(1, "y")))}
    before, after = before.knowing(known), after.keeping_ordinals_of(before).knowing(known)
    as_of = datetime(2024, 3, 1, tzinfo=UTC)

    appearing, vanishing = compare_expected(before, after, to_microseconds(as_of))

    old, new = (PartitionSet.everything(one).elapsed(as_of) for one in (before, after))
    stay = set(new.ordinals[same_partitions(after, before, new.ordinals)].tolist()) & set(old.ordinals.tolist())
    assert set(appearing.ordinals.tolist()) == set(new.ordinals.tolist()) - stay
    assert set(vanishing.ordinals.tolist()) == set(old.ordinals.tolist()) - stay


def test_a_selection_follows_its_partitions_into_the_new_definition():
    longer = lp.Daily("2020-01-01")

    followed = follow("x", PartitionSet.parse(DAYS, "2024-01-05..2024-01-07"), longer)

    assert (followed.definition, followed.to_text()) == (longer, "2024-01-05..2024-01-07")
    assert follow("x", PartitionSet.everything(DAYS), lp.Monthly("2024-01-01"), explicit=False).to_text() == "*"


def test_a_selection_of_endless_minutes_follows_without_listing_them():
    minutes, longer = lp.Minutely("2013-01-01"), lp.Minutely("2012-01-01", exclude=["2013-06-01T00:00"])

    followed = follow(
        "x",
        PartitionSet.parse(minutes, "2013-01-02-00:00") | PartitionSet(minutes, minutes.slice("2014-01-01", None)),
        longer,
    )

    assert followed == PartitionSet.parse(longer, "2013-01-02-00:00") | PartitionSet(
        longer, longer.slice("2014-01-01", None)
    )


def test_days_of_endless_dynamic_keys_follow_with_the_keys_that_have_yet_to_come():
    before = lp.Multi(day=DAYS, customer=lp.Dynamic())
    after = lp.Multi(day=lp.Daily("2023-12-01"), customer=lp.Dynamic()).keeping_ordinals_of(before)

    followed = follow("x", PartitionSet.parse(before, "2024-01-01..2024-01-02|*"), after)

    assert followed.to_text() == "2024-01-01..2024-01-02|*"


def test_keys_named_one_by_one_stay_those_that_were_named_when_the_list_grows():
    before, after = lp.Static(["a", "b"]), lp.Static(["a", "b", "c"])

    named = follow("x", PartitionSet.from_keys(before, ["a", "b"]), after, explicit=True)
    everything = follow("x", PartitionSet.everything(before), after, explicit=False)

    assert (named.keys, everything.keys) == (["a", "b"], ["a", "b", "c"])


@pytest.mark.parametrize(
    "after",
    [lp.Monthly("2024-01-01"), lp.Daily("2024-01-03"), lp.Daily("2024-01-01", exclude=["2024-01-02"])],
    ids=repr,
)
@pytest.mark.parametrize("text", ["2024-01-02", "2024-01-01..2024-01-03", "2024-01-02..9998-12-31"])
def test_a_selection_whose_partitions_are_gone_is_refused(after, text):
    with pytest.raises(lp.StateError, match="select again"):
        follow("x", PartitionSet.parse(DAYS, text), after)


def test_work_under_an_older_definition_names_what_is_gone():
    work = {day_us("2024-01-01"): "2024-01-01", day_us("2024-02-01"): "2024-02-01"}

    require_fitting("x", DAYS, lp.Daily("2020-01-01"), work, WINNER)
    with pytest.raises(lp.ConflictError, match="snapshot 7 by ana at 2024-03-01") as caught:
        require_fitting("x", DAYS, lp.Daily("2024-01-15"), work, WINNER)

    assert caught.value.context["conflicts"] == [{"asset": "x", "key": "2024-01-01", **WINNER}]


def test_work_routed_by_another_column_does_not_fit():
    with pytest.raises(lp.ConflictError, match="2 partitions"):
        require_fitting("x", lp.Static(["a", "b"], by="x"), lp.Static(["a", "b"], by="y"), {0: "a", 1: "b"}, WINNER)


def record(began, definition, change):
    return DefinitionRecord(began, definition.to_dict(), {}, change)


def test_partitions_are_followed_back_through_renames_and_not_through_rewrites():
    known = [
        record(0, lp.Static(["q"]), Redefinition.DECLARED),
        record(2, lp.Static(["a", "b", "c"]), Redefinition.REPARTITIONED),
        record(5, lp.Static(["z", "b", "c"]), Redefinition.RENAMED),
        record(7, lp.Static(["z", "c"]), Redefinition.ALTERED),
    ]

    steps = [(began, same.tolist()) for began, same in still_the_same(known, {}, np.array([0, 1]))]

    assert steps == [(7, [True, True]), (5, [True, False]), (2, [True, False])]


def test_a_month_is_known_once_all_its_days_are():
    january = ordinals(DAYS, "2024-01-01..2024-01-31")
    late = np.full(january.size, day_us("2024-06-01"))
    months = lp.Monthly("2024-01-01")

    assert known_windows(DAYS, months, january, late).to_text() == "2024-01-01"
    assert not known_windows(DAYS, months, january[1:], late[1:])
    assert not known_windows(DAYS, months, np.delete(january, 12), late[1:])


def test_the_days_of_a_month_are_known_as_far_as_they_had_passed_when_it_was_written():
    months = lp.Monthly("2024-01-01")
    february = ordinals(months, "2024-02-01")

    known = known_windows(months, DAYS, february, np.array([day_us("2024-02-04") + 5]))

    assert known.to_text() == "2024-02-01..2024-02-03"


def test_windows_of_another_column_or_no_windows_tell_nothing():
    at = ordinals(DAYS, "2024-01-01")
    late = at + 30 * DAY_US

    assert not known_windows(DAYS, lp.Hourly("2024-01-01", by="other"), at, late)
    assert not known_windows(lp.Static(["a"]), DAYS, np.array([0]), late)
    assert not known_windows(DAYS, lp.Static(["a"]), at, late)


def version(key, ordinal, *, written, code=None):
    return VersionRecord(1, 1, 0, key, ordinal, "c", 1, None, 1, 1, 1, code, written)


def test_a_new_partition_is_as_old_as_its_youngest_part_even_one_without_rows():
    days = [
        version(f"2024-01-{day:02}", day_us("2024-01-01") + (day - 1) * DAY_US, written=100 + day) for day in (1, 2, 31)
    ]
    routes = [("2024-01-01", "2024-01-01", 5), ("2024-01-02", "2024-01-01", 1)]

    found = origins_of(DAYS, lp.Monthly("2024-01-01"), days, routes, (), {})

    assert {key: origin.written_at_us for key, origin in found.items()} == {"2024-01-01": 131}


@pytest.mark.parametrize(
    ("codes", "kept", "marked"),
    [(("1", "1"), "1", False), (("1", None), "1", False), ((None, None), None, False), (("1", "2"), None, True)],
    ids=str,
)
def test_rows_of_two_code_versions_make_a_stale_partition_of_none(codes, kept, marked):
    old = [version("a", 0, written=1, code=codes[0]), version("b", 1, written=2, code=codes[1])]

    found = origins_of(lp.Static(["a", "b"]), lp.Unpartitioned(), old, [("a", "all", 1), ("b", "all", 1)], (), {})

    assert found["all"].code_version == kept
    assert (found["all"].stale_mark is not None) == marked


def test_reasons_of_old_partitions_go_with_their_rows_and_with_no_others():
    old = [version("a", 0, written=1), version("b", 1, written=2)]
    after = lp.Static(["x", "y"], by="c")

    found = origins_of(lp.Static(["a", "b"]), after, old, [("b", "y", 1), ("a", "x", 1)], (), {1: "marked: odd"})

    assert [(key, origin.stale_mark) for key, origin in found.items()] == [("x", None), ("y", "marked: odd")]


@pytest.mark.parametrize(
    ("declared", "wanted", "named"),
    [
        (lp.Static(["a"]), lp.Static(["a"], by="x"), []),
        (lp.Static(MANY), lp.Static([*MANY, "new"]), ["1 key is only in the second ('new')"]),
        (lp.Static(["a", "b"]), lp.Static(["a"]), ["1 key is only in the first ('b')"]),
        (lp.Static(MANY), lp.Static(MANY[::-1]), [f"{list_some(map(repr, MANY))} have changed places"]),
        (lp.Daily("2024-01-01", exclude=["2024-01-05"]), DAYS, ["1 exclusion is only in the first ('2024-01-05')"]),
        (
            lp.Multi(day=DAYS, c=lp.Static(["a", "b"])),
            lp.Multi(day=DAYS, c=lp.Static(["a"])),
            ["1 key is only in the first ('b')"],
        ),
        (DAYS, lp.Static(["a"]), []),
    ],
    ids=range(7),
)
def test_what_long_lists_differ_in_is_named(declared, wanted, named) -> None:
    assert listed_differences(declared, wanted) == named


def test_a_selection_with_an_open_end_goes_on_to_the_end_that_there_is_now() -> None:
    open_ended = PartitionSet.parse(DAYS, "2024-01-05,2024-02-01..*")
    ended = lp.Daily("2024-01-01", end="2024-03-01")

    followed = follow("days", open_ended, ended)

    assert followed.to_text() == "2024-01-05,2024-02-01..2024-02-29"
    assert follow("days", PartitionSet.parse(ended, "2024-02-01..2024-02-29"), DAYS).last_key == "2024-02-29"
