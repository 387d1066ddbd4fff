"""Credentials that a program gives when they are asked for: by tier, and again before they expire."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError, LakepartError, StorageError
from lakepart.model.functions import load_function

OWN_FOLDER = "_lakepart"  # what the lake's own folder is asked as: no tier can be called so
EXPIRES_AT = "expires_at"
_ENVIRONMENT = "LAKEPART_CREDENTIALS"
_GROUP = {"key", "secret", "token", "profile", "anon"}

Provider = Callable[[str], Mapping[str, Any]]
CredentialsSource = Provider | str | None  # a function of the tier's name, or where one is: "module:function"


@dataclass(frozen=True, slots=True)
class TierCredentials:
    """Where the credentials of one tier come from; never shown, and asked for anew each time."""

    provider: Provider = field(repr=False)
    tier: str

    def ask(self) -> dict[str, Any]:
        """Ask for credentials as they are now.

        Raises
        ------
        StorageError
            The provider failed, or what it gave has expired (``permission``).
        InvalidInputError
            It gave no mapping, or an ``expires_at`` that is no aware datetime. Values are not shown.
        """
        try:
            given = self.provider(self.tier)
        except LakepartError:
            raise
        except Exception as error:  # it is somebody else's, and may raise anything
            raise StorageError(
                f"There are no credentials for {self.tier!r}: their provider raised {type(error).__name__}.",
                hint="the provider is asked for each tier by its name, and for the lake's own folder as '_lakepart'.",
                code=ErrorCode.PERMISSION,
                context={"tier": self.tier},
            ) from error
        if not isinstance(given, Mapping):
            raise InvalidInputError(
                f"The provider of credentials gave a {type(given).__name__} for {self.tier!r}, and not a mapping.",
                hint='{"key": …, "secret": …, "token": …, "expires_at": …}, or {} for what the environment has.',
            )
        self._check_expiry(given.get(EXPIRES_AT))
        return dict(given)

    def _check_expiry(self, expires_at: object) -> None:
        if expires_at is None:
            return
        if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
            raise InvalidInputError(
                f"The expires_at of the credentials for {self.tier!r} is not a datetime with a time zone.",
                hint="datetime.now(UTC) + timedelta(hours=1)",
            )
        if expires_at <= datetime.now(UTC):
            raise StorageError(
                f"The credentials for {self.tier!r} had expired at {expires_at.isoformat()} when they were given.",
                hint="the provider has to fetch new ones each time it is asked.",
                code=ErrorCode.PERMISSION,
                context={"tier": self.tier},
            )


def find_provider(source: CredentialsSource) -> Provider | None:
    """Give the function that a caller, or else ``LAKEPART_CREDENTIALS``, names; None where neither does.

    Raises
    ------
    InvalidInputError
        The text does not name a function that can be imported.
    """
    chosen = os.environ.get(_ENVIRONMENT) if source is None else source
    if not isinstance(chosen, str):
        return chosen
    found = load_function(chosen) if ":" in chosen.strip(":") else None
    if found is None:
        raise InvalidInputError(
            f"{chosen!r} names no function that gives credentials.",
            hint='"module:function", which can be imported here; the function takes the name of a tier.',
        )
    return found


def name_of(source: CredentialsSource) -> str | None:
    """Give a source as it may travel to another process: by name, or not at all."""
    return source if isinstance(source, str) else None


def laid_over(options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Give options with others before them; credentials go together, so that no key meets somebody else's token."""
    kept = {name: value for name, value in options.items() if not (name in _GROUP and _GROUP & given.keys())}
    return {**kept, **given}
