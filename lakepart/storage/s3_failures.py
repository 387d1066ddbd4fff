"""Turn what botocore raises into lakepart's errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lakepart.errors import ErrorCode, LakepartError, StorageError
from lakepart.model.archives import is_archived
from lakepart.storage.failures import already_exists, not_found, offline

T = TypeVar("T")

_TRIES = 5
_LONGEST_WAIT_S = 10
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_TAKEN = {"PreconditionFailed", "412"}
_DENIED = {
    "400": "S3 answers so to a look where credentials have expired: get new ones.",
    "403": "the policy of this user does not allow it.",
    "AccessDenied": "the policy of this user does not allow it: doctor says what is missing.",
    "AllAccessDisabled": "the account or bucket is closed: ask who runs it.",
    "ExpiredToken": "the credentials have expired: get new ones.",
    "InvalidAccessKeyId": "no such key is known there: look at the key and at the endpoint.",
    "InvalidToken": "the session token is not valid: get new credentials.",
    "SignatureDoesNotMatch": "the secret does not belong to the key.",
    "TokenRefreshRequired": "the credentials have expired: get new ones.",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it by NTP.",
}
_ACTION = re.compile(r"\b(?:s3|kms):[A-Za-z]+")  # AWS says in its message which one it does not allow
_BUSY_STATUS = {429, 500, 502, 503, 504}  # whatever word comes with it: gateways have none of S3's
_BUSY = {"RequestTimeout", "Throttling", "ConditionalRequestConflict", "OperationAborted"}  # with another status


def code_of(error: Any) -> str:
    """Give S3's own word for what is wrong; a HEAD has only its status."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_absent(error: Any) -> bool:
    """Whether there is no such object."""
    return code_of(error) in _ABSENT


def is_unsettled(error: BaseException) -> bool:
    """Whether a write on condition met another request for the same object, so that S3 could not decide."""
    from botocore.exceptions import ClientError

    return isinstance(error, ClientError) and code_of(error) == "ConditionalRequestConflict"


def broke_off(error: BaseException) -> bool:
    """Whether an answer ended in the middle of its body."""
    from botocore.exceptions import (
        ConnectionClosedError,
        IncompleteReadError,
        ReadTimeoutError,
        ResponseStreamingError,
    )
    from urllib3.exceptions import HTTPError

    return isinstance(
        error, (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError, HTTPError)
    )


def tried_again(when: Callable[[BaseException], bool], ask: Callable[[], T]) -> T:
    """Ask again, a few times with growing pauses, where it fails as botocore does not try again by itself."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    trying = Retrying(
        retry=retry_if_exception(when),
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_WAIT_S),
        reraise=True,
    )
    return trying(ask)


@contextmanager
def translated(action: str, place: str) -> Iterator[None]:
    """Run a block; what botocore raises in it comes out as a lakepart error naming ``action`` and ``place``."""
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError, ParamValidationError  # noqa: A004 - botocore's own
    from urllib3.exceptions import HTTPError

    try:
        yield
    except LakepartError:
        raise
    except ClientError as error:
        raise _of_answer(error, action, place) from error
    except (ConnectionError, HTTPClientError, HTTPError) as error:
        raise _unreachable(action, place, type(error).__name__) from error
    except BotoCoreError as error:  # no credentials, a profile that is not there, parameters out of the rules
        raise StorageError(
            f"Cannot {action} {place!r}: {type(error).__name__ if isinstance(error, ParamValidationError) else error}.",
            hint="credentials come from storage_options, the environment, ~/.aws or the machine's role.",
            code=ErrorCode.PERMISSION if "redential" in type(error).__name__ else ErrorCode.STORAGE,
            context={"path": place},
        ) from error


def _of_answer(error: Any, action: str, place: str) -> LakepartError:
    code = code_of(error)
    context = {"path": place, "s3_code": code}
    if code in _ABSENT:
        return not_found(place)
    if code in _TAKEN:
        return already_exists(place)
    if is_archived(error):
        return offline(place)
    if code == "NoSuchBucket":
        return StorageError(
            f"Cannot {action} {place!r}: there is no such bucket.",
            hint="make the bucket first, or look for a typing error in its name.",
            context=context,
        )
    said = str(error.response.get("Error", {}).get("Message", "")).strip()
    if code in _DENIED:
        denied = _ACTION.search(said)
        if denied is not None:
            context["action"] = denied[0]
        what = code if denied is None else f"{code}, {denied[0]}"
        return StorageError(
            f"Cannot {action} {place!r}: {what}.", hint=_DENIED[code], code=ErrorCode.PERMISSION, context=context
        )
    if code == "NotImplemented":
        return StorageError(
            f"Cannot {action} {place!r}: the store does not know what this needs ({code}).",
            hint="lakepart needs conditional writes (If-None-Match): use a release of the store that has them.",
            code=ErrorCode.UNSUPPORTED,
            context=context,
        )
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if code in _BUSY or status in _BUSY_STATUS:
        return _unreachable(action, place, code or f"status {status}")
    return StorageError(f"Cannot {action} {place!r}: {code or type(error).__name__}. {said}", context=context)


def _unreachable(action: str, place: str, what: str) -> StorageError:
    return StorageError(
        f"Cannot {action} {place!r}: {what}, again and again.",
        hint="the store or the network is overloaded or down: try again later, with fewer workers.",
        code=ErrorCode.STORAGE_UNREACHABLE,
        context={"path": place},
    )
