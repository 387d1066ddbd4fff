"""Copies that S3 makes by itself: what they cost, what they keep, what proves them, and what can go wrong meanwhile."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ReadTimeoutError

from lakepart.errors import CorruptionError, ErrorCode, OfflineDataError, StorageError
from lakepart.storage.copying import copy_file
from lakepart.storage.credentials import TierCredentials
from lakepart.storage.local import LocalStore
from lakepart.storage.s3 import S3Store
from lakepart.testing import FrozenClock
from lakepart.testing.strict_s3 import StrictS3

PART = 100
SIZES = {"part_bytes": PART, "whole_bytes": 10 * PART, "whole_copy_bytes": 20 * PART}
SMALL, IN_PARTS, LARGE = b"small" * 10, bytes(range(256)) * 5, bytes(range(250)) * 10
ARCHIVES = ["GLACIER", "DEEP_ARCHIVE"]


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def clock():
    return FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))


@pytest.fixture(scope="module")
def one_server(clock):
    return StrictS3(clock, smallest_part_bytes=PART, largest_copy_bytes=20 * PART)


@pytest.fixture
def server(one_server):
    """Empty: its client takes longer to make than to use."""
    one_server._objects.buckets.clear()
    one_server._uploads._uploads.clear()
    one_server._failures.clear()
    one_server.calls.clear()
    one_server.make_bucket("hot")
    one_server.make_bucket("cold")
    return one_server


@pytest.fixture
def hot(server):
    return S3Store("s3://hot/lake", client=server.client, **SIZES)


@pytest.fixture
def give_cold(server):
    def give(storage_class=None, **options):
        return S3Store("s3://cold/lake", options, storage_class=storage_class, client=server.client, **SIZES)

    return give


def write(store, data, path="a"):
    with store.open_new(path) as sink:
        sink.write(data)


def copy(source, target, data, **hooks):
    copy_file(source, "a", target, "a", expected_checksum=digest_of(data), **hooks)


def head(server, bucket="cold"):
    return server.client().head_object(Bucket=bucket, Key="lake/a", ChecksumMode="ENABLED")


def data_of(server, bucket="cold"):
    return server._objects.get(bucket, "lake/a").data


def calls_of(server, action):
    before = len(server.calls)
    action()
    return [operation for operation, _ in server.calls[before:]]


def meanwhile(server, operation, action):
    """Do ``action`` once, right before the next call of ``operation`` (as boto3's models name it)."""
    events, todo = server.client().meta.events, [action]

    def act(**_):
        if todo:
            todo.pop()()

    events.register_first(f"provide-client-params.s3.{operation}", act)


class TestWhatACopyCosts:
    @pytest.mark.parametrize("data", [SMALL, IN_PARTS])
    @pytest.mark.parametrize("storage_class", ["STANDARD_IA", *ARCHIVES])
    def test_up_to_the_limit_it_is_a_look_a_copy_and_a_look(self, server, hot, give_cold, data, storage_class):
        write(hot, data)
        cold = give_cold(storage_class)

        calls = calls_of(server, lambda: copy(hot, cold, data))

        assert calls == ["head_object", "copy_object", "head_object"]
        assert data_of(server) == data
        assert head(server)["StorageClass"] == storage_class

    @pytest.mark.parametrize("storage_class", ["STANDARD_IA", *ARCHIVES])
    def test_above_it_goes_in_parts_and_the_source_is_read_once(self, server, hot, give_cold, storage_class):
        write(hot, LARGE)
        cold = give_cold(storage_class)

        calls = calls_of(server, lambda: copy(hot, cold, LARGE))

        assert calls[:3] == ["head_object", "get_object_tagging", "create_multipart_upload"]
        assert calls[3:-3] == ["upload_part_copy"] * 25
        assert calls[-3:] == ["complete_multipart_upload", "head_object", "get_object"]
        assert server.calls[-1] == ("get_object", "lake/a")
        assert data_of(server) == LARGE
        assert head(server)["StorageClass"] == storage_class

    @pytest.mark.parametrize(("data", "requests"), [(SMALL, ["put_object"]), (IN_PARTS, None)])
    @pytest.mark.parametrize("storage_class", [None, *ARCHIVES])
    def test_what_comes_from_a_disk_is_sent_and_looked_at(
        self, server, tmp_path, give_cold, data, requests, storage_class
    ):
        disk = LocalStore(tmp_path)
        write(disk, data)
        cold = give_cold(storage_class)

        calls = calls_of(server, lambda: copy(disk, cold, data))

        parts = ["create_multipart_upload", *["upload_part"] * 13, "complete_multipart_upload"]
        assert calls == [*(requests or parts), "head_object"]
        assert data_of(server) == data

    def test_another_endpoint_or_other_credentials_are_not_spoken_of(self, server, clock, hot):
        other = StrictS3(clock, smallest_part_bytes=PART)
        elsewhere = S3Store(other.make_bucket("cold"), client=other.client, **SIZES)
        write(hot, SMALL)

        copy(hot, elsewhere, SMALL)

        assert server.count("copy_object") == other.count("copy_object") == 0
        assert elsewhere.read_bytes("a") == SMALL

    @pytest.mark.parametrize(
        ("other", "reaches"),
        [
            ({}, True),
            ({"secret": "of a typing error"}, True),  # it would be refused wherever it is used
            ({"s3_additional_kwargs": {"ServerSideEncryption": "aws:kms"}}, True),
            ({"key": "b"}, False),
            ({"anon": True}, False),
            ({"endpoint_url": "http://other"}, False),
        ],
    )
    def test_one_client_reaches_what_has_its_endpoint_and_access_key(self, other, reaches):
        given = {"endpoint_url": "http://one", "key": "a", "secret": "x"}
        source, target = S3Store("s3://hot", given), S3Store("s3://cold", given | other)

        assert target._bucket.reaches(source._bucket) is reaches
        assert source._bucket.reaches(target._bucket) is reaches

    def test_keys_that_are_given_for_each_tier_are_compared_as_they_are_now(self):
        keys = {"hot": "a", "cold": "a"}

        def provider(tier):
            soon = datetime.now(UTC) + timedelta(seconds=50)  # so soon that they are asked for each time
            return {"endpoint_url": "http://one", "key": keys[tier], "secret": "x", "expires_at": soon}

        source, target = (
            S3Store(f"s3://{tier}", credentials=TierCredentials(provider, tier))._bucket for tier in ("hot", "cold")
        )
        before = target.reaches(source)
        keys["hot"] = "b"

        assert (before, target.reaches(source)) == (True, False)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in-parts"])
class TestWhatACopyKeeps:
    def test_metadata_headers_and_tags_are_the_sources_and_class_and_encryption_the_targets(
        self, server, hot, give_cold, data
    ):
        server.client().put_object(
            Bucket="hot",
            Key="lake/a",
            Body=data,
            Metadata={"owner": "x"},
            ContentType="text/plain",
            CacheControl="no-cache",
            Tagging="team=ice%20cream&cost=1",
            StorageClass="STANDARD_IA",
            ServerSideEncryption="aws:kms",
            SSEKMSKeyId="theirs",
        )
        own = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "ours", "Tagging": "team=new", "Metadata": {"a": "b"}}
        cold = give_cold("GLACIER_IR", s3_additional_kwargs=own)

        copy(hot, cold, data)

        found = head(server)
        assert (found["Metadata"], found["ContentType"], found["CacheControl"]) == (
            {"owner": "x"},
            "text/plain",
            "no-cache",
        )
        assert (found["StorageClass"], found["SSEKMSKeyId"]) == ("GLACIER_IR", "ours")
        tags = server.client().get_object_tagging(Bucket="cold", Key="lake/a")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "ice cream", "cost": "1"}

    def test_what_the_source_has_not_is_not_added(self, server, hot, give_cold, data):
        write(hot, data)
        cold = give_cold(s3_additional_kwargs={"Tagging": "team=new", "Metadata": {"a": "b"}, "ContentType": "new"})

        copy(hot, cold, data)

        found, source = head(server), head(server, "hot")
        assert "TagCount" not in found
        assert (found["Metadata"], found["ContentType"]) == ({}, source["ContentType"])

    def test_without_a_class_of_its_tier_it_is_standard(self, server, hot, give_cold, data):
        cold = give_cold("GLACIER_IR")
        write(cold, data)

        copy(cold, hot, data)

        assert "StorageClass" not in head(server, "hot")

    def test_its_checksum_is_kept(self, server, hot, give_cold, data):
        write(hot, data)

        copy(hot, give_cold(), data)

        parts = [hashlib.sha256(data[at : at + PART]).digest() for at in range(0, len(data), PART)]
        whole = hashlib.sha256(b"".join(parts) if data is LARGE else data).digest()
        suffix = f"-{len(parts)}" if data is LARGE else ""
        assert head(server)["ChecksumSHA256"] == base64.b64encode(whole).decode() + suffix


class TestWhatProvesACopy:
    def test_an_etag_that_lies_proves_nothing(self, server, hot, give_cold):
        write(hot, SMALL)
        cold = give_cold()
        write(cold, SMALL[:-1] + b"x")
        server._objects.get("cold", "lake/a").etag = head(server, "hot")["ETag"]

        with pytest.raises(StorageError, match="other bytes"):
            copy(hot, cold, SMALL)

        assert data_of(server) == SMALL[:-1] + b"x"

    def test_an_etag_that_differs_disproves_nothing(self, server, hot, give_cold):
        write(hot, IN_PARTS)

        copy(hot, give_cold(), IN_PARTS)

        assert head(server)["ETag"] != head(server, "hot")["ETag"]

    def test_without_a_checksum_the_copy_is_read(self, server, hot, give_cold):
        write(hot, SMALL)
        cold = give_cold()
        copy(hot, cold, SMALL)
        server._objects.get("cold", "lake/a").checksums = {}

        calls = calls_of(server, lambda: copy(hot, cold, SMALL))

        assert calls[-2:] == ["head_object", "get_object"]

    @pytest.mark.parametrize("kept", [{}, {"ChecksumSHA256": "rubbish+rubbish+rubbish+rubbish+rubbish+rubb="}])
    def test_a_checksum_that_differs_disproves_nothing_where_the_bytes_can_be_read(self, server, hot, give_cold, kept):
        write(hot, SMALL)
        cold = give_cold()
        copy(hot, cold, SMALL)
        server._objects.get("cold", "lake/a").checksums = kept

        copy(hot, cold, SMALL)

    def test_where_neither_checksum_nor_bytes_can_be_had_the_copy_goes_and_the_source_stays(
        self, server, hot, give_cold, monkeypatch
    ):
        write(hot, SMALL)
        store = server._objects.store

        def store_without_checksum(*arguments):
            stored = store(*arguments)
            stored.checksums = {}
            return stored

        monkeypatch.setattr(server._objects, "store", store_without_checksum)

        with pytest.raises(StorageError, match="cannot be proven") as caught:
            copy(hot, give_cold("DEEP_ARCHIVE"), SMALL)

        assert isinstance(caught.value.__cause__, OfflineDataError)
        assert data_of(server, "hot") == SMALL
        assert list(give_cold().list()) == []

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in-parts"])
    @pytest.mark.parametrize("storage_class", [None, "DEEP_ARCHIVE"])
    def test_a_source_with_other_bytes_than_the_catalog_says_is_named_and_leaves_no_copy(
        self, server, hot, give_cold, data, storage_class
    ):
        write(hot, data[:-1] + b"x")

        with pytest.raises(CorruptionError, match="'a' does not have the bytes"):
            copy(hot, give_cold(storage_class), data)

        assert list(give_cold().list()) == []
        assert data_of(server, "hot") == data[:-1] + b"x"

    @pytest.mark.parametrize("data", [SMALL, IN_PARTS, LARGE], ids=["put", "sent-in-parts", "copied-in-parts"])
    def test_an_archived_copy_that_stands_is_proven_without_being_read(self, tmp_path, hot, give_cold, data):
        disk = LocalStore(tmp_path)
        cold = give_cold("DEEP_ARCHIVE")
        for source in (hot, disk):
            write(source, data)
        copy(hot if data is not IN_PARTS else disk, cold, data)

        copy(hot, cold, data)
        copy(disk, cold, data)

        with pytest.raises(OfflineDataError):
            cold.read_bytes("a")
        assert [one.path for one in cold.list()] == ["a"]

    def test_an_archived_source_must_be_restored_first(self, server, clock, hot, give_cold):
        cold = give_cold("GLACIER")
        for data in (SMALL, LARGE):
            write(cold, data)
            with pytest.raises(OfflineDataError, match="cold/lake/a"):
                copy(cold, hot, data)
            assert list(hot.list()) == []

            server.client().restore_object(
                Bucket="cold", Key="lake/a", RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
            )
            clock.advance(timedelta(hours=5))
            copy(cold, hot, data)
            assert data_of(server, "hot") == data
            hot.delete("a")
            cold.delete("a")


def lost():
    return ReadTimeoutError(endpoint_url="there")


class TestWhatCanGoWrongMeanwhile:
    @pytest.mark.parametrize(
        ("data", "operation"), [(SMALL, "copy_object"), (LARGE, "complete_multipart_upload")], ids=["whole", "in-parts"]
    )
    @pytest.mark.parametrize("storage_class", [None, "DEEP_ARCHIVE"])
    def test_a_lost_answer_is_settled_by_what_stands(self, server, hot, give_cold, data, operation, storage_class):
        write(hot, data)
        server.fail_next(operation, lost(), done=True)

        copy(hot, give_cold(storage_class), data)

        assert data_of(server) == data

    def test_a_part_whose_answer_is_lost_for_good_leaves_nothing_and_the_copy_can_be_made_again(
        self, server, hot, give_cold
    ):
        write(hot, LARGE)
        server.fail_next("upload_part_copy", lost(), done=True)
        cold = give_cold()

        with pytest.raises(StorageError) as caught:
            copy(hot, cold, LARGE)

        assert caught.value.code is ErrorCode.STORAGE_UNREACHABLE
        assert list(cold.list()) == []
        copy(hot, cold, LARGE)
        assert data_of(server) == LARGE

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in-parts"])
    def test_a_source_that_is_replaced_meanwhile_is_not_copied(self, server, hot, give_cold, data):
        write(hot, data)
        operation = "CopyObject" if data is SMALL else "UploadPartCopy"
        meanwhile(
            server, operation, lambda: server.client().put_object(Bucket="hot", Key="lake/a", Body=bytes(len(data)))
        )
        cold = give_cold()

        with pytest.raises(StorageError, match="hot/lake/a' was replaced"):
            copy(hot, cold, data)

        assert list(cold.list()) == []

    @pytest.mark.parametrize("data", [SMALL, LARGE], ids=["whole", "in-parts"])
    def test_a_target_that_somebody_else_makes_meanwhile_is_left_alone(self, server, hot, give_cold, data):
        write(hot, data)
        operation = "CopyObject" if data is SMALL else "CompleteMultipartUpload"
        meanwhile(server, operation, lambda: server.client().put_object(Bucket="cold", Key="lake/a", Body=b"theirs"))
        cold = give_cold()

        with pytest.raises(StorageError, match="taken at the target by other bytes"):
            copy(hot, cold, data)

        assert [one.path for one in cold.list()] == ["a"]
        assert data_of(server) == b"theirs"

    def test_a_copy_in_parts_that_is_given_up_leaves_no_upload(self, server, hot, give_cold):
        write(hot, LARGE)
        cold = give_cold()

        def stop(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            copy(hot, cold, LARGE, on_bytes=stop)

        assert list(cold.list()) == []

    @pytest.mark.parametrize(
        ("operation", "act"),
        [
            ("put_object", lambda hot, cold: write(hot, SMALL, "b")),
            ("complete_multipart_upload", lambda hot, cold: write(hot, IN_PARTS, "b")),
            ("copy_object", lambda hot, cold: copy(hot, cold, SMALL)),
        ],
    )
    def test_a_conflict_that_s3_could_not_decide_is_tried_again_and_then_an_error(
        self, server, hot, give_cold, operation, act
    ):
        write(hot, SMALL)
        cold = give_cold()
        server.fail_next(operation, "ConditionalRequestConflict")

        act(hot, cold)

        hot.delete("b")
        cold.delete("a")
        for _ in range(10):
            server.fail_next(operation, "ConditionalRequestConflict")
        with pytest.raises(StorageError) as caught:
            act(hot, cold)
        assert caught.value.retryable
        assert [one.path for store in (hot, cold) for one in store.list()] == ["a"]


class TestOwnWritesWhoseAnswerWasLost:
    @pytest.mark.parametrize("storage_class", [None, *ARCHIVES])
    @pytest.mark.parametrize(
        ("data", "operation"), [(SMALL, "put_object"), (IN_PARTS, "complete_multipart_upload")], ids=["put", "parts"]
    )
    def test_are_recognised_by_the_checksum_that_s3_keeps(self, server, give_cold, storage_class, data, operation):
        server.fail_next(operation, lost(), done=True)

        write(give_cold(storage_class), data)

        assert data_of(server) == data
        assert server.count("get_object") == 0

    @pytest.mark.parametrize(
        ("data", "operation"), [(SMALL, "put_object"), (IN_PARTS, "complete_multipart_upload")], ids=["put", "parts"]
    )
    def test_are_not_taken_for_those_of_others(self, server, give_cold, data, operation):
        server.client().put_object(Bucket="cold", Key="lake/a", Body=data[:-1] + b"x")
        server.fail_next(operation, lost())

        with pytest.raises(StorageError):
            write(give_cold(), data)

        assert data_of(server) == data[:-1] + b"x"
