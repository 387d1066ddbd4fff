"""Credentials of a client of S3 that are asked for anew: before they expire, and when the server says that they have.

Imported only where there are any, because botocore is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.credentials import CredentialProvider, RefreshableCredentials
from botocore.session import get_session

from lakepart.storage.credentials import EXPIRES_AT

_ADVISED_S, _FORCED_S = 120, 60  # before they expire, one thread asks for new ones; then all wait for them
_EXPIRED = {"ExpiredToken", "TokenRefreshRequired", "400"}  # a HEAD is answered without a body, so without a word
_NEVER = datetime.max.replace(tzinfo=UTC)
_SIGNED_WITH, _RENEWED = "lakepart_signed_with", "lakepart_renewed"


class RenewedCredentials(RefreshableCredentials):  # type: ignore[misc]
    """Keys that ``ask`` gives, now and later; botocore asks in time, and lets one thread ask for all."""

    def __init__(self, first: Mapping[str, Any], ask: Callable[[], Mapping[str, Any]]) -> None:
        self._ask = ask
        self._are_rejected = False
        self._times = 1
        super().__init__(
            first["key"],
            first["secret"],
            first.get("token"),
            first.get(EXPIRES_AT) or _NEVER,
            self._ask_again,
            "lakepart",
            advisory_timeout=_ADVISED_S,
            mandatory_timeout=_FORCED_S,
        )

    def refresh_needed(self, refresh_in: int | None = None) -> bool:
        """See botocore: also where the server has rejected them."""
        return self._are_rejected or bool(super().refresh_needed(refresh_in))

    def session(self) -> Any:
        """Give a session of botocore that finds these before all others."""
        session = get_session()
        session.get_component("credential_provider").providers.insert(0, _Given(self))
        return session

    def watch(self, client: Any) -> None:
        """Let a client ask once more what was answered with the words that they have expired."""
        client.meta.events.register("before-sign.s3", self._note_signing)
        client.meta.events.register("needs-retry.s3", self._judge)

    def _ask_again(self) -> dict[str, str | None]:
        asked = self._ask()
        self._are_rejected = False
        self._times += 1
        return {
            "access_key": asked["key"],
            "secret_key": asked["secret"],
            "token": asked.get("token"),
            "expiry_time": (asked.get(EXPIRES_AT) or _NEVER).isoformat(),
        }

    def _note_signing(self, request: Any, **_: Any) -> None:
        self.get_frozen_credentials()  # asks for new ones where it is time, which would come after this otherwise
        request.context[_SIGNED_WITH] = self._times

    def _judge(self, response: Any, request_dict: Mapping[str, Any], **_: Any) -> float | None:
        """Say to botocore to send a request again at once, signed anew, but only once; None otherwise."""
        if response is None or str(response[1].get("Error", {}).get("Code")) not in _EXPIRED:
            return None
        context = request_dict["context"]
        if context.get(_RENEWED):
            return None
        context[_RENEWED] = True
        if context.get(_SIGNED_WITH) == self._times:  # of many that are under way, one lets new ones be asked for
            self._are_rejected = True
        return 0.0


class _Given(CredentialProvider):  # type: ignore[misc]
    METHOD = "lakepart"

    def __init__(self, credentials: RenewedCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> RenewedCredentials:
        return self._credentials
