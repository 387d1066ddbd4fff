"""What AWS's S3 does and other servers for tests do not; numbers and codes are those of its API reference."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, ParamValidationError, ReadTimeoutError

from lakepart.testing import FrozenClock
from lakepart.testing.strict_s3 import StrictS3

NOW = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
FOUR = 4


@pytest.fixture
def clock():
    return FrozenClock(NOW)


@pytest.fixture
def s3(clock):
    server = StrictS3(clock, smallest_part_bytes=FOUR, largest_copy_bytes=20, page_keys=3)
    server.make_bucket("lakes")
    return server


@pytest.fixture
def client(s3):
    return s3.client()


def _put(client, key="a", body=b"bytes", **arguments):
    return client.put_object(Bucket="lakes", Key=key, Body=body, **arguments)


def _read(client, key="a", **arguments):
    return client.get_object(Bucket="lakes", Key=key, **arguments)["Body"].read()


def _head(client, key="a", **arguments):
    return client.head_object(Bucket="lakes", Key=key, **arguments)


def _copy(client, key="b", source="a", **arguments):
    return client.copy_object(Bucket="lakes", Key=key, CopySource={"Bucket": "lakes", "Key": source}, **arguments)


def _restore(client, days=1, speed="Standard", key="a"):
    asked = {"GlacierJobParameters": {"Tier": speed}} | ({} if days is None else {"Days": days})
    return client.restore_object(Bucket="lakes", Key=key, RestoreRequest=asked)["ResponseMetadata"]["HTTPStatusCode"]


def _sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _refusal(call):
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"]


def _upload(client, parts, key="b", **arguments):
    upload = client.create_multipart_upload(Bucket="lakes", Key=key, ChecksumAlgorithm="SHA256", **arguments)
    named = {"Bucket": "lakes", "Key": key, "UploadId": upload["UploadId"]}
    sent = [
        client.upload_part(**named, PartNumber=number, Body=part, ChecksumSHA256=_sha256(part))
        for number, part in enumerate(parts, 1)
    ]
    return named, [
        {"PartNumber": number, "ETag": one["ETag"], "ChecksumSHA256": one["ChecksumSHA256"]}
        for number, one in enumerate(sent, 1)
    ]


class TestConditions:
    def test_what_is_there_is_not_overwritten_by_a_put_a_copy_or_a_completion_on_condition(self, client):
        _put(client)
        _put(client, "taken", b"old")
        named, parts = _upload(client, [b"part"], "taken")

        refusals = [
            _refusal(lambda: _put(client, "taken", b"new", IfNoneMatch="*")),
            _refusal(lambda: _copy(client, "taken", IfNoneMatch="*")),
            _refusal(
                lambda: client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
            ),
        ]

        assert refusals == ["PreconditionFailed"] * 3
        assert _read(client, "taken") == b"old"

    def test_writes_copies_and_deletions_on_an_old_etag_are_refused(self, client):
        _put(client)
        old = _head(client)["ETag"]
        _put(client, body=b"newer")

        refusals = [
            _refusal(lambda: _put(client, IfMatch=old)),
            _refusal(lambda: _copy(client, CopySourceIfMatch=old)),
            _refusal(lambda: client.delete_object(Bucket="lakes", Key="a", IfMatch=old)),
        ]

        assert refusals == ["PreconditionFailed"] * 3
        assert _read(client) == b"newer"
        assert _copy(client, CopySourceIfMatch=_head(client)["ETag"])

    def test_a_part_of_a_source_that_changed_is_not_copied(self, client):
        _put(client)
        old = _head(client)["ETag"]
        _put(client, body=b"newer")
        named, _ = _upload(client, [])

        code = _refusal(
            lambda: client.upload_part_copy(**named, PartNumber=1, CopySource="lakes/a", CopySourceIfMatch=old)
        )

        assert code == "PreconditionFailed"


class TestArchives:
    @pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
    def test_an_archived_object_is_not_read_or_copied_whole_or_in_parts(self, client, storage_class):
        _put(client, StorageClass=storage_class)
        named, _ = _upload(client, [])

        assert _refusal(lambda: _read(client)) == "InvalidObjectState"
        assert _refusal(lambda: _read(client, Range="bytes=0-1")) == "InvalidObjectState"
        assert _refusal(lambda: _copy(client)) == "ObjectNotInActiveTierError"
        part = _refusal(lambda: client.upload_part_copy(**named, PartNumber=1, CopySource="lakes/a"))
        assert part == "InvalidObjectState"
        assert _head(client)["StorageClass"] == storage_class

    @pytest.mark.parametrize("storage_class", ["STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "INTELLIGENT_TIERING"])
    def test_cold_classes_that_are_online_are_read_at_once_and_not_restored(self, client, storage_class):
        _put(client, StorageClass=storage_class)

        assert _read(client) == b"bytes"
        assert _refusal(lambda: _restore(client)) == "InvalidObjectState"

    @pytest.mark.parametrize(
        ("storage_class", "speed", "hours"),
        [
            ("GLACIER", "Expedited", 5 / 60),
            ("GLACIER", "Standard", 5),
            ("GLACIER", "Bulk", 12),
            ("DEEP_ARCHIVE", "Standard", 12),
            ("DEEP_ARCHIVE", "Bulk", 48),
        ],
    )
    def test_a_restore_takes_its_hours(self, client, clock, storage_class, speed, hours):
        _put(client, StorageClass=storage_class)

        assert _restore(client, 2, speed) == 202
        clock.advance(timedelta(hours=hours) - timedelta(seconds=1))
        assert _head(client)["Restore"] == 'ongoing-request="true"'
        assert _refusal(lambda: _read(client)) == "InvalidObjectState"
        clock.advance(timedelta(seconds=1))

        assert _read(client) == b"bytes"
        assert _head(client)["StorageClass"] == storage_class

    def test_a_restored_copy_ends_at_the_midnight_after_its_days(self, client, clock):
        _put(client, StorageClass="GLACIER")
        _restore(client, 3)
        clock.advance(timedelta(hours=5))

        assert _head(client)["Restore"] == 'ongoing-request="false", expiry-date="Wed, 04 Feb 2026 00:00:00 GMT"'
        clock.advance(datetime(2026, 2, 3, 23, 59, tzinfo=UTC) - clock())
        assert _read(client) == b"bytes"
        clock.advance(timedelta(minutes=1))
        assert _refusal(lambda: _read(client)) == "InvalidObjectState"
        assert "Restore" not in _head(client)
        assert _restore(client) == 202

    def test_a_second_restore_is_refused_while_one_runs_unless_it_is_faster(self, client, clock):
        _put(client, StorageClass="GLACIER")
        _restore(client, speed="Bulk")

        assert _refusal(lambda: _restore(client, speed="Bulk")) == "RestoreAlreadyInProgress"
        assert _restore(client, speed="Standard") == 202
        clock.advance(timedelta(hours=5))
        assert _read(client) == b"bytes"

    def test_a_restore_of_what_is_restored_counts_its_days_from_now(self, client, clock):
        _put(client, StorageClass="GLACIER")
        _restore(client, 1)
        clock.advance(timedelta(hours=6))

        assert _restore(client, 10) == 200
        assert 'expiry-date="Wed, 11 Feb 2026 00:00:00 GMT"' in _head(client)["Restore"]

    @pytest.mark.parametrize(
        ("storage_class", "days", "speed", "code"),
        [
            ("DEEP_ARCHIVE", 1, "Expedited", "InvalidArgument"),
            ("GLACIER", 0, "Standard", "InvalidArgument"),
            ("GLACIER", -1, "Standard", "InvalidArgument"),
            ("GLACIER", None, "Standard", "MalformedXML"),
            ("STANDARD", 1, "Standard", "InvalidObjectState"),
        ],
    )
    def test_restores_that_make_no_sense_are_refused(self, client, storage_class, days, speed, code):
        _put(client, StorageClass=storage_class)

        assert _refusal(lambda: _restore(client, days, speed)) == code

    def test_a_listing_tells_restores_if_it_is_asked(self, client, clock):
        for key in ("archived", "restored", "restoring"):
            _put(client, key, StorageClass="GLACIER")
        _restore(client, key="restored")
        clock.advance(timedelta(hours=6))
        _restore(client, key="restoring")

        asked = client.list_objects_v2(Bucket="lakes", OptionalObjectAttributes=["RestoreStatus"])["Contents"]

        assert [one.get("RestoreStatus") for one in asked] == [
            None,
            {"IsRestoreInProgress": False, "RestoreExpiryDate": datetime(2026, 2, 2, tzinfo=UTC)},
            {"IsRestoreInProgress": True},
        ]
        assert all("RestoreStatus" not in one for one in client.list_objects_v2(Bucket="lakes")["Contents"])

    def test_the_archives_of_intelligent_tiering_show_in_a_head_and_are_restored_for_good(self, client, s3, clock):
        _put(client, StorageClass="INTELLIGENT_TIERING")
        s3.move_to_class("lakes", "a", "INTELLIGENT_TIERING", archive_status="DEEP_ARCHIVE_ACCESS")

        assert _head(client)["ArchiveStatus"] == "DEEP_ARCHIVE_ACCESS"
        assert _refusal(lambda: _read(client)) == "InvalidObjectState"
        assert _refusal(lambda: _restore(client, 1)) == "InvalidArgument"
        assert _restore(client, None) == 202
        clock.advance(timedelta(hours=12))
        assert _read(client) == b"bytes"
        assert "ArchiveStatus" not in _head(client)

    def test_a_lifecycle_rule_changes_the_class_and_nothing_else(self, client, s3, clock):
        _put(client)
        before = _head(client)
        clock.advance(timedelta(days=1))

        s3.move_to_class("lakes", "a", "GLACIER")

        after = _head(client)
        assert (after["LastModified"], after["ETag"]) == (before["LastModified"], before["ETag"])
        assert _refusal(lambda: _read(client)) == "InvalidObjectState"

    @pytest.mark.parametrize("storage_class", ["EXPRESS_ONEZONE", "OUTPOSTS", "NONSENSE"])
    def test_a_class_that_an_ordinary_bucket_has_not_is_refused(self, client, storage_class):
        assert _refusal(lambda: _put(client, StorageClass=storage_class)) == "InvalidStorageClass"


class TestCopies:
    def test_a_copy_without_a_class_lands_in_standard(self, client):
        _put(client, StorageClass="STANDARD_IA")

        _copy(client)

        assert "StorageClass" not in _head(client, "b")

    def test_a_copy_keeps_metadata_headers_and_tags(self, client):
        _put(client, Metadata={"Owner": "x"}, ContentType="text/plain", Tagging="team=ice&cost=1")

        _copy(client, StorageClass="GLACIER_IR")

        found = _head(client, "b")
        assert (found["Metadata"], found["ContentType"], found["TagCount"]) == ({"owner": "x"}, "text/plain", 2)
        tags = client.get_object_tagging(Bucket="lakes", Key="b")["TagSet"]
        assert tags == [{"Key": "team", "Value": "ice"}, {"Key": "cost", "Value": "1"}]

    def test_a_copy_to_itself_changes_something_or_is_refused(self, client):
        _put(client)

        assert _refusal(lambda: _copy(client, "a")) == "InvalidRequest"
        _copy(client, "a", StorageClass="GLACIER_IR")

        assert _head(client)["StorageClass"] == "GLACIER_IR"

    def test_what_is_too_large_is_copied_in_parts_only_and_these_inherit_nothing(self, client):
        _put(client, body=bytes(21), Metadata={"owner": "x"}, Tagging="team=ice", StorageClass="GLACIER_IR")
        assert _refusal(lambda: _copy(client)) == "InvalidRequest"

        named, _ = _upload(client, [])
        copied = [
            client.upload_part_copy(
                **named, PartNumber=number, CopySource="lakes/a", CopySourceRange=f"bytes={start}-{stop - 1}"
            )["CopyPartResult"]
            for number, (start, stop) in enumerate([(0, 15), (15, 21)], 1)
        ]
        parts = [
            {"PartNumber": number, "ETag": one["ETag"], "ChecksumSHA256": one["ChecksumSHA256"]}
            for number, one in enumerate(copied, 1)
        ]
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}, MpuObjectSize=21)

        found = _head(client, "b", ChecksumMode="ENABLED")
        assert (found["ContentLength"], found["Metadata"]) == (21, {})
        assert {"StorageClass", "TagCount"}.isdisjoint(found)
        digests = hashlib.sha256(bytes(15)).digest() + hashlib.sha256(bytes(6)).digest()
        assert (found["ChecksumSHA256"], found["ChecksumType"]) == (f"{_sha256(digests)}-2", "COMPOSITE")

    def test_a_copy_of_an_object_in_parts_has_a_checksum_of_the_whole(self, client):
        named, parts = _upload(client, [b"1234", b"56"])
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

        _copy(client, "c", "b", ChecksumAlgorithm="SHA256")

        found = _head(client, "c", ChecksumMode="ENABLED")
        assert (found["ChecksumSHA256"], found["ChecksumType"]) == (_sha256(b"123456"), "FULL_OBJECT")


class TestChecksums:
    def test_bytes_that_are_not_what_their_checksum_says_are_refused(self, client):
        named, _ = _upload(client, [])

        assert _refusal(lambda: _put(client, ChecksumSHA256=_sha256(b"others"))) == "BadDigest"
        assert _refusal(lambda: _put(client, ChecksumCRC32="AAAAAA==")) == "BadDigest"
        wrong = _sha256(b"others")
        part = _refusal(lambda: client.upload_part(**named, PartNumber=1, Body=b"part", ChecksumSHA256=wrong))
        assert part == "BadDigest"
        assert client.list_objects_v2(Bucket="lakes")["KeyCount"] == 0

    def test_a_checksum_is_told_to_who_asks_for_it(self, client):
        _put(client, ChecksumSHA256=_sha256(b"bytes"))

        assert _head(client, ChecksumMode="ENABLED")["ChecksumSHA256"] == _sha256(b"bytes")
        assert "ChecksumSHA256" not in _head(client)

    def test_an_etag_is_no_content_hash_under_a_key_or_in_parts(self, client):
        for key in ("kms", "kms-too"):
            _put(client, key, ServerSideEncryption="aws:kms")
        named, parts = _upload(client, [b"bytes"])
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
        _put(client)

        etags = [_head(client, key)["ETag"] for key in ("kms", "kms-too", "b", "a")]

        assert len(set(etags)) == 4
        assert etags[2].endswith('-1"')
        assert etags[3] == f'"{hashlib.md5(b"bytes").hexdigest()}"'  # noqa: S324 - as S3 does


class TestUploads:
    def test_parts_but_the_last_have_a_smallest_size(self, client):
        named, parts = _upload(client, [b"123", b"4567"])

        code = _refusal(lambda: client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts}))

        assert code == "EntityTooSmall"

    def test_a_completion_names_every_part_with_its_checksum_in_order(self, client):
        named, parts = _upload(client, [b"1234", b"5678"])

        def complete(parts):
            client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

        without = [{"PartNumber": one["PartNumber"], "ETag": one["ETag"]} for one in parts]
        assert _refusal(lambda: complete(without)) == "InvalidRequest"
        assert _refusal(lambda: complete(parts[::-1])) == "InvalidPartOrder"
        assert _refusal(lambda: complete([parts[0] | {"ETag": '"other"'}])) == "InvalidPart"
        assert _refusal(lambda: complete([])) == "MalformedXML"
        complete(parts)
        assert _read(client, "b") == b"12345678"
        assert _refusal(lambda: complete(parts)) == "NoSuchUpload"

    def test_uploads_are_listed_until_they_are_completed_or_given_up(self, client):
        named, _ = _upload(client, [], "a/b")
        _upload(client, [], "b")
        assert [one["Key"] for one in client.list_multipart_uploads(Bucket="lakes", Prefix="a/")["Uploads"]] == ["a/b"]

        client.abort_multipart_upload(**named)

        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket="lakes")
        assert [one["Key"] for page in pages for one in page["Uploads"]] == ["b"]


class TestTheServer:
    def test_a_listing_comes_in_pages(self, client):
        for number in range(7):
            _put(client, f"a/{number}")

        pages = list(client.get_paginator("list_objects_v2").paginate(Bucket="lakes", Prefix="a/"))

        assert [len(page["Contents"]) for page in pages] == [3, 3, 1]
        assert [one["Key"] for page in pages for one in page["Contents"]] == [f"a/{number}" for number in range(7)]

    def test_calls_are_counted_by_operation(self, client, s3):
        _put(client)
        _head(client)
        _head(client)

        assert (s3.count("put_object"), s3.count("head_object"), s3.count("get_object"), s3.count()) == (1, 2, 0, 3)
        assert s3.calls == [("put_object", "a"), ("head_object", "a"), ("head_object", "a")]

    def test_what_it_does_not_know_is_no_silent_success(self, client):
        assert _refusal(lambda: _put(client, ObjectLockMode="COMPLIANCE")) == "InvalidArgument"
        with pytest.raises(NotImplementedError, match="list_buckets"):
            client.list_buckets()
        with pytest.raises(ParamValidationError):
            _put(client, Nonsense=1)

    def test_an_absent_bucket_or_key_is_said_as_boto3_says_it(self, client):
        assert _refusal(lambda: _read(client, "absent")) == "NoSuchKey"
        assert _refusal(lambda: _head(client, "absent")) == "404"
        with pytest.raises(client.exceptions.NoSuchBucket):
            client.get_object(Bucket="absent", Key="a")

    def test_a_call_fails_when_it_is_told_to_before_or_after_it_is_carried_out(self, client, s3):
        s3.fail_next("put_object", "SlowDown")
        s3.fail_next("put_object", ReadTimeoutError(endpoint_url="there"), done=True)

        assert _refusal(lambda: _put(client, "first")) == "SlowDown"
        with pytest.raises(ReadTimeoutError):
            _put(client, "second")
        _put(client, "third")

        assert [one["Key"] for one in client.list_objects_v2(Bucket="lakes")["Contents"]] == ["second", "third"]
