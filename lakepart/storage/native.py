"""How Arrow opens the objects of a store by itself, for programs that read without Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lakepart.errors import ErrorCode, InvalidInputError, StorageError
from lakepart.storage.s3_client import credentials_of

_AWS = (".amazonaws.com", ".amazonaws.com.cn")
_WITHOUT_REGION = {None, "aws-global"}
_AZURE = {"account_name", "account_key", "sas_token", "tenant_id", "client_id", "client_secret"}
_DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class NativeFilesystem:
    """A filesystem of Arrow that has the objects of a store.

    Attributes
    ----------
    kind
        The name of its class in ``pyarrow.fs``.
    arguments
        What it is made with; secrets are among them.
    root
        What comes before a path.
    """

    kind: str
    arguments: Mapping[str, Any] = field(repr=False)
    root: str

    def place(self, path: str) -> str:
        """Give where an object is in it."""
        return f"{self.root}/{path}"


def native_s3(client: Any, bucket: str, prefix: str, *, requester_pays: bool) -> NativeFilesystem:
    """Say how Arrow reaches a prefix of a bucket as a boto3 client does.

    Whatever the client found its credentials by, Arrow gets those of now: it does not know all these ways. It does not
    ask for new ones when they expire.

    Raises
    ------
    InvalidInputError
        Code ``unsupported``: Arrow has no such option.
    StorageError
        Code ``permission``: there are no credentials.
    """
    from botocore import UNSIGNED
    from botocore.utils import get_environ_proxies

    certificates = client._endpoint.http_session._verify  # by options, a profile or the environment: nothing public
    if requester_pays:
        raise _unsupported("requester_pays")
    if certificates is False:
        raise _unsupported("verify=False")
    config, endpoint = client.meta.config, client.meta.endpoint_url
    address = urlsplit(endpoint)
    arguments: dict[str, Any] = {
        "scheme": address.scheme,
        "endpoint_override": address.netloc,
        "region": _DEFAULT_REGION if client.meta.region_name in _WITHOUT_REGION else client.meta.region_name,
        "force_virtual_addressing": _names_buckets_in_hosts(config.s3 or {}, address.hostname or "", bucket),
        "connect_timeout": float(config.connect_timeout),
        "request_timeout": float(config.read_timeout),
    }
    proxies = get_environ_proxies(endpoint) if config.proxies is None else config.proxies
    if (proxy := proxies.get(address.scheme)) is not None:
        arguments["proxy_options"] = proxy if "://" in proxy else f"http://{proxy}"
    if address.scheme == "https" and isinstance(certificates, str):
        arguments["tls_ca_file_path"] = certificates
    if config.signature_version is UNSIGNED:
        arguments["anonymous"] = True
    else:
        arguments |= _credentials(client, bucket)
    return NativeFilesystem("S3FileSystem", arguments, f"{bucket}/{prefix}".rstrip("/"))


def native_gcs(root: str, options: Mapping[str, Any]) -> NativeFilesystem:
    """Say how Arrow reaches Google's storage, from options as gcsfs takes them; credentials are the machine's."""
    given = {name: value for name, value in options.items() if value is not None}
    arguments: dict[str, Any] = {}
    if given.get("token") == "anon":
        arguments["anonymous"] = bool(given.pop("token"))
    if "project" in given:
        arguments["project_id"] = given.pop("project")
    if "endpoint_url" in given:
        address = urlsplit(given.pop("endpoint_url"))
        arguments |= {"scheme": address.scheme, "endpoint_override": address.netloc}
    for name in given:
        raise _unsupported(name)
    return NativeFilesystem("GcsFileSystem", arguments, root)


def native_azure(root: str, options: Mapping[str, Any]) -> NativeFilesystem:
    """Say how Arrow reaches Azure's storage, from options as adlfs takes them."""
    given = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() - _AZURE:
        raise _unsupported(name)
    return NativeFilesystem("AzureFileSystem", given, root)


def _unsupported(option: str) -> InvalidInputError:
    return InvalidInputError(
        f"A dataset opens its files by Arrow's own client, which does not take {option!r} of storage_options.",
        hint="read them as a table or as batches.",
        code=ErrorCode.UNSUPPORTED,
        context={"option": option},
    )


def _names_buckets_in_hosts(options: Mapping[str, Any], host: str, bucket: str) -> bool:
    """Whether buckets are in the host's name and not in the path, by the rules of botocore."""
    style = options.get("addressing_style")
    if style in {"path", "virtual"}:
        return bool(style == "virtual")
    return host.endswith(_AWS) and "." not in bucket  # no certificate is for a name with one more dot


def _credentials(client: Any, bucket: str) -> dict[str, str]:
    found = credentials_of(client)
    if found is None:
        raise StorageError(
            f"Cannot read {f's3://{bucket}'!r}: there are no credentials.",
            hint="credentials come from storage_options, the environment, ~/.aws or the machine's role.",
            code=ErrorCode.PERMISSION,
        )
    given = {"access_key": found.access_key, "secret_key": found.secret_key, "session_token": found.token}
    return {name: value for name, value in given.items() if value}
