"""Status: missing, empty, fresh or stale, and exactly why."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

import lakepart as lp
from lakepart.testing import clock_of, copied, frozen_lake

NOW = datetime(2024, 1, 4, 12, tzinfo=UTC)
DAYS = lp.Daily("2024-01-01", by="day")
FIRST, SECOND, THIRD, FOURTH = (f"2024-01-0{day}" for day in range(1, 5))


def frame(*pairs: tuple[int, int]) -> pa.Table:
    dates = [date(2024, 1, day) for day, _ in pairs]
    return pa.table({"day": pa.array(dates, pa.date32()), "x": pa.array([x for _, x in pairs], pa.int64())})


def copy_of(part, source) -> pa.Table:
    return source.to_arrow()


def producer(version: str | None, *, asset: str = "made", source: str = "source") -> lp.Producer:
    return lp.producer(asset, partitions=DAYS, inputs={"source": source}, code_version=version)(copy_of)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> lp.Lake:
    """Three elapsed days of ``source``; ``made``, computed from it; ``plain``, written by hand."""
    lake = frozen_lake(tmp_path_factory.mktemp("template") / "lake", at=NOW)
    lake.asset("source", partitions=DAYS).write(frame((1, 1), (2, 2), (3, 3)))
    lake.register(producer("1"))[FIRST:THIRD].backfill(progress=False)
    lake.asset("plain", partitions=DAYS).write(frame((1, 1)))
    return lake


@pytest.fixture
def lake(template, place) -> lp.Lake:
    lake = copied(template, place.url, catalog=place.catalog)
    lake.register(producer("1"))
    return lake


@pytest.fixture
def source(lake) -> lp.Asset:
    return lake.asset("source")


@pytest.fixture
def made(lake) -> lp.Asset:
    return lake.asset("made")


def reasons_of(asset: lp.Asset, **options) -> dict[str, str]:
    """Give the reasons of the stale partitions, by the day of the month."""
    status = asset.status(**options).query("data == 'stale'")
    return {key[-2:]: reasons for key, reasons in zip(status["key"], status["reasons"], strict=True)}


# What is expected


def test_what_has_elapsed_is_expected_and_anything_else_is_listed_only_where_it_is_there(lake) -> None:
    plain = lake.asset("plain")
    assert plain.status()[["key", "state"]].values.tolist() == [
        [FIRST, "fresh"],
        [SECOND, "missing"],
        [THIRD, "missing"],
    ]

    plain.write(frame((9, 9)))

    assert plain.status()["key"].tolist() == [FIRST, SECOND, THIRD, "2024-01-09"]
    assert plain.status(as_of=datetime(2024, 1, 2, tzinfo=UTC))["key"].tolist() == [FIRST, "2024-01-09"]
    clock_of(lake).advance(timedelta(hours=12))
    assert plain.status()["key"].tolist() == [FIRST, SECOND, THIRD, FOURTH, "2024-01-09"]


@pytest.mark.in_a_folder
def test_named_partitions_are_always_listed(lake) -> None:
    assert lake.asset("plain")[SECOND:"2024-01-20"].status()["state"].tolist() == ["missing"] * 19
    assert lake.asset("plain")[THIRD:].status()["key"].tolist() == [THIRD]


@pytest.mark.in_a_folder
def test_what_is_expected_goes_by_the_zone_of_the_definition(lake) -> None:
    kiritimati = lake.asset("early", partitions=lp.Daily("2024-01-01", tz="Pacific/Kiritimati"))
    midway = lake.asset("late", partitions=lp.Daily("2024-01-01", tz="Pacific/Midway"))

    assert kiritimati.status()["key"].tolist()[-1] == FOURTH  # there it is 02:00 on January 5th
    assert midway.status()["key"].tolist()[-1] == THIRD


@pytest.mark.in_a_folder
def test_a_status_has_every_figure_of_what_is_there(lake) -> None:
    row = lake.asset("made")[FIRST].status().iloc[0]

    assert (row["state"], row["data"], row["work"], row["reasons"], row["error"]) == ("fresh", "fresh", None, "", None)
    assert (row["rows"], row["files"], row["tier"], row["code_version"]) == (1, 1, "hot", "1")
    assert row["bytes"] == lake.asset("made")[FIRST].files()["bytes"].sum()
    assert row["written_at"].to_pydatetime() - NOW < timedelta(seconds=1)


def test_the_status_of_a_lake_counts_partitions_of_every_asset(lake, source) -> None:
    source.write(frame((1, 11)), FIRST)
    source.write(frame(), SECOND)

    status = lake.status().set_index("asset")

    counts = status[["fresh", "stale", "empty", "missing", "failed", "running", "rows"]]
    assert counts.loc["source"].tolist() == [2, 0, 1, 0, 0, 0, 2]
    assert counts.loc["made"].tolist() == [1, 2, 0, 0, 0, 0, 3]
    assert counts.loc["plain"].tolist() == [1, 0, 0, 2, 0, 0, 1]


@pytest.mark.in_a_folder
def test_static_and_unpartitioned_assets_expect_all_their_keys(lake) -> None:
    assert lake.asset("keyed", partitions=lp.Static(["b", "a"])).status()["key"].tolist() == ["b", "a"]
    assert lake.asset("whole", partitions=lp.Unpartitioned()).missing().keys == ["all"]


# (a) code


def test_what_another_code_version_made_is_stale(lake, made) -> None:
    assert reasons_of(made) == {}

    lake.register(producer("2"))

    assert reasons_of(made) == dict.fromkeys(("01", "02", "03"), "code version 1, now 2")
    assert made.stale().keys == [FIRST, SECOND, THIRD]


@pytest.mark.in_a_folder
def test_going_back_to_the_old_code_makes_what_it_made_fresh(lake, made) -> None:
    lake.register(producer("2"))
    made[FIRST].backfill(progress=False)

    lake.register(producer("1"))

    assert reasons_of(made) == {"01": "code version 2, now 1"}


@pytest.mark.in_a_folder
def test_a_producer_without_code_version_makes_nothing_stale(lake, made) -> None:
    lake.register(producer(None))

    assert reasons_of(made) == {}


# (b) inputs


def test_a_partition_is_stale_once_its_own_input_has_other_content(source, made) -> None:
    source.write(frame((2, 22)), SECOND)

    assert reasons_of(made) == {"02": "input source changed"}


@pytest.mark.parametrize("change", ["appended", "emptied", "vanished"])
def test_any_change_of_an_input_counts(source, made, change) -> None:
    if change == "appended":
        source.append(frame((2, 2)))
    elif change == "emptied":
        source.write(frame(), SECOND)
    else:
        source[SECOND].rollback(to=0)

    assert reasons_of(made) == {"02": "input source changed"}


@pytest.mark.in_a_folder
def test_an_input_that_appeared_counts(lake, source, made) -> None:
    clock_of(lake).advance(timedelta(days=1))
    made.write(frame((4, 4)), FOURTH, inputs={"source": source[FOURTH]}, code_version="1")
    assert reasons_of(made) == {}

    source.write(frame((4, 4)))

    assert reasons_of(made) == {"04": "input source changed"}


@pytest.mark.in_a_folder
def test_an_input_that_is_as_it_was_again_is_no_reason(source, made) -> None:
    source.write(frame((2, 22)), SECOND)
    source.write(frame((2, 2)), SECOND)

    assert reasons_of(made) == {}


def test_equal_content_again_makes_nothing_stale(source, made) -> None:
    commit = source.write(frame((1, 1), (2, 2), (3, 3)), if_exists="replace")

    assert commit.partitions == 3
    assert reasons_of(made) == {}


@pytest.mark.in_a_folder
def test_the_same_numbers_in_another_column_are_other_content(source, made) -> None:
    with pytest.warns(RuntimeWarning, match="no longer goes by 'x'"):
        source.alter(drop=["x"], add={"y": pa.int64()})
    source.write(frame((1, 1)).rename_columns(["day", "y"]), FIRST)

    assert made.stale().keys == [FIRST]


@pytest.mark.in_a_folder
def test_the_same_rows_in_a_renamed_column_are_the_same_content(source, made) -> None:
    with pytest.warns(RuntimeWarning, match="no longer goes by 'x'"):
        source.alter(rename={"x": "y"})
    source.write(frame((1, 1)).rename_columns(["day", "y"]), FIRST)

    assert made.stale().keys == []


def test_moves_make_nothing_stale(source, made) -> None:
    source.demote("cold", progress=False)
    made.demote("cold", progress=False)
    source[FIRST].promote(progress=False)

    assert reasons_of(made) == reasons_of(source) == {}


def test_a_range_of_inputs_is_watched_as_a_whole(lake, source) -> None:
    summary = lake.asset("summary", partitions=lp.Unpartitioned())
    summary.write(pa.table({"x": [3]}), "all", inputs={"source": source[FIRST:SECOND]})

    source.write(frame((3, 33)), THIRD)
    assert reasons_of(summary) == {}

    source.write(frame((2, 22)), SECOND)
    assert reasons_of(summary) == {"ll": "input source changed"}


@pytest.mark.in_a_folder
def test_content_that_moved_to_another_partition_is_a_change(lake) -> None:
    keyed = lake.asset("keyed", partitions=lp.Static(["a", "b"]))
    before = keyed.write(pa.table({"x": [1]}), "a").snapshot - 1
    whole = lake.asset("whole", partitions=lp.Unpartitioned())
    whole.write(pa.table({"x": [1]}), "all", inputs={"keyed": keyed["a":"b"]})

    keyed.write(pa.table({"x": [1]}), "b")
    keyed["a"].rollback(to=before)

    assert keyed.keys == ["b"]
    assert reasons_of(whole) == {"ll": "input keyed changed"}


@pytest.mark.in_a_folder
def test_every_input_that_changed_is_named(lake, source) -> None:
    other = lake.asset("plain")
    joined = lake.asset("joined", partitions=DAYS)
    joined.write(frame((1, 1)), FIRST, inputs={"left": source[FIRST], "right": other[FIRST]})

    source.write(frame((1, 11)), FIRST)
    other.write(frame((1, 11)), FIRST)

    assert sorted(reasons_of(joined)["01"].split("; ")) == ["input plain changed", "input source changed"]


# (c) early


def test_a_version_written_before_its_window_closed_is_early(lake) -> None:
    plain = lake.asset("plain")
    plain.write(frame((4, 4)), FOURTH)
    assert reasons_of(plain) == {"04": "early: written before the window was complete"}

    clock_of(lake).advance(timedelta(hours=12))
    assert plain.stale().keys == [FOURTH]

    plain.write(frame((4, 4)), FOURTH)
    assert reasons_of(plain) == {}


@pytest.mark.in_a_folder
@pytest.mark.parametrize(("hours", "early"), [(11.99, set()), (12, set()), (12.01, {"03"})])
def test_a_window_is_complete_only_after_the_time_its_data_may_take(lake, hours, early) -> None:
    late = lake.asset("late", partitions=DAYS, complete_after=timedelta(hours=hours))

    late.write(frame((2, 2), (3, 3)))

    assert set(reasons_of(late)) == early


@pytest.mark.in_a_folder
def test_the_end_of_a_window_goes_by_its_zone(lake) -> None:
    zoned = lake.asset("zoned", partitions=lp.Daily("2024-01-01", tz="America/Los_Angeles"))
    clock_of(lake).advance(timedelta(hours=20, microseconds=-10))  # shortly before midnight there

    zoned.write({THIRD: pa.table({"x": [1]}), FOURTH: pa.table({"x": [1]})})

    assert set(reasons_of(zoned)) == {"04"}


@pytest.mark.in_a_folder
def test_what_is_early_stays_early_when_it_is_published_appended_to_in_time_or_brought_back(lake) -> None:
    with lake.create_branch("draft") as branch:
        branch.asset("plain").write(frame((4, 4)), FOURTH)
    clock_of(lake).advance(timedelta(days=1))
    branch.publish()
    plain = lake.asset("plain")
    published = int(lake.snapshots()["snapshot"][0])
    assert set(reasons_of(plain)) == {"04"}

    plain.write(frame((4, 44)), FOURTH)
    assert reasons_of(plain) == {}

    plain[FOURTH].rollback(to=published)
    assert set(reasons_of(plain)) == {"04"}


# (d) by hand


def test_a_mark_holds_until_the_partition_is_rewritten(lake) -> None:
    plain = lake.asset("plain")

    assert plain[FIRST:SECOND].mark_stale("wrong tax table") == 1

    assert reasons_of(plain) == {"01": "marked: wrong tax table"}
    assert plain.explain()["text"].str.contains("wrong tax table").any()
    plain.write(frame((1, 1)), FIRST)
    assert reasons_of(plain) == {}


@pytest.mark.in_a_folder
def test_a_mark_stays_with_its_content(lake) -> None:
    plain = lake.asset("plain")
    plain[FIRST].mark_stale("bad")
    marked = int(lake.snapshots()["snapshot"][0])

    plain.append(frame((1, 2)))
    assert reasons_of(plain) == {"01": "marked: bad"}

    plain.write(frame((1, 5)), FIRST)
    plain[FIRST].rollback(to=marked)
    assert reasons_of(plain) == {"01": "marked: bad"}


@pytest.mark.in_a_folder
def test_a_mark_on_a_branch_is_published_with_what_it_is_on(lake) -> None:
    branch = lake.create_branch("draft")
    branch.asset("plain").write(frame((2, 2)))
    assert branch.asset("plain").mark_stale("draft only") == 1

    branch.publish()

    assert reasons_of(lake.asset("plain")) == {"02": "marked: draft only"}


@pytest.mark.in_a_folder
def test_all_reasons_are_given_together(lake, source, made) -> None:
    lake.register(producer("2"))
    source.write(frame((1, 11)), FIRST)
    made[FIRST].mark_stale("me too")

    assert reasons_of(made)["01"] == "code version 1, now 2; marked: me too; input source changed"


# What is never stale


@pytest.mark.in_a_folder
def test_a_plain_write_is_never_stale_whatever_its_producer_is_now(lake, source) -> None:
    plain = lake.asset("plain")
    lake.register(producer("7", asset="plain"))
    source.write(frame((1, 11)), FIRST)

    assert reasons_of(plain) == {}
    assert plain[FIRST].status()["state"].tolist() == ["fresh"]


@pytest.mark.in_a_folder
def test_a_known_empty_partition_can_be_stale_like_any_other(lake, source, made) -> None:
    source.write(frame(), FIRST)
    made[FIRST].backfill(progress=False)
    assert made[FIRST].status()["state"].tolist() == ["empty"]

    source.write(frame((1, 1)), FIRST)

    assert made[FIRST].status()[["data", "rows"]].values.tolist() == [["stale", 0]]


@pytest.mark.in_a_folder
def test_appending_keeps_what_the_rows_were_made_from(source, made) -> None:
    made.append(frame((1, 1)))
    assert reasons_of(made) == {}

    source.write(frame((1, 11)), FIRST)

    assert reasons_of(made) == {"01": "input source changed"}


# Above what is stale


@pytest.fixture
def above(lake) -> lp.Asset:
    asset = lake.register(producer("1", asset="above", source="made"))
    asset[FIRST:THIRD].backfill(progress=False)
    return asset


@pytest.mark.in_a_folder
def test_staleness_is_not_passed_on_but_remarked(source, made, above) -> None:
    source.write(frame((2, 22)), SECOND)

    status = above.status()
    assert status["state"].tolist() == ["fresh"] * 3
    assert status["reasons"].tolist() == ["", "upstream-stale: made", ""]
    assert above.plan_backfill().targets == ()


@pytest.mark.in_a_folder
def test_computing_upstream_again_turns_the_remark_into_a_reason(source, made, above) -> None:
    source.write(frame((2, 22)), SECOND)

    made[SECOND].backfill(progress=False)

    assert reasons_of(made) == {}
    assert reasons_of(above) == {"02": "input made changed"}


@pytest.mark.in_a_folder
def test_the_remark_is_not_passed_on_further(lake, source, made, above) -> None:
    top = lake.register(producer("1", asset="top", source="above"))
    top[FIRST:THIRD].backfill(progress=False)

    source.write(frame((2, 22)), SECOND)

    assert top.status()["reasons"].tolist() == ["", "", ""]


@pytest.mark.in_a_folder
def test_a_whole_above_stale_partitions_says_so(lake, source, made) -> None:
    whole = lake.asset("whole", partitions=lp.Unpartitioned())
    whole.write(pa.table({"x": [1]}), "all", inputs={"made": made[FIRST:SECOND]})

    source.write(frame((3, 33)), THIRD)
    assert whole.status()["reasons"].tolist() == [""]

    source.write(frame((2, 22)), SECOND)
    assert whole.status()[["state", "reasons"]].values.tolist() == [["fresh", "upstream-stale: made"]]


# On branches and in the past


@pytest.mark.in_a_folder
def test_a_branch_judges_by_what_it_shows(lake, source, made) -> None:
    branch = lake.create_branch("draft")

    branch.asset("source").write(frame((1, 11)), FIRST)
    source.write(frame((2, 22)), SECOND)

    assert set(reasons_of(branch.asset("made"))) == {"01"}
    assert set(reasons_of(made)) == {"02"}


def test_a_publication_keeps_what_its_partitions_were_made_from(lake, source, made) -> None:
    branch = lake.create_branch("draft")
    branch.asset("source").write(frame((1, 11)), FIRST)
    branch.asset("made")[FIRST].backfill(progress=False)
    branch.publish()
    assert reasons_of(made) == {}
    assert made[FIRST].status()["code_version"].tolist() == ["1"]

    source.write(frame((1, 1)), FIRST)

    assert set(reasons_of(made)) == {"01"}


def test_inputs_that_moved_on_main_do_not_block_a_publication_and_leave_it_stale(lake, source, made) -> None:
    branch = lake.create_branch("draft")
    branch.asset("made")[FIRST].backfill(which="all", progress=False)
    source.write(frame((1, 11)), FIRST)

    with pytest.warns(UserWarning, match="Published, but stale.*source"):
        branch.publish()

    assert set(reasons_of(made)) == {"01"}


def test_the_past_is_judged_by_its_own_inputs_and_its_own_time(lake, source) -> None:
    snapshot = int(lake.snapshots()["snapshot"][0])
    source.write(frame((1, 11)), FIRST)
    clock_of(lake).advance(timedelta(days=30))

    then = lake.at(snapshot).asset("made").status()

    assert then["state"].tolist() == ["fresh"] * 3
    assert lake.at(0).asset("made").status()["state"].tolist() == ["missing"] * 3


def test_rolling_back_brings_back_what_the_content_was_made_from(lake, source, made) -> None:
    snapshot = int(lake.snapshots()["snapshot"][0])
    source.write(frame((1, 11)), FIRST)
    made[FIRST].backfill(progress=False)
    assert reasons_of(made) == {}

    made[FIRST].rollback(to=snapshot)

    assert reasons_of(made) == {"01": "input source changed"}


# Explaining


def test_an_explanation_tells_content_reasons_and_inputs(lake, source, made) -> None:
    lake.register(producer("2"))
    source.write(frame((1, 11)), FIRST)

    told = made[FIRST].explain()

    assert told["about"].tolist() == ["content", "code", "input", "made from"]
    text = told["text"].tolist()
    assert text[0].startswith("1 row in 1 file on hot, written 2024-01-04 12:00:00 UTC by code version 1 (snapshot ")
    assert text[1:3] == ["code version 1, now 2", "input source changed"]
    assert text[3] == f"source {FIRST} as of snapshot 1 (the same key)"


@pytest.mark.in_a_folder
def test_an_explanation_of_what_is_missing_or_empty_says_so(lake) -> None:
    plain = lake.asset("plain")
    plain.write(frame(), SECOND)

    text = plain[SECOND:THIRD].explain()["text"].tolist()

    assert text[0].startswith("known to be empty in 0 files")
    assert text[1] == "nothing was ever committed, or it was removed"


@pytest.mark.in_a_folder
def test_every_answer_by_the_clock_takes_the_instant_to_answer_for(lake, made) -> None:
    latest = lp.producer(
        "latest", partitions=lp.Static(["one"]), inputs={"source": lp.Input("source", lp.LastPartition())}
    )
    asset = lake.register(latest(copy_of))
    asset.backfill(progress=False)
    earlier, later = NOW - timedelta(days=2), NOW + timedelta(days=2)

    assert [lake.status(as_of=one).set_index("asset").loc["made", "missing"] for one in (earlier, later)] == [0, 2]
    assert [len(made.explain(one)["key"].unique()) for one in (earlier, later)] == [3, 5]
    assert [asset.stale(as_of=one).keys for one in (NOW, earlier)] == [[], ["one"]]
