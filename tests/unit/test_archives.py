"""Availability as S3 tells it, and how long restores take."""

from datetime import UTC, datetime

import pytest

from lakepart.model.archives import ONLINE, Availability, AvailabilityState, format_hours, hours_by_speed, is_archived
from lakepart.storage.s3_availability import availability_of_head, availability_of_listed

UNTIL = datetime(2026, 2, 4, tzinfo=UTC)
DONE = 'ongoing-request="false", expiry-date="Wed, 04 Feb 2026 00:00:00 GMT"'


def _offline(archive):
    return Availability(AvailabilityState.OFFLINE, archive)


class TestHeads:
    @pytest.mark.parametrize(
        "storage_class", ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY"]
    )
    def test_cold_classes_that_are_read_at_once_are_online(self, storage_class):
        assert availability_of_head({"StorageClass": storage_class}) == ONLINE

    def test_standard_is_not_said_and_online(self):
        assert availability_of_head({}) == ONLINE

    @pytest.mark.parametrize("archive", ["GLACIER", "DEEP_ARCHIVE"])
    def test_the_class_alone_does_not_decide(self, archive):
        assert availability_of_head({"StorageClass": archive}) == _offline(archive)
        assert not _offline(archive).is_readable
        restored = availability_of_head({"StorageClass": archive, "Restore": DONE})
        assert restored == Availability(AvailabilityState.RESTORED, archive, UNTIL)
        assert restored.is_readable

    def test_a_restore_that_runs_is_not_readable(self):
        found = availability_of_head({"StorageClass": "GLACIER", "Restore": 'ongoing-request="true"'})

        assert found == Availability(AvailabilityState.RESTORING, "GLACIER")
        assert not found.is_readable

    def test_intelligent_tiering_has_archives_of_its_own(self):
        head = {"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"}

        assert availability_of_head(head) == _offline("DEEP_ARCHIVE_ACCESS")

    @pytest.mark.parametrize("storage_class", ["SNOW", "OUTPOSTS", "FSX_ONTAP"])
    def test_of_a_class_that_is_not_known_nothing_is_guessed(self, storage_class):
        assert availability_of_head({"StorageClass": storage_class}) is None
        assert availability_of_listed({"StorageClass": storage_class}) is None


class TestListings:
    def test_an_archive_without_a_restore_is_to_be_asked_for(self):
        assert availability_of_listed({"StorageClass": "GLACIER"}) is None
        assert availability_of_listed({"StorageClass": "INTELLIGENT_TIERING"}) is None

    def test_a_restore_is_told(self):
        running = {"StorageClass": "GLACIER", "RestoreStatus": {"IsRestoreInProgress": True}}
        done = {"IsRestoreInProgress": False, "RestoreExpiryDate": UNTIL}

        assert availability_of_listed(running) == Availability(AvailabilityState.RESTORING, "GLACIER")
        assert availability_of_listed({"StorageClass": "GLACIER", "RestoreStatus": done}) == Availability(
            AvailabilityState.RESTORED, "GLACIER", UNTIL
        )

    def test_other_classes_are_online(self):
        assert availability_of_listed({"StorageClass": "GLACIER_IR"}) == ONLINE
        assert availability_of_listed({}) == ONLINE


def test_several_archives_are_restored_when_the_slowest_is_by_the_speeds_that_all_have():
    assert hours_by_speed(["GLACIER"]) == {"Bulk": 12.0, "Standard": 5.0, "Expedited": 5 / 60}
    assert hours_by_speed(["GLACIER", "DEEP_ARCHIVE"]) == {"Bulk": 48.0, "Standard": 12.0}
    assert hours_by_speed([]) == hours_by_speed(["SNOW"]) == {}


def test_times_are_written_in_minutes_below_an_hour():
    assert [format_hours(hours) for hours in (5 / 60, 5.0, 48.0)] == ["5 minutes", "5 hours", "48 hours"]


def test_arrow_says_it_in_words_only():
    said = "When reading information for key 'a' in bucket 'lakes': AWS Error [code 136] during GetObject operation: "

    assert is_archived(OSError(f"{said}The operation is not valid for the object's storage class"))
    assert not is_archived(OSError("AWS Error ACCESS_DENIED during GetObject operation: ."))


@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "Access Denied"), OSError(5, "Input/output error"), ValueError("the storage class"), None],
)
def test_other_errors_are_not_taken_for_an_archive(error):
    assert not is_archived(error)
