"""A boto3 client for S3, from options in the convention of fsspec."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.plans import list_some
from lakepart.storage.credentials import EXPIRES_AT, TierCredentials, laid_over

_SESSION = {
    "key": "aws_access_key_id",
    "secret": "aws_secret_access_key",
    "token": "aws_session_token",
    "profile": "profile_name",
    "region": "region_name",
}
_SECRETS = {_SESSION[name] for name in ("key", "secret", "token")}
_CLIENT = {"endpoint_url", "use_ssl"}
_NESTED = {"client_kwargs", "config_kwargs", "s3_additional_kwargs"}
_KNOWN = sorted({*_SESSION, *_CLIENT, *_NESTED, "anon", "requester_pays"})
_WITH_THE_SESSION = {"region_name", *_SESSION.values()}
CONNECTIONS = 64
_KEYS = {"key", "secret", "token", EXPIRES_AT}
_ASKED = sorted({*_KNOWN, EXPIRES_AT} - {"requester_pays", "s3_additional_kwargs"})
_ATTEMPTS = 5
_EXPECTING_BYTES = 2 << 20
_CONNECT_S, _ANSWER_S = 10, 60
_KEPT_CONNECTIONS = 4 * CONNECTIONS  # one verb uses a quarter; what several use more is opened anew for each request


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that nothing would come of.

    Raises
    ------
    InvalidInputError
        An option is not known, or one that holds others is not a mapping. Values are not shown.
    """
    _check("storage_options has", options, _KNOWN)


def complete_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options with what fsspec is configured with for S3 (``FSSPEC_S3_KEY``, ``~/.config/fsspec``) behind them."""
    from fsspec.config import conf

    configured = {name: value for name, value in conf.get("s3", {}).items() if name in _KNOWN}  # s3fs takes more
    _check("fsspec is configured with", configured, _KNOWN)
    return laid_over(configured, options)


def _check(whose: str, options: Mapping[str, Any], known: list[str]) -> None:
    unknown = sorted(options.keys() - set(known))
    if unknown:
        raise InvalidInputError(
            f"{whose} {list_some(repr(name) for name in unknown)}, which S3 does not take there.",
            hint=f"known: {', '.join(known)}; config_kwargs are botocore's, with proxies and s3.addressing_style.",
            code=ErrorCode.UNSUPPORTED,
            context={"options": unknown},
        )
    for name in sorted(_NESTED & options.keys()):
        if not isinstance(options[name], Mapping):
            raise InvalidInputError(f"{whose} {name!r}, which is to be a mapping of further options, as s3fs takes it.")


_OURS = {
    "Bucket",
    "Key",
    "Body",
    "IfNoneMatch",
    "IfMatch",
    "ChecksumSHA256",
    "ChecksumAlgorithm",
    "StorageClass",
    "RequestPayer",
}


def extra_arguments(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give what every object is written with besides its bytes: encryption, rights, tags."""
    given = dict(options.get("s3_additional_kwargs") or {})
    refused = sorted(name for name in given if name in _OURS or name.startswith("SSECustomer"))
    if refused:
        raise InvalidInputError(
            f"s3_additional_kwargs has {list_some(map(repr, refused))}, which cannot be given for every object.",
            hint="a tier says its storage_class; keys for SSE-C would be needed to read, too, and are not supported.",
            code=ErrorCode.UNSUPPORTED,
        )
    return given


def make_client(options: Mapping[str, Any], credentials: TierCredentials | None = None) -> Any:
    """Make a client with a session of its own; thread-safe once made.

    ``credentials`` are asked first, go before ``options``, and are asked again a minute before they expire.

    Notes
    -----
    Throttling, 5xx, refused connections and timeouts are tried again by botocore, with back-off and jitter, a few
    times; what fails in the middle of a body is not, that is the reader's.
    """
    import boto3
    import botocore
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    asked = _ask(credentials) if credentials is not None else {}
    options = laid_over(options, asked)
    given = dict(options.get("client_kwargs") or {})
    session = {_SESSION[name]: options[name] for name in _SESSION if options.get(name) is not None}
    session |= {name: given.pop(name) for name in sorted(_WITH_THE_SESSION & given.keys())}
    renewed, core = None, botocore.session.get_session()
    if credentials is not None and "key" in asked:
        from lakepart.storage.s3_credentials import RenewedCredentials

        renewed = RenewedCredentials(asked, lambda: _ask(credentials, with_keys=True))
        session = {name: value for name, value in session.items() if name not in _SECRETS}
        core = renewed.session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_read_time)
    config = Config(
        retries={"mode": "standard", "max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        max_pool_connections=_KEPT_CONNECTIONS,
        tcp_keepalive=True,
        # botocore puts what it says of itself together twice for each request
        user_agent=f"lakepart Boto3/{boto3.__version__} Botocore/{botocore.__version__}",
        request_checksum_calculation="when_required",  # objects are sent with a SHA-256 of their own
        response_checksum_validation="when_required",
    )
    if options.get("anon"):
        config = config.merge(Config(signature_version=UNSIGNED))
    arguments = {name: options[name] for name in sorted(_CLIENT & options.keys())} | given
    try:
        config = config.merge(Config(**dict(options.get("config_kwargs") or {})))
        client = boto3.session.Session(botocore_session=core, **session).client("s3", config=config, **arguments)
    except (TypeError, ValueError, AttributeError) as error:
        what = str(error) if isinstance(error, TypeError) else type(error).__name__  # values may be secret
        raise InvalidInputError(
            f"No S3 client can be made with these storage_options: {what}.",
            hint="client_kwargs are those of boto3's Session and client, config_kwargs those of botocore's Config.",
        ) from error
    if renewed is not None:
        renewed.watch(client)
    client.meta.events.register_last("before-call.s3", _send_short_bodies_at_once)
    return client


def credentials_of(client: Any) -> Any:
    """Give the credentials that a client signs with by now (``access_key``, ``secret_key``, ``token``), or None."""
    found = client._request_signer._credentials  # nothing public tells; a session asked anew may come to others
    return None if found is None else found.get_frozen_credentials()


def _ask(credentials: TierCredentials, *, with_keys: bool = False) -> dict[str, Any]:
    """Ask for what a client is made of, or, ``with_keys``, for others in the place of keys that end."""
    asked = credentials.ask()
    _check("The provider of credentials gave", asked, _ASKED)
    has_keys = all(isinstance(asked.get(name), str) and asked[name] for name in ("key", "secret"))
    if not has_keys and (with_keys or _KEYS & asked.keys()):
        raise InvalidInputError(
            f"The provider of credentials gave no key with a secret for {credentials.tier!r}.",
            hint='{"key": …, "secret": …, "token": …, "expires_at": …}, or {} for what the environment has.',
        )
    return asked


def _send_short_bodies_at_once(params: dict[str, Any], **_: Any) -> None:
    """Wait for the server's leave to send (``Expect: 100-continue``) only with a body that takes longer than asking.

    It costs one more journey for each PUT, and saves the sending of what the server refuses. AWS's client for Go draws
    the line at the same size (``ContinueHeaderThresholdBytes``).
    """
    from botocore.utils import determine_content_length

    if "Expect" in params["headers"] and (determine_content_length(params["body"]) or 0) <= _EXPECTING_BYTES:
        del params["headers"]["Expect"]


def _read_time(text: Any) -> datetime:
    """Read when an object was last written.

    By the standard library where it knows the form: dateutil, which botocore asks, takes twenty times as long, which
    is most of what it costs to read a listing.
    """
    from botocore.utils import parse_timestamp

    with suppress(TypeError, ValueError):  # seconds since 1970, or a form of the server's own
        read = datetime.fromisoformat(text) if text[:1].isdigit() else parsedate_to_datetime(text)
        if read.tzinfo is not None:
            return read
    found: datetime = parse_timestamp(text)
    return found
