"""Partitions in archive classes: refused before a byte is asked for, skipped on request, restored, promoted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import lakepart as lp
from lakepart.model.records import TierRecord
from lakepart.storage.s3 import S3Store
from lakepart.testing import clock_of, frozen_lake, reopened, with_stores
from lakepart.testing.strict_s3 import StrictS3

NOW = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]
HOURS = pd.date_range(DAYS[0], periods=24 * len(DAYS), freq="h", tz="UTC")
ROWS = pd.DataFrame({"time_hour": HOURS, "delay": range(24 * len(DAYS))})


class Archived:
    """A lake with a hot tier and one that is an archive, both in a strict S3 on the lake's own clock."""

    def __init__(self, folder, storage_class="GLACIER"):
        self.storage_class = storage_class
        tiers = [TierRecord("hot", "hot"), TierRecord("archive", "archive", storage_class, 1)]
        lake = frozen_lake(folder, at=NOW, tiers=tiers)
        self.clock = clock_of(lake)
        self.s3 = StrictS3(self.clock)
        self.lake = self.on_this_s3(lake)
        self.flights = self.lake.asset("flights", partitions=lp.Daily(DAYS[0], by="time_hour"))
        self.flights.write(ROWS)

    def on_this_s3(self, lake):
        bucket, classes = self.s3.make_bucket("lakes"), {"hot": None, "archive": self.storage_class}
        return with_stores(
            lake,
            {
                tier: S3Store(f"{bucket}/{tier}", client=self.s3.client, storage_class=storage_class)
                for tier, storage_class in classes.items()
            },
        )

    def archive(self, *keys):
        for key in keys:
            self.flights[key].demote("archive", progress=False)
        self.s3.calls.clear()

    def move_to_class(self, tier, key, **status):
        for stored in self.stored_keys():
            if stored.startswith(f"{tier}/flights/partition={key}/"):
                self.s3.move_to_class("lakes", stored, self.storage_class, **status)

    def stored_keys(self):
        return [one["Key"] for one in self.s3.client().list_objects_v2(Bucket="lakes")["Contents"]]

    def passes(self, **time):
        self.clock.advance(timedelta(**time))


@pytest.fixture
def archived(tmp_path):
    lake = Archived(tmp_path / "lake")
    lake.archive(*DAYS[:2])
    return lake


@lp.producer("delays", partitions=lp.Daily(DAYS[0]), inputs={"flights": "flights"}, code_version="1")
def delays(part, flights):
    return pd.DataFrame({"total": [int(flights.to_pandas()["delay"].sum())]})


class TestReads:
    @pytest.mark.parametrize(
        "read",
        [
            lambda selection: selection.to_pandas(),
            lambda selection: selection.to_arrow(["delay"]),
            lambda selection: selection.to_polars(),
            lambda selection: list(selection.to_batches()),
            lambda selection: selection.dataset(),
            lambda selection: selection.head(30),
            lambda selection: selection.resolve().to_pandas(),
        ],
        ids=["pandas", "arrow", "polars", "batches", "dataset", "head", "resolved"],
    )
    def test_an_offline_partition_is_refused_before_a_byte_is_asked_for(self, archived, read):
        with pytest.raises(lp.OfflineDataError, match=r"2 partitions of 'flights'.*2026-01-01, 2026-01-02") as caught:
            read(archived.flights[DAYS[0] : DAYS[3]])

        assert archived.s3.count("get_object") == 0
        assert archived.s3.count() == archived.s3.count("head_object") == 2
        found = caught.value.context
        assert (found["partitions"], found["tiers"], found["files"]) == (DAYS[:2], ["archive"], 2)
        assert found["bytes"] == archived.flights[DAYS[:2]].files()["bytes"].sum()
        assert found["restore_hours"] == {"Bulk": 12.0, "Standard": 5.0, "Expedited": 5 / 60}

    def test_what_is_not_offline_is_read_without_a_look(self, archived):
        frame = archived.flights[DAYS[2] : DAYS[3]].to_pandas()

        assert len(frame) == 48
        assert archived.s3.count("head_object", "list_objects_v2") == 0

    def test_a_filter_that_no_offline_file_can_match_reads_the_others(self, archived):
        frame = archived.flights[DAYS[0] : DAYS[3]].to_pandas(filter=[("delay", ">=", 48)])

        assert len(frame) == 48
        assert archived.s3.count("head_object") == 0

    def test_skipping_warns_and_names_the_partitions_left_out(self, archived):
        with pytest.warns(lp.PartialReadWarning, match=r"without 2 partitions.*2026-01-01, 2026-01-02") as caught:
            frame = archived.flights[DAYS[0] : DAYS[3]].to_pandas(offline="skip")

        assert sorted(frame["delay"]) == list(range(48, 96))
        assert not [
            key for operation, key in archived.s3.calls if operation == "get_object" and key.startswith("archive/")
        ]
        assert caught[0].filename == __file__

    def test_a_partition_with_one_offline_file_is_skipped_whole(self, archived):
        archived.flights.append(ROWS[:3])

        with pytest.warns(lp.PartialReadWarning, match=r"without 1 partition"):
            frame = archived.flights[[DAYS[0], DAYS[2]]].to_pandas(offline="skip")

        assert sorted(frame["delay"]) == list(range(48, 72))

    def test_a_plan_names_what_may_be_offline_without_a_look(self, archived):
        plan = archived.flights[DAYS[1] : DAYS[3]].plan_read()

        assert plan.offline == (DAYS[1],)
        assert "to be restored first, unless they are: 2026-01-02" in str(plan)
        assert archived.s3.calls == []

    def test_another_word_than_error_and_skip_is_refused(self, archived):
        with pytest.raises(lp.InvalidInputError, match=r"'error', 'skip'"):
            archived.flights[DAYS[0]].to_pandas(offline="ignore")

    def test_counts_and_status_need_no_bytes(self, archived):
        assert archived.flights[DAYS[0] : DAYS[3]].count_rows() == 96
        assert list(archived.flights.status()["tier"])[:3] == ["archive", "archive", "hot"]
        assert archived.s3.calls == []


class TestFilesThatSomebodyElseArchived:
    @pytest.mark.parametrize(
        "read",
        [
            lambda flights: flights[DAYS[2] : DAYS[3]].to_pandas(),
            lambda flights: list(flights[DAYS[2] : DAYS[3]].to_batches()),
            lambda flights: flights[DAYS[3]].delete([("delay", "==", 80)]),
            lambda flights: flights.upsert(ROWS[80:81], on=["time_hour"]),
        ],
        ids=["pandas", "batches", "delete", "upsert"],
    )
    def test_the_error_names_the_partition_after_one_look(self, archived, read):
        archived.move_to_class("hot", DAYS[3])
        before = archived.stored_keys()
        archived.s3.calls.clear()

        with pytest.raises(lp.OfflineDataError, match=r"'flights'.*on hot \(GLACIER\).*2026-01-04") as caught:
            read(archived.flights)

        assert caught.value.context["partitions"] == [DAYS[3]]
        assert [operation for operation, key in archived.s3.calls if key in before].count("head_object") == 1
        assert archived.stored_keys() == before

    def test_a_compaction_names_the_partition_too(self, archived):
        archived.flights.append(ROWS[72:75])
        archived.move_to_class("hot", DAYS[3])

        with pytest.raises(lp.OfflineDataError, match=r"2026-01-04"):
            archived.flights[DAYS[3]].compact(progress=False)

    def test_they_can_be_skipped(self, archived):
        archived.move_to_class("hot", DAYS[3])

        with pytest.warns(lp.PartialReadWarning, match=r"2026-01-04"):
            frame = archived.flights[DAYS[2] : DAYS[3]].to_pandas(offline="skip")

        assert len(frame) == 24

    def test_the_archives_of_intelligent_tiering_are_seen_too(self, archived):
        archived.storage_class = "INTELLIGENT_TIERING"
        archived.move_to_class("hot", DAYS[3], archive_status="ARCHIVE_ACCESS")

        with pytest.raises(lp.OfflineDataError, match=r"2026-01-04"):
            archived.flights[DAYS[3]].to_pandas()
        assert archived.flights[DAYS[3]].restore().asked == 1
        archived.passes(hours=12)
        assert len(archived.flights[DAYS[3]].to_pandas()) == 24

    def test_check_names_them_by_the_listing_alone(self, archived):
        archived.move_to_class("hot", DAYS[3])

        (found,) = archived.lake.check()

        assert (found.kind, found.severity) == ("archived-file", "notice")
        assert DAYS[3] in found.subject
        assert archived.s3.count("head_object", "get_object") == 0


class TestRestores:
    def test_what_was_restored_is_read_until_its_copy_ends(self, archived):
        selection = archived.flights[DAYS[:2]]

        report = selection.restore(days=2)

        assert (report.asked, report.restoring, report.readable) == (2, 0, 0)
        with pytest.raises(lp.OfflineDataError, match=r"Being restored already: 2026-01-01, 2026-01-02"):
            selection.to_pandas()
        archived.passes(hours=12)
        assert len(selection.to_pandas()) == 48
        archived.passes(days=3)
        with pytest.raises(lp.OfflineDataError):
            selection.to_pandas()

    def test_asking_again_tells_how_far_it_is_and_asks_for_nothing_twice(self, archived):
        selection = archived.flights[DAYS[0] : DAYS[3]]
        selection.restore(days=3)

        during = selection.restore(days=3)
        archived.passes(hours=12)
        asked_before = archived.s3.count("restore_object")
        after = selection.restore(days=1)

        assert (during.asked, during.restoring, during.readable) == (0, 2, 2)
        assert (after.asked, after.restoring, after.readable) == (0, 0, 4)
        assert after.until == datetime(2026, 2, 4, tzinfo=UTC)
        assert archived.s3.count("restore_object") == asked_before == 2
        assert "readable already: 4 files, the first until 2026-02-04" in str(after)

    def test_more_days_are_asked_for_and_fewer_shorten_nothing(self, archived):
        selection = archived.flights[DAYS[0]]
        selection.restore(days=3, speed="Standard")
        archived.passes(hours=5)

        assert selection.restore(days=10).asked == 1
        assert selection.restore(days=1).until == datetime(2026, 2, 11, tzinfo=UTC)

    def test_a_faster_restore_takes_the_place_of_a_slower_one(self, archived):
        selection = archived.flights[DAYS[0]]
        selection.restore(speed="Bulk")

        assert selection.restore(speed="Standard").asked == 1
        assert selection.restore(speed="Standard").restoring == 1
        archived.passes(hours=5)
        assert len(selection.to_pandas()) == 24

    def test_a_plan_says_what_and_how_long_and_asks_for_nothing(self, archived):
        plan = archived.flights[DAYS[0] : DAYS[3]].plan_restore(days=3, speed="Standard")

        assert archived.s3.count("restore_object") == 0
        assert str(plan).startswith("Restore 2 partitions of flights, 2 files, ")
        assert "for 3 days by speed Standard: 2026-01-01, 2026-01-02" in str(plan)
        assert "readable after at most 5 hours" in str(plan)
        assert plan.to_dict()["hours"] == 5.0
        assert archived.lake.apply(plan).asked == 2

    def test_a_speed_that_the_archive_has_not_is_refused_and_nothing_is_asked_for(self, tmp_path):
        deep = Archived(tmp_path / "lake", "DEEP_ARCHIVE")
        deep.archive(DAYS[0])

        with pytest.raises(lp.InvalidInputError, match=r"DEEP_ARCHIVE.*'Standard' and 'Bulk'"):
            deep.flights[DAYS[0]].restore(speed="Expedited")

        assert deep.s3.count("restore_object") == 0
        assert deep.flights[DAYS[0]].plan_restore().hours == 48.0

    @pytest.mark.parametrize(
        ("options", "said"),
        [({"days": 0}, "at least one"), ({"days": 2.5}, "whole number"), ({"speed": "bulk"}, "did you mean 'Bulk'")],
    )
    def test_bad_options_are_refused_before_a_look(self, archived, options, said):
        with pytest.raises(lp.InvalidInputError, match=said):
            archived.flights[DAYS[0]].restore(**options)

        assert archived.s3.calls == []

    def test_files_in_folders_are_readable_already(self, tmp_path):
        lake = frozen_lake(tmp_path / "lake")
        flights = lake.asset("flights", partitions=lp.Daily(DAYS[0], by="time_hour"))
        flights.write(ROWS)

        report = flights[DAYS[0] : DAYS[3]].restore()

        assert (report.asked, report.readable, report.until) == (0, 4, None)

    def test_a_read_only_handle_asks_for_nothing(self, archived, tmp_path):
        lake = archived.on_this_s3(lp.connect(tmp_path / "lake", read_only=True))

        with pytest.raises(lp.StateError, match=r"restore"):
            lake.asset("flights")[DAYS[0]].restore()

        assert archived.s3.count("restore_object") == 0

    def test_files_tell_their_availability_on_request(self, archived):
        archived.flights[DAYS[0]].restore(days=1)
        archived.passes(hours=12)
        archived.flights[DAYS[1]].restore(speed="Expedited")

        said = archived.flights[DAYS[0] : DAYS[2]].files(availability=True)["availability"]

        assert list(said) == ["restored until 2026-02-02T00:00:00+00:00", "restoring", "online"]
        assert "availability" not in archived.flights[DAYS[0]].files()


class TestOtherVerbs:
    def test_a_promotion_names_what_is_not_restored_before_anything_is_copied(self, archived):
        archived.flights[DAYS[0]].restore()
        archived.passes(hours=12)
        archived.s3.calls.clear()

        with pytest.raises(lp.OfflineDataError, match=r"1 partition of 'flights'.*2026-01-02.*nothing was copied"):
            archived.flights[DAYS[:2]].promote(progress=False)

        assert archived.s3.count("get_object", "put_object", "copy_object") == 0
        assert archived.flights[DAYS[0]].promote(progress=False).partitions == 1
        assert list(archived.flights[DAYS[0]].files()["tier"]) == ["hot"]

    def test_a_backfill_whose_inputs_are_offline_does_not_begin(self, archived):
        made = archived.lake.register(delays)
        wanted = made[DAYS[0] : DAYS[3]]

        assert "needed of flights but offline: 2026-01-01, 2026-01-02" in str(wanted.plan_backfill())
        with pytest.raises(lp.OfflineDataError, match=r"2026-01-01, 2026-01-02.*nothing was computed"):
            wanted.backfill(progress=False)

        assert archived.s3.count("get_object") == 0
        assert len(archived.lake.backfills()) == 0
        made[DAYS[2] : DAYS[3]].backfill(progress=False)
        archived.flights[DAYS[:2]].restore()
        archived.passes(hours=12)
        wanted.backfill(progress=False)
        assert list(made.status()["state"])[:4] == ["fresh"] * 4

    def test_an_order_that_meets_an_archived_input_is_not_tried_again(self, archived):
        made = archived.lake.register(delays)
        archived.move_to_class("hot", DAYS[3])

        with pytest.raises(lp.BackfillError, match=r"2026-01-04"):
            made[DAYS[2] : DAYS[3]].backfill(name="b", progress=False)

        assert list(archived.lake.backfill("b").status()["attempts"]) == [1, 1]

    def test_an_old_version_that_is_offline_is_replaced_without_a_restore(self, archived):
        archived.flights[DAYS[0]].write(ROWS[:24].assign(delay=7))

        assert set(archived.flights[DAYS[0]].to_pandas()["delay"]) == {7}

    def test_check_compares_sizes_and_says_whose_bytes_it_did_not_read(self, archived):
        assert archived.lake.check() == []

        (found,) = archived.lake.check(checksums=True)

        assert (found.kind, found.severity, found.subject) == ("unread-files", "notice", "archive")
        assert found.text.startswith("2 files on archive must be restored before they can be read")
        assert not [
            key for operation, key in archived.s3.calls if operation == "get_object" and key.startswith("archive/")
        ]
        archived.flights[DAYS[:2]].restore()
        archived.passes(hours=12)
        archived.s3.calls.clear()
        assert archived.lake.check(checksums=True) == []
        assert archived.s3.count("head_object") == 0  # the listing tells what is restored

    def test_a_file_that_is_gone_is_not_counted_as_readable(self, archived):
        (gone,) = [key for key in archived.stored_keys() if key.startswith("archive/") and DAYS[0] in key]
        before = archived.flights.plan_restore()
        archived.s3.client().delete_object(Bucket="lakes", Key=gone)

        plan = archived.flights.plan_restore()

        assert len(plan.files) == len(before.files) - 1
        assert plan.readable == before.readable

    def test_check_misses_an_offline_file_that_is_gone(self, archived):
        (gone,) = [key for key in archived.stored_keys() if key.startswith("archive/") and DAYS[0] in key]
        archived.s3.client().delete_object(Bucket="lakes", Key=gone)

        assert [found.kind for found in archived.lake.check()] == ["missing-file"]

    def test_vacuum_deletes_offline_files_without_a_restore(self, archived):
        archived.flights[DAYS[0]].write(ROWS[:24])
        for _ in range(2):  # forgets the version, and then deletes its file
            archived.passes(days=2)
            archived.lake.vacuum(retention=timedelta(hours=1))

        assert [DAYS[1] in key for key in archived.stored_keys() if key.startswith("archive/")] == [True]
        assert archived.lake.check() == []

    def test_a_reopened_lake_knows_its_offline_tiers(self, archived):
        lake = archived.on_this_s3(reopened(archived.lake))

        with pytest.raises(lp.OfflineDataError):
            lake.asset("flights")[DAYS[0]].to_pandas()


def test_a_first_tier_that_cannot_be_read_at_once_is_refused(tmp_path):
    with pytest.raises(lp.InvalidInputError, match=r"'hot' is the first.*'GLACIER'"):
        lp.create(tmp_path / "lake", tiers=[lp.Tier("hot", "s3://lakes/hot", storage_class="GLACIER")])

    assert not (tmp_path / "lake").exists()
