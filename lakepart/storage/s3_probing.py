"""Trying out a place in S3: the rights that lakepart needs by their names, conditional writes, parts, class, clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

from lakepart.errors import AlreadyExistsError, LakepartError, NotFoundError, StorageError
from lakepart.model.archives import ARCHIVE_CLASSES
from lakepart.model.diagnoses import NOTICE, OK, PROBLEM, Diagnosis
from lakepart.storage.probing import judge_clock, overwriting
from lakepart.storage.s3_bucket import S3Bucket
from lakepart.storage.s3_failures import translated

T = TypeVar("T")

_SMALL, _OTHER = b"probe", b"other bytes"
_DENIALS = {"AccessDenied", "403"}
_NEEDED_FOR = {
    "s3:PutObject": "every commit needs it.",
    "s3:GetObject": "every read needs it.",
    "s3:DeleteObject": "vacuum needs it, and a write that is undone.",
    "s3:ListBucket": "check, vacuum and rebuild need it; without it S3 says of what is absent that it is forbidden.",
    "s3:ListBucketMultipartUploads": "check and vacuum find by it what a writer in parts left when it died.",
    "s3:AbortMultipartUpload": "a write in parts that fails is given up by it, and so is what vacuum finds.",
}


class S3Probe:
    """One place that is tried out, and what was found.

    Nothing stays there. A right that is denied is named as IAM names the action, once, and what does not depend on it
    is tried all the same.
    """

    def __init__(self, bucket: S3Bucket, subject: str, path: str, storage_class: str | None) -> None:
        self._bucket = bucket
        self._subject = subject
        self._path = path
        self._class = storage_class
        self._denied: set[str] = set()
        self._found: list[Diagnosis] = []

    def read(self) -> list[Diagnosis]:
        """Try what a reader needs by a list, and by a read of what is not there."""
        with self._noting_failures():
            self._may("s3:ListBucket", self._list, severity=NOTICE)
            if not self._denied:  # otherwise S3 does not tell absent from forbidden
                self._may("s3:GetObject", self._read_what_is_absent)
        text = "Reads and lists. Not tried out by writing, since the handle is read-only."
        return self._found or [Diagnosis(self._subject, OK, text)]

    def write(self, now: datetime) -> list[Diagnosis]:
        """Try what a writer needs; some 15 requests."""
        with self._noting_failures():
            if self._may("s3:PutObject", lambda: self._put(_SMALL)):
                try:
                    self._try_object(now)
                finally:
                    self._may("s3:DeleteObject", lambda: self._bucket.delete(self._path))
            self._may("s3:ListBucket", self._list)
            self._may("s3:ListBucket", self._look_whether_it_is_gone)
            self._look_at_settings()
        text = "Writes, creates only where nothing is, at once and in parts, reads back, lists and deletes."
        return self._found or [Diagnosis(self._subject, OK, text)]

    @contextmanager
    def _noting_failures(self) -> Iterator[None]:
        try:
            yield
        except LakepartError as error:  # no rights, no bucket, no store: all else would fail in the same way
            self._found.append(Diagnosis(self._subject, PROBLEM, error.message, error.hint))

    def _try_object(self, now: datetime) -> None:
        self._require_refusal("It", lambda: self._put(_OTHER))
        self._may("s3:GetObject", lambda: self._look_at_object(now))
        listed = self._may("s3:ListBucket", self._list)
        if listed is not None and self._path not in listed:
            self._note(PROBLEM, "It does not list what was just written.", "check and vacuum cannot be relied on here.")
        self._try_parts()

    def _look_at_object(self, now: datetime) -> None:
        found = self._bucket.look(self._path)
        if found is None:
            self._note(PROBLEM, "What was just written is not there.", "mistrust this store.")
            return
        self._found += judge_clock(self._subject, found.modified_at, now)
        if found.storage_class != (self._class or found.storage_class):
            self._note(
                NOTICE,
                f"Objects are to have the class {self._class}, and have {found.storage_class}.",
                "the store knows no such class, and keeps them as all others.",
            )
        if found.storage_class not in ARCHIVE_CLASSES and self._bucket.read(self._path) not in {_SMALL, _OTHER}:
            self._note(PROBLEM, "What was written is read back as other bytes.", "mistrust this store.")

    def _try_parts(self) -> None:
        upload_id = self._may("s3:PutObject", lambda: self._bucket.begin_parts(self._path))
        if upload_id is None:
            return
        try:
            folder = self._path.rpartition("/")[0]
            self._may(
                "s3:ListBucketMultipartUploads",
                lambda: self._bucket.pages("list_multipart_uploads", "Uploads", folder),
            )
            part = self._may("s3:PutObject", lambda: self._send_part(upload_id))
            if part is not None:
                self._require_refusal("In parts, it", lambda: self._complete(upload_id, part))
        finally:
            self._may("s3:AbortMultipartUpload", lambda: self._bucket.abandon_parts(self._path, upload_id))

    def _send_part(self, upload_id: str) -> dict[str, Any]:
        asked = {"UploadId": upload_id, "PartNumber": 1, "Body": _OTHER, "ChecksumAlgorithm": "SHA256"}
        with translated("write", self._bucket.root):
            sent = self._bucket.call("upload_part", self._path, **asked)
        return {"PartNumber": 1, **{name: sent[name] for name in ("ETag", "ChecksumSHA256") if name in sent}}

    def _complete(self, upload_id: str, part: Mapping[str, Any]) -> None:
        self._bucket.complete_parts(self._path, upload_id, [part])

    def _put(self, data: bytes) -> bool:
        self._bucket.put(self._path, data)
        return True

    def _list(self) -> list[str]:
        folder = self._path.rpartition("/")[0]
        return [self._bucket.path_of(one) for one in self._bucket.pages("list_objects_v2", "Contents", folder)]

    def _read_what_is_absent(self) -> None:
        with suppress(NotFoundError):
            self._bucket.read(self._path)

    def _look_whether_it_is_gone(self) -> None:
        if self._bucket.look(self._path) is not None:
            self._note(PROBLEM, f"{self._path!r} was written and cannot be deleted.", "vacuum needs that right.")

    def _look_at_settings(self) -> None:
        """Notice what the bucket does by itself; where it may not be asked or has no such thing, nothing is said."""
        if self._bucket.setting("get_bucket_versioning").get("Status") == "Enabled":
            self._note(
                NOTICE,
                "The bucket keeps what is deleted as old versions, which go on costing after vacuum.",
                "a lifecycle rule with NoncurrentVersionExpiration lets them go after some days.",
            )
        rules = self._bucket.setting("get_bucket_lifecycle_configuration").get("Rules", ())
        names = [repr(rule.get("ID", "")) for rule in rules if self._takes_away(rule)]
        if names:
            self._note(
                NOTICE,
                f"Lifecycle rules of the bucket move or delete objects here, and lakepart does not hear of it: "
                f"{', '.join(names)}.",
                "limit them to other prefixes: demote moves what is here, and vacuum deletes.",
            )

    def _takes_away(self, rule: Mapping[str, Any]) -> bool:
        expires = {"Days", "Date"} & rule.get("Expiration", {}).keys()  # what only clears delete markers takes nothing
        if rule.get("Status") != "Enabled" or not (expires or "Transitions" in rule):
            return False
        limits = rule.get("Filter", {})
        begins = str(rule.get("Prefix") or limits.get("Prefix") or limits.get("And", {}).get("Prefix") or "")
        place = self._bucket.root.removeprefix("s3://").partition("/")[2]
        place = f"{place}/" if place else ""
        return place.startswith(begins) or begins.startswith(place)

    def _may(self, action: str, ask: Callable[[], T], *, severity: str = PROBLEM) -> T | None:
        """Ask something that needs a right; where it is denied, say so once and give None."""
        try:
            return ask()
        except StorageError as error:
            if error.context.get("s3_code") not in _DENIALS:
                raise
            denied = str(error.context.get("action", action))
            if denied not in self._denied:
                self._denied.add(denied)
                needed_for = _NEEDED_FOR.get(denied, "the key that the bucket encrypts with needs it.")
                self._note(severity, f"These credentials may not do {denied}.", f"grant it: {needed_for}")
            return None

    def _require_refusal(self, what: str, create: Callable[[], object]) -> None:
        try:
            create()
        except AlreadyExistsError:
            return
        self._found.append(overwriting(self._subject, what))

    def _note(self, severity: str, text: str, hint: str) -> None:
        self._found.append(Diagnosis(self._subject, severity, text, hint))
