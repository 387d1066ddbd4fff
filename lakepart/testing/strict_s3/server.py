"""The server: buckets on a clock, boto3 clients that reach it without a network, calls that are counted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import cache
from itertools import count
from typing import Any

from lakepart.testing.strict_s3.archive import Placement
from lakepart.testing.strict_s3.operations import Objects
from lakepart.testing.strict_s3.refusals import Refused
from lakepart.testing.strict_s3.uploads import Uploads

_SMALLEST_PART_BYTES = 5 << 20
_LARGEST_COPY_BYTES = 5 << 30
_PAGE_KEYS = 1000
_STATUS = {"InternalError": 500, "SlowDown": 503, "ConditionalRequestConflict": 409, "AccessDenied": 403}
_MAKING = threading.Lock()  # sessions are not thread-safe
_NUMBERS = count(1)
_NOTED = "lakepart_strict_s3"


class StrictS3:
    """An S3 in memory that is as strict as AWS's, with time given by a clock.

    It enforces what other servers for tests let pass: conditions of copies and on their sources, archive classes also
    for parts that are copied, restores that take hours, run once and end at a midnight (UTC), classes and speeds that
    do not go together, checksums that are sent, sizes of parts. Without a class a copy lands in STANDARD; objects in
    parts inherit nothing and have composite checksums; ETags are hashes of the content only where S3's are. A
    parameter that it does not know is an error. It has no versions, rights, locks or lifecycle rules.

    Parameters
    ----------
    clock
        Tells the time, such as a :class:`~lakepart.testing.FrozenClock`.
    smallest_part_bytes, largest_copy_bytes, page_keys
        S3's limits: of all parts but the last, of what ``CopyObject`` takes, of keys in one answer of a listing.

    Attributes
    ----------
    calls
        Every call so far, as (operation, key); operations are named as boto3 names them.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from lakepart.testing import FrozenClock
    >>> s3 = StrictS3(FrozenClock(datetime(2026, 1, 31, tzinfo=UTC)))
    >>> s3.make_bucket("lakes")
    's3://lakes'
    >>> answer = s3.client().put_object(Bucket="lakes", Key="a", Body=b"bytes", StorageClass="GLACIER")
    >>> s3.count("put_object"), s3.count("get_object")
    (1, 0)
    """

    def __init__(
        self,
        clock: Callable[[], datetime],
        *,
        smallest_part_bytes: int = _SMALLEST_PART_BYTES,
        largest_copy_bytes: int = _LARGEST_COPY_BYTES,
        page_keys: int = _PAGE_KEYS,
    ) -> None:
        self._objects = Objects(clock, largest_copy_bytes=largest_copy_bytes, page_keys=page_keys)
        self._uploads = Uploads(self._objects, clock, smallest_part_bytes=smallest_part_bytes)
        self._endpoint_url = f"http://strict-{next(_NUMBERS)}.invalid"  # never asked; two servers have not the same
        self._lock = threading.RLock()
        self._client: Any = None
        self._failures: dict[str, deque[tuple[Exception, bool]]] = {}
        self.calls: list[tuple[str, str]] = []

    def client(self) -> Any:
        """Give a boto3 client of this server: its parameters, errors and paginators are boto3's own."""
        with _MAKING, self._lock:
            if self._client is None:
                self._client = _session().client(
                    "s3",
                    endpoint_url=self._endpoint_url,
                    region_name="us-east-1",
                    aws_access_key_id="nobody",
                    aws_secret_access_key="nothing",  # noqa: S106 - guards nothing
                )
                # asked before a request is sent; an answer from here means that none is
                self._client.meta.events.register("before-parameter-build.s3", _note_parameters)
                self._client.meta.events.register("before-call.s3", self._answer)
            return self._client

    def make_bucket(self, name: str) -> str:
        """Make a bucket; gives its address."""
        with self._lock:
            self._objects.buckets.setdefault(name, {})
        return f"s3://{name}"

    def count(self, *operations: str) -> int:
        """Count the calls of some operations so far; of all without a name."""
        return sum(not operations or operation in operations for operation, _ in self.calls)

    def move_to_class(self, bucket: str, key: str, storage_class: str, *, archive_status: str | None = None) -> None:
        """Move an object as a lifecycle rule does, or Intelligent-Tiering: nothing else of it changes."""
        with self._lock:
            found = self._objects.get(bucket, key)
            found.described.storage_class = storage_class
            found.placement = Placement(storage_class, archive_status)

    def fail_next(self, operation: str, failure: Exception | str, *, done: bool = False) -> None:
        """Let the next call of an operation that has no failure yet fail.

        Parameters
        ----------
        operation
            As boto3 names it.
        failure
            An exception, such as botocore's ``ReadTimeoutError``, or a code of S3's, such as ``"SlowDown"``.
        done
            Whether the call is carried out before: then only its answer is lost.
        """
        raised = Refused(_STATUS.get(failure, 400), failure) if isinstance(failure, str) else failure
        with self._lock:
            self._failures.setdefault(operation, deque()).append((raised, done))

    def _answer(self, model: Any, context: Any, **_: Any) -> tuple[Any, Any]:
        """Answer a call of a client, in the shape in which botocore hands on a parsed answer."""
        from botocore import xform_name
        from botocore.awsrequest import AWSResponse

        operation, asked = xform_name(model.name), context[_NOTED]
        with self._lock:
            self.calls.append((operation, asked.get("Key", asked.get("Prefix", ""))))
            status, answer = self._carried_out(operation, asked)
        answer.setdefault("ResponseMetadata", {}).setdefault("HTTPStatusCode", status)
        return AWSResponse(None, status, {}, None), answer

    def _carried_out(self, operation: str, asked: dict[str, Any]) -> tuple[int, Any]:
        failures = self._failures.get(operation)
        failure, done = failures.popleft() if failures else (None, True)
        try:
            answer = self._carry_out(operation, asked) if done else {}
            if failure is not None:
                raise failure
        except Refused as refused:
            return refused.status, dict(refused.answer)
        return 200, answer

    def _carry_out(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        part = self._uploads if hasattr(self._uploads, operation) else self._objects
        carry_out = getattr(part, operation, None)
        if carry_out is None:
            raise NotImplementedError(f"This S3 has no operation {operation!r}.")
        answer: dict[str, Any] = carry_out(**asked)
        return answer


@cache
def _session() -> Any:
    """Give what makes clients; shared, since it keeps S3's model, which takes longer to load than a test does."""
    import boto3

    return boto3.session.Session()


def _note_parameters(params: dict[str, Any], context: Any, **_: Any) -> None:
    """Keep a call's parameters for :meth:`StrictS3._answer`, which is given a serialised request only."""
    context[_NOTED] = params
