"""How S3 says no: status, code and message, as its API reference lists them under "Error responses"."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the fake
    """Raised by operations; the client gets it as the ``ClientError`` that boto3 makes of such an answer."""

    def __init__(self, status: int, code: str, message: str = "", **details: Any) -> None:
        super().__init__(code)
        self.status = status
        self.answer = {"Error": {"Code": code, "Message": message or code, **details}, **details}


def no_such_key(key: str) -> Refused:
    """Refuse what needs an object that is there."""
    return Refused(404, "NoSuchKey", "The specified key does not exist.", Key=key)


def precondition_failed(condition: str) -> Refused:
    """Refuse what was asked for on a condition that does not hold."""
    return Refused(
        412,
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        Condition=condition,
    )


def invalid_argument(message: str) -> Refused:
    """Refuse a value."""
    return Refused(400, "InvalidArgument", message)


def invalid_request(message: str) -> Refused:
    """Refuse values that do not go together."""
    return Refused(400, "InvalidRequest", message)
